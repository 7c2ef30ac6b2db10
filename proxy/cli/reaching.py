"""Whether something answers somewhere: connections are made and closed, and nothing is said on them."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from urllib.parse import urlsplit

from proxy.upstream import Upstream, UpstreamError, environment_proxy, is_loopback

REACH_S = 3.0
"""How long the API may take to accept a connection, TLS included, in seconds."""


class _Threads(ThreadPoolExecutor):
    """A thread for each call, that nobody waits for: a name server that does not answer holds nothing up."""

    def submit[**P, T](self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from here on nobody can cancel it

        def call() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                future.set_exception(error)

        Thread(target=call, daemon=True).start()
        return future


def reach(upstream: Upstream) -> None:
    """Connects, and says nothing. Raises ``UpstreamError``."""

    async def connect() -> None:
        asyncio.get_running_loop().set_default_executor(_Threads())
        try:
            async with asyncio.timeout(REACH_S):
                connection = await upstream.connect()
        except TimeoutError:
            raise UpstreamError(f"cannot reach {upstream.url}: no connection within {REACH_S:.0f} s") from None
        connection.abort()

    asyncio.run(connect())


def answers(host: str, port: int) -> bool:
    """Whether a TCP connection is accepted within a second."""
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False


def place_of(url: str) -> tuple[str, int] | None:
    """Host and port of an ``http[s]`` URL; None where it names none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname and port else None


def leads_to(url: str, host: str, port: int) -> bool:
    """Whether a URL names this address, by whatever name of this machine."""
    there = place_of(url)
    return (
        there is not None and there[1] == port and (there[0] == host or (is_loopback(there[0]) and is_loopback(host)))
    )


def proxy_of(url: str, proxy: str) -> str:
    """The proxy that connections to the API go through: the setting, or what the environment says; empty: none."""
    parts = urlsplit(url)
    return proxy or environment_proxy(parts.scheme, parts.netloc)


def host_of(url: str) -> str:
    """The host in a URL, or in a proxy's ``HOST:PORT``; empty where there is none."""
    try:
        return urlsplit(url if "://" in url else f"//{url}").hostname or ""
    except ValueError:
        return ""
