"""Claude Code's transcripts: each API request that was declined is found once, however many lines speak of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importers.messages import LOOK_ALIKES, OTHERS, REFUSALS, Text
from importers.sessions import (
    FALLBACK,
    MODEL,
    ORIGIN,
    SESSION,
    Session,
    call,
    counts,
    ends,
    entries,
    found,
    refusals,
    text,
    the,
    troubles,
)
from proxy.core.context import split
from proxy.core.redact import Redactor
from proxy.core.said import fingerprint
from proxy.importers.named import Named
from proxy.importers.requests import OPEN
from proxy.importers.source import Origin, Trouble
from proxy.importers.transcript import Transcript
from schemas.labels import Kind, Label, Outcome, Result, Role, Stage
from schemas.records import Entry

NOTE = 6
"""Of the steps below, what knows a request by its message alone."""
SECRET = "sk-ant-api03-" + "abcdefgh12345678" * 6


def test_an_error_in_the_place_of_an_answer_is_a_refusal_with_all_that_it_says() -> None:
    session = Session()
    session.prompt()
    session.refused(1)
    refusal = the(session)
    assert (refusal.kind, refusal.evidence, refusal.confidence) == (Kind.REFUSAL, "transcript.message.stop_reason", 1.0)
    assert (refusal.category, refusal.explanation) == ("cyber", "It could enable cyber harm.")
    assert (refusal.outcome, refusal.stage) == (Outcome.REFUSED, Stage.BEFORE_OUTPUT)
    assert (refusal.model, refusal.request_id, refusal.session_id) == (MODEL, "req_0001", SESSION)
    assert (refusal.client, refusal.client_version, refusal.entrypoint) == ("claude-cli", "2.1.197", "cli")
    assert (refusal.role, refusal.project, refusal.branch, refusal.turn) == (Role.MAIN, "lab-sheets", "main", 1)
    assert refusal.at == "2026-11-23T14:00:02.000Z"
    assert refusal.input_tokens is None


def test_an_answer_that_was_stopped_and_the_error_behind_it_are_one() -> None:
    session = Session()
    session.prompt()
    session.answer(1, text("Let me check."), stop="refusal")
    session.answer(1, call("Bash", command="echo hi"), stop="refusal")
    session.refused(1)
    session.result()
    session.answer(2)
    refusal = the(session)
    assert (refusal.stage, refusal.message_id) == (Stage.MID_STREAM, "msg_0001")
    assert (refusal.input_tokens, refusal.output_tokens) == (10, 5)
    assert (refusal.cache_read_tokens, refusal.cache_write_tokens) == (4, 3)
    assert ends(session) == {Result.REFUSED: 1, Result.ANSWERED: 1}


def test_without_request_ids_an_error_belongs_to_the_answer_that_it_follows() -> None:
    session = Session(version="2.0.30")
    session.prompt()
    session.answer(1, text("Let me"), stop=None, requestId=...)
    session.error(REFUSALS[0].text)
    refusal = the(session)
    assert (refusal.message_id, refusal.request_id, refusal.stage) == ("msg_0001", None, Stage.MID_STREAM)
    assert refusal.evidence == "rule:client_usage_policy"
    assert refusal.model == MODEL


def test_an_error_that_follows_an_error_is_another_request() -> None:
    session = Session()
    session.prompt()
    session.refused(1)
    session.refused(2)
    assert [refusal.request_id for refusal in refusals(session)] == ["req_0001", "req_0002"]
    old = Session()
    old.prompt()
    old.error(REFUSALS[0].text)
    old.error(REFUSALS[0].text)
    assert len(refusals(old)) == 2


def test_an_error_with_another_request_id_is_not_that_of_the_answer_before() -> None:
    session = Session()
    session.prompt()
    session.answer(1, stop=None)
    session.refused(2)
    assert the(session).request_id == "req_0002"
    assert ends(session) == {Result.ANSWERED: 1, Result.REFUSED: 1}


@pytest.mark.parametrize("said", [REFUSALS[0], LOOK_ALIKES[0]], ids=lambda said: said.name)
def test_a_line_that_stands_twice_is_one_line_though_it_names_no_request(said: Text) -> None:
    session = Session()
    session.prompt()
    session.error(said.text, apiErrorStatus=said.status or 400)
    session.prompt("more")
    once = ends(session)
    session.lines += session.lines
    assert (sum(once.values()), ends(session)) == (1, once)


def test_an_error_after_an_answer_that_had_ended_is_a_request_of_its_own() -> None:
    session = Session(version="2.0.30")
    session.prompt()
    session.answer(1)
    session.error(REFUSALS[0].text)
    assert the(session).message_id is None
    assert ends(session) == {Result.REFUSED: 1, Result.ANSWERED: 1}


@pytest.mark.parametrize("said", REFUSALS, ids=lambda said: said.name)
def test_a_text_of_every_version_is_found_where_there_is_no_structure(said: Text) -> None:
    session = Session(version="1.0.43")
    session.prompt()
    session.error(said.text, stop=None)
    refusal = the(session)
    assert (refusal.kind, refusal.category, refusal.model) == (said.kind, said.category, said.model)
    assert refusal.request_id == said.request_id
    assert "token=abc" not in (refusal.explanation or "")


@pytest.mark.parametrize("said", OTHERS, ids=lambda said: said.name)
def test_what_is_no_refusal_but_was_stopped_has_its_own_kind(said: Text) -> None:
    session = Session()
    session.prompt()
    session.error(said.text, 1)
    assert the(session).kind == said.kind


@pytest.mark.parametrize("said", LOOK_ALIKES, ids=lambda said: said.name)
def test_a_look_alike_is_only_counted(said: Text) -> None:
    session = Session()
    session.prompt()
    session.error(said.text, 1)
    assert refusals(session) == []
    assert ends(session) == {Result.ERROR: 1}


def test_an_error_that_never_reached_the_api_is_no_request() -> None:
    session = Session()
    session.prompt()
    session.error("Invalid API key · Please run /login")
    assert ends(session) == {}


@pytest.mark.parametrize("said", REFUSALS, ids=lambda said: said.name)
def test_whoever_quotes_a_refusal_has_none(said: Text) -> None:
    session = Session()
    session.prompt(said.text)
    session.answer(1, text(said.text), call())
    session.result(said.text)
    session.add("attachment", attachment={"type": "file", "content": said.text, "stop_reason": "refusal"})
    session.add("system", subtype="informational", content=said.text)
    session.answer(2, text(json.dumps({"isApiErrorMessage": True, "stop_reason": "refusal"})))
    assert refusals(session) == []
    assert ends(session) == {Result.ANSWERED: 2}


@pytest.mark.parametrize(
    "said", [one for one in REFUSALS if one.text.startswith("API Error")], ids=lambda one: one.name
)
def test_a_compaction_that_is_declined_is_told_of_by_what_the_command_printed(said: Text) -> None:
    session = Session()
    session.prompt("<command-name>/compact</command-name>")
    printed = f"<local-command-stdout>Error during compaction: {said.text}</local-command-stdout>"
    session.add("system", subtype="local_command", content=printed)
    refusal = the(session)
    assert (refusal.role, refusal.kind, refusal.request_id) == (Role.COMPACTION, Kind.REFUSAL, said.request_id)
    assert refusal.asked is None
    assert ends(session) == {Result.REFUSED: 1}


def test_older_versions_wrote_what_a_command_printed_as_a_prompt() -> None:
    session = Session(version="1.0.113")
    said = f"Error: Error during compaction: {REFUSALS[0].text}"
    session.prompt(f"<local-command-stderr>{said}</local-command-stderr>")
    session.prompt(f"It says <local-command-stderr>{said}</local-command-stderr>")
    session.prompt(f"<local-command-stderr>It said: {said}</local-command-stderr>")
    assert the(session).role == Role.COMPACTION


DENIED = "Permission for this action was denied by the Claude Code auto mode classifier. Reason: "
STOPPED = "a safety check separate from auto mode blocked this request because of earlier conversation content"


def test_a_check_of_the_auto_mode_that_was_stopped_itself_is_a_refusal_and_a_denial_is_none() -> None:
    session = Session()
    session.prompt()
    for reason in ("[Data Exfiltration] it sends the file away", STOPPED):
        session.answer(len(reason), call("Bash", command="ls"), stop="tool_use")
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": DENIED + reason, "is_error": True}
        session.add("user", message={"role": "user", "content": [result]})
    refusal = the(session)
    assert (refusal.role, refusal.evidence, refusal.confidence) == (Role.CLASSIFIER, "rule:auto_mode_check", 0.7)


@pytest.mark.parametrize(
    "content",
    [
        DENIED + STOPPED,
        [{"type": "tool_result", "content": DENIED + STOPPED}],
        [{"type": "tool_result", "content": "1  " + DENIED + STOPPED, "is_error": True}],
        [{"type": "tool_result", "content": [{"type": "text", "text": STOPPED}], "is_error": True}],
        [{"type": "text", "text": DENIED + STOPPED, "is_error": True}],
    ],
)
def test_whoever_quotes_such_a_check_has_none(content: object) -> None:
    session = Session()
    session.add("user", message={"role": "user", "content": content})
    session.add("system", subtype="local_command", content="<local-command-stdout>all is well</local-command-stdout>")
    session.add("system", subtype="local_command", content=4)
    assert refusals(session) == []


def test_a_client_that_turns_to_another_model_has_recovered_it() -> None:
    session = Session()
    session.prompt()
    session.fallback(1)
    session.answer(2, model=FALLBACK)
    (entry,) = entries(session)
    (refusal,) = entry.refusals
    assert (refusal.outcome, refusal.answered_by, refusal.model) == (Outcome.RECOVERED_BY_CLIENT, FALLBACK, MODEL)
    assert (refusal.category, refusal.evidence) == ("cyber", "transcript.model_refusal_fallback")
    assert [(one.n, one.model, one.outcome, one.request_id) for one in entry.attempts] == [
        (1, FALLBACK, Result.ANSWERED, "req_0002")
    ]
    assert ends(session) == {Result.REFUSED: 1, Result.ANSWERED: 1}


def test_what_was_taken_back_is_the_declined_request_s_answer() -> None:
    session = Session()
    session.prompt()
    partial = session.answer(1, text("It begins"), stop=None)
    session.fallback(1, retractedMessageUuids=[partial])
    session.answer(2, model=FALLBACK, supersedesUuids=[partial])
    refusal = the(session)
    assert (refusal.stage, refusal.outcome) == (Stage.MID_STREAM, Outcome.RECOVERED_BY_CLIENT)
    assert (refusal.request_id, refusal.message_id) == ("req_0001", "msg_0001")


def test_lines_that_were_taken_back_and_never_written_say_that_output_had_begun() -> None:
    session = Session()
    session.prompt()
    session.fallback(1, retractedMessageUuids=["75b0e43e-c2bb-4864-ac6a-d2bc30c16725"])
    session.answer(2, model=FALLBACK)
    assert the(session).stage == Stage.MID_STREAM


def test_another_model_that_declines_too_is_a_record_of_its_own() -> None:
    session = Session()
    session.prompt()
    session.fallback(1)
    session.refused(2, "API Error: Opus 4.8's safeguards flagged this message.")
    first, second = refusals(session)
    assert (first.outcome, first.model) == (Outcome.REFUSED, MODEL)
    assert (second.outcome, second.model) == (Outcome.REFUSED, FALLBACK)


def test_whether_another_model_answered_is_not_known_where_the_file_ends() -> None:
    session = Session()
    session.prompt()
    session.fallback(1)
    assert the(session).outcome == Outcome.UNKNOWN


def test_a_client_that_asks_the_same_model_once_more_has_one_refusal() -> None:
    session = Session(version="2.1.330")
    session.prompt()
    session.answer(1, text("Certainly."), stop="refusal")
    session.note(1)
    session.answer(2)
    (entry,) = entries(session)
    (refusal,) = entry.refusals
    assert (refusal.outcome, refusal.answered_by) == (Outcome.RECOVERED_BY_CLIENT, MODEL)
    assert [(one.model, one.outcome) for one in entry.attempts] == [(MODEL, Result.ANSWERED)]


def test_a_repeat_that_is_declined_again_is_an_attempt_at_the_first() -> None:
    session = Session(version="2.1.330")
    session.prompt()
    session.note(1, isVirtual=True)
    session.fallback(2)
    session.answer(3, model=FALLBACK)
    (entry,) = entries(session)
    (refusal,) = entry.refusals
    assert (refusal.message_id, refusal.request_id, refusal.category) == ("msg_0001", None, "cyber")
    assert (refusal.evidence, refusal.stage) == ("transcript.refused_message_id", Stage.BEFORE_OUTPUT)
    assert (refusal.outcome, refusal.answered_by) == (Outcome.RECOVERED_BY_CLIENT, FALLBACK)
    assert [(one.n, one.outcome, one.request_id) for one in entry.attempts] == [
        (1, Result.REFUSED, "req_0002"),
        (2, Result.ANSWERED, "req_0003"),
    ]
    assert ends(session) == {Result.REFUSED: 2, Result.ANSWERED: 1}


def test_a_repeat_after_which_another_model_declines_makes_two_records() -> None:
    session = Session(version="2.1.330")
    session.prompt()
    session.note(1, isVirtual=True)
    session.fallback(2)
    session.add("system", subtype="model_refusal_no_fallback", originalModel=FALLBACK, requestId="req_0003")
    session.refused(3, "API Error: Opus 4.8's safeguards flagged this message.", refusingModel=FALLBACK)
    first, second = refusals(session)
    assert (first.message_id, first.outcome) == ("msg_0001", Outcome.REFUSED)
    assert (second.request_id, second.model, second.outcome) == ("req_0003", FALLBACK, Outcome.REFUSED)


def test_the_model_is_that_of_the_last_request_that_the_client_noted() -> None:
    session = Session(version="2.1.330")
    session.prompt()
    session.add("api-request", params={"model": MODEL}, uuid=...)
    session.note(1, isVirtual=True)
    session.lines.append(session.lines[-2] | {"params": {"model": FALLBACK}, "timestamp": "2026-11-23T15:00:00.000Z"})
    session.answer(2)
    assert the(session).model == MODEL


def test_a_seam_in_an_answer_is_a_refusal_that_the_api_recovered() -> None:
    session = Session()
    session.prompt()
    seam = {"type": "fallback", "from": {"model": MODEL}, "to": {"model": FALLBACK}}
    session.answer(1, text("It begins here, "))
    session.answer(1, seam)
    session.answer(1, text("and ends there."))
    session.prompt("go on")
    session.answer(2)
    refusal = the(session)
    assert (refusal.outcome, refusal.answered_by) == (Outcome.RECOVERED_BY_API, FALLBACK)
    assert (refusal.evidence, refusal.stage) == ("content_block.fallback", Stage.MID_STREAM)
    assert refusal.asked is not None
    assert ends(session) == {Result.RECOVERED_BY_API: 1, Result.ANSWERED: 1}


def test_an_answer_of_a_model_on_which_the_conversation_had_stayed_is_none() -> None:
    session = Session()
    session.prompt()
    usage = {"input_tokens": 1, "iterations": [{"type": "fallback_message", "model": FALLBACK}]}
    session.answer(1, model=FALLBACK, usage=usage)
    assert refusals(session) == []


def test_what_the_api_tried_inside_is_read_from_the_usage() -> None:
    session = Session()
    session.prompt()
    tries = [{"type": "message", "model": MODEL}, {"type": "fallback_message", "model": FALLBACK}]
    session.answer(1, model=FALLBACK, usage={"input_tokens": 1, "iterations": tries})
    (entry,) = entries(session)
    assert (entry.refusals[0].outcome, entry.refusals[0].model) == (Outcome.RECOVERED_BY_API, MODEL)
    assert [(one.n, one.by, one.model) for one in entry.attempts] == [(0, "client", MODEL), (1, "api", FALLBACK)]


def test_a_fallback_that_the_api_made_itself_is_not_the_client_s() -> None:
    session = Session()
    session.prompt()
    session.answer(1, model=FALLBACK)
    session.fallback(1)
    refusal = the(session)
    assert (refusal.outcome, refusal.answered_by) == (Outcome.RECOVERED_BY_API, FALLBACK)


def test_a_sub_agent_is_told_from_its_session() -> None:
    session = Session(isSidechain=True, agentId="a3f80cd6866bca273")
    session.prompt()
    session.refused(1)
    refusal = the(session)
    assert (refusal.agent_id, refusal.role) == ("a3f80cd6866bca273", Role.SUBAGENT)


def test_sidechains_among_the_lines_of_an_old_session_are_conversations_of_their_own() -> None:
    session = Session(version="1.0.43")
    first = session.prompt("the main question")
    one = session.prompt("of one agent", isSidechain=True, parentUuid=None)
    other = session.prompt("of another", isSidechain=True, parentUuid=None)
    session.error(REFUSALS[0].text, isSidechain=True, parentUuid=one)
    session.answer(1, isSidechain=True, parentUuid=other)
    session.error(REFUSALS[0].text, parentUuid=first)
    agents, main = entries(session)
    assert (agents.refusals[0].role, main.refusals[0].role) == (Role.SUBAGENT, Role.MAIN)
    assert list(agents.contents.values()) == [b'"of one agent"']
    assert list(main.contents.values()) == [b'"the main question"']


def asked(*messages: object) -> str | None:
    """The fingerprint of a request on the wire."""
    return fingerprint(split(json.dumps({"messages": messages}).encode(), Redactor()).segments)


def test_the_last_turn_has_the_fingerprint_that_it_has_on_the_wire() -> None:
    session = Session()
    session.prompt()
    session.answer(1, text("I look."), call(), stop="tool_use")
    session.result("line 1")
    session.refused(2)
    refusal = the(session)
    wire = [text("<system-reminder>The house rules.</system-reminder>"), text("Please look.")]
    result = {"type": "tool_result", "tool_use_id": "another", "content": "line 1"}
    assert refusal.asked == asked(
        {"role": "user", "content": wire},
        {"role": "assistant", "content": [text("I look."), call()]},
        {"role": "user", "content": [result]},
    )
    assert refusal.fingerprint == refusal.asked


def test_a_prompt_after_a_refusal_goes_on_from_the_one_that_was_declined() -> None:
    session = Session()
    session.prompt("say hi")
    session.refused(1)
    session.prompt("again please")
    session.refused(2)
    _, second = refusals(session)
    assert second.asked == asked({"role": "user", "content": [text("say hi"), text("again please")]})


def test_a_prompt_that_was_edited_stands_where_its_parent_stands() -> None:
    session = Session()
    session.prompt("first")
    answer = session.answer(1)
    session.prompt("declined")
    session.refused(2)
    session.prompt("edited", parentUuid=answer)
    session.refused(3)
    _, second = refusals(session)
    assert second.asked == asked({"role": "user", "content": "edited"})
    assert second.turn == 2


def test_the_results_of_calls_made_at_once_are_all_of_the_turn() -> None:
    session = Session()
    session.prompt()
    one = session.answer(1, call("Read", file_path="/a"), stop="tool_use")
    session.result("of a", parentUuid=one)
    other = session.answer(1, call("Read", file_path="/b"), stop="tool_use", parentUuid=one)
    session.result("of b", parentUuid=other)
    session.refused(2)
    (entry,) = entries(session)
    assert [one.label for one in entry.segments] == [Label.USER_TEXT, Label.TOOL_RESULT, Label.TOOL_RESULT]
    assert [one.n for one in entry.segments] == [0, 1, 2]
    results = [{"type": "tool_result", "tool_use_id": "x", "content": said} for said in ("of a", "of b")]
    assert entry.refusals[0].asked == asked({"role": "user", "content": results})


def test_the_turn_is_kept_with_what_its_tools_had_read_and_without_secrets() -> None:
    session = Session()
    session.prompt()
    session.answer(1, call("Read", file_path="/lab/sheet.csv"), stop="tool_use")
    session.result(f"the key is {SECRET}")
    session.refused(2)
    (entry,) = entries(session)
    prompt, segment = entry.segments
    assert entry.contents[prompt.content] == b'"Please look."'
    assert (segment.label, segment.tool, segment.target) == (Label.TOOL_RESULT, "Read", "/lab/sheet.csv")
    assert SECRET.encode() not in entry.contents[segment.content]
    assert (entry.refusals[0].replacements, entry.refusals[0].exact, entry.skeleton) == (1, None, None)


def test_without_content_only_the_map_is_kept() -> None:
    session = Session()
    session.prompt()
    session.refused(1)
    (entry,) = entries(session, Origin("a", Redactor(), content=False))
    assert len(entry.segments) == 1
    assert entry.contents == {}
    assert entry.refusals[0].asked is not None


def test_a_secret_is_in_no_field() -> None:
    session = Session(cwd=f"/home/{SECRET}", sessionId=SECRET, gitBranch=f"fix-{SECRET}")
    session.prompt(SECRET)
    session.refused(1, requestId=SECRET)
    session.fallback(2, apiRefusalCategory=SECRET, originalModel=SECRET, apiRefusalExplanation=SECRET)
    assert SECRET not in repr(entries(session))


def test_the_turns_are_counted_as_on_the_wire() -> None:
    session = Session()
    for n in range(3):
        session.prompt(f"prompt {n}")
        session.answer(2 * n + 1, call(), stop="tool_use")
        session.result()
        session.answer(2 * n + 2)
    session.prompt("the last")
    session.refused(9)
    assert the(session).turn == 4
    session.add("system", subtype="compact_boundary", parentUuid=None)
    session.prompt("This session is being continued")
    session.refused(10)
    assert [refusal.turn for refusal in refusals(session)] == [4, 1]


def test_a_model_that_the_user_chose_meanwhile_is_not_known() -> None:
    session = Session()
    session.prompt()
    session.answer(1)
    session.prompt("more")
    session.error(REFUSALS[0].text)
    assert the(session).model == MODEL
    session.prompt("<command-name>/model</command-name>\n<command-args>sonnet</command-args>")
    session.prompt("again")
    session.error(REFUSALS[0].text)
    assert [refusal.model for refusal in refusals(session)] == [MODEL, None]


def test_each_answer_is_counted_once_by_hour_and_model() -> None:
    session = Session()
    session.prompt()
    for n in range(3):
        session.answer(n, text("I look."), stop="tool_use")
        session.answer(n, call(), stop="tool_use")
        session.result()
    (key,) = counts(session)
    assert counts(session)[key] == 3
    assert (key.hour, key.model, key.answered_by) == ("2026-11-23T14", MODEL, MODEL)
    assert (key.client, key.client_version, key.entrypoint, key.role) == ("claude-cli", "2.1.197", "cli", "main")


def names(session: Session) -> set[int]:
    return {name for one in found(session) if isinstance(one, Named) for some in one.names for name in some}


@pytest.mark.parametrize("anew", [False, True])
def test_what_was_copied_from_another_session_has_the_names_that_it_has_there(anew: bool) -> None:
    session, fork = Session(version="1.0.72"), Session()
    session.prompt()
    session.answer(1, requestId=...)
    session.error(REFUSALS[0].text)
    for line in session.lines:
        copied = {"sessionId": "another", "forkedFrom": {"sessionId": SESSION, "messageUuid": line["uuid"]}}
        fork.lines.append(line | copied | ({"uuid": f"new {line['uuid']}"} if anew else {}))
    assert names(fork) == names(session)
    assert len(names(session)) == 2
    assert the(fork).id == the(session).id
    fork.answer(2)
    assert len(names(fork) - names(session)) == 1


def test_a_copy_whose_original_is_no_text_is_named_by_itself() -> None:
    session = Session()
    session.error(REFUSALS[0].text, forkedFrom={"messageUuid": 7})
    assert len(names(session)) == 1


def test_a_request_that_is_told_of_again_much_later_is_not_counted_again() -> None:
    session = Session()
    session.prompt()
    for n in range(3 * OPEN):
        session.answer(n)
    session.refused(1000)
    for n in range(3 * OPEN):
        session.answer(n)
    session.refused(1000)
    assert len(refusals(session)) == 1
    assert ends(session) == {Result.ANSWERED: 3 * OPEN, Result.REFUSED: 1}


def test_the_same_file_gives_the_same_ids() -> None:
    session = Session()
    session.prompt()
    session.refused(1)
    shorter = bytes(session)
    session.prompt()
    session.refused(2)
    assert [refusal.id for refusal in refusals(session)][:1] == [the(shorter).id]


def test_a_line_that_is_no_json_is_told_of_and_the_rest_is_read() -> None:
    session = Session()
    session.prompt()
    session.refused(1)
    data = b'{"type":"user","message":{"role"\n' + bytes(session) + b'{"type":"assist'
    assert [(one.line, one.why) for one in troubles(data)] == [
        (1, "not JSON"),
        (4, "cut in the middle: it may still be being written"),
    ]
    assert sum(bool(getattr(one, "refusals", ())) for one in found(data)) == 1


@pytest.mark.parametrize(
    ("between", "lost"), [(b"", []), (b" ", []), (b'{"parentUuid":null,"type":"us', [(1, "not JSON")])]
)
def test_a_line_that_goes_on_right_behind_another_is_read(between: bytes, lost: list[tuple[int, str]]) -> None:
    session = Session()
    session.prompt()
    session.refused(1)
    session.refused(2)
    every = bytes(session).splitlines()
    for data in (between.join(every), between.join(every) + b"\n"):
        assert list(dict.fromkeys((one.line, one.why) for one in troubles(data))) == lost
        told = [each for one in found(data) for each in getattr(one, "refusals", ())]
        assert [one.request_id for one in told] == ["req_0001", "req_0002"]
    assert [one.why for one in troubles(b"".join(every)[:-9])] == ["cut in the middle: it may still be being written"]


@pytest.mark.parametrize("told", ["HEAD", "", ..., 7])
def test_where_there_is_no_branch_none_is_told(told: object) -> None:
    session = Session(gitBranch=told)
    session.refused(1)
    assert the(session).branch is None


def test_a_mark_of_the_encoding_before_the_first_line_costs_it_nothing() -> None:
    session = Session()
    session.refused(1)
    session.prompt()
    assert the(b"\xef\xbb\xbf" + bytes(session)).request_id == "req_0001"


def test_zero_bytes_in_a_line_s_place_are_told_of_and_the_line_behind_them_is_read() -> None:
    session = Session()
    session.prompt()
    session.refused(1)
    first, second = bytes(session).splitlines(keepends=True)
    every = found(first + b"\0" * 4096 + second + b"\0" * 512)
    assert [one.line for one in every if isinstance(one, Trouble)] == [2, 3]
    assert [one.refusals[0].request_id for one in every if isinstance(one, Entry) and one.refusals] == ["req_0001"]


def test_bytes_that_are_no_utf_8_and_half_an_emoji_are_read_leniently() -> None:
    session = Session()
    session.prompt("half \ud83d")
    session.refused(1, "API Error: \ud83d's safeguards flagged this message.")
    data = bytes(session).replace(b"half", b"h\xff\xfe")
    refusal = the(data)
    assert refusal.category == "cyber"
    assert refusal.asked is not None


def test_members_of_a_wrong_type_are_members_that_are_not_there() -> None:
    session = Session(version=3, cwd=["x"], isSidechain="no")
    session.prompt()
    session.refused(1, requestId=7, retractedMessageUuids="x")
    session.add("assistant", message="none")
    session.add("user", message={"content": 4})
    session.add("user", message=[])
    session.answer(2, timestamp="yesterday", stop=None)
    refusal = the(session)
    assert (refusal.client_version, refusal.project, refusal.request_id) == (None, None, None)


@given(st.binary(max_size=400))
def test_whatever_stands_in_a_file_it_is_read_to_its_end(data: bytes) -> None:
    session = Session()
    session.prompt()
    session.refused(1)
    read = found(data.replace(b"\n", b"") + b"\n" + bytes(session))
    declined = [one.refusals for one in read if isinstance(one, Entry) and one.refusals]
    assert [refusal.request_id for (refusal,) in declined] == ["req_0001"]


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), max_size=30))
def test_in_any_order_of_lines_each_request_is_counted_once(steps: list[tuple[int, int]]) -> None:
    session = Session()
    session.prompt()
    for kind, n in steps:
        match kind:
            case 0:
                session.prompt()
            case 1:
                session.result()
            case 2 | 3 | 4:
                session.answer(n, stop=("end_turn", "refusal", None)[kind - 2])
            case 5:
                session.refused(n)
            case 6:
                session.note(n)
            case 7:
                session.fallback(n)
            case 8:
                session.error(OTHERS[0].text, n)
    assert sum(counts(session).values()) <= len({(n, kind == NOTE) for kind, n in steps if kind >= 2})
    names = [refusal.id for refusal in refusals(session)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "first",
    [
        {"type": "summary", "summary": "x", "leafUuid": "y"},
        {"type": "file-history-snapshot", "messageId": "x", "snapshot": {}},
        {"type": "queue-operation", "operation": "enqueue", "sessionId": SESSION},
        {"type": "user", "parentUuid": None, "sessionId": SESSION, "message": {}},
    ],
    ids=lambda first: str(first["type"]),
)
def test_a_transcript_is_known_by_its_first_lines(first: dict[str, object]) -> None:
    assert Transcript().claims(json.dumps(first).encode() + b"\n", ORIGIN)


def test_a_transcript_whose_first_line_is_longer_than_the_head_is_known() -> None:
    session = Session()
    session.prompt("x" * 100_000)
    line = {"sessionId": SESSION, "parentUuid": None, "type": "user", "message": {"content": "x" * 100_000}}
    assert Transcript().claims(json.dumps(line).encode()[:1000], ORIGIN)


@pytest.mark.parametrize(
    "head", [b"", b"\x00\x01", b"{}", b'{"type":"user"}', b"[1]", b'{"log":{"entries":[]}}', b"text"]
)
def test_other_files_are_no_transcripts(head: bytes) -> None:
    assert not Transcript().claims(head, ORIGIN)
