"""Is it a refusal, which kind, on what evidence: structure first, wording only in error bodies, look-alikes never."""

import json
from typing import Any

import pytest

from answers import ANSWER, DETAILS, ITERATIONS, MID, REFUSAL, SEAM, block, delta, end, event, start
from proxy.core.detect import Verdict, answerer, detect, result
from proxy.core.fold import StreamFold
from proxy.core.message import read_body, read_result
from schemas.labels import Kind, Outcome, Result, Stage
from schemas.wire import Message, Problem


def read(stream: bytes) -> Message:
    fold = StreamFold()
    return (fold.feed(stream) + fold.close())[0]


def verdict(stream: bytes) -> Verdict:
    found = detect(read(stream))
    assert found is not None
    return found


def problem(kind: str, words: str, request_id: str | None = None) -> Message:
    error = {"type": kind, "message": words}
    return read_body(json.dumps({"type": "error", "error": error, "request_id": request_id}).encode())


def test_a_refusal_before_output_is_one_by_its_stop_reason() -> None:
    found = verdict(REFUSAL)
    assert (found.kind, found.category, found.stage) == (Kind.REFUSAL, "cyber", Stage.BEFORE_OUTPUT)
    assert (found.evidence, found.confidence, found.outcome) == ("message_delta.stop_reason", 1.0, Outcome.REFUSED)
    assert found.message_id == "msg_1"
    assert found.usage.output_tokens == 3


def test_a_refusal_after_output_is_mid_stream() -> None:
    assert verdict(MID).stage == Stage.MID_STREAM
    assert verdict(start() + block(0, type="thinking") + end("refusal")).stage == Stage.MID_STREAM


@pytest.mark.parametrize(
    ("more", "category"),
    [
        ({}, None),
        ({"stop_details": None}, None),
        ({"stop_details": {"type": "refusal", "category": None, "explanation": None}}, None),
        ({"stop_details": {"type": "refusal", "category": "never_seen"}}, "never_seen"),
    ],
)
def test_stop_details_may_lack_anything(more: dict[str, Any], category: str | None) -> None:
    assert verdict(start() + end("refusal", **more)).category == category


def test_a_body_and_a_batch_result_are_refusals_by_the_same_rule() -> None:
    message = {"content": [], "stop_reason": "refusal", "stop_details": DETAILS}
    found = detect(read_body(json.dumps(message).encode()))
    assert found is not None
    assert found.evidence == "message.stop_reason"
    line = json.dumps({"custom_id": "a", "result": {"type": "succeeded", "message": message}}).encode()
    found = detect(read_result(line))
    assert found is not None
    assert found.evidence == "batch.result.message.stop_reason"


@pytest.mark.parametrize("reason", ["end_turn", "tool_use", "max_tokens", "pause_turn", "a_new_one"])
def test_other_stop_reasons_are_answers(reason: str) -> None:
    message = read(start() + block(0) + end(reason))
    assert detect(message) is None
    assert result(message, None) == Result.ANSWERED


def test_the_words_of_an_answer_s_details_make_no_refusal_of_it() -> None:
    message = read(start() + block(0) + end("end_turn", stop_details=DETAILS))
    assert message.explanation == DETAILS["explanation"]
    assert detect(message) is None


@pytest.mark.parametrize("words", ["Overloaded", "Output blocked by content filtering policy", "You were refused."])
def test_a_refusal_is_one_whatever_an_error_beside_it_says(words: str) -> None:
    message = read(start() + end("refusal", stop_details=DETAILS))
    message.problem = Problem(type="invalid_request_error", message=words)
    found = detect(message)
    assert found is not None
    assert (found.kind, found.evidence) == (Kind.REFUSAL, "message_delta.stop_reason")


@pytest.mark.parametrize("reason", ["sensitive", "content_filtered", "guardrail_intervened"])
def test_a_stop_reason_of_the_kind_that_is_not_anthropics_is_unclassified(reason: str) -> None:
    found = verdict(start() + end(reason))
    assert (found.kind, found.evidence) == (Kind.UNCLASSIFIED, f"message_delta.stop_reason={reason}")


def test_a_seam_in_an_answer_is_a_refusal_that_the_api_got_answered() -> None:
    usage = {"output_tokens": 264, "iterations": ITERATIONS}
    found = verdict(start("claude-opus-4-8") + block(0, **SEAM) + block(1) + end(usage=usage))
    assert (found.outcome, found.category, found.stage) == (Outcome.RECOVERED_BY_API, "bio", Stage.BEFORE_OUTPUT)
    assert (found.evidence, found.answered_by) == ("content_block.fallback", "claude-opus-4-8")
    assert [(a.by, a.model, a.outcome, a.category) for a in found.attempts] == [
        ("client", "claude-fable-5", Result.REFUSED, "bio"),
        ("api", "claude-opus-4-8", Result.ANSWERED, None),
    ]


def test_a_seam_after_text_tells_that_the_first_model_was_declined_mid_stream() -> None:
    assert verdict(start() + block(0) + block(1, **SEAM) + end()).stage == Stage.MID_STREAM


