"""The least that a streaming mitmproxy add-on does: ``mitmdump -s bench/trivial.py``."""

from mitmproxy import http


def _same(data: bytes) -> bytes:
    return data


def responseheaders(flow: http.HTTPFlow) -> None:
    """Lets the body through as it comes."""
    if flow.response:
        flow.response.stream = _same
