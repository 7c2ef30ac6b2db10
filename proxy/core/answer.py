"""One answer of the API, as an onlooker reads it: its status, its request id, and the messages that its bytes tell."""

from proxy.core.encoding import Decoder
from proxy.core.fold import BatchFold, BodyFold, EventStreamFold, Fold, SniffedFold, StreamFold
from proxy.core.headers import Headers, first, length, values
from proxy.core.surface import Surface
from schemas.wire import Message


class Answer:
    """Fed the bytes as they pass, encoded or not. Never raises for what they are."""

    def __init__(self, surface: Surface = Surface.MESSAGES) -> None:
        self.status = 0
        self.request_id: str | None = None
        self.message = Message()
        """The last that was read."""
        self.whole = False
        self._surface = surface
        self._decoder, self._encoded = Decoder(()), False
        self._fold: Fold = BodyFold()

    def opened(self, status: int, headers: Headers) -> None:
        """The head."""
        self.status = status
        self.request_id = first(headers, b"request-id") or first(headers, b"x-amzn-requestid")
        codings = values(headers, b"content-encoding")
        self._decoder, self._encoded = Decoder(codings), bool(codings)
        self._fold = _fold(self._surface, status, headers, None if codings else length(headers))

    def feed(self, data: bytes) -> list[Message]:
        """The messages that a piece of the body decides."""
        return self._last(self._fold.feed(self._decoder.feed(data) if self._encoded else data))

    def finish(self, *, whole: bool) -> list[Message]:
        """The end; ``whole`` False where it was cut or the client left."""
        self.whole = whole
        return self._last(self._fold.close())

    @property
    def unread(self) -> bool:
        """Whether its bytes could not be read any further."""
        return bool(self._decoder.failed or self._fold.failed)

    def _last(self, messages: list[Message]) -> list[Message]:
        if messages:
            self.message = messages[-1]
        return messages


def _fold(surface: Surface, status: int, headers: Headers, size: int | None) -> Fold:
    kind = (first(headers, b"content-type") or "").lower()
    if surface is Surface.BATCH_RESULTS and status < 300:
        return BatchFold()
    if "amazon.eventstream" in kind:
        return EventStreamFold()
    return StreamFold() if "event-stream" in kind else SniffedFold(size)
