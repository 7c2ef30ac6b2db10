"""Whether more is declined in this hour than a category's own past lets one expect.

Refusals that come by themselves are Poisson-distributed: with ``expected`` in an hour, the probability of ``count`` or more is the
tail. What is expected is the mean of the hours before, each counted once and one refusal in one hour more added (the rule
of succession), so that a silent past expects little and no past expects one. Refusals do not quite come by themselves: one
stuck session makes several. So count incidents where they are known, and take the probability for a hint.
"""

from collections.abc import Sequence
from math import exp, lgamma, log

from msgspec import Struct

LEAST = 3
"""Refusals in this hour, below which nothing is called a burst."""
RARE = 0.001
"""The probability from which on it is: about one false alarm in forty days of hours."""
_NOTHING = 1e-12


class Burst(Struct, frozen=True, kw_only=True):
    """One hour of one category beside its past."""

    count: int
    """Refusals in this hour."""
    expected: float
    """How many an hour were expected."""
    probability: float
    """Of so many or more."""

    @property
    def unusual(self) -> bool:
        """Whether it is called a burst."""
        return self.count >= LEAST and self.probability < RARE and self.count > self.expected


def burst(hours: Sequence[int], now: int) -> Burst:
    """``hours``: the refusals of each hour of the days before, the empty ones too; ``now``: those of this hour."""
    expected = (sum(hours) + 1) / (len(hours) + 1)
    return Burst(count=now, expected=expected, probability=tail(now, expected))


def tail(count: int, expected: float) -> float:
    """The probability of ``count`` or more where ``expected`` (above 0) is the mean. Summed from its larger end."""
    if count > expected:
        return _sum(count, 1, expected)
    return 1.0 - _sum(count - 1, -1, expected)


def _sum(first: int, step: int, mean: float) -> float:
    """The probabilities of ``first`` and of what lies beyond it, as long as they matter."""
    total, n = 0.0, first
    while n >= 0:
        term = exp(n * log(mean) - mean - lgamma(n + 1))
        total += term
        n += step
        if term <= total * _NOTHING:
            break
    return min(total, 1.0)
