"""The lines of a file, one at a time: what is longer than ``LONGEST`` is passed over and told of, and so is never in memory.

Some programs begin a file with a mark of its encoding. Where a machine stopped while a line was being written, zero bytes may stand in its place, and
the next line goes on right behind them.
"""

from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import BinaryIO

from proxy.importers.source import Trouble

LONGEST = 32 << 20
"""Bytes of a line that is read. The API itself takes requests of 32 MB."""
ZEROS = "zero bytes, as a machine leaves them that stopped while it was writing"
_PIECE = 1 << 20


class Cut(bytes):
    """A last line without its line feed: it may still be being written."""

    __slots__ = ()


def lines(file: BinaryIO, longest: int = LONGEST) -> Iterator[tuple[int, bytes] | Trouble]:
    """Each line that is not blank, with its number from 1 and without its line feed. Raises OSError."""
    number = 0
    while line := file.readline(longest + 1):
        number += 1
        ended = line.endswith(b"\n")
        if not ended and len(line) > longest:
            del line
            _pass_over(file)
            yield Trouble(number, f"a line of more than {longest >> 20} MB")
            continue
        line = line.removeprefix(BOM_UTF8).strip()
        if line.startswith(b"\0") or line.endswith(b"\0"):
            line = line.strip(b"\0").strip()
            yield Trouble(number, ZEROS)
        if line:
            yield number, line if ended else Cut(line)


def _pass_over(file: BinaryIO) -> None:
    while (piece := file.readline(_PIECE)) and not piece.endswith(b"\n"):
        pass
