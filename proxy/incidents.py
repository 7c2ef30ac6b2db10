"""Which incident each refusal belongs to, decided as it is stored: the rules of ``proxy.core.incident`` over the tables.

The incident's id is that of the refusal that opened it, and all its members have its fingerprint. Where a refusal arrives late (an
import), those of its session that came after it are looked at once more.
"""

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta

from proxy import chunks
from proxy.core.incident import Declined, Opened, belongs, essential, fingerprint, is_short, marks_of
from proxy.core.news import MARK
from proxy.tables import REFUSALS
from schemas.records import Refusal, Segment

CLOSE = 20
"""How many incidents of a session are looked at, the newest first."""
DAY = timedelta(days=1)

_OPENED = """
    select refusals.id, session_id, at, fingerprint, asked, marks, short
    from incidents join refusals on refusals.id = incidents.refusal_id where kind = ?
"""


def place(connection: sqlite3.Connection, refusal: Refusal, segments: list[Segment]) -> None:
    """Sets ``incident_id`` and ``fingerprint`` of a refusal that has just been stored, and of those of its session after it."""
    _place(connection, refusal, segments)
    for later in _after(connection, refusal):
        stored = _stored(connection, later.id)
        later.fingerprint = fingerprint(stored) or later.asked or later.fingerprint
        _place(connection, later, stored)


def _place(connection: sqlite3.Connection, refusal: Refusal, segments: list[Segment]) -> None:
    declined = Declined(
        session_id=refusal.session_id,
        at=refusal.at,
        accepted_at=refusal.accepted_at,
        fingerprint=refusal.fingerprint,
        asked=refusal.asked,
        marks=marks_of(segments),
    )
    opened = next((one for one in _opened(connection, refusal, declined) if belongs(declined, one)), None)
    change = "update refusals set incident_id = ?, fingerprint = coalesce(?, fingerprint) where id = ?"
    if opened is not None:
        connection.execute(change, [opened.id, opened.fingerprint, refusal.id])
        connection.execute("delete from incidents where refusal_id = ?", [refusal.id])
        return
    connection.execute(change, [refusal.id, refusal.fingerprint, refusal.id])
    marks = b"".join(sorted(marks_of(essential(segments))))
    short = is_short(segments) or refusal.fingerprint is None
    connection.execute("insert or replace into incidents values (?, ?, ?)", [refusal.id, marks, short])


def _after(connection: sqlite3.Connection, refusal: Refusal) -> list[Refusal]:
    """The refusals of its session that came after it, the first first."""
    sql = "select * from refusals where session_id = ? and (at, id) > (?, ?) order by at, id"
    cursor = connection.execute(sql, [refusal.session_id, refusal.at, refusal.id])
    names = [column[0] for column in cursor.description]
    return [REFUSALS.record(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def _stored(connection: sqlite3.Connection, refusal_id: str) -> list[Segment]:
    """The map of a stored request; nothing where it is damaged."""
    sql = "select items from maps join chunks on chunks.id = chunk_id where refusal_id = ? order by n"
    blobs = [blob for (blob,) in connection.execute(sql, [refusal_id])]
    new = connection.execute("select new from requests where refusal_id = ?", [refusal_id]).fetchone()
    try:
        return chunks.read(blobs, new and new[0]).segments
    except chunks.DAMAGED:
        return []


def _opened(connection: sqlite3.Connection, refusal: Refusal, declined: Declined) -> Iterator[Opened]:
    """The incidents that it may belong to, the likeliest first."""
    if declined.session_id is not None:
        sql = f"{_OPENED} and session_id = ? and at <= ? order by at desc, id desc limit {CLOSE}"
        found = connection.execute(sql, [refusal.kind, declined.session_id, declined.at]).fetchall()
        yield from (one for one in map(_read, found) if one.id != refusal.id)
    if declined.fingerprint is not None:
        day_ago = _day_before(declined.at)
        sql = f"{_OPENED} and fingerprint = ? and at between ? and ? order by at desc, id desc limit {CLOSE}"
        found = connection.execute(sql, [refusal.kind, declined.fingerprint, day_ago, declined.at]).fetchall()
        elsewhere = (
            one for one in map(_read, found) if one.session_id is None or one.session_id != declined.session_id
        )
        yield from (one for one in elsewhere if one.id != refusal.id)


def _read(row: tuple[str, str | None, str, str | None, str | None, bytes, int]) -> Opened:
    refusal_id, session_id, at, fingerprint, asked, marks, short = row
    return Opened(
        id=refusal_id,
        session_id=session_id,
        at=at,
        fingerprint=fingerprint,
        asked=asked,
        marks=frozenset(marks[n : n + MARK] for n in range(0, len(marks), MARK)),
        short=bool(short),
    )


def _day_before(at: str) -> str:
    try:
        return (datetime.fromisoformat(at) - DAY).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except ValueError:
        return at
