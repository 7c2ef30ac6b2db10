"""How many pages a PDF has (ISO 32000-1, 7.5 and 7.7.3), without reading what is on them.

Every page is an object of type ``Page``, in a tree whose root, of type ``Pages`` without a parent, says how many there are. The
objects stand in the file as they are, or deflated in object streams. Both are counted, by object number, for a changed
file keeps the old ones; and only where the two agree is there an answer. What is encrypted, damaged, too large or odd has none.
"""

import re
import zlib
from binascii import a2b_base64
from bisect import bisect_right
from typing import NamedTuple

LARGEST = 32 << 20
"""Bytes of a file: what a request may hold."""
INFLATED = 16 << 20
"""Bytes of all its object streams, inflated."""
MOST = 20_000
"""Objects of interest, and objects in one stream."""

_TYPE = re.compile(rb"/Type[\0\t\n\f\r ]*/(Pages?|ObjStm)(?![A-Za-z0-9])")
_NUMBER = re.compile(rb"(\d{1,10})[\0\t\n\f\r ]+\d{1,5}[\0\t\n\f\r ]+obj\Z")
_STREAM = re.compile(rb"\bstream\r?\n")
_COUNT = re.compile(rb"/Count[\0\t\n\f\r ]*(\d{1,7}+)(?![\0\t\n\f\r ]+\d+[\0\t\n\f\r ]+R)")
_PARENT = re.compile(rb"/Parent\b")
_SIZES = {name: re.compile(rb"/%s[\0\t\n\f\r ]*(\d{1,9})" % name) for name in (b"N", b"First")}
_HEAD = 1024
_FAR = 1 << 16
"""How far the type of an object may stand from its beginning and its end."""


class _Node(NamedTuple):
    """An object of the page tree."""

    pages: int | None
    """Of its root, how many it says there are."""
    leaf: bool


def pages(data: str) -> int | None:
    """Of a PDF in base64; None where it cannot be told."""
    if len(data) > LARGEST * 4 // 3:
        return None
    try:
        file = a2b_base64(data)
        return _pages(file) if b"%PDF-" in file[:_HEAD] else None
    except (ValueError, zlib.error):
        return None


def _pages(file: bytes) -> int | None:
    nodes: dict[int, _Node] = {}
    room = INFLATED
    for n, found in enumerate(_TYPE.finditer(file)):
        if n > MOST:
            raise ValueError("too many objects")
        number, start = _object(file, found.start())
        if found[1] == b"ObjStm":
            inner = _inflated(file, start, room)
            room -= len(inner)
            _add(nodes, file[start : found.end() + _HEAD], inner)
        else:
            nodes[number] = _node(found[1], file[start : _found(file, b"endobj", found.end(), _FAR)])
    return _agreed(list(nodes.values()))


def _agreed(nodes: list[_Node]) -> int | None:
    roots = [node.pages for node in nodes if node.pages is not None]
    leaves = sum(node.leaf for node in nodes)
    return leaves if leaves and roots == [leaves] else None


def _object(file: bytes, at: int) -> tuple[int, int]:
    """The number of the object around ``at``, and where it begins."""
    start = file.rfind(b"obj", max(0, at - _FAR), at) + len(b"obj")
    found = _NUMBER.search(file, max(0, start - 32), start)
    if found is None:
        raise ValueError("no object")
    return int(found[1]), start


def _found(file: bytes, word: bytes, start: int, far: int) -> int:
    """Where a word stands, at most so many bytes behind ``start``."""
    if (at := file.find(word, start, start + far)) < 0:
        raise ValueError("no end")
    return at


def _node(kind: bytes, text: bytes) -> _Node:
    if kind == b"Page":
        return _Node(None, leaf=True)
    count = None if _PARENT.search(text) else _COUNT.search(text)
    return _Node(int(count[1]) if count else None, leaf=False)


def _inflated(file: bytes, start: int, room: int) -> bytes:
    """The stream of the object stream that begins at ``start``, of at most ``room`` bytes."""
    begin = _STREAM.search(file, start, start + _FAR)
    if begin is None:
        raise ValueError("no stream")
    head = file[start : begin.start()]
    if b"/FlateDecode" not in head or b"/Predictor" in head or head.count(b"Decode") > 1 + head.count(b"/DecodeParms"):
        raise ValueError("another filter")
    inflate = zlib.decompressobj()
    inner = inflate.decompress(file[begin.end() : _found(file, b"endstream", begin.end(), LARGEST)], room + 1)
    if len(inner) > room or not inflate.eof:
        raise ValueError("cut, or too large")
    return inner


def _add(nodes: dict[int, _Node], head: bytes, inner: bytes) -> None:
    """The objects of an object stream: their numbers and places, in pairs, stand before the first."""
    n, first = (int(found[1]) if (found := _SIZES[name].search(head)) else MOST + 1 for name in (b"N", b"First"))
    table = [int(word) for word in inner[:first].split()[: 2 * n]]
    numbers, places = table[::2], table[1::2]
    if n > MOST or len(table) != 2 * n or sorted(places) != places:
        raise ValueError("no table")
    for found in _TYPE.finditer(inner, first):
        which = bisect_right(places, found.start() - first) - 1
        end = places[which + 1] + first if which + 1 < n else len(inner)
        if which >= 0:
            nodes[numbers[which]] = _node(found[1], inner[places[which] + first : end])
