"""The add-on for mitmproxy, hook by hook: bytes pass as they came, what was declined is kept before they go on, and its failures cost nobody one."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from mitmproxy import exceptions, http
from mitmproxy.connection import Server
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers import TCPLayer, modes
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tls import ClientHello, ClientHelloData
from structlog.testing import capture_logs

from addons import tap as tapping
from addons.archive import Archive
from addons.detour import Detour, is_first_party, origin_of
from addons.marks import SIGN, Marker
from addons.refusals import Refusals
from addons.tap import Tap
from answers import ANSWER, MID, REFUSAL
from entries import stored
from proxy.core.exchange import Exchange, Watcher
from proxy.core.redact import Redactor
from proxy.inner import HEADER, Inner, Origin
from proxy.keeper import Keeper
from proxy.recall import Recall
from proxy.writer import Writer
from schemas.labels import Outcome, Result, Ruling
from schemas.records import Entry, Refusal, Traffic, Update

with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of pyparsing, at mitmproxy's use of it
    from mitmproxy import eventsequence
    from mitmproxy.test import taddons, tflow, tutils

Mitmproxy: Any = taddons.context

ASK = b'{"model": "claude-opus-5", "stream": true, "messages": [{"role": "user", "content": "one secret plan"}]}'
OURS = "api.anthropic.com"


class Run:
    """mitmproxy with nothing but the add-on in it, and a database of its own."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.db = folder / "demur.db"
        self.addon = Refusals()
        self.context = Mitmproxy(self.addon)
        self.context.options.update(demur_db=str(self.db), **options)
        self.addon.configure(set(self.context.options.keys()))  # as mitmproxy does with a script
        self.opening = self.addon.running()

    def close(self) -> None:
        self.addon.done()
        self.context.__exit__(None, None, None)

    def kept(self) -> list[Refusal]:
        """What is in the database once all is closed."""
        self.addon.done()
        with stored(self.db) as store:
            found: list[Refusal] = store.refusals()
        return found

    def counted(self) -> list[str]:
        self.addon.done()
        with stored(self.db) as store:
            return sorted(str(traffic.outcome) for traffic, n in store.traffic() for _ in range(n))

    def begin(self, flow: http.HTTPFlow, **headers: str) -> Callable[[bytes], Iterable[bytes] | bytes]:
        """Plays a flow up to the head of its answer; the function that its body passes through."""
        self.addon.requestheaders(flow)
        fields = {"content-type": "text/event-stream", "request-id": "req_7"} | headers
        flow.response = tutils.tresp(content=None, headers=http.Headers(**fields))  # type: ignore[arg-type]
        self.addon.responseheaders(flow)
        assert callable(flow.response.stream)
        return flow.response.stream

    def play(self, flow: http.HTTPFlow, *pieces: bytes) -> bytes:
        """Plays a whole flow; what its client got."""
        stream = self.begin(flow)
        got = [_bytes(stream(piece)) for piece in (*pieces, b"")]
        self.addon.response(flow)
        return b"".join(got)


def _bytes(passed: Iterable[bytes] | bytes) -> bytes:
    return passed if isinstance(passed, bytes) else b"".join(passed)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    run.close()
    structlog.reset_defaults()


def asked(
    host: str = OURS, *, path: bytes = b"/v1/messages?beta=true", live: bool = True, content: bytes = ASK
) -> http.HTTPFlow:
    request = tutils.treq(method=b"POST", scheme=b"https", host=host, port=443, path=path, content=content)
    request.headers["host"] = host
    request.timestamp_start = 1_700_000_000.5
    return tflow.tflow(req=request, live=live)


def whole(body: bytes | None, *, live: bool = False) -> http.HTTPFlow:
    """A flow as a file has it."""
    flow = asked(live=live)
    flow.response = tutils.tresp(
        content=body, headers=http.Headers(content_type="text/event-stream", request_id="req_7")
    )
    flow.response.timestamp_end = flow.request.timestamp_start + 2
    return flow


@pytest.mark.parametrize("body", [ANSWER, REFUSAL, MID])
def test_a_body_passes_byte_by_byte_as_it_came(run: Run, body: bytes) -> None:
    pieces = [body[at : at + 1] for at in range(len(body))]
    flow = asked()
    assert run.play(flow, *pieces) == body
    assert bool(flow.marked) == (body != ANSWER)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(cuts=st.lists(st.integers(1, len(MID) - 1), unique=True).map(sorted))
def test_a_refusal_is_seen_however_its_body_is_cut(run: Run, cuts: list[int]) -> None:
    flow = asked()
    pieces = [MID[start:end] for start, end in zip([0, *cuts], [*cuts, len(MID)], strict=True)]
    assert run.play(flow, *pieces) == MID
    assert flow.comment == "declined: cyber, mid-stream, req_7"


def test_a_refusal_lands_in_the_database_with_its_request(run: Run) -> None:
    run.play(asked(), REFUSAL)
    (kept,) = run.kept()
    assert (kept.source, kept.category, kept.request_id, kept.streamed) == ("mitmproxy", "cyber", "req_7", True)
    with stored(run.db) as store:
        assert store.body(kept.id) == ASK


