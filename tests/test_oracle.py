"""The anthropic SDK's fallback middleware is the oracle: demur in marked wire makes of a chain what the SDK makes of it.

First the facts, one by one, for both; then the faults of the SDK, each with what demur does instead; then chains that hypothesis makes
up, where only those faults may make a difference.
"""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains import ASKED, PRIMARY, SECOND, TARGETS, THIRD, USAGES, Block, Chain, Hop, refusal, text, thinking, tool
from gateways import Kept
from oracle import CREDIT_BETA, NEVER, Failure, Seen, expected, guarded, middleware, plain
from proxy.core.exchange import Watcher
from proxy.gateway import Gateway
from proxy.recall import Recall
from proxy.upstream import Upstream
from schemas.settings import Retry
from scripted import Json

SERVED = Hop(blocks=(text("Served."),))
PARTIAL = text("Partial", " answer")
SEARCH = (Block("server_tool_use", ("eclipse",)), Block("web_search_tool_result"))


@asynccontextmanager
async def demur(url: str, chain: Chain) -> AsyncIterator[str]:
    """A gateway that may retry whatever the chain needs."""
    retry = Retry(
        enabled=True,
        wire="marked",
        routes="any",
        categories=["cyber", "bio", "frontier_llm", "general_harms", "none"],
        sticky=False,
        max_attempts=9,
        max_per_hour=10**9,
        hold_s=30,
        fallback=chain.entries,
    )
    watcher = Watcher(source="gateway", now=time.time, entropy=os.urandom)
    counsel = Recall(Path("/nonexistent/demur.db"))
    gateway = Gateway(Upstream(url), Kept(), watcher, max_body=1 << 20, retry=retry, counsel=counsel)
    try:
        yield await gateway.start("127.0.0.1", 0)
    finally:
        await gateway.stop(0)


async def through_demur(chain: Chain) -> Seen:
    return await plain(chain, demur)


type See = Callable[[Chain], Awaitable[Seen]]
both = pytest.mark.parametrize("see", [pytest.param(middleware, id="sdk"), pytest.param(through_demur, id="demur")])


def appended(seen: Seen) -> list[list[str]]:
    """The appended turn of each request, as the texts of its blocks."""
    turns = [sent.turns[1:] for sent in seen.sent]
    return [[block.get("text", block["type"]) for turn in some for block in turn["content"]] for some in turns]


def asked(seen: Seen) -> list[tuple[str, Any]]:
    """Model and credit token of each request."""
    return [(sent.model, (sent.token or {}).get("token")) for sent in seen.sent]


# what both do


@both
async def test_a_refusal_before_output_is_answered_under_its_own_id_after_a_seam(see: See) -> None:
    seen = await see(Chain((refusal(claim=False), SERVED)))
    assert seen.skeleton == [
        "message_start msg_0 claude-opus-4-8",
        "start 0 fallback claude-fable-5 -> claude-opus-4-8 (cyber)",
        "stop 0",
        "start 1 text",
        "delta 1 text_delta",
        "stop 1",
        "message_delta end_turn",
        "message_stop",
    ]
    assert seen.iterations == [("message", PRIMARY, 10), ("fallback_message", SECOND, 11)]
    assert asked(seen) == [(PRIMARY, None), (SECOND, "tok_0")]
    assert seen.sent[1].token == {"token": "tok_0", "mode": "best_effort"}
    assert seen.sent[1].turns == ASKED["messages"]
    assert {sent.betas for sent in seen.sent} == {frozenset({CREDIT_BETA})}


@both
async def test_a_refusal_before_output_is_answered_without_a_token_too(see: See) -> None:
    seen = await see(Chain((refusal(token="null", claim=None), SERVED)))
    assert asked(seen) == [(PRIMARY, None), (SECOND, None)]
    assert seen.message
    assert seen.message["stop_reason"] == "end_turn"


@both
@pytest.mark.parametrize("left_open", [False, True])
async def test_a_claim_lets_the_next_model_go_on_after_a_seam(see: See, left_open: bool) -> None:
    seen = await see(Chain((refusal(PARTIAL, open=left_open), SERVED)))
    assert seen.skeleton == [
        "message_start msg_0 claude-fable-5",
        "start 0 text",
        "delta 0 text_delta",
        "delta 0 text_delta",
        "stop 0",
        "start 1 fallback claude-fable-5 -> claude-opus-4-8 (cyber)",
        "stop 1",
        "start 2 text",
        "delta 2 text_delta",
        "stop 2",
        "message_delta end_turn",
        "message_stop",
    ]
    assert appended(seen) == [[], ["Partial answer"]]
    assert seen.iterations == [("message", PRIMARY, 10), ("fallback_message", SECOND, 11)]


