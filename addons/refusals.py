"""The add-on for mitmproxy: keeps what the Messages API declined, and marks its flow. ``mitmdump -s refusals.py``.

Bytes are tapped on their way through ``flow.response.stream`` and never changed. Only the hosts of ``demur_hosts`` are decrypted; in the
modes where mitmproxy would decrypt others, these are tunnelled. Flows that are read from a file come whole, and are looked at whole.

mitmproxy loads this file as a script, under a name of its own: the classes in it are not those of the module ``addons.refusals``. So it is
one plain class that imports the rest by absolute names; state opens in ``running`` and closes in ``done``. Whatever fails in a
hook is logged, and the flow goes on (rule zero).
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from threading import Thread
from typing import Concatenate

from mitmproxy import ctx, exceptions, http, tls
from mitmproxy.addonmanager import Loader
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers import TCPLayer
from mitmproxy.proxy.mode_specs import RegularMode, ReverseMode, UpstreamMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

_missing: ImportError | None = None
try:
    from addons.eventlog import log_through_mitmproxy
    from addons.marks import mark
    from addons.replay import Uncounted, replayed
    from addons.route import Route
    from addons.tap import Tap
    from proxy import settings
    from proxy.capture import watcher
    from proxy.core.exchange import Watcher
    from proxy.keeper import Keeper
    from proxy.logs import failed
    from proxy.writer import Writer
    from schemas.records import Refusal
    from schemas.settings import Settings
except ImportError as error:
    _missing = error

LATE_S = 5.0
"""How long what is still being kept is waited for at the end, in seconds."""


def _guarded[**P](hook: "Callable[Concatenate[Refusals, P], None]") -> "Callable[Concatenate[Refusals, P], None]":
    """A hook that never raises."""

    @wraps(hook)
    def guarded(self: "Refusals", /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            hook(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - rule zero
            failed("observer.failed", error)

    return guarded


class Refusals:
    """See the head of the file."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._watcher: Watcher | None = None
        self._writer: Writer | None = None
        self._hosts: frozenset[str] = frozenset()
        self._route: Route | None = None
        self._taps: dict[str, Tap | None] = {}
        """By the flow's id, for as long as it lasts: the flows of our hosts, None where there is nothing to observe."""
        self._late: list[Thread] = []

    def load(self, loader: Loader) -> None:
        """mitmproxy's. The defaults of the options come from demur's own settings."""
        try:
            in_force = settings.load()
            self._settings = in_force.settings
        except settings.SettingsError as error:
            _give_up(str(error))
            in_force = settings.InForce(settings=Settings(), config=Path(), origins={}, planned=[])
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
        if "demur_db" in updated and self._writer is not None:
            self._close()
            self._open()

    def running(self) -> None:
        """mitmproxy's: opens what is needed to observe."""
        log_through_mitmproxy()
        if self._settings is None:
            return
        try:
            self._watcher = watcher(self._settings, "mitmproxy")
        except settings.SettingsError as error:
            _give_up(str(error))
            return
        self._open()

    def done(self) -> None:
        """mitmproxy's: keeps what there is, and closes."""
        for tap in self._taps.values():
            if tap is not None:
                tap.end(whole=False)
        self._taps.clear()
        end = time.monotonic() + LATE_S
        for thread in self._late:
            thread.join(max(0.0, end - time.monotonic()))
        self._close()

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
        if self._route and address and self._named(address[0]) and address[:2] != self._route.address:
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
        if self._is_ours(flow):
            self._observe(flow)
            if self._route and flow.live:
                self._redirect(flow)

    @_guarded
    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """The head of an answer: from here on nothing is buffered."""
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
        if (tap := self._taps.pop(flow.id, None)) is not None:
            if flow.response is None and not tap.streams_request:
                tap.sent(flow.request.raw_content or b"")
            tap.end(whole=False)

    # inside

    @_guarded
    def _observe(self, flow: http.HTTPFlow) -> None:
        self._taps[flow.id] = None
        if self._writer is None or self._watcher is None:
            return
        request = flow.request
        watcher, sink = (
            (self._watcher, self._writer) if flow.live else (replayed(self._watcher, flow), Uncounted(self._writer))
        )
        exchange = watcher.exchange(request.data.method, request.data.path, request.headers.fields)
        if exchange is None:
            return
        declined: list[Refusal] = []

        def tell(refusal: Refusal) -> None:
            declined.append(refusal)
            mark(flow, declined)

        tap = self._taps[flow.id] = Tap(exchange, Keeper(sink, tell), self._late)
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

    def _open(self) -> None:
        assert self._settings
        database = Path(ctx.options.demur_db).expanduser()
        self._writer = Writer(database, retention_days=self._settings.capture.retention_days)
        self._writer.start()

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


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
