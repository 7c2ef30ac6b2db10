"""The JSON of a file, read within bounds: one object after another, whether they stand in lines, in an array or across lines.

What cannot be read is told of with its line, and the reading goes on behind it. Bytes that are not UTF-8 are replaced.
"""

import re
from collections.abc import Iterator
from itertools import chain
from json import JSONDecodeError, JSONDecoder, loads
from typing import Any, BinaryIO

import msgspec

from proxy.importers.source import Trouble

LONGEST = 64 << 20
"""Bytes of the longest line that is read."""
LARGEST = 256 << 20
"""Bytes of the largest file that is read as one piece."""

type Json = dict[str, Any]
type Placed = tuple[int | None, Json]
"""An object, and its line from 1; None where it stands in an array."""

_PIECE = 1 << 20
_DECODER = JSONDecoder()
_BLANK = re.compile(r"[\s,\ufeff]*")
_BOM = b"\xef\xbb\xbf"


def decode(data: bytes) -> Any:
    """The value of a JSON text. Raises ValueError."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    try:
        return loads(data.decode("utf-8", "replace"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def table(value: object) -> Json:
    """The value if it is an object, or the text of one; else an empty one."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            value = decode(value.encode("utf-8", "replace"))
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def text(value: object) -> str | None:
    """The value if it is a text that says something."""
    return value if isinstance(value, str) and value else None


def number(value: object) -> int | None:
    """The value if it is a number, or the digits of one; without what stands behind the point."""
    try:
        return int(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        return None


def lines(file: BinaryIO) -> Iterator[tuple[int, bytes] | Trouble]:
    """The lines that are not empty, without their ends; one that is longer than ``LONGEST`` is passed over."""
    n = 0
    while line := file.readline(LONGEST + 1):
        n += 1
        if len(line) > LONGEST and not line.endswith(b"\n"):
            while (rest := file.readline(LONGEST)) and not rest.endswith(b"\n"):
                pass
            yield Trouble(n, f"a line of more than {LONGEST >> 20} MB")
        elif line := line.strip().removeprefix(_BOM):
            yield n, line


def whole(file: BinaryIO) -> tuple[bytes, Trouble | None]:
    """All of a file, unless it is larger than ``LARGEST``; as much of it as can be read."""
    data = bytearray()
    try:
        while len(data) <= LARGEST and (piece := file.read(_PIECE)):
            data += piece
    except OSError:
        return bytes(data), Trouble(None, "it cannot be read to its end")
    if len(data) > LARGEST:
        return b"", Trouble(None, f"one piece of more than {LARGEST >> 20} MB")
    return bytes(data), None


def objects(file: BinaryIO) -> Iterator[Placed | Trouble]:
    """The objects of JSON Lines, of one array, or of a row of values written across lines."""
    read = lines(file)
    head = next(read, None)
    if head is not None and not isinstance(head, Trouble) and not _stands_alone(head[1]):
        rest, trouble = whole(file)
        yield from _row(head[1] + b"\n" + rest) if trouble is None or rest else ()
        yield from [trouble] if trouble else ()
        return
    for found in chain([head] if head else [], read):
        yield found if isinstance(found, Trouble) else _of_line(*found)


def items(data: bytes, name: str) -> Iterator[Json | Trouble]:
    """The objects of the first array that is the value of a member ``name``, one at a time, up to where the text is damaged or cut."""
    found = re.search(rb'"%s"\s*:\s*\[' % re.escape(name.encode()), data)
    if found is None:
        yield Trouble(None, f"no {name}")
        return
    said = data[found.end() :].decode("utf-8", "replace")
    at = _skip(said, 0)
    while not said.startswith("]", at):
        try:
            value, at = _DECODER.raw_decode(said, at)
        except (ValueError, RecursionError):
            yield Trouble(None, "it is cut off, or damaged, within an entry")
            return
        at = _skip(said, at)
        if isinstance(value, dict):
            yield value


def _stands_alone(line: bytes) -> bool:
    """Whether a first line is one of JSON Lines. An array is read as one piece; so is a value that goes on in the next line."""
    return line[:1] != b"[" and len(line) > 1 and (line[:1] != b"{" or line[-1:] == b"}")


def _of_line(n: int, line: bytes) -> Placed | Trouble:
    try:
        value = decode(line)
    except ValueError:
        return Trouble(n, "not JSON")
    return (n, value) if isinstance(value, dict) else Trouble(n, "not an object")


def _row(data: bytes) -> Iterator[Placed | Trouble]:
    said = data.decode("utf-8", "replace")
    at, line, counted = _skip(said, 0), 1, 0
    while at < len(said):
        if said[at] in "[]":
            at = _skip(said, at + 1)
            continue
        line, counted = line + said.count("\n", counted, at), at
        try:
            value, at = _DECODER.raw_decode(said, at)
        except (JSONDecodeError, RecursionError):
            yield Trouble(line, "not JSON from here on")
            return
        at = _skip(said, at)
        if isinstance(value, dict):
            yield line, value


def _skip(said: str, at: int) -> int:
    found = _BLANK.match(said, at)
    return found.end() if found else at
