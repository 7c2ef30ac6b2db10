"""What was reported where: the table ``reports``. It is what a person says; demur itself reports nothing.

What a person took back stands in ``withdrawn``, so that it does not come back with an export or a database from before.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from proxy.database import StoreError
from proxy.store import Store
from proxy.tables import NOW


class Report(Struct, frozen=True, kw_only=True):
    """A refusal that was reported."""

    refusal_id: str
    at: str
    url: str
    """Where: an address, or in words; without secrets."""
    shape: str = ""
    """In which shape, where that is known."""


def mark(store: Store, reports: Iterable[Report]) -> int:
    """Keeps all of them or none, but what is noted already stays one note. How many are new. Raises StoreError."""
    with store.transaction() as connection:
        new = 0
        for one in reports:
            if connection.execute("select 1 from refusals where id = ?", [one.refusal_id]).fetchone() is None:
                raise StoreError(f"the refusal {one.refusal_id} is not stored any more: nothing was changed")
            place = [one.refusal_id, one.url]
            if connection.execute("select 1 from reports where refusal_id = ? and url = ?", place).fetchone() is None:
                connection.execute(
                    "insert into reports (refusal_id, at, url, shape) values (?, ?, ?, ?)",
                    [one.refusal_id, one.at, one.url, one.shape],
                )
                connection.execute("delete from withdrawn where refusal_id = ? and url = ?", place)
                new += 1
    return new


def unmark(store: Store, refusal_ids: Iterable[str], url: str) -> int:
    """Takes back that they were reported there. How many notes were. Raises StoreError."""
    sql = (
        "delete from reports where url = ? and refusal_id in (select value from json_each(?)) returning refusal_id, url"
    )
    with store.transaction() as connection:
        gone = connection.execute(sql, [url, msgspec.json.encode(list(refusal_ids)).decode()]).fetchall()
        connection.executemany(f"insert or replace into withdrawn values (?, ?, {NOW})", gone)  # noqa: S608 a constant
    return len(gone)


def merge(store: Store, reports: Iterable[Report]) -> None:
    """Keeps what was noted on another machine, but for what a person took back here since. Raises StoreError."""
    sql = "select 1 from withdrawn where refusal_id = ? and url = ? and at >= ?"
    mark(store, [one for one in reports if not store.rows(sql, [one.refusal_id, one.url, one.at])])


def reported(store: Store, refusal_ids: Iterable[str]) -> list[Report]:
    """What is known to have been reported of these, the first first. Raises StoreError."""
    sql = """
        select refusal_id, at, url, shape from reports
        where refusal_id in (select value from json_each(?)) order by id
    """
    names = msgspec.json.encode(list(refusal_ids)).decode()
    return [msgspec.convert(row, Report) for row in store.rows(sql, [names])]
