"""Where requests to the observed hosts go instead of there: the option ``demur_upstream``."""

import urllib.request
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from mitmproxy.connection import Server
from mitmproxy.http import HTTPFlow

from proxy.upstream import is_loopback


class Route(NamedTuple):
    """An origin and a prefix for the path."""

    scheme: str
    authority: str
    address: tuple[str, int]
    prefix: str
    direct: bool
    """Whether it is reached without the proxy that mitmproxy is chained to: on this machine, or in NO_PROXY."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """``http[s]://host[:port][/prefix]``. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise ValueError("it is not a URL of the form http[s]://host[:port]")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        around: bool = urllib.request.proxy_bypass_environment(parts.netloc)  # type: ignore[attr-defined]
        direct = is_loopback(parts.hostname) or around
        return cls(parts.scheme, parts.netloc, (parts.hostname, port), parts.path.rstrip("/"), direct)

    def apply(self, flow: HTTPFlow) -> None:
        """Changes where the request goes, and ``Host`` with it; everything else stays."""
        request = flow.request
        request.scheme = self.scheme
        request.host, request.port = self.address
        request.host_header = self.authority
        request.data.path = self.prefix.encode() + request.data.path
        if flow.server_conn.via and self.direct:
            flow.server_conn = Server(address=self.address)
