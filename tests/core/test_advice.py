"""What to do: each sentence, by class."""

import re
from itertools import product
from typing import Any

import msgspec
import pytest

from proxy.core.advice import advice
from proxy.core.facts import RESERVED, Facts, despite_exemption, hearsay, is_stuck
from proxy.core.meaning import about
from proxy.core.tries import LEFT
from schemas.labels import History, Kind, Label, Outcome, Result, Role, Ruling, Stage, Strategy, Verdict
from schemas.records import Annotation, Attempt, Pin

GROWN: dict[str, Any] = {
    "role": Role.MAIN,
    "history": History.GROWN,
    "turn": 5,
    "accepted_turn": 4,
    "outcome": Outcome.REFUSED,
}
STUCK: dict[str, Any] = GROWN | {
    "turn": 7,
    "refusals_in_incident": 4,
    "refusals_in_session": 3,
    "tiny": True,
    "first_label": Label.TOOL_RESULT,
}
FIRST: dict[str, Any] = {"role": Role.MAIN, "history": History.FIRST, "turn": 1, "outcome": Outcome.REFUSED}
SAME: dict[str, Any] = GROWN | {"history": History.SAME, "turn": 4, "model": "claude-opus-5"}
ANSWERED: dict[str, Any] = GROWN | {"outcome": Outcome.RECOVERED_BY_DEMUR, "model": "claude-opus-5"}
LAYOUT = Annotation(name="layout", value="Russian on US", confidence=0.9)
PIN = Pin(key="k", session_id="s1", model="claude-opus-5", answered_by="claude-opus-4-8", at="", until="")
WHOLE = Annotation(
    name="marker", value="refusal test string", evidence=["messages[2].content[0] (tool result of Read)"]
)
NAMED = Annotation(name="marker", value="refusal test string", confidence=0.3, evidence=["system[1] (system)"])


def said(**fields: Any) -> str:
    return " | ".join(advice(Facts(**fields)))


def test_a_stuck_session_is_told_since_when_and_where_to_go_back_to() -> None:
    steps = advice(Facts(**STUCK, category="cyber", client="claude-cli"))
    assert steps[0] == (
        "The session is stuck: it was declined 3 times since turn 5, and what was new then is still in the request;"
        " a short message may be declined as well."
    )
    assert steps[1].startswith("Go back to turn 4, the last that was accepted: press Esc twice or type /rewind")
    assert "choose the prompt of turn 5" in steps[1]
    assert steps[2].startswith("/clear begins a conversation without all that; /model")
    assert "`claude --safe-mode`" in steps[3]


def test_where_nothing_is_known_to_be_new_nothing_is_said_to_be_in_the_request() -> None:
    told = said(**(STUCK | {"first_label": None}))
    assert told.startswith("The session is stuck: it was declined 3 times since turn 5. |")


def test_where_the_last_text_is_the_first_candidate_nothing_is_said_of_short_messages() -> None:
    told = said(**(STUCK | {"first_label": Label.USER_TEXT, "first_is_last": True}))
    assert "declined 3 times since turn 5, and what was new then is still in the request. |" in told
    assert "short message" not in told


def test_a_session_is_stuck_by_its_own_refusals_alone() -> None:
    told = said(**(STUCK | {"refusals_in_session": 1, "refusals_in_incident": 3}))
    assert "stuck" not in told
    assert "is then sent again with every later turn" in told


@pytest.mark.parametrize("history", [History.GROWN, History.EDITED, History.RESUMED, History.UNSEEN])
def test_a_session_is_stuck_from_the_second_refusal_of_an_incident_on(history: str) -> None:
    assert is_stuck(Facts(history=history, refusals_in_session=2))
    assert not is_stuck(Facts(history=history))
    assert not is_stuck(Facts(history=history, refusals_in_session=2, kind=Kind.OUTPUT_FILTER))
    assert not is_stuck(Facts(history=history, refusals_in_session=2, role=Role.SUBAGENT))
    assert not is_stuck(Facts(history=history, refusals_in_session=2, role=Role.COMPACTION))


@pytest.mark.parametrize("history", [History.FIRST, History.CLEARED, History.SAME, None])
def test_where_no_later_turn_was_seen_the_same_was_sent_again(history: str | None) -> None:
    told = said(**(STUCK | {"history": history}))
    assert "stuck" not in told
    assert "The same content was declined 4 times" in told


