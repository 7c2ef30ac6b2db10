"""One answer of the API, as an onlooker reads it."""

import gzip

import pytest

from answers import ANSWER, MID, REFUSAL, STOP, block, delta, event, stop
from playbook import called, declining, encoded, message, refused_message
from proxy.core.answer import Answer
from proxy.core.headers import Headers
from proxy.core.surface import Surface

SSE: Headers = ((b"Content-Type", b"text/event-stream"),)
GZIP: Headers = ((b"Content-Encoding", b"gzip"),)


def opened(headers: Headers, status: int = 200, surface: Surface = Surface.MESSAGES) -> Answer:
    answer = Answer(surface)
    answer.opened(status, headers)
    return answer


def test_a_stream_is_decided_by_its_stop_reason() -> None:
    answer = opened(SSE)
    assert answer.feed(MID[: -len(STOP)]) != []
    assert (answer.message.stop_reason, answer.message.id) == ("refusal", "msg_1")
    assert answer.finish(whole=True) == []
    assert answer.whole


@pytest.mark.parametrize(
    ("blocks", "n"),
    [
        (called(0) + called(1), 2),
        (called(0, left_open=True), 0),
        (called(0, "server_tool_use") + stop(1), 0),
        (event("content_block_stop", index=[]) + block(0) + delta(0, "Hi") + stop(0), 0),
        (event("content_block_start", index={}, content_block={"type": "tool_use"}), 0),
    ],
    ids=["two", "not whole", "of the API", "of no block", "without a place"],
)
def test_whole_calls_of_the_client_s_tools_are_counted(blocks: bytes, n: int) -> None:
    answer = opened(SSE)
    assert answer.feed(declining(blocks)) != []
    assert answer.message.calls == n


def test_tool_calls_of_a_whole_body_are_counted() -> None:
    body = {**refused_message(), "content": [{"type": "text", "text": "Hi"}, {"type": "tool_use"}, None]}
    answer = opened(())
    answer.feed(encoded(body))
    answer.finish(whole=True)
    assert answer.message.calls == 1


def test_a_whole_body_is_decided_by_its_last_byte_or_by_its_end() -> None:
    body = encoded(message())
    known = opened(((b"Content-Length", b"%d" % len(body)),))
    assert (known.feed(body[:-1]), len(known.feed(body[-1:]))) == ([], 1)
    unknown = opened(())
    assert (unknown.feed(body), len(unknown.finish(whole=True))) == ([], 1)
    assert unknown.message.stop_reason == "end_turn"


def test_an_encoded_answer_is_read_and_its_length_is_not_believed() -> None:
    body = gzip.compress(encoded(refused_message()))
    answer = opened((*GZIP, (b"Content-Length", b"%d" % len(body))))
    answer.feed(body)
    answer.finish(whole=True)
    assert answer.message.stop_reason == "refusal"
    stream = opened(SSE + GZIP)
    stream.feed(gzip.compress(REFUSAL))
    assert stream.message.stop_reason == "refusal"


def test_what_cannot_be_read_says_so() -> None:
    answer = opened((*SSE, (b"Content-Encoding", b"gzip")))
    answer.feed(b"no gzip")
    assert answer.unread
    assert not opened(SSE).unread


@pytest.mark.parametrize("name", [b"request-id", b"x-amzn-RequestId"])
def test_the_request_id_is_the_api_s_or_its_platform_s(name: bytes) -> None:
    assert opened(((name, b"req_1"),)).request_id == "req_1"


def test_results_of_a_batch_are_messages_a_line_unless_they_are_an_error() -> None:
    line = b'{"result": {"type": "succeeded", "message": {"stop_reason": "refusal"}}}\n'
    results = opened((), surface=Surface.BATCH_RESULTS)
    assert [found.stop_reason for found in results.feed(line * 2)] == ["refusal", "refusal"]
    assert opened((), 404, Surface.BATCH_RESULTS).feed(line) == []


def test_the_last_message_is_the_answer() -> None:
    answer = opened(SSE)
    answer.feed(ANSWER)
    assert answer.message.model == "claude-opus-5"


def test_a_stream_of_amazon_s_is_read_out_of_its_envelope() -> None:
    from answers import aws, data_of, end

    answer = opened(((b"Content-Type", b"application/vnd.amazon.eventstream"),))
    answer.feed(aws(data_of(end("refusal"))))
    assert answer.message.stop_reason == "refusal"
