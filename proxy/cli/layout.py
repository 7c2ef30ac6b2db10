"""How text is laid out in columns of a terminal, in which some characters take two and some none."""

import textwrap
from unicodedata import combining, east_asian_width


def width(text: str) -> int:
    """How many columns of a terminal it takes."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(char) in "WF" else not combining(char) for char in text)


def fit(text: str, columns: int) -> str:
    """Padded to so many columns, or cut short with an ellipsis."""
    if width(text) > columns:
        while width(text) > max(columns - 1, 0):
            text = text[:-1]
        text += "…"
    return text + " " * (columns - width(text))


def wrapped(text: str, columns: int, margin: int = 0, *, first: bool = False) -> str:
    """Wrapped, with so many spaces before each line but the first; ``first``: before that as well."""
    lines = textwrap.wrap(text, max(columns - margin, 24), break_long_words=False, break_on_hyphens=False) or [""]
    return " " * (margin * first) + ("\n" + " " * margin).join(lines)


def folded(text: str, columns: int) -> list[str]:
    """Every word of it, in lines of at most so many columns (two at least): broken at spaces, or else where a line ends."""
    return [part for line in text.replace("\t", "    ").split("\n") for part in _folded(line, columns)]


def _folded(line: str, columns: int) -> list[str]:
    parts: list[str] = []
    start = 0
    while True:
        part = line[start : start + columns]
        while width(part) > columns:
            part = part[:-1]
        end = start + len(part)
        if end >= len(line):
            return [*parts, part]
        if (space := line.rfind(" ", start + 1, end + 1)) > start:
            end = space + 1
        parts.append(line[start:end].rstrip())
        start = end
