"""One session, as each capture would have written it: a turn that is answered, one that is declined, one whose history holds an old seam, and
one that the API itself got answered by another model."""

import base64
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from warnings import catch_warnings

from mitmproxy import http

from answers import ANSWER, DETAILS, REFUSAL, SEAM, block, data_of, delta, end, event, start, stop
from proxy.core.redact import Redactor
from proxy.core.sse import frames
from proxy.importers.source import Found, Origin, Source, Trouble
from schemas.records import Entry, Refusal

with catch_warnings(action="ignore", category=DeprecationWarning):  # of pyparsing, at mitmproxy's use of it
    from mitmproxy.addons.savehar import SaveHar
    from mitmproxy.io import FlowReader, FlowWriter
    from mitmproxy.test import tflow

type Json = dict[str, Any]

BEGAN = 1_795_000_000.0
KEY = "sk-ant-api03-" + "q7Rw" * 23 + "-AA"
SESSION = "0c0ffee0-1111-4222-8333-444455556666"
SEAMED = start() + block(0, **SEAM) + block(1) + delta(1, "Hi") + stop(1) + end() + event("message_stop")
HEADERS = {
    "host": "api.anthropic.com",
    "content-type": "application/json",
    "user-agent": "claude-cli/2.1.197 (external, sdk-cli)",
    "x-claude-code-session-id": SESSION,
    "x-api-key": KEY,
    "authorization": f"Bearer {KEY}",
}


class Turn(NamedTuple):
    """One exchange. Times are seconds since 1970."""

    began: float
    request: Json
    request_id: str
    answer: bytes
    """The stream."""

    @property
    def told(self) -> dict[str, str]:
        return {"content-type": "text/event-stream; charset=utf-8", "request-id": self.request_id, "set-cookie": KEY}

    @property
    def ended(self) -> float:
        return self.began + 1.5


def asked(*said: str | Json, stream: bool = True) -> Json:
    """A request: user and assistant in turn."""
    roles = ("user", "assistant")
    messages = [
        {"role": roles[n % 2], "content": text if isinstance(text, str) else [text]} for n, text in enumerate(said)
    ]
    tools = [{"name": "Read", "description": "d", "input_schema": {"type": "object"}}]
    return {"model": "claude-opus-5", "stream": stream, "tools": tools, "messages": messages}


WORDS = "Please look at this: PLANTED. The key is " + KEY
SESSION_OF = [
    Turn(BEGAN, asked("Good day."), "req_1", ANSWER),
    Turn(BEGAN + 10, asked("Good day.", "Hello", WORDS), "req_2", REFUSAL),
    Turn(BEGAN + 90, asked("Good day.", SEAM, "And now?"), "req_3", ANSWER),
    Turn(BEGAN + 200, asked("Good day.", "Hello", "Something else, quite."), "req_4", SEAMED),
]


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def events(turn: Turn) -> list[Json]:
    return [json.loads(data_of(frame.raw)) for frame in frames(turn.answer)]


def message(turn: Turn) -> Json:
    """The answer as one body."""
    found: Json = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-5"}
    found["content"] = [e["content_block"] for e in events(turn) if e["type"] == "content_block_start"]
    last = next(e for e in events(turn) if e["type"] == "message_delta")
    found |= last["delta"]
    return found | {"usage": {"input_tokens": 412, "output_tokens": 3}}


def lines(values: list[Any]) -> bytes:
    return b"".join(json.dumps(value, separators=(",", ":")).encode() + b"\n" for value in values)


