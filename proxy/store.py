"""SQL in, records out. It knows nothing of threads.

An ``Entry`` lands whole, in one transaction, or not at all; what its own content makes unstorable is left out and counted
under ``losses``, so that one bad entry never keeps the others waiting. What an entry changes stands in ``proxy.changes``.

Entries come out of spools (see ``proxy.spool``). How far a spool has been moved is written in the same transaction as what
was moved, so no death between the two can lose or repeat an entry. The requests themselves are read by ``proxy.requests``.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from proxy.changes import add, lose
from proxy.database import StoreError
from proxy.incidents import regroup, unpacked
from proxy.packed import Packed, pack
from proxy.requests import Requests
from proxy.tables import ACCEPTED, ANNOTATIONS, ATTEMPTS, NOW, PINS, REFUSALS, REPHRASINGS
from schemas.labels import REPHRASED
from schemas.records import Accepted, Annotation, Attempt, Entry, Pin, Refusal, Rephrasing, Traffic

__all__ = ["Advance", "Loss", "Store", "StoreError"]

_CHOSEN = """
    (:since is null or at >= :since) and (:model is null or model = :model) and (:kind is null or kind = :kind)
    and (:category is null or coalesce(category, 'none') = :category)
"""
_CORRECT = """
    (one.verdict = 'correct' or exists (select 1 from judgements as said where refusal_id = one.id and said.verdict = 'correct'
        and not exists (select 1 from judgements as later
            where later.refusal_id = said.refusal_id and later.author = said.author and later.id > said.id)))
"""
"""Whether anybody's last word on a refusal, ``one``, is that it was correct."""
_ALL_UNJUDGED = "(not :unjudged or max(verdict) = 'unknown' and min(verdict) = 'unknown')"
_UNJUDGED = "(not :unjudged or verdict = 'unknown')"
SHORT = 12
"""The least number of characters of a short id."""
OWN_FAULT = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    UnicodeError,
)
"""What an entry's own content can raise, whatever state the database is in."""


class Advance(Struct, frozen=True, kw_only=True):
    """How far a spool is moved by what is applied with it: from byte ``start`` to byte ``end``."""

    name: str
    start: int
    end: int
    lost: int = 0
    """What the spool itself says that it could not take, since it began."""
    unreadable: int = 0
    """Damaged entries that were passed over between ``start`` and ``end``."""


class Loss(Struct, kw_only=True):
    """Records that were not kept."""

    at: str
    n: int
    what: str


