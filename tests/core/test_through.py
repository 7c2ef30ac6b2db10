"""An answer that is not declined is the API's to the byte, however the network cut it; only the end of a tool call moves."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from answers import DETAILS, PING, STOP, block, delta, end, event, start, stop
from playbook import (
    CLAIMED,
    PRIMARY,
    TOKEN,
    answering,
    at_cuts,
    called,
    declined,
    declining,
    found,
    said,
    thought,
)
from proxy.core import through
from proxy.core.message import parse
from proxy.core.splice import Wire
from proxy.core.sse import frames
from proxy.core.through import Through


def reader(*, thinking: bool = True, graft: bool = True, guard: bool = True, secret: bool = True) -> Through:
    return Through(Wire(model=PRIMARY, secret=secret, guard=guard), thinking=thinking, graft=graft)


def read(made: Through, pieces: Any, *, whole: bool = True) -> list[bytes]:
    """What the client gets for each piece, and for the end."""
    return [*map(made.feed, pieces), made.close(whole=whole)]


def guarded(*parts: bytes) -> bytes:
    """What a stream becomes: the ends of its tool calls stand just before the stop reason."""
    every = [frame.raw for frame in frames(b"".join(parts))]
    calls = [n for n in range(10) if any(b'"index":%d,"content_block":{"type":"tool_use"' % n in raw for raw in every)]
    ends = [raw for raw in every if any(raw.strip() == stop(n).strip() for n in calls)]
    rest = [raw for raw in every if raw not in ends]
    at = next(n for n, raw in enumerate(rest) if b'"stop_reason":"' in raw)
    return b"".join([*rest[:at], *ends, *rest[at:]])


# byte for byte

ODD = (
    PING,
    b": a comment\n\n",
    b"event: news\ndata: {}\n\n",
    b'event: news\ndata: {"type":"news", "said":"an event of tomorrow"}\n\n',
    b'event: content_block_news\ndata: {"type":"content_block_news", "index":0, "more":[1,  2]}\n\n',
    b"id: 7\nretry: 10\n\n",
    b'data: {"type":\ndata: "ping"}\n\n',
    b"data: no json\n\n",
    b"\n",
    b"\xef\xbb\xbf\n\n",
    b'event: content_block_stop\ndata: {"type":"content_block_stop"}\n\n',
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":null},"usage":{}}\n\n',
)
BLOCKS = st.sampled_from(["said", "thought", "called", "server", "redacted", "cited"])
CUTS = st.lists(st.integers(0, 10**6), max_size=12)


def made_of(kinds: list[str]) -> list[bytes]:
    """The events of blocks of these kinds."""
    out: list[bytes] = []
    for index, kind in enumerate(kinds):
        if kind == "said":
            out.append(said(index, "Hel", "lo"))
        elif kind == "thought":
            out.append(thought(index, "hm"))
        elif kind == "called":
            out.append(called(index))
        elif kind == "server":
            out.append(called(index, "server_tool_use"))
        elif kind == "redacted":
            out.append(block(index, type="redacted_thinking", data="cmVk") + stop(index))
        else:
            citing = event("content_block_delta", index=index, delta={"type": "citations_delta", "citation": {}})
            out.append(block(index, type="text", text="") + citing + delta(index, "as said") + stop(index))
    return [frame.raw for part in out for frame in frames(part)]


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """The events of an answer, odd ones among them."""
    content = [
        start(),
        *made_of(draw(st.lists(BLOCKS, max_size=5))),
        end(draw(st.sampled_from(["end_turn", "x"]))),
        STOP,
    ]
    for odd in draw(st.lists(st.sampled_from(ODD), max_size=5)):
        content.insert(draw(st.integers(0, len(content))), odd)
    return content


@given(streams(), CUTS, st.booleans(), st.booleans(), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_an_answer_is_the_api_s_bytes_wherever_it_is_cut(
    events: list[bytes], cuts: list[int], thinking: bool, graft: bool, line: bytes
) -> None:
    data = b"".join(events).replace(b"\n", line)
    made = reader(thinking=thinking, graft=graft, guard=False)
    assert b"".join(read(made, at_cuts(data, cuts))) == data
    assert made.refused is None


@given(streams(), CUTS)
def test_the_tool_guard_moves_the_ends_of_tool_calls_and_nothing_else(events: list[bytes], cuts: list[int]) -> None:
    assert b"".join(read(reader(), at_cuts(b"".join(events), cuts))) == guarded(*events)


@pytest.mark.parametrize("guard", [False, True])
def test_an_answer_goes_on_byte_by_byte(guard: bool) -> None:
    data = answering(thought(0, "hm"), said(1, "Hel", "lo"), called(2), said(3, "so"))
    one_by_one = [data[n : n + 1] for n in range(len(data))]
    assert b"".join(read(reader(guard=guard), one_by_one)) == (guarded(data) if guard else data)


@pytest.mark.parametrize("ending", [b"\n", b"", b"\n\n\n"], ids=["one line end", "none", "too many"])
def test_an_answer_may_lack_its_last_blank_line(ending: bytes) -> None:
    data = answering(said(0, "Hi")).rstrip(b"\n") + ending
    assert b"".join(read(reader(), [data])) == data


def test_an_answer_without_a_stop_reason_goes_on_whole() -> None:
    data = start() + called(0)
    assert b"".join(read(reader(), [data])) == data


def test_blocks_that_are_open_at_once_keep_their_order() -> None:
    data = start() + block(0) + block(1) + delta(0, "a") + stop(0) + delta(1, "b") + stop(1) + end() + STOP
    assert b"".join(read(reader(), [data])) == data


# what is held back


def shown(made: Through, *parts: bytes) -> list[bool]:
    """Whether the client has been sent anything, after each part."""
    out = b""
    told = []
    for part in parts:
        out += made.feed(part)
        told.append(bool(out))
    return told


OPENING = (start(), PING, thought(0, "hm"), PING)


def test_thinking_is_held_back_until_the_first_text() -> None:
    assert shown(reader(), *OPENING, block(1)) == [False] * 4 + [True]


@pytest.mark.parametrize(
    "first",
    [called(1), called(1, "server_tool_use"), found(1, 0), block(1, type="news")],
    ids="tool server result new".split(),
)
def test_thinking_is_held_back_until_the_first_of_anything_else(first: bytes) -> None:
    assert shown(reader(), *OPENING, first) == [False] * 4 + [True]


def test_thinking_is_output_where_only_the_first_block_is_waited_for() -> None:
    assert shown(reader(thinking=False), start(), PING, thought(0, "hm")) == [False, False, True]


def test_redacted_thinking_is_thinking() -> None:
    redacted = block(0, type="redacted_thinking", data="cmVk") + stop(0)
    assert shown(reader(), start(), redacted, said(1, "Hi")) == [False, False, True]


def test_a_stop_reason_lets_go_of_everything() -> None:
    parts = (*OPENING, end("end_turn"), STOP)
    made = reader()
    assert [bool(made.feed(part)) for part in parts] == [False] * 4 + [True, True]


def test_an_error_event_lets_go_of_everything_and_ends_no_tool_call() -> None:
    error = event("error", error={"type": "overloaded_error", "message": "busy"})
    made = reader()
    assert made.feed(start() + PING + error) == start() + PING + error
    made = reader()
    assert made.feed(start() + called(0) + error) == start() + called(0, left_open=True) + error


def test_what_is_held_back_goes_out_when_time_is_over_and_then_nothing_is_held_any_more() -> None:
    made = reader()
    assert made.feed(start() + thought(0, "hm")) == b""
    assert made.flush() == start() + thought(0, "hm")
    assert made.flush() == b""
    assert made.feed(thought(1, "well")) == thought(1, "well")


def test_before_the_first_byte_there_is_nothing_to_let_go_of() -> None:
    made = reader()
    assert made.flush() == b""
    assert made.feed(start()) == start()


# the tool guard


def test_a_tool_call_ends_just_before_the_stop_reason() -> None:
    made = reader()
    assert made.feed(start() + called(0)) == start() + called(0, left_open=True)
    assert made.feed(PING) == PING
    assert made.feed(end("tool_use")) == stop(0) + end("tool_use")
    assert made.feed(STOP) == STOP


@pytest.mark.parametrize("usage", [b"", end(None)], ids=["no end", "no reason"])
def test_where_no_stop_reason_comes_it_ends_before_the_stream_does(usage: bytes) -> None:
    made = reader()
    assert made.feed(start() + called(0) + usage) == start() + called(0, left_open=True) + usage
    assert made.feed(STOP) == stop(0) + STOP


def test_several_tool_calls_end_in_their_order_and_text_between_them_is_not_delayed() -> None:
    made = reader(graft=False)
    assert made.feed(start() + called(0) + called(1)) == start() + called(0, left_open=True) + called(1, left_open=True)
    assert made.feed(said(2, "and")) == said(2, "and")
    assert made.feed(end("tool_use")) == stop(0) + stop(1) + end("tool_use")


def test_tool_calls_side_by_side_end_in_the_order_in_which_they_ended() -> None:
    made = reader()
    made.feed(start() + block(0, type="tool_use", id="a") + block(1, type="tool_use", id="b"))
    assert made.feed(stop(1) + stop(0)) == b""
    assert made.feed(end("tool_use")) == stop(1) + stop(0) + end("tool_use")


def test_a_tool_call_of_a_declined_answer_never_ends() -> None:
    made = reader()
    out = made.feed(start() + called(0) + called(1) + declined()) + made.close(whole=True) + made.stand()
    assert out == start() + called(0, left_open=True) + called(1, left_open=True) + declined()


@pytest.mark.parametrize("guard", [False, True])
def test_a_tool_call_of_an_answer_that_was_cut_does_not_end_under_guard(guard: bool) -> None:
    made = reader(guard=guard)
    out = b"".join(read(made, [start() + called(0)], whole=False))
    assert out == start() + called(0, left_open=guard)


def test_tools_of_the_api_itself_are_not_delayed() -> None:
    for kind in ("server_tool_use", "mcp_tool_use"):
        made = reader()
        assert made.feed(start() + called(0, kind)) == start() + called(0, kind)


@pytest.mark.parametrize(("guard", "held"), [(True, 2), (False, None)])
def test_how_many_whole_tool_calls_are_held_is_known(guard: bool, held: int | None) -> None:
    made = reader(guard=guard)
    made.feed(declining(called(0), called(1), called(2, left_open=True)))
    assert made.refused is not None
    assert (made.refused.held, made.refused.shown) == (held, True)


def test_without_a_guard_tool_calls_end_when_they_end() -> None:
    assert reader(guard=False).feed(start() + called(0)) == start() + called(0)


# the end of a text block, where another model may go on in it


def test_the_end_of_a_text_block_waits_for_the_next_event() -> None:
    made = reader()
    assert made.feed(start() + said(0, "Hi")) == start() + said(0, "Hi", left_open=True)
    assert made.open == 0
    assert made.feed(PING) == b""
    assert made.feed(block(1)) == stop(0) + PING + block(1)
    assert made.open == 1


def test_a_block_of_another_kind_closes_it() -> None:
    made = reader()
    made.feed(start() + said(0, "Hi"))
    assert made.feed(block(1, type="news")) == stop(0) + block(1, type="news")
    assert made.open is None


def test_its_end_goes_out_before_a_cut() -> None:
    assert read(reader(), [start() + said(0, "Hi")], whole=False)[-1] == stop(0)


def test_its_end_is_left_out_where_another_model_goes_on() -> None:
    made = reader()
    made.feed(start() + said(0, "Hi") + declined())
    assert made.leave_open() == 0
    assert made.stand() == declined()


def test_where_none_may_go_on_it_is_not_delayed() -> None:
    assert reader(graft=False).feed(start() + said(0, "Hi")) == start() + said(0, "Hi")


# refusals


def test_a_refusal_before_output_shows_nothing() -> None:
    made = reader()
    assert made.feed(start() + PING + thought(0, "hm") + declined(**CLAIMED) + STOP) == b""
    assert made.refused is not None
    assert not made.refused.shown
    assert made.refused.start["message"]["id"] == "msg_1"
    assert made.refused.blocks == [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}]
    assert (made.refused.token, made.refused.claim, made.refused.category) == (TOKEN, True, "cyber")


@pytest.mark.parametrize("secret", [False, True])
def test_a_refusal_stands_with_all_that_was_held_back_and_without_what_the_client_did_not_ask_for(secret: bool) -> None:
    data = declining(thought(0, "hm"), **CLAIMED)
    made = reader(secret=secret)
    out = b"".join(read(made, [data]))
    assert (out, made.stand()) == (b"", declining(thought(0, "hm")) if secret else data)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64])
def test_a_refusal_stands_byte_for_byte_in_pieces_of_any_size(step: int) -> None:
    data = declining(said(0, "Hi"))
    made = reader()
    whole_frames = data[: data.index(STOP)]
    pieces = [whole_frames[n : n + step] for n in range(0, len(whole_frames), step)]
    out = b"".join(read(made, [*pieces, STOP]))
    assert out + made.stand() == data


@given(CUTS)
@example([-80])
def test_a_refusal_stands_byte_for_byte_wherever_it_is_cut(cuts: list[int]) -> None:
    data = declining(thought(0, "hm"), said(1, "Hi"))
    made = reader()
    assert b"".join(read(made, at_cuts(data, cuts))) + made.stand() == data


def test_what_follows_a_refusal_in_the_same_piece_stands_behind_it() -> None:
    made = reader()
    assert made.feed(declining(said(0, "Hi"), last=PING + STOP)) == start() + said(0, "Hi", left_open=True)
    assert made.close(whole=True) == b""
    assert made.stand() == stop(0) + declined() + PING + STOP


def test_the_last_event_of_a_refusal_may_lack_its_blank_line() -> None:
    data = declining(said(0, "Hi"), last=STOP[:-1])
    made = reader()
    assert b"".join(read(made, [data])) + made.stand() == data


def test_a_refusal_whose_own_event_lacks_its_blank_line_is_one() -> None:
    made = reader()
    out = b"".join(read(made, [start() + called(0) + declined(**CLAIMED)[:-1]]))
    assert stop(0) not in out
    assert TOKEN.encode() not in out
    assert made.refused is not None


@pytest.mark.parametrize("details", [None, {}, "refused", {"type": "other", "category": "cyber"}])
def test_only_the_stop_reason_makes_a_refusal(details: Any) -> None:
    made = reader()
    made.feed(start() + end("refusal", stop_details=details))
    assert made.refused is not None
    assert (made.refused.category, made.refused.token, made.refused.claim) == (None, None, False)
    made = reader()
    made.feed(start() + end("end_turn", stop_details=DETAILS))
    assert made.refused is None


def test_an_event_is_what_its_data_say_and_else_what_its_name_says() -> None:
    made = reader()
    made.feed(start() + b'event: message_delta\ndata: {"delta":{"stop_reason":"refusal"}}\n\n')
    assert made.refused is not None
    made = reader()
    made.feed(start() + b'event: ping\ndata: {"type":"message_delta","delta":{"stop_reason":"refusal"}}\n\n')
    assert made.refused is not None


def test_usage_is_the_start_s_where_the_end_leaves_it_out() -> None:
    made = reader()
    made.feed(start() + end("refusal", usage={"output_tokens": 3, "input_tokens": None, "server_tool_use": None}))
    assert made.refused is not None
    usage = made.refused.usage
    assert (usage["input_tokens"], usage["output_tokens"], usage["server_tool_use"]) == (412, 3, None)


def test_blocks_that_a_refusal_left_open_can_be_ended() -> None:
    made = reader(graft=False)
    made.feed(start() + said(0, "Hi") + called(1, "server_tool_use", left_open=True) + said(2, "so", left_open=True))
    made.feed(event("content_block_start", content_block={"type": "text"}) + declined())
    ended = [frame.parse()[1] for frame in frames(made.end_blocks())]
    assert ended == [b'{"type":"content_block_stop","index":%d}' % n for n in (1, 2)]


def test_the_model_that_the_api_handed_over_to_is_remembered() -> None:
    seam = {"type": "fallback", "from": {"model": PRIMARY}, "to": {"model": "claude-opus-4-8"}}
    made = reader()
    made.feed(start() + block(0, **seam) + stop(0) + declined())
    assert made.refused is not None
    assert made.refused.handed_from == "claude-opus-4-8"


def test_where_a_next_block_would_go_is_known_once_anything_was_sent() -> None:
    made = reader()
    made.feed(start() + thought(0, "hm"))
    assert (made.next_index, made.opened) == (0, False)
    made.feed(said(1, "Hi"))
    assert (made.next_index, made.opened) == (2, True)


@pytest.mark.parametrize("kind", ["server_tool_use", "mcp_tool_use"])
def test_a_tool_of_the_api_runs_until_it_ends_and_one_of_the_client_for_ever(kind: str) -> None:
    made = reader()
    made.feed(start() + called(0, kind, left_open=True))
    assert made.tool
    made.feed(stop(0))
    assert not made.tool
    made.feed(called(1))
    assert made.tool


def test_nothing_but_text_is_nothing_but_text() -> None:
    made = reader()
    made.feed(start() + said(0, "Hi") + said(1, "so"))
    assert made.only_text
    made.feed(found(2, 0))
    assert not made.only_text


# rule zero


@pytest.mark.parametrize("secret", [False, True])
def test_a_refusal_can_be_given_up_less_what_the_client_is_not_to_see_and_the_rest_goes_on_as_it_comes(
    secret: bool,
) -> None:
    made = reader(secret=secret)
    assert made.feed(start() + PING + declined(**CLAIMED) + PING) == b""
    assert made.give_up() == start() + PING + (declined() if secret else declined(**CLAIMED)) + PING
    assert made.refused is None
    assert made.feed(STOP) == STOP


def test_a_tool_of_a_refusal_that_is_given_up_does_not_run_either() -> None:
    made = reader()
    made.feed(start() + called(0) + declined())
    assert made.give_up() == declined()


def failing(monkeypatch: pytest.MonkeyPatch, at: bytes) -> None:
    """What reads events fails at one of them."""
    real = parse

    def spoilt(data: bytes) -> dict[str, Any]:
        if at in data:
            raise RuntimeError("a bug of ours")
        return real(data)

    monkeypatch.setattr(through, "parse", spoilt)


@pytest.mark.parametrize("at", [b"message_start", b"content_block_start", b"content_block_stop", b"message_delta"])
def test_a_reader_that_fails_lets_every_byte_go_on(monkeypatch: pytest.MonkeyPatch, at: bytes) -> None:
    failing(monkeypatch, at)
    data = answering(thought(0, "hm"), said(1, "Hi"))
    assert b"".join(read(reader(), [frame.raw for frame in frames(data)])) == data


@pytest.mark.parametrize("at", [len(start() + called(0)), -20], ids=["what it holds", "half an event"])
def test_a_reader_that_fails_lets_every_byte_go_on_in_its_order(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    failing(monkeypatch, b"message_start")
    data = answering(called(0), model=PRIMARY)
    assert b"".join(read(reader(), [data[:at], data[at:]])) == data


def test_a_reader_that_failed_lets_no_token_through(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, b"message_start")
    assert b"".join(read(reader(), [declining(**CLAIMED)])) == declining()
    assert b"".join(read(reader(secret=False), [declining(**CLAIMED)])) == declining(**CLAIMED)


DEEP = event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": "[" * 100_000})


def test_an_argument_that_is_nested_too_deeply_hides_no_refusal() -> None:
    made = reader()
    out = made.feed(
        start() + block(0, type="tool_use", id="a", name="b", input={}) + DEEP + stop(0) + declined(**CLAIMED)
    )
    assert stop(0) not in out
    assert TOKEN.encode() not in out
