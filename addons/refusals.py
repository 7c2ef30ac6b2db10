"""The add-on for mitmproxy: keeps what the Messages API declined, and marks its flow. ``mitmdump -s refusals.py``.

Bytes are tapped on their way through ``flow.response.stream`` and never changed; only where retry is on, Messages calls take a detour
(``addons.detour``). Only the hosts of ``demur_hosts`` are decrypted; in the modes where mitmproxy would decrypt others, these are
tunnelled. Flows that are read from a file come whole, and are looked at whole.

mitmproxy loads this file as a script, under a name of its own: the classes in it are not those of the module ``addons.refusals``. So it is
one plain class that imports the rest by absolute names; state opens in ``running`` and closes in ``done``. Whatever fails in a
hook is logged, and the flow goes on (rule zero).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate

from mitmproxy import ctx, exceptions, http, tls
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers import TCPLayer
from mitmproxy.proxy.mode_specs import RegularMode, ReverseMode, UpstreamMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

_missing: ImportError | None = None
try:
    from addons.archive import Archive
    from addons.eventlog import log_through_mitmproxy
    from addons.listening import exposed
    from addons.marks import Marker
    from addons.replay import replayed
    from addons.route import Route
    from addons.tap import Tap
    from proxy import settings
    from proxy.capture import watcher
    from proxy.core.exchange import Watcher
    from proxy.logs import failed
    from proxy.revision import Changes
    from schemas.settings import Retry, Settings
except ImportError as error:
    _missing = error

if TYPE_CHECKING:
    from addons.detour import Detour
    from proxy.inner import Origin


def _guarded[**P, R](hook: "Callable[Concatenate[Refusals, P], R]") -> "Callable[Concatenate[Refusals, P], R | None]":
    """A hook that never raises."""

    @wraps(hook)
    def guarded(self: "Refusals", /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return hook(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - rule zero
            failed("observer.failed", error)
            return None

    return guarded


class Refusals:
    """See the head of the file."""

    request: Callable[[http.HTTPFlow], None]
    """A hook only where there is a detour."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._warnings: list[str] = []
        self._look: Callable[[], None] = lambda: None
        self._watcher: Watcher | None = None
        self._archive: Archive | None = None
        self._detour: Detour | None = None
        self._hosts: frozenset[str] = frozenset()
        self._route: Route | None = None
        self._taps: dict[str, Tap | None] = {}
        """By the flow's id, for as long as it lasts: the flows of our hosts, None where there is nothing to observe."""
        self._ending: asyncio.Task[None] | None = None

    def load(self, loader: Loader) -> None:
        """mitmproxy's. The defaults of the options come from demur's own settings."""
        try:
            in_force = settings.load()
            self._settings, self._warnings = in_force.settings, in_force.warnings
            self._look = Changes(in_force.config, in_force.revision).look
        except settings.SettingsError as error:
            _give_up(str(error))
            in_force = settings.InForce(settings=Settings(), config=Path(), origins={})
        hosts = in_force.settings.mitmproxy.hosts
        loader.add_option("demur_db", str, str(in_force.db), "The database that declined requests are kept in.")
        loader.add_option("demur_hosts", Sequence[str], hosts, "The hosts to observe; all others are tunnelled.")
        loader.add_option("demur_upstream", str, "", "A URL: where requests to those hosts are sent instead.")

    def configure(self, updated: set[str]) -> None:
        """mitmproxy's. Raises ``OptionsError``."""
        if "demur_hosts" in updated:
            names = [name.strip() for line in ctx.options.demur_hosts for name in line.split(",")]
            self._hosts = frozenset(_plain(name) for name in names if name)
        if "demur_upstream" in updated:
            try:
                self._route = Route.parse(ctx.options.demur_upstream) if ctx.options.demur_upstream else None
            except ValueError as error:
                raise exceptions.OptionsError(f"demur_upstream: {error}") from error  # type: ignore[no-untyped-call]
        if "demur_db" in updated and self._archive is not None and self._settings:
            self._close()
            self._open(self._settings)

    def running(self) -> Awaitable[None] | None:
        """mitmproxy's: opens what is needed to observe. Where mitmproxy cannot wait for what this gives, that goes on by itself."""
        open_to_others = exposed(ctx.options)
        log_through_mitmproxy([*self._warnings, *([open_to_others] if open_to_others else [])])
        if self._settings is None:
            return None
        try:
            self._watcher = watcher(self._settings, "mitmproxy")
        except settings.SettingsError as error:
            _give_up(str(error))
            return None
        archive = self._open(self._settings)
        return self._open_detour(self._settings.retry, self._watcher, archive)

    def done(self) -> Awaitable[None] | None:
        """mitmproxy's: keeps what there is, and closes. The same holds."""
        for tap in self._taps.values():
            if tap is not None:
                tap.end(whole=False)
        self._taps.clear()
        detour, self._detour = self._detour, None
        if detour is not None:
            self._ending = asyncio.create_task(self._end(detour))
            return self._ending
        self._close()
        return None

    # what is decrypted, and where it goes

    @_guarded
    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Where requests go elsewhere, a tunnel does not depend on whether the host itself can be reached."""
        if self._route and flow.response is None and self._named(flow.request.host):
            now, version = time.time(), flow.request.data.http_version
            flow.response = http.Response(version, 200, b"Connection established", http.Headers(), b"", None, now, now)

    @_guarded
    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Nor is the host itself asked then."""
        address = data.server.address
        inner = self._detour.address if self._detour else None
        if self._route and address and self._named(address[0]) and address[:2] not in (self._route.address, inner):
            data.server.error = "its requests go to demur_upstream"

    @_guarded
    def next_layer(self, nextlayer: NextLayer) -> None:
        """What comes through a tunnel to another host and is not TLS (SSH, say) passes untouched, and is not recorded."""
        context, data = nextlayer.context, nextlayer.data_client()  # type: ignore[no-untyped-call]
        tunnel = isinstance(context.client.proxy_mode, RegularMode | UpstreamMode) and context.server.address
        undecided = nextlayer.layer is None and len(context.layers) > 1 and not context.client.tls
        if tunnel and undecided and not data.startswith(b"\x16") and not self._named(tunnel[0]):
            nextlayer.layer = TCPLayer(context, ignore=True)

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """Which TLS is left alone: by the name that the client asks for, or by the address of its tunnel."""
        try:
            address = data.context.server.address
            reverse = isinstance(data.context.client.proxy_mode, ReverseMode)
            ours = reverse or address is None or self._named(data.client_hello.sni, address[0])
        except Exception as error:  # noqa: BLE001 - rule zero
            failed("observer.failed", error)
            ours = False
        data.ignore_connection = data.ignore_connection or not ours

    # what is observed

    @_guarded
    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """The head of a request."""
        if not self._is_ours(flow):
            return
        if self._route and flow.live:
            self._redirect(flow)
        if not (flow.request.stream and self._lead_away(flow)):
            self._observe(flow)

    @_guarded
    def _request(self, flow: http.HTTPFlow) -> None:
        """A whole request, before mitmproxy connects."""
        if flow.id in self._taps and not flow.request.stream:
            self._lead_away(flow)

    @_guarded
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The head of an answer: from here on nothing is buffered."""
        self._bring_back(flow)
        if flow.id not in self._taps or not flow.live or flow.response is None:
            return
        tap, response = self._taps[flow.id], flow.response
        if tap is None:
            response.stream = response.stream or True
            return
        _tell_heads(tap, flow)
        response.stream = tap.response_stream(response.stream)

    @_guarded
    def response(self, flow: http.HTTPFlow) -> None:
        """The end of an answer; here comes what was not streamed."""
        if (tap := self._taps.pop(flow.id, None)) is None or flow.response is None:
            return
        body = flow.response.raw_content
        if not flow.live:
            if body is None:  # it was streamed when it was recorded: nothing is known of it
                return
            _tell_heads(tap, flow)
        tap.feed(body or b"")
        tap.end(whole=flow.error is None)

    @_guarded
    def error(self, flow: http.HTTPFlow) -> None:
        """The answer was cut, or never came."""
        self._bring_back(flow)
        if (tap := self._taps.pop(flow.id, None)) is not None:
            if flow.response is None and not tap.streams_request:
                tap.sent(flow.request.raw_content or b"")
            tap.end(whole=False)

    # inside

    @_guarded
    def _observe(self, flow: http.HTTPFlow) -> None:
        self._taps[flow.id] = None
        if self._watcher is None or self._archive is None:
            return
        request, watcher, keeper = flow.request, self._watcher, self._archive.keeper
        if not flow.live:
            watcher, keeper = replayed(watcher, flow), self._archive.uncounting
        exchange = watcher.exchange(request.data.method, request.data.path, request.headers.fields)
        if exchange is None:
            return
        if flow.live and self._detour is not None:
            exchange.ruling = exchange.ruling or self._detour.against(flow)
        tap = self._taps[flow.id] = Tap(exchange, Marker(keeper, flow), self._archive.late)
        if request.stream and flow.live:
            request.stream = tap.request_stream(request.stream)

    @_guarded
    def _redirect(self, flow: http.HTTPFlow) -> None:
        if self._route and self._named(flow.request.host, flow.request.pretty_host, flow.client_conn.sni):
            self._route.apply(flow)

    def _is_ours(self, flow: http.HTTPFlow) -> bool:
        request, client = flow.request, flow.client_conn
        return isinstance(client.proxy_mode, ReverseMode) or self._named(request.host, request.pretty_host, client.sni)

    def _named(self, *names: str | None) -> bool:
        return any(name and _plain(name) in self._hosts for name in names)

    @_guarded
    def _lead_away(self, flow: http.HTTPFlow) -> bool:
        """Whether the flow takes the detour; there it is seen, and not here as well."""
        if self._detour is None or not flow.live or flow.response or not self._detour.take(flow, self._may_reach):
            return False
        self._taps[flow.id] = None
        return True

    @_guarded
    def _bring_back(self, flow: http.HTTPFlow) -> None:
        if self._detour is not None:
            self._detour.bring_back(flow.id)

    def _may_reach(self, flow: http.HTTPFlow, origin: "Origin") -> bool:
        """Only what is observed, and where its requests are sent instead."""
        instead = self._route and (flow.request.host, flow.request.port) == self._route.address
        return isinstance(flow.client_conn.proxy_mode, ReverseMode) or bool(instead) or self._named(origin.host)

    def _open(self, settings: "Settings") -> "Archive":
        db = Path(ctx.options.demur_db).expanduser()
        assert self._watcher
        archive = self._archive = Archive(db, settings.capture.retention_days, self._watcher.redactor, self._look)
        self._watcher = replace(self._watcher, memory=archive.acceptance)
        if self._detour is not None:
            self._detour.keep_in(archive)
        return archive

    @_guarded
    def _open_detour(self, retry: "Retry", watcher: "Watcher", archive: "Archive") -> Awaitable[None] | None:
        if not (retry.enabled or retry.tool_guard) or not ctx.options.server:
            return None
        from addons.detour import Detour

        detour = Detour(retry, watcher, archive)
        opening = detour.open()
        self._detour, self.request = detour, self._request
        return opening

    async def _end(self, detour: "Detour") -> None:
        await detour.close()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        archive, self._archive = self._archive, None
        if archive is not None:
            archive.close()


def _tell_heads(tap: "Tap", flow: http.HTTPFlow) -> None:
    """The request, where it was not streamed, and the head of the answer."""
    assert flow.response
    if not tap.streams_request:
        tap.sent(flow.request.raw_content or b"")
    tap.opened(flow.response.status_code, flow.response.headers.fields)


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _give_up(why: str) -> None:
    """mitmproxy ends where an error is logged while it starts."""
    logging.getLogger(__name__).error("demur: %s", why)


if _missing is not None:
    _give_up(f"this add-on needs demur in mitmproxy's own environment ({_missing}); `demur mitm` has both")
addons = [Refusals()] if _missing is None else []
