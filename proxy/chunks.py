"""The map of a request in chunks that requests share: what ``refusals`` of one session have in common is stored once.

A request is a list of items in order: literal bytes of its skeleton, and segments, placed in the skeleton or not (of a request
whose text is not kept there is no skeleton); a key in the skeleton that is no segment's is an item of its own. The list is cut before an item whose
path has another head (``messages``, ``system``, ``tools``) than the one before, and after every 32 segments counted from there, so that a
history that has grown has the same chunks but for the last. The literals between two segments go with the second.

A chunk is the msgpack of its items, compressed, under the hash of the msgpack. What differs from request to request although
nothing else does is not in it: the place in the list, which is counted, and whether a segment was new, which stands as a bit in
``requests``. An item is bytes (a literal), ``[content]`` (a key), or ``[placed, *fields]``; keys and hashes ``b2:…`` are the 16 bytes
that they spell.
"""

import re
import sqlite3
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
import zstandard

from proxy.packed import Packed, unzstd
from schemas.records import Segment

LENGTH = 32
"""Segments of a chunk, at most."""
FIELDS = "label path tool media target pages bytes tokens_est hash content".split()
"""Of a segment, in the order of its item. A later one is added at the end."""
DAMAGED = (zstandard.ZstdError, msgspec.MsgspecError, ValueError, TypeError, IndexError)
"""What ``unzstd`` and ``read`` raise for a chunk that is not as it was stored."""

_KEYS = frozenset({"hash", "content"})
_PATH, _CONTENT = 1 + FIELDS.index("path"), 1 + FIELDS.index("content")
_HEAD = re.compile(r"\w*")
_BRIEF = re.compile(r"b2:[0-9a-f]{32}")
_LINKED = "select count(*) from chunk_segments where chunk_id = ?"
_LINK = "insert or ignore into chunk_segments select ?, id from segments where key in (select value from json_each(?))"

type Item = bytes | list[Any]
type Skeleton = list[bytes | str]


class Request(NamedTuple):
    """What a list of chunks says."""

    segments: list[Segment]
    skeleton: Skeleton


def add(connection: sqlite3.Connection, refusal_id: str, entry: Packed) -> None:
    """Stores the request of an entry. Raises what SQLite raises; sqlite3.DataError also for what is no segment and no skeleton."""
    try:
        skeleton = None if entry.skeleton is None else msgspec.msgpack.decode(unzstd(entry.skeleton))
        chunks = cut(entry.segments, skeleton or [])
        _add_contents(connection, entry.contents)
    except DAMAGED as error:
        raise sqlite3.DataError(str(error)) from error
    if entry.segments or skeleton is not None:
        values = [refusal_id, skeleton is not None, news(entry.segments)]
        connection.execute("insert into requests values (?, ?, ?)", values)
        texts = bool(entry.contents) or skeleton is not None
        rows = [(refusal_id, n, _add_chunk(connection, chunk, texts=texts)) for n, chunk in enumerate(chunks)]
        connection.executemany("insert into maps values (?, ?, ?)", rows)


def cut(segments: list[Segment], skeleton: Skeleton) -> list[list[Item]]:
    """The items of a request, in chunks. Raises one of ``DAMAGED`` where a field is of another type than it may be."""
    chunks: list[list[Item]] = []
    literals: list[Item] = []
    head, n = "", LENGTH
    for item in _items(segments, skeleton):
        if isinstance(item, bytes):
            literals.append(item)
            continue
        before, head = head, _head(item, head)
        if head != before or n == LENGTH:
            chunks.append([])
            n = 0
        chunks[-1] += [*literals, item]
        literals = []
        n += 1
    if literals:
        if n == LENGTH:
            chunks.append([])
        chunks[-1] += literals
    return chunks


def pack(items: list[Item]) -> tuple[bytes, bytes]:
    """The key of a chunk, and its payload, which is still to be compressed."""
    payload = msgspec.msgpack.encode(items)
    return blake2b(payload, digest_size=16).digest(), payload


def items(blob: bytes) -> list[Item]:
    """Of a stored chunk. Raises one of ``DAMAGED``."""
    found: list[Item] = msgspec.msgpack.decode(unzstd(blob), type=list[bytes | list[Any]])
    return found


def read(blobs: Iterable[bytes], new: bytes | None) -> Request:
    """The segments and the skeleton that stored chunks say. Raises one of ``DAMAGED``."""
    every = [item for blob in blobs for item in items(blob)]
    segments = [item for item in every if isinstance(item, list) and len(item) > 1]
    bits = _bits(new, len(segments))
    skeleton = [part for item in every for part in _part(item)]
    fields = [_named(item) | {"n": n, "new": bits[n]} for n, item in enumerate(segments)]
    return Request(msgspec.convert(fields, list[Segment]), skeleton)


