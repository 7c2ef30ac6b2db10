"""What an entry changes in the tables, within the transaction that its caller has begun.

A refusal whose id is known is not stored again, and a second witness of one (same request id, same kind, another source) is
added to its ``sources``; what is told of the witness later goes to the refusal. What is told of a refusal that is not there
(it has expired, or was never taken) is dropped.
"""

import sqlite3

import msgspec

from proxy import chunks
from proxy.incidents import place
from proxy.packed import Packed
from proxy.tables import ACCEPTED, ANNOTATIONS, ATTEMPTS, COUNT, NOW, PINS, REFUSALS, REPHRASINGS
from proxy.witnesses import attest
from schemas.records import Accepted, Annotation, Attempt, Refusal, Update

_UPDATE = """
    update refusals set
        outcome = iif(outcome like 'recovered%' and :outcome not like 'recovered%', outcome, coalesce(:outcome, outcome)),
        answered_by = coalesce(:answered_by, answered_by), ruling = coalesce(:ruling, ruling),
        turns_elsewhere = turns_elsewhere + :turns_elsewhere
    where id = :id
"""
SESSIONS = 1000
"""Conversations of which the last accepted request is kept, the newest."""
_SET_ACCEPTED = f"""
    {ACCEPTED.insert} on conflict (session_id, agent_id, role, model) do update set
        at = excluded.at, request_id = excluded.request_id, client_version = excluded.client_version,
        turn = excluded.turn, root = excluded.root, asked = excluded.asked, hashes = excluded.hashes
    where excluded.at >= at
"""
_TRIM = "delete from accepted where at < (select at from accepted order by at desc limit 1 offset ?)"
_ACCEPT = """
    insert into passes values (:asked, :model, :at, :request_id, 1)
    on conflict do update set n = n + 1, request_id = iif(excluded.at >= at, excluded.request_id, request_id),
        at = max(at, excluded.at)
"""
_GOES_ON = "answered_by = excluded.answered_by and until > excluded.at"
"""Whether a pin is the one that stands there already: another model, or one set after the old had ended, begins anew."""
_SET_PIN = f"""
    {PINS.insert} on conflict (key) do update set
        session_id = excluded.session_id, agent_id = excluded.agent_id, model = excluded.model,
        answered_by = excluded.answered_by, until = excluded.until,
        at = iif({_GOES_ON}, min(at, excluded.at), excluded.at),
        turns = iif({_GOES_ON}, max(turns, excluded.turns), excluded.turns),
        refusal_id = iif({_GOES_ON}, coalesce(refusal_id, excluded.refusal_id), excluded.refusal_id)
"""


def add(connection: sqlite3.Connection, entry: Packed) -> set[str]:
    """Adds and changes all that the entry says; the sessions of which something had arrived late: see ``proxy.incidents``.

    Raises what SQLite raises, and then its caller takes it back.
    """
    late: set[str] = set()
    attested = False
    for n, refusal in enumerate(entry.refusals):
        whole = None if n else entry
        if _is_known(connection, refusal):
            continue
        if attest(connection, refusal, whole):
            attested = True
            continue
        if _add_refusal(connection, refusal, whole) and refusal.session_id is not None:
            late.add(refusal.session_id)
    traffic = [] if attested else entry.traffic  # the other witness has counted it
    counts = [(*msgspec.structs.astuple(one), n) for one, n in traffic]
    connection.executemany(COUNT, counts)
    for update in entry.updates:
        _update(connection, update)
    connection.executemany(_SET_PIN, map(PINS.row, entry.pins))
    for accepted in entry.accepted:
        _add_accepted(connection, accepted)
    for refusal_id, annotations in entry.annotations.items():
        _annotate(connection, refusal_id, annotations)
    lose(connection, entry.lost, "could not be written")
    return late


