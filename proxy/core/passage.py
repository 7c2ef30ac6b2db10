"""The way of answers to one client: what is held back and until when, who looks on, and the head that goes before the first byte.

There is one passage for an armed request, and one *leg* of it for each attempt. A leg ends with its answer, or at a refusal, of which
the client has then been sent nothing.
"""

from collections.abc import Callable

from proxy.core.answer import Answer
from proxy.core.commands import Chunk, End, Event, Failed, Late, Note, Opened, Read, Respond, Step, Write
from proxy.core.encoding import Decoder
from proxy.core.headers import values
from proxy.core.heads import armed_head
from proxy.core.relay import Watched
from proxy.core.splice import Reader
from proxy.core.through import Through
from proxy.core.whole import Whole

TAIL_S = 2.0
"""How long the end of a refused answer is waited for, in seconds; it usually has come already."""
STOPPED_S = 0.1
"""How long it is waited for once the last event has come, in seconds."""
FOREVER = float("inf")

type Ending = End | Failed | Late


class Left(Exception):  # noqa: N818 - nothing went wrong
    """The client left: nothing more is wanted."""


class Leg:
    """One attempt's answer. ``answer`` looks on; None for the first attempt, at which the exchange does."""

    def __init__(
        self,
        head: Opened,
        reader: Reader,
        model: str,
        answer: Answer | None,
        until: float = FOREVER,
        *,
        sticks: bool = False,
    ) -> None:
        self.head, self.reader, self.model, self.answer, self.sticks = head, reader, model, answer, sticks
        self.until = until
        """Until when its whole answer must have come."""
        self.ending: End | Failed | None = None
        """How it ended, once it has."""
        self.shown = False
        """Whether the client has been sent anything of it."""
        codings = values(head.headers, b"content-encoding")
        self.decoder, self.encoded = Decoder(codings), bool(codings)

    def decode(self, data: bytes) -> bytes:
        """A piece of its body without content coding."""
        return self.decoder.feed(data) if self.encoded else data

    @property
    def is_whole(self) -> bool:
        """Whether it is no stream."""
        return isinstance(self.reader, Whole)


