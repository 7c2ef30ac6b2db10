"""The gateway inside mitmproxy: by itself, and behind the add-on in a real mitmproxy, in every mode that can be had on one machine."""

import json
import os
import sys
import time
from asyncio import (
    IncompleteReadError,
    StreamWriter,
    create_subprocess_exec,
    to_thread,
    wait_for,
)
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from answers import ANSWER, REFUSAL
from authority import issue
from entries import stored
from gateways import Kept, gateway
from mitmproxies import (
    ADDON,
    DEMUR,
    MITMDUMP,
    PATIENCE,
    ROOT,
    ask_by_http2,
    chain,
    environment,
    listeners,
    outcome,
    running,
    secure_tunnel,
    until_it_listens,
)
from proxy.core.exchange import Watcher
from proxy.core.headers import Headers
from proxy.inner import HEADER, Errand, Inner, Origin
from proxy.pretend import Pretend, Rule
from proxy.recall import Recall
from proxy.upstream import Upstream
from schemas.labels import Outcome, Result, Ruling
from schemas.records import Refusal
from schemas.settings import Retry
from wire import Seen, ask, connected, read_message, serving

API = "api.anthropic.com"
ASKED, OTHER = "claude-opus-5", "claude-opus-4-8"
ON = f'[retry]\nenabled = true\n[[retry.fallback]]\nmodel = "{OTHER}"\n'
GUARD = "[retry]\ntool_guard = true\n"
DECLINING = [Rule(play="refusal", model=ASKED)]
SESSION = b"X-Claude-Code-Session-Id: 0f1e2d3c-0000-4000-8000-000000000001\r\n"
ARMED = b"User-Agent: claude-cli/2.1.197 (external, cli)\r\nanthropic-beta: fallback-credit-2026-06-01\r\n"


def body(model: str = ASKED, **more: object) -> bytes:
    asked = {"model": model, "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps(asked | more).encode()


def post(
    data: bytes | None = None, fields: bytes = b"", *, path: bytes = b"/v1/messages?beta=true", host: str = API
) -> bytes:
    data = body() if data is None else data
    head = b"POST %b HTTP/1.1\r\nhOST: %b\r\n%bAuthorization: Bearer sk-ant-oat01-nobody\r\nContent-Length: %d\r\n\r\n"
    return head % (path, host.encode(), fields, len(data)) + data


async def play(seen: Seen, writer: StreamWriter) -> None:
    """Declines what the one model is asked, and answers for all others."""
    told = REFUSAL if b'"model": "%b"' % ASKED.encode() in seen.body else ANSWER
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told)
    )


# by itself


@asynccontextmanager
async def inner(
    kept: Kept, retry: Retry | None = None, flows: list[str] | None = None
) -> AsyncIterator[tuple[Inner, str]]:
    """One that listens, and its URL."""

    def keeper(flow: str) -> Kept:
        (flows if flows is not None else []).append(flow)
        return kept

    watcher = Watcher(source="mitmproxy", now=time.time, entropy=os.urandom)
    reach = lambda origin: Upstream(origin.url)  # noqa: E731 - a function of one word
    made = Inner(watcher, retry or Retry(), Recall(None), reach=reach, keeper=keeper)
    await made.listen()
    assert made.address
    try:
        yield made, f"http://127.0.0.1:{made.address[1]}"
    finally:
        await made.stop(0)
        assert made.address is None


def led(inner: Inner, url: str, *, first_party: bool = False) -> bytes:
    """The header that leads a request to a server."""
    origin = Origin("http", "127.0.0.1", int(url.rpartition(":")[2]))
    name, value = inner.field(Errand("a flow", origin, first_party))
    return b"%b: %b\r\n" % (name, value)


def named(headers: Headers) -> list[bytes]:
    return [value for name, value in headers if name.lower() == HEADER]


@pytest.mark.parametrize("way", ["none", "empty", "wrong", "short", "long", "another process"])
@pytest.mark.parametrize("line", [b"POST /v1/messages", b"GET /", b"CONNECT api.anthropic.com:443"])
async def test_a_stranger_is_refused_and_nothing_is_asked_or_kept(way: str, line: bytes) -> None:
    kept = Kept()
    async with serving(play) as api, inner(kept) as (made, url), inner(kept) as (other, _):
        secret, _, told = led(made, api.url).removeprefix(HEADER + b": ").partition(b" ")
        forged = {
            "none": b"",
            "empty": b"x-demur-inner:\r\n",
            "wrong": b"x-demur-inner: %b %b" % (secret[::-1], told),
            "short": b"x-demur-inner: %b %b" % (secret[:-1], told),
            "long": b"x-demur-inner: %b0 %b" % (secret, told),
            "another process": led(other, api.url),
        }[way]
        answer = await ask(url, line + b" HTTP/1.1\r\nHost: x\r\n%bContent-Length: 0\r\n\r\n" % forged)
        assert answer.head.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        error = json.loads(answer.body)
        assert (error["type"], error["error"]["type"]) == ("error", "permission_error")
        assert error["error"]["message"].startswith("demur: ")
        assert api.connections == 0
    assert (kept.entries, kept.counted) == ([], [])


