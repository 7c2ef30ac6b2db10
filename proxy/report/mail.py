"""A mail in plain text: a subject, and the facts one refusal after the other, in lines of ``WIDTH`` characters (RFC 5322, 2.1.1).

Lines are folded at spaces alone, so that ids, models and hashes stay whole: a word that is longer is cut at ``LONGEST`` only.
"""

from collections.abc import Iterator
from functools import partial
from textwrap import TextWrapper

from proxy.report import facts
from proxy.report.pack import Pack

WIDTH = 78
LONGEST = 240
"""Characters of a word: no server has to take a line of more than 998 bytes."""
_TITLE = 30
_FOLD = partial(
    TextWrapper, break_long_words=False, break_on_hyphens=False, expand_tabs=False, replace_whitespace=False
)


def mail(made: Pack) -> str:
    """Its subject stands on the first line."""
    return "\n".join(_lines(made)).rstrip() + "\n"


def block(told: Iterator[facts.Fact]) -> Iterator[str]:
    """Facts under one another, their titles in a column; a text of several lines is indented."""
    for title, text in told:
        first, *more = folded(text, WIDTH - _TITLE - 2)
        yield f"  {title + ':':<{_TITLE}}{first}".rstrip()
        yield from (f"  {'':<{_TITLE}}{line}".rstrip() for line in more)


def quoted(text: str) -> Iterator[str]:
    """A text of others, each line behind a mark."""
    yield from (f"  | {line}".rstrip() for line in folded(text, WIDTH - 4))


def folded(text: str, width: int = WIDTH) -> Iterator[str]:
    """The lines of a text, the long ones as several."""
    for line in text.split("\n"):
        if len(line) <= width:
            yield line
            continue
        words = " ".join(part for word in line.split(" ") for part in _parts(word))
        yield from _FOLD(width).wrap(words) or [""]


def _parts(word: str) -> Iterator[str]:
    yield from (word[n : n + LONGEST] for n in range(0, max(len(word), 1), LONGEST))


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
    yield from folded(
        f"The API's safeguards {'declined' if facts.is_sure(made) else 'may have declined'} requests of ours. These are the facts as they were recorded on our side."
    )
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
        yield from folded(f"The same content, {head}")
        yield from quoted(text)
