"""In the official shape a later attempt is spliced on; what tests/test_oracle.py compares with the SDK is here in small."""

import pytest

from answers import PING, STOP, block, delta, end, event, start, stop
from playbook import CLAIMED, PRIMARY, SECOND, THIRD, TOKEN, called, declined, said
from proxy.core.marked import Marked
from proxy.core.message import parse
from proxy.core.splice import Json, Refused, Wire
from proxy.core.sse import frames


def wire(*, opened: bool = False, guard: bool = True) -> Wire:
    """After a refusal of the primary, on the way to the second."""
    made = Wire(model=PRIMARY, secret=True, guard=guard)
    first = parse(start(PRIMARY).partition(b"data: ")[2])
    event = parse(declined(**CLAIMED).partition(b"data: ")[2])
    made.absorb(Refused(event=event, start=first, blocks=[], shown=opened), PRIMARY, next_index=1 if opened else 0)
    made.seam(SECOND)
    return made


def told(data: bytes) -> list[Json]:
    return [parse(frame.parse()[1]) for frame in frames(data)]


def kinds(data: bytes) -> list[str]:
    return [" ".join([found.get("type", ""), str(found.get("index", ""))]).strip() for found in told(data)]


def test_nothing_goes_out_before_output() -> None:
    made = Marked(wire(), SECOND)
    assert made.feed(start(SECOND) + PING + b": a comment\n\n") == b""
    out = made.feed(block(0))
    assert kinds(out)[:4] == ["message_start", "content_block_start 0", "content_block_stop 0", "ping"]
    assert kinds(out)[-1] == "content_block_start 1"
    assert told(out)[0]["message"]["id"] == "msg_1"
    assert made.feed(PING) == PING


def test_a_stop_reason_is_output() -> None:
    made = Marked(wire(opened=True), SECOND)
    out = made.feed(start(SECOND) + end())
    assert kinds(out) == ["content_block_start 1", "content_block_stop 1", "message_delta"]


def test_the_usage_tells_of_every_attempt() -> None:
    made = Marked(wire(), SECOND)
    ended = told(made.feed(start(SECOND) + said(0, "Hi") + end()))[-1]
    assert [(each["type"], each["model"]) for each in ended["usage"]["iterations"]] == [
        ("message", PRIMARY),
        ("fallback_message", SECOND),
    ]


@pytest.mark.parametrize("opened", [False, True])
def test_what_a_start_that_is_left_out_tells_of_the_input_is_told_at_the_end(opened: bool) -> None:
    made = Marked(wire(opened=opened), SECOND)
    opening = event("message_start", message={"id": "msg_2", "input_transformations": ["dropped"]})
    out = told(made.feed(opening + said(0, "Hi") + end()))
    assert ("input_transformations" in out[-1]) is opened
    assert ("input_transformations" in out[0].get("message", {})) is not opened


def test_a_refusal_that_stands_has_its_seam_and_no_token() -> None:
    made = Marked(wire(opened=True), SECOND)
    assert made.feed(start(SECOND) + declined(**CLAIMED) + STOP) == b""
    assert made.close(whole=True) == b""
    out = made.stand()
    assert kinds(out) == ["content_block_start 1", "content_block_stop 1", "message_delta", "message_stop"]
    assert TOKEN.encode() not in out
    assert told(out)[2]["delta"]["stop_details"]["recommended_model"] is None


def test_a_refusal_without_details_stands_so() -> None:
    made = Marked(wire(opened=True), SECOND)
    made.feed(start(SECOND) + end("refusal"))
    assert "stop_details" not in told(made.stand())[2]["delta"]


def test_blocks_that_a_refusal_left_open_can_be_ended() -> None:
    made = Marked(wire(opened=True), SECOND)
    made.feed(start(SECOND) + said(0, "Hi", left_open=True) + declined())
    assert kinds(made.end_blocks()) == ["content_block_stop 2"]
    assert made.end_blocks() == b""


def test_a_block_without_a_number_goes_on_without_one() -> None:
    made = Marked(wire(opened=True), SECOND)
    assert made.feed(event("content_block_stop")).endswith(event("content_block_stop", padding=0))


@pytest.mark.parametrize("guard", [False, True])
def test_a_tool_call_ends_before_the_stop_reason(guard: bool) -> None:
    made = Marked(wire(opened=True, guard=guard), SECOND)
    assert (b'content_block_stop\ndata: {"type":"content_block_stop","index":2}' in made.feed(called(0))) is not guard
    assert made.tool
    assert kinds(made.feed(end("tool_use"))) == [*(["content_block_stop 2"] if guard else []), "message_delta"]


def test_a_tool_of_the_api_runs_until_it_ends() -> None:
    made = Marked(wire(opened=True), SECOND)
    made.feed(called(0, "server_tool_use", left_open=True))
    assert made.tool
    made.feed(stop(0))
    assert not made.tool


def test_an_answer_that_was_cut_ends_no_tool_call() -> None:
    made = Marked(wire(opened=True), SECOND)
    made.feed(called(0))
    assert made.close(whole=False) == b""
    made = Marked(wire(opened=True), SECOND)
    made.feed(called(0))
    assert kinds(made.close(whole=True)) == ["content_block_stop 2"]


def test_what_is_held_back_can_be_let_go() -> None:
    made = Marked(wire(), SECOND)
    assert made.feed(start(SECOND)) == b""
    assert kinds(made.flush()) == ["message_start", "content_block_start 0", "content_block_stop 0"]
    assert made.flush() == b""


def test_a_model_that_hands_over_itself_is_named_by_the_next_seam() -> None:
    made = Marked(wire(opened=True), SECOND)
    seam = {"type": "fallback", "from": {"model": SECOND}, "to": {"model": "claude-haiku-5"}}
    made.feed(start(SECOND) + block(0, **seam) + stop(0) + delta(0, "") + declined())
    assert made.refused is not None
    assert made.refused.handed_from == "claude-haiku-5"


def test_where_our_own_code_fails_there_is_nothing_to_be_given_up() -> None:
    made = Marked(wire(), SECOND)
    made.feed(start(SECOND) + PING)
    assert made.give_up() == b""


def test_the_wire_goes_on_from_the_model_that_declined_last() -> None:
    shared = wire(opened=True)
    shared.seam_frames()
    shared.seam(THIRD)
    assert shared.seams[0]["from"] == {"model": SECOND}