async def test_one_request_with_the_secret_opens_nothing_for_the_next_on_its_connection() -> None:
    async with serving(play) as api, inner(Kept()) as (made, url), connected(url) as (reader, writer):
        writer.write(post(fields=led(made, api.url)) + post())
        assert (await read_message(reader)).head.startswith(b"HTTP/1.1 200 ")
        assert (await read_message(reader)).head.startswith(b"HTTP/1.1 403 ")
        assert len(api.seen) == 1


async def test_a_stranger_who_still_sends_gets_his_answer() -> None:
    async with inner(Kept()) as (_, url):
        answer = await ask(url, post(b"x" * 1_000_000))
        assert answer.head.startswith(b"HTTP/1.1 403 ")


async def test_the_header_is_taken_off_and_the_rest_goes_on_as_it_came() -> None:
    kept, flows = Kept(), list[str]()
    async with serving(play) as api, inner(kept, flows=flows) as (made, url):
        own = b"X-Odd: 1\r\nX-Demur-Inner: the client's own\r\nx-odd: 2\r\n"
        await ask(url, post(fields=own + led(made, api.url)))
        assert api.seen[0].head + api.seen[0].body == post(fields=own)
    assert flows[-1] == "a flow"
    assert kept.entries[0].refusals[0].headers == {}
    assert b"x-demur-inner" not in repr(kept.entries).encode()


async def test_for_another_gateway_the_header_is_one_as_any() -> None:
    async with serving(play) as api, gateway(api.url) as url:
        await ask(url, post(fields=b"x-demur-inner: abc\r\n"))
        assert api.seen[0].field(b"x-demur-inner") == [b"abc"]


async def test_an_origin_is_made_once_whatever_it_is_called() -> None:
    async with serving(play) as api, serving(play) as second, inner(Kept()) as (made, url):
        for host in ("one.example", "two.example"):
            await ask(url, post(fields=led(made, api.url), host=host))
        await ask(url, post(fields=led(made, second.url)))
        assert [seen.field(b"host") for seen in api.seen] == [[b"one.example"], [b"two.example"]]
        assert (api.connections, second.connections) == (1, 1)


async def test_a_request_without_host_gets_its_origin_s() -> None:
    async with serving(play) as api, inner(Kept()) as (made, url):
        await ask(url, b"GET /v1/models HTTP/1.0\r\n%b\r\n" % led(made, api.url))
        assert api.seen[0].field(b"host") == [api.url.removeprefix("http://").encode()]


async def test_no_request_is_too_large() -> None:
    async with serving(play) as api, inner(Kept()) as (made, url):
        large = body(padding="x" * (65 << 20))
        assert (await ask(url, post(large, fields=led(made, api.url)))).head.startswith(b"HTTP/1.1 200 ")
        assert len(api.seen[0].body) == len(large)


@pytest.mark.parametrize("first_party", [True, False])
async def test_seams_are_for_who_believes_to_talk_to_anthropic(first_party: bool) -> None:
    retry = Retry(enabled=True, fallback=[{"model": OTHER}])
    async with Pretend(rules=DECLINING) as api, inner(Kept(), retry) as (made, url):
        told = await ask(url, post(fields=ARMED + led(made, api.url, first_party=first_party)))
        assert told.field(b"x-demur-answered-by") == [OTHER.encode()]
        assert (b'"type":"fallback"' in told.body) is first_party


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        (Origin("https", "api.anthropic.com", 443), "https://api.anthropic.com:443"),
        (Origin("http", "::1", 80, "proxy:3128"), "http://[::1]:80"),
    ],
)
def test_an_origin_has_a_url(origin: Origin, url: str) -> None:
    assert origin.url == url


# behind the add-on


def settings(folder: Path, toml: str = ON) -> Path:
    config = folder / "demur.toml"
    config.write_text(toml)
    return config


