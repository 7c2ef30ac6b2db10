"""``demur list``: what was declined, newest first. A row is facts of the exchange; no text of the request is in it."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import Misused, columns, config_option, db_option, one_line_errors
from schemas.labels import Kind

if TYPE_CHECKING:
    from proxy.store import Store
    from schemas.records import Refusal

DEFAULT_LIMIT = 30
UNLIMITED = 1_000_000
"""Columns of a pipe: nothing is cut there."""
LEAST = 6
"""Columns under which nothing is cut."""
WHOLE = {"id", "time", "request id"}
"""What is of no use when it is cut,"""
DISPENSABLE = ("request id", "project", "verdict", "stage")
"""and what is left out of a narrow list, the first first."""
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,6})([mhdw])")


type Row = dict[str, tuple[str, str]]
"""Title -> the fact as long as it is, and short for a narrow terminal."""


@click.command("list")
@click.option("--all", "every", is_flag=True, help="Every refusal, also those that are one incident.")
@click.option("--since", metavar="WHEN", help="Not older than: 2h, 3d, 2026-11-20, or an ISO time.")
@click.option("--model", metavar="M", help="Only where this model was asked for.")
@click.option("--category", metavar="C", help="Only this category, as the API said it; none: where it said none.")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Only this kind.")
@click.option("--unjudged", is_flag=True, help="Only what nobody has judged yet.")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help=f"At most N.  [{DEFAULT_LIMIT}; with --json all]"
)
@click.option("--json", "as_json", is_flag=True, help="For programs: JSON, one object a line.")
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

    \b
    Example: demur list --since 3d --category cyber
             demur list --json | jq -r .request_id
    """
    from proxy.cli.database import reading
    from proxy.settings import load

    since = None if since is None else moment_since(since, datetime.now(UTC))
    in_force = load(config, {"db": db})
    with reading(in_force.db) as store:
        found = [
            refusal
            for refusal in (
                store.refusals(since=since, model=model, category=category, unjudged=unjudged) if store else ()
            )
            if kind in (None, refusal.kind)
        ]
        if as_json:
            for refusal in found[:limit]:
                click.echo(_json(refusal))
        elif store and found:
            shown = found[: limit or DEFAULT_LIMIT]
            _print(shown, store.short_ids(refusal.id for refusal in shown), more=len(found) - len(shown))
        else:
            click.echo(_nothing(store, in_force.settings.listen))


def moment_since(when: str, now: datetime) -> str:
    """What ``--since`` means, as a time in UTC like a record's ``at``. Raises ``Misused``."""
    try:
        if ago := _AGO.fullmatch(when):
            moment = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            moment = datetime.fromisoformat(when).astimezone(UTC)  # without an offset: this machine's clock
    except (ValueError, OverflowError) as error:
        raise Misused(f"--since {when!r} is no time: say 2h, 3d, 2026-11-20 or 2026-11-20T14:30") from error
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(refusal: "Refusal") -> str:
    """The fields up to ``sources``, in the record's order."""
    import msgspec

    from proxy.cli.words import as_json

    names = refusal.__struct_fields__
    record = msgspec.to_builtins(refusal)
    return as_json({name: record[name] for name in names[: names.index("sources") + 1]})


def _nothing(store: "Store | None", listen: str) -> str:
    from proxy.cli.words import count

    if store and (recorded := len(store.refusals())):
        return f"No recorded refusal (of {recorded:,}) matches."
    if store and (passed := sum(n for _, n in store.traffic())):
        return f"Nothing was declined: {count(passed, 'request')} went through demur."
    how = f"start it with `demur run -- claude`, or run `demur up` and set ANTHROPIC_BASE_URL=http://{listen}"
    return f"Nothing is recorded yet. Claude Code has to go through demur: {how}."


def _print(refusals: "list[Refusal]", short: dict[str, str], *, more: int) -> None:
    rows = [_row(refusal, short[refusal.id]) for refusal in refusals]
    widths = _widths(rows, 0, list(rows[0]))
    room = columns(UNLIMITED)
    fits = sum(widths.values()) + 2 * len(widths) - 2 <= room
    if not fits:
        widths = _squeezed(rows, room)
    _print_table(rows, widths, short=not fits)
    if hidden := [title for title in rows[0] if title not in widths]:
        click.secho(f"Too narrow for: {', '.join(hidden)}. `demur show ID` tells.", dim=True)
    if more:
        click.secho(f"{more:,} more: --limit {len(rows) + more} shows all", dim=True)


def _row(refusal: "Refusal", short: str) -> Row:
    from proxy.cli import words

    at, year = words.local(refusal.at), datetime.now().astimezone().year
    minute = f"{at:%Y-%m-%d %H:%M}" if at else words.line(refusal.at)
    stage, outcome = words.STAGES[refusal.stage] if refusal.stage else "-", words.OUTCOMES[refusal.outcome]
    return {
        "id": (short, short),
        "time": (minute, minute[5:] if at and at.year == year else minute[:10]),
        "model": (model := words.line(refusal.model or "-"), model.removeprefix("claude-")),
        "category": (category := words.category(refusal), category),
        "stage": (stage, stage.removesuffix(" output").removesuffix("-stream")),
        "outcome": (outcome, outcome.removeprefix("recovered ").replace("by the", "by")),
        "project": (project := words.line(refusal.project or "-"), project),
        "request id": (request_id := words.line(refusal.request_id or "-"), request_id),
        "verdict": (verdict := words.VERDICTS[refusal.verdict], verdict),
    }


def _widths(rows: list[Row], form: int, titles: list[str]) -> dict[str, int]:
    from proxy.cli.words import width

    return {title: max(len(title), *(width(row[title][form]) for row in rows)) for title in titles}


def _squeezed(rows: list[Row], room: int) -> dict[str, int]:
    """The widths that fit into so many columns: what can be done without goes, then the widest are cut."""
    widths = _widths(rows, 1, list(rows[0]))
    for title in DISPENSABLE:
        cut = 20 if title == "request id" else LEAST
        needed = [width if name in WHOLE else min(width, cut) for name, width in widths.items()]
        if sum(needed) + len(needed) - 1 > room:
            del widths[title]
    while sum(widths.values()) + len(widths) - 1 > room:
        loose = [title for title in widths if title not in WHOLE and widths[title] > LEAST]
        if not loose:
            break
        widths[max(loose, key=lambda title: widths[title])] -= 1
    return widths


def _print_table(rows: list[Row], widths: dict[str, int], *, short: bool) -> None:
    from proxy.cli.words import fit

    gap = " " * (1 if short else 2)
    click.secho(gap.join(fit(title.upper(), width) for title, width in widths.items()).rstrip(), bold=True)
    last = list(widths)[-1]
    for row in rows:
        cells = [(title, fit(row[title][short], width)) for title, width in widths.items()]
        click.echo(
            gap.join(
                click.style(cell.rstrip() if title == last else cell, **_STYLES.get(title, {})) for title, cell in cells
            )
        )


_STYLES: dict[str, dict[str, Any]] = {
    "id": {"bold": True, "fg": "cyan"},
    "time": {"dim": True},
    "category": {"fg": "yellow"},
    "request id": {"dim": True},
}
