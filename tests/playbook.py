"""A relay as a playbook: what the API answers stands in lists, time passes only where a list says so, and all that came of it is noted.

    play(retry, Answer([REFUSAL]), Answer([ANSWER]))

Each ``Open`` gets the next answer. The book holds the relay to its contract: nobody waits for what can never come, the client gets one
head, before its body, and one end.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from answers import DETAILS, STOP, block, end, event, start, stop
from proxy.core.commands import (
    Abort,
    Ask,
    Chunk,
    Command,
    Counsel,
    Count,
    End,
    Event,
    Failed,
    Finish,
    Keep,
    Late,
    Note,
    Open,
    Opened,
    Pass,
    Read,
    Relay,
    Respond,
    Tell,
    Told,
    Unreached,
    Write,
)
from proxy.core.exchange import Exchange, Watcher
from proxy.core.headers import Headers, values
from proxy.core.message import parse
from proxy.core.plan import Learned, Plan, plan
from proxy.core.relay import Watched
from proxy.core.retry import Armed
from proxy.core.sse import frames
from schemas.labels import Outcome, Result
from schemas.records import Attempt, Entry, Pin, Traffic, Update
from schemas.settings import Retry

type Json = dict[str, Any]
type Piece = bytes | float | Event
"""Bytes of a body; seconds in which nothing comes; or how it ends, where it does not end well."""

SSE = b"text/event-stream; charset=utf-8"
JSON = b"application/json"
CUT = Failed("the API closed the connection", reached=True)
NO_ROUTE = Failed("no route", reached=False)
LEFT = Failed("the client left", reached=True, left=True)
PRIMARY, SECOND, THIRD, FOURTH = "claude-opus-5", "claude-opus-4-8", "claude-sonnet-5", "claude-opus-4-7"
BEGAN = 1_790_000_000.0
SESSION = b"0f1e2d3c-0000-4000-8000-000000000001"


@dataclass(frozen=True)
class Answer:
    """What one ``Open`` gets. ``after``: seconds to the head; ``head``: what comes in its place."""

    body: Sequence[Piece] = ()
    status: int = 200
    kind: bytes | None = SSE
    headers: Headers = ()
    after: float = 0.0
    head: Event = None
    trailers: Headers = ()

    @property
    def opened(self) -> Opened:
        kind = () if self.kind is None else ((b"Content-Type", self.kind),)
        return Opened(self.status, b"OK", (*kind, (b"request-id", b"req_1"), *self.headers))


def failing(status: int, message: str = "scripted") -> Answer:
    """An HTTP error (Anthropic, "Errors")."""
    kinds = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}
    error = {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message}}
    return whole(error, status=status)


def whole(message: Json, **more: Any) -> Answer:
    """An answer that is no stream."""
    body = encoded(message)
    headers = ((b"Content-Length", b"%d" % len(body)), *more.pop("headers", ()))
    return Answer([body], kind=JSON, headers=headers, **more)


def encoded(message: Json) -> bytes:
    return json.dumps(message).encode()


def silent(*head: Piece) -> Answer:
    """It begins, and then nothing comes for ever."""
    return Answer([*head, float("inf")])


@dataclass
class Memory:
    """A counsel that remembers what it was told. ``judged``: what persons said of any content."""

    pins: dict[str, Pin] = field(default_factory=dict)
    judged: bool | None = False
    counted: int = 0
    told: list[str | None] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)

    def pin(self, key: str) -> Pin | None:
        return self.pins.get(key)

    def judged_correct(self, asked: str | None, session_id: str | None, marks: frozenset[bytes]) -> bool | None:
        self.marks.append(asked or "")
        return self.judged

    def attempts(self, session_id: str | None) -> int:
        return self.counted

    def attempted(self, session_id: str | None, most: int) -> bool:
        if self.counted >= most:
            return False
        self.counted += 1
        self.told.append(session_id)
        return True

    def stick(self, pin: Pin) -> None:
        self.pins[pin.key] = pin

    def unstick(self, pin: Pin) -> None:
        self.pins.pop(pin.key, None)


@dataclass
class Played:
    """What came of it."""

    commands: list[Command] = field(default_factory=list)
    kept: list[Entry] = field(default_factory=list)
    clock: float = 0.0

    def of[C](self, kind: type[C]) -> list[C]:
        return [command for command in self.commands if isinstance(command, kind)]

    @property
    def kinds(self) -> list[type]:
        """Of what the client and the store see."""
        seen = Open | Respond | Write | Keep | Count | Finish | Abort | Unreached
        return [type(command) for command in self.commands if isinstance(command, seen)]

    @property
    def asked(self) -> list[Open]:
        return self.of(Open)

    @property
    def sent(self) -> list[Json]:
        """The bodies that were sent."""
        return [parse(each.body or b"") for each in self.asked]

    @property
    def models(self) -> list[str]:
        return [str(body.get("model")) for body in self.sent]

    @property
    def head(self) -> Respond:
        (head,) = self.of(Respond)
        return head

    def field(self, name: str) -> list[str]:
        """The values of a field of the client's head."""
        return values(self.head.headers, name.encode())

    @property
    def written(self) -> list[bytes]:
        return [write.data for write in self.of(Write)]

    @property
    def body(self) -> bytes:
        """What the client was sent."""
        return b"".join(self.written)

    @property
    def ending(self) -> Command:
        return self.commands[-1]

    @property
    def is_whole(self) -> bool:
        return isinstance(self.ending, Finish)

    @property
    def updates(self) -> list[Update]:
        return [update for entry in self.kept for update in entry.updates]

    @property
    def ruling(self) -> str | None:
        """The last, with the first record."""
        rulings = [refusal.ruling for entry in self.kept for refusal in entry.refusals]
        return [*rulings, *(update.ruling for update in self.updates)][-1]

    @property
    def attempts(self) -> list[Attempt]:
        return [attempt for update in self.updates for attempt in update.attempts]

    @property
    def results(self) -> list[tuple[str | None, str]]:
        return [(attempt.model, attempt.outcome) for attempt in self.attempts]

    @property
    def counted(self) -> list[Traffic]:
        return [count.traffic for count in self.of(Count)]

    @property
    def count(self) -> Result:
        (traffic,) = self.counted
        return Result(traffic.outcome)

    @property
    def outcome(self) -> Outcome | None:
        """As the store has it in the end."""
        outcomes = [refusal.outcome for entry in self.kept for refusal in entry.refusals]
        later = [update.outcome for update in self.updates if update.outcome]
        return next(iter([*later[::-1], *outcomes[::-1]]), None)

    @property
    def notes(self) -> list[str]:
        return [note.event for note in self.of(Note)]

    @property
    def errors(self) -> list[Exception]:
        return [note.error for note in self.of(Note) if note.error]

    def before(self, kind: type[Command], part: bytes) -> bool:
        """Whether the last command of a kind came before the bytes with ``part`` went out."""
        at = max(n for n, command in enumerate(self.commands) if isinstance(command, kind))
        sent = b""
        for n, command in enumerate(self.commands):
            sent += command.data if isinstance(command, Write) else b""
            if part in sent:
                return at < n
        raise AssertionError(f"the client was never sent {part!r}")


