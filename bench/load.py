"""The load: ``python -m bench.load JOB`` asks as the job says, and prints what it saw as JSON.

Two shapes. *Closed*: some connections, each asks again as soon as its answer is whole, until a count or a time is reached.
*Open*: many streams at once, one answer each; a line ``open`` is printed when all of them have had their first event, and
what is counted is counted from there.
"""

import asyncio
import sys
import time
from functools import partial
from typing import cast

import httptools
import msgspec
import uvloop
from msgspec import Struct

from bench import answers, bodies

TURNS = 4
"""How many different requests one connection sends in turn."""


class Job(Struct, kw_only=True):
    """What to ask, and how often."""

    port: int
    target: str
    deltas: int
    """In each answer; what does not have them all is an error."""
    body: int
    """Size of a request's body, in bytes."""
    connections: int
    count: int = 0
    seconds: float = 0.0
    """Closed: no new request after so many, or so long. Both 0: open."""
    stagger: float = 0.002
    """Open: seconds between the starts of two streams."""


class Seen(Struct, kw_only=True):
    """What the load saw."""

    answers: int
    events: int
    seconds: float
    bytes: int
    errors: int
    first_ms: float
    """From a request's last byte handed to the kernel's side to the first byte of the answer's body, median."""
    delay_ms: float = 0.0
    delay_p99_ms: float = 0.0


class Asker(asyncio.Protocol):
    """One connection: asks, reads to the end, tells its `Run`."""

    def __init__(self, run: "Run", number: int) -> None:
        self.run = run
        job = run.job
        turns = range(1 if run.open else TURNS)
        self.requests = [bodies.request(job.target, number, turn, job.body) for turn in turns]
        self.asked = 0
        self.size = 0
        self.began = 0.0
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.size = 0
        self.began = time.monotonic()
        self.transport.write(self.requests[self.asked % len(self.requests)])
        self.asked += 1

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()
            self._failed()

    def on_body(self, data: bytes) -> None:
        if not self.size:
            self.run.first.append(time.monotonic() - self.began)
        self.size += len(data)
        if self.run.open:
            self.run.arrived(data)

    def on_message_complete(self) -> None:
        whole = self.parser.get_status_code() == 200 and self.size == self.run.expected
        self.run.bytes += self.size
        self.run.answers += whole
        self.run.errors += not whole
        if self.run.more() and not self.transport.is_closing():
            self.ask()
        elif not self.over.done():
            self.over.set_result(None)

    def connection_lost(self, _: Exception | None) -> None:
        self._failed()

    def _failed(self) -> None:
        if not self.over.done():
            self.run.errors += 1
            self.over.set_result(None)


class Run:
    """One job under way."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.open = not job.count and not job.seconds
        self.expected = answers.body_size(job.deltas)
        self.answers = self.errors = self.bytes = 0
        self.first: list[float] = []
        self.delays: list[float] = []
        self.began = 0.0

    def more(self) -> bool:
        """Whether another request is to be sent."""
        spent = time.monotonic() - self.began
        return not self.open and self.answers + self.errors < self.job.count and spent < self.job.seconds

    def arrived(self, data: bytes) -> None:
        """Notes how long the deltas in `data` were under way, once all streams are open."""
        if not self.began and len(self.first) == self.job.connections:
            print("open", flush=True)
            self.began = time.monotonic()
        if self.began:
            now = time.monotonic_ns() / 1000
            self.delays += [now - int(stamp) for stamp in answers.STAMP.findall(data)]

    async def go(self) -> Seen:
        """Does it."""
        loop = asyncio.get_running_loop()
        numbers = range(self.job.connections)
        made = [await loop.create_connection(partial(Asker, self, n), "127.0.0.1", self.job.port) for n in numbers]
        askers = [asker for _, asker in made]
        if not self.open:
            self.began = time.monotonic()
        for asker in askers:
            asker.ask()
            if self.open:
                await asyncio.sleep(self.job.stagger)
        await asyncio.wait([asker.over for asker in askers], timeout=60)
        self.errors += sum(not asker.over.done() for asker in askers)
        return self._seen(time.monotonic() - self.began)

    def _seen(self, seconds: float) -> Seen:
        events = len(self.delays) if self.open else self.answers * answers.event_count(self.job.deltas)
        delays = sorted(self.delays) or [0.0]
        first = sorted(self.first) or [0.0]
        return Seen(
            answers=self.answers,
            events=events,
            seconds=seconds,
            bytes=self.bytes,
            errors=self.errors,
            first_ms=first[len(first) // 2] * 1000,
            delay_ms=delays[len(delays) // 2] / 1000,
            delay_p99_ms=delays[len(delays) * 99 // 100] / 1000,
        )


if __name__ == "__main__":
    seen = uvloop.run(Run(msgspec.json.decode(sys.argv[1], type=Job)).go())
    print(msgspec.json.encode(seen).decode(), flush=True)
