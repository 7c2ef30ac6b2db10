"""What is known of the models by name: who may answer for whom, and what a request must not hold for a model.

Both are tables of what Anthropic has published or its own client does, each row with its source and the date of it. They are
data to be corrected when a newer page says something else: nothing is derived from a name, and a model that a table does
not have is simply not known.
"""

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

_ENDS = re.compile(r"(?:\[[^\]]*\]|-20\d{6}|@[\w-]*|-v\d+(?::\w+)*|-latest)+\Z")
_ALIASES = {"claude-opus-4-0": "claude-opus-4", "claude-sonnet-4-0": "claude-sonnet-4"}
"""Names that the API takes for a model with another one (platform.claude.com, Models overview)."""
_OWNERS = re.compile(r"\A(?:.*/)?(?:(?:[\w-]+\.)?anthropic\.)?", re.DOTALL)


@lru_cache(1000)
def family(model: str) -> str:
    """A model's id without what a platform or a date adds: ``us.anthropic.claude-opus-5-20260724-v1:0`` is ``claude-opus-5``.

    Taken off are the date, ``@20260101``, ``-v1:0``, ``-latest``, ``[1m]``, paths and the prefixes of Bedrock, in lower case; and of two names the shorter
    one is taken.
    """
    name = _ENDS.sub("", _OWNERS.sub("", model.strip().lower()))
    return _ALIASES.get(name, name)


class Route(NamedTuple):
    """Which models may answer what ``primary`` declined, by category; None is the null category."""

    primary: str
    targets: dict[str | None, frozenset[str]]
    source: str
    date: str


_OPUS_5, _OPUS_4_8, _SONNET_5 = (frozenset({name}) for name in ("claude-opus-5", "claude-opus-4-8", "claude-sonnet-5"))
_BY_CATEGORY: dict[str | None, frozenset[str]] = {
    "cyber": _OPUS_4_8,
    "bio": _OPUS_5,
    "frontier_llm": _OPUS_5,
    None: _OPUS_4_8 | _OPUS_5,
}
_GUIDE = "Model Migration Guide bundled with Claude Code 2.1.330"
_STRINGS = "strings of Claude Code 2.1.330"

ROUTES = (
    *(
        Route(primary, _BY_CATEGORY, f"{_GUIDE}; {_STRINGS}", "2026-11")
        for primary in ("claude-fable-5", "claude-fable-5-1", "claude-fable-5-2")
    ),
    Route("claude-opus-5", {"cyber": _OPUS_4_8, None: _OPUS_4_8}, _GUIDE, "2026-11"),
    Route("claude-opus-5-5", _BY_CATEGORY, f"{_GUIDE}; {_STRINGS}", "2026-11"),
    Route(
        "claude-sonnet-5-5",
        {"cyber": _SONNET_5, "frontier_llm": _SONNET_5, None: _SONNET_5},
        f"{_GUIDE}; {_STRINGS}",
        "2026-11",
    ),
    Route("claude-haiku-5-5", {}, _GUIDE, "2026-11"),
)
"""Anthropic's permissions. A category that a row does not have, ``reasoning_extraction`` in every one, has no target."""

_ROUTES = {route.primary: route.targets for route in ROUTES}


def permitted(primary: str, category: str | None) -> frozenset[str] | None:
    """The families that may answer for ``primary`` in this category, none of them where it is empty.

    None where the table does not know the primary.
    """
    targets = _ROUTES.get(family(primary))
    return None if targets is None else targets.get(category, frozenset())


class Shape(StrEnum):
    """Something that a request may hold and that not every model takes."""

    ENABLED = "thinking.enabled"
    ADAPTIVE = "thinking.adaptive"
    DISABLED = "thinking.disabled"
    DISABLED_AT_HIGH_EFFORT = "thinking.disabled, with effort xhigh or max"
    BETWEEN_TOOLS = "thinking.between_tools"
    SYSTEM_MESSAGE = "a message of role system"
    SAMPLING = "temperature, top_p, top_k"
    FORCED_TOOL = "tool_choice any, tool"
    FAST = "speed fast"