@both
@pytest.mark.parametrize("claim", [False, None, "absent"])
async def test_without_a_claim_the_next_model_answers_from_scratch(see: See, claim: Any) -> None:
    seen = await see(Chain((refusal(PARTIAL, claim=claim), SERVED)))
    assert appended(seen) == [[], []]
    assert asked(seen) == [(PRIMARY, None), (SECOND, "tok_0")]
    assert seen.message
    assert [block["type"] for block in seen.message["content"]] == ["text", "fallback", "text"]


@both
async def test_without_a_token_a_refusal_in_mid_stream_stands(see: See) -> None:
    seen = await see(Chain((refusal(PARTIAL, token="null", claim=None), SERVED)))
    assert asked(seen) == [(PRIMARY, None)]
    assert seen.skeleton[-2:] == ["message_delta refusal", "message_stop"]
    assert seen.iterations == []


@both
async def test_a_continuation_that_is_rejected_is_asked_for_once_more_from_scratch(see: See) -> None:
    seen = await see(Chain((refusal(PARTIAL), SERVED._replace(prefill="refused"))))
    assert appended(seen) == [[], ["Partial answer"], []]
    assert asked(seen)[1:] == [(SECOND, "tok_0")] * 2
    assert seen.message
    assert seen.message["stop_reason"] == "end_turn"


@both
@pytest.mark.parametrize(
    ("status", "recommended"), [(429, SECOND), (529, SECOND), (400, None), (404, None), (500, None)]
)
@pytest.mark.parametrize("said", [(), (PARTIAL,)])
async def test_where_the_next_model_fails_the_refusal_comes_back_and_recommends_one_without_capacity(
    see: See, status: int, recommended: str | None, said: tuple[Block, ...]
) -> None:
    seen = await see(Chain((refusal(*said), Hop(status=status))))
    assert seen.message
    assert seen.message["stop_reason"] == "refusal"
    assert seen.message["stop_details"]["recommended_model"] == recommended
    assert seen.skeleton[0] == "message_start msg_0 claude-fable-5"
    assert seen.iterations == [("message", PRIMARY, 10)]


@both
@pytest.mark.parametrize("failing", [Hop(status=529), Hop(end="head")])
async def test_a_model_that_fails_leaves_no_trace_and_its_token_to_the_next(see: See, failing: Hop) -> None:
    seen = await see(Chain((refusal(), failing, SERVED)))
    assert seen.skeleton[:2] == [
        "message_start msg_0 claude-opus-5",
        "start 0 fallback claude-fable-5 -> claude-opus-5 (cyber)",
    ]
    assert seen.iterations == [("message", PRIMARY, 10), ("fallback_message", THIRD, 12)]
    assert asked(seen) == [(PRIMARY, None), (SECOND, "tok_0"), (THIRD, "tok_0")]


@both
async def test_two_refusals_before_output_make_two_seams(see: See) -> None:
    seen = await see(Chain((refusal(), refusal(category="bio"), SERVED)))
    assert seen.skeleton[:5] == [
        "message_start msg_0 claude-opus-5",
        "start 0 fallback claude-fable-5 -> claude-opus-4-8 (cyber)",
        "stop 0",
        "start 1 fallback claude-opus-4-8 -> claude-opus-5 (bio)",
        "stop 1",
    ]
    assert seen.iterations == [("message", PRIMARY, 10), ("message", SECOND, 11), ("fallback_message", THIRD, 12)]
    assert asked(seen) == [(PRIMARY, None), (SECOND, "tok_0"), (THIRD, "tok_1")]


@both
async def test_two_refusals_in_mid_stream_make_one_message_of_three_models(see: See) -> None:
    seen = await see(Chain((refusal(PARTIAL), refusal(text("more")), SERVED)))
    assert [line for line in seen.skeleton if line.startswith("start")] == [
        "start 0 text",
        "start 1 fallback claude-fable-5 -> claude-opus-4-8 (cyber)",
        "start 2 text",
        "start 3 fallback claude-opus-4-8 -> claude-opus-5 (cyber)",
        "start 4 text",
    ]
    assert appended(seen) == [[], ["Partial answer"], ["Partial answer", "more"]]


