"""Hours, days, weeks, months."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.periods import By, after, begin, number, period, periods, place

AT = "2026-11-23T14:36:02.324Z"
TIMES = st.datetimes(datetime(1, 1, 1), datetime(9990, 1, 1))  # noqa: DTZ001 isoformat as it stands in the tables


@pytest.mark.parametrize(
    ("by", "name"),
    [(By.HOUR, "2026-11-23T14"), (By.DAY, "2026-11-23"), (By.WEEK, "2026-W48"), (By.MONTH, "2026-11")],
)
def test_a_time_lies_in_its_period(by: By, name: str) -> None:
    assert period(AT, by) == name
    assert begin(name, by) <= datetime.fromisoformat(AT) < after(begin(name, by), by)


@pytest.mark.parametrize(
    ("by", "names"),
    [
        (By.HOUR, ["2024-02-28T23", "2024-02-29T00", "2024-02-29T01"]),
        (By.DAY, ["2024-02-28", "2024-02-29", "2024-03-01"]),
        (By.WEEK, ["2026-W52", "2026-W53", "2027-W01"]),
        (By.MONTH, ["2025-12", "2026-01", "2026-02"]),
    ],
)
def test_none_is_left_out_between_the_first_and_the_last(by: By, names: list[str]) -> None:
    assert periods(names[0], names[-1], by) == names
    assert periods(names[1], names[1], by) == names[1:2]
    assert number(names[0], names[-1], by) == 3


@given(TIMES, st.integers(0, 400), st.sampled_from(By))
def test_how_many_there_are_is_known_before_they_are_made(start: datetime, n: int, by: By) -> None:
    end = start.replace(tzinfo=UTC)
    for _ in range(n):
        end = after(end, by)
    first, last = period(start.isoformat(), by), period(end.isoformat(), by)
    made = periods(first, last, by)
    assert len(made) == n + 1
    assert abs(number(first, last, by) - (n + 1)) <= 1
    assert made == sorted(made)


def test_a_moment_has_its_place_in_the_row() -> None:
    names = ["2026-10", "2026-11", "2026-12"]
    assert place(datetime(2026, 10, 1, tzinfo=UTC), names, By.MONTH) == 0
    assert place(datetime(2026, 11, 16, tzinfo=UTC), names, By.MONTH) == 1.5
    assert place(datetime(2026, 9, 30, 23, tzinfo=UTC), names, By.MONTH) is None
    assert place(datetime(2027, 1, 1, tzinfo=UTC), names, By.MONTH) is None


def test_what_is_no_date_has_no_week() -> None:
    with pytest.raises(ValueError):
        period("2026-13-99T00", By.WEEK)
