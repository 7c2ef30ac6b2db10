"""An answer that goes to the client as it comes, byte for byte, held back until it shows output.

Held back are ``message_start`` and pings until the first content block or ``message_delta``; in plain wire, if its owner wants that,
also thinking, which usually comes first, until the first text or tool. If the answer turns out to be a refusal before that, the client
has seen nothing of it. Two events are delayed after that, both to keep a way open:

- the end of a tool call, until the stop reason is known (*the tool guard*): Claude Code runs a tool at its ``content_block_stop``, while the
  stream is still open, so a tool of a declined turn would run. Its end comes just before the terminal ``message_delta``, or never.
- in plain wire the end of a text block, until the next event: after a refusal another model may go on in the same block.
"""

from proxy.core.hop import cut
from proxy.core.message import parse, table, text
from proxy.core.splice import SERVER_TOOLS, TOKENS, Json, Refused, Wire, content, event, is_delta, is_last, is_thinking
from proxy.core.sse import Frame, Frames

_TEXT, _CALL = frozenset({"text"}), frozenset({"tool_use"})


class Through:
    """See the head of the module.

    ``thinking``: it is held back as well. ``graft``: ends of text blocks are delayed. ``later``: an attempt that may yet be passed over,
    so that an error before any output is held back too.
    """

    def __init__(self, wire: Wire, *, thinking: bool, graft: bool, later: bool = False) -> None:
        self.refused: Refused | None = None
        self.only_text = True
        """Whether nothing but text has been sent."""
        self._past = 0
        """One past the highest index."""
        self.open: int | None = None
        """The index of the text block that the client has open, where its end is delayed."""
        self._wire, self._holds_thinking, self._graft, self._later = wire, thinking, graft, later
        self._frames = Frames()
        self._start: Json = {}
        self._seen: list[Frame] = []
        """All events of content, to read them if it comes to that."""
        self._handed: str | None = None
        self._opened = False
        self._held: list[bytes] = []
        """Before the first output."""
        self._thinking: set[int] = set()
        self._texts: set[int] = set()
        self._calls: set[int] = set()
        self._running: set[int] = set()
        """Tools of the API itself that have not ended."""
        self._ends: list[bytes] = []
        """Of tool calls."""
        self._late: list[bytes] = []
        """The end of a text block, and pings after it."""
        self._terminal = b""
        self._after = bytearray()
        self._gave_up = False
        self.stopped = False
        """See ``Reader``."""

    @property
    def opened(self) -> bool:
        """Whether the client has been sent anything."""
        return self._opened

    @property
    def tool(self) -> bool:
        """See ``Reader``."""
        return bool(self._calls or self._running)

    @property
    def thinks(self) -> bool:
        """Whether thinking is held back: it has begun to answer."""
        return bool(self._thinking) and not self._opened

    @property
    def next_index(self) -> int:
        """See ``Reader``."""
        return self._past if self._opened else 0

    def feed(self, data: bytes) -> bytes:
        """See ``Reader``. What cannot be read goes on as it is."""
        return b"".join([self._guarded(frame) for frame in self._frames.feed(data)])

    def close(self, *, whole: bool) -> bytes:
        """See ``Reader``. An answer that ended without a stop reason goes out whole; one that was cut ends no tool call."""
        rest = b"".join([self._guarded(frame) for frame in self._frames.close()])
        if self.refused is not None:
            return b""
        return rest + (self._finish(b"") if whole else self._release())

    def flush(self) -> bytes:
        """See ``Reader``."""
        return b"" if self._opened else self._release()

    def stand(self) -> bytes:
        """See ``Reader``. A tool call that had begun stays open."""
        terminal = cut(self._terminal, TOKENS) if self._wire.secret else self._terminal
        out = self._release() + terminal + bytes(self._after)
        self._terminal, self._after = b"", bytearray()
        return out

    def give_up(self) -> bytes:
        """See ``Reader``."""
        terminal = self._terminal if not self._wire.secret else cut(self._terminal, TOKENS)
        declined = self.refused is not None
        out = self._release(*(() if declined else self._ends), terminal + bytes(self._after))
        self.refused, self._gave_up, self._terminal = None, True, b""
        self._after, self._ends = bytearray(), []
        return out

    def end_blocks(self) -> bytes:
        """The ends of blocks that are still open for the client, before another attempt."""
        late, self._late = b"".join(self._late), []
        open_blocks: list[int] = []
        for frame in self._seen:
            found = parse(frame.parse()[1])
            kind, index = found.get("type"), found.get("index")
            if kind == "content_block_start" and isinstance(index, int):
                open_blocks.append(index)
            elif kind == "content_block_stop" and index in open_blocks:
                open_blocks.remove(index)
        return late + b"".join([event({"type": "content_block_stop", "index": index}) for index in open_blocks])

    def leave_open(self) -> int | None:
        """The index of the text block that another attempt goes on in; its end is not sent."""
        self._late = []
        return self.open

    def _release(self, *more: bytes) -> bytes:
        held, late = self._held, self._late
        self._opened, self._held, self._late = True, [], []
        return b"".join([*held, *late, *more])

    def _finish(self, raw: bytes) -> bytes:
        out = self._release(*self._ends, raw)
        self._ends = []
        return out

    def _guarded(self, frame: Frame) -> bytes:
        if self.refused is not None:
            self.stopped = self.stopped or is_last(frame)
            self._after += frame.raw
            return b""
        if not self._gave_up:
            try:
                return self._take(frame)
            except Exception:  # noqa: BLE001 - rule zero
                self._gave_up = True
        return self._finish(cut(frame.raw, TOKENS) if self._wire.secret else frame.raw)

    def _take(self, frame: Frame) -> bytes:
        if is_delta(frame) and self._opened:
            self._seen.append(frame)
            return self._release(frame.raw) if self._late else frame.raw
        name, data = frame.parse()
        found = parse(data)
        kind = text(found.get("type")) or name
        if kind == "message_start":
            self._start = found
        elif kind.startswith("content_block_"):
            return self._content(kind, found, frame)
        elif kind == "message_delta" and table(found.get("delta")).get("stop_reason") is not None:
            return self._end(found, frame)
        elif kind == "message_stop":
            return self._finish(frame.raw)
        elif kind == "error" and (self._opened or not self._later):
            self._ends = []
            return self._release(frame.raw)
        elif not found and self._wire.secret:  # an event that broke off, or a body that is no stream after all
            return self._hold(cut(frame.raw, TOKENS))
        return self._hold(frame.raw)

    def _hold(self, raw: bytes) -> bytes:
        if not self._opened:
            self._held.append(raw)
        elif self._late:
            self._late.append(raw)
        else:
            return raw
        return b""

    def _content(self, kind: str, found: Json, frame: Frame) -> bytes:
        self._seen.append(frame)
        index = found.get("index")
        index = index if isinstance(index, int) else -1
        if kind == "content_block_start":
            return self._begin(index, table(found.get("content_block")), frame.raw)
        if index in self._thinking and not self._opened:
            return self._hold(frame.raw)
        return self._stop(index, frame.raw) if kind == "content_block_stop" else self._release(frame.raw)

    def _begin(self, index: int, block: Json, raw: bytes) -> bytes:
        self._past = max(self._past, index + 1)
        kind = block.get("type")
        self.only_text = self.only_text and kind == "text"
        if kind == "fallback":
            self._handed = text(table(block.get("to")).get("model"))
        if is_thinking(block) and self._holds_thinking and not self._opened:
            self._thinking.add(index)
            return self._hold(raw)
        self.open = index if kind == "text" else None
        for kinds, indices in ((_TEXT, self._texts), (_CALL, self._calls), (SERVER_TOOLS, self._running)):
            if kind in kinds:
                indices.add(index)
        return self._release(raw)

    def _stop(self, index: int, raw: bytes) -> bytes:
        self._running.discard(index)
        if index in self._calls and self._wire.guard:
            self._ends.append(raw)
            return b""
        if index in self._texts and self._graft:
            self._late.append(raw)
            return b""
        return self._release(raw)

    def _end(self, found: Json, frame: Frame) -> bytes:
        if table(found.get("delta")).get("stop_reason") != "refusal":
            return self._finish(frame.raw)
        self._terminal = frame.raw
        self.refused = Refused(
            event=found,
            start=self._start,
            blocks=content(self._seen),
            shown=self._opened,
            handed_from=self._handed,
            held=self._wire.held(self._ends),
        )
        return b""
