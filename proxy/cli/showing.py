"""``demur show``: one refusal. What is known of it, the map of its request, and with ``--content`` the text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import Failed, columns, config_option, db_option, json_option, meant, one_line_errors, warn

if TYPE_CHECKING:
    from proxy.dossier import Dossier
    from proxy.store import Store
    from schemas.records import Refusal, Rephrasing

IN_A_PIPE = 100
"""Columns where no terminal says how many."""
MARGIN = 13
"""Where the facts begin, in columns."""
_MAP = "n label path tool media bytes tokens_est hash new target pages".split()
_UNKNOWN = "What set it off is not known: nothing here says which part of the request it was. What is long or new is a candidate, never the cause."
_TEXTLESS = "Only metadata is shown. --content shows the text; an agent that reads it may itself be declined."


@click.command()
@click.argument("name", metavar="ID")
@click.option(
    "--content", "with_content", is_flag=True, help="Show the text of the request as well, and of what was rephrased."
)
@click.option("--full", is_flag=True, help="Every segment on a line of its own, and the headers that were kept.")
@json_option
@db_option
@config_option
@one_line_errors
def show(name: str, with_content: bool, full: bool, as_json: bool, db: str | None, config: str | None) -> None:
    """Show one declined request: the facts, what was tried, and the map of what was sent.

    ID is the short id that `demur list` prints, any beginning that means no other, a request id (req_...), or `last`: the newest refusal,
    which the list may have in the line of its incident, under the id of the first.

    \b
    Example: demur show last
             demur show req_011CX... --json | jq .segments
    """
    from proxy.cli import words
    from proxy.cli.database import reading
    from proxy.cli.nothing import nothing
    from proxy.dossier import dossier
    from proxy.settings import load

    name, in_force = meant(name), load(config, {"db": db})
    with reading(in_force.db) as store:
        if store is None:
            raise Failed(nothing(in_force.db))
        found = dossier(store, store.find(name), in_force.settings)
        if as_json:
            click.echo(words.as_json(record(store, found, with_content=with_content)))
        else:
            _print(store, found, with_content=with_content, full=full)


def record(store: "Store", found: "Dossier", *, with_content: bool) -> dict[str, Any]:
    """All of it as builtins, as ``--json`` gives it."""
    import msgspec

    from proxy.cli.annotations import without_words

    mapped = _mapped(store, found, with_content=with_content)
    by_place = {part["n"]: part for part in mapped}
    facts: dict[str, Any] = msgspec.to_builtins(found.refusal)
    return facts | {
        "segments": mapped,
        "candidates": [by_place[one.n] for one in found.candidates],
        "since_turn": found.since_turn,
        "attempts": msgspec.to_builtins(found.attempts),
        "rephrasings": [_rephrasing(each, with_content=with_content) for each in found.rephrasings],
        "advice": found.advice,
        "incident": _incident(found.incident),
        "annotations": msgspec.to_builtins(found.annotations if with_content else without_words(found.annotations)),
        "judgements": msgspec.to_builtins(found.judgements),
        "trials": msgspec.to_builtins(found.trials),
        "located": msgspec.to_builtins(found.located),
        "cost": msgspec.to_builtins(found.cost),
        "burst": msgspec.to_builtins(found.burst) | {"unusual": found.burst.unusual},
        "despite_exemption": found.despite_exemption,
        "links": [one._asdict() for one in found.links],
        "reports": msgspec.to_builtins(found.reports),
    }


def _mapped(store: "Store", found: "Dossier", *, with_content: bool) -> list[dict[str, Any]]:
    mapped: list[dict[str, Any]] = [{name: getattr(segment, name) for name in _MAP} for segment in found.segments]
    if with_content:
        from proxy.cli.words import count, from_json

        texts = _texts(store, found.refusal.id)
        for part, segment in zip(mapped, found.segments, strict=True):
            stored = texts.get(segment.content)
            part["content"] = None if stored is None else from_json(stored)
        if missing := sum(segment.content not in texts for segment in found.segments):
            warn(f"the text of {count(missing, 'segment')} of {len(mapped)} is not stored: its content is null")
    return mapped


def _incident(refusals: "list[Refusal]") -> dict[str, Any]:
    from proxy.cli.incidents import Incident

    first = refusals[0]
    return {"id": first.incident_id or first.id, "fingerprint": first.fingerprint, **Incident(refusals).facts}


def _rephrasing(of: "Rephrasing", *, with_content: bool) -> dict[str, Any]:
    from proxy.cli.attempts import sizes_of

    original, sent = sizes_of(of)
    facts = {"n": of.n, "strategy": of.strategy, "original_bytes": original, "sent_bytes": sent}
    return facts | ({"original": of.original, "sent": of.sent} if with_content else {})


def _texts(store: "Store", refusal_id: str) -> dict[str, bytes | None]:
    """The JSON of the segments that are stored, by key; None for what cannot be read, of which one line tells."""
    from proxy.database import StoreError

    sql = """
        select key from segments where id in (
            select segment_id from chunk_segments join maps using (chunk_id) where refusal_id = ?)
    """
    texts: dict[str, bytes | None] = {}
    faults = set()
    for row in store.rows(sql, [refusal_id]):
        try:
            texts[row["key"]] = store.content(row["key"])
        except StoreError as error:
            texts[row["key"]] = None
            faults.add(str(error))
    for fault in sorted(faults):
        warn(fault)
    return texts


def _print(store: "Store", found: "Dossier", *, with_content: bool, full: bool) -> None:
    from proxy.cli import attempts as tried
    from proxy.cli import candidates, course, evidence, judgement, words
    from proxy.cli.annotations import advice_lines, link_lines
    from proxy.cli.layout import wrapped

    room, refusal = columns(IN_A_PIPE), found.refusal
    (short,) = store.short_ids([refusal.id]).values()
    click.echo(click.style(short, bold=True, fg="cyan") + click.style(refusal.id[len(short) :], dim=True))
    click.echo(wrapped(course.sentence(refusal, found.attempts), room) + "\n")
    facts = [*_facts(store, found, with_content=with_content), *(_headers(refusal) if full else ())]
    for title, fact in facts:
        click.echo(click.style(f"{title:<{MARGIN}}", dim=True) + wrapped(fact, room, MARGIN))
    if refusal.explanation:
        click.echo("\n" + click.style("The API's explanation, in its own words", bold=True))
        click.echo(
            "\n".join(wrapped(part, room, 2, first=True) for part in words.text(refusal.explanation).splitlines())
        )
    candidates.show(found.candidates, room, full=full)
    _section("What you can do", advice_lines(found.advice, room))
    tried.show(found.attempts, room)
    tried.show_rephrasings(found.rephrasings, room, with_content=with_content)
    _section("Judged", list(judgement.lines(found.judgements, room)))
    _section("Sent again", evidence.lines(found.trials, found.located, room))
    if full:
        _section("To read", link_lines(found.links, room))
    _print_map(store, found, room, with_content=with_content, full=full)
    click.echo("\n" + wrapped(_UNKNOWN, room))
    if not with_content:
        click.echo(wrapped(_TEXTLESS, room))


def _section(title: str, lines: list[str]) -> None:
    if lines:
        click.echo("\n" + click.style(title, bold=True))
        click.echo("\n".join(lines))


def _facts(store: "Store", found: "Dossier", *, with_content: bool) -> Iterator[tuple[str, str]]:
    """Title and fact; what is not known is left out."""
    from proxy.cli import annotations, candidates, course, hearsay, words
    from proxy.cli import attempts as tried

    refusal = found.refusal
    yield "when", f"{words.moment(refusal.at)} ({words.line(refusal.at)})"
    yield "category", words.category(refusal) + (f": {found.about}" if found.about else "")
    if refusal.stage or refusal.ms_to_refusal is not None:
        yield "stage", _stage(refusal)
    yield "model", words.line(refusal.model or "unknown")
    if called := course.tool_calls(refusal, found.attempts):
        yield "tools", called
    yield "outcome", course.ended(refusal, found.attempts)
    yield from tried.facts(refusal, found.attempts)
    if found.pin and found.pin.refusal_id == refusal.id:
        yield "stays", course.stays(found.pin)
    if used := annotations.cost_sentence(found.cost):
        yield "cost", used
    if told := _incident_sentence(store, found):
        yield "incident", told
    if compared := candidates.sentence(refusal):
        yield "compared", compared
    yield "asked by", _who(refusal)
    for title in ("session_id", "agent_id", "project", "branch", "user", "request_id", "message_id"):
        if value := getattr(refusal, title):
            yield title.replace("_", " "), words.line(value)
    yield "evidence", words.certainty(refusal)
    yield "seen by", words.line(", ".join(refusal.sources or [refusal.source]))
    yield "stored", hearsay.stored(refusal, mapped=bool(found.segments))
    yield "verdict", words.VERDICTS[refusal.verdict] + ": nobody has judged it yet" * (refusal.verdict == "unknown")
    for one in found.reports:
        yield "reported", f"{words.moment(one.at)} at {words.line(one.url)}{words.bracketed(one.shape)}"
    for title, value in (("domain", refusal.domain), ("tags", ", ".join(refusal.tags))):
        if value:
            yield title, words.line(value)
    yield from annotations.facts(found.annotations if with_content else annotations.without_words(found.annotations))
    if found.despite_exemption:
        yield "exemption", "declined despite the approval that your settings name (exemption.approved_on)"
    if found.burst.unusual:
        yield "burst", _burst(found)


def _burst(found: "Dossier") -> str:
    from proxy.cli.words import category

    one = found.burst
    return (
        f"{one.count} incidents of {category(found.refusal)} within this hour, where {one.expected:.2g} were to be expected from the past"
        f" (chance {one.probability:.1g})"
    )


def _headers(refusal: "Refusal") -> Iterator[tuple[str, str]]:
    from proxy.cli.words import line

    if refusal.fingerprint:
        yield "fingerprint", line(refusal.fingerprint)
    for n, (name, value) in enumerate(sorted(refusal.headers.items())):
        yield "" if n else "headers", line(f"{name}: {value}")


def _stage(refusal: "Refusal") -> str:
    from proxy.cli import words

    facts = [words.STAGES[refusal.stage]] if refusal.stage else []
    if refusal.ms_to_refusal is not None:
        facts.append(f"{refusal.ms_to_refusal:,} ms after the request came")
    if refusal.status:
        facts.append(f"HTTP {refusal.status}" + ", streamed" * bool(refusal.streamed))
    return ", ".join(facts)


def _incident_sentence(store: "Store", found: "Dossier") -> str | None:
    """Which of how many refusals of its incident it is; None where it is the only one."""
    from proxy.cli.words import moment

    ids = [one.id for one in found.incident]
    if len(ids) == 1:
        return None
    short = store.short_ids(ids[:1])[ids[0]]
    return f"{ids.index(found.refusal.id) + 1} of {len(ids)} refusals, since {moment(found.incident[0].at)} ({short})"


def _who(refusal: "Refusal") -> str:
    from proxy.cli import words

    client = " ".join(part for part in (refusal.client, refusal.client_version) if part) or "an unknown client"
    return f"{words.line(client)}{words.bracketed(refusal.entrypoint)}, {words.ROLES[refusal.role]}"


def _print_map(store: "Store", found: "Dossier", room: int, *, with_content: bool, full: bool) -> None:
    from proxy.cli import segments as tree
    from proxy.cli.layout import wrapped
    from proxy.core.facts import hearsay

    segments, told = found.segments, hearsay(found.refusal.sources)
    if not segments:
        click.echo("\nOf the request nothing is known.")
        return
    rows = tree.rows(segments, full=full or with_content)
    texts = _texts(store, found.refusal.id) if with_content else {}
    title = f"Known from {told}" if told else "The request"
    heading = wrapped(f"{title}: {tree.total(segments, whole=not told)}", room, MARGIN)
    click.echo("\n" + heading.replace(title, click.style(title, bold=True), 1))
    click.secho("  at the left the number of a segment, as --segment takes it", dim=True)
    if any(segment.new is False for segment in segments):
        new = sum(segment.new is True for segment in segments)
        was = "was" if new == 1 else "were"
        click.echo(f"  {new} of them {was} not in the last accepted request of the session")
    for row, line in zip(rows, tree.lines(rows, room - 2), strict=True):
        click.echo("  " + line)
        if with_content and row.leaf:
            _print_text(row.segments[0].content, texts)


def _print_text(key: str, texts: dict[str, bytes | None]) -> None:
    from proxy.cli.content import readable

    stored = texts.get(key)
    text = readable(stored) if stored is not None else "(cannot be read)" if key in texts else "(not stored)"
    for line in text.split("\n"):
        click.echo(click.style("    │ ", dim=True) + line)
