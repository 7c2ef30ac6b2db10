# ruff: noqa: RUF001 - letters of other scripts
"""Scripts, and what of a text is language."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.script import LONGEST, excerpt, language_of, letters, mixed, prose, script_of, scripts, shares


@pytest.mark.parametrize(
    ("char", "script"),
    [
        ("a", "Latin"), ("ß", "Latin"), ("Ａ", "Latin"), ("я", "Cyrillic"), ("λ", "Greek"), ("ש", "Hebrew"), ("ع", "Arabic"),
        ("漢", "Han"), ("ｱ", "Katakana"), ("ひ", "Hiragana"), ("한", "Hangul"), ("ไ", "Thai"), ("ก", "Thai"), ("µ", None),
        ("1", None), ("_", None), ("\ue000", None), ("😀", None),
    ],
)  # fmt: skip
def test_the_script_of_a_letter_is_known_by_its_name(char: str, script: str | None) -> None:
    assert script_of(char) == script


def test_only_letters_are_counted() -> None:
    assert scripts("ab 12 [яя] я!") == {"Latin": 2, "Cyrillic": 3}
    assert shares("ab 12 [яя] я!") == [("Cyrillic", 0.6), ("Latin", 0.4)]
    assert shares("123 …") == []


def test_a_script_of_a_few_letters_does_not_matter() -> None:
    assert shares("посмотри мой файл и исправь ошибку в API") == [("Cyrillic", 30 / 33)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("привет hello", ["Cyrillic", "Latin"]),
        ("hello", []),
        ("実験ノートを見て", []),
        ("漢字と hello dear friend", ["Latin"]),
    ],
)
def test_scripts_are_mixed_only_where_they_do_not_belong_together(text: str, names: list[str]) -> None:
    assert mixed(shares(text))[:2] == (names if len(names) != 1 else [])


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("안녕하세요", "ko"), ("実験ノートを見てください", "ja"), ("カタカナ", "ja"), ("请看这个文件", "zh"), ("สวัสดี", "th"),
        ("καλημέρα", "el"), ("שלום", "he"), ("привет", None), ("hello", None), ("مرحبا", None), ("12", None),
        ("hello world の", None), ("한 ab я", None),
    ],
)  # fmt: skip
def test_a_script_that_one_language_has_tells_it(text: str, language: str | None) -> None:
    found = language_of(text)
    assert (found and found[0]) == language


def test_a_letter_that_is_a_syllable_counts_more() -> None:
    assert (letters("abcd"), letters("한국"), letters("漢")) == (4, 8, 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Please look at my file.", "Please look at my file"),
        ("Fix the (failing) test [now]; please!", "Fix the failing test now please"),
        ("see src/app.py, https://example.org/x and `foo bar` or me@example.org", "see and or"),
        ("const x = {a: 1};\nif (x) { return; }", ""),
        ("def foo(bar):\nПочини тест", "Почини тест"),
        ("camelCase snake_case UPPER Title v2 don't", "UPPER Title don't"),
        ("look:\n```py\nprint('hello dear friend')\n```\ndone", "look\n\ndone"),
        ("look:\n```\nnever closed", "look"),
        ("<command-name>clear</command-name> now", "clear now"),
        ("", ""),
    ],
)
def test_code_paths_addresses_and_names_are_no_language(text: str, words: str) -> None:
    assert prose(text).split() == words.split()


def test_of_a_long_text_the_beginning_and_the_end_are_looked_at() -> None:
    text = "a" * LONGEST + "b" * LONGEST
    assert excerpt("a" * LONGEST) == "a" * LONGEST
    assert excerpt(text) == "a" * (LONGEST // 2) + "\n" + "b" * (LONGEST // 2)


@given(st.text())
def test_any_text_can_be_looked_at(text: str) -> None:
    assert sum(share for _, share in shares(text)) <= 1.0001
    assert set("".join(prose(text).split())) <= set(text)
    language_of(text)
    mixed(shares(text)) if shares(text) else None
