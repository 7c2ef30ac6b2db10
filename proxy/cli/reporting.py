"""``demur report``: the evidence of declined requests, scrubbed, seen by a person, and written. Nothing is sent, opened or posted."""

import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from proxy.cli.options import (
    Failed,
    Misused,
    config_option,
    db_option,
    meant,
    moment_since,
    one_line_errors,
    since_option,
    warn,
)

if TYPE_CHECKING:
    from proxy.core.scrub import Replaced
    from proxy.report.sources import Sources
    from proxy.settings import InForce
    from proxy.store import Store
    from schemas.records import Refusal

LEVELS = ("ids", "metadata", "excerpts")
SHAPES = ("issue", "behavior", "mail", "exhibit", "json")
_MARK = "mark"
_LARGEST = 16 << 20
"""Bytes of a text to check."""


@click.command()
@click.argument("names", nargs=-1, metavar="[ID... | mark ID... URL]")
@click.option("--level", type=click.Choice(LEVELS), default="metadata", help="How much leaves.  [metadata]")
@click.option("--as", "shape", type=click.Choice(SHAPES), help="In which form.  [issue]")
@click.option(
    "--segment", "segments", type=int, multiple=True, metavar="N", help="With --level excerpts: this segment's text."
)
@since_option
@click.option("--model", metavar="M", help="All where this model was asked for.")
@click.option("--category", metavar="C", help="All of this category; none: where the API said none.")
@click.option("--incident", is_flag=True, help="All refusals of the same incident too.")
@click.option("--pairs", is_flag=True, help="Name the requests in which another model accepted the same content.")
@click.option(
    "--keep", multiple=True, metavar="TEXT", help="Leave this as it is, though it is private; never a secret."
)
@click.option("--check", metavar="FILE", help="Look through a text of your own instead; - for stdin.")
@click.option("-o", "--output", metavar="FILE", help="Write to a new file.  [stdout]")
@click.option("--again", is_flag=True, help="Also what was reported already.")
@click.option("--yes", is_flag=True, help="Do not show it and ask first.")
@db_option
@config_option
@one_line_errors
def report(
    names: tuple[str, ...],
    level: str,
    shape: str | None,
    segments: tuple[int, ...],
    since: str | None,
    model: str | None,
    category: str | None,
    incident: bool,
    pairs: bool,
    keep: tuple[str, ...],
    check: str | None,
    output: str | None,
    again: bool,
    yes: bool,
    db: str | None,
    config: str | None,
) -> None:
    """Write down the evidence of declined requests, so that somebody can act on it. Nothing is sent: handing it in is yours.

    Levels: ids (requests, times, models, classes), metadata (all that is known but no text of the conversation), excerpts (and the segments that you name
    with --segment). Secrets, names, addresses, paths and ids of sessions become placeholders; request ids, models, versions and times stay. You see all
    of it, and what was replaced, before it is written. --check does the same for a text of your own: 1 if anything would be replaced.

    `demur report mark ID... URL` notes what you reported where, so that nothing is reported twice.

    \b
    Example: demur report last
             demur report --category cyber --since 2026-10-01 --as exhibit -o exhibit.txt
             demur report --check my-report.md -o clean.md
             demur report mark last https://github.com/anthropics/claude-code/issues/1
    """
    from proxy.settings import load

    in_force = load(config, {"db": db})
    chosen = {"since": since, "model": model, "category": category}
    if check is not None:
        if names or any(chosen.values()):
            raise Misused("--check looks through a text of your own: name no refusals with it")
        _check(check, in_force, keep, output)
    elif names[:1] == (_MARK,):
        _mark(in_force, names[1:], shape or "")
    else:
        _askable(names, chosen, level, segments, yes=yes)
        _report(
            in_force,
            names,
            chosen,
            level,
            shape or "issue",
            segments,
            keep,
            output,
            incident=incident,
            pairs=pairs,
            again=again,
            yes=yes,
        )


