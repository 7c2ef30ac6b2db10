"""Who counted the requests: what keeps the counts of several machines apart, so that they are merged in any order and any number of times.

Each count has an origin: the database whose demur saw the requests, or a file that was imported into it. Counts of one origin, hour and key only
grow, so of two the larger holds the other (a grow-only counter). What came from another machine stands in ``imported_traffic``, under its origin in
place of a file, and leaves with that origin again; what comes back to where it was counted is left out.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import batched
from typing import Any

import msgspec
from msgspec import Struct

from proxy.core.overlap import OWN
from proxy.store import Store
from schemas.records import Traffic

_PREFIX = "demur:"
"""Before an origin, where else a path stands."""
_AT_ONCE = 500
"""Hours that are read at once."""
_KEY = ", ".join(Traffic.__struct_fields__)
_HOURS = "select hour from traffic where hour >= :since union select hour from imported_traffic where hour >= :since order by 1"
_COUNTS = f"""
    select {_KEY}, n, '' as file, '' as source from traffic where hour between :first and :last and (:model is null or model = :model)
    union all select {_KEY}, n, file, source from imported_traffic where hour between :first and :last and (:model is null or model = :model)
"""  # noqa: S608 the names are ours
_GROW = f"""
    insert into imported_traffic (file, {_KEY}, n, source) values (?{", ?" * len(Traffic.__struct_fields__)}, ?, ?)
    on conflict do update set n = max(n, excluded.n)
"""  # noqa: S608 the names are ours


class Counted(Struct, frozen=True, kw_only=True):
    """How many requests agree in ``traffic``, as one origin counted them."""

    origin: str
    """``b2:`` and 32 hex digits; with ``/`` and 32 more for a file that was imported there."""
    traffic: Traffic
    n: int
    source: str = ""
    """The importer that read the file; empty where a demur saw them, or an older one imported them."""

    @property
    def imported(self) -> bool:
        """Whether a file told of them, and no demur saw them."""
        return "/" in self.origin


def counted(store: Store, since: str | None = None, model: str | None = None) -> Iterator[Counted]:
    """All counts of these hours and of this model, in the order of their hours, origins and keys. Raises StoreError."""
    own = store.identity()
    hours = [row["hour"] for row in store.rows(_HOURS, {"since": (since or "")[:13]})]
    for some in batched(hours, _AT_ONCE):
        rows = store.rows(_COUNTS, {"first": some[0], "last": some[-1], "model": model})
        yield from sorted((_counted(own, row) for row in rows), key=_place)


def grow(store: Store, counts: Iterable[Counted]) -> int:
    """Keeps what others counted; how many requests that were. Raises StoreError."""
    own = store.identity()
    others = [one for one in counts if one.origin.partition("/")[0] != own]
    rows = [
        (f"{_PREFIX}{one.origin}", *msgspec.structs.astuple(one.traffic), one.n, one.source if one.imported else OWN)
        for one in others
    ]
    if rows:
        with store.transaction() as connection:
            connection.executemany(_GROW, rows)
    return sum(one.n for one in others)


def _place(one: Counted) -> tuple[str, str, tuple[str, ...]]:
    return one.traffic.hour, one.origin, msgspec.structs.astuple(one.traffic)


def _counted(own: str, row: dict[str, Any]) -> Counted:
    origin = _origin(own, row["file"])
    source = row["source"] if "/" in origin else ""
    return Counted(origin=origin, traffic=msgspec.convert(row, Traffic), n=row["n"], source=source)


def _origin(own: str, file: str) -> str:
    if file.startswith(_PREFIX):
        return file.removeprefix(_PREFIX)
    return f"{own}/{blake2b(file.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}" if file else own
