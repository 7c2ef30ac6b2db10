"""An answer by itself, without its request: a stream of server-sent events, one message or error as JSON, or a batch's results.

Nobody says when it was: it has the time of its file, or else that of its import, and counts in no hour's traffic. Its id is made of its content alone, so that a copy of
the file is the same refusal. A second ``message_start`` in a stream begins another answer.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from io import BytesIO
from typing import BinaryIO

from msgspec.structs import replace

from proxy.core.segment import to_json
from proxy.core.sse import frames
from proxy.importers import moments
from proxy.importers.documents import Json, objects, whole
from proxy.importers.exchanged import Captured, Exchanges
from proxy.importers.opening import first, member
from proxy.importers.source import Found, Origin, Trouble, identify
from schemas.records import Entry

_STREAM = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|:[^\r\n]*[\r\n]|(?:id|retry):[^\r\n]*[\r\n]|event: ?ping\r?\ndata:[^\r\n]*[\r\n])*+"
    rb'(?:event: ?(?:message_start|error)[\r\n]|data: ?\{"type": ?"(?:message_start|error)")'
)
_BEGINS = re.compile(rb'(?:^|[\r\n])(?:event: ?message_start[\r\n]|data: ?\{"type": ?"message_start")')
_RESULTS = "/v1/messages/batches/unknown/results"


class RawAnswer:
    """See the head of the module."""

    name = "raw"

    def claims(self, head: bytes, origin: Origin) -> bool:
        """See ``Source``."""
        value = first(head)
        return _STREAM.match(head) is not None or _is_answer(value) or _is_result(value)

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """See ``Source``."""
        exchanges, at = Exchanges(self.name, origin, requests=False), moments.of_file(file, origin.name)
        data, trouble = whole(file)
        for answer in _streams(data) if _STREAM.match(data) else _bodies(data):
            if isinstance(answer, Trouble):
                yield answer
                continue
            line, captured = answer
            for found in exchanges.found(captured._replace(began=at), line):
                if isinstance(found, Trouble):
                    yield found
                elif found.refusals:
                    yield _named(found, captured)
        if trouble:
            yield trouble


def _streams(data: bytes) -> Iterator[tuple[int | None, Captured]]:
    answers: list[list[bytes]] = [[]]
    for frame in frames(data):
        if _BEGINS.search(frame.raw) and _BEGINS.search(b"".join(answers[-1])):
            answers.append([])
        answers[-1].append(frame.raw)
    for answer in answers:
        yield None, Captured(0.0, b"".join(answer), told=((b"content-type", b"text/event-stream"),))


def _bodies(data: bytes) -> Iterator[tuple[int | None, Captured] | Trouble]:
    for found in objects(BytesIO(data)):
        if isinstance(found, Trouble):
            yield found
        elif _is_result(found[1]):
            yield found[0], Captured(0.0, to_json(found[1]), method="GET", target=_RESULTS)
        elif _is_answer(found[1]):
            status = 400 if found[1]["type"] == "error" else 200
            yield found[0], Captured(0.0, to_json(found[1]), status=status)
        else:
            yield Trouble(found[0], "neither a message nor an error of the API")


def _named(entry: Entry, captured: Captured) -> Entry:
    """With ids that do not depend on when the file was written."""
    content = blake2b(captured.answer or b"", digest_size=16).hexdigest()
    entry.refusals = [
        replace(refusal, id=identify(0.0, "raw", refusal.message_id or "", content, str(n)))
        for n, refusal in enumerate(entry.refusals)
    ]
    entry.traffic = []
    return entry


def _is_answer(value: Json) -> bool:
    if value.get("type") == "error":
        return "type" in member(value, "error")
    return (
        value.get("type") == "message" and value.get("role") == "assistant" and isinstance(value.get("content"), list)
    )


def _is_result(value: Json) -> bool:
    return "custom_id" in value and "type" in member(value, "result")
