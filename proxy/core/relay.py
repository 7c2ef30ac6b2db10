"""One request from its question to the last byte of its answer, as a generator: it yields commands and is sent what came of them.

The driver does what a command says and sends back:

    Open      -> Opened | Failed      send the request upstream; the head of the answer
    Respond   -> None                 send the client this head
    Read      -> Chunk | End | Failed the next piece of the answer's body, as soon as there is one
    Pass      -> Chunk | End | Failed send the client each piece as it comes, as long as ``look`` sees nothing in it; the first in
                                      which it does comes back unsent
    Write     -> None                 send the client this
    Keep      -> None                 keep what the maker makes, and only then go on; a failure is the driver's to report
    Count     -> None                 add to the traffic counts, whenever convenient
    Note      -> None                 something went wrong in our own code: say so in the log
    Finish    -> -                    the answer is whole; nothing follows
    Abort     -> -                    the answer was cut: cut the client's as well; nothing follows
    Unreached -> -                    there never was an answer; the driver tells the client so; nothing follows

So the order of events is here, once, and can be tested without a socket: what must be kept is kept before the bytes that told of
it go out. The onlooker is never trusted: where it raises it is dismissed, and the bytes go on (rule zero).

There may be several ``Open`` in the life of one relay; this version opens once.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass

from proxy.core.exchange import Exchange, Maker
from proxy.core.headers import Headers
from schemas.records import Traffic


@dataclass(frozen=True, slots=True)
class Open:
    """Send the request upstream, its body as the client sends it."""

    method: bytes
    target: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Respond:
    """Send the client the head of an answer."""

    status: int
    reason: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Read:
    """Wait for the next piece of the answer."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Pass pieces on, which is what nearly all of an answer wants, without coming back for each."""

    look: Callable[[bytes], bool]
    """Whether there is something to do before this piece goes on. Never raises."""


@dataclass(frozen=True, slots=True)
class Write:
    """Send the client a piece of the answer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep an entry, and only then go on."""

    make: Maker


@dataclass(frozen=True, slots=True)
class Count:
    """Add one to a traffic count."""

    traffic: Traffic


@dataclass(frozen=True, slots=True)
class Note:
    """Our own code failed."""

    event: str
    error: Exception


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer is whole."""

    trailers: Headers = ()


@dataclass(frozen=True, slots=True)
class Abort:
    """The answer was cut."""


@dataclass(frozen=True, slots=True)
class Unreached:
    """There was no answer."""

    why: str


Command = Open | Respond | Read | Pass | Write | Keep | Count | Note | Finish | Abort | Unreached


@dataclass(frozen=True, slots=True)
class Opened:
    """The head of an answer."""

    status: int
    reason: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer's body, without its framing; never empty."""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """An answer came to its proper end."""

    trailers: Headers = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer cannot come any more. ``reached``: the API had been reached, and cut the connection."""

    why: str
    reached: bool


Event = Opened | Chunk | End | Failed | None

Relay = Generator[Command, Event, None]


def relay(request: Open, exchange: Exchange | None) -> Relay:
    """Passes one request on, and its answer back; ``exchange`` looks on."""
    watched = _Watched(exchange)
    event = yield request
    if not isinstance(event, Opened):
        why = event if isinstance(event, Failed) else Failed("no answer", reached=False)
        yield from watched.end(whole=False)
        yield Abort() if why.reached else Unreached(why.why)
        return
    yield from watched.opened(event)
    yield Respond(event.status, event.reason, event.headers)
    passing = Pass(watched.look)
    while isinstance(event := (yield passing), Chunk):
        yield from watched.found()
        yield Write(event.data)
    whole = isinstance(event, End)
    yield from watched.end(whole=whole)
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


class _Watched:
    """The onlooker behind glass: what it raises becomes a note, and it is asked no more."""

    def __init__(self, exchange: Exchange | None) -> None:
        self._exchange = exchange
        self._found: tuple[Keep | Note, ...] = ()

    def opened(self, head: Opened) -> Relay:
        yield from self._ask(lambda exchange: exchange.opened(head.status, head.headers))

    def look(self, data: bytes) -> bool:
        """See ``Pass``. Runs for every piece of every answer."""
        if self._exchange is None:
            return False
        try:
            maker = self._exchange.feed(data)
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

    def end(self, *, whole: bool) -> Relay:
        yield from self._ask(lambda exchange: exchange.finish(whole=whole))
        yield from self._ask(lambda exchange: exchange.traffic())

    def _ask(self, question: Callable[[Exchange], Maker | Traffic | None]) -> Relay:
        if self._exchange is None:
            return
        try:
            answer = question(self._exchange)
        except Exception as error:  # noqa: BLE001 - rule zero
            yield self._dismiss(error)
            return
        if isinstance(answer, Traffic):
            yield Count(answer)
        elif answer is not None:
            yield Keep(answer)

    def _dismiss(self, error: Exception) -> Note:
        self._exchange = None
        return Note("observer.failed", error)
