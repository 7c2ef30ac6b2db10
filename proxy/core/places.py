"""Places of a text that are to be kept, asked of many times: does one of them hold a span, and which of them touch it."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate


class Places:
    """Spans, which may overlap, in order. Each question costs no more than what it finds."""

    def __init__(self, spans: Iterable[tuple[int, int]]) -> None:
        self._spans = sorted(set(spans))
        self._starts = [start for start, _ in self._spans]
        self._reach = list(accumulate((end for _, end in self._spans), max))
        """How far any of the spans up to this one goes."""

    def hold(self, start: int, end: int) -> bool:
        """Whether all of it lies in one of them."""
        n = bisect_right(self._starts, start)
        return n > 0 and self._reach[n - 1] >= end

    def touching(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Those that have a character in common with it, in order."""
        for n in range(bisect_right(self._reach, start), bisect_left(self._starts, end)):
            if self._spans[n][1] > start:
                yield self._spans[n]
