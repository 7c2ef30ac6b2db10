"""How numbers and values of the statistics are put: the one place. Others' words are shown so that they cannot drive a terminal."""

from collections.abc import Mapping
from math import floor, log10
from typing import TYPE_CHECKING, Any

from proxy.cli import words

if TYPE_CHECKING:
    from proxy.core.rates import Rate
    from proxy.core.tally import Key

_WORDS: Mapping[str, Mapping[Any, str]] = {
    "outcome": words.OUTCOMES,
    "verdict": words.VERDICTS,
    "stage": words.STAGES,
}
_NOTHING = {"category": "none", "domain": "none"}


def number(n: int) -> str:
    return f"{n:,}"


def percent(share: float | None, digits: int | None = None) -> str:
    """``12.3%``, ``1.23%``, ``0.012%``, ``0.000012%``; ``-`` where there is none."""
    if share is None:
        return "-"
    if digits is None:
        digits = 1 if share == 0 or share >= 0.1 else min(1 - floor(log10(share * 100)), 9) if share < 0.01 else 2
    return f"{share:.{digits}%}"


def interval(rate: "Rate | None") -> str:
    """``0.52%-1.45%``."""
    return "-" if rate is None else f"{percent(rate.low)}-{percent(rate.high)}"


def value(name: str, given: str) -> str:
    """A field's value, for people: what is not known has a name too."""
    return words.line(_WORDS.get(name, {}).get(given, given)) or _NOTHING.get(name, "unknown")


def values(fields: "Key", given: "Key") -> str:
    """The values of several fields: ``claude-opus-5 / cyber``."""
    return " / ".join(value(name, one).removeprefix("claude-") for name, one in zip(fields, given, strict=True))
