"""Lines left out of the texts of one value of a request: of a text block its text, of a tool's result its texts, of a call the strings of
its input, of a tool its descriptions, of a document its plain text.

A run of lines that goes leaves a placeholder, so that no text becomes empty. Lines end with a line feed and are numbered from 1, through all texts of
the value.
"""

from collections.abc import Callable, Collection
from typing import Any

from proxy.core.message import table
from proxy.core.segment import string

PLACEHOLDER = "[left out]"

_TEXTS = {"text": "text", "tool_result": "content"}


def texts_of(value: Any) -> list[str]:
    """The texts of a value, in order."""
    seen: list[str] = []

    def see(text: str) -> str:
        seen.append(text)
        return text

    _cut(value, see)
    return seen


def without_lines(value: Any, numbers: Collection[int]) -> Any:
    """The value in the same shape, without the lines of these numbers."""
    return _cut(value, _Cutter(numbers))


class _Cutter:
    """Texts, one after the other, without the lines of these numbers."""

    def __init__(self, numbers: Collection[int]) -> None:
        self._numbers, self._passed = frozenset(numbers), 0

    def __call__(self, text: str) -> str:
        kept: list[str] = []
        gone = False
        for line in text.split("\n"):
            self._passed += 1
            if self._passed not in self._numbers:
                kept.append(line)
            elif not gone:
                kept.append(PLACEHOLDER)
            gone = self._passed in self._numbers
        return "\n".join(kept)


def _cut(value: Any, change: Callable[[str], str]) -> Any:
    """The value with each of its texts changed; the same shape."""
    if isinstance(value, str):
        return change(value)
    block = table(value)
    kind = string(block, "type") or ""
    if kind.endswith("tool_use"):
        return {**block, "input": _strings(block.get("input"), change)}
    if isinstance(block.get("input_schema"), dict):
        described = {"description": change(block["description"])} if string(block, "description") else {}
        return {**block, **described, "input_schema": _descriptions(block["input_schema"], change)}
    if kind == "document":
        return {**block, "source": _source(block.get("source"), change)}
    key = _TEXTS.get(kind)
    if key is None or key not in block:
        return value
    content = block[key]
    if isinstance(content, list):
        return {**block, key: [_cut(one, change) if string(one, "type") == "text" else one for one in content]}
    return {**block, key: change(content)} if isinstance(content, str) else value


def _source(source: Any, change: Callable[[str], str]) -> Any:
    if string(source, "type") == "text" and string(source, "data") is not None:
        return {**source, "data": change(source["data"])}
    return source


def _strings(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _strings(member, change) for key, member in value.items()}
    if isinstance(value, list):
        return [_strings(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _descriptions(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {
            key: change(member) if key == "description" and isinstance(member, str) else _descriptions(member, change)
            for key, member in value.items()
        }
    return [_descriptions(item, change) for item in value] if isinstance(value, list) else value