@both
async def test_where_all_refuse_the_last_refusal_is_the_answer(see: See) -> None:
    seen = await see(Chain((refusal(), refusal(token="null", claim=None))))
    assert seen.skeleton == [
        "message_start msg_0 claude-opus-4-8",
        "start 0 fallback claude-fable-5 -> claude-opus-4-8 (cyber)",
        "stop 0",
        "message_delta refusal",
        "message_stop",
    ]
    assert seen.iterations == [("message", PRIMARY, 10), ("fallback_message", SECOND, 11)]
    assert seen.message
    assert seen.message["stop_details"]["recommended_model"] is None


@both
async def test_thinking_at_the_end_is_not_appended_and_thinking_before_text_is(see: See) -> None:
    ended = await see(Chain((refusal(PARTIAL, thinking("hm")), SERVED)))
    assert appended(ended) == [[], ["Partial answer"]]
    begun = await see(Chain((refusal(thinking("hm"), PARTIAL), SERVED)))
    assert appended(begun) == [[], ["thinking", "Partial answer"]]
    only = await see(Chain((refusal(thinking("hm")), SERVED)))
    assert appended(only) == [[], []]


@both
async def test_what_a_tool_of_the_api_found_is_carried_over(see: See) -> None:
    seen = await see(Chain((refusal(*SEARCH, PARTIAL), SERVED)))
    assert appended(seen) == [[], ["server_tool_use", "web_search_tool_result", "Partial answer"]]
    assert [line for line in seen.skeleton if line.startswith("start")][2:] == [
        "start 2 text",
        "start 3 fallback claude-fable-5 -> claude-opus-4-8 (cyber)",
        "start 4 text",
    ]


@both
@pytest.mark.parametrize("usage", ["own", "looped", "nulls"])
async def test_what_a_model_reports_of_its_own_iterations_is_taken_over(see: See, usage: str) -> None:
    seen = await see(Chain((refusal(PARTIAL, usage=usage), SERVED._replace(usage=usage))))
    assert (
        seen.iterations
        == {
            "own": [("message", PRIMARY, 10), ("fallback_message", SECOND, 11)],
            "looped": [("message", None, 1), ("message", None, 10), ("fallback_message", SECOND, 11)],
            "nulls": [("message", PRIMARY, 10), ("fallback_message", SECOND, 11)],
        }[usage]
    )


@both
async def test_an_entry_patches_the_request_as_it_was_and_not_what_another_made_of_it(see: See) -> None:
    patches: tuple[Json, ...] = ({"max_tokens": 9, "metadata": None}, {"output_config": {"effort": None}}, {})
    request = ASKED | {"metadata": {"user_id": "u"}, "output_config": {"effort": "low", "format": None}}
    seen = await see(Chain((refusal(), refusal(), SERVED), patches=patches, asked=request))
    first, second, third = (sent.body for sent in seen.sent)
    assert {"max_tokens": 9, "output_config": request["output_config"]}.items() <= second.items()
    assert "metadata" not in second
    assert (third["max_tokens"], third["metadata"]) == (64, {"user_id": "u"})
    assert "effort" not in third["output_config"]
    assert first.items() >= request.items()


@both
async def test_without_a_stream_an_answer_begins_with_its_seams(see: See) -> None:
    seen = await see(Chain((refusal(PARTIAL), SERVED), streamed=False))
    assert seen.message
    assert [block["type"] for block in seen.message["content"]] == ["fallback", "text"]
    assert seen.message["model"] == SECOND
    assert appended(seen) == [[], []]
    assert asked(seen) == [(PRIMARY, None), (SECOND, "tok_0")]


@both
async def test_an_answer_that_breaks_off_after_some_output_is_broken_off(see: See) -> None:
    first = await see(Chain((Hop(end="middle"), SERVED)))
    assert first.failure == Failure(None)
    assert first.skeleton[-1] == "delta 0 text_delta"
    second = await see(Chain((refusal(), Hop(end="middle"), SERVED)))
    assert second.failure == Failure(None)
    assert second.skeleton[-1] == "delta 1 text_delta"
    assert len(second.sent) == 2


@both
@pytest.mark.parametrize("sizes", [(), (1 << 20,)])
async def test_an_error_event_ends_an_answer_however_its_bytes_are_cut(see: See, sizes: tuple[int, ...]) -> None:
    seen = await see(Chain((refusal(), Hop(end="error"), SERVED), sizes=sizes))
    assert seen.failure == Failure(200, "overloaded_error")
    assert seen.skeleton[-1] == "stop 1"
    assert len(seen.sent) == 2


