"""The tables, as numbered steps. A column is named as the record's field, and a step that was released never changes.

Lists and dicts are JSON text. Times are ISO 8601 in UTC, so that they sort as text. Tables are strict: what has the
wrong type is refused when it is written, not found when it is read.
"""

import re
from collections import Counter, deque
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec
import zstandard
from sqlite_utils import Database, Migrations

migrations = Migrations("demur")


@migrations()
def m001_refusals(db: Database) -> None:
    db.execute("""
        create table refusals (
            id text primary key, at text not null, source text not null, kind text not null, evidence text not null,
            confidence real not null, category text, explanation text, stage text, output_tokens integer,
            ms_to_refusal integer, model text, answered_by text, outcome text not null, request_id text,
            message_id text, session_id text, agent_id text, role text not null, client text, client_version text,
            entrypoint text, user text, project text, fingerprint text, verdict text not null, domain text,
            tags text not null, sources text not null, status integer, streamed integer, input_tokens integer,
            cache_read_tokens integer, cache_write_tokens integer, exact integer, replacements integer not null,
            headers text not null
        ) strict
    """)
    for column in ("at", "request_id", "message_id", "session_id", "fingerprint"):
        db.execute(f"create index refusals_{column} on refusals ({column})")
    # Two witnesses of one refusal make one row. The second one's id is kept, so that it is known when it comes again
    # (an import that is repeated), and so that it can still be asked for.
    db.execute("""
        create table witnesses (
            id text primary key, refusal_id text not null references refusals (id) on delete cascade,
            source text not null
        ) strict
    """)
    db.execute("create index witnesses_refusal_id on witnesses (refusal_id)")
    db.execute("""
        create table attempts (
            refusal_id text not null references refusals (id) on delete cascade, n integer not null,
            "by" text not null, model text, outcome text not null, category text, input_tokens integer,
            output_tokens integer, primary key (refusal_id, n)
        ) strict, without rowid
    """)


@migrations()
def m002_requests(db: Database) -> None:
    # A resent history costs nothing: content is kept once, under its own hash, compressed. `size` is of the content
    # itself, in bytes.
    db.execute("create table segments (key text primary key, zstd blob not null, size integer not null) strict")
    # `content` is no foreign key: with content = "none" the hashes are kept and the segments are not.
    db.execute("""
        create table refusal_segments (
            refusal_id text not null references refusals (id) on delete cascade, n integer not null,
            label text not null, path text not null, tool text, media text, bytes integer not null,
            tokens_est integer not null, hash text not null, content text not null, new integer,
            primary key (refusal_id, n)
        ) strict, without rowid
    """)
    db.execute("create index refusal_segments_content on refusal_segments (content)")
    db.execute("create index refusal_segments_hash on refusal_segments (hash)")
    # The skeleton is a list in msgpack, zstd: literal bytes, and keys of segments. Joined, it is the request.
    db.execute("""
        create table bodies (
            refusal_id text primary key references refusals (id) on delete cascade, skeleton blob not null
        ) strict
    """)


@migrations()
def m003_traffic(db: Database) -> None:
    # No column of the key may be null: two nulls are never equal, and a count would be a new row each time.
    db.execute("""
        create table traffic (
            hour text not null, model text not null, answered_by text not null, client text not null,
            client_version text not null, entrypoint text not null, role text not null, user text not null,
            outcome text not null, n integer not null,
            primary key (hour, model, answered_by, client, client_version, entrypoint, role, user, outcome)
        ) strict, without rowid
    """)


@migrations()
def m004_spools(db: Database) -> None:
    # How much of each spool has been moved. It is written in the transaction that moves it, which is what makes every
    # entry land exactly once. `lost` is how much of the spool's own counter stands in `losses` already.
    db.execute('create table spools (name text primary key, "offset" integer not null, lost integer not null) strict')
    db.execute("create table losses (at text not null, n integer not null, what text not null) strict")


