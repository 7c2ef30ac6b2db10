"""What claude-trace recorded (``.claude-trace/log-*.jsonl``): one request and its answer a line.

Read after the source of badlogic/lemmy, ``apps/claude-trace``: parsed bodies as ``body``, streams as ``body_raw``, times in seconds, ``response``
null for a request that was never answered. It writes what passes both ``fetch`` and ``http`` twice.
"""

from collections.abc import Iterator
from typing import BinaryIO

from proxy.importers import moments
from proxy.importers.documents import Json, number, objects, table, text
from proxy.importers.exchanged import Captured, Exchanges, answered, body, pairs
from proxy.importers.opening import first, member
from proxy.importers.source import Found, Origin, Trouble


class ClaudeTrace:
    """See the head of the module."""

    name = "claude-trace"

    def claims(self, head: bytes, origin: Origin) -> bool:
        """See ``Source``."""
        return member(first(head), "request").keys() >= {"timestamp", "method", "url"}

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """See ``Source``."""
        exchanges = Exchanges(self.name, origin)
        for found in objects(file):
            if isinstance(found, Trouble):
                yield found
                continue
            line, pair = found
            captured = _captured(pair)
            yield from [Trouble(line, "a pair without a time")] if captured is None else exchanges.found(captured, line)


def _captured(pair: Json) -> Captured | None:
    request, response = table(pair.get("request")), table(pair.get("response"))
    began = moments.seconds(request.get("timestamp"))
    if began is None:
        return None
    answer = body(response["body_raw"] if "body_raw" in response else response.get("body"))
    return Captured(
        began=began,
        ended=moments.seconds(response.get("timestamp")),
        method=text(request.get("method")) or "",
        target=text(request.get("url")) or "",
        asked=pairs(request.get("headers")),
        request=body(request.get("body")),
        exact=False,
        status=number(response.get("status_code")) or 0,
        told=answered(response.get("headers")),
        answer=answer if response else b"",
        whole=bool(response),
    )
