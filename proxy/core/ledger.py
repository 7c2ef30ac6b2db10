"""What became of a declined request: every attempt in order, and how it ended. Made into updates of the record that was kept first."""

from msgspec.structs import replace

from proxy.core.answer import Answer
from proxy.core.exchange import Exchange, Maker
from proxy.core.splice import Refused
from proxy.core.stamps import stamp
from proxy.core.tries import LEFT
from schemas.labels import REPHRASED, Outcome, Result, Ruling, Strategy
from schemas.records import Attempt, Entry, Pin, Rephrasing, Update


class Ledger:
    """Of one exchange. ``began`` starts each attempt, ``ended`` adds it."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._attempts: list[Attempt] = []
        self._rephrasings: list[Rephrasing] = []
        self._model: str | None = None
        self._strategy: Strategy | None = None
        self._answer: Answer | None = None
        self._open = False
        self._at = exchange.now()

    def began(self, model: str | None, strategy: Strategy | None = None) -> None:
        """An attempt was sent; ``strategy`` is None for the client's own."""
        self._model, self._strategy, self._at = model, strategy, self._exchange.now()
        self._answer, self._open = None, True

    def opened(self, answer: Answer) -> None:
        """Its answer begins to come."""
        self._answer = answer

    def ended(
        self, answer: Answer | None, result: Result, why: str | None = None, refused: Refused | None = None
    ) -> None:
        """It came to an end; ``why`` in a few words of ours; ``refused``: what a declined one left behind."""
        self._open = False
        message, usage = (answer.message, answer.message.usage) if answer else (None, None)
        self._attempts.append(
            Attempt(
                n=-1 if self._exchange.known else len(self._attempts),
                by="demur" if self._strategy else "client",
                model=self._model,
                outcome=result,
                category=message.category if message and result is Result.REFUSED else None,
                input_tokens=usage.input_tokens if usage else None,
                output_tokens=usage.output_tokens if usage else None,
                strategy=self._strategy,
                status=(answer.status or None) if answer else None,
                request_id=answer.request_id if answer else None,
                message_id=message.id if message else None,
                ms=int((self._exchange.now() - self._at) * 1000),
                why=why,
                shown=refused.shown if refused else None,
                tools_held=refused.held if refused else None,
            )
        )

    def rephrased(self, strategy: Strategy, original: str, sent: str) -> None:
        """What the next attempt changes; nothing where no text of a request is to be kept."""
        if not self._exchange.keeps_text:
            return
        clean = self._exchange.clean
        self._rephrasings.append(
            Rephrasing(n=len(self._attempts), strategy=strategy, original=clean(original), sent=clean(sent))
        )

    def recovered(self, model: str, pin: Pin | None) -> Maker:
        """It was answered, by ``model``."""
        self._exchange.outcome, self._exchange.answered_by = Result.RECOVERED_BY_DEMUR, model
        self._exchange.changed = self._strategy in REPHRASED
        update = self._update(Ruling.RECOVERED)
        update.outcome, update.answered_by = Outcome.RECOVERED_BY_DEMUR, model
        return lambda: Entry(updates=[update], pins=[pin] if pin else [])

    def stands(self, ruling: Ruling) -> Maker:
        """It was not, for this reason."""
        self._exchange.outcome = Result.REFUSED
        if ruling is Ruling.LEFT:
            self._cut_off()
        update = self._update(ruling)

        def make() -> Entry:
            update.refusal_id = self._exchange.id
            if ruling is not Ruling.LEFT:
                self._exchange.reached()
            return Entry(updates=[update])

        return make

    def _cut_off(self) -> None:
        """A further attempt that was under way when the client left was sent, and costs what it costs."""
        if not self._open or self._strategy in (None, Strategy.STICKY):
            return
        if (answer := self._answer) is not None:
            answer.finish(whole=False)
        if answer is not None and answer.message.stop_reason == "refusal":
            self.ended(answer, Result.REFUSED)
        else:
            self.ended(answer, Result.CUT, LEFT)

    def pin(self, key: str, answered_by: str, seconds: float) -> Pin:
        """The conversation stays where it was answered."""
        who, now = self._exchange.who(), self._exchange.now()
        return Pin(
            key=key,
            session_id=who.session_id or "",
            agent_id=who.agent_id,
            model=who.model or "",
            answered_by=answered_by,
            at=stamp(now),
            until=stamp(now + seconds),
            refusal_id=self._exchange.id,
        )

    def _update(self, ruling: Ruling) -> Update:
        return Update(
            refusal_id=self._exchange.id,
            ruling=None if self._exchange.known else ruling,
            attempts=self._attempts,
            rephrasings=self._rephrasings,
        )


def moved(pin: Pin, now: float, seconds: float) -> Pin:
    """A pin after one more turn."""
    return replace(pin, until=max(pin.until, stamp(now + seconds)), turns=pin.turns + 1)


def unpinned(pin: Pin, now: float) -> Maker:
    """The conversation stays there no longer."""
    return lambda: Entry(pins=[replace(pin, until=stamp(now))])


def turn_elsewhere(pin: Pin) -> Maker:
    """A later turn was answered by the model that a conversation stays on."""
    updates = [Update(refusal_id=pin.refusal_id, turns_elsewhere=1)] if pin.refusal_id else []
    return lambda: Entry(updates=updates, pins=[pin])