@migrations()
def m005_retries(db: Database) -> None:
    for column in ("strategy text", "status integer", "request_id text", "message_id text", "ms integer", "why text"):
        db.execute(f"alter table attempts add column {column}")
    for column in ("ruling text", "turns_elsewhere integer not null default 0"):
        db.execute(f"alter table refusals add column {column}")
    db.execute("""
        create table rephrasings (
            refusal_id text not null references refusals (id) on delete cascade, n integer not null,
            strategy text not null, original text not null, sent text not null, primary key (refusal_id, n)
        ) strict
    """)
    # A pin refers to no row: the refusal that it came from may never have been stored, or may be gone before it.
    db.execute("""
        create table pins (
            key text primary key, session_id text not null, agent_id text, model text not null,
            answered_by text not null, at text not null, until text not null, turns integer not null, refusal_id text
        ) strict, without rowid
    """)
    # When a person removed a pin, until it would have ended. Without it a process that remembers the pin could not tell
    # one that is gone from one that its own writer has not written yet.
    db.execute(
        "create table unpinned (key text primary key, at text not null, until text not null) strict, without rowid"
    )


@migrations()
def m006_understanding(db: Database) -> None:
    new = (
        "asked text", "incident_id text", "history text", "turn integer", "accepted_at text", "accepted_model text",
        "accepted_version text", "accepted_request_id text", "accepted_turn integer",
    )  # fmt: skip
    for column in new:
        db.execute(f"alter table refusals add column {column}")
    # What stood under `fingerprint` until here is what the last turn said. Each refusal was an incident of its own.
    db.execute("update refusals set asked = fingerprint, incident_id = id")
    for column in ("asked", "incident_id"):
        db.execute(f"create index refusals_{column} on refusals ({column})")
    for column in ("target text", "pages integer"):
        db.execute(f"alter table refusal_segments add column {column}")
    # What an incident is known by: the hashes of its first candidates, 8 bytes each, and whether these are no more than a
    # short text, which others may say too.
    db.execute("""
        create table incidents (
            refusal_id text primary key references refusals (id) on delete cascade, marks blob not null,
            short integer not null
        ) strict
    """)
    # Empty where there is no agent: two nulls are never equal.
    db.execute("""
        create table accepted (
            session_id text not null, agent_id text not null, role text not null, model text not null, at text not null,
            request_id text, client_version text, turn integer not null, root text, asked text, hashes blob not null,
            primary key (session_id, agent_id, role, model)
        ) strict
    """)
    db.execute("create index accepted_at on accepted (at)")
    db.execute("create index accepted_root on accepted (root)")
    # Which last turns which model has accepted, for pairs with a refusal of the same content by another. No content.
    db.execute("""
        create table passes (
            asked text not null, model text not null, at text not null, request_id text, n integer not null,
            primary key (asked, model)
        ) strict, without rowid
    """)
    db.execute("create index passes_at on passes (at)")
    db.execute("""
        create table annotations (
            refusal_id text not null references refusals (id) on delete cascade, name text not null, value text not null,
            confidence real not null, evidence text not null, primary key (refusal_id, name, value)
        ) strict, without rowid
    """)
    # `autoincrement`: the id of what is gone is never another one's.
    db.execute("""
        create table judgements (
            id integer primary key autoincrement, refusal_id text not null references refusals (id) on delete cascade,
            at text not null, author text not null, verdict text not null, domain text, note text, tags text not null,
            segment integer
        ) strict
    """)
    db.execute("create index judgements_refusal_id on judgements (refusal_id)")
    db.execute("""
        create table trials (
            id integer primary key autoincrement, refusal_id text not null references refusals (id) on delete cascade,
            at text not null, purpose text not null, model text not null, outcome text not null, category text,
            request_id text, status integer, ms integer, input_tokens integer, output_tokens integer,
            left_out text not null, why text
        ) strict
    """)
    db.execute("create index trials_refusal_id on trials (refusal_id)")
    db.execute("""
        create table located (
            id integer primary key autoincrement, refusal_id text not null references refusals (id) on delete cascade,
            at text not null, model text not null, settled integer not null, parts text not null,
            trials integer not null, why text
        ) strict
    """)
    db.execute("create index located_refusal_id on located (refusal_id)")


