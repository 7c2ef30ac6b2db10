"""Folds the bytes of an answer into messages, one fold for each envelope: events, a body, Bedrock's stream, batch results.

A fold is fed decoded bytes, in whatever pieces they come, and gives each message once, when it is decided: at the
``message_delta`` with a stop reason, at an error, or at the end of a body. What an answer left undecided comes from
``close``. Deltas of content, which are nearly all of a long answer, are known by their first bytes and skipped unread; so
text inside them is never taken for structure.
"""

from typing import Protocol

from proxy.core.eventstream import Payloads
from proxy.core.message import Events, read_body, read_result
from proxy.core.sse import Frame, Frames
from schemas.wire import Message

LARGEST = 64 * 1024 * 1024
"""The largest body or single event that is read, in bytes. A larger one is passed on unread."""

_DELTA = b'{"type":"content_block_delta"'
_DELTA_FRAME = b"event: content_block_delta\ndata: " + _DELTA


class Fold(Protocol):
    """Reads one answer."""

    @property
    def failed(self) -> str | None:
        """Why the answer cannot be read any further, if so."""
        ...

    def feed(self, data: bytes) -> list[Message]:
        """The messages that ``data`` decides."""
        ...

    def close(self) -> list[Message]:
        """The message that the end of the answer decides, or leaves undecided."""
        ...


class StreamFold:
    """An answer as server-sent events."""

    def __init__(self) -> None:
        self.failed: str | None = None
        self._frames = Frames()
        self._events = Events()

    def feed(self, data: bytes) -> list[Message]:
        """See ``Fold``. A piece that is one delta, as nearly all are, is known by its ends."""
        if self._events.decided or self.failed or (_is_one_delta(data) and self._may_skip()):
            return []
        for frame in self._frames.feed(data):
            self._take(frame)
            if self._events.decided:
                return [self._events.message]
        if self._frames.pending > LARGEST:
            self.failed = "an event is too large"
        return []

    def close(self) -> list[Message]:
        """See ``Fold``. A last event without its blank line counts: clients differ, and a record too many does no harm."""
        if self._events.decided:
            return []
        for frame in self._frames.close():
            self._take(frame)
        return [self._events.message]

    def _may_skip(self) -> bool:
        """Deltas say nothing more once a block has begun; and no frame may be half read."""
        return bool(self._events.message.blocks) and not self._frames.pending

    def _take(self, frame: Frame) -> None:
        if frame.raw.startswith(_DELTA_FRAME) and self._events.message.blocks:
            return
        name, data = frame.parse()
        if data:
            self._events.take(data, name)


def _is_one_delta(data: bytes) -> bool:
    return data.startswith(_DELTA_FRAME) and data.find(b"\n\n") == len(data) - 2 and b"\r" not in data


class EventStreamFold:
    """An answer of Bedrock: the same events in Amazon's binary envelope."""

    def __init__(self) -> None:
        self._payloads = Payloads()
        self._events = Events()

    @property
    def failed(self) -> str | None:
        """Why it cannot be read, if so."""
        return self._payloads.failed

    def feed(self, data: bytes) -> list[Message]:
        """See ``Fold``."""
        if self._events.decided:
            return []
        for event in self._payloads.feed(data):
            if not (event.startswith(_DELTA) and self._events.message.blocks):
                self._events.take(event)
            if self._events.decided:
                return [self._events.message]
        return []

    def close(self) -> list[Message]:
        """See ``Fold``."""
        return [] if self._events.decided else [self._events.message]


class BodyFold:
    """An answer, or an error, as one JSON body. ``length`` is its size in bytes where the head tells it."""

    def __init__(self, length: int | None = None) -> None:
        self.failed: str | None = None
        self._length = length
        self._body = bytearray()
        self._decided = False

    def feed(self, data: bytes) -> list[Message]:
        """See ``Fold``. A body of known length is decided by its last byte, not by the end that follows."""
        if self.failed or self._decided:
            return []
        self._body += data
        if len(self._body) > LARGEST:
            self.failed = "the body is too large"
            self._body.clear()
        if self._length is not None and len(self._body) >= self._length:
            return self.close()
        return []

    def close(self) -> list[Message]:
        """See ``Fold``."""
        if self.failed or self._decided:
            return []
        self._decided = True
        return [read_body(bytes(self._body))]


class BatchFold:
    """The results of a message batch: JSON Lines, one message each."""

    def __init__(self) -> None:
        self.failed: str | None = None
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """See ``Fold``."""
        self._rest += data
        *lines, rest = self._rest.split(b"\n")
        self._rest = bytearray(rest)
        if len(self._rest) > LARGEST:
            self.failed = "a line is too large"
            self._rest.clear()
        return [read_result(bytes(line)) for line in lines if line.strip()]

    def close(self) -> list[Message]:
        """See ``Fold``."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [read_result(rest)] if rest.strip() else []


class SniffedFold:
    """An answer whose head does not say that it is a stream: its first byte decides, as the head may be wrong.

    The client's SDK goes by what it had asked for and never looks at the content type.
    """

    def __init__(self, length: int | None = None) -> None:
        self._length = length
        self._fold: StreamFold | BodyFold | None = None

    @property
    def failed(self) -> str | None:
        """Why it cannot be read, if so."""
        return self._fold.failed if self._fold else None

    def feed(self, data: bytes) -> list[Message]:
        """See ``Fold``."""
        if self._fold is None:
            if not data.strip():
                self._length = None if self._length is None else self._length - len(data)
                return []
            self._fold = BodyFold(self._length) if data.lstrip()[:1] in b"{[" else StreamFold()
        return self._fold.feed(data)

    def close(self) -> list[Message]:
        """See ``Fold``."""
        return (self._fold or BodyFold()).close()
