"""A later attempt in plain wire, after text was sent: the client does not know of seams, so it goes on where the text ended.

The client has one text block open, whose end was held back. ``continues``: the attempt was given that text and goes on with it, so its first
text goes into the same block. Otherwise (``mid_stream = "restart"``) it answered from the beginning, and stands after it in blocks of
its own. Its ``message_start`` is left out, and so is its thinking: thinking of two models without a seam between them is what the API
rejects in the next turn (PROTOCOL 2.5 and 6.6; Anthropic, "Refusals and fallback"). The terminal ``message_delta`` goes on as it came.
"""

from collections.abc import Callable

from proxy.core.message import parse, table, text
from proxy.core.splice import SERVER_TOOLS, Json, Refused, Wire, content, event, is_thinking
from proxy.core.sse import Frame, Frames


class Graft:
    """See the head of the module.

    ``open_text``: the index of the client's open text block; None where there is none. ``before``: gives what must go out before it. ``blanks``: those at the end of the client's text, which were not given on: where the
    continuation begins with them they are there already.
    """

    def __init__(
        self,
        wire: Wire,
        open_text: int | None,
        *,
        continues: bool,
        before: Callable[[], bytes] = bytes,
        blanks: str = "",
    ) -> None:
        self.refused: Refused | None = None
        self.open = open_text
        self.stopped = True
        """See ``Reader``: nobody gets the end of a refused one."""
        self.only_text = True
        """Whether the client has been sent nothing but text of it."""
        self._next = wire.next_index
        self._wire, self._continues, self._before, self.blanks = wire, continues, before, blanks
        self._frames = Frames()
        self._start: Json = {}
        self._seen: list[Frame] = []
        self._places: dict[int, int] = {}
        """Where its blocks stand for the client; thinking stands nowhere."""
        self._calls: set[int] = set()
        self._running: set[int] = set()
        """Tools of the API itself that have not ended."""
        self._shown = False
        self._held: list[bytes] = []
        """Pings and errors before its first output."""
        self._ends: list[bytes] = []
        self._after = bytearray()

    @property
    def tool(self) -> bool:
        """See ``Reader``."""
        return bool(self._calls or self._running)

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
        """See ``Reader``. An event that broke off is left out: it has no place in the client's message."""
        rest = b"".join([self._take(frame) for frame in self._frames.close() if whole and parse(frame.parse()[1])])
        if self.refused is not None:
            return b""
        return rest + (self._finish() if whole else b"") + self._first()

    def flush(self) -> bytes:
        """See ``Reader``. Nothing is held back here but ends."""
        return b""

    def stand(self) -> bytes:
        """The end of the text block. Which refusal the client gets is not this reader's to say: it gets the first one."""
        return self.end_text()

    def give_up(self) -> bytes:
        """See ``Reader``. What has no place in the client's message yet is not sent."""
        return b""

    def owed(self) -> bytes:
        """What must go out before its first output, while there was none."""
        return b"" if self._shown else self._before()

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
            self.refused = Refused(
                event=found,
                start=self._start,
                blocks=content(self._seen),
                shown=self._shown,
                held=self._wire.held(self._ends),
            )
            return b""
        if reason is not None:
            return self._finish() + self._first() + frame.raw
        if self._shown:
            return frame.raw
        self._held.append(frame.raw)
        return b""

    def _content(self, kind: str, found: Json) -> bytes:
        index = found.get("index")
        if not isinstance(index, int):
            return b""
        if kind == "content_block_start":
            return self._begin(index, table(found.get("content_block")), found)
        if (place := self._places.get(index)) is None:
            return b""
        moved = event({**found, "index": place})
        if kind == "content_block_delta":
            return self._delta(found, place) if self.blanks and place == self.open else moved
        self._running.discard(place)
        if place == self.open:
            return b""
        if place in self._calls and self._wire.guard:
            self._ends.append(moved)
            return b""
        return moved

    def _begin(self, index: int, block: Json, found: Json) -> bytes:
        if is_thinking(block):
            return b""
        first, kind = self._first(), block.get("type")
        if kind == "text" and self._continues and self.open is not None and not self._places:
            self._places[index] = self.open
            return first + self._said(block, self.open)
        place, self._next = self._next, self._next + 1
        self._places[index] = place
        out = first + self.end_text() + event({**found, "index": place})
        self.open = place if kind == "text" else None
        self.only_text = self.only_text and kind == "text"
        if kind == "tool_use":
            self._calls.add(place)
        if kind in SERVER_TOOLS:
            self._running.add(place)
        return out

    def _first(self) -> bytes:
        """What goes before its first output."""
        held, self._held = self._held, []
        before = self.owed()
        self._shown = self._wire.grafted = True
        return before + b"".join(held)

    def _said(self, block: Json, place: int) -> bytes:
        """What the text block began with, usually nothing, as a delta."""
        delta = {"type": "text_delta", "text": text(block.get("text"))}
        return self._delta({"type": "content_block_delta", "delta": delta}, place) if delta["text"] else b""

    def _delta(self, found: Json, place: int) -> bytes:
        """A delta of the continuation, without blanks that the client has."""
        delta = table(found.get("delta"))
        if delta.get("type") != "text_delta":
            return event({**found, "index": place})
        said, blanks = text(delta.get("text")) or "", self.blanks
        if blanks.startswith(said):
            self.blanks = blanks[len(said) :]
            return b""
        self.blanks = ""
        said = said.removeprefix(blanks)
        return event({**found, "index": place, "delta": {**delta, "text": said}})

    def _finish(self) -> bytes:
        ends, self._ends = self._ends, []
        return self.end_text() + b"".join(ends)
