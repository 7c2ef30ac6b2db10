"""HTTP/1.1 as the gateway writes it: heads and framing. Reading is llhttp's business (httptools), never our own.

A body keeps the framing that it came with: a length, chunks, or the end of the connection (RFC 9112, 6.3). Chunks are framed anew, so
that only what a strict parser had understood goes on.
"""

from enum import Enum, auto

from proxy.core.headers import Headers, chunked, length

LARGEST_HEAD = 256 * 1024
"""The largest head that is read, in bytes, either way."""


class Framing(Enum):
    """How a body ends."""

    NONE = auto()
    LENGTH = auto()
    CHUNKED = auto()
    CLOSE = auto()
    """With the connection: only answers can."""


def request_framing(headers: Headers) -> Framing:
    """How the body of a request ends."""
    if chunked(headers):
        return Framing.CHUNKED
    return Framing.LENGTH if length(headers) else Framing.NONE


def answer_framing(method: bytes, status: int, headers: Headers) -> Framing:
    """How the body of an answer ends."""
    if method == b"HEAD" or status < 200 or status in {204, 304}:
        return Framing.NONE
    if chunked(headers):
        return Framing.CHUNKED
    return Framing.CLOSE if length(headers) is None else Framing.LENGTH


def request_head(method: bytes, target: bytes, headers: Headers) -> bytes:
    """A request line and its fields."""
    return b"%s %s HTTP/1.1\r\n%s\r\n" % (method, target, _fields(headers))


def answer_head(status: int, reason: bytes, headers: Headers) -> bytes:
    """A status line and its fields."""
    return b"HTTP/1.1 %d %s\r\n%s\r\n" % (status, reason, _fields(headers))


def piece(framing: Framing, data: bytes) -> bytes:
    """A piece of a body, framed."""
    return b"%x\r\n%s\r\n" % (len(data), data) if framing is Framing.CHUNKED else data


def last_piece(framing: Framing, trailers: Headers) -> bytes:
    """What ends a body, framed."""
    return b"0\r\n%s\r\n" % _fields(trailers) if framing is Framing.CHUNKED else b""


def _fields(headers: Headers) -> bytes:
    return b"".join([b"%s: %s\r\n" % pair for pair in headers])
