"""What was new in a declined request, as ``demur show`` tells it: beside what it was compared, and the candidates, strongest first."""

from collections.abc import Iterator

import click

from proxy.cli import words
from proxy.cli.hearsay import compared
from proxy.cli.layout import wrapped
from schemas.labels import History, Label
from schemas.records import Refusal, Segment

SHOWN = 8
"""How many candidates are named one by one."""
_HISTORIES = {
    History.FIRST: "nothing of yours had been accepted yet in this conversation: all that is new in its first request is a candidate, also what"
    " the client had put in",
    History.GROWN: "the conversation had gone on from",
    History.SAME: "you, a tool and the model had said nothing more since",
    History.EDITED: "earlier messages had been changed or taken out since",
    History.COMPACTED: "the conversation had been compacted since",
    History.CLEARED: "a new conversation had been begun in the session since",
    History.RESUMED: "the conversation goes on from another session's, of which was known",
    History.UNSEEN: "demur saw no accepted request of this conversation, so what was new is not known",
}


_LABELS: dict[str, str] = {Label.MEMORY: "CLAUDE.md or memory", Label.ENVIRONMENT: "facts about the machine"}


def sentence(refusal: Refusal) -> str | None:
    """Beside what it was compared, or why with nothing; None where nothing is known of that."""
    if refusal.history is None:
        return compared(refusal)
    if refusal.history not in set(History):
        return None
    said = _HISTORIES[History(refusal.history)]
    return f"{said} {_accepted(refusal)}" if refusal.history not in (History.FIRST, History.UNSEEN) else said


def _accepted(refusal: Refusal) -> str:
    turn = f", prompt {refusal.accepted_turn}" if refusal.accepted_turn else ""
    by = f", by {words.line(refusal.accepted_model)}" if refusal.accepted_model else ""
    request_id = f", {words.line(refusal.accepted_request_id)}" if refusal.accepted_request_id else ""
    return f"the last accepted request ({words.moment(refusal.accepted_at or '')}{turn}{by}{request_id})"


def show(found: list[Segment], room: int, *, full: bool = False) -> None:
    """The candidates, one by one; the first few unless ``full``."""
    if not found:
        return
    click.echo(
        "\n" + click.style("New, so candidates", bold=True) + click.style(" (not known to be the cause)", dim=True)
    )
    shown = len(found) if full else SHOWN
    for n, segment in enumerate(found[:shown], start=1):
        head = f"  {n}. "
        click.echo(head + wrapped(described(segment) + click.style(f"  {_where(segment)}", dim=True), room, 5))
    if more := found[shown:]:
        size = words.size(sum(one.bytes for one in more))
        click.echo(click.style(f"  and {words.count(len(more), 'further segment')}, {size}: --full", dim=True))


def described(segment: Segment) -> str:
    """``tool result, Read /x/scan.pdf, application/pdf, 3 pages, 14 kB``."""
    return ", ".join(_facts(segment))


def _where(segment: Segment) -> str:
    return f"segment {segment.n}, {words.line(segment.path)}"


def _facts(segment: Segment) -> Iterator[str]:
    yield _LABELS.get(segment.label) or (
        "tool result" if segment.label == Label.MEDIA and segment.tool else str(segment.label).replace("_", " ")
    )
    if named := " ".join(words.line(name) for name in (segment.tool, segment.target) if name):
        yield named
    if segment.media:
        yield words.line(segment.media)
    if segment.pages:
        yield words.count(segment.pages, "page")
    yield words.size(segment.bytes)
