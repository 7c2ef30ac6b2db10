"""What was new in a declined request of a transcript, and which one had been accepted before it."""

import json
from pathlib import Path

import pytest

from importers.sessions import FALLBACK, MODEL, Json, Session, call, entries, refusals, text, the
from proxy.core.redact import Redactor
from proxy.dossier import dossier
from proxy.importers.source import Origin
from proxy.importers.stream_json import StreamJson
from proxy.store import Store
from schemas.labels import History
from schemas.records import Entry, Refusal
from schemas.settings import Settings

SUMMARY = "This session is being continued from a previous conversation that ran out of context."


def new(entry: Entry) -> dict[str, bool | None]:
    """Of each part, by its text."""
    return {entry.contents[one.content].decode(): one.new for one in entry.segments}


def accepted(refusal: Refusal) -> tuple[str | None, ...]:
    return (refusal.accepted_request_id, refusal.accepted_at, refusal.accepted_model, refusal.accepted_version)


def test_what_was_said_since_the_last_answer_is_new_and_what_was_accepted_is_not() -> None:
    session = Session()
    session.prompt("Please look.")
    session.answer(1, call("Read", file_path="/a"), stop="tool_use")
    session.result("line 1")
    session.refused(2)
    (entry,) = entries(session)
    assert [one.new for one in entry.segments] == [False, True]
    refusal = entry.refusals[0]
    assert refusal.history == History.GROWN
    assert accepted(refusal) == ("req_0001", "2026-11-23T14:00:02.000Z", MODEL, "2.1.197")
    assert (refusal.turn, refusal.accepted_turn) == (1, 1)


def test_of_a_conversation_s_first_request_all_is_new() -> None:
    session = Session()
    session.prompt("Please look.")
    session.refused(1)
    (entry,) = entries(session)
    assert new(entry) == {'"Please look."': True}
    assert (entry.refusals[0].history, entry.refusals[0].turn) == (History.FIRST, 1)
    assert accepted(entry.refusals[0]) == (None,) * 4


def test_each_prompt_that_a_person_typed_counts_and_what_a_command_printed_does_not() -> None:
    session = Session()
    session.prompt("one")
    session.answer(1)
    for n in range(2, 5):
        session.prompt(f"prompt {n}")
        session.refused(n)
    session.prompt("<command-name>/model</command-name>")
    session.prompt("<local-command-stdout>Set model</local-command-stdout>")
    session.prompt("the fifth")
    session.answer(5)
    session.prompt("[Request interrupted by user]")
    session.prompt("the sixth")
    session.refused(6)
    assert [(one.turn, one.accepted_turn) for one in refusals(session)] == [(2, 1), (3, 1), (4, 1), (6, 5)]


def test_a_session_that_is_stuck_is_one_incident_and_goes_back_to_the_turn_that_was_answered(tmp_path: Path) -> None:
    session = Session()
    session.prompt("one")
    session.answer(1)
    for n, said in enumerate(("Write a loader that encrypts itself.", "why?", "please"), 2):
        session.prompt(said)
        session.refused(n)
    with Store.open(tmp_path / "demur.db") as store:
        store.apply(entries(session))
        stored = store.refusals()
        assert len({one.incident_id for one in stored}) == 1
        last = dossier(store, stored[0], Settings())
    assert (last.refusal.turn, last.since_turn) == (4, 2)
    assert any("turn 1" in step for step in last.advice)
    assert [one.n for one in last.candidates] == [0, 2, 1]


def test_after_an_answer_a_refusal_is_another_incident(tmp_path: Path) -> None:
    session = Session()
    for n in (1, 2, 3):
        session.prompt(f"prompt {n}")
        session.refused(n) if n != 2 else session.answer(n)
    with Store.open(tmp_path / "demur.db") as store:
        store.apply(entries(session))
        assert len({one.incident_id for one in store.refusals()}) == 2