def ways(folder: Path, upstream: str, toml: str = ON) -> dict[str, tuple[tuple[str, ...], dict[str, str]]]:
    """The two ways to start it, with the same settings."""
    config, db = str(settings(folder, toml)), str(folder / "demur.db")
    options = ("--set", f"demur_db={db}", "--set", f"demur_upstream={upstream}")
    plain = ("-s", str(ADDON), "--listen-host", "127.0.0.1", "--listen-port", "0", *options)
    ours = ("--listen", "127.0.0.1:0", "--upstream", upstream, "--db", db, "--config", config)
    return {DEMUR: (ours, {}), MITMDUMP: (plain, {"DEMUR_CONFIG": config})}


def mitm(folder: Path, upstream: str, *, toml: str = ON) -> tuple[str, ...]:
    return ways(folder, upstream, toml)[DEMUR][0]


def kept_in(folder: Path) -> tuple[list[Refusal], list[str]]:
    """The refusals, and how all exchanges ended."""
    with stored(folder / "demur.db") as store:
        return store.refusals(), sorted(str(traffic.outcome) for traffic, n in store.traffic() for _ in range(n))


async def ask_by(proxy: str, request: bytes, *, host: str = API, port: int = 443) -> Seen:
    async with secure_tunnel(proxy, host, port) as (reader, writer):
        writer.write(request)
        return await wait_for(read_message(reader), PATIENCE)


def assert_recovered(told: Seen, folder: Path) -> Refusal:
    """What a client got that never knew of the first answer, and the one record of it."""
    assert told.head.startswith((b"HTTP/1.1 200 ", b"HTTP/2\r\n"))
    assert told.field(b"x-demur-answered-by") == [OTHER.encode()]
    assert told.body.count(b"event: message_start") == told.body.count(b"event: message_stop") == 1
    assert b'"stop_reason":"refusal"' not in told.body
    (refusal,), outcomes = kept_in(folder)
    assert told.field(b"x-demur-exchange") == [refusal.id.encode()]
    assert (refusal.source, refusal.outcome, refusal.answered_by) == ("mitmproxy", Outcome.RECOVERED_BY_DEMUR, OTHER)
    assert (refusal.ruling, outcomes) == (Ruling.RECOVERED, [Result.RECOVERED_BY_DEMUR])
    return refusal


@pytest.mark.parametrize("code", [DEMUR, MITMDUMP])
async def test_what_is_declined_is_answered_by_another_model(tmp_path: Path, code: str) -> None:
    saved, found = tmp_path / "saved.flow", tmp_path / "found.flow"
    async with Pretend(rules=DECLINING) as api:
        arguments, env = ways(tmp_path, api.url)[code]
        more = ("--", "-w", str(saved)) if code == DEMUR else ("-w", str(saved))
        async with running(code, *arguments, *more, env=env) as proxy:
            await to_thread(until_it_listens, proxy.process.pid, 2)
            told = await ask_by(proxy.url, post())
        assert [json.loads(request.body)["model"] for request in api.requests] == [ASKED, OTHER]
        assert not [value for request in api.requests for value in named(request.headers)]
    refusal = await to_thread(assert_recovered, told, tmp_path)
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for text in (stored, told.head.lower(), proxy.ended.out.encode(), proxy.ended.err.encode()):
        assert HEADER not in text
    assert proxy.ended.code == 0
    words = f"~marked & ~comment 'declined: cyber, before output, answered by {OTHER}, {refusal.request_id}'"
    assert (await outcome(MITMDUMP, "-nr", str(saved), "-w", str(found), words)).code == 0
    assert found.read_bytes().count(b":no_entry_sign:") == 1
    shown = await outcome(MITMDUMP, "-nr", str(saved), "--set", "flow_detail=1")
    assert f"POST {api.url}/v1/messages?beta=true" in shown.out


async def test_a_later_turn_says_on_its_flow_who_answered_it(tmp_path: Path) -> None:
    saved, found = tmp_path / "saved.flow", tmp_path / "found.flow"
    async with Pretend(rules=DECLINING) as api:
        async with running(DEMUR, *mitm(tmp_path, api.url), "--", "-w", str(saved)) as proxy:
            for _ in "12":
                await ask_by(proxy.url, post(fields=SESSION))
        assert [json.loads(request.body)["model"] for request in api.requests] == [ASKED, OTHER, OTHER]
    words = f"! ~marked & ~comment 'answered by {OTHER}'"
    assert (await outcome(MITMDUMP, "-nr", str(saved), "-w", str(found), words)).code == 0
    assert found.read_bytes().count(b"/v1/messages") == 1


