"""Which refusals are one incident, and by what it is known.

The first refusal after an acceptance opens an incident. It is known by its *marks*: the hashes of the candidates that were put in from
outside or by the user. What the client adds by itself differs from one time to the next and does not count; what the model had said counts
only where there is nothing else. Its fingerprint is one hash for them.

A later refusal of the session belongs to it while nothing has been accepted in between and the marks are still in the request, however
much was added. So does one with the same fingerprint within a day in another session, a resend or a re-run; but not where the marks are no
more than a short text, which others may say too: these hold within one session and one agent only.

Where it is not known what was new, the marks are what the last turn of the user said.
"""

from msgspec import Struct

from proxy.core.news import FOREIGN, candidates, mark
from proxy.core.said import ANSWERED, last_turn
from proxy.core.segment import key_of
from schemas.records import Segment

SHORT = 200
"""Bytes of a text that says too little to be known by."""
ESSENTIAL = FOREIGN[0] | FOREIGN[1]


class Opened(Struct, frozen=True, kw_only=True):
    """An incident, as a later refusal sees it."""

    id: str
    session_id: str | None
    agent_id: str | None
    at: str
    fingerprint: str | None
    asked: str | None
    marks: frozenset[bytes]
    short: bool


class Declined(Struct, frozen=True, kw_only=True):
    """A refusal, as far as it matters here."""

    session_id: str | None
    agent_id: str | None
    at: str
    accepted_at: str | None
    fingerprint: str | None
    asked: str | None
    marks: frozenset[bytes]
    """Of all its segments."""


def essential(segments: list[Segment]) -> list[Segment]:
    """The segments that an incident is known by, in the order of the request."""
    if segments and all(one.new is None for one in segments):
        return [one for one in last_turn(segments) if one.label in ESSENTIAL]
    new = sorted(candidates(segments), key=lambda one: one.n)
    chosen = [one for one in new if one.label in ESSENTIAL]
    return chosen or [one for one in new if one.label in ANSWERED]


def fingerprint(segments: list[Segment]) -> str | None:
    """Of an incident that begins with a request of this map; None where it has no candidates."""
    chosen = essential(segments)
    return key_of("\n".join(dict.fromkeys(one.hash for one in chosen)).encode()) if chosen else None


def is_short(segments: list[Segment]) -> bool:
    """Whether the candidates say too little to be known by: a short text, ``(no output)`` of a tool, or only what the model had said."""
    chosen = essential(segments)
    return not any(one.label in ESSENTIAL for one in chosen) or sum(one.bytes for one in chosen) <= SHORT


def marks_of(segments: list[Segment]) -> frozenset[bytes]:
    """The marks of segments."""
    return frozenset(mark(one.hash) for one in segments)


def belongs(refusal: Declined, incident: Opened) -> bool:
    """Whether a refusal is part of an incident that was opened before it."""
    if refusal.session_id is not None and refusal.session_id == incident.session_id:
        return _goes_on(refusal, incident)
    return not incident.short and incident.fingerprint is not None and refusal.fingerprint == incident.fingerprint


def _goes_on(refusal: Declined, incident: Opened) -> bool:
    if refusal.accepted_at is not None and refusal.accepted_at > incident.at:
        return False
    if incident.short and refusal.agent_id != incident.agent_id:
        return False
    if incident.marks:
        return incident.marks <= refusal.marks
    same = (refusal.fingerprint, refusal.asked)
    return any(
        mine is not None and mine == theirs
        for mine, theirs in zip(same, (incident.fingerprint, incident.asked), strict=True)
    )
