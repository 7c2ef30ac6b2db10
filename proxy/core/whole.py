"""An answer that is no stream: held until it is whole, then sent as it came or, in the official shape, with its seams.

What the refused attempts had written is dropped, as the API does it: the model that answers begins anew.
"""

from proxy.core.fold import LARGEST
from proxy.core.hop import cut
from proxy.core.message import parse, table
from proxy.core.segment import to_json
from proxy.core.splice import TOKENS, Json, Refused, Wire, served, without_token


class Whole:
    """See the head of the module. ``model``: the one that was asked. ``marked``: a later attempt in the official shape."""

    tool = False
    stopped = True
    next_index = 0

    def __init__(self, wire: Wire, model: str, *, marked: bool) -> None:
        self.refused: Refused | None = None
        self._wire, self._model, self._marked = wire, model, marked
        self._body = bytearray()
        self._passing = False

    def feed(self, data: bytes) -> bytes:
        """See ``Reader``."""
        if self._passing:
            return data
        self._body += data
        return self.give_up() if len(self._body) > LARGEST else b""

    def close(self, *, whole: bool) -> bytes:
        """See ``Reader``."""
        if self._passing:
            return b""
        body = bytes(self._body)
        found = parse(body) if whole else {}
        if found.get("stop_reason") == "refusal":
            content = found.get("content")
            blocks = content if isinstance(content, list) else []
            self.refused = Refused(event=found, start={"message": found}, blocks=blocks, shown=False)
            return b""
        out = to_json(self._seamed(found)) if self._marked and found else body if found else self._shown(body)
        self._body = bytearray()
        return out

    def flush(self) -> bytes:
        """See ``Reader``. A part of a body is of no use to anybody: what it says is awaited all the same."""
        return b""

    def give_up(self) -> bytes:
        """See ``Reader``."""
        shown = self._shown(bytes(self._body))
        self._passing, self.refused, self._body = True, None, bytearray()
        return shown

    def stand(self) -> bytes:
        """See ``Reader``."""
        if self._marked and self.refused is not None:
            return to_json(self._without_token(self._seamed(self.refused.event)))
        shown = self._shown(bytes(self._body))
        self._body = bytearray()
        return shown

    def _shown(self, body: bytes) -> bytes:
        return cut(body, TOKENS) if self._wire.secret else body

    def exhausted(self, failed: str | None) -> bytes:
        """The last refusal, where every attempt after it failed; see ``Wire.exhausted``."""
        assert self._wire.refused is not None
        message = self._without_token(self._wire.refused.event)
        if isinstance(details := message.get("stop_details"), dict):
            message["stop_details"] = {**details, "recommended_model": failed}
        usage = {**table(message.get("usage")), "iterations": self._wire.iterations}
        content = [*self._wire.seams, *self._wire.refused.blocks]
        return to_json({**message, "content": content, "usage": usage})

    def _seamed(self, message: Json) -> Json:
        content, usage = message.get("content"), {**table(message.get("usage"))}
        if not isinstance(content, list):
            return message
        usage["iterations"] = [*self._wire.iterations, served(usage, self._model)]
        return {**message, "content": [*self._wire.seams, *content], "usage": usage}

    def _without_token(self, message: Json) -> Json:
        details = message.get("stop_details")
        return {**message, "stop_details": without_token(details)} if isinstance(details, dict) else {**message}
