"""Sends one stored request to a Messages API, and reads how it ended. Only where a person asked for it.

The credentials are those of the environment at that moment. They go into the request's head and nowhere else: no error here tells of
a head. Redirects are not followed, as the credentials would go along. What an answer says is read and dropped; only how it ended is told,
without the credentials, should whoever answers say them back.

A stream may be let go as soon as a text or a call of a tool has begun in it: it was then not declined before output, and the rest would only
cost. Thinking is no such sign, as a request can be declined behind it. ``max_tokens`` is left as it was for the same purpose: it is part of what was asked, and a smaller one changes what a model with
a thinking budget may do.
"""

import asyncio
import os
import ssl
import time
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp

from proxy import __version__
from proxy.core.detect import detect, result
from proxy.core.encoding import Decoder
from proxy.core.fold import LARGEST
from proxy.core.location import NEVER
from proxy.core.message import Events, parse, read_body, table, text
from proxy.core.redact import Redactor
from proxy.core.sse import Frames
from proxy.upstream import CONNECT_S, UpstreamError, environment_proxy, origin
from schemas.labels import Result
from schemas.wire import Message

SILENCE_S = 300.0
"""How long an answer may be silent, in seconds: the API's own clients wait as long."""
WHOLE_S = 900.0
"""How long an answer may take as a whole."""

KEPT = ("anthropic-version", "anthropic-beta")
"""Of the stored headers those that say how the body is to be read."""
VERSION = "2023-06-01"
_STATUS = {
    401: "the credentials were not accepted (HTTP 401)",
    403: "not permitted (HTTP 403)",
    404: "no such model or address (HTTP 404)",
    413: "too large (HTTP 413)",
    429: "rate limited (HTTP 429)",
    529: "overloaded (HTTP 529)",
}
_BUSY = frozenset({408, 409, 425})
_CLOSED = frozenset({401, 402, 403, 404, 429})
_OUTPUT = frozenset({"text", "tool_use"})
LET_GO = "let go when an answer had begun"


class Ended(NamedTuple):
    """How one request ended; the fields are those of ``schemas.records.Trial``."""

    outcome: Result
    category: str | None = None
    request_id: str | None = None
    status: int | None = None
    ms: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    why: str | None = None

    @property
    def rejected(self) -> bool:
        """Whether the API did not take the request, so that it would not take it again."""
        status = self.status or 0
        return self.outcome == Result.ERROR and 400 <= status < 500 and status not in _BUSY | _CLOSED

    @property
    def closed(self) -> bool:
        """Whether the API takes no request at all now: credentials, account, model, rate limit."""
        return self.outcome == Result.ERROR and self.status in _CLOSED


def credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """The header fields that ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN make, as Claude Code and the SDK send them."""
    fields = {}
    if key := environment.get("ANTHROPIC_API_KEY", "").strip():
        fields["x-api-key"] = key
    if token := environment.get("ANTHROPIC_AUTH_TOKEN", "").strip():
        fields["authorization"] = f"Bearer {token}"
    return fields


