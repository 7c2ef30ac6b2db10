"""The three ways in: the Messages API, Amazon Bedrock, Google Vertex. They differ in framing, not in content."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from proxy.pretend.catalog import HEADERS
from proxy.pretend.delivery import Answer
from proxy.pretend.events import events, message
from proxy.pretend.frames import eventstream_frame, sse_frame
from proxy.pretend.options import Options
from proxy.pretend.reply import HttpError, Json, Reply

type Frame = Callable[[Json, int, Options], bytes]


def _sse(event: Json, spaces: int, options: Options) -> bytes:
    return sse_frame(event, spaces=spaces, newline=b"\r\n" if options.crlf else b"\n")


def _eventstream(event: Json, spaces: int, options: Options) -> bytes:
    return eventstream_frame(event, spaces=spaces)


def _error_body(error: HttpError, request_id: str) -> Json:
    fault = {"type": error.kind, "message": error.message}
    return {"type": "error", "error": fault, "request_id": request_id}


def _bedrock_error_body(error: HttpError, request_id: str) -> Json:
    return {"message": error.message}


class Surface(Struct, frozen=True, kw_only=True):
    """One way in."""

    request_id_header: str
    request_id_prefix: str
    headers: Sequence[tuple[str, str]]
    stream_type: str
    frame: Frame
    error_body: Callable[[HttpError, str], Json]


API = Surface(
    request_id_header="request-id",
    request_id_prefix="req_011C",
    headers=HEADERS,
    stream_type="text/event-stream; charset=utf-8",
    frame=_sse,
    error_body=_error_body,
)
VERTEX = Surface(
    request_id_header="request-id",
    request_id_prefix="req_vrtx_011C",
    headers=(("Server", "scaffolding on HTTPServer2"), ("X-Vertex-AI-Internal-Prediction-Backend", "pretend")),
    stream_type="text/event-stream; charset=utf-8",
    frame=_sse,
    error_body=_error_body,
)
BEDROCK = Surface(
    request_id_header="x-amzn-RequestId",
    request_id_prefix="",
    headers=(("X-Amzn-Bedrock-Content-Type", "application/json"),),
    stream_type="application/vnd.amazon.eventstream",
    frame=_eventstream,
    error_body=_bedrock_error_body,
)
REQUEST_ID_HEADERS = {surface.request_id_header for surface in (API, VERTEX, BEDROCK)}


def stream_answer(surface: Surface, reply: Reply, options: Options, message_id: str, request_id: str) -> Answer:
    """The reply as a stream, one piece an event."""
    told = events(reply, message_id, request_id)
    pieces = [surface.frame(event, _spaces(number, options), options) for number, event in enumerate(told)]
    headers = _headers(surface, request_id, surface.stream_type)
    ends = next((number for number, event in enumerate(told) if event["type"] == "message_delta"), 0)
    late = (ends, options.late)
    return Answer(headers=headers, pieces=pieces, stream=True, cut=bool(reply.cut), pace=reply.pace, late=late)


def message_answer(surface: Surface, reply: Reply, message_id: str, request_id: str) -> Answer:
    """The reply as one message; of one that is cut, the first half."""
    body = msgspec.json.encode(message(reply, message_id))
    half = body[: len(body) // 2] if reply.cut else body
    return Answer(headers=_headers(surface, request_id, "application/json"), pieces=[half], cut=bool(reply.cut))


def error_answer(surface: Surface, error: HttpError, request_id: str) -> Answer:
    """An error status with the surface's usual body."""
    headers = _headers(surface, request_id, "application/json")
    if error.retry is not None:
        headers.append(("x-should-retry", str(error.retry).lower()))
    body = msgspec.json.encode(surface.error_body(error, request_id))
    return Answer(status=error.status, headers=headers, pieces=[body])


def json_answer(value: object, request_id: str) -> Answer:
    """Any JSON of the API itself."""
    return Answer(headers=_headers(API, request_id, "application/json"), pieces=[msgspec.json.encode(value)])


def jsonl_answer(values: Sequence[object], request_id: str) -> Answer:
    """Lines of JSON, one piece each."""
    pieces = [msgspec.json.encode(value) + b"\n" for value in values]
    return Answer(headers=_headers(API, request_id, "application/x-jsonl"), pieces=pieces, stream=True)


def _headers(surface: Surface, request_id: str, content_type: str) -> list[tuple[str, str]]:
    return [*surface.headers, (surface.request_id_header, request_id), ("Content-Type", content_type)]


def _spaces(number: int, options: Options) -> int:
    return (7 * number + 9) % options.padding if options.padding else 0
