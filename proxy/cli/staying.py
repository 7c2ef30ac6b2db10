"""``demur sticky list|clear``: the conversations that stay on the model that answered, and the way back."""

import sys
import time
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from proxy.cli.group import Group
from proxy.cli.options import Failed, Misused, config_option, db_option, json_option, lines_option, one_line_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.cli.table import Row
    from proxy.store import Store
    from schemas.records import Pin


@click.group("sticky", cls=Group)
def sticky() -> None:
    """The conversations that stay on the model that answered, and the way back.

    \b
    Example: demur sticky list
             demur sticky clear
    """


@sticky.command("list")
@lines_option
@db_option
@config_option
@one_line_errors
def list_(as_json: bool, db: str | None, config: str | None) -> None:
    """List the conversations whose turns another model answers just now, newest first.

    \b
    Example: demur sticky list
             demur sticky list --json | jq -r .session_id
    """
    with _pins(db, config) as (store, pins):
        if as_json:
            _print_json(pins)
        elif store and pins:
            _print(store, pins)
        else:
            click.echo("No conversation stays on another model.")


@sticky.command("clear")
@click.argument("names", nargs=-1, metavar="[ID_OR_SESSION]...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@db_option
@config_option
@one_line_errors
def clear(names: tuple[str, ...], yes: bool, as_json: bool, db: str | None, config: str | None) -> None:
    """Bring conversations back to the model that they ask for.

    All of them, where none is named. A name is that of a conversation or a session, as `demur sticky list` shows it or longer, or the id of the
    refusal that it came from. A session that runs through demur just now follows with its next turn.

    \b
    Example: demur sticky clear
             demur sticky clear 0f3a9c21b7de
    """
    with _pins(db, config) as (store, pins):
        chosen = _chosen(pins, names) if names else pins
        if not names and pins and not yes and sys.stdin.isatty():
            click.confirm(_question(len(pins)), abort=True, err=True)
        cleared = store.unpin([pin.key for pin in chosen] if names else None) if store and chosen else 0
    _say_cleared(cleared, as_json=as_json)


@contextmanager
def _pins(db: str | None, config: str | None) -> "Iterator[tuple[Store | None, list[Pin]]]":
    from proxy.cli.database import reading
    from proxy.core.stamps import stamp
    from proxy.settings import load

    with reading(load(config, {"db": db}).db) as store:
        yield store, store.pins(stamp(time.time())) if store else []


def _chosen(pins: "list[Pin]", names: Sequence[str]) -> "list[Pin]":
    """Those that are named. Raises ``Failed`` for a name of none, and ``Misused`` for one that means several things."""
    return list({pin.key: pin for name in names for pin in _named(pins, name.strip())}.values())


def _named(pins: "list[Pin]", name: str) -> "list[Pin]":
    if not name:
        raise Misused("an empty name names no conversation: say what `demur sticky list` prints")
    beginning = _plain(name)
    found: dict[str, list[Pin]] = {}
    for pin in pins:
        for thing in {_plain(pin.key), _plain(pin.session_id), _plain(pin.refusal_id or "")}:
            if thing.startswith(beginning):
                found.setdefault(thing, []).append(pin)
    if beginning in found:
        return found[beginning]
    if not found:
        raise Failed(f"no conversation that stays elsewhere is named {name}: `demur sticky list` shows them")
    if len({tuple(pin.key for pin in of_one) for of_one in found.values()}) > 1:
        raise Misused(f"{name} may mean {len(found)} conversations or sessions: say more of it")
    return next(iter(found.values()))


def _plain(name: str) -> str:
    return name.removeprefix("b2:").lower()


def _question(n: int) -> str:
    from proxy.cli.words import count

    return f"Bring {count(n, 'conversation')} back to the models that they ask for?"


def _say_cleared(n: int, *, as_json: bool) -> None:
    from proxy.cli import words

    if as_json:
        click.echo(words.as_json({"cleared": n}))
    elif n:
        click.echo(f"{words.count(n, 'conversation')} brought back.")
    else:
        click.echo("No conversation stays on another model.")


def _print_json(pins: "list[Pin]") -> None:
    import msgspec

    from proxy.cli.words import as_json

    for pin in pins:
        click.echo(as_json(msgspec.to_builtins(pin)))


def _print(store: "Store", pins: "list[Pin]") -> None:
    from proxy.cli.table import LEAST, Look, show

    short = store.short_ids(pin.refusal_id for pin in pins if pin.refusal_id)
    look = Look(
        whole={"conversation", "session", "until", "turns"},
        dispensable={"refusal": 20, "since": LEAST},
        numbers={"turns"},
        styles={"conversation": {"bold": True, "fg": "cyan"}, "since": {"dim": True}, "refusal": {"dim": True}},
        elsewhere="--json has all.",
    )
    show([_row(pin, short.get(pin.refusal_id or "", "-")) for pin in pins], look)


def _row(pin: "Pin", refusal: str) -> "Row":
    from proxy.cli import words

    key, session = words.short(pin.key), words.short(pin.session_id) + (" (agent)" if pin.agent_id else "")
    since, until = _minute(pin.at), _minute(pin.until)
    asked, answers = words.line(pin.model), words.line(pin.answered_by)
    return {
        "conversation": (key, key),
        "session": (session, session),
        "model": (asked, asked.removeprefix("claude-")),
        "answered by": (answers, answers.removeprefix("claude-")),
        "since": (since, since[5:]),
        "until": (until, until[5:]),
        "turns": (str(pin.turns), str(pin.turns)),
        "refusal": (refusal, refusal),
    }


def _minute(at: str) -> str:
    from proxy.cli import words

    found = words.local(at)
    return f"{found:%Y-%m-%d %H:%M}" if found else words.line(at)