class Resender:
    """The way to one API. ``url``, ``ca``, ``proxy`` as in ``proxy.upstream.Upstream``; ``stored``: the headers on record.

    Raises ``UpstreamError`` for what cannot be used.
    """

    def __init__(
        self, url: str, credentials: Mapping[str, str], stored: Mapping[str, str], *, ca: str = "", proxy: str = ""
    ) -> None:
        parts = origin(url)
        self.host = parts.netloc
        self._url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/v1/messages"
        if "anthropic-beta" in stored:
            self._url += "?beta=true"  # as the SDK and Claude Code ask for the beta surface
        self._head = {
            "content-type": "application/json",
            "accept-encoding": "gzip, deflate, br, zstd",
            "user-agent": f"demur/{__version__}",
            "anthropic-version": VERSION,
            **{name: stored[name] for name in KEPT if name in stored},
            **credentials,
        }
        self._tls = _context(ca) if parts.scheme == "https" else None
        self._proxy = proxy or environment_proxy(parts.scheme, parts.netloc)
        named = (word for field in credentials.values() for word in (field, field.removeprefix("Bearer ")))
        self._secrets = sorted({word for word in named if word}, key=len, reverse=True)

    def send(self, body: bytes, *, early: bool = False) -> Ended:
        """Sends it and waits for its end; with ``early`` only until it has begun to be answered. Raises KeyboardInterrupt alone."""
        began = time.monotonic()
        ended = asyncio.run(self._send(body, early=early))
        return ended._replace(
            ms=round((time.monotonic() - began) * 1000),
            request_id=self._clean(ended.request_id),
            category=ended.category if ended.category in NEVER else self._clean(ended.category),
        )

    def _clean(self, said: str | None) -> str | None:
        """What the other end said, without the credentials it was sent, other secrets, and what is not UTF-8."""
        said = text(said)
        if said is None:
            return None
        for secret in self._secrets:
            said = said.replace(secret, "[redacted:credentials]")
        return Redactor().text(said)[0]

    async def _send(self, body: bytes, *, early: bool) -> Ended:
        limits = aiohttp.ClientTimeout(total=WHOLE_S, sock_connect=CONNECT_S, sock_read=SILENCE_S)
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=limits, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
                ) as session,
                session.post(
                    self._url,
                    data=body,
                    headers=self._head,
                    allow_redirects=False,
                    proxy=self._proxy or None,
                    ssl=self._tls or True,
                ) as response,
            ):
                return await _read(response, early=early)
        except TimeoutError:
            return Ended(Result.CUT, why="no answer in time")
        except aiohttp.ClientConnectorCertificateError:
            return Ended(
                Result.ERROR, why=f"the certificate of {self.host} is not trusted; see the setting upstream_ca"
            )
        except aiohttp.ClientConnectorError as error:
            return Ended(Result.ERROR, why=f"cannot reach {self.host}: {_words(error.os_error)}")
        except (aiohttp.ClientError, ValueError, OSError) as error:
            return Ended(Result.CUT, why=f"the connection failed ({type(error).__name__})")


async def _read(response: aiohttp.ClientResponse, *, early: bool) -> Ended:
    events, frames, whole = Events(), Frames(), bytearray()
    decoder = Decoder(response.headers.getall("content-encoding", []))
    streamed = "event-stream" in response.headers.get("content-type", "").lower()
    async for data in response.content.iter_any():
        plain = decoder.feed(data)
        for frame in frames.feed(plain) if streamed else ():
            name, said = frame.parse()
            events.take(said, name)
            if early and response.status < 300 and not events.decided and _speaks(said, name):
                begun = Result.RECOVERED_BY_API if events.message.seams else Result.ANSWERED
                return _ended(response, events.message, begun, LET_GO)
        whole += b"" if streamed else plain
        if decoder.failed or max(len(whole), frames.pending) > LARGEST:
            return _ended(response, Message(), Result.UNREADABLE, "the answer could not be read")
        if events.decided:
            break
    message = events.message if streamed else read_body(bytes(whole))
    outcome = result(message, detect(message))
    if response.status >= 300 and outcome in (Result.CUT, Result.ANSWERED):
        outcome = Result.ERROR
    return _ended(response, message, outcome, _why(outcome, response.status))


def _speaks(data: bytes, name: str) -> bool:
    """Whether an event begins a block of output."""
    event = parse(data)
    return (event.get("type") or name) == "content_block_start" and table(event.get("content_block")).get(
        "type"
    ) in _OUTPUT


def _ended(response: aiohttp.ClientResponse, message: Message, outcome: Result, why: str | None) -> Ended:
    return Ended(
        outcome,
        category=_category(message),
        request_id=response.headers.get("request-id") or message.request_id,
        status=response.status,
        input_tokens=message.usage.input_tokens,
        output_tokens=message.usage.output_tokens,
        why=why,
    )


def _category(message: Message) -> str | None:
    """As what it was declined; one of ``NEVER``, where the answer names one anywhere."""
    verdict = detect(message)
    named = [message.category, *(seam.category for seam in message.seams)]
    return next((one for one in named if one in NEVER), verdict.category if verdict else None)


def _why(outcome: Result, status: int) -> str | None:
    if outcome == Result.CUT:
        return "the answer was cut off"
    if outcome != Result.ERROR:
        return None
    if status < 300:
        return "the answer ended in an error"
    if status < 400:
        return f"it was redirected, which is not followed (HTTP {status})"
    return _STATUS.get(status, f"HTTP {status}")


def _words(error: OSError) -> str:
    return os.strerror(error.errno) if isinstance(error, ConnectionError) and error.errno else "no connection"


def _context(ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca:
        try:
            context.load_verify_locations(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            raise UpstreamError(f"cannot read certificates from {ca}: {error.strerror or error}") from error
    return context