def stored(connection: sqlite3.Connection, refusal_id: str) -> list[Segment]:
    """The map of a stored request; nothing where it is damaged."""
    sql = "select items from maps join chunks on chunks.id = chunk_id where refusal_id = ? order by n"
    blobs = [blob for (blob,) in connection.execute(sql, [refusal_id])]
    new = connection.execute("select new from requests where refusal_id = ?", [refusal_id]).fetchone()
    try:
        return read(blobs, new and new[0]).segments
    except DAMAGED:
        return []


def contents(of: list[Item]) -> set[str]:
    """The keys of all segments that are named."""
    return {spelt(item[0] if len(item) == 1 else item[_CONTENT]) for item in of if isinstance(item, list)}


def news(segments: list[Segment]) -> bytes | None:
    """A bit for each segment, whether it was new, the first the lowest; None where it is known of none.

    Where it is known of some only, as many bits follow: for which.
    """
    known = [segment.new for segment in segments]
    if known.count(None) == len(known):
        return None
    masks = [[bool(bit) for bit in known]]
    if None in known:
        masks.append([bit is not None for bit in known])
    return b"".join(_mask(mask) for mask in masks)


def spelt(key: str | bytes) -> str:
    """A content key or a hash as records have it."""
    return key if isinstance(key, str) else f"b2:{key.hex()}"


def _add_contents(connection: sqlite3.Connection, given: dict[str, bytes]) -> None:
    """Stores those that are not."""
    names = msgspec.json.encode(list(given)).decode()
    stored = connection.execute("select key from segments where key in (select value from json_each(?))", [names])
    fresh = given.keys() - {key for (key,) in stored}
    values = [(key, blob, zstandard.frame_content_size(blob)) for key, blob in given.items() if key in fresh]
    connection.executemany("insert into segments (key, zstd, size) values (?, ?, ?)", values)


def _add_chunk(connection: sqlite3.Connection, of: list[Item], *, texts: bool) -> int:
    """Its id. A stored one is linked to what has been stored since, where not all of its segments were.

    Without ``texts`` it is linked to none: a request whose text is not kept keeps no other's.
    """
    key, payload = pack(of)
    found = connection.execute("select id from chunks where key = ?", [key]).fetchone()
    if found is None:
        blob = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(payload)
        found = [connection.execute("insert into chunks (key, items) values (?, ?)", [key, blob]).lastrowid]
    named = contents(of)
    if texts and connection.execute(_LINKED, [found[0]]).fetchone()[0] < len(named):
        connection.execute(_LINK, [found[0], msgspec.json.encode(sorted(named)).decode()])
    return int(found[0])


def _items(segments: list[Segment], skeleton: Skeleton) -> Iterator[Item]:
    """Both lists as one. A key of the skeleton is the next segment's that has it; those before that one are not placed."""
    waiting = deque(_fields(segments))
    later = Counter(fields[_CONTENT - 1] for fields in waiting)
    for part in skeleton:
        content = part if isinstance(part, bytes) else _brief(part)
        if isinstance(part, bytes):
            yield part
        elif not later[content]:
            yield [content]
        else:
            placed = False
            while not placed:
                fields = waiting.popleft()
                later[fields[_CONTENT - 1]] -= 1
                placed = fields[_CONTENT - 1] == content
                yield [placed, *fields]
    for fields in waiting:
        yield [False, *fields]


def _fields(segments: list[Segment]) -> list[list[Any]]:
    checked = msgspec.msgpack.decode(msgspec.msgpack.encode(segments), type=list[Segment])
    return [
        [_brief(value) if name in _KEYS else value for name in FIELDS for value in (getattr(segment, name),)]
        for segment in checked
    ]


def _part(item: Item) -> Iterator[bytes | str]:
    """Of the skeleton, where the item stands in it."""
    if isinstance(item, bytes):
        yield item
    elif len(item) == 1:
        yield spelt(item[0])
    elif item[0]:
        yield spelt(item[_CONTENT])


def _named(item: list[Any]) -> dict[str, Any]:
    values = zip(FIELDS, item[1:], strict=False)
    return {name: spelt(value) if name in _KEYS else value for name, value in values}


def _head(item: list[Any], before: str) -> str:
    found = None if len(item) == 1 else _HEAD.match(item[_PATH])
    return found[0] if found else before


def _brief(key: str) -> str | bytes:
    return bytes.fromhex(key[3:]) if _BRIEF.fullmatch(key) else key


def _mask(bits: list[bool]) -> bytes:
    return sum(1 << n for n, bit in enumerate(bits) if bit).to_bytes(-(-len(bits) // 8), "little")


def _bits(new: bytes | None, n: int) -> list[bool | None]:
    if new is None:
        return [None] * n
    size = -(-n // 8)
    which, known = int.from_bytes(new[:size], "little"), int.from_bytes(new[size:] or b"\xff" * size, "little")
    return [bool(which >> at & 1) if known >> at & 1 else None for at in range(n)]