class Passage:
    """See the head of the module. ``judge`` is called when a later leg's answer is decided, before its end goes out."""

    def __init__(
        self, watched: Watched, exchange_id: str, clock: Callable[[], float], judge: Callable[[Leg], Step[None]]
    ) -> None:
        self.responded = False
        self.until = FOREVER
        """Until when something may be held back."""
        self.answered_by: str | None = None
        """The model that answers, where it is not the one that was asked for; for the head."""
        self.out = b""
        """What a reader gave and was not sent yet: for ``rescue``, as the two below."""
        self._came: bytes | None = None
        """The piece at hand, as it came."""
        self._piece: bytes | None = None
        """The same decoded, and not read yet."""
        self.id = exchange_id
        self._watched, self._clock, self._judge = watched, clock, judge

    def go(self, leg: Leg) -> Step[Ending]:
        """Gives the client what it may have, until the leg ends or turns out to be declined."""
        while isinstance(event := (yield from self._read(leg)), Chunk):
            self._came = event.data
            self._take(leg, event.data)
            yield from self._look(leg, event.data)
            self.out = self._read_piece(leg)
            yield from self.write(leg, self.out)
            if self._fails(leg):
                return Failed("it answered with an error event", reached=True)
            if leg.reader.refused is not None:
                return End()
            if leg.decoder.failed:
                event = Failed(f"its encoding: {leg.decoder.failed}", reached=True)
                break
        if isinstance(event, End | Failed):
            leg.ending = event
        return (yield from self._end(leg, event))

    def _take(self, leg: Leg, data: bytes) -> None:
        self._piece, self._came = leg.decode(data), None

    def _read_piece(self, leg: Leg) -> bytes:
        assert self._piece is not None
        out, self._piece = leg.reader.feed(self._piece), None
        return out

    def drain(self, leg: Leg) -> Step[None]:
        """Takes the end of a refused stream, so that it can be sent after all."""
        began = self._clock()
        if leg.ending is not None:
            return
        event: Event = None
        while event is None or isinstance(event, Chunk):
            if isinstance(event, Chunk):
                self._came = event.data
                self._take(leg, event.data)
                self._read_piece(leg)
            until = began + (STOPPED_S if leg.reader.stopped else TAIL_S)
            event = yield Read(max(0.0, until - self._clock()))
        if isinstance(event, Failed) and event.left:
            raise Left
        if isinstance(event, End | Failed):
            leg.ending = event
            leg.reader.close(whole=isinstance(event, End))
        elif leg.reader.stopped:
            leg.ending = End()

    def write(self, leg: Leg, data: bytes, *, whole: bool = False, last: bool = False) -> Step[None]:
        """Sends the client what there is. ``last``: an answer without a single byte still has a head. ``whole``: it is all."""
        if not data and (self.responded or not last):
            return
        self.out = data
        if not self.responded:
            head = self._head(leg, data, whole=whole)
            self.responded = True
            yield Respond(head.status, head.reason, head.headers)
        leg.shown = True
        self.out = b""
        if data:
            yield Write(data)

    def rest(self, leg: Leg) -> Step[End | Failed]:
        """What is left of an answer whose end has not come, as it comes."""
        while leg.ending is None:
            event = yield Read()
            if isinstance(event, Chunk):
                yield from self.write(leg, leg.reader.feed(leg.decode(event.data)))
            else:
                leg.ending = event if isinstance(event, End) else Failed("it was cut", reached=True)
                yield from self.write(leg, leg.reader.close(whole=isinstance(event, End)))
        return leg.ending

    def rescue(self, leg: Leg) -> Step[End | Failed]:
        """Our own code failed: what came of the first answer and was not sent, and the rest, as it came."""
        owed = self.out + leg.reader.give_up()
        if self._came is not None:
            self._take(leg, self._came)
        if self._piece is not None:
            owed += leg.reader.feed(self._piece)
        if leg.ending is not None:
            owed += leg.reader.close(whole=isinstance(leg.ending, End))
        if not self.responded:
            self.responded = True
            drop = (b"content-length", b"content-encoding", b"transfer-encoding")
            headers = tuple(pair for pair in leg.head.headers if pair[0].lower() not in drop)
            yield Respond(leg.head.status, leg.head.reason, (*headers, (b"Transfer-Encoding", b"chunked")))
        if owed:
            yield Write(owed)
        return (yield from self.rest(leg))

    def as_it_came(self, head: Opened) -> Opened:
        """The head of an answer that is passed on as it is."""
        own = armed_head(head, self.id, self.answered_by, decoded=False, length=None).headers
        return Opened(
            head.status, head.reason, (*head.headers, *(pair for pair in own if pair[0].startswith(b"x-demur-")))
        )

    def _head(self, leg: Leg, data: bytes, *, whole: bool) -> Opened:
        if leg.is_whole and not whole and not leg.encoded and data:
            return self.as_it_came(leg.head)
        length = len(data) if leg.is_whole and whole else None
        return armed_head(leg.head, self.id, self.answered_by, decoded=leg.encoded, length=length)

    def _read(self, leg: Leg) -> Step[Event]:
        while True:
            until = leg.until if leg.shown else min(self.until, leg.until)
            event = yield Read(None if until == FOREVER else max(0.0, until - self._clock()))
            if not isinstance(event, Late) or leg.shown or not self._may_begin(leg):
                break
            self.until = FOREVER
            self.out = leg.reader.flush()
            yield from self.write(leg, self.out, last=leg.is_whole)
        if isinstance(event, Failed) and event.left:
            raise Left
        return event

    def _may_begin(self, leg: Leg) -> bool:
        """Whether what is held back goes out once time is over: of a later attempt only what has begun to answer."""
        return leg.answer is None or (isinstance(leg.reader, Through) and leg.reader.thinks)

    def _look(self, leg: Leg, data: bytes) -> Step[None]:
        if leg.answer is None:
            if self._watched.look(data):
                yield from self._watched.found()
        else:
            leg.answer.feed(data)
        yield from self._judged(leg)

    def _judged(self, leg: Leg) -> Step[None]:
        try:
            yield from self._judge(leg)
        except Exception as error:  # noqa: BLE001 - rule zero: what was to be recorded must not cost the answer
            yield Note("retry.failed", error)

    def _fails(self, leg: Leg) -> bool:
        """An ``error`` event before any output: this attempt is as good as one that never came."""
        return leg.answer is not None and not leg.shown and leg.answer.message.problem is not None

    def _end(self, leg: Leg, event: Event) -> Step[Ending]:
        if not isinstance(event, End | Failed | Late):
            raise TypeError(f"not the end of an answer: {event!r}")
        whole = isinstance(event, End)
        if leg.answer is None:
            yield from self._watched.finish(whole=whole)
        else:
            leg.answer.finish(whole=whole)
        yield from self._judged(leg)
        decided = leg.answer is None or leg.answer.message.stop_reason is not None
        if leg.shown or decided:
            self.out = leg.reader.close(whole=whole)
            if leg.reader.refused is None:
                yield from self.write(leg, self.out, whole=whole, last=True)
        return event
