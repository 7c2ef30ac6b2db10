"""Of which refusals a report is: those that a person names, or all that a filter finds without those that a report is not meant for.

What was reported already is left out of a selection, and so is what a person judged to be declined rightly; both are counted. What is named
by itself is not left out: of that, only a second report has to be asked for.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from proxy.cli.options import Failed, meant, moment_since

if TYPE_CHECKING:
    from proxy.reports import Report
    from proxy.store import Store
    from schemas.records import Refusal


class Selection(NamedTuple):
    """What is chosen, and of what is left out a sentence each."""

    refusals: "list[Refusal]"
    left_out: list[str]


def select(
    store: "Store", names: Sequence[str], chosen: Mapping[str, str | None], *, incident: bool, again: bool
) -> Selection:
    """``chosen``: since, model, category, verdict; none of them and no names: all that another model accepted. Raises ``Failed``, StoreError."""
    from proxy.reports import reported

    named = _once(store.find(meant(name)) for name in names)
    found = named or _filtered(store, chosen)
    if incident:
        found = _once(one for of in found for one in store.incident(of.incident_id or of.id) or [of])
    before = {} if again else {one.refusal_id: one for one in reported(store, [one.id for one in found])}
    by_name = {one.id for one in named}
    if twice := [before[name] for name in by_name if name in before]:
        raise Failed(_told_before(store, twice))
    known = [one for one in found if one.id in before]
    right = [] if chosen["verdict"] else [one for one in found if _is_right(one) and one.id not in by_name]
    out = {one.id for one in (*known, *right)}
    left_out = list(_left_out(len(known), len([one for one in right if one.id not in before])))
    if len(out) == len(found):
        raise Failed(f"nothing is left to report: {'; '.join(left_out)}")
    return Selection([one for one in found if one.id not in out], left_out)


def _once(refusals: "Iterator[Refusal]") -> "list[Refusal]":
    return list({one.id: one for one in refusals}.values())


def _filtered(store: "Store", chosen: Mapping[str, str | None]) -> "list[Refusal]":
    if not any(chosen.values()):
        return _paired(store)
    since = chosen["since"]
    when = None if since is None else moment_since(since, datetime.now(UTC))
    found = store.refusals(since=when, model=chosen["model"], category=chosen["category"])
    found = [one for one in found if chosen["verdict"] in (None, one.verdict)]
    if not found:
        raise Failed("no recorded refusal matches: `demur list --all` shows what there is")
    return found


def _paired(store: "Store") -> "list[Refusal]":
    """All whose content another model accepted. Raises ``Failed``."""
    from proxy.elsewhere import pairs
    from proxy.statistics import Scope

    names = dict.fromkeys(one.id for pair in pairs(store, Scope()) for one in pair.declined)
    if not names:
        raise Failed("no content is recorded that one model declined and another accepted: `demur stats` counts them")
    return [store.find(name) for name in names]


def _is_right(refusal: "Refusal") -> bool:
    from schemas.labels import Verdict

    return refusal.verdict == Verdict.CORRECT


def _told_before(store: "Store", before: "list[Report]") -> str:
    last = max(before, key=lambda one: one.at)
    short = store.short_ids([last.refusal_id])[last.refusal_id]
    more = f" (and {len(before) - 1} more of them)" if len(before) > 1 else ""
    return f"{short} was reported on {last.at[:10]} at {last.url}{more}: --again reports it once more"


def _left_out(known: int, right: int) -> Iterator[str]:
    from proxy.cli.words import count

    if known:
        yield f"{count(known, 'refusal')} reported already {'is' if known == 1 else 'are'} left out (--again takes them in)"
    if right:
        which = "is left out (name it" if right == 1 else "are left out (name them"
        yield f"{count(right, 'refusal')} judged correct {which}, or say --verdict correct)"
