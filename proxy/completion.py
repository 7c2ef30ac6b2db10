"""A refusal of which an export told little, completed where another tells more of it.

An export below ``full`` has null for what it withholds, and placeholders for persons, sessions and private names (``proxy.exporters.levels``). Both
mean one record where they have one id, so what is null in the stored row, or a placeholder, is taken from the one that comes
later; all else stays as it is stored. Its request is taken where there is less of it here (``proxy.witnesses``), what demur found in it
where nothing is. What persons said is merged by ``proxy.judgements``.
"""

import re
import sqlite3
from typing import Any, NamedTuple

import msgspec

from proxy.packed import Packed
from proxy.tables import ANNOTATIONS, ATTEMPTS, REFUSALS
from proxy.witnesses import FILLED, bring
from schemas.labels import Outcome
from schemas.records import Refusal

UNTOLD = "export"
"""The ``evidence`` of a refusal of which an export told ids alone: its source, its role and the like are not known."""

_ROW = "select * from refusals where id = coalesce((select refusal_id from witnesses where id = :id), :id)"
_VEILED = re.compile(r"<[A-Z]{2,10}-\d{1,6}>|\bb2:[0-9a-f]{32}\b")
_MAY_BE_VEILED = frozenset(
    "session_id agent_id client entrypoint user project branch explanation headers".split()
)  # other hashes are what they seem
_OF_INCIDENT = frozenset("session_id agent_id fingerprint asked accepted_at".split())
_ADD_ATTEMPT = ATTEMPTS.insert.replace("insert", "insert or ignore", 1)


class Completed(NamedTuple):
    """Something was taken."""

    session_id: str | None
    """The session that is to be grouped anew, if any."""


def complete(connection: sqlite3.Connection, entry: Packed) -> Completed | None:
    """Gives the stored row of the entry's first refusal what it lacks and this tells; None where that is nothing, or there is no such row.

    Raises what SQLite raises, and then its caller takes it back.
    """
    told = entry.refusals[0] if entry.refusals else None
    here = told and _stored(connection, told.id)
    if told is None or here is None:
        return None
    changes = _changes(here, told)
    if changes:
        _change(connection, here, changes)
    brought = bring(connection, here.id, told, entry)
    if here.id == told.id:
        rows = [ATTEMPTS.row(attempt, refusal_id=here.id) for attempt in entry.attempts]
        connection.executemany(_ADD_ATTEMPT, rows)
    _annotate(connection, here.id, entry)
    if not changes and not brought:
        return None
    grouped = brought or _OF_INCIDENT & changes.keys()
    return Completed(changes.get("session_id", here.session_id) if grouped else None)


def _stored(connection: sqlite3.Connection, name: str) -> Refusal | None:
    """The row that holds a refusal: its own, or that of the refusal which it is a witness of."""
    cursor = connection.execute(_ROW, {"id": name})
    row = cursor.fetchone()
    return row and REFUSALS.record(dict(zip((name for name, *_ in cursor.description), row, strict=True)))


def _changes(here: Refusal, told: Refusal) -> dict[str, Any]:
    """The fields of which the row is to have another value."""
    own = here.id == told.id
    untold = own and here.evidence == UNTOLD != told.evidence
    names = [*FILLED, *(("headers",) if own else ()), *(("source", "fingerprint") if untold else ())]
    changes = {name: getattr(told, name) for name in names if untold or _tells_more(here, told, name)}
    if here.outcome == Outcome.UNKNOWN:
        changes["outcome"] = told.outcome
    before = [one for one in here.sources if not untold or one != here.source]
    first = [told.source] if untold else []
    changes["sources"] = list(dict.fromkeys([*first, *before, *told.sources]))
    return {name: value for name, value in changes.items() if value is not None and value != getattr(here, name)}


def _tells_more(here: Refusal, told: Refusal, name: str) -> bool:
    before, after = getattr(here, name), getattr(told, name)
    if before is None or before == {}:
        return True
    return name in _MAY_BE_VEILED and bool(_VEILED.search(str(before))) and not _VEILED.search(str(after))


def _change(connection: sqlite3.Connection, here: Refusal, changes: dict[str, Any]) -> None:
    row = REFUSALS.row(msgspec.structs.replace(here, **changes))
    assignments = ", ".join(f"{name} = :{name}" for name in changes)
    connection.execute(f"update refusals set {assignments} where id = :id", row)  # noqa: S608 the names are ours


def _annotate(connection: sqlite3.Connection, refusal_id: str, entry: Packed) -> None:
    found = entry.annotations.get(entry.refusals[0].id)
    if found and not connection.execute("select 1 from annotations where refusal_id = ?", [refusal_id]).fetchone():
        rows = [ANNOTATIONS.row(annotation, refusal_id=refusal_id) for annotation in found]
        connection.executemany(ANNOTATIONS.replace, rows)
