"""What to do: each sentence, by class."""

import re
from itertools import product
from typing import Any

import pytest

from proxy.core.advice import Facts, advice, despite_exemption, is_stuck
from schemas.labels import History, Kind, Label, Outcome, Role
from schemas.records import Annotation

GROWN: dict[str, Any] = {
    "role": Role.MAIN,
    "history": History.GROWN,
    "turn": 5,
    "accepted_turn": 4,
    "outcome": Outcome.REFUSED,
}
STUCK: dict[str, Any] = GROWN | {"turn": 7, "refusals_in_incident": 3, "tiny": True}
FIRST: dict[str, Any] = {"role": Role.MAIN, "history": History.FIRST, "turn": 1, "outcome": Outcome.REFUSED}
LAYOUT = Annotation(name="layout", value="Russian on US", confidence=0.9)
WHOLE = Annotation(
    name="marker", value="refusal test string", evidence=["messages[2].content[0] (tool result of Read)"]
)
NAMED = Annotation(name="marker", value="refusal test string", confidence=0.3, evidence=["system[1] (system)"])


def said(**fields: Any) -> str:
    return " | ".join(advice(Facts(**fields)))


def test_a_stuck_session_is_told_since_when_and_where_to_go_back_to() -> None:
    steps = advice(Facts(**STUCK, category="cyber", client="claude-cli"))
    assert steps[0].startswith("The session is stuck: it was declined 3 times since turn 5,")
    assert "it is not what you typed last" in steps[0]
    assert steps[1].startswith("Go back to turn 4, the last that was accepted: press Esc twice or type /rewind")
    assert "choose the prompt of turn 5" in steps[1]
    assert steps[2].startswith("/clear begins a conversation without all that; /model")
    assert "`claude --safe-mode`" in steps[3]


@pytest.mark.parametrize(
    "history", [History.GROWN, History.SAME, History.EDITED, History.RESUMED, History.UNSEEN, None]
)
def test_a_session_is_stuck_from_the_second_refusal_of_an_incident_on(history: str | None) -> None:
    assert is_stuck(Facts(history=history, refusals_in_incident=2))
    assert not is_stuck(Facts(history=history))
    assert not is_stuck(Facts(history=history, refusals_in_incident=2, kind=Kind.OUTPUT_FILTER))
    assert not is_stuck(Facts(history=History.FIRST, refusals_in_incident=2))


def test_a_stuck_session_of_which_no_turn_was_seen_to_be_accepted_has_none_to_go_back_to() -> None:
    told = said(**(STUCK | {"accepted_turn": None, "history": History.UNSEEN}))
    assert "since its beginning, as far as demur saw it" in told
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
    assert "is sent again with every later turn, until you take it out" in told
    assert "Go back to turn 4" in told
    assert "stuck" not in told


def test_the_same_content_that_had_been_accepted_has_no_candidate() -> None:
    told = said(**(GROWN | {"history": History.SAME}))
    assert "Nothing in it is new" in told
    assert "Go back" not in told


def test_a_conversation_of_which_nothing_was_seen_has_no_turn_to_go_back_to() -> None:
    assert "Go back" not in said(**(GROWN | {"history": History.UNSEEN, "accepted_turn": None}))
    assert "Go back" not in said(**(GROWN | {"accepted_turn": None}))


def test_a_tiny_first_turn_is_hardly_the_persons_words() -> None:
    told = said(**FIRST, tiny=True, first_label=Label.USER_TEXT)
    assert "hardly your words" in told
    assert "CLAUDE.md and memory, hooks, MCP servers, the git status" in told
    assert "`claude --safe-mode`, and compare" in told
    assert "your own last text" not in told


def test_a_first_turn_of_some_length_may_be_the_persons_words() -> None:
    told = said(**FIRST, first_label=Label.USER_TEXT)
    assert "hardly" not in told
    assert "safe-mode" not in told
    assert "The first candidate is your own last text; which of its words it was, if any, demur does not know." in told


def test_a_first_turn_whose_candidate_nobody_typed_is_to_be_compared() -> None:
    assert "safe-mode" in said(**FIRST, first_label=Label.MEMORY)
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
def test_a_document_or_a_result_can_be_left_out_or_summarised(fields: dict[str, Any], what: str) -> None:
    expected = f"The first candidate is {what}: go on without it, or have it summarised elsewhere"
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
        (Role.SUBAGENT, "Claude Code hands its parent the refusal as if it were a result"),
    ],
)
def test_each_role_has_its_step(role: Role, what: str) -> None:
    told = said(**(STUCK | {"role": role}), first_label=Label.TOOL_RESULT)
    assert what in told
    assert ("stuck" in told) is (role == Role.SUBAGENT)
    assert ("The first candidate" in told) is (role == Role.SUBAGENT)


def test_a_compaction_comes_after_going_back() -> None:
    told = said(**(GROWN | {"role": Role.COMPACTION}))
    assert "/clear begins anew; or /rewind to an earlier turn first, and only then /compact" in told
    assert "Go back" not in told


def test_of_a_title_nothing_else_is_said() -> None:
    assert len(advice(Facts(role=Role.TITLE, history=History.FIRST, tiny=True, category="cyber"))) == 1


@pytest.mark.parametrize(
    ("category", "what"),
    [
        ("cyber", "the Cyber Verification Program is the way that Anthropic names"),
        ("bio", "demur knows of no exemption for it"),
        ("frontier_llm", "that is in the commercial terms, not in the Usage Policy"),
        ("reasoning_extraction", "that is in the commercial terms, not in the Usage Policy"),
        ("general_harms", "which one, the API does not say"),
        (None, "The API named no category"),
        ("of_next_year", "demur does not know this category"),
    ],
)
def test_each_category_has_its_sentence(category: str | None, what: str) -> None:
    assert what in said(**GROWN, category=category)
    assert what not in said(**GROWN, category=category, kind=Kind.OUTPUT_FILTER)


@pytest.mark.parametrize(
    ("category", "on", "offered"),
    [("cyber", False, True), (None, False, True), ("bio", True, False), ("reasoning_extraction", False, False),
     ("general_harms", False, False)],
)  # fmt: skip
def test_demurs_own_retry_is_offered_where_it_is_off_and_may_be_used(
    category: str | None, on: bool, offered: bool
) -> None:
    assert ("`demur retry`" in said(**GROWN, category=category, retry_enabled=on)) is offered


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
    ("outcome", "what"),
    [
        (Outcome.RECOVERED_BY_CLIENT, "/model chooses again, and /config says"),
        (Outcome.RECOVERED_BY_API, "It was answered by another model"),
        (Outcome.RECOVERED_BY_DEMUR, "It was answered by another model"),
    ],
)
def test_what_was_answered_needs_no_steps(outcome: Outcome, what: str) -> None:
    told = said(**(STUCK | {"outcome": outcome}), first_label=Label.MEDIA)
    assert what in told
    assert not re.search("stuck|Go back|first candidate|demur retry", told)


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
            fields = shape | {
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
                told |= set(advice(Facts(**fields)))
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
        assert not re.search(r"\b(was caused|the cause|because of your)\b", step), step
        assert not re.search(r"authori[sz]ed|I am|tell (it|the model) that you", step), step


def test_each_step_is_one_paragraph_that_ends() -> None:
    for step in EVERY:
        assert step.endswith(".")
        assert "\n" not in step
        assert "  " not in step
        assert len(step) < 400, step