async def test_it_works_over_http2(tmp_path: Path) -> None:
    async with Pretend(rules=DECLINING) as api:
        async with running(DEMUR, *mitm(tmp_path, api.url)) as proxy:
            told = await ask_by_http2(proxy.url, API, "/v1/messages", body())
        assert [value for name, value in api.requests[0].headers if name.lower() == b"host"] == [api.url[7:].encode()]
    await to_thread(assert_recovered, told, tmp_path)


async def test_one_connection_of_a_client_carries_what_takes_the_detour_and_what_does_not(tmp_path: Path) -> None:
    async with Pretend(rules=DECLINING) as api, running(DEMUR, *mitm(tmp_path, api.url)) as proxy:
        async with secure_tunnel(proxy.url, API) as (reader, writer):
            for path in (b"/v1/messages", b"/v1/messages/count_tokens", b"/v1/messages"):
                writer.write(post(path=path))
                told = await wait_for(read_message(reader), PATIENCE)
                assert bool(told.field(b"x-demur-exchange")) is path.endswith(b"/messages")
        assert len(api.requests) == 5


async def test_everything_else_goes_straight_on_as_without_retry(tmp_path: Path) -> None:
    """Not even a header that belongs to one connection is another."""
    lines = [
        b"POST /v1/messages/count_tokens",
        b"POST /v1/messages/batches",
        b"GET /v1/messages",
        b"GET /v1/models",
        b"POST /api/event",
    ]
    (tmp_path / "off").mkdir()
    async with serving(play) as api:
        async with (
            running(DEMUR, *mitm(tmp_path, api.url)) as on,
            running(DEMUR, *mitm(tmp_path / "off", api.url, toml="")) as off,
        ):
            for line in lines:
                request = b"%b HTTP/1.1\r\nhost: x\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}" % line
                assert await ask_by(on.url, request) == await ask_by(off.url, request)
        assert api.seen[::2] == api.seen[1::2]
    (_, on_outcomes), (_, off_outcomes) = await to_thread(kept_in, tmp_path), await to_thread(kept_in, tmp_path / "off")
    assert on_outcomes == off_outcomes == [Result.ANSWERED]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_request_of_which_the_api_takes_care_is_as_without_retry(tmp_path: Path, stream: bool) -> None:
    request = post(
        body(fallbacks=[{"model": OTHER}], stream=stream), b"X-UPPER: 2\r\nAccept-Encoding: gzip, br\r\n" + SESSION
    )
    (tmp_path / "off").mkdir()
    async with serving(play) as api:
        async with (
            running(DEMUR, *mitm(tmp_path, api.url)) as on,
            running(DEMUR, *mitm(tmp_path / "off", api.url, toml="")) as off,
        ):
            told = await ask_by(on.url, request)
            assert told == await ask_by(off.url, request)
            assert told.body == REFUSAL
        assert api.seen[0] == api.seen[1]
    (refusal,), _ = await to_thread(kept_in, tmp_path)
    assert (refusal.source, refusal.ruling) == ("mitmproxy", Ruling.FALLBACKS)


async def test_each_event_is_passed_on_at_once(tmp_path: Path) -> None:
    async with Pretend("answer stepped=true") as api, running(DEMUR, *mitm(tmp_path, api.url)) as proxy:
        async with secure_tunnel(proxy.url, API) as (reader, writer):
            writer.write(post())
            api.step(4)
            await wait_for(reader.readuntil(b"content_block_delta"), PATIENCE)
            await api.until(lambda: api.requests[0].ended == "open")
        await api.until(lambda: api.requests[0].ended == "left")


