"""What is known of a refusal and of its incident, as far as it decides what is said of it, and how much may be said.

How much: a step *onward* is one that ends with the same request being answered, by another model or in another way. There is none
for what a person judged correct, and none for the categories in ``RESERVED``; there a person may only go back, begin anew, or leave out
what is new.
"""

from collections.abc import Iterable
from datetime import date

from msgspec import Struct, field

from schemas.labels import History, Kind, Label, Outcome, Role, Verdict
from schemas.models import family
from schemas.records import Annotation, Attempt, Pin

RESERVED = frozenset({"general_harms", "bio", "reasoning_extraction"})
"""Categories for which no step onward is named."""
SIDE = frozenset({Role.COMPACTION, Role.TITLE, Role.CLASSIFIER, Role.COUNT_TOKENS})
"""What the client asks by itself, beside the conversation."""
RECOVERED = frozenset({Outcome.RECOVERED_BY_DEMUR, Outcome.RECOVERED_BY_API, Outcome.RECOVERED_BY_CLIENT})
GOES_ON = frozenset({History.GROWN, History.EDITED, History.RESUMED, History.COMPACTED})
"""Of the conversation something had been accepted, and something is new."""
CONSTANT = {
    Label.MEMORY: "CLAUDE.md or memory",
    Label.HOOK: "the output of a hook",
    Label.MCP: "the instructions of an MCP server",
    Label.ENVIRONMENT: "what the client tells of the machine",
    Label.REMINDER: "a reminder that the client adds",
    Label.SYSTEM_MESSAGE: "a system message that the client adds",
    Label.SYSTEM: "a part of the system prompt",
    Label.TOOL: "the definition of a tool",
}
"""What goes with a request without being typed."""
_CLAUDE_CODE = "claude-cli"
_TOLD = {
    "transcript": "the transcript",
    "stream_json": "the client's output (stream-json)",
    "otel": "the client's telemetry",
}
"""Importer -> what it read: sources that never hold the request as it was sent."""


class Facts(Struct, kw_only=True):
    """See the head of the module; the fields that are a record's are named as there."""

    kind: str = Kind.REFUSAL
    category: str | None = None
    told: bool = True
    """Whether the answer itself was seen: then no category means that the API named none."""
    role: str = Role.OTHER
    stage: str | None = None
    streamed: bool | None = None
    outcome: str = Outcome.UNKNOWN
    model: str | None = None
    answered_by: str | None = None
    strategy: str | None = None
    """Of the attempt that was answered, as in ``Attempt``."""
    shown: bool | None = None
    """Whether the client had been sent any of what was declined; None where that is not on record."""
    ruling: str | None = None
    """As in ``Refusal``."""
    stayed: bool = False
    """Whether the conversation had stayed on the model that declined it."""
    tried: list[Attempt] = field(default_factory=list)
    """Whom demur asked after the refusal, in vain."""
    pin: Pin | None = None
    """Where the conversation stays just now."""
    history: str | None = None
    turn: int | None = None
    accepted_turn: int | None = None
    accepted_model: str | None = None
    compacted: bool = False
    """Whether it begins with a summary: then the numbers of its turns are not those that a person would count."""
    refusals_in_incident: int = 1
    """Refusals of its incident up to now, itself included, in whichever session."""
    refusals_in_session: int = 1
    """Those among them of its own session, agent and role that nobody answered."""
    new_labels: frozenset[str] = frozenset()
    """Of all candidates."""
    first_label: str | None = None
    """Of the first candidate: a ``Label``."""
    first_tool: str | None = None
    first_target: str | None = None
    first_is_last: bool = False
    """Whether the first candidate is the last text of the user."""
    tiny: bool = False
    """Whether the user's last text is no more than a greeting."""
    annotations: list[Annotation] = field(default_factory=list)
    verdict: str = Verdict.UNKNOWN
    """A person's."""
    judged_correct: bool = False
    """Whether a person judged one of the same content or incident correct (``Ruling.JUDGED_CORRECT``)."""
    approved_on: str | None = None
    """The owner's ``exemption.approved_on``."""
    at: str = ""
    """When it was declined."""
    retry_enabled: bool = False
    client: str | None = None


def hearsay(sources: Iterable[str]) -> str | None:
    """What alone tells of a request, in words, where no source saw it as it was sent; None where one did. ``sources``: a record's."""
    named = list(sources)
    told = [_TOLD[name] for name in named if name in _TOLD]
    return " and ".join(told) if told and len(told) == len(named) else None


def is_open(facts: Facts) -> bool:
    """A refusal that nobody has answered, of a request that somebody waits for."""
    return facts.kind == Kind.REFUSAL and facts.outcome not in RECOVERED and facts.role != Role.TITLE


def is_stuck(facts: Facts) -> bool:
    """Whether the session was declined again, on little or nothing that is new."""
    known = facts.kind == Kind.REFUSAL and facts.history in GOES_ON | {History.UNSEEN}
    return known and facts.refusals_in_session > 1 and has_turns(facts)


def has_turns(facts: Facts) -> bool:
    """Whether it is a person's conversation, in which one can go back."""
    return facts.role not in SIDE and facts.role != Role.SUBAGENT


def last_good(facts: Facts) -> int | None:
    """The last turn that was accepted, where that is an earlier one."""
    last, turn = facts.accepted_turn, facts.turn
    return last if last and (turn is None or last < turn) else None


def is_correct(facts: Facts) -> bool:
    """Whether a person found that it was rightly declined."""
    return facts.verdict == Verdict.CORRECT or facts.judged_correct


def may_go_on(facts: Facts) -> bool:
    """Whether a step onward may be named."""
    return not is_correct(facts) and facts.category not in RESERVED


def is_claude_code(facts: Facts) -> bool:
    """Whether it has Claude Code's commands, as far as is known."""
    return facts.client in (_CLAUDE_CODE, None)


def same_model(one: str | None, other: str | None) -> bool | None:
    """None where one of them is not known."""
    return family(one) == family(other) if one and other else None


def constants(facts: Facts) -> str:
    """The kinds of candidates that nobody typed, as in ``CONSTANT``; empty where there is none."""
    return ", ".join(what for label, what in CONSTANT.items() if label in facts.new_labels)


def despite_exemption(category: str | None, at: str, approved_on: str | None) -> bool:
    """Whether it was declined as ``cyber`` on the day of the owner's approval or later. False where a date cannot be read."""
    if category != "cyber" or not approved_on:
        return False
    try:
        return date.fromisoformat(at[:10]) >= date.fromisoformat(approved_on[:10])
    except ValueError:
        return False