ASKED: Json = {
    "model": PRIMARY,
    "max_tokens": 64,
    "stream": True,
    "messages": [{"role": "user", "content": "hi"}],
}
CLIENT: Headers = (
    (b"Host", b"api"),
    (b"User-Agent", b"claude-cli/2.1.197 (external, sdk-cli)"),
    (b"X-Claude-Code-Session-Id", SESSION),
    (b"anthropic-beta", b"claude-code-20250219"),
    (b"Accept-Encoding", b"gzip, br"),
)
SDK: Headers = ((b"Host", b"api"), (b"User-Agent", b"Anthropic/Python 2.12.0"), (b"Accept-Encoding", b"gzip"))
CREDIT: Headers = ((b"anthropic-beta", b"fallback-credit-2026-07-01"),)
CHAIN = [{"model": SECOND}, {"model": THIRD}, {"model": FOURTH}]


def retry(**changed: Any) -> Retry:
    """Settings that permit a chain of three models."""
    given: Json = {"enabled": True, "routes": "any", "sticky": False, "wire": "plain", "fallback": CHAIN}
    return Retry(**(given | changed))


def request(body: Json | bytes | None = None, headers: Headers = CLIENT, target: bytes = b"/v1/messages") -> Open:
    """As the client sends it."""
    data = body if isinstance(body, bytes) else encoded(ASKED | (body or {}))
    return Open(b"POST", target, (*headers, (b"Content-Length", b"%d" % len(data))), data)


