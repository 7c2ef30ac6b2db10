"""What an importer is: it knows its format by the first bytes of a file, and gives what it finds in it, in order.

An ``Entry`` holds refusals with all that belongs to them (``attempts``, ``segments``, ``contents``, ``skeleton``), what became of earlier ones
(``updates``), and in ``traffic`` what was counted. Ids are made from what was found (``identify``), so that the same file read twice gives the
same ids. What cannot be read is a ``Trouble``, and the reading goes on behind it.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import BinaryIO, NamedTuple, Protocol

from proxy.core.redact import Redactor
from proxy.core.stamps import ulid
from schemas.records import Entry

HEAD = 64 << 10
"""Bytes of a file that ``claims`` gets to see, decompressed."""


class Trouble(NamedTuple):
    """What could not be read."""

    line: int | None
    """From 1; None where the file has no lines."""
    why: str
    """In a few words, without any of its text."""


class Origin(NamedTuple):
    """Where a file comes from, and how it is to be read."""

    name: str
    """Its path, or ``-``."""
    redactor: Redactor
    content: bool = True
    """Whether the texts of declined requests are kept, or only their map."""


type Found = Entry | Trouble


class Source(Protocol):
    """One format."""

    name: str
    """As ``Refusal.source`` has it."""

    def claims(self, head: bytes, origin: Origin) -> bool:
        """Whether a file that begins so is of this format. Never raises."""

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """All that is found, in the file's order. Raises OSError where the file cannot be read any further."""


def identify(at: float, *of: str) -> str:
    """The id of a record: a ULID of its time (seconds since 1970) and of what makes it the one that it is."""
    return ulid(at, blake2b("\0".join(of).encode("utf-8", "surrogatepass"), digest_size=10).digest())
