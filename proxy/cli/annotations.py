"""What demur found by itself, what to do, and what it cost, as ``demur show`` tells it. No prompt text."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from msgspec.structs import replace

from proxy.cli import words
from proxy.cli.layout import wrapped
from proxy.core.costs import Cost
from proxy.core.links import Link
from schemas.records import Annotation

LANGUAGES = dict(
    pair.split(":")
    for pair in (
        "ar:Arabic be:Belarusian bg:Bulgarian bn:Bengali ca:Catalan cs:Czech da:Danish de:German el:Greek en:English es:Spanish"
        " et:Estonian fa:Persian fi:Finnish fr:French gu:Gujarati he:Hebrew hi:Hindi hr:Croatian hu:Hungarian hy:Armenian"
        " id:Indonesian it:Italian ja:Japanese ka:Georgian kk:Kazakh km:Khmer kn:Kannada ko:Korean lo:Lao lt:Lithuanian"
        " lv:Latvian ml:Malayalam mn:Mongolian my:Burmese nl:Dutch no:Norwegian pa:Punjabi pl:Polish pt:Portuguese ro:Romanian"
        " ru:Russian si:Sinhala sk:Slovak sl:Slovenian sq:Albanian sr:Serbian sv:Swedish ta:Tamil te:Telugu th:Thai tr:Turkish"
        " uk:Ukrainian ur:Urdu uz:Uzbek vi:Vietnamese zh:Chinese"
    ).split()
)
"""Names of languages by ISO 639-1."""
_TITLES = {
    "layout": "keyboard",
    "domain": "field",
    "marker": "test string",
}
"""Where the name of an annotation is not its title."""
_QUOTING = frozenset({"domain"})
"""Annotations whose evidence names single words."""
_CERTAIN = 1.0
_SMALLEST = 0.01


def without_words(annotations: Sequence[Annotation]) -> list[Annotation]:
    """Without what names words of a text: of demur's own tables, but whoever reads them may be declined for them."""
    return [replace(one, evidence=[]) if one.name in _QUOTING else one for one in annotations]


def facts(annotations: Sequence[Annotation]) -> Iterator[tuple[str, str]]:
    """Titles and sentences, in the order in which they were found. An annotation of a later version is told as it is."""
    for name, group in groupby(annotations, key=lambda found: found.name):
        for n, found in enumerate(group):
            yield "" if n else words.line(_TITLES.get(name, name)), _sentence(found)


def advice_lines(advice: Sequence[str], room: int) -> list[str]:
    """Each step, wrapped, behind a bullet; for a terminal of so many columns."""
    lines = (wrapped(words.line(step), room, 4) for step in advice)
    return [part for line in lines for part in f"  - {line}".split("\n")]


def link_lines(links: Sequence[Link], room: int) -> list[str]:
    """Each address with its title and when it was last seen; a long one is not broken."""
    told = (f"{one.title} ({one.seen}{', ' * bool(one.note)}{one.note}): {one.url}" for one in links)
    return [part for line in told for part in f"  - {wrapped(line, room, 4)}".split("\n")]


def cost_sentence(cost: Cost) -> str:
    """Tokens, attempts, time, and money only where there are prices. Empty where nothing is known."""
    return "; ".join(_costs(cost))


def language(code: str) -> str:
    """The name of a language, or its code where we have no name for it."""
    return LANGUAGES.get(code, words.line(code))


def _sentence(found: Annotation) -> str:
    sure = f" (confidence {found.confidence:.2g})" if found.confidence < _CERTAIN else ""
    evidence = words.line(", ".join(found.evidence))
    return f"{_value(found)}{sure}" + (f": {evidence}" if evidence else "")


def _value(found: Annotation) -> str:
    match found.name:
        case "language":
            return language(found.value)
        case "domain":
            return f"perhaps {words.line(found.value).replace('_', ' ')}"
        case "layout":
            return f"looks like {words.line(found.value)}"
        case _:
            return words.line(found.value)


def _costs(cost: Cost) -> Iterator[str]:
    counts = (
        (cost.input_tokens, "in"),
        (cost.output_tokens, "out"),
        (cost.cache_read_tokens, "read from the cache"),
        (cost.cache_write_tokens, "written to it"),
    )
    if any(n is not None for n, _ in counts):
        yield "tokens: " + ", ".join(f"{n:,} {what}" for n, what in counts if n is not None)
    if cost.lost_tokens:
        yield f"{cost.lost_tokens:,} of them written to the cache of a model that then declined"
    if cost.again_tokens:
        yield f"{cost.again_tokens:,} that another model had to read anew"
    if cost.attempts > 1:
        yield words.count(cost.attempts, "attempt")
    if cost.ms is not None:
        yield f"{cost.ms / 1000:,.1f} s"
    if cost.usd is not None:
        yield _money(cost)


def _money(cost: Cost) -> str:
    sum_ = f"${cost.usd:,.2f}" if cost.usd and cost.usd >= _SMALLEST else f"${cost.usd or 0:.4f}"
    least = "at least " * (cost.at_least or bool(cost.unpriced))
    without = f", without {words.line(', '.join(cost.unpriced))}, which has no price" if cost.unpriced else ""
    return f"{least}{sum_} at list prices, if billed{without}"
