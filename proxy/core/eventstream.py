"""Amazon's binary event stream, the envelope of Bedrock's streamed answers: bytes to the payloads in it.

A message is: total length (4), headers length (4), CRC of these eight (4), headers, payload, CRC of all before it (4), big
endian (AWS, "Event stream encoding"). Bedrock's payload is JSON, ``{"bytes": base64 of one Messages event, "p": padding}``.
A CRC is the client's business. What cannot be such a message ends the reading, never the stream.
"""

import base64
import struct

import msgspec

_PRELUDE = 12
_TRAILER = 4
LARGEST = 16 * 1024 * 1024
"""The largest message that AWS allows is 16 MiB; a length beyond it is not a message."""


class _Chunk(msgspec.Struct):
    bytes: str = ""


class Payloads:
    """Cuts a binary event stream into the Messages events that its payloads carry."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self.failed: str | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The JSON of each event that ``data`` completes."""
        if self.failed:
            return []
        self._rest += data
        events = []
        while len(self._rest) >= _PRELUDE and (total := self._total()) and len(self._rest) >= total:
            (headers,) = struct.unpack_from(">I", self._rest, 4)
            events.append(_event(bytes(self._rest[_PRELUDE + headers : total - _TRAILER])))
            del self._rest[:total]
        return events

    def _total(self) -> int:
        (total,) = struct.unpack_from(">I", self._rest)
        if not _PRELUDE + _TRAILER <= total <= LARGEST:
            self.failed = "not an event stream"
            self._rest.clear()
            return 0
        return int(total)


def _event(payload: bytes) -> bytes:
    try:
        return base64.b64decode(msgspec.json.decode(payload, type=_Chunk).bytes)
    except (msgspec.MsgspecError, ValueError):
        return b""
