"""A request body as labelled, content-addressed segments, and back to its bytes.

The body is read by position, a byte a character (Latin-1): objects and arrays down to the content block are walked here, so that it is known where each
segment begins and ends, and what stands between them is the skeleton. Skeleton and contents joined are the body to the
byte, with its key order, spaces, escapes and numbers. The values come from ``json``: unlike msgspec it reads a
lone surrogate (clients cut texts in the middle of an emoji), and it tells of a key that stands twice in an object, of which
msgspec shows only the last: the first could hide a secret.

What holds a secret is written anew, compactly: a segment by itself, any other member of the body or of a message
within the skeleton. A body that is not JSON is one segment, redacted as text.

Two hashes: ``content`` names the exact bytes, ``hash`` what they say. The latter leaves out what a client changes from turn
to turn without saying anything new: where the cache breakpoints are, a string for a list of one text block, the ids
of tool calls, and the checksum and build number of the attribution block.
"""

import re
from collections.abc import Iterator
from json import JSONDecoder, loads
from typing import NamedTuple

import msgspec

from proxy.core.calls import Calls
from proxy.core.redact import Redactor
from proxy.core.segment import identity, key_of, mark, string, to_json, tokens
from schemas.labels import Label
from schemas.records import Segment

_KEY = re.compile(r'("(?:[^"\\]|\\.)*+")[ \t\n\r]*+:', re.DOTALL)
_BLANKS = frozenset(" \t\n\r")


class Split(msgspec.Struct, kw_only=True):
    """A body in parts; the fields are those of ``schemas.records.Entry`` and ``Refusal``."""

    segments: list[Segment] = msgspec.field(default_factory=list)
    contents: dict[str, bytes] = msgspec.field(default_factory=dict)
    skeleton: list[bytes | str] | None = msgspec.field(default_factory=list)
    """The body in order: literal bytes, and content keys. None where no content is kept."""
    exact: bool | None = True
    """Whether the joined parts are the body that was sent. None where no content is kept."""
    replacements: int = 0


def split(body: bytes, redactor: Redactor | None) -> Split:
    """The parts of a request body, decompressed, secrets taken out by ``redactor``. Never raises."""
    try:
        return read(body, redactor)
    except (ValueError, RecursionError):
        return _unread(body, redactor)


def read(body: bytes, redactor: Redactor | None) -> Split:
    """The parts of a body. Raises ValueError where it is not JSON in UTF-8, RecursionError where it is nested too deeply."""
    return _Body(body, redactor).split()


def join(skeleton: list[bytes | str], contents: dict[str, bytes]) -> bytes:
    """The body again. Raises KeyError where a content is missing."""
    return b"".join(contents[part] if isinstance(part, str) else part for part in skeleton)


def without_content(split: Split) -> Split:
    """The segment map alone, for ``capture.content = "none"``."""
    return Split(segments=split.segments, skeleton=None, exact=None, replacements=split.replacements)


class _Piece(NamedTuple):
    """A value of the body, redacted, which stands from ``start`` to ``end``; without a ``path`` it is no segment."""

    start: int
    end: int
    value: object
    replaced: int
    path: str | None


