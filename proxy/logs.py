"""Log lines on stderr: for a person at a terminal, JSON for a machine. Events are ``noun.past`` with keys; never a prompt, never a secret."""

import logging
import sys
from contextlib import suppress
from pathlib import Path
from traceback import walk_tb

import structlog

_log = structlog.get_logger("demur")


def failed(event: str, error: Exception) -> None:
    """Says that our own code failed. An error's text may quote a request, so only its type and place are told. Never raises."""
    with suppress(Exception):
        frames = list(walk_tb(error.__traceback__))
        at = f"{Path(frames[-1][0].f_code.co_filename).name}:{frames[-1][1]}" if frames else None
        _log.error(event, error=type(error).__name__, at=at)


def configure(level: str = "info") -> None:
    """Set up structlog for this process."""
    person = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if person else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
