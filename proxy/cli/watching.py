"""``demur watch``: imports again whatever changes, for those who will not run a proxy.

It looks again and again; of files that are as they were, a look costs a ``stat`` each. What a client is just writing may be cut, so that what cannot
be read is told only where it is still so at the next look. A database that cannot be written is told of, and tried again.
"""

import signal
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import Misused, config_option, db_option, lines_option, one_line_errors, warn

if TYPE_CHECKING:
    from proxy.cli.intake import Seen
    from proxy.store import Store
    from schemas.records import Refusal
    from schemas.settings import Settings

EVERY_S = 2.0


@click.command()
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option(
    "--every", type=click.FloatRange(0.1, 3600), default=EVERY_S, show_default=True, help="Seconds between looks."
)
@lines_option
@db_option
@config_option
@one_line_errors
def watch(paths: tuple[str, ...], every: float, as_json: bool, db: str | None, config: str | None) -> None:
    """Follow folders, and import what is written there: a line for each refusal as it comes, until interrupted.

    As `demur import` reads them; without a PATH the transcripts of this machine.

    \b
    Example: demur watch
             demur watch ~/.claude/projects --json | jq -r .request_id
    """
    from proxy.cli.importing import meant
    from proxy.cli.words import count, line
    from proxy.importers.files import shown
    from proxy.settings import load
    from proxy.store import Store

    in_force, named = load(config, {"db": db}), meant(paths)
    if "-" in named:
        raise Misused("what comes in by itself cannot be followed: demur import - reads it")
    with Store.open(in_force.db) as store:
        watcher = _Watcher(store, named, in_force.settings, _told_as_json if as_json else _told)
        watcher.look(aloud=False)
        stop = _interrupted()  # until here it may take long, and then Ctrl-C ends it at once
        places = line(", ".join(map(shown, named)))
        click.echo(f"demur watches {places} (database {line(str(in_force.db))}); Ctrl-C ends it", err=True)
        while not _is_over(stop, every):
            watcher.again()
        click.echo(f"demur saw {count(watcher.told, 'refusal')} while it watched", err=True)


def _interrupted() -> SimpleQueue[int]:
    """Has something in it after Ctrl-C, and after whoever ends the process.

    A queue of this kind may be filled by a handler of signals whatever its thread is doing; an Event that is just being waited for would
    never be set (docs.python.org, ``queue.SimpleQueue.put``).
    """
    stop: SimpleQueue[int] = SimpleQueue()
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda number, _: stop.put(number))
    return stop


def _is_over(stop: SimpleQueue[int], seconds: float) -> bool:
    """Waits so long at most, and says whether it was interrupted."""
    try:
        stop.get(timeout=seconds)
    except Empty:
        return False
    return True


class _Watcher:
    def __init__(
        self, store: "Store", paths: list[str], settings: "Settings", tell: "Callable[[Store, Refusal], None]"
    ) -> None:
        self._store, self._paths, self._settings, self._tell = store, paths, settings, tell
        self._seen: dict[str, Seen] = {}
        self._before: set[str] = set()
        self._said: set[str] = set()
        self._untold: int | None = None
        """The last record before a look that failed."""
        self.told = 0
        """How many refusals were told of."""

    def again(self) -> None:
        """A look, or a word of why there was none."""
        from proxy.database import StoreError

        try:
            self.look()
        except StoreError as error:
            self._say(str(error))

    def look(self, *, aloud: bool = True) -> None:
        """Imports what has changed. ``aloud``: tells of each refusal that came of it."""
        from proxy.cli.intake import imported
        from proxy.tables import REFUSALS

        if self._untold is None:
            self._untold = self._store.rows("select coalesce(max(rowid), 0) as n from refusals")[0]["n"]
        troubles = set(imported(self._store, self._paths, self._settings, self._seen))
        new = "select * from refusals where rowid > ? order by rowid"
        for row in self._store.rows(new, [self._untold]) if aloud else ():
            self._tell(self._store, REFUSALS.record(row))
            self.told += 1
        self._untold = None
        for trouble in sorted(self._before & troubles):
            self._say(trouble)
        self._before = troubles

    def _say(self, trouble: str) -> None:
        if trouble not in self._said:
            self._said.add(trouble)
            warn(trouble)


def _told(store: "Store", refusal: "Refusal") -> None:
    from proxy.cli import words
    from proxy.cli.notice import in_words

    project = f" ({words.line(refusal.project)})" if refusal.project else ""
    short = store.short_ids([refusal.id])[refusal.id]
    click.echo(f"{words.moment(refusal.at)}  {words.line(in_words(refusal))}{project}: demur show {short}")


def _told_as_json(_: "Store", refusal: "Refusal") -> None:
    from proxy.cli import words
    from proxy.cli.incidents import record

    facts: dict[str, Any] = record(refusal)
    click.echo(words.as_json(facts))
