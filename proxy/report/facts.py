"""The facts of a report as titled lines, which every shape shares. What is not known is left out."""

from collections.abc import Iterator

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


def title(made: Pack) -> str:
    """Of class and category alone: no word of the conversation, none of the person's."""
    return f"Request declined by the API's safeguards: {'; '.join(made.classes)}"


def summary(made: Pack) -> Iterator[Fact]:
    """What holds for all of them."""
    counted = made.repeats
    yield (
        "Refusals",
        f"{counted.refusals}, in {_count(counted.incidents, 'incident')} and {_count(counted.sessions, 'session')}",
    )
    yield "Class", "; ".join(made.classes)
    yield "First and last", counted.first_at + ("" if counted.first_at == counted.last_at else f" to {counted.last_at}")
    if made.level == "ids":
        return
    yield (
        "Distinct contents",
        f"{counted.contents}; {counted.resends} said what an earlier one had said, or added nothing",
    )
    if made.poisoned:
        yield (
            "Declined whatever was said",
            f"a text no longer than a greeting was declined too: {', '.join(made.poisoned)}",
        )
    if made.exemption:
        despite = sum(event.despite_exemption for event in made.events)
        yield (
            "Exemption",
            f"Cyber Verification Program, approved on {made.exemption} (as its owner says); {despite} declined despite it",
        )
    yield "Verdict of the person", verdicts(made)


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


def explanation(event: Event) -> str:
    """In the API's own words."""
    return event.explanation or ""


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
        turn = f", prompt {event.turn}" if event.turn else ""
        yield "Session", event.session + turn + (f", agent {event.agent}" if event.agent else "")
    if event.history:
        yield "Beside the last accepted one", HISTORIES.get(event.history, event.history)
    if (event.incident_refusals or 1) > 1:
        span = f"{event.incident_first_at} to {event.incident_last_at}"
        yield "Incident", f"{event.incident_refusals} refusals that followed from the same candidates, {span}"
    if event.last_accepted_at:
        told = (
            event.last_accepted_at,
            event.last_accepted_model,
            event.last_accepted_version,
            event.last_accepted_request_id,
        )
        prompt = [f"prompt {event.last_accepted_turn}"] if event.last_accepted_turn else []
        yield "Last accepted request", ", ".join(part for part in (*told, *prompt) if part)
    if event.tools_run:
        yield "Tools that had run", ", ".join(event.tools_run)


def _evidence(event: Event) -> Iterator[Fact]:
    if event.segments:
        yield "Request", f"{event.segments} segments, {event.request_bytes} bytes"
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
    named = {
        "in": event.input_tokens,
        "read from cache": event.cache_read_tokens,
        "written to cache": event.cache_write_tokens,
        "lost with the cache": event.lost_tokens,
    }
    tokens = ", ".join(f"{n} {name}" for name, n in named.items() if n is not None)
    if tokens:
        spent = f"; {event.ms / 1000:.1f} s in all" if event.ms is not None else ""
        yield "Cost in tokens", f"{tokens}; {_count(event.attempts or 1, 'attempt')}{spent}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
