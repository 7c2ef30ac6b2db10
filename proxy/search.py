"""Full-text search over what is stored: segments, the API's explanations, and the notes of judgements.

Segments are indexed by FTS5 in the same file, with their words and without their text (``content=''``), when somebody searches and not
before. What stands in the index of a segment can be taken out again by its text alone, so a hash of it is kept beside (``indexed``);
where it cannot be had any more, or most of it goes, the whole index goes, and the next search makes it anew. After anything is
taken out the index is optimized, which is what removes the words themselves: it is built of layers, of which the upper
ones only say what of the lower ones does not hold. SQLite overwrites what it frees (``secure_delete``).

Explanations and notes are few, and change; they are indexed in memory, anew for each search. So are segments where the file cannot be written.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import zstandard
from msgspec import Struct

from proxy.core.facts import hearsay
from proxy.core.query import TOKENIZER, Query, folded, said
from proxy.database import faults
from proxy.packed import unzstd
from proxy.store import Store
from schemas.records import Refusal, Segment

BATCH = 4 << 20
"""Bytes of segments that are indexed in one transaction, while no other process can write."""

_INDEX = f"""using fts5 (text, content='', columnsize=0, tokenize="{TOKENIZER}")"""
_UNINDEXED = "select id, size from segments where id not in (select segment_id from indexed) order by id"
_SEARCHED = """
    select id, explanation, sources, exists (
        select 1 from maps join chunk_segments using (chunk_id) where refusal_id = refusals.id) as has_text
    from refusals
    where (:since is null or at >= :since) and (:model is null or model = :model)
      and (:category is null or coalesce(category, 'none') = :category) and (:kind is null or kind = :kind)
      and (:verdict is null or verdict = :verdict) and (not :unjudged or verdict = 'unknown')
    order by at desc, id desc
"""
_HAVING = """
    select distinct refusal_id from maps where chunk_id in (
        select chunk_id from chunk_segments where segment_id in (select value from json_each(?)))
"""
_KEYS = """
    select distinct segments.id, key from maps join chunk_segments using (chunk_id)
    join segments on segments.id = segment_id where refusal_id = ?