def test_a_refusal_in_one_message_is_kept_though_only_the_end_tells_that_it_is_whole(run: Run) -> None:
    message = b'{"type": "message", "role": "assistant", "content": [], "stop_reason": "refusal", "usage": {"output_tokens": 1}}'
    flow = asked()
    stream = run.begin(flow, **{"content-type": "application/json"})
    assert [stream(piece) for piece in (message[:40], message[40:], b"")] == [message[:40], message[40:], b""]
    assert flow.comment == "declined: no category, before output, req_7"
    assert len(run.kept()) == 1


def test_every_exchange_is_counted_once(run: Run) -> None:
    for body in (ANSWER, REFUSAL, ANSWER):
        run.play(asked(), body)
    assert run.counted() == [Result.ANSWERED, Result.ANSWERED, Result.REFUSED]


def test_a_declined_flow_is_marked_and_can_be_saved(run: Run) -> None:
    flow = asked()
    run.play(flow, REFUSAL)
    assert (flow.marked, flow.comment) == (SIGN, "declined: cyber, before output, req_7")
    assert flow.metadata["demur"]["category"] == "cyber"
    again = http.HTTPFlow.from_state(flow.get_state())
    assert again.metadata == flow.metadata


def test_what_a_person_wrote_on_a_flow_stays(run: Run) -> None:
    flow = asked()
    flow.marked, flow.comment = ":star:", "look here"
    run.play(flow, REFUSAL)
    run.play(flow, REFUSAL)
    assert (flow.marked, flow.comment) == (":star:", "look here declined: cyber, before output, req_7")


def test_a_head_and_a_request_are_left_as_they_are(run: Run) -> None:
    flow, other = asked(), asked()
    run.play(flow, REFUSAL)
    assert vars(flow.request.data) == vars(other.request.data)
    assert flow.response
    assert flow.response.headers.fields == ((b"content-type", b"text/event-stream"), (b"request-id", b"req_7"))


def test_other_hosts_are_not_looked_at(run: Run) -> None:
    flow = whole(REFUSAL, live=True)
    flow.request.host = "example.com"
    run.addon.requestheaders(flow)
    run.addon.responseheaders(flow)
    run.addon.response(flow)
    assert flow.response
    assert flow.response.stream is False
    assert not flow.marked
    assert run.counted() == []
    assert run.kept() == []


def test_what_is_not_observed_of_our_hosts_is_not_buffered_either(run: Run) -> None:
    flow = whole(None, live=True)
    flow.request.path = "/api/events"
    run.addon.requestheaders(flow)
    run.addon.responseheaders(flow)
    run.addon.response(flow)
    assert flow.response
    assert flow.response.stream is True
    assert not run.counted()


@pytest.mark.parametrize(
    "name", ["Api.Anthropic.com", "api.anthropic.com.", "second.example", "third.example", "fourth.example"]
)
def test_the_hosts_may_be_several_and_are_spelled_as_people_do(tmp_path: Path, name: str) -> None:
    run = Run(tmp_path, demur_hosts=["API.anthropic.com", "second.example, third.example", "fourth.example."])
    flow = asked(name)
    run.play(flow, REFUSAL)
    assert flow.marked
    run.close()


def test_a_host_is_known_by_its_tls_name_where_its_address_says_nothing(run: Run) -> None:
    flow = asked("192.0.2.1")
    flow.client_conn.sni = OURS
    run.play(flow, REFUSAL)
    assert flow.marked


def test_behind_a_reverse_proxy_every_host_is_ours(run: Run) -> None:
    flow = asked("gateway.example")
    flow.client_conn.proxy_mode = ProxyMode.parse("reverse:https://gateway.example")
    run.play(flow, REFUSAL)
    assert flow.marked


@pytest.mark.parametrize(
    "inner", [True, lambda data: data.swapcase(), lambda data: (data[at : at + 1] for at in range(len(data)))]
)
def test_another_add_ons_stream_function_is_wrapped(run: Run, inner: Any) -> None:
    flow = asked()
    run.addon.requestheaders(flow)
    flow.response = whole(None).response
    assert flow.response
    flow.response.stream = inner
    run.addon.responseheaders(flow)
    assert callable(flow.response.stream)
    got = [flow.response.stream(piece) for piece in (REFUSAL, b"")]
    assert b"".join(map(_bytes, got)) == (b"".join(_bytes(inner(REFUSAL)) for _ in "1") if callable(inner) else REFUSAL)
    assert flow.marked


@pytest.mark.parametrize("inner", [True, lambda data: data, lambda data: iter([data])])
def test_a_streamed_request_is_tapped_on_its_way_up(run: Run, inner: Any) -> None:
    flow = asked(content=b"")
    flow.request.content = None
    flow.request.stream = inner
    run.addon.requestheaders(flow)
    assert callable(flow.request.stream)
    assert b"".join(_bytes(flow.request.stream(piece)) for piece in (ASK[:9], ASK[9:], b"")) == ASK
    assert flow.request.stream(b"") in (b"", [b""])
    flow.response = whole(None).response
    run.addon.responseheaders(flow)
    assert flow.response
    assert callable(flow.response.stream)
    flow.response.stream(REFUSAL)
    (kept,) = run.kept()
    with stored(run.db) as store:
        assert store.body(kept.id) == ASK


