"""What a declined request cost: tokens as the API counted them, time, and money where its owner gave prices.

Whether a refused request is billed depends on its category, on whether output had begun, and on the month: rules that Anthropic
has changed before. So this says what it costs at list prices *if* it is billed, and never that it was. Of further attempts
the API's counts of cached tokens are not kept: with any of them, sums of money are a lower bound.

A cache belongs to one model. What a declined request wrote to it serves nobody where the work goes on elsewhere, and the
model that goes on has to read all of it anew.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from schemas.labels import Result
from schemas.models import family
from schemas.records import Attempt, Refusal

KINDS = ("input", "output", "cache_read", "cache_write")
"""The prices of a model, in USD per million tokens."""


_UNKNOWN = (None, None)


class Cost(Struct, kw_only=True):
    """Of a refusal and of all attempts that followed. None where nothing is known."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    """By the declined request; where the API itself fell back, by the last try. So are those written."""
    cache_write_tokens: int | None = None
    lost_tokens: int | None = None
    """Written to the cache by the declined request, where no answer of that model is known that could use it."""
    again_tokens: int | None = None
    """In the declined model's cache, and therefore to be read anew by another one that was asked."""
    attempts: int = 1
    """How many times it was sent, the first included."""
    ms: int | None = None
    """Until it was declined, and of all attempts after that."""
    usd: float | None = None
    """At list prices, if billed; None where no price is known."""
    unpriced: list[str] = field(default_factory=list)
    """Models of which some tokens are not in ``usd``, because no price is known."""
    at_least: bool = False
    """Whether more may have been used: not all counts of all attempts are known."""


class _Use(Struct, frozen=True):
    """The tokens of one try, in the order of ``KINDS``."""

    model: str | None
    tokens: tuple[int | None, int | None, int | None, int | None]


def cost(refusal: Refusal, attempts: Sequence[Attempt], prices: Mapping[str, Mapping[str, float]]) -> Cost:
    """``prices``: by model or family, in USD per million tokens of each of ``KINDS``."""
    first, later = _parted(refusal, attempts)
    uses = _uses(refusal, first, later)
    usd, unpriced = _priced(uses, prices)
    hopped = any(one.by == "api" for one in later)
    elsewhere = any(family(one.model or "") != family(refusal.model or "") for one in later)
    cached = _sum((refusal.cache_read_tokens, refusal.cache_write_tokens))
    own_ms = first.ms if first is not None and refusal.ms_to_refusal is None else refusal.ms_to_refusal
    return Cost(
        input_tokens=_sum([use.tokens[0] for use in uses]),
        output_tokens=_sum([use.tokens[1] for use in uses]),
        cache_read_tokens=refusal.cache_read_tokens,
        cache_write_tokens=refusal.cache_write_tokens,
        lost_tokens=None if hopped or _served(refusal, later) else refusal.cache_write_tokens,
        again_tokens=cached if elsewhere and not hopped else None,
        attempts=1 + len(later),
        ms=_sum([own_ms, *(one.ms for one in later)]),
        usd=usd,
        unpriced=unpriced,
        at_least=bool(later),
    )


def _served(refusal: Refusal, later: Sequence[Attempt]) -> bool:
    """Whether the declined model answered in the end, and could use what was in its cache."""
    return any(
        one.outcome == Result.ANSWERED and family(one.model or "") == family(refusal.model or "") for one in later
    )


def _parted(refusal: Refusal, attempts: Sequence[Attempt]) -> tuple[Attempt | None, Sequence[Attempt]]:
    """The attempt that the refusal is, where it is among them, and the others."""
    first = attempts[0] if attempts else None
    if first is None or first.outcome != Result.REFUSED or family(first.model or "") != family(refusal.model or ""):
        return None, attempts
    same = first.request_id is None or refusal.request_id is None or first.request_id == refusal.request_id
    return (first, attempts[1:]) if same else (None, attempts)


def _uses(refusal: Refusal, first: Attempt | None, later: Sequence[Attempt]) -> list[_Use]:
    """Of each try. Where the API itself asked other models, the message's own counts are those of the last (``usage``)."""
    cached = refusal.cache_read_tokens, refusal.cache_write_tokens
    last = next((n for n, one in reversed(list(enumerate(later))) if one.by == "api"), None)
    own = refusal if last is None or first is None else first
    tries = [_Use(refusal.model, (own.input_tokens, own.output_tokens, *(cached if last is None else _UNKNOWN)))]
    for n, one in enumerate(later):
        counts = one.input_tokens, one.output_tokens
        tries.append(_Use(one.model, (*counts, *(cached if n == last else _UNKNOWN))))
    return tries


def _priced(uses: list[_Use], prices: Mapping[str, Mapping[str, float]]) -> tuple[float | None, list[str]]:
    """USD of all that has a price, and the models that have none for what they used."""
    sums, unpriced = [], []
    for use in uses:
        used = [(kind, n) for kind, n in zip(KINDS, use.tokens, strict=True) if n]
        price = _price(use.model or "", prices)
        sums += [n * price[kind] / 1e6 for kind, n in used if kind in price]
        if any(kind not in price for kind, _ in used):
            unpriced.append(use.model or "unknown")
    return (sum(sums) if sums else None), (list(dict.fromkeys(unpriced)) if sums else [])


def _price(model: str, prices: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
    """By the exact name, else by the family."""
    if model in prices:
        return prices[model]
    return next((price for name, price in prices.items() if family(name) == family(model)), {})


def _sum(numbers: Sequence[int | None]) -> int | None:
    known = [n for n in numbers if n is not None]
    return sum(known) if known else None
