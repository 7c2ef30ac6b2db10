"""The files that paths name: folders with all that is in them, ``-`` for what comes in by itself, what is compressed as what it holds.

What begins with the mark of UTF-16 is read as the UTF-8 that it would be: PowerShell writes so what it redirects.

A folder is walked once, whatever links lead back into it. What is compressed is decompressed as it is read, and no further than a file of
text can have been compressed: a bomb ends in an OSError. Nothing is ever read whole.
"""

import gzip
import io
import os
import re
import stat
import sys
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Buffer, Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import zstandard

from proxy.importers.source import HEAD, Trouble

STDIN = "-"
END = 64 << 10
"""Bytes at each end of a file by which it is known again."""
BOMB_RATIO, BOMB_BYTES = 200, 256 << 20
"""What is compressed better than this, and grows to more than that, is a bomb. Transcripts come to 5 to 30."""
WINDOW = 1 << 27
"""Bytes that zstd may look back: as much as its command line allows."""
_PIECE = 1 << 20
_ZSTD_STEP = 1 << 10
"""Bytes that are decompressed at once: 4 of them may become 128 kB."""
_UTF16 = re.compile(BOM_UTF16_LE + rb"[^\0]\0|" + BOM_UTF16_BE + rb"\0[^\0]", re.DOTALL)
"""The mark, and a character as JSON begins with."""
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}

type Buffered = io.BufferedReader[Any]
type Progress = Callable[[int], None]
"""Is told how many more bytes were read."""


class File(NamedTuple):
    """A file to be read, as it was when it was found."""

    name: str
    """Its path, or ``-``."""
    named: bool = True
    """Whether its own path was given, and not only that of a folder."""
    size: int = 0
    mtime: int = 0
    """In nanoseconds since 1970."""
    ctime: int = 0
    """When it or what is known of it (who may read it) was changed last, likewise."""
    stream: bool = False
    """It has no size, and can be read only once."""

    @property
    def key(self) -> str:
        """By what it is known again: its real path, in characters that can be stored."""
        return shown(os.path.realpath(self.name))


def shown(path: str) -> str:
    """A path whose bytes may be no text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def walk(paths: Iterable[str]) -> Iterator[File | tuple[str, Trouble]]:
    """All files below the paths, in order of their names; what cannot be looked at with its trouble."""
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if path == STDIN:
            yield File(STDIN, stream=True)
        else:
            yield from _below(path, seen, named=True)


def _below(path: str, seen: set[tuple[int, int]], *, named: bool) -> Iterator[File | tuple[str, Trouble]]:
    try:
        found = Path(path).stat()
        inside = sorted(entry.path for entry in os.scandir(path)) if stat.S_ISDIR(found.st_mode) else None
    except (OSError, ValueError) as error:
        yield path, Trouble(None, why(error))
        return
    if (found.st_dev, found.st_ino) in seen:
        return
    seen.add((found.st_dev, found.st_ino))
    if inside is not None:
        for inner in inside:
            yield from _below(inner, seen, named=False)
    elif stat.S_ISREG(found.st_mode):
        yield File(path, named, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    elif named:
        yield File(path, stream=True)


def why(error: BaseException) -> str:
    """What an error says, in a few words."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (said or type(error).__name__).rstrip(".").replace("\n", " ")[:200]


def digest(file: File) -> str:
    """A hash of both ends of a file. Raises OSError."""
    with Path(file.name).open("rb") as raw:
        hashed = blake2b(raw.read(END), digest_size=16)
        if file.size > END:
            raw.seek(max(END, file.size - END))
            hashed.update(raw.read(END))
    return hashed.hexdigest()


class Opened(NamedTuple):
    """A file under way: its bytes, decompressed, and how it begins."""

    file: BinaryIO
    head: bytes
    hashed: Callable[[], str]
    """Of a stream: the hash of all that was read of it."""


@contextmanager
def opened(file: File, progress: Progress = lambda n: None) -> Iterator[Opened]:
    """Opens it for reading. Raises OSError, also later where what it holds cannot be decompressed."""
    raw: _Counted | _Stream = _Stream(file.name, progress) if file.stream else _Counted(file.name, progress)
    try:
        yield _open(raw)
    finally:
        raw.close()


def _open(raw: "_Counted | _Stream") -> Opened:
    plain: Buffered = io.BufferedReader(raw, _PIECE)
    start = plain.peek(4)[:4]
    kind = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
    file: Buffered = plain if kind is None else io.BufferedReader(_Decompressed(kind, plain, raw), _PIECE)
    wide = _UTF16.match(file.peek(4)) is not None
    if wide:
        file = io.BufferedReader(_Narrow(file), _PIECE)
    head = _head(file)
    if kind is None and not wide and plain.seekable():
        plain.seek(0)
    else:
        file = io.BufferedReader(_Behind(head, file), _PIECE)
    return Opened(cast(BinaryIO, file), head, raw.hexdigest)


