"""Whatever an API answers, a client gets the same through demur as without it: status, fields, every byte of the body.

The answers are made up: all encodings and several at once, true or claimed, all framings with chunks of any size, odd
fields, bodies that look like streams and bodies that look like nothing. For mitmproxy "without" is a mitmdump that only
streams, since mitmproxy changes some answers by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import cycle
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from answers import ANSWER, MID, REFUSAL
from e2e_process import Process, mitm, mitmdump
from gateways import gateway
from mitmproxies import secure_tunnel
from proxy.pretend.compress import Compressor
from wire import Seen, Server, ask, read_message, serving

HOP_BY_HOP = {b"connection", b"keep-alive"}
"""Of what the answers have; the framing must stay."""
HOST = "api.anthropic.com"
ASKED = b'{"model": "claude-opus-5", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'


class Made(NamedTuple):
    """An answer."""

    status: int
    reason: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes
    encodings: list[str]
    true: bool
    """Whether the body has the encodings that it claims."""
    framing: str
    sizes: list[int]
    """Of the pieces, and chunks, that it is written in, over and over."""

    @property
    def bodiless(self) -> bool:
        return self.status in {204, 304}

    def encoded(self) -> bytes:
        if self.true and self.encodings:
            compressor = Compressor(",".join(self.encodings))
            return compressor.piece(self.body) + compressor.last()
        return self.body

    def pieces(self) -> list[bytes]:
        """The head, and the body as it is framed."""
        body = b"" if self.bodiless else self.encoded()
        fields = [*self.fields]
        if self.encodings:
            fields.append((b"content-ENCODING", ", ".join(self.encodings).encode()))
        if self.framing == "length" and not self.bodiless:
            fields.append((b"Content-Length", b"%d" % len(body)))
        if self.framing == "chunked" and not self.bodiless:
            fields.append((b"Transfer-Encoding", b"chunked"))
        head = b"HTTP/1.1 %d %s\r\n" % (self.status, self.reason)
        cut = list(self._cut(body))
        if self.framing == "chunked" and not self.bodiless:
            cut = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in cut] + [b"0\r\n\r\n"]
        return [head + b"".join(b"%s: %s\r\n" % field for field in fields) + b"\r\n", *cut]

    def _cut(self, body: bytes) -> Iterator[bytes]:
        sizes = cycle(self.sizes)
        at = 0
        while at < len(body):
            size = max(next(sizes), len(body) // 500)
            yield body[at : at + size]
            at += size

    @property
    def play(self) -> Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]:
        pieces = self.pieces()

        async def play(_: Seen, writer: asyncio.StreamWriter) -> None:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if self.framing == "close":
                writer.close()

        return play


_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz"
_NAMES = st.one_of(
    st.sampled_from(
        [b"Set-Cookie", b"set-cookie", b"Date", b"Vary", b"request-id", b"Content-Type", b"ETag", b"x-should-retry"]
    ),
    st.lists(st.sampled_from(list(_TOKEN)), min_size=1, max_size=12).map(lambda some: b"x-" + bytes(some)),
)
_VISIBLE = [n for n in range(0x21, 0x100) if n != 0x7F]
_VALUES = st.lists(st.sampled_from([*_VISIBLE, 0x20, 0x09]), max_size=60).map(lambda some: bytes(some).strip(b" \t"))
_FIELDS = st.one_of(
    st.lists(st.tuples(_NAMES, _VALUES), max_size=12), st.just([(b"X-Many", b"%d" % n) for n in range(150)])
)
_REASONS = st.one_of(
    st.sampled_from([b"OK", b"", b"Not  So   Fine"]),
    st.lists(st.sampled_from([*_VISIBLE, 0x20]), max_size=20).map(lambda some: bytes(some).strip()),
)
_SCRAPS = [
    b"event: message_delta\n",
    b"data: {",
    b'"stop_reason":"refusal"',
    b"}\n",
    b"\n\n",
    b"\r\n",
    b"\r",
    b": ping\n",
    b"\xff",
    b"data",
]
_BODIES = st.one_of(
    st.sampled_from(
        [ANSWER, MID, REFUSAL, REFUSAL[:-40], b"", b'{"type":"message","stop_reason":"refusal"}', b"null", b"["]
    ),
    st.lists(st.sampled_from(_SCRAPS), max_size=40).map(b"".join),
    st.binary(max_size=400),
    st.builds(
        lambda seed, size: Random(seed).randbytes(size), st.integers(0, 3), st.sampled_from([1, 70_000, 3_000_000])
    ),
    st.builds(lambda seed, size: bytes(Random(seed).choices(b"ab\n", k=97)) * size, st.integers(0, 3), st.just(20_000)),
)
_TYPES = st.sampled_from(
    [[], [(b"content-type", b"text/event-stream; charset=utf-8")], [(b"Content-Type", b"application/json")]]
)
MADE = st.builds(
    Made,
    status=st.one_of(st.sampled_from([200, 204, 304, 400, 529]), st.integers(200, 599)),
    reason=_REASONS,
    fields=st.builds(lambda some, more: [*more, *some], _FIELDS, _TYPES),
    body=_BODIES,
    encodings=st.lists(st.sampled_from(["gzip", "deflate", "br", "zstd", "identity"]), max_size=3),
    true=st.sampled_from([True, True, False]),
    framing=st.sampled_from(["length", "chunked", "close"]),
    sizes=st.lists(st.one_of(st.integers(1, 60), st.integers(1, 100_000)), min_size=1, max_size=5),
)
_STREAM = [(b"content-type", b"text/event-stream")]
BOMB = Made(200, b"OK", _STREAM, b"\0" * (40 << 20), ["gzip", "br"], true=True, framing="chunked", sizes=[9000])


class Got(NamedTuple):
    """What a client can see of an answer."""

    status: bytes
    fields: list[tuple[bytes, bytes]]
    body: bytes
    ending: bytes


def got(seen: Seen) -> Got:
    fields = [(name, value) for name, value in seen.fields if name.lower() not in HOP_BY_HOP]
    return Got(seen.head.split(b"\r\n")[0], fields, seen.body, seen.ending)


def request(path: bytes = b"/v1/messages", host: str = "api") -> bytes:
    head = b"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n" % (path, host.encode())
    return head + b"Content-Length: %d\r\n\r\n%s" % (len(ASKED), ASKED)


@settings(max_examples=60)
@example(BOMB, b"/v1/messages")
@given(MADE, st.sampled_from([b"/v1/messages", b"/v1/messages?beta=true", b"/v1/messages/count_tokens", b"/api/other"]))
async def test_through_the_gateway_an_answer_is_what_it_is_without(made: Made, path: bytes) -> None:
    async with serving(made.play) as server, gateway(server.url) as url:
        without = await ask(server.url, request(path), bodiless=made.bodiless)
        assert without.body == made.encoded() or made.bodiless
        assert got(await ask(url, request(path), bodiless=made.bodiless)) == got(without)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(b"") as server:
        yield server


@pytest.fixture
async def proxies(server: Server, tmp_path: Path) -> AsyncIterator[tuple[Process, Process]]:
    with mitmdump(server.url, tmp_path / "plain") as plain, mitm(server.url, tmp_path / "demur.db") as demur:
        yield plain, demur


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(BOMB)
@given(MADE)
async def test_through_mitmproxy_an_answer_is_what_it_is_without_the_add_on(
    server: Server, proxies: tuple[Process, Process], made: Made
) -> None:
    server.play = made.play
    without, through = [await _ask_through(proxy, bodiless=made.bodiless) for proxy in proxies]
    assert got(through) == got(without)
    assert without.body == made.encoded() or made.bodiless


async def _ask_through(proxy: Process, *, bodiless: bool) -> Seen:
    """Asks the API through an HTTP proxy, as Claude Code does."""
    authority = Path(proxy.said["NODE_EXTRA_CA_CERTS"])
    async with secure_tunnel(proxy.said["HTTPS_PROXY"], HOST, ca=authority) as (reader, writer):
        writer.write(request(host=HOST))
        return await read_message(reader, bodiless=bodiless)
