"""Answers of the Messages API as bytes, in the shapes of the reference documentation, for the tests of the core."""

import base64
import json
import struct
import zlib
from typing import Any

USAGE = {"input_tokens": 412, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 9, "output_tokens": 1}
DETAILS = {"type": "refusal", "category": "cyber", "explanation": "This request was declined."}


def event(kind: str, padding: int = 5, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data[:-1]}{' ' * padding}}}\n\n".encode()


def start(model: str = "claude-opus-5") -> bytes:
    message = {"model": model, "id": "msg_1", "type": "message", "role": "assistant", "content": []}
    return event("message_start", message={**message, "stop_reason": None, "stop_details": None, "usage": USAGE})


def block(index: int, **content: Any) -> bytes:
    return event("content_block_start", index=index, content_block=content or {"type": "text", "text": ""})


def delta(index: int, text: str) -> bytes:
    return event("content_block_delta", index=index, delta={"type": "text_delta", "text": text})


def stop(index: int) -> bytes:
    return event("content_block_stop", index=index)


def end(reason: str | None = "end_turn", usage: Any = None, **more: Any) -> bytes:
    return event(
        "message_delta",
        delta={"stop_reason": reason, "stop_sequence": None, **more},
        usage=usage or {"output_tokens": 3},
    )


STOP = event("message_stop")
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
SEAM = {
    "type": "fallback",
    "from": {"model": "claude-fable-5"},
    "to": {"model": "claude-opus-4-8"},
    "trigger": {"type": "refusal", "category": "bio"},
}
ITERATIONS = [
    {"type": "message", "model": "claude-fable-5", "input_tokens": 535, "output_tokens": 0},
    {"type": "fallback_message", "model": "claude-opus-4-8", "input_tokens": 412, "output_tokens": 264},
]

ANSWER = start() + PING + block(0) + delta(0, "Hello") + stop(0) + end() + STOP
REFUSAL = start() + end("refusal", stop_details=DETAILS) + STOP
MID = start() + block(0) + delta(0, "Hel") + end("refusal", stop_details=DETAILS) + STOP


def aws(event_json: bytes) -> bytes:
    payload = json.dumps({"bytes": base64.b64encode(event_json).decode(), "p": "abc"}).encode()
    headers = b"\x0b:event-type\x07\x00\x05chunk"
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return head + struct.pack(">I", zlib.crc32(head))


def data_of(frame: bytes) -> bytes:
    return frame.partition(b"data: ")[2].rstrip(b"\n")