@both
async def test_a_refusal_that_breaks_off_after_its_stop_reason_is_answered_too(see: See) -> None:
    seen = await see(Chain((refusal(end="delta"), SERVED)))
    assert seen.message
    assert seen.message["stop_reason"] == "end_turn"
    stands = await see(Chain((refusal(PARTIAL, end="delta", token="null"), SERVED)))
    assert stands.skeleton[-1] == "message_delta refusal"
    assert stands.failure == Failure(None)


# what the SDK does, and demur does better


@pytest.mark.parametrize("said", [(), (PARTIAL,)])
@pytest.mark.parametrize("failing", [Hop(end="start", pings=True), Hop(blocks=(), end="error")])
async def test_a_model_that_breaks_off_before_output_is_passed_over(failing: Hop, said: tuple[Block, ...]) -> None:
    chain = Chain((refusal(*said), failing, SERVED))
    assert (await middleware(chain)).failure
    seen = await through_demur(chain)
    assert seen.events == (await middleware(chain._replace(hops=(chain.hops[0], Hop(end="head"), SERVED)))).events
    assert asked(seen) == [(PRIMARY, None), (SECOND, "tok_0"), (THIRD, "tok_0")]


async def test_of_a_first_answer_that_breaks_off_before_output_its_beginning_is_passed_on() -> None:
    chain = Chain((Hop(end="start"), SERVED))
    assert (await middleware(chain)).events == []
    assert (await through_demur(chain)).skeleton == ["message_start msg_0 claude-fable-5"]


async def test_a_continuation_does_not_end_in_white_space_so_that_the_api_takes_it() -> None:
    chain = Chain((refusal(text("Partial ", "answer \n")), SERVED._replace(prefill="strict")))
    assert appended(await middleware(chain)) == [[], ["Partial answer \n"], []]
    assert appended(await through_demur(chain)) == [[], ["Partial answer"]]


async def test_a_continuation_of_white_space_alone_is_none() -> None:
    chain = Chain((refusal(thinking("hm"), text(" \n")), SERVED))
    assert appended(await middleware(chain)) == [[], ["thinking", " \n"]]
    seen = await through_demur(chain)
    assert appended(seen) == [[], []]
    assert seen.events == (await middleware(chain)).events


async def test_a_continuation_has_no_blank_text_and_no_search_without_its_result() -> None:
    chain = Chain((refusal(text(" "), SEARCH[0], PARTIAL), SERVED))
    assert appended(await middleware(chain)) == [[], [" ", "server_tool_use", "Partial answer"]]
    seen = await through_demur(chain)
    assert appended(seen) == [[], ["Partial answer"]]
    assert seen.events == (await middleware(chain)).events


@pytest.mark.parametrize("left_open", [False, True])
async def test_once_a_tool_call_has_begun_the_refusal_stands_and_the_tool_does_not_run(left_open: bool) -> None:
    chain = Chain((refusal(thinking("hm"), PARTIAL, tool("rm -rf"), open=left_open), SERVED))
    theirs = await middleware(chain)
    assert "stop 2" in theirs.skeleton
    assert len(theirs.sent) == 2
    seen = await through_demur(chain)
    assert asked(seen) == [(PRIMARY, None)]
    assert "start 2 tool_use" in seen.skeleton
    assert "stop 2" not in seen.skeleton
    assert seen.skeleton[-2:] == ["message_delta refusal", "message_stop"]


async def test_while_the_api_runs_a_tool_the_refusal_stands() -> None:
    """So does the API itself (Anthropic, "Refusals and fallback")."""
    chain = Chain((refusal(PARTIAL, SEARCH[0], open=True), SERVED))
    assert len((await middleware(chain)).sent) == 2
    seen = await through_demur(chain)
    assert asked(seen) == [(PRIMARY, None)]
    assert seen.skeleton[-2:] == ["message_delta refusal", "message_stop"]


async def test_seams_of_earlier_turns_stay_where_they_are() -> None:
    """The API takes them on any request, and thinking of two models only with them (Anthropic, "Refusals and fallback")."""
    seam = {"type": "fallback", "from": {"model": PRIMARY}, "to": {"model": SECOND}}
    turn = {"role": "assistant", "content": [seam, {"type": "text", "text": "x"}]}
    history = [*ASKED["messages"], turn, *ASKED["messages"]]
    chain = Chain((refusal(), SERVED), asked=ASKED | {"messages": history})
    assert all(seam not in sent.turns[1]["content"] for sent in (await middleware(chain)).sent)
    assert [sent.turns for sent in (await through_demur(chain)).sent] == [history, history]


