"""Tallies, and what they are a part of."""

import pytest

from proxy.core.periods import By
from proxy.core.tally import Statistics, Tally


def test_the_gap_is_of_those_whose_end_is_known() -> None:
    tally = Tally()
    for outcome in ("refused", "recovered_by_demur", "recovered_by_api", "recovered_by_client", "unknown"):
        tally.put(outcome, 2)
    tally.put("refused", 3, apart=True)
    assert (tally.refused, tally.apart, tally.refusals) == (10, 3, 13)
    assert (tally.in_the_end, tally.gap) == (5, 5 / 11)
    assert Tally().gap is None


def test_what_was_imported_is_no_part_of_the_rate() -> None:
    tally = Tally(requests=10, refused=1, apart=100)
    assert tally.rate
    assert tally.rate.rate == 0.1
    assert Tally(refused=1).rate is None
    assert Tally(requests=0, apart=1).rate is None


def test_the_client_recovers_and_repeats_no_more_than_was_counted() -> None:
    tally = Tally(refused=3, recovered_by_demur=1)
    tally.end_elsewhere(5, 1)
    assert (tally.refused, tally.recovered_by_client, tally.in_the_end) == (2, 1, 0)
    tally = Tally(refused=1, recovered_by_demur=1)
    tally.end_elsewhere(1, 5)
    assert (tally.refused, tally.recovered_by_client, tally.in_the_end) == (1, 0, 0)
    tally = Tally(refused=2)
    tally.end_elsewhere(0, 5)
    assert (tally.refused, tally.in_the_end) == (0, 0)


def made() -> Statistics:
    return Statistics(
        fields=("model", "category"),
        by=By.DAY,
        tallies={
            ("2026-01-01", "m", "cyber"): Tally(requests=10, refused=1),
            ("2026-01-03", "m", "bio"): Tally(requests=20, refused=2),
            ("2026-01-03", "n", "bio"): Tally(requests=0, apart=2),
        },
        requests={("2026-01-01", "m"): 10, ("2026-01-03", "m"): 20},
    )


def test_each_period_from_the_first_to_the_last_has_its_whole() -> None:
    whole = made().whole()
    assert list(whole) == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert [(tally.requests, tally.refusals) for tally in whole.values()] == [(10, 1), (0, 0), (20, 4)]
    assert (made().total.requests, made().total.refusals, made().number) == (30, 5, 3)


def test_values_come_with_what_was_refused_most_first() -> None:
    assert made().values() == [("m", "bio"), ("n", "bio"), ("m", "cyber")]


def test_what_was_not_declined_is_still_a_part_of_its_requests() -> None:
    assert made().tally(("2026-01-03", "m", "cyber")) == Tally(requests=20)
    assert made().tally(("2026-01-02", "m", "cyber")) == Tally(requests=0)
    assert made().tally(("2026-01-01", "m", "cyber")).refused == 1


@pytest.mark.parametrize(
    ("fields", "against"),
    [
        ((), ()),
        (("category",), ()),
        (("outcome", "user"), ("user",)),
        (("language",), None),
        (("model", "verdict"), None),
    ],
)
def test_a_rate_is_against_the_requests_with_the_same_values_of_what_was_counted(
    fields: tuple[str, ...], against: tuple[str, ...] | None
) -> None:
    asked = Statistics(fields=fields, by=None)
    assert asked.against == against
    assert (asked.tally(("x",) * len(fields)).requests is None) == (against is None)


def test_without_periods_there_is_no_span() -> None:
    asked = Statistics(fields=(), by=None, tallies={(): Tally()}, requests={(): 5})
    assert (asked.span(), asked.periods(), asked.number) == (None, [], 0)
    assert asked.total.requests == 5
    assert Statistics(fields=(), by=By.DAY).periods() == []
