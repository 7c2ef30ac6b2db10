"""Logs of Inspect AI."""

import io
import json
import zipfile
from typing import Any

import pytest

import captured
from answers import DETAILS
from captured import Json, counted, read, refusals, troubles
from proxy.core.redact import Redactor
from proxy.importers.inspect_log import InspectLog
from proxy.importers.source import Origin
from schemas.labels import Kind

INSPECT = InspectLog()


def of(event: Json, **sample: Any) -> bytes:
    about = {"task": "t", "model": "anthropic/claude-opus-5"}
    return json.dumps({"version": 2, "eval": about, "samples": [{"id": 1, "events": [event], **sample}]}).encode()


def model(**more: Any) -> Json:
    given: Json = {
        "event": "model",
        "uuid": "u",
        "timestamp": captured.iso(captured.BEGAN),
        "model": "anthropic/claude-opus-5",
    }
    return given | more


def output(reason: str, **more: Any) -> Json:
    return {"model": "claude-opus-5", "choices": [{"stop_reason": reason, **more}], "usage": {"output_tokens": 3}}


def archive(*samples: Json, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as writer:
        writer.writestr("_journal/start.json", "{}")
        for n, sample in enumerate(samples):
            writer.writestr(f"samples/{n}_epoch_1.json", json.dumps(sample))
        writer.writestr("header.json", "{}")
    return file.getvalue()


def test_where_the_call_was_not_logged_inspects_own_output_is_read() -> None:
    found = read(INSPECT, of(model(output=output("content_filter", stop_details=DETAILS))))
    (one,) = refusals(found)
    assert (one.kind, one.category, one.confidence) == (Kind.REFUSAL, "cyber", 0.9)
    assert one.evidence == "output.choices[0].stop_reason=content_filter"
    assert one.model == "claude-opus-5"


def test_an_output_that_a_filter_blocked_is_no_refusal() -> None:
    said = "Output blocked by content filtering policy"
    (one,) = refusals(read(INSPECT, of(model(output=output("content_filter") | {"error": said}))))
    assert one.kind == Kind.OUTPUT_FILTER


def test_an_answer_is_counted_and_what_was_not_sent_or_is_of_others_is_not() -> None:
    assert counted(read(INSPECT, of(model(output=output("stop"))))) == {"answered": 1}
    for event in ({"cache": "read"}, {"pending": True}, {"model": "openai/gpt-5"}, {"event": "tool"}):
        assert read(INSPECT, of(model(output=output("content_filter")) | event)) == []


@pytest.mark.parametrize("event", [{"timestamp": None, "output": output("stop")}, {"output": {}}, {}])
def test_an_event_that_tells_nothing_is_told_of(event: Json) -> None:
    assert [one.why for one in troubles(read(INSPECT, of(model(**event))))] == [
        "a model event without a time, or without an answer"
    ]


def test_an_archive_is_read_sample_by_sample() -> None:
    (sample,) = captured.inspect_log()["samples"]
    data = archive(sample)
    assert INSPECT.claims(data[:4096], Origin("x.eval", Redactor()))
    assert [one.request_id for one in refusals(read(INSPECT, data))] == ["req_2", "req_4"]
    assert not INSPECT.claims(b"PK\x03\x04 of others", Origin("x.eval", Redactor()))


def test_a_damaged_archive_and_samples_that_cannot_be_read_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    (sample,) = captured.inspect_log()["samples"]
    data = archive(sample, [])  # type: ignore[arg-type]
    assert [one.why for one in troubles(read(INSPECT, data))] == ["a sample that is no object"]
    assert [one.why for one in troubles(read(INSPECT, data[:-60]))] == ["an archive that is cut off, or damaged"]
    damaged = bytearray(archive(sample, compression=zipfile.ZIP_STORED))
    damaged[300] ^= 0xFF
    assert [one.why for one in troubles(read(INSPECT, bytes(damaged)))] == ["a sample that cannot be read (BadZipFile)"]
    monkeypatch.setattr("proxy.importers.inspect_log.LARGEST", 1)
    assert [one.why for one in troubles(read(INSPECT, data))] == ["a sample of more than 0 MB"] * 2


def test_a_log_that_is_too_large_or_cut_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.dumps(captured.inspect_log()).encode()
    assert [one.why for one in troubles(read(INSPECT, data[:-40]))] == ["it is cut off, or damaged, within an entry"]
    monkeypatch.setattr("proxy.importers.documents.LARGEST", 100)
    assert [one.why for one in troubles(read(INSPECT, data))] == ["one piece of more than 0 MB"]


def test_ranges_that_are_none_are_passed_over() -> None:
    call = {
        "request": {"model": "claude-opus-5"},
        "response": captured.message(captured.SESSION_OF[1]),
        "call_refs": [[0], "x", [0, 1]],
    }
    found = read(INSPECT, of(model(call=call), events_data={"calls": [{"role": "user", "content": "hi"}]}))
    (entry,) = captured.entries(found)
    assert [one.path for one in entry.segments] == ["messages[0].content"]
