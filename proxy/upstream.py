"""The API over HTTP/1.1: an origin, perhaps behind an HTTP proxy, and the connections to it, kept warm."""

import asyncio
import base64
import ipaddress
import os
import ssl
import urllib.request
from contextlib import suppress
from urllib.parse import SplitResult, unquote, urlsplit

import httptools

from proxy import http1
from proxy.connection import Connection
from proxy.core.headers import Headers
from proxy.outbox import Cork

CONNECT_S = 30.0
"""How long a connection may take to be made, TLS included, in seconds."""


class UpstreamError(Exception):
    """The API cannot be reached; the message says why, in one line."""


class UntrustedError(UpstreamError):
    """Its certificate, or that of a proxy in between, is not trusted."""


class Upstream:
    """Where requests go: an origin, perhaps through an HTTP proxy, and the connections to it that are at rest.

    ``url``: ``http[s]://host[:port][/prefix]``. ``ca``: a PEM file to trust beside the system's. ``proxy``: the URL of an HTTP
    proxy; empty: what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say. Raises ``UpstreamError`` for what cannot be used.
    """

    def __init__(self, url: str, *, ca: str = "", proxy: str = "") -> None:
        parts = origin(url)
        self.url = url
        self.prefix = parts.path.rstrip("/").encode()
        self.authority = parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii")
        self._host = parts.hostname or ""
        self._port = _port(url) or (443 if parts.scheme == "https" else 80)
        self._tls = _context(ca) if parts.scheme == "https" else None
        self._proxy = proxy or environment_proxy(parts.scheme, parts.netloc)
        self._via = _proxy_name(self._proxy) if self._proxy else ""
        self.fields: Headers = ()
        if self._proxy and not self._tls:
            self.prefix = f"http://{parts.netloc}".encode() + self.prefix
            self.fields = _credentials(self._proxy)
        self.cork = Cork()
        self._resting: list[Connection] = []

    def idle(self) -> Connection | None:
        """A connection at rest, if there is one."""
        while self._resting:
            connection = self._resting.pop()
            if connection.open and not connection.transport.is_closing():
                return connection
        return None

    async def connect(self) -> Connection:
        """A new connection. Raises ``UpstreamError``."""
        try:
            async with asyncio.timeout(CONNECT_S):
                return await (self._through_proxy() if self._proxy else self._directly())
        except TimeoutError:
            why = f"no connection within {CONNECT_S:.0f} s"
        except ssl.SSLCertVerificationError as error:
            why = f"its certificate is not trusted ({error.verify_message}); see the setting upstream_ca"
            raise UntrustedError(f"cannot reach {self._host}:{self._port}{self._via}: {why}") from error
        except (OSError, ssl.SSLError) as error:
            why = os.strerror(error.errno) if isinstance(error, ConnectionError) and error.errno else _words(error)
        msg = f"cannot reach {self._host}:{self._port}{self._via}: {why}"
        raise UpstreamError(msg)

    def take_back(self, connection: Connection) -> None:
        """A connection that has done its work."""
        connection.rest()
        self._resting.append(connection)

    def forget(self, connection: Connection) -> None:
        """A connection that was closed."""
        if connection in self._resting:
            self._resting.remove(connection)

    def leads_to(self, host: str, port: int) -> bool:
        """Whether this is the loopback address of our own, so that a request would never end."""
        return not self._proxy and port == self._port and is_loopback(host) and is_loopback(self._host)

    def close(self) -> None:
        """Close what is at rest."""
        for connection in self._resting[:]:
            connection.abort()

    async def _directly(self) -> Connection:
        loop = asyncio.get_running_loop()
        name = self._host if self._tls else None
        _, connection = await loop.create_connection(
            lambda: Connection(self), self._host, self._port, ssl=self._tls, server_hostname=name
        )
        return connection

    async def _through_proxy(self) -> Connection:
        parts = urlsplit(self._proxy)
        loop = asyncio.get_running_loop()
        host, port = parts.hostname or "", _port(self._proxy) or 80
        if not self._tls:
            _, connection = await loop.create_connection(lambda: Connection(self), host, port)
            return connection
        transport, tunnel = await loop.create_connection(_Tunnel, host, port)
        try:
            await tunnel.dig(f"{self._host}:{self._port}", _credentials(self._proxy))
            connection = Connection(self)
            secure = await loop.start_tls(transport, connection, self._tls, server_hostname=self._host)
        except BaseException:
            transport.abort()
            raise
        if not connection.open and secure:
            connection.connection_made(secure)
        return connection


class _Tunnel(asyncio.Protocol):
    """A proxy's side of CONNECT (RFC 9110, 9.3.6)."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def dig(self, authority: str, credentials: Headers) -> None:
        fields: Headers = ((b"Host", authority.encode()), *credentials)
        self.transport.write(http1.request_head(b"CONNECT", authority.encode(), fields))
        status = await self._answer
        if not 200 <= status < 300:
            raise OSError(0, f"the proxy answered CONNECT with {status}")
        self.transport.pause_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        with suppress(httptools.HttpParserUpgrade, httptools.HttpParserError):
            self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc or OSError(0, "the proxy closed the connection"))

    def on_headers_complete(self) -> None:
        if not self._answer.done() and (status := self._parser.get_status_code()) >= 200:
            self._answer.set_result(status)


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def origin(url: str) -> SplitResult:
    """The parts of an upstream's URL. Raises ``UpstreamError`` where it is none."""
    msg = f"upstream {url!r} is not a URL of the form http[s]://host[:port]"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UpstreamError(msg) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise UpstreamError(msg)
    _port(url)
    return parts


def _proxy_name(proxy: str) -> str:
    parts = urlsplit(proxy)
    if parts.scheme != "http" or not parts.hostname:
        msg = f"the proxy {parts.hostname or proxy!r} is not a URL of the form http://host:port"
        raise UpstreamError(msg)
    return f" through the proxy {parts.hostname}:{_port(proxy) or 80}"


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError as error:
        msg = f"{url!r} has a port that is no port"
        raise UpstreamError(msg) from error


def _context(ca: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca:
        try:
            context.load_verify_locations(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            msg = f"cannot read certificates from {ca}: {error.strerror or error}"
            raise UpstreamError(msg) from error
    return context


def environment_proxy(scheme: str, netloc: str) -> str:
    """The URL of the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for a host; empty for none, and for loopback."""
    proxies = urllib.request.getproxies_environment()
    host = urlsplit(f"//{netloc}").hostname or ""
    if is_loopback(host) or urllib.request.proxy_bypass_environment(netloc, proxies):  # type: ignore[attr-defined]
        return ""
    return str(proxies.get(scheme, ""))


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _credentials(proxy: str) -> Headers:
    parts = urlsplit(proxy)
    if not parts.username:
        return ()
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return ((b"Proxy-Authorization", b"Basic " + base64.b64encode(pair.encode())),)
