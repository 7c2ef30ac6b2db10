"""Which parts must be left out: delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).

Given are parts, numbered in the order of suspicion, and a question that can be asked of any set of them: is it accepted without these?
Sought is a smallest set for which it is: put back any one of its parts, and it is declined. This is ddmin's minimal set with the change
turned round: what is minimised is what is left out, since of two parts that each suffice to be declined both have to go.

A question costs money, so ddmin's own order of questions, about 2 n of them at best, is not used. Whoever leaves out more is taken to be accepted
no less often. Then among the beginnings of the list (nothing, the first, the first two ...) there is one point from which on all are accepted,
and halving finds it in log2(n) questions (as QuickXplain does, Junker 2004): the last part of that beginning has to go. With it gone for
good the same is asked of what stands before it. So k parts cost about k (log2(n) + 1) questions. Halves are of equal weight, not of equal number: a
part that will be searched by its lines later weighs as many lines, so that both searches together cost log2 of all lines.

Where the assumption does not hold, the set that is found need not be a smallest one. That it is accepted without it has been asked.
"""

from bisect import bisect_left
from collections.abc import Generator, Sequence
from itertools import accumulate

Search = Generator[frozenset[int], bool, frozenset[int] | None]
"""Yields the numbers of the parts to leave out, is sent whether it was accepted, and returns the numbers that were found."""


def smallest(weights: Sequence[int], *, first: int = 0, assumed: bool = False) -> Search:
    """A smallest set of parts without which it is accepted; None where it is not without all of them.

    ``weights``: one positive number for each part, how much there is to search in it. That nothing left out is declined is known. The
    first ``first`` parts are more suspect than the others, and are asked about together before anything else. ``assumed``: that all of them
    are enough is asked only if nothing less was.
    """
    begins, found = list(accumulate(weights)), frozenset[int]()
    low, high = 0, len(weights)
    proved = False
    if 0 < first < high:
        proved = yield frozenset(range(first))
        low, high = (0, first) if proved else (first, high)
    if not high or not (proved or assumed or (yield frozenset(range(high)))):
        return None
    proved = proved or not assumed
    while True:
        while high - low > 1:
            middle = _middle(begins, low, high)
            if (yield found | frozenset(range(middle))):
                high, proved = middle, True
            else:
                low = middle
        if not proved and not (yield frozenset(range(high))):
            return None
        low, high, found, proved = 0, high - 1, found | {high - 1}, True
        if not high or (yield found):
            return found


def _middle(begins: list[int], low: int, high: int) -> int:
    """Where to cut between ``low`` and ``high``, neither included, so that both halves weigh alike."""
    base = begins[low - 1] if low else 0
    target = base + (begins[high - 1] - base) / 2
    cut = bisect_left(begins, target, low, high - 1) + 1
    if cut - 1 > low and target - begins[cut - 2] < begins[cut - 1] - target:
        cut -= 1
    return min(max(cut, low + 1), high - 1)
