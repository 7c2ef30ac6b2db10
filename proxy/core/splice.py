"""Several attempts read as one message: what they share, and what a refused one leaves behind.

An attempt's answer goes through a *reader*, which gives the bytes for the client and stops at a refusal, so that the relay can decide
what becomes of it. There are four, since what may be sent depends on what the client already has:

    Through   an answer as it comes, held back until it shows output: the first attempt, and in plain wire those before output
    Marked    a later attempt in the official shape: a seam block, indices that go on, ``usage.iterations``
    Graft     a later attempt in plain wire, after text was sent: it goes on in the text block that is still open
    Whole     an answer that is no stream

The official shape is that of the server-side ``fallbacks`` (Anthropic, "Refusals and fallback") and of the SDK's
``BetaRefusalFallbackMiddleware``, which is our oracle in the tests.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from proxy.core.message import parse, table, text
from proxy.core.segment import to_json
from proxy.core.sse import Frame

Json = dict[str, Any]

TOKENS = ("fallback_credit_token", "fallback_has_prefill_claim")
"""What a refusal carries only for those who asked for credit."""
CAPACITY = frozenset({429, 529})
"""Statuses after which a model may be recommended all the same."""
SERVER_TOOLS = frozenset({"server_tool_use", "mcp_tool_use"})
"""Calls of tools that the API itself runs, while the stream is open."""
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta"'
_THINKING = frozenset({"thinking", "redacted_thinking"})


@dataclass(slots=True)
class Refused:
    """What a refused attempt leaves behind."""

    event: Json
    """The ``message_delta`` with the stop reason or, of what is no stream, the message."""
    start: Json
    """Its ``message_start``, or an empty object."""
    blocks: list[Json]
    """Its content, as far as it came."""
    shown: bool
    """Whether the client has been sent anything of it."""
    handed_from: str | None = None
    """The model that an API's own seam named last."""
    silent: bool = False
    """Whether its ``message_start`` was left out, since the client had one."""
    held: int | None = None
    """How many whole tool calls the tool guard keeps from the client; None without a guard."""

    @property
    def details(self) -> Json:
        """``stop_details``, where it is one of a refusal."""
        found = table(table(self.event.get("delta", self.event)).get("stop_details"))
        return found if found.get("type") == "refusal" else {}

    @property
    def token(self) -> str | None:
        """The credit token."""
        return text(self.details.get("fallback_credit_token")) or None

    @property
    def claim(self) -> bool:
        """Whether its output may be continued."""
        return self.details.get("fallback_has_prefill_claim") is True

    @property
    def category(self) -> str | None:
        """As the API said it."""
        return text(self.details.get("category"))

    @property
    def usage(self) -> Json:
        """Of the whole attempt; what the delta leaves out is taken from the start."""
        began = table(table(self.start.get("message")).get("usage"))
        ended = table(self.event.get("usage"))
        return {**began, **{key: value for key, value in ended.items() if value is not None or key not in began}}


class Reader(Protocol):
    """One attempt's answer on its way to the client."""

    refused: Refused | None
    """Set once the answer turned out to be a refusal; nothing of it has been sent then."""

    @property
    def tool(self) -> bool:
        """Whether the client has been sent the beginning of a tool call, or the API runs a tool of its own just now."""
        ...

    @property
    def next_index(self) -> int:
        """Where a next block would go in what the client has been sent."""
        ...

    @property
    def stopped(self) -> bool:
        """Whether the last event of a refused answer has come."""
        ...

    def feed(self, data: bytes) -> bytes:
        """A piece of the answer, decoded; what the client gets now."""
        ...

    def close(self, *, whole: bool) -> bytes:
        """The end of the answer; what the client still gets."""
        ...

    def flush(self) -> bytes:
        """What is held back, now: there is no more time."""
        ...

    def stand(self) -> bytes:
        """The refusal after all, with what was held back before it."""
        ...

    def give_up(self) -> bytes:
        """All that came and was not sent, as it came, less what the client is not to see; nothing more is read."""
        ...


