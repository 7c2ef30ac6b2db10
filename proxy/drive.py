"""Does what the relay asks: the asynchronous driver of one request, between a client's connection and the API's.

It runs in the callbacks of the two connections, with no task of its own and no queue in between, so that an event of a stream costs
little more than the two system calls. Few commands wait: ``Open`` for a connection, ``Keep`` and ``Ask`` for the disk, in a thread and not
for longer than ``aside.KEEP_S``; pieces that come meanwhile are kept in order. If the relay itself raises, a plain one takes its place.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from proxy import http1, logs
from proxy.aside import aside
from proxy.client import Client
from proxy.core.commands import (
    Ask,
    Chunk,
    Command,
    Counsel,
    Count,
    End,
    Event,
    Failed,
    Finish,
    Keep,
    Late,
    Note,
    Open,
    Opened,
    Pass,
    Read,
    Relay,
    Respond,
    Tell,
    Told,
    Unreached,
    Write,
)
from proxy.core.exchange import Exchange, Maker
from proxy.core.headers import Headers, for_host
from proxy.core.plan import Plan
from proxy.core.relay import Watched, plain, relay
from proxy.core.retry import Armed
from proxy.uplink import Uplink
from proxy.upstream import Upstream
from schemas.records import Traffic


class Keeper(Protocol):
    """Where entries go. Neither method raises."""

    def keep(self, make: Maker) -> None:
        """Make an entry and spool it; may take milliseconds, called in a thread."""

    def count(self, traffic: Traffic) -> None:
        """Count one exchange."""


class Retrying(Protocol):
    """What a gateway has for requests that may be asked again."""

    counsel: Counsel

    def plan(self, request: Open) -> Plan:
        """What is to be done with a request."""

    def elsewhere(self, url: str) -> Upstream:
        """Another upstream. Raises ``UpstreamError``."""


class Drive:
    """One request on its way. ``retrying``: where it may be asked again."""

    def __init__(
        self,
        client: Client,
        upstream: Upstream,
        keeper: Keeper,
        exchange: Exchange | None,
        retrying: Retrying | None = None,
    ) -> None:
        self.method = b""
        self.over = False
        self._client, self._upstream, self._keeper, self._exchange = client, upstream, keeper, exchange
        self._retrying = retrying if exchange is not None else None
        self._request: Open | None = None
        self._left = self._begun = False
        self._timer: asyncio.TimerHandle | None = None
        self._uplink = Uplink(self, client, upstream, self._retrying, self._come)
        self._body: list[bytes] = []
        self._inbox: deque[Event] = deque()
        self._waiting = self._responded = self._slow_client = self._full = False
        self._owed = b""
        self._look: Callable[[bytes], bool] | None = None

    def start(self, method: bytes, target: bytes, headers: Headers) -> None:
        """Begin, with the head of the request as it is to go on."""
        self.method = method
        self._framing = http1.request_framing(headers)
        self._request = Open(method, target, for_host(headers, self._upstream.authority))
        if self._retrying is None:
            self._relay = relay(self._request, self._exchange)
            self._advance(None)

    def body(self, data: bytes) -> None:
        """A piece of the request's body."""
        if self._exchange is not None:
            self._exchange.sent(data)
        if self._retrying is not None:
            self._body.append(data)
        elif not self.over:
            self._uplink.send(http1.piece(self._framing, data))

    def body_end(self, trailers: Headers) -> None:
        """The end of the request's body."""
        if self._retrying is not None and self._request is not None and not self.over:
            self._uplink.trailers = trailers
            body, self._body = b"".join(self._body), []
            self._relay = self._planned(self._retrying, replace(self._request, body=body))
            self._advance(None)
        elif self._retrying is None and not self.over:
            self._uplink.send(http1.last_piece(self._framing, trailers))

    def _planned(self, retrying: Retrying, request: Open) -> Relay:
        """The relay for a request whose body is known."""
        assert self._exchange is not None
        try:
            plan = retrying.plan(request)
            if plan.armed:
                return Armed(plan, Watched(self._exchange)).run()
            self._exchange.ruling = plan.against.ruling if plan.against else None
        except Exception as error:  # noqa: BLE001 - rule zero
            logs.failed("retry.failed", error)
        return relay(request, self._exchange)

    def pause(self, *, paused: bool) -> None:
        """The client reads more slowly than the API sends, or does so no longer."""
        self._slow_client = paused
        self._flow()

    def leave(self) -> None:
        """The client has left: nothing more is wanted of the API."""
        if self.over:
            return
        self._left = True
        self._clear()
        if not self._begun:
            self.over = True
            self._count()
        self._come(_LEFT)

    def _count(self) -> None:
        """A request that was never whole counts as well."""
        if self._exchange is None:
            return
        try:
            self._exchange.finish(whole=False)
            if (traffic := self._exchange.traffic()) is not None:
                self._keeper.count(traffic)
        except Exception as error:  # noqa: BLE001 - rule zero
            logs.failed("observer.failed", error)

    # what the connection to the API tells (proxy.connection.Listener)

    def interim(self, head: Opened) -> None:
        """See ``Listener``."""
        if not self._responded:
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
        self._over_with()
        self._come(End(trailers))

    def failed(self, why: str) -> None:
        """See ``Listener``."""
        self._over_with()
        self._come(Failed(why, reached=True))

    def upload(self, *, paused: bool) -> None:
        """See ``Listener``."""
        self._full = paused
        self._client.upload(paused=paused)

    def _over_with(self) -> None:
        """The connection has done its work; who waited for it to take more of the request need not."""
        self._uplink.connection = None
        if self._full:
            self.upload(paused=False)

    # the relay

    def _come(self, event: Event) -> None:
        if self._waiting:
            self._no_timer()
            self._advance(event)
        elif not self.over:
            self._inbox.append(event)
            self._flow()

    def _advance(self, event: Event) -> None:
        self._waiting, self._begun = False, True
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
        if isinstance(command, Read):
            self._wait(command.within)
        self._flow()
        return None

    def _wait(self, within: float | None) -> None:
        if within is not None:
            self._timer = asyncio.get_running_loop().call_later(within, self._come, Late())

    def _no_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

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
        elif isinstance(command, Ask):
            self._ask(command)
            return False
        elif isinstance(command, Tell):
            self._tell(command)
        elif isinstance(command, Count):
            self._keeper.count(command.traffic)
        elif isinstance(command, Note):
            _note(command)
        else:
            self._close(command)
        return True

    def _close(self, command: Command) -> None:
        self.over = True
        self._clear()
        if isinstance(command, Finish):
            self._client.finish(command.trailers)
        elif isinstance(command, Unreached):
            logs.warned("upstream.failed", why=command.why)
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
        aside(lambda: self._keeper.keep(make), lambda _: self._advance(None))

    def _ask(self, command: Ask) -> None:
        assert self._retrying is not None
        counsel = self._retrying.counsel
        aside(lambda: command.question(counsel), lambda answer: self._advance(Told(answer)))

    def _tell(self, command: Tell) -> None:
        assert self._retrying is not None
        try:
            command.fact(self._retrying.counsel)
        except Exception as error:  # noqa: BLE001 - rule zero
            logs.failed("counsel.failed", error)

    # the connection to the API

    def _open(self, command: Open) -> bool:
        self._clear()
        self._waiting = True
        if self._left:
            asyncio.get_running_loop().call_soon(self._come, _LEFT)
        else:
            self._wait(command.within)
            self._uplink.open(command)
        return False

    def _clear(self) -> None:
        """Nothing more is wanted of the answer that was asked for last."""
        self._no_timer()
        self._uplink.let_go()
        self._inbox.clear()

    def _flow(self) -> None:
        """Reads from the API while the client takes it and the relay waits for it."""
        self._uplink.pause(paused=self._slow_client or bool(self._inbox))


_LEFT = Failed("the client left", reached=True, left=True)


def _note(note: Note) -> None:
    if note.error is not None:
        logs.failed(note.event, note.error)
    else:
        logs.warned(note.event, **note.facts)
