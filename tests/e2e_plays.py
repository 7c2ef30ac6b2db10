"""What the pretend API plays to Claude Code, and what must be on record afterwards.

What is on record follows from what the API was asked and what it answered, so it holds for every version of the client:
newer ones repeat what was declined, and go on to another model. Only ``n`` is a fact about ``e2e_claude.OLDEST``.
"""

from collections.abc import Mapping
from typing import NamedTuple

from proxy.core.recent import NOTE
from proxy.pretend import SCENARIOS, Options, Received, Rule
from proxy.pretend.asked import Asked
from proxy.pretend.reply import Play as Answer
from proxy.pretend.reply import Reply
from proxy.pretend.scenarios import answer, text, tool_use
from schemas.labels import Kind, Outcome, Stage

MODEL, FABLE, FALLBACK = "claude-opus-5", "claude-fable-5", "claude-opus-4-8"
AGENT = "<in the agent>"
_BEFORE, _MID = Stage.BEFORE_OUTPUT, Stage.MID_STREAM


class Play(NamedTuple):
    """One run of Claude Code."""

    lines: tuple[str, ...]
    """What the requests of this run get: each but the last is played once."""
    n: int
    """How many requests are declined, with the oldest version of the client."""
    category: str | None = "cyber"
    """Of its refusals."""
    model: str = MODEL
    """That Claude Code is started with."""
    labels: tuple[str, ...] = ()
    """Of segments that a declined request must have, beside the usual ones."""
    in_order: bool = True
    """Whether what it prints always comes in the same order. Otherwise only how it ends is looked at."""


PLAYS = {
    "an-answer": Play(("answer",), 0),
    "an-answer-that-quotes-a-refusal": Play(("quote",), 0),
    "an-answer-after-a-tool": Play(("answer_tool",), 0),
    "declined-before-output": Play(("refusal",), 1),
    "declined-for-biology": Play(("refusal category=bio",), 1, "bio"),
    "declined-in-mid-stream": Play(("refusal_mid category=bio",), 1, "bio"),
    "declined-in-an-open-block": Play(("refusal_mid_open encoding=zstd",), 1),
    "declined-after-thinking": Play(("refusal_thinking encoding=gzip split=true",), 1),
    "declined-after-a-tool": Play(("refusal_after_tool",), 1, labels=("tool_use", "tool_result")),
    "declined-after-a-whole-tool-call": Play(("refusal_tool_complete", "answer"), 1),
    "declined-without-stop-details": Play(("refusal_no_details",), 1, None),
    "declined-with-null-stop-details": Play(("refusal_null_details",), 1, None),
    "declined-with-a-null-category": Play(("refusal_null_category",), 1, None),
    "declined-with-a-new-category": Play(("refusal_new_category",), 1, "category_of_next_year"),
    "the-output-filter": Play(("output_filter",), 1, None),
    "the-output-filter-twice-streamed-and-not": Play(("error_filter",), 2, None),
    "the-output-filter-in-mid-stream": Play(("error_filter_mid",), 1, None),
    "a-policy-error": Play(("policy_error",), 1, None),
    "a-repeat-without-a-stream-that-is-declined": Play(("error_filter", "refusal"), 2),
    "a-server-side-fallback": Play(("api_fallback",), 1),
    "a-server-side-fallback-in-mid-stream": Play(("api_fallback_mid",), 1),
    "a-server-side-fallback-that-lasts": Play(("api_fallback_sticky",), 0),
    "a-server-side-fallback-that-is-declined-too": Play(("api_fallback_exhausted",), 1),
    "an-agent-that-is-declined": Play(("e2e_agent",), 1, in_order=False),
    "a-fallback-of-the-client": Play(("refusal", "answer"), 1, model=FABLE),
}


class Fact(NamedTuple):
    """What a record must say."""

    kind: Kind
    evidence: str
    category: str | None
    stage: Stage
    outcome: Outcome
    answered_by: str | None = None


