"""``demur locate``: which parts of a declined request have to go for it to be accepted, found by sending it again without them."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import Failed, columns, config_option, db_option, json_option, meant, one_line_errors
from proxy.cli.sending import IN_A_PIPE, MOST, upstream_option, yes_option

if TYPE_CHECKING:
    from proxy.cli.sending import Sending
    from proxy.core.location import Ask, Finding, Said, Search
    from proxy.core.reduction import Reduction
    from proxy.resend import Ended
    from proxy.store import Store
    from schemas.records import Refusal, Trial

_LET_GO = "let go as soon as a text or a call has begun: then it was not declined before output, and no more is known"


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
    ANTHROPIC_AUTH_TOKEN and kept nowhere. What would be sent, and that it costs money, is printed before anything is. Nothing waits for a rate
    limit: it ends the search, and after three other failures in a row no more is sent either.

    Not for requests that were declined as general_harms, bio or reasoning_extraction, nor for what a person judged correct. An answer that names such
    a category ends the search, with nothing found.

    \b
    Example: demur locate last
             demur locate 01KB7Q3M2X4F --max-requests 40 --json
    """
    from proxy.cli import evidence, sending
    from proxy.core import location
    from proxy.core.verbatim import members, readdressed
    from proxy.settings import load
    from schemas.labels import Purpose

    name = meant(name)
    in_force = load(config, {"db": db, "upstream": upstream})
    with sending.opened(in_force, name) as (store, refusal):
        _permitted(store, refusal)
        body = sending.stored(store, refusal)
        asked = members(body.decode())
        model = (model or "").strip() or str(asked["model"].value)
        reduction = _reduction(readdressed(body, model))
        way = sending.resender(in_force, refusal)
        segments = store.segments(refusal.id)
        streamed = "stream" in asked and asked["stream"].value is True
        early = refusal.stage == "before_output" and streamed
        plan = sending.Plan(
            short=store.short_ids([refusal.id])[refusal.id],
            host=way.host,
            models=[model],
            requests=max_requests,
            how=f"as it stands, {repeat} times at most, then without some of its {len(reduction.parts)} parts",
            tokens=sum(segment.tokens_est for segment in segments),
            answers=_LET_GO if early else "read to their end, as long as the request allows (max_tokens)",
            notes=[*sending.notes(refusal, body), *_changed(reduction)],
        )
        sending.agreed(plan, url=in_force.settings.upstream, yes=yes, as_json=as_json)
        new = {segment.path for segment in segments if segment.new}
        search = location.locate(reduction, new, limit=max_requests, repeat=repeat, begun=early)
        sender = sending.Sending(store, refusal, way, Purpose.LOCATE)
        finding = _led(search, _answering(sender, model, max_requests, early=early, quiet=as_json))
        counted = list(evidence.counted(finding, [trial for trial in sender.trials if _is_unanswered(trial)]))
        _keep(store, refusal, model, finding, counted)
    found = [evidence.part(part, segments, reduction, with_content=with_content) for part in finding.parts]
    _print_json(refusal, model, finding, found, counted) if as_json else _print(model, finding, found, counted)
    sys.exit(0 if finding.asked else 1)


def _permitted(store: "Store", refusal: "Refusal") -> None:
    """Raises ``Failed`` for what is not to be searched."""
    from proxy.cli import sending
    from proxy.core.location import NEVER
    from proxy.trials import categories
    from schemas.labels import Kind

    if refusal.kind != Kind.REFUSAL:
        raise Failed(
            f"this is no refusal by the safeguards ({refusal.kind}): there is nothing to locate in its request"
        )
    named = categories(store, refusal)
    if barred := next((category for category in NEVER if category in named), None):
        raise Failed(f"what is declined as {barred} is not searched{_elsewhere(refusal, barred)}")
    if sending.judged_correct(store, refusal):
        raise Failed("a person judged a refusal of this content correct: it is not searched")


def _elsewhere(refusal: "Refusal", category: str) -> str:
    if refusal.category == category:
        return ": see `demur locate --help`"
    return ", and this content was: by another model, another time, or in another refusal of the incident"