@dataclass(slots=True)
class Wire:
    """What the client has been sent so far, and what the next attempt needs to know of those before it."""

    model: str
    """The one that was asked first, as it was spelled."""
    secret: bool
    """Whether a refusal's credit fields are kept from the client: it did not ask for them."""
    guard: bool
    """Whether a tool call ends only once the stop reason is known."""
    opened: bool = False
    """Whether it has a ``message_start``."""
    next_index: int = 0
    grafted: bool = False
    """Whether a later attempt has gone on where the first one's text ended."""
    tail: list[Json] = field(default_factory=list)
    """The turn that the last attempt was given to continue."""
    iterations: list[Json] = field(default_factory=list)
    seams: list[Json] = field(default_factory=list)
    """Seam blocks that wait for the first output after them."""
    handing: str = ""
    """The model that declined last, as the next seam names it."""
    id: str | None = None
    """Of the first attempt's message."""
    refused: Refused | None = None
    """The last."""

    def held(self, ends: Sequence[bytes]) -> int | None:
        """See ``Refused``. ``ends``: of tool calls, those that have not been sent."""
        return len(ends) if self.guard else None

    def absorb(self, refused: Refused, model: str, *, next_index: int) -> None:
        """A refused attempt of ``model``."""
        if self.refused is None:
            self.id = text(table(refused.start.get("message")).get("id"))
            self.handing = refused.handed_from or model
        self.refused = refused
        self.iterations += declined(refused, model)
        self.opened = self.opened or refused.shown
        self.next_index = next_index

    def seam(self, model: str) -> None:
        """The next attempt has begun to answer."""
        assert self.refused is not None
        self.seams.append(
            {
                "type": "fallback",
                "from": {"model": self.handing},
                "to": {"model": model},
                "trigger": {"type": "refusal", "category": self.refused.category},
            }
        )
        self.handing = model

    def seam_frames(self) -> bytes:
        """The seams that wait, as events; from now on they are sent."""
        out = b""
        for seam in self.seams:
            index, self.next_index = self.next_index, self.next_index + 1
            out += event({"type": "content_block_start", "index": index, "content_block": seam})
            out += event({"type": "content_block_stop", "index": index})
        self.seams = []
        return out

    def start_frame(self, start: Json) -> bytes:
        """A later attempt's ``message_start``, which opens the stream under the first one's id."""
        message = {**table(start.get("message"))}
        if self.id is not None:
            message["id"] = self.id
        return event({**start, "message": message}) if start else b""

    def exhausted(self, failed: str | None) -> bytes:
        """The last refusal, where every attempt after it failed; ``failed``: the model of the last, if it had no capacity."""
        assert self.refused is not None
        out = b"" if self.opened else self.start_frame(self.refused.start)
        out += self.seam_frames()
        delta = {**table(self.refused.event.get("delta"))}
        if isinstance(details := delta.get("stop_details"), dict):
            delta["stop_details"] = {**without_token(details), "recommended_model": failed}
        usage = {**table(self.refused.event.get("usage")), "iterations": self.iterations}
        ended = {**self.refused.event, "delta": delta, "usage": usage}
        if self.refused.silent:
            ended = transformed(ended, self.refused.start)
        return out + event(ended) + event({"type": "message_stop"})


def event(payload: Json) -> bytes:
    """An event as a frame."""
    return b"event: " + str(payload.get("type", "")).encode() + b"\ndata: " + to_json(payload) + b"\n\n"


def without_token(details: Json) -> Json:
    """``stop_details`` without what only concerns credit."""
    return {key: value for key, value in details.items() if key not in TOKENS}


def transformed(ended: Json, start: Json) -> Json:
    """A ``message_delta`` that tells of the input transformations of a ``message_start`` that was not sent."""
    message = table(start.get("message"))
    if "input_transformations" in ended or "input_transformations" not in message:
        return ended
    return {**ended, "input_transformations": message["input_transformations"]}


def declined(refused: Refused, model: str) -> list[Json]:
    """The entries of ``usage.iterations`` that a refused attempt adds: its own report, if it made one, else its usage."""
    reported = refused.usage.get("iterations")
    own = (
        [{**entry, "type": "message"} for entry in reported if isinstance(entry, dict)]
        if isinstance(reported, list)
        else []
    )
    if len(own) == 1 and not isinstance(own[0].get("model"), str):
        own[0]["model"] = model
    return own or [_iteration("message", model, refused.usage)]


def served(usage: Json, model: str) -> Json:
    """The entry of the attempt that answered, or that was the last to decline."""
    reported = usage.get("iterations")
    last = reported[-1] if isinstance(reported, list) and reported else None
    if isinstance(last, dict):
        return {**last, "type": "fallback_message", "model": last.get("model") or model}
    return _iteration("fallback_message", model, usage)


def _iteration(kind: str, model: str, usage: Json) -> Json:
    counts = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    return (
        {"type": kind, "model": model}
        | {name: usage.get(name) or 0 for name in counts}
        | {"cache_creation": usage.get("cache_creation")}
    )


def content(frames: Iterable[Frame]) -> list[Json]:
    """The content blocks that frames of a stream make up, in order, as a message that is not streamed has them."""
    blocks: dict[int, Json] = {}
    inputs: dict[int, str] = {}
    for frame in frames:
        found = parse(frame.parse()[1])
        index = found.get("index")
        if not isinstance(index, int):
            continue
        if found.get("type") == "content_block_start":
            blocks[index] = {**table(found.get("content_block"))}
        elif found.get("type") == "content_block_delta" and index in blocks:
            _grow(blocks[index], table(found.get("delta")), inputs, index)
    for index, typed in inputs.items():
        blocks[index]["input"] = _input(typed, blocks[index].get("input"))
    return list(blocks.values())


def _grow(block: Json, delta: Json, inputs: dict[int, str], index: int) -> None:
    kind = delta.get("type")
    if kind == "text_delta":
        block["text"] = _said(block.get("text")) + _said(delta.get("text"))
    elif kind == "thinking_delta":
        block["thinking"] = _said(block.get("thinking")) + _said(delta.get("thinking"))
    elif kind == "signature_delta":
        block["signature"] = delta.get("signature")
    elif kind == "citations_delta":
        earlier = block.get("citations")
        block["citations"] = [*(earlier if isinstance(earlier, list) else ()), delta.get("citation")]
    elif kind == "input_json_delta":
        inputs[index] = inputs.get(index, "") + _said(delta.get("partial_json"))


def _said(value: object) -> str:
    return value if isinstance(value, str) else ""


def _input(typed: str, began: object) -> object:
    try:
        return json.loads(typed)
    except (ValueError, RecursionError):
        return began


def is_thinking(block: Json) -> bool:
    """Whether a block is thinking."""
    return block.get("type") in _THINKING


def is_last(frame: Frame) -> bool:
    """Whether a frame ends a message."""
    return parse(frame.parse()[1]).get("type") == "message_stop"


def is_delta(frame: Frame) -> bool:
    """Whether a frame, written as the API does, is a delta of content: nearly all are, and they need no reading."""
    return frame.raw.startswith(_DELTA)
