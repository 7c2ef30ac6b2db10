"""``demur import``: the refusals that other programs have recorded, Claude Code's own transcripts first of all."""

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from proxy.cli.options import Misused, config_option, db_option, json_option, one_line_errors, warn

if TYPE_CHECKING:
    from proxy.cli.table import Row
    from proxy.importers.files import File
    from proxy.importers.reading import Done, Event, Keep
    from proxy.importers.source import Trouble
    from proxy.imports import FileMark, Imports
    from proxy.store import Store
    from schemas.settings import Settings

PATIENCE = 0.2
"""Seconds between two words of progress."""


@click.command("import")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--strict", is_flag=True, help="End with 1 where anything could not be read.")
@json_option
@db_option
@config_option
@one_line_errors
def import_(paths: tuple[str, ...], strict: bool, as_json: bool, db: str | None, config: str | None) -> None:
    """Read what is already on disk: Claude Code's transcripts, saved output of `claude -p`, captures of other tools.

    Folders are read with all that is in them; - is what comes in by itself; .gz and .zst are unpacked. The format is told by the content. Without a
    PATH the transcripts of this machine are read. What was read before is neither added nor counted again.

    \b
    Example: demur import
             demur import ~/.claude/projects capture.har session.jsonl.gz
             ssh host cat session.jsonl | demur import -
    """
    from proxy.imports import Imports
    from proxy.settings import load
    from proxy.store import Store

    in_force = load(config, {"db": db})
    keep, files = _keep(in_force.settings), _Files(meant(paths))
    with Store.open(in_force.db) as store:
        run = _Run(Imports(store), files)
        run.read(keep)
        (_print_json if as_json else _print)(run)
    sys.exit(1 if strict and run.troubles else 0)


def meant(paths: tuple[str, ...]) -> list[str]:
    """The paths that are read. Raises ``Misused`` where there are none."""
    for path in paths:
        if path != "-" and not os.path.lexists(path):
            raise Misused(f"there is no {path}: name files or folders, or - for what comes in by itself")
    if paths:
        return list(dict.fromkeys(paths))
    home = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude") / "projects"
    if not home.is_dir():
        raise Misused(f"there is no {home}, where Claude Code keeps its transcripts: name files or folders")
    return [str(home)]


def imported(store: "Store", paths: list[str], settings: "Settings") -> dict[str, str]:
    """Imports what has changed; what could not be read: path -> why."""
    from proxy.imports import Imports

    run = _Run(Imports(store), _Files(paths))
    run.read(_keep(settings))
    return {path: unread.first.why for path, unread in run.troubles.items()}


def _keep(settings: "Settings") -> "Keep":
    from proxy.capture import redactor
    from proxy.importers.reading import Keep

    redactor(settings)  # what is denied must be usable
    return Keep(tuple(settings.redact.deny), settings.capture.redact_secrets, settings.capture.content == "refusals")


class _Unread(NamedTuple):
    """What could not be read of one file: the first trouble, and how many there are."""

    first: "Trouble"
    n: int


class _Files:
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


class _Run:
    """One import: reads the files, and writes what they give."""

    def __init__(self, imports: "Imports", files: _Files) -> None:
        self.imports, self.files = imports, files
        self.troubles: dict[str, _Unread] = {}
        self.read_, self.same, self.other, self.bytes = 0, 0, 0, 0
        self.sources: Counter[str] = Counter()
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

        try:
            known = not file.stream and self.imports.is_known(_mark(file, digest(file)))
        except OSError:
            return False
        self.same += known
        return known

    def _take(self, file: "File", event: "Event") -> None:
        from proxy.importers.merged import Merged
        from proxy.importers.reading import Batch, Began, Done
        from proxy.importers.source import Trouble
        from proxy.packed import pack

        match event:
            case Began(source):
                self.sources[source] += 1
            case Trouble():
                self._tell(file.name, event)
            case Batch(entries):
                self.imports.take(file.key, [pack(one) if isinstance(one, Merged) else one for one in entries])
                for one in entries:
                    if isinstance(one, Merged):
                        self._merge(one)
            case Done():
                self._done(file, event)

    def _merge(self, merged: Any) -> None:
        for refusal in merged.refusals[:1]:
            self.imports.add(refusal.id, merged.judgements, merged.trials, merged.located)
            self.imports.attest(refusal.id, [(one.id, one.source) for one in merged.witnesses])

    def _done(self, file: "File", done: "Done") -> None:
        self.other += done.other
        self.read_ += not done.other
        self.bytes += file.size
        if done.troubles and (told := self.troubles.get(file.name)):
            self.troubles[file.name] = told._replace(n=done.troubles)
        mark = _mark(file, done.digest or "")
        if file.stream and done.digest:
            mark = mark._replace(file=f"- {done.digest}")
        self.imports.done(mark, whole=done.digest is not None and not done.troubles, was=file.key)

    def _tell(self, path: str, trouble: "Trouble") -> None:
        told = self.troubles.get(path)
        self.troubles[path] = _Unread(trouble, 1) if told is None else told._replace(n=told.n + 1)


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


