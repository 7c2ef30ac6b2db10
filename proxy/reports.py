"""What was reported where: the table ``reports``. It is what a person says; demur itself reports nothing."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from proxy.database import StoreError
from proxy.store import Store


class Report(Struct, kw_only=True):
    """A refusal that was reported."""

    refusal_id: str
    at: str
    url: str
    """Where: an address, without secrets."""
    shape: str = ""
    """In which shape, where that is known."""


def mark(store: Store, reports: Iterable[Report]) -> None:
    """Keeps all of them or none. Raises StoreError."""
    with store.transaction() as connection:
        for one in reports:
            if connection.execute("select 1 from refusals where id = ?", [one.refusal_id]).fetchone() is None:
                raise StoreError(f"the refusal {one.refusal_id} is not stored any more: nothing was changed")
            connection.execute(
                "insert into reports (refusal_id, at, url, shape) values (?, ?, ?, ?)",
                [one.refusal_id, one.at, one.url, one.shape],
            )


def reported(store: Store, refusal_ids: Iterable[str]) -> list[Report]:
    """What is known to have been reported of these, the first first. Raises StoreError."""
    sql = """
        select refusal_id, at, url, shape from reports
        where refusal_id in (select value from json_each(?)) order by id
    """
    names = msgspec.json.encode(list(refusal_ids)).decode()
    return [msgspec.convert(row, Report) for row in store.rows(sql, [names])]
