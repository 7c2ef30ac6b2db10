"""Saved output of ``claude -p --output-format stream-json``: the same is found as in the transcript, as far as it is told."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from importers.sessions import DETAILS, FALLBACK, MODEL, ORIGIN, SESSION, call, counts, ends, entries, text, the
from proxy.core.redact import Redactor
from proxy.importers.source import Origin
from proxy.importers.stream_json import StreamJson
from proxy.importers.transcript import Transcript
from schemas.labels import Outcome, Result, Role, Stage

SOURCE = StreamJson()


def printed(*lines: dict[str, Any], version: str = "2.1.197") -> bytes:
    first = {
        "type": "system",
        "subtype": "init",
        "cwd": "/home/dev/lab-sheets",
        "model": MODEL,
        "claude_code_version": version,
    }
    whole = [{"session_id": SESSION, "uuid": str(n)} | line for n, line in enumerate([first, *lines])]
    return b"".join(json.dumps(line).encode() + b"\n" for line in whole)


def answer(n: int, *blocks: dict[str, Any], model: str = MODEL, **members: Any) -> dict[str, Any]:
    message = {"id": f"msg_{n:04d}", "model": model, "content": list(blocks or [text("I see.")]), "stop_reason": None}
    return {"type": "assistant", "message": message, "request_id": f"req_{n:04d}", "parent_tool_use_id": None} | members


def refused(n: int, said: str = "API Error: claude-opus-5's safeguards flagged this message.") -> dict[str, Any]:
    message = {
        "id": "efa67030",
        "model": "<synthetic>",
        "content": [text(said)],
        "stop_reason": "refusal",
        "stop_details": DETAILS,
    }
    return {"type": "assistant", "message": message, "error": "invalid_request", "request_id": f"req_{n:04d}"}


def turned(subtype: str, n: int, **members: Any) -> dict[str, Any]:
    told = {"original_model": MODEL, "request_id": f"req_{n:04d}", "api_refusal_category": "cyber"}
    return {"type": "system", "subtype": subtype} | told | members


def test_all_lines_about_one_request_make_one_refusal() -> None:
    data = printed(turned("model_refusal_no_fallback", 1), refused(1), {"type": "result", "stop_reason": "refusal"})
    refusal = the(data, SOURCE)
    assert (refusal.source, refusal.evidence) == ("stream_json", "stream_json.model_refusal_no_fallback")
    assert (refusal.category, refusal.model, refusal.request_id) == ("cyber", MODEL, "req_0001")
    assert (refusal.client_version, refusal.project, refusal.session_id) == ("2.1.197", "lab-sheets", SESSION)
    assert (refusal.stage, refusal.outcome, refusal.entrypoint) == (Stage.BEFORE_OUTPUT, Outcome.REFUSED, "sdk-cli")
    assert ends(data, SOURCE) == {Result.REFUSED: 1}


def test_a_fallback_of_the_client_is_recovered_by_it() -> None:
    data = printed(turned("model_refusal_fallback", 1, fallback_model=FALLBACK), answer(2, model=FALLBACK))
    refusal = the(data, SOURCE)
    assert (refusal.outcome, refusal.answered_by) == (Outcome.RECOVERED_BY_CLIENT, FALLBACK)


def test_a_repeat_to_the_same_model_is_known_by_the_client_s_note() -> None:
    note = {"type": "user", "message": {"role": "user", "content": [text("Your response above was stopped")]}}
    data = printed(answer(1), note | {"refused_message_id": "msg_0001"}, answer(2), version="2.1.330")
    refusal = the(data, SOURCE)
    assert (refusal.request_id, refusal.stage) == ("req_0001", Stage.MID_STREAM)
    assert (refusal.outcome, refusal.answered_by) == (Outcome.RECOVERED_BY_CLIENT, MODEL)


def test_a_seam_is_a_refusal_that_the_api_recovered_though_no_line_says_why_it_stopped() -> None:
    seam = {"type": "fallback", "from": {"model": MODEL}, "to": {"model": FALLBACK}}
    data = printed(answer(1), answer(1, seam), answer(1), {"type": "result", "stop_reason": "end_turn"})
    refusal = the(data, SOURCE)
    assert (refusal.outcome, refusal.answered_by) == (Outcome.RECOVERED_BY_API, FALLBACK)


def test_a_sub_agent_is_known_by_the_call_that_started_it() -> None:
    data = printed(answer(1, call("Agent")), refused(2) | {"parent_tool_use_id": "toolu_1"}, answer(3))
    refusal = the(data, SOURCE)
    assert (refusal.role, refusal.agent_id) == (Role.SUBAGENT, "toolu_1")
    assert ends(data, SOURCE) == {Result.ANSWERED: 2, Result.REFUSED: 1}


def test_the_first_line_says_which_model_is_asked() -> None:
    said = "API Error: Claude Code is unable to respond to this request, which appears to violate our Usage Policy"
    assert the(printed(refused(1, said)), SOURCE).model == MODEL
    (key,) = counts(printed(refused(1, said)), SOURCE)
    assert (key.model, key.client_version) == (MODEL, "2.1.197")


def test_what_has_no_time_is_as_old_as_its_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(printed(refused(1)))
    os.utime(path, (1_795_444_562, 1_795_444_562))
    (entry,) = entries(path.read_bytes(), Origin(str(path), Redactor()), SOURCE)
    assert entry.refusals[0].at == "2026-11-23T14:36:02.000Z"


def test_a_line_that_has_a_time_has_it() -> None:
    data = printed(refused(1) | {"timestamp": "2026-11-24T13:08:10.013Z"})
    assert the(data, SOURCE).at == "2026-11-24T13:08:10.013Z"


def test_it_is_known_by_its_first_line_and_no_transcript() -> None:
    data = printed(refused(1))
    assert SOURCE.claims(data, ORIGIN)
    assert not Transcript().claims(data, ORIGIN)
    long = data.replace(b'"cwd"', b'"tools": "' + b"x" * 70_000 + b'", "cwd"').replace(b": ", b":")
    assert SOURCE.claims(long[:65536], ORIGIN) or b'"session_id"' not in long[:65536]


@pytest.mark.parametrize(
    "head", [b"", b"[]", b'{"session_id":"x"}', b'{"session_id":"x","type":4}', b'{"type":"user"}']
)
def test_other_files_are_none(head: bytes) -> None:
    assert not SOURCE.claims(head, ORIGIN)


def test_what_is_no_json_is_passed_over() -> None:
    assert the(printed(refused(1)) + b"\n\n", SOURCE).request_id == "req_0001"
