"""Counts over the store: what was declined, how it ended, and of how many requests. No prompt text, no id.

There are two sources, and neither has everything. The *counts* know every request, also those that were answered, but of each
only the fields of ``schemas.records.Traffic``. The *recorded refusals* know much more of what was declined, and nothing of the rest.

- Grouped by fields that the counts have, a refusal is taken from the counts, and its rate is that against the requests with the same
  values. What the client did by itself afterwards had been counted before: it is taken from the records (recovered, or only repeated).
- Grouped by anything else as well, it is taken from the records. A category and a kind are a part of all that was asked, so that they have
  a rate against all requests (with the same values of the counts' fields, where such are asked for too). Of a language, a project or a
  verdict nobody knows how many requests had it: there is a share of the refusals, and no rate.

Requests are counted by demur (``traffic``), and told of by imported files (``imported_traffic``), which may mean the same ones: each hour is taken from
one of them (``proxy.core.overlap``). A recorded refusal is a part of its hour's requests where it was seen in the way that they were counted in. Others are
told apart (``apart``) and are no part of any rate.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from proxy.core.overlap import OWN, taken
from proxy.core.periods import LENGTHS, By, after, begin, period
from proxy.core.tally import ANNOTATED, COUNTED, RECOVERED, UNKNOWN, Key, Statistics, Tally
from proxy.store import Store

_MEANT_HOURS = "hour >= :since and (:until = '' or hour < :until) and role <> 'count_tokens'"
_MEANT_REQUESTS = f"{_MEANT_HOURS} and (:model is null or model = :model)"
_TRAFFIC = f"""
    select {{columns}}, iif(:ends, outcome, '') as ended, sum(n) as n, {{told}} as told from {{requests}}
    where {_MEANT_REQUESTS} group by {{keys}}, ended
"""  # noqa: S608 constants
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
    from {{refusals}} where kind = 'refusal' and {{counted}} and {_MEANT} group by {{keys}}
"""  # noqa: S608 constants
_REFUSALS = f"""
    select {{columns}}, outcome as ended, {{counted}} as counted, count(*) as n
    from {{refusals}} where (:every or kind = 'refusal') and {_MEANT} group by {{keys}}, ended, counted
"""  # noqa: S608 constants
_ELSEWHERE = f"""
    select model, answered_by, sum(n) as n from {{requests}}
    where {_MEANT_REQUESTS} and outcome = 'answered' and answered_by not in ('', model) group by model, answered_by
"""  # noqa: S608 constants

_WAY = f"iif(substr(file, 1, 6) = 'demur:' and instr(file, '/') = 0, '{OWN}', source)"
"""In which way an imported count was made: the source of its file, or by the demur of another machine (``proxy.origins``)."""
_WAYS = f"""
    select hour, {_WAY} as way, sum(n) as n from imported_traffic where {_MEANT_HOURS} group by hour, way
    union all
    select hour, '{OWN}' as way, sum(n) as n from traffic
    where {_MEANT_HOURS} and hour in (select hour from imported_traffic) group by hour
"""  # noqa: S608 constants
_TAKEN = "(select key as taken_hour, value as way from json_each(:taken))"
_FIELDS = "hour, model, answered_by, role, client, client_version, entrypoint, user, outcome, n"
_BOTH = f"""(
    select {_FIELDS}, false as told from traffic where hour not in (select key from json_each(:taken))
    union all
    select {_FIELDS}, {_WAY} <> '{OWN}' as told from imported_traffic left join {_TAKEN} on taken_hour = hour
    where coalesce(way, '{OWN}') = {_WAY}
)"""  # noqa: S608 constants
_SEEN = f"""
    case way when '' then exists (select 1 from json_each(sources) where value not in ('gateway', 'mitmproxy', 'raw'))
    else coalesce(instr(sources, '"' || way || '"') > 0, {_WITNESSED}) end
"""  # noqa: S608 constants
"""Whether it was seen in the way that its hour is taken from. Of older imports nobody knows which way that is; single answers were never counted."""


class _Counts(NamedTuple):
    """Where the counts are: names for the statements above, and the hours that are taken from imported files."""

    names: dict[str, str]
    taken: dict[str, str]


