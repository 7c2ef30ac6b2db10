"""The lines of a file, one at a time: what is longer than ``LONGEST`` is passed over and told of, and so is never in memory."""

from collections.abc import Iterator
from typing import BinaryIO

from proxy.importers.source import Trouble

LONGEST = 32 << 20
"""Bytes of a line that is read. The API itself takes requests of 32 MB."""
_PIECE = 1 << 20


class Cut(bytes):
    """A last line without its line feed: it may still be being written."""

    __slots__ = ()


def lines(file: BinaryIO, longest: int = LONGEST) -> Iterator[tuple[int, bytes] | Trouble]:
    """Each line that is not blank, with its number from 1 and without its line feed. Raises OSError."""
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        if line.endswith(b"\n"):
            if line := line.strip():
                yield number, line
        elif len(line) <= longest:
            if line := line.strip():
                yield number, Cut(line)
        else:
            del line
            _pass_over(file)
            yield Trouble(number, f"a line of more than {longest >> 20} MB")


def _pass_over(file: BinaryIO) -> None:
    while (piece := file.readline(_PIECE)) and not piece.endswith(b"\n"):
        pass
