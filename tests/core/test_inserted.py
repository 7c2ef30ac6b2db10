"""What goes from the end of a tool's result, as the client put it there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.inserted import LONGEST, MOST, unfolded

HOOK = "PostToolUse:Bash hook success: x"


def folded(text: str) -> str:
    return f"\n\n<system-reminder>\n{text}\n</system-reminder>"


@pytest.mark.parametrize(
    "said",
    [
        HOOK,
        "PostToolUse:Bash hook additional context: a\nb",
        "# claudeMd\nBe brief.",
        "The date has changed. Today's date is now 2026-11-25.",
        "Token usage: 5/9; 4 remaining",
        "The TodoWrite tool hasn't been used recently.",
    ],
)
def test_what_begins_as_the_client_s_own_goes(said: str) -> None:
    assert unfolded("abc" + folded(said)) == "abc"
    assert unfolded("abc" + folded(said) * 2 + folded(HOOK)) == "abc"
    assert unfolded(folded(said)) == ""


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "abc",
        folded("text of the file itself"),
        folded(f"text\n{HOOK}"),
        folded("Result of calling the Read tool:\n1\ttext"),
        folded(HOOK) + "z",
        folded(HOOK) + "\n",
        folded(HOOK)[1:],
        folded(HOOK + "y" * LONGEST),
        "<system-reminder>\n</system-reminder>",
        "</system-reminder>",
    ],
)
def test_the_end_of_a_file_stays_whatever_it_looks_like(kept: str) -> None:
    assert unfolded("abc" + kept) == "abc" + kept


def test_what_stands_before_a_block_that_stays_stays_too() -> None:
    text = "abc" + folded(HOOK) + folded("text of the file itself")
    assert unfolded(text) == text
    assert unfolded(text + folded(HOOK)) == text


def test_of_many_blocks_only_so_many_go() -> None:
    assert unfolded("abc" + folded(HOOK) * MOST) == "abc"
    assert unfolded("abc" + folded(HOOK) * (MOST + 3)) == "abc" + folded(HOOK) * 3


@given(st.lists(st.sampled_from([folded(HOOK), folded("x"), "<system-reminder>\n", "\n\n", "</system-reminder>", "y"])))
def test_no_more_goes_than_the_bound(parts: list[str]) -> None:
    text = "".join(parts)
    assert text.startswith(unfolded(text))
    assert len(text) - len(unfolded(text)) <= MOST * LONGEST


@pytest.mark.parametrize("hostile", ["<system-reminder>\n", folded(""), folded(HOOK), "</system-reminder>"])
def test_no_result_takes_long(hostile: str) -> None:
    """Of 8 MB; a time that grew with the square was more than a minute."""
    unfolded("x" + hostile * (8_000_000 // len(hostile)) + "</system-reminder>")
    unfolded("x" + hostile * (8_000_000 // len(hostile)))
