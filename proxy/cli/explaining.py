"""``demur retry --explain``: the rules by which a declined request is asked again, gone through for one that is stored.

The rules are those of ``proxy.core.policy``, with the settings that are in force now. What they look at in the request comes from its record,
and from its body where that was stored; without it some rules cannot be told. The record has no path: that it was a plain Messages request is
taken from the shape of its body, which names the model there and only there. What the course of the exchange was against is no rule; as far as
it is on record it is told beside them. Where the conversation had stayed on another model, the one that was asked for would be the first.
"""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from proxy.cli.options import (
    Failed,
    Misused,
    columns,
    config_option,
    db_option,
    json_option,
    meant,
    one_line_errors,
    warn,
)
from schemas.labels import Ruling

if TYPE_CHECKING:
    from proxy.core.policy import Asked, Declined
    from proxy.store import Store
    from schemas.records import Attempt, Refusal
    from schemas.settings import Rephrase, Retry

IN_A_PIPE = 100
"""Columns where no terminal says how many."""
HOUR_S = 3600
_IN_THE_BODY = {"surface", "unreadable", "fallbacks", "thread", "credit_token"}
"""Rules that only the body tells."""
_COURSE = "What only shows while an answer comes is not among the rules: output that was sent, time that passed, models that failed."
_SETTINGS = "These are the settings as they are now. A demur that runs uses those with which it began: start it again after a change."
_FOR_ROUTES = frozenset({Ruling.CATEGORY, Ruling.ROUTES})
"""Rules that say nothing of the model that was asked for."""


class Rule(NamedTuple):
    """One rule, as it is told; ``holds`` is None where that cannot be."""

    rule: str
    holds: bool | None
    why: str


class Explained(NamedTuple):
    """What was decided at the time, and what would be now."""

    refusal: "Refusal"
    attempts: "Sequence[Attempt]"
    rules: list[Rule]
    models: list[str]
    """That would be asked, in order."""
    rephrasing: str | None
    """The strategy of the attempt after them."""
    most: int
    """Attempts."""
    course: str | None
    """What stood against it besides the rules, in a sentence without its full stop."""

    @property
    def against(self) -> Rule | None:
        """The first rule that does not hold; that of rephrasing forbids nothing where there is a chain."""
        from proxy.core import tries

        spared = {Ruling.UNREPHRASED} if self.models else set()
        spared |= _FOR_ROUTES if tries.stayed(self.attempts) else set()
        return next((rule for rule in self.rules if rule.holds is False and rule.rule not in spared), None)

    @property
    def asked_again(self) -> bool | None:
        """None where that cannot be told."""
        if self.against or not self.most:
            return False
        return None if any(rule.holds is None for rule in self.rules) else True

    def then(self) -> str:
        """A sentence."""
        from proxy.cli.attempts import ruling

        name = self.refusal.ruling
        return ruling(name, self.attempts) if name else "nobody decided: it was imported, or recorded by an older demur"

    def now(self) -> str:
        """A sentence."""
        from proxy.cli import words

        if self.against:
            unrephrased = self.against.rule == Ruling.UNREPHRASED
            return f"not asked again: {self.against.why}" if unrephrased else words.ruling(self.against.rule)
        if not self.most:
            return words.ruling("max_attempts")
        untold = sum(rule.holds is None for rule in self.rules)
        if untold:
            return f"cannot be told: {words.count(untold, 'rule')} would need the request, which is not stored"
        order = ", then ".join([*self.models, *([f"rephrased ({self.rephrasing})"] if self.rephrasing else [])])
        allowed = f"by these rules asked again: {order}; {words.count(self.most, 'attempt')} at most"
        return f"{allowed}. But {self.course}" if self.course else allowed


@click.command()
@click.argument("name", metavar="[ID]", required=False)
@click.option("--explain", "explained", metavar="ID", help="The same as ID alone.")
@json_option
@db_option
@config_option
@one_line_errors
def retry(name: str | None, explained: str | None, as_json: bool, db: str | None, config: str | None) -> None:
    """Tell which rule allows or forbids that a declined request is asked again; without an ID, what that is, and whether it is on.

    Of a refusal: first what was decided at the time, and what would be now, with the settings in force; then every rule in its order. Nothing
    is sent.

    \b
    Example: demur retry
             demur retry last
             demur retry --explain 01JD0000 --json | jq .now
    """
    from proxy.cli import keeping, words
    from proxy.cli.database import reading
    from proxy.cli.nothing import nothing
    from proxy.settings import load

    if name is not None and explained is not None:
        raise Misused("two refusals at once: say one ID")
    given = explained if name is None else name
    name = None if given is None else meant(given)
    in_force = load(config, {"db": db})
    for warning in in_force.warnings:
        warn(warning)
    if name is None:
        click.echo(words.as_json(keeping.record(in_force)) if as_json else keeping.text(in_force, columns(IN_A_PIPE)))
        return
    with reading(in_force.db) as store:
        if store is None:
            raise Failed(nothing(in_force.db))
        found = explain(store, store.find(name), in_force.settings.retry)
    if as_json:
        click.echo(words.as_json(_record(found)))
    else:
        _print(found)


