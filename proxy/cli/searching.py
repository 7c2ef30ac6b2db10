"""``demur search``: in which declined requests a word stands, and where. The text itself only with ``--content``."""

import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import (
    Misused,
    columns,
    config_option,
    db_option,
    lines_option,
    moment_since,
    one_line_errors,
    since_option,
    warn,
)
from schemas.labels import Kind, Verdict

if TYPE_CHECKING:
    from proxy.cli.table import Look, Row
    from proxy.core.query import Query
    from proxy.search import Found, Match, Wanted
    from proxy.store import Store
    from schemas.records import Refusal

DEFAULT_LIMIT = 30
IN_A_PIPE = 100
"""Columns of a sentence where no terminal says how many."""
SHOWN = 3
"""Matches of a refusal that are shown with their text; --json has all."""
PATIENCE = 1.0
"""Seconds after which indexing says how far it is."""


@click.command()
@click.argument("asked", metavar="QUERY", nargs=-1, required=True)
@since_option
@click.option("--model", metavar="M", help="Only where this model was asked for.")
@click.option("--category", metavar="C", help="Only this category, as the API said it; none: where it said none.")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Only this kind.")
@click.option("--verdict", type=click.Choice([verdict.value for verdict in Verdict]), help="Only this verdict.")
@click.option("--unjudged", is_flag=True, help="Only what nobody has judged yet.")
@click.option("--content", "with_content", is_flag=True, help="Show the text around each match as well.")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help=f"At most N.  [{DEFAULT_LIMIT}; with --json all]"
)
@lines_option
@db_option
@config_option
@one_line_errors
def search(
    asked: tuple[str, ...],
    since: str | None,
    model: str | None,
    category: str | None,
    kind: str | None,
    verdict: str | None,
    unjudged: bool,
    with_content: bool,
    limit: int | None,
    as_json: bool,
    db: str | None,
    config: str | None,
) -> None:
    """Search the stored requests, the API's explanations and your notes; newest first.

    All words must stand in one part of a request: a text, a call of a tool, its result. Case, accents and punctuation make no
    difference. Words are whole; `refus*` finds what begins so. Also: '"a phrase"', 'this OR that', 'this NOT that'. Of Chinese, Japanese,
    Korean and Thai any part of a word is found.

    The first search makes an index in the database file, later ones add what is new.

    \b
    Example: demur search centrifuge
             demur search '"working directory" NOT git' --category cyber --content
    """
    from proxy.cli.database import reading
    from proxy.core.query import QueryError, parse
    from proxy.search import Wanted
    from proxy.settings import load

    try:
        query = parse(" ".join(asked))
    except QueryError as error:
        raise Misused(str(error)) from error
    since = None if since is None else moment_since(since, datetime.now(UTC))
    wanted = Wanted(since=since, model=model, category=category, kind=kind, verdict=verdict, unjudged=unjudged)
    place = load(config, {"db": db}).db
    with reading(place) as store:
        if store:
            most = limit if as_json else limit or DEFAULT_LIMIT
            _search(store, query, wanted, most, with_content=with_content, as_json=as_json)
        elif not as_json:
            from proxy.cli.nothing import sentence

            click.echo(sentence(place))


def _search(
    store: "Store", query: "Query", wanted: "Wanted", limit: int | None, *, with_content: bool, as_json: bool
) -> None:
    from proxy.search import find

    _index(store)
    found = find(store, query, wanted)
    if as_json:
        _print_json(store, query, found, limit, with_content=with_content)
        return
    if not found.ids:
        from proxy.cli.layout import wrapped

        click.echo(wrapped(_nothing(found), columns(IN_A_PIPE)))
        return
    if with_content:
        _print_text(store, query, found, limit)
    else:
        _print(store, found, limit)
    if limit and (more := len(found.ids) - limit) > 0:
        click.secho(f"{more:,} more: --limit {len(found.ids)} shows all", dim=True)


def _index(store: "Store") -> None:
    """Where the file cannot be written, it is searched without."""
    from proxy.database import StoreError
    from proxy.search import index

    try:
        index(store, _progress() if sys.stderr.isatty() else lambda done, of: None)
    except StoreError as error:
        warn(f"warning: {error}. It is searched without an index of all, which takes longer")


def _progress() -> Callable[[int, int], None]:
    began = time.monotonic()

    def told(done: int, of: int) -> None:
        if done >= of:
            click.echo("\r\x1b[K", nl=False, err=True)
        elif time.monotonic() - began > PATIENCE:
            click.echo(f"\rMaking the index: {100 * done // of} %", nl=False, err=True)

    return told


def _nothing(found: "Found") -> str:
    from proxy.cli.words import count

    said = f"Nothing was found in {count(found.searched, 'refusal')}."
    if found.textless:
        why = ': [capture] content = "none" keeps none' if found.unkept else ""
        said += f" Of {found.textless:,} of them no text is stored{why}."
    if found.hearsay:
        said += f" Of {found.hearsay:,} of them only a transcript or the like was read, which does not hold the request as it was sent."
    return said


