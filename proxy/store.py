"""SQL in, records out. It knows nothing of threads.

An ``Entry`` lands whole, in one transaction, or not at all; what its own content makes unstorable is left out and counted
under ``losses``, so that one bad entry never keeps the others waiting. A refusal whose id is known is not stored again, and
a second witness of one (same request id, same kind, another source) is added to its ``sources``.

Entries come out of spools (see ``proxy.spool``). How far a spool has been moved is written in the same transaction as what
was moved, so no death between the two can lose or repeat an entry.

Segments are kept once, compressed, under the hash of their content. A stored request is its skeleton: literal bytes and
segment keys in order, which joined give the request again.
"""

import sqlite3
from bisect import bisect_left
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import zstandard
from msgspec import Struct

from proxy.database import DatabaseFile, StoreError
from proxy.packed import Packed, pack, unzstd
from schemas.records import Attempt, Entry, Refusal, Segment, Traffic

__all__ = ["Advance", "Loss", "Store", "StoreError"]

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


class _Table[R: Struct]:
    """How a record's fields stand in the columns of its table."""

    def __init__(self, name: str, record: type[R], *owner: str) -> None:
        hints = get_type_hints(record)
        self._record = record
        self._json = {name for name, hint in hints.items() if get_origin(hint) in (list, dict)}
        self._bools = {name for name, hint in hints.items() if bool in (hint, *get_args(hint))}
        columns = (*owner, *record.__struct_fields__)
        names, values = ", ".join(f'"{column}"' for column in columns), ", ".join(f":{column}" for column in columns)
        self.insert = f"insert into {name} ({names}) values ({values})"  # noqa: S608 the names are ours

    def row(self, record: R, **owner: str) -> dict[str, Any]:
        values: dict[str, Any] = msgspec.to_builtins(record)
        texts = {name: msgspec.json.encode(values[name]).decode() for name in self._json}
        return owner | values | texts

    def record(self, row: dict[str, Any]) -> R:
        values = {name: msgspec.json.decode(row[name]) for name in self._json}
        values |= {name: None if row[name] is None else bool(row[name]) for name in self._bools}
        return msgspec.convert(row | values, self._record)


_REFUSALS = _Table("refusals", Refusal)
_ATTEMPTS = _Table("attempts", Attempt, "refusal_id")
_SEGMENTS = _Table("refusal_segments", Segment, "refusal_id")
_TRAFFIC = ", ".join(Traffic.__struct_fields__)
_COUNT = f"""
    insert into traffic ({_TRAFFIC}, n) values ({", ".join("?" for _ in Traffic.__struct_fields__)}, ?)
    on conflict do update set n = n + excluded.n
"""  # noqa: S608 the names are ours


