"""All formats that can be read. Which one a file has is told by how it begins, never by its name."""

from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import suppress

from proxy.importers.source import Origin, Source
from proxy.importers.stream_json import StreamJson
from proxy.importers.transcript import Transcript

RECORDINGS = frozenset("jsonl ndjson har flow flows mitm dump sse".split())
"""Ends of names, without ``.gz`` or ``.zst``, of files that ought to be of one of the formats."""


OWN: tuple[Source, ...] = (Transcript(), StreamJson())
"""Claude Code's. They come first: a transcript may quote anything."""


def sources() -> Iterator[Source]:
    """All of them. The others are loaded when they are asked, as they take more memory than a file does."""
    yield from OWN
    from proxy.importers.captures import SOURCES

    yield from SOURCES


def find(head: bytes, origin: Origin) -> Source | None:
    """The format of a file that begins so; None where it has none of them."""
    head = head.removeprefix(BOM_UTF8)
    for source in sources():
        with suppress(Exception):
            if source.claims(head, origin):
                return source
    return None


def is_recording(name: str) -> bool:
    """Whether a file's name says that it ought to be of one of the formats."""
    parts = name.lower().split(".")
    if parts[-1] in ("gz", "zst"):
        parts.pop()
    return parts[-1] in RECORDINGS
