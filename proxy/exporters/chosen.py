"""Which refusals are exported: the filters of ``demur list``, and more of their kind.

What is chosen is held as ids alone (75 bytes each), so that any number of records can be read a page at a time, in any order, without a
transaction that stays open for as long as somebody reads the output.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from proxy.database import faults
from proxy.store import Store

_WHERE = """
    (:since is null or at >= :since) and (:model is null or model = :model) and (:kind is null or kind = :kind)
    and (:category is null or coalesce(category, 'none') = :category) and (:verdict is null or verdict = :verdict)
    and (not :unjudged or verdict = 'unknown') and (:ids is null or id in (select value from json_each(:ids)))
    and (:incidents is null or coalesce(incident_id, id) in (select value from json_each(:incidents)))
"""
_ORDERS = {"oldest": "at, id", "incident": "coalesce(incident_id, id) desc, at, id"}
_COUNTS = f"""
    select substr(at, 1, 7) as month, iif(kind = 'refusal', coalesce(category, 'none'), kind) as category, count(*) as n
    from refusals where {_WHERE} group by 1, 2 order by 1, 2
"""  # noqa: S608 constants

Order = Literal["oldest", "incident"]
"""The oldest first; or by incident, the one that began last first, and in each the first first."""


class Chosen(Struct, frozen=True, kw_only=True):
    """What all of the chosen have; None: any."""

    since: str | None = None
    """A time as in ``at``, or its beginning."""
    model: str | None = None
    category: str | None = None
    """``none``: where the API said none."""
    kind: str | None = None
    unjudged: bool = False
    verdict: str | None = None
    ids: tuple[str, ...] | None = None
    """Of refusals, whole."""
    incidents: tuple[str, ...] | None = None


def names(store: Store, chosen: Chosen, order: Order = "oldest") -> list[str]:
    """The ids of the chosen refusals. Raises StoreError."""
    sql = f"select id from refusals where {_WHERE} order by {_ORDERS[order]}"  # noqa: S608 constants
    with faults(store.path):
        return [name for (name,) in store.db.conn.execute(sql, _values(chosen))]


def counts(store: Store, chosen: Chosen) -> list[tuple[str, str, int]]:
    """How many of the chosen there are by month (``2026-11``, UTC) and category; the kind, where it is no refusal."""
    return [(row["month"], row["category"], row["n"]) for row in store.rows(_COUNTS, _values(chosen))]


def _values(chosen: Chosen) -> dict[str, Any]:
    listed = {
        name: None if value is None else msgspec.json.encode(value).decode() for name, value in _lists(chosen).items()
    }
    return {name: getattr(chosen, name) for name in chosen.__struct_fields__} | listed


def _lists(chosen: Chosen) -> dict[str, tuple[str, ...] | None]:
    return {"ids": chosen.ids, "incidents": chosen.incidents}
