"""The answers of the fast upstream, made once: whole HTTP/1.1 responses of server-sent events, each event its own chunk.

A delta carries the time at which it was written: sixteen digits of microseconds of the machine's monotonic clock, so that
a reader on the same machine knows how long it was under way.
"""

import re
from functools import cache

STAMP = re.compile(rb"@(\d{16})@")
HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"request-id: req_011CBench00000000000000\r\nserver: bench\r\ntransfer-encoding: chunked\r\n\r\n"
)
LAST = b"0\r\n\r\n"
BLOCK = 500
"""Events in one write of a burst."""
SHORT = 12
"""Deltas of a short answer."""


def event(kind: str, data: str) -> bytes:
    """One event."""
    return f"event: {kind}\ndata: {data}\n\n".encode()


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


START = [
    event(
        "message_start",
        '{"type":"message_start","message":{"model":"claude-opus-5","id":"msg_01Bench","type":"message","role":"assistant",'
        '"content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"usage":{"input_tokens":19000,'
        '"cache_creation_input_tokens":0,"cache_read_input_tokens":18000,"output_tokens":1,"service_tier":"standard"}}}',
    ),
    event("content_block_start", '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'),
    event("ping", '{"type": "ping"}'),
]
END = [
    event("content_block_stop", '{"type":"content_block_stop","index":0     }'),
    event(
        "message_delta",
        '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,"stop_details":null},'
        '"usage":{"input_tokens":19000,"cache_creation_input_tokens":0,"cache_read_input_tokens":18000,"output_tokens":99}}',
    ),
    event("message_stop", '{"type":"message_stop"   }'),
]


def delta(microseconds: int) -> bytes:
    """One text delta of about fifty bytes of text, stamped."""
    text = f"@{microseconds:016}@ and some more words to read"
    data = f'{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}       }}'
    return event("content_block_delta", data)


@cache
def opening() -> bytes:
    """The head, and the events before the first delta."""
    return HEAD + b"".join(map(chunk, START))


@cache
def closing() -> bytes:
    """The events after the last delta, and the end of the body."""
    return b"".join(map(chunk, END)) + LAST


@cache
def short() -> bytes:
    """A whole short answer."""
    return opening() + chunk(delta(0)) * SHORT + closing()


@cache
def block() -> bytes:
    """One write of a burst."""
    return chunk(delta(0)) * BLOCK


def body_size(deltas: int) -> int:
    """How many bytes a client must read of an answer with so many deltas."""
    return sum(map(len, START)) + deltas * len(delta(0)) + sum(map(len, END))


def event_count(deltas: int) -> int:
    """How many events such an answer has."""
    return len(START) + deltas + len(END)
