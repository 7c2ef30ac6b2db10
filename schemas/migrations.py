"""The tables, as numbered steps. A column is named as the record's field, and a step that was released never changes.

Lists and dicts are JSON text. Times are ISO 8601 in UTC, so that they sort as text. Tables are strict: what has the
wrong type is refused when it is written, not found when it is read.
"""

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
