"""What ``replay`` and ``locate`` share: a stored request, the way to the API, the plan that is printed, and the question."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from proxy.cli.options import Failed, Misused, columns, warn

if TYPE_CHECKING:
    from proxy.resend import Ended, Resender
    from proxy.settings import InForce
    from proxy.store import Store
    from schemas.labels import Purpose
    from schemas.records import Refusal, Trial

MOST = 100
"""How many requests one command may send at most."""
IN_A_PIPE = 100
MARGIN = 10
_WARNING = "It costs money. To send again what was declined might count against the account."
_LEFT_OUT = {
    "fallbacks": "fallbacks, with which the API would ask other models by itself",
    "fallback_credit_token": "the fallback credit token, which was good once",
    "resumption": "resumption, whose token was good once",
}
INTERRUPTED = "interrupted"

upstream_option = click.option("--upstream", metavar="URL", help="The API to send it to.  [the setting upstream]")
yes_option = click.option("--yes", is_flag=True, help="Do not ask before sending.")


@dataclass(kw_only=True)
class Plan:
    """What would be sent."""

    short: str
    """The short id of the refusal."""
    host: str
    models: list[str]
    requests: int
    """At most."""
    how: str
    """How that number comes about."""
    tokens: int
    """In one request, estimated."""
    answers: str
    """What is read of each answer."""
    notes: list[str] = field(default_factory=list)


@contextmanager
def opened(in_force: "InForce", name: str) -> "Iterator[tuple[Store, Refusal]]":
    """The store, which can be written, and the refusal that is meant. Raises ``Failed`` and StoreError."""
    from proxy.cli.database import reading
    from proxy.cli.nothing import nothing

    with reading(in_force.db) as store:
        if store is None:
            raise Failed(nothing(in_force.db))
        refusal = store.find(name)
        with store.transaction():  # nothing is sent that could not be recorded
            pass
        yield store, refusal


def stored(store: "Store", refusal: "Refusal") -> bytes:
    """The request that was declined. Raises ``Failed`` where it cannot be sent again, and StoreError where it is not stored."""
    from proxy.core.facts import hearsay
    from proxy.core.segment import string
    from proxy.core.verbatim import members

    if refusal.exact is None and (told := hearsay(refusal.sources)):
        raise Failed(f"{told} does not hold the request as it was sent: it cannot be sent again")
    body = store.body(refusal.id)
    try:
        found = members(body.decode())
    except (ValueError, RecursionError) as error:
        raise Failed("the stored request is no JSON that could be read for certain: it cannot be sent again") from error
    if "thread" in found and string(found["thread"].value, "type") == "continue":
        raise Failed("the request continues a thread and carries no history: it cannot be sent again")
    for name, kind in (("model", str), ("messages", list)):
        if name not in found or not isinstance(found[name].value, kind):
            raise Failed(f"the stored request has no {name}: it was not for the Messages API, and cannot be sent again")
    return body


def notes(refusal: "Refusal", body: bytes) -> list[str]:
    """In which ways what is sent is not what was declined."""
    from proxy.cli.words import exactness
    from proxy.core.verbatim import UNFAITHFUL, members

    found = members(body.decode())
    gone = [_LEFT_OUT[name] for name in UNFAITHFUL if name in found and found[name].value is not None]
    exact = [] if refusal.exact else [f"Not exact: {exactness(refusal)}."]
    return exact + [f"It cannot be sent faithfully: {what}, is left out." for what in gone]


def resender(in_force: "InForce", refusal: "Refusal") -> "Resender":
    """The way to the API with the credentials of the environment. Raises ``Failed`` where there are none, and UpstreamError."""
    from proxy.resend import Resender, credentials

    settings = in_force.settings
    if not (fields := credentials(os.environ)):
        raise Failed(
            "no credentials: set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN for this command; demur keeps neither"
        )
    return Resender(settings.upstream, fields, refusal.headers, ca=settings.upstream_ca, proxy=settings.upstream_proxy)


def agreed(plan: Plan, *, url: str, yes: bool, as_json: bool) -> None:
    """Prints the plan, with --json on stderr, and asks. Raises ``Misused`` where nobody can answer, and click's Abort."""
    from proxy.cli.words import count

    if not yes and not sys.stdin.isatty():
        raise Misused(f"this would send {count(plan.requests, 'request')}: nobody is here to be asked, so say --yes")
    for line in _lines(plan, url, columns(IN_A_PIPE)):
        click.echo(line, err=as_json)
    if not yes:
        click.confirm(f"Send {count(plan.requests, 'request')}?", abort=True, err=as_json)


