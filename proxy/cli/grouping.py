"""The tables and the JSON of ``demur stats --group`` and ``--by``: what was declined, and of what it is a share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from proxy.cli import figures
from proxy.cli.figures import number, percent
from proxy.core.tally import RECOVERED, Key, Statistics, Tally

if TYPE_CHECKING:
    from proxy.cli.table import Row


def records(made: Statistics) -> Iterator[dict[str, Any]]:
    """One for each value; with periods one for each of them and each value, in their order, with zeros where there was nothing."""
    whole, total = made.whole() if made.by else {"": made.total}, made.total
    values = made.values() if made.fields else [()]
    for name, inside in whole.items():
        before = {"period": name} if made.by else {}
        of = inside if made.fields else total
        for one in values:
            told = {field: value or None for field, value in zip(made.fields, one, strict=True)}
            tally = made.tally((name, *one) if made.by else one)
            yield before | told | _record(made, tally, of.refusals)


def _record(made: Statistics, tally: Tally, of: int) -> dict[str, Any]:
    """``against`` names the fields of which the requests have the same values; null: there is no rate, only a share."""
    rate = tally.rate or (None, None, None)
    return {
        "refusals": tally.refusals,
        "refused_at_first": tally.refused,
        "apart": tally.apart,
        "share": tally.refusals / of if of else None,
        "against": None if made.against is None else [*made.against],
        "requests": tally.requests,
        "requests_imported": None if made.against is None else tally.told,
        **dict(zip(("rate", "rate_low", "rate_high"), rate, strict=True)),
        **{name: getattr(tally, name) for name in (*RECOVERED, "unknown")},
        "refused_in_the_end": tally.in_the_end,
        "gap": tally.gap,
    }


def show(made: Statistics) -> None:
    """The table of the values, and below it what its rates and shares are of."""
    from proxy.cli.table import LEAST, Look
    from proxy.cli.table import show as print_

    total = made.total
    rows = [_row(made, values, made.tally(values), total) for values in made.values()]
    if len(rows) > 1:
        rows.append(_all(made, total))
    numbers = [title for title in rows[0] if title not in made.fields]
    dispensable = dict.fromkeys(("in the end", "apart", "95%", "gap"), LEAST)
    styles: dict[str, dict[str, Any]] = {name: {"bold": True} for name in made.fields} | {"gap": {"fg": "yellow"}}
    look = Look(whole=numbers, numbers=numbers, dispensable=dispensable, styles=styles, elsewhere="--json has all.")
    print_(rows, look)
    say(*notes(made, total))


def _row(made: Statistics, values: Key, tally: Tally, total: Tally) -> "Row":
    told = {name: figures.value(name, one) for name, one in zip(made.fields, values, strict=True)}
    row = {name: (text, text.removeprefix("claude-")) for name, text in told.items()}
    return row | {title: (fact, fact) for title, fact in facts(made, tally, total).items()}


def _all(made: Statistics, total: Tally) -> "Row":
    row = dict.fromkeys(made.fields, ("", ""))
    row[made.fields[0]] = ("all", "all")
    return row | {title: (fact, fact) for title, fact in facts(made, total, total).items()}


def facts(made: Statistics, tally: Tally, total: Tally) -> dict[str, str]:
    """The columns of numbers, those that this question has."""
    found = {
        "requests": number(tally.requests or 0) if made.against or made.by else None,
        "refused": number(tally.refusals),
        "apart": number(tally.apart) if total.apart and made.against is not None else None,
        "share": percent(tally.refusals / total.refusals if total.refusals else None)
        if made.fields and not made.against
        else None,
        "rate": percent(tally.rate and tally.rate.rate) if made.against is not None else None,
        "95%": figures.interval(tally.rate) if made.against is not None else None,
        "in the end": number(tally.in_the_end),
        "gap": percent(tally.gap, 1),
    }
    return {title: fact for title, fact in found.items() if fact is not None}


def notes(made: Statistics, total: Tally) -> Iterator[str]:
    """What the rates and shares are of, in sentences."""
    from proxy.cli.words import count

    if made.against is None:
        yield "A share is of the refusals: how many requests there were of each value, nobody counted, so there is no rate."
    elif made.against:
        same = " and ".join(name.replace("_", " ") for name in made.against)
        yield f"A rate is against all requests with the same {same}."
    elif made.fields:
        asked = count(total.requests or 0, "request")
        yield f"A rate is against the {asked} of the whole period, a share is of the refusals."
    if made.against is not None:
        yield from counted_by(total.requests or 0, total.told)
        if total.apart:
            yield f"No rate has what stands apart ({number(total.apart)}): these refusals are none of the counted requests."
    if total.unknown:
        yield f"How {count(total.unknown, 'refusal')} ended is not known: the gap is that of the others."
    if made.timeless:
        yield f"{count(made.timeless, 'refusal')} without a readable time left out."


def counted_by(requests: int, told: int) -> Iterator[str]:
    """Where the requests come from, in a sentence; none where demur counted them all."""
    if told:
        own = f"{number(requests - told)} counted by demur, {number(told)} told of by imported files"
        yield f"Requests: {own}. Each hour is taken from one of them, never from both."


def say(*sentences: str) -> None:
    """Below a table, in a paler print."""
    from proxy.cli.layout import wrapped
    from proxy.cli.options import columns
    from proxy.cli.table import UNLIMITED

    for sentence in sentences:
        click.secho(wrapped(sentence, columns(UNLIMITED)), dim=True)
