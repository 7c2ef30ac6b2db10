"""A mail in plain text: a subject, and the facts one refusal after the other."""

from collections.abc import Iterator

from proxy.report import facts
from proxy.report.pack import Pack

_TITLE = 30


def mail(made: Pack) -> str:
    """Its subject stands on the first line."""
    return "\n".join(_lines(made)).rstrip() + "\n"


def block(told: Iterator[facts.Fact]) -> Iterator[str]:
    """Facts under one another, their titles in a column; a text of several lines is indented."""
    for title, text in told:
        first, *more = text.split("\n")
        yield f"  {title + ':':<{_TITLE}}{first}".rstrip()
        yield from (f"  {'':<{_TITLE}}{line}".rstrip() for line in more)


def quoted(text: str) -> Iterator[str]:
    """A text of others, each line behind a mark."""
    yield from (f"  | {line}".rstrip() for line in text.split("\n"))


def event(one: facts.Told) -> Iterator[str]:
    """All of one refusal."""
    yield from block(iter(one.facts))
    if one.explanation:
        yield "  In the API's own words:"
        yield from quoted(one.explanation)
    if one.candidates:
        yield "  New since the last accepted request (candidates, never the cause):"
        yield from (f"    {line}" for line in one.candidates.split("\n"))
    for note in one.event.notes:
        yield "  What the person says of it:"
        yield from quoted(note)
    for chosen in one.event.excerpts:
        yield f"  Segment {chosen.n} ({chosen.kind}), chosen by the person who reports:"
        yield from quoted(chosen.text)


def _lines(made: Pack) -> Iterator[str]:
    yield f"Subject: {facts.title(made)}"
    yield ""
    yield f"The API's safeguards {'declined' if facts.is_sure(made) else 'may have declined'} requests of ours. These are the facts as they were recorded on our side."
    yield ""
    yield from block(facts.summary(made))
    yield from block(facts.machine(made))
    if common := facts.shared(made):
        yield ""
        yield "The same for each of them"
        yield from block(iter(common))
    for one in facts.told(made):
        yield ""
        yield one.head
        yield from event(one)
    for head, text in facts.pairs(made):
        yield ""
        yield f"The same content, {head}"
        yield from quoted(text)
