"""What became of a declined request is recorded attempt by attempt, and how it ended."""

import pytest

from answers import REFUSAL, start
from playbook import BEGAN, PRIMARY, SECOND, SESSION, SSE, TOKEN, answering, declining, said, watching
from playbook import request as asked
from proxy.core.answer import Answer
from proxy.core.exchange import Exchange
from proxy.core.ledger import Ledger, moved, turn_elsewhere
from proxy.core.splice import Refused
from proxy.core.tries import LEFT
from schemas.labels import Outcome, Result, Ruling, Strategy
from schemas.records import Attempt, Pin, Update

PIN = Pin(
    key="k",
    session_id="s",
    model=PRIMARY,
    answered_by=SECOND,
    at="2026",
    until="2026-11-23T15:00:00.000Z",
    refusal_id="01",
)


class Clock:
    at = BEGAN

    def __call__(self) -> float:
        return self.at


def exchange(clock: Clock) -> Exchange:
    given = asked()
    made = watching(clock).exchange(given.method, given.target, given.headers)
    assert made is not None
    made.sent(given.body or b"")
    made.opened(200, ((b"Content-Type", SSE),))
    return made


def answer(data: bytes) -> Answer:
    made = Answer()
    made.opened(200, ((b"Content-Type", SSE), (b"request-id", b"req_2")))
    made.feed(data)
    return made


def test_an_attempt_has_who_sent_it_what_it_cost_and_how_long_it_took() -> None:
    clock = Clock()
    ledger = Ledger(exchange(clock))
    ledger.began(SECOND, Strategy.FALLBACK)
    clock.at += 1.5
    ledger.ended(answer(answering(said(0, "Hi"))), Result.ANSWERED)
    (attempt,) = ledger.recovered(SECOND, None)().updates[0].attempts
    assert attempt == Attempt(
        n=0,
        by="demur",
        model=SECOND,
        outcome=Result.ANSWERED,
        input_tokens=412,
        output_tokens=3,
        strategy=Strategy.FALLBACK,
        status=200,
        request_id="req_2",
        message_id="msg_1",
        ms=1500,
    )


def test_the_client_s_own_attempt_has_no_strategy_and_a_refusal_its_category() -> None:
    ledger = Ledger(exchange(Clock()))
    ledger.began(PRIMARY)
    ledger.ended(answer(REFUSAL), Result.REFUSED)
    (attempt,) = ledger.recovered(SECOND, None)().updates[0].attempts
    assert (attempt.by, attempt.strategy, attempt.category) == ("client", None, "cyber")


def test_a_declined_attempt_has_what_the_client_had_been_sent_of_it() -> None:
    ledger = Ledger(exchange(Clock()))
    ledger.began(PRIMARY)
    refused = Refused(event={}, start={}, blocks=[], shown=True, held=2)
    ledger.ended(answer(REFUSAL), Result.REFUSED, refused=refused)
    ledger.began(SECOND, Strategy.FALLBACK)
    ledger.ended(answer(answering(said(0, "Hi"))), Result.ANSWERED)
    first, second = ledger.recovered(SECOND, None)().updates[0].attempts
    assert (first.shown, first.tools_held) == (True, 2)
    assert (second.shown, second.tools_held) == (None, None)


def test_an_attempt_that_failed_has_why_and_no_category() -> None:
    ledger = Ledger(exchange(Clock()))
    for given in (None, Answer()):
        ledger.began(SECOND, Strategy.FALLBACK)
        ledger.ended(given, Result.ERROR, "no route")
    first, second = ledger.recovered(SECOND, None)().updates[0].attempts
    assert (first.n, first.why, first.status, first.category, first.input_tokens) == (0, "no route", None, None, None)
    assert (second.n, second.status) == (1, None)


def test_what_was_answered_is_recovered_and_counts_so() -> None:
    made = exchange(Clock())
    made.open = True
    entry = Ledger(made).recovered(SECOND, PIN)()
    assert entry.updates == [
        Update(refusal_id=made.id, outcome=Outcome.RECOVERED_BY_DEMUR, answered_by=SECOND, ruling=Ruling.RECOVERED)
    ]
    assert entry.pins == [PIN]
    traffic = made.traffic()
    assert traffic is not None
    assert (traffic.outcome, traffic.answered_by) == (Result.RECOVERED_BY_DEMUR, SECOND)


def test_what_was_not_answered_is_refused_and_counts_so() -> None:
    made = exchange(Clock())
    entry = Ledger(made).stands(Ruling.EXHAUSTED)()
    assert entry.updates == [Update(refusal_id=made.id, ruling=Ruling.EXHAUSTED)]
    traffic = made.traffic()
    assert traffic is not None
    assert (traffic.outcome, traffic.answered_by) == (Result.REFUSED, "")


def test_only_a_refusal_that_reached_the_client_may_be_answered_by_it() -> None:
    for ruling, reached in ((Ruling.LEFT, 0), (Ruling.EXHAUSTED, 1)):
        made = exchange(Clock())
        Ledger(made).stands(ruling)()
        assert len(made._watcher.recent) == reached


