"""The text of a segment, as a person reads it: what was said, without its JSON. What is no text is described."""

from typing import Any

from proxy.cli.words import as_json, from_json, size, text


def readable(content: bytes) -> str:
    """Of a segment's stored JSON; control characters are escaped."""
    return text(_say(from_json(content)))


def _say(value: Any) -> str:
    match value:
        case str():
            return value
        case {"type": "text", "text": str(said)} | {"type": "thinking", "thinking": str(said)}:
            return said
        case {"type": str(kind), "input": asked} if kind.endswith("tool_use"):
            return as_json(asked, indent=2)
        case {"type": str(kind), "content": str() | list() as given} if kind.endswith("tool_result"):
            return given if isinstance(given, str) else "\n".join(map(_say, given))
        case {"type": "image" | "document", "source": {"type": "base64", "data": str(data)}}:
            return f"({size(len(data))} of base64; --json has it)"
    return as_json(value, indent=2)
