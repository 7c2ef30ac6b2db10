"""``demur stats --plot``: from the statistics to the chart in a file, and the markers that its owner gives."""

import csv
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxy.cli import figures, words
from proxy.cli.figures import number
from proxy.cli.options import Failed, Misused
from proxy.core.periods import By, place
from proxy.core.tally import Statistics

if TYPE_CHECKING:
    from proxy.plot import Chart, Marker

LONGEST = 60
"""Characters of a marker's label."""
type Dated = tuple[datetime, str]


def check(path: Path) -> None:
    """Raises ``Misused`` where the suffix names no format."""
    from proxy.plot import FORMATS

    if path.suffix.lower() not in FORMATS:
        raise Misused(f"--plot {path.name}: the suffix says what is written, .svg or .png")


def plot(made: Statistics, model: str | None, dated: list[Dated], path: Path) -> str:
    """Writes the chart; what was written, in one line. Raises ``Failed``."""
    from proxy.plot import MOST_BARS, PlotError, draw

    names = made.periods()
    if not names or not made.total.refusals:
        raise Failed("there is nothing to plot: no refusal matches, so that no file was written")
    if len(names) > MOST_BARS:
        raise Failed(f"{number(len(names))} {made.by}s do not fit into a chart: say --since, or a longer --by")
    chart = _chart(made, model, dated, names)
    try:
        draw(chart, path)
    except PlotError as error:
        raise Failed(str(error)) from error
    outside = len(dated) - len(chart.markers)
    left = f"; {words.count(outside, 'marker')} outside of that time left out" if outside else ""
    return f"{words.line(str(path))}: {chart.source.removeprefix('demur, ')}{left}"


def _chart(made: Statistics, model: str | None, dated: list[Dated], names: list[str]) -> "Chart":
    from proxy.cli.charts import stacked
    from proxy.plot import MOST_GROUPS, Chart, Series

    groups, parts, more = stacked(made, MOST_GROUPS)
    labels = [figures.values(made.fields, values) for values in groups] + ["other"] * more
    counts = [list(column) for column in zip(*parts, strict=True)]
    by = " and ".join(name.replace("_", " ") for name in made.fields)
    return Chart(
        title=f"Declined requests per {made.by}, by {by}" + (f": {words.line(model)}" if model else ""),
        unit="declined requests",
        periods=names,
        series=[
            Series(label=label, counts=count, rest=more and n == len(groups))
            for n, (label, count) in enumerate(zip(labels, counts, strict=True))
        ],
        legend=by,
        markers=list(_markers(dated, names, made.by or By.MONTH)),
        source=_source(made, names),
    )


def _source(made: Statistics, names: list[str]) -> str:
    total = made.total
    apart = f" ({number(total.apart)} of no counted request)" if total.apart else ""
    imported = f" ({number(total.told)} told of by imported files)" if total.told else ""
    counted = (
        f"{words.count(total.refusals, 'refusal')}{apart}, {words.count(total.requests or 0, 'request')}{imported}"
    )
    return f"demur, {counted}, from {names[0]} to {names[-1]}, UTC"


def _markers(dated: list[Dated], names: list[str], by: By) -> "Iterator[Marker]":
    from proxy.plot import Marker

    for moment, label in dated:
        at = place(moment, names, by)
        if at is not None:
            yield Marker(at=at, label=label)


def markers(path: Path) -> list[Dated]:
    """What ``--markers`` names: CSV with ``date,label`` a line, or TOML with ``[[marker]]`` tables. Raises ``Failed``."""
    try:
        text = path.read_text("utf-8-sig")
        rows = _toml(text) if path.suffix.lower() == ".toml" else _csv(text)
        return [_marker(where, day, label) for where, day, label in rows]
    except OSError as error:
        raise Failed(f"--markers {path} cannot be read ({error.strerror})") from error
    except (ValueError, csv.Error) as error:  # the errors of tomllib and of Unicode are ValueErrors
        raise Failed(f"--markers {path}: {error}") from error


def _csv(text: str) -> Iterator[tuple[str, Any, Any]]:
    lines = csv.reader(text.splitlines(), skipinitialspace=True)
    for row in lines:
        where = f"line {lines.line_num}"
        if not row or row[0].startswith("#") or (lines.line_num == 1 and row == ["date", "label"]):
            continue
        if len(row) != 2:
            raise ValueError(f'{where} is not date,label: a label with a comma stands in "quotes"')
        yield where, row[0], row[1]


def _toml(text: str) -> Iterator[tuple[str, Any, Any]]:
    given = tomllib.loads(text)
    tables = given.get("marker")
    if set(given) != {"marker"} or not isinstance(tables, list):
        raise ValueError("it has something else than [[marker]] tables, each with date and label")
    for n, table in enumerate(tables, 1):
        if not isinstance(table, dict) or set(table) != {"date", "label"}:
            raise ValueError(f"marker {n} is something else than date and label")
        yield f"marker {n}", table["date"], table["label"]


def _marker(where: str, day: Any, label: Any) -> Dated:
    if not isinstance(label, str) or not (label := words.line(label.strip())):
        raise ValueError(f"{where} has no label")
    try:
        moment = datetime.fromisoformat(day.strip()) if isinstance(day, str) else day
    except ValueError:
        moment = None
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    if not isinstance(moment, datetime):
        raise ValueError(f"{where} has no date such as 2026-07-24")  # noqa: TRY004 told as one line with the others
    return moment.replace(tzinfo=moment.tzinfo or UTC), label[:LONGEST]
