"""A request body changed at single places, all other bytes as they were.

Nothing is written anew but what is changed: key order, spaces, escapes and numbers of all else stay. Places are found by reading the
values with ``json``, which tells where each ends. A key that stands twice leaves it open which one counts, and is an error.
"""

import re
from collections.abc import Collection, Iterable
from json import JSONDecoder
from typing import Any, NamedTuple

from proxy.core.segment import to_json

UNFAITHFUL = ("fallbacks", "fallback_credit_token", "resumption")
"""Members that another sending cannot have: they make the API ask other models, or hold a token that was good once and is redacted."""

_BLANKS = re.compile(r"[ \t\n\r]*+")
_DECODE = JSONDecoder(strict=False).raw_decode


class Value(NamedTuple):
    """A value, and from where to where it stands in the text; with its key it begins at ``key``."""

    value: Any
    start: int
    end: int
    key: int


def members(text: str, at: int = 0) -> dict[str, Value]:
    """The members of the object at ``at``. Raises ValueError where there is none, or a key stands twice in it."""
    found: dict[str, Value] = {}
    at = _past(text, at, "{")
    while not text.startswith("}", at):
        key = at
        name, at = _DECODE(text, key)
        at = _past(text, at, ":")
        value, end = _DECODE(text, at)
        if not isinstance(name, str) or name in found:
            raise ValueError(f"no member, or the second of its name, at {key}")
        found[name] = Value(value, at, end, key)
        at = _next(text, end, "}")
    return found


def items(text: str, at: int) -> list[Value]:
    """The items of the array at ``at``. Raises ValueError where there is none."""
    found: list[Value] = []
    at = _past(text, at, "[")
    while not text.startswith("]", at):
        value, end = _DECODE(text, at)
        found.append(Value(value, at, end, at))
        at = _next(text, end, "]")
    return found


def spliced(text: str, changes: Iterable[tuple[Value, str]]) -> str:
    """The text with other values in the places of these."""
    parts, done = [], 0
    for place, instead in sorted(changes, key=lambda change: change[0].start):
        parts += [text[done : place.start], instead]
        done = place.end
    return "".join([*parts, text[done:]])


def readdressed(body: bytes, model: str, leave_out: Collection[str] = UNFAITHFUL) -> bytes:
    """The body with another model, without some of its members. Raises ValueError where it is no JSON object that names a model."""
    text = body.decode()
    found = members(text)
    if not isinstance(found.get("model", Value(None, 0, 0, 0)).value, str):
        raise ValueError("the request names no model")  # noqa: TRY004 - it is the body's fault, not a caller's
    if found["model"].value != model:
        text = spliced(text, [(found["model"], to_json(model).decode())])
        found = members(text)
    kept = [text[place.key : place.end] for name, place in found.items() if name not in leave_out]
    if len(kept) < len(found):
        places = list(found.values())
        text = text[: places[0].key] + ",".join(kept) + text[places[-1].end :]
    return text.encode()


def _past(text: str, at: int, char: str) -> int:
    """Behind this character, and the blanks on both of its sides."""
    at = _skip(text, at)
    if not text.startswith(char, at):
        raise ValueError(f"no {char} at {at}")
    return _skip(text, at + 1)


def _next(text: str, at: int, last: str) -> int:
    """Where the next one begins, or the closing bracket stands."""
    at = _skip(text, at)
    if text.startswith(last, at):
        return at
    at = _past(text, at, ",")
    if text.startswith(last, at):
        raise ValueError(f"nothing behind the comma at {at}")
    return at


def _skip(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    assert found
    return found.end()
