"""The request of a hop, beside the SDK's own; and what of an answer goes into it, or is cut out of it."""

import copy
import json
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest
from anthropic.lib.middleware import _fallbacks as sdk
from hypothesis import given
from hypothesis import strategies as st

from answers import PING, REFUSAL, end, event
from proxy.core.fitness import Unfit
from proxy.core.headers import Headers
from proxy.core.hop import CREDIT, Entry, Hop, armed_headers, asked_for_credit, continuation, cut, hop, patched

UNKNOWN = "claude-opus-9"
TOKEN = "fct" + "_opaque"
HEAD: Headers = (
    (b"Accept-Encoding", b"gzip, br"),
    (b"anthropic-beta", b"claude-code-20250219, effort-2025-11-24"),
    (b"X-Odd", b"caf\xe9"),
    (b"content-LENGTH", b"12"),
)


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **more}


def thought(said: str = "hm") -> dict[str, Any]:
    return {"type": "thinking", "thinking": said, "signature": "c2ln"}


def made(body: object, entry: Entry, headers: Headers = HEAD, **more: Any) -> Hop:
    found = hop(body if isinstance(body, bytes) else json.dumps(body).encode(), headers, entry, **more)
    assert isinstance(found, Hop)
    return found


def sent(found: Hop) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(found.body))


# ---- beside the SDK

LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3)
THINKING = st.none() | st.fixed_dictionaries({"type": st.sampled_from(["adaptive", "between_tools", "disabled"])})
CONFIG = st.none() | st.dictionaries(st.sampled_from(["effort", "format", "task_budget"]), LEAVES) | st.just("odd")
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": st.text(max_size=3)}),
    max_size=3,
)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "thinking": THINKING,
    "output_config": CONFIG,
    "max_tokens": LEAVES,
    "speed": LEAVES,
    "temperature": LEAVES,
    "metadata": st.dictionaries(st.text(max_size=2), LEAVES, max_size=2),
}
BODIES = st.fixed_dictionaries(
    {"model": st.just("claude-fable-5")},
    optional={**MEMBERS, "messages": MESSAGES | st.just("odd"), "fallbacks": st.just([{"model": "a"}]), "new": LEAVES},
)
ENTRIES = st.fixed_dictionaries({"model": st.just(UNKNOWN)}, optional=MEMBERS)


@given(BODIES, ENTRIES)
def test_a_patch_is_what_the_sdk_makes_of_it(body: dict[str, Any], entry: dict[str, Any]) -> None:
    before = copy.deepcopy((body, entry))
    ours = patched(body, entry)
    theirs = sdk._apply_hop(body, cast("Any", entry))
    theirs.pop("fallbacks", None)
    assert (ours, list(ours)) == (theirs, list(theirs))
    assert (body, entry) == before


@given(
    BODIES, ENTRIES, st.none() | st.just(TOKEN), st.lists(st.text("ab", min_size=1, max_size=3).map(text), max_size=2)
)
def test_a_hop_is_the_sdks_to_the_byte(
    body: dict[str, Any], entry: dict[str, Any], token: str | None, partial: list[dict[str, Any]]
) -> None:
    chain = sdk._ChainState(body)
    chain.token = token
    theirs = chain.hop_body(cast("Any", entry), partial)
    found = made(body, entry, token=token, continuation=partial)
    assert json.dumps(sent(found)) == json.dumps(theirs)
    assert found.changes == []


