"""Requests that a file tells of, counted by name: a session that was resumed or forked is a new file, with the lines of the old one in it."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b

from msgspec import field

from schemas.records import Entry, Traffic


class Named(Entry, kw_only=True):
    """Counts only. What another file of the same source has told of counts no more."""

    names: list[list[int]] = field(default_factory=list)
    """Of the requests of each of ``traffic``: 64 bits, signed."""

    def called(self) -> Iterator[tuple[Traffic, list[int]]]:
        """Each of ``traffic`` with its names."""
        return zip((traffic for traffic, _ in self.traffic), self.names, strict=True)


def named(counted: Mapping[Traffic, list[int]]) -> Named:
    """The counts of these requests."""
    return Named(traffic=[(traffic, len(names)) for traffic, names in counted.items()], names=list(counted.values()))


def hashed(source: str, key: str) -> int:
    """The name of a request. ``key``: what its lines call it in every file."""
    digest = blake2b(f"{source}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
