"""Where the ways in hand over what they saw: made into an entry, given to the writer, told to whoever listens. Never raises."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import structlog

from proxy import logs
from proxy.core.exchange import Maker
from proxy.core.news import candidates, named
from proxy.later import Later
from proxy.loops import Loops
from schemas.records import Entry, Pin, Refusal, Traffic, Update

_log = structlog.get_logger("demur")


class Sink(Protocol):
    """The writer, as the keeper needs it."""

    def put(self, entry: Entry) -> bool:
        """Spool an entry; False where it could not be."""

    def count(self, traffic: Traffic) -> None:
        """Add one to a traffic count."""


_EMPTY = Entry()


class Keeper:
    """``tell`` is called with each refusal and its first candidate in a few words, and ``follow`` with what became of one, in the thread that keeps it.

    ``later``: where what was declined is annotated, once it is kept.
    """

    def __init__(
        self,
        sink: Sink,
        tell: Callable[[Refusal, str | None], None] | None = None,
        follow: Callable[[Update, Pin | None], None] | None = None,
        later: Later | None = None,
    ) -> None:
        self._sink, self._tell, self._follow, self._later = sink, tell, follow, later
        self._loops = Loops()

    def keep(self, make: Maker) -> None:
        """Make an entry and spool it. Takes milliseconds, and longer for a request of many megabytes."""
        try:
            entry = make()
            kept = entry == _EMPTY or self._sink.put(entry)
            for n, refusal in enumerate(entry.refusals):
                self._say(refusal, None if n else _candidate(entry), kept=kept)
            if self._later is not None and entry.refusals and entry.contents:
                self._later.do(partial(self._annotate, entry))
            for update in entry.updates:
                self._say_more(update, next(iter(entry.pins), None))
        except Exception as error:  # noqa: BLE001 - rule zero
            logs.failed("entry.failed", error)

    def count(self, traffic: Traffic) -> None:
        """Count one exchange."""
        try:
            self._sink.count(traffic)
        except Exception as error:  # noqa: BLE001 - rule zero
            logs.failed("count.failed", error)

    def _annotate(self, entry: Entry) -> None:
        from proxy.core.annotate import annotate
        from proxy.language import detector

        found = annotate(entry.segments, entry.contents, language=detector())
        self._sink.put(Entry(annotations={entry.refusals[0].id: found}))

    def _say(self, refusal: Refusal, candidate: str | None, *, kept: bool) -> None:
        _log.info(
            "refusal.seen",
            id=refusal.id,
            kind=refusal.kind,
            category=refusal.category,
            stage=refusal.stage,
            outcome=refusal.outcome,
            model=refusal.model,
            answered_by=refusal.answered_by,
            request_id=refusal.request_id,
            candidate=candidate,
            spooled=kept,
        )
        self._loops.seen(refusal)
        if self._tell:
            self._tell(refusal, candidate)

    def _say_more(self, update: Update, pin: Pin | None) -> None:
        if update.turns_elsewhere and pin:
            _log.info("turn.answered_elsewhere", id=update.refusal_id, model=pin.model, answered_by=pin.answered_by)
        else:
            _log.info(
                "refusal.ended",
                id=update.refusal_id,
                ruling=update.ruling,
                outcome=update.outcome,
                answered_by=update.answered_by,
                attempts=len(update.attempts),
            )
        if self._follow:
            self._follow(update, pin)


def _candidate(entry: Entry) -> str | None:
    """The strongest of what was new, in a few words; None where that is not known, or where all was new."""
    if all(one.new is not False for one in entry.segments):
        return None
    return next((named(one) for one in candidates(entry.segments)), None)