class _Body:
    """Reads one body: ``pos`` is how far it has read, ``done`` how far the parts reach."""

    def __init__(self, body: bytes, redactor: Redactor | None) -> None:
        self.body, self.redactor = body, redactor
        self.text = body.decode("latin-1")
        self.pos = self.done = 0
        self.parts: list[bytes | str] = []
        self.out = Split(skeleton=self.parts)
        self.calls = Calls()
        self.doubled: list[object] = []
        self.decode = JSONDecoder(strict=False, object_pairs_hook=self._object).raw_decode

    def split(self) -> Split:
        if self._at("{"):
            for key, start in self._members():
                self._member(key, start)
        else:
            self._put(self._read(""), None)
        if self._skip() != len(self.text):
            raise ValueError("more than one JSON value")
        self._literal(len(self.text))
        self.out.exact = not self.out.replacements
        return self.out

    def _member(self, key: str, start: int) -> None:
        if key not in ("system", "tools", "messages") or self._at("n"):
            self._put(self._read(None, key, start), None)
            return
        place = {"system": "prompt", "tools": "tools"}.get(key)
        if not self._at("["):
            self._put(self._read(key), place if key == "system" else None)
            return
        for n in self._items():
            path = f"{key}[{n}]"
            if key == "messages" and self._at("{"):
                self._message(path)
            else:
                self._put(self._read(path), place)

    def _message(self, path: str) -> None:
        """The role may stand behind the content: all is read before anything is labelled."""
        pieces: list[_Piece] = []
        role: str | None = None
        for key, start in self._members():
            if key != "content" or self._at("n"):
                pieces.append(self._read(None, key, start))
                role = string(pieces[-1].value, "role") or role
            elif self._at("["):
                pieces.extend(self._read(f"{path}.content[{n}]") for n in self._items())
            else:
                pieces.append(self._read(f"{path}.content"))
        for piece in pieces:
            self._put(piece, role)

    def _put(self, piece: _Piece, place: str | None) -> None:
        """Add a value to the parts: a segment by its key; of others only what was changed, the rest is literal."""
        if piece.path is None and not piece.replaced:
            return
        self._literal(piece.start)
        self.parts.append(to_json(piece.value)[1:-1] if piece.path is None else self._segment(piece, piece.path, place))
        self.done = piece.end
        self.out.replacements += piece.replaced

    def _segment(self, piece: _Piece, path: str, place: str | None) -> str:
        raw = self.body[piece.start : piece.end]
        data = to_json(piece.value) if piece.replaced else raw
        what = mark(place, piece.value, self.calls)
        segment = Segment(
            n=len(self.out.segments),
            label=what.label,
            path=path,
            tool=what.tool,
            media=what.media,
            target=what.target,
            pages=what.pages,
            bytes=len(raw),
            tokens_est=round(tokens(piece.value)),
            hash=identity(piece.value, what.label),
            content=key_of(data),
        )
        self.out.segments.append(segment)
        self.out.contents[segment.content] = data
        return segment.content

    def _literal(self, end: int) -> None:
        if end > self.done:
            self.parts.append(self.body[self.done : end])

    def _read(self, path: str | None, key: str | None = None, start: int | None = None) -> _Piece:
        """The value here; with its key, which stands at ``start``, where it is no segment."""
        begin = self._skip() if start is None else start
        value = self._value() if key is None else {key: self._value()}
        if self.redactor is None:
            return _Piece(begin, self.pos, value, 0, path)
        clean, replaced = self.redactor.value(value)
        if self.doubled:
            replaced = max(replaced, self.redactor.value(self.doubled)[1])
        return _Piece(begin, self.pos, clean, replaced, path)

    def _object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) != len(pairs):  # whose token it may be is not known here: any is taken for a secret
            self.doubled.extend({"resumption": {key: value}} for key, value in pairs)
        return made

    def _value(self) -> object:
        self.doubled.clear()
        begin = self._skip()
        value, self.pos = self.decode(self.text, begin)
        raw = self.body[begin : self.pos]
        return value if raw.isascii() else self._wide(raw, value)

    def _wide(self, raw: bytes, value: object) -> object:
        """What a value is whose bytes were read as characters: read again where it has escapes of other characters."""
        if b"\\u" not in raw and not self.doubled:
            return _utf8(value)
        self.doubled.clear()
        return self.decode(raw.decode())[0]

    def _members(self) -> Iterator[tuple[str, int]]:
        """Each key of the object here, and where it stands; the caller reads the value."""
        for _ in self._between("{", "}"):
            start = self._skip()
            head = _KEY.match(self.text, start)
            if head is None:
                raise ValueError(f"no member at {start}")
            self.pos = head.end()
            name = head[1] if head[1].isascii() else head[1].encode("latin-1").decode()
            yield str(loads(name, strict=False)) if "\\" in name else name[1:-1], start

    def _items(self) -> Iterator[int]:
        """The number of each item of the array here; the caller reads it."""
        return self._between("[", "]")

    def _between(self, first: str, last: str) -> Iterator[int]:
        n, more = 0, self._accept(first) and not self._accept(last)
        while more:
            yield n
            n, more = n + 1, self._accept(",")
            if not more and not self._accept(last):
                raise ValueError(f"no {last} at {self.pos}")

    def _accept(self, char: str) -> bool:
        here = self._at(char)
        self.pos += here
        return here

    def _at(self, char: str) -> bool:
        return self.text.startswith(char, self.pos) or self.text.startswith(char, self._skip())

    def _skip(self) -> int:
        while self.text[self.pos : self.pos + 1] in _BLANKS:
            self.pos += 1
        return self.pos


def _utf8(value: object) -> object:
    """Parsed JSON whose characters are bytes of UTF-8. Raises UnicodeDecodeError, a ValueError, where they are not."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("latin-1").decode()
    if isinstance(value, list):
        return [_utf8(item) for item in value]
    if isinstance(value, dict):
        return {_utf8(key): _utf8(member) for key, member in value.items()}
    return value


def _unread(body: bytes, redactor: Redactor | None) -> Split:
    """A body that is not JSON."""
    if not body:
        return Split()
    text, replaced = body.decode(errors="surrogateescape"), 0
    if redactor:
        text, replaced = redactor.text(text)
    data = text.encode(errors="surrogateescape")
    key = key_of(data)
    segment = Segment(
        n=0, label=Label.OTHER, path="", bytes=len(body), tokens_est=round(len(data) / 3.6), hash=key, content=key
    )
    return Split(segments=[segment], contents={key: data}, skeleton=[key], exact=not replaced, replacements=replaced)
