"""What the client's error texts mean: how many of the project's own set are found, and how many look-alikes are taken for one."""

import pytest

from importers.messages import LOOK_ALIKES, OTHERS, REFUSALS, Text
from proxy.core.redact import Redactor
from proxy.importers.wording import judge, named, request_id
from schemas.labels import Kind


def test_every_refusal_of_every_version_is_found_and_no_look_alike_is() -> None:
    found = [text for text in REFUSALS if (said := judge(text.text, text.status)) and said.kind == Kind.REFUSAL]
    alarms = [text for text in (*OTHERS, *LOOK_ALIKES) if (said := judge(text.text)) and said.kind == Kind.REFUSAL]
    assert (len(found), len(alarms)) == (29, 0)
    assert len(REFUSALS) == 29
    assert len(LOOK_ALIKES) == 33


@pytest.mark.parametrize("text", REFUSALS, ids=lambda text: text.name)
def test_a_refusal_says_what_the_client_had_been_told(text: Text) -> None:
    said = judge(text.text)
    assert said is not None
    assert said.evidence.startswith("rule:")
    assert 0.8 <= said.confidence < 1
    assert (said.category, said.model, request_id(text.text)) == (text.category, text.model, text.request_id)


@pytest.mark.parametrize("text", OTHERS, ids=lambda text: text.name)
def test_another_mechanism_is_a_class_of_its_own(text: Text) -> None:
    said = judge(text.text)
    assert said is not None
    assert said.kind == text.kind


@pytest.mark.parametrize("text", LOOK_ALIKES, ids=lambda text: text.name)
def test_a_look_alike_is_nothing(text: Text) -> None:
    assert judge(text.text) is None


def test_the_status_tells_where_the_text_does_not() -> None:
    text = "API Error: it violates the policy"
    assert judge(text, 529) is None
    said = judge(text)
    assert said is not None
    assert said.kind == Kind.UNCLASSIFIED


@pytest.mark.parametrize("words", ["This violates the usage policy.", "A safeguard flagged this message."])
def test_words_that_no_answer_of_the_api_stands_behind_are_unclassified(words: str) -> None:
    by_words, by_status = judge(words), judge(words, 400)
    assert by_words is not None
    assert (by_words.kind, by_words.evidence, by_words.confidence) == (Kind.UNCLASSIFIED, "rule:smell", 0.3)
    assert by_status is not None
    assert by_status.kind == Kind.POLICY_ERROR


def test_a_refusal_that_is_quoted_within_another_text_is_none() -> None:
    for text in REFUSALS:
        said = judge(f"The log says: {text.text}")
        assert said is None or said.kind != Kind.REFUSAL


def test_the_explanation_is_the_api_s_and_not_the_client_s() -> None:
    said = {text.name: judge(text.text) for text in REFUSALS}
    explained = {name: one.explanation for name, one in said.items() if one and one.explanation}
    assert set(explained) == {
        "U3, 2026-04",
        "U3 that the client cut",
        "U6, 2.1.197",
        "U6 for reasoning_extraction",
    }
    assert explained["U6, 2.1.197"] == "This request was declined because it could enable bio harm."
    assert "abcDEF" not in Redactor().text(explained["U3, 2026-04"])[0]


def test_no_model_is_made_up() -> None:
    assert named("This model's safeguards flagged this message.") is None
    assert named("Opus 5 is answering, and claude-opus-5 is another.") is None
