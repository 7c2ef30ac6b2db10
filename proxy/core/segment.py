"""What one value of a request body is: its label, its identity, and an estimate of its tokens."""

import re
from hashlib import blake2b
from json import dumps
from typing import Literal, NamedTuple

import msgspec

from schemas.labels import Label

_BLOCKS = {
    "thinking": Label.THINKING,
    "redacted_thinking": Label.THINKING,
    "image": Label.MEDIA,
    "document": Label.MEDIA,
    "fallback": Label.FALLBACK,
}
_PLACES = {
    "prompt": Label.SYSTEM,
    "system": Label.SYSTEM_MESSAGE,
    "user": Label.USER_TEXT,
    "assistant": Label.ASSISTANT_TEXT,
}
_PREFIXES = (
    ("prompt", "x-anthropic-billing-header", Label.ATTRIBUTION),
    ("user", "<system-reminder>", Label.REMINDER),
)
_NUMBERED = frozenset({Label.TOOL_USE, Label.TOOL_RESULT})
"""The same call and the same result have another id each time."""
_TEXTS = {"text": "text", "thinking": "thinking", "tool_result": "content"}
_VOLATILE = re.compile(r" ?cch=[^;]*;?|(?<=cc_version=)(\d+\.\d+\.\d+)\.[0-9A-Za-z]+")


def key_of(data: bytes) -> str:
    """``b2:`` and 32 hex digits: blake2b of 16 bytes."""
    return "b2:" + blake2b(data, digest_size=16).hexdigest()


def to_json(value: object, *, order: Literal["sorted"] | None = None) -> bytes:
    """Compact JSON, of lone surrogates too."""
    try:
        return msgspec.json.encode(value, order=order)
    except UnicodeEncodeError:  # a lone surrogate
        return dumps(value, separators=(",", ":"), sort_keys=order is not None).encode()


def _normal(value: object) -> object:
    if isinstance(value, dict):
        return {key: _normal(member) for key, member in value.items() if key != "cache_control"}
    return [_normal(item) for item in value] if isinstance(value, list) else value


def identity(value: object, label: Label) -> str:
    """The hash of what a value says: see ``schemas.records.Segment.hash``."""
    if isinstance(value, str):
        value = {"type": "text", "text": value}
    elif label is Label.TOOL_RESULT and isinstance(value, dict) and isinstance(value.get("content"), str):
        value = {**value, "content": [{"type": "text", "text": value["content"]}]}
    if label in _NUMBERED and isinstance(value, dict):
        value = {key: member for key, member in value.items() if key not in ("id", "tool_use_id")}
    if label is Label.ATTRIBUTION and isinstance(value, dict):
        value = {**value, "text": _VOLATILE.sub(lambda match: match[1] or "", value["text"])}
    return key_of(to_json(_normal(value), order="sorted"))


def tokens(value: object) -> float:
    """An estimate from the text alone: 3.6 ASCII characters a token, 2 bytes of UTF-8 of any other text.

    An image counts as 1500, which is what a large one costs; a document in base64 by its size, 40 bytes a token and not
    less than an image. What is no text, such as a tool, counts as its JSON.
    """
    if isinstance(value, str):
        plain = len(value) if value.isascii() else len(value.encode("ascii", "ignore"))
        rest = 0 if plain == len(value) else len(value.encode("utf-8", "surrogatepass")) - plain
        return plain / 3.6 + rest / 2
    if isinstance(value, list):
        return sum(map(tokens, value))
    kind = string(value, "type") or ""
    if isinstance(value, dict) and kind in _TEXTS:
        return tokens(value.get(_TEXTS[kind]))
    if kind == "image":
        return 1500
    source = value.get("source") if isinstance(value, dict) and kind == "document" else None
    if string(source, "type") == "base64":
        return max(1500, len(string(source, "data") or "") * 3 / 4 / 40)
    return tokens(to_json(value).decode())


def string(value: object, key: str) -> str | None:
    """A member of an object that is text, else None."""
    member = value.get(key) if isinstance(value, dict) else None
    return member if isinstance(member, str) else None


def _text(value: object) -> str | None:
    """The text of a string or of a text block."""
    if isinstance(value, str):
        return value
    return string(value, "text") if string(value, "type") == "text" else None


class Mark(NamedTuple):
    """What a value is."""

    label: Label
    tool: str | None = None
    media: str | None = None


def mark(place: str | None, value: object, calls: dict[str, str]) -> Mark:
    """What a value is, by its place (a role, or a member of the body); ``calls``, the tools by call, is kept up to date."""
    text, kind, name = _text(value), string(value, "type") or "", string(value, "name")
    if place == "tools":
        return Mark(Label.TOOL, name)
    if text is not None:
        label = _PLACES.get(place or "", Label.OTHER)
        return Mark(next((known for at, prefix, known in _PREFIXES if at == place and text.startswith(prefix)), label))
    if kind.endswith("tool_use"):
        calls[string(value, "id") or ""] = name or ""
        return Mark(Label.TOOL_USE, name)
    if kind.endswith("tool_result"):
        return Mark(Label.TOOL_RESULT, calls.get(string(value, "tool_use_id") or "") or None)
    source = value.get("source") if isinstance(value, dict) else None
    label = _BLOCKS.get(kind, Label.OTHER)
    return Mark(label, media=string(source, "media_type") if label is Label.MEDIA else None)
