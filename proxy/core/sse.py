"""Server-sent events: bytes to whole frames, and back.

A frame is everything up to and including a blank line, kept as the bytes that came: concatenating the frames of a
stream, and what ``close`` gives, is the stream again. A line ends in CR LF, LF or CR, as the HTML standard has it
("Server-sent events", 9.2.6), so a blank line may be any two of them in a row. A CR at the very end of what has come is
undecided until the next byte; so frames do not depend on where the network cut the stream.

Nothing here is ever an error. What cannot be an event (comments, unknown fields, no data) is a frame with no data.
"""

import re
from collections.abc import Iterator

_BLANK = re.compile(rb"(?:\r\n|\n|\r(?=[^\n])){2}")
_LINE = re.compile(rb"\r\n|\n|\r")
_AS_THE_API_WRITES = re.compile(rb"event: ([^\r\n]*)\ndata: ([^\r\n]*)\n\n")
_BOM = b"\xef\xbb\xbf"


class Frame:
    """One event, comment or stray blank line, with the bytes that it came in."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def parse(self) -> tuple[str, bytes]:
        """The event's name (empty where it has none) and its data, joined by LF where there are several data lines."""
        if found := _AS_THE_API_WRITES.fullmatch(self.raw):
            return found[1].decode("utf-8", "replace"), found[2]
        name, data = "", []
        for line in _LINE.split(self.raw.removeprefix(_BOM)):
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value.decode("utf-8", "replace")
        return name, b"\n".join(data)

    def __repr__(self) -> str:
        return f"Frame({self.raw!r})"


class Frames:
    """Cuts a stream into frames, whatever pieces it comes in."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0

    @property
    def pending(self) -> int:
        """How many bytes of a frame that has not ended are held, in bytes."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes."""
        if not self._rest and data.endswith(b"\n\n") and b"\r" not in data and b"\n\n\n" not in data:
            return [Frame(part + b"\n\n") for part in data[:-2].split(b"\n\n")]
        self._rest += data
        frames, start = [], 0
        for end in self._boundaries():
            frames.append(Frame(bytes(self._rest[start:end])))
            start = end
        del self._rest[:start]
        self._searched = max(0, len(self._rest) - 3)
        return frames

    def close(self) -> list[Frame]:
        """The last frame, where the stream ended without a blank line."""
        rest, self._rest, self._searched = bytes(self._rest), bytearray(), 0
        return [Frame(rest)] if rest else []

    def _boundaries(self) -> Iterator[int]:
        if 13 in self._rest:
            for match in _BLANK.finditer(self._rest, self._searched):
                yield match.end()
            return
        end = self._rest.find(b"\n\n", self._searched)
        while end >= 0:
            yield end + 2
            end = self._rest.find(b"\n\n", end + 2)


def frames(data: bytes) -> list[Frame]:
    """All frames of a whole stream."""
    reader = Frames()
    return reader.feed(data) + reader.close()
