"""``demur show``: one refusal. What is known of it, the map of its request, and with ``--content`` the text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import Failed, columns, config_option, db_option, json_option, meant, one_line_errors, warn

if TYPE_CHECKING:
    from proxy.store import Store
    from schemas.records import Attempt, Refusal, Rephrasing

IN_A_PIPE = 100
"""Columns where no terminal says how many."""
MARGIN = 13
"""Where the facts begin, in columns."""
_MAP = "n label path tool media bytes tokens_est hash new".split()
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

    ID is the short id that `demur list` prints, any beginning that means no other, a request id (req_...), or `last`.

    \b
    Example: demur show last
             demur show req_011CX... --json | jq .segments
    """
    from proxy.cli import words
    from proxy.cli.database import reading
    from proxy.settings import load

    name = meant(name)
    with reading(load(config, {"db": db}).db) as store:
        if store is None:
            raise Failed("nothing is recorded yet: `demur doctor` tells whether Claude Code goes through demur")
        refusal = store.find(name)
        if as_json:
            click.echo(words.as_json(record(store, refusal, with_content=with_content)))
        else:
            _print(store, refusal, with_content=with_content, full=full)


def record(store: "Store", refusal: "Refusal", *, with_content: bool) -> dict[str, Any]:
    """All of it as builtins, as ``--json`` gives it."""
    import msgspec

    segments = store.segments(refusal.id)
    mapped: list[dict[str, Any]] = [{name: getattr(segment, name) for name in _MAP} for segment in segments]
    if with_content:
        from proxy.cli.words import count, from_json

        texts = _texts(store, refusal.id)
        for part, segment in zip(mapped, segments, strict=True):
            stored = texts.get(segment.content)
            part["content"] = None if stored is None else from_json(stored)
        if missing := sum(segment.content not in texts for segment in segments):
            warn(f"the text of {count(missing, 'segment')} of {len(segments)} is not stored: its content is null")
    facts: dict[str, Any] = msgspec.to_builtins(refusal)
    return facts | {
        "segments": mapped,
        "candidates": [],
        "attempts": msgspec.to_builtins(store.attempts(refusal.id)),
        "rephrasings": [_rephrasing(each, with_content=with_content) for each in store.rephrasings(refusal.id)],
        "advice": None,
        "incident": None,
        "annotations": [],
    }


def _rephrasing(of: "Rephrasing", *, with_content: bool) -> dict[str, Any]:
    from proxy.cli.attempts import sizes_of

    original, sent = sizes_of(of)
    facts = {"n": of.n, "strategy": of.strategy, "original_bytes": original, "sent_bytes": sent}
    return facts | ({"original": of.original, "sent": of.sent} if with_content else {})


def _texts(store: "Store", refusal_id: str) -> dict[str, bytes | None]:
    """The JSON of the segments that are stored, by key; None for what cannot be read, of which one line tells."""
    from proxy.database import StoreError

    sql = "select key from segments where key in (select content from refusal_segments where refusal_id = ?)"
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


def _print(store: "Store", refusal: "Refusal", *, with_content: bool, full: bool) -> None:
    from proxy.cli import attempts as tried
    from proxy.cli import words
    from proxy.cli.layout import wrapped

    room, attempts = columns(IN_A_PIPE), store.attempts(refusal.id)
    (short,) = store.short_ids([refusal.id]).values()
    click.echo(click.style(short, bold=True, fg="cyan") + click.style(refusal.id[len(short) :], dim=True))
    click.echo(wrapped(words.sentence(refusal), room) + "\n")
    facts = [*_facts(refusal, attempts), *(_headers(refusal) if full else ())]
    for title, fact in facts:
        click.echo(click.style(f"{title:<{MARGIN}}", dim=True) + wrapped(fact, room, MARGIN))
    if refusal.explanation:
        click.echo("\n" + click.style("The API's explanation, in its own words", bold=True))
        click.echo(
            "\n".join(wrapped(part, room, 2, first=True) for part in words.text(refusal.explanation).splitlines())
        )
    tried.show(attempts, room)
    tried.show_rephrasings(store.rephrasings(refusal.id), room, with_content=with_content)
    _print_map(store, refusal, room, with_content=with_content, full=full)
    click.echo("\n" + wrapped(_UNKNOWN, room))
    if not with_content:
        click.echo(wrapped(_TEXTLESS, room))


def _facts(refusal: "Refusal", attempts: "list[Attempt]") -> Iterator[tuple[str, str]]:
    """Title and fact; what is not known is left out."""
    from proxy.cli import attempts as tried
    from proxy.cli import words

    yield "when", f"{words.moment(refusal.at)} ({words.line(refusal.at)})"
    yield "category", words.category(refusal)
    if refusal.stage or refusal.ms_to_refusal is not None:
        yield "stage", _stage(refusal)
    yield "model", words.line(refusal.model or "unknown")
    yield "outcome", words.OUTCOMES[refusal.outcome] + words.bracketed(refusal.answered_by)
    yield from tried.facts(refusal, attempts)
    if used := _tokens(refusal):
        yield "tokens", used
    yield "asked by", _who(refusal)
    for title in ("session_id", "agent_id", "project", "user", "request_id", "message_id"):
        if value := getattr(refusal, title):
            yield title.replace("_", " "), words.line(value)
    yield "evidence", words.certainty(refusal)
    yield "seen by", words.line(", ".join(refusal.sources or [refusal.source]))
    yield "stored", words.exactness(refusal)
    yield "verdict", words.VERDICTS[refusal.verdict] + ": nobody has judged it yet" * (refusal.verdict == "unknown")
    for title, value in (("domain", refusal.domain), ("tags", ", ".join(refusal.tags))):
        if value:
            yield title, words.line(value)


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


def _tokens(of: "Refusal") -> str:
    names = {
        "input_tokens": "in",
        "output_tokens": "out",
        "cache_read_tokens": "read from cache",
        "cache_write_tokens": "written to it",
    }
    counts = {what: getattr(of, name) for name, what in names.items()}
    return ", ".join(f"{n:,} {what}" for what, n in counts.items() if n is not None)


def _who(refusal: "Refusal") -> str:
    from proxy.cli import words

    client = " ".join(part for part in (refusal.client, refusal.client_version) if part) or "an unknown client"
    return f"{words.line(client)}{words.bracketed(refusal.entrypoint)}, {words.ROLES[refusal.role]}"


def _print_map(store: "Store", refusal: "Refusal", room: int, *, with_content: bool, full: bool) -> None:
    from proxy.cli import segments as tree
    from proxy.cli.layout import wrapped

    segments = store.segments(refusal.id)
    if not segments:
        click.echo("\nOf the request nothing is known.")
        return
    rows = tree.rows(segments, full=full or with_content)
    texts = _texts(store, refusal.id) if with_content else {}
    click.echo(f"\n{click.style('The request', bold=True)}: {wrapped(tree.total(segments), room, MARGIN)}")
    if any(segment.new is not None for segment in segments):
        new = sum(segment.new is True for segment in segments)
        click.echo(f"  {new} of them were not in the last accepted request of the session")
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
