"""Two witnesses of one refusal make one row: the wire saw it, and so did a transcript, or two ways in.

They are joined on the request id; where one of them knows none, on session, time and what the last turn said. A witness's own id is kept,
so that it is known when it comes again (an import that is repeated), and can still be asked for. What the row lacked is taken
from the witness, and nothing that it had is changed; but where the row's witnesses only told of the request, one who saw it as it was sent puts it in the place of
their fragment.
"""

import sqlite3

import msgspec
from msgspec.structs import replace

from proxy import chunks
from proxy.core.segment import key_of
from proxy.packed import Packed
from proxy.tables import REFUSALS
from schemas.records import Refusal

SAME_WORDS_S = 600.0
"""How far apart two witnesses may be who saw the same words: a transcript's time is that of the end of an answer."""
NO_WORDS_S = 10.0
"""How far, where one of them does not know the words."""

_BY_REQUEST = """
    select id, sources, session_id from refusals where request_id = :request_id and kind = :kind
    order by category is not :category, id
"""
_BY_SESSION = """
    select id, sources, abs(julianday(at) - julianday(:at)) * 86400 as apart from refusals
    where session_id = :session_id and kind = :kind and (request_id is null or :request_id is null)
        and (message_id is null or :message_id is null or message_id = :message_id)
        and apart <= iif(asked is not null and asked = :asked, :same_words, iif(asked is null or :asked is null, :no_words, -1))
    order by apart, id
"""
_NAMED = "select 1 from judgements where refusal_id = ? and segment is not null"
"""Whether a person named a part of the stored request, by its number."""
_TAKE_OUT = ("delete from maps where refusal_id = ?", "delete from requests where refusal_id = ?")
_TEXTS = "select 1 from maps join chunk_segments using (chunk_id) where refusal_id = ? limit 1"
_KEPT_SO = "update refusals set exact = ?, replacements = ? where id = ?"
_KEPT = frozenset(
    ("id", "source", "sources", "verdict", "domain", "tags", "incident_id", "fingerprint", "headers", "outcome")
)
"""What a witness does not tell of."""
FILLED = [name for name in Refusal.__struct_fields__ if name not in _KEPT]
_FILL = f"""
    update refusals set {", ".join(f"{name} = coalesce({name}, :{name})" for name in FILLED)},
        outcome = iif(outcome = 'unknown', :outcome, outcome), sources = :sources
    where id = :twin
"""  # noqa: S608 the names are ours


def attest(connection: sqlite3.Connection, refusal: Refusal, entry: Packed | None) -> bool:
    """Whether another witness's row tells of this refusal already; then it has what this one adds. ``entry``: with its request."""
    found = _twin(connection, refusal)
    if found is None:
        return False
    twin, sources = found
    told = REFUSALS.row(refusal) | {"twin": twin, "sources": msgspec.json.encode([*sources, refusal.source]).decode()}
    connection.execute(_FILL, told)
    connection.execute("insert into witnesses values (?, ?, ?)", [refusal.id, twin, refusal.source])
    if entry is not None:
        bring(connection, twin, refusal, entry)
    return True


def bring(connection: sqlite3.Connection, twin: str, refusal: Refusal, entry: Packed) -> bool:
    """A refusal's request for the row ``twin``, where that has none, or less of it. What a part showed to be new is new in the whole.

    Whether it was taken.
    """
    found = connection.execute("select whole from requests where refusal_id = ?", [twin]).fetchone()
    if found is not None and not _has_more(connection, twin, entry, whole=bool(found[0])):
        return False
    told = {one.hash for one in chunks.stored(connection, twin) if one.new}
    segments = [replace(one, new=True) if one.new is None and one.hash in told else one for one in entry.segments]
    for sql in _TAKE_OUT:
        connection.execute(sql, [twin])
    if entry.skeleton is not None:
        connection.execute(_KEPT_SO, [refusal.exact, refusal.replacements, twin])
    chunks.add(connection, twin, replace(entry, segments=segments))
    return bool(entry.segments)


def _has_more(connection: sqlite3.Connection, twin: str, entry: Packed, *, whole: bool) -> bool:
    """Whether an entry is whole where the row's request is not, or has texts where that has a map alone.

    Where a person named a part by its number, the numbers stay.
    """
    if whole or not (entry.contents or entry.skeleton):
        return False
    if [one.hash for one in chunks.stored(connection, twin)] == [one.hash for one in entry.segments]:
        return bool(entry.skeleton) or not connection.execute(_TEXTS, [twin]).fetchone()
    return bool(entry.skeleton) and not connection.execute(_NAMED, [twin]).fetchone()


def _twin(connection: sqlite3.Connection, refusal: Refusal) -> tuple[str, list[str]] | None:
    """The row that another source brought, and its sources."""
    names = ("request_id", "kind", "session_id", "category", "message_id", "at", "asked")
    values = {name: getattr(refusal, name) for name in names}
    values |= {"same_words": SAME_WORDS_S, "no_words": NO_WORDS_S}
    for sql, session_at in ((_BY_REQUEST, 2), (_BY_SESSION, None)):
        for row in connection.execute(sql, values).fetchall():
            sources = msgspec.json.decode(row[1], type=list[str])
            same = session_at is None or _may_be_one(row[session_at], refusal.session_id)
            if same and refusal.source not in sources:
                return row[0], sources
    return None


def _may_be_one(session: str | None, other: str | None) -> bool:
    """Whether two sessions may be the same: an export below ``full`` names one by its hash."""
    if session is None or other is None or session == other:
        return True
    return session == _hashed(other) or _hashed(session) == other


def _hashed(session: str) -> str:
    return key_of(session.encode("utf-8", "surrogatepass"))
