"""A request that was accepted, on its way into the memory of what is not new; and what an exchange wants of that memory."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from proxy.core.asker import Asker
from schemas.labels import Role
from schemas.records import Accepted

MAIN = frozenset({Role.MAIN, Role.SUBAGENT})
"""The roles of a conversation; all others are asked beside one."""


class Passed(NamedTuple):
    """One accepted request."""

    who: Asker
    model: str
    """The family of the model that answered."""
    at: float
    """When it was asked, in seconds since 1970."""
    request_id: str | None
    size: int
    """Bytes of its body as it was sent."""
    body: Callable[[], bytes]
    """Its body, decoded."""


class Memory(Protocol):
    """What was accepted lately. Neither method raises."""

    def passed(self, passed: Passed) -> None:
        """Takes note of one. Waits for nothing."""

    def accepted(self, who: Asker, model: str, root: str | None) -> list[Accepted]:
        """What a declined request of this sender may be compared with, the best first: see ``proxy.core.news``. Takes milliseconds.

        ``model``: the family that declined. ``root``: the hash of the conversation's first text.
        """
