"""Log lines on stderr: for a person at a terminal, JSON for a machine. Events are ``noun.past`` with keys; never a prompt, never a secret."""

import logging
import sys

import structlog


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
