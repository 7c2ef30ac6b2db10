"""Puts one answer on the wire: how it is encoded, framed, paced, split, and where it breaks off."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import cycle

from aiohttp import web
from msgspec import Struct

from proxy.pretend.compress import Compressor
from proxy.pretend.options import Options

_ODD_SIZES = (1, 2, 3, 5, 8, 13, 21, 34, 55)
_MISSING = 64
"""How many bytes more a cut answer announces than it brings."""


class Answer(Struct, kw_only=True):
    """One HTTP answer before it is encoded: a status, headers, the body in pieces, and whether it breaks off."""

    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    pieces: Sequence[bytes] = ()
    stream: bool = False
    cut: bool = False
    pace: float = 0.0
    late: tuple[int, float] = (0, 0.0)
    """A piece by its number, and how many seconds it waits."""


class Ticker:
    """Says when the next piece may go: by pace, or step by step as a test wants it."""

    def __init__(self) -> None:
        self._steps = asyncio.Semaphore(0)

    def step(self, count: int) -> None:
        """Lets `count` more pieces go."""
        for _ in range(count):
            self._steps.release()

    async def wait(self, options: Options, pace: float, *, first: bool) -> None:
        """Returns when the next piece may go."""
        if options.stepped:
            await self._steps.acquire()
        elif not first and (seconds := options.pace or pace):
            await asyncio.sleep(seconds)


async def deliver(
    request: web.BaseRequest, answer: Answer, options: Options, ticker: Ticker, sent: Callable[[], Awaitable[None]]
) -> web.StreamResponse:
    """Writes the answer and awaits `sent` after each piece; a cut one ends by closing the connection, with no end mark.

    Raises ConnectionError or CancelledError when the client leaves.
    """
    wire = list(_wire(answer, options))
    response = web.StreamResponse(status=answer.status)
    response.headers.extend(answer.headers)
    if options.encoding != "identity":
        response.headers["Content-Encoding"] = options.encoding
    if options.framing == "length" or (options.framing == "auto" and not answer.stream):
        response.content_length = sum(map(len, wire)) + (_MISSING if answer.cut else 0)
    await response.prepare(request)
    for number, piece in enumerate(wire if request.method != "HEAD" else ()):
        if number == answer.late[0]:
            await asyncio.sleep(answer.late[1])
        await ticker.wait(options, answer.pace, first=number == 0)
        await response.write(piece)
        await sent()
    if answer.cut:
        hang_up(request)
    else:
        await response.write_eof()
    return response


def hang_up(request: web.BaseRequest) -> None:
    """Closes the connection: what was written arrives, nothing else does."""
    if request.transport is not None:
        request.transport.close()


def _wire(answer: Answer, options: Options) -> Iterator[bytes]:
    compressor = Compressor(options.encoding)
    encoded = [compressor.piece(piece) for piece in answer.pieces]
    if not answer.cut:
        encoded.append(compressor.last())
    body = _odd(b"".join(encoded)) if options.split else encoded
    return filter(None, body)


def _odd(body: bytes) -> Iterator[bytes]:
    start = 0
    for size in cycle(_ODD_SIZES):
        if start >= len(body):
            return
        yield body[start : start + size]
        start += size