def rules() -> list[Rule]:
    """For the pretend API. A prompt says by its name which play it is for."""
    made = [Rule(word=AGENT, play="refusal")]
    for name, play in PLAYS.items():
        made += [Rule(word=word(name), play=line, times=1) for line in play.lines[:-1]]
        made.append(Rule(word=word(name), play=play.lines[-1]))
    return made


def word(name: str) -> str:
    return f"<{name}>"


def facts(play: Play, told: Mapping[str | None, Received]) -> dict[str | None, Fact]:
    """What must be on record of the requests of one run, in order, by request id.

    What the client does by itself about a refusal is written down with that refusal: asking the same model once more, and an answer of
    another one. Another model that declines is a record of its own.
    """
    found: dict[str | None, Fact] = {}
    open_for: dict[str | None, tuple[str | None, Received]] = {}
    for request_id, received in told.items():
        declined, agent = fact(play, received), received.header("x-claude-code-agent-id")
        first = open_for.pop(agent, None) if "messages" in received.target else None
        again = first is not None and (NOTE.encode() in received.body or _messages(received) == _messages(first[1]))
        elsewhere = first is not None and received.json()["model"] != first[1].json()["model"]
        if first is not None and declined is None and (again or elsewhere):
            outcome, answered_by = Outcome.RECOVERED_BY_CLIENT, received.json()["model"]
            found[first[0]] = found[first[0]]._replace(outcome=outcome, answered_by=answered_by)
        elif declined is not None and first is not None and again and not elsewhere:
            open_for[agent] = first
        elif declined is not None:
            found[request_id] = declined
            if declined.kind == Kind.REFUSAL and declined.outcome == Outcome.REFUSED:
                open_for[agent] = request_id, received
    return found


def _messages(received: Received) -> object:
    return received.json()["messages"]


def fact(play: Play, received: Received) -> Fact | None:
    """What must be on record of a request and its answer; None where it was not declined."""
    scenario, streamed = received.scenario, "stream" in received.json()
    if scenario in ("output_filter", "error_filter", "error_filter_mid"):
        stage = _MID if scenario == "error_filter_mid" and streamed else _BEFORE
        return Fact(Kind.OUTPUT_FILTER, "rule:output_filter", None, stage, Outcome.REFUSED)
    if scenario == "policy_error":
        return Fact(Kind.POLICY_ERROR, "rule:usage_policy", None, _BEFORE, Outcome.REFUSED)
    if scenario in ("api_fallback", "api_fallback_mid"):
        stage = _MID if scenario == "api_fallback_mid" and streamed else _BEFORE
        evidence = "content_block.fallback"
        return Fact(Kind.REFUSAL, evidence, play.category, stage, Outcome.RECOVERED_BY_API, FALLBACK)
    if scenario == "api_fallback_exhausted" or (scenario.startswith("refusal") and not _only_calls(received)):
        evidence = "message_delta.stop_reason" if streamed else "message.stop_reason"
        stage = _MID if scenario in _MIDWAY else _BEFORE
        return Fact(Kind.REFUSAL, evidence, play.category, stage, Outcome.REFUSED)
    return None


_MIDWAY = {"refusal_mid", "refusal_mid_open", "refusal_thinking", "refusal_tool_complete"}


def _only_calls(received: Received) -> bool:
    """The first half of ``refusal_after_tool``."""
    return received.scenario == "refusal_after_tool" and b'"tool_result"' not in received.body


def _agent(asked: Asked, options: Options) -> Answer:
    """Has an agent do it, and answers when it is done."""
    if asked.tool_result:
        return answer(asked, options)
    call = tool_use("Agent", description="Look", prompt=f"Look. {AGENT}", subagent_type="general-purpose")
    return Reply(
        model=asked.model, blocks=(text("I ask. "), call), stop_reason="tool_use", input_tokens=asked.input_tokens
    )


SCENARIOS.setdefault("e2e_agent", _agent)
