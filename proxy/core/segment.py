"""What one value of a request body is: its label, its identity, and an estimate of its tokens."""

import re
from hashlib import blake2b
from json import dumps
from typing import Literal, NamedTuple

import msgspec

from proxy.core.calls import Calls
from proxy.core.inserted import BY_CLIENT, REMINDER, label, skill, undated, unfolded, used
from proxy.core.pdf import pages
from proxy.core.target import shown
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
_ATTRIBUTION = "x-anthropic-billing-header"
_NUMBERED = frozenset({Label.TOOL_USE, Label.TOOL_RESULT})
"""The same call and the same result have another id each time."""
_PLAIN = frozenset({"type", "text", "cache_control"})
"""The members of a text block that has no others."""
_PDF = "application/pdf"
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
    text = _text(value)
    if text is not None:
        said: object = {"text": (lasting := _lasting(text, label)), "type": "text"}
        if isinstance(value, dict) and not value.keys() <= _PLAIN:
            said = _normal({**value, "text": lasting})
        return key_of(to_json(said, order="sorted"))
    if label is Label.TOOL_RESULT and isinstance(value, dict):
        value = _result(value)
    if label in _NUMBERED and isinstance(value, dict):
        value = {key: member for key, member in value.items() if key not in ("id", "tool_use_id")}
    return key_of(to_json(_normal(value), order="sorted"))


def _result(value: dict[str, object]) -> dict[str, object]:
    """A tool's result with its text as a block, without what the client put behind it."""
    said = value.get("content")
    return {**value, "content": [{"type": "text", "text": unfolded(said)}]} if isinstance(said, str) else value


def _lasting(text: str, label: Label) -> str:
    """A text without what its client changes from turn to turn."""
    if label is Label.ATTRIBUTION:
        return _VOLATILE.sub(lambda match: match[1] or "", text)
    if label is Label.USER_TEXT:  # Claude Code adds line feeds when it joins prompts that were declined
        return text.rstrip()
    return undated(text) if label in BY_CLIENT else text


def tokens(value: object) -> float:
    """An estimate from the text alone: 3.6 ASCII characters a token, 2 bytes of UTF-8 of any other text.

    An image counts as 1500, which is what a large one costs; a document in base64 by its size, 40 bytes a token and not
    less than an image. What is no text, such as a tool, counts as its JSON.
    """
    if isinstance(value, str):
        plain = len(value) if value.isascii() else len(value.encode("ascii", "ignore"))
        rest = 0 if plain == len(value) else len(value.encode("utf-8", "surrogatepass")) - plain
        return plain / 3.6 + rest / 2
    if (text := _text(value)) is not None:
        return tokens(text)
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
    if isinstance(value, dict) and value.get("type") == "text" and isinstance(text := value.get("text"), str):
        return text
    return None


class Mark(NamedTuple):
    """What a value is; the fields are those of ``schemas.records.Segment``."""

    label: Label
    tool: str | None = None
    target: str | None = None
    media: str | None = None
    pages: int | None = None


def mark(place: str | None, value: object, calls: Calls) -> Mark:
    """What a value is, by its place (a role, or a member of the body); ``calls`` is kept up to date."""
    if place == "assistant":
        calls.over()
    if place == "tools":
        return Mark(Label.TOOL, string(value, "name"))
    if (text := _text(value)) is not None:
        return _spoken(place, text, calls)
    kind = string(value, "type") or ""
    if not isinstance(value, dict):
        return Mark(Label.OTHER)
    if kind.endswith("tool_use"):
        call = calls.call(string(value, "id") or "", string(value, "name"), value.get("input"))
        return Mark(Label.TOOL_USE, *call)
    if kind.endswith("tool_result"):
        return _answer(value, calls)
    known = _BLOCKS.get(kind, Label.OTHER)
    return _media(value, calls) if known is Label.MEDIA else Mark(known)


def _spoken(place: str | None, text: str, calls: Calls) -> Mark:
    known = _PLACES.get(place or "", Label.OTHER)
    if known is Label.SYSTEM and text.startswith(_ATTRIBUTION):
        return Mark(Label.ATTRIBUTION)
    if known is Label.SYSTEM_MESSAGE or (known is Label.USER_TEXT and text.startswith(REMINDER)):
        tool = used(text)
        call = calls.told(*tool) if tool else ()
        return Mark(label(text, known if known is Label.SYSTEM_MESSAGE else Label.REMINDER), *call)
    if known is Label.USER_TEXT and (folder := skill(text)):
        return Mark(Label.REMINDER, "Skill", shown(folder))
    return Mark(known)


def _answer(value: dict[str, object], calls: Calls) -> Mark:
    """A tool's result, and the first document, or else image, within it."""
    content = value.get("content")
    blocks = content if isinstance(content, list) else []
    said = content if isinstance(content, str) else None
    call = calls.result(string(value, "tool_use_id") or "", said)
    within = [block for block in blocks if string(block, "type") in ("document", "image")]
    first = min(within, key=lambda block: block["type"], default=None)
    return Mark(Label.TOOL_RESULT, *call, *_kind(first)) if first else Mark(Label.TOOL_RESULT, *call)


def _media(value: dict[str, object], calls: Calls) -> Mark:
    source = value.get("source")
    call = calls.brought(string(source, "data") if value["type"] == "document" else None)
    return Mark(Label.MEDIA, *call, *_kind(value))


def _kind(block: dict[str, object]) -> tuple[str | None, int | None]:
    """The media type of a block, and the pages of a PDF."""
    source = block.get("source")
    media, data = string(source, "media_type"), string(source, "data")
    return media, pages(data) if media == _PDF and data else None
