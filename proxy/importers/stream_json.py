"""What ``claude -p --output-format stream-json`` prints, where somebody kept it: one JSON object a line.

It tells the same as a transcript, in another spelling, and less: a prompt is not among it (unless it was asked for), an answer's stop reason stands
only in the last line, and older versions (2.1.197) give no time, so that what they tell is as old as the file. The first line says where and by
which version it was made.
"""

from collections.abc import Iterator
from typing import BinaryIO

from proxy.core.message import parse
from proxy.importers.line import Line, made, read_streamed
from proxy.importers.source import Found, Origin
from proxy.importers.transcript import read

_TYPES = frozenset("system assistant user result stream_event rate_limit_event".split())


class StreamJson:
    """See ``proxy.importers.source.Source``."""

    name = "stream_json"

    def claims(self, head: bytes, origin: Origin) -> bool:
        """One of the first lines has the type and the session of a message that Claude Code prints."""
        for data in head.split(b"\n")[:20]:
            if b'"session_id"' in data and b'"type"' in data and data.lstrip().startswith(b"{"):
                members = parse(data)
                if members.get("type") in _TYPES and isinstance(members.get("session_id"), str):
                    return True
                if not members and b'"subtype":"init"' in data:
                    return True
        return False

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """What was declined, in order, and at the end the counts of all requests."""
        return read(self.name, file, origin, _Session().line)


class _Session:
    """What the first line says holds for all of them."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._cwd: str | None = None

    def line(self, data: bytes) -> Line | None:
        line = read_streamed(data)
        if line is None:
            return None
        if line.subtype == "init":
            return self._begin(line, data)
        line.version, line.cwd = line.version or self._version, line.cwd or self._cwd
        line.entrypoint = line.entrypoint or "sdk-cli"
        if line.type == "assistant" and line.refused_message_id:
            line.is_api_error_message = True
        return line

    def _begin(self, line: Line, data: bytes) -> Line:
        """It also says which model will be asked."""
        self._version, self._cwd = line.version, line.cwd
        asked = {"model": parse(data).get("model")}
        members = {"type": "api-request", "sessionId": line.session_id, "timestamp": "0", "params": asked}
        return made(members)
