"""HAR files (HTTP Archive 1.2), as browsers, mitmproxy, Proxyman and Charles write them.

Bodies are decoded there, whatever their heads say of an encoding; what is not text stands in base64. Firefox and Chrome leave out bodies that
they no longer have, and a HAR without content has none at all. Some tools keep what was sent as it was, compressed or in chunks (RFC 9112, 7.1): what is text
begins like text, so that such bodies are known by how they begin. ``startedDateTime`` is when the request began, ``time`` how long all took, in
milliseconds. Read after the format's description; the samples of the tests are written by mitmproxy's exporter and by hand.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator
from typing import BinaryIO

from proxy.core.headers import Headers
from proxy.importers import moments
from proxy.importers.documents import Json, items, number, table, text, whole
from proxy.importers.exchanged import Captured, Exchanges, all_pairs, answered, pairs
from proxy.importers.opening import member, opening
from proxy.importers.source import Found, Origin, Trouble

_MAGIC = {b"\x1f\x8b": b"gzip", b"\x28\xb5\x2f\xfd": b"zstd"}
_TEXT = re.compile(rb"[\s{\[:<A-Za-z\xef]")
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})(?:;[^\r\n]{0,200})?\r\n")
_MEMBERS = frozenset({"version", "creator", "browser", "pages", "entries"})


class HarFile:
    """See the head of the module."""

    name = "har"

    def claims(self, head: bytes, origin: Origin) -> bool:
        """See ``Source``."""
        return bool(_MEMBERS & member(opening(head), "log").keys())

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """See ``Source``."""
        exchanges, late = Exchanges(self.name, origin), moments.of_file(file, origin.name)
        data, trouble = whole(file)
        for entry in items(data, "entries") if data else ():
            if isinstance(entry, Trouble):
                yield entry
            else:
                yield from exchanges.found(_captured(entry, late))
        if trouble:
            yield trouble


def _captured(entry: Json, late: float) -> Captured:
    request, response = table(entry.get("request")), table(entry.get("response"))
    began = moments.seconds(entry.get("startedDateTime")) or late
    took = number(entry.get("time"))
    status = number(response.get("status")) or 0
    answer = _body(table(response.get("content"))) if status else b""
    return Captured(
        began=began,
        ended=None if took is None or took < 0 else began + took / 1000,
        method=text(request.get("method")) or "",
        target=text(request.get("url")) or "",
        asked=pairs(request.get("headers")),
        request=_sent(table(request.get("postData"))),
        status=status,
        told=answered(response.get("headers")) + _coding(answer, response.get("headers")),
        answer=answer,
        whole=bool(status) and not text(response.get("_error")),
    )


def _sent(posted: Json) -> bytes | None:
    """Chrome and mitmproxy write a text; some tools name an encoding as for an answer."""
    return _body(posted)


def _body(content: Json) -> bytes | None:
    """A body of which no text is told is not stored, unless its size is known to be 0."""
    said = content.get("text")
    if not isinstance(said, str):
        return b"" if number(content.get("size")) == 0 and "size" in content and not content.get("mimeType") else None
    if content.get("encoding") != "base64":
        return _joined(said.encode("utf-8", "replace"))
    try:
        return _joined(b64decode(said))
    except (binascii.Error, ValueError):
        return None


def _joined(body: bytes) -> bytes:
    """A body without the framing of its chunks, where it has any; of one that is cut, as much as there is."""
    parts, at = list[bytes](), 0
    while size := _CHUNK.match(body, at):
        length = int(size[1], 16)
        parts.append(body[size.end() : size.end() + length])
        at = size.end() + length + 2
    return b"".join(parts) if parts else body


def _coding(body: bytes | None, headers: object) -> Headers:
    """What the head says of a body's compression, where that is still so."""
    start = (body or b"")[:4]
    found = next((coding for magic, coding in _MAGIC.items() if start.startswith(magic)), None)
    if found is None and start and not _TEXT.match(start):
        found = next((value for name, value in all_pairs(headers) if name.lower() == b"content-encoding"), None)
    return () if found is None else ((b"content-encoding", found),)
