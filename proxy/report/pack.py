"""What a report may say: the facts of refusals, as builtins and strings only, so that all of them go through ``proxy.core.scrub`` in one piece.

``ids`` names the requests and no more than their class. ``metadata`` adds all that is known but no text of the conversation: a file or an address that a
tool was given is a placeholder, and of what demur suggests the words that it rests on are left out. ``excerpts`` adds the text of the segments
that were chosen.
"""

from enum import StrEnum

from msgspec import Struct, field

from proxy.core.repeats import Repeats
from schemas.labels import Verdict


class Level(StrEnum):
    """How much leaves."""

    IDS = "ids"
    METADATA = "metadata"
    EXCERPTS = "excerpts"


class Candidate(Struct, kw_only=True):
    """A segment that was new, without its text."""

    n: int
    kind: str
    tool: str | None = None
    target: str | None = None
    """A placeholder: whether two are of one file can be seen, not which."""
    media: str | None = None
    pages: int | None = None
    bytes: int
    tokens_est: int
    hash: str


class Try(Struct, kw_only=True):
    """A further model that was asked for the same request."""

    by: str
    model: str | None
    outcome: str
    category: str | None = None
    request_id: str | None = None


class Again(Struct, kw_only=True):
    """Requests that a person had demur send once more: declined so many of so many."""

    model: str
    declined: int
    answered: int


class Excerpt(Struct, kw_only=True):
    """The text of one segment that was chosen."""

    n: int
    kind: str
    text: str


class Event(Struct, kw_only=True, omit_defaults=True):
    """One refusal. From ``explanation`` on it is not told at the level ``ids``."""

    at: str
    kind: str
    category: str | None
    request_id: str | None
    message_id: str | None
    model: str | None
    answered_by: str | None
    client: str | None
    client_version: str | None
    explanation: str | None = None
    outcome: str | None = None
    stage: str | None = None
    ms_to_refusal: int | None = None
    output_tokens: int | None = None
    status: int | None = None
    streamed: bool | None = None
    role: str | None = None
    entrypoint: str | None = None
    effort: str | None = None
    long_context: bool | None = None
    evidence: str | None = None
    confidence: float | None = None
    session: str | None = None
    agent: str | None = None
    turn: int | None = None
    history: str | None = None
    incident_refusals: int | None = None
    incident_first_at: str | None = None
    incident_last_at: str | None = None
    last_accepted_at: str | None = None
    last_accepted_model: str | None = None
    last_accepted_version: str | None = None
    last_accepted_request_id: str | None = None
    last_accepted_turn: int | None = None
    request_bytes: int | None = None
    segments: int | None = None
    known_parts: int | None = None
    """In place of both: parts of the request that a transcript told of, which is not all of it."""
    candidates: list[Candidate] = field(default_factory=list)
    more_candidates: int = 0
    annotations: list[str] = field(default_factory=list)
    tools_run: list[str] = field(default_factory=list)
    """Tool calls that had run before: their effects had happened."""
    tries: list[Try] = field(default_factory=list)
    again: list[Again] = field(default_factory=list)
    located: str | None = None
    verdict: str | None = None
    domain: str | None = None
    notes: list[str] = field(default_factory=list)
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    lost_tokens: int | None = None
    attempts: int | None = None
    ms: int | None = None
    despite_exemption: bool = False
    excerpts: list[Excerpt] = field(default_factory=list)


class Twin(Struct, kw_only=True):
    """The same content, declined by one model and accepted by another."""

    declined_by: str
    accepted_by: str
    categories: list[str]
    declined: list[str]
    """Request id and time of each."""
    accepted: list[str]


class Pack(Struct, kw_only=True):
    """All that a report may say."""

    level: str
    events: list[Event]
    """The first first."""
    repeats: Repeats
    classes: list[str]
    """``refusal, category cyber``: each once, the most frequent first."""
    poisoned: list[str] = field(default_factory=list)
    """Request ids, or times, of refusals of a text no longer than a greeting, after another one of their conversation had been declined."""
    exemption: str | None = None
    """Since when the owner is approved by the Cyber Verification Program, as the owner says."""
    system: str | None = None
    terminal: str | None = None
    platform: str | None = None
    """Whose API was asked, and in which terminal: ``not recorded`` where nothing tells; None at the level ``ids``."""
    pairs: list[Twin] = field(default_factory=list)


class Extra(Struct, kw_only=True):
    """What a dossier does not hold, of one refusal."""

    effort: str | None = None
    excerpts: list[Excerpt] = field(default_factory=list)


def judged_false(made: Pack) -> bool:
    """Whether a person judged any of it a false positive."""
    return any(event.verdict == Verdict.FALSE_POSITIVE for event in made.events)