def test_an_answer_that_was_cut_is_counted_as_cut(run: Run) -> None:
    flow = asked()
    run.begin(flow)(ANSWER[:200])
    run.addon.error(flow)
    assert run.counted() == [Result.CUT]


def test_a_request_without_any_answer_is_counted(run: Run) -> None:
    flow = asked()
    run.addon.requestheaders(flow)
    run.addon.error(flow)
    assert run.counted() == [Result.CUT]


def test_a_refusal_before_a_cut_is_kept(run: Run) -> None:
    flow = asked()
    run.begin(flow)(REFUSAL)
    run.addon.error(flow)
    assert flow.marked
    assert len(run.kept()) == 1


def test_what_is_open_at_the_end_is_counted(run: Run) -> None:
    run.begin(asked())(ANSWER[:200])
    assert run.counted() == [Result.CUT]


def test_a_flow_that_another_add_on_answered_is_closed_too(run: Run) -> None:
    flow = whole(ANSWER, live=True)
    for hook in (run.addon.requestheaders, run.addon.responseheaders, run.addon.response):
        hook(flow)
    assert run.counted() == [Result.ANSWERED]


def _replay(run: Run, flow: http.HTTPFlow) -> None:
    for event in eventsequence.iterate(flow):
        run.context.master.addons.invoke_addon_sync(run.addon, event)


def test_a_flow_from_a_file_is_looked_at_whole_and_has_its_own_time(run: Run) -> None:
    flow = whole(REFUSAL)
    _replay(run, flow)
    assert flow.marked
    assert flow.response
    assert flow.response.stream is False
    (kept,) = run.kept()
    assert (kept.source, kept.at, kept.ms_to_refusal) == ("flow", "2023-11-14T22:13:20.500Z", 2000)


def test_a_flow_from_a_file_is_stored_once_however_often_it_is_read_and_never_counted(run: Run) -> None:
    for flow in [whole(REFUSAL), whole(ANSWER), whole(REFUSAL)]:
        flow.id = "the same"
        _replay(run, flow)
    assert run.counted() == []
    assert len(run.kept()) == 1


def test_a_flow_from_a_file_whose_body_was_not_kept_tells_nothing(run: Run) -> None:
    _replay(run, whole(None))
    assert run.counted() == []
    assert run.kept() == []


def test_a_flow_from_a_file_goes_nowhere(tmp_path: Path) -> None:
    run = Run(tmp_path, demur_upstream="http://127.0.0.1:9")
    flow = whole(REFUSAL)
    _replay(run, flow)
    assert flow.request.host == OURS
    run.close()


def _hello(sni: str | None, host: str | None, mode: str = "regular") -> ClientHelloData:
    client = tflow.tclient_conn()
    client.proxy_mode = ProxyMode.parse(mode)
    context = Context(client, None)  # type: ignore[arg-type]
    context.server = Server(address=(host, 443) if host else None)
    return ClientHelloData(context, _client_hello(sni))


def _client_hello(sni: str | None) -> ClientHello:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=sni).do_handshake()
    return ClientHello(outgoing.read()[9:])


@pytest.mark.parametrize(
    ("sni", "host", "mode", "ignored"),
    [
        (OURS, OURS, "regular", False),
        (OURS, "192.0.2.1", "local", False),
        (None, OURS, "regular", False),
        ("front.example", OURS, "upstream:http://127.0.0.1:1", False),
        ("example.com", "example.com", "regular", True),
        ("example.com", "192.0.2.1", "local", True),
        (None, "192.0.2.1", "regular", True),
        ("example.com", "example.com", "reverse:https://example.com", False),
        ("localhost", None, "regular", False),
    ],
)
def test_only_tls_with_our_hosts_is_opened(
    run: Run, sni: str | None, host: str | None, mode: str, ignored: bool
) -> None:
    hello = _hello(sni, host, mode)
    run.addon.tls_clienthello(hello)
    assert hello.ignore_connection is ignored


def _decided(run: Run, host: str, data: bytes, mode: str = "regular") -> object:
    """What the add-on makes of the first bytes in a tunnel; None is mitmproxy's own way."""
    context = _hello(None, host, mode).context
    modes.HttpProxy(context)
    modes.HttpProxy(context)
    asked = NextLayer(context)
    asked.data_client = lambda: data  # type: ignore[method-assign]
    run.addon.next_layer(asked)
    return asked.layer


def test_what_is_not_tls_in_a_tunnel_to_another_host_passes_untouched(run: Run) -> None:
    layer = _decided(run, "example.com", b"SSH-2.0-x\r\n")
    assert isinstance(layer, TCPLayer)
    assert layer.flow is None
    assert _decided(run, "example.com", b"\x16\x03\x01") is None
    assert _decided(run, OURS, b"GET / HTTP/1.1\r\n") is None
    assert _decided(run, "example.com", b"GET / HTTP/1.1\r\n", "local") is None


def test_requests_go_to_the_upstream_with_its_name_and_all_else_stays(tmp_path: Path) -> None:
    run = Run(tmp_path, demur_upstream="http://127.0.0.1:8999/gate/")
    flow, other = asked(), asked()
    run.addon.requestheaders(flow)
    assert flow.request.url == "http://127.0.0.1:8999/gate/v1/messages?beta=true"
    assert flow.request.headers["host"] == "127.0.0.1:8999"
    del flow.request.headers["host"], other.request.headers["host"]
    assert flow.request.headers == other.request.headers
    assert flow.request.raw_content == ASK
    run.close()