def har(turns: list[Turn] = SESSION_OF, *, coded: bool = False) -> bytes:
    entries = []
    for turn in turns:
        text: Json = {"size": len(turn.answer), "mimeType": "text/event-stream", "text": turn.answer.decode()}
        if coded:
            text |= {"text": base64.b64encode(turn.answer).decode(), "encoding": "base64"}
        entries.append(
            {
                "startedDateTime": iso(turn.began),
                "time": 1500.4,
                "request": {
                    "method": "POST",
                    "url": "https://api.anthropic.com/v1/messages?beta=true",
                    "headers": [{"name": name, "value": value} for name, value in HEADERS.items()],
                    "postData": {"mimeType": "application/json", "text": json.dumps(turn.request)},
                },
                "response": {
                    "status": 200,
                    "headers": [{"name": "Content-Encoding", "value": "gzip"}]
                    + [{"name": name, "value": value} for name, value in turn.told.items()],
                    "content": text,
                },
            }
        )
    return json.dumps(
        {"log": {"version": "1.2", "creator": {"name": "x", "version": "1"}, "entries": entries}}
    ).encode()


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def flows(turns: list[Turn] = SESSION_OF, *, streamed: bool = False) -> bytes:
    file = io.BytesIO()
    writer: Any = FlowWriter(file)  # type: ignore[no-untyped-call]
    for turn in turns:
        flow = tflow.tflow(resp=True)
        flow.id = f"flow of {turn.request_id}"
        flow.request = http.Request.make(
            "POST", "https://api.anthropic.com/v1/messages", json.dumps(turn.request), _raw(HEADERS)
        )
        flow.response = http.Response.make(200, b"" if streamed else turn.answer, _raw(turn.told))
        if streamed:
            flow.response.raw_content = None
        flow.request.timestamp_start = turn.began
        flow.response.timestamp_end = turn.ended
        writer.add(flow)
    return file.getvalue()


def mitmproxys_har() -> bytes:
    """The same flows as mitmproxy itself exports them."""
    with catch_warnings(action="ignore"):
        return json.dumps(SaveHar().make_har(list(FlowReader(io.BytesIO(flows())).stream()))).encode()


def tap_records(turns: list[Turn] = SESSION_OF, *, streams: bool = False) -> list[Json]:
    """``streams``: with the events of the streams beside what they were put together to."""
    return [
        {
            "timestamp": iso(turn.ended),
            "request_id": f"req_{n:012x}",
            "turn": n + 1,
            "duration_ms": 1500,
            "request": {"method": "POST", "path": "/v1/messages?beta=true", "headers": HEADERS, "body": turn.request},
            "response": {
                "status": 200,
                "headers": turn.told,
                "body": message(turn),
            }
            | ({"sse_events": [{"event": one["type"], "data": one} for one in events(turn)]} if streams else {}),
        }
        for n, turn in enumerate(turns)
    ]


def trace_pairs(turns: list[Turn] = SESSION_OF) -> list[Json]:
    return [
        {
            "request": {
                "timestamp": turn.began,
                "method": "POST",
                "url": "https://api.anthropic.com/v1/messages?beta=true",
                "headers": HEADERS,
                "body": turn.request,
            },
            "response": {
                "timestamp": turn.ended,
                "status_code": 200,
                "headers": turn.told,
                "body_raw": turn.answer.decode(),
            },
            "logged_at": iso(turn.ended),
        }
        for turn in turns
    ]


def interceptor_records(turns: list[Turn] = SESSION_OF) -> list[Json]:
    records: list[Json] = []
    for n, turn in enumerate(turns):
        name = f"{n}-uuid"
        url = "https://api.anthropic.com/v1/messages"
        records.append(
            {
                "_session_id": "x", "type": "request", "id": name, "timestamp": iso(turn.began), "method": "POST", "url": url,
                "headers": HEADERS, "body": turn.request,
            }
        )  # fmt: skip
        for index, one in enumerate(events(turn)):
            records.append(
                {
                    "type": "response_chunk", "request_id": name, "timestamp": iso(turn.ended), "status_code": 200,
                    "chunk_index": index, "content": one,
                }
            )  # fmt: skip
        meta = {"type": "response_meta", "request_id": name, "total_latency_ms": 1500.2, "status_code": 200}
        records.append({**meta, "total_chunks": len(events(turn))})
    return records


def spend_rows(turns: list[Turn] = SESSION_OF) -> list[Json]:
    return [
        {
            "request_id": f"chatcmpl-{n}",
            "call_type": "anthropic_messages",
            "api_key": "hashed",
            "spend": 0.1,
            "startTime": iso(turn.began),
            "endTime": iso(turn.ended),
            "model": "claude-opus-5",
            "custom_llm_provider": "anthropic",
            "metadata": json.dumps({"user_agent": HEADERS["user-agent"], "status": "success"}),
            "proxy_server_request": json.dumps(turn.request | _metadata()),
            "response": message(turn),
            "status": "success",
        }
        for n, turn in enumerate(turns)
    ]


