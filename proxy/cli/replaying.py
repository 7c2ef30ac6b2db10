"""``demur replay``: a stored request, sent again to models that a person names, and how often each declines it."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from proxy.cli.options import Failed, Misused, config_option, db_option, json_option, meant, one_line_errors, warn
from proxy.cli.sending import MOST, upstream_option, yes_option

if TYPE_CHECKING:
    from proxy.cli.sending import Sending
    from proxy.store import Store
    from schemas.records import Refusal, Trial

FAILURES = 3
"""How many requests may fail one after the other, before no more are sent."""
NEVER = "reasoning_extraction"
"""The category that is never asked again, whatever is set."""


@click.command()
@click.argument("name", metavar="ID")
@click.option(
    "--model", "models", multiple=True, required=True, metavar="MODEL", help="A model to ask; may be repeated."
)
@click.option("--times", type=click.IntRange(1, 20), default=1, show_default=True, help="How often each is asked.")
@upstream_option
@yes_option
@json_option
@db_option
@config_option
@one_line_errors
def replay(
    name: str,
    models: tuple[str, ...],
    times: int,
    upstream: str | None,
    yes: bool,
    as_json: bool,
    db: str | None,
    config: str | None,
) -> None:
    """Send a declined request again, to models that you name, and count how often each declines it.

    The stored request, unchanged but for the model. The key is taken from ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN and kept nowhere. What
    would be sent, and that it costs money, is printed before anything is. Answers are read to their end. Nothing waits for a rate limit: a
    request that fails is counted as failed, and after three in a row no more are sent.

    Not for requests that were declined as reasoning_extraction.

    \b
    Example: demur replay last --model claude-opus-5 --model claude-opus-4-8 --times 3
    """
    from proxy.cli import sending
    from proxy.settings import load
    from schemas.labels import Purpose

    name, chosen = meant(name), list(dict.fromkeys(model.strip() for model in models))
    if not all(chosen):
        raise Misused("an empty name is no model: say --model claude-opus-5")
    if (most := len(chosen) * times) > MOST:
        raise Misused(f"{len(chosen)} models, {times} times each, would be {most} requests: {MOST} is the most")
    in_force = load(config, {"db": db, "upstream": upstream})
    with sending.opened(in_force, name) as (store, refusal):
        warnings = list(_warnings(store, refusal))
        body = sending.stored(store, refusal)
        way = sending.resender(in_force, refusal)
        plan = sending.Plan(
            short=store.short_ids([refusal.id])[refusal.id],
            host=way.host,
            models=chosen,
            requests=most,
            how=f"{len(chosen)} x {times}",
            tokens=sum(segment.tokens_est for segment in store.segments(refusal.id)),
            answers="read to their end, as long as the request allows (max_tokens)",
            notes=[*warnings, *sending.notes(refusal, body)],
        )
        sending.agreed(plan, url=in_force.settings.upstream, yes=yes, as_json=as_json)
        sender = sending.Sending(store, refusal, way, Purpose.REPLAY)
        why = _sent(sender, body, [model for model in chosen for _ in range(times)], quiet=as_json)
    _print_json(refusal, chosen, sender.trials) if as_json else _print(chosen, sender.trials)
    if why:
        warn(f"{why}: {len(sender.trials)} of {most} requests were sent")
    sys.exit(1 if why else 0)


def _warnings(store: "Store", refusal: "Refusal") -> "Iterator[str]":
    """What speaks against sending it again. Raises ``Failed`` for what never is."""
    from proxy.cli import sending
    from proxy.trials import categories

    named = categories(store, refusal)
    if NEVER in named:
        raise Failed(f"what is declined as {NEVER} is never sent again, whatever is set")
    if sending.judged_correct(store, refusal):
        yield "Warning: a person judged a refusal of this content correct."
    for category in ("general_harms", "bio"):
        if category in named:
            yield f"Warning: this content was declined as {category}. Send it again only if you are sure that this was wrong."


def _sent(sender: "Sending", body: bytes, models: Sequence[str], *, quiet: bool) -> str | None:
    """Sends one after the other; why it ended early, if so."""
    from proxy.cli import sending, words
    from proxy.core.verbatim import readdressed

    failing = 0
    try:
        for n, model in enumerate(models, start=1):
            ended = sender.send(readdressed(body, model), model)
            trial = sender.trials[-1]
            if not quiet:
                click.echo(f"  {n}/{len(models)}  {words.line(model)}: {sending.outcome(trial)}")
            if ended.category == NEVER:
                return f"an answer named {NEVER}, which is never sent again"
            failing = failing + 1 if _result(trial) == "failed" else 0
            if failing == FAILURES:
                return f"{FAILURES} requests in a row failed ({trial.why})"
    except KeyboardInterrupt:
        return sending.INTERRUPTED
    return None


def _result(trial: "Trial") -> str:
    """``answered``, ``failed`` or ``declined``, by whatever mechanism."""
    from schemas.labels import Result

    if trial.outcome == Result.ANSWERED:
        return "answered"
    return "failed" if trial.outcome in (Result.ERROR, Result.CUT, Result.UNREADABLE) else "declined"


def _counted(model: str, trials: "Sequence[Trial]") -> dict[str, Any]:
    own = [trial for trial in trials if trial.model == model]
    results = Counter(map(_result, own))
    declined = [trial for trial in own if _result(trial) == "declined"]
    return {
        "model": model,
        "sent": len(own),
        **{name: results[name] for name in ("declined", "answered", "failed")},
        "categories": dict(Counter(trial.category or "none" for trial in declined)),
        "request_ids": [trial.request_id for trial in own if trial.request_id],
    }


def _print_json(refusal: "Refusal", models: Sequence[str], trials: "Sequence[Trial]") -> None:
    import msgspec

    from proxy.cli.words import as_json

    counted = [_counted(model, trials) for model in models]
    click.echo(as_json({"id": refusal.id, "models": counted, "trials": msgspec.to_builtins(trials)}))


def _print(models: Sequence[str], trials: "Sequence[Trial]") -> None:
    from proxy.cli.table import Look, show

    click.echo()
    look = Look(whole={"declined", "answered", "failed"}, styles={"model": {"bold": True}}, elsewhere="--json has all.")
    show([_row(_counted(model, trials)) for model in models], look)


def _row(counted: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {title: (fact, fact) for title, fact in _facts(counted)}


def _facts(counted: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from proxy.cli.words import line

    yield "model", line(counted["model"])
    yield "declined", f"{counted['declined']} of {counted['declined'] + counted['answered']}"
    yield "answered", str(counted["answered"])
    yield "failed", str(counted["failed"])
    yield "category", ", ".join(f"{line(name)} {n}" for name, n in counted["categories"].items()) or "-"
