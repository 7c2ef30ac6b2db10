"""What was reported where: the table ``reports``. It is what a person says; demur itself reports nothing."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from proxy.database import StoreError
from proxy.store import Store


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
                new += 1
    return new


def unmark(store: Store, refusal_ids: Iterable[str], url: str) -> int:
    """Takes back that they were reported there. How many notes were. Raises StoreError."""
    sql = "delete from reports where url = ? and refusal_id in (select value from json_each(?)) returning id"
    with store.transaction() as connection:
        return len(connection.execute(sql, [url, msgspec.json.encode(list(refusal_ids)).decode()]).fetchall())


def reported(store: Store, refusal_ids: Iterable[str]) -> list[Report]:
    """What is known to have been reported of these, the first first. Raises StoreError."""
    sql = """
        select refusal_id, at, url, shape from reports
        where refusal_id in (select value from json_each(?)) order by id
    """
    names = msgspec.json.encode(list(refusal_ids)).decode()
    return [msgspec.convert(row, Report) for row in store.rows(sql, [names])]
