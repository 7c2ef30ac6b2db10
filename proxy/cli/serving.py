"""A gateway with its writer, as ``up``, ``run`` and ``demo`` start it; and the loop that they run in."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from proxy.acceptance import Acceptance
from proxy.capture import redactor, watcher
from proxy.gateway import Gateway
from proxy.keeper import Keeper
from proxy.later import Later
from proxy.recall import Recall
from proxy.settings import InForce, address
from proxy.upstream import Upstream
from proxy.writer import Writer
from schemas.records import Pin, Refusal, Update


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
    tell: Callable[[Refusal, str | None], None] | None = None,
    follow: Callable[[Update, Pin | None], None] | None = None,
) -> AsyncIterator[tuple[Gateway, str]]:
    """A gateway that accepts connections, and its URL. At the end it drains, and the writer writes what there is."""
    settings = in_force.settings
    upstream = Upstream(settings.upstream, ca=settings.upstream_ca, proxy=settings.upstream_proxy)
    writer = Writer(in_force.db, retention_days=settings.capture.retention_days)
    acceptance, later = Acceptance(writer.put, in_force.db, redactor(settings)), Later()
    gateway = Gateway(
        upstream,
        Keeper(writer, tell, follow, later),
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


def on_signal(act: Callable[[], None], *names: str) -> None:
    """Calls ``act`` for these signals, in the running loop; where there are none of the kind, not at all."""
    loop = asyncio.get_running_loop()
    for name in names:
        with suppress(NotImplementedError, AttributeError):
            loop.add_signal_handler(getattr(signal, name), act)
