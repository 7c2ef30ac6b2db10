"""What a request loses before another model takes it, and what an error teaches."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.fitness import LEARNABLE, Fit, Unfit, fit, learnable
from schemas.models import TARGETS

UNKNOWN = "claude-opus-9"
FOLDING = "claude-opus-4-7"
BETA = "mid-conversation-system-2026-04-07"
USER = {"role": "user", "content": "hi"}
REMINDED = {"type": "text", "text": "<system-reminder>\nBe short.\n</system-reminder>"}
SYSTEM = {"role": "system", "content": "Be short."}
ANSWER = {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}]}


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def made(body: dict[str, Any], model: str, betas: list[str] | None = None, learned: tuple[str, ...] = ()) -> Fit:
    before = copy.deepcopy(body)
    found = fit(body, model, betas or [], learned)
    assert body == before
    assert isinstance(found, Fit)
    return found


def why(body: dict[str, Any], model: str) -> str:
    found = fit(body, model, [])
    assert isinstance(found, Unfit)
    return found.reason


# ---- thinking


@pytest.mark.parametrize(
    ("model", "thinking", "becomes", "changes"),
    [
        ("claude-opus-5", {"type": "enabled", "budget_tokens": 9}, {"type": "adaptive"}, ["thinking made adaptive"]),
        (
            "claude-opus-4-8",
            {"type": "enabled", "budget_tokens": 9, "display": "omitted", "block_binding": {}},
            {"type": "adaptive", "display": "omitted", "block_binding": {}},
            ["thinking made adaptive"],
        ),
        ("claude-opus-4-6", {"type": "enabled", "budget_tokens": 9}, {"type": "enabled", "budget_tokens": 9}, []),
        ("claude-opus-5", {"type": "adaptive"}, {"type": "adaptive"}, []),
        ("claude-haiku-4-5", {"type": "adaptive"}, None, ["thinking left out"]),
        ("claude-fable-5", {"type": "disabled"}, None, ["thinking left out"]),
        ("claude-opus-5", {"type": "disabled"}, {"type": "disabled"}, []),
        ("claude-sonnet-5-5", {"type": "between_tools"}, {"type": "between_tools"}, []),
        ("claude-opus-5", {"type": "between_tools"}, {"type": "disabled"}, ["thinking disabled"]),
        ("claude-opus-5-5", {"type": "between_tools"}, None, ["thinking left out"]),
        (UNKNOWN, {"type": "between_tools"}, {"type": "between_tools"}, []),
        ("claude-opus-5", {"type": "new"}, {"type": "new"}, []),
        ("claude-opus-5", "odd", "odd", []),
    ],
)
def test_thinking_takes_the_shape_that_the_target_takes(
    model: str, thinking: Any, becomes: Any, changes: list[str]
) -> None:
    found = made({"model": model, "thinking": thinking}, model)
    assert found.body == ({"model": model} if becomes is None else {"model": model, "thinking": becomes})
    assert found.changes == changes


@pytest.mark.parametrize(("effort", "stays"), [("xhigh", False), ("max", False), ("high", True), (None, True)])
def test_thinking_that_is_off_is_left_out_only_where_the_effort_forbids_it(effort: str | None, *, stays: bool) -> None:
    body = {"thinking": {"type": "disabled"}, "output_config": {"effort": effort}}
    assert ("thinking" in made(body, "claude-opus-5").body) is stays
    assert "thinking" in made(body, "claude-opus-4-8").body
    between = {**body, "thinking": {"type": "between_tools"}}
    assert made(between, "claude-haiku-5-5").body.get("thinking") == ({"type": "disabled"} if stays else None)


# ---- sampling, forced tools, threads


def test_sampling_keys_are_left_out_for_newer_models_alone() -> None:
    body = {"temperature": 1, "top_p": 0.5, "top_k": 3, "max_tokens": 5, "speed": "fast"}
    found = made(body, "claude-opus-4-8")
    assert found.body == {"max_tokens": 5, "speed": "fast"}
    assert found.changes == ["temperature left out", "top_p left out", "top_k left out"]
    assert made(body | {"speed": "standard"}, "claude-opus-4-6").changes == []


def test_speed_is_left_out_for_models_that_have_no_fast_mode() -> None:
    assert made({"speed": "fast"}, "claude-sonnet-5") == Fit({}, [], ["speed left out"])
    assert made({"speed": "standard"}, "claude-sonnet-5") == Fit({"speed": "standard"}, [], [])
    assert made({"speed": "fast"}, "claude-opus-5") == Fit({"speed": "fast"}, [], [])
    assert made({"speed": "fast"}, UNKNOWN) == Fit({"speed": "fast"}, [], [])


@pytest.mark.parametrize("kind", ["any", "tool"])
def test_a_forced_tool_is_unfit_where_the_target_does_not_take_it(kind: str) -> None:
    body = {"tool_choice": {"type": kind, "name": "Read"}}
    assert "tool_choice" in why(body, "claude-opus-5-5")
    assert made(body, "claude-opus-4-8").body == body


@pytest.mark.parametrize("choice", [{"type": "auto"}, {"type": "none"}, None, "odd"])
def test_a_choice_that_forces_nothing_stays(choice: Any) -> None:
    assert made({"tool_choice": choice}, "claude-opus-5-5").body == {"tool_choice": choice}


def test_a_request_in_a_thread_is_unfit_for_every_model() -> None:
    assert "thread" in why({"thread": {"type": "continue"}}, UNKNOWN)
    assert made({"thread": None}, UNKNOWN).body == {"thread": None}


# ---- learned fields


def test_learned_fields_are_left_out_where_they_are_there() -> None:
    body = {"speed": "fast", "output_config": {"effort": "max", "format": {"type": "json_schema"}}}
    found = made(body, UNKNOWN, learned=("speed", "output_config.effort", "service_tier", "output_config.task_budget"))
    assert found.body == {"output_config": {"format": {"type": "json_schema"}}}
    assert found.changes == ["speed left out", "output_config.effort left out"]


def test_what_is_empty_without_its_learned_field_goes_too() -> None:
    found = made({"output_config": {"effort": "max"}, "stream": True}, UNKNOWN, learned=("output_config.effort",))
    assert found.body == {"stream": True}
    assert made({"output_config": "odd"}, UNKNOWN, learned=("output_config.effort",)).body == {"output_config": "odd"}


# ---- system messages


def test_a_system_message_becomes_a_reminder_of_the_user_before_it_and_its_beta_goes() -> None:
    found = made({"messages": [USER, SYSTEM, ANSWER]}, FOLDING, ["effort-2025-11-24", BETA])
    assert found.body["messages"] == [{"role": "user", "content": [text("hi"), REMINDED]}, ANSWER]
    assert found.body["messages"][1] is ANSWER
    assert found.betas == ["effort-2025-11-24"]
    assert found.changes == ["system messages folded"]


def test_a_target_that_takes_system_messages_gets_them_and_the_beta() -> None:
    body = {"messages": [USER, SYSTEM]}
    for model in ("claude-opus-4-8", "claude-opus-5", UNKNOWN):
        found = made(body, model, [BETA])
        assert (found.body["messages"] is body["messages"], found.betas, found.changes) == (True, [BETA], [])


@pytest.mark.parametrize("messages", [[USER, ANSWER], [], "odd", None, ["odd"]])
def test_without_a_system_message_nothing_is_folded_and_the_beta_stays(messages: Any) -> None:
    body = {"messages": messages}
    assert made(body, FOLDING, [BETA]) == Fit(body, [BETA], [])


@pytest.mark.parametrize(
    ("messages", "folded"),
    [
        ([SYSTEM, USER], [{"role": "user", "content": [REMINDED, text("hi")]}]),
        ([USER, SYSTEM, USER], [{"role": "user", "content": [text("hi"), REMINDED, text("hi")]}]),
        ([USER, USER, SYSTEM], [USER, {"role": "user", "content": [text("hi"), REMINDED]}]),
        ([SYSTEM], [{"role": "user", "content": [REMINDED]}]),
        ([ANSWER, SYSTEM], [ANSWER, {"role": "user", "content": [REMINDED]}]),
        ([USER, ANSWER, SYSTEM, ANSWER], [{"role": "user", "content": [text("hi"), REMINDED]}, ANSWER, ANSWER]),
        ([USER, SYSTEM, SYSTEM], [{"role": "user", "content": [text("hi"), REMINDED, REMINDED]}]),
        ([{"role": "user", "content": ""}, SYSTEM], [{"role": "user", "content": [REMINDED]}]),
        ([{"role": "user"}, SYSTEM], [{"role": "user", "content": [REMINDED]}]),
        ([USER, {"role": "system", "content": ""}], [USER]),
        ([{"role": "system", "content": []}, USER], [USER]),
        ([USER, {"role": "system", "output_config": {"effort": "low"}}, ANSWER], [USER, ANSWER]),
        (
            [USER, {"role": "system", "content": [text("", citations=None), text("Be short.")]}],
            [{"role": "user", "content": [text("hi"), REMINDED]}],
        ),
        (
            [USER, {"role": "system", "content": [text("Be short.", cache_control={"type": "ephemeral"})]}],
            [{"role": "user", "content": [text("hi"), {**REMINDED, "cache_control": {"type": "ephemeral"}}]}],
        ),
    ],
)
def test_folding_joins_what_then_stands_side_by_side(messages: list[Any], folded: list[Any]) -> None:
    assert made({"messages": messages}, FOLDING).body["messages"] == folded


def test_a_system_message_that_the_model_is_no_longer_shown_is_not_shown_again() -> None:
    cleared = {**SYSTEM, "clear_at": "next_user_message"}
    assert made({"messages": [USER, cleared, ANSWER, USER]}, FOLDING).body["messages"] == [USER, ANSWER, USER]
    assert made({"messages": [USER, cleared, USER]}, FOLDING).body["messages"] == [
        {"role": "user", "content": [text("hi"), text("hi")]}
    ]
    shown = made({"messages": [USER, cleared]}, FOLDING).body["messages"]
    assert shown == [{"role": "user", "content": [text("hi"), REMINDED]}]


@pytest.mark.parametrize("block", [{"type": "tool_addition", "tools": []}, "odd", {"type": "text", "text": 5}])
def test_a_system_message_of_more_than_text_is_unfit_where_it_would_have_to_be_folded(block: Any) -> None:
    body = {"messages": [USER, {"role": "system", "content": [block]}]}
    assert "more than text" in why(body, FOLDING)
    assert made(body, "claude-opus-5").body == body


SAID = st.text("ab \n", max_size=3)
MESSAGES = st.lists(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["user", "assistant", "system", "system"]),
        SAID | st.lists(SAID.map(text), max_size=2),
    ),
    max_size=7,
)


def texts(message: dict[str, Any]) -> list[str]:
    content = message["content"]
    return [said for said in ([content] if isinstance(content, str) else [block["text"] for block in content]) if said]


@given(MESSAGES)
def test_folding_keeps_every_text_and_makes_no_new_row_of_users(messages: list[Any]) -> None:
    folded = made({"messages": messages}, FOLDING).body["messages"]
    wrapped = [
        f"<system-reminder>\n{said}\n</system-reminder>" if message["role"] == "system" else said
        for message in messages
        for said in texts(message)
    ]
    assert sorted(said for message in folded for said in texts(message)) == sorted(wrapped)
    roles = [message["role"] for message in messages]
    if not any(roles[n : n + 2] == ["user", "user"] for n in range(len(roles))):
        after = [message["role"] for message in folded]
        assert not any(after[n : n + 2] == ["user", "user"] for n in range(len(after)))
    assert [message for message in folded if message["role"] != "user"] == [
        message for message in messages if message["role"] == "assistant"
    ]


@given(st.sampled_from(sorted({name for row in TARGETS for name in row.targets})), MESSAGES)
def test_what_fits_fits_again_unchanged(model: str, messages: list[Any]) -> None:
    body = {"messages": messages, "thinking": {"type": "between_tools"}, "top_k": 3, "output_config": {"effort": "max"}}
    once = made(body, model, [BETA])
    assert made(once.body, model, once.betas) == Fit(once.body, once.betas, [])


# ---- what a 400 teaches


def error(message: Any, kind: str = "invalid_request_error") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ("temperature: Extra inputs are not permitted", "temperature"),
        ("thinking.type: Input should be 'enabled' or 'disabled'", "thinking"),
        ("thinking.adaptive.effort: Extra inputs are not permitted", "thinking"),
        ("output_config.effort: Input should be 'low', 'medium' or 'high'", "output_config.effort"),
        ("speed: Extra inputs are not permitted", "speed"),
        ("context_management.edits.0.keep: Field required", "context_management"),
        ("context_management: Extra inputs are not permitted", "context_management"),
        ("service_tier: Input should be 'auto'", "service_tier"),
        ("inference_geo: Extra inputs are not permitted", "inference_geo"),
        ("`temperature` may only be set to 1 when thinking is enabled.", "temperature"),
        ("temperature may only be set to 1 when thinking is enabled", "temperature"),
        ("`temperature` is deprecated for this model.", "temperature"),
        ("temperature is deprecated for this model.", "temperature"),
        ("`temperature` and `top_p` cannot both be specified for this model. Please use only one.", "temperature"),
        (
            '"thinking.type.disabled" is not supported for this model. Use "thinking.type.adaptive" instead.',
            "thinking",
        ),
        ("adaptive thinking is not supported on this model", "thinking"),
        ("This model does not support the effort parameter.", "output_config.effort"),
        ("This model does not support effort level 'xhigh'. Supported levels: high, low.", "output_config.effort"),
        ("'claude-opus-4-8' does not support the `speed` parameter.", "speed"),
        ("This model does not support the speed parameter", "speed"),
        (
            "`clear_thinking_20251015` strategy requires `thinking` to be enabled or adaptive",
            "context_management",
        ),
    ],
)
def test_an_error_that_names_a_field_that_can_go_is_learned(said: str, field: str) -> None:
    assert learnable(400, error(said)) == field
    assert field in LEARNABLE


@pytest.mark.parametrize(
    "said",
    [
        "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation.",
        'Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to "drop_block".',
        "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.",
        "When `thinking` is enabled, a final `assistant` message must start with a thinking block",
        "This model does not support assistant message prefill. The conversation must end with a user message.",
        "fallback_credit_token: invalid or malformed",
        "The `speed` of the request body does not match the fallback_credit_token",
        "max_tokens: 999999 > 128000, which is the maximum allowed number of output tokens",
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
        "system.0.cache_control: Extra inputs are not permitted",
        "tools.0.custom.name: String should match pattern",
        "tool_choice.type: Input should be 'auto' or 'none'",
        "tool_choice 'any' is not supported for this model with `thinking`",
        "`tool_choice` forces a tool, which `thinking` does not allow",
        "output_config: Extra inputs are not permitted",
        "output_config.format: Extra inputs are not permitted",
        "temperatures: Extra inputs are not permitted",
        "thinking-budget is odd",
        "model: claude-opus-9",
        "Thinking may not be enabled when tool_choice forces tool use.",
        "role 'system' is not supported on this model",
        "Output blocked by content filtering policy",
        "",
        None,
        5,
    ],
)
def test_an_error_that_names_anything_else_teaches_nothing(said: Any) -> None:
    assert learnable(400, error(said)) is None


def test_only_a_400_for_an_invalid_request_teaches() -> None:
    said = "temperature: Extra inputs are not permitted"
    assert learnable(400, error(said)) == "temperature"
    assert learnable(429, error(said)) is None
    assert learnable(400, error(said, "rate_limit_error")) is None
    for odd in (b"", b"<html>", b"[]", b'{"error":"temperature: no"}', b"\xff", b"[" * 100_000):
        assert learnable(400, odd) is None


@given(st.binary() | st.text().map(error))
def test_no_error_body_raises_and_what_is_learned_can_go(body: bytes) -> None:
    assert learnable(400, body) in (None, *LEARNABLE)


@given(st.sampled_from(LEARNABLE), st.sampled_from(["{}: no", "`{}` is odd", "{}.deeper: no", '"{}" may not be']))
def test_what_is_learned_from_a_field_is_left_out_and_the_rest_stays(field: str, wording: str) -> None:
    body: dict[str, Any] = {"model": UNKNOWN, "messages": [USER], "output_config": {"format": {}}}
    outer, _, inner = field.partition(".")
    sent = {**body, outer: {**body.get(outer, {}), inner: 1} if inner else 1}
    found = learnable(400, error(wording.format(field)))
    assert found == field
    assert made(sent, UNKNOWN, learned=(found,)).body == body
