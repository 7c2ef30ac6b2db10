"""Content encodings for a body that is written piece by piece: every piece can be read as soon as it has arrived."""

import zlib
from collections.abc import Callable
from typing import Protocol

import brotli
import zstandard


class _Stage(Protocol):
    def piece(self, data: bytes) -> bytes: ...
    def last(self) -> bytes: ...


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._compressor = zlib.compressobj(wbits=wbits)

    def piece(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def last(self) -> bytes:
        return self._compressor.flush()


class _Brotli:
    def __init__(self) -> None:
        self._compressor = brotli.Compressor(quality=4)

    def piece(self, data: bytes) -> bytes:
        return bytes(self._compressor.process(data) + self._compressor.flush())

    def last(self) -> bytes:
        return bytes(self._compressor.finish())


class _Zstd:
    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor().compressobj()

    def piece(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def last(self) -> bytes:
        return self._compressor.flush()


_STAGES: dict[str, Callable[[], _Stage]] = {
    "gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
    "br": _Brotli,
    "zstd": _Zstd,
}


class Compressor:
    """A body through one or several encodings, in the order in which ``content-encoding`` names them."""

    def __init__(self, encoding: str) -> None:
        """Raises KeyError for an encoding that is not known."""
        names = [name.strip() for name in encoding.split(",")]
        self._stages = [_STAGES[name]() for name in names if name != "identity"]

    def piece(self, data: bytes) -> bytes:
        """The next piece, flushed through all encodings."""
        for stage in self._stages:
            data = stage.piece(data)
        return data

    def last(self) -> bytes:
        """What ends the body; without it a reader can tell that it was cut."""
        data = b""
        for stage in self._stages:
            data = (stage.piece(data) if data else b"") + stage.last()
        return data
