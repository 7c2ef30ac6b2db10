"""One request from its question to the last byte of its answer, as a generator of commands.

It yields commands and is sent what came of them: see ``proxy.core.commands``.

So the order of events is here, once, and can be tested without a socket: what must be kept is kept before the bytes that told of
it go out. The onlooker is never trusted: where it raises it is dismissed, and the bytes go on (rule zero).
"""

from collections.abc import Callable

from proxy.core.commands import (
    Abort,
    Chunk,
    Count,
    End,
    Event,
    Failed,
    Finish,
    Keep,
    Note,
    Open,
    Opened,
    Pass,
    Read,
    Relay,
    Respond,
    Unreached,
    Write,
)
from proxy.core.exchange import Exchange, Maker
from schemas.records import Traffic


def relay(request: Open, exchange: Exchange | None) -> Relay:
    """Passes one request on, and its answer back; ``exchange`` looks on."""
    watched = Watched(exchange)
    event = yield request
    if not isinstance(event, Opened):
        yield from unopened(watched, event)
        return
    yield from watched.opened(event)
    yield from passing(watched, event)


def unopened(watched: "Watched", event: Event) -> Relay:
    """There is no answer to pass on."""
    why = event if isinstance(event, Failed) else Failed("no answer", reached=False)
    yield from watched.end(whole=False)
    yield Abort() if why.reached else Unreached(why.why)


def passing(watched: "Watched", head: Opened) -> Relay:
    """An answer goes to the client as it comes."""
    yield Respond(head.status, head.reason, head.headers)
    command = Pass(watched.look)
    while isinstance(event := (yield command), Chunk):
        yield from watched.found()
        yield Write(event.data)
    yield from watched.end(whole=isinstance(event, End))
    yield Finish(event.trailers) if isinstance(event, End) else Abort()


_READ = Read()


def plain(*, responded: bool) -> Relay:
    """Passes on what is left of an answer, and nothing else: for a driver whose relay raised."""
    event = yield _READ
    if isinstance(event, Opened) and not responded:
        yield Respond(event.status, event.reason, event.headers)
        event = yield _READ
    while isinstance(event, Chunk):
        yield Write(event.data)
        event = yield _READ
    yield Finish(event.trailers) if isinstance(event, End) else Abort()


class Watched:
    """The onlooker behind glass: what it raises becomes a note, and it is asked no more."""

    def __init__(self, exchange: Exchange | None) -> None:
        self.exchange = exchange
        self._found: tuple[Keep | Note, ...] = ()

    def opened(self, head: Opened) -> Relay:
        """The head of the answer."""
        yield from self._ask(lambda exchange: exchange.opened(head.status, head.headers))

    def look(self, data: bytes) -> bool:
        """See ``Pass``. Runs for every piece of every answer."""
        if self.exchange is None:
            return False
        try:
            maker = self.exchange.feed(data)
        except Exception as error:  # noqa: BLE001 - rule zero
            self._found = (self._dismiss(error),)
            return True
        if maker is None:
            return False
        self._found = (Keep(maker),)
        return True

    def found(self) -> Relay:
        """What ``look`` saw."""
        found, self._found = self._found, ()
        yield from found

    def finish(self, *, whole: bool) -> Relay:
        """The end of the answer."""
        yield from self._ask(lambda exchange: exchange.finish(whole=whole))

    def count(self) -> Relay:
        """The end of the exchange."""
        yield from self._ask(lambda exchange: exchange.traffic())

    def end(self, *, whole: bool) -> Relay:
        """The end of both."""
        yield from self.finish(whole=whole)
        yield from self.count()

    def _ask(self, question: Callable[[Exchange], Maker | Traffic | None]) -> Relay:
        if self.exchange is None:
            return
        try:
            answer = question(self.exchange)
        except Exception as error:  # noqa: BLE001 - rule zero
            yield self._dismiss(error)
            return
        if isinstance(answer, Traffic):
            yield Count(answer)
        elif answer is not None:
            yield Keep(answer)

    def _dismiss(self, error: Exception) -> Note:
        self.exchange = None
        return Note("observer.failed", error)
