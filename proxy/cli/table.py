"""Rows under titles, as wide as the terminal: where it is narrow, what can be done without goes first, then the widest are cut."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from proxy.cli.layout import fit, width
from proxy.cli.options import columns

UNLIMITED = 1_000_000
"""Columns of a pipe: nothing is cut there."""
LEAST = 6
"""Columns under which nothing is cut."""

type Row = Mapping[str, tuple[str, str]]
"""Title -> the fact as long as it is, and short for a narrow terminal."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How the columns are treated, by their titles."""

    whole: Collection[str] = ()
    """What is of no use when it is cut,"""
    late: Collection[str] = ()
    """what is cut only when all others have been,"""
    dispensable: Mapping[str, int] = field(default_factory=dict)
    """and what is left out, the first first, before another one is cut to fewer columns than this."""
    elsewhere: str = ""
    """Where what is left out can be read."""
    numbers: Collection[str] = ()
    styles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def show(rows: list[Row], look: Look) -> None:
    """Prints them; there must be one at least."""
    widths = _widths(rows, 0)
    room = columns(UNLIMITED)
    short = _total(widths) + len(widths) - 1 > room
    if short:
        widths = _squeezed(rows, look, room)
    _print(rows, look, widths, short=short)
    if hidden := [title for title in rows[0] if title not in widths]:
        click.secho(f"Too narrow for: {', '.join(hidden)}. {look.elsewhere}".rstrip(), dim=True)


def _widths(rows: list[Row], form: int) -> dict[str, int]:
    return {title: max(len(title), *(width(row[title][form]) for row in rows)) for title in rows[0]}


def _total(widths: Mapping[str, int]) -> int:
    """With one space between two columns."""
    return sum(widths.values()) + len(widths) - 1


def _squeezed(rows: list[Row], look: Look, room: int) -> dict[str, int]:
    """The widths that fit into so many columns."""
    widths = _widths(rows, 1)
    for title, least in look.dispensable.items():
        needed = {
            name: full if name in (*look.whole, *look.late) else min(full, least) for name, full in widths.items()
        }
        if _total(needed) > room:
            del widths[title]
    while _total(widths) > room:
        loose = [title for title in widths if title not in look.whole and widths[title] > LEAST]
        if not loose:
            break
        first = [title for title in loose if title not in look.late] or loose
        widths[max(first, key=lambda title: widths[title])] -= 1
    return widths


def _print(rows: list[Row], look: Look, widths: Mapping[str, int], *, short: bool) -> None:
    gap = " " * (1 if short else 2)
    titles = [_cell(title, title.upper(), look, columns) for title, columns in widths.items()]
    click.secho(gap.join(titles).rstrip(), bold=True)
    for row in rows:
        cells = {title: _cell(title, row[title][short], look, columns) for title, columns in widths.items()}
        last = [*cells][-1]
        cells[last] = cells[last].rstrip()
        click.echo(gap.join(click.style(cell, **look.styles.get(title, {})) for title, cell in cells.items()))


def _cell(title: str, fact: str, look: Look, columns: int) -> str:
    if title in look.numbers:
        return " " * (columns - width(fact)) + fact if width(fact) < columns else fit(fact, columns)
    return fit(fact, columns)
