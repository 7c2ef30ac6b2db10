"""Which tool a result answers, and which result brought an image or a document.

A result names its call. What a Read brought stands, on Claude Code 2.1.330, within its result. On 2.1.197 a PDF is a block of its own in
the same message: first all results, each in one sentence (``PDF file read: /x/scan.pdf (262 bytes)``), then the documents in the same
order, of which an earlier one may be missing in later turns. So a document belongs to the first result that announced one of its size.
``PDF pages extracted: 3 page(s) from ...`` announces so many images. What nobody announced was put there by the user.
"""

import re
from json import loads
from typing import NamedTuple

from proxy.core.target import target

_FILE = re.compile(r"PDF file read: [^\n]* \(([\d.]+ ?(?:bytes|KB|MB|GB))\)")
_PAGES = re.compile(r"PDF pages extracted: (\d{1,4}) page\(s\) from ")


class Called(NamedTuple):
    """A tool, and what its input names."""

    tool: str | None = None
    target: str | None = None


NOBODY = Called()
_MOST = 1000
"""Announcements that are remembered."""


class Calls:
    """The calls of one conversation, in its order."""

    def __init__(self) -> None:
        self._by_id: dict[str, Called] = {}
        self._announced: list[tuple[str, Called]] = []
        self._told = NOBODY

    def call(self, name: str, tool: str | None, given: object) -> Called:
        """A call of this id."""
        called = self._by_id[name] = Called(tool, target(given))
        return called

    def result(self, name: str, said: str | None) -> Called:
        """The call of this id, whose result is the text ``said``."""
        called = self._by_id.get(name, NOBODY)
        if said is None:
            return called
        if found := _FILE.match(said):
            self._announced.append((found[1], called))
        elif found := _PAGES.match(said):
            self._announced += [("image", called)] * int(found[1])
        del self._announced[_MOST:]
        return called

    def over(self) -> None:
        """The assistant spoke: what was announced and did not come will not come."""
        self._announced.clear()

    def told(self, tool: str, given: str | None) -> Called:
        """A call by the client, with its input in JSON; or, without one, the result of the last such call."""
        if given is not None:
            self._told = Called(tool, target(_json(given)))
        return self._told if self._told.tool == tool else Called(tool)

    def brought(self, data: str | None) -> Called:
        """The call whose result brought a block of media; ``data``, the base64 of a document, None of an image."""
        if not self._announced:
            return NOBODY
        kind = "image" if data is None else size(len(data) * 3 // 4 - data.count("=", -2))
        for n, (announced, called) in enumerate(self._announced):
            if announced == kind:
                del self._announced[n]
                return called
        return NOBODY


def _json(text: str) -> object:
    try:
        return loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def size(n: int) -> str:
    """So many bytes, as Claude Code writes it: ``262 bytes``, ``1.3KB``, ``2MB``."""
    if n < 1024:
        return f"{n} bytes"
    power = min((n.bit_length() - 1) // 10, 3)
    unit = 1024**power
    tenths = (20 * n + unit) // (2 * unit)
    return f"{tenths / 10:.1f}".removesuffix(".0") + " KMG"[power] + "B"