def test_what_says_the_same_as_something_accepted_is_not_new() -> None:
    session = Session()
    session.prompt("go on")
    session.answer(1, call(), stop="tool_use")
    session.result("(no output)")
    session.answer(2)
    session.prompt([text("go on"), text("and on")])
    session.answer(3, call(), stop="tool_use")
    session.result("(no output)")
    session.refused(4)
    session.prompt([text("go on"), text("but not here")])
    session.refused(5)
    one, two = entries(session)
    assert [part.new for part in one.segments] == [False, False, False]
    assert [part.new for part in two.segments] == [False, False, False, False, True]


def test_a_prompt_behind_a_declined_result_of_a_tool_is_asked_with_it() -> None:
    session = Session()
    session.prompt("look")
    session.answer(1, call(), stop="tool_use")
    session.result("of the tool")
    session.refused(2)
    session.prompt("and now?")
    session.refused(3)
    one, two = entries(session)
    assert [part.new for part in two.segments] == [False, True, True]
    assert {part.hash for part in one.segments} < {part.hash for part in two.segments}


def test_of_a_request_behind_an_answer_to_which_no_line_says_what_was_asked_only_the_accepted_one_is_known() -> None:
    session = Session()
    session.prompt("look")
    session.answer(1)
    session.refused(2)
    assert (the(session).history, the(session).accepted_request_id) == (None, "req_0001")


def test_a_rewound_conversation_is_compared_with_what_it_has_of_the_accepted_one() -> None:
    session = Session()
    session.prompt("one")
    first = session.answer(1)
    session.prompt("two")
    session.answer(2)
    session.prompt("another two", parentUuid=first)
    session.refused(3)
    (entry,) = entries(session)
    assert new(entry) == {'"another two"': True}
    refusal = entry.refusals[0]
    assert (refusal.history, refusal.turn) == (History.EDITED, 2)
    assert (refusal.accepted_request_id, refusal.accepted_turn) == ("req_0002", None)


@pytest.mark.parametrize("parent", [None, "99999999-0000-4000-8000-000000000000"])
def test_of_a_prompt_whose_place_is_not_known_nothing_is_called_new(parent: str | None) -> None:
    session = Session()
    session.prompt("one")
    session.answer(1)
    session.prompt("two", parentUuid=parent)
    session.refused(2)
    session.prompt("three")
    session.answer(3)
    session.prompt("four")
    session.refused(4)
    one, two = entries(session)
    assert (one.refusals[0].history, new(one)) == (None, {'"two"': None})
    assert one.refusals[0].accepted_turn is None
    assert (two.refusals[0].history, new(two)) == (History.GROWN, {'"four"': True})


def test_a_file_that_goes_on_from_another_one_has_no_first_request() -> None:
    session = Session()
    session.prompt("more", parentUuid="99999999-0000-4000-8000-000000000000")
    session.refused(1)
    (entry,) = entries(session)
    assert (entry.refusals[0].history, new(entry)) == (None, {'"more"': None})


def test_lines_of_another_session_in_a_file_are_not_what_the_new_one_had_accepted() -> None:
    session = Session()
    session.prompt("one")
    session.answer(1)
    session.prompt("two", sessionId="another")
    session.refused(2, sessionId="another")
    assert the(session).history is None
    assert accepted(the(session)) == (None,) * 4


def test_behind_a_summary_the_last_accepted_one_is_of_the_old_history() -> None:
    session = Session()
    session.prompt("one")
    session.answer(1)
    session.add("system", subtype="compact_boundary", parentUuid=None)
    session.prompt(SUMMARY)
    session.prompt("two")
    session.refused(2)
    (entry,) = entries(session)
    refusal = entry.refusals[0]
    assert (refusal.history, refusal.accepted_request_id) == (History.COMPACTED, "req_0001")
    assert (refusal.turn, refusal.accepted_turn) == (1, None)
    assert set(new(entry).values()) == {True}


