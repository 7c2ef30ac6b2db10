"""The gateway on real sockets: what it passes on is what came, byte for byte, and its own failures cost nobody a byte."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Thread

import pytest

from answers import ANSWER, MID, REFUSAL, STOP
from gateways import Kept, a_log_that_fails, a_log_that_is_stopped, a_log_that_nobody_reads, gateway
from proxy import aside, drive
from proxy.core.commands import Chunk, Command, Event, Open, Opened, Read, Relay, Respond, Write
from proxy.core.exchange import Exchange, Watcher
from proxy.gateway import Gateway, ListenError
from proxy.upstream import Upstream, UpstreamError
from schemas.labels import Result, Stage
from wire import Seen, ask, connected, read_message, serving

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ODD = b"HTTP/1.1 299 Odd  Reason\r\nset-cookie: a=1\r\nX-Odd: caf\xe9 \x80\r\nSet-Cookie: b=2\r\nconTent-leNgth: 3\r\nx-empty: \r\n\r\n\x00\xff."
ASK = b'{"model": "claude-opus-5", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'


def post(body: bytes = ASK, *fields: bytes, target: bytes = b"/v1/messages?beta=true") -> bytes:
    head = [b"POST %s HTTP/1.1" % target, b"Host: gateway", *fields, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def stream(body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nrequest-id: req_7\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunk(body)
    )


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST = b"0\r\n\r\n"
WATCHER = Watcher(source="gateway", now=lambda: 0.0, entropy=bytes)


async def test_a_request_arrives_as_it_was_sent_but_for_the_host() -> None:
    async with serving(OK) as server, gateway(server.url) as url:
        request = (
            b"PoST".upper()
            + b" /a%20b/../c?x=1&&y=%zz HTTP/1.1\r\nx-lower: 1\r\nX-UPPER: 2\r\nhOST: gateway\r\nx-lower:  3 \r\n"
        )
        request += b"Accept-Encoding: gzip, deflate, br, zstd\r\nX-Odd: \xe9\x80\r\nContent-Length: 4\r\n\r\nbody"
        await ask(url, request)
        host = server.url.removeprefix("http://").encode()
        assert server.seen[0].head == request[:-4].replace(b"gateway", host).replace(b":  3 ", b": 3 ")
        assert server.seen[0].body == b"body"


async def test_an_answer_arrives_as_it_was_sent_and_nothing_is_added() -> None:
    async with serving(ODD) as server, gateway(server.url) as url:
        request = b"GET /anything HTTP/1.1\r\nHost: x\r\n\r\n"
        assert await ask(url, request) == await ask(server.url, request)
        assert (await ask(url, request)).head == ODD[:-3]


async def test_hop_by_hop_fields_go_both_ways() -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n"
    async with serving(answer) as server, gateway(server.url) as url:
        got = await ask(url, post(ASK, b"Connection: close, X-Mine", b"X-Mine: 1", b"TE: trailers", b"X-Kept: 1"))
        assert [name for name, _ in server.seen[0].fields] == [b"Host", b"X-Kept", b"Content-Length"]
        assert [name for name, _ in got.fields] == [b"X-End", b"Content-Length", b"Connection"]


async def test_chunks_stay_chunks_both_ways_with_their_trailers() -> None:
    ending = b"0\r\nX-Sum: 1\r\n\r\n"
    async with serving(stream(ANSWER) + ending) as server, gateway(server.url) as url:
        head = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
        got = await ask(url, head + chunk(ASK[:5]) + chunk(ASK[5:]) + b"0\r\nX-T: 9\r\n\r\n")
        assert (got.body, got.ending) == (ANSWER, b"X-Sum: 1\r\n\r\n")
        assert (server.seen[0].body, server.seen[0].ending) == (ASK, b"X-T: 9\r\n\r\n")


async def test_an_answer_that_ends_with_its_connection_does_so_here_too() -> None:
    async def play(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 Fine\r\nX-A: 1\r\n\r\nto the end")
        writer.close()

    async with serving(play) as server, gateway(server.url) as url:
        got = await ask(url, post())
        assert got.body == b"to the end"
        assert got.field(b"content-length") == got.field(b"transfer-encoding") == []


@pytest.mark.parametrize(
    ("request_line", "answer"),
    [
        (b"HEAD / HTTP/1.1", b"HTTP/1.1 200 OK\r\nContent-Length: 76\r\n\r\n"),
        (b"HEAD /api/hello HTTP/1.1", b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"GET / HTTP/1.1", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET / HTTP/1.1", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: x\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_are_whole_at_once(request_line: bytes, answer: bytes) -> None:
    async with serving(answer) as server, gateway(server.url) as url, connected(url) as (reader, writer):
        for _ in range(2):
            writer.write(request_line + b"\r\nHost: x\r\n\r\n")
            assert (await read_message(reader, bodiless=True)).head == answer
        assert len(server.seen) == 2


async def test_interim_answers_go_through_and_a_waited_for_100_is_given_here() -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK
    async with serving(answer) as server, gateway(server.url) as url, connected(url) as (reader, writer):
        writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert (await read_message(reader, bodiless=True)).head == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"{}")
        assert (await read_message(reader, bodiless=True)).head == b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        assert (await read_message(reader)).body == b"ok"
        assert server.seen[0].field(b"expect") == [b"100-continue"]


async def test_requests_in_a_row_wait_their_turn_and_share_connections() -> None:
    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(seen.body), seen.body))

    async with serving(play) as server, gateway(server.url) as url, connected(url) as (reader, writer):
        writer.write(b"".join(post(b"%d" % n) for n in range(5)))
        assert [(await read_message(reader)).body for _ in range(5)] == [b"%d" % n for n in range(5)]
        assert server.connections == 1


async def test_a_connection_carries_any_number_of_large_requests() -> None:
    async with serving(OK) as server, gateway(server.url) as url, connected(url) as (reader, writer):
        for _ in range(20):
            writer.write(post(b"x" * 76_000))
            assert (await read_message(reader)).body == b"ok"
        assert len(server.seen) == 20


@pytest.mark.parametrize("at", [0, 30, 200, 400])
async def test_a_cut_is_passed_on_as_a_cut_with_all_that_had_come(at: int) -> None:
    whole = stream(ANSWER)

    async def play(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(whole[:at])
        writer.close()

    kept = Kept()
    async with serving(play) as server, gateway(server.url, kept) as url, connected(url) as (reader, writer):
        writer.write(post())
        got = await reader.read(-1)
        assert not got.endswith(LAST)
        body = whole[:at].partition(b"\r\n\r\n")[2]
        assert (got.partition(b"\r\n\r\n")[2] != b"") == (body != b"")
        assert [Result(key.outcome) for key in kept.counted] == [Result.CUT]


async def test_a_body_cut_before_its_length_is_a_cut() -> None:
    async def play(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        writer.close()

    async with serving(play) as server, gateway(server.url) as url:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await ask(url, post())


async def test_a_client_that_leaves_takes_its_upstream_request_with_it() -> None:
    async def play(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(stream(ANSWER[:200]))

    kept = Kept()
    async with serving(play) as server, gateway(server.url, kept) as url:
        async with connected(url) as (reader, writer):
            writer.write(post())
            await reader.readuntil(b"message_start")
        async with asyncio.timeout(20):
            await server.gone.wait()
    assert [Result(key.outcome) for key in kept.counted] == [Result.CUT]


async def test_every_event_is_passed_on_when_it_comes() -> None:
    step = asyncio.Event()

    async def play(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(stream(ANSWER[:1]))
        for n in range(1, len(ANSWER)):
            await step.wait()
            step.clear()
            writer.write(chunk(ANSWER[n : n + 1]))
        writer.write(LAST)

    async with serving(play) as server, gateway(server.url) as url, connected(url) as (reader, writer):
        writer.write(post())
        async with asyncio.timeout(60):
            await reader.readuntil(b"\r\n\r\n")
            for n in range(1, len(ANSWER)):
                assert await reader.readexactly(6) == chunk(ANSWER[n - 1 : n])
                step.set()


async def test_a_refusal_is_kept_with_its_context() -> None:
    kept = Kept()
    async with serving(stream(MID) + LAST) as server, gateway(server.url, kept) as url:
        assert (await ask(url, post(ASK, b"User-Agent: claude-cli/2.1.197 (external, sdk-cli)"))).body == MID
    (entry,) = kept.entries
    (refusal,) = entry.refusals
    assert (refusal.request_id, refusal.category, refusal.stage) == ("req_7", "cyber", Stage.MID_STREAM)
    assert (refusal.model, refusal.client_version, refusal.status) == ("claude-opus-5", "2.1.197", 200)
    assert [segment.label for segment in entry.segments] == ["user_text"]
    assert kept.counted == []


async def test_a_refusal_is_kept_before_its_terminal_event_goes_out() -> None:
    kept = Kept()
    kept.block = True
    answer = stream(MID[:-300]) + chunk(MID[-300:]) + LAST
    async with serving(answer) as server, gateway(server.url, kept) as url, connected(url) as (reader, writer):
        writer.write(post())
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.1)
        assert b"message_stop" not in reader._buffer  # type: ignore[attr-defined]
        kept.release.set()
        assert b"message_stop" in await reader.readuntil(LAST)
        assert len(kept.entries) == 1


async def test_an_answer_that_ends_while_its_refusal_is_being_kept_leaves_a_connection_that_reads() -> None:
    kept = Kept()
    kept.block = True
    rest = asyncio.Event()

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if b"again" in seen.head:
            writer.write(stream(ANSWER) + LAST)
            return
        writer.write(stream(MID[: -len(STOP)]))
        await rest.wait()
        writer.write(chunk(STOP) + LAST)

    async with serving(play) as server, gateway(server.url, kept) as url, connected(url) as (reader, writer):
        writer.write(post())
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.1)
        rest.set()
        await asyncio.sleep(0.1)
        kept.release.set()
        assert STOP in await reader.readuntil(LAST)
        writer.write(post(target=b"/v1/messages?again"))
        async with asyncio.timeout(20):
            assert (await read_message(reader)).body == ANSWER
        assert server.connections == 1


async def test_a_spool_that_hangs_delays_an_answer_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "KEEP_S", 0.05)
    kept = Kept()
    kept.block = True
    async with serving(stream(REFUSAL) + LAST) as server, gateway(server.url, kept) as url:
        assert (await ask(url, post())).body == REFUSAL
        assert kept.entries == []
        kept.release.set()


async def test_a_machine_that_starts_no_more_threads_costs_the_record_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", start)
    kept = Kept()
    async with serving(stream(REFUSAL) + LAST) as server, gateway(server.url, kept) as url:
        assert (await ask(url, post())).body == REFUSAL
    assert kept.entries == []


async def test_many_spools_that_hang_stop_no_new_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "KEEP_S", 0.05)
    kept = Kept()
    kept.block = True
    async with serving(stream(REFUSAL) + LAST) as server:
        async with gateway(server.url.replace("127.0.0.1", "localhost"), kept) as url:
            for _ in range(40):
                assert (await ask(url, post())).body == REFUSAL
            kept.release.set()


async def test_text_that_quotes_a_refusal_is_counted_as_an_answer() -> None:
    kept = Kept()
    quoted = ANSWER.replace(b"Hello", b'\\"stop_reason\\":\\"refusal\\"')
    async with serving(stream(quoted) + LAST) as server, gateway(server.url, kept) as url:
        assert (await ask(url, post())).body == quoted
    assert kept.entries == []
    assert [Result(key.outcome) for key in kept.counted] == [Result.ANSWERED]


async def test_only_messages_are_observed() -> None:
    kept = Kept()
    async with serving(stream(REFUSAL) + LAST) as server, gateway(server.url, kept) as url:
        await ask(url, post(target=b"/v1/complete"))
        await ask(url, b"GET /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (kept.entries, kept.counted) == ([], [])


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_request_over_the_limit_gets_one_clear_413(chunked: bool) -> None:
    async with serving(OK) as server, gateway(server.url, max_body=1 << 20) as url, connected(url) as (reader, writer):
        body = b"x" * (2 << 20)
        head = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head + chunk(body) + LAST if chunked else post(body))
        got = await read_message(reader)
        assert got.head.startswith(b"HTTP/1.1 413 ")
        assert b"larger than 1 MiB; the setting max_body_mb" in got.body
        assert all(b"xxx" not in seen.body for seen in server.seen)


async def test_what_is_not_observed_has_no_limit() -> None:
    async with serving(OK) as server, gateway(server.url, max_body=1 << 20) as url:
        assert (await ask(url, post(b"x" * (3 << 20), target=b"/v1/files"))).body == b"ok"
        assert len(server.seen[0].body) == 3 << 20


async def test_a_body_of_32_megabytes_passes_in_both_directions() -> None:
    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(seen.body))
        writer.write(seen.body)
        await writer.drain()

    body = bytes(range(256)) * (1 << 17)
    async with serving(play) as server, gateway(server.url) as url:
        assert (await ask(url, post(body))).body == body


async def test_an_api_that_cannot_be_reached_is_a_502_in_the_shape_of_its_errors() -> None:
    async with serving(OK) as server:
        dead = server.url
    kept = Kept()
    async with gateway(dead, kept) as url:
        got = await ask(url, post())
    assert got.head.startswith(b"HTTP/1.1 502 ")
    assert b'{"type":"error","error":{"type":"api_error","message":"demur: cannot reach 127.0.0.1:' in got.body
    assert [Result(key.outcome) for key in kept.counted] == [Result.CUT]


@pytest.mark.parametrize("log", [a_log_that_nobody_reads, a_log_that_is_stopped, a_log_that_fails])
async def test_an_api_that_cannot_be_reached_is_told_though_nobody_reads_the_log(
    log: Callable[[], AbstractContextManager[None]],
) -> None:
    async with serving(OK) as server:
        dead = server.url
    with log():
        async with gateway(dead) as url, asyncio.timeout(20):
            assert (await ask(url, post())).head.startswith(b"HTTP/1.1 502 ")


async def test_an_answer_that_is_not_http_is_cut() -> None:
    for answer in (
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (300 << 10),
        b"HTTP/1.1 101 Up\r\n\r\n",
    ):
        async with serving(answer) as server, gateway(server.url) as url, connected(url) as (reader, writer):
            writer.write(post())
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await read_message(reader)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"NONSENSE\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (300 << 10), b"431"),
        (b"CONNECT api.anthropic.com:443 HTTP/1.1\r\nHost: api.anthropic.com\r\n\r\n", b"405"),
    ],
)
async def test_what_cannot_be_passed_on_is_told_in_one_line(request_bytes: bytes, status: bytes) -> None:
    async with serving(OK) as server, gateway(server.url) as url:
        got = await ask(url, request_bytes)
        assert got.head.startswith(b"HTTP/1.1 " + status)
        assert b"demur: " in got.body
        assert server.seen == []


async def test_an_upgrade_is_ignored_and_its_body_is_read() -> None:
    async with serving(OK) as server, gateway(server.url) as url, connected(url) as (reader, writer):
        for _ in range(2):
            writer.write(
                post(ASK, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
            )
            assert (await read_message(reader)).body == b"ok"
        assert [seen.body for seen in server.seen] == [ASK, ASK]
        assert server.seen[0].field(b"upgrade") == []


async def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    async with serving(stream(ANSWER) + LAST) as server, gateway(server.url) as url:
        got = await ask(url, post().replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert got.body == ANSWER
        assert got.field(b"transfer-encoding") == []


async def test_a_client_of_http_1_0_may_keep_its_connection() -> None:
    async with serving(OK) as server, gateway(server.url) as url, connected(url) as (reader, writer):
        for _ in range(2):
            writer.write(post(ASK, b"Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"))
            assert (await read_message(reader)).field(b"connection") == [b"keep-alive"]
        assert len(server.seen) == 2


async def test_an_absolute_target_is_taken_by_its_path() -> None:
    async with serving(OK) as server, gateway(server.url) as url:
        await ask(url, b"GET http://gateway/v1/models?limit=1 HTTP/1.1\r\nHost: gateway\r\n\r\n")
        await ask(url, b"GET HTTPS://gateway HTTP/1.1\r\nHost: gateway\r\n\r\n")
        assert [seen.head.split()[1] for seen in server.seen] == [b"/v1/models?limit=1", b"/"]


async def test_an_early_answer_reaches_a_client_that_is_still_sending() -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(early, "127.0.0.1", 0)
    there = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener, gateway(there) as url, connected(url) as (reader, writer):
        writer.write(post(b"x" * 1000)[:-500])
        assert (await read_message(reader)).body == b"no"
        writer.write(b"x" * 500)
        assert await reader.read() == b""


async def test_a_client_that_reads_slowly_slows_the_api_down() -> None:
    piece, pieces = b"x" * (1 << 16), 1024
    sent = 0

    async def play(_: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(piece) * pieces))
        for _n in range(pieces):
            writer.write(piece)
            await writer.drain()
            sent += 1

    async with serving(play) as server, gateway(server.url) as url:
        host, _, port = url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 10)
        writer.write(post(target=b"/x"))
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < pieces
        head = await reader.readuntil(b"\r\n\r\n")
        assert len(await reader.readexactly(len(piece) * pieces)) == len(piece) * pieces
        assert head.startswith(b"HTTP/1.1 200")
        writer.transport.abort()


async def test_an_api_that_reads_slowly_slows_the_client_down() -> None:
    start = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await start.wait()
        seen = await read_message(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n%08d" % len(seen.body))
        writer.close()

    listener = await asyncio.start_server(slow, "127.0.0.1", 0, limit=1 << 10)
    there = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener, gateway(there) as url, connected(url) as (reader, writer):
        writer.write(post(b"x" * (48 << 20), target=b"/v1/files"))
        before = -1
        while (left := writer.transport.get_write_buffer_size()) != before:
            before = left
            await asyncio.sleep(0.2)
        assert left > 0
        start.set()
        assert (await read_message(reader)).body == b"%08d" % (48 << 20)


async def test_a_stopping_gateway_lets_open_answers_end() -> None:
    go = asyncio.Event()

    async def play(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(stream(ANSWER))
        await go.wait()
        writer.write(LAST)

    async with serving(play) as server:
        kept = Kept()
        made = Gateway(Upstream(server.url), kept, watcher=WATCHER, max_body=1 << 20)
        url = await made.start("127.0.0.1", 0)
        async with connected(url) as (reader, writer), connected(url) as (idle, _):
            writer.write(post())
            await reader.readuntil(b"message_stop")
            stopping = asyncio.create_task(made.stop(30))
            assert await idle.read() == b""
            with pytest.raises(OSError):
                await ask(url, post())
            go.set()
            assert (await reader.read()).endswith(LAST)
            assert await stopping


async def test_a_gateway_that_may_not_wait_cuts_what_is_open() -> None:
    async def play(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(stream(ANSWER))

    async with serving(play) as server:
        made = Gateway(Upstream(server.url), Kept(), watcher=WATCHER, max_body=1 << 20)
        url = await made.start("127.0.0.1", 0)
        async with connected(url) as (reader, writer):
            writer.write(post())
            await reader.readuntil(b"message_stop")
            assert not await made.stop(0.01)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await reader.readuntil(LAST)


async def test_an_address_that_cannot_be_listened_on_is_told() -> None:
    made = Gateway(Upstream("http://127.0.0.1:1"), Kept(), watcher=WATCHER)
    with pytest.raises(ListenError, match="not a loopback address"):
        await made.start("0.0.0.0", 0)
    async with serving(OK) as server:
        with pytest.raises(ListenError, match="choose another with --listen"):
            await made.start("127.0.0.1", server.port)
    assert await made.stop(0)


async def test_a_gateway_before_itself_is_refused() -> None:
    for url in ("http://127.0.0.1:8788", "http://localhost:8788/prefix"):
        with pytest.raises(ListenError, match="this gateway itself"):
            await Gateway(Upstream(url), Kept(), watcher=WATCHER).start("127.0.0.1", 8788)


@pytest.mark.parametrize("url", ["api.anthropic.com", "ftp://x", "http://", "http://u:p@x", "http://x:99999"])
def test_an_upstream_that_is_no_url_is_told(url: str) -> None:
    with pytest.raises(UpstreamError):
        Upstream(url)


async def test_an_upstream_may_have_a_path_of_its_own() -> None:
    async with serving(OK) as server, gateway(server.url + "/prefix/") as url:
        await ask(url, post())
        assert server.seen[0].head.startswith(b"POST /prefix/v1/messages?beta=true ")


def breaking(at: type, after: int = 0) -> Callable[[Open, Exchange | None], Relay]:
    """A relay with a bug: it raises instead of giving a command of this kind."""

    def relay(request: Open, _: Exchange | None) -> Relay:
        def give(command: Command) -> Command:
            nonlocal after
            if isinstance(command, at):
                after -= 1
                if after < 0:
                    raise RuntimeError("a bug of ours")
            return command

        event: Event = yield request
        assert isinstance(event, Opened)
        yield give(Respond(event.status, event.reason, event.headers))
        while isinstance(event := (yield give(Read())), Chunk):
            yield give(Write(event.data))
        raise RuntimeError("a bug of ours")

    return relay


async def test_an_onlooker_that_cannot_be_made_costs_the_client_nothing() -> None:
    def broken(_: int) -> bytes:
        raise OSError("no entropy")

    def stopped() -> float:
        raise OSError("no clock")

    kept = Kept()
    for watcher in (
        Watcher(source="gateway", now=stopped, entropy=bytes),
        Watcher(source="gateway", now=lambda: 0.0, entropy=broken),
    ):
        async with serving(stream(REFUSAL) + LAST) as server:
            made = Gateway(Upstream(server.url), kept, watcher)
            url = await made.start("127.0.0.1", 0)
            assert (await ask(url, post())).body == REFUSAL
            await made.stop(0)


@pytest.mark.parametrize(("at", "after"), [(Respond, 0), (Read, 0), (Read, 2), (Write, 0), (Write, 1), (Open, 0)])
@pytest.mark.parametrize("cut", [False, True])
async def test_a_relay_that_raises_costs_the_client_nothing(
    at: type, after: int, cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive, "relay", breaking(at, after))
    parts = [ANSWER[n : n + 50] for n in range(0, len(ANSWER), 50)]

    async def play(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(stream(parts[0]))
        for part in parts[1:]:
            writer.write(chunk(part))
            await asyncio.sleep(0)
        writer.write(b"" if cut else LAST)
        if cut:
            writer.close()

    async with serving(play) as server, gateway(server.url) as url, connected(url) as (reader, writer):
        writer.write(post())
        if cut:
            got = await _until_cut(reader)
            assert not got.endswith(LAST)
        else:
            assert (await read_message(reader)).body == ANSWER


async def _until_cut(reader: asyncio.StreamReader) -> bytes:
    got = b""
    try:
        while part := await reader.read(1 << 16):
            got += part
    except ConnectionResetError:
        pass
    return got
