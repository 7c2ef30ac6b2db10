"""What persons say of refusals: each judgement is kept, and the last ones say what the refusal itself is called.

A judgement is all that its author says of a refusal from then on: it takes the place of what the same person said before, and of nobody
else's. Of several authors the newest has the last word, on each thing on which they say something: who says ``unknown`` and names no domain
leaves both to the others. "Last" is by the order in which they were added here, which no clock can turn round; what was said on another machine is
placed by its time.

Only the refusal that is named is judged. The history loses nothing but what is taken back with ``undo``.
"""

import sqlite3
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from proxy.core.agreement import Agreement, kappa, pairs
from proxy.database import StoreError
from proxy.store import Store
from proxy.tables import JUDGEMENTS, REFUSALS
from schemas.labels import Verdict
from schemas.records import Judgement, Refusal

_LAST = "select max(id) from judgements group by refusal_id, author"
_UNJUDGED = f"""
    with placed as (
        select id, coalesce(incident_id, id) as incident, max(verdict != 'unknown') over one as judged, max(at) over one as last,
            row_number() over (one order by verdict = 'unknown', at, id) as place
        from refusals window one as (partition by coalesce(incident_id, id))
    )
    select refusals.* from placed join refusals using (id)
    where place = 1 and judged = (:beside is not null) and (:since is null or last >= :since)
      and (:model is null or model = :model) and (:category is null or coalesce(category, 'none') = :category)
      and incident not in (
          select incident from judgements join placed on placed.id = refusal_id
          where judgements.id in ({_LAST}) and author = :beside and verdict != 'unknown'
      )
    order by at desc, id desc
"""  # noqa: S608 a constant


class Said(NamedTuple):
    """What a person says of a refusal now. What is None stays as the same person left it; but a note belongs to its moment."""

    verdict: Verdict | None = None
    domain: str | None = None
    """Empty: none any more."""
    note: str | None = None
    tags: tuple[str, ...] = ()
    """Beside those given before; an empty one drops these."""
    segment: int | None = None


class Standing(NamedTuple):
    """What a refusal is called, by what persons said of it."""

    verdict: Verdict = Verdict.UNKNOWN
    domain: str | None = None
    tags: tuple[str, ...] = ()


def judge(store: Store, judgement: Judgement) -> int:
    """Adds a judgement, and calls the refusal what persons now say of it. The judgement's id. Raises StoreError."""
    return judge_all(store, [judgement])[0]


def judge_all(store: Store, judgements: Iterable[Judgement]) -> list[int]:
    """Several, of which all are kept or none. Raises StoreError."""
    return [name for name, _ in judge_made(store, lambda: judgements)]


def judge_made(store: Store, make: Callable[[], Iterable[Judgement]]) -> list[tuple[int, Judgement]]:
    """The same with judgements that are made of what was said before, so that nobody says anything in between."""
    added = []
    with store.transaction() as connection:
        for judgement in make():
            known = connection.execute("select 1 from refusals where id = ?", [judgement.refusal_id]).fetchone()
            if known is None:
                raise StoreError(f"the refusal {judgement.refusal_id} is not stored any more: nothing was changed")
            name = connection.execute(JUDGEMENTS.insert, JUDGEMENTS.row(judgement)).lastrowid
            added.append((int(name or 0), judgement))
            _call(connection, store, judgement.refusal_id)
    return added


def merge(store: Store, refusal_id: str, said: Iterable[Judgement]) -> None:
    """Adds what was said of a refusal on another machine and is not here, each in its time: what was said later, here or there, stays the last word.

    Raises StoreError.
    """
    here = history(store, refusal_id)
    new = [one for one in said if one not in here]
    if not new:
        return
    later = "delete from judgements where refusal_id = ? and at > ? returning *"
    with store.transaction() as connection:
        names = [column[0] for column in connection.execute("select * from judgements limit 0").description]
        rows = connection.execute(later, [refusal_id, min(one.at for one in new)]).fetchall()
        moved = [JUDGEMENTS.record(dict(zip(names, row, strict=True))) for row in sorted(rows)]
        for one in sorted([*moved, *new], key=lambda one: one.at):
            connection.execute(JUDGEMENTS.insert, JUDGEMENTS.row(one))
        _call(connection, store, refusal_id)


def undo(store: Store, *ids: int) -> None:
    """Takes judgements back, all or none: their refusals are called again what the others say. Raises StoreError."""
    with store.transaction() as connection:
        for name in ids:
            gone = "delete from judgements where id = ? returning refusal_id"
            rows = connection.execute(gone, [name]).fetchall()
            if not rows:
                raise StoreError(f"there is no judgement {name}: it may have been taken back already")
            _call(connection, store, rows[0][0])


