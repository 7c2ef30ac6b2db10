"""What another demur recorded, read: see ``proxy.importers.own``.

A record keeps its id, its source and its witnesses, so that machines can be merged in any order and any number of times. An export at the level
``full`` holds all that is stored; one below it has nulls and placeholders for what was withheld, so of those the judgements, whose authors
are placeholders, and the reports, whose addresses are withheld, are left out. Requests are counted by who counted them (``proxy.origins``). Texts pass the redactor of this machine once more; a text that it changes gets another key. What
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
from proxy.completion import UNTOLD
from proxy.core.asker import kept_headers
from proxy.core.redact import Redactor
from proxy.core.segment import key_of, to_json
from proxy.database import ForeignDatabaseError, StoreError
from proxy.importers.documents import Json, decode, objects, table
from proxy.importers.merged import Merged, Witness
from proxy.importers.own import is_record
from proxy.importers.source import Found, Origin, Trouble
from proxy.importers.sqlite import copied, on_disk
from proxy.origins import Counted, counted
from proxy.reports import Report, reported
from proxy.store import Store
from proxy.tables import REFUSALS
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

_KEY = re.compile(r"b2:[0-9a-f]{32}")
_ORIGIN = re.compile(r"b2:[0-9a-f]{32}(/[0-9a-f]{32})?")
VERSION = 1
"""Of the exported record's format that is read."""
_LEAST: Json = {"source": "demur", "evidence": UNTOLD, "confidence": 1.0}
"""What an export of ids alone does not tell."""
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
    "reports": Report,
}
"""The members of a record that are lists, and what is in them."""

type Texts = tuple[dict[str, bytes], list[bytes | str] | None]
"""Contents and skeleton, as in ``Entry``."""


def told(file: BinaryIO, origin: Origin) -> Iterator[Found]:
    """JSON Lines."""
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
    """Raises ValueError. An export of an older demur does not tell who counted: then it is the file."""
    traffic, n = msgspec.convert(value["traffic"], Traffic), msgspec.convert(value["n"], int)
    if value.get("demur", VERSION) != VERSION:
        raise ValueError
    if "origin" not in value:
        return Entry(traffic=[(traffic, n)])
    if not _ORIGIN.fullmatch(value["origin"]):
        raise ValueError
    source = msgspec.convert(value.get("source", ""), str)
    return Merged(counts=[Counted(origin=value["origin"], traffic=traffic, n=n, source=source)])


def _record(value: Json, origin: Origin) -> Merged:
    """Raises ValueError."""
    if not is_record(value) or value.get("demur", VERSION) != VERSION:
        raise ValueError
    contents = {key: b64decode(said, validate=True) for key, said in table(value.pop("contents", None)).items()}
    skeleton = value.pop("skeleton", None)
    if value.get("level", "full") != "full":
        value["judgements"], value["reports"] = [], []
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
    for name in ("segments", "attempts", "judgements", "trials", "located", "witnesses", "reports"):
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


def stored(file: BinaryIO, origin: Origin) -> Iterator[Found]:
    """A database."""
    try:
        with on_disk(file, origin) as path, _opened(path) as store:
            for row in store.rows("select id from refusals order by at, id"):
                yield from _case(store, row["id"], origin)
            for counts in batched(counted(store), _ROWS):
                yield Merged(counts=list(counts))
    except ForeignDatabaseError:
        yield Trouble(None, "a database of another program")
    except (StoreError, sqlite3.Error):
        yield Trouble(None, "a database that cannot be read: damaged, or of a newer demur")


@contextmanager
def _opened(path: Path) -> Iterator[Store]:
    """As it lies, or where it is of an older demur, a copy that is brought up to date. Whoever has it open has a journal beside it."""
    try:
        store = Store.open(path, readonly=True, alone=not Path(f"{path}-wal").exists())
    except ForeignDatabaseError:
        raise
    except StoreError:
        with TemporaryDirectory(prefix="demur-import-") as folder, Store.open(copied(path, Path(folder))) as copy:
            yield copy
        return
    with store:
        yield store


def _case(store: Store, name: str, origin: Origin) -> Iterator[Found]:
    """Nothing, where it is gone meanwhile."""
    for row in store.rows("select * from refusals where id = ?", [name]):
        value: Json = msgspec.to_builtins(REFUSALS.record(row))
        value |= {part: msgspec.to_builtins(found) for part, found in _belonging(store, name).items()}
        try:
            texts: Texts = store.texts(name), store.skeleton(name)
            value["segments"] = msgspec.to_builtins(store.segments(name))
        except StoreError:
            yield Trouble(None, "a stored request that is damaged")
            texts = {}, None
        yield _merged(value, texts, origin)


def _belonging(store: Store, name: str) -> dict[str, Any]:
    return {
        "attempts": store.attempts(name),
        "rephrasings": store.rephrasings(name),
        "annotations": store.annotations(name),
        "judgements": judgements.history(store, name),
        "trials": trials.trials(store, name),
        "located": trials.located(store, name),
        "witnesses": store.rows("select id, source from witnesses where refusal_id = ?", [name]),
        "reports": reported(store, [name]),
    }
