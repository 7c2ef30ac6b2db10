"""Places that are kept, asked of often."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.places import Places

SPANS = st.tuples(st.integers(0, 12), st.integers(1, 6)).map(lambda span: (span[0], span[0] + span[1]))


@given(st.lists(SPANS), SPANS)
def test_what_holds_and_what_touches_a_span_is_what_a_plain_look_at_all_of_them_finds(
    spans: list[tuple[int, int]], asked: tuple[int, int]
) -> None:
    places = Places(spans)
    start, end = asked
    assert places.hold(start, end) == any(one <= start and end <= two for one, two in spans)
    assert list(places.touching(start, end)) == sorted({(a, b) for a, b in spans if a < end and b > start})


def test_a_short_place_inside_a_long_one_is_not_touched_by_what_lies_after_it() -> None:
    places = Places([(0, 10), (1, 2)])
    assert list(places.touching(5, 6)) == [(0, 10)]
    assert list(places.touching(1, 6)) == [(0, 10), (1, 2)]
