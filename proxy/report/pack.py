"""The facts of a report, out of one or several dossiers: what it may say at each level, before anything is scrubbed.

``ids`` names the requests and no more than their class. ``metadata`` adds all that is known but no text of the conversation: a file or an address that a
tool was given is a placeholder, and of what demur suggests the words that it rests on are left out. ``excerpts`` adds the text of the segments
that were chosen. The facts are builtins and strings only, so that all of them go through ``proxy.core.scrub`` in one piece.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct, field

from proxy.core.repeats import Repeats, repeats
from proxy.dossier import Dossier
from proxy.elsewhere import Pair
from proxy.report.personal import Machine
from schemas.labels import Label, Purpose, Result, Verdict
from schemas.records import Refusal, Segment

SHOWN = 12
"""Candidates that a report names one by one."""
TOOLS = frozenset(
    "Agent Bash BashOutput Edit ExitPlanMode Glob Grep KillShell LS MultiEdit NotebookEdit NotebookRead Read Skill SlashCommand Task"
    " TaskOutput TodoWrite WebFetch WebSearch Write AskUserQuestion".split()
)
"""Claude Code's own tools; the name of any other may tell whose it is."""
type Hide = Callable[[str, str, str], str]
"""Kind, value and why -> a placeholder."""


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
    """Request ids, or times, of refusals of a text that was no more than a greeting, in a conversation under way."""
    exemption: str | None = None
    """Since when the owner is approved by the Cyber Verification Program, as the owner says."""
    system: str | None = None
    terminal: str | None = None
    pairs: list[Twin] = field(default_factory=list)


class Extra(Struct, kw_only=True):
    """What a dossier does not hold, of one refusal."""

    effort: str | None = None
    excerpts: list[Excerpt] = field(default_factory=list)


def pack(
    dossiers: Sequence[Dossier],
    level: Level,
    hide: Hide,
    *,
    extras: Mapping[str, Extra] | None = None,
    pairs: Sequence[Pair] = (),
    poisoned: Sequence[str] = (),
    exemption: str | None = None,
    machine: Machine | None = None,
) -> Pack:
    """``dossiers``: one at least. ``extras``: by the refusal's id. ``poisoned``: as in ``Pack``."""
    told = sorted(dossiers, key=lambda one: (one.refusal.at, one.refusal.id))
    extras = extras or {}
    classes = Counter(_class(one.refusal) for one in told)
    made = Pack(
        level=level,
        events=[_event(one, level, hide, extras.get(one.refusal.id, Extra())) for one in told],
        repeats=repeats([one.refusal for one in told]),
        classes=[name for name, _ in classes.most_common()],
        pairs=[_twin(pair) for pair in pairs],
    )
    if level != Level.IDS:
        made.poisoned = list(poisoned)
        made.exemption = exemption
        made.system, made.terminal = machine or (None, None)
    return made


def known_ids(dossiers: Sequence[Dossier]) -> tuple[str, ...]:
    """Names of sessions and agents: what they are called by, and no one else."""
    names = [name for one in dossiers for name in (one.refusal.session_id, one.refusal.agent_id) if name]
    return tuple(dict.fromkeys(names))


def _class(refusal: Refusal) -> str:
    """Of a kind and a category; one that is no plain word is not told, as it may be anything."""
    if refusal.kind != "refusal":
        return str(refusal.kind)
    category = refusal.category or "none"
    plain = category.isascii() and category.replace("_", "").isalnum() and len(category) <= 40
    return f"refusal, category {category if plain else 'other'}"


def _event(found: Dossier, level: Level, hide: Hide, extra: Extra) -> Event:
    one = found.refusal
    event = Event(
        at=one.at,
        kind=one.kind,
        category=one.category,
        request_id=one.request_id,
        message_id=one.message_id,
        model=one.model,
        answered_by=one.answered_by,
        client=one.client,
        client_version=one.client_version,
    )
    if level != Level.IDS:
        _tell(event, found, hide)
        event.effort = extra.effort
        event.excerpts = extra.excerpts if level == Level.EXCERPTS else []
    return event


_SAME = (
    "explanation outcome stage ms_to_refusal output_tokens status streamed role entrypoint evidence confidence turn history verdict domain"
).split()
_SPENT = "input_tokens cache_read_tokens cache_write_tokens lost_tokens attempts ms".split()


