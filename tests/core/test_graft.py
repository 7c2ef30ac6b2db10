"""In plain wire another model goes on in the text block that the client has open, and leaves no seam."""

import json
from typing import Any

import pytest

from answers import PING, STOP, block, delta, end, event, start, stop
from playbook import CLAIMED, PRIMARY, SECOND, TOKEN, called, declined, found, message, said, texts, thought
from proxy.core.graft import Graft
from proxy.core.message import parse
from proxy.core.splice import Wire
from proxy.core.sse import frames


def graft(open_text: int | None = 0, *, continues: bool = True, next_index: int = 1, guard: bool = True) -> Graft:
    wire = Wire(model=PRIMARY, secret=True, guard=guard, opened=True, next_index=next_index)
    return Graft(wire, open_text, continues=continues)


def read(made: Graft, *parts: bytes, whole: bool = True) -> bytes:
    return b"".join([*map(made.feed, parts), made.close(whole=whole)])


def outline(data: bytes) -> list[str]:
    """An event a line: what it is, where, and what it brings."""
    out = []
    for frame in frames(data):
        found = parse(frame.parse()[1])
        kind = str(found.get("type", "")).removeprefix("content_block_")
        more = found.get("content_block", {}).get("type") or found.get("delta", {}).get("text", "")
        out.append(" ".join(filter(None, [kind, str(found.get("index", "")), more])))
    return out


GOES_ON = start(SECOND) + PING + said(0, "lo", " you") + end("end_turn") + STOP


def test_text_goes_on_in_the_block_that_is_open() -> None:
    out = read(graft(), GOES_ON)
    assert outline(out) == ["ping", "delta 0 lo", "delta 0  you", "stop 0", "message_delta", "message_stop"]
    assert out.endswith(end("end_turn") + STOP)


@pytest.mark.parametrize("step", [1, 3, 50, 10_000])
def test_text_goes_on_in_pieces_of_any_size(step: int) -> None:
    pieces = [GOES_ON[n : n + step] for n in range(0, len(GOES_ON), step)]
    assert read(graft(), *pieces) == read(graft(), GOES_ON)


def test_what_its_first_block_begins_with_is_not_lost() -> None:
    begun = block(0, type="text", text="lo") + stop(0)
    assert outline(read(graft(), begun + end())) == ["delta 0 lo", "stop 0", "message_delta"]


def test_a_second_text_block_is_a_block_of_its_own() -> None:
    out = outline(read(graft(), said(0, "lo") + said(1, "So") + end()))
    assert out == ["delta 0 lo", "stop 0", "start 1 text", "delta 1 So", "stop 1", "message_delta"]


def test_its_thinking_is_left_out() -> None:
    out = outline(read(graft(), thought(0, "hm") + said(1, "lo") + thought(2, "hm") + said(3, "So") + end()))
    assert out == ["delta 0 lo", "stop 0", "start 1 text", "delta 1 So", "stop 1", "message_delta"]


@pytest.mark.parametrize("guard", [False, True])
def test_a_tool_call_comes_in_a_new_block_and_ends_before_the_stop_reason(guard: bool) -> None:
    made = graft(guard=guard)
    out = outline(made.feed(said(0, "lo") + called(1)))
    expected = ["delta 0 lo", "stop 0", "start 1 tool_use", "delta 1", "delta 1", "delta 1"]
    assert out == expected + ([] if guard else ["stop 1"])
    assert made.tool
    assert outline(made.feed(end("tool_use"))) == [*(["stop 1"] if guard else []), "message_delta"]


def test_a_tool_call_at_once_closes_the_text() -> None:
    out = outline(read(graft(), called(0) + end("tool_use")))
    assert out == ["stop 0", "start 1 tool_use", "delta 1", "delta 1", "delta 1", "stop 1", "message_delta"]


def test_what_did_not_continue_stands_in_blocks_of_its_own() -> None:
    out = outline(read(graft(continues=False), said(0, "Hello") + end()))
    assert out == ["stop 0", "start 1 text", "delta 1 Hello", "stop 1", "message_delta"]


def test_where_no_text_is_open_it_begins_a_block() -> None:
    out = outline(read(graft(None, next_index=3), said(0, "Hello") + end()))
    assert out == ["start 3 text", "delta 3 Hello", "stop 3", "message_delta"]


def test_blocks_of_the_api_s_own_tools_are_renumbered() -> None:
    out = outline(read(graft(), called(0, "server_tool_use") + found(1, 0) + end()))
    assert out[:2] == ["stop 0", "start 1 server_tool_use"]
    assert out[-4:] == ["stop 1", "start 2 web_search_tool_result", "stop 2", "message_delta"]


def test_what_belongs_to_no_block_of_its_own_is_left_out() -> None:
    lost = event("content_block_start", content_block={}) + delta(7, "lost") + stop(7)
    assert read(graft(), lost + end()) == event("content_block_stop", padding=0, index=0) + end()


def test_an_answer_without_a_stop_reason_ends_its_text() -> None:
    assert outline(read(graft(), said(0, "lo"))) == ["delta 0 lo", "stop 0"]


def test_an_answer_that_was_cut_ends_nothing() -> None:
    assert outline(read(graft(), said(0, "lo"), whole=False)) == ["delta 0 lo"]
    assert read(graft(), b"event: mess", whole=False) == b""


