"""What several attempts share, and what a refused one leaves behind."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import PING, block, delta, end, event, start, stop
from playbook import CLAIMED, PRIMARY, SECOND, THIRD, TOKEN, Json, called, declined, found, said, thought
from proxy.core.message import parse
from proxy.core.splice import Refused, Wire, content, is_delta, served, without_token
from proxy.core.splice import declined as iterations
from proxy.core.sse import Frame, frames


def data_of(frame: bytes) -> Json:
    return parse(frames(frame)[0].parse()[1])


def refused(*, shown: bool = False, usage: Any = None, details: Any = CLAIMED, **more: Any) -> Refused:
    ended = data_of(declined(**details) if details is not None else end("refusal"))
    return Refused(
        event=ended | ({"usage": usage} if usage else {}), start=data_of(start(PRIMARY)), blocks=[], shown=shown, **more
    )


def wire(given: Refused, *, next_index: int = 0) -> Wire:
    made = Wire(model=PRIMARY, secret=True, guard=True)
    made.absorb(given, PRIMARY, next_index=next_index)
    return made


def told(data: bytes) -> list[Json]:
    return [parse(frame.parse()[1]) for frame in frames(data)]


# the wire


def test_a_seam_names_who_declined_last_and_who_answers() -> None:
    made = wire(refused())
    made.seam(SECOND)
    made.seam(THIRD)
    assert [(seam["from"]["model"], seam["to"]["model"]) for seam in made.seams] == [(PRIMARY, SECOND), (SECOND, THIRD)]
    assert made.seams[0]["trigger"] == {"type": "refusal", "category": "cyber"}


def test_seams_are_sent_once_and_blocks_go_on_behind_them() -> None:
    made = wire(refused(shown=True), next_index=2)
    made.seam(SECOND)
    assert [found["index"] for found in told(made.seam_frames())] == [2, 2]
    assert made.next_index == 3
    assert made.seam_frames() == b""


def test_the_first_seam_names_the_model_that_the_api_had_handed_over_to() -> None:
    made = wire(refused(handed_from="claude-haiku-5"))
    assert made.handing == "claude-haiku-5"
    made.absorb(refused(handed_from="claude-mythos-5"), SECOND, next_index=0)
    assert made.handing == "claude-haiku-5"


def test_a_message_keeps_the_first_attempt_s_id() -> None:
    made = wire(refused())
    later = {"type": "message_start", "message": {"id": "msg_2", "model": SECOND}}
    assert told(made.start_frame(later))[0]["message"] == {"id": "msg_1", "model": SECOND}
    assert made.start_frame({}) == b""
    nameless = Wire(model=PRIMARY, secret=True, guard=True)
    assert told(nameless.start_frame(later))[0]["message"]["id"] == "msg_2"


@pytest.mark.parametrize("shown", [False, True])
def test_where_every_attempt_failed_the_last_refusal_is_told(shown: bool) -> None:
    made = wire(refused(shown=shown), next_index=1 if shown else 0)
    out = told(made.exhausted(SECOND))
    assert [found["type"] for found in out] == [*([] if shown else ["message_start"]), "message_delta", "message_stop"]
    assert out[-2]["delta"]["stop_details"]["recommended_model"] == SECOND
    assert [each["model"] for each in out[-2]["usage"]["iterations"]] == [PRIMARY]
    assert TOKEN not in str(out)


def test_a_refusal_without_details_is_told_so() -> None:
    assert "stop_details" not in told(wire(refused(details=None)).exhausted(None))[-2]["delta"]


@pytest.mark.parametrize("own", [False, True])
def test_transformations_of_a_start_that_was_left_out_are_told_at_the_end(own: bool) -> None:
    given = refused(shown=True, silent=True)
    given.start["message"]["input_transformations"] = ["start"]
    if own:
        given.event["input_transformations"] = ["end"]
    assert told(wire(given, next_index=1).exhausted(None))[-2]["input_transformations"] == ["end" if own else "start"]
    bare = refused(shown=True, silent=True)
    assert "input_transformations" not in told(wire(bare, next_index=1).exhausted(None))[-2]


# usage


def test_an_attempt_s_own_report_is_taken_over() -> None:
    own = [{"type": "message", "input_tokens": 5, "output_tokens": 9}]
    assert iterations(refused(usage={"iterations": own}), PRIMARY) == [own[0] | {"model": PRIMARY}]
    named = [own[0] | {"model": "claude-named"}]
    assert iterations(refused(usage={"iterations": named}), PRIMARY) == named
    two = [*own, *own, "no entry"]
    assert iterations(refused(usage={"iterations": two}), PRIMARY) == [*own, *own]
    assert served({"iterations": two[:2]}, SECOND) == own[0] | {"type": "fallback_message", "model": SECOND}


@pytest.mark.parametrize("reported", [None, [], "many", ["no entry"]])
def test_without_a_report_its_usage_counts(reported: Any) -> None:
    (made,) = iterations(refused(usage={"output_tokens": 3, "iterations": reported}), PRIMARY)
    assert (made["type"], made["model"], made["input_tokens"], made["output_tokens"]) == ("message", PRIMARY, 412, 3)
    assert served({"output_tokens": 3, "iterations": reported}, SECOND)["type"] == "fallback_message"


def test_only_what_concerns_credit_is_left_out() -> None:
    assert without_token({"type": "refusal", **CLAIMED}) == {"type": "refusal"}


# content


def test_content_is_what_a_whole_message_would_have() -> None:
    cited = event("content_block_delta", index=3, delta={"type": "citations_delta", "citation": {"n": 1}})
    data = (
        start()
        + thought(0, "h", "m")
        + said(1, "Hel", "lo")
        + called(2)
        + block(3)
        + cited
        + cited
        + delta(3, "so")
        + found(4, 2)
        + declined()
    )
    assert content(frames(data)) == [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {"command": "ls"}},
        {"type": "text", "text": "so", "citations": [{"n": 1}, {"n": 1}]},
        {"type": "web_search_tool_result", "tool_use_id": "toolu_2", "content": []},
    ]


def test_an_argument_that_was_cut_is_the_one_that_it_began_with() -> None:
    begun = block(0, type="tool_use", input={"begun": 1})
    cut = event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"comm'})
    assert content(frames(begun + cut)) == [{"type": "tool_use", "input": {"begun": 1}}]


def test_an_argument_that_is_nested_too_deeply_is_the_one_that_it_began_with() -> None:
    deep = event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": "[" * 100_000})
    assert content(frames(block(0, type="tool_use", input={}) + deep)) == [{"type": "tool_use", "input": {}}]


def test_what_belongs_to_no_block_is_no_content() -> None:
    odd = event("content_block_delta", index=0, delta={"type": "news"}) + delta(7, "lost") + stop(7) + PING
    assert content(frames(block(0) + odd)) == [{"type": "text", "text": ""}]
    assert content(frames(event("content_block_start", content_block={"type": "text"}))) == []


@given(st.lists(st.sampled_from([1, None, "x", [1], {"a": 1}]), min_size=5, max_size=5))
def test_fields_of_any_type_are_read(values: list[Any]) -> None:
    kinds = ("text", "thinking", "signature", "citations", "input_json")
    names = ("text", "thinking", "signature", "citation", "partial_json")
    data = block(0, type="text", text=values[0], citations=values[1])
    for kind, name, value in zip(kinds, names, values, strict=True):
        data += event("content_block_delta", index=0, delta={"type": f"{kind}_delta", name: value})
    assert len(content(frames(data))) == 1


def test_a_delta_is_known_by_its_first_bytes() -> None:
    assert is_delta(Frame(delta(0, "x")))
    assert not is_delta(Frame(b": " + delta(0, "x")))
