# ruff: noqa: RUF001 - letters of other scripts
"""Text that is hardly text."""

import base64
import random
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core import entropy

RAW = random.Random(3).randbytes(300)
BASE64 = base64.b64encode(RAW).decode()
XXD = "\n".join(f"{n:08x}: {RAW[n : n + 16].hex(' ', 2)}  ................" for n in range(0, 300, 16))
PEM = "-----BEGIN CERTIFICATE-----\n" + "\n".join(BASE64[n : n + 64] for n in range(0, 400, 64))
WORDS = "The quick brown fox jumps over the lazy dog, and then it looks at what the tests have to say. "


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (BASE64, "base64"),
        (PEM, "base64"),
        (f"decode this: {BASE64}", "base64"),
        (WORDS * 60 + BASE64 * 4, "base64"),
        (RAW.hex(), "hexadecimal"),
        (XXD, "hexadecimal"),
        (" ".join(f"0x{byte:02x}" for byte in RAW), "hexadecimal"),
        ("".join(f"\\x{byte:02x}" for byte in RAW), "escapes"),
        (quote("привет мир как дела " * 5), "escapes"),
        (RAW.decode("latin-1"), "binary"),
        (RAW.decode(errors="replace"), "binary"),
        ("function a(b,c){return b(c)};var d={e:1,f:2};" * 40, "minified"),
        (WORDS * 300 + BASE64 * 40, "base64"),
    ],
)
def test_what_is_no_text_is_told_by_its_kind(text: str, kind: str) -> None:
    assert entropy.kind(text) == kind


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        WORDS * 4,
        WORDS * 60 + BASE64[:200],
        f"what is in the commit {RAW[:20].hex()}",
        "\n".join(f"{n},2024-01-01,{n * 37},ok" for n in range(100)),
        "\n".join(str(n * 123_457) for n in range(100)),
        "请帮我看看这个文件里面有什么问题，然后修复它。" * 8,
        "посмотри мой файл и исправь ошибку в тесте " * 8,
        "src/some/long/path/of/a/project/with/many/folders/and_a_long_name_of_a_file.py\n" * 10,
        "A_CONSTANT_WITH_A_VERY_LONG_NAME_THAT_IS_NO_BASE64_AT_ALL\n" * 10,
        "a very long line of prose " * 60,
        "мир(){}=;" * 100,
        "\x1b[31mred\x1b[0m and\tmore of a terminal " * 10,
    ],
)
def test_text_is_text(text: str) -> None:
    assert entropy.kind(text) is None


def test_our_own_source_is_text() -> None:
    sources = list(Path(entropy.__file__).parent.glob("*.py"))
    assert len(sources) > 20
    assert [source.name for source in sources if entropy.kind(source.read_text())] == []


def test_letters_that_make_no_words_are_told_of_what_a_person_typed() -> None:
    assert (
        entropy.nonsense("xqzvk wplfj qnbzt hgwrk vxcmn plqwd zzkjh bqrtv xqgfh wvbnk") == "letters that make no words"
    )
    assert entropy.nonsense("xqzvk wplfj") is None
    assert entropy.nonsense(WORDS) is None
    assert entropy.nonsense("Proszę popraw ten test jednostkowy i wyjaśnij, dlaczego wcześniej przechodził") is None
    assert entropy.nonsense("привет как дела что нового xq") is None
    assert entropy.nonsense("") is None


def test_bits_are_shannons() -> None:
    assert entropy.bits("") == 0
    assert entropy.bits("aaaa") == 0
    assert entropy.bits("abcd" * 5) == 2


@given(st.text() | st.text(alphabet="0123456789abcdefABCDEF%\\x=+/_- ", min_size=100, max_size=400))
def test_any_text_can_be_looked_at(text: str) -> None:
    entropy.kind(text)
    entropy.nonsense(text)
    assert entropy.bits(text) >= 0
