"""A declined request is asked again inside the answer that is already open; what may follow depends on what the client has been sent."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from types import FunctionType, ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import ANSWER, PING, REFUSAL, STOP, block, delta, end, start, stop
from playbook import (
    ASKED_WHOLE,
    CHAIN,
    CLAIMED,
    CLIENT,
    CREDIT,
    CUT,
    LEFT,
    NO_ROUTE,
    OVERLOADED,
    PARTIAL,
    PRIMARY,
    SDK,
    SECOND,
    SERVED,
    THIRD,
    TOKEN,
    UNCLAIMED,
    UNPAID,
    Answer,
    Book,
    Json,
    Memory,
    Piece,
    answering,
    at_cuts,
    called,
    declining,
    encoded,
    failing,
    found,
    message,
    outline,
    play,
    refused_message,
    request,
    retry,
    said,
    texts,
    thought,
    whole,
    without_credit,
)
from proxy.core import (
    answer,
    conversation,
    graft,
    heads,
    hop,
    hops,
    ledger,
    marked,
    passage,
    permission,
    plan,
    policy,
    splice,
    stay,
    through,
)
from proxy.core import whole as whole_body
from proxy.core.commands import (
    Abort,
    Event,
    Keep,
    Note,
    Open,
    Respond,
)
from proxy.core.headers import Headers
from proxy.core.hops import Hops
from proxy.core.ledger import Ledger
from proxy.core.message import parse
from proxy.core.passage import Passage
from proxy.core.sse import frames
from proxy.core.through import Through
from schemas.labels import Outcome, Result, Ruling, Strategy
from schemas.records import Pin
from schemas.settings import Rephrase, Retry

ONE: list[Json] = [{"model": SECOND}]


# before output


@pytest.mark.parametrize(
    ("hold", "first"),
    [
        ("block", REFUSAL),
        ("block", declining(PING)),
        ("thinking", REFUSAL),
        ("thinking", declining(thought(0, "hm"))),
        ("thinking", declining(PING, thought(0, "hm"), PING)),
    ],
)
def test_of_a_refusal_before_output_the_client_sees_nothing(hold: str, first: bytes) -> None:
    played = play(retry(hold=hold), Answer([first]), Answer([SERVED]))
    assert played.body == SERVED
    assert played.models == [PRIMARY, SECOND]
    assert played.field("x-demur-answered-by") == [SECOND]
    assert (played.outcome, played.ruling) == (Outcome.RECOVERED_BY_DEMUR, Ruling.RECOVERED)
    assert played.results == [(PRIMARY, Result.REFUSED), (SECOND, Result.ANSWERED)]
    assert (played.count, played.counted[0].answered_by) == (Result.RECOVERED_BY_DEMUR, SECOND)


@given(st.lists(st.integers(0, 10**6), max_size=8), st.lists(st.integers(0, 10**6), max_size=8))
def test_it_is_answered_wherever_the_network_cuts(first: list[int], second: list[int]) -> None:
    refusal = declining(thought(0, "hm"))
    played = play(retry(), Answer(at_cuts(refusal, first)), Answer(at_cuts(SERVED, second)))
    assert played.body == SERVED


def test_the_head_is_that_of_the_answer() -> None:
    fields: Headers = ((b"anthropic-ratelimit-requests-remaining", b"7"),)
    played = play(retry(), Answer([REFUSAL], headers=((b"X-First", b"1"),)), Answer([SERVED], headers=fields))
    assert played.field("anthropic-ratelimit-requests-remaining") == ["7"]
    assert played.field("x-first") == []


def test_a_hop_is_the_client_s_own_request_to_another_model() -> None:
    played = play(retry(), Answer([REFUSAL]), Answer([SERVED]))
    assert played.sent[1] == played.sent[0] | {"model": SECOND}
    assert played.asked[1].target == played.asked[0].target
    assert [name for name, _ in played.asked[1].headers] == [name for name, _ in played.asked[0].headers]


def test_each_entry_patches_the_request_as_it_was() -> None:
    chain = [{"model": SECOND, "max_tokens": 1, "metadata": {"a": 1}}, {"model": THIRD, "stop_sequences": ["x"]}]
    played = play(retry(fallback=chain), Answer([REFUSAL]), failing(529), Answer([SERVED]))
    assert played.sent[2] == played.sent[0] | {"model": THIRD, "stop_sequences": ["x"]}


def test_the_chain_is_asked_in_order_until_one_answers() -> None:
    played = play(retry(), Answer([REFUSAL]), failing(500), Answer([declining(model=THIRD)]), Answer([SERVED]))
    assert played.models == [PRIMARY, *(entry["model"] for entry in CHAIN)]
    assert [outcome for _, outcome in played.results] == ["refused", "error", "refused", "answered"]
    assert [attempt.n for attempt in played.attempts] == [0, 1, 2, 3]
    assert [attempt.by for attempt in played.attempts] == ["client", "demur", "demur", "demur"]
    assert played.body == SERVED


def test_only_a_permitted_model_is_asked() -> None:
    refusal = declining(category="cyber")
    played = play(
        retry(routes="vendor", fallback=[{"model": THIRD}, {"model": SECOND}]), Answer([refusal]), Answer([SERVED])
    )
    assert played.models == [PRIMARY, SECOND]


def test_every_attempt_counts_for_the_session() -> None:
    counsel = Memory()
    play(retry(), Answer([REFUSAL]), failing(500), Answer([SERVED]), counsel=counsel)
    assert counsel.told == ["0f1e2d3c-0000-4000-8000-000000000001"] * 2


def test_a_stop_reason_of_any_other_kind_is_an_answer() -> None:
    for reason in ("max_tokens", "tool_use", "pause_turn", "model_context_window_exceeded"):
        data = answering(said(0, "Hi"), reason=reason)
        played = play(retry(), Answer([REFUSAL]), Answer([data]))
        assert (played.ruling, played.body, len(played.sent)) == (Ruling.RECOVERED, data, 2)


# the tool guard


def test_a_tool_of_a_declined_answer_never_runs() -> None:
    data = declining(said(0, "Hi"), called(1), called(2))
    played = play(retry(), Answer([data]))
    assert outline(played.body) == [
        "message_start",
        "start 0 text",
        "stop 0",
        "start 1 tool_use",
        "start 2 tool_use",
        "message_delta refusal",
        "message_stop",
    ]
    assert (played.ruling, played.models) == (Ruling.TOOL, [PRIMARY])


def test_a_tool_of_an_answer_runs_at_its_end() -> None:
    played = play(retry(), Answer([answering(called(0), called(1), reason="tool_use")]))
    assert outline(played.body)[-4:] == ["stop 0", "stop 1", "message_delta tool_use", "message_stop"]


GUARD_ALONE = Retry(enabled=False, tool_guard=True)


def test_the_guard_alone_keeps_a_tool_from_running_and_leaves_the_refusal() -> None:
    data = declining(called(0), **CLAIMED)
    played = play(GUARD_ALONE, Answer([data]))
    assert played.body == data.replace(stop(0), b"")
    assert (played.ruling, played.count) == (Ruling.OFF, Result.REFUSED)


@pytest.mark.parametrize(
    ("settings", "blocks", "shown", "held"),
    [
        (GUARD_ALONE, called(0), True, 1),
        (retry(), called(0) + called(1, left_open=True), True, 1),
        (retry(tool_guard=False), called(0), True, None),
        (retry(), thought(0, "hm"), False, 0),
        (retry(hold="block"), thought(0, "hm"), True, 0),
        (retry(), b"", False, 0),
    ],
    ids=["guard alone", "with retry", "no guard", "thinking held back", "thinking shown", "before output"],
)
def test_of_a_declined_answer_it_is_on_record_what_the_client_had_been_sent(
    settings: Retry, blocks: bytes, shown: bool, held: int | None
) -> None:
    played = play(settings, Answer([declining(blocks)]), Answer([answering(said(0, "Hi"))]))
    first = played.attempts[0]
    assert (first.shown, first.tools_held) == (shown, held)


def test_the_guard_alone_asks_for_no_credit_and_holds_no_thinking() -> None:
    played = play(GUARD_ALONE, Answer([start(), thought(0, "hm"), 5.0, said(1, "Hi"), end() + STOP]))
    assert b"fallback-credit" not in dict(played.asked[0].headers)[b"anthropic-beta"]
    assert played.written[0] == start() + thought(0, "hm")
    assert played.body == start() + thought(0, "hm") + said(1, "Hi") + end() + STOP


def test_the_guard_alone_passes_a_whole_answer_on() -> None:
    played = play(GUARD_ALONE, whole(refused_message()))
    assert played.body == encoded(refused_message())
    assert (played.ruling, played.count) == (Ruling.OFF, Result.REFUSED)


def test_a_tool_of_an_answer_that_broke_off_does_not_run() -> None:
    assert b"content_block_stop" not in play(retry(), Answer([start() + called(0), CUT])).body


def test_a_tool_of_an_answer_that_ended_with_an_error_does_not_run() -> None:
    played = play(retry(), Answer([start() + called(0), OVERLOADED]))
    assert b"content_block_stop" not in played.body


def test_without_a_guard_a_tool_call_ends_when_it_ends_and_the_refusal_stands_all_the_same() -> None:
    data = declining(called(0))
    played = play(retry(tool_guard=False), Answer([data]))
    assert (played.body, played.ruling) == (data, Ruling.TOOL)


def test_while_the_api_runs_a_tool_the_refusal_stands() -> None:
    running = play(
        retry(mid_stream="restart"), Answer([declining(called(0, "server_tool_use", left_open=True), **CLAIMED)])
    )
    assert running.ruling == Ruling.TOOL


# after output, in plain wire


@pytest.mark.parametrize("left_open", [False, True])
def test_another_model_goes_on_in_the_same_block_where_it_may(left_open: bool) -> None:
    first = declining(said(0, "Par", "tial ", left_open=left_open), **CLAIMED)
    second = answering(thought(0, "hm"), said(1, "answer"))
    played = play(retry(), Answer([first]), Answer([second]))
    assert texts(played.body) == "Partial answer"
    assert outline(played.body) == ["message_start", "start 0 text", "stop 0", "message_delta end_turn", "message_stop"]
    assert played.body.endswith(end() + STOP)
    assert b"thinking" not in played.body
    assert TOKEN.encode() not in played.body
    assert (played.ruling, played.count) == (Ruling.RECOVERED, Result.RECOVERED_BY_DEMUR)
    assert played.field("x-demur-answered-by") == []


def test_it_is_given_what_it_goes_on_from_without_blanks_at_the_end_and_the_credit() -> None:
    played = play(retry(), Answer([declining(PARTIAL, **CLAIMED)]), Answer([SERVED]))
    assert played.sent[1]["messages"][1:] == [{"role": "assistant", "content": [{"type": "text", "text": "Partial"}]}]
    assert played.sent[1]["fallback_credit_token"] == {"token": TOKEN, "mode": "best_effort"}


def test_a_tool_that_it_calls_comes_in_a_new_block() -> None:
    second = answering(said(0, "answer"), called(1), reason="tool_use")
    played = play(retry(), Answer([declining(PARTIAL, **CLAIMED)]), Answer([second]))
    assert outline(played.body)[1:] == [
        "start 0 text",
        "stop 0",
        "start 1 tool_use",
        "stop 1",
        "message_delta tool_use",
        "message_stop",
    ]


STANDING: dict[str, tuple[bytes, Json, Ruling]] = {
    "no claim": (declining(PARTIAL, **UNCLAIMED), {}, Ruling.MID_STREAM),
    "no token": (declining(PARTIAL, **UNPAID), {}, Ruling.MID_STREAM),
    "no details": (start() + PARTIAL + end("refusal") + STOP, {}, Ruling.MID_STREAM),
    "no credit": (declining(PARTIAL, **CLAIMED), {"credit": False}, Ruling.MID_STREAM),
    "blank": (declining(said(0, " \n"), **CLAIMED), {}, Ruling.MID_STREAM),
    "thinking shown": (declining(thought(0, "hm"), said(1, "Hi"), **CLAIMED), {}, Ruling.MID_STREAM),
    "a tool": (declining(PARTIAL, called(1), **CLAIMED), {"tool_guard": False}, Ruling.TOOL),
    "a search": (declining(called(0, "server_tool_use"), found(1, 0), **CLAIMED), {}, Ruling.MID_STREAM),
    "not listed": (declining(PARTIAL, **CLAIMED, category="general_harms"), {}, Ruling.CATEGORY),
    "never": (declining(PARTIAL, **CLAIMED, category="reasoning_extraction"), {}, Ruling.REASONING_EXTRACTION),
    "no attempts": (declining(PARTIAL, **CLAIMED), {"max_attempts": 0}, Ruling.MAX_ATTEMPTS),
}


@pytest.mark.parametrize(("data", "changed", "ruling"), STANDING.values(), ids=STANDING)
def test_elsewhere_the_refusal_stands_byte_for_byte(data: bytes, changed: Json, ruling: Ruling) -> None:
    played = play(retry(**changed), Answer([data]))
    assert played.body == (data if changed == {"credit": False} else without_credit(data))
    assert (played.ruling, played.models, played.outcome) == (ruling, [PRIMARY], Outcome.REFUSED)
    assert played.is_whole


def test_where_its_owner_wants_it_a_second_answer_follows() -> None:
    played = play(retry(mid_stream="restart"), Answer([declining(PARTIAL, **UNCLAIMED)]), Answer([SERVED]))
    assert texts(played.body) == "Partial Served."
    assert outline(played.body)[1:] == [
        "start 0 text",
        "stop 0",
        "start 1 text",
        "stop 1",
        "message_delta end_turn",
        "message_stop",
    ]
    assert "messages" in played.sent[1]
    assert played.sent[1]["messages"] == played.sent[0]["messages"]


def test_a_second_answer_follows_thinking_too() -> None:
    first = declining(thought(0, "hm"), said(1, "Par"), **CLAIMED)
    played = play(retry(mid_stream="restart"), Answer([first]), Answer([SERVED]))
    assert outline(played.body)[-4:] == ["start 2 text", "stop 2", "message_delta end_turn", "message_stop"]
    assert played.sent[1]["messages"] == played.sent[0]["messages"]


def test_a_second_answer_leaves_no_block_open() -> None:
    first = declining(thought(0, "hm", left_open=True))
    played = play(retry(mid_stream="restart", hold="block"), Answer([first]), Answer([SERVED]))
    assert outline(played.body)[1:3] == ["start 0 thinking", "stop 0"]


def test_where_no_second_answer_comes_the_refusal_stands_byte_for_byte() -> None:
    first = declining(PARTIAL, **UNCLAIMED)
    played = play(retry(mid_stream="restart", fallback=ONE), Answer([first]), Answer([start(SECOND), CUT]))
    assert played.body == without_credit(first)


@pytest.mark.parametrize(
    "second", [Answer([start(SECOND), CUT]), Answer([declining(model=SECOND)])], ids=["cut", "declined"]
)
def test_a_third_model_s_second_answer_leaves_no_block_open_either(second: Answer) -> None:
    played = play(retry(mid_stream="restart"), Answer([declining(PARTIAL, **UNCLAIMED)]), second, Answer([SERVED]))
    assert outline(played.body)[1:3] == ["start 0 text", "stop 0"]


def test_a_third_model_goes_on_where_the_second_stopped() -> None:
    first, second = declining(PARTIAL, **CLAIMED), declining(said(0, "answer "), model=SECOND, **CLAIMED)
    played = play(retry(), Answer([first]), Answer([second]), Answer([answering(said(0, "whole."))]))
    assert texts(played.body) == "Partial answer whole."
    assert outline(played.body)[1:] == ["start 0 text", "stop 0", "message_delta end_turn", "message_stop"]
    assert [block["text"] for block in played.sent[2]["messages"][1]["content"]] == ["Partial", "answer"]


def test_a_second_refusal_after_output_without_a_claim_stands_behind_what_was_added() -> None:
    first, second = declining(PARTIAL, **CLAIMED), declining(said(0, "answer"), model=SECOND, **UNCLAIMED)
    played = play(retry(), Answer([first]), Answer([second]), Answer([SERVED]))
    assert texts(played.body) == "Partial answer"
    assert outline(played.body)[1:] == ["start 0 text", "stop 0", "message_delta refusal", "message_stop"]
    assert (played.ruling, played.count) == (Ruling.MID_STREAM, Result.REFUSED)


def test_the_first_refusal_stands_behind_what_the_last_model_added() -> None:
    first, second = declining(PARTIAL, **CLAIMED), declining(said(0, "answer"), model=SECOND, **CLAIMED)
    played = play(retry(fallback=ONE), Answer([first]), Answer([second]))
    assert texts(played.body) == "Partial answer"
    assert outline(played.body)[1:] == ["start 0 text", "stop 0", "message_delta refusal", "message_stop"]
    assert (played.ruling, played.count) == (Ruling.EXHAUSTED, Result.REFUSED)


def test_blocks_that_the_last_model_added_end_once() -> None:
    second = declining(said(0, "so"), said(1, "on", left_open=True), model=SECOND, **CLAIMED)
    played = play(retry(fallback=ONE), Answer([declining(PARTIAL, **CLAIMED)]), Answer([second]))
    expected = ["start 0 text", "stop 0", "start 1 text", "stop 1", "message_delta refusal", "message_stop"]
    assert outline(played.body)[1:] == expected


@pytest.mark.parametrize("begins", [" answer", "answer"])
def test_blanks_that_the_client_has_already_are_not_sent_again(begins: str) -> None:
    played = play(retry(), Answer([declining(PARTIAL, **CLAIMED)]), Answer([answering(said(0, begins, " all"))]))
    assert texts(played.body) == "Partial answer all"


def test_a_third_model_does_not_send_them_again_either() -> None:
    second = declining(thought(0, "hm"), model=SECOND, **UNCLAIMED)
    third = answering(said(0, " answer"))
    played = play(retry(), Answer([declining(PARTIAL, **CLAIMED)]), Answer([second]), Answer([third]))
    assert texts(played.body) == "Partial answer"


def test_a_tool_that_is_called_at_once_keeps_its_input() -> None:
    second = answering(called(0), reason="tool_use")
    played = play(retry(), Answer([declining(PARTIAL, **CLAIMED)]), Answer([second]))
    assert played.body.count(b"input_json_delta") == 3


def test_a_third_model_goes_on_from_the_first_part_where_the_second_added_nothing() -> None:
    second = declining(thought(0, "hm"), model=SECOND, **UNCLAIMED)
    played = play(retry(), Answer([declining(PARTIAL, **CLAIMED)]), Answer([second]), Answer([SERVED]))
    assert texts(played.body) == "Partial Served."
    assert played.sent[2]["messages"] == played.sent[1]["messages"]


@pytest.mark.parametrize("left_open", [False, True])
def test_a_second_refusal_before_output_leaves_the_first_byte_for_byte(left_open: bool) -> None:
    first = declining(said(0, "Hi", left_open=left_open), **CLAIMED)
    played = play(retry(fallback=ONE), Answer([first]), Answer([declining(model=SECOND, **UNCLAIMED)]))
    assert played.body == without_credit(first)


def test_once_a_second_model_has_searched_its_refusal_stands() -> None:
    second = declining(said(0, "so "), called(1, "server_tool_use"), found(2, 1), model=SECOND, **CLAIMED)
    played = play(retry(), Answer([declining(PARTIAL, **CLAIMED)]), Answer([second]), Answer([SERVED]))
    assert (played.models, played.ruling) == ([PRIMARY, SECOND], Ruling.MID_STREAM)


def test_once_a_second_model_has_called_a_tool_its_refusal_stands_and_the_tool_does_not_run() -> None:
    second = declining(said(0, "so "), called(1), model=SECOND, **CLAIMED)
    played = play(retry(), Answer([declining(PARTIAL, **CLAIMED)]), Answer([second]))
    assert played.ruling == Ruling.TOOL
    assert "stop 1" not in outline(played.body)


ADDED = {
    "text": said(0, "so "),
    "text, left open": said(0, "so ", left_open=True),
    "a tool": said(0, "so ") + called(1, left_open=True),
    "thinking and text": thought(0, "hm") + said(1, "so "),
}


@pytest.mark.parametrize("added", ADDED.values(), ids=ADDED)
@pytest.mark.parametrize("details", [CLAIMED, UNCLAIMED, UNPAID], ids=["claimed", "unclaimed", "unpaid"])
def test_a_second_model_that_opened_the_message_ends_it_with_its_own_refusal(added: bytes, details: Json) -> None:
    second = declining(added, model=SECOND, **details)
    played = play(retry(fallback=ONE), Answer([REFUSAL]), Answer([second]))
    assert played.body == without_credit(second)
    assert (played.is_whole, played.count) == (True, Result.REFUSED)


def test_behind_what_a_third_model_adds_to_it_the_second_s_refusal_stands() -> None:
    second = declining(said(0, "so "), model=SECOND, **CLAIMED)
    third = declining(said(0, "on"), model=THIRD, **UNCLAIMED)
    played = play(retry(), Answer([REFUSAL]), Answer([second]), Answer([third]))
    assert texts(played.body) == "so on"
    assert outline(played.body) == ["message_start", "start 0 text", "stop 0", "message_delta refusal", "message_stop"]
    assert played.body.startswith(start(SECOND))


def test_a_model_that_fails_by_an_event_is_passed_over() -> None:
    first = Answer([declining(PARTIAL, **CLAIMED)])
    played = play(retry(), first, Answer([start(SECOND) + OVERLOADED]), Answer([SERVED]))
    assert texts(played.body) == "Partial Served."


@pytest.mark.parametrize("last", [CUT, OVERLOADED], ids=["cut", "error"])
def test_a_model_that_breaks_off_after_a_ping_is_passed_over(last: Piece) -> None:
    first = Answer([declining(PARTIAL, **CLAIMED)])
    played = play(retry(), first, Answer([start(SECOND) + PING, last]), Answer([SERVED]))
    assert played.models == [PRIMARY, SECOND, THIRD]


def test_an_answer_that_breaks_off_after_it_had_gone_on_is_broken_off() -> None:
    second = Answer([start(SECOND) + block(0) + delta(0, "answer"), CUT])
    played = play(retry(), Answer([declining(PARTIAL, **CLAIMED)]), second)
    assert texts(played.body) == "Partial answer"
    assert isinstance(played.ending, Abort)
    assert (played.ruling, played.count) == (Ruling.EXHAUSTED, Result.REFUSED)
    assert played.results[-1] == (SECOND, Result.CUT)


def test_a_target_that_rejects_what_it_should_go_on_from_is_passed_over() -> None:
    played = play(retry(), Answer([declining(PARTIAL, **CLAIMED)]), failing(400), Answer([SERVED]))
    assert played.models == [PRIMARY, SECOND, THIRD]
    assert texts(played.body) == "Partial Served."


BLOCKS: dict[str, Callable[[int], bytes]] = {
    "text": lambda n: said(n, "Par", "tial "),
    "text, left open": lambda n: said(n, "Par", left_open=True),
    "thinking": lambda n: thought(n, "hm"),
    "tool": called,
    "search": lambda n: called(n, "server_tool_use") + found(n + 1, n),
    "unheard of": lambda n: block(n, type="hologram") + stop(n),
}


@st.composite
def models(draw: st.DrawFn) -> tuple[bytes, bool]:
    """What a model says, and whether it declined."""
    blocks, n = b"", 0
    for kind in draw(st.lists(st.sampled_from(sorted(BLOCKS)), max_size=3)):
        blocks += BLOCKS[kind](n)
        n += 2 if kind == "search" else 1
    if draw(st.booleans()):
        return answering(blocks), False
    return declining(blocks, **draw(st.sampled_from([{}, CLAIMED, CLAIMED, UNCLAIMED, UNPAID]))), True


@given(chain=st.lists(models(), min_size=4, max_size=4), data=st.data())
def test_whatever_the_models_do_the_client_gets_one_message_with_one_end(
    chain: list[tuple[bytes, bool]], data: st.DataObject
) -> None:
    settings = retry(
        mid_stream=data.draw(st.sampled_from(["refuse", "restart"])),
        hold=data.draw(st.sampled_from(["thinking", "block"])),
        wire=data.draw(st.sampled_from(["plain", "marked"])),
    )
    played = play(settings, *(Answer([answer]) for answer, _ in chain))
    lines = outline(played.body)
    starts = [int(line.split()[1]) for line in lines if line.startswith("start ")]
    stops = [int(line.split()[1]) for line in lines if line.startswith("stop ")]
    assert (lines[0], lines.count("message_start")) == ("message_start", 1)
    assert lines[-1] == "message_stop"
    assert lines[-2].startswith("message_delta ")
    assert sum(line.startswith("message_") for line in lines) == 3
    assert starts == sorted(set(starts))
    assert len(stops) == len(set(stops))
    assert set(stops) <= set(starts)
    declined = [declined for _, declined in chain][len(played.models) - 1]
    assert (lines[-2] == "message_delta refusal", played.count == Result.REFUSED) == (declined, declined)
    assert not (declined and any(f"stop {line.split()[1]}" in lines for line in lines if line.endswith(" tool_use")))


# a conversation that stays elsewhere


def pinned(model: str = SECOND, settings: Retry | None = None) -> Memory:
    """A conversation that stays with a model."""
    counsel = Memory()
    key = Book(settings or retry(sticky=True)).plan.key()
    assert key is not None
    counsel.pins[key] = Pin(
        key=key,
        session_id="s",
        model=PRIMARY,
        answered_by=model,
        at="",
        until="2027-01-01T00:00:00.000Z",
        refusal_id="01",
    )
    return counsel


def test_a_later_turn_goes_where_the_conversation_stays_and_is_told() -> None:
    counsel = pinned()
    chain = [{"model": SECOND, "max_tokens": 7}]
    played = play(retry(sticky=True, fallback=chain), Answer([SERVED]), counsel=counsel)
    assert (played.models, played.sent[0]["max_tokens"]) == ([SECOND], 7)
    assert played.field("x-demur-answered-by") == [SECOND]
    assert [(update.refusal_id, update.turns_elsewhere) for update in played.updates] == [("01", 1)]
    assert [pin.turns for pin in counsel.pins.values()] == [1]
    assert played.before(Keep, b'"end_turn"')
    assert (played.count, played.counted[0].answered_by) == (Result.ANSWERED, SECOND)


def test_a_turn_that_holds_what_a_person_judged_correct_goes_to_the_model_that_was_asked() -> None:
    counsel = pinned()
    counsel.judged = True
    played = play(retry(sticky=True), Answer([REFUSAL]), counsel=counsel)
    assert (played.models, played.ruling) == ([PRIMARY], Ruling.JUDGED_CORRECT)


def test_a_turn_that_is_cut_moves_no_pin() -> None:
    counsel = pinned()
    play(retry(sticky=True), Answer([start(SECOND), CUT]), counsel=counsel)
    assert [pin.turns for pin in counsel.pins.values()] == [0]


@pytest.mark.parametrize(
    "answer",
    [failing(529), failing(400), Answer(head=NO_ROUTE), Answer(head=CUT), failing(302), Answer([SERVED], after=46.0)],
)
def test_where_that_model_fails_the_client_s_own_request_is_sent(answer: Answer) -> None:
    played = play(retry(sticky=True), answer, Answer([ANSWER]), counsel=pinned())
    assert played.models == [SECOND, PRIMARY]
    assert (played.body, played.notes) == (ANSWER, ["pin.failed"])
    assert played.field("x-demur-answered-by") == []
    assert played.updates == []


def test_after_it_failed_a_refusal_of_the_own_model_goes_through_the_whole_chain() -> None:
    played = play(retry(sticky=True), failing(529), Answer([REFUSAL]), Answer([SERVED]), counsel=pinned())
    assert played.models == [SECOND, PRIMARY, SECOND]
    assert played.kept[0].refusals[0].model == PRIMARY


def test_where_it_declines_the_model_that_was_asked_is_next_and_the_conversation_stays_no_longer() -> None:
    counsel = pinned()
    played = play(retry(sticky=True), Answer([declining(model=SECOND)]), Answer([ANSWER]), counsel=counsel)
    assert played.models == [SECOND, PRIMARY]
    assert played.sent[1]["messages"] == played.sent[0]["messages"]
    assert (played.body, played.ruling) == (ANSWER, Ruling.RECOVERED)
    assert played.results == [(SECOND, Result.REFUSED), (PRIMARY, Result.ANSWERED)]
    assert [attempt.strategy for attempt in played.attempts] == [Strategy.STICKY, Strategy.PRIMARY]
    assert played.kept[0].refusals[0].model == SECOND
    assert counsel.pins == {}
    (ended,) = [pin for entry in played.kept for pin in entry.pins]
    assert (ended.answered_by, ended.until < "2027") == (SECOND, True)


def test_in_the_marked_wire_too_what_was_asked_goes_on_from_there() -> None:
    counsel = pinned()
    settings = retry(sticky=True, wire="marked")
    declined = declining(PARTIAL, model=SECOND, **CLAIMED)
    played = play(settings, Answer([declined]), Answer([SERVED]), counsel=counsel)
    assert (played.models, played.ruling, counsel.pins) == ([SECOND, PRIMARY], Ruling.RECOVERED, {})
    assert texts(played.body) == "Partial Served."
    assert b'"from":{"model":"%s"},"to":{"model":"%s"}' % (SECOND.encode(), PRIMARY.encode()) in played.body


def test_where_that_one_declines_too_the_chain_is_asked_without_the_one_before() -> None:
    counsel = pinned()
    answers = [Answer([declining(model=SECOND)]), Answer([REFUSAL]), Answer([SERVED])]
    played = play(retry(sticky=True), *answers, counsel=counsel)
    assert played.models == [SECOND, PRIMARY, THIRD]
    assert [pin.answered_by for pin in counsel.pins.values()] == [THIRD]
    chain = [{"model": THIRD}, {"model": SECOND}]
    played = play(retry(sticky=True, fallback=chain), *answers, counsel=pinned())
    assert played.models == [SECOND, PRIMARY, THIRD]


def test_where_that_one_fails_the_chain_is_asked() -> None:
    played = play(
        retry(sticky=True), Answer([declining(model=SECOND)]), failing(529), Answer([SERVED]), counsel=pinned()
    )
    assert played.models == [SECOND, PRIMARY, THIRD]
    assert played.results[1:] == [(PRIMARY, Result.ERROR), (THIRD, Result.ANSWERED)]


def test_where_all_decline_the_first_refusal_stands_and_tells_who_declined() -> None:
    counsel = pinned()
    answers = Answer([declining(model=SECOND)]), Answer([REFUSAL])
    played = play(retry(sticky=True, fallback=ONE), *answers, counsel=counsel)
    assert (played.body, played.ruling) == (declining(model=SECOND), Ruling.EXHAUSTED)
    assert (played.field("x-demur-answered-by"), counsel.pins) == ([SECOND], {})


@pytest.mark.parametrize(
    ("changed", "models", "ruling"),
    [
        ({"categories": ["bio"]}, [SECOND, PRIMARY], Ruling.RECOVERED),
        ({"fallback": [{"model": SECOND}], "routes": "vendor"}, [SECOND, PRIMARY], Ruling.RECOVERED),
        ({"max_per_hour": 0}, [SECOND], Ruling.MAX_PER_HOUR),
        ({"max_attempts": 0}, [SECOND], Ruling.MAX_ATTEMPTS),
    ],
)
def test_to_ask_what_the_client_asked_is_no_route_but_is_bounded(
    changed: dict[str, Any], models: list[str], ruling: Ruling
) -> None:
    counsel = pinned()
    answers = [Answer([declining(model=SECOND)]), Answer([ANSWER])][: len(models)]
    played = play(retry(sticky=True, **changed), *answers, counsel=counsel)
    assert (played.models, played.ruling, counsel.pins) == (models, ruling, {})


@dataclass
class Meanwhile(Memory):
    """While the model that the conversation stays on is asked, what persons judged of the content changes."""

    then: bool | None = True

    def judged_correct(self, asked: str | None, session_id: str | None, marks: frozenset[bytes]) -> bool | None:
        before, self.judged = self.judged, self.then
        return before


@pytest.mark.parametrize(("then", "ruling"), [(True, Ruling.JUDGED_CORRECT), (None, Ruling.STORE)])
def test_what_a_person_judged_correct_or_may_have_is_not_asked_again_even_so(then: bool | None, ruling: Ruling) -> None:
    counsel = Meanwhile(pins=pinned().pins, then=then)
    played = play(retry(sticky=True), Answer([declining(model=SECOND)]), counsel=counsel)
    assert (played.models, played.ruling, counsel.pins) == ([SECOND], ruling, {})


def test_a_reasoning_extraction_is_not_asked_again_even_so() -> None:
    counsel = pinned()
    declined = Answer([declining(model=SECOND, category="reasoning_extraction")])
    played = play(retry(sticky=True), declined, counsel=counsel)
    assert (played.models, played.ruling, counsel.pins) == ([SECOND], Ruling.REASONING_EXTRACTION, {})


@pytest.mark.parametrize("settings", [retry(sticky=False), retry(sticky=True, fallback=[{"model": THIRD}])])
def test_a_pin_that_the_settings_do_not_know_is_none(settings: Retry) -> None:
    assert play(settings, Answer([ANSWER]), counsel=pinned()).models == [PRIMARY]


def test_a_pin_to_a_model_that_cannot_take_the_request_is_none() -> None:
    given = request({"tool_choice": {"type": "any"}, "tools": []})
    settings = retry(sticky=True, fallback=[{"model": "claude-opus-5-5"}])
    played = play(settings, Answer([ANSWER]), asked=given, counsel=pinned("claude-opus-5-5"))
    assert played.models == [PRIMARY]


def test_a_pinned_turn_may_be_left_too() -> None:
    assert isinstance(play(retry(sticky=True), Answer(head=LEFT), counsel=pinned()).ending, Abort)


class Failing(Memory):
    """A counsel that cannot tell."""

    def pin(self, key: str) -> Pin | None:
        raise OSError


def test_a_pin_that_cannot_be_read_is_none() -> None:
    assert play(retry(sticky=True), Answer([ANSWER]), counsel=Failing()).models == [PRIMARY]


@pytest.mark.parametrize("sticky", [False, 0])
def test_a_conversation_that_may_not_stay_elsewhere_is_not_pinned(sticky: bool | int) -> None:
    counsel = Memory()
    played = play(retry(sticky=sticky), Answer([REFUSAL]), Answer([SERVED]), counsel=counsel)
    assert (played.ruling, counsel.pins, played.kept[-1].pins) == (Ruling.RECOVERED, {}, [])


def test_a_client_without_a_session_has_no_pins() -> None:
    counsel = Memory()
    played = play(retry(sticky=True), Answer([REFUSAL]), Answer([SERVED]), asked=request(headers=SDK), counsel=counsel)
    assert (played.ruling, counsel.pins) == (Ruling.RECOVERED, {})


# credit


@pytest.mark.parametrize("headers", [CLIENT, CLIENT + CREDIT], ids=["for demur", "for the client"])
@pytest.mark.parametrize("wire", ["plain", "marked"])
@pytest.mark.parametrize(
    "answers",
    [
        [Answer([declining(**CLAIMED)]), failing(529), failing(529), failing(529)],
        [Answer([declining(PARTIAL, **CLAIMED)]), failing(529), failing(500), failing(400)],
        [Answer([declining(PARTIAL, **CLAIMED)]), *[Answer([declining(said(0, "so"), model=SECOND, **CLAIMED)])] * 3],
        [Answer([declining(**CLAIMED)]), Answer([SERVED])],
        [Answer([declining(PARTIAL, **CLAIMED)]), Answer([SERVED])],
    ],
    ids=["all failed", "all failed after output", "all declined", "answered", "answered after output"],
)
def test_a_token_that_was_redeemed_comes_to_nobody(headers: Headers, wire: str, answers: list[Answer]) -> None:
    rungs = [
        each
        for answer in answers[1:]
        for each in ([answer, answer] if answer.status == 400 and wire == "marked" else [answer])
    ]
    played = play(retry(wire=wire, max_attempts=9), answers[0], *rungs, asked=request(headers=headers))
    assert TOKEN.encode() not in played.body
    assert TOKEN not in str((played.kept, played.counted, [note.facts for note in played.of(Note)]))
    assert all(TOKEN.encode() in (each.body or b"") for each in played.asked[1:])


@pytest.mark.parametrize("credit", [False, True])
def test_a_client_that_asked_itself_keeps_its_fields_where_nothing_was_altered(credit: bool) -> None:
    data = declining(PARTIAL, **UNCLAIMED)
    played = play(retry(credit=credit), Answer([data]), asked=request(headers=CLIENT + CREDIT))
    assert played.body == data


def test_without_credit_none_is_asked_for_and_none_redeemed() -> None:
    played = play(retry(credit=False), Answer([declining(**CLAIMED)]), Answer([SERVED]))
    assert b"fallback-credit" not in dict(played.asked[0].headers)[b"anthropic-beta"]
    assert "fallback_credit_token" not in played.sent[1]


# in the official shape


def test_seams_stand_where_models_changed() -> None:
    played = play(retry(wire="marked"), Answer([REFUSAL]), Answer([SERVED]))
    assert outline(played.body) == [
        "message_start",
        "start 0 fallback",
        "stop 0",
        "start 1 text",
        "stop 1",
        "message_delta end_turn",
        "message_stop",
    ]


def test_after_output_without_a_token_the_refusal_stands_in_the_official_shape_too() -> None:
    data = declining(PARTIAL, **UNPAID)
    played = play(retry(wire="marked"), Answer([data]))
    assert (played.body, played.ruling) == (without_credit(data), Ruling.MID_STREAM)


def test_a_message_is_opened_once() -> None:
    answers = [Answer([declining(PARTIAL, **CLAIMED)]), Answer([declining(model=SECOND, **CLAIMED)]), Answer([SERVED])]
    assert outline(play(retry(wire="marked"), *answers).body) == [
        "message_start",
        "start 0 text",
        "stop 0",
        "start 1 fallback",
        "stop 1",
        "start 2 fallback",
        "stop 2",
        "start 3 text",
        "stop 3",
        "message_delta end_turn",
        "message_stop",
    ]


def test_a_target_that_rejects_the_appended_turn_is_asked_once_more_without_it() -> None:
    played = play(retry(wire="marked"), Answer([declining(PARTIAL, **CLAIMED)]), failing(400), Answer([SERVED]))
    assert played.models == [PRIMARY, SECOND, SECOND]
    assert [len(body["messages"]) for body in played.sent] == [1, 2, 1]
    assert played.ruling == Ruling.RECOVERED


def test_once_is_all_that_its_owner_s_bounds_may_leave() -> None:
    played = play(retry(wire="marked", max_attempts=1), Answer([declining(PARTIAL, **CLAIMED)]), failing(400))
    assert (played.models, played.ruling) == ([PRIMARY, SECOND], Ruling.MAX_ATTEMPTS)


def test_the_last_refusal_stands_with_its_seams() -> None:
    played = play(retry(wire="marked", fallback=ONE), Answer([REFUSAL]), Answer([declining(model=SECOND, **CLAIMED)]))
    assert outline(played.body)[1:] == ["start 0 fallback", "stop 0", "message_delta refusal", "message_stop"]
    assert played.ruling == Ruling.EXHAUSTED


@pytest.mark.parametrize(("status", "model"), [(529, SECOND), (500, None)])
def test_a_model_without_capacity_is_recommended(status: int, model: str | None) -> None:
    played = play(retry(wire="marked", fallback=ONE), Answer([REFUSAL]), failing(status))
    details = parse(frames(played.body)[-2].parse()[1])["delta"]["stop_details"]
    assert details["recommended_model"] == model


def test_whole_answers_have_their_seams_first() -> None:
    played = play(
        retry(wire="marked"),
        whole(refused_message()),
        whole(message({"type": "text", "text": "Hi"})),
        asked=ASKED_WHOLE,
    )
    assert [block["type"] for block in parse(played.body)["content"]] == ["fallback", "text"]


@pytest.mark.parametrize("last", [whole(refused_message(model=SECOND)), failing(529)], ids=["declined", "failed"])
def test_a_whole_refusal_stands_in_the_official_shape(last: Answer) -> None:
    played = play(retry(wire="marked", fallback=ONE), whole(refused_message(**CLAIMED)), last, asked=ASKED_WHOLE)
    assert parse(played.body)["stop_reason"] == "refusal"
    assert parse(played.body)["usage"]["iterations"][0]["model"] == PRIMARY
    assert TOKEN.encode() not in played.body
    assert played.field("content-length") == [str(len(played.body))]


# the client's own answers to a refusal


def test_the_client_s_own_answer_to_a_refusal_is_left_alone() -> None:
    settings = retry(own_client=True, max_attempts=0)
    credit = CLIENT + CREDIT
    first = Book(settings, request({"model": "claude-fable-5"}, credit))
    refused = first.play(Answer([REFUSAL]))
    second = Book(retry(), request({"model": SECOND}, credit), watcher=first.watcher)
    played = second.play(Answer([declining(model=SECOND)]))
    assert (played.models, played.ruling) == ([SECOND], Ruling.CLIENT_HOP)
    assert refused.kept[0].refusals[0].id != played.kept[0].refusals[0].id


def test_a_person_s_next_words_are_no_answer_to_a_refusal() -> None:
    first = Book(retry(max_attempts=0), request({"model": PRIMARY}, CLIENT + CREDIT))
    first.play(Answer([REFUSAL]))
    other = request({"messages": [{"role": "user", "content": "something else"}]}, CLIENT + CREDIT)
    played = Book(retry(), other, watcher=first.watcher).play(Answer([REFUSAL]), Answer([SERVED]))
    assert (played.models, played.ruling) == ([PRIMARY, SECOND], Ruling.RECOVERED)


# rephrasing; see also tests of proxy.core.rephrase


NOTED = Rephrase(enabled=True, scope_note="We own this system.")


def test_after_the_chain_the_request_is_put_differently_once() -> None:
    played = play(retry(fallback=ONE, rephrase=NOTED), Answer([REFUSAL]), failing(529), Answer([ANSWER]))
    assert played.models == [PRIMARY, SECOND, PRIMARY]
    assert played.sent[2]["messages"][0]["content"][-1]["text"] == "We own this system."
    assert played.ruling == Ruling.RECOVERED
    assert [rephrasing.n for update in played.updates for rephrasing in update.rephrasings] == [2]


def test_where_that_is_declined_too_the_refusal_stands() -> None:
    played = play(retry(fallback=[], rephrase=NOTED), Answer([REFUSAL]), Answer([declining()]))
    assert (played.body, played.ruling) == (REFUSAL, Ruling.EXHAUSTED)


def test_it_is_not_put_differently_once_the_client_has_been_sent_anything() -> None:
    played = play(retry(fallback=[], rephrase=NOTED), Answer([declining(PARTIAL, **CLAIMED)]))
    assert played.ruling == Ruling.ROUTES


# rule zero


def raising(*_: object, **__: object) -> Any:
    raise RuntimeError("a bug of ours")


EXCHANGE = [
    "opened",
    "feed",
    "finish",
    "traffic",
    "asked",
    "marks",
    "following.may",
    "following.seen",
    "reached",
    "who",
]


@pytest.mark.parametrize("at", EXCHANGE)
@pytest.mark.parametrize("first", [SERVED, declining(thought(0, "hm")), declining(PARTIAL)])
def test_an_onlooker_that_fails_costs_nobody_a_byte(at: str, first: bytes) -> None:
    book = Book(retry(sticky=True))
    of, _, name = at.rpartition(".")
    setattr(getattr(book.exchange, of) if of else book.exchange, name, raising)
    played = book.play(Answer([first]), Answer([SERVED]))
    assert played.body in (first, SERVED)
    assert played.is_whole


@pytest.mark.parametrize("at", ["pin", "judged_correct", "attempts", "attempted", "stick"])
def test_a_counsel_that_fails_costs_nobody_a_byte(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counsel = Memory()
    monkeypatch.setattr(counsel, at, raising)
    played = play(retry(sticky=True), Answer([REFUSAL]), Answer([SERVED]), counsel=counsel)
    assert played.body in (REFUSAL, SERVED)
    assert played.ruling == (Ruling.STORE if at in {"judged_correct", "attempts"} else Ruling.RECOVERED)


POLICY = ["permission.asking", "retry.chain", "permission.first_against", "permission.Declined"]


@pytest.mark.parametrize("at", POLICY)
def test_rules_that_fail_let_the_refusal_stand(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"proxy.core.{at}", raising)
    for data in (REFUSAL, declining(PARTIAL)):
        played = play(retry(mid_stream="restart"), Answer([data]))
        assert (played.body, played.is_whole, played.notes) == (data, True, ["retry.failed"])


class Bug(Exception):  # noqa: N818
    """Our own code fails."""


def functions(module: ModuleType) -> Iterator[tuple[Any, str]]:
    """Where a module's functions stand: itself, or a class of its."""
    for name, thing in vars(module).items():
        if getattr(thing, "__module__", None) != module.__name__:
            continue
        if isinstance(thing, FunctionType):
            yield module, name
        elif isinstance(thing, type):
            yield from (
                (thing, key) for key, value in vars(thing).items() if isinstance(value, FunctionType | property)
            )


