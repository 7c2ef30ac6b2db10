"""The upstreams of the gateway inside mitmproxy, as mitmproxy would reach them itself: what it trusts, through the proxy that it is chained to."""

import ssl
from urllib.parse import quote

import certifi
from mitmproxy import ctx

from proxy.inner import Origin
from proxy.upstream import Upstream

_NO_PROXY = "http://none.invalid"


class Reach:
    """Makes upstreams. The options are read once: ``ssl_verify_upstream_trusted_*``, ``ssl_insecure``, ``upstream_auth``."""

    def __init__(self) -> None:
        options = ctx.options
        self._trusted: tuple[str | None, str | None] = (
            options.ssl_verify_upstream_trusted_ca,
            options.ssl_verify_upstream_trusted_confdir,
        )
        self._insecure: bool = options.ssl_insecure
        self._auth: str = getattr(options, "upstream_auth", None) or ""
        self._tls: ssl.SSLContext | None = None

    def prepare(self) -> None:
        """Reads the certificates, which takes a while. Python's default context would be stricter than mitmproxy. Raises OSError and ``ssl.SSLError``."""
        ca, folder = self._trusted
        tls = self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.set_alpn_protocols(["http/1.1"])
        if ca or folder:
            tls.load_verify_locations(ca, folder)
        else:
            tls.load_default_certs()
            tls.load_verify_locations(certifi.where())
        if self._insecure:
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE

    def __call__(self, origin: Origin) -> Upstream:
        """The upstream for an origin. Raises ``UpstreamError``."""
        return _Reached(origin, self._proxy(origin.via), self._tls)

    def _proxy(self, via: str) -> str:
        name, _, password = self._auth.partition(":")
        own = f"{quote(name, safe='')}:{quote(password, safe='')}@" if name else ""
        return f"http://{own}{via}" if via else ""


class _Reached(Upstream):
    """It heeds no proxy of the environment: mitmproxy does not either, and it may well be the one that is named there."""

    def __init__(self, origin: Origin, proxy: str, tls: ssl.SSLContext | None) -> None:
        super().__init__(origin.url, proxy=proxy or _NO_PROXY)
        if not proxy:
            self._proxy = self._via = ""
            self.prefix, self.fields = b"", ()
        self._tls = self._tls and tls
