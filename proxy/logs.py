"""Log lines on stderr: for a person at a terminal, JSON for a machine. Events are ``noun.past`` with keys; never a prompt, never a secret."""

import logging
import sys
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from pathlib import Path
from select import select
from traceback import walk_tb
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict

_log = structlog.get_logger("demur")


def failed(event: str, error: Exception) -> None:
    """Says that our own code failed. An error's text may quote a request, so only its type and place are told. Never raises."""
    with suppress(Exception):
        frames = list(walk_tb(error.__traceback__))
        at = f"{Path(frames[-1][0].f_code.co_filename).name}:{frames[-1][1]}" if frames else None
        _log.error(event, error=type(error).__name__, at=at)


def warned(event: str, **facts: object) -> None:
    """Says what a person may want to look at. Never raises."""
    with suppress(Exception):
        _log.warning(event, **facts)


class Lines:
    """Where lines go. One that cannot be written (a terminal is stopped or gone, a pipe is full, the disk too) is dropped, and fails nothing."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, said: str) -> None:
        """As a file's."""
        with suppress(OSError, ValueError):
            if self._takes():
                self._file.write(said)

    def _takes(self) -> bool:
        """Whether a line can be written without waiting; True where that cannot be asked."""
        try:
            return bool(select([], [self._file], [], 0)[1])
        except (OSError, ValueError):
            return True

    def flush(self) -> None:
        """As a file's."""
        with suppress(OSError, ValueError):
            self._file.flush()


def configure(level: str = "info", *, told: Collection[str] = ()) -> None:
    """Set up structlog for this process. ``told``: events of which a person is told otherwise; for a machine they are lines as all are."""
    person = sys.stderr.isatty()
    structlog.configure(
        processors=[
            *([partial(_but, told)] if person and told else []),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if person else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, Lines(sys.stderr))),
        cache_logger_on_first_use=False,
    )


def _but(told: Collection[str], _logger: object, _method: str, event: EventDict) -> EventDict:
    if event["event"] in told:
        raise structlog.DropEvent
    return event
