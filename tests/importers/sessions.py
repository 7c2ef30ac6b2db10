"""Lines of transcripts, as Claude Code 2.1.197 and 2.1.330 write them, and what comes of reading them."""

import io
import itertools
import json
from collections import Counter
from typing import Any

from proxy.core.redact import Redactor
from proxy.importers.source import Found, Origin, Source, Trouble
from proxy.importers.transcript import Transcript
from schemas.labels import Result
from schemas.records import Entry, Refusal, Traffic

SESSION = "11111111-2222-4333-8444-555555555555"
MODEL, FALLBACK = "claude-opus-5", "claude-opus-4-8"
DETAILS = {"type": "refusal", "category": "cyber", "explanation": "It could enable cyber harm."}
USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 4,
    "output_tokens": 5,
    "iterations": [],
}
ORIGIN = Origin("a.jsonl", Redactor())

type Json = dict[str, Any]


class Session:
    """The lines of one file, each the child of the one before."""

    def __init__(self, **always: Any) -> None:
        self.lines: list[Json] = []
        self._always = {
            "isSidechain": False,
            "userType": "external",
            "entrypoint": "cli",
            "cwd": "/home/dev/lab-sheets",
            "sessionId": SESSION,
            "version": "2.1.197",
            "gitBranch": "main",
        } | always
        self._n = itertools.count(1)

    def add(self, kind: str, **members: Any) -> str:
        """A line; its uuid."""
        n = next(self._n)
        uuid = f"{n:08d}-0000-4000-8000-0000{str(self._always['sessionId'])[:8]}"
        parent = self.lines[-1].get("uuid") if self.lines else None
        time = f"2026-11-23T14:{n // 60:02}:{n % 60:02}.000Z"
        line = {"parentUuid": parent, "type": kind, "uuid": uuid, "timestamp": time} | self._always | members
        self.lines.append({name: value for name, value in line.items() if value is not ...})
        return uuid

    def prompt(self, content: Any = "Please look.", **members: Any) -> str:
        return self.add("user", message={"role": "user", "content": content}, promptId="p", **members)

    def result(self, content: Any = "line 1", **members: Any) -> str:
        block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content}
        return self.add(
            "user", message={"role": "user", "content": [block]}, toolUseResult={"stdout": content}, **members
        )

    def answer(self, n: int, *blocks: Json, stop: str | None = "end_turn", model: str = MODEL, **members: Any) -> str:
        """A line of an answer to request ``n``."""
        message = {
            "id": f"msg_{n:04d}",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": list(blocks or [text("I see.")]),
            "stop_reason": stop,
            "stop_details": DETAILS if stop == "refusal" else None,
            "usage": members.pop("usage", USAGE),
        }
        return self.add("assistant", message=message, **{"requestId": f"req_{n:04d}"} | members)

    def error(self, said: str, n: int | None = None, *, stop: str | None = "stop_sequence", **members: Any) -> str:
        """An error that the client writes in an answer's place."""
        message = {
            "id": "13865232-b4c4-4318-9136-7c672813746b",
            "model": "<synthetic>",
            "role": "assistant",
            "stop_reason": stop,
            "stop_details": DETAILS if stop == "refusal" else None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
            "content": [text(said)],
        }
        named = {} if n is None else {"requestId": f"req_{n:04d}"}
        return self.add(
            "assistant", message=message, isApiErrorMessage=True, error="invalid_request", **named | members
        )

    def refused(
        self, n: int, said: str = "API Error: claude-opus-5's safeguards flagged this message.", **members: Any
    ) -> str:
        return self.error(said, n, stop="refusal", **members)

    def fallback(self, n: int, **members: Any) -> str:
        """The client turns to another model."""
        told = {
            "subtype": "model_refusal_fallback",
            "direction": "retry",
            "trigger": "refusal",
            "originalModel": MODEL,
            "fallbackModel": FALLBACK,
            "requestId": f"req_{n:04d}",
            "apiRefusalCategory": "cyber",
            "apiRefusalExplanation": DETAILS["explanation"],
            "retractedMessageUuids": [],
        }
        return self.add("system", content="Switched to Opus 4.8.", **told | members)

    def note(self, n: int, **members: Any) -> str:
        """The client asks the same model once more."""
        said = "Your response above was stopped by a safety classifier — this is not a tool or API error."
        return self.prompt(said, isMeta=True, **{"refusedMessageId": f"msg_{n:04d}"} | members)

    def __bytes__(self) -> bytes:
        return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in self.lines)


def text(said: str) -> Json:
    return {"type": "text", "text": said}


def call(name: str = "Read", **given: Any) -> Json:
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": given or {"file_path": "/src/a.py"}}


def found(data: bytes | Session, origin: Origin = ORIGIN, source: Source | None = None) -> list[Found]:
    return list((source or Transcript()).read(io.BytesIO(bytes(data)), origin))


def entries(data: bytes | Session, origin: Origin = ORIGIN, source: Source | None = None) -> list[Entry]:
    """Those with a refusal. There must be no trouble."""
    every = found(data, origin, source)
    assert not [one for one in every if isinstance(one, Trouble)]
    return [one for one in every if isinstance(one, Entry) and one.refusals]


def refusals(data: bytes | Session, source: Source | None = None) -> list[Refusal]:
    return [refusal for entry in entries(data, source=source) for refusal in entry.refusals]


def the(data: bytes | Session, source: Source | None = None) -> Refusal:
    (refusal,) = refusals(data, source)
    return refusal


def troubles(data: bytes | Session) -> list[Trouble]:
    return [one for one in found(data) if isinstance(one, Trouble)]


def counts(data: bytes | Session, source: Source | None = None) -> Counter[Traffic]:
    every = [one for one in found(data, source=source) if isinstance(one, Entry)]
    return Counter({traffic: n for one in every for traffic, n in one.traffic})


def ends(data: bytes | Session, source: Source | None = None) -> dict[Result, int]:
    """How the requests ended."""
    made: Counter[Result] = Counter()
    for traffic, n in counts(data, source).items():
        made[Result(traffic.outcome)] += n
    return dict(made)