def test_a_stuck_session_of_which_no_turn_was_seen_to_be_accepted_has_none_to_go_back_to() -> None:
    told = said(**(STUCK | {"accepted_turn": None, "history": History.UNSEEN, "first_label": None}))
    assert told.startswith("The session is stuck: it was declined 3 times, as far as demur saw it. |")
    assert "Go back" not in told
    assert "/clear" in told


def test_another_client_is_not_told_of_claude_codes_commands() -> None:
    told = said(**STUCK, client="Anthropic/Python")
    assert "Go back to turn 4, the last that was accepted, and leave out what came after it." in told
    assert "Begin a new conversation, or go on with another model." in told
    assert not re.search(r"/(clear|rewind|model|compact)|Esc|safe-mode", told)
    assert not re.search(r"safe-mode", said(**FIRST, tiny=True, client="Anthropic/Python"))


def test_after_the_first_refusal_what_was_declined_has_to_be_taken_out_of_the_conversation() -> None:
    told = said(**GROWN)
    assert "may stay in the conversation, and is then sent again with every later turn, until you take it out" in told
    assert "Go back to turn 4" in told
    assert "stuck" not in told


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ("claude-opus-5-20260724", "had been accepted by the same model, so it is not always judged alike."),
        ("claude-sonnet-5", "had been accepted by claude-sonnet-5."),
        (None, "the same had been accepted."),
    ],
)
def test_the_same_content_is_judged_differently_only_where_the_same_model_had_accepted_it(
    by: str | None, told: str
) -> None:
    found = said(**SAME, accepted_model=by)
    assert "demur sees nothing new in it, and knows no candidate" in found
    assert told in found
    assert ("alike" in found) is ("alike" in told)
    assert "Go back" not in found


def test_beside_a_candidate_nobody_says_that_nothing_is_new() -> None:
    new = frozenset({Label.TOOL, Label.SYSTEM_MESSAGE})
    told = said(**SAME, accepted_model="claude-opus-5", first_label=Label.SYSTEM_MESSAGE, new_labels=new)
    assert (
        "What was said in it had been accepted by the same model; new is only what goes with it:"
        " a system message that the client adds, the definition of a tool."
    ) in told
    assert "The first candidate is a system message" in told
    assert not re.search("nothing new|Nothing|no candidate|alike", told)
    other = said(**SAME, first_label=Label.ATTRIBUTION, new_labels=frozenset({Label.ATTRIBUTION}))
    assert "new is only what goes with it: what the client adds." in other


def test_a_conversation_of_which_nothing_was_seen_has_no_turn_to_go_back_to() -> None:
    assert "Go back" not in said(**(GROWN | {"history": History.UNSEEN, "accepted_turn": None}))
    assert "Go back" not in said(**(GROWN | {"accepted_turn": None}))


def test_nobody_is_sent_back_to_the_turn_at_which_he_is_or_to_a_later_one() -> None:
    assert "Go back" not in said(**(GROWN | {"history": History.EDITED, "turn": 3, "accepted_turn": 5}))
    assert "Go back to turn 4" in said(**(GROWN | {"turn": None}))


def test_of_a_tiny_first_turn_the_kinds_are_named_that_are_new_and_no_others() -> None:
    new = frozenset({Label.USER_TEXT, Label.MEMORY, Label.MCP})
    told = said(**FIRST, tiny=True, first_label=Label.USER_TEXT, first_is_last=True, new_labels=new)
    assert (
        "Your text was tiny, and nothing had been accepted yet in this conversation. What else is new in the request is a candidate as"
        " well: CLAUDE.md or memory, the instructions of an MCP server."
    ) in told
    assert "`claude --safe-mode`, and compare" in told
    assert not re.search("your own last text|hardly|hook|machine", told)


def test_of_a_tiny_text_after_clear_with_nothing_else_that_is_new_the_text_is_the_candidate() -> None:
    fields = FIRST | {"history": History.CLEARED, "new_labels": frozenset({Label.USER_TEXT})}
    told = said(**fields, tiny=True, first_label=Label.USER_TEXT, first_is_last=True)
    assert "The first candidate is your own last text" in told
    assert not re.search("tiny|safe-mode|CLAUDE.md", told)


