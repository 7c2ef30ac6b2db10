"""The search for a smallest set of parts without which it is accepted."""

import math
from collections.abc import Callable, Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.ddmin import Search, smallest


def led(
    search: Search, accepted: Callable[[frozenset[int]], bool]
) -> tuple[frozenset[int] | None, list[frozenset[int]]]:
    """What is found, and what was asked."""
    asked: list[frozenset[int]] = []
    try:
        question = next(search)
        while True:
            asked.append(question)
            question = search.send(accepted(question))
    except StopIteration as found:
        return found.value, asked


def needs(guilty: Collection[int]) -> Callable[[frozenset[int]], bool]:
    """Accepted where all of these are left out."""
    return lambda out: out >= frozenset(guilty)


LISTS = st.lists(st.integers(1, 60), min_size=1, max_size=60)


@given(LISTS, st.data())
def test_exactly_the_parts_that_each_suffice_are_found(weights: list[int], data: st.DataObject) -> None:
    guilty = data.draw(st.sets(st.integers(0, len(weights) - 1), min_size=1, max_size=4))
    first, assumed = data.draw(st.integers(0, len(weights))), data.draw(st.booleans())
    found, asked = led(smallest(weights, first=first, assumed=assumed), needs(guilty))
    assert found == frozenset(guilty)
    assert len(set(asked)) == len(asked)


@given(LISTS, st.data())
def test_where_one_of_several_is_enough_one_is_found(weights: list[int], data: st.DataObject) -> None:
    guilty = data.draw(st.sets(st.integers(0, len(weights) - 1), min_size=1, max_size=4))
    found, _ = led(smallest(weights), lambda out: bool(out & guilty))
    assert found is not None
    assert len(found) == 1
    assert found <= guilty


@given(LISTS, st.booleans())
def test_where_all_of_them_are_not_enough_there_is_none(weights: list[int], assumed: bool) -> None:
    assert led(smallest(weights, assumed=assumed), lambda _: False)[0] is None


@given(LISTS, st.lists(st.booleans(), min_size=2000, max_size=2000))
def test_whatever_is_answered_it_ends_and_what_is_found_was_accepted(weights: list[int], answers: list[bool]) -> None:
    said: dict[frozenset[int], bool] = {}
    found, asked = led(smallest(weights), lambda out: said.setdefault(out, answers[len(said)]))
    assert found is None or said[found]
    assert len(asked) < 2000


@pytest.mark.parametrize("n", [1, 2, 3, 100, 6000])
@pytest.mark.parametrize("place", [0.0, 0.3, 1.0])
def test_one_among_n_costs_a_logarithm(n: int, place: float) -> None:
    found, asked = led(smallest([1] * n), needs({at := round(place * (n - 1))}))
    assert found == frozenset({at})
    assert len(asked) <= math.ceil(math.log2(n)) + 2


def test_a_part_with_much_in_it_is_found_sooner() -> None:
    weights = [1] * 200 + [1000] + [1] * 200
    assert len(led(smallest(weights), needs({200}))[1]) <= 5


def test_the_most_suspect_are_asked_about_first() -> None:
    found, asked = led(smallest([1] * 1000, first=2), needs({1}))
    assert (found, asked) == (frozenset({1}), [frozenset({0, 1}), frozenset({0}), frozenset({1})])


def test_nothing_to_leave_out_asks_nothing() -> None:
    assert led(smallest([]), needs(())) == (None, [])
