"""The tables of models: what they permit, what they say is rejected, and that each row can be looked up."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.models import KNOWN, ROUTES, TARGETS, Rejection, Route, Shape, family, permitted, rejected

OPUS_5, OPUS_4_8, SONNET_5 = (frozenset({name}) for name in ("claude-opus-5", "claude-opus-4-8", "claude-sonnet-5"))
NONE = frozenset[str]()
CATEGORIES = ("cyber", "bio", "frontier_llm", None)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("claude-opus-5", "claude-opus-5"),
        ("Claude-Opus-5", "claude-opus-5"),
        ("claude-opus-5-20260724", "claude-opus-5"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-opus-5-5[1m]", "claude-opus-5-5"),
        ("claude-opus-4-8-20260528[1m]", "claude-opus-4-8"),
        ("claude-opus-5@20260101", "claude-opus-5"),
        ("claude-opus-5@default", "claude-opus-5"),
        ("claude-sonnet-4-5-latest", "claude-sonnet-4-5"),
        ("anthropic.claude-opus-5", "claude-opus-5"),
        ("us.anthropic.claude-opus-5-20260724-v1:0", "claude-opus-5"),
        ("anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("models/claude-opus-5", "claude-opus-5"),
        ("anthropic/claude-fable-5-1", "claude-fable-5-1"),
        ("publishers/anthropic/models/claude-opus-5@20260101", "claude-opus-5"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/eu.anthropic.claude-haiku-5-5-v2:0:200k", "claude-haiku-5-5"),
        (" claude-opus-5 ", "claude-opus-5"),
        ("gpt-5", "gpt-5"),
        ("", ""),
    ],
)
def test_a_family_is_the_name_without_date_platform_and_context(model: str, name: str) -> None:
    assert family(model) == name


NAMES = sorted({route.primary for route in ROUTES} | {name for row in TARGETS for name in row.targets})


@given(
    st.sampled_from(NAMES),
    st.sampled_from(["", "us.anthropic.", "models/", "anthropic/", "publishers/anthropic/models/"]),
    st.lists(st.sampled_from(["[1m]", "-20260724", "@20260101", "-v1:0", "-latest"]), max_size=3),
)
def test_every_name_in_the_tables_is_a_family_whatever_stands_around_it(
    name: str, before: str, after: list[str]
) -> None:
    assert family(before + name.upper() + "".join(after)) == name


@pytest.mark.parametrize(
    ("primary", "targets"),
    [
        ("claude-fable-5", (OPUS_4_8, OPUS_5, OPUS_5, OPUS_5 | OPUS_4_8)),
        ("claude-fable-5-1", (OPUS_4_8, OPUS_5, OPUS_5, OPUS_5 | OPUS_4_8)),
        ("claude-fable-5-2", (OPUS_4_8, OPUS_5, OPUS_5, OPUS_5 | OPUS_4_8)),
        ("claude-opus-5-20260724", (OPUS_4_8, NONE, NONE, OPUS_4_8)),
        ("claude-opus-5-5[1m]", (OPUS_4_8, OPUS_5, OPUS_5, OPUS_5 | OPUS_4_8)),
        ("claude-sonnet-5-5", (SONNET_5, NONE, SONNET_5, SONNET_5)),
        ("claude-haiku-5-5", (NONE, NONE, NONE, NONE)),
    ],
)
def test_the_routes_are_the_published_ones(primary: str, targets: tuple[frozenset[str], ...]) -> None:
    assert tuple(permitted(primary, category) for category in CATEGORIES) == targets


@pytest.mark.parametrize("route", ROUTES)
def test_no_known_primary_has_a_target_for_what_is_never_asked_again(route: Route) -> None:
    for category in ("reasoning_extraction", "general_harms", "a new one", ""):
        assert permitted(route.primary, category) == NONE


@pytest.mark.parametrize("category", [*CATEGORIES, "reasoning_extraction"])
def test_of_an_unknown_primary_the_table_says_nothing(category: str | None) -> None:
    assert permitted("claude-opus-4-8", category) is None
    assert permitted("", category) is None


@pytest.mark.parametrize("row", [*ROUTES, *TARGETS])
def test_every_row_has_a_source_and_a_date(row: Route | Rejection) -> None:
    assert len(row.source) > 10
    assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", row.date)


@pytest.mark.parametrize(
    ("shape", "rejecting", "taking"),
    [
        (
            Shape.ENABLED,
            "opus-4-7 opus-4-8 opus-5 opus-5-5 fable-5 fable-5-2 sonnet-5 sonnet-5-5 haiku-5-5",
            "opus-4-6 sonnet-4-5",
        ),
        (Shape.ADAPTIVE, "opus-4-5 opus-4-1 opus-4 sonnet-4-5 haiku-4-5", "opus-4-6 sonnet-4-6 opus-5 sonnet-5-5"),
        (Shape.DISABLED, "fable-5 fable-5-1 fable-5-2 opus-5-5 sonnet-5-5", "opus-5 opus-4-8 haiku-5-5 sonnet-5"),
        (Shape.DISABLED_AT_HIGH_EFFORT, "opus-5 haiku-5-5", "opus-4-8 sonnet-5"),
        (Shape.BETWEEN_TOOLS, "opus-5 opus-4-8 sonnet-5 sonnet-4-5 fable-5-1 mythos-5", "sonnet-5-5"),
        (
            Shape.SYSTEM_MESSAGE,
            "sonnet-5 opus-4-7 opus-4-6 opus-4-5 sonnet-4-6 haiku-4-5",
            "opus-4-8 opus-5 opus-5-5 fable-5 fable-5-2 mythos-5 mythos-5-2 sonnet-5-5 haiku-5-5",
        ),
        (Shape.SAMPLING, "opus-4-7 opus-4-8 opus-5 opus-5-5 sonnet-5 fable-5", "opus-4-6 sonnet-4-6 haiku-4-5"),
        (
            Shape.FAST,
            "opus-4-7 opus-4-6 sonnet-5 sonnet-5-5 haiku-5-5 fable-5 fable-5-1",
            "opus-4-8 opus-5 opus-5-5 fable-5-2 mythos-5-2",
        ),
        (Shape.FORCED_TOOL, "fable-5-1 fable-5-2 opus-5-5 sonnet-5-5", "fable-5 opus-5 opus-4-8 haiku-5-5 sonnet-5"),
    ],
)
def test_a_shape_is_rejected_by_those_that_are_published_and_taken_by_the_rest(
    shape: Shape, rejecting: str, taking: str
) -> None:
    assert [name for name in rejecting.split() if shape not in rejected(f"claude-{name}-20260101")] == []
    assert [name for name in taking.split() if shape in rejected(f"claude-{name}")] == []


def test_an_unknown_target_rejects_nothing() -> None:
    assert rejected("claude-opus-9") == NONE
    assert rejected("a-model-of-another-house") == NONE


def test_a_budget_is_never_made_adaptive_for_a_model_that_rejects_that_too() -> None:
    assert [name for name in NAMES if {Shape.ENABLED, Shape.ADAPTIVE} <= rejected(name)] == []


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("claude-opus-5", "us.anthropic.claude-opus-5-20260724-v1:0", True),
        ("claude-opus-5[1m]", "claude-opus-5@20260724", True),
        ("claude-opus-4-0", "claude-opus-4-20250514", True),
        ("claude-sonnet-4", "claude-sonnet-4-0", True),
        ("claude-opus-5", "claude-opus-5-5", False),
        ("claude-opus-4-0", "claude-opus-4-1", False),
        ("claude-opus-4", "claude-sonnet-4", False),
    ],
)
def test_two_ids_name_one_model_or_two(one: str, other: str, same: bool) -> None:
    assert (family(one) == family(other)) is same


def test_what_is_known_are_the_names_in_the_tables() -> None:
    assert set(NAMES) | OPUS_5 | OPUS_4_8 | SONNET_5 == KNOWN
