"""Where the ways in hand over what they saw: made into an entry, given to the writer, told to whoever listens. Never raises."""

from collections.abc import Callable
from typing import Protocol

import structlog

from proxy import logs
from proxy.core.exchange import Maker
from schemas.records import Entry, Refusal, Traffic

_log = structlog.get_logger("demur")


class Sink(Protocol):
    """The writer, as the keeper needs it."""

    def put(self, entry: Entry) -> bool:
        """Spool an entry; False where it could not be."""

    def count(self, traffic: Traffic) -> None:
        """Add one to a traffic count."""


class Keeper:
    """``tell`` is called with each refusal, in the thread that keeps it."""

    def __init__(self, sink: Sink, tell: Callable[[Refusal], None] | None = None) -> None:
        self._sink, self._tell = sink, tell

    def keep(self, make: Maker) -> None:
        """Make an entry and spool it. Takes milliseconds, and longer for a request of many megabytes."""
        try:
            entry = make()
            kept = self._sink.put(entry)
            for refusal in entry.refusals:
                self._say(refusal, kept=kept)
        except Exception as error:  # noqa: BLE001 - rule zero
            logs.failed("entry.failed", error)

    def count(self, traffic: Traffic) -> None:
        """Count one exchange."""
        try:
            self._sink.count(traffic)
        except Exception as error:  # noqa: BLE001 - rule zero
            logs.failed("count.failed", error)

    def _say(self, refusal: Refusal, *, kept: bool) -> None:
        _log.info(
            "refusal.seen",
            id=refusal.id,
            kind=refusal.kind,
            category=refusal.category,
            stage=refusal.stage,
            outcome=refusal.outcome,
            model=refusal.model,
            request_id=refusal.request_id,
            spooled=kept,
        )
        if self._tell:
            self._tell(refusal)
