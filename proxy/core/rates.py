"""A rate, and how far it can be trusted: the interval of Wilson's score (E. B. Wilson, JASA 22, 1927).

Of n requests k were declined. The plain rate k/n says nothing of how little it may rest on: 0 of 3 is no proof of 0 %. Wilson's interval
holds the true rate in 95 of 100 such samples, is never wider than 0 to 1, and is sensible for small numbers and for k = 0 as well.
"""

from math import sqrt
from typing import NamedTuple

Z95 = 1.959963984540054
"""Of the normal distribution, 95 % lie within so many standard deviations."""


class Rate(NamedTuple):
    """Shares from 0 to 1."""

    rate: float
    low: float
    high: float


def wilson(hits: int, n: int, z: float = Z95) -> Rate | None:
    """The rate ``hits / n`` and its interval. None where there is none: of nothing, or of fewer than were hit."""
    if not 0 <= hits <= n or n == 0:
        return None
    rate = hits / n
    spread = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    middle, whole = rate + z * z / (2 * n), 1 + z * z / n
    low = 0.0 if hits == 0 else (middle - spread) / whole
    high = 1.0 if hits == n else (middle + spread) / whole
    return Rate(rate, low, high)
