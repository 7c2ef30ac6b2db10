"""The identities of a request's segments, in the order of its map, without making the map: for requests that are accepted.

A client resends its history with every request, so nearly all of a body is known. It is cut where the map cuts it, into messages, tools
and parts of the system prompt, and what the map says of such a piece is remembered by the piece's bytes: it depends on nothing
else. What is new is read by the map itself, alone in a body.

Where to cut, msgspec tells, by the lengths of members and items. It shows only the last of a key that stands twice: a body that is as
long as its members without a space between them has no such key, and any other is read by the map as a whole. It refuses a
lone surrogate, for whose sake another escape of the same length is put in its place while it measures.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

from msgspec import DecodeError, Raw
from msgspec.json import Decoder

from proxy.core.context import read, split
from proxy.core.redact import Redactor
from schemas.records import Segment

_PIECED = ("system", "tools", "messages")
_MEMBERS, _ITEMS = Decoder(dict[str, Raw]), Decoder(list[Raw])
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


class Trace(NamedTuple):
    """What is remembered of a segment; the fields are its own."""

    label: str
    path: str
    hash: str
    bytes: int


class _Piece(NamedTuple):
    """A part of a body that is known by its bytes, with what makes it a body of its own."""

    before: bytes
    raw: memoryview
    after: bytes
    place: str | None
    """Where it stands, such as ``messages[3]``; None where it stands there alone as well."""


class Identities:
    """Remembers ``kept`` pieces, those that were used last. For one thread; one redactor, for what it redacts is part of it."""

    def __init__(self, redactor: Redactor | None, *, kept: int = 20_000) -> None:
        self._redactor, self._kept = redactor, kept
        self._known: OrderedDict[bytes, list[Trace]] = OrderedDict()

    def of(self, body: bytes) -> list[Trace]:
        """As ``split`` has them, in order. ``body`` is decompressed. Never raises."""
        try:
            return [trace for piece in _pieces(body) for trace in self._placed(piece)]
        except (ValueError, RecursionError):
            return _traces(split(body, self._redactor).segments)

    def _placed(self, piece: _Piece) -> list[Trace]:
        found = self._read(piece)
        if piece.place is None:
            return found
        alone = piece.place.partition("[")[0] + "[0]"
        return [one._replace(path=piece.place + one.path.removeprefix(alone)) for one in found]

    def _read(self, piece: _Piece) -> list[Trace]:
        """The traces in a piece, as in a body of its own."""
        digest = blake2b(piece.before, digest_size=16)
        digest.update(piece.raw)
        key = digest.digest()
        if (known := self._known.get(key)) is not None:
            self._known.move_to_end(key)
            return known
        body = b"".join((piece.before, piece.raw, piece.after))
        found = self._known[key] = _traces(read(body, self._redactor).segments)
        if len(self._known) > self._kept:
            self._known.popitem(last=False)
        return found


def _traces(segments: list[Segment]) -> list[Trace]:
    return [Trace(one.label, one.path, one.hash, one.bytes) for one in segments]


def _pieces(body: bytes) -> Iterator[_Piece]:
    """The pieces in order. Raises ValueError for a body that cannot be cut."""
    whole = memoryview(body)
    members = _measured(body)
    if 1 + sum(4 + len(key.encode()) + len(memoryview(raw)) for key, raw in members.items()) != len(body):
        raise ValueError("not compact")
    at = 1
    for key, raw in members.items():
        name = b'{"%s":' % key.encode()
        start = at + len(name) - 1
        at = start + len(memoryview(raw)) + 1
        if key in _PIECED and whole[start] == ord("["):
            for n, (a, b) in enumerate(_spans(_ITEMS.decode(raw), start, at - 1)):
                yield _Piece(name + b"[", whole[a:b], b"]}", f"{key}[{n}]")
        else:
            yield _Piece(name, whole[start : at - 1], b"}", None)


def _measured(body: bytes) -> dict[str, Raw]:
    """The members of a body, good for their lengths."""
    try:
        return _MEMBERS.decode(body)
    except DecodeError:
        return _MEMBERS.decode(_SURROGATE.sub(rb"\\ufffd", body))


def _spans(items: list[Raw], start: int, end: int) -> Iterable[tuple[int, int]]:
    """Where the items of an array stand that reaches from ``start`` to ``end``."""
    sizes = [len(memoryview(item)) for item in items]
    if items and end - start != 1 + sum(sizes) + len(sizes):
        raise ValueError("not compact")
    at = start + 1
    for size in sizes:
        yield at, at + size
        at += size + 1