def explain(store: "Store", refusal: "Refusal", retry: "Retry") -> Explained:
    """The rules for a stored refusal, with these settings."""
    from proxy.cli.course import forbade
    from proxy.core.policy import arming, asking, rephrases

    body, attempts = _body(store, refusal), store.attempts(refusal.id)
    asked = _asked(refusal, body)
    primary = asked.who.model or refusal.model
    checks = [*arming(retry, asked), *asking(retry, primary, _declined(store, refusal))]
    rules = [
        Rule(str(check.ruling), None, "the request is not stored")
        if body is None and check.ruling in _IN_THE_BODY and (check.ruling != "surface" or check.holds)
        else Rule(str(check.ruling), check.holds, check.why)
        for check in checks
    ]
    models = _models(retry, refusal, primary if body is not None else None, attempts)
    rephrasing = None
    if rephrases(retry, primary, refusal.category) and retry.rephrase.max_attempts:
        rules.append(_rephrasing(retry.rephrase, asked, body))
        rephrasing = retry.rephrase.strategy if rules[-1].holds is not False else None
    course = forbade(refusal, attempts, retry)
    return Explained(refusal, attempts, rules, models, rephrasing, retry.max_attempts, course)


def _models(retry: "Retry", refusal: "Refusal", asked: str | None, attempts: "Sequence[Attempt]") -> list[str]:
    """That would be asked, in order. ``asked``: by the client, where that is known."""
    from proxy.core import tries
    from proxy.core.policy import chain
    from schemas.models import family

    models = [str(retry.fallback[n]["model"]) for n in chain(retry, asked or refusal.model, refusal.category)]
    if not tries.stayed(attempts):
        return models
    if asked is None:
        return ["the model that was asked for"]
    listed = (refusal.category or "none") in retry.categories
    return [asked, *(model for model in models if listed and family(model) != family(refusal.model or ""))]


def _rephrasing(settings: "Rephrase", asked: "Asked", body: bytes | None) -> Rule:
    """Whether the stored request can be rephrased; of ``restate`` whether it can be asked for."""
    from proxy.core.rephrase import Declined
    from proxy.core.rephraser import first_step

    if body is None:
        return Rule(Ruling.UNREPHRASED, None, "the request is not stored")
    found = first_step(body, asked.who, settings, settings.strategy)
    if isinstance(found, Declined):
        return Rule(Ruling.UNREPHRASED, False, f"{settings.strategy}: {found.why}")
    later = "; whether what comes back passes, shows then" if isinstance(found, bytes) else ""
    return Rule(Ruling.UNREPHRASED, True, f"{settings.strategy}: the request can be rephrased{later}")


def _body(store: "Store", refusal: "Refusal") -> bytes | None:
    """None where it was not kept, or cannot be read; one line tells of that."""
    from proxy.database import StoreError

    try:
        return store.body(refusal.id)
    except StoreError as error:
        if refusal.exact is not None:
            warn(str(error))
        return None


def _asked(refusal: "Refusal", body: bytes | None) -> "Asked":
    from msgspec.structs import replace

    from proxy.core import policy

    headers = tuple((name.encode(), value.encode("latin-1", "replace")) for name, value in refusal.headers.items())
    asked = policy.asked(b"POST", b"/v1/messages", headers, body or b"")
    members = asked.members or frozenset()
    elsewhere = body is not None and ("model" not in members or "anthropic_version" in members)
    never = refusal.role == "count_tokens" or refusal.evidence.startswith("batch.")
    who = asked.who if body is not None else replace(asked.who, model=refusal.model, client=refusal.client)
    return replace(
        asked,
        who=who,
        messages=not (never or (elsewhere and asked.members is not None)),
        is_client_hop=asked.is_client_hop or refusal.ruling == "client_hop",
        has_middleware=asked.has_middleware or refusal.ruling == "middleware",
    )


def _declined(store: "Store", refusal: "Refusal") -> "Declined":
    from proxy.core.policy import Declined
    from proxy.core.stamps import stamp

    since = stamp(time.time() - HOUR_S)
    return Declined(
        kind=refusal.kind,
        outcome=refusal.outcome,
        category=refusal.category,
        judged_correct=store.judged_correct(refusal.asked, refusal.incident_id),
        attempts=store.attempts_since(refusal.session_id, since) if refusal.session_id else 0,
    )


def _record(explained: Explained) -> dict[str, Any]:
    against = explained.against
    return {
        "id": explained.refusal.id,
        "then": {"ruling": explained.refusal.ruling, "said": explained.then()},
        "now": {
            "asked_again": explained.asked_again,
            "ruling": against.rule if against else None,
            "said": explained.now(),
            "models": explained.models,
            "rephrasing": explained.rephrasing,
            "course": explained.course,
        },
        "rules": [rule._asdict() for rule in explained.rules],
    }


def _print(explained: Explained) -> None:
    from proxy.cli import course, words
    from proxy.cli.layout import wrapped

    room = columns(IN_A_PIPE)
    click.echo(wrapped(course.sentence(explained.refusal, explained.attempts), room) + "\n")
    for title, sentence in (("then", explained.then()), ("now", explained.now())):
        click.echo(click.style(f"{title:<6}", bold=True) + wrapped(words.line(sentence), room, 6))
    click.echo()
    for line in _lines(explained.rules, room):
        click.echo(line)
    click.echo()
    if explained.asked_again is not False:
        click.echo(wrapped(_COURSE, room))
    click.echo(wrapped(_SETTINGS, room))


def _lines(rules: list[Rule], room: int) -> Iterator[str]:
    from proxy.cli import words
    from proxy.cli.layout import wrapped

    said = {True: ("holds", "green"), False: ("does not hold", "yellow"), None: ("cannot be told", "blue")}
    width = max(len(rule.rule) for rule in rules)
    for rule in rules:
        holds, colour = said[rule.holds]
        why = wrapped(words.line(rule.why), room, 18 + width)
        yield f"{click.style(f'{holds:<14}', fg=colour)}  {rule.rule:<{width}}  {why}"
