"""May a declined request be asked again, and on which models: a list of rules, each with its name and its reason.

First the request (``arming``): is it one that demur may ask again at all? A request for which every rule holds is *armed*. Then,
once it was declined, the refusal (``asking``). The first rule that does not hold decides, and its name is recorded with the refusal;
``demur retry --explain`` goes through the same rules again. What only the course of the exchange shows (output that has been sent, time
that has passed, targets that failed) is the relay's to decide.

Never, whatever the settings: ``reasoning_extraction``; content that a person judged to be correctly declined; a request of which the
client or the API takes care itself.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from proxy.core.asker import Asker, asker
from proxy.core.headers import Headers, tokens
from proxy.core.message import parse
from proxy.core.surface import Surface, surface
from schemas.labels import Kind, Outcome, Ruling
from schemas.models import family, permitted
from schemas.settings import Retry

NEVER = "reasoning_extraction"
"""The category that is never asked again (Anthropic, "Refusals and fallback")."""
UNKNOWN_PRIMARY = frozenset({"cyber", None})
"""What the owner's chain serves where the vendor's table does not know the model that declined."""
OWN_FALLBACK = "claude-fable-"
"""Models of which Claude Code takes care itself on a gateway (seen with 2.1.197 and 2.1.330)."""
_HOP_HEADERS = (b"x-cc-fallback-", b"x-is-refusal-fallback")
"""What Claude Code stamps on its own fallback requests (strings of 2.1.330)."""
_MIDDLEWARE = "fallback-refusal-middleware"
"""What the SDK's middleware adds to ``x-stainless-helper``."""


class Check(NamedTuple):
    """One rule, and whether it holds."""

    ruling: Ruling
    holds: bool
    why: str
    """In a few words, for either case."""


class Asked(Struct, frozen=True, kw_only=True):
    """What is decided on of a request."""

    messages: bool
    """It is a plain Messages request."""
    members: frozenset[str] | None
    """The names of the body's members; None where it is no JSON object."""
    who: Asker
    is_client_hop: bool = False
    has_middleware: bool = False


class Declined(Struct, frozen=True, kw_only=True):
    """What is decided on of a refusal."""

    kind: str
    outcome: str
    category: str | None
    judged_correct: bool | None = False
    """None: that could not be read."""
    attempts: int = 0
    """Further attempts for the session within the last hour."""


def asked(method: bytes, target: bytes, headers: Headers, body: bytes) -> Asked:
    """The facts about a request; ``body`` is decompressed."""
    names = {name.lower() for name, _ in headers}
    return Asked(
        messages=surface(method, target) is Surface.MESSAGES,
        members=members(body),
        who=asker(target, headers, body),
        is_client_hop=any(name.startswith(_HOP_HEADERS) for name in names),
        has_middleware=_MIDDLEWARE in tokens(headers, b"x-stainless-helper"),
    )


def members(body: bytes) -> frozenset[str] | None:
    """The names of a body's members, those that are null left out; None where it is no JSON object."""
    try:
        return frozenset(name for name, value in _TOP.decode(body).items() if bytes(value) != b"null")
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return frozenset(name for name, value in parse(body).items() if value is not None) or None


def arming(retry: Retry, asked: Asked) -> Iterator[Check]:
    """The rules on a request, in order."""
    has = asked.members or frozenset()
    rephrases = retry.rephrase.enabled
    owns = asked.who.client == "claude-cli" and family(asked.who.model or "").startswith(OWN_FALLBACK)
    yield Check(Ruling.OFF, retry.enabled, f"retry.enabled is {_toml(retry.enabled)}")
    yield Check(
        Ruling.NO_CHAIN, bool(retry.fallback) or rephrases, f"models in [[retry.fallback]]: {len(retry.fallback)}"
    )
    yield Check(Ruling.SURFACE, asked.messages, _is(asked.messages, "a plain Messages request"))
    yield Check(Ruling.UNREADABLE, asked.members is not None, _is(asked.members is not None, "a JSON object"))
    yield _without(Ruling.FALLBACKS, "fallbacks", has)
    yield _without(Ruling.THREAD, "thread", has)
    yield _without(Ruling.CREDIT_TOKEN, "fallback_credit_token", has)
    yield Check(Ruling.CLIENT_HOP, not asked.is_client_hop, _is(asked.is_client_hop, "the client's own fallback"))
    yield Check(Ruling.MIDDLEWARE, not asked.has_middleware, _is(asked.has_middleware, "sent by the SDK's middleware"))
    yield Check(Ruling.OWN_CLIENT, retry.own_client or not owns, _own(owns, retry.own_client))


