"""Content encodings, decoded one chunk at a time, for a copy that only demur reads. The client gets the encoded bytes.

What one chunk may grow to is bounded: a chunk that would become more ends the decoding, and the stream goes on. The same
holds for an unknown encoding and for damaged bytes. ``failed`` then says why, in a few words.
"""

import zlib
from collections.abc import Callable, Iterable
from typing import IO, Protocol, cast

import brotli
import zstandard

BURST = 16 * 1024 * 1024
"""The largest output of one chunk, in bytes."""


_MAGIC = 2
"""How many bytes tell gzip and zlib from headerless deflate."""


class _TooLargeError(Exception):
    """One chunk grew past the bound."""


class _Step(Protocol):
    def feed(self, data: bytes) -> bytes: ...


class _Deflate:
    """gzip (also several members in a row), zlib, and the headerless deflate that some servers send."""

    def __init__(self, burst: int) -> None:
        self._burst = burst
        self._inflate = zlib.decompressobj(wbits=47)
        self._started = False
        self._head = b""

    def feed(self, data: bytes) -> bytes:
        out = bytearray()
        data, self._head = self._head + data, b""
        if not self._started and len(data) < _MAGIC:
            self._head, data = data, b""
        while data:
            out += self._some(data, self._burst + 1 - len(out))
            if len(out) > self._burst:
                raise _TooLargeError
            data = self._inflate.unused_data
            if self._inflate.eof:
                self._inflate, self._started = zlib.decompressobj(wbits=47), False
        return bytes(out)

    def _some(self, data: bytes, room: int) -> bytes:
        try:
            out = self._inflate.decompress(data, room)
        except zlib.error:
            if self._started:
                raise
            self._inflate = zlib.decompressobj(wbits=-15)
            out = self._inflate.decompress(data, room)
        self._started = True
        return out


class _Brotli:
    def __init__(self, burst: int) -> None:
        self._burst = burst
        self._decompressor = brotli.Decompressor()

    def feed(self, data: bytes) -> bytes:
        out: bytes = self._decompressor.process(data, output_buffer_limit=self._burst + 1)
        if len(out) > self._burst or not self._decompressor.can_accept_more_data():
            raise _TooLargeError
        return out


class _Zstd:
    def __init__(self, burst: int) -> None:
        self._burst = burst
        self._out = bytearray()
        self._writer = zstandard.ZstdDecompressor().stream_writer(cast("IO[bytes]", self), closefd=False)

    def write(self, data: bytes) -> int:
        """Takes what the decompressor gives, in pieces."""
        self._out += data
        if len(self._out) > self._burst:
            raise _TooLargeError
        return len(data)

    def feed(self, data: bytes) -> bytes:
        self._writer.write(data)
        out, self._out = bytes(self._out), bytearray()
        return out


_STEPS: dict[str, Callable[[int], _Step]] = {
    "gzip": _Deflate,
    "x-gzip": _Deflate,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}


class Decoder:
    """Undoes the content codings that a response names, the last applied first (RFC 9110, 8.4)."""

    def __init__(self, codings: Iterable[str], *, burst: int = BURST) -> None:
        """``codings``: the values of the Content-Encoding header fields, each possibly a list."""
        names = [name.strip().lower() for value in codings for name in value.split(",")]
        names = [name for name in names if name and name != "identity"]
        unknown = [name for name in names if name not in _STEPS]
        self.failed: str | None = f"unknown encoding {unknown[0][:40]}" if unknown else None
        self._steps = [] if unknown else [_STEPS[name](burst) for name in reversed(names)]

    def feed(self, data: bytes) -> bytes:
        """What ``data`` decodes to so far; nothing any more once ``failed`` is set."""
        if self.failed:
            return b""
        try:
            for step in self._steps:
                data = step.feed(data) if data else b""
        except _TooLargeError:
            self.failed = "a decompression bomb"
        except (zlib.error, brotli.error, zstandard.ZstdError):
            self.failed = "damaged encoding"
        return b"" if self.failed else data
