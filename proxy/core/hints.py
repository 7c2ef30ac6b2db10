"""Which of many literals stand in a text: asked of every text of a request, it is most of what redacting costs.

To look for one literal is a pass over the text. Those that have a rare character in common are looked for together: ``re``
jumps from one such character to the next and compares what stands around it. Those that have a longer part in common are looked
for where that part is found. Of a token, what follows its literal is long: of those that end with the same sign, that is looked at first, as after most
such signs there is a short word. A text with characters of two or four bytes is read as its UTF-8, one character a byte, which is faster.
"""

import re
from collections.abc import Collection, Iterable

RARE = "_-A"
"""The characters by which literals are taken together: the first of these that it has."""
PARTS = ("pass", "token", "//")
"""The same of longer parts, which come first."""
ENDS = "_.-"
"""The ends by which literals of tokens are taken together."""
LONG = 16
"""Characters of a word that follow the literal of a token."""

_WORD = f"(?=[A-Za-z0-9_+/=-]{{{LONG}}})"
_LONG_WORD = re.compile(f"[{ENDS}]{_WORD}")


def plain(text: str) -> str:
    """A text as what literals are looked for in: each stands in it if, and only if, it stands in the text."""
    return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("latin-1")


def lower(text: str) -> str:
    """The same of a text in lower case."""
    if text.isascii():
        return text.lower()
    if "İ" in text or "\N{KELVIN SIGN}" in text:  # whose lower case is ASCII
        return plain(folded(text))
    return text.encode("utf-8", "surrogatepass").lower().decode("latin-1")


def folded(text: str) -> str:
    """A text in lower case, every character in its place."""
    return text.replace("İ", "i").lower()  # the one letter that would become two


def has_long(text: str) -> bool:
    """Whether a token's literal may stand in a text: one of ``ENDS`` with a long word behind it."""
    return len(text) > LONG and _LONG_WORD.search(text) is not None


class Hints:
    """A set of ASCII literals. Holds no state, may be shared by threads.

    ``tokens``: those of them that are looked for only where ``LONG`` characters of a word follow; they end with one of ``ENDS``.
    """

    def __init__(self, literals: Iterable[str], tokens: Collection[str] = ()) -> None:
        self._order = {literal: n for n, literal in enumerate(literals)}
        self._parts: dict[str, list[str]] = {}
        families: dict[str, list[str]] = {}
        for literal in (one for one in self._order if one not in tokens):
            part = next((part for part in PARTS if part in literal), None)
            rare = next((char for char in RARE if char in literal), None)
            if part is None and rare is not None:
                families.setdefault(rare, []).append(literal)
            else:
                self._parts.setdefault(part or literal, []).append(literal)
        self._families = [(_any_of(rare, family), family) for rare, family in families.items()]
        for end in ENDS:
            if family := [literal for literal in self._order if literal in tokens and literal[-1] == end]:
                self._families.append((_any_long(end, family), family))

    def within(self, text: str) -> list[str]:
        """Those that stand in a text, which is ``plain`` or ``lower``; in their order."""
        likely = [part for part in self._parts if part in text]
        found = [literal for part in likely for literal in self._parts[part] if literal in text]
        for any_of, family in self._families:
            if any_of.search(text):
                found += [literal for literal in family if literal in text]
        return sorted(found, key=self._order.__getitem__) if found else found


def _any_of(rare: str, family: list[str]) -> re.Pattern[str]:
    """Matches where any of them stands: at the first ``rare`` character that it has."""
    halves = [literal.partition(rare) for literal in family]
    around = (f"(?<={re.escape(before + rare)})(?={re.escape(after)})" for before, _, after in halves)
    return re.compile(re.escape(rare) + f"(?:{'|'.join(around)})")


def _any_long(end: str, family: list[str]) -> re.Pattern[str]:
    """Matches where any of them stands with a long word behind it: at its ``end``."""
    return re.compile(re.escape(end) + _WORD + f"(?:{'|'.join(f'(?<={re.escape(literal)})' for literal in family)})")
