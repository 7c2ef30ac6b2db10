"""Lines left out of the texts of one value."""

from typing import Any

import pytest

from proxy.core.excision import PLACEHOLDER, texts_of, without_lines

CALL = {"type": "tool_use", "id": "t", "name": "Edit", "input": {"path": "/a", "edits": [{"new": "x\ny"}, 3]}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x\ny"}, IMAGE]}
TOOL = {
    "name": "Read",
    "description": "It\nreads.",
    "input_schema": {
        "properties": {"path": {"description": "which", "enum": ["a"]}, "description": {"type": "string"}}
    },
}
PAPER = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x\ny"}}


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("a\nb", ["a\nb"]),
        ({"type": "text", "text": "a"}, ["a"]),
        (CALL, ["/a", "x\ny"]),
        (RESULT, ["x\ny"]),
        ({"type": "tool_result", "tool_use_id": "t", "content": "a"}, ["a"]),
        ({"type": "tool_result", "tool_use_id": "t"}, []),
        ({"type": "text", "text": 3}, []),
        (TOOL, ["It\nreads.", "which"]),
        ({"name": "R", "input_schema": {}}, []),
        (PAPER, ["x\ny"]),
        ({"type": "document", "source": {"type": "base64", "data": "aGk="}}, []),
        (IMAGE, []),
        (None, []),
    ],
)
def test_the_texts_of_a_value_are_those_that_a_person_wrote_or_read(value: Any, texts: list[str]) -> None:
    assert texts_of(value) == texts


@pytest.mark.parametrize("value", ["a\nb", CALL, RESULT, TOOL, PAPER, IMAGE], ids=str)
def test_nothing_left_out_is_the_same_value(value: Any) -> None:
    assert without_lines(value, ()) == value


def test_each_run_of_lines_leaves_one_placeholder_and_the_shape_stays() -> None:
    assert without_lines("a\nb\nc\nd\ne", {1, 2, 4}) == f"{PLACEHOLDER}\nc\n{PLACEHOLDER}\ne"
    assert without_lines("a", {1}) == PLACEHOLDER


def test_lines_are_numbered_through_all_texts_of_the_value() -> None:
    assert without_lines(CALL, {1, 3})["input"] == {"path": PLACEHOLDER, "edits": [{"new": f"x\n{PLACEHOLDER}"}, 3]}
    assert without_lines(RESULT, {2})["content"] == [{"type": "text", "text": f"x\n{PLACEHOLDER}"}, IMAGE]
    cut = without_lines(TOOL, {2, 3})
    assert cut["description"] == f"It\n{PLACEHOLDER}"
    assert cut["input_schema"]["properties"]["path"] == {"description": PLACEHOLDER, "enum": ["a"]}
    assert without_lines(PAPER, {1})["source"]["data"] == f"{PLACEHOLDER}\ny"
