"""The detour of Messages calls through a gateway in this process, where retry is on.

mitmproxy's streams cannot wait for a second answer in the middle of the first; the gateway's can. So a Messages call of an observed host is
led to the gateway's listener (``proxy.inner``), which asks the API. That happens in the last hook before mitmproxy connects, so that
other add-ons see the client's own request; and once the gateway has it the flow is put back, so that what is shown and saved is that
one too. What cannot be led there goes straight to the API, and is tapped.
"""

import asyncio
import ipaddress
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import structlog
from mitmproxy import ctx
from mitmproxy.connection import Server
from mitmproxy.http import HTTPFlow
from mitmproxy.proxy.mode_specs import ReverseMode

from addons.archive import Archive
from addons.marks import Marker
from addons.reach import Reach
from proxy.core.exchange import Watcher
from proxy.core.surface import Surface, surface
from proxy.drive import Keeper
from proxy.inner import Errand, Inner, Origin, without
from proxy.logs import failed
from proxy.recall import Recall
from proxy.upstream import is_loopback
from schemas.labels import Ruling
from schemas.settings import Retry

FIRST_PARTY = "api.anthropic.com"
"""The host at which Claude Code takes the API for Anthropic's own (PROTOCOL 5.8)."""

_log = structlog.get_logger("demur")


class _Away(NamedTuple):
    """A flow on its detour, and where its request was going."""

    flow: HTTPFlow
    scheme: str
    host: str
    port: int


class Detour:
    """See the head of the module."""

    def __init__(self, retry: Retry, watcher: Watcher, archive: Archive) -> None:
        self._retry, self._watcher, self._archive = retry, watcher, archive
        self._inner: Inner | None = None
        self._opening: asyncio.Task[None] | None = None
        self._away: dict[str, _Away] = {}

    def open(self) -> asyncio.Task[None]:
        """Listens, if it can; raises nothing. Until then, and if it cannot, nothing is led there."""
        self._opening = asyncio.get_running_loop().create_task(self._open())
        return self._opening

    async def close(self) -> None:
        """Closes the listener, and cuts what is open. Raises nothing."""
        try:
            if self._opening is not None:
                await self._opening
            inner, self._inner = self._inner, None
            if inner is not None:
                await inner.stop(0)
        except Exception as error:  # noqa: BLE001 - rule zero
            failed("retry.failed", error)

    def keep_in(self, archive: Archive) -> None:
        """From now on, what is seen is kept there, and compared with what was accepted there."""
        self._archive, self._watcher = archive, replace(self._watcher, memory=archive.acceptance)
        if self._inner is not None:
            self._inner.turn_to(self._watcher, Recall(archive.db))

    @property
    def address(self) -> tuple[str, int] | None:
        """Where the gateway listens, if it does."""
        return self._inner.address if self._inner is not None else None

    def take(self, flow: HTTPFlow, may_reach: Callable[[HTTPFlow, Origin], bool]) -> bool:
        """Leads a request to the gateway, if it is one to be led there; ``may_reach`` has a say in where it was going."""
        request, address = flow.request, self.address
        if self._inner is None or address is None or not _is_messages(flow):
            return False
        origin = origin_of(flow)
        if origin is None or not may_reach(flow, origin) or _is_own(origin):
            return False
        field = self._inner.field(Errand(flow.id, origin, is_first_party(flow)))
        self._away[flow.id] = _Away(flow, request.scheme, request.host, request.port)
        _lead(flow, "http", *address)
        request.headers.fields = (*request.headers.fields, field)
        flow.server_conn = Server(address=address)
        return True

    def bring_back(self, flow_id: str) -> HTTPFlow | None:
        """The request has been sent, or never will be: it is the client's own again. The flow, where it was on a detour."""
        if (away := self._away.pop(flow_id, None)) is None:
            return None
        _lead(away.flow, away.scheme, away.host, away.port)
        away.flow.request.headers.fields = without(away.flow.request.headers.fields)
        return away.flow

    def against(self, flow: HTTPFlow) -> Ruling:
        """Why a request that goes straight to the API is not asked again."""
        return Ruling.FAILED if _is_messages(flow) else Ruling.SURFACE

    async def _open(self) -> None:
        try:
            if why := _beyond():
                _log.warning("retry.impossible", why=f"the gateway cannot heed the option {why}")
                return
            reach = Reach()
            await asyncio.to_thread(reach.prepare)
            inner = Inner(self._watcher, self._retry, Recall(self._archive.db), reach=reach, keeper=self._keeper_of)
            await inner.listen()
            inner.turn_to(self._watcher, Recall(self._archive.db))  # they may have changed meanwhile
            self._inner = inner
        except Exception as error:  # noqa: BLE001 - rule zero
            failed("retry.failed", error)

    def _keeper_of(self, flow_id: str) -> Keeper:
        flow = self.bring_back(flow_id)
        return Marker(self._archive.keeper, flow) if flow else self._archive.keeper


def origin_of(flow: HTTPFlow) -> Origin | None:
    """Where a request is going, by the name that its certificate must have; None where only mitmproxy can reach that."""
    request, server = flow.request, flow.server_conn
    name, via = request.host, server.via
    if request.scheme == "https" and server.address and server.address[:2] == (request.host, request.port):
        name = server.sni or flow.client_conn.sni or name
    by_address = _is_address(request.host) and not isinstance(flow.client_conn.proxy_mode, ReverseMode)
    if (_plain(name) != _plain(request.host) and not by_address) or (via and via[0] != "http"):
        return None
    return Origin(request.scheme, name, request.port, _authority(*via[1][:2]) if via else "")


def is_first_party(flow: HTTPFlow) -> bool:
    """Whether the client believes that it talks to Anthropic itself: then it understands seams."""
    names = [flow.client_conn.sni, flow.server_conn.address[0] if flow.server_conn.address else None]
    reverse = isinstance(flow.client_conn.proxy_mode, ReverseMode)
    return not reverse and any(name and _plain(name) == FIRST_PARTY for name in names)


def _is_messages(flow: HTTPFlow) -> bool:
    return surface(flow.request.data.method, flow.request.data.path) is Surface.MESSAGES


def _lead(flow: HTTPFlow, scheme: str, host: str, port: int) -> None:
    """``Host`` stays, unlike with mitmproxy's own setters."""
    flow.request.scheme = scheme
    flow.request.data.host, flow.request.data.port = host, port


def _beyond() -> str:
    """The name of an option with which the gateway would not reach the API as mitmproxy does."""
    return next((name for name in ("client_certs", "connect_addr") if getattr(ctx.options, name, None)), "")


def _is_own(origin: Origin) -> bool:
    """Whether this is mitmproxy itself, so that a request would never end."""
    server = ctx.master.addons.get("proxyserver")  # type: ignore[no-untyped-call]
    ports = [address[1] for address in server.listen_addrs()] if server else []
    return is_loopback(origin.host) and origin.port in ports


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
