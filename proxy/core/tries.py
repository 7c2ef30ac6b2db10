"""What the attempts at a declined request tell of its course: on which model it stayed, whom demur asked, and how each of them failed."""

from collections.abc import Sequence
from enum import StrEnum

from proxy.core.splice import CAPACITY
from schemas.labels import Result, Strategy
from schemas.records import Attempt

LEFT = "the client left"
"""Why an attempt was not answered that was under way just then."""
_UNSENT = "not sent"
"""How the reason begins where a restatement was asked for, and nothing was sent: see ``rephraser``."""


class Trouble(StrEnum):
    """How an attempt failed, as far as it decides what to do about it."""

    DECLINED = "declined"
    CAPACITY = "capacity"
    """No room just then: HTTP 429, 529."""
    REJECTED = "rejected"
    """The model is not there, or takes no such request: any other 4xx."""
    UNANSWERED = "unanswered"
    """No answer came, or not all of it."""
    LEFT = "left"
    """The client did not wait for it."""


def stayed(attempts: Sequence[Attempt]) -> bool:
    """Whether it was a later turn of a conversation that stayed on another model, which declined it."""
    return any(one.strategy == Strategy.STICKY and one.outcome == Result.REFUSED for one in attempts)


def in_vain(attempts: Sequence[Attempt]) -> list[Attempt]:
    """Of demur's own, those that were sent after the refusal and not answered."""
    return [one for one in attempts if one.strategy != Strategy.STICKY and _is_asked(one) and not _is_answer(one)]


def answered(attempts: Sequence[Attempt]) -> Attempt | None:
    """The one that was answered in the end."""
    return next((one for one in reversed(attempts) if _is_answer(one)), None)


def restatements(attempts: Sequence[Attempt]) -> int:
    """How many were sent restated: before each, a request went to the model that restates, which is none of them."""
    return sum(one.strategy == Strategy.RESTATE and _is_asked(one) for one in attempts)


def shown(attempts: Sequence[Attempt]) -> bool | None:
    """Whether the client had been sent any of what the first one declined; None where that is not on record."""
    return attempts[0].shown if attempts else None


def held(attempts: Sequence[Attempt]) -> int | None:
    """How many whole tool calls of the first one the tool guard kept from the client; None where there was no guard."""
    return attempts[0].tools_held if attempts else None


def trouble(attempt: Attempt) -> Trouble:
    """See ``Trouble``; of one that was not answered."""
    if attempt.outcome == Result.REFUSED:
        return Trouble.DECLINED
    if attempt.why == LEFT:
        return Trouble.LEFT
    if attempt.status in CAPACITY:
        return Trouble.CAPACITY
    rejected = attempt.outcome == Result.ERROR and 400 <= (attempt.status or 0) < 500
    return Trouble.REJECTED if rejected else Trouble.UNANSWERED


def reason(attempt: Attempt) -> str | None:
    """Why it failed, or with which status."""
    return attempt.why or (f"HTTP {attempt.status}" if attempt.status else None)


def _is_asked(attempt: Attempt) -> bool:
    return attempt.by == "demur" and not (attempt.why or "").startswith(_UNSENT)


def _is_answer(attempt: Attempt) -> bool:
    return attempt.outcome == Result.ANSWERED
