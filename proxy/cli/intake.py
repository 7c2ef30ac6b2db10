"""One import as the commands run it: which files there are, which of them are as they were, and what is told of the others."""

import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from proxy.importers.files import File
    from proxy.importers.reading import Done, Event, Keep
    from proxy.importers.source import Trouble
    from proxy.imports import FileMark, Imports
    from proxy.store import Store
    from schemas.settings import Settings

PATIENCE = 0.2
"""Seconds between two words of progress."""


def imported(store: "Store", paths: list[str], settings: "Settings", seen: "dict[str, Seen]") -> list[str]:
    """Imports what has changed; a line for each file that cannot be read. ``seen``: by name, is kept from one time to the next.

    Raises StoreError.
    """
    from proxy.imports import Imports

    run = Run(Imports(store), Files(paths), seen)
    run.read(keep(settings))
    return [sentence(path, unread) for path, unread in run.troubles.items()]


def keep(settings: "Settings") -> "Keep":
    """What of the texts is kept, as the settings say. Raises where what is denied is no pattern."""
    from proxy.capture import redactor
    from proxy.importers.reading import Keep

    redactor(settings)  # what is denied must be usable
    return Keep(tuple(settings.redact.deny), settings.capture.redact_secrets, settings.capture.content == "refusals")


class Unread(NamedTuple):
    """What could not be read of one file: the first trouble, and how many there are."""

    first: "Trouble"
    n: int


class Seen(NamedTuple):
    """A file, as it was when it was read or known last."""

    size: int
    mtime: int
    ctime: int
    unread: Unread | None = None

    def is_now(self, file: "File") -> bool:
        """Whether it is still so."""
        return self[:3] == (file.size, file.mtime, file.ctime)


class Files:
    """What the paths name."""

    def __init__(self, paths: Iterable[str]) -> None:
        from proxy.importers.files import File, walk

        self.found: list[File] = []
        self.unseen: list[tuple[str, Trouble]] = []
        for one in walk(paths):
            if isinstance(one, File):
                self.found.append(one)
            else:
                self.unseen.append(one)


class Run:
    """One import: reads the files, and writes what they give."""

    def __init__(self, imports: "Imports", files: Files, seen: dict[str, Seen] | None = None) -> None:
        self.imports, self.files = imports, files
        self._seen = {} if seen is None else seen
        self.troubles: dict[str, Unread] = {}
        self.read_, self.same, self.other, self.bytes = 0, 0, 0, 0
        self.unread = 0
        """Files of which nothing could be read: damaged at their beginning, or of no known format."""
        self.sources: Counter[str] = Counter()
        self._source: dict[str, str] = {}
        """The format of each file that is being read, by its key."""
        for path, trouble in files.unseen:
            self._tell(path, trouble)

    def read(self, keep: "Keep") -> None:
        """Reads all that has changed."""
        from proxy.importers.reading import read_all

        fresh = [file for file in self.files.found if not self._is_known(file)]
        said = _Progress(fresh)
        for file, event in read_all(fresh, keep, said.bytes):
            self._take(file, event)
            said.event(event)
        said.over()

    def _is_known(self, file: "File") -> bool:
        """As it was when it was read: neither read nor counted again."""
        from proxy.importers.files import digest

        seen = self._seen.get(file.name)
        if seen is not None and seen.is_now(file):
            if seen.unread is not None:
                self.troubles[file.name] = seen.unread
            return True
        try:
            known = not file.stream and self.imports.is_known(_mark(file, digest(file)))
        except OSError:
            return False
        if known:
            self._see(file)
        self.same += known
        return known

    def _see(self, file: "File") -> None:
        if not file.stream:
            self._seen[file.name] = Seen(file.size, file.mtime, file.ctime, self.troubles.get(file.name))

    def _take(self, file: "File", event: "Event") -> None:
        from proxy.importers.merged import Merged
        from proxy.importers.named import Named
        from proxy.importers.reading import Batch, Began, Done
        from proxy.importers.source import Trouble
        from proxy.packed import Packed, pack

        match event:
            case Began(source):
                self.sources[source] += 1
                self._source[file.key] = source
            case Trouble():
                self._tell(file.name, event)
            case Batch(entries):
                ours = [one for one in entries if isinstance(one, Merged)]
                others = [one for one in entries if not isinstance(one, Merged)]
                self.imports.take(file.key, [one if isinstance(one, Packed) else pack(one) for one in others])
                self.imports.take_over(file.key, list(map(pack, ours)))
                for one in entries:
                    if isinstance(one, Merged):
                        self._merge(one)
                    elif isinstance(one, Named):
                        self.imports.name(file.key, one.called())
            case Done():
                self._done(file, event)

    def _merge(self, merged: Any) -> None:
        self.imports.count(merged.counts)
        for refusal in merged.refusals[:1]:
            self.imports.add(refusal.id, merged.judgements, merged.trials, merged.located)
            self.imports.report(refusal.id, merged.reports)
            self.imports.attest(refusal.id, [(one.id, one.source) for one in merged.witnesses])

    def _done(self, file: "File", done: "Done") -> None:
        unread = bool(done.troubles) and file.key not in self._source
        self.other += done.other
        self.unread += unread
        self.read_ += not done.other and not unread
        self.bytes += 0 if unread else file.size
        if done.troubles and (told := self.troubles.get(file.name)):
            self.troubles[file.name] = told._replace(n=done.troubles)
        mark = _mark(file, done.digest or "")
        if file.stream and done.digest:
            mark = mark._replace(file=f"- {done.digest}")
        self._see(file)
        source = self._source.pop(file.key, "")
        self.imports.done(mark, source=source, whole=done.digest is not None and not done.troubles, was=file.key)

    def _tell(self, path: str, trouble: "Trouble") -> None:
        told = self.troubles.get(path)
        self.troubles[path] = Unread(trouble, 1) if told is None else told._replace(n=told.n + 1)


def _mark(file: "File", digest: str) -> "FileMark":
    from proxy.imports import FileMark

    return FileMark(file.key, file.size, file.mtime, digest)


class _Progress:
    """How far it is, on a terminal only."""

    def __init__(self, files: "list[File]") -> None:
        self._files, self._size = len(files), sum(file.size for file in files)
        self._done = self._read = 0
        self._on, self._said = sys.stderr.isatty(), time.monotonic()
        self._shown = False

    def bytes(self, n: int) -> None:
        self._read += n
        self._say()

    def event(self, event: "Event") -> None:
        from proxy.importers.reading import Done

        self._done += isinstance(event, Done)

    def over(self) -> None:
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)

    def _say(self) -> None:
        if not self._on or time.monotonic() - self._said < PATIENCE:
            return
        self._said, self._shown = time.monotonic(), True
        part = f"{min(99, 100 * self._read // self._size)} %" if self._size else f"{self._read >> 20} MB"
        click.echo(f"\rReading: {part}, {self._done:,} of {self._files:,} files\x1b[K", nl=False, err=True)


def sentence(path: str, unread: Unread) -> str:
    """The line that is said of it."""
    from proxy.importers.files import shown

    place = f":{unread.first.line}" if unread.first.line else ""
    more = f" (and {unread.n - 1:,} more)" if unread.n > 1 else ""
    return f"{shown(path)}{place}: {unread.first.why}{more}"