def upon(
    store: Store, refusal: Refusal, said: Said, *, author: str, at: str, incident: bool = False
) -> list[Judgement]:
    """The judgements by which an author says this of a refusal, its own first, or of all refusals of its ``incident``.

    A segment is the one in ``refusal``; in the others it is the one of the same content, or none.
    """
    found = [_after(store, refusal.id, said, author, at)]
    for other in store.incident(refusal.incident_id or refusal.id) if incident else ():
        if other.id != refusal.id:
            there = None if said.segment is None else _counterpart(store, refusal.id, said.segment, other.id)
            found.append(_after(store, other.id, said._replace(segment=there), author, at))
    return found


def history(store: Store, refusal_id: str) -> list[Judgement]:
    """All that was said of a refusal, by whomever, oldest first."""
    rows = store.rows("select * from judgements where refusal_id = ? order by id", [refusal_id])
    return [JUDGEMENTS.record(row) for row in rows]


def standing(said: Iterable[Judgement]) -> Standing:
    """What a refusal is called after all that was said of it, oldest first."""
    last: dict[str, Judgement] = {}
    for judgement in said:
        last.pop(judgement.author, None)
        last[judgement.author] = judgement
    newest = list(reversed(last.values()))
    return Standing(
        next((one.verdict for one in newest if one.verdict != Verdict.UNKNOWN), Verdict.UNKNOWN),
        next((one.domain for one in newest if one.domain), None),
        next((tuple(one.tags) for one in newest if one.tags), ()),
    )


def verdicts(store: Store, since: str | None = None) -> dict[str, dict[str, Verdict]]:
    """The last verdict of each author on each refusal: author -> refusal id -> verdict. ``unknown`` is none.

    ``since``: only refusals not older than a time as in ``at``.
    """
    sql = f"""
        select author, refusal_id, judgements.verdict from judgements join refusals on refusals.id = refusal_id
        where judgements.id in ({_LAST}) and judgements.verdict != 'unknown' and (:since is null or refusals.at >= :since)
        order by author, refusal_id
    """  # noqa: S608 a constant
    found: dict[str, dict[str, Verdict]] = {}
    for row in store.rows(sql, {"since": since}):
        found.setdefault(row["author"], {})[row["refusal_id"]] = Verdict(row["verdict"])
    return found


def agreement(store: Store, since: str | None = None) -> list[tuple[str, str, Agreement]]:
    """How far each two authors agree on what both judged, by their names; those who judged nothing in common are left out."""
    return [(one, other, kappa(both)) for (one, other), both in pairs(verdicts(store, since)).items()]


def unjudged(
    store: Store,
    *,
    since: str | None = None,
    model: str | None = None,
    category: str | None = None,
    beside: str | None = None,
) -> list[Refusal]:
    """The first refusal of each incident of which nobody has judged any, newest first. Filters as ``Store.refusals`` has them; ``since``: an incident that went on
    since then is meant whenever it began.

    ``beside``: of those instead that others have judged and this author has not: for a second opinion.
    """
    values = {"since": since, "model": model, "category": category, "beside": beside}
    return [REFUSALS.record(row) for row in store.rows(_UNJUDGED, values)]


def _after(store: Store, refusal_id: str, said: Said, author: str, at: str) -> Judgement:
    nothing = Judgement(refusal_id=refusal_id, at=at, author=author, verdict=Verdict.UNKNOWN)
    before = next((one for one in reversed(history(store, refusal_id)) if one.author == author), nothing)
    tags = [*([] if "" in said.tags else before.tags), *filter(None, said.tags)]
    return Judgement(
        refusal_id=refusal_id,
        at=at,
        author=author,
        verdict=said.verdict or before.verdict,
        domain=(before.domain if said.domain is None else said.domain) or None,
        note=said.note,
        tags=list(dict.fromkeys(tags)),
        segment=before.segment if said.segment is None else said.segment,
    )


def _counterpart(store: Store, refusal_id: str, n: int, other_id: str) -> int | None:
    guilty = {one.hash for one in store.segments(refusal_id) if one.n == n}
    return next((one.n for one in store.segments(other_id) if one.hash in guilty), None)


def _call(connection: sqlite3.Connection, store: Store, refusal_id: str) -> None:
    now = standing(history(store, refusal_id))
    tags = msgspec.json.encode(now.tags).decode()
    sql = "update refusals set verdict = ?, domain = ?, tags = ? where id = ?"
    connection.execute(sql, [now.verdict, now.domain, tags, refusal_id])