def test_a_first_turn_of_some_length_may_be_the_persons_words() -> None:
    told = said(**FIRST, first_label=Label.USER_TEXT, first_is_last=True)
    assert "safe-mode" not in told
    assert "The first candidate is your own last text; which of its words matter, if any, demur does not know." in told


def test_an_earlier_text_is_not_called_the_last_one() -> None:
    told = said(**GROWN, first_label=Label.USER_TEXT)
    assert "The first candidate is an earlier text of yours;" in told


def test_a_first_turn_whose_candidate_nobody_typed_is_to_be_compared() -> None:
    assert "safe-mode" in said(**FIRST, first_label=Label.MEMORY)
    assert "safe-mode" not in said(**FIRST, first_label=Label.MEMORY, category="bio")
    assert "safe-mode" in said(**(FIRST | {"history": History.CLEARED}), first_label=Label.HOOK)


def test_a_first_turn_that_was_sent_again_costs_again() -> None:
    told = said(**FIRST, refusals_in_incident=4)
    assert "declined 4 times" in told
    assert "demur does not know whether it counts against the account" in told
    assert "stuck" not in told


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"first_label": Label.TOOL_RESULT, "first_tool": "Read", "first_target": "scan.pdf"}, "the result of Read (scan.pdf)"),
        ({"first_label": Label.TOOL_RESULT}, "the result"),
        ({"first_label": Label.MEDIA, "first_target": "scan.pdf"}, "a document or an image (scan.pdf)"),
    ],
)  # fmt: skip
def test_a_document_or_a_result_can_be_left_out_in_part_or_as_a_whole(fields: dict[str, Any], what: str) -> None:
    expected = (
        f"The first candidate is {what}: go on without it, or with the part of it that you need and can vouch for."
    )
    assert expected in said(**GROWN, **fields)


@pytest.mark.parametrize(
    ("label", "what"),
    [
        (Label.MEMORY, "CLAUDE.md or memory"),
        (Label.HOOK, "the output of a hook"),
        (Label.MCP, "the instructions of an MCP server"),
        (Label.ENVIRONMENT, "what the client tells of the machine"),
        (Label.REMINDER, "a reminder that the client adds"),
        (Label.SYSTEM_MESSAGE, "a system message that the client adds"),
        (Label.SYSTEM, "a part of the system prompt"),
        (Label.TOOL, "the definition of a tool"),
    ],
)
def test_what_nobody_typed_is_named(label: Label, what: str) -> None:
    assert f"The first candidate is {what}" in said(**GROWN, first_label=label)


def test_a_candidate_of_another_kind_is_passed_over() -> None:
    assert "candidate" not in said(**GROWN, first_label=Label.THINKING, category="bio")
    assert "candidate" not in said(**GROWN, category="bio")


@pytest.mark.parametrize(
    ("role", "what"),
    [
        (Role.COMPACTION, "It was the compaction that was declined, not your last prompt"),
        (Role.TITLE, "the main work goes on, and nothing has to be done"),
        (Role.CLASSIFIER, "It was the check of auto mode that was declined"),
        (Role.COUNT_TOKENS, "It was a count of tokens"),
        (Role.SUBAGENT, "Claude Code hands a sub-agent's parent the refusal as if it were a result"),
    ],
)
def test_each_role_has_its_step(role: Role, what: str) -> None:
    told = said(**(STUCK | {"role": role}))
    assert what in told
    assert not re.search("stuck|Go back", told)
    assert ("The first candidate" in told) is (role == Role.SUBAGENT)


def test_a_sub_agents_text_is_its_parents_and_nobody_can_go_back_in_it() -> None:
    for shape in (GROWN, STUCK, FIRST):
        fields = shape | {"role": Role.SUBAGENT, "first_label": Label.USER_TEXT, "first_is_last": True, "tiny": True}
        told = said(**fields, new_labels=frozenset({Label.USER_TEXT, Label.MCP}), annotations=[LAYOUT])
        assert "The first candidate is a text that the parent's model wrote for the sub-agent" in told
        assert not re.search(r"/rewind|Go back|stuck|[Yy]our (own )?(last )?text|may stay", told)
    assert "parent" not in said(**(ANSWERED | {"role": Role.SUBAGENT}))
    assert "Claude Code" not in said(**(GROWN | {"role": Role.SUBAGENT}), client="Anthropic/Python")


