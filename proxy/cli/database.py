"""The database file: how the reading commands open it, and ``demur db path|vacuum|verify``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.cli.group import Group
from proxy.cli.options import Failed, config_option, db_option, json_option, one_line_errors, warn

if TYPE_CHECKING:
    from proxy.store import Store

PATIENCE = 2.0
"""How long a reading command waits for another process's lock, in seconds."""


@contextmanager
def reading(path: Path) -> Iterator["Store | None"]:
    """The store to read from; None where nothing has been recorded. It is not made then.

    What dead processes left in their spools is moved in first. Where that cannot be, what is there is shown, with a warning.
    Raises StoreError where the file cannot be read, and ``Failed`` where it cannot even be looked for.
    """
    from proxy.spool import spool_folder, spools

    left = spools(spool_folder(path))
    if not (_is_there(path) or left):
        yield None
        return
    with _open(path, left=bool(left)) as store:
        yield store


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise Failed(f"cannot look at {path} ({error.strerror}): check the permissions of its folder") from error
    return True


def _open(path: Path, *, left: bool) -> "Store":
    from proxy.store import Store, StoreError

    try:
        store = Store.open(path, timeout=PATIENCE)
    except StoreError as error:
        store = Store.open(path, readonly=True, timeout=PATIENCE)
        warn(f"warning: {error}. It is read as it is")
        return store
    if left:
        _adopt(store)
    return store


def _adopt(store: "Store") -> None:
    from proxy import logs
    from proxy.adoption import adopt
    from proxy.database import StoreError
    from proxy.spool import spool_folder

    logs.configure("error")
    try:
        adopt(store, spool_folder(store.path))
    except (StoreError, OSError) as error:
        warn(f"warning: some of the newest records are not in the database yet and not shown: {error}")


@click.group("db", cls=Group)
def db() -> None:
    """The database file: where it is, its size, its soundness.

    \b
    Example: demur db path
             demur db verify
    """


@db.command("path")
@db_option
@config_option
@json_option
@one_line_errors
def path_(db: str | None, config: str | None, as_json: bool) -> None:
    """Print where the database is, or would be.

    \b
    Example: sqlite3 -readonly "$(demur db path)" 'select at, category from refusals'
    """
    from proxy.cli.words import as_json as write
    from proxy.settings import load

    path = str(load(config, {"db": db}).db)
    click.echo(write({"path": path}) if as_json else path)


@db.command("vacuum")
@db_option
@config_option
@json_option
@one_line_errors
def vacuum_(db: str | None, config: str | None, as_json: bool) -> None:
    """Drop what no refusal refers to, and give the space back.

    \b
    Example: demur db vacuum
    """
    from proxy.cli import words
    from proxy.database import files
    from proxy.store import Store
    from proxy.upkeep import vacuum

    path = _existing(db, config)
    before = sum(file.stat().st_size for file in files(path))
    with Store.open(path) as store:
        segments = vacuum(store)
    after = sum(file.stat().st_size for file in files(path))
    if as_json:
        click.echo(words.as_json({"path": str(path), "before": before, "after": after, "segments": segments}))
    else:
        dropped = f"; {words.count(segments, 'unused segment')} dropped" if segments else ""
        click.echo(f"{words.line(str(path))}: {before:,} bytes before, {after:,} after{dropped}")


@db.command("verify")
@db_option
@config_option
@json_option
@one_line_errors
def verify_(db: str | None, config: str | None, as_json: bool) -> None:
    """Read all of the database and say whether it is sound; 1 if it is not.

    \b
    Example: demur db verify
    """
    from proxy.cli import words
    from proxy.store import Store
    from proxy.upkeep import verify

    path = _existing(db, config)
    with Store.open(path, readonly=True) as store:
        found = verify(store)
    problems = [finding for finding in found if not finding.ok]
    if as_json:
        checks = [
            {"name": finding.name, "ok": finding.ok, "found": finding.what, "todo": finding.todo} for finding in found
        ]
        click.echo(words.as_json({"path": str(path), "ok": not problems, "checks": checks}))
    elif not problems:
        click.echo(f"ok: {words.line(str(path))}")
    else:
        for finding in problems:
            click.echo(words.line(f"{finding.name}: {finding.what}{': ' * bool(finding.todo)}{finding.todo}"))
    sys.exit(1 if problems else 0)


def _existing(db: str | None, config: str | None) -> Path:
    from proxy.settings import load

    path = load(config, {"db": db}).db
    if not _is_there(path):
        raise Failed(f"there is no database at {path}: nothing has been recorded there yet, or name another with --db")
    return path