class Rejection(NamedTuple):
    """A shape that these targets answer with a 400."""

    shape: Shape
    targets: frozenset[str]
    source: str
    date: str


def _named(line: str, *versions: str) -> frozenset[str]:
    return frozenset(f"claude-{line}-{version}" for version in versions)


_BEFORE_ADAPTIVE = _named("opus", "4", "4-1", "4-5") | _named("sonnet", "4", "4-5") | _named("haiku", "4-5")
_BEFORE_OPUS_4_7 = _BEFORE_ADAPTIVE | _named("opus", "4-6") | _named("sonnet", "4-6")
_FABLE, _MYTHOS = _named("fable", "5", "5-1", "5-2"), _named("mythos", "5", "5-1", "5-2")
_FAST = _named("opus", "4-8", "5", "5-5") | _named("fable", "5-2") | _named("mythos", "5-2")
_SINCE_OPUS_4_7 = (
    _named("opus", "4-7", "4-8", "5", "5-5") | _named("sonnet", "5", "5-5") | _named("haiku", "5-5") | _FABLE | _MYTHOS
)

TARGETS = (
    Rejection(
        Shape.ENABLED,
        _SINCE_OPUS_4_7,
        f"{_GUIDE}; platform.claude.com, Claude Sonnet 5 overview",
        "2026-11",
    ),
    Rejection(
        Shape.ADAPTIVE,
        _BEFORE_ADAPTIVE,
        "platform.claude.com, Adaptive thinking: older models do not support it",
        "2026-08",
    ),
    Rejection(Shape.DISABLED, _FABLE | _named("opus", "5-5") | _named("sonnet", "5-5"), _GUIDE, "2026-11"),
    Rejection(Shape.DISABLED_AT_HIGH_EFFORT, _named("opus", "5") | _named("haiku", "5-5"), _GUIDE, "2026-11"),
    Rejection(
        Shape.BETWEEN_TOOLS,
        (_BEFORE_OPUS_4_7 | _SINCE_OPUS_4_7) - _named("sonnet", "5-5"),
        f"{_GUIDE}; anthropic 2.12.0, BetaFallbackParam",
        "2026-11",
    ),
    Rejection(
        Shape.SYSTEM_MESSAGE,
        _BEFORE_OPUS_4_7 | _named("opus", "4-7") | _named("sonnet", "5"),
        "Platform Availability bundled with Claude Code 2.1.330; Claude Code 2.1.197, seen on Opus 4.7",
        "2026-11",
    ),
    Rejection(
        Shape.SAMPLING,
        _SINCE_OPUS_4_7,
        f"{_GUIDE}; platform.claude.com, Claude Sonnet 5 overview and Claude Haiku 5.5 migration guide",
        "2026-11",
    ),
    Rejection(
        Shape.FORCED_TOOL,
        _named("fable", "5-1", "5-2") | _named("opus", "5-5") | _named("sonnet", "5-5"),
        _GUIDE,
        "2026-11",
    ),
    Rejection(
        Shape.FAST,
        (_BEFORE_OPUS_4_7 | _SINCE_OPUS_4_7) - _FAST,
        "platform.claude.com and code.claude.com, Fast mode: supported on these models and no others",
        "2026-11",
    ),
)
"""What is known to be rejected. Levels of effort are per model too; for these no list is published."""


def rejected(model: str) -> frozenset[Shape]:
    """The shapes that ``model`` rejects by the table; none of an unknown one."""
    name = family(model)
    return frozenset(row.shape for row in TARGETS if name in row.targets)


KNOWN = frozenset[str]().union(
    _ROUTES, *(targets for route in ROUTES for targets in route.targets.values()), *(row.targets for row in TARGETS)
)
"""The families that the tables have."""