class Book:
    """One exchange, before it is played: its parts are at hand, to be looked at or spoilt."""

    def __init__(
        self,
        settings: Retry,
        asked: Open | None = None,
        *,
        counsel: Counsel | None = None,
        learned: Learned | None = None,
        watcher: Watcher | None = None,
        began: float = BEGAN,
        **more: Any,
    ) -> None:
        self.played = Played()
        self.counsel: Counsel = counsel or Memory()
        self.request = asked or request()
        self.watcher = watcher or watching(lambda: began + self.played.clock)
        self.exchange = _exchange(self.watcher, self.request)
        self.plan: Plan = plan(settings, self.request, learned or Learned({}), lambda: self.played.clock, **more)
        self.watched = Watched(self.exchange)
        self.armed = Armed(self.plan, self.watched)

    def play(self, *answers: Answer) -> Played:
        """To the end of the relay."""
        self._answers = iter(answers)
        self._pieces: Iterator[Piece] = iter(())
        self._wait = 0.0
        running: Relay = self.armed.run()
        event: Event = None
        while True:
            try:
                command = running.send(event)
            except StopIteration:
                assert isinstance(self.played.ending, Finish | Abort | Unreached), "it stopped without an end"
                return self.played
            self._check(command)
            self.played.commands.append(command)
            event = self._do(command)

    def _check(self, command: Command) -> None:
        played = self.played
        assert not played.of(Finish | Abort | Unreached), f"after the end there came {command}"  # type: ignore[arg-type]
        if isinstance(command, Respond | Unreached):
            assert not played.of(Respond), "a second head"
        if isinstance(command, Write | Finish):
            assert played.of(Respond), "a body without a head"
        if isinstance(command, Write):
            assert command.data, "an empty piece"

    def _do(self, command: Command) -> Event:
        if isinstance(command, Open):
            return self._open(command)
        if isinstance(command, Read):
            return self._read(command.within)
        if isinstance(command, Pass):
            while isinstance(event := self._read(None), Chunk) and not command.look(event.data):
                self.played.commands.append(Write(event.data))
            return event
        if isinstance(command, Keep):
            with suppress(Exception):  # a keeper never raises
                self.played.kept.append(command.make())
        if isinstance(command, Tell):
            with suppress(Exception):
                command.fact(self.counsel)
        if isinstance(command, Ask):
            return self._ask(command)
        return None

    def _open(self, command: Open) -> Event:
        answer = next(self._answers, None)
        assert answer is not None, f"nobody foresaw that {parse(command.body or b'').get('model')} is asked"
        self._pieces, self._wait = iter(()), 0.0
        if command.within is not None and answer.after > command.within:
            self.played.clock += command.within
            return Late()
        self.played.clock += answer.after
        if answer.head is not None:
            return answer.head
        self._pieces = iter([*answer.body, End(answer.trailers)])
        return answer.opened

    def _read(self, within: float | None) -> Event:
        left = within
        while True:
            if not self._wait:
                piece = next(self._pieces, None)
                assert piece is not None, "it waits for what cannot come any more"
                if isinstance(piece, bytes):
                    return Chunk(piece)
                if not isinstance(piece, float):
                    self._pieces = iter(())
                    return piece
                self._wait = piece
            if left is not None and self._wait > left:
                self.played.clock += left
                self._wait -= left
                return Late()
            assert self._wait != float("inf"), "it waits for ever"
            self.played.clock += self._wait
            left, self._wait = None if left is None else left - self._wait, 0.0

    def _ask(self, command: Ask) -> Told:
        try:
            return Told(command.question(self.counsel))
        except Exception:  # noqa: BLE001 - the driver's rule zero
            return Told(None)


def play(settings: Retry, *answers: Answer, asked: Open | None = None, **more: Any) -> Played:
    """See the head of the module."""
    return Book(settings, asked, **more).play(*answers)


def watching(now: Callable[[], float], **more: Any) -> Watcher:
    """Gives each exchange an id of its own."""
    made = iter(range(1, 1000))
    return Watcher(source="gateway", now=now, entropy=lambda n: next(made).to_bytes(n, "big"), **more)


def _exchange(watcher: Watcher, asked: Open) -> Exchange:
    exchange = watcher.exchange(asked.method, asked.target, asked.headers)
    assert exchange is not None
    exchange.sent(asked.body or b"")
    return exchange


