"""Answers folded into messages: whole, byte by byte and at random cuts, and never an exception."""

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import (
    ANSWER,
    DETAILS,
    ITERATIONS,
    MID,
    PING,
    REFUSAL,
    SEAM,
    STOP,
    aws,
    block,
    data_of,
    delta,
    end,
    event,
    start,
)
from proxy.core import eventstream, fold
from proxy.core.fold import BatchFold, BodyFold, EventStreamFold, Fold, SniffedFold, StreamFold
from proxy.core.message import parse, read_body, read_result, text
from schemas.wire import Message

BODY = json.dumps(
    {
        "id": "msg_1",
        "model": "claude-opus-5",
        "content": [{"type": "text", "text": "Hel"}],
        "stop_reason": "refusal",
        "stop_details": DETAILS,
        "usage": {"input_tokens": 412, "output_tokens": 0},
    }
).encode()


def run(made: Fold, parts: list[bytes]) -> list[Message]:
    found = [message for part in parts for message in made.feed(part)]
    return found + made.close()


def bytewise(data: bytes) -> list[bytes]:
    return [data[n : n + 1] for n in range(len(data))]


def only(messages: list[Message]) -> Message:
    assert len(messages) == 1
    return messages[0]


def test_a_refusal_is_decided_at_its_message_delta_and_not_before() -> None:
    made = StreamFold()
    assert made.feed(start()) == []
    message = only(made.feed(end("refusal", stop_details=DETAILS)))
    assert (message.stop_reason, message.category, message.explanation) == ("refusal", "cyber", DETAILS["explanation"])
    assert (message.id, message.model, message.blocks, message.where) == ("msg_1", "claude-opus-5", 0, "message_delta")
    assert made.feed(STOP) == made.close() == []


def test_the_final_usage_keeps_what_only_the_start_had_said() -> None:
    usage = only(run(StreamFold(), [ANSWER])).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (
        412,
        3,
        9,
        7,
    )


@pytest.mark.parametrize("stream", [ANSWER, REFUSAL, MID, MID.replace(b"\n", b"\r\n")])
def test_a_stream_reads_the_same_whole_and_byte_by_byte(stream: bytes) -> None:
    assert run(StreamFold(), bytewise(stream)) == run(StreamFold(), [stream])


@given(st.lists(st.integers(0, len(MID))))
def test_a_stream_reads_the_same_at_random_cuts(at: list[int]) -> None:
    places = sorted({0, len(MID), *at})
    parts = [MID[a:b] for a, b in pairwise(places)]
    assert only(run(StreamFold(), parts)).stop_reason == "refusal"


def test_text_that_quotes_a_refusal_is_text() -> None:
    quoted = '"stop_reason":"refusal"\n\nevent: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"refusal"}}\n\n'
    stream = start() + block(0) + delta(0, quoted) + end()
    assert only(run(StreamFold(), [stream])).stop_reason == "end_turn"


def test_a_delta_with_something_behind_it_is_not_skipped() -> None:
    for behind in (end("refusal"), end("refusal").replace(b"\n", b"\r\n"), end("refusal").replace(b"\n", b"\r")):
        for line in (b"", b"\r\r", b"\r\n\r\n"):
            piece = (delta(0, "x")[:-2] + line if line else delta(0, "x")) + behind
            made = StreamFold()
            assert only(made.feed(start() + block(0)) + made.feed(piece) + made.close()).stop_reason == "refusal"


def test_a_delta_behind_half_a_frame_belongs_to_that_frame() -> None:
    parts = [start() + block(0) + b"event: message_delta\n", delta(0, "x"), end("refusal")]
    made = StreamFold()
    assert made.feed(parts[0]) == made.feed(parts[1]) == []
    assert only(made.feed(parts[2])).stop_reason == "refusal"
    assert run(StreamFold(), bytewise(b"".join(parts))) == run(StreamFold(), [b"".join(parts)])


def test_a_refusal_needs_no_content_block_start_and_no_event_lines() -> None:
    bare = b"".join(b"data: " + data_of(part) + b"\n\n" for part in (start(), end("refusal")))
    assert only(run(StreamFold(), [bare])).stop_reason == "refusal"
    deltas_only = start() + delta(0, "x") + delta(0, "y") + end("refusal")
    assert only(run(StreamFold(), [deltas_only])).blocks == 1


def test_a_type_in_the_data_outweighs_the_event_name_and_the_name_serves_without_one() -> None:
    hidden = b"event: ping\n" + b"data: " + data_of(end("refusal")) + b"\n\n"
    assert only(run(StreamFold(), [start() + hidden])).stop_reason == "refusal"
    named = b'event: message_delta\ndata: {"delta":{"stop_reason":"refusal"}}\n\n'
    assert only(run(StreamFold(), [named])).stop_reason == "refusal"


def test_a_message_delta_without_a_stop_reason_decides_nothing() -> None:
    assert only(run(StreamFold(), [start() + end(None)])).stop_reason is None


def test_a_stream_that_is_cut_leaves_its_message_undecided() -> None:
    assert only(run(StreamFold(), [start() + block(0)])).stop_reason is None
    assert only(run(StreamFold(), [REFUSAL[:-40].partition(STOP)[0].rstrip(b"\n")])).stop_reason == "refusal"


def test_an_error_event_decides_and_says_what_it_said() -> None:
    error = {"details": None, "type": "invalid_request_error", "message": "Output blocked by content filtering policy"}
    message = only(run(StreamFold(), [start() + event("error", error=error, request_id="req_9") + STOP]))
    assert message.problem is not None
    assert (message.problem.type, message.request_id, message.where) == ("invalid_request_error", "req_9", "error")


