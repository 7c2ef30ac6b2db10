"""demur's log events, as lines of mitmproxy's own log, so that its screens stay whole and mitmweb shows them."""

import logging
from collections.abc import Iterable

import structlog
from structlog.types import EventDict, WrappedLogger

_log = logging.getLogger("demur")


class _EventLog:
    """mitmproxy ends where an error is logged while it starts; nothing of ours is reason enough, so there are only warnings."""

    def __init__(self, *_: object) -> None:
        self.debug, self.info, self.warning = _log.debug, _log.info, _log.warning
        self.error = self.critical = _log.warning


def log_through_mitmproxy(warnings: Iterable[str] = ()) -> None:
    """Set up structlog, unless whoever started us has done so; then ``warnings``, about the settings, are his to tell too."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[_line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_EventLog,
        cache_logger_on_first_use=False,
    )
    for warning in warnings:
        _log.warning("demur: %s", warning)


def _line(_: WrappedLogger, __: str, event: EventDict) -> str:
    name = event.pop("event")
    facts = [f"{key}={value}" for key, value in event.items() if value is not None]
    return " ".join([f"demur: {name}", *facts])
