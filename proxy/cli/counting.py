"""``demur stats``: what was declined, of how much, who recovered it, and what was left.

Every Messages request stands in the traffic counts, by the hour and by how it ended; token counts are no part of it, since they cannot be
declined. What the counts cannot know is what the client did later by itself: it had been counted as refused by then. It may have asked
another model, or the same one again, and that request was counted too. Both stand in the records of the refusals, so that a
refusal that the client recovered is taken for recovered, and one that it repeated is counted once.

Here are the options, and the table that stands there without any; the other answers have modules of their own.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import (
    Misused,
    config_option,
    db_option,
    lines_option,
    moment_since,
    one_line_errors,
    since_option,
)

if TYPE_CHECKING:
    from proxy.cli.table import Row
    from proxy.core.rates import Rate
    from proxy.statistics import Scope
    from proxy.store import Store

FIELDS = (
    "model category client_version client entrypoint role language script project user verdict domain outcome kind stage source author"
).split()
_NOTHING = "No counted request matches."
MOST_PERIODS = 100_000
"""Eleven years of hours. Beyond it some date is wrong."""


@dataclass(kw_only=True)
class Count:
    """Of one model."""

    model: str | None
    requests: int = 0
    refused_at_first: int = 0
    recovered_by_demur: int = 0
    recovered_by_api: int = 0
    recovered_by_client: int = 0
    turns_elsewhere: int = 0
    """Later turns that another model answered, since the conversation stayed there."""

    @property
    def refused_in_the_end(self) -> int:
        """What nobody recovered."""
        return self.refused_at_first - self.recovered_by_demur - self.recovered_by_api - self.recovered_by_client

    @property
    def gap(self) -> float | None:
        """The share of those refused at first that were in the end; None where none was."""
        return self.refused_in_the_end / self.refused_at_first if self.refused_at_first else None

    @property
    def rate(self) -> "Rate | None":
        """The share of the requests that were refused at first, with its interval of 95 %."""
        from proxy.core.rates import wilson

        return wilson(self.refused_at_first, self.requests)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked for beside the time."""

    by: str | None
    fields: tuple[str, ...]
    pairs: bool
    plot: Path | None
    as_json: bool


@click.command()
@click.option(
    "--by", type=click.Choice(["hour", "day", "week", "month"]), help="For each hour, day, ISO week or month, in UTC."
)
@click.option("--group", metavar="FIELD[,FIELD]", help=f"For each value of: {', '.join(FIELDS)}.")
@since_option
@click.option("--until", metavar="WHEN", help="Older than: as --since.")
@click.option("--model", metavar="M", help="Only where this model was asked for.")
@click.option("--category", metavar="C", help="Only this category, as the API said it; none: where it said none.")
@click.option("--pairs", is_flag=True, help="The same content, declined by one model and accepted by another.")
@click.option(
    "--plot", metavar="FILE", type=click.Path(path_type=Path), help="A chart of the refusals: FILE.svg or FILE.png."
)
@click.option(
    "--markers", metavar="FILE", type=click.Path(path_type=Path), help="Dates for the chart: lines of date,label."
)
@lines_option
@db_option
@config_option
@one_line_errors
def stats(
    by: str | None,
    group: str | None,
    since: str | None,
    until: str | None,
    model: str | None,
    category: str | None,
    pairs: bool,
    plot: Path | None,
    markers: Path | None,
    as_json: bool,
    db: str | None,
    config: str | None,
) -> None:
    """Count what was declined, of how many requests, and who recovered it: by model, or as you ask.

    REFUSED was declined at first, RATE is that against all requests, with the interval in which it lies at 95% (Wilson). IN THE END is what
    neither demur nor the API nor the client recovered; GAP is the share of it. ELSEWHERE are later turns that another model answered, since
    the conversation stayed with it.

    Source: the counts of all Messages requests, by the hour, without token counts. They know the model, the client, its version and
    entrypoint, the role and the user of a request. What else is asked for is taken from the recorded refusals; what only these have, such
    as a language or a verdict, has a SHARE of the refusals and no rate. So has what other tools had recorded and was imported.
    --group author counts judgements, and tells how far the authors agree.

    --plot draws the refusals per month and category, or as --by and --group say. --markers is CSV, or TOML with [[marker]] tables.

    \b
    Example: demur stats --since 7d
             demur stats --group model,category
             demur stats --by day --since 30d --group client_version
             demur stats --by month --group category --plot refusals.svg
             demur stats --pairs --json
             demur stats --json | jq -r '[.model, .gap] | @tsv'
    """
    from proxy.cli.database import reading
    from proxy.settings import load

    question = _question(by, group, pairs, plot, as_json=as_json)
    if markers and not plot:
        raise Misused("--markers goes with --plot: it names dates for the chart")
    if question.fields == ("author",) and (until or model or category):
        raise Misused("--group author goes with --since alone")
    now = datetime.now(UTC)
    since = None if since is None else moment_since(since, now)
    until = None if until is None else _until(until, now)
    with reading(load(config, {"db": db}).db) as store:
        if store is None:
            if not as_json:
                click.echo("Nothing is recorded yet: `demur doctor` tells why.")
        elif question.fields == ("author",):
            from proxy.cli import judging

            judging.show(store, since, as_json=as_json)
        else:
            from proxy.statistics import Scope

            scope = Scope(since=(since or "")[:13], until=until or "", model=model, category=category)
            _answer(store, question, scope, markers)