def test_seams_and_iterations_are_read_and_seams_are_no_content() -> None:
    stream = (
        start() + block(0) + block(1, **SEAM) + block(2) + end(usage={"output_tokens": 5, "iterations": ITERATIONS})
    )
    message = only(run(StreamFold(), [stream]))
    assert message.blocks == 2
    seam = message.seams[0]
    assert (seam.from_model, seam.to_model, seam.category, seam.after) == (
        "claude-fable-5",
        "claude-opus-4-8",
        "bio",
        1,
    )
    assert [(entry.type, entry.usage.output_tokens) for entry in message.iterations] == [
        ("message", 0),
        ("fallback_message", 264),
    ]


def test_fields_of_the_wrong_type_are_fields_that_are_not_there() -> None:
    stream = (
        event("message_start", message=7) + block(0, type="fallback") + event("content_block_start", content_block=[])
    )
    stream += event(
        "message_delta", delta={"stop_reason": "refusal", "stop_details": {"category": 3}}, usage={"output_tokens": "x"}
    )
    message = only(run(StreamFold(), [stream]))
    assert (message.category, message.usage.output_tokens, message.seams[0].to_model) == (None, None, None)


def test_json_is_read_as_leniently_as_clients_read_it() -> None:
    assert parse(b'{"a": "\\ud800"}')["a"] == "\ud800"
    assert text("\ud800") == "?"
    assert parse(b'{"a": "\xff"}') == {"a": "�"}
    assert parse(b"[1]") == parse(b"nonsense") == parse(b"[" * 100_000) == parse(b"") == {}


def test_bedrock_events_are_the_same_in_another_envelope() -> None:
    events = [start(), block(0), delta(0, "a"), end("refusal", stop_details=DETAILS), STOP]
    stream = b"".join(aws(data_of(part)) for part in events)
    expected = only(run(EventStreamFold(), [stream]))
    assert (expected.stop_reason, expected.category, expected.blocks) == ("refusal", "cyber", 1)
    assert run(EventStreamFold(), bytewise(stream)) == [expected]
    assert only(run(EventStreamFold(), [stream[:100]])).stop_reason is None


def test_what_is_no_event_stream_is_told_once_and_read_no_further() -> None:
    made = EventStreamFold()
    assert made.feed(b"HTTP/1.1 200 OK, and more") == []
    assert made.failed == "not an event stream"
    assert made.feed(aws(data_of(end("refusal")))) == []


def test_a_bedrock_payload_that_is_not_ours_is_skipped() -> None:
    good = aws(b'{"type":"ping"}')
    assert eventstream.Payloads().feed(good.replace(b'"bytes"', b'"bites"')) == [b""]
    assert eventstream.Payloads().feed(good.replace(b"{", b"[", 1)) == [b""]
    assert eventstream.Payloads().feed(aws(b'{"type":"ping"}').replace(b"ey", b"\xff\xff", 1)) == [b""]


@given(st.binary(max_size=300), st.sampled_from([StreamFold, EventStreamFold, BodyFold, BatchFold, SniffedFold]))
def test_no_bytes_make_a_fold_raise(data: bytes, kind: Callable[[], Fold]) -> None:
    run(kind(), [data[:100], data[100:]])


def test_a_body_of_known_length_is_decided_by_its_last_byte() -> None:
    made = BodyFold(len(BODY))
    assert made.feed(BODY[:-1]) == []
    assert only(made.feed(BODY[-1:])).stop_reason == "refusal"
    assert made.feed(b"x") == made.close() == []


def test_a_body_of_unknown_length_is_decided_by_its_end() -> None:
    message = only(run(BodyFold(), bytewise(BODY)))
    assert (message.stop_reason, message.blocks, message.category, message.where) == ("refusal", 1, "cyber", "message")


def test_a_body_with_a_seam_and_an_error_body_are_read() -> None:
    assert (
        read_body(json.dumps({"content": [SEAM, {"type": "text"}], "stop_reason": "end_turn"}).encode())
        .seams[0]
        .category
        == "bio"
    )
    assert read_body(b'{"error": "just words"}').problem is not None
    assert read_body(b'{"content": 3}').blocks == 0


def test_batch_results_give_a_message_a_line() -> None:
    lines = [
        {"custom_id": "a", "result": {"type": "succeeded", "message": json.loads(BODY)}},
        {"custom_id": "b", "result": {"type": "errored", "error": {"error": {"type": "x", "message": "y"}}}},
    ]
    data = b"\n".join(json.dumps(line).encode() for line in lines)
    found = run(BatchFold(), bytewise(data))
    assert [message.where for message in found] == ["batch.result.message", "error"]
    assert run(BatchFold(), [data + b"\n\n"]) == found
    assert read_result(b"{}").stop_reason is None


def test_the_first_byte_tells_a_body_from_a_stream() -> None:
    assert only(run(SniffedFold(), [b" \n", REFUSAL])).where == "message_delta"
    made = SniffedFold(len(BODY) + 2)
    assert made.feed(b" ") == []
    assert made.failed is None
    assert only(made.feed(b" " + BODY)).where == "message"
    assert only(SniffedFold().close()).stop_reason is None


def test_what_is_too_large_is_passed_on_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "LARGEST", 50)
    for made in (StreamFold(), BodyFold(), BatchFold(), SniffedFold()):
        assert made.feed(b"{" + b"x" * 60) == []
        assert made.failed
    assert StreamFold().feed(PING * 3) == []
    stream = StreamFold()
    stream.feed(b"data: " + b"x" * 60)
    assert stream.failed
    assert stream.feed(REFUSAL) == []
    body = BodyFold()
    body.feed(b"x" * 60)
    assert body.feed(b"x") == body.close() == []
