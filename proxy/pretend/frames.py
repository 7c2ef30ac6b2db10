"""One event as the bytes of a stream: server-sent events, or Amazon's binary event stream.

An SSE frame is ``event: TYPE``, ``data: JSON``, an empty line. The API pads the JSON with spaces *before its closing
brace*, and spells a ping with a space, so both are done here.

An event-stream message (Amazon, "Event stream encoding") is, all big-endian: total length (4), length of the headers
(4), CRC-32 of these eight bytes (4), headers, payload, CRC-32 of everything before (4). A header is the length of its
name (1), the name, the type 7 for a string (1), the length of the value (2), the value. The payload of a Claude event
is ``{"bytes": BASE64 OF THE EVENT, "p": PADDING}``.
"""

import struct
from base64 import b64encode
from zlib import crc32

import msgspec

from proxy.pretend.reply import Json

_PADDING_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def sse_frame(event: Json, *, spaces: int = 0, newline: bytes = b"\n") -> bytes:
    """The event as one whole SSE frame, its JSON padded with `spaces` spaces."""
    kind = str(event["type"]).encode()
    data = b'{"type": "ping"}' if kind == b"ping" else msgspec.json.encode(event)
    padded = data[:-1] + b" " * spaces + data[-1:]
    return b"event: " + kind + newline + b"data: " + padded + newline + newline


def eventstream_frame(event: Json, *, spaces: int = 0) -> bytes:
    """The event as one binary message; an ``error`` event becomes an exception message."""
    if event["type"] == "error":
        fault = {"message": event["error"]["message"]}
        return eventstream_message(_exception("modelStreamErrorException"), msgspec.json.encode(fault))
    payload = {"bytes": b64encode(msgspec.json.encode(event)).decode(), "p": _PADDING_ALPHABET[: spaces + 1]}
    headers = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    return eventstream_message(headers, msgspec.json.encode(payload))


def eventstream_message(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of Amazon's event stream encoding."""
    head = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return message + struct.pack(">I", crc32(message))


def _exception(kind: str) -> dict[str, str]:
    return {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack(">B", len(name)) + name + struct.pack(">BH", 7, len(value)) + value
