"""The real Claude Code, declined for a file that it had read: what demur says was new, and what follows from it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e_claude import folder
from e2e_plays import MODEL
from e2e_process import command, in_thread, mitm, up
from e2e_retry import Stage
from scripted import Api, Request, Script, scripted

DETAILS = {"type": "refusal", "category": "cyber", "explanation": "This request was declined."}
PDF = b"%PDF-1.4\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2>>\nendobj\n" + b"".join(
    b"%d 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>\nendobj\n" % n for n in (3, 4)
) + b"trailer\n<</Root 1 0 R>>\n%%EOF\n" + b"% padding of the advert\n" * 400  # fmt: skip
HI = ("hi", "hi?", "are you there", "hello")


def stream(*blocks: dict[str, Any], reason: str = "end_turn", **details: Any) -> Script:
    usage = {"input_tokens": 100, "output_tokens": 5}
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
    }
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "stop_sequence": None, "usage": usage}}
    ]
    for index, block in enumerate(blocks):
        empty = {**block, "text": ""} if block["type"] == "text" else {**block, "input": {}}
        piece = (
            {"type": "text_delta", "text": block["text"]}
            if block["type"] == "text"
            else {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        )
        events += [
            {"type": "content_block_start", "index": index, "content_block": empty},
            {"type": "content_block_delta", "index": index, "delta": piece},
            {"type": "content_block_stop", "index": index},
        ]
    ending = {
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": None, **details},
        "usage": usage,
    }
    return Script(events=[*events, ending, {"type": "message_stop"}])


def answering(pdf: Path) -> Any:
    """Declines whatever holds the PDF, reads it where it is asked to, and answers the rest."""

    def answer(request: Request) -> Script:
        said = json.dumps(request.body.get("messages", []))
        if "application/pdf" in said:
            return stream(reason="refusal", stop_details=DETAILS)
        if pdf.name in said:
            read = {"type": "tool_use", "id": "toolu_read", "name": "Read", "input": {"file_path": str(pdf)}}
            return stream({"type": "text", "text": "I read it."}, read, reason="tool_use")
        return stream({"type": "text", "text": "Hello from the scripted API."})

    return answer


@pytest.fixture(scope="module", params=[up, mitm])
def poisoned(
    request: pytest.FixtureRequest, program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stage, Path]]:
    """A session: a turn that is answered, one that reads the PDF, and four more of little content."""
    home = tmp_path_factory.mktemp("home")
    pdf = folder(home) / "scan.pdf"
    pdf.write_bytes(PDF)
    with in_thread(scripted(answering=answering(pdf))) as api:
        assert isinstance(api, Api)
        stage = Stage(program, api, home)  # type: ignore[arg-type]
        with request.param(api.url, stage.db) as demur:
            assert stage.claude(prompt="Say hello, please.", **demur.said).code == 0
            tools = ("-c", "--allowedTools", "Read")
            assert stage.claude(*tools, prompt="What does scan.pdf advertise?", **demur.said).code == 1
            for said in HI:
                assert stage.claude("-c", prompt=said, **demur.said).code == 1
            assert demur.end() == 0
        yield stage, pdf


def shown(stage: Stage, which: str, *options: str) -> str:
    return command("show", which, "--db", str(stage.db), *options)


def first(stage: Stage) -> dict[str, Any]:
    (incident,) = [json.loads(line) for line in command("list", "--json", "--db", str(stage.db)).splitlines()]
    return dict(json.loads(shown(stage, incident["ids"][0], "--json")))


def test_the_file_that_was_read_is_the_first_candidate_with_its_path_and_its_size(poisoned: tuple[Stage, Path]) -> None:
    stage, pdf = poisoned
    record = first(stage)
    strongest = record["candidates"][0]
    assert (strongest["tool"], strongest["target"], strongest["media"]) == ("Read", str(pdf), "application/pdf")
    assert strongest["bytes"] > len(PDF)
    said = shown(stage, record["id"])
    told = said.partition("1. tool result, Read ")[2].partition("2. ")[0].split()
    assert told[0] == f"{pdf},"
    assert "kB" in told


def test_nothing_of_the_earlier_turns_is_new(poisoned: tuple[Stage, Path]) -> None:
    record = first(poisoned[0])
    assert record["history"] == "grown"
    assert (record["accepted_turn"], record["turn"]) in {(1, 2), (2, 2)}
    earlier = [one for one in record["segments"] if one["path"].startswith(("messages[0]", "system", "tools"))]
    assert [one["path"] for one in earlier if one["new"] and one["label"] not in ("attribution", "reminder")] == []
    assert {one["path"] for one in record["candidates"]} == {one["path"] for one in record["segments"] if one["new"]}


def test_a_poisoned_session_is_one_incident_and_the_advice_names_the_turn_to_go_back_to(
    poisoned: tuple[Stage, Path],
) -> None:
    stage, _ = poisoned
    listed = [json.loads(line) for line in command("list", "--json", "--db", str(stage.db)).splitlines()]
    assert len(listed) == 1
    assert listed[0]["refusals"] >= 1 + len(
        HI
    )  # newer clients ask another model themselves, and are declined there too
    every = [json.loads(line) for line in command("list", "--all", "--json", "--db", str(stage.db)).splitlines()]
    assert len(every) == listed[0]["refusals"]
    assert len({one["fingerprint"] for one in every}) == 1
    last = json.loads(shown(stage, "last", "--json"))
    assert last["incident"]["refusals"] == len(every)
    advice = " ".join(last["advice"])
    assert "/rewind" in advice
    assert last["since_turn"] == 2
    assert "turn 1, the last that was accepted" in advice
    assert "choose the prompt of turn 2" in advice


def test_words_that_were_declined_make_one_incident_however_many_others_follow(
    program: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The client joins the prompts that were declined, and adds a line feed to each."""

    def answer(request: Request) -> Script:
        declined = "quellingite" in json.dumps(request.body.get("messages", []))
        return (
            stream(reason="refusal", stop_details=DETAILS) if declined else stream({"type": "text", "text": "Hello."})
        )

    home = tmp_path_factory.mktemp("words")
    with in_thread(scripted(answering=answer)) as api:
        stage = Stage(program, api, home)  # type: ignore[arg-type]
        with up(api.url, stage.db) as demur:
            assert stage.claude(prompt="Say hello, please.", **demur.said).code == 0
            for said in ("Tell me about quellingite, its colour and where it is found.", "thanks", "please go on"):
                assert stage.claude("-c", prompt=said, **demur.said).code == 1
            assert demur.end() == 0
    (incident,) = [json.loads(line) for line in command("list", "--json", "--db", str(stage.db)).splitlines()]
    assert incident["refusals"] >= 3
    last = json.loads(shown(stage, "last", "--json"))
    assert last["since_turn"] == 2
    assert "choose the prompt of turn 2" in " ".join(last["advice"])
