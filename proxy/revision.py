"""Whether ``demur.toml`` is still what was read: settings hold until demur is started again, and that has to be told.

It is looked at after something was declined, in a thread that nobody waits for, and never on the way of a request. What counts is the
content: saved again as it was, a file has not changed.
"""

from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path


def revision(path: Path) -> str:
    """Of a file's content; empty where there is no plain file that can be read (a pipe can be read only once)."""
    with suppress(OSError):
        if path.is_file():
            return blake2b(path.read_bytes(), digest_size=16).hexdigest()
    return ""


class Changes:
    """``read``: the revision that is in force. ``tell`` is given the file, once for each change; without it the log is told. For one thread."""

    def __init__(self, path: Path, read: str, tell: Callable[[Path], None] | None = None) -> None:
        self._path, self._read, self._seen = path, read, read
        self._tell = tell or _log_it

    def look(self) -> None:
        """Whether another revision stands there now."""
        found = revision(self._path)
        changed, self._seen = found not in (self._seen, self._read), found
        if changed:
            self._tell(self._path)


def _log_it(path: Path) -> None:
    import structlog  # most commands read settings, and log nothing

    structlog.get_logger("demur").warning("settings.changed", file=str(path), todo="start demur again to use them")