BLOCKS = st.lists(
    st.one_of(
        st.text("ab", min_size=1, max_size=3).map(text),
        st.builds(thought),
        st.just({"type": "redacted_thinking", "data": "eA=="}),
        st.just({"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}}),
    ),
    max_size=6,
)


@given(BLOCKS)
def test_a_continuation_is_the_sdks_where_the_sdk_follows_the_documentation(blocks: list[dict[str, Any]]) -> None:
    assert continuation(blocks) == sdk._to_prefill_blocks(blocks)


# ---- the body


SPELLED = (
    b'{ "model" : "claude-fable-5",  "max_tokens":1.0e2,"system":"caf\\u00e9 \xc3\xa9 \\/", "big":123456789012345678901234567890,'
    b'"messages" : [ {"role":"user", "content":"h\\u0069"} , {"content":[ ],"role":"assistant"}  ],"stream":true,"tools":[1,\n 2]}'
)


def raw(body: bytes) -> dict[str, bytes]:
    return {key: bytes(member) for key, member in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}


def test_what_a_hop_does_not_change_keeps_its_bytes() -> None:
    found = raw(made(SPELLED, {"model": UNKNOWN}).body)
    assert found == {**raw(SPELLED), "model": b'"claude-opus-9"'}
    assert list(found) == list(raw(SPELLED))


def test_messages_keep_their_bytes_when_one_is_appended() -> None:
    found = raw(made(SPELLED, {"model": UNKNOWN}, continuation=[text("Hé")]).body)
    assert found["messages"] == (
        b'[{"role":"user", "content":"h\\u0069"},{"content":[ ],"role":"assistant"},'
        b'{"role":"assistant","content":[{"type":"text","text":"H\xc3\xa9"}]}]'
    )
    assert found["tools"] == b"[1,\n 2]"


def test_messages_that_are_not_folded_keep_their_bytes() -> None:
    body = SPELLED.replace(b'"role":"assistant"}', b'"role":"assistant"},{"role":"system","content":"x"}')
    found = raw(made(body, {"model": "claude-opus-4-7"}).body)
    assert b'},{"content":[ ],"role":"assistant"}]' in found["messages"]
    assert b"<system-reminder>" in found["messages"]


@given(st.lists(st.tuples(st.text(max_size=3), LEAVES | st.floats(allow_nan=False, allow_infinity=False)), max_size=5))
def test_members_of_any_kind_and_spelling_go_through(pairs: list[tuple[str, Any]]) -> None:
    body = {**dict(pairs), "model": "claude-fable-5"}
    body = {key: member for key, member in body.items() if key not in ("thread", "fallbacks")}
    for spelled in (json.dumps(body), json.dumps(body, indent=3, ensure_ascii=False)):
        assert sent(made(spelled.encode("utf-8", "surrogatepass"), {"model": UNKNOWN})) == {**body, "model": UNKNOWN}


@pytest.mark.parametrize("model", [UNKNOWN, "claude-opus-4-7"])
def test_a_body_with_half_an_emoji_goes_through(model: str) -> None:
    body = {
        "model": "claude-fable-5",
        "system": "cut \ud83d",
        "messages": [{"role": "user", "content": "cut \ud83d"}, {"role": "system", "content": "x"}],
    }
    found = sent(made(body, {"model": model}, token=TOKEN, continuation=[text("on")]))
    assert found["system"] == "cut \ud83d"
    assert json.dumps(found["messages"]).count("\\ud83d") == 1
    assert found["messages"][-1] == {"role": "assistant", "content": [text("on")]}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"5", b"{", b'{"a":1}x', b"\xff", b'{"m' * 9, b"[" * 100_000, b'{"\\ud83d":1}']
)
def test_a_body_that_cannot_be_read_or_written_is_unfit(body: bytes) -> None:
    assert isinstance(hop(body, HEAD, {"model": UNKNOWN}), Unfit)


def test_a_body_nested_too_deeply_is_unfit() -> None:
    deep = b'{"model":"a","messages":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    assert isinstance(hop(deep, HEAD, {"model": UNKNOWN}), Unfit)


@given(st.binary(max_size=30))
def test_no_body_raises(body: bytes) -> None:
    hop(body, HEAD, {"model": "claude-opus-4-7"}, continuation=[text("a")])


def test_a_target_that_cannot_take_the_request_is_told_and_why() -> None:
    found = hop(b'{"thread":{"type":"continue"}}', HEAD, {"model": UNKNOWN})
    assert isinstance(found, Unfit)
    assert "thread" in found.reason


