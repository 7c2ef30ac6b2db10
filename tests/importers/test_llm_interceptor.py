"""What llm-interceptor recorded."""

import json

import captured
from captured import Json, counted, read, refusals, troubles
from proxy.core.redact import Redactor
from proxy.importers.llm_interceptor import LlmInterceptor
from proxy.importers.source import Origin

LLI = LlmInterceptor()
REQUEST = captured.interceptor_records(captured.SESSION_OF[1:2])[0]


def answer(**more: object) -> Json:
    body = captured.message(captured.SESSION_OF[1])
    given = {
        "type": "response",
        "request_id": REQUEST["id"],
        "timestamp": captured.iso(captured.BEGAN),
        "status_code": 200,
    }
    return given | {"headers": {"request-id": "req_2"}, "body": body, "latency_ms": 20.0} | more


def test_a_whole_answer_follows_its_request() -> None:
    (one,) = refusals(read(LLI, captured.lines([REQUEST, answer()])))
    assert (one.request_id, one.ms_to_refusal, one.category) == ("req_2", 20, "cyber")


def test_a_log_that_is_written_across_lines_is_read_too() -> None:
    data = "\n".join(json.dumps(one, indent=2) for one in (REQUEST, answer())).encode()
    assert LLI.claims(data, Origin("x", Redactor()))
    assert len(refusals(read(LLI, data))) == 1


def test_an_answer_in_a_file_of_its_own_is_kept_without_its_request() -> None:
    found = read(LLI, json.dumps(answer(), indent=2).encode())
    (one,) = refusals(found)
    assert (one.category, one.exact, one.session_id) == ("cyber", None, None)
    assert [one.why for one in troubles(found)] == ["the body of a declined request was not stored"]


def test_a_stream_that_never_ended_is_read_as_far_as_it_came() -> None:
    records = captured.interceptor_records(captured.SESSION_OF[1:2])
    assert len(refusals(read(LLI, captured.lines(records[:-1])))) == 1
    assert counted(read(LLI, captured.lines(records[:2]))) == {"cut": 1}
    assert counted(read(LLI, captured.lines(records[:1]))) == {"cut": 1}


def test_what_is_none_of_its_records_is_told_of() -> None:
    found = read(LLI, captured.lines([{"type": "note"}, {"type": "response_meta"}, REQUEST | {"timestamp": None}]))
    assert [(one.line, one.why) for one in troubles(found)] == [
        (1, "no record of llm-interceptor"),
        (2, "no record of llm-interceptor"),
        (3, "an exchange without a time"),
    ]
