"""One hop: a request to one model of the chain, and its answer as far as it goes.

A hop that fails (it cannot be reached, has an error status, breaks off or stays silent before any output) leaves nothing on the wire. A target
that rejects the appended turn is asked once more without it. What a 400 says of a field is remembered for the process: see ``fitness``.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from proxy.core.answer import Answer
from proxy.core.commands import Ask, Chunk, End, Event, Failed, Late, Note, Open, Opened, Read, Step, Told
from proxy.core.encoding import Decoder
from proxy.core.fitness import Unfit, learnable
from proxy.core.graft import Graft
from proxy.core.headers import Headers, first, values
from proxy.core.hop import Hop, armed_headers, continuation, hop
from proxy.core.ledger import Ledger
from proxy.core.marked import Marked
from proxy.core.message import parse, table, text
from proxy.core.passage import Ending, Left, Leg, Passage
from proxy.core.plan import Plan
from proxy.core.splice import CAPACITY, Reader, Refused, Wire
from proxy.core.through import Through
from proxy.core.whole import Whole
from schemas.labels import Result, Ruling, Strategy

HEAD_S = 45.0
"""How long a hop's head may take, in seconds."""
TOTAL_S = 600.0
"""How long a hop's whole answer may take, in seconds."""
ERROR_S = 5.0
"""How long the body of a failed hop is read, in seconds."""
LARGEST_ERROR = 64 * 1024
"""How much of it, in bytes."""

type Entry = Mapping[str, Any]

_TYPE = re.compile(r"[a-z_]{1,40}")


