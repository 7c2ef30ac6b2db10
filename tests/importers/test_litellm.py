"""LiteLLM's spend logs."""

import json

import pytest

import captured
from answers import DETAILS
from captured import Json, counted, read, refusals, troubles
from proxy.core.redact import Redactor
from proxy.importers.litellm import LiteLlm
from proxy.importers.source import Origin
from schemas.labels import Kind

LITELLM = LiteLlm()
ROW = captured.spend_rows()[1]


def completion(finish: str, **choice: object) -> Json:
    message = {"role": "assistant", "content": None}
    response = {
        "id": "chatcmpl-1",
        "model": "claude-opus-5",
        "choices": [{"finish_reason": finish, "message": message} | choice],
    }
    return ROW | {"call_type": "acompletion", "response": json.dumps(response)}


@pytest.mark.parametrize("form", ["rows", "page"])
def test_an_array_and_a_page_of_rows_are_read_like_lines(form: str) -> None:
    rows = captured.spend_rows()
    data = json.dumps(rows if form == "rows" else {"data": rows, "total": 4}, indent=1).encode()
    assert LITELLM.claims(data, Origin("x", Redactor()))
    assert len(refusals(read(LITELLM, data))) == 2


def test_the_apis_own_reason_is_believed_where_it_is_told() -> None:
    native = {"provider_specific_fields": {"stop_reason": "refusal", "stop_details": DETAILS}}
    (one,) = refusals(read(LITELLM, captured.lines([completion("content_filter", **native)])))
    assert (one.kind, one.category, one.confidence) == (Kind.REFUSAL, "cyber", 1.0)
    assert one.evidence == "choices[0].provider_specific_fields.stop_reason"


def test_a_content_filter_alone_is_for_a_person_to_look_at() -> None:
    (one,) = refusals(read(LITELLM, captured.lines([completion("content_filter")])))
    assert (one.kind, one.evidence) == (Kind.UNCLASSIFIED, "choices[0].finish_reason=content_filter")


@pytest.mark.parametrize("finish", ["stop", "length", "tool_calls"])
def test_another_end_is_an_answer(finish: str) -> None:
    found = read(LITELLM, captured.lines([completion(finish)]))
    assert (refusals(found), counted(found)) == ([], {"answered": 1})


def test_an_error_is_read_out_of_the_exception() -> None:
    said = 'litellm.BadRequestError: AnthropicException - {"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}'
    error = {"error_information": {"error_code": "400", "error_message": said}, "status": "failure"}
    failed = ROW | {"status": "failure", "response": "{}", "metadata": json.dumps(error)}
    other = failed | {
        "request_id": "2",
        "metadata": {"error_information": {"error_message": "Connection refused by policy"}},
    }
    filtered, vague = refusals(read(LITELLM, captured.lines([failed, other])))
    assert (filtered.kind, filtered.status) == (Kind.OUTPUT_FILTER, 400)
    assert vague.kind == Kind.UNCLASSIFIED


def test_rows_without_their_answers_are_told_of_with_how_many_and_not_counted() -> None:
    silent = [ROW | {"request_id": str(n), "response": "{}", "messages": "{}"} for n in range(3)]
    found = read(LITELLM, captured.lines(silent))
    assert [one.why for one in troubles(found)] == ["the answers of 3 requests were not stored"]
    assert counted(found) == {}


def test_other_vendors_and_rows_without_a_time_are_left_out() -> None:
    other = ROW | {"custom_llm_provider": "openai", "model": "gpt-5"}
    found = read(LITELLM, captured.lines([other, ROW | {"startTime": None}]))
    assert [(one.line, one.why) for one in troubles(found)] == [(2, "a row without a time")]
    assert refusals(found) == []
