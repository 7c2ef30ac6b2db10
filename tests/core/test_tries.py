"""What the attempts at a declined request tell of its course."""

from typing import Any

import pytest

from proxy.core import tries
from proxy.core.tries import Trouble
from schemas.labels import Result, Strategy
from schemas.records import Attempt


def attempt(outcome: Result = Result.REFUSED, **fields: Any) -> Attempt:
    return Attempt(**{"n": 0, "by": "demur", "model": "m", "outcome": outcome, **fields})


FIRST = attempt(by="client", shown=True, tools_held=2)
STICKY = attempt(strategy=Strategy.STICKY)
ASKED = attempt(strategy=Strategy.PRIMARY)
FAILED = attempt(Result.ERROR, strategy=Strategy.FALLBACK, status=529)
UNSENT = attempt(Result.ERROR, strategy=Strategy.RESTATE, why="not sent: it adds a claim")
RESTATED = attempt(Result.ANSWERED, strategy=Strategy.RESTATE)


def test_in_vain_is_what_demur_sent_after_the_refusal_and_nobody_answered() -> None:
    later = attempt(Result.CUT, by="client"), attempt(by="api")
    assert tries.in_vain([STICKY, ASKED, FAILED, UNSENT, *later, RESTATED]) == [ASKED, FAILED]
    assert tries.in_vain([FIRST]) == []


def test_the_answer_is_the_last_one() -> None:
    earlier = attempt(Result.ANSWERED)
    assert tries.answered([FIRST, earlier, RESTATED, FAILED]) is RESTATED
    assert tries.answered([FIRST, FAILED]) is None


def test_a_conversation_had_stayed_elsewhere_where_that_model_declined() -> None:
    assert tries.stayed([STICKY, ASKED])
    assert not tries.stayed([FIRST, ASKED])
    assert not tries.stayed([attempt(Result.ANSWERED, strategy=Strategy.STICKY)])


def test_before_each_restated_attempt_there_was_one_request_more() -> None:
    assert tries.restatements([FIRST, RESTATED, attempt(strategy=Strategy.RESTATE)]) == 2
    assert tries.restatements([FIRST, UNSENT, FAILED]) == 0


def test_what_the_client_was_sent_is_that_of_the_first_attempt() -> None:
    assert (tries.shown([FIRST, STICKY]), tries.held([FIRST, STICKY])) == (True, 2)
    assert (tries.shown([]), tries.held([])) == (None, None)


@pytest.mark.parametrize(
    ("failed", "trouble", "reason"),
    [
        (attempt(status=200), Trouble.DECLINED, "HTTP 200"),
        (FAILED, Trouble.CAPACITY, "HTTP 529"),
        (attempt(Result.ERROR, status=429, why="HTTP 429, rate_limit_error"), Trouble.CAPACITY, "HTTP 429, rate_limit_error"),
        (attempt(Result.ERROR, status=404), Trouble.REJECTED, "HTTP 404"),
        (attempt(Result.CUT, status=529, why=tries.LEFT), Trouble.LEFT, "the client left"),
        (attempt(Result.ERROR, status=500), Trouble.UNANSWERED, "HTTP 500"),
        (attempt(Result.ERROR), Trouble.UNANSWERED, None),
        (attempt(Result.CUT, status=200, why="it broke off"), Trouble.UNANSWERED, "it broke off"),
    ],
    ids=str,
)  # fmt: skip
def test_how_an_attempt_failed(failed: Attempt, trouble: Trouble, reason: str | None) -> None:
    assert tries.trouble(failed) is trouble
    assert tries.reason(failed) == reason
