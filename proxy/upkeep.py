"""Looking after the store: is it sound, is it private, is it full, what is too old, what is no longer referred to.

All of it is read by a person: a ``Finding`` says what was looked at, what was seen, and what to do where it is not well.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import msgspec
import zstandard
from msgspec import Struct, field

from proxy import chunks, search
from proxy.database import StoreError, faults, files, is_open_to_others
from proxy.incidents import hand_over
from proxy.packed import unzstd
from proxy.spool import Spool, spool_folder, spools
from proxy.store import Store
from proxy.tables import NOW

NO_SPACE = 1 << 20
"""Bytes of free disk under which nothing can be relied on to be kept."""
LITTLE_SPACE = 200 << 20
"""Bytes of free disk under which `demur doctor` warns."""


class Finding(Struct, kw_only=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    what: str
    todo: str = ""
    """What to do; empty where it is well."""
    grave: bool = False
    """Whether it may cost records."""


class Health(Struct, kw_only=True):
    """What ``demur doctor`` tells of the store."""

    findings: list[Finding] = field(default_factory=list)
    version: str | None = None
    """The newest migration; None where the database cannot be read."""
    live: int = 0
    """Spools whose process is alive."""
    since: int | None = None
    """When the oldest of these processes began, in ms since 1970."""
    orphans: int = 0
    """Spools whose process is dead: the next writer or reader moves them."""
    pending: int = 0
    """Entries in spools that are not in the database yet."""
    lost: int = 0
    """Records that were not kept, as the database and the spools have it."""


def expire(store: Store, before: str) -> int:
    """Removes refusals, counts and losses older than a time (ISO 8601, UTC) with their content; how many refusals.

    Pins that have ended go as well, whatever that time.
    """
    with store.transaction() as connection:
        hand_over(connection, before)
        gone = connection.execute("delete from refusals where at < ?", [before]).rowcount
        connection.execute("delete from passes where at < ?", [before])
        connection.execute("delete from accepted where at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day')")
        connection.execute("delete from traffic where hour < ?", [before[:13]])
        connection.execute("delete from losses where at < ?", [before])
        for table in ("pins", "unpinned"):
            connection.execute(f"delete from {table} where until <= {NOW}")  # noqa: S608 the names are ours
        if gone:
            _drop_unused(connection)
    return gone


def vacuum(store: Store) -> int:
    """Drops the segments that no refusal refers to and gives the space back; how many they were."""
    with store.transaction() as connection:
        gone = _drop_unused(connection)
    with faults(store.path):
        store.db.conn.execute("vacuum")
        store.db.conn.execute("pragma wal_checkpoint(truncate)")
    return gone


def verify(store: Store) -> list[Finding]:
    """Whether the database is sound, to the last stored byte. Reads all of it."""
    damage = [str(row["integrity_check"]) for row in store.rows("pragma integrity_check")]
    damage = [] if damage == ["ok"] else damage
    strays = len(store.rows("pragma foreign_key_check"))
    (unused,), (strange,) = store.rows(_UNUSED), store.rows(_STRANGE)
    return [
        _finding("file", damage, "the file", "move it away; `sqlite3 FILE .recover` may read what it holds"),
        _finding("rows", [f"{strays} rows without their refusal"] * (strays > 0), "every row's refusal", "report it"),
        _finding("segments", list(_bad_segments(store)), "every stored segment", _RESTORE),
        _finding("requests", list(_bad_requests(store)), "every stored request", _RESTORE),
        Finding(
            name="unused",
            ok=not unused["n"],
            what=f"{unused['n']} segments that no refusal refers to",
            todo="`demur db vacuum` removes them" if unused["n"] else "",
        ),
        Finding(
            name="search",
            ok=not strange["n"],
            what=f"{strange['n']} removed segments that are still in the index of `demur search`",
            todo="`demur db vacuum` removes them" if strange["n"] else "",
        ),
    ]


def health(database: Path | str) -> Health:
    """Looks at the store as it is, and changes nothing. Never raises for what it finds."""
    path, folder = Path(os.path.realpath(database)), spool_folder(database)
    report = Health()
    moved = _look_at_database(path, report)
    _look_at_spools(folder, moved, report)
    report.findings += [_space(path), _privacy(path, folder)]
    todo = "check the space and the permissions; what is lost cannot be had again" if report.lost else ""
    lost = Finding(name="losses", ok=not todo, what=f"{report.lost} records could not be kept", todo=todo)
    report.findings.append(lost)
    return report


_UNLINKED = "not exists (select 1 from chunk_segments where segment_id = segments.id)"
_UNUSED = """
    select count(*) as n from segments where not exists (
        select 1 from chunk_segments join maps using (chunk_id) where segment_id = segments.id)
