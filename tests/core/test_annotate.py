"""What is found in a declined request by itself."""

import base64
import json
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import request
from proxy.core.annotate import ANNOTATORS, MAGIC, Request, annotate, size, text_of
from proxy.core.context import split
from schemas.labels import Label
from schemas.records import Annotation, Segment

NOISE = base64.b64encode(random.Random(5).randbytes(30_000)).decode()


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


def result(*content: Any, n: int = 1) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": list(content)}


def call(name: str, n: int = 1, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": given}


def talk(*contents: Any) -> bytes:
    """A body whose messages are the user's and the assistant's in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": content} for n, content in enumerate(contents)]
    return json.dumps({"model": "claude-opus-5", "messages": messages}).encode()


def found(body: bytes, language: Any = None) -> list[Annotation]:
    parts = split(body, None)
    return annotate(parts.segments, parts.contents, language=language)


def values(body: bytes, name: str, language: Any = None) -> list[str]:
    return [one.value for one in found(body, language) if one.name == name]


def only(body: bytes, name: str) -> Annotation:
    (one,) = [one for one in found(body) if one.name == name]
    return one


def test_a_plain_request_of_claude_code_has_a_script_and_its_media_and_nothing_else() -> None:
    parts = split(request(turns=3), None)
    assert [(one.name, one.value, one.evidence) for one in annotate(parts.segments, parts.contents)] == [
        ("script", "Latin", ["messages[0].content[1]"]),
        ("media", "image/png", ["1 in the request", "messages[8].content[0]: 4 kB"]),
    ]


@pytest.mark.parametrize(
    ("said", "scripts"),
    [
        ("Please look at my file.", ["Latin"]),
        ("Посмотри `foo_bar()` в src/app.py", ["Cyrillic"]),
        ("Перепиши этот текст: please read the manual first", ["Latin", "Latin+Cyrillic"]),
        ("実験ノートを見てください", ["Hiragana"]),
        ("x = {1: 2};", ["Latin"]),
        ("12345 …", []),
        ("", []),
    ],
)
def test_the_script_is_that_of_what_the_user_wrote_last(said: str, scripts: list[str]) -> None:
    assert values(talk("привет", "hello", [text(said)]), "script") == scripts


def test_after_a_tool_call_it_is_that_of_the_prompt_before() -> None:
    body = talk("Почини, пожалуйста, тест", [call("Bash", command="ls")], [result(text("ok ok ok"))])
    assert only(body, "script").evidence == ["messages[0].content"]
    assert values(body, "script") == ["Cyrillic"]


def test_what_the_client_adds_is_not_the_users() -> None:
    body = talk([text("<system-reminder>Regeln des Hauses"), text("привет")])
    assert values(body, "script") == ["Cyrillic"]


@pytest.mark.parametrize(
    ("said", "language"),
    [
        ("실험 노트를 봐주세요 지금", ["ko"]),
        ("実験ノートを見てください", ["ja"]),
        ("请帮我看看这个文件", ["zh"]),
        ("Παρακαλώ διόρθωσε αυτό το τεστ", ["el"]),
        ("한국", []),
        ("Please have a look at my file", ["xx"]),
        ("Please look", []),
        ("Supercalifragilisticexpialidocious", []),
        ("def foo(bar):\n    x = {1: 2}\nfor key in (a, b): print(key)", []),
        ("gjcvjnhb vjq afqk b bcghfdm jib,re d ntcnt", []),
        (f"have a look at this file\n{'{};' * 400}x{'abcdef1' * 400}", []),
    ],
)
def test_the_language_comes_from_the_script_or_from_a_detector_and_not_from_code(
    said: str, language: list[str]
) -> None:
    assert values(talk(said), "language", lambda said: ("xx", 0.9)) == language


def test_without_a_detector_or_where_it_is_unsure_latin_text_has_no_language() -> None:
    body = talk("Please have a look at my file")
    assert values(body, "language") == []
    assert values(body, "language", lambda said: None) == []


def test_the_language_says_who_told_it() -> None:
    by = {one.value: one.evidence for said in ("実験ノートを見てください", "Please have a look at my file")
          for one in found(talk(said), lambda said: ("en", 0.91)) if one.name == "language"}  # fmt: skip
    assert by == {
        "ja": ["by its script", "messages[0].content"],
        "en": ["by a detector", "messages[0].content"],
    }


def test_an_annotator_that_fails_takes_nothing_from_the_others() -> None:
    def broken(said: str) -> None:
        raise RuntimeError(said)

    names = {one.name for one in found(talk("Please have a look at the malware, an exploit"), broken)}
    assert names == {"script", "domain"}


def test_a_wrong_keyboard_layout_is_named_and_its_text_is_not() -> None:
    one = only(talk("gjcvjnhb vjq afqk b bcghfdm jib,re d ntcnt"), "layout")
    assert one.value == "Russian on US"
    assert one.evidence == ["typed on the US layout, reads as Russian on its own", "messages[0].content"]
    assert "vjq" not in repr(found(talk("gjcvjnhb vjq afqk b bcghfdm jib,re d ntcnt")))
    assert values(talk("gjcvjnhb vjq afqk b bcghfdm jib,re d ntcnt"), "entropy") == []


def test_encoded_text_of_a_tools_result_is_told_with_its_size_and_bits() -> None:
    one = only(talk("see", [call("Read", file_path="a.bin")], [result(text(NOISE))]), "entropy")
    assert one.value == "high"
    assert one.evidence == ["messages[2].content[0]: 40 kB, 6.0 bits a character, base64"]


def test_letters_without_words_are_told_of_the_user_and_not_of_a_tool() -> None:
    jumble = "xqzvk wplfj qnbzt hgwrk vxcmn plqwd zzkjh bqrtv xqgfh wvbnk"
    assert only(talk(jumble), "entropy").evidence[0].endswith("letters that make no words")
    assert values(talk("look", [call("Bash", command="x")], [result(text(jumble))]), "entropy") == []


def test_entropy_is_of_the_last_turn_alone_and_pictures_have_none() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": NOISE}}
    assert values(talk(NOISE, "hm", "go on"), "entropy") == []
    assert values(talk([picture, text("look")]), "entropy") == []
    assert values(talk("look", [call("Read", file_path="a.png")], [result(picture)]), "entropy") == []


def test_media_are_counted_by_kind_with_their_pages() -> None:
    def medium(n: int, kind: str, pages: int | None = None) -> Segment:
        path = f"messages[{n}].content[0]"
        return Segment(
            n=n,
            label=Label.MEDIA,
            path=path,
            media=kind,
            pages=pages,
            bytes=41_000 * n,
            tokens_est=1,
            hash="h",
            content="c",
        )

    segments = [medium(n, "image/png") for n in range(1, 8)] + [
        medium(8, "application/pdf", 12),
        medium(9, "application/pdf", 1),
    ]
    told = [one for one in annotate(segments, {}) if one.name == "media"]
    assert [(one.value, one.evidence[0], len(one.evidence)) for one in told] == [
        ("image/png", "7 in the request", 6),
        ("application/pdf", "2 in the request", 3),
    ]
    assert told[1].evidence[1:] == [
        "messages[8].content[0]: 328 kB, 12 pages",
        "messages[9].content[0]: 369 kB, 1 page",
    ]


def test_the_test_string_for_refusals_is_found_wherever_it_stands() -> None:
    whole = f"{MAGIC}_{'1FAEFB61' * 8}"
    body = talk("look", [call("Read", file_path="a.js")], [result(text(f"// {whole}"))], "hm", f"what is {MAGIC}?")
    one = only(body, "marker")
    assert (one.confidence, one.evidence) == (1.0, ["messages[2].content[0] (tool result of Read)"])
    named = only(talk("look", f"{MAGIC}, says the documentation"), "marker")
    assert (named.confidence, named.evidence) == (0.3, ["messages[1].content (assistant text)"])
    assert values(talk("ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_46C9A13E"), "marker") == []


def test_the_field_is_hinted_at_by_words_files_and_tools() -> None:
    one = only(talk("design primers for s.fasta"), "domain")
    assert (one.value, one.evidence) == (
        "life_science",
        ["primer (messages[0].content)", ".fasta (messages[0].content)"],
    )
    assert one.confidence < 1


def test_after_a_tool_call_the_prompt_counts_beside_the_result_and_what_the_tool_opened() -> None:
    segments = split(talk("design primers", [call("mcp__pubmed__get")], [result(text("ok"))]), None)
    assert [one.value for one in annotate(segments.segments, segments.contents) if one.name == "domain"] == [
        "life_science"
    ]
    opened = split(talk("design primers", [call("Read")], [result(text("ok"))]), None)
    opened.segments[-1].target = "/lab/s.gb"
    assert [one.value for one in annotate(opened.segments, opened.contents) if one.name == "domain"] == ["life_science"]


def test_without_the_contents_the_map_alone_is_read() -> None:
    parts = split(request(turns=1), None)
    assert [one.name for one in annotate(parts.segments, {})] == ["media"]
    assert annotate([], {}) == []


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[1]", b'{"messages": 5}', b'{"messages": [5, {}, {"role": "user"}]}']
)
def test_what_is_no_request_has_nothing_in_it(body: bytes) -> None:
    assert found(body) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'"hi"', "hi"),
        (b'{"type": "text", "text": "hi"}', "hi"),
        (b'{"type": "text", "text": 5}', ""),
        (b'{"type": "tool_result", "content": "hi"}', "hi"),
        (b'{"type": "tool_result", "content": [{"type": "text", "text": "a"}, {"type": "image"}, "b"]}', "a\nb"),
        (b'{"type": "tool_result"}', ""),
        (b'"\\ud83d"', "\ud83d"),
        (b'"a\nb"', "a\nb"),
        (b"5", ""),
        (b"{", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
        (b'"' + b"a" * (16 << 20) + b'"', ""),
        (None, ""),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_text_of_a_content_is_read_where_there_is_one(content: bytes | None, said: str) -> None:
    assert text_of(content) == said


def test_sizes_are_short() -> None:
    assert [size(n) for n in (0, 999, 1000, 41_300, 999_499, 999_500, 2_345_678)] == [
        "0 B", "999 B", "1 kB", "41 kB", "999 kB", "1.0 MB", "2.3 MB",
    ]  # fmt: skip


WORDS = st.sampled_from(
    ["hello", "привет", "ghbdtn", "plasmid", "実験", NOISE[:300], MAGIC, "x.fasta", "{};", "\ud83d", ""]
)
PARTS = st.text() | st.lists(WORDS).map(" ".join)
JSON = st.recursive(st.none() | st.integers() | PARTS, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["type", "text", "content"]) | st.text(), inner))  # fmt: skip
SEGMENTS = st.builds(
    Segment,
    n=st.integers(0, 9),
    label=st.sampled_from(list(Label)) | st.text(),
    path=st.sampled_from(["", "system[0]", "messages[0].content", "messages[1].content[0]", "messages[2].content[1]"])
    | st.text(),
    tool=st.none() | PARTS,
    media=st.none() | PARTS,
    target=st.none() | PARTS,
    pages=st.none() | st.integers(),
    bytes=st.integers(0, 10**9),
    tokens_est=st.just(1),
    hash=st.just("h"),
    content=st.sampled_from("abcd"),
)


@given(
    st.lists(SEGMENTS),
    st.dictionaries(st.sampled_from("abc"), st.binary() | JSON.map(lambda value: json.dumps(value).encode())),
)
def test_no_annotator_fails_on_any_map(segments: list[Segment], contents: Mapping[str, bytes]) -> None:
    asked = Request(segments, contents, lambda said: ("en", 0.9))
    for annotator in ANNOTATORS:
        for one in annotator(asked):
            assert 0 < one.confidence <= 1
            assert len(one.evidence) <= 6
    annotate(segments, contents)
