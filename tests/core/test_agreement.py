"""Cohen's kappa, against textbook values, and against what it must hold to by its definition."""

from itertools import chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.agreement import Agreement, kappa, pairs

said = st.lists(st.tuples(st.sampled_from("fcu"), st.sampled_from("fcu")), max_size=60)


def table(*counts: tuple[str, int]) -> list[tuple[str, str]]:
    """So many pairs of each kind; ``yn`` is what the first and the second said."""
    return list(chain.from_iterable(repeat((both[0], both[1]), n) for both, n in counts))


@pytest.mark.parametrize(
    ("counts", "observed", "expected", "value"),
    [
        # Two readers of 50 grant proposals: https://en.wikipedia.org/wiki/Cohen's_kappa, "Simple example".
        ([("yy", 20), ("yn", 5), ("ny", 10), ("nn", 15)], 0.7, 0.5, 0.4),
        # The same page, "Same percentage agreement but different numbers".
        ([("yy", 45), ("yn", 15), ("ny", 25), ("nn", 15)], 0.6, 0.54, 0.1304),
        ([("yy", 25), ("yn", 35), ("ny", 5), ("nn", 35)], 0.6, 0.46, 0.2593),
        # By hand: 140 of 200 alike; 120 * 100 + 60 * 60 + 20 * 40 = 16,400 of 40,000 by chance; (.70 - .41) / .59.
        (
            [("aa", 88), ("ab", 14), ("ac", 18), ("ba", 10), ("bb", 40), ("bc", 10), ("ca", 2), ("cb", 6), ("cc", 12)],
            0.70,
            0.41,
            0.4915,
        ),
    ],
)
def test_textbook_examples_come_out(
    counts: list[tuple[str, int]], observed: float, expected: float, value: float
) -> None:
    found = kappa(table(*counts))
    assert found.n == sum(n for _, n in counts)
    assert found.observed == pytest.approx(observed)
    assert found.expected == pytest.approx(expected)
    assert found.kappa == pytest.approx(value, abs=5e-5)


def test_it_is_undefined_over_nothing_and_where_both_gave_one_and_the_same_verdict() -> None:
    assert kappa([]) == Agreement(0, 0.0, 0.0, None)
    assert kappa([("f", "f")] * 7) == Agreement(7, 1.0, 1.0, None)


def test_who_always_says_one_thing_agrees_with_who_always_says_another_no_more_than_by_chance() -> None:
    assert kappa([("f", "c")] * 7) == Agreement(7, 0.0, 0.0, 0.0)


def test_agreement_in_all_of_several_verdicts_is_one_and_in_none_less_than_nought() -> None:
    assert kappa([("f", "f"), ("c", "c"), ("u", "u")]).kappa == 1.0
    assert kappa([("f", "c"), ("c", "f")]).kappa == -1.0


@given(said)
def test_it_is_the_same_from_both_sides_and_lies_between_minus_one_and_one(both: list[tuple[str, str]]) -> None:
    found = kappa(both)
    assert kappa([(other, one) for one, other in both]) == found
    assert found.kappa is None or -1 <= found.kappa <= 1
    assert (found.kappa is None) == (len({verdict for pair in both for verdict in pair}) < 2)


@given(said, st.permutations("fcu"))
def test_neither_the_order_of_the_refusals_nor_the_names_of_the_verdicts_matter(
    both: list[tuple[str, str]], names: list[str]
) -> None:
    renamed = dict(zip("fcu", names, strict=True))
    assert kappa(sorted((renamed[one], renamed[other]) for one, other in both)) == kappa(both)


def test_each_two_authors_are_paired_once_over_what_both_judged() -> None:
    verdicts = {"zoe": {"1": "f", "2": "c"}, "ann": {"2": "u", "3": "f", "1": "f"}, "bob": {"3": "c"}, "eve": {}}
    found = pairs(verdicts)
    assert {authors: sorted(both) for authors, both in found.items()} == {
        ("ann", "zoe"): [("f", "f"), ("u", "c")],
        ("ann", "bob"): [("f", "c")],
    }
    assert pairs({}) == {}
