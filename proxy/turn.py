"""One request's turn on a client's connection: starts its drive, and writes its answer as it came.

What the gateway answers by itself, and only where the API gave no answer, has the shape of the API's own errors and a message that
begins with ``demur:``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from proxy import http1
from proxy.core.commands import Opened
from proxy.core.headers import Headers, end_to_end, length, tokens
from proxy.drive import Drive, Keeper, Retrying
from proxy.http1 import Framing
from proxy.upstream import Upstream

if TYPE_CHECKING:
    from proxy.front import Front

_REASONS = {
    400: b"Bad Request",
    403: b"Forbidden",
    405: b"Method Not Allowed",
    413: b"Content Too Large",
    431: b"Request Header Fields Too Large",
}


def own_answer(status: int, kind: str, why: str) -> bytes:
    """A whole answer of demur's own."""
    body = msgspec.json.encode({"type": "error", "error": {"type": kind, "message": f"demur: {why}"}})
    headers = (
        (b"Content-Type", b"application/json"),
        (b"Content-Length", b"%d" % len(body)),
        (b"Connection", b"close"),
    )
    return http1.answer_head(status, _REASONS.get(status, b"Bad Gateway"), headers) + body


@dataclass(frozen=True, slots=True)
class Asked:
    """The head of a request."""

    method: bytes
    target: bytes
    headers: Headers
    modern: bool
    """HTTP/1.1, so that it takes chunks and interim answers."""


@dataclass(frozen=True, slots=True)
class Service:
    """What a request is served with."""

    headers: Headers
    """Its own, as far as they go on."""
    upstream: Upstream
    keeper: Keeper
    retrying: Retrying | None


class Turn:
    """See the head of the module."""

    def __init__(self, front: "Front", asked: Asked, *, stays: bool) -> None:
        self.sent = False
        self._front, self._asked, self._stays = front, asked, stays
        self._size, self._limit = 0, 0
        self._early: list[Callable[[], None]] = []
        self._started = self._responded = self._over = False
        self._expects = asked.modern and "100-continue" in tokens(asked.headers, b"expect")

    def start(self) -> None:
        """It is this request's turn."""
        self._started = True
        gateway, asked = self._front.gateway, self._asked
        service = gateway.service(asked.headers)
        if service is None:
            self.refuse(403, "permission_error", "this listener is not for you")
            return
        exchange = gateway.exchange(asked.method, asked.target, service.headers)
        self._limit = gateway.max_body if exchange else 0
        self.drive = Drive(self, service.upstream, service.keeper, exchange, service.retrying)
        if asked.method == b"CONNECT":
            self.refuse(
                405, "invalid_request_error", "this is no CONNECT proxy; use `demur mitm`, or set ANTHROPIC_BASE_URL"
            )
        elif self._limit and (length(asked.headers) or 0) > self._limit:
            self._too_large()
        else:
            self._go(service.headers)

    def body(self, data: bytes) -> None:
        """A piece of the request's body."""
        if not self._started:
            self._early.append(lambda: self.body(data))
            return
        self._size += len(data)
        if self._limit and self._size > self._limit:
            self._too_large()
        elif not self._over:
            self.drive.body(data)

    def body_end(self, trailers: Headers) -> None:
        """The end of the request's body."""
        if not self._started:
            self._early.append(lambda: self.body_end(trailers))
            return
        self.sent = True
        if not self._over:
            self.drive.body_end(trailers)

    def pause(self, *, paused: bool) -> None:
        """The client reads too slowly, or does so no longer."""
        if self._started:
            self.drive.pause(paused=paused)

    def leave(self) -> None:
        """The client has left."""
        self._over = True
        if self._started:
            self.drive.leave()

    # what the drive wants of the client (proxy.client.Client)

    def interim(self, head: Opened) -> None:
        """See ``Client``. A 100 that the client waits for was answered here."""
        if self._asked.modern and not self._over and not (self._expects and head.status == 100):
            self._front.outbox.write(http1.answer_head(head.status, head.reason, head.headers))

    def respond(self, status: int, reason: bytes, headers: Headers) -> None:
        """See ``Client``."""
        self._responded = True
        self._framing = http1.answer_framing(self._asked.method, status, headers)
        if self._framing is Framing.CHUNKED and not self._asked.modern:
            headers, self._framing = end_to_end(headers, drop=(b"transfer-encoding",)), Framing.CLOSE
        self._stays = self._stays and self._framing is not Framing.CLOSE and not self._front.closing
        if not self._stays:
            headers += ((b"Connection", b"close"),)
        elif not self._asked.modern:
            headers += ((b"Connection", b"keep-alive"),)
        self._front.outbox.write(http1.answer_head(status, reason, headers))

    def write(self, data: bytes) -> None:
        """See ``Client``."""
        if not self._over:
            self._front.outbox.write(http1.piece(self._framing, data))

    def finish(self, trailers: Headers) -> None:
        """See ``Client``."""
        if not self._over:
            if ending := http1.last_piece(self._framing, trailers):
                self._front.outbox.write(ending)
            self._done(last=not (self._stays and self.sent))

    def abort(self) -> None:
        """See ``Client``."""
        if not self._over:
            self._over = True
            self._front.transport.abort()

    def refuse(self, status: int, kind: str, why: str) -> None:
        """See ``Client``."""
        if self._responded:
            self.abort()
        elif not self._over:
            self._front.outbox.write(own_answer(status, kind, why))
            self._done(last=True)

    def upload(self, *, paused: bool) -> None:
        """See ``Client``."""
        self._front.upload(paused=paused)

    def _go(self, headers: Headers) -> None:
        if self._expects:
            self._front.outbox.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.drive.start(self._asked.method, _origin_form(self._asked.target), end_to_end(headers))
        early, self._early = self._early, []
        for step in early:
            step()

    def _too_large(self) -> None:
        why = f"the request is larger than {self._limit >> 20} MiB; the setting max_body_mb allows more"
        self.refuse(413, "request_too_large", why)
        self.drive.leave()

    def _done(self, *, last: bool) -> None:
        self._over = True
        self._front.done(self, last=last)


def _origin_form(target: bytes) -> bytes:
    """The path and query of a target that names its host as well (RFC 9112, 3.2.2)."""
    if not target[:8].lower().startswith((b"http://", b"https://")):
        return target
    _, slash, path = target.partition(b"//")[2].partition(b"/")
    return slash + path if slash else b"/"
