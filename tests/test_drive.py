"""Retry over real sockets: clients that leave, an API that is slow or silent, connections that are used again, readers that pause."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from typing import Any

import pytest

from answers import ANSWER, REFUSAL, block, delta, start
from gateways import Kept, a_log_that_fails, a_log_that_is_stopped, a_log_that_nobody_reads, gateway
from playbook import (
    CHAIN,
    CLAIMED,
    PARTIAL,
    PRIMARY,
    SECOND,
    SERVED,
    THIRD,
    Memory,
    answering,
    declined,
    declining,
    message,
    refused_message,
    retry,
    said,
    texts,
)
from proxy import aside
from proxy.core import hops
from proxy.core.passage import Passage
from proxy.core.retry import Armed
from proxy.recall import Recall
from schemas.labels import Outcome, Result, Ruling
from schemas.records import Update
from schemas.settings import Retry
from wire import Seen, connected, read_message, serving

type Say = Callable[[asyncio.StreamWriter], Awaitable[None]]

BODY: dict[str, Any] = {
    "model": PRIMARY,
    "max_tokens": 64,
    "stream": True,
    "messages": [{"role": "user", "content": "hi"}],
}
LAST = b"0\r\n\r\n"
PATIENCE = 30.0
"""How long a test waits for what has to happen, in seconds; it decides nothing but a failure."""


def post(**changed: Any) -> bytes:
    body = json.dumps(BODY | changed).encode()
    fields = b"Host: x\r\nUser-Agent: claude-cli/2.1.197 (external, cli)\r\nX-Claude-Code-Session-Id: s-1\r\n"
    return b"POST /v1/messages HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s" % (fields, len(body), body)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nrequest-id: req_1\r\nTransfer-Encoding: chunked\r\n\r\n"
BUSY = b"HTTP/1.1 529 Busy\r\nContent-Length: 2\r\n\r\n{}"


def stream(data: bytes) -> bytes:
    return HEAD + chunk(data) + LAST


def whole(answer: dict[str, Any]) -> bytes:
    body = json.dumps(answer).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Api:
    """Answers each request by the next play; ``asked`` are the models that were asked for."""

    def __init__(self, *plays: bytes | Say) -> None:
        self.asked: list[str] = []
        self._plays = iter(plays)
        self.reached = asyncio.Event()
        """Set when the last play was begun."""
        self._left = len(plays)

    async def __call__(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        self.asked.append(json.loads(seen.body)["model"])
        play = next(self._plays)
        self._left -= 1
        if not self._left:
            self.reached.set()
        if isinstance(play, bytes):
            writer.write(play)
            await writer.drain()
        else:
            await play(writer)


async def never(_: asyncio.StreamWriter) -> None:
    """No answer at all."""


def saying(*parts: bytes) -> Say:
    """And then silence."""

    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(parts))
        await writer.drain()

    return play


async def hanging_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


@asynccontextmanager
async def before(
    api: Api, settings: Retry | None = None, kept: Kept | None = None, **more: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, Any]]:
    """A client's connection to a gateway before this API, and the API's server."""
    async with asyncio.timeout(PATIENCE), serving(api) as server:
        async with gateway(server.url, kept, retry=settings or retry(), **more) as url:
            async with connected(url) as (reader, writer):
                yield reader, writer, server


async def until(what: Callable[[], Any]) -> None:
    """Waits for something that has to happen."""
    async with asyncio.timeout(PATIENCE):
        while not what():  # noqa: ASYNC110 - what happens there sets no event
            await asyncio.sleep(0.01)


def updates(kept: Kept) -> list[Update]:
    return [update for entry in kept.entries for update in entry.updates]


def outcomes(kept: Kept) -> list[Result]:
    return [Result(traffic.outcome) for traffic in kept.counted]


# what a hop is on the wire


async def test_a_refusal_is_answered_by_another_model_on_the_same_connection() -> None:
    api, kept = Api(stream(REFUSAL), stream(SERVED)), Kept()
    async with before(api, kept=kept) as (reader, writer, server):
        writer.write(post())
        got = await read_message(reader)
        assert (got.body, api.asked) == (SERVED, [PRIMARY, SECOND])
        assert got.field(b"x-demur-answered-by") == [SECOND.encode()]
        assert server.connections == 1
        assert json.loads(server.seen[1].body) == BODY | {"model": SECOND}
        assert server.seen[1].field(b"content-length") == [b"%d" % len(server.seen[1].body)]
    assert outcomes(kept) == [Result.RECOVERED_BY_DEMUR]
    assert [update.outcome for update in updates(kept)] == [Outcome.RECOVERED_BY_DEMUR]


async def test_a_client_s_connection_carries_turn_after_turn() -> None:
    plays = [stream(REFUSAL), stream(SERVED), stream(ANSWER), stream(declining(PARTIAL)), stream(ANSWER)]
    api = Api(*plays)
    async with before(api) as (reader, writer, server):
        bodies = []
        for _ in range(4):
            writer.write(post())
            bodies.append((await read_message(reader)).body)
        assert bodies == [SERVED, ANSWER, declining(PARTIAL), ANSWER]
        assert server.connections == 1


async def test_turns_that_are_sent_at_once_are_answered_in_their_order() -> None:
    api = Api(stream(REFUSAL), stream(SERVED), stream(ANSWER))
    async with before(api) as (reader, writer, _):
        writer.write(post() + post())
        assert [(await read_message(reader)).body for _ in range(2)] == [SERVED, ANSWER]


async def test_a_body_in_chunks_with_trailers_goes_up_so_and_a_hop_by_its_length() -> None:
    api = Api(stream(REFUSAL), stream(SERVED))
    async with before(api) as (reader, writer, server):
        body = json.dumps(BODY).encode()
        head = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
        writer.write(head + chunk(body[:9]) + chunk(body[9:]) + b"0\r\nX-T: 9\r\n\r\n")
        assert (await read_message(reader)).body == SERVED
        assert (server.seen[0].body, server.seen[0].ending) == (body, b"X-T: 9\r\n\r\n")
        assert server.seen[1].field(b"transfer-encoding") == []


async def test_an_interim_answer_of_a_hop_does_not_stand_in_the_middle_of_another() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    api = Api(stream(declining(PARTIAL, **CLAIMED)), hints + stream(SERVED))
    async with before(api) as (reader, writer, _):
        writer.write(post())
        assert texts((await read_message(reader)).body) == "Partial Served."


async def test_several_models_are_asked_one_after_another_whatever_becomes_of_each() -> None:
    api = Api(stream(REFUSAL), BUSY, hanging_up, stream(SERVED))
    async with before(api) as (reader, writer, _):
        writer.write(post())
        assert (await read_message(reader)).body == SERVED
        assert api.asked == [PRIMARY, *(entry["model"] for entry in CHAIN)]


async def test_where_the_model_that_a_conversation_stays_on_fails_the_own_one_is_asked() -> None:
    counsel = Memory()
    api = Api(stream(REFUSAL), stream(SERVED), BUSY, stream(ANSWER))
    async with before(api, retry(sticky=True), counsel=counsel) as (reader, writer, _):
        writer.write(post())
        assert (await read_message(reader)).body == SERVED
        writer.write(post())
        assert (await read_message(reader)).body == ANSWER
        assert api.asked == [PRIMARY, SECOND, SECOND, PRIMARY]


async def test_a_model_that_answers_in_another_form_is_passed_over() -> None:
    api = Api(stream(REFUSAL), whole(message()), stream(SERVED))
    async with before(api) as (reader, writer, _):
        writer.write(post())
        assert (await read_message(reader)).body == SERVED
        assert api.asked == [PRIMARY, SECOND, THIRD]


async def test_where_all_fail_the_refusal_stands_on_the_wire() -> None:
    api, kept = Api(stream(REFUSAL), BUSY, hanging_up, saying(HEAD, chunk(start(SECOND)))), Kept()
    async with before(api, retry(hold_s=1), kept) as (reader, writer, _):
        writer.write(post())
        got = await read_message(reader)
        assert (got.body, got.field(b"x-demur-answered-by")) == (REFUSAL, [])
    assert outcomes(kept) == [Result.REFUSED]


@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_is_the_api_s_to_the_byte_but_for_the_exchange(stream: bool) -> None:
    head = b"HTTP/1.1 400 Not  So Good\r\nset-COOKIE: a=1\r\nSet-Cookie: b=2\r\nX-Odd: caf\xe9\r\ncontent-type: application/json\r\n"
    body = b'{ "type":"error", "error":{"type":"new_error", "message":"no", "more":[1,  2]}, "request_id":null}'
    async with before(Api(head + b"conTent-Length: %d\r\n\r\n" % len(body) + body)) as (reader, writer, _):
        writer.write(post(stream=stream))
        got = await read_message(reader)
    own = b"x-demur-exchange: " + got.field(b"x-demur-exchange")[0] + b"\r\n"
    assert got.body == body
    assert got.head.replace(own, b"") == head + b"conTent-Length: %d\r\n\r\n" % len(body)


async def test_whole_answers_are_asked_again_too() -> None:
    api = Api(whole(refused_message()), whole(message({"type": "text", "text": "Hi"})))
    async with before(api) as (reader, writer, _):
        writer.write(post(stream=False))
        assert json.loads((await read_message(reader)).body)["content"] == [{"type": "text", "text": "Hi"}]


async def test_an_api_that_cannot_be_reached_is_told() -> None:
    async with gateway("http://127.0.0.1:1", retry=retry()) as url, connected(url) as (reader, writer):
        writer.write(post())
        assert (await read_message(reader)).head.startswith(b"HTTP/1.1 502 ")


async def test_an_api_that_hangs_up_cuts_the_client_off() -> None:
    api = Api(hanging_up)
    async with before(api) as (reader, writer, _):
        writer.write(post())
        assert await reader.read() == b""


# time


async def test_a_hop_that_gives_no_head_is_passed_over_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hops, "HEAD_S", 0.2)
    api = Api(stream(REFUSAL), never, stream(SERVED))
    async with before(api) as (reader, writer, _):
        writer.write(post())
        assert (await read_message(reader)).body == SERVED
        assert api.asked == [PRIMARY, SECOND, THIRD]


async def test_what_is_held_back_goes_out_when_time_is_over() -> None:
    api = Api(saying(HEAD, chunk(start())))
    async with before(api, retry(hold_s=1)) as (reader, writer, _):
        writer.write(post())
        got = await reader.readuntil(b'"output_tokens":1}}')
        assert got.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_what_comes_late_from_a_hop_that_was_passed_over_is_nobody_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hops, "HEAD_S", 0.2)
    third = asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        await third.wait()
        with suppress(ConnectionError):
            writer.write(stream(answering(said(0, "Late."))))
            await writer.drain()

    async def after(writer: asyncio.StreamWriter) -> None:
        third.set()
        await asyncio.sleep(0.05)
        writer.write(stream(SERVED))

    api = Api(stream(REFUSAL), late, after)
    async with before(api) as (reader, writer, _):
        writer.write(post())
        assert (await read_message(reader)).body == SERVED


async def test_a_counsel_that_hangs_lets_the_refusal_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "KEEP_S", 0.2)
    kept = Kept()

    class Hanging(Memory):
        def judged_correct(self, asked: str | None, session_id: str | None, marks: frozenset[bytes]) -> bool | None:
            kept.release.wait(PATIENCE)
            return False

    async with before(Api(stream(REFUSAL)), kept=kept, counsel=Hanging()) as (reader, writer, _):
        writer.write(post())
        assert (await read_message(reader)).body == REFUSAL
        kept.release.set()
    assert [update.ruling for update in updates(kept)] == [Ruling.STORE]


async def test_a_counsel_that_fails_costs_nobody_an_answer() -> None:
    class Failing(Memory):
        def attempted(self, session_id: str | None, most: int) -> bool:
            raise OSError

        def pin(self, key: str) -> None:
            raise OSError

    api = Api(stream(REFUSAL), stream(SERVED))
    async with before(api, retry(sticky=True), counsel=Failing()) as (reader, writer, _):
        writer.write(post())
        assert (await read_message(reader)).body == SERVED


async def test_requests_of_one_session_at_once_have_no_more_attempts_than_it_may_have() -> None:
    asked: list[str] = []
    together = asyncio.Barrier(4)

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        model = json.loads(seen.body)["model"]
        asked.append(model)
        if model == PRIMARY:
            await together.wait()
        writer.write(stream(REFUSAL if model == PRIMARY else SERVED))
        await writer.drain()

    async def one(url: str) -> bytes:
        async with connected(url) as (reader, writer):
            writer.write(post())
            return (await read_message(reader)).body

    settings = retry(max_per_hour=2)
    async with asyncio.timeout(PATIENCE), serving(answer) as server:
        async with gateway(server.url, retry=settings, counsel=Recall(None)) as url:
            got = await asyncio.gather(*(one(url) for _ in range(4)))
    assert sorted(got) == sorted([REFUSAL, REFUSAL, SERVED, SERVED])
    assert asked == [PRIMARY] * 4 + [SECOND] * 2


# clients that leave


LEAVING: dict[str, list[bytes | Say]] = {
    "before the head": [never],
    "before output": [saying(HEAD, chunk(start()))],
    "in a refusal": [saying(HEAD, chunk(start() + declined()))],
    "before a hop's head": [stream(REFUSAL), never],
    "in a failed hop": [stream(REFUSAL), saying(b"HTTP/1.1 529 Busy\r\nContent-Length: 9\r\n\r\n{")],
    "before a hop's output": [stream(REFUSAL), saying(HEAD, chunk(start(SECOND)))],
}


@pytest.mark.parametrize("where", LEAVING)
async def test_a_client_that_leaves_takes_its_requests_with_it(where: str) -> None:
    api, kept = Api(*LEAVING[where]), Kept()
    async with before(api, kept=kept) as (_, writer, server):
        writer.write(post())
        await api.reached.wait()
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await until(lambda: kept.counted)
        await server.gone.wait()
    refused = "hop" in where or "refusal" in where
    assert outcomes(kept) == [Result.REFUSED if refused else Result.CUT]
    assert [update.ruling for update in updates(kept)] == ([Ruling.LEFT] if refused else [])
    assert len(api.asked) == len(LEAVING[where])


@pytest.mark.parametrize(
    "first", [stream(REFUSAL), stream(declining(PARTIAL, **CLAIMED))], ids=["before", "after output"]
)
async def test_a_client_that_leaves_in_the_middle_of_what_it_gets_takes_it_with_it(first: bytes) -> None:
    api, kept = Api(first, saying(HEAD, chunk(start(SECOND) + block(0) + delta(0, "so far")))), Kept()
    async with before(api, kept=kept) as (reader, writer, server):
        writer.write(post())
        await reader.readuntil(b"so far")
        writer.transport.abort()
        await until(lambda: kept.counted)
        await server.gone.wait()
    assert ([update.ruling for update in updates(kept)], outcomes(kept)) == ([Ruling.LEFT], [Result.REFUSED])


async def test_a_client_that_leaves_while_its_refusal_is_kept_asks_nobody_any_more() -> None:
    api, kept = Api(stream(REFUSAL)), Kept()
    kept.block = True
    async with before(api, kept=kept) as (_, writer, _server):
        writer.write(post())
        await api.reached.wait()
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await asyncio.sleep(0.05)
        kept.release.set()
        await until(lambda: kept.counted)
    assert api.asked == [PRIMARY]
    assert [update.ruling for update in updates(kept)] == [Ruling.LEFT]


async def test_a_client_that_leaves_before_its_body_is_whole_asks_nobody() -> None:
    api, kept = Api(stream(ANSWER)), Kept()
    async with before(api, kept=kept) as (_, writer, server):
        writer.write(post()[:-5])
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await asyncio.sleep(0.05)
        assert server.connections == 0


async def test_a_client_that_leaves_before_its_body_is_whole_is_counted() -> None:
    kept = Kept()
    async with before(Api(stream(ANSWER)), kept=kept) as (_, writer, _server):
        writer.write(post()[:-5])
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await asyncio.sleep(0.2)
    assert outcomes(kept) == [Result.CUT]


# readers that pause


LONG = answering(said(0, *["word " * 200_000] * 64))
"""More than all the buffers between the two ends take."""


@pytest.mark.parametrize("plays", [[LONG], [REFUSAL, LONG]], ids=["first", "hop"])
async def test_a_client_that_reads_slowly_slows_the_api_down_and_loses_nothing(plays: list[bytes]) -> None:
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD)
        for at in range(0, len(plays[-1]), 1 << 16):
            writer.write(chunk(plays[-1][at : at + (1 << 16)]))
            await writer.drain()
            sent = at
        writer.write(LAST)

    api = Api(*map(stream, plays[:-1]), flood)
    async with asyncio.timeout(PATIENCE), serving(api) as server, gateway(server.url, retry=retry()) as url:
        host, _, port = url.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 12)
        writer.write(post())
        await api.reached.wait()
        earlier = -1
        while sent != earlier:
            earlier = sent
            await asyncio.sleep(0.2)
        assert sent < len(LONG) - (1 << 20)
        assert (await read_message(reader)).body == LONG
        writer.transport.abort()


LARGE = [{"role": "user", "content": "x" * (24 << 20)}]


@asynccontextmanager
async def hasty(*answers: bytes) -> AsyncIterator[str]:
    """An API that reads the first request whole, and of later ones the head alone before it answers and hangs up."""
    rest = iter(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            answer = next(rest)
            if answer is not answers[1]:
                await reader.readexactly(size)
            writer.write(answer)
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.transport.abort()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 16)
    try:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()


def closing(answer: bytes) -> bytes:
    return answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


async def test_an_api_that_answers_before_it_has_read_leaves_the_client_s_connection_usable() -> None:
    answers = map(closing, (stream(REFUSAL), BUSY, stream(ANSWER)))
    async with hasty(*answers) as url, gateway(url, retry=retry(fallback=CHAIN[:1])) as front:
        async with connected(front) as (reader, writer):
            writer.write(post(messages=LARGE))
            assert (await read_message(reader)).body == REFUSAL
            writer.write(post())
            async with asyncio.timeout(5):
                assert (await read_message(reader)).body == ANSWER


# rule zero


def raising(*_: object, **__: object) -> Any:
    raise RuntimeError("a bug of ours")


FIRST = pytest.mark.parametrize(
    "first", [ANSWER, REFUSAL, declining(PARTIAL)], ids=["answer", "refusal", "after output"]
)


@pytest.mark.parametrize("at", ["go", "drain", "_read", "_look", "_judged"])
@FIRST
async def test_a_passage_that_fails_costs_nobody_an_answer(
    at: str, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Passage, at, raising)
    async with before(Api(stream(first)), retry(max_attempts=0)) as (reader, writer, _):
        writer.write(post())
        assert (await read_message(reader)).body == first


@pytest.mark.parametrize("at", ["write", "rescue", "rest"])
@FIRST
async def test_where_the_rescue_fails_too_nobody_is_left_waiting(
    at: str, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Passage, at, raising)
    monkeypatch.setattr(Armed, "_again", raising)
    async with before(Api(stream(first)), retry(max_attempts=0)) as (reader, writer, _):
        writer.write(post())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            assert (await read_message(reader)).body == first


@pytest.mark.parametrize("at", ["_again", "_stand", "_ask_first", "_judge", "_standing"])
@FIRST
async def test_a_relay_that_fails_costs_nobody_an_answer(
    at: str, first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Armed, at, raising)
    async with before(Api(stream(first)), retry(max_attempts=0)) as (reader, writer, _):
        writer.write(post())
        assert (await read_message(reader)).body == first


@FIRST
async def test_what_came_of_an_answer_that_nobody_wants_any_more_is_not_taken_for_another(
    first: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Armed, "_begin", raising)
    async with before(Api(stream(first), stream(first))) as (reader, writer, _):
        writer.write(post())
        assert (await read_message(reader)).body == first


async def test_a_plan_that_fails_costs_nobody_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.retrying.plan", raising)
    async with before(Api(stream(REFUSAL))) as (reader, writer, _):
        writer.write(post())
        assert (await read_message(reader)).body == REFUSAL


@pytest.mark.parametrize("log", [a_log_that_nobody_reads, a_log_that_is_stopped, a_log_that_fails])
async def test_a_log_that_nobody_reads_costs_nobody_an_answer(log: Callable[[], AbstractContextManager[None]]) -> None:
    api = Api(stream(REFUSAL), stream(SERVED), BUSY, stream(ANSWER))
    with log():
        async with before(api, retry(sticky=True), counsel=Memory()) as (reader, writer, _):
            writer.write(post())
            assert (await read_message(reader)).body == SERVED
            writer.write(post())  # the model that it stays on fails, which is told in the log
            assert (await read_message(reader)).body == ANSWER


async def test_a_request_that_is_not_armed_is_passed_on_and_says_why() -> None:
    kept = Kept()
    async with before(Api(stream(REFUSAL)), kept=kept) as (reader, writer, _):
        writer.write(post(fallbacks="default"))
        got = await read_message(reader)
        assert (got.body, got.field(b"x-demur-exchange")) == (REFUSAL, [])
    assert [refusal.ruling for entry in kept.entries for refusal in entry.refusals] == [Ruling.FALLBACKS]


async def test_a_request_that_is_not_armed_keeps_its_encoding_and_so_does_its_answer() -> None:
    squeezed = gzip.compress(REFUSAL)
    kept, answer = Kept(), HEAD.replace(b"request-id", b"Content-Encoding: gzip\r\nrequest-id")
    async with before(Api(answer + chunk(squeezed) + LAST), kept=kept) as (reader, writer, server):
        writer.write(post(fallbacks="default").replace(b"Host: x", b"Host: x\r\nAccept-Encoding: gzip, br"))
        got = await read_message(reader)
        assert (got.body, got.field(b"content-encoding")) == (squeezed, [b"gzip"])
        assert server.seen[0].field(b"accept-encoding") == [b"gzip, br"]
    assert [refusal.ruling for entry in kept.entries for refusal in entry.refusals] == [Ruling.FALLBACKS]
