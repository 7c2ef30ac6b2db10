"""Of which requests a count is: several *ways* may tell of the same ones, and none of them is counted twice.

demur counts what goes through it, and each kind of imported file tells of requests too: a session that went through demur has a transcript as well,
and may stand in a saved stream. Nothing joins two counts. So the ways are never added up: each hour is taken from one of them, whole, from
the one that tells of most requests then. What one way counted is added up: demurs of several machines saw different requests, and so did two files of
one kind.

An hour is the smallest part that can be compared. A model is not: the same request is by its dated name in one place and by a shorter one in the
other, by the model that was asked here and by the one that answered there.

So the sum is a lower bound: what the other ways saw alone in an hour is left out. It is too high only by what lies on a border (a request that one way
has in the last minute of an hour, and the other, which writes it down when it is answered, in the first of the next), and by what two files of one
way both tell of, where the import did not know them for copies.
"""

from collections import Counter
from collections.abc import Iterable

OWN = "demur"
"""What demurs counted by themselves, here and on other machines."""


def taken(counts: Iterable[tuple[str, str, int]]) -> dict[str, str]:
    """The way that an hour is taken from, where it is not ``OWN``. ``counts``: hours, ways and numbers of requests, in any order."""
    sums: Counter[tuple[str, str]] = Counter()
    for hour, way, n in counts:
        sums[hour, way] += n
    most: dict[str, tuple[int, bool, str]] = {}
    for (hour, way), n in sums.items():
        most[hour] = max(most.get(hour, (0, True, OWN)), (n, way == OWN, way))
    return {hour: way for hour, (_, own, way) in most.items() if not own}
