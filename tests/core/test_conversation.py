"""A conversation is known by its session, agent, role and model, and by how it began; not by what is added later."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.asker import Asker
from proxy.core.conversation import conversation
from schemas.labels import Role

WHO = Asker(model="claude-opus-5", session_id="s", role=Role.MAIN)
HI = {"role": "user", "content": "hi"}


def key(*messages: Any, who: Asker = WHO) -> str | None:
    return conversation(who, json.dumps({"messages": messages}).encode())


def blocks(*texts: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text, **more} for text in texts]}


def test_later_turns_belong_to_it() -> None:
    assert key(HI) == key(HI, {"role": "assistant", "content": "yes?"}, {"role": "user", "content": "go"}) is not None


@pytest.mark.parametrize(
    "began",
    [
        blocks("hi"),
        blocks("hi", cache_control={"type": "ephemeral"}),
        blocks("<system-reminder>\nit is Monday", "hi", "\n<system-reminder>x"),
        blocks("", "hi"),
    ],
)
def test_reminders_and_breakpoints_change_nothing(began: Any) -> None:
    assert key(began) == key(HI)


def test_what_is_no_word_of_the_user_is_passed_over() -> None:
    image = {"role": "user", "content": [{"type": "image"}, "odd", {"type": "text", "text": 1}]}
    others = ({"role": "system", "content": "x"}, {"role": "user", "content": ""}, {"role": "user"}, image, "odd")
    assert key(*others, HI) == key(HI)


@pytest.mark.parametrize(
    "who",
    [
        Asker(model="claude-opus-4-8", session_id="s", role=Role.MAIN),
        Asker(model="claude-opus-5", session_id="t", role=Role.MAIN),
        Asker(model="claude-opus-5", session_id="s", role=Role.TITLE),
        Asker(model="claude-opus-5", session_id="s", role=Role.MAIN, agent_id="a"),
    ],
)
def test_another_model_session_role_or_agent_is_another_one(who: Asker) -> None:
    assert key(HI, who=who) not in (None, key(HI))


def test_other_words_are_another_one() -> None:
    assert len({key(HI), key({"role": "user", "content": "ho"}), key(blocks("h", "i"))}) == 3


def test_without_a_session_or_a_word_there_is_none() -> None:
    assert key(HI, who=Asker(model="claude-opus-5")) is None
    assert key() is None
    assert conversation(WHO, b'{"messages": 1}') is None
    assert conversation(WHO, b"no json") is None


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_no_body_raises(messages: Any) -> None:
    assert key(messages) in (None, key(messages))
    assert key({"role": "user", "content": messages}, HI) is not None
