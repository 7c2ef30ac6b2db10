"""The rephrased attempt as a playbook: its bounds, and what becomes of it where something fails."""

from typing import Any

import pytest

from answers import REFUSAL
from playbook import (
    LEFT,
    PRIMARY,
    SERVED,
    Answer,
    Book,
    Json,
    Played,
    failing,
    play,
    request,
    retry,
    silent,
)
from proxy.core import rephrase
from schemas.settings import Rephrase, Retry

DECLINED = Answer([REFUSAL])


def rephrasing(strategy: str = "scope-note", **more: Any) -> Retry:
    given: Json = {"scope_note": "It is ours.", "restate_model": "m", **more}
    bound = given.pop("max_attempts", 3)
    return retry(
        fallback=given.pop("fallback", []),
        max_attempts=bound,
        rephrase=Rephrase(enabled=True, strategy=strategy, **given),
    )


def stands(played: Played) -> bool:
    return played.body == REFUSAL and played.is_whole


def test_it_is_answered() -> None:
    played = play(rephrasing(), DECLINED, Answer([SERVED]))
    assert played.models == [PRIMARY, PRIMARY]
    assert played.body == SERVED


def test_it_counts_among_the_further_attempts() -> None:
    settings = rephrasing(fallback=[{"model": "claude-opus-4-8"}], max_attempts=1)
    played = play(settings, DECLINED, DECLINED)
    assert played.models == [PRIMARY, "claude-opus-4-8"]
    assert played.ruling == "max_attempts"
    assert stands(played)


def test_a_model_that_cannot_take_it_is_not_asked() -> None:
    asked = request({"tool_choice": {"type": "any"}})
    played = play(rephrasing(model="claude-opus-5-5"), DECLINED, asked=asked)
    assert played.models == [PRIMARY]
    assert "hop.unfit" in played.notes
    assert stands(played)


def test_where_what_is_to_be_sent_cannot_be_told_in_time_the_refusal_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(rephrase, "scope_note", broken)
    played = play(rephrasing(), DECLINED)
    assert played.notes.count("rephrase.declined") == 1
    assert stands(played)


@pytest.mark.parametrize(
    "answers", [(Answer(head=LEFT),), (Answer([b'{"id"', LEFT]),)], ids=["before the head", "after"]
)
def test_a_client_that_leaves_while_it_is_restated_ends_it_all(answers: tuple[Answer, ...]) -> None:
    played = play(rephrasing("restate"), DECLINED, *answers)
    assert len(played.asked) == 2
    assert played.ruling == "left"
    assert [attempt.why for attempt in played.attempts] == [None, "not sent: the client left"]
    assert not played.is_whole


@pytest.mark.parametrize("last", [silent(b'{"id": 1'), silent()], ids=["half", "nothing"])
def test_a_restatement_that_does_not_come_in_time_is_none(last: Answer) -> None:
    played = play(rephrasing("restate"), DECLINED, last)
    assert played.ruling == "unrephrased"
    assert stands(played)


def test_a_restatement_that_never_ends_is_none() -> None:
    endless = Answer([b" " * 700_000] * 3, kind=b"application/json")
    played = play(rephrasing("restate"), DECLINED, endless)
    assert stands(played)


def test_it_is_asked_once_however_often_it_is_declined() -> None:
    book = Book(rephrasing())
    played = book.play(DECLINED, DECLINED)
    assert played.ruling == "exhausted"
    assert [one.strategy for one in played.attempts] == [None, "scope-note"]
    assert stands(played)


def test_a_model_of_the_chain_that_failed_counts_as_well() -> None:
    settings = rephrasing(fallback=[{"model": "claude-opus-4-8"}], max_attempts=1)
    played = play(settings, DECLINED, failing(529))
    assert played.ruling == "max_attempts"
    assert stands(played)


def test_a_turn_without_words_is_not_restated() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "x"}
    asked = request({"messages": [{"role": "user", "content": [result]}]})
    played = play(rephrasing("restate"), DECLINED, asked=asked)
    assert len(played.asked) == 1
    assert played.ruling == "unrephrased"