async def test_a_tool_call_ends_only_when_the_stop_reason_is_known() -> None:
    seen = await through_demur(Chain((Hop(blocks=(tool("ls"), PARTIAL), stop="tool_use"), SERVED)))
    assert seen.skeleton[-5:] == ["delta 1 text_delta", "stop 1", "stop 0", "message_delta tool_use", "message_stop"]


@pytest.mark.parametrize("failing", [Hop(status=529), Hop(status=400), Hop(end="head"), Hop(end="middle")])
async def test_without_a_stream_a_model_that_fails_is_passed_over(failing: Hop) -> None:
    chain = Chain((refusal(), failing, SERVED), streamed=False)
    theirs = await middleware(chain)
    assert theirs.failure
    assert len(theirs.sent) == 2
    seen = await through_demur(chain)
    assert asked(seen) == [(PRIMARY, None), (SECOND, "tok_0"), (THIRD, "tok_0")]
    assert seen.message
    assert seen.message["content"][0] == {
        "type": "fallback",
        "from": {"model": PRIMARY},
        "to": {"model": THIRD},
        "trigger": {"type": "refusal", "category": "cyber"},
    }
    assert seen.iterations == [("message", PRIMARY, 10), ("fallback_message", THIRD, 12)]


@pytest.mark.parametrize(("status", "recommended"), [(529, SECOND), (400, None)])
async def test_without_a_stream_the_refusal_comes_back_where_all_fail(status: int, recommended: str | None) -> None:
    chain = Chain((refusal(PARTIAL), Hop(status=status)), streamed=False)
    assert (await middleware(chain)).failure
    seen = await through_demur(chain)
    assert seen.message
    assert seen.message["content"] == [{"type": "text", "text": "Partial answer"}]
    details = {"type": "refusal", "category": "cyber", "explanation": chain.hops[0].explanation}
    assert seen.message["stop_details"] == details | {"recommended_model": recommended}
    assert seen.message["id"] == "msg_0"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "hops",
    [
        (refusal(PARTIAL), Hop(status=529)),
        (refusal(), refusal()),
        (refusal(category="reasoning_extraction"), SERVED),
        (refusal(tool("ls")), Hop(status=400)),
    ],
)
async def test_a_credit_token_never_comes_to_the_client(hops: tuple[Hop, ...], streamed: bool) -> None:
    seen = await through_demur(Chain(hops, streamed=streamed))
    assert "tok_" not in str((seen.events, seen.message))
    assert "fallback_" not in str(seen.message and seen.message["stop_details"])


async def test_the_sdk_gives_the_token_to_its_caller() -> None:
    """Which is the reason for the test above."""
    seen = await middleware(Chain((refusal(), Hop(status=529))))
    assert seen.message
    assert seen.message["stop_details"]["fallback_credit_token"] == "tok_0"


async def test_what_no_setting_lists_is_not_asked_again() -> None:
    for category in NEVER:
        assert len((await through_demur(Chain((refusal(category=category), SERVED)))).sent) == 1


