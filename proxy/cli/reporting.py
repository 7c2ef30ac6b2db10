"""``demur report``: the evidence of declined requests, scrubbed, seen by a person, and written. Nothing is sent, opened or posted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from proxy.cli.checking import check as check_text
from proxy.cli.leaving import account, answerable, consent, tell, write
from proxy.cli.marking import mark
from proxy.cli.options import (
    Failed,
    Misused,
    config_option,
    db_option,
    one_line_errors,
    since_option,
    warn,
)
from schemas.labels import Verdict

if TYPE_CHECKING:
    from proxy.core.scrub import Replaced
    from proxy.report.sources import Sources
    from proxy.settings import InForce

LEVELS = ("ids", "metadata", "excerpts")
SHAPES = ("issue", "behavior", "mail", "exhibit", "json")
_MARK = "mark"


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
@click.option("--verdict", type=click.Choice([one.value for one in Verdict]), help="Only what is called this.")
@click.option("--incident", is_flag=True, help="All refusals of the same incident too.")
@click.option("--exempt", is_flag=True, help="All that were declined despite your exemption (exemption.approved_on).")
@click.option(
    "--pairs",
    is_flag=True,
    help="Name the requests in which another model accepted the same content; alone: all refusals that have some.",
)
@click.option(
    "--keep", multiple=True, metavar="TEXT", help="Leave this as it is, though it is private; never a secret."
)
@click.option("--check", metavar="FILE", help="Look through a text of your own instead; - for stdin.")
@click.option("--remove", is_flag=True, help="With mark: take the mark back.")
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
    verdict: str | None,
    incident: bool,
    exempt: bool,
    pairs: bool,
    keep: tuple[str, ...],
    check: str | None,
    remove: bool,
    output: str | None,
    again: bool,
    yes: bool,
    db: str | None,
    config: str | None,
) -> None:
    """Write down the evidence of declined requests, so that somebody can act on it. Nothing is sent: handing it in is yours.

    Levels: ids (requests, times, models, classes), metadata (all that is known but no text of the conversation), excerpts (and the segments that you name
    with --segment). Secrets, names, addresses, paths and ids of sessions become placeholders; request ids, models, versions and times stay. You see all
    of it, and what was replaced, before it is written. Of what a filter finds, what was reported already and what a person judged correct is left out.

    `demur report mark ID... URL` notes what you reported where, so that nothing is reported twice: an http or https address, or a few words
    ("by mail"). With --remove the note is taken back.

    --check does the same for a text of your own. Without -o it only prints it. Exit codes: 0 nothing had to be replaced, 1 something was, 2 it could not
    be done, or you said no.

    \b
    Example: demur report last
             demur report --category cyber --since 2026-10-01 --as exhibit -o exhibit.txt
             demur report --check my-report.md -o clean.md
             demur report mark last https://github.com/anthropics/claude-code/issues/1
    """
    from proxy.settings import load

    chosen = {"since": since, "model": model, "category": category, "verdict": verdict}
    if check is not None:
        if names or pairs or exempt or any(chosen.values()):
            raise Misused("--check looks through a text of your own: name no refusals with it")
        check_text(check, lambda: load(config, {"db": db}), keep, output, yes=yes)
    in_force = load(config, {"db": db})
    if remove and names[:1] != (_MARK,):
        raise Misused("--remove takes a mark back: demur report mark ID... URL --remove")
    if exempt:
        chosen |= _exempted(in_force, chosen)
    if names[:1] == (_MARK,):
        mark(in_force, names[1:], shape or "", remove=remove)
    else:
        _askable(names, chosen, level, segments, pairs=pairs, yes=yes)
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


def _exempted(in_force: "InForce", chosen: dict[str, str | None]) -> dict[str, str | None]:
    """The filter for all that an exemption covers. Raises ``Misused`` where there is none, or where it would be narrowed by another one."""
    if chosen["since"] or chosen["category"]:
        raise Misused("--exempt is all of cyber since the approval: leave out --category and --since")
    if not in_force.settings.exemption.approved_on:
        raise Misused("no exemption is named in the settings: set exemption.approved_on to the day of its approval")
    return {"since": in_force.settings.exemption.approved_on, "category": "cyber"}


def _askable(
    names: Sequence[str],
    chosen: dict[str, str | None],
    level: str,
    segments: Sequence[int],
    *,
    pairs: bool,
    yes: bool,
) -> None:
    """Raises ``Misused`` for what cannot be meant."""
    if not names and not pairs and not any(chosen.values()):
        raise Misused(
            "no refusal is named: say `last`, ids that `demur list` prints, or --category, --model, --since, --verdict"
        )
    if names and any(chosen.values()):
        raise Misused("name refusals, or choose them with --category, --model, --since, --verdict: not both")
    if segments and level != "excerpts":
        raise Misused("--segment needs --level excerpts: at other levels no text of the conversation leaves")
    if level == "excerpts" and not segments:
        raise Misused(
            "--level excerpts needs --segment N, once for each that you choose: `demur show ID --full` has their numbers"
        )
    if not yes:
        answerable()


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
    from proxy.cli.nothing import nothing
    from proxy.cli.selection import select
    from proxy.report.sources import sources

    with reading(in_force.db) as store:
        if store is None:
            raise Failed(nothing(in_force.db))
        refusals, left_out = select(store, names, chosen, incident=incident, again=again)
        if segments and len(refusals) > 1:
            raise Misused("--segment is a number in one request: name one refusal")
        read = sources(store, refusals, in_force.settings, chosen=segments, with_pairs=pairs)
    text, replaced = _written(read, in_force, level, shape, keep)
    left_out = [*left_out, *_too_long(text, shape)]
    if yes:
        for sentence in left_out:
            warn(sentence)
        write(text, output)
        tell([*account(replaced), *([] if output else _channels(read, in_force))])
        return
    consent(text, [*left_out, *account(replaced), "", *_channels(read, in_force, notes=True)])
    write(text, output)


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


def _too_long(text: str, shape: str) -> list[str]:
    from proxy.report import markdown

    if shape not in ("issue", "behavior") or len(text) <= markdown.MOST:
        return []
    return [f"GitHub takes {markdown.MOST:,} characters, and this has {len(text):,}: name fewer refusals"]


def _channels(read: "Sources", in_force: "InForce", *, notes: bool = False) -> list[str]:
    """Where it may be handed in. ``notes``: with what is known of each."""
    from proxy.report.channels import channels

    classes = [(one.refusal.kind, one.refusal.category) for one in read.dossiers]
    found = channels(classes, exempt=bool(in_force.settings.exemption.approved_on))
    lines = ["Where it may be handed in (with the month in which it was last named; demur opens and posts nothing):"]
    lines += [f"  {one.name}: {one.where} ({one.seen}{', ' + one.note if notes and one.note else ''})" for one in found]
    return [*lines, "Afterwards: `demur report mark ID... URL`, so that it is not reported twice."]
