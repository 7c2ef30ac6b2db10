"""A later attempt in plain wire, after text was sent: the client does not know of seams, so it goes on where the text ended.

The client has one text block open, whose end was held back. ``continues``: the attempt was given that text and goes on with it, so its first
text goes into the same block. Otherwise (``mid_stream = "restart"``) it answered from the beginning, and stands after it in blocks of
its own. Its ``message_start`` is left out, and so is its thinking: thinking of two models without a seam between them is what the API
rejects in the next turn (PROTOCOL 2.5 and 6.6; Anthropic, "Refusals and fallback"). The terminal ``message_delta`` goes on as it came.
"""

from proxy.core.message import parse, table, text
from proxy.core.splice import Json, Refused, Wire, content, event, is_thinking
from proxy.core.sse import Frame, Frames


class Graft:
    """See the head of the module. ``open_text``: the index of the client's open text block; None where there is none."""

    def __init__(self, wire: Wire, open_text: int | None, *, continues: bool) -> None:
        self.refused: Refused | None = None
        self.open = open_text
        self._next = wire.next_index
        self._wire, self._continues = wire, continues
        self._frames = Frames()
        self._start: Json = {}
        self._seen: list[Frame] = []
        self._places: dict[int, int] = {}
        """Where its blocks stand for the client; thinking stands nowhere."""
        self._calls: set[int] = set()
        self._shown = False
        self._ends: list[bytes] = []
        self._after = bytearray()

    @property
    def tool(self) -> bool:
        """See ``Reader``."""
        return bool(self._calls)

    @property
    def next_index(self) -> int:
        """See ``Reader``."""
        return self._next

    def feed(self, data: bytes) -> bytes:
        """See ``Reader``."""
        if self.refused is not None:
            return b""
        return b"".join(self._take(frame) for frame in self._frames.feed(data) if self.refused is None)

    def close(self, *, whole: bool) -> bytes:
        """See ``Reader``."""
        rest = b"".join(frame.raw for frame in self._frames.close())
        return b"" if self.refused is not None else (self._finish() if whole else b"") + rest

    def flush(self) -> bytes:
        """See ``Reader``. Nothing is held back here but ends."""
        return b""

    def stand(self) -> bytes:
        """The end of the text block. Which refusal the client gets is not this reader's to say: it gets the first one."""
        return self.end_text()

    def end_text(self) -> bytes:
        """The end of the client's open text block."""
        index, self.open = self.open, None
        return b"" if index is None else event({"type": "content_block_stop", "index": index})

    def _take(self, frame: Frame) -> bytes:
        name, data = frame.parse()
        found = parse(data)
        kind = text(found.get("type")) or name
        if kind == "message_start":
            self._start = found
            return b""
        if kind.startswith("content_block_"):
            self._seen.append(frame)
            return self._content(kind, found)
        reason = table(found.get("delta")).get("stop_reason") if kind == "message_delta" else None
        if reason == "refusal":
            self.refused = Refused(event=found, start=self._start, blocks=content(self._seen), shown=self._shown)
            return b""
        return (self._finish() if reason is not None else b"") + frame.raw

    def _content(self, kind: str, found: Json) -> bytes:
        index = found.get("index")
        if not isinstance(index, int):
            return b""
        if kind == "content_block_start":
            return self._begin(index, table(found.get("content_block")), found)
        if (place := self._places.get(index)) is None:
            return b""
        moved = event({**found, "index": place})
        if kind == "content_block_delta" or place == self.open:
            return moved if kind == "content_block_delta" else b""
        if place in self._calls and self._wire.guard:
            self._ends.append(moved)
            return b""
        return moved

    def _begin(self, index: int, block: Json, found: Json) -> bytes:
        if is_thinking(block):
            return b""
        self._shown = True
        kind = block.get("type")
        if kind == "text" and self._continues and self.open is not None and not self._places:
            self._places[index] = self.open
            return self._said(block, self.open)
        place, self._next = self._next, self._next + 1
        self._places[index] = place
        out = self.end_text() + event({**found, "index": place})
        self.open = place if kind == "text" else None
        if kind == "tool_use":
            self._calls.add(place)
        return out

    def _said(self, block: Json, place: int) -> bytes:
        """What the text block began with, usually nothing, as a delta."""
        began = text(block.get("text"))
        delta = {"type": "text_delta", "text": began}
        return event({"type": "content_block_delta", "index": place, "delta": delta}) if began else b""

    def _finish(self) -> bytes:
        ends, self._ends = self._ends, []
        return self.end_text() + b"".join(ends)
