"""The same content, declined by one model and accepted by another: from what was observed, nothing is sent for it.

*The same* is one hash for what the last turn of the user said (``Refusal.asked``); what went before it in the conversation may differ. It was
accepted in another request (table ``passes``; but not where it was no more than a short text, which says little), or in a further attempt for the refusal itself that left the content as it was. *Another model*
is another family: a date or a platform in a name makes none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from proxy.statistics import Scope
from proxy.store import Store
from schemas.models import family

_MEANT = """
    refusals.kind = 'refusal' and refusals.model is not null and refusals.at >= :since and (:until = '' or refusals.at < :until)
    and (:model is null or refusals.model = :model) and (:category is null or coalesce(refusals.category, 'none') = :category)
"""
_FACTS = "refusals.id, refusals.at, refusals.request_id, refusals.model, refusals.category, refusals.asked"
_PASSED = f"""
    select {_FACTS}, passes.model as other, passes.at as other_at, passes.request_id as other_id, 'another request' as "by"
    from passes join refusals on refusals.asked = passes.asked where {_MEANT} and passes.model <> refusals.model
        and not exists (select 1 from incidents where incidents.refusal_id = refusals.incident_id and short and marks <> x'')
    order by refusals.at, refusals.id, passes.model
"""  # noqa: S608 constants
_ATTEMPTED = f"""
    select {_FACTS}, attempts.model as other, iif("by" = 'client', null, refusals.at) as other_at,
        attempts.request_id as other_id, "by"
    from attempts join refusals on refusals.id = refusal_id
    where {_MEANT} and n > 0 and attempts.outcome = 'answered' and coalesce(strategy, 'fallback') in ('fallback', 'sticky')
        and attempts.model is not null and attempts.model <> refusals.model
    order by refusals.at, refusals.id, n
"""  # noqa: S608 constants


class Declined(NamedTuple):
    """One refusal."""

    id: str
    request_id: str | None
    at: str
    model: str


class Accepted(NamedTuple):
    """One request that was answered."""

    request_id: str | None
    at: str | None
    """None where it was not recorded; of an attempt by demur or the API the time of the refusal, whose exchange it was part of."""
    model: str
    by: str
    """``another request``, or who sent the further attempt: ``client``, ``api``, ``demur``."""


@dataclass(kw_only=True)
class Pair:
    """One content, with the model that declined it and the one that accepted it, by their families."""

    asked: str | None
    declined_by: str
    accepted_by: str
    categories: dict[str | None, None] = field(default_factory=dict)
    """Those that the refusals had, each once, as are the others: in the order of time."""
    declined: dict[Declined, None] = field(default_factory=dict)
    accepted: dict[Accepted, None] = field(default_factory=dict)

    @property
    def newest(self) -> str:
        """When either last happened."""
        return max([one.at for one in self.declined] + [one.at for one in self.accepted if one.at])


def pairs(store: Store, scope: Scope) -> list[Pair]:
    """All of them, newest first. ``scope`` is of the refusals: ``model`` is the one that declined. Raises StoreError."""
    found: dict[tuple[str, str, str], Pair] = {}
    for row in _rows(store, scope):
        declined, accepted = family(row["model"]), family(row["other"])
        if declined != accepted:
            pair = Pair(asked=row["asked"], declined_by=declined, accepted_by=accepted)
            _add(found.setdefault((row["asked"] or row["id"], declined, accepted), pair), row)
    return sorted(found.values(), key=lambda pair: pair.newest, reverse=True)


def _rows(store: Store, scope: Scope) -> Iterator[dict[str, Any]]:
    values = {"since": scope.since, "until": scope.until, "model": scope.model, "category": scope.category}
    yield from store.rows(_PASSED, values)
    yield from store.rows(_ATTEMPTED, values)


def _add(pair: Pair, row: dict[str, Any]) -> None:
    pair.categories[row["category"]] = None
    pair.declined[Declined(row["id"], row["request_id"], row["at"], row["model"])] = None
    pair.accepted[Accepted(row["other_id"], row["other_at"], row["other"], row["by"])] = None
