"""Markdown: a table of the incidents, and a section for each. Others' words stand in code spans, where nothing is markup, a mention or a link.

That holds for CommonMark and for GitHub's tables, in which a bar ends a cell even within code: there it becomes a broken one.
"""

import re
from collections.abc import Iterator

from proxy.exporters.export import Export
from proxy.exporters.sheet import MOST_IDS, Sheet, sheet

_TICKS = re.compile(r"`+")
_TITLES = ("at (UTC)", "n", "model", "category", "outcome", "verdict", "request id")


def written(export: Export) -> Iterator[str]:
    """The incidents, the one that began last first. They are read twice. Raises StoreError."""
    yield f"# Declined requests\n\nLevel: {export.level}. Written by demur.\n\n"
    yield _line(_TITLES) + _line(["---"] * len(_TITLES))
    for one in map(sheet, export.incidents()):
        yield _line([_cell(value, export) for value in _columns(one)])
    for one in map(sheet, export.incidents()):
        yield "".join(_section(one, export))


def code(text: str) -> str:
    """A code span that holds exactly this. ``text``: one line, without controls."""
    if not text.strip():
        return "-"
    fence = "`" * (1 + max((len(run) for run in _TICKS.findall(text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") or (text[0] == text[-1] == " ") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _columns(one: Sheet) -> list[str]:
    return [one.at, str(one.n), one.model, one.category, one.outcome, one.verdict, one.request_id]


def _cell(value: str, export: Export) -> str:
    """A bar would end the cell, in code too."""
    return code(export.line(value).replace("|", "¦"))


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _section(one: Sheet, export: Export) -> Iterator[str]:
    def shown(value: str) -> str:
        return code(export.line(value))

    yield f"\n## {shown(one.title)}\n\n"
    until = f" to {shown(one.last_at)}" if one.last_at != one.at else ""
    of = f"request id {shown(one.request_id)}; " if one.request_id else ""
    yield f"{one.n} declined, {shown(one.at)}{until}; {shown(one.outcome)}; verdict: {one.verdict}; {of}id {shown(one.id)}\n\n"
    yield from (f"- {name}: {shown(value)}\n" for name, value in one.facts)
    if one.explanation:
        yield f"- the API's explanation: {shown(one.explanation)}\n"
    for title, values in (("What was new", one.parts), ("Judged", one.said)):
        if values:
            yield f"\n{title}:\n\n" + "".join(f"- {shown(value)}\n" for value in values)
    if one.excerpts:
        yield "\nHow it begins:\n\n" + "".join(f"- {shown(what)}: {shown(text)}\n" for what, text in one.excerpts)
    if one.n > 1:
        more = f", {shown('...')}" if one.n > MOST_IDS else ""
        yield "\nRequests: " + ", ".join(shown(member.request_id or member.id) for member in one.members) + more + "\n"
