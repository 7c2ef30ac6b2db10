"""``demur report --check``: a text that a person wrote, looked through as a report is.

Without a file to write to, what it prints is what is to be seen. Before a file is written a person sees it and is asked.

Exit codes, as ``diff`` has them: 0 nothing had to be replaced, 1 something was, 2 it could not be looked through, or was not written.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from proxy.cli.leaving import account, answerable, consent, tell, write
from proxy.cli.options import Failed

if TYPE_CHECKING:
    from proxy.core.scrub import Scrubber
    from proxy.settings import InForce

_LARGEST = 16 << 20
"""Bytes of a text to check."""


class Unchecked(Failed):
    """Ends the command with 2: nothing can be said of the text."""

    exit_code = 2


def check(
    name: str, settings: "Callable[[], InForce]", keep: Sequence[str], output: str | None, *, yes: bool
) -> NoReturn:
    """Ends the command. ``settings``: how to read them; ``yes``: a file is written unseen. Raises ``Misused``."""
    from proxy.cli.words import text as shown
    from proxy.core.scrub import Scrubber
    from proxy.report.personal import known

    into_file = output not in (None, "-")
    if into_file and not yes:
        answerable()
    with _told():
        given = _text(name)
        scrubber = Scrubber(known(), settings().settings.redact.deny, keep)
        clean = scrubber.text(given)
        _look(given, clean, scrubber)
        told = [*account(scrubber.replaced), *_joined(given.count("\n") - clean.count("\n"))]
        if not into_file:
            click.echo(shown(clean), nl=not clean.endswith("\n"))
        else:
            if not yes:
                consent(shown(clean), told)
            write(clean, output)
    if yes or not into_file:
        tell(told)
    sys.exit(1 if scrubber.replaced else 0)


@contextmanager
def _told() -> Iterator[None]:
    from proxy.report import UnsafeError
    from proxy.settings import SettingsError

    try:
        yield
    except (Failed, UnsafeError, SettingsError) as error:
        raise Unchecked(error.message if isinstance(error, Failed) else str(error)) from error


def _look(given: str, clean: str, scrubber: "Scrubber") -> None:
    from proxy.core.reading import IDS
    from proxy.report import look

    look(clean, scrubber, [match[0] for match in IDS.finditer(given)])


def _joined(breaks: int) -> list[str]:
    """What is told of line breaks that went with what was replaced."""
    from proxy.cli.words import count

    if not breaks:
        return []
    return [
        f"{count(breaks, 'line break')} went with it, as what was replaced seemed to go on in the next line: look whether it did."
    ]


def _text(name: str) -> str:
    try:
        if name == "-":
            content = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with Path(name).expanduser().open("rb") as file:
                content = file.read(_LARGEST + 1)
    except OSError as error:
        raise Failed(f"cannot read {name}: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise Failed(f"{name} has more than {_LARGEST >> 20} MiB: check a smaller text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Failed(f"{name} is not UTF-8 text: nothing of it can be vouched for") from error
