"""Work that may take milliseconds, outside the event loop, and not for longer than ``KEEP_S``.

In a thread of its own: the pool of the loop also resolves names, and a disk that hangs must not stop that.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from proxy import logs

KEEP_S = 2.0
"""How long a piece of an answer may wait for the disk, in seconds; usually it takes milliseconds."""


def aside(work: Callable[[], object], then: Callable[[object], None]) -> None:
    """Calls ``then``, in the loop, with what ``work`` gave; with None where it failed or took too long."""
    loop = asyncio.get_running_loop()
    done = False

    def go(result: object = None) -> None:
        nonlocal done
        if not done:
            done = True
            timer.cancel()
            then(result)

    def worker() -> None:
        result = None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - rule zero
            logs.failed("counsel.failed", error)
        with suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(go, result)

    timer = loop.call_later(KEEP_S, go)
    try:
        Thread(target=worker, name="demur-keeper", daemon=True).start()
    except RuntimeError as error:  # no more threads
        logs.failed("keeper.failed", error)
        loop.call_soon(go)
