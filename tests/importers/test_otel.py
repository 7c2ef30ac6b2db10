"""Claude Code's OpenTelemetry logs."""

import json

import captured
from captured import BEGAN, Json, counted, otel, read, refusals, troubles
from proxy.importers.otel import OtelLogs
from schemas.labels import Outcome, Role

OTEL = OtelLogs()


def refused(at: float = BEGAN, **more: object) -> Json:
    return {
        "name": "api_refusal", "at": at, "model": "claude-opus-5", "request_id": "req_2",
        "query_source": "repl_main_thread", "server_fallback_hop": False, "has_category": True,
    } | more  # fmt: skip


def test_an_event_is_a_refusal_without_content() -> None:
    found = read(OTEL, json.dumps(otel(refused(category="cyber"))).encode())
    (one,) = refusals(found)
    assert (one.request_id, one.category, one.outcome, one.role) == ("req_2", "cyber", Outcome.REFUSED, Role.MAIN)
    assert (one.session_id, one.client_version, one.evidence) == (
        captured.SESSION,
        "2.1.330",
        "claude_code.api_refusal",
    )
    assert one.at == "2026-11-18T11:06:40.000Z"
    assert "example.org" not in captured.everything(found)


def test_a_hop_is_recovered_unless_the_request_ends_with_a_refusal_all_the_same() -> None:
    hop = refused(server_fallback_hop=True)
    (alone,) = refusals(read(OTEL, captured.lines([otel(hop)])))
    assert alone.outcome == Outcome.RECOVERED_BY_API
    for order in ([hop, refused(BEGAN + 2, category="bio")], [refused(BEGAN + 2, category="bio"), hop]):
        (both,) = refusals(read(OTEL, captured.lines([otel(one) for one in order])))
        assert (both.outcome, both.category) == (Outcome.REFUSED, "bio")


def test_requests_and_errors_are_counted_and_a_declined_request_only_once() -> None:
    request = {"name": "api_request", "at": BEGAN, "model": "claude-opus-5", "query_source": "agent:x"}
    told = [refused(), request | {"request_id": "req_1"}, request | {"request_id": "req_2"}]
    failed = {"name": "api_error", "at": BEGAN, "status_code": 529, "query_source": "other"}
    found = read(OTEL, captured.lines([otel(*told), otel(failed, {"name": "user_prompt", "at": BEGAN})]))
    assert counted(found) == {"refused": 1, "answered": 1, "error": 1}


def test_events_without_an_id_or_a_time_are_told_apart_and_told_of() -> None:
    lone = [{name: value for name, value in refused(BEGAN + n).items() if name != "request_id"} for n in (0, 1)]
    batch = otel(*lone, refused())
    batch["resourceLogs"][0]["scopeLogs"][0]["logRecords"][2]["timeUnixNano"] = "0"
    found = read(OTEL, captured.lines([batch, batch]))
    assert len(refusals(found)) == 2
    assert [(one.line, one.why) for one in troubles(found)] == [
        (1, "an event without a time"),
        (2, "an event without a time"),
    ]


def test_what_is_no_log_of_that_shape_gives_nothing() -> None:
    assert (
        read(OTEL, captured.lines([{"resourceLogs": [1, {"scopeLogs": {}}, {"scopeLogs": [{"logRecords": [{}]}]}]}]))
        == []
    )
    assert [one.why for one in troubles(read(OTEL, b"nonsense\n"))] == ["not JSON"]