def test_other_requests_do_not_go_to_the_upstream(tmp_path: Path) -> None:
    run = Run(tmp_path, demur_upstream="http://127.0.0.1:8999")
    flow = asked("example.com")
    run.addon.requestheaders(flow)
    assert flow.request.host == "example.com"
    run.close()


def test_a_reverse_proxy_keeps_its_own_upstream(tmp_path: Path) -> None:
    run = Run(tmp_path, demur_upstream="http://127.0.0.1:8999")
    flow = asked("gateway.example")
    flow.client_conn.proxy_mode = ProxyMode.parse("reverse:https://gateway.example")
    run.addon.requestheaders(flow)
    assert flow.request.host == "gateway.example"
    run.close()


@pytest.mark.parametrize(
    ("upstream", "via"), [("http://127.0.0.1:1", False), ("http://up.example", True), ("http://near.example", False)]
)
def test_an_upstream_on_this_machine_is_not_asked_through_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upstream: str, via: bool
) -> None:
    monkeypatch.setenv("NO_PROXY", "near.example")
    run = Run(tmp_path, demur_upstream=upstream)
    flow = asked()
    flow.server_conn = shared = Server(address=(OURS, 443))
    shared.via = ("http", ("proxy.example", 3128))
    run.addon.requestheaders(flow)
    assert bool(flow.server_conn.via) is via
    assert shared.via
    run.close()


def test_with_an_upstream_the_host_itself_is_never_connected_to(tmp_path: Path) -> None:
    run = Run(tmp_path, demur_upstream="http://127.0.0.1:8999")
    flow = asked()
    run.addon.http_connect(flow)
    assert flow.response
    assert (flow.response.status_code, flow.response.raw_content) == (200, b"")
    for host, wanted in ((OURS, False), ("example.com", True), ("127.0.0.1", True)):
        server = Server(address=(host, 443))
        run.addon.server_connect(ServerConnectionHookData(server, tflow.tclient_conn()))
        assert (server.error is None) is wanted
    run.close()


def test_an_upstream_may_be_one_of_the_hosts(tmp_path: Path) -> None:
    run = Run(tmp_path, demur_upstream=f"https://{OURS}:8443")
    server = Server(address=(OURS, 8443))
    run.addon.server_connect(ServerConnectionHookData(server, tflow.tclient_conn()))
    assert server.error is None
    run.close()


def test_without_an_upstream_tunnels_are_mitmproxys_business(run: Run) -> None:
    flow, server = asked(), Server(address=(OURS, 443))
    run.addon.http_connect(flow)
    run.addon.server_connect(ServerConnectionHookData(server, tflow.tclient_conn()))
    assert flow.response is None
    assert server.error is None


@pytest.mark.parametrize("url", ["127.0.0.1:8999", "ftp://x", "http://user:pass@x", "http://", "http://x:99999"])
def test_an_upstream_that_cannot_be_meant_is_refused_without_its_secrets(run: Run, url: str) -> None:
    with pytest.raises(exceptions.OptionsError, match="demur_upstream: ") as caught:
        run.context.configure(run.addon, demur_upstream=url)
    assert "pass" not in str(caught.value)


def test_another_database_can_be_named_while_running(run: Run, tmp_path: Path) -> None:
    run.play(asked(), REFUSAL)
    run.context.configure(run.addon, demur_db=str(tmp_path / "other.db"))
    run.play(asked(), ANSWER)
    assert len(run.kept()) == 1
    run.db = tmp_path / "other.db"
    assert run.counted() == [Result.ANSWERED]


def _broken(*_: Any, **__: Any) -> Any:
    raise ValueError(ASK)


@pytest.mark.parametrize("name", ["sent", "opened", "feed", "finish", "traffic", "__init__"])
def test_an_onlooker_that_raises_is_dismissed_and_the_bytes_go_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(Exchange, name, _broken)
    flow = asked()
    with capture_logs() as logs:
        if name == "__init__":
            run.addon.requestheaders(flow)
            flow.response = whole(None).response
            run.addon.responseheaders(flow)
            assert flow.response
            assert flow.response.stream is True
        else:
            assert run.play(flow, REFUSAL[:300], REFUSAL[300:]) == REFUSAL
    failures = [log for log in logs if log["event"] == "observer.failed"]
    assert [failure["error"] for failure in failures] == ["ValueError"]
    assert failures[0]["at"].startswith("test_refusals.py:")
    assert "secret plan" not in str(logs)


@pytest.mark.parametrize(
    "hook", ["requestheaders", "responseheaders", "response", "error", "http_connect", "server_connect", "next_layer"]
)
def test_a_hook_that_fails_says_so_and_raises_nothing(tmp_path: Path, hook: str) -> None:
    run = Run(tmp_path, demur_upstream="http://127.0.0.1:8999")
    with capture_logs() as logs:
        getattr(run.addon, hook)(None)
    run.close()
    assert [log["event"] for log in logs] == ["observer.failed"]


def test_a_connection_that_cannot_be_judged_is_tunnelled(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Refusals, "_named", _broken)
    hello = _hello(OURS, OURS)
    with capture_logs() as logs:
        run.addon.tls_clienthello(hello)
    assert hello.ignore_connection is True
    assert [log["event"] for log in logs] == ["observer.failed"]