def _lines(plan: Plan, url: str, room: int) -> Iterator[str]:
    from proxy.cli import words
    from proxy.cli.layout import wrapped

    each, all_ = words.tokens(plan.tokens), words.tokens(plan.tokens * plan.requests)
    facts = (
        ("to", words.line(plan.host)),
        ("model" + "s" * (len(plan.models) > 1), words.line(", ".join(plan.models))),
        ("requests", f"{plan.requests} at most, one after the other: {plan.how}"),
        ("tokens", f"{each} each, {all_} in all at most (estimated), beside those of the answers"),
        ("answers", plan.answers),
    )
    yield f"The stored request of {plan.short} would be sent again:"
    for title, fact in facts:
        yield f"  {title:<{MARGIN}}" + wrapped(fact, room, MARGIN + 2)
    yield wrapped(_WARNING, room)
    for note in (*plan.notes, *_unencrypted(url)):
        yield wrapped(note, room)


def _unencrypted(url: str) -> Iterator[str]:
    from proxy.upstream import is_loopback

    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        yield "The credentials would go there unencrypted (http)."


def judged_correct(store: "Store", refusal: "Refusal") -> bool:
    """Whether a person judged this refusal correct, or another one of the same content or incident."""
    from schemas.labels import Verdict

    incident = refusal.incident_id or refusal.id
    return refusal.verdict == Verdict.CORRECT or store.judged_correct(refusal.asked, incident)


@dataclass
class Sending:
    """Sends for one refusal, one request after the other, and keeps a record of each."""

    store: "Store"
    refusal: "Refusal"
    way: "Resender"
    purpose: "Purpose"
    trials: "list[Trial]" = field(default_factory=list)
    """All that were sent, in order."""

    def send(self, body: bytes, model: str, left_out: Sequence[str] = (), *, early: bool = False) -> "Ended":
        """As ``Resender.send``. What is interrupted may have been taken, so it is recorded as cut before KeyboardInterrupt goes on."""
        from proxy.resend import Ended
        from schemas.labels import Result

        at = time.time()
        try:
            ended = self.way.send(body, early=early)
        except KeyboardInterrupt:
            self._keep(at, model, Ended(Result.CUT, why=INTERRUPTED), left_out)
            raise
        self._keep(at, model, ended, left_out)
        return ended

    def _keep(self, at: float, model: str, ended: "Ended", left_out: Sequence[str]) -> None:
        from proxy.core.stamps import stamp
        from schemas.records import Trial

        facts = ended._asdict() | {"refusal_id": self.refusal.id, "purpose": self.purpose, "left_out": list(left_out)}
        self.trials.append(Trial(at=stamp(at), model=model, **facts))
        recorded(self.store, self.trials[-1])


def recorded(store: "Store", one: "Trial") -> None:
    """Keeps it; where that fails, what was paid for is still told."""
    from proxy.database import StoreError
    from proxy.trials import add_trial

    try:
        add_trial(store, one)
    except StoreError as error:
        warn(f"warning: not recorded: {error}")


def outcome(one: "Trial") -> str:
    """``declined (cyber), 812 ms, req_1``."""
    from proxy.cli import words

    facts = [words.RESULTS[one.outcome] + words.bracketed(one.category or one.why)]
    facts += [f"{one.ms:,} ms"] if one.ms is not None else []
    return ", ".join([*facts, *([words.line(one.request_id)] if one.request_id else [])])