@pytest.mark.parametrize(
    ("came", "outcome", "why", "tokens"),
    [
        (None, Result.CUT, LEFT, None),
        (start(SECOND), Result.CUT, LEFT, 412),
        (declining(), Result.REFUSED, None, 412),
    ],
    ids=["before the head", "in the answer", "at its own refusal"],
)
def test_an_attempt_that_is_under_way_when_the_client_leaves_is_recorded_as_far_as_it_came(
    came: bytes | None, outcome: Result, why: str | None, tokens: int | None
) -> None:
    ledger = Ledger(exchange(Clock()))
    ledger.began(PRIMARY)
    ledger.ended(answer(REFUSAL), Result.REFUSED)
    ledger.began(SECOND, Strategy.FALLBACK)
    if came is not None:
        ledger.opened(answer(came))
    _, attempt = ledger.stands(Ruling.LEFT)().updates[0].attempts
    assert (attempt.by, attempt.model, attempt.strategy) == ("demur", SECOND, Strategy.FALLBACK)
    assert (attempt.outcome, attempt.why, attempt.input_tokens) == (outcome, why, tokens)


@pytest.mark.parametrize("strategy", [None, Strategy.STICKY])
def test_the_first_attempt_is_no_further_one_when_the_client_leaves(strategy: Strategy | None) -> None:
    ledger = Ledger(exchange(Clock()))
    ledger.began(PRIMARY, strategy)
    assert ledger.stands(Ruling.LEFT)().updates[0].attempts == []


def test_an_attempt_that_had_ended_is_recorded_once_when_the_client_leaves() -> None:
    ledger = Ledger(exchange(Clock()))
    ledger.began(SECOND, Strategy.FALLBACK)
    ledger.ended(None, Result.ERROR, "no route")
    (attempt,) = ledger.stands(Ruling.LEFT)().updates[0].attempts
    assert attempt.why == "no route"


def test_attempts_at_a_refusal_that_is_known_are_put_behind_those_before() -> None:
    made = exchange(Clock())
    made.known = True
    ledger = Ledger(made)
    ledger.began(PRIMARY)
    ledger.ended(answer(REFUSAL), Result.REFUSED)
    (update,) = ledger.stands(Ruling.EXHAUSTED)().updates
    assert ([attempt.n for attempt in update.attempts], update.ruling) == ([-1], None)


def test_a_rephrasing_stands_beside_its_attempt_without_its_secrets() -> None:
    ledger = Ledger(exchange(Clock()))
    ledger.ended(None, Result.REFUSED)
    key = "sk-ant-api03-" + "a1B2c3D4e5" * 9 + "-AAAAAA"
    ledger.rephrased(Strategy.TRIM, f"with {key}", "without")
    (rephrasing,) = ledger.recovered(SECOND, None)().updates[0].rephrasings
    assert (rephrasing.n, rephrasing.strategy, rephrasing.sent) == (1, Strategy.TRIM, "without")
    assert key not in rephrasing.original


def test_a_token_is_not_recorded() -> None:
    ledger = Ledger(exchange(Clock()))
    ledger.began(PRIMARY)
    ledger.ended(answer(declining(fallback_credit_token=TOKEN)), Result.REFUSED)
    assert TOKEN not in str(ledger.stands(Ruling.EXHAUSTED)())


def test_a_conversation_is_pinned_for_so_many_seconds() -> None:
    made = exchange(Clock())
    pin = Ledger(made).pin("k", SECOND, 60.0)
    assert (pin.session_id, pin.model, pin.answered_by, pin.refusal_id) == (SESSION.decode(), PRIMARY, SECOND, made.id)
    assert (pin.at, pin.until, pin.turns) == ("2026-09-21T14:13:20.000Z", "2026-09-21T14:14:20.000Z", 0)


def test_each_turn_moves_a_pin_and_never_back() -> None:
    later = moved(PIN, 2e9, 60.0)
    assert (later.until, later.turns) == ("2033-05-18T03:34:20.000Z", 1)
    assert moved(PIN, 1e9, 60.0).until == PIN.until


def test_a_turn_elsewhere_counts_with_the_refusal_that_it_came_from() -> None:
    entry = turn_elsewhere(PIN)()
    assert (entry.updates, entry.pins) == ([Update(refusal_id="01", turns_elsewhere=1)], [PIN])
    nameless = Pin(key="k", session_id="s", model=PRIMARY, answered_by=SECOND, at="", until="")
    assert turn_elsewhere(nameless)().updates == []


@pytest.mark.parametrize("strategy", list(Strategy))
def test_only_what_was_put_differently_is_not_what_the_client_had_asked(strategy: Strategy) -> None:
    told = exchange(Clock())
    ledger = Ledger(told)
    ledger.began(SECOND, strategy)
    ledger.recovered(SECOND, None)
    assert told.changed is (strategy in {Strategy.SCOPE_NOTE, Strategy.TRIM, Strategy.RESTATE})
