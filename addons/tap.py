"""One observed flow, as its bytes pass: an ``Exchange`` looks on, and what it wants kept is kept before the bytes go on.

mitmproxy calls a stream's function in its event loop and takes what it returns at once, so there is no awaiting here: a thread keeps,
and the tap waits for it, ``KEEP_S`` at most. Nothing here raises: an onlooker that does is dismissed, and the bytes go on.
"""

from collections.abc import Callable, Iterable
from threading import Thread
from typing import TYPE_CHECKING

from proxy.aside import KEEP_S
from proxy.core.exchange import Exchange, Maker
from proxy.core.headers import Headers
from proxy.logs import failed

if TYPE_CHECKING:
    from proxy.drive import Keeper

Stream = Callable[[bytes], Iterable[bytes] | bytes]
"""What mitmproxy calls with each piece of a body, and with ``b""`` at its end; what it returns goes on."""


class Tap:
    """What is told of one flow. ``late`` takes the threads that still keep when the tap no longer waits for them."""

    def __init__(self, exchange: Exchange, keeper: "Keeper", late: list[Thread]) -> None:
        self.streams_request = False
        self._exchange: Exchange | None = exchange
        self._keeper, self._late = keeper, late

    def request_stream(self, inner: Stream | bool) -> Stream:
        """For ``request.stream``, where someone streams requests; ``inner`` is what stood there."""
        self.streams_request = True

        def passing(data: bytes) -> Iterable[bytes] | bytes:
            going = inner(data) if callable(inner) else data
            if not isinstance(going, bytes):
                going = list(going)
            for piece in [going] if isinstance(going, bytes) else going:
                self.sent(piece)
            return going

        return passing

    def response_stream(self, inner: Stream | bool) -> Stream:
        """For ``response.stream``; ``inner`` is what stood there, and sees the same bytes as without us."""

        def passing(data: bytes) -> Iterable[bytes] | bytes:
            if data:
                self.feed(data)
            else:
                self.end(whole=True)
            return inner(data) if callable(inner) else data

        return passing

    def sent(self, data: bytes) -> None:
        """A piece of the request's body."""
        self._ask(lambda exchange: exchange.sent(data))

    def opened(self, status: int, headers: Headers) -> None:
        """The head of the answer."""
        self._ask(lambda exchange: exchange.opened(status, headers))

    def feed(self, data: bytes) -> None:
        """A piece of the answer's body. Returns once what it told of is kept, or has taken too long."""
        if self._exchange is None:
            return
        try:
            make = self._exchange.feed(data)
        except Exception as error:  # noqa: BLE001 - rule zero
            self._dismiss(error)
            return
        if make is not None:
            self._keep(make)

    def end(self, *, whole: bool) -> None:
        """The end of the answer, or of the wait for one. What is told later is not heard."""
        if (make := self._ask(lambda exchange: exchange.finish(whole=whole))) is not None:
            self._keep(make)
        if (traffic := self._ask(lambda exchange: exchange.traffic())) is not None:
            self._keeper.count(traffic)
        self._exchange = None

    def _ask[T](self, question: Callable[[Exchange], T]) -> T | None:
        if self._exchange is None:
            return None
        try:
            return question(self._exchange)
        except Exception as error:  # noqa: BLE001 - rule zero
            self._dismiss(error)
            return None

    def _dismiss(self, error: Exception) -> None:
        self._exchange = None
        failed("observer.failed", error)

    def _keep(self, make: Maker) -> None:
        try:
            thread = Thread(target=self._keeper.keep, args=(make,), name="demur-keeper", daemon=True)
            thread.start()
            thread.join(KEEP_S)
            if thread.is_alive():
                self._late.append(thread)
        except Exception as error:  # noqa: BLE001 - rule zero
            failed("observer.failed", error)
