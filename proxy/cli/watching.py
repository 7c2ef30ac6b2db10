"""``demur watch``: imports again whatever changes, for those who will not run a proxy.

It looks again and again (a look at unchanged files costs a ``stat`` and both their ends each); what a client is just writing may be cut, so
that what cannot be read is told only where it is still so at the next look.
"""

import signal
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import config_option, db_option, lines_option, one_line_errors, warn

if TYPE_CHECKING:
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
    from proxy.settings import load
    from proxy.store import Store

    in_force, named = load(config, {"db": db}), meant(paths)
    stop = _interrupted()
    with Store.open(in_force.db) as store:
        watcher = _Watcher(store, named, in_force.settings, _told_as_json if as_json else _told)
        watcher.look(aloud=False)
        click.echo(f"demur watches {', '.join(named)} (database {in_force.db}); Ctrl-C ends it", err=True)
        while not stop.wait(every):
            watcher.look()


def _interrupted() -> Event:
    """Set by Ctrl-C, and by whoever ends the process."""
    stop = Event()
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda *_: stop.set())
    return stop


class _Watcher:
    def __init__(
        self, store: "Store", paths: list[str], settings: "Settings", tell: "Callable[[Refusal], None]"
    ) -> None:
        self._store, self._paths, self._settings, self._tell = store, paths, settings, tell
        self._before: dict[str, str] = {}
        self._said: set[tuple[str, str]] = set()

    def look(self, *, aloud: bool = True) -> None:
        """Imports what has changed. ``aloud``: tells of each refusal that came of it."""
        from proxy.cli.importing import imported
        from proxy.tables import REFUSALS

        last = self._store.rows("select coalesce(max(rowid), 0) as n from refusals")[0]["n"]
        troubles = imported(self._store, self._paths, self._settings)
        for row in self._store.rows("select * from refusals where rowid > ? order by rowid", [last]) if aloud else ():
            self._tell(REFUSALS.record(row))
        for trouble in (self._before.items() & troubles.items()) - self._said:
            warn(f"{trouble[0]}: {trouble[1]}")
            self._said.add(trouble)
        self._before = troubles


def _told(refusal: "Refusal") -> None:
    from proxy.cli import words
    from proxy.cli.notice import in_words

    project = f" ({words.line(refusal.project)})" if refusal.project else ""
    click.echo(f"{words.moment(refusal.at)}  {words.line(in_words(refusal))}{project}: demur show {refusal.id}")


def _told_as_json(refusal: "Refusal") -> None:
    from proxy.cli import words
    from proxy.cli.incidents import record

    facts: dict[str, Any] = record(refusal)
    click.echo(words.as_json(facts))