def _print_json(run: _Run) -> None:
    from proxy.cli.words import as_json
    from proxy.importers.files import shown

    tallies = run.imports.tallies
    found = [
        {"source": told.source, "kind": told.kind, "new": new, "witnessed": witnessed, "known": known}
        for told, new, witnessed, known in _found(run)
    ]
    troubles = [
        {"path": shown(path), "line": unread.first.line, "why": unread.first.why, "n": unread.n}
        for path, unread in run.troubles.items()
    ]
    files = {"read": run.read_, "unchanged": run.same, "other": run.other, "bytes": run.bytes, "by_source": run.sources}
    facts = {"files": files, "found": found, "requests": tallies.requests, "lost": tallies.refused}
    click.echo(as_json(facts | {"unclassified": _unclassified(run), "troubles": troubles}))


def _found(run: _Run) -> list[tuple[Any, int, int, int]]:
    tallies = run.imports.tallies
    every = sorted({*tallies.new, *tallies.witnessed, *tallies.known})
    return [(told, tallies.new[told], tallies.witnessed[told], tallies.known[told]) for told in every]


def _unclassified(run: _Run) -> int:
    return sum(new + witnessed + known for told, new, witnessed, known in _found(run) if told.kind == "unclassified")


def _print(run: _Run) -> None:
    from proxy.cli.layout import wrapped
    from proxy.cli.options import columns
    from proxy.cli.words import count

    room = columns(100)
    tallies = run.imports.tallies
    click.echo(wrapped(_files(run), room))
    if found := _found(run):
        _table(found)
    if not sum(tallies.new.values()) + sum(tallies.witnessed.values()):
        click.echo("Nothing new." if found or run.same else "Nothing was declined in them.")
    if tallies.requests:
        click.echo(wrapped(f"They tell of {count(tallies.requests, 'request')}.", room))
    if n := _unclassified(run):
        said = f"{n:,} unclassified: an error text that smells of a refusal and fits no rule. `demur list --kind unclassified` shows them."
        click.echo(wrapped(said, room))
    if tallies.refused:
        warn(f"warning: {count(tallies.refused, 'record')} could not be stored")
    for path, unread in run.troubles.items():
        warn(_line(path, unread))


def _files(run: _Run) -> str:
    from proxy.cli.words import count, size

    said = f"{count(run.read_, 'file')} read" + (f" ({size(run.bytes)})" if run.bytes else "")
    if run.same:
        said += f", {run.same:,} {'is' if run.same == 1 else 'are'} as before"
    if run.other:
        said += f"; {count(run.other, 'file')} of other kinds passed over"
    return said + "."


def _table(found: list[tuple[Any, int, int, int]]) -> None:
    from proxy.cli.table import Look, show

    show([_row(*one) for one in found], Look(numbers={"new", "known", "also seen"}))


def _row(told: Any, new: int, witnessed: int, known: int) -> "Row":
    from proxy.cli.words import line

    source, kind = line(told.source), line(told.kind.replace("_", " "))
    numbers = {"new": new, "also seen": witnessed, "known": known}
    return {"kind": (kind, kind), "source": (source, source)} | {
        name: (f"{n:,}", str(n)) for name, n in numbers.items()
    }


def _line(path: str, unread: _Unread) -> str:
    from proxy.importers.files import shown

    place = f":{unread.first.line}" if unread.first.line else ""
    more = f" (and {unread.n - 1:,} more)" if unread.n > 1 else ""
    return f"{shown(path)}{place}: {unread.first.why}{more}"