def asking(retry: Retry, primary: str | None, declined: Declined) -> Iterator[Check]:
    """The rules on a refusal of a request that was armed, in order."""
    yield Check(Ruling.KIND, declined.kind == Kind.REFUSAL, f"its kind is {declined.kind}")
    done = declined.outcome == Outcome.RECOVERED_BY_API
    yield Check(Ruling.API_FALLBACK, not done, "the API fell back itself" if done else "the API did not fall back")
    yield Check(Ruling.REASONING_EXTRACTION, declined.category != NEVER, f"its category is {_name(declined.category)}")
    listed = _name(declined.category) in retry.categories
    yield Check(Ruling.CATEGORY, listed, f"retry.categories {_has(listed)} {_name(declined.category)}")
    judged = declined.judged_correct
    yield Check(Ruling.STORE, judged is not None, "verdicts " + ("cannot be read" if judged is None else "were read"))
    yield Check(
        Ruling.JUDGED_CORRECT, not judged, f"{'a' if judged else 'no'} person judged this content correctly declined"
    )
    within = declined.attempts < retry.max_per_hour
    yield Check(
        Ruling.MAX_PER_HOUR, within, f"attempts for the session this hour: {declined.attempts} of {retry.max_per_hour}"
    )
    entries, rephrased = chain(retry, primary, declined.category), rephrases(retry, primary, declined.category)
    why = f'retry.routes is "{retry.routes}": {"a" if entries else "no"} model of the chain is permitted'
    if retry.rephrase.enabled and not entries:
        why += ", but a rephrased attempt is" if rephrased else ", and retry.rephrase.model is not"
    if retry.fallback and not entries:
        why += f"; {_lacking(retry, primary, declined.category)}"
    yield Check(Ruling.ROUTES, bool(entries) or rephrased, why)


def chain(retry: Retry, primary: str | None, category: str | None) -> list[int]:
    """Which entries of ``retry.fallback`` may take over from ``primary`` after a refusal of ``category``, in order.

    Never the model that declined, under whatever of its names.
    """
    if category == NEVER:
        return []
    models = enumerate(str(entry["model"]) for entry in retry.fallback)
    others = [(n, model) for n, model in models if family(model) != family(primary or "")]
    targets = permitted(primary or "", category)
    if retry.routes == "any" or (targets is None and category in UNKNOWN_PRIMARY):
        return [n for n, _ in others]
    return [n for n, model in others if family(model) in (targets or ())]


def vendor(primary: str | None, category: str | None) -> str:
    """Which models Anthropic's table permits for a refusal of ``category`` by ``primary``, in a clause."""
    targets = permitted(primary or "", category)
    if targets is None:
        return f"Anthropic's table does not have {primary or 'a request without a model'}"
    return f"Anthropic's table permits {' or '.join(sorted(targets)) or 'none'} here"


def rephrases(retry: Retry, primary: str | None, category: str | None) -> bool:
    """Whether a rephrased attempt may be made: it is on, and its model is the one that declined, or one that may take over from it."""
    model = family(retry.rephrase.model or primary or "")
    own = model == family(primary or "")
    return retry.rephrase.enabled and (
        retry.routes == "any" or own or model in (permitted(primary or "", category) or ())
    )


def first_against(checks: Iterable[Check]) -> Check | None:
    """The rule that decides, where one does not hold."""
    return next((check for check in checks if not check.holds), None)


_TOP = msgspec.json.Decoder(dict[str, Raw])


def _lacking(retry: Retry, primary: str | None, category: str | None) -> str:
    """Why no model of a chain is permitted."""
    if retry.routes == "any":
        return "the chain has no model but the one that declined"
    known = permitted(primary or "", category)
    if known is not None:
        return vendor(primary, category) + (", which is not in the chain" if known else "")
    if category in UNKNOWN_PRIMARY:
        return f"{vendor(primary, category)}, and the chain has no other model"
    return f"{vendor(primary, category)}, and then only cyber and none are asked again"


def _without(ruling: Ruling, name: str, has: frozenset[str]) -> Check:
    return Check(ruling, name not in has, f"the request {_has(name in has)} {name}")


def _own(owns: bool, allowed: bool) -> str:
    if not owns:
        return "the client does not fall back by itself for this model"
    return f"the client falls back by itself for this model, and retry.own_client is {_toml(allowed)}"


def _toml(value: bool) -> str:
    return "true" if value else "false"


def _is(true: bool, what: str) -> str:
    return f"the request is {'' if true else 'not '}{what}"


def _has(true: bool, yes: str = "has", no: str = "does not have") -> str:
    return yes if true else no


def _name(category: str | None) -> str:
    return "none" if category is None else category
