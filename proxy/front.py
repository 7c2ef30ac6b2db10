"""A client's connection to the gateway: requests in, answers out, one after another.

The heads are read by llhttp, strictly; what it will not read gets a 400. Requests that come before the last answer is out wait
their turn. A client that closes its side has left, and what it had asked for is given up at once.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import httptools

from proxy import http1
from proxy.core.headers import Headers
from proxy.outbox import Outbox
from proxy.turn import Asked, Turn, own_answer

if TYPE_CHECKING:
    from proxy.gateway import Gateway

LINGER_S = 5.0
"""How long a client that is still sending after its answer is listened to, in seconds, so that it can read the answer."""


class Front(asyncio.Protocol):
    """One connection of a client."""

    transport: asyncio.Transport

    def __init__(self, gateway: "Gateway") -> None:
        self.gateway = gateway
        self._parser = httptools.HttpRequestParser(self)
        self._turns: deque[Turn] = deque()
        self._read = 0
        self._uploads_paused = False
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._upgrading: Headers = ()
        self._in_body = self._completed = self.closing = False

    @property
    def busy(self) -> bool:
        """Whether an answer is owed."""
        return bool(self._turns)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        self.transport = transport  # type: ignore[assignment]
        self.outbox = Outbox(self.transport, self.gateway.upstream.cork)
        self.gateway.fronts.add(self)

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        self.gateway.upstream.cork.hold()
        try:
            self._receive(data)
        finally:
            self.gateway.upstream.cork.release()

    def _receive(self, data: bytes) -> None:
        self._completed = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_anew(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._bad(400, f"this is not HTTP/1.1 ({error})")
            return
        self._read = 0 if self._in_body or self._completed else self._read + len(data)
        if self._read > http1.LARGEST_HEAD:
            self._bad(431, "the request's head is too large")

    def eof_received(self) -> None:
        """asyncio's. The transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's."""
        self.gateway.fronts.discard(self)
        for turn in self._turns:
            turn.leave()
        self._turns.clear()
        self.gateway.left()

    def pause_writing(self) -> None:
        """asyncio's."""
        for turn in self._turns:
            turn.pause(paused=True)

    def resume_writing(self) -> None:
        """asyncio's."""
        for turn in self._turns:
            turn.pause(paused=False)

    def retire(self) -> None:
        """Close as soon as nothing is owed."""
        self.closing = True
        if not self._turns:
            self.outbox.close()

    def done(self, turn: Turn, *, last: bool) -> None:
        """The answer to ``turn`` is out."""
        self._turns.remove(turn)
        if last or self.closing:
            self._turns.clear()
            self._linger(turn)
        elif self._turns:
            self._turns[0].start()
        self._flow()
        self.gateway.left()

    def upload(self, *, paused: bool) -> None:
        """Whether to stop reading the body of the request that is being passed on."""
        self._uploads_paused = paused
        self._flow()

    # httptools' callbacks

    def on_url(self, data: bytes) -> None:
        """A piece of the target."""
        self._url += data

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head or, after the body, a trailer."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The head of a request."""
        target, headers = self._url, tuple(self._fields)
        self._url, self._fields, self._in_body = b"", [], True
        if self._upgrading or self.closing:
            self._upgrading = ()
            return
        if self._parser.should_upgrade():
            self._upgrading = headers
        asked = Asked(self._parser.get_method(), target, headers, self._parser.get_http_version() != "1.0")
        turn = Turn(self, asked, stays=self._parser.should_keep_alive())
        self._turns.append(turn)
        if len(self._turns) == 1:
            turn.start()
        self._flow()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self._turns and not self._turns[-1].sent:
            self._turns[-1].body(data)

    def on_message_complete(self) -> None:
        """The end of a request; of one that asks for an upgrade, llhttp says so before the body."""
        if self._upgrading:
            return
        self._in_body, self._completed = False, True
        trailers, self._fields = tuple(self._fields), []
        if self._turns and not self._turns[-1].sent:
            self._turns[-1].body_end(trailers)
        elif self.closing and not self._turns:
            self.outbox.close()

    # odds and ends

    def _flow(self) -> None:
        if self.transport.is_closing():
            return
        if self._uploads_paused or len(self._turns) > 1:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _linger(self, turn: Turn) -> None:
        """A connection that is closed while bytes still come is reset, and the client might lose its answer."""
        self.closing = True
        self._uploads_paused = False
        if turn.sent:
            self.outbox.close()
        else:
            asyncio.get_running_loop().call_later(LINGER_S, self.outbox.close)

    def _bad(self, status: int, why: str) -> None:
        if not self._turns:
            self.outbox.write(own_answer(status, "invalid_request_error", why))
        self.outbox.close()

    def _read_anew(self, rest: bytes) -> None:
        """An upgrade is ignored, as RFC 9110, 7.8 allows. llhttp leaves the body unread then, so a second one reads it."""
        framing = [pair for pair in self._upgrading if pair[0].lower() in _FRAMING]
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(http1.request_head(b"POST", b"/", tuple(framing)))
        self._parser.feed_data(rest)


_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