def test_the_classifier_goes_over_the_conversation_and_that_is_no_reason() -> None:
    assert "because" not in said(**(GROWN | {"role": Role.CLASSIFIER}))


def test_a_compaction_comes_after_going_back() -> None:
    told = said(**(GROWN | {"role": Role.COMPACTION}))
    assert "/clear begins anew; or /rewind to an earlier turn first, and only then /compact" in told
    assert "Go back" not in told
    reserved = said(**(GROWN | {"role": Role.COMPACTION}), category="bio")
    assert "/clear begins anew, and /rewind goes back to an earlier turn." in reserved
    other = said(**(GROWN | {"role": Role.COMPACTION}), client="Anthropic/Python")
    assert "Begin a new conversation, or go back to an earlier turn." in other
    assert "/clear" not in said(**(GROWN | {"role": Role.COMPACTION, "outcome": Outcome.RECOVERED_BY_API}))


def test_of_a_title_nothing_else_is_said() -> None:
    assert len(advice(Facts(role=Role.TITLE, history=History.FIRST, tiny=True, category="cyber"))) == 1


@pytest.mark.parametrize(
    ("category", "what"),
    [
        ("cyber", "malware and exploits"),
        ("bio", "demur knows of no exemption for it"),
        ("frontier_llm", "that is in the commercial terms, not in the Usage Policy"),
        ("reasoning_extraction", "that is in the commercial terms, not in the Usage Policy"),
        ("general_harms", "which one, the API does not say"),
        (None, "the API named no category"),
        ("of_next_year", "demur does not know this category"),
    ],
)
def test_what_a_category_is_about_is_a_fact_and_no_advice(category: str | None, what: str) -> None:
    assert what in about(Facts(**GROWN, category=category))
    assert about(Facts(**GROWN, category=category, kind=Kind.OUTPUT_FILTER)) == ""
    assert what not in said(**GROWN, category=category)


def test_steps_that_a_category_has_are_not_for_other_kinds() -> None:
    for category, what in (("cyber", "the Cyber Verification Program"), ("reasoning_extraction", "Quoted thinking")):
        assert what in said(**GROWN, category=category)
        assert what not in said(**GROWN, category=category, kind=Kind.OUTPUT_FILTER)
        assert what not in said(**GROWN, category=category, judged_correct=True)


def test_without_a_category_nothing_is_said_of_safeguards_and_of_the_api_only_where_it_was_seen() -> None:
    seen, heard = about(Facts(**GROWN)), about(Facts(**GROWN, told=False))
    assert seen == "the API named no category, which is common: by what the request was declined, demur does not know"
    assert heard == "no category is known"
    assert "safeguard" not in seen + heard


@pytest.mark.parametrize(
    ("category", "on", "offered"),
    [("cyber", False, True), (None, False, True), ("cyber", True, False), ("bio", False, False), ("reasoning_extraction", False, False),
     ("general_harms", False, False)],
)  # fmt: skip
def test_demurs_own_retry_is_offered_where_it_is_off_and_may_be_used(
    category: str | None, on: bool, offered: bool
) -> None:
    assert ("`demur retry`" in said(**GROWN, category=category, retry_enabled=on)) is offered
    assert "demur retry" not in said(**GROWN, category=category, judged_correct=True)
    assert "demur retry" not in said(**(GROWN | {"role": Role.COUNT_TOKENS}), category=category)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (Kind.OUTPUT_FILTER, "This is the output filter, not a refusal"),
        (Kind.OUTPUT_FILTER, "look whether it was paid for twice"),
        (Kind.POLICY_ERROR, "an error that names a policy"),
        (Kind.SOFT_REFUSAL, "The model declined in its own words"),
        (Kind.UNCLASSIFIED, "`demur label`"),
    ],
)
def test_each_kind_has_its_sentence(kind: Kind, what: str) -> None:
    assert what in said(**GROWN, kind=kind)
    assert what not in said(**GROWN)
    assert "Go back" not in said(**GROWN, kind=kind)


