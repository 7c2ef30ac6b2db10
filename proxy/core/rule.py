"""A rule by which something private is known in a text that is about to leave."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Private(NamedTuple):
    """Something to be replaced. The value is what it is known by again."""

    start: int
    end: int
    kind: str
    why: str
    value: str


class Rule(NamedTuple):
    """``kind`` and ``why`` of what matches; the group ``s``, where there is one, is what goes. ``lets``: which matches are public."""

    kind: str
    why: str
    pattern: re.Pattern[str]
    lets: Callable[[str], bool] | None = None
    hint: str = ""
    """Stands in every match; empty: there is no such literal."""
    words: tuple[str, ...] = ()
    """One of these stands in every match; the pattern reads the text in lower case."""

    def find(self, text: str, low: str) -> Iterator[Private]:
        """``low``: the text in lower case, every character in its place."""
        if self.hint and self.hint not in text:
            return
        if self.words and not any(word in low for word in self.words):
            return
        group = "s" if "s" in self.pattern.groupindex else 0
        for match in self.pattern.finditer(low if self.words else text):
            value = text[match.start(group) : match.end(group)]
            if value and not (self.lets and self.lets(value)):
                yield Private(*match.span(group), self.kind, self.why, value)
