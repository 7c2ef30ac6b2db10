"""The database file: how it is opened, kept private and brought up to date, and what is said where that fails.

SQLite in WAL mode, so that readers and one writer never wait for each other; several processes may share a file. Files
are 0600 and the folders that we make 0700; SQLite gives ``-wal`` and ``-shm`` the mode of the database. Nothing here
opens an existing file but SQLite itself: closing any other descriptor of it would drop this process's locks on it.
"""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

from sqlite_utils import Database

from schemas.migrations import migrations

_FAULTS = {
    sqlite3.SQLITE_BUSY: "is locked by another process: try again, or end that process",
    sqlite3.SQLITE_LOCKED: "is locked by another process: try again, or end that process",
    sqlite3.SQLITE_READONLY: "cannot be written: check the permissions of the file and of its folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check the permissions of the file and of its folder",
    sqlite3.SQLITE_NOTADB: "is not a database: move it away, or name another file with --db",
    sqlite3.SQLITE_CORRUPT: "is damaged: move it away; `sqlite3 FILE .recover` may read what it holds",
    sqlite3.SQLITE_FULL: "cannot grow, the disk is full: free some space",
    sqlite3.SQLITE_IOERR: "cannot be read or written: check its disk, and the space that is left on it",
}

APPLICATION_ID = int.from_bytes(b"demu")
"""What the header of our databases says, at byte 68 (sqlite.org/fileformat2.html, "Application ID"); older ones say nothing."""
SMALLEST = 512
"""Bytes of the smallest database. What is smaller, SQLite takes for empty and writes over."""


class StoreError(Exception):
    """The database, or what was asked of it, is at fault. The message says what is wrong and what to do."""


class NoDatabaseError(StoreError):
    """There is no database yet, or nothing in it."""


class ForeignDatabaseError(StoreError):
    """It is the database of another program."""


def private_folder(folder: Path) -> None:
    """Makes the folder, and those above it that are missing, each 0700. Raises OSError."""
    for path in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        path.mkdir(mode=0o700, exist_ok=True)


