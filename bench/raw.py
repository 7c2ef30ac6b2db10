"""The least that a relay in Python can do: protocols and httptools, no observation. ``python -m bench.raw PORT UPSTREAM``.

The request is parsed to be written again with another host; of the response only its end is looked for. No error is
answered, nothing times out: a lower bound, not a proxy.
"""

import asyncio
import sys
from typing import ClassVar, cast
from urllib.parse import urlsplit

import httptools
import uvloop


class Back(asyncio.Protocol):
    """One connection to the upstream; between two requests it waits in `idle`."""

    idle: ClassVar[list["Back"]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.front: Front | None = None

    def begin(self, front: "Front") -> None:
        self.front = front
        self.parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        if self.front:
            self.front.transport.write(data)
            self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self.front:
            self.front.back = None
            self.front = None
            self.idle.append(self)

    def connection_lost(self, _: Exception | None) -> None:
        if self in self.idle:
            self.idle.remove(self)
        if self.front:
            self.front.transport.close()


class Front(asyncio.Protocol):
    """One connection of a client."""

    upstream = urlsplit(sys.argv[-1])

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.back: Back | None = None
        self.held: list[bytes] = []
        self.connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.target = b""
        self.lines = [b"host: " + self.upstream.netloc.encode()]

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() != b"host":
            self.lines.append(name + b": " + value)

    def on_headers_complete(self) -> None:
        first = self.parser.get_method() + b" " + self.target + b" HTTP/1.1"
        head = b"\r\n".join([first, *self.lines]) + b"\r\n\r\n"
        if Back.idle:
            self._begin(Back.idle.pop())
        else:
            self.connecting = asyncio.get_running_loop().create_task(self._connect())
        self.on_body(head)

    def on_body(self, data: bytes) -> None:
        if self.back:
            self.back.transport.write(data)
        else:
            self.held.append(data)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, back = await loop.create_connection(Back, "127.0.0.1", self.upstream.port or 80)
        self._begin(back)

    def _begin(self, back: Back) -> None:
        self.back = back
        back.begin(self)
        back.transport.write(b"".join(self.held))
        self.held.clear()

    def pause_writing(self) -> None:
        if self.back:
            self.back.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.back:
            self.back.transport.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        if self.back:
            self.back.transport.close()


async def serve() -> None:
    """Listens until killed."""
    server = await asyncio.get_running_loop().create_server(Front, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
