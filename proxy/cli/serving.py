"""A gateway with its writer, as ``up``, ``run`` and ``demo`` start it; and the loop that they run in."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from proxy.acceptance import Acceptance
from proxy.capture import redactor, watcher
from proxy.gateway import Gateway
from proxy.keeper import Keeper
from proxy.later import Later
from proxy.recall import Recall
from proxy.revision import Changes
from proxy.settings import InForce, address
from proxy.upstream import Upstream
from proxy.writer import Writer
from schemas.records import Pin, Refusal, Update

type Tell = Callable[[Refusal, str | None], None]
type Follow = Callable[[Update, Pin | None], None]


def run_loop[T](main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end, on uvloop where there is one."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    return uvloop.run(main)


@asynccontextmanager
async def serving(
    in_force: InForce,
    *,
    listen: str | None = None,
    tell: Tell | None = None,
    follow: Follow | None = None,
    changed: Callable[[Path], None] | None = None,
) -> AsyncIterator[tuple[Gateway, str]]:
    """A gateway that accepts connections, and its URL. At the end it drains, and the writer writes what there is.

    ``changed`` is given the settings' file where it is no longer what was read; without it the log is told.
    """
    settings = in_force.settings
    upstream = Upstream(settings.upstream, ca=settings.upstream_ca, proxy=settings.upstream_proxy)
    writer = Writer(in_force.db, retention_days=settings.capture.retention_days)
    acceptance, later = Acceptance(writer.put, in_force.db, redactor(settings)), Later()
    changes = Changes(in_force.config, in_force.revision, changed)
    spoken = _Spoken(tell, follow, lambda: later.do(changes.look))
    gateway = Gateway(
        upstream,
        Keeper(writer, spoken.tell, spoken.follow, later),
        watcher(settings, "gateway", acceptance),
        max_body=settings.max_body_mb << 20,
        retry=settings.retry,
        counsel=Recall(in_force.db),
    )
    url = await gateway.start(*address(listen or settings.listen))
    await asyncio.to_thread(writer.start)
    try:
        yield gateway, url
    finally:
        await gateway.stop(settings.drain_s)
        await asyncio.to_thread(acceptance.close)
        await asyncio.to_thread(later.close)
        await asyncio.to_thread(writer.close)


class _Spoken:
    """What is said of what happens, by whoever wants to; a terminal that is gone fails nothing, and keeps nothing from being kept."""

    def __init__(self, tell: Tell | None, follow: Follow | None, look: Callable[[], object]) -> None:
        self._tell, self._follow, self._look = tell, follow, look

    def tell(self, refusal: Refusal, candidate: str | None) -> None:
        """And the settings are looked at: what is declined after they were changed may be a surprise."""
        if self._tell is not None:
            with suppress(OSError, ValueError):
                self._tell(refusal, candidate)
        self._look()

    def follow(self, update: Update, pin: Pin | None) -> None:
        """See ``Keeper``."""
        if self._follow is not None:
            with suppress(OSError, ValueError):
                self._follow(update, pin)


def on_signal(act: Callable[[], None], *names: str) -> None:
    """Calls ``act`` for these signals, in the running loop; where there are none of the kind, not at all."""
    loop = asyncio.get_running_loop()
    for name in names:
        with suppress(NotImplementedError, AttributeError):
            loop.add_signal_handler(getattr(signal, name), act)