@pytest.mark.parametrize(
    ("by", "what"),
    [
        (
            "claude-opus-4-8",
            "It was answered: the client itself asked another model. | The client may stay on that model",
        ),
        ("claude-opus-5", "It was answered: the client itself asked the same model once more."),
        (None, "It was answered: the client itself asked again."),
    ],
)
def test_the_client_asked_another_model_only_where_another_one_answered(by: str | None, what: str) -> None:
    told = said(**(ANSWERED | {"outcome": Outcome.RECOVERED_BY_CLIENT}), answered_by=by)
    assert what in told
    assert ("/model" in told) is (by == "claude-opus-4-8")


@pytest.mark.parametrize("outcome", [Outcome.RECOVERED_BY_API, Outcome.RECOVERED_BY_DEMUR])
@pytest.mark.parametrize(
    ("by", "what"),
    [
        (
            "claude-opus-4-8",
            "It was answered by another model: nothing has to be done, and the answer is that model's.",
        ),
        ("us.anthropic.claude-opus-5-v1:0", "It was answered by the same model: nothing has to be done."),
        (None, "It was answered: nothing has to be done."),
    ],
)
def test_what_was_answered_needs_no_steps(outcome: Outcome, by: str | None, what: str) -> None:
    fields = STUCK | {"outcome": outcome, "model": "claude-opus-5", "answered_by": by, "stage": Stage.BEFORE_OUTPUT}
    told = said(**fields, category="cyber")
    assert told.startswith(what)
    assert not re.search("stuck|Go back|first candidate|demur retry", told)


def test_an_answer_of_the_model_that_was_asked_for_is_told_to_be_one() -> None:
    told = said(**ANSWERED | {"model": "claude-opus-4-8"}, answered_by="claude-opus-5", strategy=Strategy.PRIMARY)
    assert told.startswith("It was answered by the model that was asked for, to which the conversation went back")


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (Strategy.SCOPE_NOTE, "your own note was added"),
        (Strategy.TRIM, "a part was left out"),
        (Strategy.RESTATE, "the last text was put more plainly"),
    ],
)
def test_an_answer_to_a_changed_request_is_told_to_be_one(changed: Strategy, what: str) -> None:
    told = said(**ANSWERED, answered_by="claude-opus-5", strategy=changed)
    assert told.startswith(
        f"It was answered by the same model, but not as it was sent: {what}. `demur show` has what was changed,"
    )
    assert "nothing has to be done" not in told
    assert "another model" not in told


def test_an_answer_after_a_refusal_in_the_middle_is_in_two_parts_where_the_first_was_shown() -> None:
    fields = ANSWERED | {"stage": Stage.MID_STREAM}
    two = said(**fields, answered_by="claude-opus-4-8", shown=True)
    assert "by another model: the answer is in two parts, by two models." in two
    assert "nothing has to be done" not in two
    assert "the answer is in two parts." in said(**fields, answered_by="claude-opus-5", shown=True)
    by_api = fields | {"outcome": Outcome.RECOVERED_BY_API}
    assert "the answer is in two parts, by two models." in said(**by_api, answered_by="claude-opus-4-8")


@pytest.mark.parametrize("known", [{"shown": False}, {"streamed": False}], ids=str)
def test_what_was_declined_and_never_shown_is_no_part_of_the_answer(known: dict[str, Any]) -> None:
    told = said(**ANSWERED, stage=Stage.MID_STREAM, answered_by="claude-opus-4-8", **known)
    assert told.startswith("It was answered by another model: nothing has to be done, and the answer is that model's.")


def test_where_nobody_knows_what_was_shown_of_a_refusal_in_the_middle_nothing_is_said_of_parts() -> None:
    told = said(**ANSWERED, stage=Stage.MID_STREAM, answered_by="claude-opus-4-8")
    assert told.startswith("It was declined in the middle and then answered by another model.")
    assert not re.search("parts|nothing has to be done", told)


def failed(model: str, status: int | None = None, **fields: Any) -> Attempt:
    given = {"n": 1, "by": "demur", "model": model, "outcome": Result.ERROR, "status": status}
    return Attempt(**{**given, **fields})


