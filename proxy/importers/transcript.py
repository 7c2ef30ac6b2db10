"""Claude Code's own transcripts: JSON Lines under ``~/.claude/projects``, one file a session, and one for each sub-agent.

What was declined is told by structure: ``stop_reason`` of an answer or of the error that the client wrote in its place, the lines
``model_refusal_fallback`` and ``model_refusal_no_fallback``, and the id of the refused message on the client's own note. Versions that had
none of these wrote an error text, which ``proxy.importers.wording`` judges. All other requests are counted: an answer has a message's id.

Seen with Claude Code 2.1.197 and 2.1.330; older shapes are those that users reported.
"""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from proxy.importers.line import Line, read_line
from proxy.importers.lines import Cut, lines
from proxy.importers.named import named
from proxy.importers.requests import Requests
from proxy.importers.source import Found, Origin, Trouble
from schemas.records import Entry

_MARKS = re.compile(rb'"(?:parentUuid|leafUuid|isSidechain|snapshot|sessionId|messageId)" ?:')
_BEGINS = re.compile(rb'(?=\{"parentUuid" ?:)|(?<=\})(?=\s*\{")')
_CUT = "cut in the middle: it may still be being written"
_TYPES = frozenset(
    "user assistant system summary attachment progress queue-operation file-history-snapshot last-prompt mode"
    " custom-title ai-title agent-name tag pr-link worktree-state saved_hook_context".split()
)


class Transcript:
    """See ``proxy.importers.source.Source``."""

    name = "transcript"

    def claims(self, head: bytes, origin: Origin) -> bool:
        """One of the first lines is one of Claude Code's; a first line that is longer than the head, by how it begins."""
        whole = head.split(b"\n")
        for data in whole[:20]:
            if not data.lstrip().startswith(b"{"):
                continue
            line = read_line(data)
            if line is None:
                if _MARKS.search(data) and b'"sessionId"' in data:
                    return True
            elif line.type in _TYPES and b'"session_id"' not in data and _MARKS.search(data):
                return True
        return False

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """What was declined, in order, and at the end the counts of all requests."""
        return read(self.name, file, origin, read_line)


def read(name: str, file: BinaryIO, origin: Origin, parse: Callable[[bytes], Line | None]) -> Iterator[Found]:
    """The same for any lines that ``parse`` can read."""
    requests, clock = Requests(name, origin), Clock(origin)
    try:
        for found in lines(file):
            if isinstance(found, Trouble):
                yield found
                continue
            for line in _parsed(*found, parse):
                if isinstance(line, Trouble):
                    yield line
                elif line.type == "api-request":
                    requests.note(line)
                else:
                    requests.take(line, clock.of(line))
                    yield from requests.settled()
    except OSError:
        yield from _rest(requests)
        raise
    yield from _rest(requests)


def _parsed(number: int, data: bytes, parse: Callable[[bytes], Line | None]) -> Iterator[Line | Trouble]:
    """What a line says. Where the client stopped while it wrote one, or two wrote at once, the next goes on right behind it."""
    line = parse(data)
    parts = [data] if line is not None else [part for part in _BEGINS.split(data) if part.strip()]
    for n, part in enumerate(parts, start=1):
        last = isinstance(data, Cut) and n == len(parts)
        yield line or parse(part) or Trouble(number, _CUT if last else "not JSON")


def _rest(requests: Requests) -> Iterator[Entry]:
    yield from requests.rest()
    if requests.traffic:
        yield named(requests.traffic)


class Clock:
    """When lines were written. One that does not say so is as old as the one before; the first as the file."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._last: float | None = None

    def of(self, line: Line) -> float:
        """In seconds since 1970."""
        at = seconds(line.timestamp)
        if at is None:
            at = self._age() if self._last is None else self._last
        self._last = at
        return at

    def _age(self) -> float:
        try:
            return Path(self._origin.name).stat().st_mtime
        except (OSError, ValueError):
            return time.time()


def seconds(timestamp: str | None) -> float | None:
    """An ISO time in seconds since 1970; None where it is none, or one that no record can have."""
    try:
        at = datetime.fromisoformat(timestamp or "")
        found = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return found if 0 <= found < 1 << 37 else None
