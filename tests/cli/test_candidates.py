"""What was new, in words."""

import re

import pytest

from commands import ESCAPES
from proxy.cli.candidates import SHOWN, described, sentence, show
from schemas.labels import History, Kind, Label
from schemas.records import Refusal, Segment


def refusal(history: str | None, **fields: str | int | None) -> Refusal:
    known = {
        "id": "x",
        "at": "2026-11-23T14:36:02.324Z",
        "source": "gateway",
        "kind": Kind.REFUSAL,
        "evidence": "e",
        "confidence": 1.0,
    }
    return Refusal(**known | {"history": history, "accepted_at": "2026-11-23T14:00:00.000Z"} | fields)  # type: ignore[arg-type]


def new(n: int, label: Label = Label.TOOL, **fields: str | int | None) -> Segment:
    known = {"n": n, "label": label, "path": f"tools[{n}]", "bytes": 1200, "tokens_est": 1, "hash": "h", "content": "c"}
    return Segment(**known | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("history", list(History))
def test_each_history_has_a_sentence_that_names_no_cause_and_does_not_deny_the_candidates_below_it(
    history: History,
) -> None:
    told = sentence(refusal(history))
    assert told
    assert not re.search(r"nothing (had been added|is new|new)|no candidate|because|cause", told)
    assert ("the last accepted request" in told) is (history not in (History.FIRST, History.UNSEEN))


def test_the_same_conversation_is_one_in_which_nobody_had_said_more() -> None:
    told = sentence(refusal(History.SAME, accepted_turn=3, accepted_model="claude-opus-5", accepted_request_id="req_1"))
    assert told
    assert told.startswith(
        "you, a tool and the model had said nothing more since the last accepted request (2026-11-23 "
    )
    assert told.endswith(", prompt 3, by claude-opus-5, req_1)")


def test_a_first_turn_names_no_kinds_that_may_not_be_in_it() -> None:
    assert not re.search("CLAUDE.md|git|MCP", sentence(refusal(History.FIRST)) or "")


@pytest.mark.parametrize("history", [None, "of_next_year"])
def test_of_what_is_not_known_nothing_is_said(history: str | None) -> None:
    assert sentence(refusal(history)) is None


def test_a_candidate_is_told_by_what_it_is_and_cannot_drive_a_terminal() -> None:
    scan = new(0, Label.MEDIA, tool="Read", target="/x/scan.pdf", media="application/pdf", pages=3)
    assert described(scan) == "tool result, Read /x/scan.pdf, application/pdf, 3 pages, 1.2 kB"
    assert described(new(0, Label.MEDIA)) == "media, 1.2 kB"
    assert described(new(0, Label.MEMORY)) == "CLAUDE.md or memory, 1.2 kB"
    assert described(new(0, Label.SYSTEM_MESSAGE)) == "system message, 1.2 kB"
    assert described(new(0, tool=ESCAPES, target=ESCAPES, media=ESCAPES)).isprintable()


def test_the_first_few_are_named_and_the_others_counted(capsys: pytest.CaptureFixture[str]) -> None:
    found = [new(n, tool=f"tool{n}") for n in range(SHOWN + 2)]
    show(found, 80)
    told = capsys.readouterr().out
    assert "New, so candidates (not known to be the cause)" in told
    assert [f"tool{n}," in told for n in range(SHOWN + 2)] == [True] * SHOWN + [False] * 2
    assert "and 2 further segments, 2.4 kB: --full" in told
    show(found, 80, full=True)
    assert "further" not in (told := capsys.readouterr().out)
    assert f"tool{SHOWN + 1}," in told
    show([], 80)
    assert capsys.readouterr().out == ""
