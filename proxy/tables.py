"""How records stand in their tables: a column for each field, lists and dicts as JSON text."""

from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from schemas.records import (
    Accepted,
    Annotation,
    Attempt,
    Judgement,
    Located,
    Pin,
    Refusal,
    Rephrasing,
    Traffic,
    Trial,
)

NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
"""This moment in SQL, as times stand in the tables."""


class Table[R: Struct]:
    """The statements for one table, and its records out of rows and into them. ``owner``: columns that no field gives."""

    def __init__(self, name: str, record: type[R], *owner: str) -> None:
        hints = get_type_hints(record)
        self._record = record
        self._json = {name for name, hint in hints.items() if get_origin(hint) in (list, dict)}
        self._bools = {name for name, hint in hints.items() if bool in (hint, *get_args(hint))}
        columns = (*owner, *record.__struct_fields__)
        names, values = ", ".join(f'"{column}"' for column in columns), ", ".join(f":{column}" for column in columns)
        self.insert = f"insert into {name} ({names}) values ({values})"  # noqa: S608 the names are ours
        self.replace = f"insert or replace into {name} ({names}) values ({values})"  # noqa: S608 the names are ours

    def row(self, record: R, **owner: Any) -> dict[str, Any]:
        """The values of the columns. ``owner`` goes before what the record itself says."""
        values: dict[str, Any] = msgspec.to_builtins(record, builtin_types=(bytes,))
        texts = {name: msgspec.json.encode(values[name]).decode() for name in self._json}
        return values | texts | owner

    def record(self, row: dict[str, Any]) -> R:
        values = {name: msgspec.json.decode(row[name]) for name in self._json}
        values |= {name: None if row[name] is None else bool(row[name]) for name in self._bools}
        return msgspec.convert(row | values, self._record, builtin_types=(bytes,))


REFUSALS = Table("refusals", Refusal)
ATTEMPTS = Table("attempts", Attempt, "refusal_id")
REPHRASINGS = Table("rephrasings", Rephrasing, "refusal_id")
PINS = Table("pins", Pin)
ACCEPTED = Table("accepted", Accepted)
ANNOTATIONS = Table("annotations", Annotation, "refusal_id")
JUDGEMENTS = Table("judgements", Judgement)
TRIALS = Table("trials", Trial)
LOCATED = Table("located", Located)

_TRAFFIC = ", ".join(Traffic.__struct_fields__)
COUNT = f"""
    insert into traffic ({_TRAFFIC}, n) values ({", ".join("?" for _ in Traffic.__struct_fields__)}, ?)
    on conflict do update set n = n + excluded.n
"""  # noqa: S608 the names are ours
"""Adds to a traffic count: the fields of its key in order, and how many."""