def test_a_log_that_fails_costs_no_byte(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Exchange, "feed", _broken)
    structlog.configure(processors=[_broken])
    assert run.play(asked(), REFUSAL) == REFUSAL


def test_a_writer_that_fails_costs_no_byte(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Writer, "put", _broken)
    monkeypatch.setattr(Writer, "count", _broken)
    assert run.play(asked(), REFUSAL) == REFUSAL
    assert run.play(asked(), ANSWER) == ANSWER


def test_no_thread_to_keep_in_costs_no_byte(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addons.tap.Thread", _broken)
    assert run.play(asked(), REFUSAL) == REFUSAL


def test_traffic_goes_on_where_the_database_cannot_be_opened(tmp_path: Path) -> None:
    folder = tmp_path / "demur.db"
    folder.mkdir()
    run = Run(tmp_path)
    flow = asked()
    assert run.play(flow, REFUSAL) == REFUSAL
    assert flow.marked
    run.close()


def test_before_it_runs_it_lets_everything_pass(tmp_path: Path) -> None:
    addon = Refusals()
    with Mitmproxy(addon) as context:
        context.configure(addon, demur_db=str(tmp_path / "demur.db"))
        addon.configure({"demur_hosts"})
        flow = whole(None, live=True)
        addon.requestheaders(flow)
        addon.responseheaders(flow)
        addon.response(flow)
        assert flow.response
        assert flow.response.stream is True
        addon.done()


@pytest.mark.parametrize(
    ("toml", "said"),
    [("[capture]\ncontent = 'all'\n", "capture.content"), ("[redact]\ndeny = ['/(/']\n", "redact.deny")],
)
def test_settings_that_cannot_be_used_are_said_in_one_line_and_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, toml: str, said: str
) -> None:
    (tmp_path / "demur.toml").write_text(toml)
    monkeypatch.setenv("DEMUR_CONFIG", str(tmp_path / "demur.toml"))
    run = Run(tmp_path)
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert said in record.getMessage()
    assert "\n" not in record.getMessage()
    flow = whole(REFUSAL, live=True)
    run.addon.requestheaders(flow)
    run.addon.response(flow)
    run.close()
    assert not run.db.exists()


def test_the_settings_say_what_is_kept_and_of_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demur.toml").write_text("[capture]\ncontent = 'none'\n[mitmproxy]\nhosts = ['gate.example']\n")
    monkeypatch.setenv("DEMUR_CONFIG", str(tmp_path / "demur.toml"))
    run = Run(tmp_path)
    run.play(asked("gate.example"), REFUSAL)
    (kept,) = run.kept()
    with stored(run.db) as store:
        assert store.skeleton(kept.id) is None
    run.close()


class Sink:
    """Where entries go, at its own speed."""

    def __init__(self) -> None:
        self.open = Event()
        self.open.set()
        self.entries: list[Entry] = []

    def put(self, entry: Entry) -> bool:
        self.open.wait(30)
        self.entries.append(entry)
        return True

    def count(self, traffic: Traffic) -> None:
        raise AssertionError(traffic)


def _tap(sink: Sink) -> tuple[Tap, list[Any]]:
    exchange = Watcher(source="mitmproxy", now=lambda: 0.0, entropy=bytes).exchange(b"POST", b"/v1/messages", ())
    assert exchange
    late: list[Any] = []
    tap = Tap(exchange, Keeper(sink), late)
    tap.sent(ASK)
    tap.opened(200, ((b"content-type", b"text/event-stream"),))
    return tap, late


def test_a_refusal_is_kept_before_the_bytes_that_told_of_it_go_on() -> None:
    sink = Sink()
    tap, late = _tap(sink)
    tap.response_stream(inner=False)(REFUSAL)
    assert len(sink.entries) == 1
    assert not late


def test_the_bytes_go_on_where_keeping_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tapping, "KEEP_S", 0.01)
    sink = Sink()
    sink.open.clear()
    tap, late = _tap(sink)
    assert tap.response_stream(inner=False)(REFUSAL) == REFUSAL
    assert not sink.entries
    sink.open.set()
    late[0].join()
    assert len(sink.entries) == 1


def test_the_end_waits_for_what_is_still_being_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tapping, "KEEP_S", 0.01)
    release, put = Event(), Writer.put
    monkeypatch.setattr(Writer, "put", lambda writer, entry: release.wait(30) and put(writer, entry))
    run.play(asked(), REFUSAL)
    assert run.addon._archive
    assert run.addon._archive.late
    Thread(target=release.set).start()
    assert len(run.kept()) == 1


