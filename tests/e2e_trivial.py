"""The least that a streaming mitmproxy add-on does, for comparison; and it sends what is asked of the API to ``to``."""

from urllib.parse import urlsplit

from mitmproxy import ctx, http
from mitmproxy.addonmanager import Loader


def load(loader: Loader) -> None:
    loader.add_option("to", str, "", "Where the API's requests go instead.")
    ctx.options.update(connection_strategy="lazy", upstream_cert=False)  # type: ignore[no-untyped-call]


def running() -> None:
    server = ctx.master.addons.get("proxyserver")  # type: ignore[no-untyped-call]
    port, authority = server.listen_addrs()[0][1], f"{ctx.options.confdir}/mitmproxy-ca-cert.pem"
    print(f"HTTPS_PROXY=http://127.0.0.1:{port} NODE_EXTRA_CA_CERTS={authority}", flush=True)


def requestheaders(flow: http.HTTPFlow) -> None:
    to = urlsplit(ctx.options.to)
    flow.request.scheme, flow.request.host, flow.request.port = to.scheme, to.hostname or "", to.port or 80


def responseheaders(flow: http.HTTPFlow) -> None:
    if flow.response:
        flow.response.stream = _same


def _same(data: bytes) -> bytes:
    return data