def test_a_hop_tells_what_the_target_made_necessary() -> None:
    body = {"model": "claude-fable-5", "thinking": {"type": "enabled", "budget_tokens": 5}, "speed": "fast", "top_k": 1}
    found = made(body, {"model": "claude-opus-5"}, learned=["speed"])
    assert sent(found) == {"model": "claude-opus-5", "thinking": {"type": "adaptive"}}
    assert found.changes == ["thinking made adaptive", "top_k left out", "speed left out"]


def test_a_carried_between_tools_is_left_out_for_a_target_that_cannot_be_told_not_to_think() -> None:
    body = {"model": "claude-sonnet-5-5", "thinking": {"type": "between_tools"}}
    assert sent(made(body, {"model": "claude-opus-5"})) == {"model": "claude-opus-5", "thinking": {"type": "disabled"}}
    assert sent(made(body, {"model": "claude-opus-5-5"})) == {"model": "claude-opus-5-5"}


# ---- the head


def test_a_hop_keeps_the_head_but_for_its_length() -> None:
    found = made({"model": "a"}, {"model": UNKNOWN})
    assert found.headers == (*HEAD[:3], (b"content-LENGTH", str(len(found.body)).encode()))


def test_the_body_of_a_hop_is_framed_by_its_length_alone() -> None:
    framed = (
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Encoding", b"gzip"),
        (b"A", b"1"),
        (b"Content-Length", b"1"),
        (b"content-length", b"1"),
    )
    found = made({"model": "a"}, {"model": UNKNOWN}, framed)
    size = str(len(found.body)).encode()
    assert found.headers == ((b"A", b"1"), (b"Content-Length", size))
    assert made({"model": "a"}, {"model": UNKNOWN}, framed[:3]).headers == found.headers


def betas(*fields: bytes, model: str = UNKNOWN, token: str | None = None) -> tuple[bytes, ...]:
    """The values of the beta fields that a hop has of a request with a system message."""
    body = {"model": "a", "messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]}
    headers = tuple((b"Anthropic-Beta", field) for field in fields)
    found = made(body, {"model": model}, headers, token=token).headers
    return tuple(value for name, value in found if name.lower() == b"anthropic-beta")


def test_the_betas_of_what_goes_go_with_it() -> None:
    folded = b"a-1, mid-conversation-system-2026-04-07,Mid-Conversation-System-clear-at-2026-08-21,  b-2"
    assert betas(folded) == (folded,)
    assert betas(folded, model="claude-opus-4-7") == (b"a-1,  b-2",)
    assert betas(b"mid-conversation-system-2026-04-07", b"a-1", model="claude-opus-4-7") == (b"a-1",)
    assert betas(b"server-side-fallback-2026-07-01,a-1,", b"") == (b"a-1,", b"")
    assert betas(b" a-1 ,,b-2 ") == (b" a-1 ,,b-2 ",)


def test_a_token_is_sent_with_the_beta_that_lets_it_be_redeemed() -> None:
    assert betas(b"a-1", token=TOKEN) == (b"a-1," + CREDIT,)
    assert betas(b"a-1, " + CREDIT, token=TOKEN) == (b"a-1, " + CREDIT,)
    assert betas(b"server-side-fallback-2026-07-01", token=TOKEN) == (CREDIT,)
    assert betas(b"fallback-credit-2026-06-01", token=TOKEN) == (b"fallback-credit-2026-06-01," + CREDIT,)
    assert betas(b"a-1") == (b"a-1",)


def test_an_armed_request_asks_for_no_encoding_and_for_credit() -> None:
    assert armed_headers(HEAD, credit=True) == (
        (b"Accept-Encoding", b"identity"),
        (b"anthropic-beta", b"claude-code-20250219, effort-2025-11-24," + CREDIT),
        *HEAD[2:],
    )
    assert armed_headers(HEAD, credit=False) == ((b"Accept-Encoding", b"identity"), *HEAD[1:])


def test_what_an_armed_request_lacks_is_added_at_the_end() -> None:
    assert armed_headers(((b"A", b"1"),), credit=True) == (
        (b"A", b"1"),
        (b"Accept-Encoding", b"identity"),
        (b"anthropic-beta", CREDIT),
    )


def test_several_fields_of_a_name_become_one_in_the_first_place() -> None:
    several = (
        (b"ANTHROPIC-beta", b"a-1"),
        (b"accept-encoding", b"br"),
        (b"anthropic-beta", b" "),
        (b"anthropic-beta", b"b-2"),
    )
    assert armed_headers((*several, (b"Accept-Encoding", b"gzip")), credit=True) == (
        (b"ANTHROPIC-beta", b"a-1,b-2," + CREDIT),
        (b"accept-encoding", b"identity"),
    )


@pytest.mark.parametrize(
    ("beta", "added"),
    [
        (b"fallback-credit-2026-06-01", [b",fallback-credit-2026-07-01"]),
        (b"a-1, server-side-fallback-2026-07-01", [b",fallback-credit-2026-07-01"]),
        (b"Fallback-Credit-2026-07-01,a-1", []),
    ],
)
def test_a_client_that_asked_by_itself_is_known_and_its_betas_stay(beta: bytes, added: list[bytes]) -> None:
    asking = ((b"anthropic-beta", beta),)
    assert asked_for_credit(asking)
    assert armed_headers(asking, credit=True)[0] == (b"anthropic-beta", beta + b"".join(added))
    assert not asked_for_credit(HEAD)


# ---- the continuation

SEARCH = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}}
ASKED = {"type": "mcp_tool_use", "id": "mcp_1", "name": "x", "server_name": "y", "input": {}}
TOLD = {"type": "mcp_tool_result", "tool_use_id": "mcp_1", "content": []}
SEAM = {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}}


