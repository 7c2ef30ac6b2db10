"""Bars of plain characters in a terminal, by period, and stacked by group; the numbers stand beside them."""

from typing import TYPE_CHECKING

from proxy.cli import figures, words
from proxy.cli.figures import number
from proxy.cli.grouping import counted_by, facts, notes, say
from proxy.cli.layout import width
from proxy.cli.options import columns
from proxy.core.tally import Key, Statistics

if TYPE_CHECKING:
    from proxy.cli.table import Row

MARKS = "#=+:ox~%"
"""One for each group; what is left over has the last one."""
REST = "."
WIDEST = 60
IN_A_PIPE = 100
"""Columns that are taken for the bars' room where there is no terminal."""


def stacked(made: Statistics, most: int) -> tuple[list[Key], list[list[int]], bool]:
    """The greatest groups, of each period how much is of each of them, and whether a last column has the rest."""
    groups = made.values()[:most]
    more = len(made.values()) > most
    rows = []
    for name, whole in made.whole().items():
        parts = [made.tally((name, *values)).refusals for values in groups]
        rows.append([*parts, whole.refusals - sum(parts)] if more else parts)
    return groups, rows, more


def bar(parts: list[int], scale: float, marks: str) -> str:
    """Each part in its mark, so many characters a unit; what is there at all has one."""
    text, end = "", 0
    for part, mark in zip(parts, marks, strict=True):
        end += part
        text += mark * (round(end * scale) - len(text))
    return text or (marks[parts.index(max(parts))] if end else "")


def show(made: Statistics) -> None:
    """A row for each period: its numbers and its bar."""
    from proxy.cli.table import Look
    from proxy.cli.table import show as print_

    whole, total = made.whole(), made.total
    told = {name: facts(made, tally, total) for name, tally in whole.items()}
    title = str(made.by)
    room = _room([{title: name, **row} for name, row in told.items()])
    scale = _scale([tally.refusals for tally in whole.values()], room)
    rows: list[Row] = []
    for name, tally in whole.items():
        row = {title: name, **told[name], "chart": bar([tally.refusals], scale, MARKS[0])}
        rows.append({column: (fact, fact) for column, fact in row.items()})
    numbers = [column for column in rows[0] if column not in (title, "chart")]
    dispensable = dict.fromkeys(("chart", "apart", "in the end", "95%", "gap"), 6)
    print_(rows, Look(whole={title, *numbers}, numbers=numbers, dispensable=dispensable, elsewhere="--json has all."))
    say(*notes(made, total))


def show_stacked(made: Statistics) -> None:
    """A row for each period with a column for each group, then the bars and what their marks mean."""
    from proxy.cli.table import Look
    from proxy.cli.table import show as print_

    groups, parts, more = stacked(made, len(MARKS))
    titles = _titles(made, groups, more)
    whole = made.whole()
    title = str(made.by)
    rows = [
        {title: name, "all": number(tally.refusals)} | dict(zip(titles, map(number, row), strict=True))
        for (name, tally), row in zip(whole.items(), parts, strict=True)
    ]
    numbers = ["all", *titles]
    look = Look(
        whole={title, "all"},
        numbers=numbers,
        dispensable=dict.fromkeys(reversed(titles), 6),
        elsewhere="--json has all.",
    )
    print_([{column: (fact, fact) for column, fact in row.items()} for row in rows], look)
    _print_bars([*whole], parts, titles, MARKS[: len(groups)] + REST * more)
    say("These are refusals; --json has the requests and the rates of each period as well.")
    if made.against is not None:
        say(*counted_by(made.total.requests or 0, made.total.told))
    if made.timeless:
        say(f"{words.count(made.timeless, 'refusal')} without a readable time left out.")


def _print_bars(names: list[str], parts: list[list[int]], titles: list[str], marks: str) -> None:
    import click

    from proxy.cli.layout import wrapped

    scale = _scale([sum(row) for row in parts], _room([{"": name} for name in names]))
    click.echo()
    for name, row in zip(names, parts, strict=True):
        click.echo(f"{name}  {bar(row, scale, marks)}".rstrip())
    legend = "   ".join(f"{mark} {title}" for mark, title in zip(marks, titles, strict=True))
    click.echo(wrapped(legend, columns(IN_A_PIPE)))


def _titles(made: Statistics, groups: list[Key], more: bool) -> list[str]:
    """What the columns are called: each otherwise, whatever others have called their values."""
    found = {str(made.by): "", "all": ""}
    for name in [*(figures.values(made.fields, values) for values in groups), *["other"] * more]:
        title = name
        while title in found:
            title += "'"
        found[title] = name
    return [*found][2:]


def _room(rows: list[dict[str, str]]) -> int:
    """How many columns are left for the bars."""
    taken = sum(max(width(title), *(width(row[title]) for row in rows)) + 2 for title in rows[0])
    return max(1, min(WIDEST, columns(IN_A_PIPE) - taken))


def _scale(totals: list[int], room: int) -> float:
    """Characters a refusal: the highest bar fills the room, and one is no longer than three."""
    return min(3.0, room / max(1, *totals, 1))
