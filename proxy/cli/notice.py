"""What ``demur run`` says on stderr of what was declined, and of what another model answered.

A line at once where there is no full screen, and one at the end. Nothing is said twice: where the lines came at once, the one at the end
only sums up what were several.
"""

import shlex
from collections import Counter
from collections.abc import Iterator
from threading import Lock

import click

from proxy.cli.words import STAGES, line
from schemas.labels import REPHRASED, Kind, Outcome, Strategy
from schemas.models import family
from schemas.records import Pin, Refusal, Update

_ASKED = {
    Outcome.RECOVERED_BY_API: " (asked by the API itself)",
    Outcome.RECOVERED_BY_CLIENT: " (asked by the client itself)",
}


def in_words(refusal: Refusal) -> str:
    """``cyber, before output, claude-opus-5, req_…``: the facts in a line, no text of anybody's."""
    what = (refusal.category or "no category") if refusal.kind == Kind.REFUSAL else refusal.kind.replace("_", " ")
    stage = STAGES[refusal.stage] if refusal.stage else None
    return ", ".join(fact for fact in (what, stage, refusal.model, refusal.request_id) if fact)


class Notice:
    """Collects refusals, what became of them, and later turns, from any thread."""

    def __init__(self, *, at_once: bool, db: str | None = None) -> None:
        self._at_once = at_once
        self._options = f" --db {shlex.quote(db)}" if db else ""
        self._lock = Lock()
        self._seen: dict[str, Refusal] = {}
        self._answered: dict[str, str] = {}
        self._turns: Counter[str] = Counter()

    def tell(self, refusal: Refusal, candidate: str | None = None) -> None:
        """A refusal was seen; ``candidate``: the strongest of what was new in it."""
        with self._lock:
            self._seen[refusal.id] = refusal
        self._say(f"declined: {in_words(refusal)}" + (f"; new in it: {candidate}" if candidate else ""))
        self._ended(refusal.id, refusal.outcome, refusal.answered_by)

    def follow(self, update: Update, pin: Pin | None) -> None:
        """Something became of one, or a later turn was answered by the model that the conversation stays on."""
        if update.turns_elsewhere and pin:
            with self._lock:
                self._turns[pin.answered_by] += update.turns_elsewhere
            self._say(f"a later turn was answered by {pin.answered_by}{_instead(pin.answered_by, pin.model)}")
        else:
            last = update.attempts[-1].strategy if update.attempts else None
            self._ended(update.refusal_id, update.outcome, update.answered_by, last)

    def close(self) -> None:
        """The session is over."""
        if summary := self._summary():
            _print(summary)

    def _ended(
        self, refusal_id: str, outcome: Outcome | None, answered_by: str | None, strategy: str | None = None
    ) -> None:
        if outcome in {None, Outcome.REFUSED, Outcome.UNKNOWN}:
            return
        model = answered_by or "another model"
        changed = f" after its last turn was rephrased ({strategy})" if strategy in REPHRASED else ""
        with self._lock:
            refusal = self._seen.get(refusal_id)
            self._answered[refusal_id] = f"{model}{changed}"
        back = " (the model that was asked for)" if strategy == Strategy.PRIMARY else ""
        instead = back or _instead(answered_by, refusal.model if refusal else None)
        self._say(f"answered by {model}{instead}{changed}{_ASKED.get(outcome, '')}")

    def _say(self, what: str) -> None:
        if self._at_once:
            _print(what)

    def _summary(self) -> str:
        """Empty where there is nothing to tell of."""
        said = "; ".join([*self._refusals(), *self._later()])
        if self._seen:
            where = f"`demur show {[*self._seen][-1]}{self._options}`"
        elif self._turns:
            where = f"`demur sticky list{self._options}`"
        else:
            return ""
        return f"{said}. See {where}." if said else f"see {where}."

    def _refusals(self) -> Iterator[str]:
        count = len(self._seen)
        if not count or (self._at_once and count == 1):
            return
        said = "a request was declined" if count == 1 else f"{count} requests were declined"
        if not self._at_once:
            said += f"{':' if count == 1 else ', the last:'} {in_words([*self._seen.values()][-1])}"
        yield said
        for model, n in Counter(self._answered[name] for name in self._seen if name in self._answered).items():
            yield f"{'it' if count == 1 else f'{n} of them'} {'was' if n == 1 else 'were'} answered by {model}"

    def _later(self) -> Iterator[str]:
        if self._at_once and self._turns.total() == 1:
            return
        for model, n in self._turns.items():
            yield f"{n} further {'turn was' if n == 1 else 'turns were'} answered by {model}"


def _print(what: str) -> None:
    click.echo(f"demur: {line(what)}", err=True)


def _instead(answered_by: str | None, asked: str | None) -> str:
    """`` instead of claude-opus-5``, unless it is the same one."""
    return f" instead of {asked}" if asked and family(answered_by or "") != family(asked) else ""
