"""All that is known of one refusal, put together: what `demur show` tells, and what a report is written from.

What the store holds is read; what depends on the owner's settings or on what came later (cost, advice, bursts) is worked out now.
"""

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from proxy import judgements, trials
from proxy.core.advice import Facts, advice, despite_exemption
from proxy.core.annotate import annotate
from proxy.core.burst import Burst, burst
from proxy.core.costs import Cost, cost
from proxy.core.links import Link, links
from proxy.core.news import candidates, since
from proxy.store import Store, StoreError
from schemas.labels import Label
from schemas.records import Annotation, Attempt, Judgement, Located, Refusal, Rephrasing, Segment, Trial
from schemas.settings import Settings

BASELINE = timedelta(days=28)
"""The past that an hour is compared with."""
TINY = 6
"""Tokens of a greeting, at most."""


class Dossier(Struct, kw_only=True):
    """See the head of the module."""

    refusal: Refusal
    segments: list[Segment]
    candidates: list[Segment]
    """The new ones, the strongest first."""
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
    advice: list[str]
    links: list[Link]


def dossier(store: Store, refusal: Refusal, settings: Settings) -> Dossier:
    """Raises StoreError."""
    segments, attempts = store.segments(refusal.id), store.attempts(refusal.id)
    incident = store.incident(refusal.incident_id or refusal.id) or [refusal]
    found, new, turn = _annotations(store, refusal, segments), candidates(segments), since(segments)
    despite = despite_exemption(refusal.category, refusal.at, settings.exemption.approved_on or None)
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
        advice=advice(_facts(refusal, segments, incident, found, settings)),
        links=links(refusal.kind, refusal.category, despite=despite),
    )


def _facts(
    refusal: Refusal,
    segments: list[Segment],
    incident: list[Refusal],
    annotations: list[Annotation],
    settings: Settings,
) -> Facts:
    first = next(iter(candidates(segments)), None)
    turn = since(segments)
    return Facts(
        kind=refusal.kind,
        category=refusal.category,
        role=refusal.role,
        stage=refusal.stage,
        outcome=refusal.outcome,
        history=refusal.history,
        turn=refusal.turn,
        accepted_turn=refusal.accepted_turn if turn is None else turn - 1 if turn else None,
        refusals_in_incident=sum(one.at <= refusal.at for one in incident),
        first_label=first.label if first else None,
        first_tool=first.tool if first else None,
        first_target=first.target if first else None,
        tiny=_is_tiny(segments),
        annotations=annotations,
        approved_on=settings.exemption.approved_on or None,
        at=refusal.at,
        retry_enabled=settings.retry.enabled,
        client=refusal.client,
    )


def _is_tiny(segments: list[Segment]) -> bool:
    said = [one for one in segments if one.label == Label.USER_TEXT]
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
    return burst(before, counts.get(_stamp(hour)[:13], 0))


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
