"""However the next models fail, the refusal stands as it came; and how many may be asked, and for how long."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import PING, REFUSAL, STOP, end, start
from playbook import (
    ASKED_WHOLE,
    CHAIN,
    CLAIMED,
    CREDIT,
    CUT,
    NO_ROUTE,
    OVERLOADED,
    PARTIAL,
    PRIMARY,
    SDK,
    SECOND,
    SERVED,
    TOKEN,
    UNCLAIMED,
    Answer,
    Json,
    Memory,
    Piece,
    answering,
    declined,
    declining,
    encoded,
    failing,
    message,
    outline,
    play,
    refused_message,
    request,
    retry,
    said,
    silent,
    texts,
    thought,
    whole,
    without_credit,
)
from proxy.core.commands import (
    Abort,
    Count,
    Finish,
    Keep,
    Note,
    Open,
    Respond,
    Write,
)
from proxy.core.hops import ERROR_S, LARGEST_ERROR, TOTAL_S
from proxy.core.message import parse
from proxy.core.passage import STOPPED_S, TAIL_S
from proxy.core.plan import Learned
from schemas.labels import Outcome, Result, Ruling

ONE: list[Json] = [{"model": SECOND}]


# where no other model answers, the refusal stands


FAILING: dict[str, Answer] = {
    "400": failing(400),
    "429": failing(429),
    "529": failing(529),
    "redirect": failing(302),
    "refused": Answer([declining(model=SECOND)]),
    "refused after thinking": Answer([declining(thought(0, "hm"), model=SECOND)]),
    "no route": Answer(head=NO_ROUTE),
    "cut before the head": Answer(head=CUT),
    "no head": Answer(after=1000.0),
    "cut at once": Answer([CUT]),
    "cut after its start": Answer([start(SECOND), CUT]),
    "cut after thinking": Answer([start(SECOND) + thought(0, "hm"), CUT]),
    "silent": silent(),
    "silent after its start": silent(start(SECOND)),
    "empty": Answer([]),
    "no end": Answer([start(SECOND)]),
    "an error event": Answer([start(SECOND) + OVERLOADED]),
    "another form": whole(message()),
    "another form, no type": Answer([SERVED], kind=None),
    "damaged": Answer([b"no gzip"], headers=((b"Content-Encoding", b"gzip"),)),
    "unknown coding": Answer([SERVED], headers=((b"Content-Encoding", b"rot13"),)),
    "no events": Answer([b"hello"]),
}
FIRST: dict[str, bytes] = {
    "before output": declining(PING, **CLAIMED),
    "after thinking": declining(thought(0, "hm"), **UNCLAIMED),
    "mid text": declining(said(0, "Hi"), **CLAIMED),
    "mid text, left open": declining(said(0, "Hi", left_open=True), **CLAIMED),
}
MENDED_LATER = {"refused", "refused after thinking", "an error event"}
"""After text these are told apart in test_retry.py, where they are expected to fail."""


def cases() -> Iterator[Any]:
    for when, first in FIRST.items():
        for how, answer in FAILING.items():
            if when.startswith("mid text") and how in MENDED_LATER:
                continue
            yield pytest.param(when, first, how, answer, id=f"{when}, {how}")


@pytest.mark.parametrize(("when", "first", "how", "answer"), list(cases()))
@pytest.mark.parametrize("hops", [1, 3])
def test_the_refusal_stands_byte_for_byte_however_the_hops_fail(
    when: str, first: bytes, how: str, answer: Answer, hops: int
) -> None:
    played = play(retry(fallback=CHAIN[:hops], max_attempts=9), Answer([first]), *[answer] * hops)
    assert played.body == without_credit(first)
    assert (played.outcome, played.count) == (Outcome.REFUSED, Result.REFUSED)
    assert played.ruling in {Ruling.EXHAUSTED, Ruling.HOLD, Ruling.MID_STREAM}
    assert played.is_whole
    assert (played.head.status, played.field("x-demur-answered-by")) == (200, [])


@given(
    st.sampled_from(sorted(FIRST)),
    st.lists(st.sampled_from([answer for how, answer in FAILING.items() if "refused" not in how]), max_size=3),
    st.sampled_from(["thinking", "block"]),
)
def test_it_stands_whatever_fails_after_whatever(when: str, hops: list[Answer], hold: str) -> None:
    if hold == "block":
        hops = [] if when == "after thinking" else [hop for hop in hops if hop is not FAILING["cut after thinking"]]
    if when.startswith("mid text"):
        hops = [hop for hop in hops if hop is not FAILING["an error event"]]
    settings = retry(fallback=CHAIN[: len(hops)] or ONE, hold=hold, max_attempts=3 if hops else 0, hold_s=10_000)
    played = play(settings, Answer([FIRST[when]]), *hops)
    assert played.body == without_credit(FIRST[when])


def test_its_head_gains_the_exchange_and_nothing_else() -> None:
    given = Answer([REFUSAL], headers=((b"X-Own", b"1"), (b"Transfer-Encoding", b"chunked"), (b"Set-Cookie", b"a")))
    played = play(retry(fallback=ONE), given, failing(529))
    assert played.head.headers[:-1] == given.opened.headers
    assert played.head.headers[-1][0] == b"x-demur-exchange"


def test_how_it_ended_is_recorded_attempt_by_attempt() -> None:
    played = play(retry(), Answer([REFUSAL]), failing(529), Answer(head=NO_ROUTE), Answer(after=99.0))
    assert played.ruling == Ruling.EXHAUSTED
    assert [(attempt.outcome, attempt.status, attempt.why) for attempt in played.attempts] == [
        (Result.REFUSED, 200, None),
        (Result.ERROR, 529, "HTTP 529, overloaded_error"),
        (Result.ERROR, None, "no route"),
        (Result.ERROR, None, "no answer in time"),
    ]


@pytest.mark.parametrize(
    ("error", "why"),
    [
        ({"type": "overloaded_error", "message": "SECRET"}, "HTTP 529, overloaded_error"),
        ({"type": "SECRET words", "message": "x"}, "HTTP 529"),
        ({"type": 5}, "HTTP 529"),
        ("overloaded", "HTTP 529"),
    ],
)
def test_of_an_error_its_type_is_recorded_and_never_its_text(error: object, why: str) -> None:
    failed = Answer([json.dumps({"type": "error", "error": error}).encode()], status=529)
    played = play(retry(fallback=ONE), Answer([REFUSAL]), failed)
    assert [attempt.why for attempt in played.attempts] == [None, why]


def test_a_refusal_that_the_api_cuts_is_cut() -> None:
    played = play(retry(max_attempts=0), Answer([start() + declined(), CUT]))
    assert (played.body, type(played.ending)) == (start() + declined(), Abort)


def test_a_refusal_keeps_its_trailers() -> None:
    given = Answer([REFUSAL], trailers=((b"X", b"1"),))
    assert play(retry(fallback=ONE), given, failing(500)).ending == Finish(((b"X", b"1"),))


@pytest.mark.parametrize("wire", ["plain", "marked"])
def test_once_its_last_event_has_come_nobody_waits_for_the_end_of_a_refusal(wire: str) -> None:
    hop = Answer([declining(model=SECOND), 1.0])
    played = play(retry(wire=wire, fallback=CHAIN[:2]), Answer([REFUSAL, 1.0]), hop, Answer([SERVED]))
    assert (played.ruling, played.clock) == (Ruling.RECOVERED, 2 * STOPPED_S)


def test_its_last_event_comes_once() -> None:
    assert play(retry(fallback=ONE), Answer([REFUSAL, 1.0]), failing(500)).body == REFUSAL


def test_without_its_last_event_the_end_of_a_refusal_is_waited_for_only_so_long() -> None:
    first = Answer([start() + declined(), 3.0, STOP])
    assert play(retry(), first, Answer([SERVED])).clock == TAIL_S
    stands = play(retry(fallback=ONE), first, failing(500))
    assert (outline(stands.body), stands.is_whole) == (outline(REFUSAL), True)


def test_the_end_of_a_refusal_that_takes_its_time_still_comes() -> None:
    played = play(retry(max_attempts=0), Answer([start() + declined(), TAIL_S + 1, STOP]))
    assert played.body == REFUSAL or not played.is_whole


@pytest.mark.parametrize("last", [declined()[:-1], declined()[:-2]], ids=["half a blank line", "none"])
def test_a_refusal_that_lacks_its_last_blank_line_is_answered_or_stands_too(last: bytes) -> None:
    assert play(retry(), Answer([start() + last]), Answer([SERVED])).body == SERVED
    stands = play(retry(fallback=ONE), Answer([start() + last]), failing(500))
    assert (stands.body, stands.ruling) == (start() + last, Ruling.EXHAUSTED)


# whole bodies


def test_a_whole_refusal_is_answered_by_a_whole_answer() -> None:
    played = play(retry(), whole(refused_message()), whole(message({"type": "text", "text": "Hi"})), asked=ASKED_WHOLE)
    assert parse(played.body)["content"] == [{"type": "text", "text": "Hi"}]
    assert played.field("content-length") == [str(len(played.body))]
    assert played.field("x-demur-answered-by") == [SECOND]
    assert (played.ruling, played.count) == (Ruling.RECOVERED, Result.RECOVERED_BY_DEMUR)
    assert played.kinds == [Open, Keep, Open, Keep, Respond, Write, Count, Finish]


def test_a_whole_answer_is_passed_on_as_it_came() -> None:
    given = whole(message({"type": "text", "text": "Hi"}))
    played = play(retry(), given, asked=ASKED_WHOLE)
    assert played.body == given.body[0]
    assert played.head.headers[:-1] == given.opened.headers


WHOLE_FAILING: dict[str, Answer] = {
    "529": failing(529),
    "refused": whole(refused_message(model=SECOND, **CLAIMED)),
    "no route": Answer(head=NO_ROUTE),
    "cut": Answer([encoded(message())[:40], CUT], kind=b"application/json"),
    "silent": silent(),
    "silent body": Answer([encoded(message())[:40], float("inf")], kind=b"application/json"),
    "a stream": Answer([SERVED]),
    "empty": Answer([], kind=b"application/json"),
    "no message": whole({"ok": True}),
    "an error": whole({"type": "error", "error": {"type": "api_error", "message": "x"}}),
    "no json": Answer([b"<html>"], kind=b"text/html"),
}


@pytest.mark.parametrize("how", WHOLE_FAILING)
@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("hops", [1, 3])
def test_a_whole_refusal_stands_byte_for_byte_however_the_hops_fail(how: str, partial: bool, hops: int) -> None:
    content = [{"type": "text", "text": "Par"}] if partial else []
    settings = retry(fallback=CHAIN[:hops], hold_s=10_000, max_attempts=9)
    given = whole(refused_message(*content, **CLAIMED))
    played = play(settings, given, *[WHOLE_FAILING[how]] * hops, asked=ASKED_WHOLE)
    expected = encoded(refused_message(*content))
    assert played.body == expected
    assert played.field("content-length") == [str(len(expected))]
    assert (played.ruling, played.is_whole) == (Ruling.EXHAUSTED, True)


def test_a_client_that_asked_for_credit_gets_a_whole_refusal_byte_for_byte() -> None:
    given = whole(refused_message(**CLAIMED))
    played = play(retry(max_attempts=0), given, asked=request({"stream": False}, SDK + CREDIT))
    assert played.body == given.body[0]
    assert played.head.headers[:-1] == given.opened.headers


def test_a_whole_answer_that_breaks_off_is_broken_off() -> None:
    body = encoded(message())
    played = play(
        retry(),
        Answer([body[:40], CUT], kind=b"application/json", headers=((b"Content-Length", b"%d" % len(body)),)),
        asked=ASKED_WHOLE,
    )
    assert (played.body, played.field("content-length")) == (body[:40], [str(len(body))])
    assert isinstance(played.ending, Abort)


def test_a_partial_answer_in_a_whole_refusal_is_dropped() -> None:
    played = play(
        retry(), whole(refused_message({"type": "text", "text": "Par"}, **CLAIMED)), whole(message()), asked=ASKED_WHOLE
    )
    assert played.sent[1]["messages"] == played.sent[0]["messages"]


def test_a_whole_refusal_that_took_too_long_tells_nothing_of_credit() -> None:
    body = encoded(refused_message(**CLAIMED))
    played = play(retry(hold_s=60), Answer([61.0, body], kind=b"application/json"), asked=ASKED_WHOLE)
    assert TOKEN.encode() not in played.body
    assert played.ruling == Ruling.HOLD


# bounds


def test_what_is_held_back_goes_out_when_time_is_over_and_a_later_refusal_is_one_after_output() -> None:
    first = Answer([start(), thought(0, "hm"), 61.0, declined(**CLAIMED) + STOP])
    played = play(retry(hold_s=60), first)
    assert played.written[0] == start() + thought(0, "hm")
    assert (played.ruling, played.clock) == (Ruling.MID_STREAM, 61.0)
    assert played.body == declining(thought(0, "hm"))


def test_time_is_over_only_once() -> None:
    played = play(
        retry(hold_s=10), Answer([start(), 11.0, PING, 100.0, thought(0, "hm"), 100.0, said(1, "Hi") + end() + STOP])
    )
    assert played.written[:3] == [start(), PING, thought(0, "hm")]


def test_nothing_is_held_back_where_no_time_is_given() -> None:
    played = play(retry(hold_s=0), Answer([start(), 0.1, said(0, "Hi") + end() + STOP]))
    assert played.written[0] == start()


def test_before_output_there_is_no_more_time_for_hops_than_is_left() -> None:
    first = Answer([start(), 50.0, declined() + STOP])
    played = play(retry(hold_s=60), first, Answer([SERVED], after=30.0), Answer([SERVED]))
    assert played.clock == 60.0
    assert (played.asked[1].within, played.ruling, played.models) == (10.0, Ruling.HOLD, [PRIMARY, SECOND])


def test_an_api_that_was_silent_for_so_long_leaves_no_more_time_either() -> None:
    played = play(retry(hold_s=60, fallback=ONE), Answer([61.0, REFUSAL]), silent(start(SECOND)))
    assert played.clock <= 61.0 + 60.0


def test_a_model_that_is_still_thinking_when_time_is_over_is_shown_thinking() -> None:
    answer = answering(thought(0, "hm"), said(1, "Served."))
    thinking = start(SECOND) + thought(0, "hm")
    played = play(retry(hold_s=60), Answer([REFUSAL]), Answer([thinking, 70.0, answer.removeprefix(thinking)]))
    assert (played.body, played.written[0], played.ruling) == (answer, thinking, Ruling.RECOVERED)


def test_one_that_is_declined_after_it_was_shown_thinking_ends_with_its_own_refusal() -> None:
    second = declining(thought(0, "hm"), model=SECOND)
    thinking = start(SECOND) + thought(0, "hm")
    played = play(retry(hold_s=60), Answer([REFUSAL]), Answer([thinking, 70.0, second.removeprefix(thinking)]))
    assert (played.body, played.ruling) == (second, Ruling.MID_STREAM)


def test_one_that_thinks_for_longer_than_an_answer_may_take_is_broken_off() -> None:
    thinking = start(SECOND) + thought(0, "hm", left_open=True)
    played = play(retry(hold_s=60), Answer([REFUSAL]), silent(thinking))
    assert (played.body, played.clock, played.count) == (thinking, TOTAL_S, Result.REFUSED)
    assert isinstance(played.ending, Abort)


def test_after_output_a_hop_has_its_own_time() -> None:
    first = Answer([start() + PARTIAL, 500.0, declined(**CLAIMED) + STOP])
    played = play(retry(hold_s=60), first, Answer([SERVED], after=30.0))
    assert (played.asked[1].within, played.ruling) == (45.0, Ruling.RECOVERED)


def test_a_request_has_so_many_attempts_and_no_more() -> None:
    played = play(retry(max_attempts=2), Answer([REFUSAL]), failing(500), failing(500))
    assert (played.ruling, len(played.asked)) == (Ruling.MAX_ATTEMPTS, 3)


def test_a_session_has_so_many_attempts_an_hour_and_no_more() -> None:
    played = play(retry(max_per_hour=5), Answer([REFUSAL]), counsel=Memory(counted=5))
    assert (played.ruling, played.body) == (Ruling.MAX_PER_HOUR, REFUSAL)


@pytest.mark.parametrize("asked", [{}, {"stream": False}], ids=["streamed", "whole"])
def test_two_requests_at_once_have_no_more_either(asked: Json) -> None:
    class Parallel(Memory):
        """Another request of the session is always a moment ahead."""

        def attempts(self, session_id: str | None) -> int:
            seen, self.counted = self.counted, self.counted + 1
            return seen

    first = Answer([REFUSAL]) if not asked else whole(refused_message())
    played = play(retry(max_per_hour=5), first, counsel=Parallel(counted=4), asked=request(asked))
    assert (played.ruling, played.models) == (Ruling.MAX_PER_HOUR, [PRIMARY])


def test_what_a_person_judged_correct_is_not_asked_again() -> None:
    counsel = Memory(judged=True)
    played = play(retry(), Answer([REFUSAL]), counsel=counsel)
    assert (played.ruling, played.body) == (Ruling.JUDGED_CORRECT, REFUSAL)
    assert counsel.marks == [played.kept[0].refusals[0].fingerprint]


def test_where_verdicts_cannot_be_read_nothing_is_asked_again() -> None:
    played = play(retry(), Answer([REFUSAL]), counsel=Memory(judged=None))
    assert (played.ruling, played.body) == (Ruling.STORE, REFUSAL)


def test_a_request_that_says_nothing_cannot_have_been_judged() -> None:
    counsel = Memory(judged=True)
    play(retry(), Answer([REFUSAL]), Answer([SERVED]), asked=request({"messages": []}), counsel=counsel)
    assert counsel.marks == []


def test_a_model_that_cannot_take_the_request_is_passed_over() -> None:
    forced = request({"tool_choice": {"type": "any"}, "tools": []})
    chain = [{"model": "claude-opus-5-5"}, {"model": SECOND}]
    played = play(retry(fallback=chain), Answer([REFUSAL]), Answer([SERVED]), asked=forced)
    assert (played.models, played.notes) == ([PRIMARY, SECOND], ["hop.unfit"])
    none = play(retry(fallback=chain[:1]), Answer([REFUSAL]), asked=forced)
    assert (none.ruling, none.body) == (Ruling.UNFIT, REFUSAL)


# a token never comes to the client


WITH_TOKEN = declining(PARTIAL, **CLAIMED)
CUTS = range(WITH_TOKEN.index(TOKEN.encode()), len(WITH_TOKEN))


@pytest.mark.parametrize("wire", ["plain", "marked"])
@pytest.mark.parametrize("last", [[], [CUT]], ids=["ended", "cut"])
def test_wherever_an_answer_breaks_off_no_token_goes_out(wire: str, last: list[Piece]) -> None:
    for at in CUTS:
        first = Answer([WITH_TOKEN[:at], *last])
        alone = play(retry(wire=wire, max_attempts=0), first)
        later = play(retry(wire=wire, fallback=ONE), Answer([WITH_TOKEN]), first)
        for played in (alone, later):
            assert TOKEN[:9].encode() not in played.body, at


def test_wherever_a_whole_answer_breaks_off_no_token_goes_out() -> None:
    body = encoded(refused_message(**CLAIMED))
    for at in range(body.index(TOKEN.encode()), len(body)):
        for last in ([], [CUT]):
            played = play(retry(), Answer([body[:at], *last], kind=b"application/json"), asked=ASKED_WHOLE)
            assert TOKEN[:9].encode() not in played.body


@pytest.mark.parametrize("wire", ["plain", "marked"])
@pytest.mark.parametrize("less", [1, 2])
def test_a_later_answer_may_lack_its_last_blank_line(wire: str, less: int) -> None:
    answer = answering(said(0, "Served."))[:-less]
    played = play(retry(wire=wire), Answer([declining(PARTIAL, **CLAIMED)]), Answer([answer]))
    assert (played.ruling, texts(played.body)) == (Ruling.RECOVERED, "Partial Served.")
    assert outline(played.body)[-2:] == ["message_delta end_turn", "message_stop"]


@pytest.mark.parametrize("wire", ["plain", "marked"])
def test_a_later_refusal_may_lack_its_last_blank_line(wire: str) -> None:
    second = declining(said(0, "on"), model=SECOND, last=b"", **CLAIMED)[:-1]
    third = Answer([answering(said(0, " and on"))])
    played = play(retry(wire=wire), Answer([declining(PARTIAL, **CLAIMED)]), Answer([second]), third)
    assert (played.ruling, texts(played.body)) == (Ruling.RECOVERED, "Partial on and on")
    assert TOKEN.encode() not in played.body


# what is learned of a model


REJECTED = failing(400, '"thinking.type.enabled" is not supported for this model')
THINKING: Json = {"thinking": {"type": "enabled", "budget_tokens": 9}}
CHAIN_OF_ONE = [{"model": "claude-unheard-of"}]


def test_a_field_that_a_model_rejects_is_left_out_from_then_on_and_told() -> None:
    learned = Learned({})
    settings = retry(fallback=CHAIN_OF_ONE)
    first = play(settings, Answer([REFUSAL]), REJECTED, asked=request(THINKING), learned=learned)
    assert ("thinking" in first.sent[1], first.notes) == (True, ["hop.learned"])
    assert [note.facts for note in first.of(Note)] == [{"model": "claude-unheard-of", "field": "thinking"}]
    second = play(settings, Answer([REFUSAL]), Answer([SERVED]), asked=request(THINKING), learned=learned)
    assert ("thinking" in second.sent[1], second.ruling) == (False, Ruling.RECOVERED)


def test_it_is_learned_for_that_model_alone() -> None:
    learned = Learned({})
    settings = retry(fallback=[*CHAIN_OF_ONE, {"model": "claude-unknown"}])
    played = play(settings, Answer([REFUSAL]), REJECTED, Answer([SERVED]), asked=request(THINKING), learned=learned)
    assert "thinking" in played.sent[2]


def test_an_appended_turn_that_is_refused_teaches_nothing() -> None:
    learned = Learned({})
    refused = failing(
        400, "This model does not support assistant message prefill. The conversation must end with a user message."
    )
    play(retry(fallback=ONE), Answer([declining(PARTIAL, **CLAIMED)]), refused, learned=learned)
    assert learned.of(SECOND) == set()


@pytest.mark.parametrize(
    "body",
    [[b"x" * (LARGEST_ERROR + 1), float("inf")], [ERROR_S - 1, b"x", 2.0], [b"{", CUT], [float("inf")]],
    ids=["too large", "too slow", "cut", "never"],
)
def test_an_error_is_read_only_so_far_and_so_long(body: list[Piece]) -> None:
    played = play(retry(fallback=CHAIN[:2]), Answer([REFUSAL]), Answer(body, status=400), Answer([SERVED]))
    assert played.ruling == Ruling.RECOVERED
    assert played.clock <= ERROR_S


def test_an_error_that_comes_in_pieces_is_read_whole() -> None:
    learned = Learned({})
    (body,) = REJECTED.body
    assert isinstance(body, bytes)
    pieces = Answer([body[:9], 1.0, body[9:]], status=400, kind=b"application/json")
    play(retry(fallback=CHAIN_OF_ONE), Answer([REFUSAL]), pieces, asked=request(THINKING), learned=learned)
    assert learned.of("claude-unheard-of") == {"thinking"}


def test_an_error_that_is_encoded_teaches_too() -> None:
    learned = Learned({})
    (body,) = REJECTED.body
    assert isinstance(body, bytes)
    coded = Answer(
        [gzip.compress(body)], status=400, kind=b"application/json", headers=((b"Content-Encoding", b"gzip"),)
    )
    play(retry(fallback=CHAIN_OF_ONE), Answer([REFUSAL]), coded, asked=request(THINKING), learned=learned)
    assert learned.of("claude-unheard-of") == {"thinking"}


# speed


FAST = request({"speed": "fast"})


@pytest.mark.parametrize("status", [429, 529])
def test_a_fast_attempt_without_capacity_is_made_once_more_without_speed(status: int) -> None:
    played = play(retry(), Answer([REFUSAL]), failing(status), Answer([SERVED]), asked=FAST)
    assert [(body["model"], body.get("speed")) for body in played.sent] == [
        (PRIMARY, "fast"),
        (SECOND, "fast"),
        (SECOND, None),
    ]
    assert [outcome for _, outcome in played.results] == ["refused", "error", "answered"]


@pytest.mark.parametrize(
    ("asked", "chain", "failed", "more"),
    [
        (FAST, ONE, failing(500), {}),
        (FAST, ONE, Answer(head=NO_ROUTE), {}),
        (FAST, [{"model": SECOND, "speed": "fast"}], failing(529), {}),
        (request(), ONE, failing(529), {}),
        (FAST, ONE, failing(529), {"max_attempts": 1}),
    ],
    ids=["another error", "no answer", "the owner's own", "not fast", "no more attempts"],
)
def test_else_it_is_not(asked: Open, chain: list[Json], failed: Answer, more: Json) -> None:
    assert len(play(retry(fallback=chain, **more), Answer([REFUSAL]), failed, asked=asked).asked) == 2


# in the official shape


@pytest.mark.parametrize("how", [how for how in FAILING if "refused" not in how and "thinking" not in how])
def test_an_attempt_that_fails_before_output_leaves_no_trace(how: str) -> None:
    rungs = [FAILING[how]] * (2 if how == "400" else 1)
    for first in (REFUSAL, declining(said(0, "Hi"), **UNCLAIMED), declining(said(0, "Hi"), **CLAIMED)):
        hops = rungs if b"true" in first else rungs[:1]
        settings = retry(wire="marked", fallback=CHAIN[:2], hold_s=10_000, max_attempts=9)
        played = play(settings, Answer([first]), *hops, Answer([SERVED]))
        direct = play(retry(wire="marked", fallback=[CHAIN[1]]), Answer([first]), Answer([SERVED]))
        assert played.body == direct.body


def test_one_request_does_not_go_beyond_what_its_session_has_left_for_the_hour() -> None:
    played = play(retry(max_per_hour=2), Answer([declining()]), failing(529), failing(529), counsel=Memory())
    assert len(played.asked) == 3
    assert played.ruling == "max_per_hour"
