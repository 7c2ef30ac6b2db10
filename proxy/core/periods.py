"""Hours, days, ISO weeks and months in UTC, by names that sort as they follow: ``2026-11-23T14``, ``2026-11-23``, ``2026-W48``, ``2026-11``."""

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum


class By(StrEnum):
    """How long a period is."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


LENGTHS = {By.HOUR: 13, By.DAY: 10, By.WEEK: 10, By.MONTH: 7}
"""How much of a time's text tells its period; of a week it is the day."""


def period(at: str, by: By) -> str:
    """The period of a time in UTC, of which the first ``LENGTHS[by]`` characters are there. Raises ValueError."""
    if by == By.WEEK:
        year, week, _ = date.fromisoformat(at[:10]).isocalendar()
        return f"{year:04}-W{week:02}"
    return at[: LENGTHS[by]]


def begin(name: str, by: By) -> datetime:
    """The moment at which a period begins. Raises ValueError for what is no name of one."""
    whole = name + {By.HOUR: ":00", By.DAY: "", By.WEEK: "-1", By.MONTH: "-01"}[by]
    return datetime.fromisoformat(whole).replace(tzinfo=UTC)


def after(start: datetime, by: By) -> datetime:
    """The beginning of the next period. Raises OverflowError after the last year."""
    if by == By.MONTH:
        return (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    return start + {By.HOUR: timedelta(hours=1), By.DAY: timedelta(days=1), By.WEEK: timedelta(weeks=1)}[by]


def number(first: str, last: str, by: By) -> int:
    """How many periods lie from the first to the last, both with it; at most one too many, for months."""
    span = begin(last, by) - begin(first, by)
    unit = {By.HOUR: timedelta(hours=1), By.DAY: timedelta(days=1), By.WEEK: timedelta(weeks=1)}
    return round(span.days / 30.4369) + 1 if by == By.MONTH else span // unit[by] + 1


def periods(first: str, last: str, by: By) -> list[str]:
    """The names of all periods from the first to the last, both with it."""
    found, start, end = [], begin(first, by), begin(last, by)
    while start < end:
        found.append(period(start.isoformat(), by))
        start = after(start, by)
    return [*found, last]


def place(moment: datetime, names: list[str], by: By) -> float | None:
    """Where a moment lies in a row of periods: 0.5 in the middle of the first. None outside of them."""
    for n, name in enumerate(names):
        start = begin(name, by)
        end = after(start, by)
        if start <= moment < end:
            return n + (moment - start) / (end - start)
    return None
