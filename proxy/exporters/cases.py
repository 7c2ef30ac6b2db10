"""What is stored of the chosen refusals, a page at a time: each with all that belongs to it, as far as a level lets it out.

A request that is damaged does not keep the others back: its case says so, and is without what cannot be read.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import batched
from typing import Any

import msgspec

from proxy.exporters.levels import Case, Level, Witness, around, to_excerpt
from proxy.reports import Report
from proxy.store import Store, StoreError
from proxy.tables import ANNOTATIONS, ATTEMPTS, JUDGEMENTS, LOCATED, REFUSALS, REPHRASINGS, TRIALS

PAGE = 100
"""Refusals that are read at once, without their requests."""

_BELONGING: tuple[tuple[str, str, Callable[[dict[str, Any]], Any]], ...] = (
    ("attempts", "n", ATTEMPTS.record),
    ("rephrasings", "n", REPHRASINGS.record),
    ("annotations", "name, confidence desc", ANNOTATIONS.record),
    ("judgements", "id", JUDGEMENTS.record),
    ("trials", "id", TRIALS.record),
    ("located", "id", LOCATED.record),
    ("witnesses", "id", lambda row: msgspec.convert(row, Witness)),
    ("reports", "id", lambda row: msgspec.convert(row, Report)),
)
"""Table, order, and how its rows become records; each stands in the field of a ``Case`` that has the table's name."""


def cases(store: Store, names: Sequence[str], level: Level) -> Iterator[Case]:
    """In the order of the names; one that is gone meanwhile is left out. Raises StoreError."""
    for page in batched(names, PAGE):
        yield from _page(store, page, level)


def _page(store: Store, names: Sequence[str], level: Level) -> Iterator[Case]:
    given = [msgspec.json.encode(names).decode()]
    sql = "select * from refusals where id in (select value from json_each(?))"
    found = {row["id"]: Case(refusal=REFUSALS.record(row)) for row in store.rows(sql, given)}
    if level != Level.IDS:
        for table, order, record in _BELONGING:
            sql = f"select * from {table} where refusal_id in (select value from json_each(?)) order by {order}"  # noqa: S608 constants
            for row in store.rows(sql, given):
                if case := found.get(row["refusal_id"]):
                    getattr(case, table).append(record(row))
    for name in names:
        if case := found.pop(name, None):
            _read_request(store, case, level)
            yield case


def _read_request(store: Store, case: Case, level: Level) -> None:
    """Adds the map, and of the texts what the level lets out."""
    if level == Level.IDS:
        return
    name = case.refusal.id
    try:
        case.segments = store.segments(name)
        if level == Level.FULL:
            case.contents, case.skeleton = store.texts(name), store.skeleton(name)
        elif level == Level.EXCERPTS:
            for segment in around(case, to_excerpt(case)):
                _read_text(store, case, segment.content)
    except StoreError as error:
        case.fault = str(error)


def _read_text(store: Store, case: Case, key: str) -> None:
    rows = store.rows("select 1 from segments where key = ?", [key])
    if rows:  # with content = "none" the map alone is kept
        case.contents[key] = store.content(key)
