"""A body changed at single places."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.verbatim import UNFAITHFUL, items, members, readdressed, spliced

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON), st.sampled_from([None, 0, 2]), st.booleans())
def test_members_are_those_that_json_reads_and_stand_where_they_say(
    value: dict[str, Any], indent: int | None, plain: bool
) -> None:
    text = " " + json.dumps(value, indent=indent, ensure_ascii=plain) + "\n"
    found = members(text)
    assert {name: place.value for name, place in found.items()} == value
    assert all(json.loads(text[place.start : place.end]) == place.value for place in found.values())
    assert all(json.loads(f"{{{text[place.key : place.end]}}}") == {name: place.value} for name, place in found.items())


@given(st.lists(JSON), st.sampled_from([None, 1]))
def test_items_are_those_that_json_reads(value: list[Any], indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    found = items(text, 0)
    assert [place.value for place in found] == value
    assert [json.loads(text[place.start : place.end]) for place in found] == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"a":1',
        '{"a":1,}',
        '{"a" 1}',
        '{"a":1 "b":2}',
        '{"a":1,"a":2}',
        '{"a":1,"\\u0061":2}',
        "{1:2}",
        "{x}",
    ],
)
def test_what_is_no_object_or_names_a_member_twice_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        members(text)


@pytest.mark.parametrize("text", ["{}", "[1", "[1,]", "[1 2]", "[,]"])
def test_what_is_no_array_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        items(text, 0)


def test_several_places_are_changed_at_once_in_any_order() -> None:
    text = '{"a": 1, "b": [2], "c": 3}'
    found = members(text)
    assert spliced(text, [(found["c"], "x"), (found["a"], "y")]) == '{"a": y, "b": [2], "c": x}'


def test_only_the_model_changes_and_every_other_byte_stays() -> None:
    body = (
        b' { "max_tokens": 1e3,\n "model" : "claude-opus-5", "x": "\\u00e9 \\ud83d", "messages": [ {"role":"user"} ] } '
    )
    assert readdressed(body, "m-2") == body.replace(b'"claude-opus-5"', b'"m-2"')
    assert readdressed(body, "claude-opus-5") == body


@pytest.mark.parametrize("name", UNFAITHFUL)
def test_what_cannot_be_sent_twice_is_left_out_wherever_it_stands(name: str) -> None:
    own, model = f'"{name}": {{"token": "t"}}', '"model":"a"'
    for text in (f"{{{own}, {model}}}", f"{{{model}, {own}}}", f'{{{model},{own},"z":1}}'):
        assert name.encode() not in readdressed(text.encode(), "b")
        assert json.loads(readdressed(text.encode(), "b")) == {
            k: v for k, v in json.loads(text).items() if k != name
        } | {"model": "b"}


@pytest.mark.parametrize("body", [b"{}", b'{"model": 3}', b"[]", b"\xff"])
def test_a_body_that_names_no_model_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        readdressed(body, "b")
