"""What is known from a transcript alone: the commands say so, and blame nothing else for what is missing."""

from pathlib import Path

import pytest

from commands import declined, demur, fails, keep, lines, objects, request
from importers.sessions import Session


@pytest.fixture
def imported(tmp_path: Path, db: Path) -> Path:
    """The database, with the second turn of a session."""
    session = Session()
    session.prompt("What is a centrifuge?")
    session.answer(1)
    session.prompt("And how is it built?")
    session.refused(2)
    file = tmp_path / "a.jsonl"
    file.write_bytes(bytes(session))
    assert demur("import", file, db=db).exit_code == 0
    return db


@pytest.fixture
def printed(tmp_path: Path, db: Path) -> Path:
    """The database, with a refusal of which stream-json tells, and nothing of its request."""
    file = tmp_path / "out.jsonl"
    file.write_text(
        '{"type":"system","subtype":"init","session_id":"11111111-2222-4333-8444-555555555555","cwd":"/x","model":"claude-opus-5"}\n'
        '{"type":"assistant","message":{"id":"msg_1","model":"claude-opus-5","role":"assistant","content":[],"stop_reason":"refusal",'
        '"stop_details":{"type":"refusal","category":"cyber"}},"session_id":"11111111-2222-4333-8444-555555555555","uuid":"u1"}\n'
    )
    assert demur("import", file, db=db).exit_code == 0
    return db


def shown(db: Path, *more: str) -> str:
    return " ".join(demur("show", "last", *more, db=db).stdout.split())


def test_the_map_of_a_transcript_is_not_called_the_request(imported: Path) -> None:
    seen = shown(imported)
    assert "Known from the transcript: 1 segment, " in seen
    assert " of text, not the request as it was sent" in seen
    for wrong in ("The request:", "of JSON as sent", "only its map"):
        assert wrong not in seen
    assert "stored what the transcript tells of the request: its last turn" in seen


def test_that_nothing_could_be_compared_is_said_with_the_reason(printed: Path) -> None:
    assert "compared with nothing: the client's output (stream-json) does not hold the request as it was sent" in shown(
        printed
    )


def test_a_transcript_is_compared_with_what_it_had_accepted_before(imported: Path) -> None:
    seen = shown(imported)
    assert "compared with nothing" not in seen
    assert "1. user text" in seen


def test_of_output_that_holds_no_request_nothing_else_is_said(printed: Path) -> None:
    seen = shown(printed)
    assert "stored nothing of the request: the client's output (stream-json) does not tell it" in seen
    assert "Of the request nothing is known." in seen


def test_what_the_wire_saw_too_is_the_request(imported: Path) -> None:
    keep(imported, declined(request(), request_id="req_wire"))
    seen = " ".join(demur("show", "req_wire", db=imported).stdout.split())
    assert "The request: " in seen
    assert "transcript" not in seen


@pytest.mark.parametrize("command", [["replay", "last", "--model", "claude-opus-4-8"], ["locate", "last"]])
def test_what_was_never_held_whole_cannot_be_sent_again_and_no_setting_is_blamed(
    imported: Path, command: list[str]
) -> None:
    told = fails(demur(*command, "--yes", db=imported, ANTHROPIC_API_KEY="k"))
    assert "the transcript does not hold the request as it was sent: it cannot be sent again" in told
    assert "capture" not in told


def test_a_search_says_how_little_of_it_there_was(imported: Path, printed: Path) -> None:
    said = " ".join(lines(demur("search", "centrifuge", db=imported)))
    assert said.startswith("Nothing was found in 2 refusals. Of 1 of them no text is stored.")
    assert "Of 2 of them only a transcript or the like was read, which does not hold the request as it was sent" in said
    assert "[capture]" not in said


def test_an_export_has_what_was_new_in_a_transcript_as_excerpts(imported: Path) -> None:
    written = demur("export", "--level", "excerpts", db=imported)
    assert [one["text"] for one in objects(written)[0]["excerpts"]] == ["And how is it built?"]
    assert written.stderr == ""


def test_an_export_says_how_many_have_no_excerpt_and_what_to_do(printed: Path) -> None:
    written = demur("export", "--level", "excerpts", db=printed)
    assert objects(written)[0]["excerpts"] == []
    assert "1 refusal has no excerpt" in written.stderr


def test_other_levels_say_nothing_of_excerpts(imported: Path) -> None:
    for level in ("ids", "metadata", "full"):
        assert demur("export", "--level", level, db=imported).stderr == ""


def test_datasette_has_no_levels(imported: Path) -> None:
    assert "--level" in demur("export", "--format", "datasette", "--level", "ids", db=imported).stderr
    assert demur("export", "--format", "datasette", db=imported).stderr == ""
