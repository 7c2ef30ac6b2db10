"""The quick identities are those of the map, whatever the body."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.core.context import split
from proxy.core.identities import Identities
from proxy.core.redact import Redactor

KEY = "sk-" + "ant-api03-" + "Ab1_" * 20
READ = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "/a.py", "deep": [{"x": 1.5}]}}
RESULT = {
    "type": "tool_result",
    "tool_use_id": "toolu_1",
    "content": "1\tprint(1)\n\n<system-reminder>\nx\n</system-reminder>",
}


def by_map(body: bytes, redactor: Redactor | None = None) -> list[tuple[str, str, str, int]]:
    return [(segment.label, segment.path, segment.hash, segment.bytes) for segment in split(body, redactor).segments]


def compact(body: object, *, plain: bool = True) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=plain).encode()


said = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "<system-reminder>\n# claudeMd\nToday's date is 2026-11-24.",
            "x-anthropic-billing-header: cc_version=2.1.197.a3f;",
            "on 2026-11-24",
            f"a {KEY}",
            "\ud800",
            "\\ud800",
            "é漢😀",
        ]
    ),
)
cached = st.sampled_from([{}, {"cache_control": {"type": "ephemeral"}}])
blocks = st.one_of(
    st.builds(lambda text, more: {"type": "text", "text": text, **more}, said, cached),
    st.builds(lambda text: {**RESULT, "content": text}, said),
    st.sampled_from([READ, RESULT, 5, None, "text", {"type": ["odd"]}, {"type": "image", "source": {"data": "aGk="}}]),
)
contents = st.one_of(said, st.lists(blocks, max_size=3), st.none(), st.just({"a": 1}))
roles = st.sampled_from(["user", "assistant", "system", "narrator", 5, None])
messages = st.lists(
    st.one_of(
        st.builds(lambda role, content: {"role": role, "content": content}, roles, contents),
        st.builds(lambda role, content: {"content": content, "role": role, "note": [1]}, roles, contents),
        st.sampled_from(["said", 5, {}, []]),
    ),
    max_size=4,
)
bodies = st.dictionaries(
    st.sampled_from(["model", "metadata", "x\\u0041", 'x"', "é"]), st.one_of(said, st.integers(), st.none()), max_size=2
).flatmap(
    lambda more: st.builds(
        lambda system, tools, turns: {"system": system, **more, "messages": turns, "tools": tools},
        contents,
        st.one_of(st.lists(st.sampled_from([{"name": "Read"}, 5]), max_size=2), st.none(), st.just({})),
        st.one_of(messages, st.just("said")),
    )
)
wire = st.one_of(
    st.builds(
        lambda body, plain: compact(body, plain=plain),
        bodies.filter(lambda b: "\\ud" not in json.dumps(b)),
        st.booleans(),
    ),
    bodies.map(compact),
    bodies.map(lambda body: json.dumps(body).encode()),
    bodies.map(lambda body: compact(body)[:-1]),
    st.binary(max_size=20),
)


@given(
    st.lists(wire, min_size=1, max_size=4), st.sampled_from([None, Redactor(), Redactor(["said"])]), st.integers(1, 9)
)
@example([b""], None, 1)
@example([b"{}"], None, 1)
@example([b"[1]"], None, 1)
@example([b'{"system":[]}', b'{"system":[ ]}', b'{"system":["a" ]}'], None, 1)
@example([b'{"system":"a","system":"b"}', b'{"system":"a","x":1,"system":["b"]}'], None, 1)
@example([b'{"messages":[{"role":"user","role":"system","content":"a","content":"b"}]}'], None, 1)
@example([b'{"s\\u0079stem":"a"}', b'{"system":"a"} ', b'{"system":"a"}{}'], None, 1)
@example([b'{"system":"\xff"}', b'{"a":"\xff","system":"a"}', b'{"\xff":1,"system":"a"}'], None, 1)
@example([b'{"a":' + b"1" * 5000 + b',"system":"a"}', b'{"system":' + b"[" * 5000 + b"]" * 5000 + b"}"], None, 1)
@example([b'{"system":"\\ud800 \\\\ud800","messages":["\\udfff"]}'], None, 1)
@example([b'{"system":["\\\\\\\\ud800"]}'], None, 1)
def test_the_identities_are_those_of_the_map(sent: list[bytes], redactor: Redactor | None, kept: int) -> None:
    identities = Identities(redactor, kept=kept)
    for body in [*sent, *sent]:
        assert identities.of(body) == by_map(body, redactor)


def grown(turns: int) -> Mapping[str, Any]:
    said: list[Any] = [{"role": "user", "content": f"turn {n}"} for n in range(turns)]
    return {"messages": said, "system": ["You are."], "tools": [{"name": "Read"}]}


def test_what_was_read_once_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    identities = Identities(None)
    identities.of(compact(grown(5)))
    known = by_map(compact(grown(5)))
    monkeypatch.setattr("proxy.core.identities.read", None)
    assert identities.of(compact(grown(5))) == known
    with pytest.raises(TypeError):
        identities.of(compact(grown(6)))


def test_what_was_used_last_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    identities = Identities(None, kept=2)
    for text in "abac":
        identities.of(compact({"system": text}))
    monkeypatch.setattr("proxy.core.identities.read", None)
    for text in "ac":
        assert identities.of(compact({"system": text})) == by_map(compact({"system": text}))
    with pytest.raises(TypeError):
        identities.of(compact({"system": "b"}))


def test_a_moved_cache_breakpoint_makes_nothing_new() -> None:
    def body(at: int) -> bytes:
        turns = [{"role": "user", "content": [{"type": "text", "text": f"turn {n}"}]} for n in range(3)]
        turns[at]["content"][0]["cache_control"] = {"type": "ephemeral"}  # type: ignore[index]
        return compact({"messages": turns})

    identities = Identities(None)
    hashes = [[one.hash for one in identities.of(body(n))] for n in (1, 2)]
    assert hashes[0] == hashes[1]
