"""``demur list``: what was declined, newest first. A row is facts of the exchange; no text of the request is in it."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import (
    columns,
    config_option,
    db_option,
    lines_option,
    moment_since,
    one_line_errors,
    since_option,
)
from schemas.labels import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.cli.incidents import Incident
    from proxy.cli.table import Look, Row
    from proxy.store import Store

DEFAULT_LIMIT = 30


@click.command("list")
@click.option("--all", "every", is_flag=True, help="Every refusal, also those that are one incident.")
@since_option
@click.option("--model", metavar="M", help="Only where this model was asked for.")
@click.option("--category", metavar="C", help="Only this category, as the API said it; none: where it said none.")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Only this kind.")
@click.option("--unjudged", is_flag=True, help="Only what nobody has judged yet.")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help=f"At most N.  [{DEFAULT_LIMIT}; with --json all]"
)
@lines_option
@db_option
@config_option
@one_line_errors
def list_(
    every: bool,
    since: str | None,
    model: str | None,
    category: str | None,
    kind: str | None,
    unjudged: bool,
    limit: int | None,
    as_json: bool,
    db: str | None,
    config: str | None,
) -> None:
    """List declined requests, newest first; no text of them.

    One line an incident: the N refusals that followed from the same candidates, by the id of the first; time, request id and outcome are
    the last one's, and `last` means that last one. --all has a line for each. The outcome says which model answered instead, where one did, and how many later turns of the conversation it answered too. A session that
    was declined over and over on the same turn is told of below the list.

    \b
    Example: demur list --since 3d --category cyber
             demur list --json | jq -r .request_id
    """
    from proxy.cli import words
    from proxy.cli.database import reading
    from proxy.cli.incidents import record
    from proxy.settings import load

    since = None if since is None else moment_since(since, datetime.now(UTC))
    in_force = load(config, {"db": db})
    chosen = {"since": since, "model": model, "category": category, "kind": kind, "unjudged": unjudged}
    with reading(in_force.db) as store:
        incidents = _found(store, chosen, limit if as_json else limit or DEFAULT_LIMIT, every=every)
        if as_json:
            for incident in incidents:
                click.echo(words.as_json(record(incident.told) | ({} if every else incident.facts)))
        elif store and incidents:
            _print(store, incidents, store.count(by_incident=not every, **chosen))
        else:
            click.echo(_nothing(store, in_force.db))


def _found(store: "Store | None", chosen: dict[str, Any], limit: int | None, *, every: bool) -> "list[Incident]":
    """What is listed; with ``every`` each refusal by itself."""
    from proxy.cli.incidents import Incident

    if store is None:
        return []
    if every:
        return [Incident([refusal]) for refusal in store.refusals(**chosen, limit=limit)]
    return [Incident(refusals) for refusals in store.incidents(**chosen, limit=limit)]


def _nothing(store: "Store | None", db: "Path") -> str:
    from proxy.cli.nothing import sentence
    from proxy.cli.words import count

    if store and (recorded := store.count()):
        return f"No recorded refusal (of {recorded:,}) matches."
    if store and (passed := sum(n for _, n in store.traffic())):
        return f"Nothing was declined: {count(passed, 'request')} went through demur."
    return sentence(db)


def _print(store: "Store", shown: "list[Incident]", total: int) -> None:
    from proxy.cli import table
    from proxy.cli.layout import wrapped
    from proxy.cli.loops import loops, sentence

    short = store.short_ids(incident.told.id for incident in shown)
    several = any(len(incident.refusals) > 1 for incident in shown)
    rephrased = store.rephrased([incident.refusals[-1].id for incident in shown])
    rows = [
        _row(incident, short[incident.told.id], several=several, rephrased=incident.refusals[-1].id in rephrased)
        for incident in shown
    ]
    table.show(rows, _look())
    if more := total - len(shown):
        click.secho(f"{more:,} more: --limit {total} shows all", dim=True)
    refusals = [one for incident in shown for one in incident.refusals]
    if told := _reported(store, [one.id for one in refusals]):
        click.secho(told, dim=True)
    same = store.of_sessions({one.session_id for one in refusals if one.session_id})
    for loop in loops(same, {one.id for one in refusals}):
        click.secho(wrapped(sentence(loop), columns(table.UNLIMITED)), fg="yellow")


def _reported(store: "Store", ids: list[str]) -> str:
    """How many of them were reported already; empty where none was."""
    from proxy.reports import reported

    known = len({one.refusal_id for one in reported(store, ids)})
    were = "was" if known == 1 else "were"
    return f"{known:,} of them {were} reported already: `demur show ID` tells where" if known else ""


def _look() -> "Look":
    from proxy.cli.table import LEAST, Look

    return Look(
        whole={"id", "n", "time", "request id"},
        numbers={"n"},
        late={"outcome"},
        dispensable={"request id": 20, "project": LEAST, "verdict": LEAST, "stage": LEAST},
        elsewhere="`demur show ID` tells.",
        styles={
            "id": {"bold": True, "fg": "cyan"},
            "time": {"dim": True},
            "category": {"fg": "yellow"},
            "request id": {"dim": True},
        },
    )


def _row(incident: "Incident", short: str, *, several: bool, rephrased: bool) -> "Row":
    from proxy.cli import course, words

    refusal, last = incident.told, incident.refusals[-1]
    at, year = words.local(last.at), datetime.now().astimezone().year
    minute = f"{at:%Y-%m-%d %H:%M}" if at else words.line(last.at)
    stage = words.STAGES[refusal.stage] if refusal.stage else "-"
    n = f"{len(incident.refusals):,}"
    return {
        "id": (short, short),
        **({"n": (n, n)} if several else {}),
        "time": (minute, minute[5:] if at and at.year == year else minute[:10]),
        "model": (model := words.line(refusal.model or "-"), model.removeprefix("claude-")),
        "category": (category := words.category(refusal), category),
        "stage": (stage, stage.removesuffix(" output").removesuffix("-stream")),
        "outcome": (outcome := course.outcome(refusal, rephrased=rephrased), _briefly(outcome)),
        "project": (project := words.line(refusal.project or "-"), project),
        "request id": (request_id := words.line(last.request_id or "-"), request_id),
        "verdict": (verdict := words.VERDICTS[refusal.verdict], verdict),
    }


def _briefly(outcome: str) -> str:
    """``by demur (opus-4-8) +3``."""
    return re.sub(r"recovered |the |claude-| turns?$", "", outcome)
