"""A chart of counts by month and category as rectangles to be drawn in SVG: stacked bars, with a legend. Numbers only; nothing is drawn here."""

from collections import Counter
from typing import NamedTuple

WIDTH, HEIGHT = 720, 220
BROADEST = 56
"""Of a bar."""
MOST_MONTHS = 120
MOST_SERIES = 7
REST = "others"
_LEFT, _BOTTOM, _TOP = 44, 24, 8


class Bar(NamedTuple):
    """One part of a bar, in the units of the drawing."""

    x: float
    y: float
    width: float
    height: float
    series: int
    title: str


class Chart(NamedTuple):
    """``series``: names, from the bottom up. ``ticks``: places and labels below; ``scale``: those at the left."""

    bars: list[Bar]
    series: list[str]
    ticks: list[tuple[float, str]]
    scale: list[tuple[float, str]]
    rows: list[tuple[str, list[int]]]
    """The same as a table: month, and the count of each series."""


def chart(counts: list[tuple[str, str, int]]) -> Chart | None:
    """Of month (``2026-11``), category and number. None where there is no month that can be read."""
    months = _months(sorted({month for month, _, _ in counts if _is_month(month)}))
    if not months:
        return None
    totals: Counter[str] = Counter()
    for month, category, n in counts:
        totals[category] += n if month in months else 0
    named = [category for category, _ in totals.most_common() if totals[category]]
    series = named if len(named) <= MOST_SERIES else [*named[: MOST_SERIES - 1], REST]
    table = {month: [0] * len(series) for month in months}
    for month, category, n in counts:
        if month in table:
            table[month][series.index(category) if category in series else -1] += n
    return _drawn(table, series)


def _drawn(table: dict[str, list[int]], series: list[str]) -> Chart:
    most = max(sum(row) for row in table.values())
    step, room = (WIDTH - _LEFT) / len(table), HEIGHT - _BOTTOM - _TOP
    bars, ticks = [], []
    every = -(-len(table) // 12)
    broad = min(step * 0.8, BROADEST)
    for at, (month, row) in enumerate(table.items()):
        x, floor = _LEFT + at * step, float(HEIGHT - _BOTTOM)
        for n, count in enumerate(row):
            if count:
                height = count * room / most
                floor -= height
                bars.append(
                    Bar(
                        round(x + (step - broad) / 2, 1),
                        round(floor, 1),
                        round(broad, 1),
                        round(height, 1),
                        n,
                        f"{month}, {series[n]}: {count}",
                    )
                )
        if at % every == 0:
            ticks.append((round(x + step / 2, 1), month))
    scale = [(float(HEIGHT - _BOTTOM), "0"), (float(_TOP), str(most))]
    return Chart(bars, series, ticks, scale, list(table.items()))


def _is_month(text: str) -> bool:
    year, _, month = text.partition("-")
    return len(year) == 4 and year.isdecimal() and len(month) == 2 and month.isdecimal() and 1 <= int(month) <= 12


def _months(found: list[str]) -> list[str]:
    """All from the first to the last. Where these are more than ``MOST_MONTHS`` (a clock was wrong), those that were found, the last of them."""
    if not found:
        return []
    first, last = (int(month[:4]) * 12 + int(month[5:]) - 1 for month in (found[0], found[-1]))
    if last - first >= MOST_MONTHS:
        return found[-MOST_MONTHS:]
    return [f"{at // 12:04}-{at % 12 + 1:02}" for at in range(first, last + 1)]