class Store(DatabaseFile):
    """The records in one database file. Every method raises StoreError where the database is at fault."""

    def apply(self, entries: Iterable[Entry | Packed], advance: Advance | None = None) -> int:
        """Stores the entries and how far that moves their spool, in one transaction.

        Returns how many of them could not be stored for what they hold. Raises StoreError and changes nothing when the
        database is at fault, or when the spool does not stand at ``advance.start``: someone else has moved it.
        """
        with self.transaction() as connection:
            refused = 0
            for entry in entries:
                try:
                    with self.db.atomic():
                        self._add(connection, entry if isinstance(entry, Packed) else pack(entry))
                except OWN_FAULT:
                    refused += 1
            self._lose(refused, "refused by the database")
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
        unjudged: bool = False,
        limit: int | None = None,
    ) -> list[Refusal]:
        """The refusals, newest first. ``since`` is a time as in ``at`` or its beginning; category ``none`` means null."""
        rows = self.rows(
            """
            select * from refusals
            where (:since is null or at >= :since) and (:model is null or model = :model)
              and (:category is null or coalesce(category, 'none') = :category)
              and (not :unjudged or verdict = 'unknown')
            order by at desc, id desc limit :limit
            """,
            {
                "since": since,
                "model": model,
                "category": category,
                "unjudged": unjudged,
                "limit": -1 if limit is None else limit,
            },
        )
        return [_REFUSALS.record(row) for row in rows]

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
            found = [_REFUSALS.record(row) for row in rows]
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
        return [_ATTEMPTS.record(row) for row in rows]

    def segments(self, refusal_id: str) -> list[Segment]:
        rows = self.rows("select * from refusal_segments where refusal_id = ? order by n", [refusal_id])
        return [_SEGMENTS.record(row) for row in rows]

    def content(self, key: str) -> bytes:
        """The JSON of a segment. Raises StoreError when it was not kept."""
        rows = self.rows("select zstd from segments where key = ?", [key])
        if not rows:
            raise StoreError(f'the text of segment {key} is not stored: [capture] content may have been "none"')
        return self._unzstd(rows[0]["zstd"])

    def skeleton(self, refusal_id: str) -> list[bytes | str] | None:
        """The request in order, literal bytes and segment keys; None when it was not kept."""
        rows = self.rows("select skeleton from bodies where refusal_id = ?", [refusal_id])
        return msgspec.msgpack.decode(self._unzstd(rows[0]["skeleton"])) if rows else None

    def body(self, refusal_id: str) -> bytes:
        """The request that was declined. Raises StoreError when it was not kept."""
        skeleton = self.skeleton(refusal_id)
        if skeleton is None:
            raise StoreError(f'the request of {refusal_id} is not stored: [capture] content may have been "none"')
        return b"".join(self.content(part) if isinstance(part, str) else part for part in skeleton)

    def traffic(self, *, since: str = "") -> list[tuple[Traffic, int]]:
        """The counts of all Messages requests, oldest hour first, from the hour in which ``since`` lies."""
        rows = self.rows("select * from traffic where hour >= ? order by hour", [since[:13]])
        return [(msgspec.convert(row, Traffic), row["n"]) for row in rows]

    def losses(self) -> list[Loss]:
        return [msgspec.convert(row, Loss) for row in self.rows("select * from losses order by at")]

    def _unzstd(self, blob: bytes) -> bytes:
        try:
            return unzstd(blob)
        except zstandard.ZstdError as error:
            raise StoreError(f"{self.path} is damaged ({error}): `demur db verify` tells more") from error

    def _add(self, connection: sqlite3.Connection, entry: Packed) -> None:
        for n, refusal in enumerate(entry.refusals):
            if self._add_refusal(connection, refusal) and n == 0:
                self._add_request(connection, refusal.id, entry)
        counts = [(*msgspec.structs.astuple(traffic), n) for traffic, n in entry.traffic]
        connection.executemany(_COUNT, counts)
        self._lose(entry.lost, "could not be written")

    def _add_refusal(self, connection: sqlite3.Connection, refusal: Refusal) -> bool:
        """Whether it is new."""
        known = "select 1 from refusals where id = :id union select 1 from witnesses where id = :id"
        if connection.execute(known, {"id": refusal.id}).fetchone() or self._fetched_before(connection, refusal):
            return False
        twins = connection.execute(
            "select id, sources from refusals where request_id = ? and kind = ? and coalesce(session_id = ?, true)"
            " order by category is not ?, id",
            [refusal.request_id, refusal.kind, refusal.session_id, refusal.category],
        )
        for twin, text in twins.fetchall():
            sources = msgspec.json.decode(text, type=list[str])
            if refusal.source not in sources:
                self._add_witness(connection, refusal, twin, [*sources, refusal.source])
                return False
        row = _REFUSALS.row(refusal)
        if not refusal.sources:
            row["sources"] = msgspec.json.encode([refusal.source]).decode()
        connection.execute(_REFUSALS.insert, row)
        return True

    def _fetched_before(self, connection: sqlite3.Connection, refusal: Refusal) -> bool:
        """The results of a batch may be fetched any number of times; they have no request id, but a message's."""
        known = "select 1 from refusals where message_id = ? and evidence = ?"
        batch = refusal.evidence.startswith("batch.")
        return batch and connection.execute(known, [refusal.message_id, refusal.evidence]).fetchone() is not None

    def _add_witness(self, connection: sqlite3.Connection, refusal: Refusal, twin: str, sources: list[str]) -> None:
        text = msgspec.json.encode(sources).decode()
        connection.execute("update refusals set sources = ? where id = ?", [text, twin])
        connection.execute("insert into witnesses values (?, ?, ?)", [refusal.id, twin, refusal.source])

    def _add_request(self, connection: sqlite3.Connection, refusal_id: str, entry: Packed) -> None:
        attempts = [_ATTEMPTS.row(attempt, refusal_id=refusal_id) for attempt in entry.attempts]
        connection.executemany(_ATTEMPTS.insert, attempts)
        segments = [_SEGMENTS.row(segment, refusal_id=refusal_id) for segment in entry.segments]
        connection.executemany(_SEGMENTS.insert, segments)
        contents = [(key, blob, zstandard.frame_content_size(blob)) for key, blob in entry.contents.items()]
        connection.executemany("insert into segments values (?, ?, ?) on conflict do nothing", contents)
        if entry.skeleton is not None:
            connection.execute("insert into bodies values (?, ?)", [refusal_id, entry.skeleton])

    def _lose(self, n: int, what: str) -> None:
        if n:
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self.db.conn.execute("insert into losses values (?, ?, ?)", [now, n, what])

    def _advance(self, connection: sqlite3.Connection, advance: Advance) -> None:
        start, lost = self.moved(advance.name)
        if start != advance.start:
            raise StoreError(f"spool {advance.name} has been moved by another process: try again")
        self._lose(advance.lost - lost, "could not be written")
        self._lose(advance.unreadable, "unreadable in the spool")
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
