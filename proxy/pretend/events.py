"""A reply as the events of a stream, and as one message.

The order is that of the Messages API: ``message_start``, then for each block ``content_block_start``, deltas and
``content_block_stop``, then one ``message_delta`` with the stop reason and the final usage, then ``message_stop``; a
``ping`` stands after the first block's start. ``stop_details`` comes with the stop reason, in ``message_delta.delta``.
"""

import re
from collections.abc import Iterator

import msgspec
from msgspec import UNSET

from proxy.pretend.reply import Json, Reply

PING: Json = {"type": "ping"}
_WORDS = re.compile(r"\S*\s*\S+\s*|\s+")


def events(reply: Reply, message_id: str, request_id: str) -> list[Json]:
    """The events of the reply, up to where it is cut."""
    opening = [_message_start(reply, message_id)] if reply.opened else []
    content = list(_content(reply))
    if reply.cut == "start":
        return opening
    if reply.cut == "middle":
        return opening + content[:-1]
    if reply.error is not None:
        return [*opening, *content, {"type": "error", "error": reply.error, "request_id": request_id}]
    return [*opening, *content, _message_delta(reply), {"type": "message_stop"}]


def message(reply: Reply, message_id: str) -> Json:
    """The reply as the one message that a request without ``stream`` gets."""
    return _head(reply, message_id) | {
        "content": list(reply.blocks),
        **_ending(reply),
        "usage": _usage(reply, _output_tokens(reply)) | _iterations(reply),
    }


def _head(reply: Reply, message_id: str) -> Json:
    return {"model": reply.model, "id": message_id, "type": "message", "role": "assistant"}


def _message_start(reply: Reply, message_id: str) -> Json:
    unfinished: Json = {"content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
    if reply.stop_details is UNSET:
        del unfinished["stop_details"]
    usage = _usage(reply, 1)
    return {"type": "message_start", "message": _head(reply, message_id) | unfinished | {"usage": usage}}


def _message_delta(reply: Reply) -> Json:
    usage = _usage(reply, _output_tokens(reply)) | _iterations(reply)
    return {"type": "message_delta", "delta": _ending(reply), "usage": usage}


def _ending(reply: Reply) -> Json:
    ending: Json = {"stop_reason": reply.stop_reason, "stop_sequence": None}
    return ending if reply.stop_details is UNSET else ending | {"stop_details": reply.stop_details}


def _iterations(reply: Reply) -> Json:
    return {"iterations": list(reply.iterations)} if reply.iterations else {}


def _usage(reply: Reply, output_tokens: int) -> Json:
    credit: Json = {"fallback_credit": {"status": {"type": "redeemed"}}} if reply.redeemed else {}
    return credit | {
        "input_tokens": reply.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output_tokens,
        "service_tier": "standard",
        "inference_geo": "global",
    }


def _output_tokens(reply: Reply) -> int:
    words = [str(block.get(key, "")) for block in reply.blocks for key in ("text", "thinking", "input")]
    return sum(len(word) for word in words) // 4


def _content(reply: Reply) -> Iterator[Json]:
    last = len(reply.blocks) - 1
    for index, block in enumerate(reply.blocks):
        start, deltas = _take_apart(block)
        if reply.block_start:
            yield {"type": "content_block_start", "index": index, "content_block": start}
        if index == 0:
            yield PING
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        if reply.block_start and (reply.block_stop or index < last):
            yield {"type": "content_block_stop", "index": index}


def _take_apart(block: Json) -> tuple[Json, list[Json]]:
    """A whole block as what its start carries and the deltas that fill it; a seam has none."""
    match block:
        case {"type": "text", "text": str(text)}:
            return block | {"text": ""}, [{"type": "text_delta", "text": part} for part in _WORDS.findall(text)]
        case {"type": "thinking", "thinking": str(text), "signature": signature}:
            deltas = [{"type": "thinking_delta", "thinking": part} for part in _WORDS.findall(text)]
            signed = {"type": "signature_delta", "signature": signature}
            return block | {"thinking": "", "signature": ""}, [*deltas, signed]
        case {"type": "tool_use", "input": arguments}:
            parts = ["", *_WORDS.findall(_compact(arguments))]
            return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]
        case _:
            return block, []


def _compact(value: object) -> str:
    return msgspec.json.encode(value).decode()
