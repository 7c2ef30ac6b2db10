"""``demur stats``: of each model that was asked for, what was declined, who recovered it, and what was left.

Every Messages request stands in the traffic counts, by the hour and by how it ended; token counts are no part of it, since they cannot be
declined. What the counts cannot know is what the client did later by itself: it had been counted as refused by then. It may have asked
another model, or the same one again, and that request was counted too. Both stand in the records of the refusals, so that a
refusal that the client recovered is taken for recovered, and one that it repeated is counted once.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import config_option, db_option, lines_option, moment_since, one_line_errors, since_option

if TYPE_CHECKING:
    from proxy.cli.table import Row
    from proxy.store import Store
    from schemas.records import Traffic

_OF_CLIENT = """
    select coalesce(model, '') as model, sum(outcome = 'recovered_by_client') as recovered,
        sum((select count(*) from attempts
             where refusal_id = refusals.id and n > 0 and "by" = 'client' and attempts.outcome = 'refused')) as repeated
    from refusals
    where at >= ? and kind = 'refusal' and exists (select 1 from json_each(sources) where value in ('gateway', 'mitmproxy'))
    group by 1
"""


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


@click.command()
@since_option
@click.option("--model", metavar="M", help="Only where this model was asked for.")
@lines_option
@db_option
@config_option
@one_line_errors
def stats(since: str | None, model: str | None, as_json: bool, db: str | None, config: str | None) -> None:
    """Count what each model was asked, what it declined, and who recovered it.

    REFUSED was declined at first, and IN THE END is what neither demur nor the API nor the client recovered; GAP is the share of it.
    ELSEWHERE are later turns that another model answered, since the conversation stayed with it.

    Source: the counts of all Messages requests, by the hour, without token counts. What the client recovered, or only repeated, by itself is
    taken from the recorded refusals.

    \b
    Example: demur stats --since 7d
             demur stats --json | jq -r '[.model, .gap] | @tsv'
    """
    from proxy.cli.database import reading
    from proxy.settings import load

    since = None if since is None else moment_since(since, datetime.now(UTC))
    with reading(load(config, {"db": db}).db) as store:
        found = [count for count in (counts(store, since) if store else ()) if model in (None, count.model)]
    if as_json:
        for count in found:
            click.echo(_json(count))
    elif found:
        _print(found)
    else:
        click.echo("No counted request matches." if store else "Nothing is recorded yet: `demur doctor` tells why.")


def counts(store: "Store", since: str | None) -> list[Count]:
    """By model, what was refused most first. From the hour in which ``since`` lies."""
    found: dict[str, Count] = {}
    for traffic, n in store.traffic(since):
        if traffic.role != "count_tokens":
            _add(found.setdefault(traffic.model, Count(model=traffic.model or None)), traffic, n)
    for row in store.rows(_OF_CLIENT, [(since or "")[:13]]):
        if (count := found.get(row["model"])) is not None:
            count.refused_at_first = max(0, count.refused_at_first - row["repeated"])
            count.recovered_by_client = min(row["recovered"], count.refused_in_the_end)
    return sorted(found.values(), key=lambda count: (-count.refused_at_first, -count.requests, count.model or ""))


def _add(count: Count, traffic: "Traffic", n: int) -> None:
    from schemas.labels import Result
    from schemas.models import family

    count.requests += n
    count.refused_at_first += n * (traffic.outcome in _REFUSED)
    count.recovered_by_demur += n * (traffic.outcome == Result.RECOVERED_BY_DEMUR)
    count.recovered_by_api += n * (traffic.outcome == Result.RECOVERED_BY_API)
    elsewhere = traffic.answered_by and family(traffic.answered_by) != family(traffic.model)
    count.turns_elsewhere += n * bool(elsewhere and traffic.outcome == Result.ANSWERED)


_REFUSED = {"refused", "recovered_by_demur", "recovered_by_api", "recovered_by_client"}


def _json(count: Count) -> str:
    from proxy.cli.words import as_json

    facts: dict[str, Any] = asdict(count)
    later = facts.pop("turns_elsewhere")
    gap = None if count.gap is None else round(count.gap, 4)
    return as_json(facts | {"refused_in_the_end": count.refused_in_the_end, "gap": gap, "turns_elsewhere": later})


def _print(found: list[Count]) -> None:
    from proxy.cli.table import LEAST, Look, show

    rows = [_row(count) for count in [*found, *([_total(found)] if len(found) > 1 else [])]]
    numbers = [title for title in rows[0] if title != "model"]
    dispensable = dict.fromkeys(("by client", "by api", "by demur", "elsewhere"), LEAST)
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
    from proxy.cli.words import line

    model = line(count.model or "unknown")
    facts = {
        "requests": f"{count.requests:,}",
        "refused": f"{count.refused_at_first:,}",
        "by demur": f"{count.recovered_by_demur:,}",
        "by api": f"{count.recovered_by_api:,}",
        "by client": f"{count.recovered_by_client:,}",
        "in the end": f"{count.refused_in_the_end:,}",
        "gap": "-" if count.gap is None else f"{count.gap:.1%}",
        "elsewhere": f"{count.turns_elsewhere:,}",
    }
    return {"model": (model, model.removeprefix("claude-"))} | {title: (fact, fact) for title, fact in facts.items()}