@migrations()
def m007_chunks(db: Database) -> None:
    # A session resends its whole map with every request. So it is cut into chunks that are kept once, under the hash of
    # what they say; a request is a list of them. The ids are declared: VACUUM may change those that are not.
    db.execute("alter table segments rename to segments_before")
    db.execute("""
        create table segments (
            id integer primary key, key text not null unique, zstd blob not null, size integer not null
        ) strict
    """)
    db.execute("insert into segments (key, zstd, size) select key, zstd, size from segments_before")
    db.execute("drop table segments_before")
    # `items` is msgpack, zstd: see proxy/chunks.py. `key` is blake2b of the msgpack, 16 bytes.
    db.execute("create table chunks (id integer primary key, key blob not null unique, items blob not null) strict")
    db.execute("""
        create table chunk_segments (
            chunk_id integer not null references chunks (id) on delete cascade,
            segment_id integer not null references segments (id) on delete cascade, primary key (chunk_id, segment_id)
        ) strict, without rowid
    """)
    db.execute("create index chunk_segments_segment_id on chunk_segments (segment_id)")
    db.execute("""
        create table maps (
            refusal_id text not null references refusals (id) on delete cascade, n integer not null,
            chunk_id integer not null references chunks (id), primary key (refusal_id, n)
        ) strict, without rowid
    """)
    db.execute("create index maps_chunk_id on maps (chunk_id)")
    # `whole`: whether the chunks joined are the request, and not only its map. `new` is a bit for each segment, the
    # first is the lowest; null where it is not known. As many again may follow: for which segments it is known.
    db.execute("""
        create table requests (
            refusal_id text primary key references refusals (id) on delete cascade, whole integer not null, new blob
        ) strict
    """)
    # Which segments are in the index of `demur search`, and a hash of the text that stands there.
    db.execute("create table indexed (segment_id integer primary key, digest blob not null) strict")
    _cut_into_chunks(db)
    db.execute("drop table refusal_segments")
    db.execute("drop table bodies")


# What m007 does with what was there. It is frozen with it, whatever becomes of proxy/chunks.py.

_M007_KEY = re.compile(r"b2:[0-9a-f]{32}")
_M007_ITEM = "label path tool media target pages bytes tokens_est hash content".split()
_M007_SEGMENTS = f"select {', '.join(_M007_ITEM)}, new from refusal_segments where refusal_id = ? order by n"  # noqa: S608


def _cut_into_chunks(db: Database) -> None:
    lost = 0
    named = """
        select id from refusals where id in (select refusal_id from refusal_segments union select refusal_id from bodies)
    """
    for (refusal_id,) in db.execute(named).fetchall():
        segments: list[Any] = []
        skeleton: list[bytes | str] | None = None
        try:
            segments = db.execute(_M007_SEGMENTS, [refusal_id]).fetchall()
        except Exception:  # noqa: BLE001 - one damaged row keeps no other from being converted
            lost += 1
        try:
            for (blob,) in db.execute("select skeleton from bodies where refusal_id = ?", [refusal_id]):
                payload = zstandard.ZstdDecompressor().decompress(blob)
                skeleton = msgspec.msgpack.decode(payload, type=list[Any])
                if not all(isinstance(part, (bytes, str)) for part in skeleton):
                    raise ValueError("no skeleton")
        except Exception:  # noqa: BLE001 - the same
            skeleton = None
            lost += 1
        if segments or skeleton is not None:
            _keep_in_chunks(db, refusal_id, segments, skeleton)
    if lost:
        now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
        db.execute(f"insert into losses values ({now}, ?, 'damaged before they were converted')", [lost])  # noqa: S608