def _question(by: str | None, group: str | None, pairs: bool, plot: Path | None, *, as_json: bool) -> Question:
    fields = () if group is None else tuple(name.strip() for name in group.split(","))
    if unknown := [name for name in fields if name not in FIELDS]:
        raise Misused(f"--group {unknown[0]!r} is no field: say one or two of {', '.join(FIELDS)}")
    if len(fields) > 2 or len(set(fields)) < len(fields):
        raise Misused("--group takes one field, or two different ones")
    if "author" in fields and (len(fields) > 1 or by or plot):
        raise Misused("--group author stands alone: judgements are no refusals")
    if pairs and (by or fields or plot):
        raise Misused("--pairs stands without --by, --group and --plot")
    if plot:
        from proxy.cli import plotting

        plotting.check(plot)
    return Question(by=by, fields=fields, pairs=pairs, plot=plot, as_json=as_json)


def _until(when: str, now: datetime) -> str:
    """The hour before which everything has to be; the one in which the time lies is still meant. Raises ``Misused``."""
    try:
        moment = datetime.fromisoformat(moment_since(when, now))
        return (moment + timedelta(hours=1) - timedelta(microseconds=1)).isoformat()[:13]
    except Misused as error:
        raise Misused(error.message.replace("--since", "--until", 1)) from error
    except OverflowError as error:
        raise Misused(f"--until {when!r} is too late") from error


def _answer(store: "Store", question: Question, scope: "Scope", markers: Path | None) -> None:
    if question.pairs:
        from proxy.cli import pairing
        from proxy.elsewhere import pairs

        found = pairs(store, scope)
        _print_json(pairing.records(found)) if question.as_json else pairing.show(found)
    elif question.plot:
        _plot(store, question, scope, question.plot, markers)
    elif question.by or question.fields:
        _group(store, question, scope)
    elif counted := counts(store, scope):
        _print_json(map(_record, counted)) if question.as_json else _print(counted)
    elif not question.as_json:
        click.echo(_NOTHING)


def _group(store: "Store", question: Question, scope: "Scope") -> None:
    from proxy.cli import charts, grouping
    from proxy.core.periods import By
    from proxy.statistics import statistics

    made = statistics(store, question.fields, By(question.by) if question.by else None, scope)
    if made.by and made.number > MOST_PERIODS:
        raise Misused(f"that is {made.number:,} {made.by}s: say --since and --until, or a longer --by")
    if question.as_json:
        _print_json(grouping.records(made))
    elif not (made.tallies or made.timeless):
        click.echo(_NOTHING)
    elif made.by:
        charts.show_stacked(made) if made.fields else charts.show(made)
    else:
        grouping.show(made)


