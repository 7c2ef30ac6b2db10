"""Where a conversation stays: its later turns go to the model that answered a declined one, until that one fails, declines, or its time is over."""

from typing import Any

from proxy.core.commands import Ask, Keep, Step, Tell, Told
from proxy.core.exchange import Exchange
from proxy.core.fitness import Unfit
from proxy.core.hop import Hop
from proxy.core.hops import Hops
from proxy.core.ledger import Ledger, moved, turn_elsewhere, unpinned
from proxy.core.passage import Passage
from proxy.core.plan import Plan
from proxy.core.splice import Wire
from schemas.labels import Strategy
from schemas.records import Pin


class Stay:
    """Of one exchange."""

    def __init__(
        self, plan: Plan, exchange: Exchange, wire: Wire, passage: Passage, hops: Hops, ledger: Ledger
    ) -> None:
        self.pin: Pin | None = None
        """Where it stays, if anywhere."""
        self.entry = -1
        """The entry of the chain that this is."""
        self._plan, self._exchange, self._wire = plan, exchange, wire
        self._passage, self._hops, self._ledger = passage, hops, ledger

    @property
    def model(self) -> str | None:
        """The model that it stays on."""
        return self.pin.answered_by if self.pin else None

    def hop(self) -> Step[Hop | None]:
        """The request for the model that it stays on; None where there is none, or that model cannot take it."""
        if not self._plan.sticky_s:
            return None
        told = yield Ask(self._pin_of)
        pin = told.answer if isinstance(told, Told) else None
        models = [str(entry["model"]) for entry in self._plan.retry.fallback]
        if not isinstance(pin, Pin) or pin.answered_by not in models:
            return None
        entry = models.index(pin.answered_by)
        made = self._hops.made(self._plan.retry.fallback[entry])
        if isinstance(made, Unfit):
            return None
        self._go(pin, entry)
        self._ledger.began(pin.answered_by, Strategy.STICKY)
        return made

    def leave(self) -> None:
        """The model failed: this turn goes on as the client asked."""
        self._go(None, -1)

    def go_on(self) -> Step[None]:
        """The model answered: so the next turn goes there too."""
        if self.pin is not None:
            pin = moved(self.pin, self._exchange.now(), self._plan.sticky_s)
            yield Tell(lambda counsel: counsel.stick(pin))
            yield Keep(turn_elsewhere(pin))

    def end(self) -> Step[None]:
        """The model declined: no later turn goes there."""
        assert self.pin is not None
        pin = self.pin
        yield Tell(lambda counsel: counsel.unstick(pin))
        yield Keep(unpinned(pin, self._exchange.now()))

    def _pin_of(self, counsel: Any) -> Pin | None:
        """None too where a person judged correct what this request holds: then it is for the model that was asked to decline."""
        key = self._plan.key()
        pin: Pin | None = counsel.pin(key) if key else None
        if pin is None:
            return None
        exchange, session = self._exchange, self._plan.asked.who.session_id
        return None if counsel.judged_correct(exchange.asked(), session, exchange.marks()) else pin

    def _go(self, pin: Pin | None, entry: int) -> None:
        self.pin, self.entry = pin, entry
        self._passage.answered_by = self._hops.resting = self._exchange.model = self.model
        self._wire.model = self.model or self._plan.asked.who.model or ""
