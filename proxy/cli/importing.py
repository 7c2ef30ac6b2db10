"""``demur import``: the refusals that other programs have recorded, Claude Code's own transcripts first of all."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.intake import Files, Run, keep, sentence
from proxy.cli.options import Misused, config_option, db_option, json_option, one_line_errors, warn

if TYPE_CHECKING:
    from proxy.cli.table import Row


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
    kept, files = keep(in_force.settings), Files(meant(paths))
    with Store.open(in_force.db) as store:
        run = Run(Imports(store), files)
        run.read(kept)
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


def _print_json(run: Run) -> None:
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
    files = {
        "read": run.read_,
        "unchanged": run.same,
        "other": run.other,
        "unread": run.unread,
        "bytes": run.bytes,
        "by_source": run.sources,
    }
    facts = {"files": files, "found": found, "requests": tallies.requests, "lost": tallies.refused}
    click.echo(as_json(facts | {"unclassified": _unclassified(run), "troubles": troubles}))


def _found(run: Run) -> list[tuple[Any, int, int, int]]:
    tallies = run.imports.tallies
    every = sorted({*tallies.new, *tallies.witnessed, *tallies.known})
    return [(told, tallies.new[told], tallies.witnessed[told], tallies.known[told]) for told in every]


def _unclassified(run: Run) -> int:
    return sum(new + witnessed + known for told, new, witnessed, known in _found(run) if told.kind == "unclassified")


def _print(run: Run) -> None:
    from proxy.cli.layout import wrapped
    from proxy.cli.options import columns
    from proxy.cli.words import count

    room = columns(100)
    tallies = run.imports.tallies
    click.echo(wrapped(_files(run), room))
    if found := _found(run):
        _table(found)
    if not sum(tallies.new.values()) + sum(tallies.witnessed.values()):
        _nothing(run, known=bool(found or run.same))
    if tallies.requests:
        click.echo(wrapped(f"They tell of {count(tallies.requests, 'request')}.", room))
    if n := _unclassified(run):
        said = f"{n:,} unclassified: an error text that smells of a refusal and fits no rule. `demur list --kind unclassified` shows them."
        click.echo(wrapped(said, room))
    if tallies.refused:
        warn(f"warning: {count(tallies.refused, 'record')} could not be stored")
    for path, unread in run.troubles.items():
        warn(sentence(path, unread))


def _nothing(run: Run, *, known: bool) -> None:
    """No refusal is new."""
    from proxy.cli.words import count

    judged, completed = run.imports.tallies.judged, run.imports.tallies.completed
    more = [f"{count(completed, 'refusal')} completed"] * bool(completed) + [
        f"{count(judged, 'judgement')} taken over"
    ] * bool(judged)
    if more:
        click.echo(f"No new refusals; {', '.join(more)}.")
    elif known:
        click.echo("Nothing new.")
    elif run.read_:
        click.echo(f"Nothing was declined in {'it' if run.read_ == 1 else 'them'}.")


def _files(run: Run) -> str:
    from proxy.cli.words import count, size

    said = f"{count(run.read_, 'file')} read" + (f" ({size(run.bytes)})" if run.bytes else "")
    if run.unread:
        said += f", {run.unread:,} not understood"
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
