"""``demur locate``: which parts of a declined request have to go for it to be accepted, found by sending it again without them."""

import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import Failed, columns, config_option, db_option, json_option, meant, one_line_errors
from proxy.cli.sending import IN_A_PIPE, MOST, upstream_option, yes_option

if TYPE_CHECKING:
    from proxy.core.location import Ask, Finding, Said, Search
    from proxy.core.reduction import Reduction
    from proxy.resend import Ended, Resender
    from proxy.store import Store
    from schemas.records import Refusal, Segment

NEVER = ("general_harms", "bio", "reasoning_extraction")
"""Categories whose boundary demur does not help to find."""
_LINES = re.compile(r"(.*):(\d+)(?:-(\d+))?")


@click.command()
@click.argument("name", metavar="ID")
@click.option("--model", metavar="MODEL", help="The model to ask.  [the one that declined]")
@click.option(
    "--max-requests", type=click.IntRange(1, MOST), default=24, show_default=True, help="No more requests than this."
)
@click.option(
    "--repeat",
    type=click.IntRange(1, 20),
    default=3,
    show_default=True,
    help="How often a decisive answer is asked for.",
)
@upstream_option
@click.option("--content", "with_content", is_flag=True, help="Show the text of what was found as well.")
@yes_option
@json_option
@db_option
@config_option
@one_line_errors
def locate(
    name: str,
    model: str | None,
    max_requests: int,
    repeat: int,
    upstream: str | None,
    with_content: bool,
    yes: bool,
    as_json: bool,
    db: str | None,
    config: str | None,
) -> None:
    """Find a smallest part of a declined request without which it is accepted, by sending it again without parts of it.

    First it is sent as it stands, then without some of its parts, what is new first, then without some lines of what was found. Each
    answer that decides is asked for several times: a classifier need not be deterministic, and where answers to one and the same request differ, that is the
    result. What is found is a candidate: a part without which it was accepted. The key is taken from ANTHROPIC_API_KEY or
    ANTHROPIC_AUTH_TOKEN and kept nowhere. What would be sent, and that it costs money, is printed before anything is.

    Not for requests that were declined as general_harms, bio or reasoning_extraction, nor for what a person judged correct.

    \b
    Example: demur locate last
             demur locate 01KB7Q3M2X4F --max-requests 40 --json
    """
    from proxy.cli import sending
    from proxy.core.verbatim import members, readdressed
    from proxy.settings import load

    name = meant(name)
    in_force = load(config, {"db": db, "upstream": upstream})
    with sending.opened(in_force, name) as (store, refusal):
        _permitted(store, refusal)
        body = sending.stored(store, refusal)
        model = (model or "").strip() or str(members(body.decode())["model"].value)
        reduction = _reduction(readdressed(body, model))
        way = sending.resender(in_force, refusal)
        segments = store.segments(refusal.id)
        early = refusal.stage == "before_output"
        plan = sending.Plan(
            short=store.short_ids([refusal.id])[refusal.id],
            host=way.host,
            models=[model],
            requests=max_requests,
            how=f"as it stands, {repeat} times at most, then without some of its {len(reduction.parts)} parts",
            tokens=sum(segment.tokens_est for segment in segments),
            answers="let go as soon as they begin"
            if early
            else "read to their end: it was declined in the middle of one",
            notes=[*sending.notes(refusal, body), *_stale(reduction)],
        )
        sending.agreed(plan, url=in_force.settings.upstream, yes=yes, as_json=as_json)
        finding = _searched(
            store,
            refusal,
            way,
            model,
            reduction,
            segments,
            limit=max_requests,
            repeat=repeat,
            early=early,
            quiet=as_json,
        )
    found = [_part(part, segments, reduction, with_content=with_content) for part in finding.parts]
    _print_json(refusal, model, finding, found) if as_json else _print(model, finding, found)
    sys.exit(0 if finding.asked else 1)


def _permitted(store: "Store", refusal: "Refusal") -> None:
    """Raises ``Failed`` for what is not to be searched."""
    from schemas.labels import Kind, Verdict

    if refusal.kind != Kind.REFUSAL:
        raise Failed(
            f"this is no refusal by the safeguards ({refusal.kind}): there is nothing to locate in its request"
        )
    if refusal.category in NEVER:
        raise Failed(f"what is declined as {refusal.category} is not searched: see `demur locate --help`")
    if refusal.verdict == Verdict.CORRECT or (refusal.asked and store.judged_correct(refusal.asked)):
        raise Failed("a person judged a refusal of this content correct: it is not searched")


def _reduction(body: bytes) -> "Reduction":
    from proxy.core.reduction import Reduction

    try:
        return Reduction(body)
    except (ValueError, RecursionError) as error:
        raise Failed(f"the request cannot be taken apart for certain: {error}") from error


def _stale(reduction: "Reduction") -> Iterator[str]:
    if any("cch=" in line for line in reduction.attribution):
        yield "Its attribution block has a checksum (cch), which stays as it is and will not fit what is sent without parts."


