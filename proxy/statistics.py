"""Counts over the store: what was declined, how it ended, and of how many requests. No prompt text, no id.

There are two sources, and neither has everything. The *traffic counts* know every request, also those that were answered, but of each
only the fields of ``schemas.records.Traffic``. The *recorded refusals* know much more of what was declined, and nothing of the rest.

- Grouped by fields that the counts have, a refusal is taken from the counts, and its rate is that against the requests with the same
  values. What the client did by itself afterwards had been counted before: it is taken from the records (recovered, or only repeated).
- Grouped by anything else as well, it is taken from the records. A category and a kind are a part of all that was asked, so that they have
  a rate against all requests (with the same values of the counts' fields, where such are asked for too). Of a language, a project or a
  verdict nobody knows how many requests had it: there is a share of the refusals, and no rate.

What was imported has no requests that demur counted. It is told apart (``imported``) and is no part of any rate.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct

from proxy.core.periods import LENGTHS, By, after, begin, period
from proxy.core.tally import ANNOTATED, COUNTED, RECOVERED, UNKNOWN, Key, Statistics, Tally
from proxy.store import Store

_TRAFFIC = """
    select {columns}, iif(:ends, outcome, '') as ended, sum(n) as n from traffic
    where hour >= :since and (:until = '' or hour < :until) and (:model is null or model = :model) and role <> 'count_tokens'
    group by {keys}, ended
"""
_MEANT = """
    at >= :since and (:until = '' or at < :until) and (:model is null or model = :model)
    and (:category is null or coalesce(category, 'none') = :category)
"""
_WITNESSED = """(instr(sources, '"gateway"') > 0 or instr(sources, '"mitmproxy"') > 0)"""
"""Whether demur itself saw it, and so counted its request."""
_OF_CLIENT = f"""
    select {{columns}}, sum(outcome = 'recovered_by_client') as recovered,
        sum((select count(*) from attempts
             where refusal_id = refusals.id and n > 0 and "by" = 'client' and attempts.outcome = 'refused')) as repeated
    from refusals where kind = 'refusal' and {_WITNESSED} and {_MEANT} group by {{keys}}
"""  # noqa: S608 constants
_REFUSALS = f"""
    select {{columns}}, outcome as ended, {_WITNESSED} as witnessed, count(*) as n
    from refusals where (:every or kind = 'refusal') and {_MEANT} group by {{keys}}, ended, witnessed
"""  # noqa: S608 constants
_ELSEWHERE = """
    select model, answered_by, sum(n) as n from traffic
    where hour >= :since and (:until = '' or hour < :until) and outcome = 'answered' and answered_by not in ('', model)
    group by model, answered_by
