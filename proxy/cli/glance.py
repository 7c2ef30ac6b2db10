"""One refusal at a glance, for a person who is about to judge it: what it was and what was new in it. Metadata; the text is asked for apart."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from proxy.cli import annotations, course, words
from proxy.cli import candidates as new
from proxy.cli.layout import fit, folded, wrapped

if TYPE_CHECKING:
    from proxy.store import Store
    from schemas.records import Refusal, Segment

LEAST = 3
"""New segments that are shown however low the screen is."""


def facts(store: "Store", refusal: "Refusal") -> Iterator[tuple[str, str]]:
    """Title and fact; what is not known is left out."""
    others = len(store.incident(refusal.incident_id or refusal.id)) - 1
    when = words.STAGES[refusal.stage] if refusal.stage else ""
    waited = f"{refusal.ms_to_refusal:,} ms" if refusal.ms_to_refusal is not None else ""
    yield "category", ", ".join(fact for fact in (words.category(refusal), when, waited) if fact)
    yield "model", f"{words.line(refusal.model or 'unknown')}, {course.outcome(refusal)}"
    turn = f", turn {refusal.turn}" if refusal.turn else ""
    project = f", project {words.line(refusal.project)}" if refusal.project else ""
    yield "asked by", f"{words.ROLES[refusal.role]}{turn}{project}"
    if others > 0:
        yield "incident", f"{words.count(others, 'refusal')} more of the same"
    yield from annotations.facts(annotations.without_words(store.annotations(refusal.id)))


def news(refusal: "Refusal", segments: "list[Segment]", room: int, height: int) -> Iterator[str]:
    """What was new, the strongest candidates first, so many of them at most; each with the number of its segment."""
    from proxy.core.news import candidates

    found = candidates(segments)
    if not segments:
        yield "Of the request nothing is known."
    elif all(one.new is None for one in segments):
        yield f"What was new in it is not known: {words.count(len(segments), 'segment')}."
    elif not found:
        yield "Nothing in it was new."
    else:
        if compared := new.sentence(refusal):
            yield wrapped(f"{compared[0].upper()}{compared[1:]}.", room)
        shown = found[: max(height, LEAST)]
        yield f"New in it, {words.count(len(found), 'segment')}; candidates, the strongest first:"
        for one in shown:
            yield f"{one.n:>5}  {wrapped(new.described(one), room, 7)}"
        if more := len(found) - len(shown):
            yield f"  and {more:,} more: `demur show` has all"


def text(store: "Store", refusal: "Refusal", room: int) -> Iterator[str]:
    """The text of the request, what was new first, in lines of at most so many columns; read as far as it is asked for."""
    from proxy.cli.content import readable
    from proxy.core.news import candidates
    from proxy.database import StoreError

    segments = store.segments(refusal.id)
    found = candidates(segments)
    for one in [*found, *(one for one in reversed(segments) if not one.new)]:
        yield fit(f"── segment {one.n}, {new.described(one)}{', new' * bool(one.new)} ", room).rstrip()
        try:
            said = readable(store.content(one.content))
        except StoreError:
            said = "(not stored)"
        yield from folded(said, max(room, 2))
