"""A Messages API that says what a test wrote down for it, one script a request, and remembers what it was asked.

It writes events as the API does: spaces before the closing brace of the data, pings spelled with a space. What belongs to fallback
credit is left out of ``stop_details`` unless the request asked for it (Anthropic, "Fallback credit").
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any, NamedTuple

from msgspec import Struct

from proxy.pretend.compress import Compressor
from wire import Seen, serving

type Json = dict[str, Any]

_CREDIT = ("fallback-credit-", "server-side-fallback-")
"""How the betas begin with which a refusal tells of credit."""
_CREDIT_FIELDS = ("fallback_credit_token", "fallback_has_prefill_claim")
_MISSING = 64
"""How many bytes more a cut message announces than it brings."""
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'


class Script(Struct, frozen=True, kw_only=True):
    """One answer: a stream of ``events``, or one ``message`` (or error) as JSON."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    events: Sequence[Json] | None = None
    message: Json | None = None
    hang_up: bool = False
    """The connection is closed instead of any answer."""
    cut: int | None = None
    """It is closed after so many events; of a message, bytes."""
    gzip: bool = False
    """Whatever encoding was asked for."""
    padding: tuple[int, ...] = (3, 0)
    """How many spaces stand before the closing brace of each event's data, over and over."""
    sizes: tuple[int, ...] = ()
    """Of the pieces that the body is written in, over and over; else an event is a piece."""


class Request(NamedTuple):
    """What the API was asked."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: Json

    @property
    def betas(self) -> frozenset[str]:
        return frozenset(filter(None, (beta.strip() for beta in self.headers.get("anthropic-beta", "").split(","))))

    @property
    def asks_for_credit(self) -> bool:
        return any(beta.startswith(_CREDIT) for beta in self.betas)


type Answering = Callable[[Request], Script]


class Api:
    """The API, while it serves."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.asked: list[Request] = []
        self.url = ""

    async def play(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        request = _request(seen)
        self.asked.append(request)
        script = self.answering(request)
        if script.hang_up:
            writer.close()
            return
        pieces = list(_pieces(script, credit=request.asks_for_credit))
        writer.write(_head(script, f"req_{len(self.asked)}", sum(map(len, pieces))))
        for piece in pieces:
            writer.write(piece if script.events is None else b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0)
        if script.cut is not None:
            writer.close()
        elif script.events is not None:
            writer.write(b"0\r\n\r\n")


@asynccontextmanager
async def scripted(*scripts: Script, answering: Answering | None = None) -> AsyncIterator[Api]:
    """The API on a free port of loopback: it answers by ``scripts`` in order, or by ``answering``."""
    api = Api(answering or in_order(scripts))
    async with serving(api.play) as server:
        api.url = server.url
        yield api


def in_order(scripts: Sequence[Script]) -> Answering:
    """One script a request. What was not foreseen gets a 418, which nobody takes for an answer."""
    rest = iter(scripts)
    return lambda _: next(rest, None) or Script(status=418, message=failure(418))


def failure(status: int, message: str = "scripted") -> Json:
    """The body of an HTTP error (Anthropic, "Errors")."""
    kinds = {400: "invalid_request_error", 404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
    return {"type": "error", "error": {"type": kinds.get(status, "api_error"), "message": message}}


def frame(event: Json, padding: int = 0) -> bytes:
    """An event as it is on the wire."""
    if event["type"] == "ping":
        return _PING
    data = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    return f"event: {event['type']}\ndata: {data[:-1]}{' ' * padding}}}\n\n".encode()


def _request(seen: Seen) -> Request:
    method, target, _ = seen.head.split(b"\r\n", 1)[0].decode().split(" ")
    headers = {name.decode().lower(): value.decode() for name, value in seen.fields}
    return Request(method, target, headers, json.loads(seen.body or b"{}"))


def _head(script: Script, request_id: str, length: int) -> bytes:
    """A stream is chunked; of a message the length is known."""
    fields = [("request-id", request_id), *script.headers]
    if script.events is None:
        more = 0 if script.cut is None else _MISSING
        fields += [("Content-Type", "application/json"), ("Content-Length", str(length + more))]
    else:
        fields += [("Content-Type", "text/event-stream; charset=utf-8"), ("Transfer-Encoding", "chunked")]
    if script.gzip:
        fields.append(("Content-Encoding", "gzip"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 {script.status} Scripted\r\n{lines}\r\n".encode()


def _pieces(script: Script, *, credit: bool) -> Iterator[bytes]:
    wire = list(_body(script, credit=credit))
    if script.gzip:
        compressor = Compressor("gzip")
        wire = [*map(compressor.piece, wire), *([compressor.last()] if script.cut is None else [])]
    return _resized(b"".join(wire), script.sizes) if script.sizes else iter(wire)


def _body(script: Script, *, credit: bool) -> Iterator[bytes]:
    if script.events is None:
        message = script.message if credit else _without_credit(script.message)
        yield json.dumps(message, ensure_ascii=False).encode()[: script.cut]
        return
    for event, padding in zip(script.events[: script.cut], cycle(script.padding), strict=False):
        yield frame(event if credit else _without_credit(event), padding)


def _without_credit[Value](value: Value) -> Value:
    """``value`` without what only a request for credit is told."""
    if isinstance(value, dict):
        return {key: _without_credit(item) for key, item in value.items() if key not in _CREDIT_FIELDS}  # type: ignore[return-value]
    return value


def _resized(body: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    at = 0
    for size in cycle(sizes):
        if at >= len(body):
            return
        yield body[at : at + size]
        at += size
