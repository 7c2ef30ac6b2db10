"""Does what the relay asks: the asynchronous driver of one request, between a client's connection and the API's.

It runs in the callbacks of the two connections, with no task of its own and no queue in between, so that an event of a stream costs
little more than the two system calls. Only two commands wait: ``Open`` for a connection, and ``Keep`` for the spool, in a thread and not
for longer than ``KEEP_S``; pieces that come meanwhile are kept in order. If the relay itself raises, a plain one takes its place.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Protocol

import structlog

from proxy import http1, logs
from proxy.client import Client
from proxy.connection import Connection
from proxy.core.exchange import Exchange, Maker
from proxy.core.headers import Headers, for_host
from proxy.core.relay import (
    Chunk,
    Command,
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
    Respond,
    Unreached,
    Write,
    plain,
    relay,
)
from proxy.upstream import Upstream, UpstreamError
from schemas.records import Traffic

KEEP_S = 2.0
"""How long a piece of an answer may wait for the spool, in seconds; usually it takes milliseconds."""
UPLOAD = 256 * 1024
"""How much of a request is held, in bytes, while its connection is being made."""

_log = structlog.get_logger("demur.gateway")


class Keeper(Protocol):
    """Where entries go. Neither method raises."""

    def keep(self, make: Maker) -> None:
        """Make an entry and spool it; may take milliseconds, called in a thread."""

    def count(self, traffic: Traffic) -> None:
        """Count one exchange."""


class Drive:
    """One request on its way."""

    def __init__(self, client: Client, upstream: Upstream, keeper: Keeper, exchange: Exchange | None) -> None:
        self.method = b""
        self.over = False
        self._client, self._upstream, self._keeper, self._exchange = client, upstream, keeper, exchange
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._upload: list[bytes] = []
        self._held = 0
        self._inbox: deque[Event] = deque()
        self._waiting = self._responded = self._asked = self._slow_client = self._paused = False
        self._owed = b""
        self._look: Callable[[bytes], bool] | None = None

    def start(self, method: bytes, target: bytes, headers: Headers) -> None:
        """Begin, with the head of the request as it is to go on."""
        self.method = method
        self._framing = http1.request_framing(headers)
        self._relay = relay(Open(method, target, for_host(headers, self._upstream.authority)), self._exchange)
        self._advance(None)

    def body(self, data: bytes) -> None:
        """A piece of the request's body."""
        if self._exchange is not None:
            self._exchange.sent(data)
        self._send(http1.piece(self._framing, data))

    def body_end(self, trailers: Headers) -> None:
        """The end of the request's body."""
        self._send(http1.last_piece(self._framing, trailers))

    def pause(self, *, paused: bool) -> None:
        """The client reads more slowly than the API sends, or does so no longer."""
        self._slow_client = paused
        self._flow()

    def leave(self) -> None:
        """The client has left: nothing more is wanted of the API."""
        if self.over:
            return
        if self._connecting:
            self._connecting.cancel()
        if self._connection:
            self._connection.abort()
        self._inbox.clear()
        self._come(Failed("the client left", reached=True))

    # what the connection to the API tells (proxy.connection.Listener)

    def interim(self, head: Opened) -> None:
        """See ``Listener``."""
        self._client.interim(head)

    def opened(self, head: Opened) -> None:
        """See ``Listener``."""
        self._come(head)

    def chunk(self, data: bytes) -> None:
        """See ``Listener``. While pieces only pass, this is all there is to them."""
        if self._look is not None and self._waiting and not self._look(data):
            self._client.write(data)
        else:
            self._come(Chunk(data))

    def ended(self, trailers: Headers) -> None:
        """See ``Listener``."""
        self._connection = None
        self._come(End(trailers))

    def failed(self, why: str) -> None:
        """See ``Listener``."""
        self._connection = None
        self._come(Failed(why, reached=True))

    def upload(self, *, paused: bool) -> None:
        """See ``Listener``."""
        self._client.upload(paused=paused)

    # the relay

    def _come(self, event: Event) -> None:
        if self._waiting:
            self._advance(event)
        elif not self.over:
            self._inbox.append(event)
            self._flow()

    def _advance(self, event: Event) -> None:
        self._waiting = False
        while not (self._waiting or self.over):
            if isinstance(event, Chunk):
                self._owed = event.data
            try:
                command = self._relay.send(event)
            except Exception as error:  # noqa: BLE001 - rule zero
                command = self._take_over(error, event)
            event = None
            if isinstance(command, Write):
                self._owed = b""
                self._client.write(command.data)
            elif isinstance(command, Read | Pass):
                event = self._next(command)
            elif not self._do(command):
                return

    def _next(self, command: Read | Pass) -> Event:
        """What came while nobody was waiting, if anything; else it is waited for."""
        self._look = command.look if isinstance(command, Pass) else None
        while self._inbox:
            event = self._inbox.popleft()
            if not isinstance(event, Chunk) or self._look is None or self._look(event.data):
                return event
            self._client.write(event.data)
        self._waiting = True
        self._flow()
        return None

    def _do(self, command: Command) -> bool:
        """Does a command other than the two of every piece. False where its answer comes later."""
        if isinstance(command, Respond):
            self._responded = True
            self._client.respond(command.status, command.reason, command.headers)
        elif isinstance(command, Open):
            return self._open(command)
        elif isinstance(command, Keep):
            self._keep(command.make)
            return False
        elif isinstance(command, Count):
            self._keeper.count(command.traffic)
        elif isinstance(command, Note):
            logs.failed(command.event, command.error)
        else:
            self._close(command)
        return True

    def _close(self, command: Command) -> None:
        self.over = True
        if self._connection is not None:
            self._connection.abort()
        if isinstance(command, Finish):
            self._client.finish(command.trailers)
        elif isinstance(command, Unreached):
            _log.warning("upstream.failed", why=command.why)
            self._client.refuse(502, "api_error", command.why)
        else:
            self._client.abort()

    def _take_over(self, error: Exception, event: Event) -> Command:
        """The relay raised: what it owed the client goes out, and the rest goes on without it."""
        logs.failed("relay.failed", error)
        if self._owed:
            self._client.write(self._owed)
            self._owed = b""
        self._relay = plain(responded=self._responded)
        command = next(self._relay)
        if isinstance(event, Opened | End | Failed):
            self._inbox.appendleft(event)
        return command

    def _keep(self, make: Maker) -> None:
        """In a thread of its own: the pool of the loop also resolves names, and a disk that hangs must not stop that."""
        loop = asyncio.get_running_loop()
        done = False

        def go() -> None:
            nonlocal done
            if not done:
                done = True
                timer.cancel()
                self._advance(None)

        def work() -> None:
            self._keeper.keep(make)
            with suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(go)

        timer = loop.call_later(KEEP_S, go)
        try:
            Thread(target=work, name="demur-keeper", daemon=True).start()
        except RuntimeError as error:  # no more threads
            logs.failed("keeper.failed", error)
            loop.call_soon(go)

    # the two connections

    def _open(self, command: Open) -> bool:
        self._waiting = True
        connection = self._upstream.idle()
        if connection is not None:
            self._begin(connection, command)
        else:
            self._connecting = asyncio.get_running_loop().create_task(self._connect(command))
        return False

    async def _connect(self, command: Open) -> None:
        try:
            connection = await self._upstream.connect()
        except UpstreamError as error:
            self._connecting = None
            self._come(Failed(str(error), reached=False))
            return
        self._connecting = None
        self._begin(connection, command)

    def _begin(self, connection: Connection, command: Open) -> None:
        self._connection = connection
        connection.begin(self, command.target, command.headers)
        if self._upload:
            connection.send(b"".join(self._upload))
            self._upload.clear()
        if self._held > UPLOAD:
            self._client.upload(paused=False)
        self._asked = True

    def _send(self, data: bytes) -> None:
        if self._connection is not None:
            self._connection.send(data)
        elif not (self._asked or self.over) and data:
            self._upload.append(data)
            self._held += len(data)
            if self._held > UPLOAD:
                self._client.upload(paused=True)

    def _flow(self) -> None:
        """Reads from the API while the client takes it and the relay waits for it."""
        pause = self._slow_client or bool(self._inbox)
        if pause == self._paused or self._connection is None or self._connection.transport.is_closing():
            return
        self._paused = pause
        if pause:
            self._connection.transport.pause_reading()
        else:
            self._connection.transport.resume_reading()
