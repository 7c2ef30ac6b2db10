"""The gateway inside mitmproxy: it serves the requests that the add-on sends to it, and nobody else.

A request goes to the gateway's listener, on loopback and in the same process, with one more header: a secret that is as old as the process,
and what the gateway must know of the request, where it was going above all. The gateway takes the header off before anything looks
at the request. Without the secret a request gets a 403, so that the listener is of no use to anybody else on the machine.

``Host`` goes on as it came. There is one upstream for each origin, made when the first request goes there.
"""

import hmac
import secrets
from collections.abc import Callable
from copy import copy

import msgspec

from proxy.core.commands import Counsel
from proxy.core.exchange import Watcher
from proxy.core.headers import Headers, first
from proxy.drive import Keeper
from proxy.gateway import Gateway
from proxy.turn import Service
from proxy.upstream import Upstream
from schemas.settings import Retry

HEADER = b"x-demur-inner"
_LOOPBACK = "127.0.0.1"


class Origin(msgspec.Struct, frozen=True):
    """Where a request was going."""

    scheme: str
    host: str
    port: int
    via: str = ""
    """The HTTP proxy in between, as ``host:port``; empty: none."""

    @property
    def url(self) -> str:
        """``scheme://host:port``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Errand(msgspec.Struct, frozen=True):
    """What the gateway is told of a request."""

    flow: str
    """Its flow's id."""
    origin: Origin
    first_party: bool
    """Whether its client believes that it talks to Anthropic itself."""


class Inner(Gateway):
    """See the head of the module.

    ``reach`` makes the upstream for an origin, and may raise ``UpstreamError``; ``keeper`` is asked for each request, with its flow's id.
    """

    def __init__(
        self,
        watcher: Watcher,
        retry: Retry,
        counsel: Counsel,
        *,
        reach: Callable[[Origin], Upstream],
        keeper: Callable[[str], Keeper],
    ) -> None:
        nowhere = Upstream(f"http://{_LOOPBACK}")
        super().__init__(nowhere, keeper(""), watcher, max_body=0, retry=retry, counsel=counsel)
        self._reach, self._keeper = reach, keeper
        self._secret = secrets.token_hex(32).encode()
        self._upstreams: dict[Origin, Upstream] = {}
        self._port = 0

    async def listen(self) -> None:
        """On a free port of the loopback address. Raises ``ListenError``."""
        url = await self.start(_LOOPBACK, 0)
        self._port = int(url.rpartition(":")[2])

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens, if it does."""
        return (_LOOPBACK, self._port) if self._server is not None and self._server.is_serving() else None

    def turn_to(self, watcher: Watcher, counsel: Counsel) -> None:
        """From the next request on, these."""
        self._watcher = watcher
        if self.retrying is not None:
            self.retrying.counsel = counsel

    def field(self, errand: Errand) -> tuple[bytes, bytes]:
        """The header for a request. Raises ``UpstreamError`` where its origin cannot be reached from here."""
        self._upstream(errand.origin)
        return HEADER, self._secret + b" " + msgspec.json.encode(errand)

    def service(self, headers: Headers) -> Service | None:
        """See ``Gateway``. The last header of the name is the add-on's; others are as any header."""
        values = [value for name, value in headers if name.lower() == HEADER]
        secret, _, told = values[-1].partition(b" ") if values else (b"", b"", b"")
        if not hmac.compare_digest(secret, self._secret):
            return None
        errand = msgspec.json.decode(told, type=Errand)
        retrying = self.retrying.believed(first_party=errand.first_party) if self.retrying else None
        own = without(headers)
        return Service(own, self._named(errand.origin, own), self._keeper(errand.flow), retrying)

    async def stop(self, drain_s: float) -> bool:
        """See ``Gateway``."""
        try:
            return await super().stop(drain_s)
        finally:
            for upstream in self._upstreams.values():
                upstream.close()

    def _upstream(self, origin: Origin) -> Upstream:
        if origin not in self._upstreams:
            made = self._upstreams[origin] = self._reach(origin)
            made.cork = self.upstream.cork
        return self._upstreams[origin]

    def _named(self, origin: Origin, headers: Headers) -> Upstream:
        """The upstream, which calls itself what the client calls it; the connections are shared."""
        named = copy(self._upstream(origin))
        host = first(headers, b"host")
        named.authority = host.encode("latin-1") if host is not None else named.authority
        return named


def without(headers: Headers) -> Headers:
    """The fields less the last that is named ``HEADER``."""
    places = [n for n, (name, _) in enumerate(headers) if name.lower() == HEADER]
    return (*headers[: places[-1]], *headers[places[-1] + 1 :]) if places else headers
