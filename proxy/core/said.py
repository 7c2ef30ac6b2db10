"""What was said last: the last turn of a request's user, found in the segments of its body (see ``proxy.core.context``).

Its fingerprint tells whether the same was asked before, whatever the client put beside it.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from json import loads
from typing import Protocol

from proxy.core.context import Split
from proxy.core.segment import identity, key_of
from schemas.labels import Label
from schemas.records import Segment

ANSWERED = frozenset({Label.ASSISTANT_TEXT, Label.THINKING, Label.TOOL_USE, Label.FALLBACK})
"""What only an assistant's message holds."""
ADDED = frozenset({Label.REMINDER, Label.SYSTEM_MESSAGE, Label.MEMORY, Label.HOOK, Label.ENVIRONMENT, Label.MCP})
"""What the client adds to a user's turn by itself."""

_MESSAGE = re.compile(r"messages\[(\d+)\]")


class Placed(Protocol):
    """A segment, as far as its place and its identity go."""

    @property
    def label(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def hash(self) -> str: ...


def fingerprint[S: Placed](
    segments: Sequence[S], mark: Callable[[S], str | None] = lambda segment: segment.hash
) -> str | None:
    """One hash for what the last turn of the user said; None where it said nothing.

    Reminders and system messages are left out, and what ``mark`` has none for.
    """
    keys = {id(one): mark(one) for one in segments if one.label not in ADDED}
    said = [key for one in last_turn(segments, lambda one: keys.get(id(one))) if (key := keys.get(id(one)))]
    return key_of("\n".join(said).encode()) if said else None


def last_turn[S: Placed](
    segments: Iterable[S], says: Callable[[S], object] = lambda one: one.label not in ADDED
) -> list[S]:
    """The last run of messages without one of the assistant's in which something is said, in order."""
    turns: dict[str, list[S]] = {}
    for segment in segments:
        if found := _MESSAGE.match(segment.path):
            turns.setdefault(found[1], []).append(segment)
    said: list[S] = []
    for turn in reversed(turns.values()):
        if any(segment.label in ANSWERED for segment in turn):
            if any(map(says, said)):
                break
        else:
            said[:0] = turn
    return said


def unnoted(parts: Split, note: str) -> str | None:
    """The fingerprint without a text of the user that begins with ``note``, which the client had added, and the blanks before it.

    None where there is no such text.
    """
    noted = False

    def mark(segment: Segment) -> str | None:
        nonlocal noted
        if segment.label is not Label.USER_TEXT:
            return segment.hash
        value = loads(parts.contents[segment.content], strict=False)
        text = value if isinstance(value, str) else value["text"]
        if text.startswith(note):
            noted = True
            return None
        return identity(text.rstrip(), segment.label)

    found = fingerprint(parts.segments, mark)
    return found if noted else None


def answers(segments: list[Segment]) -> int:
    """How many messages of the assistant the history has."""
    return len({found[1] for one in segments if one.label in ANSWERED and (found := _MESSAGE.match(one.path))})
