"""What claude-tap recorded: its database, and what ``claude-tap export`` makes of a session, as JSON Lines, compact or plain JSON.

Verified against claude-tap 0.1.146: the database ``traces.sqlite3`` (tables ``sessions``, ``records``, ``record_blobs``), whose records hold large
parts by reference to a blob, and streams put together into one message unless ``--tap-store-stream-events`` was given; the compact export, which carries the blobs with it; and the JSON export, which leaves out heads, ids and
``stop_details``. ``timestamp`` is the end of an exchange, ``duration_ms`` what it took. ``request_id`` is claude-tap's own; the API's stands
in the head of the answer. The markdown and HTML exports are not read.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, BinaryIO

from proxy.importers import moments
from proxy.importers.documents import Json, decode, number, objects, table, text
from proxy.importers.exchanged import MESSAGES, Captured, Exchanges, answered, body, pairs, stream
from proxy.importers.opening import first
from proxy.importers.source import Found, Origin, Trouble
from proxy.importers.sqlite import MAGIC, has_tables, is_database, on_disk, readonly

_REFERENCE = "__claude_tap_blob_ref__"
_RECORD = "__claude_tap_compact_record__"
_BUNDLE = "__claude_tap_compact_trace__"
_RECORDS = """
    select session_id, record_index, payload_json from records join sessions on sessions.id = session_id
    order by started_at, session_id, record_index
"""
_TABLES = frozenset({"sessions", "records", "proxy_logs"})

type Blob = Callable[[str], Any]


class ClaudeTap:
    """See the head of the module."""

    name = "claude-tap"

    def claims(self, head: bytes, origin: Origin) -> bool:
        """See ``Source``."""
        if head.startswith(MAGIC):
            return has_tables(head, origin, _TABLES) is True
        found = first(head)
        return _BUNDLE in found or _RECORD in found or _is_record(found) or _is_plain(found)

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """See ``Source``."""
        exchanges = Exchanges(self.name, origin)
        for found in _found(file, origin):
            if isinstance(found, Trouble):
                yield found
                continue
            line, record = found
            captured = _plain(record) if _is_plain(record) else _captured(record)
            if isinstance(captured, Trouble):
                yield captured._replace(line=line)
            else:
                yield from exchanges.found(captured, line)


def _is_record(value: Json) -> bool:
    return value.keys() >= {"timestamp", "request_id", "turn", "duration_ms"}


def _is_plain(value: Json) -> bool:
    """An item of the JSON export."""
    return value.keys() >= {"turn", "timestamp", "duration_ms", "model"} and "request_id" not in value


def _found(file: BinaryIO, origin: Origin) -> Iterator[tuple[int | None, Json] | Trouble]:
    if is_database(file):
        yield from _stored(file, origin)
        return
    for found in objects(file):
        if not isinstance(found, Trouble) and _BUNDLE in found[1]:
            yield from _bundled(found[1])
        else:
            yield found


def _stored(file: BinaryIO, origin: Origin) -> Iterator[tuple[int | None, Json] | Trouble]:
    try:
        with on_disk(file, origin) as path, closing(readonly(path)) as connection:
            for session, _, payload in connection.execute(_RECORDS):
                sql = "select payload_json from record_blobs where session_id = ? and hash = ?"

                def blob(name: str, session: str = session, sql: str = sql) -> Any:
                    row = connection.execute(sql, [session, name]).fetchone()
                    return decode(row[0].encode("utf-8", "replace"))

                yield _opened(table(payload), blob)
    except sqlite3.Error as error:
        yield Trouble(None, f"a database that cannot be read ({type(error).__name__})")


def _bundled(bundle: Json) -> Iterator[tuple[int | None, Json] | Trouble]:
    blobs, records = table(bundle.get("blobs")), bundle.get("records")
    for record in records if isinstance(records, list) else []:
        yield _opened(table(record), lambda name: blobs[name]["payload"])


def _opened(payload: Json, blob: Blob) -> tuple[None, Json] | Trouble:
    """A record with what its references stand for."""
    record = table(payload.get("record")) if _RECORD in payload else payload
    try:
        return None, _resolved(record, blob)
    except (KeyError, TypeError, ValueError):
        return Trouble(None, "a part of a record is missing")


def _resolved(record: Json, blob: Blob) -> Json:
    """References stand for members of a body, and for items of those."""

    def meant(value: Any) -> Any:
        return blob(value[_REFERENCE]["hash"]) if isinstance(value, dict) and _REFERENCE in value else value

    def part(value: Any) -> Any:
        value = meant(value)
        return [meant(item) for item in value] if isinstance(value, list) else value

    resolved = dict(record)
    for side in ("request", "response"):
        held = table(record.get(side))
        if isinstance(told := meant(held.get("body")), dict):
            resolved[side] = held | {"body": {name: part(value) for name, value in told.items()}}
    return resolved


def _captured(record: Json) -> Captured | Trouble:
    request, response = table(record.get("request")), table(record.get("response"))
    ended, took = moments.seconds(record.get("timestamp")), number(record.get("duration_ms"))
    if ended is None:
        return Trouble(None, "a record without a time")
    events = response.get("sse_events")
    told = answered(response.get("headers"))
    return Captured(
        began=ended - max(took or 0, 0) / 1000,
        ended=ended if took else None,
        method=text(request.get("method")) or "",
        target=text(request.get("path")) or "",
        asked=pairs(request.get("headers")),
        request=body(request.get("body")),
        exact=False,
        status=number(response.get("status")) or 0,
        told=told,
        answer=_streamed(events) if isinstance(events, list) and events else body(response.get("body")) or b"",
        whole=not text(response.get("error")),
    )


def _streamed(events: list[Any]) -> bytes:
    return stream((text(event.get("event")), event.get("data")) for event in events if isinstance(event, dict))


def _plain(entry: Json) -> Captured | Trouble:
    """Of the JSON export, which has no path: what is no message of the Messages API is left out by its shape."""
    ended, took = moments.seconds(entry.get("timestamp")), number(entry.get("duration_ms"))
    if ended is None:
        return Trouble(None, "a record without a time")
    names = ("model", "system", "messages", "tools")
    answer = {"type": "message", "role": "assistant", "model": entry.get("model")} | table(entry.get("response"))
    return Captured(
        began=ended - max(took or 0, 0) / 1000,
        ended=ended if took else None,
        target=MESSAGES,
        request=body({name: entry[name] for name in names if name in entry}),
        exact=False,
        answer=body(answer),
    )
