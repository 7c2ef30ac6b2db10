"""HTTP/1.1 by hand, for tests that look at every byte: a raw server that says what it is told to, and a raw client."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

Play = Callable[["Seen", asyncio.StreamWriter], Awaitable[None]]


class Seen(NamedTuple):
    """A message as it was on the wire."""

    head: bytes
    body: bytes
    """Without chunk framing."""
    ending: bytes = b""
    """What followed the last chunk."""

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        pairs = [line.partition(b":") for line in self.head.split(b"\r\n")[1:] if line]
        return [(name, value.strip(b" ")) for name, _, value in pairs]

    def field(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key.lower() == name]


async def read_message(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Seen:
    """One message. Raises IncompleteReadError where it is cut; a body of unknown length is read to the end."""
    head = await reader.readuntil(b"\r\n\r\n")
    seen = Seen(head, b"")
    if bodiless:
        return seen
    if b"chunked" in b"".join(seen.field(b"transfer-encoding")):
        return await _chunks(reader, head)
    if lengths := seen.field(b"content-length"):
        return Seen(head, await reader.readexactly(int(lengths[0])))
    return Seen(head, await reader.read()) if head.startswith(b"HTTP/") else seen


async def _chunks(reader: asyncio.StreamReader, head: bytes) -> Seen:
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    ending = b""
    while not ending.endswith(b"\r\n\r\n") and ending != b"\r\n":
        ending += await reader.readuntil(b"\r\n")
    return Seen(head, body, ending)


class Server:
    """Answers every request by ``play``; ``seen`` has what came, ``connections`` how many there were."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.seen: list[Seen] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.gone = asyncio.Event()
        """Set when a client has left."""
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                self.seen.append(await read_message(reader))
                await self.play(self.seen[-1], writer)
        self.gone.set()
        writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(play: Play | bytes) -> AsyncIterator[Server]:
    """A raw server on a free port; bytes are its answer to everything."""
    server = Server(says(play) if isinstance(play, bytes) else play)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in server.writers:
            writer.transport.abort()


def says(answer: bytes) -> Play:
    async def play(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return play


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A raw client's connection."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 24)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ask(url: str, request: bytes, *, bodiless: bool = False) -> Seen:
    """One request on a connection of its own."""
    async with connected(url) as (reader, writer):
        writer.write(request)
        return await read_message(reader, bodiless=bodiless)