def _metadata() -> Json:
    return {"metadata": {"user_id": json.dumps({"session_id": SESSION})}}


def inspect_log(turns: list[Turn] = SESSION_OF) -> Json:
    """With the messages in a pool, and long texts in attachments, as Inspect condenses them."""
    pool: list[Any] = []
    found = []
    for n, turn in enumerate(turns):
        first = len(pool)
        pool += turn.request["messages"]
        request = {name: value for name, value in turn.request.items() if name != "messages"} | _metadata()
        call = {
            "request": request,
            "response": message(turn),
            "call_refs": [[first, len(pool)]],
            "call_key": "messages",
        }
        ids = [{"id": turn.request_id, "header": "request-id", "status": 200}]
        found.append(
            {
                "event": "model", "uuid": f"u{n}", "timestamp": iso(turn.began), "completed": iso(turn.ended),
                "model": "anthropic/claude-opus-5", "input": [], "request_ids": ids, "call": call,
                "output": {"model": "claude-opus-5", "choices": []},
            }
        )  # fmt: skip
    text = json.dumps(pool).replace(json.dumps(WORDS), '"attachment://abc"')
    sample = {
        "id": 1, "epoch": 1, "events": found, "attachments": {"abc": WORDS},
        "events_data": {"messages": [], "calls": json.loads(text)},
    }  # fmt: skip
    about = {"task": "t", "model": "anthropic/claude-opus-5", "created": iso(BEGAN)}
    return {"version": 2, "status": "success", "eval": about, "samples": [sample]}


def attribute(key: str, value: object) -> Json:
    kinds = {bool: "boolValue", int: "intValue", str: "stringValue", float: "doubleValue"}
    return {"key": key, "value": {kinds[type(value)]: str(value) if type(value) is int else value}}


def otel(*told: Json) -> Json:
    """Each event is its attributes, with ``at`` and ``name``."""
    records = []
    for one in told:
        facts = {"event.name": one["name"], "session.id": SESSION, "user.email": "a@example.org"} | {
            name: value for name, value in one.items() if name not in ("at", "name")
        }
        records.append(
            {
                "timeUnixNano": str(int(one["at"] * 10**9)),
                "body": {"stringValue": f"claude_code.{one['name']}"},
                "attributes": [attribute(name, value) for name, value in facts.items()],
            }
        )
    resource = {"attributes": [attribute("service.name", "claude-code"), attribute("service.version", "2.1.330")]}
    return {"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": {}, "logRecords": records}]}]}


def read(source: Source, data: bytes, name: str = "capture", **origin: Any) -> list[Found]:
    return list(source.read(io.BytesIO(data), Origin(name, origin.pop("redactor", Redactor()), **origin)))


def entries(found: list[Found]) -> list[Entry]:
    return [one for one in found if isinstance(one, Entry)]


def troubles(found: list[Found]) -> list[Trouble]:
    return [one for one in found if isinstance(one, Trouble)]


def refusals(found: list[Found]) -> list[Refusal]:
    return [refusal for entry in entries(found) for refusal in entry.refusals]


def counted(found: list[Found]) -> dict[str, int]:
    """How often each outcome was counted."""
    counts: dict[str, int] = {}
    for entry in entries(found):
        for traffic, n in entry.traffic:
            counts[traffic.outcome] = counts.get(traffic.outcome, 0) + n
    return counts


def everything(found: list[Found]) -> str:
    """All that would be stored, as one text."""
    import msgspec

    return "".join(str(msgspec.to_builtins(entry, builtin_types=(bytes,))) for entry in entries(found))


def file(folder: Path, data: bytes) -> Path:
    path = folder / "capture"
    path.write_bytes(data)
    return path


__all__ = ["DETAILS", "Entry", "FlowReader", "FlowWriter", "SaveHar", "Trouble"]
