"""One armed request from its question to the last byte of its answer: the hop loop, which exists once.

An answer is held back until it shows output. If it turns out to be declined, and nothing is against it (``proxy.core.permission``), the
request is asked again: on each permitted model of the chain, in order, until one answers. What the client has been sent by then decides
how the next answer may follow (``proxy.core.splice``). A hop that fails is passed over. If all fail, or no rule allows one, the refusal
stands: the client gets the original back, and the record says which rule decided.

Everything is bounded: how long an answer is held back, each hop, the attempts for a request and for a session within an hour. What is
recorded is recorded before the bytes that tell of it go out. If this code fails, the first answer goes on as it came (rule zero).
"""

from proxy.core.answer import Answer
from proxy.core.commands import (
    Abort,
    Ask,
    Chunk,
    End,
    Event,
    Failed,
    Finish,
    Keep,
    Note,
    Open,
    Opened,
    Read,
    Relay,
    Respond,
    Step,
    Tell,
    Told,
    Write,
)
from proxy.core.graft import Graft
from proxy.core.headers import first
from proxy.core.hops import HEAD_S, Hops
from proxy.core.ledger import Ledger
from proxy.core.marked import Marked
from proxy.core.passage import Ending, Left, Leg, Passage
from proxy.core.permission import Permission
from proxy.core.plan import Plan
from proxy.core.policy import chain
from proxy.core.relay import Watched, passing, unopened
from proxy.core.rephraser import Rephraser
from proxy.core.splice import Refused, Wire
from proxy.core.splice import event as made_event
from proxy.core.stay import Stay
from proxy.core.through import Through
from proxy.core.whole import Whole
from schemas.labels import Result, Ruling, Strategy