class Hops:
    """All further attempts of one exchange."""

    def __init__(self, plan: Plan, wire: Wire, passage: Passage, ledger: Ledger) -> None:
        self.sent = 0
        """How many were sent."""
        self.left_this_hour: float = float("inf")
        """How many the session may have, those that were sent included."""
        self.lacked: str | None = None
        """The model of the last, where it failed for want of capacity."""
        self.resting: str | None = None
        """The model that the conversation stays on."""
        self.headers: Headers = armed_headers(plan.request.headers, credit=plan.credit)
        self._plan, self._wire, self._passage, self._ledger = plan, wire, passage, ledger

    def through(self) -> Through:
        """A reader for an answer as it comes."""
        plain = self._plan.retries and self._plan.wire == "plain"
        thinking = plain and self._plan.retry.hold == "thinking"
        return Through(self._wire, thinking=thinking, graft=plain, later=self.sent > 0)

    def bound(self) -> Ruling | None:
        """Why there may be no further attempt just now, if so."""
        if self.sent >= self._plan.retry.max_attempts:
            return Ruling.MAX_ATTEMPTS
        if self.sent >= self.left_this_hour:
            return Ruling.MAX_PER_HOUR
        return Ruling.HOLD if self._plan.clock() >= self._passage.until else None

    def continuation(self, refused: Refused) -> list[dict[str, Any]]:
        """The appended turn for the attempt after this refusal."""
        claimed = refused.blocks if refused.claim and refused.token and self._plan.retry.credit else []
        return continuation([*self._wire.tail, *claimed])

    def goes_on(self, leg: Leg, refused: Refused) -> bool:
        """Whether, in plain wire, another attempt may go on in the text that the client has: it is all that it has, and given on whole."""
        only_text = isinstance(leg.reader, Through | Graft) and leg.reader.only_text
        given_on = refused.claim or not refused.shown
        return only_text and given_on and bool(self.continuation(refused))

    def try_entry(
        self, entry: Entry, leg: Leg, refused: Refused, strategy: Strategy = Strategy.FALLBACK
    ) -> Step[tuple[Leg, Ending] | Ruling | None]:
        """None: this one failed, or cannot take the request; on to the next."""
        ladder = self._ladder(leg, refused)
        for blocks in ladder:
            if (ruling := self.bound()) is not None:
                return ruling
            made = self.made(entry, refused.token, blocks)
            if isinstance(made, Unfit):
                yield Note("hop.unfit", facts={"model": entry["model"], "why": made.reason})
                return None
            event = yield from self._hop(entry, made, refused.token, blocks, strategy)
            if event is None:
                return Ruling.MAX_PER_HOUR
            if isinstance(event, Opened) and 200 <= event.status < 300:
                sticks = strategy is Strategy.FALLBACK
                return (yield from self.follow(str(entry["model"]), event, leg, blocks, sticks=sticks))
            if not (isinstance(event, Opened) and event.status == 400 and blocks):
                return None
        return None

    def _ladder(self, leg: Leg, refused: Refused) -> list[list[dict[str, Any]]]:
        """The appended turns to try: the newest first; a target that rejects it gets what the one before had got."""
        if leg.is_whole:
            return [[]]
        newest = self.continuation(refused)
        if self._plan.wire == "plain":
            return [newest] if self._passage.responded and self.goes_on(leg, refused) else [[]]
        return [newest, self._wire.tail] if newest and newest != self._wire.tail else [newest]

    def made(self, entry: Entry, token: str | None = None, blocks: Sequence[dict[str, Any]] = ()) -> Hop | Unfit:
        """The request for an entry of the chain."""
        return hop(
            self._plan.body,
            self.headers,
            entry,
            token=token if self._plan.retry.credit else None,
            continuation=blocks,
            learned=self._plan.learned.of(str(entry["model"])),
        )

    def _hop(
        self, entry: Entry, made: Hop, token: str | None, blocks: Sequence[dict[str, Any]], strategy: Strategy
    ) -> Step[Event]:
        """One request of a hop, and once more without ``speed`` where only that had no capacity (as the SDK does it)."""
        event = yield from self.ask(str(entry["model"]), made, strategy)
        lacked = isinstance(event, Opened) and event.status in CAPACITY
        if not lacked or "speed" in entry or not _is_fast(made.body) or self.bound() is not None:
            return event
        slower = self.made({**entry, "speed": None}, token, blocks)
        return event if isinstance(slower, Unfit) else (yield from self.ask(str(entry["model"]), slower, strategy))

    def ask(self, model: str, made: Hop, strategy: Strategy) -> Step[Event]:
        """Sends one further attempt; what came of it is recorded where it is no answer. None: the session may have no more."""
        if not (yield from self._counts()):
            return None
        self.sent += 1
        self._wire.secret = True
        self._ledger.began(model, strategy)
        event = yield from self.open(made, min(HEAD_S, max(0.0, self._passage.until - self._plan.clock())))
        if not isinstance(event, Opened) or not 200 <= event.status < 300:
            yield from self._failed(model, event)
        return event

    def _counts(self) -> Step[bool]:
        """Whether it is still within what the session may have: another request of it may have been asked again meanwhile."""
        session, most = self._plan.asked.who.session_id, self._plan.retry.max_per_hour
        told = yield Ask(lambda counsel: counsel.attempted(session, most))
        return not (isinstance(told, Told) and told.answer is False)

    def open(self, made: Hop, within: float | None) -> Step[Event]:
        """Sends it. Raises ``Left``."""
        request = self._plan.request
        event = yield Open(request.method, request.target, made.headers, made.body, within)
        if isinstance(event, Failed) and event.left:
            raise Left
        return event

    def _failed(self, model: str, event: Event) -> Step[None]:
        """A hop without an answer: what its status says is recorded, and what its body says of a field is learned."""
        self.lacked = None
        if not isinstance(event, Opened):
            self._ledger.ended(None, Result.ERROR, event.why if isinstance(event, Failed) else "no answer in time")
            return
        self.lacked = model if event.status in CAPACITY else None
        answer = Answer()
        answer.opened(event.status, event.headers)
        self._ledger.opened(answer)
        body = yield from self._error_body(event, answer)
        self._ledger.ended(answer, Result.ERROR, _status(event.status, body))
        if (field := learnable(event.status, body)) is not None:
            self._plan.learned.of(model).add(field)
            yield Note("hop.learned", facts={"model": model, "field": field})

    def _error_body(self, head: Opened, answer: Answer) -> Step[bytes]:
        body, until = b"", self._plan.clock() + ERROR_S
        decoder = Decoder(values(head.headers, b"content-encoding"))
        while isinstance(event := (yield Read(max(0.0, until - self._plan.clock()))), Chunk):
            answer.feed(event.data)
            body += decoder.feed(event.data)
            if len(body) > LARGEST_ERROR:
                break
        if isinstance(event, Failed) and event.left:
            raise Left
        answer.finish(whole=isinstance(event, End))
        return body

    def follow(
        self, model: str, head: Opened, leg: Leg, blocks: list[dict[str, Any]], *, sticks: bool = True
    ) -> Step[tuple[Leg, Ending] | None]:
        """The answer of a further attempt, as far as it goes. None where it broke off before any output.

        ``sticks``: later turns of the conversation may go there too.
        """
        answer = Answer()
        answer.opened(head.status, head.headers)
        self._ledger.opened(answer)
        until = self._plan.clock() + TOTAL_S
        following = Leg(head, self._reader(leg, model, blocks), model, answer, until, sticks=sticks)
        streams = "event-stream" in (first(head.headers, b"content-type") or "").lower()
        if streams is leg.is_whole or following.decoder.failed:
            self._ledger.ended(answer, Result.UNREADABLE, "its answer has another form than the first one's")
            return None
        wire, before = self._wire, (self._wire.handing, self._wire.tail, list(self._wire.seams))
        if sticks or model != wire.handing:
            wire.seam(model)
        wire.tail, self._passage.answered_by = blocks, model
        ending = yield from self._passage.go(following)
        if following.shown or following.reader.refused is not None:
            return following, ending
        wire.handing, wire.tail, wire.seams = before
        self._passage.answered_by, self.lacked = self.resting, None
        self._ledger.ended(answer, Result.CUT, _why(ending))
        return None

    def _reader(self, leg: Leg, model: str, blocks: list[dict[str, Any]]) -> Reader:
        marked = self._plan.wire == "marked"
        if leg.is_whole:
            return Whole(self._wire, model, marked=marked)
        if marked:
            return Marked(self._wire, model)
        if not self._passage.responded:
            return self.through()
        if not blocks and isinstance(leg.reader, Through):
            return Graft(self._wire, None, continues=False, before=leg.reader.end_blocks)
        open_text = leg.reader.open if isinstance(leg.reader, Through | Graft) else None
        before = leg.reader.owed if isinstance(leg.reader, Graft) else bytes
        refused = leg.reader.refused
        given = "".join(str(block.get("text", "")) for block in (refused.blocks if refused else [])[-1:])
        blanks = given[len(given.rstrip()) :] if blocks else ""
        if isinstance(leg.reader, Graft) and not leg.shown:
            blanks = leg.reader.blanks
        return Graft(self._wire, open_text, continues=bool(blocks), before=before, blanks=blanks)


def _status(status: int, body: bytes) -> str:
    """What a failed hop answered: its status and the error's type, never its text, which may quote the request."""
    kind = text(table(parse(body).get("error")).get("type"))
    return f"HTTP {status}, {kind}" if kind and _TYPE.fullmatch(kind) else f"HTTP {status}"


def _why(ending: Ending) -> str:
    if isinstance(ending, Failed):
        return ending.why
    return "it gave no output in time" if isinstance(ending, Late) else "it ended without an answer"


def _is_fast(body: bytes) -> bool:
    return parse(body).get("speed") == "fast"
