"""How far two persons agree beyond what chance would give: Cohen's kappa over what both of them judged.

Of n refusals that both judged, ``observed`` is the share on which they said the same, and ``expected`` the share on which they would if each
gave out their own verdicts at random, in the same proportions. kappa = (observed - expected) / (1 - expected): 1 is agreement in all, 0 no
more than by chance, and less than 0 less than that. (J. Cohen, "A Coefficient of Agreement for Nominal Scales", Educational and
Psychological Measurement 20, 1960, pp. 37-46.)

It is not a measure of who is right: two may agree and both be wrong. It depends on how often each verdict occurs, so that it can be low
where nearly all refusals are judged alike, and two values of different sets of refusals should not be compared. All disagreements weigh the
same, ``unsure`` beside ``correct`` as much as ``false_positive`` beside it. Over a few refusals it says next to nothing: n stands beside it.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple


class Agreement(NamedTuple):
    """Of two persons."""

    n: int
    """Refusals that both judged."""
    observed: float
    """The share of them, 0 to 1, on which they said the same; 0 where there are none."""
    expected: float
    """The share on which chance alone would have them agree."""
    kappa: float | None
    """-1 to 1; None where it is undefined: nothing was judged by both, or both gave one and the same verdict to all."""


def kappa[V: Hashable](pairs: Sequence[tuple[V, V]]) -> Agreement:
    """The agreement over what two persons said of the same refusals, one pair a refusal."""
    n = len(pairs)
    if not n:
        return Agreement(0, 0.0, 0.0, None)
    same = sum(one == other for one, other in pairs)
    ones, others = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    by_chance = sum(ones[verdict] * others[verdict] for verdict in ones)
    beyond = n * n - by_chance  # whole numbers: whether it is 0 must not hang on how floats round
    return Agreement(n, same / n, by_chance / (n * n), (n * same - by_chance) / beyond if beyond else None)


def pairs[V: Hashable](verdicts: Mapping[str, Mapping[str, V]]) -> dict[tuple[str, str], list[tuple[V, V]]]:
    """What each two of the authors said of the refusals that both judged, by their names in order.

    ``verdicts``: author -> refusal id -> verdict. Two who judged nothing in common are left out.
    """
    found = {
        (one, other): [(mine, verdicts[other][name]) for name, mine in verdicts[one].items() if name in verdicts[other]]
        for one, other in combinations(sorted(verdicts), 2)
    }
    return {authors: both for authors, both in found.items() if both}