def test_the_end_of_a_tool_call_is_moved_or_left_out() -> None:
    call = {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use"}}
    end, stop = {"type": "content_block_stop", "index": 0}, {"type": "content_block_stop", "index": 1}
    for reason, kept in {"tool_use": [end], "refusal": []}.items():
        delta = {"type": "message_delta", "delta": {"stop_reason": reason}}
        assert guarded([call, end, stop, delta]) == [call, stop, *kept, delta]
    assert guarded([call, end, stop]) == [call, stop]


# what hypothesis makes up

WORDS = (
    "Partial ",
    "answer",
    "ends \n",
    "  ",
    "日本語 ",
    "naïve\u2028",
    "\x85x",
    "🙂",
    '"}',
    "data: x\n\nevent: y",
    "\\u0041",
)
PARTS = st.lists(st.sampled_from(WORDS), max_size=3).map(tuple)
TEXTS = st.builds(Block, st.sampled_from(["text", "text", "cited"]), PARTS).map(lambda block: (block,))
SILENT = st.one_of(
    st.builds(Block, st.just("thinking"), PARTS).map(lambda block: (block,)), st.just((Block("redacted_thinking"),))
)
SEARCHES = st.sampled_from([SEARCH, SEARCH, SEARCH[:1]])
TOOLS = st.builds(Block, st.just("tool_use"), PARTS).map(lambda block: (block,))


def contents(*kinds: st.SearchStrategy[tuple[Block, ...]], least: int = 0) -> st.SearchStrategy[tuple[Block, ...]]:
    several = st.lists(st.one_of(kinds), min_size=least, max_size=3)
    return several.map(lambda found: tuple(block for blocks in found for block in blocks))


def hops(**fields: Any) -> st.SearchStrategy[Hop]:
    shapes = {
        "usage": st.sampled_from(USAGES),
        "alias": st.booleans(),
        "transformed": st.booleans(),
        "pings": st.booleans(),
        "prefill": st.sampled_from(["taken", "taken", "refused", "longer refused"]),
    }
    return st.fixed_dictionaries({**shapes, **fields}).map(lambda drawn: Hop(**drawn))


REFUSING = hops(
    blocks=st.one_of(st.just(()), contents(TEXTS, TEXTS, SILENT, SEARCHES), contents(TEXTS, SILENT, TOOLS)),
    stop=st.just("refusal"),
    open=st.booleans(),
    category=st.sampled_from(["cyber", "cyber", "cyber", "bio", "general_harms", None, *NEVER]),
    explanation=st.sampled_from([None, "Declined."]),
    token=st.sampled_from(["given", "given", "given", "null", "absent"]),
    claim=st.sampled_from([True, True, True, False, None, "absent"]),
    details=st.sampled_from([True, True, True, False]),
    end=st.sampled_from(["whole", "whole", "whole", "delta"]),
)
CONTINUED = hops(blocks=contents(TEXTS, SILENT, SEARCHES, least=1), stop=st.just("refusal"), open=st.booleans())
ANSWERING = hops(
    blocks=contents(TEXTS, SILENT, SEARCHES, TOOLS, least=1),
    stop=st.sampled_from(["end_turn", "tool_use", "max_tokens"]),
    end=st.sampled_from(["whole", "whole", "start", "middle", "delta", "error"]),
)
FAILING = st.sampled_from(
    [
        *(Hop(status=status) for status in (400, 404, 429, 500, 529)),
        Hop(end="head"),
        Hop(end="start", pings=True),
        Hop(blocks=(), end="error"),
    ]
)
PATCHES = st.sampled_from(
    [
        {},
        {},
        {"max_tokens": 9},
        {"metadata": None},
        {"output_config": {"effort": "low"}},
        {"output_config": {"effort": None}},
    ]
)
REQUESTS = st.sampled_from(
    [
        ASKED,
        ASKED | {"metadata": {"user_id": "u"}, "output_config": {"effort": "medium"}},
        ASKED | {"system": [{"type": "text", "text": "Be é.", "cache_control": {"type": "ephemeral"}}]},
        ASKED
        | {
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [{"type": "text", "text": "hello"}]},
                {"role": "user", "content": [{"type": "text", "text": "more\u2028"}]},
            ]
        },
    ]
)
FIRST = st.sampled_from([CONTINUED] * 5 + [REFUSING] * 4 + [ANSWERING, FAILING]).flatmap(lambda kind: kind)
NEXT = st.sampled_from([ANSWERING] * 3 + [CONTINUED, REFUSING, REFUSING, FAILING, FAILING]).flatmap(lambda kind: kind)


def chains(*, streamed: bool) -> st.SearchStrategy[Chain]:
    more = st.lists(NEXT, min_size=1, max_size=3)
    return st.builds(
        Chain,
        hops=st.builds(lambda first, others: (first, *others), FIRST, more),
        streamed=st.just(streamed),
        patches=st.tuples(PATCHES, PATCHES, PATCHES),
        targets=st.permutations(TARGETS).map(tuple),
        asked=REQUESTS,
        betas=st.sampled_from([(), ("context-management-2025-06-27",)]),
        gzip=st.booleans(),
        sizes=st.sampled_from([(), (), (1, 40), (7, 300, 33)]),
    )


@settings(max_examples=400)
@given(chains(streamed=True))
async def test_a_stream_through_demur_is_what_the_sdk_makes_of_it(chain: Chain) -> None:
    assert await through_demur(chain) == await expected(chain)


@settings(max_examples=200)
@given(chains(streamed=False))
async def test_an_answer_in_one_piece_through_demur_is_what_the_sdk_would_make_of_a_stream(chain: Chain) -> None:
    seen, theirs = await through_demur(chain), await expected(chain)
    assert (seen.message, seen.failure, seen.sent) == (theirs.message, theirs.failure, theirs.sent)
