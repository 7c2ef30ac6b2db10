"""What a declined request cost."""

from typing import Any

import pytest

from entries import refusal
from proxy.core.costs import Cost, cost
from schemas.labels import Result
from schemas.records import Attempt

PRICES = {
    "claude-opus-5": {"input": 5.0, "output": 25.0, "cache_read": 0.5, "cache_write": 6.25},
    "claude-opus-4-8": {"input": 4.0, "output": 20.0},
}
USED: dict[str, Any] = {
    "model": "claude-opus-5", "input_tokens": 1000, "output_tokens": 10, "cache_read_tokens": 20_000, "cache_write_tokens": 2000,
    "ms_to_refusal": 900, "request_id": "req_1",
}  # fmt: skip


def attempt(n: int, model: str | None = "claude-opus-5", outcome: Result = Result.REFUSED, **fields: Any) -> Attempt:
    return Attempt(**({"n": n, "by": "demur" if n else "client", "model": model, "outcome": outcome} | fields))


FIRST = attempt(0, input_tokens=1000, output_tokens=10, request_id="req_1", ms=1000)
HOP = attempt(1, "claude-opus-4-8", Result.ANSWERED, input_tokens=24_000, output_tokens=500, ms=4000)


def test_without_prices_there_is_no_money() -> None:
    assert cost(refusal(1, **USED), [], {}) == Cost(
        input_tokens=1000, output_tokens=10, cache_read_tokens=20_000, cache_write_tokens=2000, lost_tokens=2000, ms=900
    )  # fmt: skip


def test_what_is_not_known_stays_unknown() -> None:
    assert cost(refusal(1), [], PRICES) == Cost()


def test_the_first_attempt_is_the_refusal_itself_and_is_not_counted_twice() -> None:
    found = cost(refusal(1, **USED), [FIRST, HOP], PRICES)
    assert (found.input_tokens, found.output_tokens, found.attempts, found.ms) == (25_000, 510, 2, 4900)
    assert found.usd == pytest.approx((1000 * 5 + 10 * 25 + 20_000 * 0.5 + 2000 * 6.25 + 24_000 * 4 + 500 * 20) / 1e6)
    assert found.at_least
    assert found.unpriced == []


def test_another_model_reads_anew_what_was_in_the_cache_and_what_was_written_is_lost() -> None:
    found = cost(refusal(1, **USED), [FIRST, HOP], {})
    assert (found.lost_tokens, found.again_tokens) == (2000, 22_000)


def test_an_answer_of_the_same_model_can_use_its_cache() -> None:
    found = cost(refusal(1, **USED), [FIRST, attempt(1, "claude-opus-5-20260724", Result.ANSWERED, input_tokens=1)], {})
    assert (found.lost_tokens, found.again_tokens) == (None, None)


@pytest.mark.parametrize(
    "other",
    [
        attempt(0, "claude-opus-4-8", Result.ANSWERED, ms=5),
        attempt(0, "claude-opus-4-8", ms=5),
        attempt(0, request_id="req_2", ms=5),
        attempt(0, None, ms=5),
    ],
)
def test_an_attempt_that_is_not_the_refusal_is_a_further_one(other: Attempt) -> None:
    found = cost(refusal(1, **USED), [other], {})
    assert (found.attempts, found.ms) == (2, 905)


def test_where_no_time_was_taken_that_of_the_attempt_counts() -> None:
    assert cost(refusal(1, **(USED | {"ms_to_refusal": None})), [FIRST], {}).ms == 1000
    assert cost(refusal(1, **(USED | {"ms_to_refusal": None})), [], {}).ms is None


def test_the_counts_of_a_message_that_the_api_recovered_are_those_of_its_last_try() -> None:
    tries = [
        attempt(0, input_tokens=535, output_tokens=0),
        attempt(1, "claude-opus-4-8", Result.ANSWERED, by="api", input_tokens=412, output_tokens=264),
    ]
    prices = {
        "claude-opus-5": PRICES["claude-opus-5"],
        "claude-opus-4-8": {**PRICES["claude-opus-4-8"], "cache_read": 1.0, "cache_write": 2.0},
    }
    found = cost(refusal(1, **(USED | {"input_tokens": 412, "output_tokens": 264, "request_id": None})), tries, prices)
    assert (found.input_tokens, found.output_tokens) == (947, 264)
    assert (found.lost_tokens, found.again_tokens) == (None, None)
    assert found.usd == pytest.approx((535 * 5 + 412 * 4 + 264 * 20 + 20_000 * 1 + 2000 * 2) / 1e6)


def test_a_hop_of_the_api_without_the_first_try_takes_the_messages_own_counts() -> None:
    only = attempt(1, "claude-opus-4-8", Result.ANSWERED, by="api", input_tokens=1)
    assert cost(refusal(1, **USED), [only], {}).input_tokens == 1001


@pytest.mark.parametrize(
    ("model", "priced"),
    [
        ("claude-opus-5", True),
        ("us.anthropic.claude-opus-5-20260724-v1:0", True),
        ("claude-opus-5[1m]", True),
        ("claude-opus-5-5", False),
        (None, False),
    ],
)
def test_a_price_is_found_by_the_exact_name_or_the_family(model: str | None, priced: bool) -> None:
    assert (cost(refusal(1, **(USED | {"model": model})), [], PRICES).usd is not None) is priced


def test_an_exact_name_goes_before_its_family() -> None:
    prices = {"claude-opus-5": {"input": 5.0}, "claude-opus-5[1m]": {"input": 10.0}}
    asked = refusal(1, model="claude-opus-5[1m]", input_tokens=1_000_000)
    assert cost(asked, [], prices).usd == 10.0


def test_what_has_no_price_is_named_beside_the_sum() -> None:
    found = cost(
        refusal(1, **USED), [FIRST, attempt(1, "local-model", input_tokens=5), attempt(2, None, input_tokens=5)], PRICES
    )
    assert found.usd
    assert found.unpriced == ["local-model", "unknown"]
    partly = cost(refusal(1, **USED), [], {"claude-opus-5": {"input": 5.0}})
    assert (partly.usd, partly.unpriced) == (0.005, ["claude-opus-5"])
