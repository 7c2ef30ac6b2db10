"""What a setting may be beyond its type: words from a list, numbers within bounds. Raises ValueError, in one line."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Any
from urllib.parse import urlsplit

from proxy import fallbacks
from proxy.core.costs import KINDS
from schemas.settings import Rephrase, Retry, Settings

NEVER = "reasoning_extraction"
CHOICES = {
    "capture.content": ("none", "refusals"),
    "retry.wire": ("auto", "marked", "plain"),
    "retry.mid_stream": ("refuse", "restart"),
    "retry.routes": ("vendor", "any"),
    "retry.hold": ("thinking", "block"),
    "retry.rephrase.strategy": ("scope-note", "trim", "restate"),
}
LISTS = frozenset({"hosts", "deny", "categories", "fallback"})
"""Settings that are lists: the environment separates their items by commas."""
OPEN = frozenset({"prices"})
"""Settings whose keys are their owner's."""

KNOWN = frozenset({"cyber", "bio", "frontier_llm", "general_harms", NEVER, "none"})
"""Categories that the API is known to give (Anthropic, "Refusals and fallback"); it may give others."""
WEEK_MIN = 7 * 24 * 60
LONG_S = 120
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def checked(settings: Settings) -> list[str]:
    """Raises ValueError for what cannot be meant; gives warnings for what will have no effect."""
    for name, choices in CHOICES.items():
        value: Any = settings
        for part in name.split("."):
            value = getattr(value, part)
        if value not in choices:
            *others, last = (f'"{choice}"' for choice in choices)
            raise ValueError(f"{name} is {value!r}: it must be {', '.join(others)} or {last}")
    _prices(settings.prices)
    return [*_exemption(settings.exemption.approved_on), *_retry(settings.retry)]


def _prices(prices: dict[str, dict[str, float]]) -> None:
    for model, price in prices.items():
        for kind, usd in price.items():
            if kind not in KINDS:
                close = get_close_matches(kind, KINDS, n=1)
                meant = f"; did you mean {close[0]}?" if close else f"; known are {', '.join(KINDS)}"
                raise ValueError(f"prices.{model} has {kind}, which is no kind of tokens{meant}")
            if not 0 <= usd < float("inf"):
                raise ValueError(f"prices.{model}.{kind} is {usd}: it must be USD per million tokens, 0 or more")


def _exemption(approved_on: str) -> Iterator[str]:
    if not approved_on:
        return
    try:
        approved = date.fromisoformat(approved_on)
    except ValueError as error:
        raise ValueError(
            f"exemption.approved_on is {approved_on!r}: it must be a date, for example 2026-11-01"
        ) from error
    if approved > datetime.now(UTC).date():
        yield f"exemption.approved_on is {approved_on}, which has not come yet: no refusal is marked before it"


def _retry(retry: Retry) -> list[str]:
    fallbacks.check(retry.fallback)
    if not 0 <= int(retry.sticky) <= WEEK_MIN:
        raise ValueError(
            f"retry.sticky is {retry.sticky}: it must be true, false, or a number of minutes, {WEEK_MIN} at most"
        )
    if retry.rephrase.enabled:
        _rephrase(retry.rephrase)
    return list(_without_effect(retry))


def _rephrase(rephrase: Rephrase) -> None:
    if rephrase.strategy == "scope-note" and not rephrase.scope_note.strip():
        raise ValueError('retry.rephrase.strategy "scope-note" needs your own statement in retry.rephrase.scope_note')
    if rephrase.strategy == "restate" and not rephrase.restate_model:
        raise ValueError('retry.rephrase.strategy "restate" needs retry.rephrase.restate_model')
    if rephrase.restate_upstream and not _is_url(rephrase.restate_upstream):
        raise ValueError(
            "retry.rephrase.restate_upstream is not a URL of the form http[s]://host[:port], without a name or a key in it"
        )
    if rephrase.restate_key_env and not _VARIABLE.fullmatch(rephrase.restate_key_env):
        raise ValueError(
            "retry.rephrase.restate_key_env is no name of an environment variable; the key itself does not belong there"
        )


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable() and " " not in text
    return plain and parts.scheme in {"http", "https"} and bool(parts.hostname) and not set("@?#") & set(text)


def _unused(rephrase: Rephrase) -> Iterator[str]:
    """Settings of a rephrasing that is on, which it does not use, or misses."""
    if rephrase.strategy != "scope-note" and rephrase.scope_note:
        yield f'retry.rephrase.scope_note is not sent: retry.rephrase.strategy is "{rephrase.strategy}"'
    if rephrase.strategy != "restate":
        return
    if not rephrase.restate_upstream:
        if rephrase.restate_key_env:
            yield "retry.rephrase.restate_key_env is not used: without restate_upstream the client's credentials are"
    elif rephrase.restate_key_env and not os.environ.get(rephrase.restate_key_env, "").strip():
        yield f"retry.rephrase.restate_key_env is {rephrase.restate_key_env}, which is not set: no key is sent"


def _without_effect(retry: Retry) -> Iterator[str]:
    if NEVER in retry.categories:
        yield f"retry.categories has {NEVER}, which is never asked again: it is ignored"
    if unknown := [name for name in retry.categories if name not in KNOWN]:
        yield f"retry.categories has {unknown[0]!r}, which is no category that the API is known to give"
    if retry.enabled and not retry.fallback and not retry.rephrase.enabled:
        yield "retry.enabled is true, but there is no [[retry.fallback]]: only the tool guard is in force"
    if not retry.enabled and (retry.fallback or retry.rephrase.enabled):
        yield "retry.enabled is not true: the chain and the rephrasing in [retry] are not used"
    if retry.enabled:
        yield from _bounds(retry)
        yield from fallbacks.slips(retry)
    if retry.enabled and retry.rephrase.enabled:
        yield from _unused(retry.rephrase)


def _bounds(retry: Retry) -> Iterator[str]:
    for name in ("max_attempts", "max_per_hour", "hold_s"):
        if not getattr(retry, name):
            yield f"retry.{name} is 0: nothing is ever asked again"
    if retry.rephrase.enabled and not retry.rephrase.max_attempts:
        yield "retry.rephrase.max_attempts is 0: nothing is ever rephrased"
    if retry.hold_s > LONG_S:
        yield f"retry.hold_s is {retry.hold_s}: Claude Code gives up after 180 s in some cases"
