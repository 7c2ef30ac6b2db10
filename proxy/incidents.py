"""Which incident each refusal belongs to, decided as it is stored: the rules of ``proxy.core.incident`` over the tables.

The incident's id is that of the refusal that opened it, and all its members have its fingerprint. Where a refusal arrives late (an
import), its whole session is put in order once more, at the end of what arrives with it. An incident whose first refusal is removed goes
on under the oldest that is left.
"""

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from proxy import chunks
from proxy.core.incident import Declined, Opened, belongs, essential, fingerprint, is_short, marks_of
from proxy.core.news import MARK
from schemas.records import Refusal, Segment

CLOSE = 20
"""How many incidents of a session are looked at, the newest first."""
DAY = timedelta(days=1)

_OPENED = """
    select refusals.id, session_id, agent_id, at, fingerprint, asked, marks, short
    from incidents join refusals on refusals.id = incidents.refusal_id where kind = ?
"""
_CALL = "update refusals set incident_id = ?, fingerprint = coalesce(?, fingerprint) where id = ?"


class _Row(NamedTuple):
    """A refusal, as far as it matters here, with what it would open an incident with."""

    id: str
    kind: str
    declined: Declined
    marks: frozenset[bytes]
    short: bool


def place(connection: sqlite3.Connection, refusal: Refusal, segments: list[Segment]) -> bool:
    """Sets ``incident_id`` and ``fingerprint`` of a refusal that has just been stored; whether its session has later ones."""
    declined = Declined(
        session_id=refusal.session_id,
        agent_id=refusal.agent_id,
        at=refusal.at,
        accepted_at=refusal.accepted_at,
        fingerprint=refusal.fingerprint,
        asked=refusal.asked,
        marks=marks_of(segments),
    )
    row = _Row(refusal.id, refusal.kind, declined, marks_of(essential(segments)), is_short(segments))
    _assign(connection, row, [*_of_session(connection, row), *_of_others(connection, row)])
    later = "select 1 from refusals where session_id = ? and (at, id) > (?, ?) limit 1"
    return connection.execute(later, [refusal.session_id, refusal.at, refusal.id]).fetchone() is not None


def regroup(connection: sqlite3.Connection, session_id: str) -> None:
    """Decides for all refusals of a session once more, in the order of time."""
    opened: list[tuple[str, Opened]] = []
    for row in _rows(connection, session_id):
        here = [one for kind, one in reversed(opened) if kind == row.kind]
        new = _assign(connection, row, [*here, *_of_others(connection, row)])
        if new is not None:
            opened.append((row.kind, new))


def hand_over(connection: sqlite3.Connection, before: str) -> None:
    """Incidents whose first refusal is older than a time go on under their oldest one that is not."""
    sql = """
        select old.id, (select id from refusals where incident_id = old.id and at >= :before order by at, id limit 1) as heir
        from refusals as old join incidents on refusal_id = old.id where old.at < :before
    """
    for old, heir in connection.execute(sql, {"before": before}).fetchall():
        if heir is not None:
            connection.execute(
                "insert or replace into incidents select ?, marks, short from incidents where refusal_id = ?",
                [heir, old],
            )
            connection.execute("update refusals set incident_id = ? where incident_id = ?", [heir, old])


def _assign(connection: sqlite3.Connection, row: _Row, opened: list[Opened]) -> Opened | None:
    """Puts it into the first incident that it belongs to, or opens one, which is given."""
    found = next((one for one in opened if belongs(row.declined, one)), None)
    if found is None:
        connection.execute(_CALL, [row.id, row.declined.fingerprint, row.id])
        short = row.short or row.declined.fingerprint is None
        values = [row.id, b"".join(sorted(row.marks)), short]
        connection.execute("insert or replace into incidents values (?, ?, ?)", values)
        return _opened(row, short=short)
    connection.execute(_CALL, [found.id, found.fingerprint, row.id])
    if connection.execute("delete from incidents where refusal_id = ?", [row.id]).rowcount:  # its members come along
        change = "update refusals set incident_id = ?, fingerprint = coalesce(?, fingerprint) where incident_id = ?"
        connection.execute(change, [found.id, found.fingerprint, row.id])
    return None


def _opened(row: _Row, *, short: bool) -> Opened:
    one = row.declined
    return Opened(
        id=row.id, session_id=one.session_id, agent_id=one.agent_id, at=one.at, fingerprint=one.fingerprint, asked=one.asked,
        marks=row.marks, short=short,
    )  # fmt: skip


def _rows(connection: sqlite3.Connection, session_id: str) -> Iterator[_Row]:
    """The refusals of a session, in order, each as it was before it was placed."""
    sql = """
        select id, kind, agent_id, at, accepted_at, asked, fingerprint from refusals where session_id = ? order by at, id
    """
    for name, kind, agent_id, at, accepted_at, asked, stored in connection.execute(sql, [session_id]).fetchall():
        segments = chunks.stored(connection, name)
        declined = Declined(
            session_id=session_id,
            agent_id=agent_id,
            at=at,
            accepted_at=accepted_at,
            fingerprint=fingerprint(segments) or asked or stored,
            asked=asked,
            marks=marks_of(segments),
        )
        yield _Row(name, kind, declined, marks_of(essential(segments)), is_short(segments))


def _of_session(connection: sqlite3.Connection, row: _Row) -> Iterator[Opened]:
    """The incidents that its session was part of before it, the newest first; each as if it had been opened here."""
    session_id = row.declined.session_id
    if session_id is None:
        return
    sql = f"""
        select refusal_id, ?, refusals.agent_id, here.at, fingerprint, asked, marks, short
        from incidents join refusals on refusals.id = incidents.refusal_id
        join (select incident_id, min(at) as at from refusals where session_id = ? and at <= ? and id <> ? group by 1) as here
            on here.incident_id = incidents.refusal_id
        where kind = ? order by here.at desc, refusal_id desc limit {CLOSE}
    """  # noqa: S608 a constant
    values = [session_id, session_id, row.declined.at, row.id, row.kind]
    yield from (one for one in map(_read, connection.execute(sql, values).fetchall()) if one.id != row.id)


def _of_others(connection: sqlite3.Connection, row: _Row) -> Iterator[Opened]:
    """Those of other sessions within the day before it that have its fingerprint."""
    declined = row.declined
    if declined.fingerprint is None:
        return
    sql = f"{_OPENED} and fingerprint = ? and at between ? and ? order by at desc, refusals.id desc limit {CLOSE}"
    found = connection.execute(sql, [row.kind, declined.fingerprint, _day_before(declined.at), declined.at]).fetchall()
    elsewhere = (one for one in map(_read, found) if one.session_id is None or one.session_id != declined.session_id)
    yield from (one for one in elsewhere if one.id != row.id)


def _read(row: tuple[str, str | None, str | None, str, str | None, str | None, bytes, int]) -> Opened:
    refusal_id, session_id, agent_id, at, mark, asked, marks, short = row
    return Opened(
        id=refusal_id,
        session_id=session_id,
        agent_id=agent_id,
        at=at,
        fingerprint=mark,
        asked=asked,
        marks=unpacked(marks),
        short=bool(short),
    )


def unpacked(marks: bytes) -> frozenset[bytes]:
    """Marks as they stand in the table."""
    return frozenset(marks[n : n + MARK] for n in range(0, len(marks), MARK))


def _day_before(at: str) -> str:
    try:
        return (datetime.fromisoformat(at) - DAY).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except ValueError:
        return at
