"""What the commands share: the options that each has, and errors that are one line on stderr.

Exit codes: 0 done, 1 failed, 2 wrong usage. A failure that one of our own errors names becomes ``demur: …`` and 1; what click
finds wrong in the arguments stays click's. A reader that has seen enough (``| head -1``) is no failure. Nothing heavy is
imported here, so that ``--help`` stays fast.
"""

import io
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import wraps

import click

_FAULTS = (
    ("proxy.settings", "SettingsError"),
    ("proxy.database", "StoreError"),
    ("proxy.gateway", "ListenError"),
    ("proxy.upstream", "UpstreamError"),
)

db_option = click.option("--db", metavar="PATH", help="The database.  [demur.db in your data folder]")
config_option = click.option("--config", metavar="FILE", help="The settings.  [demur.toml in your config folder]")
json_option = click.option("--json", "as_json", is_flag=True, help="For programs: JSON instead of text.")
lines_option = click.option("--json", "as_json", is_flag=True, help="For programs: JSON, one object a line.")
since_option = click.option("--since", metavar="WHEN", help="Not older than: 2h, 3d, 2026-11-20, or an ISO time.")

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,6})([mhdw])")


class Failed(click.ClickException):
    """Ends the command with 1; the message says in one line what is wrong and what to do."""

    def show(self, file: object = None) -> None:
        """click's. On stderr, without control characters and without the credentials of a URL."""
        warn(self.format_message())


class Misused(Failed):
    """Ends the command with 2: what was asked for cannot be meant."""

    exit_code = 2


def meant(name: str) -> str:
    """The ID of a refusal as it was given. Raises ``Misused`` for an empty one."""
    if not (name := name.strip()):
        raise Misused("an empty ID names no refusal: say `last`, or an id that `demur list` prints")
    return name


def warn(message: str) -> None:
    """One line on stderr."""
    from proxy.cli.words import line, without_secrets

    click.echo(f"demur: {line(without_secrets(message))}", err=True)


def moment_since(when: str, now: datetime) -> str:
    """What ``--since`` means, as a time in UTC like a record's ``at``. Raises ``Misused``."""
    try:
        if ago := _AGO.fullmatch(when):
            moment = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            moment = datetime.fromisoformat(when).astimezone(UTC)  # without an offset: this machine's clock
    except (ValueError, OverflowError) as error:
        raise Misused(f"--since {when!r} is no time: say 2h, 3d, 2026-11-20 or 2026-11-20T14:30") from error
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def columns(otherwise: int) -> int:
    """How wide the output may be: what COLUMNS says, or the terminal; ``otherwise`` in a pipe or a file."""
    told = os.environ.get("COLUMNS") or sys.stdout.isatty()
    return shutil.get_terminal_size((otherwise, 24)).columns if told else otherwise


def one_line_errors[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """For a command's function: our own errors end it with one line. Also prepares the streams that it prints to."""

    @wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        _prepare_streams()
        try:
            return command(*args, **kwargs)
        except (click.UsageError, Failed):
            raise
        except click.ClickException as error:
            raise Failed(error.format_message()) from error
        except BrokenPipeError as error:
            if not _was_printing(error):
                raise
            _print_nowhere()
            sys.exit(0)
        except _faults() as error:
            raise Failed(str(error)) from error

    return told


def _faults() -> tuple[type[Exception], ...]:
    """Our own errors. Those of a module that is not loaded cannot have been raised."""
    return tuple(getattr(sys.modules[module], name) for module, name in _FAULTS if module in sys.modules)


def _was_printing(error: BrokenPipeError) -> bool:
    """Whether it is our own output that nobody reads any more, and no other pipe or socket."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).startswith("click.")


def _print_nowhere() -> None:
    """What is left in the buffer is not complained of when the interpreter ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _prepare_streams() -> None:
    """A terminal that lacks a character gets its escape; NO_COLOR (no-color.org) is heard."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get("NO_COLOR") and (context := click.get_current_context(silent=True)):
        context.color = False