def test_log_lines_go_to_mitmproxys_own_log_and_are_never_errors(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    structlog.get_logger("demur").error("store.failed", part="database", message=None)
    assert ("demur", "WARNING", "demur: store.failed part=database") in [
        (r.name, r.levelname, r.getMessage()) for r in caplog.records
    ]


def test_a_mark_that_fails_costs_no_record(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addons.marks.in_words", _broken)
    with capture_logs() as logs:
        assert run.play(asked(), REFUSAL) == REFUSAL
        assert len(run.kept()) == 1
    assert [log["event"] for log in logs if log["event"].endswith(".failed")] == ["mark.failed"]


def test_what_became_of_another_flow_is_not_marked_on_this_one() -> None:
    flow = asked()
    Marker(Keeper(Sink()), flow).keep(lambda: Entry(updates=[Update(refusal_id="another", outcome=Outcome.REFUSED)]))
    assert (flow.marked, flow.comment, flow.metadata) == ("", "", {})


def test_a_client_that_goes_round_in_circles_is_told_of_once(run: Run) -> None:
    with capture_logs() as logs:
        for _ in range(5):
            flow = asked()
            flow.request.headers["x-claude-code-session-id"] = "0f1e2d3c-0000-4000-8000-000000000001"
            run.play(flow, REFUSAL)
        run.kept()
    assert [log["refusals"] for log in logs if log["event"] == "loop.seen"] == [3]


# the detour

RETRY = '[retry]\nenabled = true\n[[retry.fallback]]\nmodel = "claude-opus-4-8"\n'


@asynccontextmanager
async def retrying(folder: Path, toml: str = RETRY, **options: Any) -> AsyncIterator[Run]:
    """The add-on with retry on, in a loop as mitmproxy has it."""
    (folder / "demur.toml").write_text(toml)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEMUR_CONFIG", str(folder / "demur.toml"))
        run = Run(folder, **options)
    if run.opening is not None:
        await run.opening
    try:
        yield run
    finally:
        if (ending := run.addon.done()) is not None:
            await ending
        run.context.__exit__(None, None, None)
        structlog.reset_defaults()


def led(run: Run, flow: http.HTTPFlow) -> bool:
    """Plays a request up to the moment before mitmproxy connects; whether it is led to the gateway."""
    run.addon.requestheaders(flow)
    run.addon.request(flow)
    address = run.addon._detour.address if run.addon._detour else None
    return address is not None and (flow.request.host, flow.request.port) == address


def tls(flow: http.HTTPFlow, host: str, *, sni: str | None, via: Any = None, mode: str = "regular") -> http.HTTPFlow:
    """A flow through a tunnel to a host, in which the client asked for a name."""
    flow.server_conn = Server(address=(host, 443))
    flow.server_conn.via = via
    flow.client_conn.sni, flow.client_conn.proxy_mode = sni, ProxyMode.parse(mode)
    return flow


def test_a_messages_call_is_led_to_the_gateway_and_is_the_client_s_own_once_it_is_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with retrying(tmp_path) as run:
            other, flow = asked(), tls(asked(), OURS, sni=OURS, via=("http", ("proxy.example", 3128)))
            shared = flow.server_conn
            assert led(run, flow)
            assert flow.request.scheme == "http"
            assert flow.request.headers["host"] == OURS
            ((name, value),) = set(flow.request.headers.fields) - set(other.request.headers.fields)
            assert name == HEADER
            assert b'"host":"api.anthropic.com","port":443,"via":"proxy.example:3128"' in value
            assert flow.server_conn.via is None
            assert shared.via
            flow.response = whole(None).response
            run.addon.responseheaders(flow)
            assert vars(flow.request.data) == vars(other.request.data)
            assert flow.response
            assert flow.response.stream is True
            run.addon.response(flow)
            assert not run.addon._taps

    asyncio.run(main())
    with stored(tmp_path / "demur.db") as store:
        assert not store.traffic()


def test_once_the_gateway_has_the_request_it_is_the_client_s_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with retrying(tmp_path) as run:
            flow = asked()
            assert led(run, flow)
            assert run.addon._detour
            assert run.addon._detour._inner
            assert run.addon._detour._inner.service(flow.request.headers.fields)
            assert vars(flow.request.data) == vars(asked().request.data)

    asyncio.run(main())


def test_a_request_that_is_never_answered_is_the_client_s_own_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with retrying(tmp_path) as run:
            flow = asked()
            assert led(run, flow)
            run.addon.error(flow)
            assert vars(flow.request.data) == vars(asked().request.data)

    asyncio.run(main())


def test_a_header_of_that_name_that_the_client_sent_stays_the_client_s(tmp_path: Path) -> None:
    async def main() -> None:
        async with retrying(tmp_path) as run:
            flow = asked()
            flow.request.headers["x-demur-inner"] = "mine"
            assert led(run, flow)
            run.addon.error(flow)
            assert flow.request.headers.get_all("x-demur-inner") == ["mine"]

    asyncio.run(main())


def test_a_request_that_is_streamed_is_led_there_before_it_has_come(tmp_path: Path) -> None:
    async def main() -> None:
        async with retrying(tmp_path) as run:
            flow = asked()
            flow.request.stream = True
            run.addon.requestheaders(flow)
            assert flow.request.host == "127.0.0.1"
            assert flow.request.stream is True
            late = asked()
            run.addon.requestheaders(late)
            late.request.stream = True
            run.addon.request(late)
            assert late.request.host == OURS

    asyncio.run(main())


@pytest.mark.parametrize("path", [b"/v1/messages/count_tokens", b"/v1/messages/batches", b"/v1/models", b"/api/hello"])
def test_nothing_but_messages_calls_is_led_there(tmp_path: Path, path: bytes) -> None:
    async def main() -> None:
        async with retrying(tmp_path) as run:
            assert not led(run, asked(path=path))

    asyncio.run(main())


def test_nothing_is_led_there_of_other_hosts_of_files_or_of_what_is_answered_already(tmp_path: Path) -> None:
    async def main() -> None:
        async with retrying(tmp_path) as run:
            flow = asked("example.com")
            flow.request.headers["host"] = OURS
            assert not led(run, flow)
            assert not led(run, asked("example.com"))
            assert not led(run, asked(live=False))
            assert not led(run, whole(ANSWER, live=True))

    asyncio.run(main())


def test_with_an_upstream_it_is_that_which_the_gateway_asks(tmp_path: Path) -> None:
    async def main() -> None:
        async with retrying(tmp_path, demur_upstream="https://gate.example/v2", demur_hosts=[OURS, "127.0.0.1"]) as run:
            flow = asked()
            assert led(run, flow)
            assert b'"host":"gate.example","port":443' in flow.request.headers["x-demur-inner"].encode()
            assert flow.request.path == "/v2/v1/messages?beta=true"
            data = ServerConnectionHookData(flow.server_conn, flow.client_conn)
            run.addon.server_connect(data)
            assert data.server.error is None

    asyncio.run(main())


@pytest.mark.parametrize("why", ["closed", "failed", "client_certs"])
def test_without_a_listener_requests_go_straight_on_and_are_observed(
    tmp_path: Path, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        if why == "failed":
            monkeypatch.setattr("proxy.inner.Inner.listen", _broken)
        options = {"client_certs": str(tmp_path)} if why == "client_certs" else {}
        with capture_logs() as logs:
            async with retrying(tmp_path, **options) as run:
                if why == "closed":
                    assert run.addon._detour
                    assert run.addon._detour._inner
                    await run.addon._detour._inner.stop(0)
                flow = asked()
                assert not led(run, flow)
                assert run.play(flow, REFUSAL) == REFUSAL
        said = {"failed": ["retry.failed"], "client_certs": ["retry.impossible"]}.get(why, [])
        assert [log["event"] for log in logs if log["event"].startswith("retry.")] == said

    asyncio.run(main())
    with stored(tmp_path / "demur.db") as store:
        assert [refusal.ruling for refusal in store.refusals()] == [Ruling.FAILED]


def test_a_listener_that_cannot_be_closed_is_told_of_and_what_there_is_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with retrying(tmp_path) as run:
            assert run.addon._detour
            assert run.addon._detour._inner
            close = run.addon._detour._inner.stop
            monkeypatch.setattr("proxy.inner.Inner.stop", _broken)
            run.play(asked(path=b"/v1/messages/count_tokens"), b"{}")
            with capture_logs() as logs:
                ending = run.addon.done()
                assert ending
                await ending
            assert [log["event"] for log in logs] == ["retry.failed"]
            await close(0)

    asyncio.run(main())
    with stored(tmp_path / "demur.db") as store:
        assert len(store.traffic()) == 1


def test_another_database_can_be_named_while_the_gateway_runs(tmp_path: Path) -> None:
    async def main() -> None:
        async with retrying(tmp_path) as run:
            detour = run.addon._detour
            assert detour
            before = detour._keeper_of("a flow")
            run.context.configure(run.addon, demur_db=str(tmp_path / "other.db"))
            assert run.addon._archive
            assert detour._keeper_of("a flow") is run.addon._archive.keeper is not before
            assert detour._inner
            assert detour._inner.retrying
            assert isinstance(detour._inner.retrying.counsel, Recall)
            assert detour._inner.retrying.counsel._db == tmp_path / "other.db"

    asyncio.run(main())


def test_what_takes_the_detour_is_remembered_in_the_database_that_was_named_last(tmp_path: Path) -> None:
    async def main() -> None:
        async with retrying(tmp_path) as run:
            detour, old = run.addon._detour, run.addon._archive
            assert detour
            assert old
            assert detour._inner
            assert detour._inner._watcher.memory is old.acceptance
            run.context.configure(run.addon, demur_db=str(tmp_path / "other.db"))
            assert run.addon._archive
            assert run.addon._archive.acceptance is not old.acceptance
            for watcher in (detour._watcher, detour._inner._watcher):
                assert watcher.memory is run.addon._archive.acceptance

    asyncio.run(main())


def test_a_database_that_is_named_while_the_gateway_opens_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with retrying(tmp_path) as run:
            assert run.addon._settings
            assert run.addon._watcher
            assert run.addon._archive
            detour = Detour(run.addon._settings.retry, run.addon._watcher, run.addon._archive)
            other = Archive(tmp_path / "other.db", 0, Redactor())
            listen = Inner.listen

            async def disturbed(inner: Inner) -> None:
                await listen(inner)
                detour.keep_in(other)

            monkeypatch.setattr(Inner, "listen", disturbed)
            await detour.open()
            assert detour._inner
            assert detour._inner._watcher.memory is other.acceptance
            await detour.close()
            other.close()

    asyncio.run(main())


def test_what_the_settings_ask_for_in_vain_is_said_in_mitmproxy_s_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with retrying(tmp_path, "[retry]\nenabled = true\ncategories = ['reasoning_extraction']\n"):
            pass

    asyncio.run(main())
    said = [record.getMessage() for record in caplog.records if record.name == "demur"]
    assert any(line.startswith("demur: ") and "reasoning_extraction" in line for line in said)


@pytest.mark.parametrize("toml", ["", "[retry]\ntool_guard = false\n"])
def test_without_retry_there_is_no_hook_for_whole_requests_and_nothing_to_wait_for(tmp_path: Path, toml: str) -> None:
    async def main() -> None:
        async with retrying(tmp_path, toml) as run:
            assert run.opening is None
            assert not hasattr(run.addon, "request")

    asyncio.run(main())


def test_where_mitmproxy_does_not_listen_nothing_else_does(tmp_path: Path) -> None:
    async def main() -> None:
        async with retrying(tmp_path, server=False) as run:
            assert run.opening is None

    asyncio.run(main())


@pytest.mark.parametrize(
    ("host", "sni", "mode", "via", "origin"),
    [
        (OURS, OURS, "regular", None, Origin("https", OURS, 443)),
        (OURS, None, "regular", None, Origin("https", OURS, 443)),
        ("Api.Anthropic.com.", OURS, "regular", None, Origin("https", OURS, 443)),
        ("192.0.2.1", OURS, "transparent", None, Origin("https", OURS, 443)),
        ("::1", None, "regular", None, Origin("https", "::1", 443)),
        ("front.example", OURS, "regular", None, None),
        ("192.0.2.1", OURS, "reverse:https://192.0.2.1", None, None),
        ("gate.example", None, "reverse:https://gate.example", None, Origin("https", "gate.example", 443)),
        (OURS, OURS, "upstream:http://p:3", ("http", ("p", 3)), Origin("https", OURS, 443, "p:3")),
        (OURS, OURS, "upstream:http://[::1]:3", ("http", ("::1", 3)), Origin("https", OURS, 443, "[::1]:3")),
        (OURS, OURS, "upstream:https://p:3", ("https", ("p", 3)), None),
    ],
)
def test_an_origin_is_what_mitmproxy_would_have_reached(
    host: str, sni: str | None, mode: str, via: Any, origin: Origin | None
) -> None:
    assert origin_of(tls(asked(host), host, sni=sni, via=via, mode=mode)) == origin


def test_the_name_of_the_client_s_tunnel_is_not_that_of_another_server() -> None:
    flow = tls(asked("gate.example"), OURS, sni=OURS)
    assert origin_of(flow) == Origin("https", "gate.example", 443)


@pytest.mark.parametrize(
    ("host", "sni", "mode", "believes"),
    [
        (OURS, OURS, "regular", True),
        (OURS, None, "upstream:http://p:3", True),
        ("192.0.2.1", "Api.Anthropic.com.", "transparent", True),
        (OURS, OURS, f"reverse:https://{OURS}", False),
        ("gate.example", "gate.example", "regular", False),
    ],
)
def test_a_client_believes_to_talk_to_anthropic_by_the_name_that_it_asked_for(
    host: str, sni: str | None, mode: str, believes: bool
) -> None:
    assert is_first_party(tls(asked(host), host, sni=sni, mode=mode)) is believes


def test_mitmproxy_is_not_sent_to_itself(tmp_path: Path) -> None:
    async def main() -> None:
        async with retrying(tmp_path) as run:
            flow = asked("127.0.0.1")
            flow.client_conn.proxy_mode = ProxyMode.parse("reverse:https://127.0.0.1:443")
            server = SimpleNamespace(listen_addrs=lambda: [("127.0.0.1", 443)])
            run.context.master.addons.lookup["proxyserver"] = server
            assert not led(run, flow)
            run.context.master.addons.lookup["proxyserver"] = SimpleNamespace(listen_addrs=lambda: [("127.0.0.1", 444)])
            assert led(run, asked("127.0.0.1")) is False
            other = asked("127.0.0.1")
            other.client_conn.proxy_mode = flow.client_conn.proxy_mode
            assert led(run, other)

    asyncio.run(main())


# where it listens


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "every address of this machine"),
        ({"listen_host": "0.0.0.0"}, "0.0.0.0"),
        ({"listen_host": "127.0.0.1"}, None),
        ({"listen_host": "127.0.0.1", "mode": ["reverse:https://example.com@192.0.2.1:80"]}, "192.0.2.1"),
        ({"mode": ["regular@localhost:0"]}, None),
        ({"mode": ["local:claude"]}, None),
        ({"server": False}, None),
    ],
)
def test_where_others_can_use_the_proxy_the_log_says_what_to_do(
    options: dict[str, Any], told: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(tmp_path, **options)
    run.close()
    structlog.reset_defaults()
    said = [line for line in caplog.messages if "--listen-host 127.0.0.1" in line]
    assert [f"listens on {told}:" in line for line in said] == [True] * bool(told)


def test_settings_that_were_changed_meanwhile_are_told_after_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "demur.toml"
    config.write_text("[capture]\nretention_days = 9\n")
    monkeypatch.setenv("DEMUR_CONFIG", str(config))
    run = Run(tmp_path)
    with capture_logs() as lines:
        run.play(asked(), REFUSAL)
        changed = tmp_path / "changed.toml"
        changed.write_text("[capture]\nretention_days = 8\n")
        changed.replace(config)
        run.play(asked(), REFUSAL)
        run.close()
    assert [line["file"] for line in lines if line["event"] == "settings.changed"] == [str(config)]
