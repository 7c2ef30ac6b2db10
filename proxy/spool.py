"""A spool: the append-only file into which one process writes first, before the database.

``<database>-spool/<unique>.spool`` is a header and then frames::

    header  64 bytes: magic, pid, start of the process (ms since 1970), lost, crc32 of these; the rest zeros
    frame   length (u32), crc32 of the payload (u32), crc32 of these two (u32), payload; little-endian

An append is one write without fsync: it survives the death of the process, not that of the machine. The header stands in
space that is the file's already, so ``lost``, the count of what could not be written, can be rewritten on a full disk.

A live process holds a lock on its file, which the system drops when it dies; then whoever gets the lock may read the
spool out and remove it. Readers stop at a torn tail: an append that its process did not live to finish. What was whole
and is damaged is counted: a frame with a damaged payload is passed over, behind a damaged head nothing can be found.
"""

import errno
import os
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self
from uuid import uuid4
from zlib import crc32

if sys.platform == "win32":  # pragma: no cover - the suite runs on POSIX
    import msvcrt

    def _lock(fd: int) -> None:
        os.lseek(fd, 1 << 30, os.SEEK_SET)  # a byte beyond the end: Windows keeps others from what is locked
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


MAGIC = b"demur\x001\n"
"""Its last figure is the version of this format."""
START = 64
"""Where the first frame stands."""
BATCH = 4 << 20
"""About how many bytes one read gives."""
STARTED = time.time_ns() // 1_000_000
"""When this process began, as near as is known: ms since 1970, before it reads its settings."""
_HEADER = struct.Struct("<8sQQQI")
_FRAME = struct.Struct("<III")
_HEAD = struct.Struct("<II")
_BINARY = getattr(os, "O_BINARY", 0)


class Batch(NamedTuple):
    """What one read gave: payloads, where the next read begins, and how many frames before that were damaged."""

    payloads: list[bytes]
    end: int
    damaged: int


class Spool:
    """One spool file, open. Appending is for one thread at a time; another may read meanwhile. To be closed."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.name = path.stem
        self.end = os.fstat(fd).st_size
        """Where the next frame goes; of another's spool, its size."""
        self.pid = os.getpid()
        self.started = STARTED
        self.lost = 0
        self._fd = fd
        self._reader = path.open("rb", buffering=0)
        self._intact = True

    @classmethod
    def create(cls, folder: Path) -> Self:
        """A new spool in the folder, which must exist. Raises OSError."""
        while True:
            spool = cls._open(folder / f"{uuid4().hex}.spool", os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                begun = spool.begin()
            except BaseException:
                spool.discard()
                raise
            if begun:
                return spool
            spool.close()

    @classmethod
    def claim(cls, path: Path) -> Self | None:
        """Takes over a spool whose owner is dead; None when it is alive or the file is no spool of this format."""
        with suppress(OSError):
            spool = cls._open(path, os.O_RDWR)
            with suppress(OSError):
                if spool.take_over():
                    return spool
            spool.close()
        return None

    @classmethod
    def view(cls, path: Path) -> Self | None:
        """A spool to look at, whoever owns it; None when the file is no spool of this format."""
        with suppress(OSError):
            spool = cls._open(path, os.O_RDONLY)
            if spool.read_header():
                return spool
            spool.close()
        return None

    def begin(self) -> bool:
        """Makes a new file a spool; False when someone has taken it for a dead one's before that, and removes it."""
        try:
            _lock(self._fd)
        except BlockingIOError:
            return False
        self._write_header(0)
        self.end = START
        return self.in_place()

    def take_over(self) -> bool:
        """Whether it is ours now. A file whose owner died before it had begun is removed. Raises OSError."""
        _lock(self._fd)
        self.end = os.fstat(self._fd).st_size  # its owner may have written on until now
        if not self.in_place():
            return False
        if self.end < START:
            self.discard()
            return False
        return self.read_header()

    def read_header(self) -> bool:
        """Whether this is a spool of this format; fills in its pid, its start and its losses. Raises OSError."""
        if self.end < START:
            return False
        magic, self.pid, self.started, lost, crc = _HEADER.unpack(self._bytes(0, _HEADER.size))
        if crc == crc32(_HEADER.pack(magic, self.pid, self.started, lost, 0)):
            self.lost = lost
        return bool(magic == MAGIC)

    def append(self, payload: bytes) -> None:
        """Writes one frame. Raises OSError, and then the spool is as it was before."""
        frame = _frame(payload)
        try:
            os.lseek(self._fd, self.end, os.SEEK_SET)
            if os.write(self._fd, frame) < len(frame):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._cut()
            raise
        self.end += len(frame)

    def lose(self, n: int) -> None:
        """Adds to the header's count of what could not be written. Raises OSError."""
        self._write_header(self.lost + n)
        self.lost += n

    def read(self, start: int, size: int = BATCH) -> Batch:
        """The whole frames from ``start`` on, of about ``size`` bytes together. Raises OSError."""
        payloads: list[bytes] = []
        damaged, at, end = 0, max(start, START), self.end
        while at + _FRAME.size <= end and at < start + size:
            length, crc, check = _FRAME.unpack(self._bytes(at, _FRAME.size).ljust(_FRAME.size, b"\0"))
            if check != crc32(_HEAD.pack(length, crc)):
                return Batch(payloads, end, damaged + 1)
            if at + _FRAME.size + length > end:
                break
            payload = self._bytes(at + _FRAME.size, length)
            if crc32(payload) == crc:
                payloads.append(payload)
            else:
                damaged += 1
            at += _FRAME.size + length
        return Batch(payloads, at, damaged)

    def in_place(self) -> bool:
        """Whether the file is still at its path and fit to be appended to."""
        try:
            return self._intact and os.path.samestat(self.path.stat(), os.fstat(self._fd))
        except OSError:
            return False

    def discard(self) -> None:
        """Removes the file and closes it. Raises OSError when it cannot be removed."""
        if sys.platform == "win32":  # pragma: no cover - the suite runs on POSIX
            self.close()
        try:
            self.path.unlink(missing_ok=True)
        finally:
            self.close()

    def close(self) -> None:
        """Lets go of the file; where it still is, the next writer takes it over."""
        if self._fd >= 0:
            self._reader.close()
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @classmethod
    def _open(cls, path: Path, flags: int) -> Self:
        fd = os.open(path, flags | _BINARY, 0o600)
        try:
            return cls(path, fd)
        except BaseException:
            os.close(fd)
            raise

    def _write_header(self, lost: int) -> None:
        fields = (MAGIC, self.pid, self.started, lost)
        header = _HEADER.pack(*fields, crc32(_HEADER.pack(*fields, 0))).ljust(START, b"\0")
        os.lseek(self._fd, 0, os.SEEK_SET)
        if os.write(self._fd, header) < START:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _bytes(self, at: int, size: int) -> bytes:
        self._reader.seek(at)
        return self._reader.read(size)

    def _cut(self) -> None:
        try:
            os.ftruncate(self._fd, self.end)
        except OSError:
            self._intact = False


def _frame(payload: bytes) -> bytes:
    head = _HEAD.pack(len(payload), crc32(payload))
    return head + struct.pack("<I", crc32(head)) + payload


def spool_folder(database: Path | str) -> Path:
    """Where the spools of a database stand, by whatever name it is called."""
    return Path(f"{os.path.realpath(database)}-spool")


def spools(folder: Path) -> list[Path]:
    """The spool files in a folder; none where there is no such folder, or it may not be looked into."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".spool")
    except OSError:
        return []
