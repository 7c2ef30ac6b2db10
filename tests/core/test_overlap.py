"""Of which requests a count is: each hour is taken from one way, and nothing is added up over ways."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.overlap import OWN, taken

HOURS = ("2026-11-23T14", "2026-11-23T15")
COUNTS = st.lists(st.tuples(st.sampled_from(HOURS), st.sampled_from((OWN, "", "transcript", "har")), st.integers(0, 9)))
type Counts = list[tuple[str, str, int]]


def total(counts: Counts) -> dict[str, int]:
    """The requests of each hour, by the way that it is taken from."""
    ways = taken(counts)
    found: Counter[str] = Counter()
    for hour, way, n in counts:
        found[hour] += n * (way == ways.get(hour, OWN))
    return found


@pytest.mark.parametrize(
    ("counts", "way"),
    [
        ([], None),
        ([(OWN, 5)], None),
        ([("transcript", 0)], None),
        ([("transcript", 5)], "transcript"),
        ([(OWN, 5), ("transcript", 5)], None),
        ([(OWN, 5), ("transcript", 6)], "transcript"),
        ([(OWN, 5), ("transcript", 3), ("transcript", 3)], "transcript"),
        ([(OWN, 3), ("transcript", 5), (OWN, 3)], None),
        ([("har", 5), ("transcript", 6), ("stream-json", 4)], "transcript"),
        ([("", 5), ("har", 5)], "har"),
    ],
)
def test_an_hour_is_taken_from_the_way_that_tells_of_most(counts: list[tuple[str, int]], way: str | None) -> None:
    """Where two tell of as many, from demur, and from none of which the source is not known."""
    given_ = [(HOURS[0], name, n) for name, n in counts]
    assert taken(given_).get(HOURS[0]) == taken(given_[::-1]).get(HOURS[0]) == way


def test_each_hour_is_judged_by_itself() -> None:
    counts = [(HOURS[0], OWN, 5), (HOURS[0], "har", 1), (HOURS[1], OWN, 1), (HOURS[1], "har", 5)]
    assert taken(counts) == {HOURS[1]: "har"}


@given(COUNTS, COUNTS)
def test_a_further_source_never_lowers_an_hour_and_never_adds_to_it(before: Counts, more: Counts) -> None:
    """With a source that was not there before, an hour has as many requests as it had, or as many as the new source tells of."""
    further = [(hour, "flow", n) for hour, _, n in more]
    old, new = total(before), total(before + further)
    for hour in HOURS:
        said = sum(n for where, _, n in further if where == hour)
        assert new.get(hour, 0) == max(old.get(hour, 0), said)