def _add_accepted(connection: sqlite3.Connection, accepted: Accepted) -> None:
    row = ACCEPTED.row(accepted)
    connection.execute(_SET_ACCEPTED, row)
    connection.execute("delete from accepted where at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day')")
    connection.execute(_TRIM, [SESSIONS])
    if accepted.asked is not None:
        connection.execute(_ACCEPT, row)


def _annotate(connection: sqlite3.Connection, refusal_id: str, annotations: list[Annotation]) -> None:
    stored = _stored_as(connection, refusal_id)
    if stored is not None:
        connection.execute("delete from annotations where refusal_id = ?", [stored])
        rows = [ANNOTATIONS.row(annotation, refusal_id=stored) for annotation in annotations]
        connection.executemany(ANNOTATIONS.replace, rows)


def lose(connection: sqlite3.Connection, n: int, what: str) -> None:
    """Counts records that were not kept."""
    if n:
        connection.execute(f"insert into losses values ({NOW}, ?, ?)", [n, what])  # noqa: S608 a constant


def _add_refusal(connection: sqlite3.Connection, refusal: Refusal, entry: Packed | None) -> bool:
    """Whether it is late: its session has later ones. ``entry``: with its request, where that is known."""
    row = REFUSALS.row(refusal)
    row["asked"] = row["asked"] or row["fingerprint"]  # an older demur's spool has that under this name
    if not refusal.sources:
        row["sources"] = msgspec.json.encode([refusal.source]).decode()
    connection.execute(REFUSALS.insert, row)
    if entry is not None:
        _add_request(connection, refusal.id, entry)
    return place(connection, refusal, entry.segments if entry is not None else [])


def _is_known(connection: sqlite3.Connection, refusal: Refusal) -> bool:
    return _stored_as(connection, refusal.id) is not None or _fetched_before(connection, refusal)


def _stored_as(connection: sqlite3.Connection, name: str) -> str | None:
    """The id of the row that holds a refusal: its own, or that of the refusal which it is a witness of."""
    known = "select id from refusals where id = :id union select refusal_id from witnesses where id = :id"
    found = connection.execute(known, {"id": name}).fetchone()
    return found and str(found[0])


def _fetched_before(connection: sqlite3.Connection, refusal: Refusal) -> bool:
    """The results of a batch may be fetched any number of times; they have no request id, but a message's."""
    known = "select 1 from refusals where message_id = ? and evidence = ?"
    batch = refusal.evidence.startswith("batch.")
    return batch and connection.execute(known, [refusal.message_id, refusal.evidence]).fetchone() is not None


def _add_request(connection: sqlite3.Connection, refusal_id: str, entry: Packed) -> None:
    attempts = [ATTEMPTS.row(attempt, refusal_id=refusal_id) for attempt in entry.attempts]
    connection.executemany(ATTEMPTS.insert, attempts)
    chunks.add(connection, refusal_id, entry)


def _update(connection: sqlite3.Connection, update: Update) -> None:
    refusal_id = _stored_as(connection, update.refusal_id)
    if refusal_id is None:
        return
    names = ("outcome", "answered_by", "ruling", "turns_elsewhere")
    connection.execute(_UPDATE, {"id": refusal_id} | {name: getattr(update, name) for name in names})
    last = -1
    for attempt in update.attempts:
        last = _add_attempt(connection, refusal_id, attempt)
    for rephrasing in update.rephrasings:
        n = rephrasing.n if rephrasing.n >= 0 else last
        connection.execute(REPHRASINGS.replace, REPHRASINGS.row(rephrasing, refusal_id=refusal_id, n=n))


def _add_attempt(connection: sqlite3.Connection, refusal_id: str, attempt: Attempt) -> int:
    """Its place. The last is never 0, where the first try stands, whether that was recorded or not."""
    n = attempt.n
    if n < 0:
        last = "select coalesce(max(n), 0) + 1 from attempts where refusal_id = ?"
        n = int(connection.execute(last, [refusal_id]).fetchone()[0])
    connection.execute(ATTEMPTS.replace, ATTEMPTS.row(attempt, refusal_id=refusal_id, n=n))
    return n
