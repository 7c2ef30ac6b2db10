"""Which requests can be declined at all, by their method and path: the Messages API, and the same messages on other surfaces."""

import re
from enum import StrEnum
from urllib.parse import unquote


class Surface(StrEnum):
    """A kind of request that can be declined."""

    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"
    BATCH_RESULTS = "batch_results"
    BEDROCK = "bedrock"
    BEDROCK_STREAM = "bedrock_stream"
    VERTEX = "vertex"
    VERTEX_STREAM = "vertex_stream"


SURFACES = tuple(
    (surface, method, re.compile(path + rb"/?\Z"))
    for surface, method, path in (
        (Surface.MESSAGES, b"POST", rb"/v1/messages"),
        (Surface.COUNT_TOKENS, b"POST", rb"/v1/messages/count_tokens"),
        (Surface.BATCH_RESULTS, b"GET", rb"/v1/messages/batches/[^/]+/results"),
        (Surface.BEDROCK, b"POST", rb"/model/(.+)/invoke"),
        (Surface.BEDROCK_STREAM, b"POST", rb"/model/(.+)/invoke-with-response-stream"),
        (Surface.COUNT_TOKENS, b"POST", rb"/models/count-tokens:rawPredict"),
        (Surface.VERTEX, b"POST", rb"/models/([^/]+):rawPredict"),
        (Surface.VERTEX_STREAM, b"POST", rb"/models/([^/]+):streamRawPredict"),
    )
)
"""Each surface's method and the end of its path, the group being the model. The first that fits is it."""


def surface(method: bytes, target: bytes) -> Surface | None:
    """The surface that a request is for, whatever stands before ``/v1`` or behind ``?``; None where it is none of ours."""
    found = locate(target)
    return found[0] if found and found[1] == method else None


def locate(target: bytes) -> tuple[Surface, bytes, str | None] | None:
    """Surface, its method, and the model that the path names."""
    path = target.partition(b"?")[0]
    for name, method, pattern in SURFACES:
        if found := pattern.search(path):
            return name, method, unquote(found[1].decode("latin-1")) if pattern.groups else None
    return None