"""


class Match(Struct, kw_only=True):
    """Where a refusal has what was looked for. No text."""

    where: str
    """``segment``, ``explanation`` or ``note``."""
    n: int | None = None
    """Of the segment; these as in ``Segment``."""
    label: str | None = None
    tool: str | None = None
    target: str | None = None
    path: str | None = None
    new: bool | None = None
    at: str | None = None
    """Of the judgement that the note belongs to."""
    content: str | None = None
    """The key of its text."""


class Wanted(Struct, kw_only=True):
    """Which refusals are searched; what is None does not matter. ``since`` and ``category`` as in ``Store.refusals``."""

    since: str | None = None
    model: str | None = None
    category: str | None = None
    kind: str | None = None
    verdict: str | None = None
    unjudged: bool = False


class Found(NamedTuple):
    """What a search gave."""

    searched: int
    """Refusals."""
    textless: int
    """Those of them of whose request no text is stored."""
    unkept: int
    """And of these those whose source had seen it."""
    hearsay: int
    """Those of whose request no source knew the whole (``facts.hearsay``)."""
    ids: list[str]
    """Those in which it was found, the newest first."""
    segments: set[int]
    explanations: set[str]
    notes: set[int]


def index(store: Store, told: Callable[[int, int], object] = lambda done, of: None) -> None:
    """Indexes the segments that are not. ``told`` is called with the bytes that are done, and of how many.

    Raises StoreError, and keeps what it has done.
    """
    pending = [(row["id"], row["size"]) for row in store.rows(_UNINDEXED)]
    total, done = sum(size for _, size in pending), 0
    for batch in _batches(pending):
        with store.transaction() as connection:
            connection.execute(f"create virtual table if not exists search {_INDEX}")
            for segment_id, _ in batch:
                _put_in(connection, segment_id)
        done += sum(size for _, size in batch)
        told(done, total)


def forget(connection: sqlite3.Connection, which: str) -> None:
    """Takes out of the index what is about to be removed, and what belongs to no segment. ``which``: SQL that gives ids."""
    gone = f"(segment_id in ({which}) or segment_id not in (select id from segments))"  # noqa: S608 ours
    some, every = connection.execute(f"select coalesce(sum({gone}), 0), count(*) from indexed").fetchone()  # noqa: S608 ours
    if not some:
        return
    going = f"select segment_id, digest, zstd from indexed left join segments on id = segment_id where {gone}"  # noqa: S608 ours
    if some * 2 <= every and all(_take_out(connection, *row) for row in connection.execute(going).fetchall()):
        connection.execute(f"delete from indexed where {gone}")  # noqa: S608 ours
        connection.execute("insert into search (search) values ('optimize')")
    else:
        connection.execute("insert into search (search) values ('delete-all')")
        connection.execute("delete from indexed")


def find(store: Store, query: Query, wanted: Wanted) -> Found:
    """Searches the index, and whatever is not indexed. Raises StoreError."""
    searched = store.rows(_SEARCHED, msgspec.to_builtins(wanted))
    segments = {*_in_index(store, query), *_elsewhere(store, query)}
    explanations = dict.fromkeys(row["explanation"] for row in searched if row["explanation"])
    told = set(_in_memory(store, query, ((text, folded(text)) for text in explanations)))
    notes = store.rows("select id, refusal_id, note from judgements where note is not null")
    noted = set(_in_memory(store, query, ((row["id"], folded(row["note"])) for row in notes)))
    having = {row["refusal_id"] for row in store.rows(_HAVING, [_json(segments)])}
    having.update(row["refusal_id"] for row in notes if row["id"] in noted)
    ids = [row["id"] for row in searched if row["id"] in having or row["explanation"] in told]
    textless = [row for row in searched if not row["has_text"]]
    unkept = sum(not _is_hearsay(row) for row in textless)
    hearing = sum(map(_is_hearsay, searched))
    return Found(len(searched), len(textless), unkept, hearing, ids, segments, told, noted)


def _is_hearsay(row: dict[str, Any]) -> bool:
    return hearsay(msgspec.json.decode(row["sources"])) is not None


def matches(store: Store, refusal: Refusal, found: Found) -> list[Match]:
    """Where it was found in a refusal: in its request, what was new first and then what came last; then elsewhere."""
    keys = {row["key"] for row in store.rows(_KEYS, [refusal.id]) if row["id"] in found.segments}
    where = [_of(segment) for segment in store.segments(refusal.id) if segment.content in keys] if keys else []
    where.sort(key=lambda match: (not match.new, -(match.n or 0)))
    if refusal.explanation in found.explanations:
        where.append(Match(where="explanation"))
    notes = store.rows("select id, at from judgements where refusal_id = ? order by id", [refusal.id])
    return where + [Match(where="note", at=row["at"]) for row in notes if row["id"] in found.notes]


def _of(segment: Segment) -> Match:
    names = ("n", "label", "tool", "target", "path", "new", "content")
    return Match(where="segment", **{name: getattr(segment, name) for name in names})


def _batches(pending: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    batch: list[tuple[int, int]] = []
    room = BATCH
    for one in pending:
        batch.append(one)
        room -= one[1]
        if room <= 0:
            yield batch
            batch, room = [], BATCH
    if batch:
        yield batch


def _put_in(connection: sqlite3.Connection, segment_id: int) -> None:
    """Unless another process has, or has removed it. One that is damaged is found by no word."""
    sql = "select zstd from segments where id = ? and id not in (select segment_id from indexed)"
    for (blob,) in connection.execute(sql, [segment_id]).fetchall():
        text = _text(blob) or ""
        connection.execute("insert into indexed values (?, ?)", [segment_id, _digest(text)])
        if text:
            connection.execute("insert into search (rowid, text) values (?, ?)", [segment_id, text])


def _take_out(connection: sqlite3.Connection, segment_id: int, digest: bytes, blob: bytes | None) -> bool:
    """Whether its text could be had as it was indexed."""
    text = None if blob is None else _text(blob) or ""
    if text is None or _digest(text) != digest:
        return False
    if text:
        sql = "insert into search (search, rowid, text) values ('delete', ?, ?)"
        connection.execute(sql, [segment_id, text])
    return True


def _text(blob: bytes) -> str | None:
    try:
        return folded(said(unzstd(blob)))
    except zstandard.ZstdError:
        return None


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


def _in_index(store: Store, query: Query) -> Iterator[int]:
    if store.rows("select 1 from sqlite_schema where name = 'search'"):
        for row in store.rows("select rowid from search where search match ?", [query.expression]):
            yield row["rowid"]


def _elsewhere(store: Store, query: Query) -> Iterator[int]:
    """Among the segments that came since, or of a file that cannot be written."""
    for batch in _batches([(row["id"], row["size"]) for row in store.rows(_UNINDEXED)]):
        rows = store.rows(
            "select id, zstd from segments where id in (select value from json_each(?))", [_json(n for n, _ in batch)]
        )
        yield from _in_memory(store, query, ((row["id"], _text(row["zstd"]) or "") for row in rows))


def _in_memory[K](store: Store, query: Query, texts: Iterable[tuple[K, str]]) -> Iterator[K]:
    """The keys of the texts that fit; they are folded already."""
    with faults(store.path), closing(sqlite3.connect(":memory:")) as memory:
        memory.execute(f"create virtual table search {_INDEX}")
        keys: list[K] = []
        for key, text in texts:
            memory.execute("insert into search (rowid, text) values (?, ?)", [len(keys), text])
            keys.append(key)
        for (n,) in memory.execute("select rowid from search where search match ?", [query.expression]):
            yield keys[n]


def _json(ids: Iterable[int]) -> str:
    return msgspec.json.encode(list(ids)).decode()