def test_what_to_do_about_those_that_demur_asked_in_vain_goes_by_how_they_failed() -> None:
    tried = [
        failed("a", 529, why="HTTP 529, overloaded_error"),
        failed("b", 404),
        failed("c", why="no answer in time"),
        failed("d", outcome=Result.REFUSED),
        failed("e", outcome=Result.CUT, why=LEFT),
    ]
    told = said(**GROWN, category="cyber", tried=tried)
    assert (
        "a had no capacity just then (HTTP 529, overloaded_error): send the same once more in a while, or put a second model"
        in told
    )
    assert (
        "b cannot take this request (HTTP 404): look at the name and the keys of its [[retry.fallback]]; `demur doctor`"
        in told
    )
    assert "c gave no answer (no answer in time): send the same once more in a while." in told
    assert " | d " not in told
    assert "e was still at it when the client left: send the same once more, and wait for it." in told
    assert "gave no answer: send" in said(**GROWN, tried=[failed("m")])
    assert "The model that was asked gave no answer" in said(
        **GROWN, tried=[msgspec.structs.replace(failed(""), model=None)]
    )
    for closed in ({"category": "bio"}, {"judged_correct": True}, {"outcome": Outcome.RECOVERED_BY_CLIENT}):
        assert "once more" not in said(**{**GROWN, "tried": tried, **closed})


STAYED: dict[str, Any] = GROWN | {"model": "claude-opus-5", "stayed": True}


def test_that_the_conversation_has_left_the_model_that_declined_is_told_where_no_other_was_asked() -> None:
    left = "The conversation stays on claude-opus-5 no longer"
    assert f"{left}: what is sent next goes to the model that you chose." in said(**STAYED)
    assert left not in said(**STAYED | {"stayed": False})
    assert left not in said(**STAYED, tried=[failed("m", strategy=Strategy.PRIMARY)])
    assert left not in said(**STAYED, judged_correct=True)
    again = said(**{**STAYED, "outcome": Outcome.RECOVERED_BY_CLIENT, "answered_by": "claude-sonnet-5"})
    assert "the client itself asked again, and the conversation stays on claude-opus-5 no longer." in again
    assert "The client may stay" not in again


def test_after_output_the_ways_on_are_named() -> None:
    told = said(**GROWN, category="cyber", ruling=Ruling.MID_STREAM, client="claude-cli")
    assert (
        "Output had been sent when it was declined, so no other model was asked: send it again, or go on with another model (/model)."
        in told
    )
    assert 'With mid_stream = "restart" under [retry] a second answer follows the unfinished first' in told
    tool = said(**GROWN, category="cyber", ruling=Ruling.TOOL)
    assert (
        "A tool call had begun when it was declined, and no other answer may follow that: send it again, or go on with another"
        in tool
    )
    assert "mid_stream" not in tool
    assert "/model" not in said(**GROWN, category="cyber", ruling=Ruling.MID_STREAM, client="Anthropic/Python")
    assert "mid_stream" not in said(**GROWN, category="bio", ruling=Ruling.MID_STREAM)
    assert "mid_stream" not in said(**GROWN, category="cyber", ruling=Ruling.HOLD)


def test_where_the_model_declined_on_which_the_conversation_stays_the_way_back_is_named() -> None:
    way = "The conversation stays on claude-opus-4-8: `demur sticky clear s1` brings it back to claude-opus-5, which was asked for."
    assert way in said(**GROWN, category="cyber", pin=PIN)
    assert "sticky" not in said(**GROWN, category="bio", pin=PIN)
    assert "sticky" not in said(**ANSWERED, pin=PIN)


def test_of_a_compacted_conversation_no_turn_is_named_by_a_number() -> None:
    told = said(**STUCK, compacted=True, client="claude-cli")
    assert told.startswith(
        "The session is stuck: it was declined 3 times since its last good turn, and what was new then"
    )
    assert (
        "Go back to the last turn that was accepted: press Esc twice or type /rewind, and choose the prompt after it"
        in told
    )
    assert not re.search(r"turn \d", told)
    other = said(**GROWN, compacted=True, client="Anthropic/Python")
    assert "Go back to the last turn that was accepted, and leave out what came after it." in other