def _searched(
    store: "Store",
    refusal: "Refusal",
    way: "Resender",
    model: str,
    reduction: "Reduction",
    segments: "Sequence[Segment]",
    *,
    limit: int,
    repeat: int,
    early: bool,
    quiet: bool,
) -> "Finding":
    """Leads the search; each request is recorded, and what was found."""
    from proxy.cli import sending
    from proxy.core import location
    from proxy.core.stamps import stamp
    from proxy.trials import add_located
    from schemas.labels import Purpose
    from schemas.records import Located

    new = {segment.path for segment in segments if segment.new}
    sent = 0

    def answer(ask: "Ask") -> "Said":
        nonlocal sent
        at = time.time()
        ended = way.send(ask.body, early=early)
        trial = sending.trial(refusal, at, Purpose.LOCATE, model, ended, ask.left_out)
        sending.recorded(store, trial)
        sent += 1
        if not quiet:
            click.echo(f"  {sent}/{limit}  {_without(ask.left_out)}: {sending.outcome(trial)}")
        return _said(ended)

    finding = _led(location.locate(reduction, new, limit=limit, repeat=repeat), answer)
    parts, settled, why, trials = finding[:4]
    add_located(
        store,
        Located(
            refusal_id=refusal.id,
            at=stamp(time.time()),
            model=model,
            settled=settled,
            parts=parts,
            trials=trials,
            why=why,
        ),
    )
    return finding


def _led(search: "Search", answer: Any) -> "Finding":
    from proxy.core.location import InterruptedSearchError

    try:
        ask = next(search)
        while True:
            try:
                said = answer(ask)
            except KeyboardInterrupt:
                ask = search.throw(InterruptedSearchError())
            else:
                ask = search.send(said)
    except StopIteration as ended:
        finding: Finding = ended.value
        return finding


def _said(ended: "Ended") -> "Said":
    from proxy.core.location import Said
    from schemas.labels import Result

    if ended.outcome == Result.ANSWERED:
        return Said.ACCEPTED
    if ended.outcome in (Result.ERROR, Result.CUT, Result.UNREADABLE):
        return Said.REJECTED if ended.rejected else Said.FAILED
    return Said.DECLINED


def _without(left_out: Sequence[str]) -> str:
    from proxy.cli.words import line

    if not left_out:
        return "as it stands"
    return f"without {line(left_out[0])}" + (f" and {len(left_out) - 1} more" if len(left_out) > 1 else "")


def _part(part: str, segments: "Sequence[Segment]", reduction: "Reduction", *, with_content: bool) -> dict[str, Any]:
    """What is known of a part, as ``--json`` gives it."""
    found = _LINES.fullmatch(part)
    path = found[1] if found else part
    lines = [int(found[2]), int(found[3] or found[2])] if found else None
    segment = next((one for one in segments if one.path == path), None)
    known = {name: getattr(segment, name, None) for name in ("n", "label", "tool", "target")}
    text = reduction.texts(path)[lines[0] - 1 : lines[1]] if lines else reduction.texts(path)
    return {"path": path, "lines": lines, **known} | ({"content": "\n".join(text)} if with_content else {})


def _print_json(refusal: "Refusal", model: str, finding: "Finding", found: list[dict[str, Any]]) -> None:
    from proxy.cli.words import as_json

    facts = {"id": refusal.id, "model": model} | finding._asdict()
    click.echo(as_json(facts | {"parts": found}))


def _print(model: str, finding: "Finding", found: list[dict[str, Any]]) -> None:
    from proxy.cli import words
    from proxy.cli.evidence import conclusion
    from proxy.cli.layout import wrapped

    room = columns(IN_A_PIPE)
    click.echo()
    for part in found:
        click.echo(click.style(_named(part), bold=True))
        for line in part.get("content", "").split("\n") if "content" in part else ():
            click.echo(click.style("    │ ", dim=True) + words.text(line))
    if found and finding.accepted:
        these = "this part" if len(found) == 1 else f"these {len(found)} parts"
        times = f"{finding.accepted} of {finding.accepted} times"
        click.echo(wrapped(f"Without {these} it was accepted {times}.", room))
    if finding.declined:
        click.echo(wrapped(f"As it stands it was declined {finding.declined} of {finding.asked} times.", room))
    click.echo(wrapped(conclusion(finding.settled, finding.why, bool(found)), room))
    click.echo(
        wrapped(
            f"{words.count(finding.sent, 'request')} to {words.line(model)}. `demur show` has it from now on.", room
        )
    )


def _named(part: dict[str, Any]) -> str:
    """``messages[3].content[0], lines 12-14: tool_result of Read (/src/a.py)``."""
    from proxy.cli.words import bracketed, line

    lines = part["lines"]
    which = "" if lines is None else f", line {lines[0]}" if lines[0] == lines[1] else f", lines {lines[0]}-{lines[1]}"
    tool = f" of {line(part['tool'])}" if part["tool"] else ""
    return f"{line(part['path'])}{which}: {line(part['label'] or 'other')}{tool}{bracketed(part['target'])}"
