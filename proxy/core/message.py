"""One answer of the Messages API, read from its events or from its JSON body into a ``Message``.

Of a stream only a few events say anything about its end: ``message_start``, ``content_block_start``, ``message_delta`` and
``error``. An event is what its data's ``type`` says; the SSE event name serves only where the data has none. Reading is
as lenient as the clients are, and never raises: a field of the wrong type is a field that is not there.
"""

import json
from typing import Any

import msgspec

from schemas.wire import Iteration, Message, Problem, Seam, Usage


class Events:
    """The state of one message while its events come."""

    def __init__(self) -> None:
        self.message = Message()
        self.decided = False
        self._calls: set[int] = set()
        """Indices of the tool calls that have not ended."""

    def take(self, data: bytes, name: str = "") -> None:
        """One event: its JSON, and its SSE name."""
        event = parse(data)
        kind = text(event.get("type")) or name
        if kind == "message_start":
            self._start(table(event.get("message")))
        elif kind == "content_block_start":
            self._block(event.get("index"), table(event.get("content_block")))
        elif kind == "content_block_stop":
            self._stop(event.get("index"))
        elif kind == "content_block_delta" and not self.message.blocks:
            self.message.blocks = 1
        elif kind == "message_delta":
            self._delta(event)
        elif kind == "error":
            _read_error(self.message, event)
            self.decided = True

    def _start(self, message: dict[str, Any]) -> None:
        self.message.id = text(message.get("id"))
        self.message.model = text(message.get("model"))
        _add_usage(self.message, message.get("usage"))

    def _block(self, index: object, block: dict[str, Any]) -> None:
        if block.get("type") == "tool_use" and isinstance(index, int):
            self._calls.add(index)
        if block.get("type") == "fallback":
            self.message.seams.append(_seam(block, self.message.blocks))
        else:
            self.message.blocks += 1

    def _stop(self, index: object) -> None:
        if isinstance(index, int) and index in self._calls:
            self._calls.discard(index)
            self.message.calls += 1

    def _delta(self, event: dict[str, Any]) -> None:
        delta = table(event.get("delta"))
        _add_usage(self.message, event.get("usage"))
        if (reason := text(delta.get("stop_reason"))) is not None:
            self.message.stop_reason, self.message.where = reason, "message_delta"
            _read_details(self.message, delta)
            self.decided = True


def read_body(body: bytes) -> Message:
    """One non-streaming answer or error body."""
    return _read(parse(body), "message")


def read_result(line: bytes) -> Message:
    """One line of batch results: ``{"custom_id": …, "result": {"type": "succeeded", "message": …}}``."""
    result = table(parse(line).get("result"))
    if "error" in result:
        return _read(table(result.get("error")), "error")
    return _read(table(result.get("message")), "batch.result.message")


def parse(data: bytes) -> dict[str, Any]:
    """A JSON object, as a lenient client reads it (lone surrogates, bytes that are not UTF-8); else an empty one."""
    try:
        return table(msgspec.json.decode(data))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        return table(json.loads(data.decode("utf-8", "replace")))
    except (ValueError, RecursionError):
        return {}


def table(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str | None:
    """The value if it is text, without lone surrogates, else None."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _read(body: dict[str, Any], where: str) -> Message:
    message = Message(id=text(body.get("id")), model=text(body.get("model")), where=where)
    if "error" in body:
        _read_error(message, body)
        return message
    message.stop_reason = text(body.get("stop_reason"))
    content = body.get("content")
    for block in content if isinstance(content, list) else []:
        if table(block).get("type") == "fallback":
            message.seams.append(_seam(block, message.blocks))
        else:
            message.blocks += 1
            message.calls += table(block).get("type") == "tool_use"
    _read_details(message, body)
    _add_usage(message, body.get("usage"))
    return message


def _read_details(message: Message, holder: dict[str, Any]) -> None:
    details = table(holder.get("stop_details"))
    message.category = text(details.get("category"))
    message.explanation = text(details.get("explanation"))


def _read_error(message: Message, body: dict[str, Any]) -> None:
    error = body.get("error")
    problem = table(error)
    said = text(problem.get("message")) or text(error)
    message.problem = Problem(type=text(problem.get("type")), message=said)
    message.request_id = text(body.get("request_id"))
    message.where = "error"


def _seam(block: dict[str, Any], after: int) -> Seam:
    return Seam(
        from_model=text(table(block.get("from")).get("model")),
        to_model=text(table(block.get("to")).get("model")),
        category=text(table(block.get("trigger")).get("category")),
        after=after,
    )


_COUNTS = (
    ("input_tokens", "input_tokens"),
    ("output_tokens", "output_tokens"),
    ("cache_read_tokens", "cache_read_input_tokens"),
    ("cache_write_tokens", "cache_creation_input_tokens"),
)


def _add_usage(message: Message, usage: object) -> None:
    """A delta's usage is cumulative and may leave out what ``message_start`` had said."""
    found = table(usage)
    _count(message.usage, found)
    entries = found.get("iterations")
    if isinstance(entries, list):
        message.iterations = [_iteration(table(entry)) for entry in entries]


def _count(usage: Usage, found: dict[str, Any]) -> None:
    for ours, theirs in _COUNTS:
        if isinstance(value := found.get(theirs), int):
            setattr(usage, ours, value)


def _iteration(entry: dict[str, Any]) -> Iteration:
    iteration = Iteration(type=text(entry.get("type")), model=text(entry.get("model")))
    _count(iteration.usage, entry)
    return iteration
