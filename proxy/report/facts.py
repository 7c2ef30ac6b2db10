"""The facts of a report as titled lines, which every shape shares. What is not known is left out."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from proxy.core.repeats import TINY, Repeats
from proxy.report.pack import Candidate, Event, Pack

type Fact = tuple[str, str]

HISTORIES = {
    "first": "nothing of the conversation had been accepted before",
    "grown": "the conversation had gone on from the last accepted request",
    "same": "nothing had been added since the last accepted request",
    "edited": "earlier messages had been changed or taken out since the last accepted request",
    "compacted": "the conversation had been compacted since the last accepted request",
    "cleared": "a new conversation in the same session",
    "resumed": "the conversation goes on from another session's",
    "unseen": "no accepted request of the conversation was seen",
}
STAGES = {"before_output": "before any output", "mid_stream": "mid-stream, after output had begun"}
VERDICTS = {"false_positive": "false positive", "correct": "correct", "unsure": "unsure", "unknown": "not judged"}


_DOUBTFUL = frozenset({"unclassified", "soft_refusal"})
"""Kinds that may be no refusal."""


def title(made: Pack) -> str:
    """Of class and category alone: no word of the conversation, none of the person's."""
    was = "declined" if is_sure(made) else "that may have been declined"
    return f"Request {was} by the API's safeguards: {'; '.join(made.classes)}"


def is_sure(made: Pack) -> bool:
    """Whether each of them was declined by the API."""
    return not any(event.kind in _DOUBTFUL for event in made.events)


def summary(made: Pack) -> Iterator[Fact]:
    """What holds for all of them."""
    counted = made.repeats
    yield "Refusals", f"{counted.refusals}, in {_count(counted.incidents, 'incident')}{_sessions(counted)}"
    yield "Class", "; ".join(made.classes)
    yield "First and last", counted.first_at + ("" if counted.first_at == counted.last_at else f" to {counted.last_at}")
    if made.level == "ids":
        return
    yield from _repeats(counted)
    if made.poisoned:
        yield (
            "Short text declined",
            f"after something else had been declined, a text of at most {TINY} tokens was declined too: {', '.join(made.poisoned)}",
        )
    if not made.exemption and any(event.category == "cyber" for event in made.events):
        yield "Exemption", "none that its owner names"
    if made.exemption:
        despite = sum(event.despite_exemption for event in made.events)
        yield (
            "Exemption",
            f"Cyber Verification Program, approved on {made.exemption} (as its owner says); {despite} declined despite it",
        )
    if len(made.events) > 1 and (tokens := _tokens(made.events)):
        known = sum(bool(_tokens([event])) for event in made.events)
        told = "" if known == len(made.events) else f" (it is known of {known} of {len(made.events)})"
        yield "Cost in tokens, of all", tokens + told
    yield "Verdict of the person", verdicts(made)


def machine(made: Pack) -> Iterator[Fact]:
    """Where the requests were made, and the report, which need not be the same."""
    if made.platform:
        yield "Platform", made.platform
    if made.system:
        yield "Operating system", f"{made.system} (of the machine that this report was made on)"
    if made.terminal:
        yield "Terminal", made.terminal


def verdicts(made: Pack) -> str:
    """``false positive 2, not judged 1``."""
    given = [VERDICTS.get(event.verdict or "unknown", "not judged") for event in made.events]
    return ", ".join(f"{name} {given.count(name)}" for name in dict.fromkeys(given))


def facts(event: Event) -> Iterator[Fact]:
    """One refusal, without its explanation, its candidates and its excerpts."""
    yield "Request id", event.request_id or "none was seen"
    if event.message_id:
        yield "Message id", event.message_id
    yield "Time (UTC)", event.at
    yield "Class", event.kind + (f", category {event.category or 'none'}" if event.kind == "refusal" else "")
    yield "Model asked", _model(event)
    if event.answered_by:
        yield "Model that answered", event.answered_by
    if event.client or event.client_version:
        yield (
            "Client",
            " ".join(filter(None, (event.client, event.client_version, event.entrypoint and f"({event.entrypoint})"))),
        )
    yield from _course(event)
    yield from _session(event)
    yield from _evidence(event)


class Told(NamedTuple):
    """What one refusal has of its own. What an earlier one said as well is named, not repeated."""

    event: Event
    head: str
    """``Refusal 2 of 3``."""
    facts: list[Fact]
    explanation: str
    candidates: str
    """A line each; empty: none."""


def shared(made: Pack) -> list[Fact]:
    """What holds for each of several refusals word for word; nothing where there is one."""
    first, *more = [list(facts(event)) for event in made.events]
    return [fact for fact in first if all(fact in other for other in more)] if more else []


def told(made: Pack) -> Iterator[Told]:
    """Each refusal without what is ``shared``."""
    common, said = set(shared(made)), dict[str, int]()
    for n, event in enumerate(made.events, start=1):
        own = [fact for fact in facts(event) if fact not in common]
        new = "\n".join(candidates(event))
        yield Told(
            event,
            f"Refusal {n} of {len(made.events)}",
            own,
            _once(said, event.explanation or "", n),
            _once(said, new, n),
        )


def _once(said: dict[str, int], text: str, n: int) -> str:
    first = said.setdefault(text, n) if text else n
    return text if first == n else f"(as for refusal {first})"


