"""What was tried after a refusal, as ``demur show`` tells it: which rule decided, every attempt, and what a rephrased one changed."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import click

from proxy.cli import words
from proxy.cli.layout import fit, folded, width, wrapped
from proxy.core import tries
from proxy.core.policy import vendor
from schemas.labels import REPHRASED, Result, Ruling
from schemas.records import Attempt, Refusal, Rephrasing

_TOLD = {Result.ANSWERED, Result.REFUSED}
"""Results whose HTTP status says nothing more."""
_LEAST = 20
"""Columns of each of two texts side by side, at least."""


def facts(refusal: Refusal, attempts: list[Attempt]) -> Iterator[tuple[str, str]]:
    """Titles and sentences: the rule that decided, and the turns that went elsewhere later."""
    if refusal.ruling:
        yield "retry", ruling(refusal.ruling, attempts)
    if refusal.ruling == Ruling.ROUTES and refusal.model and not any(attempt.by == "demur" for attempt in attempts):
        yield "routes", words.line(vendor(refusal.model, refusal.category))
    if n := tries.restatements(attempts):
        yield (
            "restated",
            f"{words.count(n, 'further request')} went to the model that restates: in neither the attempts nor the cost",
        )
    if n := refusal.turns_elsewhere:
        were = "was" if n == 1 else "were"
        model = words.line(refusal.answered_by or "the model that answered")
        yield "later", f"{words.count(n, 'turn')} of the conversation {were} answered by {model} too"


def ruling(name: str, attempts: Sequence[Attempt]) -> str:
    """Which rule decided whether it was asked again, in a sentence."""
    vain, last = tries.in_vain(attempts), tries.answered(attempts)
    if name == Ruling.EXHAUSTED and tries.stayed(attempts) and not vain:
        return "not asked again: the conversation had stayed on a model, and after that one no other was asked"
    said = words.ruling(name, tried=bool(vain or (last and last.by == "demur")))
    changed = name == Ruling.RECOVERED and last is not None and last.strategy in REPHRASED
    return f"{said}: with its last turn rephrased ({last.strategy})" if changed and last else said


def show(attempts: list[Attempt], room: int) -> None:
    """One by one: number, sender, model, and what came of it."""
    if not attempts:
        return
    click.echo("\n" + click.style("Attempts", bold=True))
    senders = [words.SENDERS.get(attempt.by, words.line(attempt.by)) for attempt in attempts]
    models = [words.line(attempt.model or "unknown") for attempt in attempts]
    widths = [max(map(width, column)) for column in (senders, models)]
    for attempt, sender, model in zip(attempts, senders, models, strict=True):
        head = f"  {attempt.n:>2}  {fit(sender, widths[0])}  {fit(model, widths[1])}  "
        click.echo(head + wrapped("; ".join(_facts(attempt)), room, width(head)))


def _facts(attempt: Attempt) -> Iterator[str]:
    strategy = f"{words.line(attempt.strategy)}: " if attempt.strategy else ""
    yield strategy + words.RESULTS[attempt.outcome] + words.bracketed(attempt.category or _failure(attempt))
    used = [(attempt.input_tokens, "in"), (attempt.output_tokens, "out")]
    if any(n is not None for n, _ in used):
        yield ", ".join(f"{n:,} {what}" for n, what in used if n is not None)
    if attempt.ms is not None:
        yield f"{attempt.ms:,} ms"
    if attempt.request_id:
        yield words.line(attempt.request_id)


def _failure(attempt: Attempt) -> str | None:
    """Why it failed, or with which status."""
    return None if attempt.outcome in _TOLD else tries.reason(attempt)


def show_rephrasings(rephrasings: list[Rephrasing], room: int, *, with_content: bool) -> None:
    """What each changed: sizes, and the two texts side by side where they are asked for."""
    if not rephrasings:
        return
    click.echo("\n" + click.style("Rephrased", bold=True))
    for rephrasing in rephrasings:
        sizes = [words.size(length) for length in sizes_of(rephrasing)]
        said = f"attempt {rephrasing.n}, {words.line(rephrasing.strategy)}: {sizes[0]} became {sizes[1]}"
        click.echo(wrapped(said, room, 2, first=True))
        if with_content:
            _show_beside(rephrasing, room)


def sizes_of(rephrasing: Rephrasing) -> tuple[int, int]:
    """Of the original text and of the sent one, in bytes."""
    original, sent = (len(said.encode("utf-8", "surrogatepass")) for said in (rephrasing.original, rephrasing.sent))
    return original, sent


def _show_beside(rephrasing: Rephrasing, room: int) -> None:
    columns = max((room - 7) // 2, _LEAST)
    texts = [folded(words.text(said), columns) for said in (rephrasing.original, rephrasing.sent)]
    click.echo(click.style(f"    {fit('original', columns)} │ sent", dim=True))
    for original, sent in zip_longest(*texts, fillvalue=""):
        click.echo(f"    {fit(original, columns)}{click.style(' │ ', dim=True)}{sent}".rstrip())