def _head(file: Buffered) -> bytes:
    """As much as there is; what is wrong behind it is told when it is read again."""
    head = b""
    try:
        while len(head) < HEAD and (piece := file.read1(HEAD - len(head))):
            head += piece
    except OSError:
        if not head:
            raise
    return head


class _Counted(io.FileIO):
    """A file that tells how much was read of it."""

    def __init__(self, path: str, progress: Progress) -> None:
        super().__init__(path)
        self._progress, self.taken = progress, 0

    def readinto(self, buffer: Buffer) -> int:
        n = super().readinto(buffer) or 0
        if (more := self.tell() - self.taken) > 0:  # it may have gone back
            self.taken += more
            self._progress(more)
        return n

    def hexdigest(self) -> str:
        return ""


class _Pieces(io.RawIOBase):
    """A raw file that gives what ``take`` gives."""

    def take(self, most: int) -> bytes:
        raise NotImplementedError

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        room = memoryview(buffer).cast("B")
        data = self.take(len(room))
        room[: len(data)] = data
        return len(data)


class _Stream(_Pieces):
    """What comes in by itself, hashed as it comes."""

    _own = False
    """Where it cannot be opened, there is nothing to close."""

    def __init__(self, name: str, progress: Progress) -> None:
        file = sys.stdin.buffer if name == STDIN else Path(name).open("rb")  # noqa: SIM115 - ``close`` does
        self._file = cast(Buffered, file)
        self._own, self._progress, self.taken = name != STDIN, progress, 0
        self._hash = blake2b(digest_size=16)

    def take(self, most: int) -> bytes:
        data = self._file.read1(most)
        self._hash.update(data)
        self.taken += len(data)
        self._progress(len(data))
        return data

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def close(self) -> None:
        if self._own:
            self._file.close()
        super().close()


class _Decompressed(_Pieces):
    """What is compressed, as far as it is no bomb."""

    def __init__(self, kind: str, file: Buffered, raw: "_Counted | _Stream") -> None:
        self._raw, self._given = raw, 0
        self._failed: OSError | None = None
        if kind == "gzip":
            self._file: gzip.GzipFile | _Zstd = gzip.GzipFile(fileobj=file)
        else:
            self._file = _Zstd(file)

    def take(self, most: int) -> bytes:
        try:
            if self._failed is not None:
                raise self._failed
            data = self._some(min(most, _PIECE))
        except OSError as error:
            self._failed = error
            raise
        self._given += len(data)
        return data

    def _some(self, most: int) -> bytes:
        if self._given > BOMB_BYTES and self._given > BOMB_RATIO * self._raw.taken:
            raise OSError(f"a decompression bomb: {self._raw.taken:,} bytes become more than {self._given:,}")
        try:
            return self._file.read1(most)
        except (EOFError, zlib.error, zstandard.ZstdError, OSError) as error:
            raise OSError(f"compressed, and damaged or cut ({why(error)})") from error


class _Zstd:
    """zstd, any number of frames. Unlike the library's own reader it tells of a frame that was cut."""

    def __init__(self, file: Buffered) -> None:
        self._file, self._given, self._held = file, b"", b""
        self._frame = zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj()
        self._started = False

    def read1(self, most: int) -> bytes:
        """Raises EOFError, zstandard.ZstdError."""
        while not self._given:
            data = self._held or self._file.read(_ZSTD_STEP)
            self._held = b""
            if not data:
                if self._started:
                    raise EOFError("the end is missing")
                return b""
            self._started = True
            self._given = self._frame.decompress(data)
            if self._frame.eof:
                self._held, self._started = self._frame.unused_data, False
                self._frame = zstandard.ZstdDecompressor(max_window_size=WINDOW).decompressobj()
        given, self._given = self._given[:most], self._given[most:]
        return given


class _Narrow(_Pieces):
    """Text in UTF-16, as UTF-8."""

    def __init__(self, file: Buffered) -> None:
        self._file, self._given = file, b""
        self._decoder = getincrementaldecoder("utf-16")("replace")

    def take(self, most: int) -> bytes:
        while not self._given and (data := self._file.read1(_PIECE)):
            self._given = self._decoder.decode(data).encode("utf-8", "replace")
        given, self._given = self._given[:most], self._given[most:]
        return given


class _Behind(_Pieces):
    """A file that cannot go back, with its beginning put before it again."""

    def __init__(self, head: bytes, file: Buffered) -> None:
        self._head, self._file = head, file

    def take(self, most: int) -> bytes:
        data, self._head = self._head[:most], self._head[most:]
        return data or self._file.read1(most)
