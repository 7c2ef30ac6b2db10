"""What another demur recorded: its database, its exports as JSON Lines, and what ``demur show --json`` and ``list --all --json`` print.

A record keeps its id, its source and its witnesses, so that machines can be merged in any order and any number of times. An export at the level
``full`` holds all that is stored; one below it has nulls and placeholders for what was withheld, so of those the judgements, whose authors
are placeholders, are left out. Texts pass the redactor of this machine once more; a text that it changes gets another key. What
is remembered for the sake of requests to come (accepted requests, pins) stays where it is.
"""

import re
import sqlite3
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import batched
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import msgspec

from proxy import judgements, trials
from proxy.core.asker import kept_headers
from proxy.core.redact import Redactor
from proxy.core.segment import key_of, to_json
from proxy.database import StoreError
from proxy.importers.documents import Json, decode, objects, table
from proxy.importers.merged import Merged, Witness
from proxy.importers.opening import first
from proxy.importers.source import Found, Origin, Trouble
from proxy.importers.sqlite import MAGIC, copied, has_tables, is_database, on_disk
from proxy.store import Store
from schemas.records import (
    Annotation,
    Attempt,
    Entry,
    Judgement,
    Located,
    Refusal,
    Rephrasing,
    Segment,
    Traffic,
    Trial,
    Update,
)

_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_TABLES = frozenset({"refusals", "witnesses"})
_KEY = re.compile(r"b2:[0-9a-f]{32}")
_LEAST: Json = {"source": "demur", "evidence": "export", "confidence": 1.0}
"""What an export of ids alone does not tell."""
_IMPORTED = f"select {', '.join(Traffic.__struct_fields__)}, sum(n) as n from imported_traffic group by {', '.join(Traffic.__struct_fields__)}"  # noqa: S608 the names are ours
_ROWS = 1000
"""Counts of traffic in one entry."""
_PARTS: dict[str, Any] = {
    "segments": Segment,
    "attempts": Attempt,
    "rephrasings": Rephrasing,
    "annotations": Annotation,
    "judgements": Judgement,
    "trials": Trial,
    "located": Located,
    "witnesses": Witness,
}
"""The members of a record that are lists, and what is in them."""

type Texts = tuple[dict[str, bytes], list[bytes | str] | None]
"""Contents and skeleton, as in ``Entry``."""


class OwnRecords:
    """See the head of the module."""

    name = "demur"

    def claims(self, head: bytes, origin: Origin) -> bool:
        """See ``Source``. A database that comes in by itself may not show its tables at its beginning: then what is not ours is told of."""
        if head.startswith(MAGIC):
            return has_tables(head, origin, _TABLES) is not False
        value = first(head)
        return ("demur" in value and "traffic" in value) or _is_record(value)

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """See ``Source``."""
        yield from _stored(file, origin) if is_database(file) else _told(file, origin)


def _is_record(value: Json) -> bool:
    return value.keys() >= {"id", "at", "kind"} and _ID.fullmatch(str(value["id"])) is not None


def _told(file: BinaryIO, origin: Origin) -> Iterator[Found]:
    for found in objects(file):
        if isinstance(found, Trouble):
            yield found
            continue
        line, value = found
        try:
            yield _count(value) if "traffic" in value and "n" in value else _record(value, origin)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            yield Trouble(line, "no record of this demur, or of a newer one")


def _count(value: Json) -> Entry:
    return Entry(traffic=[(msgspec.convert(value["traffic"], Traffic), msgspec.convert(value["n"], int))])


def _record(value: Json, origin: Origin) -> Merged:
    """Raises ValueError."""
    if not _is_record(value):
        raise ValueError
    contents = {key: b64decode(said, validate=True) for key, said in table(value.pop("contents", None)).items()}
    skeleton = value.pop("skeleton", None)
    if value.get("level", "full") != "full":
        value["judgements"] = []
    for part in value.get("segments") or ():
        contents |= _placed(part)
    return _merged(value, (contents, _read(skeleton) if isinstance(skeleton, list) else None), origin)


def _placed(part: Json) -> dict[str, bytes]:
    """The text of a segment where it is told as it is; without its key the segment has that of what it says."""
    said = part.get("content")
    if isinstance(said, str) and _KEY.fullmatch(said):
        return {}
    part["content"] = part["hash"] if said is None else key_of(to_json(said))
    return {} if said is None else {part["content"]: to_json(said)}


def _read(skeleton: list[Json]) -> list[bytes | str]:
    return [part["key"] if "key" in part else b64decode(part["bytes"], validate=True) for part in skeleton]