def at_cuts(data: bytes, cuts: Sequence[int]) -> list[Piece]:
    """``data`` in the pieces that these places, in any order, cut it into."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:after] for begin, after in pairwise(places)]


# what answers are made of: see tests/answers.py


def said(index: int, *parts: str, left_open: bool = False) -> bytes:
    """A text block."""
    deltas = [{"type": "text_delta", "text": part} for part in parts]
    return _block(index, {"type": "text", "text": ""}, deltas, left_open=left_open)


def thought(index: int, *parts: str, left_open: bool = False) -> bytes:
    """A thinking block."""
    deltas = [*({"type": "thinking_delta", "thinking": part} for part in parts)]
    deltas += [{"type": "signature_delta", "signature": "c2ln"}]
    return _block(index, {"type": "thinking", "thinking": "", "signature": ""}, deltas, left_open=left_open)


def called(index: int, kind: str = "tool_use", *, left_open: bool = False) -> bytes:
    """A call of one of the client's tools, or of another's."""
    deltas = [{"type": "input_json_delta", "partial_json": part} for part in ("", '{"command":', '"ls"}')]
    return _block(
        index, {"type": kind, "id": f"toolu_{index}", "name": "Bash", "input": {}}, deltas, left_open=left_open
    )


def found(index: int, call: int) -> bytes:
    """What a server's tool found."""
    return _block(
        index, {"type": "web_search_tool_result", "tool_use_id": f"toolu_{call}", "content": []}, [], left_open=False
    )


def _block(index: int, content: Json, deltas: list[Json], *, left_open: bool) -> bytes:
    changes = [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    return b"".join([block(index, **content), *changes, *([] if left_open else [stop(index)])])


def answering(*blocks: bytes, model: str = SECOND, reason: str = "end_turn") -> bytes:
    """A stream that ends well."""
    return b"".join([start(model), *blocks, end(reason), STOP])


def declining(*blocks: bytes, model: str = PRIMARY, last: bytes = STOP, **details: Any) -> bytes:
    """A stream that ends declined. ``details``: of ``stop_details``."""
    return b"".join([start(model), *blocks, declined(**details), last])


def declined(**details: Any) -> bytes:
    """The event that says so."""
    return end("refusal", stop_details={**DETAILS, **details})


TOKEN = "tok_c3VwZXJzZWNyZXQ"
CLAIMED: Json = {"fallback_credit_token": TOKEN, "fallback_has_prefill_claim": True}
"""A refusal that may be continued."""
UNCLAIMED: Json = {"fallback_credit_token": TOKEN, "fallback_has_prefill_claim": False}
UNPAID: Json = {"fallback_credit_token": None, "fallback_has_prefill_claim": None}


def message(*content: Json, model: str = SECOND, reason: str = "end_turn", **more: Any) -> Json:
    """A whole answer."""
    made = {"id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": list(content)}
    return (
        made | {"stop_reason": reason, "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 3}} | more
    )


def refused_message(*content: Json, model: str = PRIMARY, **details: Any) -> Json:
    return message(*content, model=model, reason="refusal", stop_details={**DETAILS, **details})


SERVED = answering(said(0, "Ser", "ved."))
PARTIAL = said(0, "Par", "tial ")
OVERLOADED = event("error", error={"type": "overloaded_error", "message": "x"})
ASKED_WHOLE = request({"stream": False})


# what answers are read for


def without_credit(data: bytes) -> bytes:
    """As it would have come to a client that asked for no credit."""
    for value in (b'"%b"' % TOKEN.encode(), b"null"):
        data = data.replace(b',"fallback_credit_token":' + value, b"")
    for value in (b"true", b"false", b"null"):
        data = data.replace(b',"fallback_has_prefill_claim":' + value, b"")
    return data


def texts(data: bytes) -> str:
    """All text that the client was sent."""
    found = (parse(frame.parse()[1]) for frame in frames(data))
    return "".join(each["delta"].get("text", "") for each in found if each.get("type") == "content_block_delta")


def outline(data: bytes) -> list[str]:
    """An event a line."""
    out = []
    for frame in frames(data):
        each = parse(frame.parse()[1])
        kind = str(each.get("type", "")).removeprefix("content_block_")
        more = each.get("content_block", {}).get("type") or each.get("delta", {}).get("stop_reason")
        out.append(" ".join(str(part) for part in (kind, each.get("index"), more) if part is not None))
    return [line for line in out if not line.startswith("delta ")]
