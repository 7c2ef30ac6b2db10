"""An entry as spools hold it and as it is stored: what is long is compressed once, by whoever hands it over."""

from contextlib import suppress

import msgspec
import zstandard
from msgspec import Struct, field

from schemas.records import Accepted, Annotation, Attempt, Entry, Pin, Refusal, Segment, Traffic, Update


class Packed(Struct, kw_only=True):
    """An ``Entry``, compressed."""

    refusals: list[Refusal] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    """Content key -> the segment's JSON, zstd."""
    skeleton: bytes | None = None
    """The skeleton in msgpack, zstd."""
    traffic: list[tuple[Traffic, int]] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    pins: list[Pin] = field(default_factory=list)
    accepted: list[Accepted] = field(default_factory=list)
    annotations: dict[str, list[Annotation]] = field(default_factory=dict)
    lost: int = 0


def pack(entry: Entry) -> Packed:
    """The entry compressed, with checksums, so that damage is noticed."""
    zstd = zstandard.ZstdCompressor(level=1, write_checksum=True)  # a client may wait for it
    return Packed(
        refusals=entry.refusals,
        attempts=entry.attempts,
        segments=entry.segments,
        contents={key: zstd.compress(content) for key, content in entry.contents.items()},
        skeleton=None if entry.skeleton is None else zstd.compress(msgspec.msgpack.encode(entry.skeleton)),
        traffic=entry.traffic,
        updates=entry.updates,
        pins=entry.pins,
        accepted=entry.accepted,
        annotations=entry.annotations,
        lost=entry.lost,
    )


def unzstd(blob: bytes) -> bytes:
    """What was compressed by ``pack``. Raises zstandard.ZstdError where it is damaged."""
    return zstandard.ZstdDecompressor().decompress(blob)


def dump(entry: Packed) -> bytes:
    """The payload of a spool frame: msgpack."""
    return msgspec.msgpack.encode(entry)


def load(payloads: list[bytes]) -> list[Packed]:
    """The entries that payloads hold; those that this demur cannot read are left out."""
    entries = []
    for payload in payloads:
        with suppress(msgspec.MsgspecError):
            entries.append(_decoder.decode(payload))
    return entries


_decoder = msgspec.msgpack.Decoder(Packed)
