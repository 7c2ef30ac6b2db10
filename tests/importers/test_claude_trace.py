"""What claude-trace recorded."""

import captured
from captured import counted, read, refusals, troubles
from proxy.importers.claude_trace import ClaudeTrace

TRACE = ClaudeTrace()


def test_a_request_that_was_never_answered_is_counted_as_cut() -> None:
    pair = captured.trace_pairs()[0] | {"response": None, "note": "ORPHANED_REQUEST - No matching response received"}
    assert counted(read(TRACE, captured.lines([pair]))) == {"cut": 1}


def test_an_answer_that_was_parsed_is_read_too() -> None:
    pair = captured.trace_pairs()[1]
    del pair["response"]["body_raw"]
    pair["response"] |= {
        "body": captured.message(captured.SESSION_OF[1]),
        "headers": {"content-type": "application/json"},
    }
    (one,) = refusals(read(TRACE, captured.lines([pair])))
    assert one.evidence == "message.stop_reason"


def test_an_answer_without_any_body_is_told_of() -> None:
    pair = captured.trace_pairs()[1]
    del pair["response"]["body_raw"]
    assert [(one.line, one.why) for one in troubles(read(TRACE, captured.lines([pair])))] == [
        (1, "the body of an answer was not stored")
    ]


def test_a_pair_without_a_time_is_told_of() -> None:
    first, *rest = captured.trace_pairs()
    first["request"]["timestamp"] = "yesterday"
    found = read(TRACE, captured.lines([first, *rest]))
    assert [(one.line, one.why) for one in troubles(found)] == [(1, "a pair without a time")]
    assert len(refusals(found)) == 2


def test_what_passed_fetch_and_http_alike_counts_once() -> None:
    pair = captured.trace_pairs()[1]
    found = read(TRACE, captured.lines([pair, pair | {"logged_at": "later"}]))
    assert len(refusals(found)) == 1
    assert counted(found) == {"refused": 1}