USAGE = event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 2})
NEWS = b"event: news\ndata: {}\n\n: a comment\n\n"


def test_other_events_wait_for_its_output_and_then_go_on_as_they_came() -> None:
    made = graft()
    assert made.feed(PING + USAGE) == b""
    assert made.feed(block(0) + delta(0, "so")).startswith(PING + USAGE)
    assert made.feed(NEWS + USAGE) == NEWS + USAGE


@pytest.mark.parametrize("whole", [False, True])
def test_they_go_on_with_its_end_where_there_is_no_output(whole: bool) -> None:
    assert read(graft(None), PING, whole=whole) == PING
    assert read(graft(None), PING + end()) == PING + end()


def test_what_must_go_out_before_it_does_so_once() -> None:
    wire = Wire(model=PRIMARY, secret=True, guard=True, opened=True, next_index=1)
    made = Graft(wire, None, continues=False, before=lambda: stop(0))
    assert made.feed(start(SECOND) + thought(0, "hm") + PING) == b""
    assert made.feed(block(1)) == stop(0) + PING + block(1).replace(b"     }", b"}")
    assert b'index":0' not in made.feed(delta(1, "so") + stop(1) + end())


def test_where_our_own_code_fails_there_is_nothing_to_be_given_up() -> None:
    made = graft()
    made.feed(PING)
    assert made.give_up() == b""


def test_a_refusal_stops_it_and_nothing_of_it_goes_out_any_more() -> None:
    made = graft()
    assert outline(made.feed(start(SECOND) + said(0, "lo") + declined(**CLAIMED) + STOP)) == ["delta 0 lo"]
    assert (made.feed(PING), made.close(whole=True)) == (b"", b"")
    assert made.refused is not None
    assert (made.refused.shown, made.refused.token) == (True, TOKEN)
    assert made.refused.blocks == [message({"type": "text", "text": "lo"})["content"][0]]
    assert (made.open, made.next_index) == (0, 1)
    assert outline(made.stand()) == ["stop 0"]
    assert made.stand() == b""


def test_a_refusal_after_thinking_alone_has_shown_nothing() -> None:
    made = graft()
    assert made.feed(start(SECOND) + thought(0, "hm") + declined()) == b""
    assert made.refused is not None
    assert not made.refused.shown


def test_nothing_is_held_back_but_ends() -> None:
    made = graft()
    made.feed(start(SECOND) + said(0, "lo"))
    assert made.flush() == b""


@pytest.mark.parametrize("kind", ["server_tool_use", "mcp_tool_use"])
def test_a_tool_of_the_api_runs_until_it_ends(kind: Any) -> None:
    made = graft()
    made.feed(called(0, kind, left_open=True))
    assert made.tool


@pytest.mark.parametrize(
    ("blanks", "said", "told"),
    [
        (" ", (" is Paris", "."), "is Paris."),
        (" ", ("is Paris",), "is Paris"),
        ("\n\n", ("\n", "\nThen"), "Then"),
        ("\n\n", ("\n", "Then"), "Then"),
        ("", (" is",), " is"),
        (" ", ("", " is"), "is"),
    ],
)
def test_blanks_that_the_client_has_are_not_sent_twice(blanks: str, said: tuple[str, ...], told: str) -> None:
    graft = Graft(
        Wire(model="a", secret=False, guard=False, opened=True, next_index=1), 0, continues=True, blanks=blanks
    )
    pieces = [block(0), *(delta(0, part) for part in said)]
    got = b"".join(map(graft.feed, pieces))
    deltas = [json.loads(line[6:]) for line in got.splitlines() if line.startswith(b"data: ")]
    assert "".join(one["delta"]["text"] for one in deltas) == told
    assert {one["index"] for one in deltas} == {0}


# blanks at the end of the client's text, which were not given on


@pytest.mark.parametrize(
    ("blanks", "parts", "said_again"),
    [
        (" ", [" so", " it"], "so it"),
        (" ", [" ", "so"], "so"),
        (" ", ["", " ", " so"], " so"),
        ("\n\n", ["\n", "\nso"], "so"),
        ("\n\n", ["\n", "so"], "so"),
        ("\n\n", ["so", "\n\n"], "so\n\n"),
        (" ", ["so", " "], "so "),
    ],
)
def test_what_the_client_has_already_is_not_sent_again(blanks: str, parts: list[str], said_again: str) -> None:
    wire = Wire(model=PRIMARY, secret=True, guard=True, opened=True, next_index=1)
    out = read(Graft(wire, 0, continues=True, blanks=blanks), said(0, *parts) + end())
    assert texts(out) == said_again


def test_what_a_block_begins_with_is_looked_at_too() -> None:
    wire = Wire(model=PRIMARY, secret=True, guard=True, opened=True, next_index=1)
    made = Graft(wire, 0, continues=True, blanks=" ")
    assert texts(read(made, block(0, type="text", text=" so") + stop(0) + end())) == "so"


@pytest.mark.parametrize("kind", ["citations_delta", "input_json_delta"])
def test_a_delta_of_another_kind_is_no_blank(kind: str) -> None:
    wire = Wire(model=PRIMARY, secret=True, guard=True, opened=True, next_index=1)
    cited = event("content_block_delta", index=0, delta={"type": kind})
    assert kind.encode() in Graft(wire, 0, continues=True, blanks=" ").feed(block(0) + cited)
