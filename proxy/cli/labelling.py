"""``demur label``: what a person says of refusals. What was said before is kept; see ``proxy.judgements``."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from proxy.cli import judgement
from proxy.cli.options import (
    Failed,
    Misused,
    config_option,
    db_option,
    lines_option,
    meant,
    one_line_errors,
    warn,
)
from schemas.labels import Verdict

if TYPE_CHECKING:
    from proxy.judgements import Said, Standing
    from proxy.store import Store
    from schemas.records import Judgement, Refusal

author_option = click.option(
    "--author", metavar="A", help="Who judges.  [DEMUR_AUTHOR, or the name of this machine's account]"
)


@click.command()
@click.argument("names", nargs=-1, metavar="ID...")
@click.option(
    "--verdict",
    metavar="V",
    help=f"One of {', '.join(Verdict)}. Left out, the last verdict of the same author stays.",
)
@click.option(
    "--domain", metavar="D", help=f"The field of work: {judgement.DOMAINS}; or a word of your own; or '' for none."
)
@click.option("--note", metavar="T", help="A note; secrets are taken out of it.")
@click.option("--tag", "tags", metavar="T", multiple=True, help="A tag, beside those given before; '' drops these.")
@click.option("--segment", metavar="N", help="The segment that you believe guilty, by its number in `demur show`.")
@author_option
@click.option("--incident", is_flag=True, help="Judge all refusals of the same incident too.")
@lines_option
@db_option
@config_option
@one_line_errors
def label(
    names: tuple[str, ...],
    verdict: str | None,
    domain: str | None,
    note: str | None,
    tags: tuple[str, ...],
    segment: str | None,
    author: str | None,
    incident: bool,
    as_json: bool,
    db: str | None,
    config: str | None,
) -> None:
    """Say of declined requests whether declining was right, what they were about, and what you believe set it off.

    ID is as `demur show` takes it. Nothing that was said before is lost: of several authors the newest counts. Of several IDs all are judged, or
    with one that is wrong none.

    \b
    Example: demur label last --verdict false_positive --domain security
             demur label 01JD0000 01JD0001 --verdict correct --note "as it should be"
             demur label last --incident --tag ctf --segment 14
    """
    from proxy.cli.database import reading
    from proxy.cli.nothing import nothing
    from proxy.settings import load

    if not names:
        raise Misused("no refusal is named: say `last`, or the ids that `demur list` prints")
    if verdict is domain is note is segment is None and not tags:
        raise Misused("nothing is said of it: give --verdict, --domain, --note, --tag or --segment")
    in_force = load(config, {"db": db})
    pen = judgement.Pen(in_force.settings)
    said, odd = _said(pen, verdict, domain, note, tags)
    by = judgement.author(author, pen)
    with reading(in_force.db) as store:
        if store is None:
            raise Failed(nothing(in_force.db))
        chosen = _chosen(store, names)
        _keep(store, partial(_judgements, store, chosen, said, segment, by, incident=incident), as_json=as_json)
    for sentence in (odd, pen.told()):
        if sentence:
            warn(sentence)


def _said(
    pen: judgement.Pen, verdict: str | None, domain: str | None, note: str | None, tags: tuple[str, ...]
) -> "tuple[Said, str | None]":
    """What was said, but for the segment; and a sentence where the domain is an odd one."""
    from proxy.judgements import Said

    if note is not None and not note.strip():
        raise Misused("an empty --note says nothing: leave it out")
    field, odd = (None, None) if domain is None else judgement.domain(pen.write(domain))
    said = Said(
        verdict=None if verdict is None else judgement.verdict(verdict),
        domain=field,
        note=None if note is None else pen.write(note),
        tags=tuple(pen.write(tag) for tag in tags),
    )
    return said, odd


def _chosen(store: "Store", names: Sequence[str]) -> "list[Refusal]":
    found = [store.find(meant(name)) for name in names]
    return list({refusal.id: refusal for refusal in found}.values())


def _judgements(
    store: "Store",
    chosen: "list[Refusal]",
    said: "Said",
    segment: str | None,
    author: str,
    *,
    incident: bool,
) -> "list[Judgement]":
    """One for each refusal. Of a refusal that is named, what is said of it goes before what is said of its incident."""
    from proxy.core.stamps import stamp
    from proxy.judgements import upon

    at, made = stamp(time.time()), dict[str, "Judgement"]()
    for refusal in chosen:
        here = said if segment is None else said._replace(segment=judgement.segment(store, refusal, segment))
        own, *others = upon(store, refusal, here, author=author, at=at, incident=incident)
        made |= {own.refusal_id: own} | {one.refusal_id: one for one in others if one.refusal_id not in made}
    return list(made.values())


def _keep(store: "Store", make: "Callable[[], list[Judgement]]", *, as_json: bool) -> None:
    from proxy.judgements import history, judge_made, standing

    before: list[Standing] = []

    def made() -> "list[Judgement]":
        judgements = make()
        before.extend(standing(history(store, one.refusal_id)) for one in judgements)
        return judgements

    kept = judge_made(store, made)
    named = _named(store, [one.refusal_id for _, one in kept])
    for (name, one), was in zip(kept, before, strict=True):
        now = standing(history(store, one.refusal_id))
        click.echo(_json(name, one, was, now) if as_json else _line(named[one.refusal_id], one, was, now))


def _named(store: "Store", ids: list[str]) -> dict[str, str]:
    """Their short ids, and where it is another, the one of the row in ``demur list``: ``01JD0002 (in the list as 01JD0001)``."""
    import msgspec

    sql = """
        select one.id, (
            select id from refusals where incident_id = one.incident_id order by at, id limit 1) as first
        from refusals as one where id in (select value from json_each(?))
    """
    rows = store.rows(sql, [msgspec.json.encode(ids).decode()])
    listed = {row["id"]: row["first"] or row["id"] for row in rows}
    short = store.short_ids({*listed, *listed.values()})
    return {
        one: short[one] + (f" (in the list as {short[first]})" if first != one else "") for one, first in listed.items()
    }


def _line(named: str, said: "Judgement", was: "Standing", now: "Standing") -> str:
    kept = [f"segment {said.segment}"] if said.segment is not None else []
    kept += ["with a note"] if said.note else []
    more = f"; {', '.join(kept)}" if kept else ""
    return f"{named}: was {judgement.called(was)}; is {judgement.called(now)}{more}"


def _json(name: int, said: "Judgement", was: "Standing", now: "Standing") -> str:
    import msgspec

    from proxy.cli.words import as_json

    record: dict[str, Any] = {"id": said.refusal_id, "judgement": name} | msgspec.to_builtins(said)
    del record["refusal_id"]
    return as_json(record | {"was": was._asdict(), "is": now._asdict()})