def _askable(
    names: Sequence[str], chosen: dict[str, str | None], level: str, segments: Sequence[int], *, yes: bool
) -> None:
    """Raises ``Misused`` for what cannot be meant."""
    if not names and not any(chosen.values()):
        raise Misused("no refusal is named: say `last`, ids that `demur list` prints, or --category, --model, --since")
    if names and any(chosen.values()):
        raise Misused("name refusals, or choose them with --category, --model, --since: not both")
    if segments and level != "excerpts":
        raise Misused("--segment needs --level excerpts: at other levels no text of the conversation leaves")
    if level == "excerpts" and not segments:
        raise Misused(
            "--level excerpts needs --segment N, once for each that you choose: `demur show ID --full` has their numbers"
        )
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Misused("there is no terminal to show it on before it is written: look at it in one, or say --yes")


def _report(
    in_force: "InForce",
    names: Sequence[str],
    chosen: dict[str, str | None],
    level: str,
    shape: str,
    segments: Sequence[int],
    keep: Sequence[str],
    output: str | None,
    *,
    incident: bool,
    pairs: bool,
    again: bool,
    yes: bool,
) -> None:
    from proxy.cli.database import reading
    from proxy.report.sources import sources

    with reading(in_force.db) as store:
        if store is None:
            raise Failed("nothing is recorded yet: `demur doctor` tells whether Claude Code goes through demur")
        refusals = _found(store, names, chosen, incident=incident)
        if segments and len(refusals) > 1:
            raise Misused("--segment is a number in one request: name one refusal")
        _not_twice(store, refusals, again=again)
        read = sources(store, refusals, in_force.settings, chosen=segments, with_pairs=pairs)
    text, replaced = _written(read, in_force, level, shape, keep)
    where = [*_channels(read, in_force)]
    if not yes:
        _show(text, replaced, where)
        if not click.confirm("Write it?", default=False, err=True):
            raise Failed("nothing was written")
    _write(text, output)
    if yes:
        _tell([*_account(replaced), *where])


def _found(store: "Store", names: Sequence[str], chosen: dict[str, str | None], *, incident: bool) -> "list[Refusal]":
    if names:
        found = [store.find(meant(name)) for name in names]
    else:
        since = chosen["since"]
        when = None if since is None else moment_since(since, datetime.now(UTC))
        found = store.refusals(since=when, model=chosen["model"], category=chosen["category"])
        if not found:
            raise Failed("no recorded refusal matches: `demur list --all` shows what there is")
    if incident:
        found = [one for of in found for one in store.incident(of.incident_id or of.id) or [of]]
    return list({one.id: one for one in found}.values())


def _not_twice(store: "Store", refusals: "list[Refusal]", *, again: bool) -> None:
    from proxy.reports import reported

    before = reported(store, [one.id for one in refusals])
    if before and not again:
        last = before[-1]
        short = store.short_ids([last.refusal_id])[last.refusal_id]
        more = f" (and {len(before) - 1} more)" if len(before) > 1 else ""
        raise Failed(f"{short} was reported on {last.at[:10]} at {last.url}{more}: --again reports it once more")


def _written(
    read: "Sources", in_force: "InForce", level: str, shape: str, keep: Sequence[str]
) -> "tuple[str, list[Replaced]]":
    """The text as it would be written: what a terminal would obey is escaped in it, so that what is seen is what leaves."""
    import json

    from proxy.cli import words
    from proxy.report import UnsafeError, written
    from proxy.report.pack import Level
    from proxy.report.personal import known, machine

    try:
        made = written(
            read, in_force.settings, level=Level(level), shape=shape, known=known(), machine=machine(), keep=keep
        )
    except UnsafeError as error:
        raise Failed(str(error)) from error
    if shape == "json":
        return words.as_json(json.loads(made.text), indent=2) + "\n", made.replaced
    return words.text(made.text), made.replaced


