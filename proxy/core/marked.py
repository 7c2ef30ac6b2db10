"""A later attempt in the official shape: spliced onto what the client has, so that it reads as one message.

Its ``message_start`` opens the stream only where nothing had; then it carries the first attempt's id. A seam block stands for each hop that
began to answer. Block indices go on, and the terminal ``message_delta`` tells of every attempt in ``usage.iterations``. All else goes on
as it came. Until the attempt shows output it is held back: it may be declined as well, and then leaves no trace but its seam.
"""

from proxy.core.message import parse, table, text
from proxy.core.splice import (
    SERVER_TOOLS,
    Json,
    Refused,
    Wire,
    content,
    event,
    is_last,
    served,
    transformed,
    without_token,
)
from proxy.core.sse import Frame, Frames


class Marked:
    """See the head of the module. ``model``: the one that was asked."""

    def __init__(self, wire: Wire, model: str) -> None:
        self.refused: Refused | None = None
        self._wire, self._model = wire, model
        self._silent = wire.opened
        self._frames = Frames()
        self._start: Json = {}
        self._seen: list[Frame] = []
        self._handed: str | None = None
        self._opened = False
        self._held: list[bytes] = []
        self._base = 0
        self._blocks: dict[int, str] = {}
        """The types of blocks that are open for the client, by their index there."""
        self._calls = False
        self._ends: list[bytes] = []
        self._terminal: Json = {}
        self._after = bytearray()
        self.stopped = False
        """See ``Reader``."""

    @property
    def tool(self) -> bool:
        """See ``Reader``."""
        return self._calls or any(kind in SERVER_TOOLS for kind in self._blocks.values())

    @property
    def next_index(self) -> int:
        """Where the next block goes."""
        return self._wire.next_index

    def feed(self, data: bytes) -> bytes:
        """See ``Reader``."""
        return b"".join([self._read(frame) for frame in self._frames.feed(data)])

    def close(self, *, whole: bool) -> bytes:
        """See ``Reader``. An event that broke off is left out: it has no place in the client's message."""
        rest = b"".join([self._read(frame) for frame in self._frames.close() if whole and parse(frame.parse()[1])])
        if self.refused is not None:
            return b""
        return rest + self._open() + (self._finished() if whole else b"")

    def flush(self) -> bytes:
        """See ``Reader``."""
        return self._open()

    def stand(self) -> bytes:
        """See ``Reader``."""
        return self._open() + self._last(self._terminal) + bytes(self._after)

    def give_up(self) -> bytes:
        """See ``Reader``. What has no place in the client's message yet is not sent."""
        return b""

    def end_blocks(self) -> bytes:
        """The ends of blocks that are still open, before a seam."""
        open_blocks, self._blocks = self._blocks, {}
        return b"".join(event({"type": "content_block_stop", "index": index}) for index in open_blocks)

    def _read(self, frame: Frame) -> bytes:
        if self.refused is None:
            return self._take(frame)
        self._after += frame.raw
        self.stopped = self.stopped or is_last(frame)
        return b""

    def _take(self, frame: Frame) -> bytes:
        name, data = frame.parse()
        found = parse(data)
        kind = text(found.get("type")) or name
        if kind == "message_start":
            self._start = found
            return b""
        if kind.startswith("content_block_"):
            self._seen.append(frame)
            return self._open() + self._content(kind, found)
        if kind == "message_delta":
            return self._delta(found)
        if self._opened:
            return frame.raw
        self._held.append(frame.raw)
        return b""

    def _open(self) -> bytes:
        if self._opened:
            return b""
        wire = self._wire
        start = b"" if wire.opened else wire.start_frame(self._start)
        self._opened = wire.opened = True
        seams = wire.seam_frames()
        held, self._held, self._base = self._held, [], wire.next_index
        return start + seams + b"".join(held)

    def _content(self, kind: str, found: Json) -> bytes:
        if not isinstance(index := found.get("index"), int):
            return event(found)
        index += self._base
        out = event({**found, "index": index})
        self._wire.next_index = max(self._wire.next_index, index + 1)
        if kind == "content_block_start":
            self._begin(index, table(found.get("content_block")))
        elif kind == "content_block_stop" and self._wire.guard and self._blocks.get(index) == "tool_use":
            self._ends.append(out)
            return b""
        elif kind == "content_block_stop":
            self._blocks.pop(index, None)
        return out

    def _begin(self, index: int, block: Json) -> None:
        kind = text(block.get("type")) or ""
        self._blocks[index] = kind
        self._calls = self._calls or kind == "tool_use"
        if kind == "fallback":
            self._handed = text(table(block.get("to")).get("model"))

    def _delta(self, found: Json) -> bytes:
        reason = table(found.get("delta")).get("stop_reason")
        if reason == "refusal":
            self._terminal = found
            self.refused = Refused(
                event=found,
                start=self._start,
                blocks=content(self._seen),
                shown=self._opened,
                handed_from=self._handed,
                silent=self._silent,
                held=self._wire.held(self._ends),
            )
            return b""
        return self._open() + self._finished() + self._last(found)

    def _finished(self) -> bytes:
        ends, self._ends = self._ends, []
        return b"".join(ends)

    def _last(self, found: Json) -> bytes:
        delta, usage = {**table(found.get("delta"))}, {**table(found.get("usage"))}
        if isinstance(details := delta.get("stop_details"), dict) and delta.get("stop_reason") == "refusal":
            delta["stop_details"] = {"recommended_model": None, **without_token(details)}
        usage["iterations"] = [*self._wire.iterations, served(usage, self._model)]
        ended = {**found, "delta": delta, "usage": usage}
        return event(transformed(ended, self._start) if self._silent else ended)
