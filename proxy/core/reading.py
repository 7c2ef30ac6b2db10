"""A text as others may have written it: with escapes taken off, and with the lines joined that a terminal has cut.

What is looked for in a reading is found in the text itself, because each character of a reading knows the place that it came from. Escapes are those of
JSON (also JSON within JSON) and of URLs, the colours of a terminal, and characters without width. A line may have been cut where it ends in a character of a token and the next one, behind its indentation
and the border of a box, begins with what looks like the rest of a token: digits, capitals, marks, or nothing else on its line;
or where what it ends in is no word itself. Ordinary prose goes on with a word, and is not joined; nor is a URL, nor what is whole by itself with words behind it
that stand in a line which is shorter than those around it, and so was not cut by a terminal. Nothing is joined to an id, a time, a model or a version of the API, which ``PROTECTED`` knows: they carry the value of
a report.
"""

import re
from collections.abc import Container, Iterator
from typing import NamedTuple

PROTECTED = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:
        (?:req|msg)_[A-Za-z0-9_]{4,}                                            # ids of requests and messages
        | (?:us\.|eu\.|apac\.)?(?:anthropic\.)?claude-(?:opus|sonnet|haiku|fable|mythos|instant|cli|code|\d)(?:[a-z0-9.@:-]*[a-z0-9])?  # models and clients
        | \d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?
        | (?<!\d\.)\d{1,4}\.\d{1,4}\.\d{1,5}(?!\.\d)                             # versions
    )(?![A-Za-z0-9_])""",
    re.VERBOSE,
)
IDS = re.compile(r"(?<![A-Za-z0-9_-])(?:req|msg)_[A-Za-z0-9_]{4,}")
BREAK = r"(?:[ \t│┃║|]{0,16}\r?\n[ \t│┃║|>]{0,32})"

_BREAKS = re.compile(BREAK)
_SPACE = re.compile(r"\s")
_ESCAPE = re.compile(
    r"""%[0-7][0-9A-Fa-f]|(?:%[89A-Fa-f][0-9A-Fa-f]){1,4}|\\u[0-9A-Fa-f]{4}|\\[nrt"/\\]"""
    "|\x1b(?:\\[[0-?]{0,32}[ -/]{0,4}[@-~]|[()][0-9A-B])|[\xad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_SPELT = {"\\n": "\n", "\\r": "\r", "\\t": "\t"}
_ROUNDS = 4
"""How many layers of escapes are taken off."""
_TOKEN = r"[\w.~%+/=@:?&\\-]"  # noqa: S105 - a class of characters
_ENDS = re.compile(_TOKEN + r"\Z")
_GOES_ON = re.compile(  # the rest of a token: it looks like one, or is alone on its line
    rf"(?={_TOKEN}*?[\d_%=+@/]|{_TOKEN}+?[A-Z]|[A-Z]{{2}}|{_TOKEN}+?\.\w|\.){_TOKEN}+|{_TOKEN}+(?=[ \t│┃║|]*(?:[\r\n\"'<>)\]}},]|\Z))"
)
_URL = re.compile(r"(?:https?|wss?|ssh|git|file|s?ftp)://")
_WORDS = re.compile(  # what reads as words, a path or a heading
    r"(?:- )?(?:[A-Z]?[a-z]+|[A-Z]{2,12})(?:[-_./:@?&=]+(?:[A-Z]?[a-z]+|[A-Z]{2,12}))*+[.:?]*+(?![\w.~%+/=@:?&\\-])"
)
_MARGIN = " \t\r│┃║|>"
_NEAR = 400
"""Characters in which the lines around are looked for."""
_HEAD = re.compile(r"(?<![\w+/=-])(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[\w+/=-]{8,}\Z")
_BEFORE = 160
"""Characters of the line before the cut that may tell what the token is."""
_CLOSE = 8
"""In so many lines a token may begin in each; in further ones that only go on, where it has the beginning of a secret, or at every 24th."""
_BEGINS = re.compile(r"[A-Za-z]{2,8}[_-]|AKIA|ASIA|AIza|eyJ|ya29|1//|-----")
_LINES = 48
_SIZE = 4000


class Reading(NamedTuple):
    """A text, and for each of its characters where it begins and ends in the original; None where it is the original itself."""

    text: str
    starts: list[int] | None = None
    ends: list[int] | None = None
    joins: tuple[int, ...] = ()
    """Before which characters a line break was taken out."""

    def place(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original that a span of this reading, which is not empty, came from."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]

    def is_joined(self, end: int) -> bool:
        """Whether a line break was taken out before a place."""
        return bool(self.joins) and self.joins[0] < end


def decoded(text: str) -> list[Reading]:
    """The text itself, and where it has escapes, the text with one more layer of them taken off each."""
    found = [Reading(text)]
    while len(found) <= _ROUNDS and _ESCAPE.search(found[-1].text):
        found.append(_unescaped(found[-1]))
    return found


def _unescaped(reading: Reading) -> Reading:
    chars, starts, ends, at = list[str](), list[int](), list[int](), 0
    for match in _ESCAPE.finditer(reading.text):
        _copy(reading, at, match.start(), chars, starts, ends)
        start, end = reading.place(*match.span())
        spelt = _spelt(match[0])
        chars.append(spelt)
        starts += [start] * len(spelt)
        ends += [end] * len(spelt)
        at = match.end()
    _copy(reading, at, len(reading.text), chars, starts, ends)
    return Reading("".join(chars), starts, ends)


def _copy(reading: Reading, start: int, end: int, chars: list[str], starts: list[int], ends: list[int]) -> None:
    chars.append(reading.text[start:end])
    if reading.starts is None or reading.ends is None:
        starts += range(start, end)
        ends += range(start + 1, end + 1)
    else:
        starts += reading.starts[start:end]
        ends += reading.ends[start:end]


def _spelt(escape: str) -> str:
    """Nothing for a colour of a terminal, and for what has no width."""
    if escape.startswith("%"):
        return bytes.fromhex(escape.replace("%", "")).decode("utf-8", "replace")
    if escape.startswith("\\u"):
        return chr(int(f"0x{escape[2:]}", 0))
    return _SPELT.get(escape, escape[1:] if escape.startswith("\\") else "")


def joined(
    reading: Reading, begins: Container[int] = (), ends: Container[int] = (), secrets: Container[int] = ()
) -> Iterator[Reading]:
    """The places of a reading at which a line may have been cut, each with its lines joined; one for each line that a token may begin in.

    ``begins`` and ``ends``: where in the original something is known to begin and to end. Between two such things nothing was cut. ``secrets``: where a secret ends.
    """
    cuts = [match for match in _BREAKS.finditer(reading.text) if _is_cut(reading.text, match)]
    if cuts:
        cuts = [cut for cut in cuts if not _parts(reading, cut, begins, ends, secrets)]
    for chain in _chains(reading.text, cuts):
        for n, cut in enumerate(chain):
            if n < _CLOSE or n % (_LINES // 2) == 0 or _BEGINS.match(reading.text, chain[n - 1].end()):
                last = cut.end() + _SIZE
                taken = [one for one in chain[n : n + _LINES] if one.end() <= last]
                yield _without(reading, taken)
                if len(taken) > 1 and _may_end(reading.text, taken[-1]):
                    yield _without(reading, taken[:-1])


def _chains(text: str, cuts: list[re.Match[str]]) -> Iterator[list[re.Match[str]]]:
    """The cuts of which one token may go through all: there is nothing but a token between them."""
    chain: list[re.Match[str]] = []
    for cut in cuts:
        if chain and (gap := text[chain[-1].end() : cut.start()]) and (" " in gap or "\n" in gap):
            yield chain
            chain = []
        chain.append(cut)
    if chain:
        yield chain


def _is_cut(text: str, cut: re.Match[str]) -> bool:
    ends = _ENDS.search(text, max(0, cut.start() - 1), cut.start())
    stands = PROTECTED.match(text, cut.end()) or _URL.match(text, cut.end())
    return bool(ends) and not stands and (_goes_on(text, cut) or (_is_head(text, cut) and _is_full(text, cut)))


def _may_end(text: str, cut: re.Match[str]) -> bool:
    """Whether a word, or what reads as words, stands behind: it may be none of it."""
    return not _goes_on(text, cut) or _WORDS.match(text, cut.end()) is not None


def _goes_on(text: str, cut: re.Match[str]) -> bool:
    return _GOES_ON.match(text, cut.end()) is not None


def _is_head(text: str, cut: re.Match[str]) -> bool:
    """Whether what stands before is no word, so that any word behind may be the rest of it."""
    return (
        bool(_HEAD.search(text, max(0, cut.start() - _BEFORE), cut.start()))
        and text[cut.end() : cut.end() + 1].isalnum()
    )


def _parts(
    reading: Reading, cut: re.Match[str], begins: Container[int], ends: Container[int], secrets: Container[int]
) -> bool:
    """Whether what stands before is whole, and so is what stands behind, or it is a mere word, or words that no terminal put there."""
    end = reading.place(cut.start() - 1, cut.start())[1]
    if end not in ends:
        return False
    if not _goes_on(reading.text, cut) or reading.place(cut.end(), cut.end() + 1)[0] in begins:
        return True
    return end in secrets and bool(_WORDS.match(reading.text, cut.end())) and not _is_full(reading.text, cut)


def _is_full(text: str, cut: re.Match[str]) -> bool:
    """Whether a line is as wide as one beside it, or as all that are near: then a terminal may have cut it."""
    above = text[max(0, cut.start() - _NEAR) : cut.start()].split("\n")[-3:]
    below = text[cut.end() : cut.end() + _NEAR].split("\n")[:2]
    *before, width = (len(line.strip(_MARGIN)) for line in above)
    after = [len(line.strip(_MARGIN)) for line in below]
    return width in (*before[-1:], after[0]) or width >= max((*before, *after))


def _without(reading: Reading, cuts: list[re.Match[str]]) -> Reading:
    """From the line before the first cut to the end of the token behind the last, without what lies in the cuts."""
    text = reading.text
    line = max(text.rfind("\n", 0, cuts[0].start()) + 1, cuts[0].start() - _BEFORE)
    space = _SPACE.search(text, cuts[-1].end())
    stop = space.start() if space else len(text)
    chars, starts, ends, joins, at = list[str](), list[int](), list[int](), [], line
    for cut in cuts:
        _copy(reading, at, cut.start(), chars, starts, ends)
        joins.append(len(starts))
        at = cut.end()
    _copy(reading, at, stop, chars, starts, ends)
    return Reading("".join(chars), starts, ends, tuple(joins))