def test_where_retry_was_off_then_and_is_on_now_demur_may_have_to_be_started_again() -> None:
    told = said(**GROWN, category="cyber", retry_enabled=True, ruling=Ruling.OFF)
    assert (
        "that was off then, and your settings turn it on now (`demur retry`). They are read when demur starts" in told
    )
    assert "demur retry" not in said(**GROWN, category="bio", retry_enabled=True, ruling=Ruling.OFF)
    assert "demur retry" not in said(**GROWN, category="cyber", retry_enabled=True, ruling=Ruling.ROUTES)


ONWARD = re.compile(
    r"/model|/compact|safe-mode|compare|demur retry|another model|Verification Program is|appeal|go on|vouch|right keyboard"
    r"|send the same|send it again|mid_stream|sticky|doctor"
    r"|take such a file|Answer it"
)


@pytest.mark.parametrize("judged", [{"verdict": Verdict.CORRECT}, {"judged_correct": True}])
@pytest.mark.parametrize("label", [None, *Label])
def test_what_a_person_judged_correct_has_ways_back_and_none_onward(judged: dict[str, Any], label: str | None) -> None:
    shapes = (
        GROWN,
        STUCK,
        FIRST | {"tiny": True},
        SAME,
        GROWN | {"role": Role.COMPACTION},
        GROWN | {"approved_on": "2026-01-01"},
        GROWN | {"ruling": Ruling.MID_STREAM, "tried": [failed("m", 529), failed("n", 400)], "pin": PIN},
    )
    for shape, category, kind in product(shapes, ["cyber", "bio", "frontier_llm", "reasoning_extraction", None], Kind):
        new = frozenset({label} if label else ())
        fields = shape | {
            "category": category,
            "kind": kind,
            "first_label": label,
            "new_labels": new,
            "at": "2026-11-23",
        }
        for client in ("claude-cli", "Anthropic/Python"):
            told = said(**fields, **judged, client=client, annotations=[LAYOUT, WHOLE])
            assert "so no way on is named here" in told
            assert not ONWARD.search(told.replace("demur never asks another model", "")), told
            assert not re.search("out of the conversation|leave out; demur|where you can", told), told
    assert "Go back to turn 4" in said(**GROWN, **judged)
    assert "/clear begins a conversation without all that." in said(**STUCK, **judged)


def test_what_the_client_recovered_and_a_person_judged_correct_says_nothing_of_its_settings() -> None:
    fields = ANSWERED | {"outcome": Outcome.RECOVERED_BY_CLIENT, "answered_by": "claude-opus-4-8"}
    assert "/model" not in said(**fields, verdict=Verdict.CORRECT)


@pytest.mark.parametrize("category", sorted(RESERVED))
def test_reserved_categories_have_ways_back_and_leaving_it_out_and_none_onward(category: str) -> None:
    for shape, label in product((GROWN, STUCK, FIRST | {"tiny": True}, SAME), [None, *Label]):
        new = frozenset({label} if label else ())
        told = said(**(shape | {"first_label": label, "new_labels": new}), category=category)
        found = ONWARD.search(told.replace("demur never asks another model", "").replace("go on without it", ""))
        assert not found, told
    assert "the result: go on without it." in said(**STUCK, category=category)
    assert "Begin a new conversation." in said(**STUCK, category=category, client="Anthropic/Python")


def test_what_another_verdict_says_forbids_nothing() -> None:
    for verdict in (Verdict.FALSE_POSITIVE, Verdict.UNSURE, Verdict.UNKNOWN):
        assert "demur retry" in said(**GROWN, verdict=verdict)


def test_a_wrong_keyboard_layout_is_to_be_typed_again() -> None:
    assert "looks like Russian that was typed on the US keyboard layout" in said(**GROWN, annotations=[LAYOUT])


def test_the_test_string_is_to_be_taken_out() -> None:
    told = said(**GROWN, annotations=[LAYOUT, WHOLE])
    assert (
        "Anthropic's test string for refusals, in messages[2].content[0] (tool result of Read): a request that holds it"
        in told
    )
    half = said(**GROWN, annotations=[NAMED])
    assert (
        "names Anthropic's test string for refusals, in system[1] (system), but not in full; demur does not know"
        in half
    )


