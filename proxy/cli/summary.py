"""The table of ``demur stats`` without --by and --group: of each model what was declined, and who recovered it."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from proxy.cli.table import Row
    from proxy.core.rates import Rate
    from proxy.statistics import Scope
    from proxy.store import Store

NOTHING = "No counted request matches."


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
    requests_imported: int = 0
    """How many of the requests imported files tell of."""

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


class Counts(NamedTuple):
    """Of all models."""

    counts: list[Count]
    """What was refused most first."""
    left_out: int
    """Refusals that are none of the counted requests."""


def counts(store: "Store", scope: "Scope", *, imports: bool) -> Counts:
    """From the hour in which the scope begins. Raises StoreError."""
    from proxy.statistics import statistics, turns_elsewhere

    made = statistics(store, ["model"], scope=scope, imports=imports, apart=False)
    elsewhere = turns_elsewhere(store, scope, imports=imports)
    found = [
        Count(
            model=model or None,
            requests=tally.requests or 0,
            refused_at_first=tally.refused,
            recovered_by_demur=tally.recovered_by_demur,
            recovered_by_api=tally.recovered_by_api,
            recovered_by_client=tally.recovered_by_client,
            turns_elsewhere=elsewhere.get(model, 0),
            requests_imported=tally.told,
        )
        for (model,), tally in made.tallies.items()
    ]
    found.sort(key=lambda count: (-count.refused_at_first, -count.requests, count.model or ""))
    return Counts(found, made.left_out)


def show(found: Counts) -> None:
    """The table, and below it where the requests come from."""
    from proxy.cli.grouping import counted_by, say
    from proxy.cli.words import count

    _print(found.counts) if found.counts else click.echo(NOTHING)
    say(*counted_by(sum(one.requests for one in found.counts), sum(one.requests_imported for one in found.counts)))
    if found.left_out:
        more = count(found.left_out, "more refusal")
        say(f"Not among these requests, and in no rate: {more}. --group model has them, under APART.")


def records(found: Counts) -> Iterator[dict[str, Any]]:
    """One for each model."""
    return map(_record, found.counts)


def _record(count: Count) -> dict[str, Any]:
    facts: dict[str, Any] = asdict(count)
    later, imported = facts.pop("turns_elsewhere"), facts.pop("requests_imported")
    gap = None if count.gap is None else round(count.gap, 4)
    rate, low, high = count.rate or (None, None, None)
    facts |= {"refused_in_the_end": count.refused_in_the_end, "gap": gap, "turns_elsewhere": later}
    return facts | {"rate": rate, "rate_low": low, "rate_high": high, "requests_imported": imported}


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
