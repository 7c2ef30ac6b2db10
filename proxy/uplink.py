"""The API's side of one request: opens an upstream for each attempt, one after another, and sends it the request's body.

The body is passed on while it comes, or, where it may be needed again, given whole. Pieces that come before there is a connection are held, and
the client is paused when they become many.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from proxy import http1
from proxy.client import Client
from proxy.connection import Connection, Listener
from proxy.core.commands import Event, Failed, Open
from proxy.core.headers import Headers
from proxy.upstream import Upstream, UpstreamError

UPLOAD = 256 * 1024
"""How much of a request is held, in bytes, while its connection is being made."""


class Elsewhere(Protocol):
    """Where upstreams other than the request's own are."""

    def elsewhere(self, url: str) -> Upstream:
        """Another upstream. Raises ``UpstreamError``."""


class Uplink:
    """``come`` is called where there is no connection; what one tells goes to ``listener``."""

    def __init__(
        self,
        listener: Listener,
        client: Client,
        upstream: Upstream,
        elsewhere: Elsewhere | None,
        come: Callable[[Event], None],
    ) -> None:
        self.connection: Connection | None = None
        self.trailers: Headers = ()
        self._listener, self._client, self._upstream, self._elsewhere = listener, client, upstream, elsewhere
        self._come = come
        self._connecting: asyncio.Task[None] | None = None
        self._upload: list[bytes] = []
        self._held = 0
        self._asked = self._paused = False

    def open(self, command: Open) -> None:
        """Another attempt, in place of the one before."""
        self.let_go()
        try:
            upstream = self._upstream_of(command)
        except UpstreamError as error:
            asyncio.get_running_loop().call_soon(self._come, Failed(str(error), reached=False))
            return
        connection = upstream.idle()
        if connection is not None:
            self._begin(connection, command)
        else:
            self._connecting = asyncio.get_running_loop().create_task(self._connect(upstream, command))

    def let_go(self) -> None:
        """Nothing more is wanted of the answer that was asked for last."""
        if self._connecting:
            self._connecting.cancel()
            self._connecting = None
        if self.connection:
            self.connection.abort()
            self.connection = None
            self._client.upload(paused=False)
        self._paused = False

    def send(self, data: bytes) -> None:
        """A piece of the body, framed, of a request that is passed on while it comes."""
        if self.connection is not None:
            self.connection.send(data)
        elif not self._asked and data:
            self._upload.append(data)
            self._held += len(data)
            if self._held > UPLOAD:
                self._client.upload(paused=True)

    def pause(self, *, paused: bool) -> None:
        """Whether the API is read from."""
        if paused == self._paused or self.connection is None or self.connection.transport.is_closing():
            return
        self._paused = paused
        if paused:
            self.connection.transport.pause_reading()
        else:
            self.connection.transport.resume_reading()

    def _upstream_of(self, command: Open) -> Upstream:
        if command.elsewhere is None or self._elsewhere is None:
            return self._upstream
        return self._elsewhere.elsewhere(command.elsewhere)

    async def _connect(self, upstream: Upstream, command: Open) -> None:
        try:
            connection = await upstream.connect()
        except UpstreamError as error:
            self._connecting = None
            self._come(Failed(str(error), reached=False))
            return
        self._connecting = None
        self._begin(connection, command)

    def _begin(self, connection: Connection, command: Open) -> None:
        self.connection = connection
        connection.begin(self._listener, command.target, command.headers)
        if command.body is not None:
            framing = http1.request_framing(command.headers)
            connection.send(http1.piece(framing, command.body) if command.body else b"")
            connection.send(http1.last_piece(framing, self.trailers))
        elif self._upload:
            connection.send(b"".join(self._upload))
            self._upload.clear()
        if self._held > UPLOAD:
            self._client.upload(paused=False)
        self._asked = True