class Store(Requests):
    """The records in one database file. Every method raises StoreError where the database is at fault."""

    def apply(self, entries: Iterable[Entry | Packed], advance: Advance | None = None) -> int:
        """Stores the entries and how far that moves their spool, in one transaction.

        Returns how many of them could not be stored for what they hold. Raises StoreError and changes nothing when the
        database is at fault, or when the spool does not stand at ``advance.start``: someone else has moved it.
        """
        with self.transaction() as connection:
            refused, late = 0, set[str]()
            for entry in entries:
                try:
                    with self.db.atomic():
                        late |= add(connection, entry if isinstance(entry, Packed) else pack(entry))
                except OWN_FAULT:
                    refused += 1
            for session_id in sorted(late):
                regroup(connection, session_id)
            lose(connection, refused, "refused by the database")
            if advance is not None:
                self._advance(connection, advance)
        return refused

    def moved(self, spool: str) -> tuple[int, int]:
        """Up to which byte a spool has been moved, and how much of its own count of losses is in ``losses``."""
        rows = self.rows('select "offset", lost from spools where name = ?', [spool])
        return (rows[0]["offset"], rows[0]["lost"]) if rows else (0, 0)

    def forget(self, spool: str) -> None:
        """Drops what is known of a spool. Only after its file is gone: from then on it would count as unmoved."""
        with self.transaction() as connection:
            connection.execute("delete from spools where name = ?", [spool])

    def refusals(
        self,
        *,
        since: str | None = None,
        model: str | None = None,
        category: str | None = None,
        kind: str | None = None,
        unjudged: bool = False,
        limit: int | None = None,
    ) -> list[Refusal]:
        """The refusals, newest first. ``since`` is a time as in ``at`` or its beginning; category ``none`` means null."""
        chosen = {"since": since, "model": model, "category": category, "kind": kind, "unjudged": unjudged}
        sql = f"select * from refusals where {_CHOSEN} and {_UNJUDGED} order by at desc, id desc limit :limit"  # noqa: S608 constants
        rows = self.rows(sql, chosen | {"limit": -1 if limit is None else limit})
        return [REFUSALS.record(row) for row in rows]

    def incidents(
        self,
        *,
        since: str | None = None,
        model: str | None = None,
        category: str | None = None,
        kind: str | None = None,
        unjudged: bool = False,
        limit: int | None = None,
    ) -> list[list[Refusal]]:
        """The refusals by incident: the one that went on last first, in each the first first. Filters as in ``refusals``.

        ``unjudged``: incidents of which nobody has judged any refusal.
        """
        chosen = {"since": since, "model": model, "category": category, "kind": kind, "unjudged": unjudged}
        sql = f"""
            select coalesce(incident_id, id) as incident, max(at || id) as last from refusals where {_CHOSEN}
            group by 1 having {_ALL_UNJUDGED} order by last desc limit :limit
        """  # noqa: S608 constants
        found = self.rows(sql, chosen | {"limit": -1 if limit is None else limit})
        groups: dict[str, list[Refusal]] = {row["incident"]: [] for row in found}
        members = f"""
            select * from refusals where {_CHOSEN} and (incident_id in (select value from json_each(:names))
                or incident_id is null and id in (select value from json_each(:names))) order by at, id
        """  # noqa: S608 constants
        for row in self.rows(members, chosen | {"names": msgspec.json.encode(list(groups)).decode()}):
            groups[row["incident_id"] or row["id"]].append(REFUSALS.record(row))
        return list(groups.values())

    def count(self, *, by_incident: bool = False, **chosen: Any) -> int:
        """How many refusals, or incidents, there are for the filters of ``refusals``."""
        given = {"since": None, "model": None, "category": None, "kind": None, "unjudged": False} | chosen
        grouped = f"select 1 from refusals where {_CHOSEN} group by coalesce(incident_id, id) having {_ALL_UNJUDGED}"  # noqa: S608 constants
        each = f"select 1 from refusals where {_CHOSEN} and {_UNJUDGED}"  # noqa: S608 constants
        rows = self.rows(f"select count(*) as n from ({grouped if by_incident else each})", given)  # noqa: S608 constants
        return int(rows[0]["n"])

    def of_sessions(self, sessions: Iterable[str]) -> list[Refusal]:
        """All refusals of some sessions, newest first."""
        sql = "select * from refusals where session_id in (select value from json_each(?)) order by at desc, id desc"
        return [REFUSALS.record(row) for row in self.rows(sql, [msgspec.json.encode(list(sessions)).decode()])]

    def find(self, name: str) -> Refusal:
        """The one refusal that is meant by an id, the beginning of one, a request id, or ``last``.

        Raises StoreError when there is none, or more than one.
        """
        if name == "last":
            found = self.refusals(limit=1)
        else:
            rows = self.rows(
                """
                select * from refusals
                where request_id = :name or id in (select refusal_id from witnesses where id = upper(:name))
                   or substr(id, 1, max(1, length(:name))) = upper(:name) order by id
                """,
                {"name": name},
            )
            found = [REFUSALS.record(row) for row in rows]
        if not found:
            raise StoreError(f"no refusal is named {name}: `demur list --all` shows them with their ids")
        if len(found) > 1:
            some = ", ".join(self.short_ids(refusal.id for refusal in found[:3]).values())
            more = ", ..." if len(found) > 3 else ""
            raise StoreError(f"{name} may mean {len(found)} refusals ({some}{more}): say more of it")
        return found[0]

    def short_ids(self, ids: Iterable[str]) -> dict[str, str]:
        """For each id the shortest beginning that means no other stored refusal, of 12 characters at least."""
        every = [row["id"] for row in self.rows("select id from refusals order by id")]
        return {name: _shortest(name, every) for name in ids}

    def attempts(self, refusal_id: str) -> list[Attempt]:
        rows = self.rows("select * from attempts where refusal_id = ? order by n", [refusal_id])
        return [ATTEMPTS.record(row) for row in rows]

    def attempts_since(self, session_id: str, since: str) -> int:
        """How often demur itself asked again for a session's refusals since a time as in ``at``; sticky turns do not count."""
        sql = """
            select count(*) as n from refusals join attempts on attempts.refusal_id = refusals.id
            where session_id = ? and at >= ? and "by" = 'demur' and strategy is not 'sticky'
        """
        return int(self.rows(sql, [session_id, since])[0]["n"])

    def rephrasings(self, refusal_id: str) -> list[Rephrasing]:
        """What the rephrased attempts changed, in their order."""
        rows = self.rows("select * from rephrasings where refusal_id = ? order by n", [refusal_id])
        return [REPHRASINGS.record(row) for row in rows]

    def rephrased(self, ids: Iterable[str]) -> set[str]:
        """Those of some refusals that were answered after a rephrasing."""
        sql = """
            select refusal_id from attempts where outcome = 'answered' and refusal_id in (select value from json_each(?))
                and strategy in (select value from json_each(?))
        """
        lists = [msgspec.json.encode(values).decode() for values in (list(ids), sorted(REPHRASED))]
        return {row["refusal_id"] for row in self.rows(sql, lists)}

    def judged_correct(self, asked: str | None, incident_id: str | None = None) -> bool:
        """Whether anybody's last word on a refusal of this content, or of the incident of such a one, is that it was correct."""
        sql = f"""
            select 1 from refusals as one where (asked = :asked or incident_id = :incident
                or incident_id in (select incident_id from refusals where asked = :asked)) and {_CORRECT} limit 1
        """  # noqa: S608 a constant
        return bool(self.rows(sql, {"asked": asked, "incident": incident_id}))

    def holds_judged(self, session_id: str | None, marks: frozenset[bytes]) -> bool:
        """Whether a request of a session, with these marks, would be one more of an incident that anybody's last word calls correct."""
        sql = f"""
            select session_id, marks, short from incidents join refusals on refusals.id = incidents.refusal_id
            where marks <> x'' and exists (select 1 from refusals as one where one.incident_id = refusals.id and {_CORRECT})
        """  # noqa: S608 a constant
        ours = [row for row in self.rows(sql) if row["session_id"] == session_id or not row["short"]]
        return any(unpacked(row["marks"]) <= marks for row in ours)

    def accepted(self, session_id: str, root: str | None) -> list[Accepted]:
        """The last accepted requests of a session, and of conversations that began with the same text; the newest first."""
        sql = "select * from accepted where session_id = :session or root = :root order by session_id = :session desc, at desc limit 100"
        return [ACCEPTED.record(row) for row in self.rows(sql, {"session": session_id, "root": root})]

    def annotations(self, refusal_id: str) -> list[Annotation]:
        """What demur found by itself in a declined request."""
        rows = self.rows("select * from annotations where refusal_id = ? order by name, confidence desc", [refusal_id])
        return [ANNOTATIONS.record(row) for row in rows]

    def incident(self, incident_id: str) -> list[Refusal]:
        """The refusals of one incident, the first first."""
        rows = self.rows("select * from refusals where incident_id = ? order by at, id", [incident_id])
        return [REFUSALS.record(row) for row in rows]

    def incident_marks(self, incident_id: str) -> frozenset[bytes]:
        """By what an incident is known: see ``proxy.core.incident``."""
        rows = self.rows("select marks from incidents where refusal_id = ?", [incident_id])
        return unpacked(rows[0]["marks"]) if rows else frozenset()

    def pins(self, now: str) -> list[Pin]:
        """The conversations that stay on another model at a time, the newest first."""
        rows = self.rows("select * from pins where until > ? order by at desc, key", [now])
        return [PINS.record(row) for row in rows]

    def pin(self, key: str, now: str) -> Pin | None:
        """The pin of one conversation, where it has not ended by then."""
        rows = self.rows("select * from pins where key = ? and until > ?", [key, now])
        return PINS.record(rows[0]) if rows else None

    def unpin(self, keys: Sequence[str] | None) -> int:
        """Removes the pins of these keys, or with None all of them; how many that had not ended there were."""
        which = "where :keys is null or key in (select value from json_each(:keys))"
        values = {"keys": None if keys is None else msgspec.json.encode(keys).decode()}
        with self.transaction() as connection:
            connection.execute(f"delete from pins where until <= {NOW}")  # noqa: S608 a constant
            connection.execute(f"insert or replace into unpinned select key, {NOW}, until from pins {which}", values)  # noqa: S608 constants
            return connection.execute(f"delete from pins {which}", values).rowcount  # noqa: S608 a constant

    def unpinned(self, key: str) -> str | None:
        """When a person last removed the pin of a key; kept for as long as the pin would have been."""
        rows = self.rows("select at from unpinned where key = ?", [key])
        return rows[0]["at"] if rows else None

    def traffic(self, since: str | None = None) -> list[tuple[Traffic, int]]:
        """The counts of all Messages requests, oldest hour first, from the hour in which ``since`` lies."""
        rows = self.rows("select * from traffic where hour >= ? order by hour", [(since or "")[:13]])
        return [(msgspec.convert(row, Traffic), row["n"]) for row in rows]

    def losses(self) -> list[Loss]:
        return [msgspec.convert(row, Loss) for row in self.rows("select * from losses order by at")]

    def _advance(self, connection: sqlite3.Connection, advance: Advance) -> None:
        start, lost = self.moved(advance.name)
        if start != advance.start:
            raise StoreError(f"spool {advance.name} has been moved by another process: try again")
        lose(connection, advance.lost - lost, "could not be written")
        lose(connection, advance.unreadable, "unreadable in the spool")
        connection.execute(
            "insert or replace into spools values (?, ?, ?)", [advance.name, advance.end, max(lost, advance.lost)]
        )


def _shortest(name: str, every: list[str]) -> str:
    at = bisect_left(every, name)
    neighbours = [other for other in every[max(0, at - 1) : at + 2] if other != name]
    n = SHORT
    while any(other.startswith(name[:n]) for other in neighbours) and n < len(name):
        n += 1
    return name[:n]