def _keep_in_chunks(db: Database, refusal_id: str, segments: list[Any], skeleton: list[bytes | str] | None) -> None:
    known = [segment[-1] for segment in segments]
    size = -(-len(segments) // 8)
    new = sum(1 << n for n, bit in enumerate(known) if bit).to_bytes(size, "little")
    if None in known:
        new += sum(1 << n for n, bit in enumerate(known) if bit is not None).to_bytes(size, "little")
    values = [refusal_id, skeleton is not None, None if known == [None] * len(known) else new]
    db.execute("insert into requests values (?, ?, ?)", values)
    for n, items in enumerate(_m007_chunks(segments, skeleton or [])):
        payload = msgspec.msgpack.encode(items)
        key = blake2b(payload, digest_size=16).digest()
        found = db.execute("select id from chunks where key = ?", [key]).fetchone()
        if found is None:
            blob = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(payload)
            found = [db.execute("insert into chunks (key, items) values (?, ?)", [key, blob]).lastrowid]
            contents = [_m007_spelt(item[-1]) for item in items if isinstance(item, list)]
            db.execute(
                "insert or ignore into chunk_segments select ?, id from segments where key in (select value from json_each(?))",
                [found[0], msgspec.json.encode(contents).decode()],
            )
        db.execute("insert into maps values (?, ?, ?)", [refusal_id, n, found[0]])


def _m007_chunks(segments: list[Any], skeleton: list[bytes | str]) -> list[list[Any]]:
    chunks: list[list[Any]] = []
    head, n = None, 32
    literals: list[bytes] = []
    for item in _m007_items(segments, skeleton):
        if isinstance(item, bytes):
            literals.append(item)
            continue
        of = head if len(item) == 1 else re.match(r"\w*", item[2])[0]  # type: ignore[index]
        if of != head or n == 32:
            chunks.append([])
            head, n = of, 0
        chunks[-1] += [*literals, item]
        literals = []
        n += 1
    if literals:
        if n == 32:
            chunks.append([])
        chunks[-1] += literals
    return chunks


def _m007_items(segments: list[Any], skeleton: list[bytes | str]) -> Iterator[bytes | list[Any]]:
    waiting = deque([*segment[:8], *map(_m007_brief, segment[8:10])] for segment in segments)
    later = Counter(segment[-1] for segment in waiting)
    for part in skeleton:
        content = part if isinstance(part, bytes) else _m007_brief(part)
        if isinstance(part, bytes):
            yield part
        elif not later[content]:
            yield [content]
        else:
            placed = False
            while not placed:
                item = waiting.popleft()
                later[item[-1]] -= 1
                placed = item[-1] == content
                yield [placed, *item]
    for item in waiting:
        yield [False, *item]


def _m007_brief(value: Any) -> Any:
    return bytes.fromhex(value[3:]) if isinstance(value, str) and _M007_KEY.fullmatch(value) else value


def _m007_spelt(content: str | bytes) -> str:
    return content if isinstance(content, str) else f"b2:{content.hex()}"


@migrations()
def m008_imports(db: Database) -> None:
    # What was read of which file, so that it is not read again while it is as it was. `digest` is of both its ends,
    # `mtime` in nanoseconds since 1970.
    db.execute("""
        create table imports (
            file text primary key, size integer not null, mtime integer not null, digest text not null, at text not null
        ) strict
    """)
    db.execute("create index imports_digest on imports (digest)")
    # The requests that a file tells of, counted. They are replaced as a whole when it is read again, and never go into
    # `traffic`: that is what demur itself saw.
    db.execute("""
        create table imported_traffic (
            file text not null, hour text not null, model text not null, answered_by text not null, client text not null,
            client_version text not null, entrypoint text not null, role text not null, user text not null,
            outcome text not null, n integer not null,
            primary key (file, hour, model, answered_by, client, client_version, entrypoint, role, user, outcome)
        ) strict, without rowid
    """)


@migrations()
def m009_reports(db: Database) -> None:
    # What a person reported where. The address is kept without secrets; the shape may be empty, where nobody said.
    db.execute("""
        create table reports (
            id integer primary key, refusal_id text not null references refusals (id) on delete cascade,
            at text not null, url text not null, shape text not null
        ) strict
    """)
    db.execute("create index reports_refusal_id on reports (refusal_id)")


@migrations()
def m010_sources(db: Database) -> None:
    # Which importer told of the requests: several may tell of the same ones. Of what was imported before, nobody knows.
    db.execute("alter table imported_traffic add column source text not null default ''")


@migrations()
def m011_branches(db: Database) -> None:
    # Transcripts name the git branch.
    db.execute("alter table refusals add column branch text")


@migrations()
def m012_copies(db: Database) -> None:
    # Which file tells of a request, both as 64 bits of a hash: a session that is resumed may be a new file with the lines
    # of the old one in it, and then its requests are counted in one of them.
    db.execute("create table imported_requests (name integer primary key, file integer not null) strict")
    db.execute("create index imported_requests_file on imported_requests (file)")


@migrations()
def m013_withdrawn(db: Database) -> None:
    # A report that a person took back: an export that was made before may not bring it again.
    db.execute("""
        create table withdrawn (
            refusal_id text not null references refusals (id) on delete cascade, url text not null, at text not null,
            primary key (refusal_id, url)
        ) strict, without rowid
    """)


@migrations()
def m014_guarded(db: Database) -> None:
    # What the client had been sent of an answer that was declined: whole tool calls, and of each attempt whether anything.
    db.execute("alter table refusals add column tool_calls integer")
    db.execute("alter table attempts add column shown integer")
    db.execute("alter table attempts add column tools_held integer")
