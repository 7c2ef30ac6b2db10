"""What ``demur run`` says on stderr about what was declined: a line at once where there is no full screen, and one at the end."""

import shlex
from threading import Lock

import click

from schemas.labels import Kind, Outcome
from schemas.records import Refusal


def in_words(refusal: Refusal) -> str:
    """``cyber, before output, claude-opus-5, req_…``: the facts in a line, no text of anybody's."""
    what = (refusal.category or "no category") if refusal.kind == Kind.REFUSAL else refusal.kind.replace("_", " ")
    stage = refusal.stage.replace("_", " ") if refusal.stage else None
    return ", ".join(fact for fact in (what, stage, refusal.model, refusal.request_id) if fact)


class Notice:
    """Collects refusals from any thread."""

    def __init__(self, *, at_once: bool, db: str | None = None) -> None:
        self._at_once = at_once
        self._options = f" --db {shlex.quote(db)}" if db else ""
        self._lock = Lock()
        self._seen: list[Refusal] = []

    def tell(self, refusal: Refusal) -> None:
        """A refusal was seen."""
        with self._lock:
            self._seen.append(refusal)
        if self._at_once:
            ended = "" if refusal.outcome == Outcome.REFUSED else f" ({refusal.outcome.replace('_', ' ')})"
            click.echo(f"demur: declined: {in_words(refusal)}{ended}", err=True)

    def close(self) -> None:
        """The session is over."""
        if not self._seen:
            return
        last = self._seen[-1]
        count = "a request was declined" if len(self._seen) == 1 else f"{len(self._seen)} requests were declined"
        facts = (
            "" if self._at_once else f": {in_words(last)}" if len(self._seen) == 1 else f", the last: {in_words(last)}"
        )
        click.echo(f"demur: {count}{facts}. See `demur show {last.id}{self._options}`.", err=True)
