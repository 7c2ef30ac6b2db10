"""What nobody waits for: jobs that are done one after another in a thread of their own."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread

from proxy import logs


class Later:
    """The thread begins with the first job. No method raises."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = Lock()
        self._thread: Thread | None = None

    def do(self, job: Callable[[], None]) -> None:
        """Takes a job. Waits for nothing."""
        self._jobs.put(job)
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="demur-later", daemon=True)
                self._thread.start()

    def close(self, timeout: float = 5.0) -> bool:
        """Does what there is, for so many seconds at most; whether all of it is done."""
        self._jobs.put(None)
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - rule zero
                logs.failed("later.failed", error)