"""


class Scope(Struct, frozen=True, kw_only=True):
    """Which requests and refusals are meant."""

    since: str = ""
    """Not before: the beginning of a time in UTC, down to the hour at most."""
    until: str = ""
    """Before this one; empty: without end."""
    model: str | None = None
    """The one that was asked for; None: any."""
    category: str | None = None
    """``none`` is the null category; None: any."""


def statistics(
    store: Store, fields: Sequence[str] = (), by: By | None = None, scope: Scope | None = None, *, imports: bool = True
) -> Statistics:
    """What was declined, by period and by the values of some of ``tally.FIELDS``. Raises StoreError.

    Only the kind ``refusal``, unless the kinds are asked for; ``imports``: with what other tools had recorded.
    """
    made, scope = Statistics(fields=tuple(fields), by=by), scope or Scope()
    from_counts = scope.category is None and {*fields} <= {*COUNTED, "outcome"}
    counted = _counted(store, made, scope, ends=from_counts)
    if from_counts:
        _follow(store, made, scope, counted)
        made.tallies = _by_outcome(made, counted) if "outcome" in fields else counted
    _record(store, made, scope, kept=(imports, not from_counts))
    for key, tally in made.tallies.items():
        tally.requests = made.asked(key)
    return made


def turns_elsewhere(store: Store, scope: Scope) -> dict[str, int]:
    """By the model that was asked for: later turns that another one answered, since the conversation stayed there."""
    from schemas.models import family

    found: dict[str, int] = {}
    for row in store.rows(_ELSEWHERE, _values(scope)):
        if family(row["model"]) != family(row["answered_by"]):
            found[row["model"]] = found.get(row["model"], 0) + row["n"]
    return found


def _counted(store: Store, made: Statistics, scope: Scope, *, ends: bool) -> dict[Key, Tally]:
    """What the traffic counts say, by the period and by those of the fields that they have; ``ends``: also of how they ended."""
    found: dict[Key, Tally] = {}
    names = [name for name in made.fields if name in COUNTED]
    for key, row in _rows(store, _TRAFFIC, [_stretch("hour", made.by), *names], made.by, scope, ends=ends):
        assert key is not None
        made.requests[key] = made.requests.get(key, 0) + row["n"]
        tally = found.setdefault(key, Tally())
        if row["ended"] in ("refused", *RECOVERED):
            tally.put(row["ended"], row["n"])
    return found


def _follow(store: Store, made: Statistics, scope: Scope, counted: dict[Key, Tally]) -> None:
    """Adds what the client did by itself after its request had been counted."""
    names = [_column(name) for name in made.fields if name in COUNTED]
    for key, row in _rows(store, _OF_CLIENT, [_stretch("at", made.by), *names], made.by, scope):
        if key in counted:
            counted[key].end_elsewhere(row["recovered"], row["repeated"])


def _by_outcome(made: Statistics, counted: dict[Key, Tally]) -> dict[Key, Tally]:
    """Each divided by how its refusals ended, which then is one of the values."""
    found: dict[Key, Tally] = {}
    at = made.fields.index("outcome") + bool(made.by)
    for key, tally in counted.items():
        ends = {"refused": tally.in_the_end} | {name: getattr(tally, name) for name in RECOVERED}
        for outcome, n in ends.items():
            if n:
                found.setdefault((*key[:at], outcome, *key[at:]), Tally()).put(outcome, n)
    return found


def _record(store: Store, made: Statistics, scope: Scope, *, kept: tuple[bool, bool]) -> None:
    """Adds the recorded refusals. ``kept``: those that demur did not see, those that it did."""
    for key, row in _rows(
        store,
        _REFUSALS,
        [_stretch("at", made.by), *map(_column, made.fields)],
        made.by,
        scope,
        every="kind" in made.fields,
    ):
        if not kept[row["witnessed"]]:
            continue
        if key is None:
            made.timeless += row["n"]
        else:
            made.tallies.setdefault(key, Tally()).put(row["ended"], row["n"], imported=not row["witnessed"])


def _rows(
    store: Store, sql: str, columns: list[str], by: By | None, scope: Scope, **more: Any
) -> Iterator[tuple[Key | None, dict[str, Any]]]:
    """The rows with their keys; None where the time is that of no period."""
    listed = ", ".join(f"{column} as k{n}" for n, column in enumerate(columns))
    keys = ", ".join(f"k{n}" for n in range(len(columns)))
    for row in store.rows(sql.format(columns=listed, keys=keys), _values(scope) | more):
        values = tuple(row[f"k{n}"] for n in range(1, len(columns)))
        name = _period(row["k0"], by) if by else ""
        yield None if name is None else (name, *values) if by else values, row


def _values(scope: Scope) -> dict[str, Any]:
    return {"since": scope.since, "until": scope.until, "model": scope.model, "category": scope.category}


def _stretch(column: str, by: By | None) -> str:
    """As much of a time's text as tells its period."""
    return f"substr({column}, 1, {LENGTHS[by]})" if by else "''"


def _column(name: str) -> str:
    """A field's value in a row of ``refusals``."""
    if name in ANNOTATED:
        suggested = f"select value from annotations where refusal_id = refusals.id and name = '{name}' order by confidence desc, value limit 1"  # noqa: S608
        return f"coalesce(({suggested}), '{UNKNOWN}')"
    return f"coalesce({name}, '')"


@lru_cache
def _period(at: str, by: By) -> str | None:
    """The period of a time's text. None where an importer gave no time that can be read."""
    try:
        name = period(at, by)
        after(begin(name, by), by)
    except (ValueError, OverflowError):
        return None
    return name
