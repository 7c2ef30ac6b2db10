"""How a declined flow is marked, so that it is seen and found in mitmproxy: ``~marked``, ``~comment declined``."""

from collections.abc import Sequence

from mitmproxy.http import HTTPFlow

from schemas.labels import Kind
from schemas.records import Refusal

SIGN = ":no_entry_sign:"
METADATA = "demur"
_OPENING = "declined: "


def mark(flow: HTTPFlow, refusals: Sequence[Refusal]) -> None:
    """Marks a flow by what it was declined for. A mark and a comment that a person made stay."""
    flow.marked = flow.marked or SIGN
    said = flow.comment.partition(_OPENING)[0].rstrip()
    flow.comment = f"{said} {_OPENING}{in_words(refusals)}".lstrip()
    first = refusals[0]
    facts = {name: getattr(first, name) for name in ("id", "kind", "category", "stage", "outcome", "request_id")}
    flow.metadata[METADATA] = {name: None if fact is None else str(fact) for name, fact in facts.items()}


def in_words(refusals: Sequence[Refusal]) -> str:
    """``cyber, before output, req_…``."""
    first = refusals[0]
    what = (first.category or "no category") if first.kind == Kind.REFUSAL else first.kind.replace("_", " ")
    stage = first.stage.replace("_", " ") if first.stage else None
    answered = f"answered by {first.answered_by}" if first.answered_by else None
    more = f"and {len(refusals) - 1} more" if len(refusals) > 1 else None
    return ", ".join(filter(None, [what, stage, answered, first.request_id, more]))
