"""How a declined flow is marked, so that it is seen and found in mitmproxy: ``~marked``, ``~comment declined``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mitmproxy.http import HTTPFlow
from msgspec.structs import replace

from proxy.core.exchange import Maker
from proxy.logs import failed
from schemas.labels import Kind, Stage
from schemas.records import Entry, Refusal, Traffic, Update

if TYPE_CHECKING:
    from proxy.drive import Keeper

SIGN = ":no_entry_sign:"
METADATA = "demur"
_OPENING = "declined: "
_STAGES = {Stage.BEFORE_OUTPUT: "before output", Stage.MID_STREAM: "mid-stream"}
_FACTS = ("id", "kind", "category", "stage", "outcome", "answered_by", "request_id")


class Marker:
    """A keeper for one flow: what is kept is marked on it."""

    def __init__(self, keeper: "Keeper", flow: HTTPFlow) -> None:
        self._keeper, self._flow = keeper, flow
        self._declined: list[Refusal] = []

    def keep(self, make: Maker) -> None:
        """See ``Keeper``."""
        self._keeper.keep(lambda: self._marked(make()))

    def count(self, traffic: Traffic) -> None:
        """See ``Keeper``."""
        self._keeper.count(traffic)

    def _marked(self, entry: Entry) -> Entry:
        try:
            self._mark(entry)
        except Exception as error:  # noqa: BLE001 - rule zero: the record counts, not the mark
            failed("mark.failed", error)
        return entry

    def _mark(self, entry: Entry) -> None:
        self._declined += entry.refusals
        for update in entry.updates:
            self._declined = [_ended(refusal, update) for refusal in self._declined]
        if self._declined:
            mark(self._flow, self._declined)
        elif entry.pins:
            self._flow.comment = f"{self._flow.comment} answered by {entry.pins[0].answered_by}".lstrip()
            self._flow.metadata[METADATA] = {"answered_by": entry.pins[0].answered_by}


def mark(flow: HTTPFlow, refusals: Sequence[Refusal]) -> None:
    """Marks a flow by what it was declined for. A mark and a comment that a person made stay."""
    flow.marked = flow.marked or SIGN
    said = flow.comment.partition(_OPENING)[0].rstrip()
    flow.comment = f"{said} {_OPENING}{in_words(refusals)}".lstrip()
    facts = {name: getattr(refusals[0], name) for name in _FACTS}
    flow.metadata[METADATA] = {name: None if fact is None else str(fact) for name, fact in facts.items()}


def in_words(refusals: Sequence[Refusal]) -> str:
    """``cyber, before output, answered by claude-opus-4-8, req_…``."""
    first = refusals[0]
    what = (first.category or "no category") if first.kind == Kind.REFUSAL else first.kind.replace("_", " ")
    stage = _STAGES[first.stage] if first.stage else None
    answered = f"answered by {first.answered_by}" if first.answered_by else None
    more = f"and {len(refusals) - 1} more" if len(refusals) > 1 else None
    return ", ".join(filter(None, [what, stage, answered, first.request_id, more]))


def _ended(refusal: Refusal, update: Update) -> Refusal:
    """A refusal, with what became of it."""
    if update.refusal_id != refusal.id or update.outcome is None:
        return refusal
    return replace(refusal, outcome=update.outcome, answered_by=update.answered_by)
