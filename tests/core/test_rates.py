"""Rates and their intervals."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.rates import Rate, wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [  # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_the_interval_is_that_of_the_textbooks(hits: int, n: int, low: float, high: float) -> None:
    found = wilson(hits, n)
    assert found
    assert found.rate == hits / n
    assert found[1:] == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("hits", "n"), [(0, 0), (1, 0), (11, 10), (-1, 10), (-2, -1)])
def test_of_nothing_or_of_less_than_was_hit_there_is_no_rate(hits: int, n: int) -> None:
    assert wilson(hits, n) is None


@given(st.integers(1, 10**12).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_rate_lies_in_its_interval_and_that_between_0_and_1(sample: tuple[int, int]) -> None:
    found = wilson(*sample)
    assert found
    assert 0 <= found.low <= found.rate * (1 + 1e-12)
    assert found.rate <= found.high * (1 + 1e-12)
    assert found.high <= 1


@given(st.integers(1, 500), st.integers(1, 500))
def test_what_was_not_hit_mirrors_what_was(hits: int, missed: int) -> None:
    one, other = wilson(hits, hits + missed), wilson(missed, hits + missed)
    assert one
    assert other
    assert one == pytest.approx(Rate(1 - other.rate, 1 - other.high, 1 - other.low))


def test_more_requests_make_it_narrower_and_more_certainty_wider() -> None:
    few, many, surer = wilson(1, 10), wilson(100, 1000), wilson(1, 10, 2.5758)
    assert few
    assert many
    assert surer
    assert many.high - many.low < few.high - few.low < surer.high - surer.low
    assert not math.isnan(few.low)