def files(path: Path) -> list[Path]:
    """The files that the database at ``path`` consists of just now."""
    return [file for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")) if file.is_file()]


def is_open_to_others(path: Path) -> bool:
    """Whether anyone but its owner may do anything with it."""
    return os.name == "posix" and bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


class DatabaseFile:
    """One connection to one database file. To be used in the thread that opened it, and to be closed."""

    def __init__(self, path: Path, connection: sqlite3.Connection, opened: os.stat_result) -> None:
        self.path = path
        self.db = Database(connection, strict=True, execute_plugins=False)
        self._opened = opened

    @classmethod
    def open(cls, path: Path | str, *, readonly: bool = False, alone: bool = False, timeout: float = 5.0) -> Self:
        """Opens the database. Unless ``readonly``, one that is missing is made and an older one is brought up to date.

        ``alone``: nobody writes it meanwhile, so that SQLite needs no files beside it, which a reader would leave there. ``timeout`` is how
        long to wait for other processes' locks, in seconds. Raises StoreError.
        """
        path = Path(os.path.realpath(path))
        try:
            _look(path, readonly=readonly)
            if not readonly:
                _make_private(path)
            opened = path.stat()
            with faults(path):
                file = cls(path, _connect(path, readonly=readonly, alone=alone, timeout=timeout), opened)
        except OSError as error:
            raise StoreError(f"{path} cannot be reached ({error.strerror}): name another place with --db") from error
        try:
            file._prepare(readonly=readonly, timeout=timeout)
        except BaseException:
            file.close()
            raise
        return file

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def in_place(self) -> bool:
        """Whether the file that is open is still the one at its path. SQLite would write on into a deleted one."""
        try:
            return os.path.samestat(self._opened, self.path.stat())
        except OSError:
            return False

    def version(self) -> str:
        """The name of the newest migration that was applied."""
        return migrations.applied(self.db)[-1].name

    def identity(self) -> str:
        """What this database is known by on other machines, and its copies with it: a hash of the moment in which it was made."""
        made = migrations.applied(self.db)[0].applied_at
        return f"b2:{blake2b(str(made).encode(), digest_size=16).hexdigest()}"

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[dict[str, Any]]:
        """The rows that a query gives, by column name. Raises StoreError."""
        with faults(self.path):
            cursor = self.db.conn.execute(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. The write lock is taken at its beginning, so that it cannot fail for it half way."""
        with faults(self.path):
            self.db.conn.execute("begin immediate")
            try:
                yield self.db.conn
                self.db.conn.execute("commit")
            except BaseException:
                self.db.rollback()
                raise

    def _prepare(self, *, readonly: bool, timeout: float) -> None:
        with faults(self.path):
            for setting in ("foreign_keys = on", "secure_delete = on", "synchronous = normal"):
                self.db.conn.execute(f"pragma {setting}")
            if readonly and not self.db.table_names():
                raise _nothing_yet(self.path)
            pending = self._pending()
            if pending and readonly:
                raise StoreError(f"{self.path} is of an older demur: open it once with a command that writes")
            if not readonly:
                self._enable_wal(time.monotonic() + timeout)
        if pending or not (readonly or self._is_marked()):
            with self.transaction() as connection:  # the lock: who comes second finds nothing pending
                migrations.apply(self.db)
                connection.execute(f"pragma application_id = {APPLICATION_ID}")

    def _is_marked(self) -> bool:
        (mark,) = self.rows("pragma application_id")
        return bool(mark["application_id"])

    def _pending(self) -> bool:
        tables = self.db.table_names()  # first: another process may make them all just now
        applied = {step.name for step in migrations.applied(self.db)}
        if newer := sorted(applied - _steps()):
            raise StoreError(f"{self.path} is of a newer demur ({newer[-1]}): upgrade demur, or name another with --db")
        if tables and not applied:
            raise ForeignDatabaseError(f"{self.path} is the database of another program: name another file with --db")
        return applied != _steps()

    def _enable_wal(self, deadline: float) -> None:
        """SQLite does not wait for others here, so we do."""
        while True:
            try:
                return self.db.enable_wal()
            except sqlite3.OperationalError as error:
                if _primary(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turns what SQLite raises into a StoreError that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path} {_FAULTS.get(_primary(error), f'failed: {error}')}") from error


def _primary(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


@cache
def _steps() -> frozenset[str]:
    with Database(memory=True, execute_plugins=False) as empty:
        return frozenset(step.name for step in migrations.pending(empty))


def _look(path: Path, *, readonly: bool) -> None:
    if path.is_dir():
        raise StoreError(f"{path} is a folder: name a file with --db")
    if path.exists() and 0 < path.stat().st_size < SMALLEST:
        raise StoreError(f"{path} {_FAULTS[sqlite3.SQLITE_NOTADB]}")
    if readonly and not path.exists():
        raise _nothing_yet(path)


def _nothing_yet(path: Path) -> NoDatabaseError:
    return NoDatabaseError(f"there is no database at {path}: nothing has been recorded there yet")


def _make_private(path: Path) -> None:
    private_folder(path.parent)
    with suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)
    for file in files(path):
        if is_open_to_others(file):
            with suppress(OSError):  # another user's: `demur doctor` tells
                file.chmod(0o600)


def _connect(path: Path, *, readonly: bool, alone: bool, timeout: float) -> sqlite3.Connection:
    uri = f"{path.as_uri()}?mode={'ro' if readonly else 'rw'}" + "&immutable=1" * (readonly and alone)
    connection = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)
    try:
        connection.execute("select 1 from sqlite_schema")
    except sqlite3.OperationalError as error:
        connection.close()
        if not (readonly and _primary(error) == sqlite3.SQLITE_CANTOPEN and files(path) == [path]):
            raise
        # On a read-only disk SQLite cannot make the file that it needs for locks; without a WAL it needs none.
        return sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None)
    except BaseException:
        connection.close()
        raise
    return connection