def _reduction(body: bytes) -> "Reduction":
    from proxy.core.reduction import Reduction

    try:
        return Reduction(body)
    except (ValueError, RecursionError) as error:
        raise Failed(f"the request cannot be taken apart for certain: {error}") from error


def _changed(reduction: "Reduction") -> Iterator[str]:
    """What else is changed in a request without parts."""
    from proxy.cli.words import count

    if reduction.thinking:
        blocks = count(len(reduction.thinking), "block")
        yield f"All its thinking ({blocks}) is left out of every request that anything is left out of: it is bound to all that stood before it."
    if any("cch=" in line for line in reduction.attribution):
        yield "Its attribution block has a checksum (cch), which stays as it is and will not fit what is sent without parts."


def _answering(sender: "Sending", model: str, limit: int, *, early: bool, quiet: bool) -> "Callable[[Ask], Said]":
    """What sends a request, records it and tells of it."""
    from proxy.cli import sending

    def answer(ask: "Ask") -> "Said":
        ended = sender.send(ask.body, model, ask.left_out, early=early)
        if not quiet:
            told = f"{_without(ask.left_out)}: {sending.outcome(sender.trials[-1])}"
            click.echo(f"  {len(sender.trials)}/{limit}  {told}")
        return _said(ended)

    return answer


def _keep(store: "Store", refusal: "Refusal", model: str, finding: "Finding", counted: Sequence[str]) -> None:
    from proxy.core.stamps import stamp
    from proxy.trials import add_located
    from schemas.records import Located

    why = "; ".join([*counted, *([finding.why] if finding.why else [])])
    add_located(
        store,
        Located(
            refusal_id=refusal.id,
            at=stamp(time.time()),
            model=model,
            settled=finding.settled,
            parts=finding.parts,
            trials=finding.sent,
            why=why or None,
        ),
    )


def _led(search: "Search", answer: "Callable[[Ask], Said]") -> "Finding":
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
    from proxy.core.location import NEVER, Said
    from schemas.labels import Result

    if ended.category in NEVER:
        return Said.BARRED
    if ended.outcome == Result.ANSWERED:
        return Said.ACCEPTED
    if ended.outcome in (Result.ERROR, Result.CUT, Result.UNREADABLE):
        return Said.CLOSED if ended.closed else Said.REJECTED if ended.rejected else Said.FAILED
    return Said.DECLINED


def _is_unanswered(trial: "Trial") -> bool:
    from schemas.labels import Result

    return trial.outcome in (Result.ERROR, Result.CUT, Result.UNREADABLE)


def _without(left_out: Sequence[str]) -> str:
    from proxy.cli.words import line

    if not left_out:
        return "as it stands"
    return f"without {line(left_out[0])}" + (f" and {len(left_out) - 1} more" if len(left_out) > 1 else "")


def _print_json(
    refusal: "Refusal", model: str, finding: "Finding", found: list[dict[str, Any]], counted: Sequence[str]
) -> None:
    from proxy.cli.words import as_json

    facts = {"id": refusal.id, "model": model} | finding._asdict()
    click.echo(as_json(facts | {"parts": found, "counted": counted}))


def _print(model: str, finding: "Finding", found: list[dict[str, Any]], counted: Sequence[str]) -> None:
    from proxy.cli import words
    from proxy.cli.evidence import conclusion, heading
    from proxy.cli.layout import wrapped

    room = columns(IN_A_PIPE)
    click.echo()
    for part in found:
        click.echo(click.style(heading(part), bold=True))
        for line in part.get("content", "").split("\n") if "content" in part else ():
            click.echo(click.style("    │ ", dim=True) + words.text(line))
    for said in counted:
        click.echo(wrapped(f"{said[0].upper()}{said[1:]}.", room))
    click.echo(wrapped(conclusion(finding.settled, finding.why, bool(found)), room))
    told = f"{words.count(finding.sent, 'request')} to {words.line(model)}. `demur show` has it from now on."
    click.echo(wrapped(told, room))