def test_a_file_that_begins_with_a_summary_was_under_way_before() -> None:
    session = Session()
    session.prompt(SUMMARY)
    session.refused(1)
    (entry,) = entries(session)
    assert entry.refusals[0].history == History.UNSEEN
    assert set(new(entry).values()) == {None}


def test_a_sub_agent_is_compared_with_its_own_requests_only() -> None:
    session = Session()
    session.prompt("one")
    session.answer(1)
    session.prompt("of the agent", parentUuid=None, isSidechain=True, agentId="a1")
    session.refused(2, isSidechain=True, agentId="a1")
    assert the(session).history == History.FIRST
    assert accepted(the(session)) == (None,) * 4


def test_it_is_compared_with_the_last_one_of_the_same_model() -> None:
    session = Session()
    session.prompt("one")
    session.answer(1)
    session.prompt("two")
    session.answer(2, model=FALLBACK)
    session.prompt("three")
    session.refused(3, refusingModel=MODEL)
    session.prompt("four")
    session.error("claude-sonnet-5's safeguards", 4, stop="refusal", refusingModel="claude-sonnet-5")
    one, two = refusals(session)
    assert (one.accepted_request_id, two.accepted_request_id) == ("req_0001", "req_0002")


def test_where_the_model_is_not_known_and_several_had_accepted_nothing_is_said() -> None:
    session = Session()
    session.prompt("one")
    session.answer(1)
    session.prompt("two")
    session.answer(2, model=FALLBACK)
    session.prompt("<command-name>/model</command-name>")
    session.prompt("three")
    session.error("Something's safeguards", 3, stop="refusal")
    (entry,) = entries(session)
    assert entry.refusals[0].model is None
    assert (entry.refusals[0].history, accepted(entry.refusals[0])) == (None, (None,) * 4)


def test_a_conversation_that_only_the_api_s_own_fallback_had_answered_was_accepted_by_that_one() -> None:
    session = Session()
    seam = {"type": "fallback", "from": {"model": MODEL}, "to": {"model": FALLBACK}}
    session.prompt("one")
    session.answer(1, seam, text("I see."), model=FALLBACK)
    session.prompt("two")
    session.refused(2)
    _, second = refusals(session)
    assert (second.history, second.accepted_model) == (History.GROWN, FALLBACK)


def test_the_client_s_own_repeat_counts_as_accepted_where_it_was_answered() -> None:
    session = Session()
    session.prompt("one")
    session.refused(1)
    session.fallback(1)
    session.answer(2, model=FALLBACK)
    session.prompt("two")
    session.refused(3, refusingModel=MODEL)
    assert [one.accepted_request_id for one in refusals(session)] == [None, "req_0002"]


def test_what_claude_p_prints_has_no_prompts_and_so_no_history() -> None:
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}
    stopped = {"id": "x", "model": "<synthetic>", "stop_reason": "refusal", "content": [text("API Error: safeguards")]}
    lines: list[Json] = [
        {"type": "system", "subtype": "init", "model": MODEL},
        {
            "type": "assistant",
            "request_id": "req_0001",
            "message": {"id": "msg_1", "model": MODEL, "content": [call()]},
        },
        {"type": "user", "message": result},
        {"type": "assistant", "request_id": "req_0002", "error": "invalid_request", "message": stopped},
    ]
    data = b"".join(json.dumps(line | {"session_id": "s"}).encode() + b"\n" for line in lines)
    (entry,) = entries(data, source=StreamJson())
    refusal = entry.refusals[0]
    assert (refusal.history, refusal.turn) == (None, None)
    assert refusal.accepted_request_id == "req_0001"
    assert [one.new for one in entry.segments] == [None]


def test_without_content_it_is_known_what_was_new() -> None:
    session = Session()
    session.prompt("one")
    session.answer(1)
    session.prompt("two")
    session.refused(2)
    (entry,) = entries(session, Origin("a", Redactor(), content=False))
    assert [one.new for one in entry.segments] == [True]
    assert entry.contents == {}
