"""What nobody waits for: jobs that are done one after another in a thread of their own."""

import time
from collections.abc import Callable
from contextlib import suppress
from queue import Full, Queue
from threading import Lock, Thread

from proxy import logs

KEPT = 16
"""Jobs that may wait; each may hold a request of megabytes."""


class Later:
    """The thread begins with the first job. No method raises."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._jobs: Queue[Callable[[], None] | None] = Queue(kept)
        self._lock = Lock()
        self._thread: Thread | None = None
        self._closed = False

    def do(self, job: Callable[[], None]) -> bool:
        """Takes a job, and waits for nothing; False where there are too many, or where it is closed."""
        with self._lock:
            if self._closed or not self._start():
                return False
            try:
                self._jobs.put_nowait(job)
            except Full:
                return False
        return True

    def close(self, timeout: float = 5.0) -> bool:
        """Does what there is, for so many seconds at most; whether all of it is done."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is None:
            return True
        end = time.monotonic() + timeout
        with suppress(Full):
            self._jobs.put(None, timeout=timeout)
        thread.join(max(0.0, end - time.monotonic()))
        return not thread.is_alive()

    def _start(self) -> bool:
        if self._thread is None:
            thread = Thread(target=self._run, name="demur-later", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads: it is tried again with the next
                logs.failed("later.failed", error)
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - rule zero
                logs.failed("later.failed", error)
