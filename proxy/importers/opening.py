"""The beginning of a JSON file as a value: what ``claims`` looks at, where a record is longer than the head that it gets to see.

What is cut is closed where the last member before the cut ended, so that all before it can be read. Of several values in a row,
as in JSON Lines, it is the first.
"""

import re
from functools import lru_cache
from json import loads
from typing import Any

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{},]', re.DOTALL)
_CLOSERS = {"{": "}", "[": "]"}


@lru_cache(maxsize=8)
def opening(head: bytes) -> Any:
    """The value; None where there is none, or none that is an object or an array."""
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text[:1] not in _CLOSERS:
        return None
    try:
        return loads(_closed(text))
    except (ValueError, RecursionError):
        return None


def first(head: bytes) -> dict[str, Any]:
    """The first object: the value itself, or the first item of an array. Empty where there is none."""
    value = opening(head)
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, dict) else {}


def member(value: object, name: str) -> dict[str, Any]:
    """A member that is an object; empty where there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _closed(text: str) -> str:
    open_, safe, closing = list[str](), 1, _CLOSERS[text[0]]
    for token in _TOKEN.finditer(text):
        match token[0]:
            case "{" | "[":
                open_.append(token[0])
            case "}" | "]":
                open_.pop()
                if not open_:
                    return text[: token.end()]
            case ",":
                safe, closing = token.start(), "".join(_CLOSERS[one] for one in reversed(open_))
            case '"':  # of a string that is cut
                break
    return text[:safe] + closing
