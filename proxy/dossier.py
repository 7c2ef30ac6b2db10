"""All that is known of one refusal, put together: what `demur show` tells, and what a report is written from.

What the store holds is read; what depends on the owner's settings or on what came later (cost, advice, bursts) is worked out now.
"""

import time
from datetime import UTC, datetime, timedelta

from msgspec import Struct, field
from msgspec.structs import replace

from proxy import judgements, trials
from proxy.core import tries
from proxy.core.advice import advice
from proxy.core.annotate import annotate
from proxy.core.burst import Burst, burst
from proxy.core.costs import Cost, cost
from proxy.core.facts import RECOVERED, Facts, despite_exemption, hearsay, is_correct
from proxy.core.links import Link, links
from proxy.core.meaning import about
from proxy.core.news import SUMMARY, candidates, mark, since
from proxy.core.stamps import stamp
from proxy.reports import Report, reported
from proxy.store import Store, StoreError
from schemas.labels import History, Label, Source
from schemas.records import Annotation, Attempt, Judgement, Located, Pin, Refusal, Rephrasing, Segment, Trial
from schemas.settings import Settings

BASELINE = timedelta(days=28)
"""The past that an hour is compared with."""
PAST = 24
"""Hours of it, at least: before, nothing is called a burst."""
TINY = 6
"""Tokens of a greeting, at most."""
_WATCHED = frozenset({Source.GATEWAY, Source.MITMPROXY})


class Dossier(Struct, kw_only=True):
    """See the head of the module."""

    refusal: Refusal
    segments: list[Segment]
    candidates: list[Segment]
    """The new ones, the strongest first; before all others those that were new when the incident began."""
    since_turn: int | None
    """The turn from which on something was new: the last good one is the one before. None where that is not known."""
    attempts: list[Attempt]
    rephrasings: list[Rephrasing]
    incident: list[Refusal]
    """All refusals of its incident, itself included, the first first."""
    annotations: list[Annotation]
    judgements: list[Judgement]
    trials: list[Trial]
    located: list[Located]
    cost: Cost
    burst: Burst
    """The hour that it fell into, by its category."""
    despite_exemption: bool
    about: str
    """What the API means by its category; empty where it was no refusal."""
    advice: list[str]
    links: list[Link]
    reports: list[Report] = field(default_factory=list)
    """Where a person has reported it, the first first."""
    pin: Pin | None = None
    """Where its conversation stays just now, because of it or until it declined this."""


def dossier(store: Store, refusal: Refusal, settings: Settings) -> Dossier:
    """Raises StoreError."""
    segments, attempts = store.segments(refusal.id), store.attempts(refusal.id)
    incident = store.incident(refusal.incident_id or refusal.id) or [refusal]
    found, turn = _annotations(store, refusal, segments), _since(refusal, segments)
    first = store.incident_marks(refusal.incident_id or refusal.id)
    new = sorted(candidates(segments), key=lambda one: mark(one.hash) not in first)
    despite = despite_exemption(refusal.category, refusal.at, settings.exemption.approved_on or None)
    facts = _facts(refusal, incident, settings)
    _add_request(facts, segments, new, turn)
    _add_course(facts, refusal, incident, attempts)
    facts.annotations, facts.pin = found, _pin(store, refusal, attempts)
    facts.compacted = _is_compacted(store, refusal, incident, segments)
    facts.judged_correct = store.judged_correct(refusal.asked, refusal.incident_id)
    return Dossier(
        refusal=refusal,
        segments=segments,
        candidates=new,
        since_turn=turn,
        attempts=attempts,
        rephrasings=store.rephrasings(refusal.id),
        incident=incident,
        annotations=found,
        judgements=judgements.history(store, refusal.id),
        trials=trials.trials(store, refusal.id),
        located=trials.located(store, refusal.id),
        cost=cost(refusal, attempts, settings.prices),
        burst=_burst(store, refusal),
        despite_exemption=despite,
        about=about(facts),
        advice=advice(facts),
        reports=reported(store, [refusal.id]),
        links=links(refusal.kind, refusal.category, despite=despite, correct=is_correct(facts)),
        pin=facts.pin,
    )


def _since(refusal: Refusal, segments: list[Segment]) -> int | None:
    """As in ``Dossier``. A map that was made of a transcript does not begin where the conversation does: its turns cannot be counted."""
    turn = since(segments)
    if turn is None or hearsay([refusal.source]) is None:
        return turn
    return refusal.accepted_turn + 1 if refusal.accepted_turn else None


def _facts(refusal: Refusal, incident: list[Refusal], settings: Settings) -> Facts:
    """What the records say, apart from the map of the request."""
    so_far = [one for one in incident if one.at <= refusal.at]
    return Facts(
        kind=refusal.kind,
        category=refusal.category,
        told=refusal.evidence != "usage.iterations" and bool(_WATCHED & {refusal.source, *refusal.sources}),
        role=refusal.role,
        stage=refusal.stage,
        streamed=refusal.streamed,
        outcome=refusal.outcome,
        model=refusal.model,
        answered_by=refusal.answered_by,
        history=refusal.history,
        turn=refusal.turn,
        accepted_turn=refusal.accepted_turn,
        accepted_model=refusal.accepted_model,
        refusals_in_incident=len(so_far),
        refusals_in_session=sum(_is_beside(one, refusal) and not _is_answered(one) for one in so_far),
        verdict=refusal.verdict,
        approved_on=settings.exemption.approved_on or None,
        at=refusal.at,
        retry_enabled=settings.retry.enabled,
        client=refusal.client,
    )