def _each(store: "Store", found: "Found", limit: int | None) -> "Iterator[tuple[Refusal, list[Match]]]":
    """Those that are shown; what has been removed meanwhile is not."""
    from proxy.database import StoreError
    from proxy.search import matches
    from proxy.tables import REFUSALS

    for refusal_id in found.ids[:limit]:
        for row in store.rows("select * from refusals where id = ?", [refusal_id]):
            refusal = REFUSALS.record(row)
            try:
                yield refusal, matches(store, refusal, found)
            except StoreError as error:
                warn(str(error))
                yield refusal, []


def _print_json(store: "Store", query: "Query", found: "Found", limit: int | None, *, with_content: bool) -> None:
    from proxy.cli.incidents import record
    from proxy.cli.words import as_json

    for refusal, matches in _each(store, found, limit):
        said = [_facts(store, query, refusal, match, with_content=with_content) for match in matches]
        click.echo(as_json(record(refusal) | {"matches": said}))


def _facts(store: "Store", query: "Query", refusal: "Refusal", match: "Match", *, with_content: bool) -> dict[str, Any]:
    import msgspec

    facts: dict[str, Any] = msgspec.to_builtins(match)
    del facts["content"]
    return facts | ({"excerpt": "".join(_excerpt(store, query, refusal, match))} if with_content else {})


def _print(store: "Store", found: "Found", limit: int | None) -> None:
    from proxy.cli import table

    short = store.short_ids(found.ids[:limit])
    rows = [_row(refusal, short[refusal.id], matches) for refusal, matches in _each(store, found, limit)]
    table.show(rows, _look())


def _look() -> "Look":
    from proxy.cli.table import LEAST, Look

    return Look(
        whole={"id", "time"},
        late={"where"},
        dispensable={"verdict": LEAST, "model": LEAST},
        elsewhere="`demur show ID` tells.",
        styles={"id": {"bold": True, "fg": "cyan"}, "time": {"dim": True}, "category": {"fg": "yellow"}},
    )


def _row(refusal: "Refusal", short: str, matches: "list[Match]") -> "Row":
    from proxy.cli import words

    at, year = words.local(refusal.at), datetime.now().astimezone().year
    minute = f"{at:%Y-%m-%d %H:%M}" if at else words.line(refusal.at)
    places = [_place(match) for match in matches] or ["cannot be read"]
    place = places[0] + f"  +{len(places) - 1}" * (len(places) > 1)
    return {
        "id": (short, short),
        "time": (minute, minute[5:] if at and at.year == year else minute[:10]),
        "model": (model := words.line(refusal.model or "-"), model.removeprefix("claude-")),
        "category": (category := words.category(refusal), category),
        "verdict": (verdict := words.VERDICTS[refusal.verdict], verdict),
        "where": (place, place),
    }


def _place(match: "Match") -> str:
    from proxy.cli.words import line

    if match.where != "segment":
        return match.where
    facts = [(match.label or "").replace("_", " "), match.tool, match.target, match.path, "new" * bool(match.new)]
    return line("  ".join(fact for fact in facts if fact))


def _print_text(store: "Store", query: "Query", found: "Found", limit: int | None) -> None:
    from proxy.cli import words

    short = store.short_ids(found.ids[:limit])
    for refusal, matches in _each(store, found, limit):
        facts = [words.moment(refusal.at), refusal.model or "-", words.category(refusal)]
        facts.append(f"verdict: {words.VERDICTS[refusal.verdict]}")
        name = click.style(short[refusal.id], bold=True, fg="cyan")
        click.echo(f"{name}  {words.line('  '.join(facts))}")
        for match in matches[:SHOWN]:
            before, seen, after = _excerpt(store, query, refusal, match)
            click.echo(f"  {_place(match)}")
            click.echo(click.style("    │ ", dim=True) + before + click.style(seen, bold=True, fg="yellow") + after)
        if (more := len(matches) - SHOWN) > 0:
            click.secho(f"  {words.count(more, 'more place')}: --json has all", dim=True)


def _excerpt(store: "Store", query: "Query", refusal: "Refusal", match: "Match") -> tuple[str, str, str]:
    """Before, match, and after, in one line."""
    from proxy.cli.words import text
    from proxy.core.query import excerpt

    found = excerpt(" ".join(_text(store, refusal, match).split()), query)
    return text(found.before), text(found.match), text(found.after)


def _text(store: "Store", refusal: "Refusal", match: "Match") -> str:
    from proxy.core.query import said
    from proxy.database import StoreError

    if match.where == "explanation":
        return refusal.explanation or ""
    if match.where == "note":
        sql = "select note from judgements where refusal_id = ? and at = ? and note is not null"
        return " ".join(row["note"] for row in store.rows(sql, [refusal.id, match.at]))
    try:
        return said(store.content(match.content or ""))
    except StoreError as error:
        warn(str(error))
        return ""
