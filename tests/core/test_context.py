"""Request bodies in segments. The bodies are made here, in the shape in which Claude Code 2.1 sends them."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.core.context import Split, join, split, without_content
from proxy.core.redact import Redactor
from schemas.labels import Label
from schemas.records import Segment

KEY = "sk-" + "ant-api03-" + "Ab1_" * 20
CREDIT = "fct" + "-opaque"


def text(said: str, **more: object) -> dict[str, object]:
    return {"type": "text", "text": said, **more}


CACHED = {"cache_control": {"type": "ephemeral"}}
ATTRIBUTION = text("x-anthropic-billing-header: cc_version=2.1.197.a3f; cc_entrypoint=cli; cch=1f2e3;")
READ = {"name": "Read", "description": "Reads a file.", "input_schema": {"type": "object", "properties": {}}}
MESSAGES: list[dict[str, object]] = [
    {"role": "user", "content": [text("<system-reminder>\nIt is Tuesday."), text("read a.py", **CACHED)]},
    {"role": "system", "content": "Prefer short answers."},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            text("I will."),
            {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "a.py"}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("print(1)")]},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        ],
    },
]
BODY: dict[str, object] = {
    "model": "claude-opus-5",
    "messages": MESSAGES,
    "system": [ATTRIBUTION, text("You are Claude Code, Anthropic's official CLI for Claude.", **CACHED)],
    "tools": [READ],
    "metadata": {"user_id": '{"session_id":"9c9c"}'},
    "max_tokens": 32000,
    "stream": True,
}


def parts(body: object, redactor: Redactor | None = None) -> Split:
    return split(json.dumps(body, ensure_ascii=False).encode(), redactor)


def joined(found: Split) -> bytes:
    assert found.skeleton is not None
    return join(found.skeleton, found.contents)


def user(*content: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": list(content)}]}


def only(body: object) -> Segment:
    (segment,) = parts(body).segments
    return segment


def test_each_part_of_a_request_is_a_segment_with_its_label() -> None:
    found = [(segment.n, segment.path, segment.label, segment.tool, segment.media) for segment in parts(BODY).segments]
    assert found == [
        (0, "messages[0].content[0]", Label.REMINDER, None, None),
        (1, "messages[0].content[1]", Label.USER_TEXT, None, None),
        (2, "messages[1].content", Label.SYSTEM_MESSAGE, None, None),
        (3, "messages[2].content[0]", Label.THINKING, None, None),
        (4, "messages[2].content[1]", Label.ASSISTANT_TEXT, None, None),
        (5, "messages[2].content[2]", Label.TOOL_USE, "Read", None),
        (6, "messages[3].content[0]", Label.TOOL_RESULT, "Read", None),
        (7, "messages[3].content[1]", Label.MEDIA, None, "image/png"),
        (8, "system[0]", Label.ATTRIBUTION, None, None),
        (9, "system[1]", Label.SYSTEM, None, None),
        (10, "tools[0]", Label.TOOL, "Read", None),
    ]


@pytest.mark.parametrize(
    ("role", "block", "label", "tool", "media"),
    [
        ("user", "said", Label.USER_TEXT, None, None),
        ("assistant", "said", Label.ASSISTANT_TEXT, None, None),
        ("system", text("said"), Label.SYSTEM_MESSAGE, None, None),
        ("narrator", "said", Label.OTHER, None, None),
        (5, "said", Label.OTHER, None, None),
        ("assistant", text("<system-reminder>"), Label.ASSISTANT_TEXT, None, None),
        ("assistant", {"type": "redacted_thinking", "data": "x"}, Label.THINKING, None, None),
        ("assistant", {"type": "fallback", "from": {}, "to": {}}, Label.FALLBACK, None, None),
        ("assistant", {"type": "server_tool_use", "id": "s", "name": "web_search"}, Label.TOOL_USE, "web_search", None),
        ("assistant", {"type": "mcp_tool_use", "name": 5}, Label.TOOL_USE, None, None),
        ("assistant", {"type": "web_search_tool_result", "tool_use_id": "s"}, Label.TOOL_RESULT, None, None),
        ("user", {"type": "tool_result", "tool_use_id": ["odd"]}, Label.TOOL_RESULT, None, None),
        (
            "user",
            {"type": "document", "source": {"media_type": "application/pdf"}},
            Label.MEDIA,
            None,
            "application/pdf",
        ),
        ("user", {"type": "image", "source": "odd"}, Label.MEDIA, None, None),
        ("user", {"type": "search_result"}, Label.OTHER, None, None),
        ("user", {"type": ["odd"]}, Label.OTHER, None, None),
        ("user", {"type": "text", "text": 5}, Label.OTHER, None, None),
        ("user", 5, Label.OTHER, None, None),
        ("user", None, Label.OTHER, None, None),
    ],
)
def test_a_block_is_labelled_by_its_structure(
    role: object, block: object, label: Label, tool: str | None, media: str | None
) -> None:
    segment = only({"messages": [{"content": [block], "role": role}]})
    assert (segment.label, segment.tool, segment.media) == (label, tool, media)


@pytest.mark.parametrize(
    ("body", "path", "label"),
    [
        ({"system": "You are."}, "system", Label.SYSTEM),
        ({"system": "x-anthropic-billing-header: cc_version=2.1.1;"}, "system", Label.ATTRIBUTION),
        ({"system": [5]}, "system[0]", Label.OTHER),
        ({"system": {"a": 1}}, "system", Label.OTHER),
        ({"tools": {"a": 1}}, "tools", Label.OTHER),
        ({"tools": [5]}, "tools[0]", Label.TOOL),
        ({"messages": "said"}, "messages", Label.OTHER),
        ({"messages": ["said"]}, "messages[0]", Label.OTHER),
        ({"messages": [{"role": "user", "content": "said"}]}, "messages[0].content", Label.USER_TEXT),
        ({"messages": [{"role": "user", "content": {"a": 1}}]}, "messages[0].content", Label.OTHER),
        ([1, 2], "", Label.OTHER),
        ("said", "", Label.OTHER),
        (5, "", Label.OTHER),
    ],
)
def test_an_odd_body_is_segmented_as_far_as_it_goes(body: object, path: str, label: Label) -> None:
    segment = only(body)
    assert (segment.path, segment.label) == (path, label)


@pytest.mark.parametrize(
    "body", [{}, {"system": None, "tools": [], "messages": [{"role": "user", "content": None}, {}]}]
)
def test_what_says_nothing_has_no_segment(body: object) -> None:
    found = parts(body)
    assert found.segments == []
    assert joined(found) == json.dumps(body).encode()


def test_a_segment_tells_its_size_as_sent_and_an_estimate_of_its_tokens() -> None:
    said = '{"messages": [{"role": "user", "content": [{ "type":"text", "text":"\\u00e9' + "a" * 36 + '" }]}]}'
    segment = split(said.encode(), None).segments[0]
    assert segment.bytes == len('{ "type":"text", "text":"\\u00e9' + "a" * 36 + '" }')
    assert segment.tokens_est == 11


@pytest.mark.parametrize(
    ("block", "tokens"),
    [
        (text("a" * 360), 100),
        (text("漢" * 20), 30),
        (text("é\ud800"), 2),
        ({"type": "thinking", "thinking": "a" * 36, "signature": "s" * 5000}, 10),
        ({"type": "tool_result", "content": "a" * 36}, 10),
        ({"type": "tool_result", "content": [text("a" * 36), {"type": "image", "source": {"data": "x" * 9000}}]}, 1510),
        ({"type": "tool_result"}, 1),
        ({"type": "image", "source": {"type": "url", "url": "https://h/x.png"}}, 1500),
        ({"type": "document", "source": {"type": "base64", "data": "x" * 100}}, 1500),
        ({"type": "document", "source": {"type": "base64", "data": "x" * 160_000}}, 3000),
        ({"type": "document", "source": {"type": "base64"}}, 1500),
        ({"type": "document", "source": {"type": "url"}}, 12),
        ({"type": "document", "source": {"type": "text", "data": "x" * 3600}}, 1015),
        ({"type": "tool_use", "input": {"a": "b" * 36}}, 20),
        ({"type": "tool_use", "input": {"a": "漢" * 20}}, 40),
    ],
)
def test_the_estimate_counts_the_text_alone(block: object, tokens: int) -> None:
    (segment,) = split(json.dumps(user(block)).encode(), None).segments
    assert segment.tokens_est == tokens


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (text("hi"), text("hi", **CACHED)),
        ({"text": "hi", "type": "text"}, text("hi")),
        ({"type": "tool_result", "content": "hi"}, {"type": "tool_result", "content": [text("hi")]}),
        (
            {"type": "tool_result", "content": [text("hi", **CACHED)]},
            {"type": "tool_result", "content": "hi", **CACHED},
        ),
        ({"type": "x", "a": 1, "b": [{"c": 2, "d": 3}]}, {"b": [{"d": 3, "c": 2}], "a": 1, "type": "x"}),
    ],
)
def test_what_says_the_same_has_the_same_identity_and_its_own_bytes(one: object, two: object) -> None:
    first, second = only(user(one)), only(user(two))
    assert first.hash == second.hash
    assert first.content != second.content


def test_a_string_and_a_list_of_one_text_block_are_alike() -> None:
    string = only({"messages": [{"role": "user", "content": "hi"}]})
    assert string.hash == only(user(text("hi"))).hash
    assert string.hash == only({"system": "hi"}).hash
    assert string.hash != only(user(text("ho"))).hash


@pytest.mark.parametrize(
    "said",
    [
        "x-anthropic-billing-header: cc_version=2.1.197.a3f; cc_entrypoint=cli; cch=1f2e3;",
        "x-anthropic-billing-header: cc_version=2.1.197.123; cc_entrypoint=cli;",
        "x-anthropic-billing-header: cc_version=2.1.197; cc_entrypoint=cli; cch=00000;",
    ],
)
def test_the_attribution_block_is_known_by_what_does_not_change(said: str) -> None:
    plain = only({"system": [text("x-anthropic-billing-header: cc_version=2.1.197; cc_entrypoint=cli;")]})
    assert only({"system": [text(said)]}).hash == plain.hash
    assert only({"system": said}).hash == plain.hash


@pytest.mark.parametrize("other", ["2.1.198; cc_entrypoint=cli;", "2.1.197; cc_entrypoint=sdk-cli;"])
def test_another_version_or_entrypoint_is_another_attribution(other: str) -> None:
    plain = only({"system": [text("x-anthropic-billing-header: cc_version=2.1.197; cc_entrypoint=cli;")]})
    assert only({"system": [text(f"x-anthropic-billing-header: cc_version={other}")]}).hash != plain.hash


def test_a_hash_is_b2_and_thirty_two_hex_digits() -> None:
    for segment in parts(BODY).segments:
        for name in (segment.hash, segment.content):
            assert name[:3] == "b2:"
            assert len(bytes.fromhex(name[3:])) == 16


def test_the_contents_are_what_was_sent_under_the_keys_of_the_segments() -> None:
    found = parts(BODY)
    assert set(found.contents) == {segment.content for segment in found.segments}
    assert json.loads(found.contents[found.segments[10].content]) == READ
    assert [len(found.contents[segment.content]) for segment in found.segments] == [
        segment.bytes for segment in found.segments
    ]


def test_the_same_content_is_kept_once() -> None:
    found = parts(user(text("hi"), text("hi")))
    assert len(found.segments) == 2
    assert len(found.contents) == 1
    assert json.loads(joined(found)) == user(text("hi"), text("hi"))


@pytest.mark.parametrize("body", ['{"\\u0073ystem":"hi"}', '{"system":"a\tb"}', '\n{ "system"\r:\t"hi"}'])
def test_a_loosely_written_body_is_segmented_like_any_other(body: str) -> None:
    (segment,) = split(body.encode(), None).segments
    assert (segment.path, segment.label) == ("system", Label.SYSTEM)


# ---- to the byte

blank = st.text(" \t\n\r", max_size=3)
string = st.one_of(
    st.text(max_size=8).map(json.dumps),
    st.text(max_size=8).map(lambda said: json.dumps(said, ensure_ascii=False)).filter(lambda said: said.isprintable()),
    st.sampled_from(
        [
            r'"\ud800"',
            r'"\udc00x"',
            r'"\u0041\/"',
            r'"\ud83d\ude00"',
            '"tab\there"',
            r'"\\"',
            r'"a\"b"',
            r'"\u0073ystem"',
        ]
    ),
)
number = st.sampled_from(["0", "-0", "1.0", "1e5", "1E400", "12345678901234567890123", "-1.5e-7", "NaN"])
names = st.sampled_from(
    '"system" "tools" "messages" "role" "content" "type" "text" "name" "id" "source" "a" "a" "x\\u0041"'.split()
)
word = st.sampled_from(
    '"text" "user" "assistant" "system" "tool_use" "tool_result" "image" "document" "thinking"'.split()
)


def spaced(before: str, value: str, after: str) -> str:
    return before + value + after


def value(children: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    item = st.builds(spaced, blank, children, blank)
    member = st.builds(lambda a, key, b, it: f"{a}{key}{b}:{it}", blank, st.one_of(names, string), blank, item)
    return st.one_of(
        st.builds(lambda gap, items: f"[{','.join(items) or gap}]", blank, st.lists(item, max_size=4)),
        st.builds(lambda gap, members: f"{{{','.join(members) or gap}}}", blank, st.lists(member, max_size=5)),
    )


def message(content: str, role: str, after: str) -> str:
    return f'{{"content" :{content}, "role":{role}{after}}}'


tree = st.recursive(st.one_of(string, number, word, st.sampled_from(["true", "false", "null"])), value, max_leaves=20)
turns = st.lists(st.builds(message, tree, word, blank), max_size=3).map(lambda items: f"[{','.join(items)}]")
bodies = st.one_of(
    st.builds(spaced, blank, tree, blank),
    st.builds(lambda a, b, c, d: f'{{{a}"messages":{b},"system":{c},"tools" : {d}}}', blank, turns, tree, tree),
)


@given(bodies)
@example('{"messages":[{"role":"user","content":"a"}],"messages":[{"role":"user","content":"b"}]}')
@example('{"system":"a","x":"a","system":["a"]}')
def test_joined_again_the_parts_are_the_body_to_the_byte(body: str) -> None:
    sent = body.encode()
    for redactor in (None, Redactor()):
        found = split(sent, redactor)
        assert joined(found) == sent
        assert (found.exact, found.replacements) == (True, 0)
        assert [segment.n for segment in found.segments] == list(range(len(found.segments)))


@given(st.one_of(st.binary(), st.text().map(str.encode), bodies.map(lambda body: body[:-1].encode())))
@example(b"")
@example(b"\xff\xfe{}")
@example(b'{"a":1}{"b":2}')
@example(b'{"a" 1}')
@example(b'{"a":1')
@example(b"{5:1}")
@example(b"[" * 100_000)
@example(b'{"a":' + b"1" * 5000 + b"}")
@example(b'\xef\xbb\xbf{"system":"a"}')
def test_any_bytes_are_split_and_joined_again(body: bytes) -> None:
    found = split(body, Redactor())
    assert joined(found) == body
    assert found.exact is True


def test_a_body_that_is_no_json_is_one_segment() -> None:
    (segment,) = split(b"not json", None).segments
    assert (segment.label, segment.path, segment.bytes) == (Label.OTHER, "", 8)
    assert split(b"", None) == Split()


def test_a_body_that_is_no_json_is_redacted_as_text() -> None:
    found = split(b"\xff key " + KEY.encode() + b" \xfe", Redactor())
    assert joined(found) == b"\xff key [redacted:anthropic-key] \xfe"
    assert (found.exact, found.replacements) == (False, 1)


def test_json_nested_too_deeply_is_redacted_as_text() -> None:
    deep = b'{"system":' + b"[" * 3000 + b'"' + KEY.encode() + b'"' + b"]" * 3000 + b"}"
    assert KEY.encode() not in joined(split(deep, Redactor()))


# ---- secrets


def hidden(said: str = "with {}") -> Iterator[tuple[str, dict[str, object]]]:
    """A secret in every place of a body that can hold one."""
    key = said.format(KEY)
    yield "system", {**BODY, "system": key}
    yield "system block", {**BODY, "system": [text(key)]}
    yield "tool", {**BODY, "tools": [{**READ, "description": key}]}
    yield "message", {**BODY, "messages": [{"role": "user", "content": key}]}
    yield "block", user(text(key))
    yield "key of a member", user({"type": "x", key: 1})
    yield "tool result", user({"type": "tool_result", "tool_use_id": "t", "content": [text(key)]})
    yield "message beside its content", {"messages": [{"role": "user", "content": "hi", "note": key}]}
    yield "role", {"messages": [{"role": key, "content": "hi"}]}
    yield "metadata", {**BODY, "metadata": {"user_id": key}}
    yield "key of the body", {**BODY, key: 1}
    yield "odd messages", {**BODY, "messages": {"a": key}}
    yield "fallback_credit_token", {**BODY, "fallback_credit_token": KEY}
    yield "no object", {"a": [key]}


@pytest.mark.parametrize(("place", "body"), list(hidden()), ids=[place for place, _ in hidden()])
def test_no_secret_is_left_wherever_it_stood(place: str, body: dict[str, object]) -> None:
    found = parts(body, Redactor())
    assert KEY not in joined(found).decode()
    assert not any(
        KEY in field for segment in found.segments for field in (segment.tool or "", segment.label, segment.path)
    )
    assert (found.exact, found.replacements) == (False, 1)
    assert json.loads(joined(found)).keys() >= body.keys() - {f"with {KEY}"}


def test_tokens_go_by_their_key_in_the_skeleton() -> None:
    body = {
        "fallback_credit_token": {"token": CREDIT, "mode": "best_effort"},
        "resumption": {"type": "enabled", "token": CREDIT},
        "mcp_servers": [{"name": "m", "url": "https://h", "authorization_token": CREDIT}],
        "messages": [{"role": "user", "content": "hi"}],
        "metadata": {"user_id": "u"},
    }
    found = parts(body, Redactor())
    assert CREDIT not in joined(found).decode()
    assert found.replacements == 3
    kept = json.loads(joined(found))
    assert kept["fallback_credit_token"] == {"token": "[redacted:token]", "mode": "best_effort"}
    assert kept["mcp_servers"][0]["name"] == "m"
    assert kept["messages"] == body["messages"]


@pytest.mark.parametrize(
    "body",
    [
        f'{{"system":[{{"type":"text","text":"{KEY}","text":"clean"}}]}}',
        f'{{"system":[{{"type":"text","a":{{"b":"{KEY}"}},"a":1}}]}}',
        f'{{"system":"{KEY}","system":"clean"}}',
        f'{{"metadata":{{"a":"{KEY}","a":1}}}}',
        f'{{"messages":[{{"role":"user","content":"{KEY}","content":"clean"}}]}}',
        f'{{"x":{{"resumption":{{"token":"{KEY[:9]}","token":""}}}}}}',
    ],
)
def test_a_key_that_stands_twice_hides_no_secret(body: str) -> None:
    found = split(body.encode(), Redactor())
    assert KEY[:9] not in joined(found).decode()
    assert found.exact is False
    json.loads(joined(found))


def test_what_follows_a_body_is_redacted_too() -> None:
    assert KEY.encode() not in joined(split(b'{"a":1} ' + KEY.encode(), Redactor()))


def test_a_key_that_stands_twice_changes_its_own_segment_only() -> None:
    found = split(f'{{"system":[{{"a":"{KEY}","a":1}},{{ "a":2}}],"x": {{ "b" :1 }}}}'.encode(), Redactor())
    assert joined(found) == b'{"system":[{"a":1},{ "a":2}],"x": { "b" :1 }}'


def test_what_held_no_secret_keeps_its_bytes() -> None:
    clean, dirty = '{ "type":"text", "text":"\\u0061" }', f'{{ "type":"text", "text":"{KEY}" }}'
    found = split(f'{{"system": [{clean}, {dirty}], "max_tokens" : 1.0}}'.encode(), Redactor())
    assert joined(found) == (
        f'{{"system": [{clean}, {{"type":"text","text":"[redacted:anthropic-key]"}}], "max_tokens" : 1.0}}'.encode()
    )


def test_a_lone_surrogate_beside_a_secret_is_written_as_an_escape() -> None:
    found = split(f'{{"system":["\\ud800 {KEY}"],"x":1}}'.encode(), Redactor())
    assert joined(found) == b'{"system":["\\ud800 [redacted:anthropic-key]"],"x":1}'


def test_identity_is_of_the_redacted_text() -> None:
    other = KEY[:-1] + "x"
    one, two = parts(user(text(KEY)), Redactor()), parts(user(text(other)), Redactor())
    assert one.segments[0].hash == two.segments[0].hash
    assert one.segments[0].bytes == len(json.dumps(text(KEY)))


@pytest.mark.parametrize("escaped", [True, False])
def test_a_text_of_other_scripts_is_read_as_it_was_said(escaped: bool) -> None:
    given = user(
        {"type": "tool_use", "name": "Führe", "input": {"größe": [1.5, True, None, "漢😀", "plain"], "path": "/a/é"}}
    )
    found = split(json.dumps(given, ensure_ascii=escaped).encode(), Redactor())
    (segment,) = found.segments
    assert (segment.tool, segment.target) == ("Führe", "/a/é")
    assert json.loads(joined(found)) == given
    assert segment.hash == only(given).hash


def test_a_secret_among_other_scripts_is_replaced_and_nothing_else() -> None:
    found = parts(user(text(f"größer 漢 {KEY} 😀")), Redactor())
    assert json.loads(joined(found)) == user(text("größer 漢 [redacted:anthropic-key] 😀"))


def test_media_is_not_searched_for_secrets() -> None:
    body = user({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": KEY}})
    assert parts(body, Redactor()).exact is True


# ---- without content


def test_without_content_the_map_stays_and_no_text() -> None:
    whole = parts(BODY, Redactor())
    bare = without_content(whole)
    assert bare.segments == whole.segments
    assert (bare.contents, bare.skeleton, bare.exact, bare.replacements) == ({}, None, None, 0)
    assert whole.contents
