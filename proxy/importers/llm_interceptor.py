"""What llm-interceptor recorded (``lli``, before it ``cci``): requests, the events of their streams, and answers, a line each.

Verified against the source of llm-interceptor 2.10.0: the raw log (``request``, ``response_chunk``, ``response_meta``, ``response``), the merged
one, and the single files it is split into; merged ones have lost ``stop_details`` and, of streams, the head of the answer. The heads
of streams are never stored, so their request ids are not known. Secrets are masked in the heads.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

from proxy.importers import moments
from proxy.importers.documents import Json, number, objects, text
from proxy.importers.exchanged import Captured, Exchanges, answered, body, pairs, stream
from proxy.importers.opening import first
from proxy.importers.source import Found, Origin, Trouble

_KINDS = {
    "request": {"id", "timestamp", "method", "url"},
    "response": {"request_id", "status_code", "latency_ms"},
    "response_chunk": {"request_id", "status_code", "chunk_index"},
    "response_meta": {"request_id", "status_code", "total_latency_ms"},
}
"""What each kind of record has at least."""
_LATE = frozenset({"latency_ms"})
"""What stands behind a body, and may not be seen in the beginning of a file."""


class LlmInterceptor:
    """See the head of the module."""

    name = "llm-interceptor"

    def claims(self, head: bytes, origin: Origin) -> bool:
        """See ``Source``."""
        value = first(head)
        needed = _KINDS.get(str(value.get("type")))
        return needed is not None and value.keys() >= needed - _LATE

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """See ``Source``."""
        exchanges, open_ = Exchanges(self.name, origin), dict[str, _Open]()
        for found in objects(file):
            if isinstance(found, Trouble):
                yield found
                continue
            line, record = found
            kind = record.get("type")
            name = text(record.get("id" if kind == "request" else "request_id"))
            if name is None or kind not in _KINDS:
                yield Trouble(line, "no record of llm-interceptor")
            elif kind == "request":
                open_[name] = _Open(line, record)
            elif (one := open_.setdefault(name, _Open(line, {}))).take(record):
                del open_[name]
                yield from one.found(exchanges)
        for one in open_.values():  # of a file that is cut, and of merged logs whose answers are missing
            yield from one.found(exchanges)


class _Open:
    """A request, and what has come of its answer so far."""

    def __init__(self, line: int | None, request: Json) -> None:
        self._line, self._request = line, request
        self._events: list[Any] = []
        self._answer: Json = {}
        self._took: object = None

    def take(self, record: Json) -> bool:
        """Another record of it. Whether it was the last."""
        self._answer = {**self._answer, **record}
        if record.get("type") == "response_chunk":
            self._events.append(record.get("content"))
            return False
        self._took = record.get("total_latency_ms", record.get("latency_ms"))
        return True

    def found(self, exchanges: Exchanges) -> Iterator[Found]:
        """What is kept of it."""
        began, took = self._began(), number(self._took)
        if began is None:
            yield Trouble(self._line, "an exchange without a time")
            return
        request = self._request
        captured = Captured(
            began=began,
            ended=None if took is None else began + took / 1000,
            method=text(request.get("method")) or "POST",
            target=text(request.get("url")) or "/v1/messages",
            asked=pairs(request.get("headers")),
            request=body(request.get("body")),
            exact=False,
            status=number(self._answer.get("status_code")) or 0,
            told=answered(self._answer.get("headers")),
            answer=self._said(),
            whole=self._took is not None,
        )
        yield from exchanges.found(captured, self._line)

    def _began(self) -> float | None:
        """An answer without its request is dated by its own time, which is that of its end."""
        return moments.seconds(self._request.get("timestamp", self._answer.get("timestamp")))

    def _said(self) -> bytes | None:
        if self._events:
            return stream((None, event) for event in self._events)
        return body(self._answer.get("body")) if self._answer else b""
