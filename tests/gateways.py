"""A gateway of this process, for tests: what it kept and counted is at hand."""

import io
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from threading import Event

import pytest
import structlog
from structlog.typing import EventDict

from proxy import logs
from proxy.core.commands import Counsel
from proxy.core.exchange import Maker, Watcher
from proxy.gateway import Gateway
from proxy.upstream import Upstream
from schemas.records import Entry, Traffic
from schemas.settings import Retry


class Kept:
    """A keeper that remembers. It may be told to ``block``: then it keeps nothing until ``release`` is set."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.counted: list[Traffic] = []
        self.block = False
        self.release = Event()

    def keep(self, make: Maker) -> None:
        if self.block:
            self.release.wait(30)
        self.entries.append(make())

    def count(self, traffic: Traffic) -> None:
        self.counted.append(traffic)


@asynccontextmanager
async def gateway(
    upstream: str | Upstream,
    kept: Kept | None = None,
    *,
    max_body: int = 64 << 20,
    drain_s: float = 0,
    retry: Retry | None = None,
    counsel: Counsel | None = None,
    content: bool = True,
) -> AsyncIterator[str]:
    """The URL of a gateway before ``upstream``."""
    reach = Upstream(upstream) if isinstance(upstream, str) else upstream
    watcher = Watcher(source="gateway", now=time.time, entropy=os.urandom, content=content)
    made = Gateway(reach, kept or Kept(), watcher, max_body=max_body, retry=retry, counsel=counsel)
    url = await made.start("127.0.0.1", 0)
    try:
        yield url
    finally:
        await made.stop(drain_s)


@contextmanager
def a_log_that_nobody_reads() -> Iterator[None]:
    """Log lines as ``demur up`` writes them, to a pipe whose reader is gone."""
    reading, writing = os.pipe()
    os.close(reading)
    with _logging_to(writing):
        yield


@contextmanager
def a_log_that_is_stopped() -> Iterator[None]:
    """Log lines as ``demur up`` writes them, to a full pipe that is read only once everything hangs: so does a terminal after Ctrl-S."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    hung: list[bytes] = []
    rescue = threading.Timer(30, lambda: hung.append(os.read(reading, 1 << 20)))
    rescue.start()
    try:
        with _logging_to(writing):
            yield
    finally:
        rescue.cancel()
        rescue.join()
        os.close(reading)
    assert not hung, "a line was waited for"


@contextmanager
def a_log_that_fails() -> Iterator[None]:
    """Every line of it raises."""

    def failing(*_: object) -> EventDict:
        raise RuntimeError("no line can be made")

    structlog.configure(processors=[failing])
    try:
        yield
    finally:
        structlog.reset_defaults()


@contextmanager
def _logging_to(writing: int) -> Iterator[None]:
    pipe = io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stderr", pipe)
        logs.configure()
        try:
            yield
        finally:
            structlog.reset_defaults()
            with suppress(OSError):
                pipe.close()