def candidate(one: Candidate) -> str:
    """``tool_result, Read <PATH-1>, application/pdf, 3 pages, 14336 bytes, b2:...``."""
    parts = [one.kind, " ".join(filter(None, (one.tool, one.target))), one.media]
    parts += [f"{one.pages} pages" if one.pages else None]
    parts += [f"{one.bytes} bytes", f"~{one.tokens_est} tokens", one.hash]
    return f"segment {one.n}: " + ", ".join(part for part in parts if part)


def candidates(event: Event) -> list[str]:
    """Those that were new, the strongest first; how many more there are."""
    found = [candidate(one) for one in event.candidates]
    return [*found, f"and {event.more_candidates} more"] if event.more_candidates else found


def pairs(made: Pack) -> Iterator[Fact]:
    """The same content, declined by one model and accepted by another."""
    for one in made.pairs:
        head = f"declined by {one.declined_by} ({', '.join(one.categories)}), accepted by {one.accepted_by}"
        yield (
            head,
            "\n".join(
                [*(f"declined: {said}" for said in one.declined), *(f"accepted: {said}" for said in one.accepted)]
            ),
        )


def _repeats(counted: Repeats) -> Iterator[Fact]:
    unknown = f"of {counted.unknown} it is not known and counts as one"
    if counted.refusals > 1:
        told = f" ({unknown})" if counted.unknown else ""
        yield "Distinct contents", f"{counted.contents}, by what was newest in each{told}"
    if counted.refusals > 1 or counted.resends:
        yield (
            "Said before",
            f"{counted.resends} said what an earlier one had said, or added nothing to what had been accepted",
        )


def _sessions(counted: Repeats) -> str:
    named = f" and {_count(counted.sessions, 'session')}" if counted.sessions else ""
    return named + (f" (of {counted.sessionless} the session is not known)" if counted.sessionless else "")


def _model(event: Event) -> str:
    more = [f"effort {event.effort}"] if event.effort else []
    if event.long_context is not None:
        more.append("context of 1M tokens" if event.long_context else "context not of 1M tokens")
    return ", ".join([event.model or "not known", *more])


def _course(event: Event) -> Iterator[Fact]:
    if event.stage:
        yield "Stage", STAGES.get(event.stage, event.stage)
    if event.ms_to_refusal is not None:
        yield (
            "Declined after",
            f"{event.ms_to_refusal} ms, {event.output_tokens if event.output_tokens is not None else '?'} output tokens",
        )
    if event.role:
        yield "Request of", event.role
    if event.status:
        yield "HTTP", f"{event.status}{', streamed' * bool(event.streamed)}"
    if event.outcome:
        yield "Ended as", event.outcome
    for one in event.tries:
        category = f" ({one.category})" if one.category else ""
        yield (
            "Asked further",
            f"{one.model or 'a model'} by {one.by}: {one.outcome}{category}, {one.request_id or 'no request id'}",
        )
    if event.evidence:
        yield "Seen at", f"{event.evidence}, confidence {event.confidence:g}"


def _session(event: Event) -> Iterator[Fact]:
    if event.session:
        turn = f", turn {event.turn}, counted by answers" if event.turn else ""
        yield "Session", event.session + turn + (f", agent {event.agent}" if event.agent else "")
    if event.history:
        yield "Beside the last accepted one", HISTORIES.get(event.history, event.history)
    if (event.incident_refusals or 1) > 1:
        span = f"{event.incident_first_at} to {event.incident_last_at}"
        yield "Incident", f"{event.incident_refusals} refusals with what had been new in the first of them, {span}"
    if event.last_accepted_at:
        told = (
            event.last_accepted_at,
            event.last_accepted_model,
            event.last_accepted_version,
            event.last_accepted_request_id,
        )
        prompt = [f"turn {event.last_accepted_turn}"] if event.last_accepted_turn else []
        yield "Last accepted request", ", ".join(part for part in (*told, *prompt) if part)
    if event.tools_run:
        yield "Tools that had run", ", ".join(event.tools_run)


def _evidence(event: Event) -> Iterator[Fact]:
    if event.segments:
        yield "Request", f"{_count(event.segments, 'segment')}, {event.request_bytes} bytes"
    if event.known_parts:
        yield "Known of the request", f"from a transcript: {_count(event.known_parts, 'part')}"
    if event.annotations:
        yield "Noticed (suggestions)", "; ".join(event.annotations)
    for one in event.again:
        yield "Sent again", f"to {one.model}: declined {one.declined} of {one.declined + one.answered}"
    if event.located:
        yield "Located", event.located
    yield from _cost(event)
    if event.despite_exemption:
        yield "Exemption", "declined despite the approval"
    if event.verdict and event.verdict != "unknown":
        yield (
            "Verdict of the person",
            VERDICTS.get(event.verdict, event.verdict) + (f", domain {event.domain}" if event.domain else ""),
        )


def _cost(event: Event) -> Iterator[Fact]:
    if tokens := _tokens([event]):
        spent = f"; {event.ms / 1000:.1f} s in all" if event.ms is not None else ""
        sent = f"; {_count(event.attempts, 'attempt')}" if event.attempts else ""
        yield "Cost in tokens", f"{tokens}{sent}{spent}"


def _tokens(events: Sequence[Event]) -> str:
    """What is known of them, added up."""
    named = {
        "in": "input_tokens",
        "read from cache": "cache_read_tokens",
        "written to cache": "cache_write_tokens",
        "lost with the cache": "lost_tokens",
    }
    told = {name: [n for one in events if (n := getattr(one, field)) is not None] for name, field in named.items()}
    return ", ".join(f"{sum(known)} {name}" for name, known in told.items() if known)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