async def test_what_is_open_when_it_ends_is_cut_and_counted(tmp_path: Path) -> None:
    async with Pretend("answer stepped=true") as api:
        async with running(DEMUR, *mitm(tmp_path, api.url)) as proxy:
            async with secure_tunnel(proxy.url, API) as (reader, writer):
                writer.write(post())
                api.step(4)
                await wait_for(reader.readuntil(b"content_block_delta"), PATIENCE)
                proxy.process.terminate()
                with pytest.raises(IncompleteReadError):
                    await wait_for(reader.readuntil(b"never"), PATIENCE)
                await wait_for(proxy.process.wait(), PATIENCE)
    assert proxy.ended.code == 0
    assert await to_thread(kept_in, tmp_path) == ([], [Result.CUT])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_without_retry_there_is_no_listener_and_with_it_one_that_refuses_a_stranger(tmp_path: Path) -> None:
    async with serving(play) as api:
        async with running(DEMUR, *mitm(tmp_path, api.url, toml="")) as proxy:
            await ask_by(proxy.url, post())
            assert listeners(proxy.process.pid) == {("127.0.0.1", proxy.address.port)}
        for toml in (ON, GUARD):
            async with running(DEMUR, *mitm(tmp_path, api.url, toml=toml)) as proxy:
                ((host, port),) = listeners(proxy.process.pid) - {("127.0.0.1", proxy.address.port)}
                assert host == "127.0.0.1"
                assert (await ask(f"http://{host}:{port}", post())).head.startswith(b"HTTP/1.1 403 ")
        assert len(api.seen) == 1


async def test_without_retry_the_gateway_is_not_even_imported() -> None:
    """Nor is it by the add-on that only observes."""
    code = "import sys, addons.refusals; print({'proxy.gateway', 'proxy.drive', 'proxy.inner', 'addons.detour'} & set(sys.modules))"
    assert await outcome(code) == (0, "set()\n", "")


async def test_the_tool_guard_works_alone(tmp_path: Path) -> None:
    async with Pretend("refusal_tool_complete") as api:
        async with running(DEMUR, *mitm(tmp_path, api.url, toml=GUARD)) as proxy:
            told = await ask_by(proxy.url, post())
    opened = [
        json.loads(line[6:])["index"]
        for line in told.body.splitlines()
        if line.startswith(b'data: {"type":"content_block_start"')
    ]
    closed = [
        json.loads(line[6:])["index"]
        for line in told.body.splitlines()
        if line.startswith(b'data: {"type":"content_block_stop"')
    ]
    assert set(opened) - set(closed) == {max(opened)}
    (refusal,), _ = await to_thread(kept_in, tmp_path)
    assert (refusal.source, refusal.outcome, refusal.ruling) == ("mitmproxy", Outcome.REFUSED, Ruling.OFF)


# where the API is


async def test_the_upstream_may_have_a_prefix(tmp_path: Path) -> None:
    async with serving(play) as api:
        async with running(DEMUR, *mitm(tmp_path, f"{api.url}/gate")) as proxy:
            assert (await ask_by(proxy.url, post())).body == ANSWER
        assert [seen.head.split(b"\r\n")[:2] for seen in api.seen] == [
            [b"POST /gate/v1/messages?beta=true HTTP/1.1", b"hOST: " + api.url[7:].encode()]
        ] * 2


@asynccontextmanager
async def secure(folder: Path, name: str) -> AsyncIterator[tuple[Pretend, int, Path]]:
    """The pretend API by TLS, its port, and the authority of its certificate."""
    ca, context = await to_thread(issue, folder, name)
    api = Pretend(rules=DECLINING)
    url = await api.start(tls=context)
    try:
        yield api, int(url.rpartition(":")[2]), ca
    finally:
        await api.stop()


@pytest.mark.parametrize("trust", ["ssl_verify_upstream_trusted_ca={ca}", "ssl_insecure=true"])
async def test_the_api_itself_is_reached_with_what_mitmproxy_trusts_whatever_the_environment_says_of_proxies(
    tmp_path: Path, trust: str
) -> None:
    async with secure(tmp_path, "127.0.0.1") as (api, port, ca):
        options = ("--set", "demur_hosts=127.0.0.1", "--set", trust.format(ca=ca))
        env = {"DEMUR_CONFIG": str(settings(tmp_path)), "HTTPS_PROXY": "http://127.0.0.1:9"}
        plain = (
            "-s",
            str(ADDON),
            "--listen-host",
            "127.0.0.1",
            "--listen-port",
            "0",
            "--set",
            f"demur_db={tmp_path / 'demur.db'}",
        )
        async with running(MITMDUMP, *plain, *options, env=env) as proxy:
            await to_thread(until_it_listens, proxy.process.pid, 2)
            told = await ask_by(proxy.url, post(host=f"127.0.0.1:{port}"), host="127.0.0.1", port=port)
        assert [request.header("host") for request in api.requests] == [f"127.0.0.1:{port}"] * 2
    await to_thread(assert_recovered, told, tmp_path)