class Armed:
    """See the head of the module."""

    def __init__(self, plan: Plan, watched: Watched) -> None:
        assert watched.exchange is not None
        self._plan, self._watched, self._exchange = plan, watched, watched.exchange
        self._exchange.open = True
        self._own: Ruling | None = plan.against.ruling if plan.against else None
        """Why this request is not asked again, whatever comes."""
        self._exchange.ruling = self._own
        self._ledger = Ledger(self._exchange)
        self._asked = plan.asked.who.model or ""
        self._wire = Wire(model=self._asked, secret=plan.secret, guard=plan.guards)
        self._passage = Passage(watched, self._exchange.id, plan.clock, self._judge)
        self._hops = Hops(plan, self._wire, self._passage, self._ledger)
        self._permission = Permission(plan, watched, self._exchange, self._passage, self._hops)
        self._rephraser = Rephraser(plan, self._hops, self._ledger)
        self._first: Leg | None = None
        self._opener: Leg | None = None
        """In plain wire the attempt that opened the client's message, or would; its refusal is the one that stands."""
        self._stay = Stay(plan, self._exchange, self._wire, self._passage, self._hops, self._ledger)
        self._tried = -1
        """The entry of the chain that was tried last."""
        self._settled = False
        self._word: bytes | None = None
        """What the client gets where the refusal stands, once that is decided."""

    def run(self) -> Relay:
        """The relay."""
        try:
            yield from self._run()
        except Left:
            yield from self._stands(Ruling.LEFT)
            yield from self._watched.end(whole=False)
            yield Abort()
        except Exception as error:  # noqa: BLE001 - rule zero
            yield Note("retry.failed", error)
            yield from self._rescue()

    def _run(self) -> Relay:
        event = yield from self._ask_first()
        if not isinstance(event, Opened):
            yield from unopened(self._watched, event)
            return
        yield from self._watched.opened(event)
        leg = self._begin(event)
        if leg is None:
            yield from passing(self._watched, self._passage.as_it_came(event))
            return
        self._first = self._opener = leg
        self._passage.until = self._plan.clock() + self._plan.retry.hold_s
        ending: Ending = yield from self._passage.go(leg)
        while leg.reader.refused is not None:
            following = yield from self._again(leg)
            if isinstance(following, Ruling):
                yield from self._stand(leg, following)
                return
            leg, ending = following
            if not self._opener.shown and isinstance(leg.reader, Through) and leg.shown:
                self._opener = leg
        yield from self._unfinished(leg)
        yield from self._watched.count()
        yield Finish(ending.trailers) if isinstance(ending, End) else Abort()

    # the first attempt

    def _ask_first(self) -> Step[Event]:
        """Of the model that the conversation stays on, if it does; else as the client asked."""
        made = None if (yield from self._is_client_hop()) else (yield from self._stay.hop())
        if made is not None:
            event = yield from self._hops.open(made, HEAD_S if self._plan.asked.who.streamed else None)
            if isinstance(event, Opened) and event.status < 300:
                return event
            yield Note("pin.failed", facts={"model": self._wire.model, "status": getattr(event, "status", None)})
            self._stay.leave()
        request = self._plan.request
        self._ledger.began(self._asked)
        event = yield Open(request.method, request.target, self._hops.headers, request.body)
        if isinstance(event, Failed) and event.left:
            raise Left
        return event

    def _is_client_hop(self) -> Step[bool]:
        """The client's own answer to a refusal is left alone."""
        exchange = self._exchange
        if self._own is None and exchange.following.may():
            told = yield Ask(lambda _: exchange.following.seen())
            if isinstance(told, Told) and told.answer is not None:
                self._own = exchange.ruling = Ruling.CLIENT_HOP
                self._passage.id = exchange.record_id()
        return self._own is Ruling.CLIENT_HOP

    def _begin(self, head: Opened) -> Leg | None:
        """Who reads the first answer; None where it only passes."""
        kind = (first(head.headers, b"content-type") or "").lower()
        if head.status >= 300 or "amazon.eventstream" in kind:
            return None
        if "event-stream" in kind or (self._plan.asked.who.streamed is True and "json" not in kind):
            leg = Leg(head, self._hops.through(), self._wire.model, None)
        elif self._plan.retries:
            leg = Leg(head, Whole(self._wire, self._wire.model, marked=False), self._wire.model, None)
        else:
            return None
        return None if leg.decoder.failed else leg

    # after a refusal

    def _again(self, leg: Leg) -> Step[tuple[Leg, Ending] | Ruling]:
        """The next leg, which shows output or was declined as well; or the rule by which there is none."""
        refused = leg.reader.refused
        assert refused is not None
        if not leg.is_whole:
            yield from self._passage.drain(leg)
        if leg is self._first:
            yield from self._watched.finish(whole=not isinstance(leg.ending, Failed))
        self._ledger.ended(leg.answer or self._exchange.answer, Result.REFUSED, refused=refused)
        if self._passage.responded:
            self._passage.until = self._plan.clock() + self._plan.retry.hold_s
        if self._own is not None:
            return self._own
        if leg is self._first and self._stay.pin is not None:
            following = yield from self._turn_back(leg, refused)
            if following is not None:
                return following
        return (yield from self._go_on(leg, refused))

    def _turn_back(self, leg: Leg, refused: Refused) -> Step[tuple[Leg, Ending] | Ruling | None]:
        """The conversation stays no longer where it was declined: what the client asked is next, which is no route of ours."""
        yield from self._stay.end()
        ruling = yield from self._permission.against(leg, refused, but=(Ruling.CATEGORY, Ruling.ROUTES))
        if ruling is not None:
            return ruling
        yield from self._hand_over(leg, refused)
        return (yield from self._hops.try_entry({"model": self._asked}, leg, refused, Strategy.PRIMARY))

    def _go_on(self, leg: Leg, refused: Refused) -> Step[tuple[Leg, Ending] | Ruling]:
        """Along the chain, and at its end with a rephrased turn."""
        ruling = yield from self._permission.against(leg, refused)
        if ruling is not None:
            return ruling
        permitted = chain(self._plan.retry, self._asked, refused.category)
        entries = [n for n in permitted if n > self._tried and n != self._stay.entry]
        rephrases = self._rephraser.open_to(refused.category) and not self._passage.responded
        if not entries and not rephrases:
            return Ruling.EXHAUSTED if self._hops.sent else Ruling.ROUTES
        yield from self._hand_over(leg, refused)
        for self._tried in entries:
            following = yield from self._hops.try_entry(self._plan.retry.fallback[self._tried], leg, refused)
            if following is not None:
                return following
        if rephrases and (following := (yield from self._rephraser.again(leg))) is not None:
            return following
        if self._hops.sent:
            return Ruling.EXHAUSTED
        return Ruling.UNFIT if entries else Ruling.UNREPHRASED

    def _hand_over(self, leg: Leg, refused: Refused) -> Step[None]:
        """What was declined is at its end, and another answer may follow."""
        self._hops.lacked = None
        if self._wire.refused is refused:
            return
        if self._plan.wire == "marked" and isinstance(leg.reader, Through | Marked):
            yield from self._passage.write(leg, leg.reader.end_blocks())
        self._wire.absorb(refused, leg.model, next_index=leg.reader.next_index)

    # the end

    def _judge(self, leg: Leg) -> Step[None]:
        """Once an answer is decided: what it means is recorded before its end goes out."""
        answer = leg.answer or self._exchange.answer
        reason = answer.message.stop_reason
        if self._settled or reason is None or reason == "refusal":
            return
        self._settled = True
        if leg.answer is not None:
            yield from self._recovered(leg, answer)
        else:
            yield from self._stay.go_on()

    def _recovered(self, leg: Leg, answer: Answer) -> Step[None]:
        self._ledger.ended(answer, Result.ANSWERED)
        key = self._plan.key() if self._plan.sticky_s and leg.sticks else None
        pin = self._ledger.pin(key, leg.model, self._plan.sticky_s) if key else None
        if pin is not None:
            made = pin
            yield Tell(lambda counsel: counsel.stick(made))
        yield Keep(self._ledger.recovered(leg.model, pin))

    def _unfinished(self, leg: Leg) -> Step[None]:
        """A hop whose answer broke off after the client had been sent some of it."""
        if leg.answer is not None and not self._settled:
            self._ledger.ended(leg.answer, Result.CUT, "it broke off")
            yield from self._stands(Ruling.EXHAUSTED)

    def _stands(self, ruling: Ruling) -> Step[None]:
        if self._exchange.declined is not None and not self._settled:
            self._settled = True
            yield Keep(self._ledger.stands(ruling))

    def _stand(self, leg: Leg, ruling: Ruling) -> Relay:
        """The refusal stands."""
        assert self._opener is not None
        yield from self._stands(ruling)
        yield from self._watched.count()
        self._passage.answered_by = self._stay.model
        data, source = self._standing(self._opener, leg)
        self._passage.out = self._word = data
        yield from self._passage.write(self._opener, data, whole=True, last=True)
        if source is not None and source.ending is None and not self._hops.sent:
            source.reader.give_up()
            yield from self._passage.rest(source)
        ending = source.ending if source else None
        if isinstance(ending, Failed):
            yield Abort()
            return
        if source is not None and ending is None:  # it has been left
            yield Write(made_event({"type": "message_stop"}))
        yield Finish(ending.trailers if ending else ())

    def _standing(self, original: Leg, leg: Leg) -> tuple[bytes, Leg | None]:
        """What the client still gets, and whose end it is; None where it is made here."""
        if self._hops.sent and self._plan.wire == "marked":
            if self._wire.refused is not leg.reader.refused:
                return leg.reader.stand(), leg
            if isinstance(leg.reader, Whole):
                return leg.reader.exhausted(self._hops.lacked), None
            return self._wire.exhausted(self._hops.lacked), None
        ended = b""
        if self._wire.grafted and isinstance(leg.reader, Graft) and isinstance(original.reader, Through):
            original.reader.leave_open()
            ended = leg.reader.end_text()
        return ended + original.reader.stand(), original

    def _rescue(self) -> Relay:
        """Our own code failed. The first answer goes on as it came; of a later one nothing can be told."""
        try:
            ending = yield from self._rescued()
            yield from self._stands(Ruling.FAILED)
            yield from self._watched.count()
            yield Finish(ending.trailers) if isinstance(ending, End) else Abort()
        except Exception as error:  # noqa: BLE001 - rule zero has its end where nothing can be told any more
            yield Note("retry.failed", error)
            yield Abort()

    def _rescued(self) -> Step[Ending]:
        leg, request = self._first, self._plan.request
        if leg is not None and not self._hops.sent:
            return (yield from self._passage.rescue(leg))
        if leg is not None:
            if self._passage.responded:
                return Failed("of a later attempt nothing can be told", reached=True)
            yield from self._passage.write(
                leg, leg.reader.stand() if self._word is None else self._word, whole=True, last=True
            )
            return leg.ending or End()
        event = yield Open(request.method, request.target, request.headers, request.body)
        if not isinstance(event, Opened):
            return event if isinstance(event, Failed) else Failed("no answer", reached=False)
        yield from self._watched.opened(event)
        yield Respond(event.status, event.reason, event.headers)
        while isinstance(event := (yield Read()), Chunk):
            if self._watched.look(event.data):
                yield from self._watched.found()
            yield Write(event.data)
        ending = event if isinstance(event, End) else Failed("it was cut", reached=True)
        yield from self._watched.finish(whole=isinstance(ending, End))
        return ending
