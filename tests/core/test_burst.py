"""This hour beside the hours before."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.burst import LEAST, RARE, burst, tail

WEEK = 7 * 24


@pytest.mark.parametrize(
    ("hours", "now", "unusual"),
    [
        ([0] * WEEK, 3, True),
        ([0] * WEEK, 2, False),
        ([], 3, False),
        ([], 8, True),
        ([5] * WEEK, 9, False),
        ([5] * WEEK, 15, True),
        ([1000] * WEEK, 1050, False),
        ([1000] * WEEK, 1200, True),
        ([1000] * WEEK, 3, False),
    ],
)
def test_a_burst_is_what_the_past_does_not_let_one_expect(hours: list[int], now: int, unusual: bool) -> None:
    assert burst(hours, now).unusual is unusual


def test_value_expectation_and_probability_are_told() -> None:
    found = burst([0, 1, 2, 0], 4)
    assert (found.count, found.expected) == (4, 0.8)
    whole = 1 - sum(math.exp(-0.8) * 0.8**n / math.factorial(n) for n in range(4))
    assert found.probability == pytest.approx(whole)
    assert LEAST == 3
    assert RARE == 0.001


@given(st.integers(0, 40), st.floats(0.01, 40))
def test_the_tail_is_that_of_poisson(count: int, expected: float) -> None:
    whole = 1 - math.fsum(math.exp(n * math.log(expected) - expected - math.lgamma(n + 1)) for n in range(count))
    assert tail(count, expected) == pytest.approx(whole, abs=1e-9)


@given(st.lists(st.integers(0, 10**6)), st.integers(0, 10**7))
def test_any_counts_have_a_probability(hours: list[int], now: int) -> None:
    assert 0 <= burst(hours, now).probability <= 1
    assert 0 <= burst(hours, now + 1).probability <= burst(hours, now).probability + 1e-9