def _merged(value: Json, texts: Texts, origin: Origin) -> Merged:
    clean, _ = origin.redactor.value(_LEAST | {name: one for name, one in value.items() if one is not None})
    told = table(clean)
    parts = {name: _list(told.get(name), kind) for name, kind in _PARTS.items()}
    refusal = msgspec.convert({name: one for name, one in told.items() if name not in _PARTS}, Refusal)
    pairs = tuple((name.encode(), said.encode("latin-1", "replace")) for name, said in refusal.headers.items())
    refusal.headers, refusal.incident_id = kept_headers(pairs, origin.redactor), None
    entry = Merged(refusals=[refusal], contents=texts[0], skeleton=texts[1])
    for name in ("segments", "attempts", "judgements", "trials", "located", "witnesses"):
        setattr(entry, name, parts[name])
    if parts["annotations"]:
        entry.annotations = {refusal.id: parts["annotations"]}
    if parts["rephrasings"]:
        entry.updates = [Update(refusal_id=refusal.id, rephrasings=parts["rephrasings"])]
    return _cleaned(entry, origin)


def _list(value: object, kind: Any) -> list[Any]:
    """Rephrasings without their texts, as they are exported below ``full``, are left out."""
    items = [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
    if kind is Rephrasing:
        items = [one for one in items if "original" in one and "sent" in one]
    return [msgspec.convert(one, kind) for one in items]


def _cleaned(entry: Merged, origin: Origin) -> Merged:
    """With the texts as this machine keeps them, or without them."""
    (refusal,) = entry.refusals
    if not origin.content:
        entry.contents, entry.skeleton, refusal.exact = {}, None, None
        return entry
    renamed = {}
    for key, content in list(entry.contents.items()):
        clean = _without_secrets(content, origin.redactor)
        if clean != content:
            del entry.contents[key]
            renamed[key] = key_of(clean)
            entry.contents[renamed[key]] = clean
    if renamed:
        refusal.replacements += len(renamed)
        refusal.exact = None if refusal.exact is None else False
        entry.skeleton = entry.skeleton and [
            renamed.get(one, one) if isinstance(one, str) else one for one in entry.skeleton
        ]
    for segment in entry.segments:
        segment.content = renamed.get(segment.content, segment.content)
    return entry


def _without_secrets(content: bytes, redactor: Redactor) -> bytes:
    try:
        clean, struck = redactor.value(decode(content))
    except (ValueError, RecursionError):
        said, struck = redactor.text(content.decode("latin-1"))
        return said.encode("latin-1", "replace") if struck else content
    return to_json(clean) if struck else content


def _stored(file: BinaryIO, origin: Origin) -> Iterator[Found]:
    try:
        with on_disk(file, origin) as path, _opened(path) as store:
            for row in store.rows("select id from refusals order by at, id"):
                yield from _case(store, row["id"], origin)
            for counts in batched(_counts(store), _ROWS):
                yield Entry(traffic=list(counts))
    except (StoreError, sqlite3.Error):
        yield Trouble(None, "a database that cannot be read: damaged, or of a newer demur")


@contextmanager
def _opened(path: Path) -> Iterator[Store]:
    """As it lies, or where it is of an older demur, a copy that is brought up to date."""
    try:
        store = Store.open(path, readonly=True)
    except StoreError:
        with TemporaryDirectory(prefix="demur-import-") as folder, Store.open(copied(path, Path(folder))) as copy:
            yield copy
        return
    with store:
        yield store


def _counts(store: Store) -> Iterator[tuple[Traffic, int]]:
    """What was counted there, and what had been imported there."""
    yield from store.traffic()
    for row in store.rows(_IMPORTED):
        yield msgspec.convert(row, Traffic), row["n"]


def _case(store: Store, name: str, origin: Origin) -> Iterator[Found]:
    value: Json = msgspec.to_builtins(store.find(name))
    parts = {
        "attempts": store.attempts(name),
        "rephrasings": store.rephrasings(name),
        "annotations": store.annotations(name),
        "judgements": judgements.history(store, name),
        "trials": trials.trials(store, name),
        "located": trials.located(store, name),
        "witnesses": store.rows("select id, source from witnesses where refusal_id = ?", [name]),
    }
    try:
        texts: Texts = store.texts(name), store.skeleton(name)
        parts["segments"] = store.segments(name)
    except StoreError:
        yield Trouble(None, "a stored request that is damaged")
        texts = {}, None
    yield _merged(value | {part: msgspec.to_builtins(found) for part, found in parts.items()}, texts, origin)
