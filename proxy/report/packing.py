"""The facts of a report, out of one or several dossiers, at a level; before anything is scrubbed."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from proxy.core.facts import hearsay
from proxy.core.repeats import Newest, repeats
from proxy.core.said import ANSWERED
from proxy.dossier import Dossier
from proxy.elsewhere import Pair
from proxy.report.pack import Again, Candidate, Event, Extra, Level, Pack, Try, Twin
from proxy.report.personal import Machine
from schemas.labels import Label, Purpose, Result
from schemas.records import Refusal, Segment

SHOWN = 12
"""Candidates that a report names one by one."""
TOOLS = frozenset(
    "Agent Bash BashOutput Edit ExitPlanMode Glob Grep KillShell LS MultiEdit NotebookEdit NotebookRead Read Skill SlashCommand Task"
    " TaskOutput TodoWrite WebFetch WebSearch Write AskUserQuestion".split()
)
"""Claude Code's own tools; the name of any other may tell whose it is."""
UNKNOWN = "not recorded"
_HERE = "(of the machine that this report was made on)"
_PLATFORMS = {"vrtx": "Google Vertex AI", "bdrk": "AWS Bedrock"}
"""By the second part of an id of a request or a message."""
_TRANSCRIPT = "transcript"
type Hide = Callable[[str, str, str], str]
"""Kind, value and why -> a placeholder."""


def pack(
    dossiers: Sequence[Dossier],
    level: Level,
    hide: Hide,
    *,
    extras: Mapping[str, Extra] | None = None,
    pairs: Sequence[Pair] = (),
    poisoned: Sequence[str] = (),
    said: Newest | None = None,
    exemption: str | None = None,
    machine: Machine | None = None,
) -> Pack:
    """``dossiers``: one at least. ``extras``: by the refusal's id. ``poisoned``: as in ``Pack``; ``said``: as in ``repeats``."""
    told = sorted(dossiers, key=lambda one: (one.refusal.at, one.refusal.id))
    extras = extras or {}
    classes = Counter(_class(one.refusal) for one in told)
    made = Pack(
        level=level,
        events=[_event(one, level, hide, extras.get(one.refusal.id, Extra())) for one in told],
        repeats=repeats([one.refusal for one in told], said),
        classes=[name for name, _ in classes.most_common()],
        pairs=[_twin(pair) for pair in pairs],
    )
    if level != Level.IDS:
        made.poisoned = list(poisoned)
        made.exemption = exemption
        made.system, terminal = machine or (None, "Other")
        made.terminal, made.platform = _terminal(told, terminal), _platform(told)
    return made


def _terminal(told: Sequence[Dossier], here: str) -> str:
    """``here``: the one that the report is made in, which need not be the one of the requests."""
    if all((one.refusal.entrypoint or "").startswith("sdk") for one in told):
        return "Non-interactive/CI environment"
    return UNKNOWN if here == "Other" else f"{here} {_HERE}"


def _platform(told: Sequence[Dossier]) -> str:
    """By the ids and the models that only these have; no other is told by them."""
    return ", ".join(dict.fromkeys(_platform_of(one.refusal) for one in told))


def _platform_of(one: Refusal) -> str:
    marks = {(name or "").split("_")[1:2][0] for name in (one.request_id, one.message_id) if "_" in (name or "")}
    found = next((name for mark, name in _PLATFORMS.items() if mark in marks), UNKNOWN)
    return "AWS Bedrock" if found == UNKNOWN and "anthropic." in (one.model or "") else found


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
    if hearsay(one.sources or [one.source]):  # which may tell of the last try alone
        event.attempts = None
    for name in ("at", "model", "version", "request_id", "turn"):
        setattr(event, f"last_accepted_{name}", getattr(one, f"accepted_{name}"))
    event.session = one.session_id and hide("ID", one.session_id, "the id of a session")
    event.agent = one.agent_id and hide("ID", one.agent_id, "the id of an agent")
    event.incident_refusals = len(found.incident)
    event.incident_first_at, event.incident_last_at = found.incident[0].at, found.incident[-1].at
    event.long_context = _is_long(one)
    if _is_told(found):
        event.known_parts = len(found.segments) or None
    else:
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


def _is_told(found: Dossier) -> bool:
    """Whether a transcript told of the request: what the user and the tools said since the last prompt, and no more."""
    whole = any(part.label in ANSWERED or not part.path.startswith("messages") for part in found.segments)
    return _TRANSCRIPT in (found.refusal.source, *found.refusal.sources) and not whole


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
