"""The upstream of all contestants: as little as answers at all. ``python -m bench.upstream`` prints its port.

The target says which answer: ``?short``, ``?paced=COUNT,MILLISECONDS``, ``?burst=COUNT``.
"""

import asyncio
import sys
import time
from typing import cast

import httptools
import uvloop

from bench import answers


class Responder(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.target = b""
        self.left = 0
        self.writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_message_complete(self) -> None:
        kind, _, value = self.target.rpartition(b"?")[2].partition(b"=")
        self.target = b""
        if kind == b"paced":
            count, milliseconds = value.split(b",")
            self._pace(int(count), int(milliseconds) / 1000)
        elif kind == b"burst":
            self.left = int(value) // answers.BLOCK
            self.transport.write(answers.opening())
            self._burst()
        else:
            self.transport.write(answers.short())

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        if self.left:
            self._burst()

    def _burst(self) -> None:
        while self.left and self.writable:
            self.transport.write(answers.block())
            self.left -= 1
            if not self.left:
                self.transport.write(answers.closing())

    def _pace(self, count: int, seconds: float) -> None:
        self.transport.write(answers.opening())
        self._tick(count, seconds, self.loop.time() + seconds)

    def _tick(self, left: int, seconds: float, due: float) -> None:
        if self.transport.is_closing():
            return
        if not left:
            self.transport.write(answers.closing())
            return
        self.transport.write(answers.chunk(answers.delta(time.monotonic_ns() // 1000)))
        self.loop.call_at(due, self._tick, left - 1, seconds, due + seconds)


async def serve() -> None:
    """Listens on a free port of loopback until killed, or until its parent closes its standard input."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Responder, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve())
