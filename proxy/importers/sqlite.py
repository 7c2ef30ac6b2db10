"""A database file as SQLite can open it: where it lies, or a private copy of what comes out of an archive or a pipe."""

import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from proxy.importers.source import Origin

MAGIC = b"SQLite format 3\0"
_CREATED = re.compile(rb'create table (?:if not exists )?"?(\w+)', re.IGNORECASE)


def is_database(file: BinaryIO) -> bool:
    """Whether it begins as one. It is read from its beginning afterwards."""
    if (peek := getattr(file, "peek", None)) is not None:
        return bool(peek(len(MAGIC)).startswith(MAGIC))
    start = file.read(len(MAGIC)) if file.seekable() else b""
    if start:
        file.seek(0)
    return start == MAGIC


@contextmanager
def on_disk(file: BinaryIO, origin: Origin) -> Iterator[Path]:
    """The path of the database that ``file`` is open on. Where it lies by itself, SQLite sees its journal beside it as well."""
    if _is_plain(file, origin):
        yield Path(origin.name)
        return
    with TemporaryDirectory(prefix="demur-import-") as folder:  # 0700
        path = _private(Path(folder))
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
        yield path


def has_tables(head: bytes, origin: Origin, names: frozenset[str]) -> bool | None:
    """Whether a file that begins so is a database with these tables; None where its beginning alone does not tell."""
    if not head.startswith(MAGIC):
        return False
    with suppress(OSError, ValueError, sqlite3.Error):
        path = Path(origin.name)
        with path.open("rb") as there:
            if there.read(len(MAGIC)) != MAGIC:
                raise ValueError
        uri = f"{path.absolute().as_uri()}?immutable=1"  # nothing is locked, and no file is made beside it
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            return names <= {
                name for (name,) in connection.execute("select name from sqlite_schema where type = 'table'")
            }
    found = {name.decode().lower() for name in _CREATED.findall(head)}
    return names <= found if found else None


def readonly(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing. Raises sqlite3.Error.

    Where nobody is writing, SQLite is told that nobody will: else it would make files beside one that is in WAL mode, and leave them there.
    """
    journal = Path(f"{path}-wal")
    how = "mode=ro" if journal.is_file() and journal.stat().st_size else "immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True)


def copied(path: Path, folder: Path) -> Path:
    """A copy with what its journal holds. Raises sqlite3.Error."""
    copy = _private(folder)
    with closing(readonly(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def _private(folder: Path) -> Path:
    path = folder / "copy.db"
    path.touch(mode=0o600)
    return path


def _is_plain(file: BinaryIO, origin: Origin) -> bool:
    with suppress(OSError, AttributeError, ValueError):
        path = Path(origin.name)
        with path.open("rb") as there:
            plain = there.read(len(MAGIC)) == MAGIC
        return plain and os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False