_ALONE = {"requests": "traffic", "told": "0", "refusals": "refusals", "counted": _WITNESSED}
_TOGETHER = {
    "requests": _BOTH,
    "told": "sum(iif(told, n, 0))",
    "refusals": f"refusals left join {_TAKEN} on taken_hour = substr(at, 1, 13)",
    "counted": _SEEN,
}


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
    store: Store,
    fields: Sequence[str] = (),
    by: By | None = None,
    scope: Scope | None = None,
    *,
    imports: bool = True,
    apart: bool = True,
) -> Statistics:
    """What was declined, by period and by the values of some of ``tally.FIELDS``. Raises StoreError.

    Only the kind ``refusal``, unless the kinds are asked for. ``imports``: with what imported files tell of. ``apart``: with the refusals that are
    in no rate; else it is only said how many they are.
    """
    made, scope = Statistics(fields=tuple(fields), by=by), scope or Scope()
    counts = _counts(store, scope, imports=imports)
    from_counts = scope.category is None and {*fields} <= {*COUNTED, "outcome"}
    counted = _counted(store, made, scope, counts, ends=from_counts)
    if from_counts:
        _follow(store, made, scope, counts, counted)
        made.tallies = _by_outcome(made, counted) if "outcome" in fields else counted
    if imports or not from_counts:
        _record(store, made, scope, counts, kept=(imports and apart, not from_counts))
    for key, tally in made.tallies.items():
        made.set_against(key, tally)
    return made


def turns_elsewhere(store: Store, scope: Scope, *, imports: bool = True) -> dict[str, int]:
    """By the model that was asked for: later turns that another one answered, since the conversation stayed there."""
    from schemas.models import family

    found: dict[str, int] = {}
    counts = _counts(store, scope, imports=imports)
    for row in store.rows(_ELSEWHERE.format(**counts.names), _values(scope, counts)):
        if family(row["model"]) != family(row["answered_by"]):
            found[row["model"]] = found.get(row["model"], 0) + row["n"]
    return found


def _counts(store: Store, scope: Scope, *, imports: bool) -> _Counts:
    """Where nothing was imported, the counts are those of demur."""
    if not imports or not store.rows("select 1 from imported_traffic limit 1"):
        return _Counts(_ALONE, {})
    rows = store.rows(_WAYS, {"since": scope.since, "until": scope.until})
    return _Counts(_TOGETHER, taken((row["hour"], row["way"], row["n"]) for row in rows))


def _counted(store: Store, made: Statistics, scope: Scope, counts: _Counts, *, ends: bool) -> dict[Key, Tally]:
    """What the counts say, by the period and by those of the fields that they have; ``ends``: also of how they ended."""
    found: dict[Key, Tally] = {}
    names = [name for name in made.fields if name in COUNTED]
    for key, row in _rows(store, _TRAFFIC, [_stretch("hour", made.by), *names], made.by, scope, counts, ends=ends):
        if key is None:
            continue  # an imported file tells of an hour that is none
        made.requests[key] = made.requests.get(key, 0) + row["n"]
        made.told[key] = made.told.get(key, 0) + row["told"]
        tally = found.setdefault(key, Tally())
        if row["ended"] in ("refused", *RECOVERED):
            tally.put(row["ended"], row["n"])
    return found


def _follow(store: Store, made: Statistics, scope: Scope, counts: _Counts, counted: dict[Key, Tally]) -> None:
    """Adds what the client did by itself after its request had been counted."""
    names = [_column(name) for name in made.fields if name in COUNTED]
    for key, row in _rows(store, _OF_CLIENT, [_stretch("at", made.by), *names], made.by, scope, counts):
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


def _record(store: Store, made: Statistics, scope: Scope, counts: _Counts, *, kept: tuple[bool, bool]) -> None:
    """Adds the recorded refusals. ``kept``: those that are in no count, those that are in one."""
    columns = [_stretch("at", made.by), *map(_column, made.fields)]
    for key, row in _rows(store, _REFUSALS, columns, made.by, scope, counts, every="kind" in made.fields):
        if not kept[row["counted"]]:
            made.left_out += 0 if row["counted"] else row["n"]
        elif key is None:
            made.timeless += row["n"]
        else:
            made.tallies.setdefault(key, Tally()).put(row["ended"], row["n"], apart=not row["counted"])


def _rows(
    store: Store, sql: str, columns: list[str], by: By | None, scope: Scope, counts: _Counts, **more: Any
) -> Iterator[tuple[Key | None, dict[str, Any]]]:
    """The rows with their keys; None where the time is that of no period."""
    listed = ", ".join(f"{column} as k{n}" for n, column in enumerate(columns))
    keys = ", ".join(f"k{n}" for n in range(len(columns)))
    for row in store.rows(sql.format(columns=listed, keys=keys, **counts.names), _values(scope, counts) | more):
        values = tuple(row[f"k{n}"] for n in range(1, len(columns)))
        name = _period(row["k0"], by) if by else ""
        yield None if name is None else (name, *values) if by else values, row


def _values(scope: Scope, counts: _Counts) -> dict[str, Any]:
    return msgspec.structs.asdict(scope) | {"taken": msgspec.json.encode(counts.taken).decode()}


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
