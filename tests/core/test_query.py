# ruff: noqa: RUF001 - other alphabets are what is tested
"""What of a segment is text, how it is indexed, and what a query asks for. Whether both fit is FTS5's to say."""

import json
import re
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.query import TOKENIZER, QueryError, excerpt, folded, parse, said


def fits(asked: str, text: str) -> bool:
    with closing(sqlite3.connect(":memory:")) as memory:
        memory.execute(f"""create virtual table t using fts5 (text, content='', tokenize="{TOKENIZER}")""")
        memory.execute("insert into t (rowid, text) values (1, ?)", [folded(text)])
        sql = "select count(*) from t where t match ?"
        return bool(memory.execute(sql, [parse(asked).expression]).fetchone()[0])


@pytest.mark.parametrize(
    ("asked", "text", "found"),
    [
        ("refusal", "The REFUSAL, again", True),
        ("refus", "The refusal", False),
        ("refus*", "The refusal", True),
        ("foo-bar", "a foo-bar", True),
        ("foo-bar", "bar, foo", False),
        ("bar foo", "foo and bar", True),
        ('"foo bar"', "foo and bar", False),
        ('"foo ba"*', "x foo bar", True),
        ("foo OR bar", "bar", True),
        ("foo OR bar", "baz", False),
        ("foo bar OR baz", "baz", True),
        ("foo AND bar", "bar foo", True),
        ("foo NOT bar", "foo", True),
        ("foo NOT bar", "foo bar", False),
        ("foo NOT bar NOT baz", "foo baz", False),
        ("foo NOT bar OR bar", "bar", True),
        ("foo NOT bar baz", "foo", False),
        ("foo NOT bar baz", "foo baz", True),
        ("NOT found", "it was not found", True),
        ("found NOT", "not found", True),
        ("found OR NOT", "not", True),
        ('"OR"', "this or that", True),
        ("handle_refusal", "handle_refusal(x)", True),
        ('say "hello', "hello, say I", True),
        ('a"b c"d', "d a b c", True),
        ("naïve", "NAIVE", True),
        ("cafe", "cafe\u0301", True),
        ("strasse", "Straße", True),
        ("ｆｏｏ", "foo", True),
        ("(foo: ^bar + {baz})", "foo bar baz", True),
        ("NEAR(foo bar)", "near foo bar", True),
        ("text:foo", "text: foo", True),
        ("C:\\Users\\me", "in C:\\Users\\me\\x", True),
        ("foo ''' -- ;", "foo", True),
        ("f＂oo", "f oo", True),
        ("отказ", "Отказ модели", True),
        ("ОТКАЗ", "этот отказ", True),
        ("отказ", "отказа", False),
        ("отказ*", "отказами", True),
        ("елка", "Ёлка", True),
        ("研究室", "東京の研究室です", True),
        ("研究", "東京の研究室です", True),
        ("室", "東京の研究室です", True),
        ("す", "東京の研究室です", True),
        ("究研", "東京の研究室です", False),
        ("東京研究", "東京の研究室です", False),
        ("東京 研究", "東京の研究室です", True),
        ('"研究室 です"', "研究室 です", True),
        ("Python言語", "これはPython言語だ", True),
        ("言語Python", "この言語Pythonは", True),
        ("研究*", "研究室", True),
        ("カナ", "ｶﾅ", True),
        ("거부", "요청이 거부되었습니다", True),
        ("거부", "거부는", True),
        ("유", "이유", True),
        ("이유", "거부", False),
        ("病毒", "这是一种病毒。", True),
        ("ไทย", "ภาษาไทยง่าย", True),
        ("हिन्दी", "यह हिन्दी है", True),
        ("हि", "यह हिन्दी है", False),
    ],
)
def test_a_query_finds_what_a_person_means(asked: str, text: str, found: bool) -> None:
    assert fits(asked, text) is found


@pytest.mark.parametrize("asked", ["", "  ", '"', '""', "*", "((", "-- ;", '"…" !'])
def test_a_query_without_a_word_says_so(asked: str) -> None:
    with pytest.raises(QueryError, match="there is no word in the query"):
        parse(asked)


@given(st.text(), st.text())
def test_no_query_is_a_syntax_error(asked: str, text: str) -> None:
    try:
        fits(asked, text)
    except QueryError:
        assert not re.search("[a-zA-Z0-9]", asked)


@given(st.text(alphabet="abcあいう漢字한국 -", min_size=1).filter(lambda text: text.strip(" -")))
def test_a_text_is_found_by_itself(text: str) -> None:
    assert fits(f'"{text}"', f"x {text} y")


@given(st.text(), st.text())
def test_an_excerpt_is_of_the_text(asked: str, text: str) -> None:
    try:
        found = excerpt(text, parse(asked))
    except QueryError:
        return
    assert found.before.removeprefix("…") + found.match + found.after.removesuffix("…") in text


@pytest.mark.parametrize(
    ("asked", "text", "match"),
    [
        ("foo", "food, foo", "foo"),
        ("foo*", "a food", "foo"),
        ("cafe bar", "The Café", "Café"),
        ("foo_bar", "foo\nbar", "foo\nbar"),
        ("елка", "Ёлка", "Ёлка"),
        ("究室", "研究室です", "究室"),
        ("강", "한강", "강"),
        ("ｆull", "Ｆｕｌｌ", "Ｆｕｌｌ"),
        ("a.b", "aXb a.b", "a.b"),
        ("strasse", "die Straße", ""),
    ],
)
def test_an_excerpt_shows_where_it_was_found(asked: str, text: str, match: str) -> None:
    assert excerpt(text, parse(asked)).match == match


def test_an_excerpt_is_short() -> None:
    found = excerpt("x" * 500 + " here " + "y" * 500, parse("here"))
    assert found.before == "…" + "x" * 59 + " "
    assert found.match == "here"
    assert found.after.startswith(" yyy")
    assert len(found.after) == 137
    assert found.after.endswith("…")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("said", "said"),
        ({"type": "text", "text": "said", "cache_control": {"type": "ephemeral"}}, "said"),
        ({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, "Hm."),
        ({"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "/a", "limit": 5}}, "file_path\n/a\nlimit\n5"),
        ({"type": "server_tool_use", "input": "x"}, "x"),
        ({"type": "tool_result", "tool_use_id": "toolu_1", "content": "line"}, "line"),
        ({"type": "tool_result", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "a\nb"),
        ({"type": "tool_result", "is_error": True}, "type\ntool_result\nis_error"),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}}, "type\nimage\nsource\ntype\nbase64\nmedia_type\nimage/png"),
        ({"type": "redacted_thinking", "data": "aGVsbG8="}, "type\nredacted_thinking"),
        ({"name": "Bash", "description": "Runs.", "strict": None}, "name\nBash\ndescription\nRuns.\nstrict"),
        ({"title": "a", "encrypted_content": "b"}, "title\na"),
        (1.5, "1.5"),
    ],
)  # fmt: skip
def test_what_a_person_reads_is_text_and_nothing_else(value: object, text: str) -> None:
    assert said(json.dumps(value).encode()) == text


@pytest.mark.parametrize("content", [b"no JSON", b'{"a": 1, "a": 2}', b"[" * 100_000])
def test_what_is_no_json_is_text(content: bytes) -> None:
    assert said(content) == content.decode()


def test_what_is_no_text_at_all_can_be_indexed() -> None:
    assert fits("word", said(b'"word \\ud800 \\u0000"'))
    assert fits("word", said(b"\xff word"))