MODULES = (
    through,
    whole_body,
    graft,
    marked,
    passage,
    permission,
    hops,
    ledger,
    plan,
    splice,
    heads,
    hop,
    policy,
    conversation,
    answer,
    stay,
)
PLACES = {
    f"{module.__name__.rpartition('.')[2]}.{'' if holder is module else holder.__name__ + '.'}{name}": (holder, name)
    for module in MODULES
    for holder, name in functions(module)
}


@contextmanager
def breaking(holder: Any, name: str, at: int) -> Iterator[list[int]]:
    """The function raises at its call number ``at``; gives how often it was called."""
    whole_one = vars(holder)[name]
    real = whole_one.fget if isinstance(whole_one, property) else whole_one
    calls = [0]

    def broken(*args: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == at:
            raise Bug
        assert real is not None
        return real(*args, **more)

    with pytest.MonkeyPatch.context() as patch:
        for other in [holder, *MODULES, sys.modules["proxy.core.retry"]]:
            for key, value in list(vars(other).items()):
                if value is whole_one:
                    patch.setattr(other, key, property(broken) if isinstance(whole_one, property) else broken)
        yield calls


def in_frames(data: bytes, *last: Piece) -> Answer:
    """An event at a time."""
    return Answer([*(frame.raw for frame in frames(data)), *last])


SCENES: dict[str, tuple[Retry, list[Answer], Json]] = {
    "answered": (retry(), [in_frames(answering(thought(0, "hm"), said(1, "Hi"), called(2), reason="tool_use"))], {}),
    "recovered": (retry(sticky=True), [in_frames(REFUSAL), in_frames(SERVED)], {}),
    "standing": (retry(fallback=ONE), [in_frames(declining(thought(0, "hm"), **CLAIMED)), failing(400)], {}),
    "standing after output": (retry(fallback=ONE), [in_frames(declining(PARTIAL, **CLAIMED)), failing(529)], {}),
    "continued": (retry(), [in_frames(declining(PARTIAL, **CLAIMED)), in_frames(SERVED)], {}),
    "marked": (retry(wire="marked"), [in_frames(REFUSAL), in_frames(SERVED)], {}),
    "marked, standing": (
        retry(wire="marked", fallback=ONE),
        [in_frames(declining(PARTIAL, **CLAIMED)), failing(529)],
        {},
    ),
    "whole": (retry(), [whole(refused_message()), whole(message())], {"stream": False}),
    "whole, answered": (retry(), [whole(message())], {"stream": False}),
    "whole, standing": (retry(fallback=ONE), [whole(refused_message(**CLAIMED)), failing(529)], {"stream": False}),
    "without a last blank line": (retry(), [Answer([answering(said(0, "Hi"))[:-1]])], {}),
    "staying": (retry(sticky=True), [in_frames(SERVED)], {}),
    "staying, declined": (
        retry(sticky=True, fallback=ONE),
        [in_frames(declining(model=SECOND)), in_frames(declining(model=SECOND))],
        {},
    ),
    "late": (retry(), [Answer([start(), thought(0, "hm"), 61.0, said(1, "Hi") + end() + STOP])], {}),
    "cut": (retry(), [in_frames(start() + said(0, "Hi"), CUT)], {}),
}


class Patient(Book):
    """The API answers the client's own request alike, however often it comes."""

    def _open(self, command: Open) -> Event:
        if self.played.models[-1] == PRIMARY and self.played.models[:-1]:
            self._answers = chain([self.first], self._answers)
        return super()._open(command)

    first: Answer


def outcomes(scene: str) -> list[bytes]:
    """What the client may get: what it gets when nothing fails, or the first answer as it came, or less its credit."""
    settings, answers, body = SCENES[scene]
    first = b"".join(piece for piece in answers[0].body if isinstance(piece, bytes))
    bare = without_credit(first.replace(b'": ', b'":').replace(b', "', b',"')) if body else without_credit(first)
    return [play(settings, *answers, asked=request(body), counsel=counsel_of(scene)).body, first, bare]


def counsel_of(scene: str) -> Memory:
    """Whether the conversation stays on another model already."""
    return pinned() if scene.startswith("staying") else Memory()


CATCHING = {"through.Through._guarded", "through.Through._release", "through.Through._finish"}
"""What catches a failure of reading, and lets go after it, is taken not to fail itself."""


@pytest.mark.parametrize("place", [name for name in PLACES if name not in CATCHING])
def test_wherever_our_own_code_fails_nobody_waits_and_nothing_is_mixed(place: str) -> None:
    for scene, (settings, answers, body) in SCENES.items():
        may = outcomes(scene)
        for at in range(1, 6):
            with breaking(*PLACES[place], at) as calls:
                try:
                    book = Patient(settings, request(body), counsel=counsel_of(scene))
                except Bug:
                    continue
                book.first = answers[0]
                played = book.play(*answers)
            told = f"{place} at call {at} in {scene!r}"
            if played.is_whole:
                assert played.body in may, told
            else:
                assert any(whole_one.startswith(played.body) for whole_one in may), told
                assert played.of(Respond) or scene == "cut", told
            if calls[0] < at:
                break


def test_where_our_own_code_fails_the_refusal_is_counted_and_its_ruling_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Hops, "try_entry", raising)
    played = play(retry(), Answer([REFUSAL]))
    assert (played.body, played.ruling, played.count) == (REFUSAL, Ruling.FAILED, Result.REFUSED)


def test_where_our_own_code_fails_before_the_answer_a_refusal_is_recorded_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Ledger, "began", raising)
    played = play(retry(), Answer([REFUSAL]))
    assert (played.body, len(played.kept[0].refusals), played.ruling) == (REFUSAL, 1, Ruling.FAILED)


def test_where_our_own_code_fails_a_token_does_not_come_to_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Through, "feed", raising)
    played = play(retry(), Answer([declining(**CLAIMED)]))
    assert TOKEN.encode() not in played.body


@pytest.mark.parametrize("head", [NO_ROUTE, CUT, LEFT, None])
def test_where_our_own_code_fails_and_the_api_too_there_is_an_end(head: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ledger, "began", raising)
    played = play(retry(), Answer([start(), CUT], head=head))
    assert isinstance(played.ending, Abort)
    assert (played.body, played.count) == (b"" if head else start(), Result.CUT)


def test_where_our_own_code_fails_a_client_that_leaves_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Through, "_take", raising)
    monkeypatch.setattr(Passage, "write", raising)
    played = play(retry(), Answer([start(), LEFT]))
    assert isinstance(played.ending, Abort)
