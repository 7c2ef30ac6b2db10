"""The gateway: listens on loopback, and passes every request on to one upstream.

``/v1/messages`` and its kin are observed on the way; nothing else is looked at. What is kept goes to a ``Keeper``.
"""

import asyncio

import structlog

from proxy import logs
from proxy.core.commands import Counsel
from proxy.core.exchange import Exchange, Watcher
from proxy.core.headers import Headers
from proxy.drive import Keeper
from proxy.front import Front
from proxy.recall import Recall
from proxy.retrying import Retrying
from proxy.turn import Service
from proxy.upstream import Upstream, is_loopback
from schemas.settings import Retry

_log = structlog.get_logger("demur.gateway")


class ListenError(Exception):
    """The address cannot be listened on; the message says why and what to do."""


class Gateway:
    """A server on one address.

    ``max_body``: of an observed request, in bytes; 0: any. ``retry``: whether and how a declined request is asked again, and ``counsel`` what that
    needs to know of the store; without it only this process is remembered.
    """

    def __init__(
        self,
        upstream: Upstream,
        keeper: Keeper,
        watcher: Watcher,
        *,
        max_body: int = 64 << 20,
        retry: Retry | None = None,
        counsel: Counsel | None = None,
    ) -> None:
        self.upstream, self.keeper, self.max_body = upstream, keeper, max_body
        altering = retry is not None and (retry.enabled or retry.tool_guard)
        self.retrying = Retrying(retry, counsel or Recall(None)) if retry is not None and altering else None
        self.fronts: set[Front] = set()
        self._watcher = watcher
        self._server: asyncio.Server | None = None
        self._empty = asyncio.Event()
        self._stopping = False

    async def start(self, host: str, port: int) -> str:
        """Listen; the URL to use. Raises ``ListenError``."""
        if not is_loopback(host):
            msg = f"{host} is not a loopback address: demur has no authentication yet; use 127.0.0.1"
            raise ListenError(msg)
        if port and self.upstream.leads_to(host, port):
            msg = f"the upstream {self.upstream.url} is this gateway itself; name the API with --upstream"
            raise ListenError(msg)
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: Front(self), host, port, backlog=1024)
        except OSError as error:
            msg = f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --listen"
            raise ListenError(msg) from error
        bound = self._server.sockets[0].getsockname()[1]
        return f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"

    def service(self, headers: Headers) -> Service | None:
        """What a request with this head is served with; None where it must not be."""
        return Service(headers, self.upstream, self.keeper, self.retrying)

    def exchange(self, method: bytes, target: bytes, headers: Headers) -> Exchange | None:
        """The onlooker for a request, where it is one to observe."""
        try:
            return self._watcher.exchange(method, target, headers)
        except Exception as error:  # noqa: BLE001 - rule zero
            logs.failed("observer.failed", error)
            return None

    def left(self) -> None:
        """A connection has become idle, or closed."""
        if self._stopping and not any(front.busy for front in self.fronts):
            self._empty.set()

    def hurry(self) -> None:
        """Do not wait for what is owed any longer."""
        self._empty.set()

    async def stop(self, drain_s: float) -> bool:
        """Accept nothing new, wait for what is owed, then close. False where ``drain_s`` was not enough."""
        if self._server:
            self._server.close()
        self._stopping = True
        for front in tuple(self.fronts):
            front.retire()
        self.left()
        try:
            async with asyncio.timeout(drain_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        finally:
            for front in tuple(self.fronts):
                front.transport.abort() if front.busy else front.outbox.close()
            self.upstream.close()
            if self.retrying is not None:
                self.retrying.close()
        return True