@pytest.mark.parametrize(
    ("blocks", "turn"),
    [
        ([text("Partial answer that ")], [text("Partial answer that")]),
        ([text("a "), text("b\n")], [text("a "), text("b")]),
        ([text("a"), text(" \n")], [text("a")]),
        ([text(""), text("a")], [text("a")]),
        ([thought(), text("\n\n")], []),
        ([thought(), text("a"), thought(), text("")], [thought(), text("a")]),
        ([thought(), text("Let me check. "), CALL], [thought(), text("Let me check.")]),
        ([thought(), CALL], []),
        ([text("a"), SEARCH], [text("a")]),
        ([text("a"), SEARCH, FOUND], [text("a"), SEARCH, FOUND]),
        ([SEARCH, FOUND, text("b "), thought()], [SEARCH, FOUND, text("b")]),
        ([ASKED, TOLD, SEARCH], [ASKED, TOLD]),
        ([ASKED, FOUND], [FOUND]),
        ([{"type": "server_tool_use"}, {"type": "odd"}], [{"type": "odd"}]),
        ([SEAM, text("a"), SEAM], [text("a")]),
        ([text("a", citations=[{"type": "x"}])], [text("a", citations=[{"type": "x"}])]),
        ([{"type": "text"}, {"type": "text", "text": None}], []),
        ([], []),
    ],
)
def test_a_continuation_is_what_the_documentation_asks_for(blocks: list[Any], turn: list[Any]) -> None:
    before = copy.deepcopy(blocks)
    assert continuation(blocks) == turn
    assert blocks == before


ANY_BLOCK = st.one_of(
    st.text("a \n", max_size=3).map(text),
    st.builds(thought),
    st.sampled_from([SEARCH, FOUND, CALL, ASKED, TOLD, SEAM]).map(copy.deepcopy),
)