def test_iterations_tell_of_a_fallback_where_the_seam_was_lost() -> None:
    found = verdict(start() + block(0) + end(usage={"iterations": ITERATIONS}))
    assert (found.evidence, found.stage, found.answered_by) == ("usage.iterations", None, "claude-opus-4-8")


def test_a_conversation_that_stayed_on_its_fallback_was_not_declined_again() -> None:
    message = read(start() + block(0) + end(usage={"iterations": ITERATIONS[1:]}))
    assert detect(message) is None
    assert answerer(message) == "claude-opus-4-8"


def test_several_entries_of_one_model_are_no_fallback() -> None:
    assert detect(read(start() + block(0) + end(usage={"iterations": [ITERATIONS[0]] * 3}))) is None
    found = verdict(start() + end("refusal", usage={"iterations": [ITERATIONS[0]] * 3}))
    assert found.attempts == []


def test_a_chain_that_was_declined_to_its_end_is_a_refusal_with_its_attempts() -> None:
    usage = {"iterations": [ITERATIONS[0], ITERATIONS[0], ITERATIONS[1]]}
    found = verdict(start() + block(0, **SEAM) + end("refusal", usage=usage, stop_details=DETAILS))
    assert (found.outcome, found.category) == (Outcome.REFUSED, "cyber")
    assert [(a.model, a.outcome, a.category) for a in found.attempts] == [
        ("claude-fable-5", Result.REFUSED, "bio"),
        ("claude-opus-4-8", Result.REFUSED, "cyber"),
    ]


DECLINED = [
    ("invalid_request_error", "Output blocked by content filtering policy", Kind.OUTPUT_FILTER, "rule:output_filter"),
    ("invalid_request_error", "Stopped by a content filter.", Kind.OUTPUT_FILTER, "rule:filter"),
    ("invalid_request_error", "This appears to violate our Usage Policy.", Kind.POLICY_ERROR, "rule:usage_policy"),
    ("invalid_request_error", "A safeguard flagged this message.", Kind.POLICY_ERROR, "rule:safeguard"),
    ("permission_error", "This seems to violate Anthropic's Terms of Service.", Kind.POLICY_ERROR, "rule:terms"),
    ("new_error", "Your request was refused.", Kind.UNCLASSIFIED, "rule:smell"),
]


@pytest.mark.parametrize(("kind", "words", "expected", "evidence"), DECLINED)
def test_error_bodies_are_sorted_by_the_table(kind: str, words: str, expected: Kind, evidence: str) -> None:
    found = detect(problem(kind, words, "req_7"))
    assert found is not None
    assert (found.kind, found.evidence, found.explanation, found.request_id) == (expected, evidence, words, "req_7")


ALIKE = [
    ("overloaded_error", "Overloaded, our AI safety team is looking"),
    ("rate_limit_error", "This request would exceed your organization's rate limit policy"),
    ("authentication_error", "OAuth token refused"),
    ("billing_error", "Your credit balance is too low"),
    ("invalid_request_error", "This organization has been disabled."),
    ("invalid_request_error", "You have reached your specified API usage limits."),
    ("invalid_request_error", "Third-party apps now draw from your extra usage, not your plan limits; see our policy."),
    ("invalid_request_error", "safeguards: Extra inputs are not permitted"),
    ("invalid_request_error", "messages.99: all messages must have non-empty content"),
    ("invalid_request_error", "messages.1.content.0: Invalid `signature` in `thinking` block; refused"),
    ("invalid_request_error", "The request body is not valid JSON: no low surrogate in string"),
    ("permission_error", "Request not allowed"),
    ("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
]


@pytest.mark.parametrize(("kind", "words"), ALIKE)
def test_look_alikes_are_errors_and_nothing_else(kind: str, words: str) -> None:
    message = problem(kind, words)
    assert detect(message) is None
    assert result(message, None) == Result.ERROR


def test_an_output_filter_in_the_stream_knows_whether_text_had_gone_out() -> None:
    error = event(
        "error", error={"type": "invalid_request_error", "message": "Output blocked by content filtering policy"}
    )
    assert verdict(start() + error).stage == Stage.BEFORE_OUTPUT
    assert verdict(start() + block(0) + error).stage == Stage.MID_STREAM


def test_the_traffic_counts_what_became_of_each() -> None:
    assert result(read(ANSWER), None) == Result.ANSWERED
    assert result(read(start()), None) == Result.CUT
    assert result(read(REFUSAL), verdict(REFUSAL)) == Result.REFUSED
    recovered = start() + block(0, **SEAM) + delta(0, "x") + end()
    assert result(read(recovered), verdict(recovered)) == Result.RECOVERED_BY_API
    filtered = problem(*DECLINED[0][:2])
    assert result(filtered, detect(filtered)) == Result.OUTPUT_FILTER


def test_an_error_without_words_is_an_error() -> None:
    assert detect(read_body(b'{"error": 5}')) is None
