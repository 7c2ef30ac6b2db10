"""One connection to the API, which carries one request at a time.

It tells its listener what comes of the request: interim answers, the head, pieces of the body as they come, the proper end, or that it
failed. A body that ends before its framing says so has failed; nobody may take a cut for an end.
"""

import asyncio
from typing import Protocol

import httptools

from proxy import http1
from proxy.core.commands import Opened
from proxy.core.headers import Headers, end_to_end
from proxy.outbox import Cork, Outbox

IDLE_S = 55.0
"""How long an idle connection is kept, in seconds; shorter than servers usually keep one."""
SWITCHING = 101
"""The status of an upgrade (RFC 9110, 15.2.2), which the gateway never asks for."""
FINAL = 200
"""The least status of an answer that is not interim (RFC 9110, 15.2)."""


class Home(Protocol):
    """Where connections belong."""

    prefix: bytes
    """What stands before each target."""
    fields: Headers
    """What each request carries besides its own fields."""
    cork: Cork

    def take_back(self, connection: "Connection") -> None:
        """A connection that has done its work."""

    def forget(self, connection: "Connection") -> None:
        """A connection that was closed."""


class Listener(Protocol):
    """Who hears what comes of one request."""

    method: bytes

    def interim(self, head: Opened) -> None:
        """The head of an answer of the 1xx kind."""

    def opened(self, head: Opened) -> None:
        """The head of the answer, hop-by-hop fields taken off."""

    def chunk(self, data: bytes) -> None:
        """A piece of the body."""

    def ended(self, trailers: Headers) -> None:
        """The answer is whole."""

    def failed(self, why: str) -> None:
        """The answer will not come, or not any further."""

    def upload(self, *, paused: bool) -> None:
        """Whether the API reads more slowly than the client sends."""


class Connection(asyncio.Protocol):
    """One connection to the API."""

    transport: asyncio.Transport

    def __init__(self, home: Home) -> None:
        self._home = home
        self._listener: Listener | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.open = False
        self.broken: str | None = None

    def begin(self, listener: Listener, target: bytes, headers: Headers) -> None:
        """Send the head of a request; its body follows by ``send``."""
        if self._timer:
            self._timer.cancel()
        self._listener = listener
        self._parser = httptools.HttpResponseParser(self)
        self._read, self._headed, self._whole, self._reusable = 0, False, False, False
        self._reason = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._heads: list[Opened] = []
        headers += self._home.fields
        self.outbox.write(http1.request_head(listener.method, self._home.prefix + target, headers))

    def send(self, data: bytes) -> None:
        """A piece of the body, framed."""
        self.outbox.write(data)

    def abort(self) -> None:
        """Close at once, whatever is on its way."""
        self._listener = None
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        self.transport = transport  # type: ignore[assignment]
        self.outbox = Outbox(self.transport, self._home.cork)
        self.open = True

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        self._home.cork.hold()
        try:
            self._receive(data)
        finally:
            self._home.cork.release()

    def eof_received(self) -> None:
        """asyncio's. The transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's."""
        self.open = False
        self._home.forget(self)
        if self._listener is None:
            return
        if exc is None and self._headed and self._framing is http1.Framing.CLOSE:
            self._end()
        else:
            self._fail("the API closed the connection" if exc is None else f"the connection broke: {exc}")

    def pause_writing(self) -> None:
        """asyncio's."""
        if self._listener:
            self._listener.upload(paused=True)

    def resume_writing(self) -> None:
        """asyncio's."""
        if self._listener:
            self._listener.upload(paused=False)

    def rest(self) -> None:
        """Wait for the next request, for a while. Whoever had the last one may have left it paused."""
        self.transport.resume_reading()
        self._timer = asyncio.get_running_loop().call_later(IDLE_S, self.transport.abort)

    def _receive(self, data: bytes) -> None:
        if self._listener is None or self._whole:
            self.transport.abort()
            return
        problem = self._parse(data)
        self._tell(self._listener)
        if self._listener is None:  # it has let go of this answer, and what is left of it is nobody's
            return
        if problem and not self._whole:
            self._fail(problem)
        elif self._whole:
            self._end()

    def _parse(self, data: bytes) -> str | None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return "the API switched protocols, which nobody had asked for"
        except httptools.HttpParserError as error:
            return f"the API sent what is not HTTP/1.1: {error}"
        if not self._headed:
            self._read += len(data)
        return "the API sent too large a head" if self._read > http1.LARGEST_HEAD else None

    def _tell(self, listener: Listener) -> None:
        if self._heads:
            heads, self._heads = self._heads, []
            for head in heads:
                (listener.interim if head.status < FINAL else listener.opened)(head)
        if self._parts and self._listener is listener:
            parts, self._parts = self._parts, []
            listener.chunk(parts[0] if len(parts) == 1 else b"".join(parts))

    def _end(self) -> None:
        listener, self._listener = self._listener, None
        if self._reusable and self.open:
            self._home.take_back(self)
        else:
            self.transport.close()
        if listener:
            listener.ended(tuple(self._fields))

    def _fail(self, why: str) -> None:
        listener, self._listener = self._listener, None
        self.transport.abort()
        if listener:
            listener.failed(why)

    # httptools' callbacks

    def on_status(self, reason: bytes) -> None:
        """A piece of the reason phrase."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head or, after the body, a trailer."""
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The head of an answer, interim or not."""
        status, headers = self._parser.get_status_code(), tuple(self._fields)
        if self._headed or self._listener is None or status == SWITCHING:
            return
        self._heads.append(Opened(status, self._reason, end_to_end(headers)))
        self._reason, self._fields = b"", []
        if status >= FINAL:
            self._headed = True
            self._framing = http1.answer_framing(self._listener.method, status, headers)
            self._whole = self._framing is http1.Framing.NONE

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if not self._whole:
            self._parts.append(data)

    def on_message_complete(self) -> None:
        """The end of an answer, interim or not."""
        if self._headed:
            self._whole = True
            self._reusable = self._parser.should_keep_alive()