"""
_STRANGE = "select count(*) as n from indexed where segment_id not in (select id from segments)"
_RESTORE = "restore the file from a copy; what is not named here is well"


def _finding(name: str, bad: list[str], good: str, todo: str) -> Finding:
    if not bad:
        return Finding(name=name, ok=True, what=f"{good}: sound")
    return Finding(name=name, ok=False, what="; ".join(bad[:5]) + f"; {len(bad) - 5} more" * (len(bad) > 5), todo=todo)


def _bad_segments(store: Store) -> Iterator[str]:
    for row in store.rows("select key from segments order by key"):
        key = row["key"]
        (stored,) = store.rows("select zstd, size from segments where key = ?", [key])
        try:
            content = unzstd(stored["zstd"])
        except zstandard.ZstdError as error:
            yield f"{key} cannot be read ({error})"
            continue
        if len(content) != stored["size"]:
            yield f"{key} has {len(content)} bytes instead of {stored['size']}"
        elif key.startswith("b2:") and key != f"b2:{blake2b(content, digest_size=16).hexdigest()}":
            yield f"{key} is not the hash of its content"


def _bad_requests(store: Store) -> Iterator[str]:
    found: dict[str, set[int]] = {"damaged": set(), "lacking": set()}
    for row in store.rows("select id from chunks"):
        if fault := _fault(store, row["id"]):
            found[fault].add(row["id"])
    damaged = _refusals_with(store, found["damaged"])
    yield from (f"the request of {name} cannot be read" for name in damaged)
    for name in _refusals_with(store, found["lacking"]):
        if name not in damaged and (missing := _missing(store, name)):
            yield f"the request of {name} lacks {len(missing)} segments"


def _fault(store: Store, chunk_id: int) -> str:
    """What is wrong with a chunk, if anything. It lacks segments where the text of a request is not kept, too."""
    (stored,) = store.rows("select key, items from chunks where id = ?", [chunk_id])
    linked = "select key from chunk_segments join segments on segments.id = segment_id where chunk_id = ?"
    try:
        items = chunks.items(stored["items"])
        named = chunks.contents(items)
    except chunks.DAMAGED:
        return "damaged"
    if chunks.pack(items)[0] != stored["key"]:
        return "damaged"
    return "" if named == {row["key"] for row in store.rows(linked, [chunk_id])} else "lacking"


def _refusals_with(store: Store, chunk_ids: set[int]) -> list[str]:
    sql = "select distinct refusal_id from maps where chunk_id in (select value from json_each(?)) order by refusal_id"
    return [row["refusal_id"] for row in store.rows(sql, [msgspec.json.encode(sorted(chunk_ids)).decode()])]


def _missing(store: Store, name: str) -> set[str]:
    sql = """
        select key from segments where id in (
            select segment_id from chunk_segments join maps using (chunk_id) where refusal_id = ?)
    """
    stored = {row["key"] for row in store.rows(sql, [name])}
    return {part for part in store.skeleton(name) or [] if isinstance(part, str)} - stored


def _drop_unused(connection: sqlite3.Connection) -> int:
    """Removes what no refusal refers to, also from the index of ``demur search``; how many segments they were."""
    connection.execute("delete from chunks where not exists (select 1 from maps where chunk_id = chunks.id)")
    search.forget(connection, f"select id from segments where {_UNLINKED}")  # noqa: S608 a constant
    return connection.execute(f"delete from segments where {_UNLINKED}").rowcount  # noqa: S608 a constant


def _look_at_database(path: Path, report: Health) -> dict[str, tuple[int, int]]:
    """Fills in the findings; gives for each spool how far it has been moved and what of its losses is written."""
    if not path.exists():
        what = f"{path} is not there yet: it is made with the first record"
        report.findings.append(Finding(name="database", ok=True, what=what))
        return {}
    try:
        with Store.open(path, readonly=True, timeout=1.0) as store:
            report.version = store.version()
            report.lost = sum(loss.n for loss in store.losses())
            moved = {row["name"]: (row["offset"], row["lost"]) for row in store.rows("select * from spools")}
        report.findings.append(Finding(name="database", ok=True, what=f"{path} can be read ({report.version})"))
        report.findings.append(_writable(path))
    except StoreError as error:
        what, _, todo = str(error).partition(": ")
        report.findings.append(Finding(name="database", ok=False, what=what, todo=todo))
        return {}
    return moved


def _writable(path: Path) -> Finding:
    try:
        with faults(path):
            connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=0.5, isolation_level=None)
            try:
                connection.execute("begin immediate")
                connection.execute("rollback")
            finally:
                connection.close()
    except StoreError as error:
        what, _, todo = str(error).partition(": ")
        return Finding(name="writing", ok=False, what=what, todo=todo)
    return Finding(name="writing", ok=True, what=f"{path} can be written")


def _look_at_spools(folder: Path, moved: dict[str, tuple[int, int]], report: Health) -> None:
    strange = 0
    for path in spools(folder):
        claimed = Spool.claim(path)
        spool = claimed or Spool.view(path)
        if spool is None:
            strange += path.exists()
            continue
        with spool:
            offset, lost = moved.get(spool.name, (0, 0))
            batch = spool.read(offset, spool.end)
        report.live += claimed is None
        if claimed is None:
            report.since = min(spool.started, report.since or spool.started)
        report.orphans += claimed is not None
        report.pending += len(batch.payloads)
        report.lost += batch.damaged + max(0, spool.lost - lost)
    what = f"{report.pending} entries wait in {report.live} spools of live processes and {report.orphans} of dead ones"
    todo = "`demur list` moves those of dead processes into the database" if report.orphans else ""
    if strange:
        what += f"; {strange} files are no spools that this demur can read"
        todo = f"look at {folder}: a newer demur may have made them"
    report.findings.append(Finding(name="spools", ok=not todo, what=what, todo=todo))


def _space(path: Path) -> Finding:
    place = next(folder for folder in path.parents if folder.exists())
    free = shutil.disk_usage(place).free
    todo = "" if free >= LITTLE_SPACE else "free some space, or name another place with --db"
    what = f"{free >> 20} MiB free in {place}"
    return Finding(name="space", ok=not todo, what=what, todo=todo, grave=free < NO_SPACE)


def _privacy(path: Path, folder: Path) -> Finding:
    seen = [*files(path), *spools(folder), *([folder] if folder.is_dir() else [])]
    wide = [str(file) for file in seen if file.exists() and is_open_to_others(file)]
    if not wide:
        return Finding(name="privacy", ok=True, what="nobody else can read the files")
    names = " ".join(wide)
    return Finding(name="privacy", ok=False, what=f"others may use {names}", todo=f"chmod go= {names}")
