"""A body with parts left out that stays valid."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from declining import valid
from proxy.core.excision import PLACEHOLDER
from proxy.core.reduction import Reduction

SCHEMA = {"type": "object", "properties": {"path": {"type": "string", "description": "Where it is."}}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}}
SEAM = {
    "type": "fallback",
    "from": {"model": "a"},
    "to": {"model": "b"},
    "trigger": {"type": "refusal", "category": "cyber"},
}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def think() -> dict[str, Any]:
    return {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}


def call(n: int, tool: str = "Read") -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{n}", "name": tool, "input": {"path": f"/src/{n}.py"}}


def result(n: int, said: Any = "one\ntwo\nthree") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": said}


def turn(role: str, *blocks: dict[str, Any] | str) -> dict[str, Any]:
    return {"role": role, "content": blocks[0] if isinstance(blocks[0], str) else list(blocks)}


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "description": f"It is {name}.\nIt works.", "input_schema": SCHEMA, **more}


def session(**more: Any) -> dict[str, Any]:
    """Every shape that the rules know."""
    return {
        "model": "claude-opus-5",
        "max_tokens": 1000,
        "system": [text("x-anthropic-billing-header: cc_version=2.1.197.1;"), text("You are\nClaude Code."), text("More.")],
        "tools": [tool("Read"), tool("Bash", cache_control={"type": "ephemeral"}), tool("Old"), {"type": "bash_20250124", "name": "bash"}],
        "messages": [
            turn("user", text("<system-reminder>CLAUDE.md\nRules.</system-reminder>"), text("Please look.")),
            turn("system", "The date."),
            turn("assistant", think(), text("I will."), call(0), call(1, "Bash")),
            turn("user", result(0), result(1, [text("a\nb"), IMAGE]), text("<system-reminder>Note.</system-reminder>")),
            turn("assistant", think(), call(2)),
            turn("user", result(2)),
            turn("system", text("Another."), text("And another.")),
            turn("assistant", SEAM, text("Done.")),
            turn("user", "Go on."),
            turn("assistant", call(3)),
            turn("user", result(3), text("And now?"), IMAGE),
            turn("system", "Last."),
        ],
        **more,
    }  # fmt: skip


def body(of: dict[str, Any]) -> bytes:
    return json.dumps(of, ensure_ascii=False).encode()


WHOLE = Reduction(body(session()))
ENABLED = Reduction(
    body(session(thinking={"type": "enabled", "budget_tokens": 100}, tool_choice={"type": "tool", "name": "Old"}))
)
EVERY = [path for part in WHOLE.parts for path in part.paths]


@pytest.mark.parametrize("whole", [WHOLE, ENABLED])
@given(data=st.data())
def test_whatever_is_left_out_what_is_left_is_valid(whole: Reduction, data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from(whole.parts), unique=True))
    paths = [path for part in parts for path in part.paths]
    texts = [path for part in whole.parts for path in part.paths if path not in paths and whole.texts(path)]
    chosen = data.draw(st.lists(st.sampled_from(texts), max_size=3, unique=True)) if texts else []
    lines = {path: data.draw(st.sets(st.integers(1, len(whole.texts(path))))) for path in chosen}
    sent = valid(whole.without(paths, lines))
    assert sent["model"] == "claude-opus-5"
    assert sent["messages"][0]["role"] == "user"
    assert sent["system"][0] == session()["system"][0]


@given(st.lists(st.sampled_from(WHOLE.parts), unique=True))
def test_what_is_left_out_is_gone_and_what_is_not_stands_in_its_old_bytes(parts: list[Any]) -> None:
    paths = {path for part in parts for path in part.paths}
    sent = WHOLE.without(paths)
    for path in EVERY:
        block = WHOLE._by_path[path]
        raw = body(block.value)
        if path not in paths and path not in WHOLE.thinking and body(session()).count(raw) == 1:
            assert raw in sent
        elif path in paths and not path.startswith("tools"):
            assert all(
                line.encode() not in sent
                for line in WHOLE.texts(path)
                if len(line) > 8 and body(session()).count(line.encode()) == 1
            )


def test_nothing_left_out_is_the_body_itself() -> None:
    odd = b' {"model" : "m", "messages":[ {"content":"\\u00e9","role":"user"} ], "n": 1e3} '
    assert Reduction(odd).without(()) == odd
    assert Reduction(odd).without((), {"messages[0].content": ()}) == odd


def test_a_call_and_its_result_are_one_part_and_thinking_is_one() -> None:
    assert WHOLE.parts[0].paths == ("messages[2].content[0]", "messages[4].content[0]")
    assert ("messages[2].content[3]", "messages[3].content[1]") in [part.paths for part in WHOLE.parts]
    assert [part.lines for part in WHOLE.parts if "messages[5].content[0]" in part.paths] == [4]
    assert not any("messages[7].content[0]" in part.paths for part in WHOLE.parts)


def test_parts_come_from_the_last_to_the_first_and_tools_and_the_prompt_behind_them() -> None:
    places = [part.paths[-1] for part in WHOLE.parts]
    assert places[1:4] == ["messages[11].content", "messages[10].content[2]", "messages[10].content[1]"]
    assert places[-5:] == ["tools[2]", "tools[1]", "tools[0]", "system[2]", "system[1]"]


def test_thinking_goes_with_whatever_else_goes_unless_the_model_needs_it() -> None:
    for whole, stays in ((WHOLE, False), (ENABLED, True)):
        assert (b'"thinking": "Hm."' in whole.without(("messages[8].content",))) is stays
    assert ENABLED.thinking == ()
    assert b"Go on." in WHOLE.without(WHOLE.thinking)


def test_of_a_strict_tool_that_is_still_called_the_name_is_left_and_is_not_strict() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    strict = {"name": "Read", "description": "It reads.", "strict": True, "input_schema": schema}
    sent = valid(Reduction(body(session(tools=[strict, tool("Bash")]))).without(("tools[0]",)))
    assert sent["tools"][0] == {"name": "Read", "description": PLACEHOLDER, "input_schema": {"type": "object"}}


def test_emptied_messages_go_in_pairs_and_one_that_must_stand_says_so() -> None:
    sent = valid(
        WHOLE.without(
            (
                "messages[4].content[1]",
                "messages[5].content[0]",
                "messages[6].content[0]",
                "messages[6].content[1]",
                "messages[2].content[0]",
            )
        )
    )
    assert [message["role"] for message in sent["messages"]][:5] == ["user", "system", "assistant", "user", "assistant"]
    assert valid(WHOLE.without(("messages[8].content",)))["messages"][8]["content"] == PLACEHOLDER
    alone = valid(WHOLE.without(EVERY))
    assert alone["messages"] == [turn("user", text(PLACEHOLDER))]
    assert [one["name"] for one in alone["tools"]] == ["bash"]
    assert alone["system"] == session()["system"][:1]


def test_a_system_message_keeps_something_to_stand_behind() -> None:
    gone = [path for path in EVERY if path.startswith(("messages[2]", "messages[3]", "messages[4]", "messages[5]"))]
    roles = [message["role"] for message in valid(WHOLE.without(gone))["messages"]]
    assert roles[:5] == ["user", "system", "assistant", "user", "system"]
    roles = [message["role"] for message in valid(WHOLE.without([*gone, "messages[1].content"]))["messages"]]
    assert roles[:3] == ["user", "system", "assistant"]


def test_a_tool_that_is_still_called_keeps_its_name_and_another_one_goes() -> None:
    tools = valid(WHOLE.without(("tools[0]", "tools[1]", "tools[2]")))["tools"]
    assert [one["name"] for one in tools] == ["Read", "Bash", "bash"]
    assert tools[1] == {
        "name": "Bash",
        "cache_control": {"type": "ephemeral"},
        "description": PLACEHOLDER,
        "input_schema": {"type": "object"},
    }
    named = valid(ENABLED.without(EVERY))["tools"]
    assert [one["name"] for one in named] == ["Old", "bash"]


def test_a_tool_that_a_search_has_named_is_needed_too() -> None:
    found = {
        "type": "tool_search_tool_result",
        "tool_use_id": "s",
        "content": {
            "type": "tool_search_tool_search_result",
            "tool_references": [{"type": "tool_reference", "tool_name": "Old"}],
        },
    }
    listed = result(0, [{"type": "tool_reference", "tool_name": "Old"}])
    for block in (found, listed):
        whole = Reduction(
            body(session(messages=[turn("user", "x"), turn("assistant", text("y")), turn("user", block)]))
        )
        assert b'"Old"' in whole.without(("tools[2]",))


def test_where_a_choice_of_tools_is_made_one_tool_stays() -> None:
    whole = Reduction(body(session(tools=[tool("Old")], tool_choice={"type": "auto"}, messages=[turn("user", "Hi.")])))
    assert [one["name"] for one in valid(whole.without(("tools[0]",)))["tools"]] == ["Old"]
    without = Reduction(body(session(tools=[tool("Old")], messages=[turn("user", "Hi.")])))
    assert valid(without.without(("tools[0]",)))["tools"] == []


def test_a_prompt_that_is_a_string_is_a_part() -> None:
    whole = Reduction(body(session(system="You are\nhelpful.")))
    assert "system" in [part.paths[0] for part in whole.parts]
    assert json.loads(whole.without(("system",)))["system"] == PLACEHOLDER
    assert json.loads(whole.without((), {"system": {2}}))["system"] == f"You are\n{PLACEHOLDER}"
    assert json.loads(Reduction(body(session(system=[text("All.")]))).without(("system[0]",)))["system"] == [
        text(PLACEHOLDER)
    ]


def test_the_attribution_block_is_no_part_and_can_be_read() -> None:
    assert WHOLE.attribution == ["x-anthropic-billing-header: cc_version=2.1.197.1;"]
    assert Reduction(body(session(system=WHOLE.attribution[0]))).attribution == WHOLE.attribution
    assert "system[0]" not in EVERY


def test_turns_of_one_role_in_a_row_stay_as_they_were() -> None:
    rows = [
        turn("user", "a"),
        turn("user", "b"),
        turn("user", "c"),
        turn("assistant", "d"),
        turn("assistant", "e"),
        turn("user", "f"),
    ]
    sent = json.loads(Reduction(body(session(messages=rows))).without(("messages[1].content", "messages[4].content")))
    assert [one["content"] for one in sent["messages"]] == ["a", "c", "d", "f"]
    last = json.loads(
        Reduction(body(session(messages=rows[:5]))).without(("messages[3].content", "messages[4].content"))
    )
    assert [one["content"] for one in last["messages"]] == ["a", "b", "c", PLACEHOLDER]


@pytest.mark.parametrize(
    "given",
    [
        b"no",
        b"{}",
        b'{"messages": "x"}',
        b'{"messages": [{"role": "user"}]}',
        b'{"messages": [{"role": "user", "content": []}]}',
        b'{"messages": [3]}',
        b'{"messages": [], "messages": []}',
        b'{"messages": [{"role": "user", "role": "user", "content": "x"}]}',
    ],
)
def test_a_body_that_cannot_be_taken_apart_for_certain_is_an_error(given: bytes) -> None:
    with pytest.raises(ValueError):
        Reduction(given)