async def test_an_api_that_cannot_be_reached_is_an_error_of_the_api_s_shape_and_counted(tmp_path: Path) -> None:
    async with running(DEMUR, *mitm(tmp_path, "http://127.0.0.1:9")) as proxy:
        told = await ask_by(proxy.url, post())
    assert told.head.startswith(b"HTTP/1.1 502 ")
    assert json.loads(told.body)["error"]["message"].startswith("demur: cannot reach 127.0.0.1:9")
    assert await to_thread(kept_in, tmp_path) == ([], [Result.CUT])


async def test_with_an_option_that_the_gateway_cannot_heed_nothing_is_asked_again_and_that_is_said(
    tmp_path: Path,
) -> None:
    async with serving(play) as api:
        async with running(DEMUR, *mitm(tmp_path, api.url), "--", "--set", "connect_addr=127.0.0.1") as proxy:
            assert (await ask_by(proxy.url, post())).body == REFUSAL
    assert json.loads(proxy.ended.err.splitlines()[0])["event"] == "retry.impossible"
    (refusal,), _ = await to_thread(kept_in, tmp_path)
    assert refusal.ruling == Ruling.FAILED


async def test_a_reverse_proxy_asks_its_own_target(tmp_path: Path) -> None:
    async with secure(tmp_path, "127.0.0.1") as (api, port, ca):
        config = settings(tmp_path, f"upstream_ca = '{ca}'\n{ON}")
        ours = ("--listen", "127.0.0.1:0", "--db", str(tmp_path / "demur.db"), "--config", str(config))
        async with running(DEMUR, *ours, "--", "--mode", f"reverse:https://127.0.0.1:{port}") as proxy:
            told = await wait_for(ask(proxy.url, post(fields=ARMED, host="x")), PATIENCE)
        assert [request.header("host") for request in api.requests] == [f"127.0.0.1:{port}"] * 2
    await to_thread(assert_recovered, told, tmp_path)
    assert b'"type":"fallback"' not in told.body


async def test_the_proxy_that_mitmproxy_is_chained_to_is_asked_with_its_credentials(tmp_path: Path) -> None:
    async with secure(tmp_path, API) as (api, port, ca), chain(port) as (proxy, at):
        env = {"https_proxy": f"http://me:p%40ss@127.0.0.1:{at}"}
        config = settings(tmp_path, f"upstream_ca = '{ca}'\n{ON}")
        ours = ("--listen", "127.0.0.1:0", "--db", str(tmp_path / "demur.db"), "--config", str(config))
        async with running(DEMUR, *ours, env=env) as here:
            told = await ask_by(here.url, post(fields=ARMED))
        assert [request.header("host") for request in api.requests] == [API] * 2
        for head in proxy.heads:
            assert head.startswith(b"CONNECT api.anthropic.com:443 HTTP/1.1\r\n")
            assert b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in head
        assert "p@ss" not in here.ended.out + here.ended.err
    assert b'"type":"fallback"' in told.body
    await to_thread(assert_recovered, told, tmp_path)


async def test_demur_run_tells_of_what_was_answered_by_another_model(tmp_path: Path) -> None:
    client = (
        "import os, ssl, urllib.request\n"
        "context = ssl.create_default_context(cafile=os.environ['NODE_EXTRA_CA_CERTS'])\n"
        f"headers = {{'x-claude-code-session-id': '0f1e2d3c-0000-4000-8000-000000000001'}}\n"
        f"request = urllib.request.Request('https://{API}/v1/messages', {body()!r}, headers)\n"
        "for _ in '12':\n"
        "    with urllib.request.urlopen(request, context=context) as answer:\n"
        "        print(answer.headers['x-demur-answered-by'])\n"
    )
    async with Pretend(rules=DECLINING) as api:
        own = ("--upstream", api.url, "--db", str(tmp_path / "demur.db"), "--config", str(settings(tmp_path)))
        command = (
            sys.executable,
            "-m",
            "proxy.cli",
            "run",
            "--via",
            "mitmproxy",
            *own,
            "--",
            sys.executable,
            "-c",
            client,
        )
        process = await create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment(), cwd=ROOT
        )
        out, err = await wait_for(process.communicate(), PATIENCE)
    assert (process.returncode, out.decode().split()) == (0, [OTHER, OTHER])
    (refusal,), _ = await to_thread(kept_in, tmp_path)
    assert err.decode().splitlines() == [
        f"demur: declined: cyber, before output, {ASKED}, {refusal.request_id}",
        f"demur: answered by {OTHER} instead of {ASKED}",
        f"demur: a later turn was answered by {OTHER} instead of {ASKED}",
        f"demur: see `demur show {refusal.id} --db {tmp_path / 'demur.db'}`.",
    ]