@given(st.lists(ANY_BLOCK, max_size=8))
def test_a_continuation_ends_well_and_continues_as_itself(blocks: list[dict[str, Any]]) -> None:
    before = copy.deepcopy(blocks)
    turn = continuation(blocks)
    assert blocks == before
    assert continuation(turn) == turn
    assert all(block["text"].strip() for block in turn if block["type"] == "text")
    assert not {block["type"] for block in turn} & {"fallback", "tool_use"}
    assert not turn or turn[-1]["type"] != "thinking"
    assert not turn or turn[-1].get("text", "a")[-1:] == "a"


# ---- what is cut out

NAMES = ("fallback_credit_token", "fallback_has_prefill_claim")
KEYS = st.sampled_from(["stop_details", "a", "b", "", "é", 'say "x": {', *NAMES])
VALUES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from([*NAMES, '{"stop_details":{'])
)
DOCUMENTS = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=25
)
DETAILED = st.dictionaries(KEYS, DOCUMENTS, max_size=4) | st.lists(DOCUMENTS, max_size=3)


def without(value: Any, *, inside: bool = False) -> Any:
    """The same by the parsed value."""
    if isinstance(value, list):
        return [without(item, inside=inside) for item in value]
    if isinstance(value, dict):
        return {
            key: without(member, inside=inside or key == "stop_details")
            for key, member in value.items()
            if not (inside and key in NAMES)
        }
    return value


def spellings(value: Any) -> Iterator[str]:
    yield json.dumps(value)
    yield json.dumps(value, separators=(",", ":"))
    yield json.dumps(value, ensure_ascii=False)


@given(DETAILED)
def test_what_is_cut_leaves_no_trace_and_nothing_else_changes(document: Any) -> None:
    for whole, less in zip(spellings(document), spellings(without(document)), strict=True):
        assert cut(whole.encode(), NAMES) == less.encode()
        frame = "event: message_delta\ndata: %s\n\n"
        assert cut((frame % whole).encode(), NAMES) == (frame % less).encode()


def details(**more: Any) -> dict[str, Any]:
    return {"type": "refusal", "category": None, **more}


SECRET = {"fallback_credit_token": TOKEN, "fallback_has_prefill_claim": True}


def test_padding_and_what_stands_around_an_event_stay() -> None:
    raw = end("refusal", stop_details=details(**SECRET, explanation="because"))
    assert cut(PING + raw + PING, NAMES) == PING + end("refusal", stop_details=details(explanation="because")) + PING
    assert cut(REFUSAL, NAMES) == REFUSAL


@pytest.mark.parametrize(
    ("whole", "less"),
    [
        ('{"stop_details":{%s}}', '{"stop_details":{}}'),
        ('{"stop_details":{%s   }   }', '{"stop_details":{   }   }'),
        ('{"stop_details" : { %s , "a":1 } }', '{"stop_details" : { "a":1 } }'),
        ('{"stop_details":{"a":1 , %s, %s ,"b":2}}', '{"stop_details":{"a":1  ,"b":2}}'),
        ('{"stop_details":{%s,%s,"b":-1.5e3,%s}}', '{"stop_details":{"b":-1.5e3}}'),
        ('{"stop_details":{\n "a":[1],\n %s\n}}', '{"stop_details":{\n "a":[1]\n}}'),
        ('\n[{"stop_details":[{"x":{%s}}]}]', '\n[{"stop_details":[{"x":{}}]}]'),
        ('{"a":{%s},"stop_details":{}}', None),
        ('{"stop_details":null,"a":{%s}}', None),
        ('{"stop_details":"{%s}"}', None),
    ],
)
@pytest.mark.parametrize("member", ['"fallback_credit_token": "t\\"k,}"', r'"fallback\u005fcredit_token":"x"'])
def test_a_member_goes_with_one_comma_wherever_it_stands(whole: str, less: str | None, member: str) -> None:
    if '"{%s}"' in whole:
        member = json.dumps(member)[1:-1]
    filled = whole.replace("%s", member)
    json.loads(filled)
    assert cut(filled.encode(), NAMES).decode() == (filled if less is None else less)