def _plot(store: "Store", question: Question, scope: "Scope", path: Path, markers: Path | None) -> None:
    from proxy.cli import grouping, plotting
    from proxy.core.periods import By
    from proxy.plot import loading
    from proxy.statistics import statistics

    dated = plotting.markers(markers) if markers else []
    with loading():
        made = statistics(store, question.fields or ("category",), By(question.by or "month"), scope)
    written = plotting.plot(made, scope.model, dated, path)
    _print_json(grouping.records(made)) if question.as_json else click.echo(written)


def counts(store: "Store", scope: "Scope") -> list[Count]:
    """By model, what was refused most first. From the hour in which the scope begins. Raises StoreError."""
    from proxy.statistics import statistics, turns_elsewhere

    made = statistics(store, ["model"], scope=scope, imports=False)
    elsewhere = turns_elsewhere(store, scope)
    found = [
        Count(
            model=model or None,
            requests=tally.requests or 0,
            refused_at_first=tally.refused,
            recovered_by_demur=tally.recovered_by_demur,
            recovered_by_api=tally.recovered_by_api,
            recovered_by_client=tally.recovered_by_client,
            turns_elsewhere=elsewhere.get(model, 0),
        )
        for (model,), tally in made.tallies.items()
    ]
    return sorted(found, key=lambda count: (-count.refused_at_first, -count.requests, count.model or ""))


def _record(count: Count) -> dict[str, Any]:
    facts: dict[str, Any] = asdict(count)
    later = facts.pop("turns_elsewhere")
    gap = None if count.gap is None else round(count.gap, 4)
    rate, low, high = count.rate or (None, None, None)
    facts |= {"refused_in_the_end": count.refused_in_the_end, "gap": gap, "turns_elsewhere": later}
    return facts | {"rate": rate, "rate_low": low, "rate_high": high}


def _print_json(records: Iterable[dict[str, Any]]) -> None:
    from proxy.cli.words import as_json

    for record in records:
        click.echo(as_json(record))


def _print(found: list[Count]) -> None:
    from proxy.cli.table import LEAST, Look, show

    rows = [_row(count) for count in [*found, *([_total(found)] if len(found) > 1 else [])]]
    numbers = [title for title in rows[0] if title != "model"]
    dispensable = dict.fromkeys(("95%", "by client", "by api", "by demur", "elsewhere", "rate"), LEAST)
    styles: dict[str, dict[str, Any]] = {"model": {"bold": True}, "gap": {"fg": "yellow"}}
    show(
        rows, Look(whole=numbers, numbers=numbers, dispensable=dispensable, styles=styles, elsewhere="--json has all.")
    )


def _total(found: Iterable[Count]) -> Count:
    total = Count(model="all")
    for count in found:
        for name, value in asdict(count).items():
            if name != "model":
                setattr(total, name, getattr(total, name) + value)
    return total


def _row(count: Count) -> "Row":
    from proxy.cli.figures import interval, number, percent, value

    model = value("model", count.model or "")
    facts = {
        "requests": number(count.requests),
        "refused": number(count.refused_at_first),
        "rate": percent(count.rate and count.rate.rate),
        "95%": interval(count.rate),
        "by demur": number(count.recovered_by_demur),
        "by api": number(count.recovered_by_api),
        "by client": number(count.recovered_by_client),
        "in the end": number(count.refused_in_the_end),
        "gap": percent(count.gap, 1),
        "elsewhere": number(count.turns_elsewhere),
    }
    return {"model": (model, model.removeprefix("claude-"))} | {title: (fact, fact) for title, fact in facts.items()}
