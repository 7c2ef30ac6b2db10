"""The map of a request as a compact tree: where what stands, how long it is, which tool it belongs to, and of media the kind. No text:
of a tool's input only the file, the address or the program that it names.

A row is a part of the body (``system``, ``tools``, ``messages[3]``) or, below it, one segment. What says little is one row:
the tools, and the messages between the first and the last few. What is new is never hidden.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from proxy.cli.layout import fit, width
from proxy.cli.words import count, line, size, tokens
from schemas.labels import Label
from schemas.records import Segment

LAST = 6
"""How many messages at the end are shown block by block."""
WIDEST = 60
"""The most columns that the description of a row takes."""
TARGET = 36
"""The most columns of what a tool's input names; of a longer one the end is shown."""
_HEAD = re.compile(r"(messages\[\d+\]|\w+)\.?(.*)", re.DOTALL)
_SPOKEN = {
    Label.ASSISTANT_TEXT: "assistant",
    Label.THINKING: "assistant",
    Label.TOOL_USE: "assistant",
    Label.FALLBACK: "assistant",
    Label.SYSTEM_MESSAGE: "system",
    Label.USER_TEXT: "user",
    Label.TOOL_RESULT: "user",
    Label.REMINDER: "user",
    Label.MEMORY: "user",
    Label.HOOK: "user",
    Label.ENVIRONMENT: "user",
    Label.MCP: "user",
}


class Row(NamedTuple):
    """One line of the tree."""

    depth: int
    name: str
    what: str
    segments: list[Segment]
    leaf: bool = True
    """Whether it is one segment, and not a heading or several in one."""


def rows(segments: list[Segment], *, full: bool = False) -> list[Row]:
    """The tree, from top to bottom. ``full``: nothing is folded."""
    parts = [(name, list(group)) for name, group in groupby(segments, key=lambda segment: _head(segment)[0])]
    if full:
        return [row for name, part in parts for row in _part(name, part)]
    messages = [name for name, _ in parts if name.startswith("messages[")]
    shown = {*messages[:1], *messages[-LAST:]}
    found: list[Row] = []
    for folded, group in groupby(parts, key=lambda part: _folds(part[0], part[1], shown)):
        run = list(group)
        if folded and len(run) > 1:
            every = [segment for _, part in run for segment in part]
            what = f"{len(run)} messages: --full"
            found.append(Row(0, "…", what, every, leaf=False))
        else:
            found += [row for name, part in run for row in (_tools(name, part) or _part(name, part, brief=True))]
    return found


def lines(found: list[Row], columns: int) -> list[str]:
    """The rows as text for a terminal of so many columns: the segment's number, name, what it is, bytes, estimated tokens, whether it is new."""
    numbers = max((len(_numbers(row)) for row in found), default=0)
    names = max((2 * row.depth + width(row.name) for row in found), default=0)
    known = any(segment.new is not None for row in found for segment in row.segments)
    room = min(columns - numbers - 2 - names - 24 - 8 * known, WIDEST)
    middle = min(max((width(row.what) for row in found), default=0), max(room, 12))
    return [
        f"{_numbers(row):>{numbers}}  {fit('  ' * row.depth + row.name, names)}  {fit(row.what, middle)}  {_sum(row)}{_news(row) if known else ''}".rstrip()
        for row in found
    ]


def total(segments: list[Segment], *, whole: bool = True) -> str:
    """What the sizes are, as well: ``27 segments, 61 kB (of JSON as sent), ~15k tokens (estimated from the text alone)``.

    ``whole``: they are all of the request, as it was sent.
    """
    sizes = sum(segment.bytes for segment in segments), sum(segment.tokens_est for segment in segments)
    what = (
        f"{size(sizes[0])} (of JSON as sent)" if whole else f"{size(sizes[0])} of text, not the request as it was sent"
    )
    return f"{count(len(segments), 'segment')}, {what}, {tokens(sizes[1])} tokens (estimated from the text alone)"


def _head(segment: Segment) -> tuple[str, str]:
    """The part of the body that a segment stands in, and its place in it."""
    found = _HEAD.fullmatch(segment.path)
    return (line(found[1]), line(found[2])) if found else (line(segment.path) or "body", "")


def _folds(name: str, part: list[Segment], shown: set[str]) -> bool:
    return name.startswith("messages[") and name not in shown and not any(segment.new for segment in part)


def _tools(name: str, part: list[Segment]) -> list[Row]:
    """All definitions of tools in one row."""
    if name != "tools" or len(part) == 1:
        return []
    names = ", ".join(line(segment.tool or "?") for segment in part)
    return [Row(0, name, f"{len(part)}: {names}", part, leaf=False)]


def _part(name: str, part: list[Segment], *, brief: bool = False) -> Iterator[Row]:
    """A heading and its segments; in one row where there is one segment. ``brief``: that row leaves out ``.content[0]``."""
    if len(part) == 1:
        yield Row(
            0, name if brief and name.startswith("messages[") else line(part[0].path) or name, _what(part[0]), part
        )
        return
    speakers = {_SPOKEN[Label(segment.label)] for segment in part if segment.label in _SPOKEN}
    yield Row(0, name, ", ".join(sorted(speakers)) if name.startswith("messages[") else "", part, leaf=False)
    for segment in part:
        yield Row(1, _head(segment)[1] or name, _what(segment), [segment])


def _what(segment: Segment) -> str:
    pages = count(segment.pages, "page") if segment.pages else ""
    facts = [
        segment.label.replace("_", " "),
        segment.tool or "",
        _end(segment.target or ""),
        segment.media or "",
        pages,
    ]
    return "  ".join(line(fact) for fact in facts if fact)


def _end(target: str) -> str:
    """The end of what does not fit."""
    shown = line(target)
    if width(shown) <= TARGET:
        return shown
    while width(shown) > TARGET - 1:
        shown = shown[1:]
    return "…" + shown


def _numbers(row: Row) -> str:
    """``3``, or ``4-9`` for a row of several."""
    first, last = row.segments[0].n, row.segments[-1].n
    return str(first) if first == last else f"{first}-{last}"


def _sum(row: Row) -> str:
    sizes = sum(segment.bytes for segment in row.segments), sum(segment.tokens_est for segment in row.segments)
    return f"{size(sizes[0]):>8}  {tokens(sizes[1]):>6}"


def _news(row: Row) -> str:
    new = sum(segment.new is True for segment in row.segments)
    return "" if not new else "  new" if row.leaf else f"  {new} new"