def _tell(event: Event, found: Dossier, hide: Hide) -> None:
    """All that ``metadata`` adds."""
    one = found.refusal
    for name in _SAME:
        setattr(event, name, getattr(one, name))
    for name in _SPENT:
        setattr(event, name, getattr(found.cost, name))
    for name in ("at", "model", "version", "request_id", "turn"):
        setattr(event, f"last_accepted_{name}", getattr(one, f"accepted_{name}"))
    event.session = one.session_id and hide("ID", one.session_id, "the id of a session")
    event.agent = one.agent_id and hide("ID", one.agent_id, "the id of an agent")
    event.incident_refusals = len(found.incident)
    event.incident_first_at, event.incident_last_at = found.incident[0].at, found.incident[-1].at
    event.long_context = _is_long(one)
    event.segments = len(found.segments) or None
    event.request_bytes = sum(part.bytes for part in found.segments) or None
    event.candidates = [_candidate(part, hide) for part in found.candidates[:SHOWN]]
    event.more_candidates = max(0, len(found.candidates) - SHOWN)
    event.annotations = [f"{said.name}: {said.value}" for said in found.annotations]
    event.tools_run = _tools_run(found.segments)
    event.tries = [
        Try(by=a.by, model=a.model, outcome=a.outcome, category=a.category, request_id=a.request_id)
        for a in found.attempts
        if a.n > 0
    ]
    event.again = _again(found)
    event.located = _located(found)
    event.notes = [said.note for said in found.judgements if said.note]
    event.despite_exemption = found.despite_exemption


def _is_long(refusal: Refusal) -> bool | None:
    """Whether the context of a million tokens was asked for; None where the headers are not known."""
    asked = "[1m]" in (refusal.model or "") or "context-1m" in refusal.headers.get("anthropic-beta", "")
    return asked or (False if refusal.headers else None)


def _candidate(part: Segment, hide: Hide) -> Candidate:
    tool = part.tool if part.tool is None or part.tool in TOOLS else hide("TOOL", part.tool, "the name of a tool")
    target = (
        None
        if part.target is None
        else hide("PATH", part.target, "what a tool was given: a file, an address, a program")
    )
    return Candidate(
        n=part.n,
        kind=part.label,
        tool=tool,
        target=target,
        media=part.media,
        pages=part.pages,
        bytes=part.bytes,
        tokens_est=part.tokens_est,
        hash=part.hash,
    )


def _tools_run(segments: Sequence[Segment]) -> list[str]:
    names = Counter(
        part.tool if part.tool in TOOLS else "another tool" for part in segments if part.label == Label.TOOL_USE
    )
    return [f"{name} x{n}" for name, n in names.most_common()]


def _again(found: Dossier) -> list[Again]:
    by_model: dict[str, list[str]] = {}
    for trial in found.trials:
        if trial.purpose == Purpose.REPLAY and trial.outcome not in (Result.ERROR, Result.CUT, Result.UNREADABLE):
            by_model.setdefault(trial.model, []).append(trial.outcome)
    return [
        Again(
            model=model, declined=sum(o != Result.ANSWERED for o in outcomes), answered=outcomes.count(Result.ANSWERED)
        )
        for model, outcomes in by_model.items()
    ]


def _located(found: Dossier) -> str | None:
    """By numbers of segments alone: their paths are places in the request, without names."""
    if not found.located:
        return None
    last = found.located[-1]
    if not last.parts:
        return f"searched with {last.model}, {last.trials} requests: nothing was found"
    settled = "" if last.settled else ", not settled"
    return f"accepted by {last.model} without {', '.join(last.parts)} ({last.trials} requests{settled})"


def _twin(pair: Pair) -> Twin:
    return Twin(
        declined_by=pair.declined_by,
        accepted_by=pair.accepted_by,
        categories=[category or "none" for category in pair.categories],
        declined=[f"{one.request_id or 'no request id'} at {one.at} by {one.model}" for one in pair.declined],
        accepted=[
            f"{one.request_id or 'no request id'} at {one.at or 'a time not recorded'} by {one.model} ({one.by})"
            for one in pair.accepted
        ],
    )


def judged_false(made: Pack) -> bool:
    """Whether a person judged any of it a false positive."""
    return any(event.verdict == Verdict.FALSE_POSITIVE for event in made.events)