def test_an_approval_that_is_not_honoured_is_a_contradiction_to_appeal() -> None:
    fields = GROWN | {"category": "cyber", "approved_on": "2026-11-01", "at": "2026-11-23T14:36:02.324Z"}
    told = said(**fields)
    assert (
        "the Cyber Verification Program approved you on 2026-11-01, and this was declined as cyber all the same" in told
    )
    assert "keep the request ids, and appeal" in told
    assert "oauthAccount.organizationUuid" in told
    assert "is the way that Anthropic names" not in told
    assert "approved you" not in said(**(fields | {"kind": Kind.POLICY_ERROR}))


@pytest.mark.parametrize(
    ("category", "at", "approved_on", "despite"),
    [
        ("cyber", "2026-11-23T14:36:02.324Z", "2026-11-23", True),
        ("cyber", "2026-11-22T23:59:59.999Z", "2026-11-23", False),
        ("cyber", "2026-11-23T14:36:02.324Z", "2026-11-01T00:00:00Z", True),
        ("bio", "2026-11-23T14:36:02.324Z", "2026-11-01", False),
        (None, "2026-11-23T14:36:02.324Z", "2026-11-01", False),
        ("cyber", "2026-11-23T14:36:02.324Z", "", False),
        ("cyber", "2026-11-23T14:36:02.324Z", None, False),
        ("cyber", "2026-11-23T14:36:02.324Z", "last week", False),
        ("cyber", "", "2026-11-01", False),
    ],
)
def test_despite_an_exemption_is_what_came_on_the_day_of_approval_or_later(
    category: str | None, at: str, approved_on: str | None, despite: bool
) -> None:
    assert despite_exemption(category, at, approved_on) is despite


def _every() -> list[str]:
    """All that is ever said: each combination of what the rules look at."""
    categories = ["cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms", None, "new"]
    shapes = [
        GROWN,
        STUCK,
        FIRST | {"tiny": True},
        FIRST | {"refusals_in_incident": 2},
        GROWN | {"history": History.SAME},
    ]
    told: set[str] = set()
    for kind, category, role, outcome in product(Kind, categories, Role, Outcome):
        for shape, label in product(shapes, [None, Label.MEDIA, Label.USER_TEXT, Label.MEMORY]):
            new = frozenset({label} if label else ())
            fields = shape | {
                "new_labels": new,
                "kind": kind,
                "category": category,
                "role": role,
                "outcome": outcome,
                "first_label": label,
            }
            for found, client in (([LAYOUT, WHOLE], "claude-cli"), ([NAMED], "other")):
                told |= set(
                    advice(Facts(**fields, annotations=found, client=client, approved_on="2026-11-01", at="2026-11-02"))
                )
                told |= set(
                    advice(Facts(**fields, verdict=Verdict.CORRECT, answered_by="m", model="m", stage=Stage.MID_STREAM))
                )
                told |= set(advice(Facts(**fields, answered_by="m", model="n", strategy=Strategy.RESTATE)))
                told |= set(advice(Facts(**fields, answered_by="m", model="m", told=False)))
                told |= set(advice(Facts(**fields, answered_by="m", model="n", stage=Stage.MID_STREAM)))
    return sorted(told)


EVERY = _every()


def test_nothing_that_is_said_tells_how_to_get_past_a_safeguard_or_names_a_cause() -> None:
    assert len(EVERY) > 35
    for step in EVERY:
        assert not re.search(
            r"rephras|reword|encod|disguis|translat|split|obfuscat|bypass|pretend|false positive|https?:",
            step,
            re.IGNORECASE,
        ), step
        assert not re.search(r"\b(caused|the cause|because|set it off|so that)\b", step), step
        assert not re.search(
            r"authori[sz]ed|I am|tell (it|the model) that you|summari[sz]ed|it is not what you typed", step
        ), step


def test_each_step_is_one_paragraph_that_ends() -> None:
    for step in EVERY:
        assert step.endswith(".")
        assert "\n" not in step
        assert "  " not in step
        assert len(step) < 400, step


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        (["transcript"], "the transcript"),
        (["stream_json", "transcript"], "the client's output (stream-json) and the transcript"),
        (["transcript", "gateway"], None),
        (["gateway"], None),
        ([], None),
    ],
)
def test_a_request_is_known_by_hearsay_where_no_source_saw_it_as_it_was_sent(
    sources: list[str], told: str | None
) -> None:
    assert hearsay(sources) == told
