"""An answer by itself."""

import json
import os
from pathlib import Path

import pytest

import captured
from answers import ANSWER, DETAILS, MID, REFUSAL, STOP, end, start
from captured import read, refusals, troubles
from proxy.core.redact import Redactor
from proxy.importers.raw import RawAnswer
from proxy.importers.source import Origin
from schemas.labels import Kind, Role, Stage

RAW = RawAnswer()
MESSAGE = captured.message(captured.SESSION_OF[1])
FILTERED = {
    "type": "error",
    "error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"},
    "request_id": "req_9",
}
RESULT = {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE | {"id": "msg_7"}}}


def test_a_stream_by_itself_is_a_refusal_of_which_no_request_is_known() -> None:
    found = read(RAW, MID)
    (one,) = refusals(found)
    assert (one.kind, one.category, one.stage, one.model) == (Kind.REFUSAL, "cyber", Stage.MID_STREAM, "claude-opus-5")
    assert (one.session_id, one.role, one.exact, one.ms_to_refusal) == (None, Role.OTHER, None, None)
    assert troubles(found) == []
    assert captured.counted(found) == {}


def test_an_answer_that_was_not_declined_gives_nothing() -> None:
    assert read(RAW, ANSWER) == []


def test_several_streams_in_a_row_are_several_answers() -> None:
    other = start().replace(b"msg_1", b"msg_2") + end("refusal", stop_details=DETAILS) + STOP
    assert [one.message_id for one in refusals(read(RAW, ANSWER + REFUSAL + other))] == ["msg_1", "msg_2"]


@pytest.mark.parametrize("indent", [None, 2])
def test_a_message_and_an_error_are_read_as_one_line_and_as_many(indent: int | None) -> None:
    for value in (MESSAGE, FILTERED):
        data = json.dumps(value, indent=indent).encode()
        assert RAW.claims(data, Origin("x", Redactor()))
    declined, filtered = (
        refusals(read(RAW, json.dumps(one, indent=indent).encode()))[0] for one in (MESSAGE, FILTERED)
    )
    assert (declined.kind, declined.evidence) == (Kind.REFUSAL, "message.stop_reason")
    assert (filtered.kind, filtered.request_id, filtered.status) == (Kind.OUTPUT_FILTER, "req_9", 400)


def test_the_results_of_a_batch_are_read_line_by_line() -> None:
    assert RAW.claims(captured.lines([RESULT]), Origin("x", Redactor()))
    found = read(RAW, captured.lines([RESULT, {"custom_id": "b", "result": {"type": "expired"}}, {"a": 1}]))
    assert [(one.message_id, one.evidence) for one in refusals(found)] == [
        ("msg_7", "batch.result.message.stop_reason")
    ]
    assert [(one.line, one.why) for one in troubles(found)] == [(3, "neither a message nor an error of the API")]


def test_a_message_with_an_old_seam_only_in_what_was_asked_is_no_refusal() -> None:
    assert read(RAW, json.dumps(captured.message(captured.SESSION_OF[2])).encode()) == []
    (recovered,) = refusals(read(RAW, json.dumps(captured.message(captured.SESSION_OF[3])).encode()))
    assert recovered.outcome == "recovered_by_api"


def test_it_has_the_time_of_its_file_and_an_id_of_its_content_alone(tmp_path: Path) -> None:
    ids = set()
    for n in (1_700_000_000, 1_800_000_000):
        path = captured.file(tmp_path, REFUSAL)
        os.utime(path, (n, n))
        with path.open("rb") as file:
            (entry,) = captured.entries(list(RAW.read(file, Origin(str(path), Redactor()))))
        ids.add(entry.refusals[0].id)
    assert entry.refusals[0].at == "2027-01-15T08:00:00.000Z"
    assert len(ids) == 1