def _channels(read: "Sources", in_force: "InForce") -> list[str]:
    from proxy.report.channels import channels

    classes = [(one.refusal.kind, one.refusal.category) for one in read.dossiers]
    found = channels(classes, exempt=bool(in_force.settings.exemption.approved_on))
    lines = [
        "Where it may be handed in (data with the month in which it was last named; demur opens and posts nothing):"
    ]
    lines += [f"  {one.name}: {one.where} ({one.seen}{', ' + one.note if one.note else ''})" for one in found]
    return [*lines, "Afterwards: `demur report mark ID... URL`, so that it is not reported twice."]


def _account(replaced: "list[Replaced]") -> list[str]:
    from proxy.cli.words import count

    if not replaced:
        return ["Nothing had to be replaced."]
    head = f"Replaced ({count(len(replaced), 'placeholder')}):"
    return [
        head,
        *(f"  {one.placeholder}  {one.why}{f', {one.times} times' if one.times > 1 else ''}" for one in replaced),
    ]


def _show(text: str, replaced: "list[Replaced]", where: list[str]) -> None:
    """Every byte of it, and what is not in it any more. In a pager where stdout is a terminal."""
    account = "\n".join(["", "-" * 72, *_account(replaced), "", *where, ""])
    if sys.stdout.isatty():
        click.echo_via_pager(text + account)
    else:
        click.echo(text + account, err=True)


def _tell(lines: list[str]) -> None:
    for line in lines:
        click.echo(line, err=True)


def _write(text: str, output: str | None) -> None:
    """To stdout, or to a new file that only its owner can read. Raises ``Failed``."""
    if output is None or output == "-":
        click.echo(text, nl=False)
        return
    try:
        file = os.open(Path(output).expanduser(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Failed(f"{output} is there already: name a new file with -o") from error
    except OSError as error:
        raise Failed(f"cannot write {output}: {error.strerror}") from error
    with os.fdopen(file, "w", encoding="utf-8", newline="") as stream:
        stream.write(text)


def _check(name: str, in_force: "InForce", keep: Sequence[str], output: str | None) -> NoReturn:
    """Ends the command: 1 where anything would be replaced, else 0."""
    from proxy.cli import words
    from proxy.core.reading import IDS
    from proxy.core.scrub import Scrubber
    from proxy.report import UnsafeError, look
    from proxy.report.personal import known

    given = _text(name)
    scrubber = Scrubber(known(), in_force.settings.redact.deny, keep)
    clean = scrubber.text(given)
    try:
        look(clean, scrubber, [match[0] for match in IDS.finditer(given)])
    except UnsafeError as error:
        raise Failed(str(error)) from error
    if output is None:
        click.echo(words.text(clean), nl=not clean.endswith("\n"))
    else:
        _write(clean, output)
    _tell(_account(scrubber.replaced))
    sys.exit(1 if scrubber.replaced else 0)


def _text(name: str) -> str:
    try:
        if name == "-":
            content = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with Path(name).expanduser().open("rb") as file:
                content = file.read(_LARGEST + 1)
    except OSError as error:
        raise Failed(f"cannot read {name}: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise Failed(f"{name} has more than {_LARGEST >> 20} MiB: check a smaller text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Failed(f"{name} is not UTF-8 text: nothing of it can be vouched for") from error


def _mark(in_force: "InForce", given: Sequence[str], shape: str) -> None:
    from proxy.cli.database import reading
    from proxy.cli.words import count, without_secrets
    from proxy.core.stamps import stamp
    from proxy.reports import Report, mark

    if len(given) < 2:
        raise Misused("say what was reported where: demur report mark ID... URL")
    *names, url = given
    if not url.strip():
        raise Misused("an empty URL says nothing: say where it was reported")
    place = without_secrets(url.strip())
    with reading(in_force.db) as store:
        if store is None:
            raise Failed("nothing is recorded yet: there is nothing to mark")
        refusals = list({one.id: one for one in (store.find(meant(name)) for name in names)}.values())
        mark(store, [Report(refusal_id=one.id, at=stamp(time.time()), url=place, shape=shape) for one in refusals])
    warn(f"{count(len(refusals), 'refusal')} marked as reported at {place}")
