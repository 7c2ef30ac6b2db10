"""``demur show``: one refusal. What is known of it, the map of its request, and with ``--content`` the text."""

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import Failed, config_option, db_option, json_option, one_line_errors, warn

if TYPE_CHECKING:
    from proxy.store import Store
    from schemas.records import Attempt, Refusal, Segment

MARGIN = 13
"""Where the facts begin, in columns."""
_MAP = "n label path tool media bytes tokens_est hash new".split()
_UNKNOWN = "What set it off is not known: nothing here says which part of the request it was. What is long or new is a candidate, never the cause."
_TEXTLESS = "Only metadata is shown. --content shows the text; an agent that reads it may itself be declined."


@click.command()
@click.argument("name", metavar="ID")
@click.option("--content", "with_content", is_flag=True, help="Show the text of the request as well.")
@click.option("--full", is_flag=True, help="Every segment on a line of its own, and the headers that were kept.")
@json_option
@db_option
@config_option
@one_line_errors
def show(name: str, with_content: bool, full: bool, as_json: bool, db: str | None, config: str | None) -> None:
    """Show one declined request: the facts, and the map of what was sent.

    ID is the short id that `demur list` prints, any beginning that means no other, a request id (req_...), or `last`.

    \b
    Example: demur show last
             demur show req_011CX... --json | jq .segments
    """
    from proxy.cli import words
    from proxy.cli.database import reading
    from proxy.settings import load

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
        from proxy.cli.words import from_json

        for part, segment in zip(mapped, segments, strict=True):
            stored = _stored(store, segment)
            part["content"] = None if stored is None else from_json(stored)
    facts: dict[str, Any] = msgspec.to_builtins(refusal)
    return facts | {
        "segments": mapped,
        "candidates": [],
        "attempts": msgspec.to_builtins(store.attempts(refusal.id)),
        "advice": None,
        "incident": None,
        "annotations": [],
    }


def _stored(store: "Store", segment: "Segment") -> bytes | None:
    from proxy.database import StoreError

    try:
        return store.content(segment.content)
    except StoreError as error:
        warn(f"segment {segment.n}: {error}")
        return None


def _print(store: "Store", refusal: "Refusal", *, with_content: bool, full: bool) -> None:
    from proxy.cli import words

    columns = shutil.get_terminal_size((100, 24)).columns
    (short,) = store.short_ids([refusal.id]).values()
    click.echo(click.style(short, bold=True, fg="cyan") + click.style(refusal.id[len(short) :], dim=True))
    click.echo(words.wrapped(words.sentence(refusal), columns) + "\n")
    facts = [*_facts(refusal), *(_headers(refusal) if full else ())]
    for title, fact in facts:
        click.echo(click.style(f"{title:<{MARGIN}}", dim=True) + words.wrapped(fact, columns, MARGIN))
    if refusal.explanation:
        click.echo("\n" + click.style("The API's explanation, in its own words", bold=True))
        click.echo(
            "\n".join(
                words.wrapped(part, columns, 2, first=True) for part in words.text(refusal.explanation).splitlines()
            )
        )
    _print_attempts(store.attempts(refusal.id))
    _print_map(store, refusal, columns, with_content=with_content, full=full)
    click.echo("\n" + words.wrapped(_UNKNOWN, columns))
    if not with_content:
        click.echo(words.wrapped(_TEXTLESS, columns))


def _facts(refusal: "Refusal") -> Iterator[tuple[str, str]]:
    """Title and fact; what is not known is left out."""
    from proxy.cli import words

    yield "when", f"{words.moment(refusal.at)} ({words.line(refusal.at)})"
    yield "category", words.category(refusal)
    if refusal.stage or refusal.ms_to_refusal is not None:
        yield "stage", _stage(refusal)
    yield "model", words.line(refusal.model or "unknown")
    yield "outcome", words.OUTCOMES[refusal.outcome] + words.bracketed(refusal.answered_by)
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


def _tokens(of: "Refusal | Attempt") -> str:
    names = {
        "input_tokens": "in",
        "output_tokens": "out",
        "cache_read_tokens": "read from cache",
        "cache_write_tokens": "written to it",
    }
    counts = {what: getattr(of, name, None) for name, what in names.items()}
    return ", ".join(f"{n:,} {what}" for what, n in counts.items() if n is not None)


def _who(refusal: "Refusal") -> str:
    from proxy.cli import words

    client = " ".join(part for part in (refusal.client, refusal.client_version) if part) or "an unknown client"
    return f"{words.line(client)}{words.bracketed(refusal.entrypoint)}, {words.ROLES[refusal.role]}"


def _print_attempts(attempts: "list[Attempt]") -> None:
    from proxy.cli import words

    if not attempts:
        return
    click.echo("\n" + click.style("Attempts", bold=True))
    models = [words.line(attempt.model or "unknown") for attempt in attempts]
    for model, attempt in zip(models, attempts, strict=True):
        result = words.RESULTS.get(attempt.outcome, attempt.outcome.replace("_", " "))
        facts = [result + words.bracketed(attempt.category), _tokens(attempt)]
        facts.append(f"sent by {words.SENDERS.get(attempt.by, words.line(attempt.by))}")
        click.echo(f"  {words.fit(model, max(map(words.width, models)))}  {'; '.join(fact for fact in facts if fact)}")


def _print_map(store: "Store", refusal: "Refusal", columns: int, *, with_content: bool, full: bool) -> None:
    from proxy.cli import segments as tree

    segments = store.segments(refusal.id)
    if not segments:
        click.echo("\nOf the request nothing is known.")
        return
    rows = tree.rows(segments, full=full or with_content)
    click.echo("\n" + click.style("The request", bold=True) + f": {tree.total(segments)}")
    if any(segment.new is not None for segment in segments):
        new = sum(segment.new is True for segment in segments)
        click.echo(f"  {new} of them were not in the last accepted request of the session")
    for row, line in zip(rows, tree.lines(rows, columns - 2), strict=True):
        click.echo("  " + line)
        if with_content and row.leaf:
            _print_text(_stored(store, row.segments[0]))


def _print_text(stored: bytes | None) -> None:
    from proxy.cli.content import readable

    text = "(not stored)" if stored is None else readable(stored)
    for line in text.split("\n"):
        click.echo(click.style("    │ ", dim=True) + line)
