"""Files, read: one after the other, or several at once, each by a process of its own where there is enough to read.

What a process found comes through a pipe, a batch at a time, and a pipe that is full makes it wait: so nothing piles up in memory. One
that dies (it may be out of memory) is the trouble of the file that it read.
"""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from proxy.core.redact import Redactor
from proxy.importers import catalog
from proxy.importers.files import File, Progress, digest, opened, why
from proxy.importers.source import Found, Origin, Trouble
from proxy.packed import Packed, pack
from schemas.records import Entry

PAYS = 64 << 20
"""Bytes from which on more than one process is worth its start."""
MOST = 4
"""Readers at most. Measured with files of 100 MB: each has 33 to 70 MiB, the writer 53; with more of them it would not stay below 300 MB."""
BATCH = 200
"""Entries that are handed over at once."""
HEAVY = 4 << 20
"""Bytes of content that are handed over at once."""
TOLD = 8 << 20
"""Bytes between two words of progress."""
TROUBLES = 100
"""Of one file that are told one by one; then they are only counted."""


class Keep(NamedTuple):
    """What of the texts is kept: the settings, as they pass to another process."""

    deny: tuple[str, ...] = ()
    secrets: bool = True
    content: bool = True


class Began(NamedTuple):
    """The file's format is known."""

    source: str


class Batch(NamedTuple):
    """Some of what was found, compressed; merged records and counts by name as they are."""

    entries: list[Packed | Entry]


class Done(NamedTuple):
    """The end of a file. ``digest``: of its ends, or of a stream's whole; None where it could not be read."""

    digest: str | None
    other: bool = False
    """It is of no format that demur knows, and nobody said that it was."""
    troubles: int = 0


type Event = Began | Batch | Trouble | Done


def read_all(
    files: Sequence[File], keep: Keep, progress: Progress, processes: int | None = None
) -> Iterator[tuple[File, Event]]:
    """All that the files give, of each in its order. ``processes``: how many read, by default as many as pay."""
    n = processes or worth(files)
    if n <= 1:
        for file in files:
            for event in read(file, keep, progress):
                yield file, event
    else:
        yield from _shared(files, keep, progress, n)


def worth(files: Sequence[File]) -> int:
    """How many processes reading these files is worth."""
    if len(files) < 2 or sum(file.size for file in files) < PAYS:
        return 1
    return min(len(files), os.cpu_count() or 1, MOST)


def read(file: File, keep: Keep, progress: Progress = lambda n: None) -> Iterator[Event]:
    """All that one file gives; the last is ``Done``."""
    mark, troubles = None, 0
    try:
        mark = None if file.stream else digest(file)
        with opened(file, progress) as (stream, head, hashed):
            origin = Origin(file.name, Redactor(keep.deny, secrets=keep.secrets), keep.content)
            source = catalog.find(head, origin) if head else None
            if source is None:
                if file.named or catalog.is_recording(file.name):
                    stream.read(
                        len(head) + 1
                    )  # what is damaged says so, which is more than that its beginning says nothing
                yield from _unknown(file, head, mark)
                return
            yield Began(source.name)
            for event in _batches(source.read(stream, origin)):
                troubles += isinstance(event, Trouble)
                if not isinstance(event, Trouble) or troubles <= TROUBLES:
                    yield event
            mark = hashed() or mark
    except Exception as error:  # noqa: BLE001 - one file does not keep the others from being read
        mark, troubles = None, troubles + 1
        named = isinstance(error, OSError | ValueError)
        yield Trouble(None, why(error) if named else f"could not be read any further ({type(error).__name__})")
    yield Done(mark, troubles=troubles)


def _batches(found: Iterator[Found]) -> Iterator[Batch | Trouble]:
    """What was found before something failed is not lost with it."""
    batch, weight = list[Packed | Entry](), 0
    try:
        for one in found:
            if isinstance(one, Trouble):
                yield one
                continue
            batch.append(pack(one) if type(one) is Entry else one)
            weight += sum(map(len, one.contents.values()))
            if len(batch) >= BATCH or weight > HEAVY:
                yield Batch(batch)
                batch, weight = [], 0
    except Exception:
        if batch:
            yield Batch(batch)
        raise
    if batch:
        yield Batch(batch)


def _unknown(file: File, head: bytes, mark: str | None) -> Iterator[Event]:
    """A file of no format that demur knows. In a folder there may be many; only what ought to be of one is a trouble."""
    if not head:
        yield Done(mark)
    elif file.named or catalog.is_recording(file.name):
        binary = b"\0" in head
        yield Trouble(None, "binary, and of no format that demur knows" if binary else "of no format that demur knows")
        yield Done(None, troubles=1)
    else:
        yield Done(mark, other=True)


class _Reader:
    """A process that reads one file at a time."""

    def __init__(self, keep: Keep) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, keep), daemon=True)
        self.process.start()
        theirs.close()
        self.file: File | None = None

    def take(self, files: Iterator[File]) -> bool:
        """The next file; False where there is none."""
        self.file = next(files, None)
        self.pipe.send(self.file)
        return self.file is not None

    def end(self) -> None:
        self.pipe.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _shared(files: Sequence[File], keep: Keep, progress: Progress, n: int) -> Iterator[tuple[File, Event]]:
    waiting = iter(
        sorted(files, key=lambda file: -file.size)
    )  # the longest first, so that none is left alone at the end
    readers: dict[Connection, _Reader] = {}
    every: list[_Reader] = []
    try:
        for _ in range(n):
            every.append(_Reader(keep))
            if every[-1].take(waiting):
                readers[every[-1].pipe] = every[-1]
        while readers:
            for pipe in wait(list(readers)):
                assert isinstance(pipe, Connection)
                reader = readers[pipe]
                assert reader.file is not None
                try:
                    told: Event | int = pipe.recv()
                except (EOFError, OSError):
                    yield reader.file, Trouble(None, "the process that read it died")
                    yield reader.file, Done(None, troubles=1)
                    del readers[pipe]
                    every.append(other := _Reader(keep))
                    if other.take(waiting):
                        readers[other.pipe] = other
                    continue
                if isinstance(told, int):
                    progress(told)
                    continue
                yield reader.file, told
                if isinstance(told, Done) and not reader.take(waiting):
                    del readers[pipe]
    finally:
        for reader in every:
            reader.end()


def _work(pipe: Connection, keep: Keep) -> None:
    """In the other process. Ctrl-C is for the one that started it, whose end closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    untold = 0

    def progress(n: int) -> None:
        nonlocal untold
        untold += n
        if untold >= TOLD:
            pipe.send(untold)
            untold = 0

    with suppress(EOFError, OSError):
        while (file := pipe.recv()) is not None:
            for event in read(file, keep, progress):
                if isinstance(event, Done):
                    pipe.send(untold)
                    untold = 0
                pipe.send(event)
