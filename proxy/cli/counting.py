"""``demur stats``: what was declined, of how much, who recovered it, and what was left.

Every Messages request stands in the counts, by the hour and by how it ended, as demur saw it or as an imported file tells of it; token counts
are no part of it, since they cannot be declined. What the counts cannot know is what the client did later by itself: it had been counted as
refused by then. It may have asked another model, or the same one again, and that request was counted too. Both stand in the records of the
refusals, so that a refusal that the client recovered is taken for recovered, and one that it repeated is counted once.

Here are the options; the answers have modules of their own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
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
from proxy.cli.summary import NOTHING

if TYPE_CHECKING:
    from proxy.statistics import Scope
    from proxy.store import Store

FIELDS = (
    "model category client_version client entrypoint role language script project user verdict domain outcome kind stage source author"
).split()
MOST_PERIODS = 100_000
"""Eleven years of hours. Beyond it some date is wrong."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked for beside the time."""

    by: str | None
    fields: tuple[str, ...]
    pairs: bool
    plot: Path | None
    imports: bool
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
@click.option("--no-imports", is_flag=True, help="Only what went through demur.")
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
    no_imports: bool,
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
    as a language or a verdict, has a SHARE of the refusals and no rate. --group author counts judgements, and tells how far the authors agree.

    Imported files tell of requests as well, perhaps of the same ones: each hour is taken from demur or from one kind of file, whichever
    has most of it, and never from both. Refusals that are none of these requests are APART: no rate has them. --no-imports leaves out both.

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

    question = _question(by, group, pairs, plot, imports=not no_imports, as_json=as_json)
    if markers and not plot:
        raise Misused("--markers goes with --plot: it names dates for the chart")
    if question.fields == ("author",) and (until or model or category or no_imports):
        raise Misused("--group author goes with --since alone")
    now = datetime.now(UTC)
    since = None if since is None else moment_since(since, now)
    until = None if until is None else _until(until, now)
    in_force = load(config, {"db": db})
    with reading(in_force.db) as store:
        if store is None:
            if not as_json:
                from proxy.cli.nothing import sentence

                click.echo(sentence(in_force.db))
        elif question.fields == ("author",):
            from proxy.cli import judging

            judging.show(store, since, as_json=as_json)
        else:
            from proxy.statistics import Scope

            scope = Scope(since=(since or "")[:13], until=until or "", model=model, category=category)
            _answer(store, question, scope, markers)


def _question(
    by: str | None, group: str | None, pairs: bool, plot: Path | None, *, imports: bool, as_json: bool
) -> Question:
    fields = () if group is None else tuple(name.strip() for name in group.split(","))
    if unknown := [name for name in fields if name not in FIELDS]:
        raise Misused(f"--group {unknown[0]!r} is no field: say one or two of {', '.join(FIELDS)}")
    if len(fields) > 2 or len(set(fields)) < len(fields):
        raise Misused("--group takes one field, or two different ones")
    if "author" in fields and (len(fields) > 1 or by or plot):
        raise Misused("--group author stands alone: judgements are no refusals")
    if pairs and (by or fields or plot or not imports):
        raise Misused("--pairs stands without --by, --group, --plot and --no-imports")
    if plot:
        from proxy.cli import plotting

        plotting.check(plot)
    return Question(by=by, fields=fields, pairs=pairs, plot=plot, imports=imports, as_json=as_json)


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
    else:
        from proxy.cli import summary

        counted = summary.counts(store, scope, imports=question.imports)
        _print_json(summary.records(counted)) if question.as_json else summary.show(counted)


def _group(store: "Store", question: Question, scope: "Scope") -> None:
    from proxy.cli import charts, grouping
    from proxy.core.periods import By
    from proxy.statistics import statistics

    made = statistics(store, question.fields, By(question.by) if question.by else None, scope, imports=question.imports)
    if made.by and made.number > MOST_PERIODS:
        raise Misused(f"that is {made.number:,} {made.by}s: say --since and --until, or a longer --by")
    if question.as_json:
        _print_json(grouping.records(made))
    elif not (made.tallies or made.timeless):
        click.echo(NOTHING)
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
        fields, by = question.fields or ("category",), By(question.by or "month")
        made = statistics(store, fields, by, scope, imports=question.imports)
    written = plotting.plot(made, scope.model, dated, path)
    _print_json(grouping.records(made)) if question.as_json else click.echo(written)


def _print_json(records: Iterable[dict[str, Any]]) -> None:
    from proxy.cli.words import as_json

    for record in records:
        click.echo(as_json(record))