def _is_beside(one: Refusal, refusal: Refusal) -> bool:
    """Whether it is of the same session, agent and role; without a session only it itself is."""
    whose = (refusal.session_id, refusal.agent_id, refusal.role)
    return one.id == refusal.id or (whose[0] is not None and (one.session_id, one.agent_id, one.role) == whose)


def _is_answered(one: Refusal) -> bool:
    return one.outcome in RECOVERED


def _add_course(facts: Facts, refusal: Refusal, incident: list[Refusal], attempts: list[Attempt]) -> None:
    """What was tried; and that a turn is accepted that was declined first and then answered."""
    last = tries.answered(attempts)
    facts.strategy, facts.shown = last.strategy if last else None, tries.shown(attempts)
    facts.ruling, facts.tried, facts.stayed = refusal.ruling, tries.in_vain(attempts), tries.stayed(attempts)
    since = refusal.accepted_at or ""
    before = [one for one in incident if _is_answered(one) and _is_beside(one, refusal) and since < one.at < refusal.at]
    turns = [one.turn for one in before if one.turn is not None and one.turn < (refusal.turn or 0)]
    facts.accepted_turn = max([facts.accepted_turn or 0, *turns]) or None


def _is_compacted(store: Store, refusal: Refusal, incident: list[Refusal], segments: list[Segment]) -> bool:
    """Whether the conversation begins with a summary, as far as its text is stored."""
    first = next((one for one in segments if one.label == Label.USER_TEXT), None)
    try:
        text = store.content(first.content) if first else b""
    except StoreError:  # not kept; or damaged, of which is told where it is shown
        text = b""
    begins = SUMMARY.encode() in text[: 2 * len(SUMMARY)]
    return begins or any(one.history == History.COMPACTED and _is_beside(one, refusal) for one in incident)


def _pin(store: Store, refusal: Refusal, attempts: list[Attempt]) -> Pin | None:
    """The pin that it made, or the one by which it was declined; None where the conversation stays there no longer."""
    stayed = tries.stayed(attempts)
    for pin in store.pins(stamp(time.time())):
        whose = (pin.session_id, pin.agent_id, pin.answered_by)
        if pin.refusal_id == refusal.id or (stayed and whose == (refusal.session_id, refusal.agent_id, refusal.model)):
            return pin
    return None


def _add_request(facts: Facts, segments: list[Segment], new: list[Segment], turn: int | None) -> None:
    """What the map says; ``new``, ``turn``: as in ``Dossier``."""
    said = [one for one in segments if one.label == Label.USER_TEXT]
    facts.tiny = _is_tiny(said)
    if turn is not None:
        facts.accepted_turn = turn - 1 if turn else None
    facts.new_labels = frozenset(one.label for one in new)
    if new:
        first = new[0]
        facts.first_label, facts.first_tool, facts.first_target = first.label, first.tool, first.target
        facts.first_is_last = bool(said) and first.n == said[-1].n


def _is_tiny(said: list[Segment]) -> bool:
    """Whether the last text of the user is no more than a greeting. ``said``: all texts of the user."""
    last = [one for one in said if one.path.partition(".")[0] == said[-1].path.partition(".")[0]]
    return bool(last) and sum(one.tokens_est for one in last) <= TINY


def _annotations(store: Store, refusal: Refusal, segments: list[Segment]) -> list[Annotation]:
    """Those that were made when it was kept, or where there are none yet, what can be found at once."""
    if stored := store.annotations(refusal.id):
        return stored
    try:
        return annotate(segments, store.texts(refusal.id))
    except StoreError:  # a damaged text is told of where it is shown
        return annotate(segments, {})


def _burst(store: Store, refusal: Refusal) -> Burst:
    """By incidents, as one stuck session makes many refusals."""
    try:
        at = datetime.fromisoformat(refusal.at).astimezone(UTC)
    except ValueError:
        return burst([], 0)
    hour = at.replace(minute=0, second=0, microsecond=0)
    sql = """
        select substr(at, 1, 13) as hour, count(distinct coalesce(incident_id, id)) as n from refusals
        where at >= ? and at <= ? and kind = ? and category is ? group by 1
    """
    since = hour - BASELINE
    rows = store.rows(sql, [_stamp(since), refusal.at, refusal.kind, refusal.category])
    counts = {row["hour"]: row["n"] for row in rows}
    first = _first_hour(store, since)
    hours = int((hour - first) / timedelta(hours=1))
    before = [counts.get(_stamp(first + timedelta(hours=n))[:13], 0) for n in range(hours)]
    found = burst(before, counts.get(_stamp(hour)[:13], 0))
    return found if hours >= PAST else replace(found, probability=1.0)


def _first_hour(store: Store, since: datetime) -> datetime:
    """From when on anything was recorded at all: before that, an empty hour means nothing."""
    sql = "select min(hour) as hour from (select min(hour) as hour from traffic union all select min(substr(at, 1, 13)) from refusals)"
    hour = store.rows(sql)[0]["hour"]
    try:
        return max(since, datetime.fromisoformat(f"{hour}:00+00:00"))
    except ValueError:
        return since


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