def test_a_member_goes_with_all_that_is_in_it() -> None:
    nested = {"a": 1, "fallback_credit_token": {"b": 1, "fallback_credit_token": [2]}}
    whole = json.dumps({"stop_details": nested, "c": 3}).encode()
    assert cut(whole, NAMES) == b'{"stop_details": {"a": 1}, "c": 3}'


def test_words_in_a_text_are_no_member() -> None:
    said = '"stop_details": {"fallback_credit_token": "x"}'
    raw = event("content_block_delta", index=0, delta={"type": "text_delta", "text": said})
    assert cut(raw, NAMES) == raw
    body = json.dumps({"content": [text(said)], "stop_details": details(explanation=said)}).encode()
    assert cut(body, NAMES) == body


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"\r"])
def test_an_event_of_several_lines_is_cut_across_them(line: bytes) -> None:
    lines = [
        b"\xef\xbb\xbfdata:{",
        b"event: message_delta",
        b'data: "stop_details": {"a": "\xc3\xa9",',
        b'data: "fallback_credit_token":',
        b'data:  "tok"',
        b'data: ,"b":1}}',
        b"",
        b"",
    ]
    left = [*lines[:2], b'data: "stop_details": {"a": "\xc3\xa9"', *lines[5:]]
    assert cut(line.join(lines), NAMES) == line.join(left)


@pytest.mark.parametrize(
    ("whole", "less"),
    [
        (b'{"stop_details":{"fallback_credit_token":"tok_a', b'{"stop_details":{"fallback_credit_token":"'),
        (b'{"a":1]"fallback_credit_token" : "t\\"k" , ', b'{"a":1]"fallback_credit_token" : "" , '),
        (b'data: {"fallback_credit_token":"tok","a":tru\n\n', b'data: {"fallback_credit_token":"","a":tru\n\n'),
        (
            b'data: {"fallback_credit_token"\ndata: :\ndata: "tok"\n\n',
            b'data: {"fallback_credit_token"\ndata: :\ndata: ""\n\n',
        ),
        (b'{"fallback_has_prefill_claim":true', b'{"fallback_has_prefill_claim":true'),
        (b'<p>"fallback_credit_token":"tok"</p>', b'<p>"fallback_credit_token":""</p>'),
        (b"[DONE]", b"[DONE]"),
        (b"data: [DONE]\n\n", b"data: [DONE]\n\n"),
        (b": comment\n\n", b": comment\n\n"),
        (b"", b""),
    ],
)
def test_of_what_cannot_be_read_no_token_gets_out(whole: bytes, less: bytes) -> None:
    assert cut(whole, NAMES) == less


def test_json_that_is_nested_too_deeply_or_is_no_utf_8_is_no_way_out() -> None:
    secret = json.dumps({"stop_details": SECRET}).encode()
    deep = b"[" * 200_000 + secret + b"]" * 200_000
    assert TOKEN.encode() not in cut(deep, NAMES)
    assert cut(b'{"a":"\xff","\xc3":1,' + secret[1:], NAMES) == b'{"a":"\xff","\xc3":1,"stop_details": {}}'
    assert cut(b"\xef\xbb\xbf" + secret, NAMES) == b'\xef\xbb\xbf{"stop_details": {}}'


@given(st.binary(max_size=40), st.integers(0, 200))
def test_no_cut_raises_and_without_names_nothing_is_cut(noise: bytes, at: int) -> None:
    whole = end("refusal", stop_details=details(**SECRET))
    broken = whole[:at] + noise + whole[at:]
    assert cut(broken, ()) == broken
    cut(broken, NAMES)


@given(st.integers(0, 400))
def test_a_token_does_not_get_out_of_an_event_that_was_cut_off(at: int) -> None:
    for whole in (end("refusal", stop_details=details(**SECRET)), json.dumps({"stop_details": SECRET}).encode()):
        assert TOKEN[:5].encode() not in cut(whole[:at], NAMES)
