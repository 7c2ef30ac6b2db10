"""Markdown and HTML: what others wrote is text there, and nothing else."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entries import entry, name
from proxy.cli import words
from proxy.core.scrub import Scrubber
from proxy.exporters import markdown, page
from proxy.exporters.bars import BROADEST, MOST_MONTHS, MOST_SERIES, REST, chart
from proxy.exporters.chosen import Chosen
from proxy.exporters.export import Export
from proxy.exporters.levels import Curtain, Level
from proxy.exporters.sheet import MOST_IDS, MOST_PARTS
from proxy.judgements import judge
from proxy.store import Store
from schemas.labels import Verdict
from schemas.records import Judgement

EVIL = "<script>alert(1)</script> ![x](https://evil.example/p.png) @someone #1 `tick` | <img src=x onerror=y> \x1b[31m"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "demur.db"


def store_evil(db: Path) -> None:
    evil = entry(
        1,
        b'"' + EVIL.replace("\x1b", "").encode() + b'"',
        project=EVIL,
        category=EVIL,
        explanation=EVIL,
        model=EVIL,
        incident_id=name(1),
    )
    evil.segments[0].new, evil.segments[0].target, evil.segments[0].tool = True, EVIL, EVIL
    with Store.open(db) as store:
        store.apply([evil, entry(2, category="bio", at="2099-10-01T00:00:00.000Z")])
        judge(
            store,
            Judgement(
                refusal_id=name(1), at="2099-12-01", author=EVIL, verdict=Verdict.CORRECT, domain=EVIL, note=EVIL
            ),
        )


def written(db: Path, form: Any, level: Level = Level.EXCERPTS) -> str:
    with Store.open(db) as store:
        made = Export(store, Chosen(), level, Curtain(Scrubber()), line=words.line, text=words.text)
        return "".join(form.written(made))


class Seen(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("level", Level)
def test_a_page_has_no_script_no_image_and_no_address_whatever_stands_in_the_records(db: Path, level: Level) -> None:
    store_evil(db)
    seen = Seen(written(db, page, level))
    assert not {"script", "img", "link", "iframe", "form", "base", "object"} & {tag for tag, _ in seen.tags}
    names = {name for _, attributes in seen.tags for name in attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "style", "srcset")}
    addresses = [attributes["href"] for _, attributes in seen.tags if "href" in attributes]
    assert addresses
    assert all(str(address).startswith("#") for address in addresses)
    assert "<script>alert(1)" in seen.text
    assert "\x1b" not in seen.text


def test_a_page_allows_by_its_policy_only_the_style_that_it_has(db: Path) -> None:
    store_evil(db)
    text = written(db, page)
    (policy,) = [
        tag["content"] or "" for name, tag in Seen(text).tags if tag.get("http-equiv") == "Content-Security-Policy"
    ]
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert f"style-src 'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "url(" not in style
    assert "@import" not in style


def test_a_page_draws_the_counts_and_writes_them_in_a_table_too(db: Path) -> None:
    store_evil(db)
    seen = Seen(written(db, page, Level.IDS))
    assert [bar["class"] for tag, bar in seen.tags if tag == "rect" and "x" in bar] == ["s0", "s1"]
    assert "2099-10, bio: 1" in seen.text


def test_a_page_of_nothing_is_a_page(db: Path) -> None:
    Store.open(db).close()
    seen = Seen(written(db, page))
    assert ("svg", {}) not in seen.tags
    assert "Declined requests" in seen.text


@pytest.mark.parametrize("level", Level)
def test_in_markdown_what_others_wrote_stands_in_code(db: Path, level: Level) -> None:
    store_evil(db)
    text = written(db, markdown, level)
    bare = re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", text)
    for risky in ("<", "![", "@", "#1", "evil", "`", "\x1b"):
        assert risky not in bare, risky
    assert all(line.count("|") == 8 for line in text.splitlines() if line.startswith("|"))


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1))
def test_a_code_span_is_closed_by_its_own_fence_alone(text: str) -> None:
    span = markdown.code(text)
    if not text.strip():
        assert span == "-"
        return
    (fence,) = re.findall(r"\A`+", span)
    inner = span[len(fence) : -len(fence)]
    assert span.endswith(fence)
    assert fence not in re.findall(r"`+", inner)
    assert inner in (text, f" {text} ")


def test_an_incident_is_one_section_with_its_requests(db: Path) -> None:
    made = [
        entry(n, b'"the same words"', request_id=f"req_{n:03}", session_id="s", fingerprint="b2:" + "0" * 32)
        for n in range(MOST_IDS + 5)
    ]
    for one in made:
        one.segments[0].new = True
        one.refusals[0].accepted_at = "2099-11-23T13:00:00.000Z"
    with Store.open(db) as store:
        store.apply(made)
        judge(store, Judgement(refusal_id=name(3), at="2099-12-01", author="ann", verdict=Verdict.FALSE_POSITIVE))
    text = written(db, markdown, Level.METADATA)
    assert text.count("\n## ") == 1
    assert f"| `{MOST_IDS + 5}` |" in text
    assert "`req_019`, `...`" in text
    assert "verdict: false positive" in text


@pytest.mark.parametrize("form", [page, markdown])
def test_the_section_of_one_refusal_has_its_request_id_and_one_time(db: Path, form: Any) -> None:
    with Store.open(db) as store:
        store.apply([entry(1, request_id="req_011CX0m7p0TCF5DrZKhFMPYD"), entry(2)])
    _, *sections = re.split("<section>|\n## ", written(db, form, Level.IDS))
    assert ["req_011CX0m7p0TCF5DrZKhFMPYD" in one for one in sections] == [False, True]
    assert [one.count("2099-11-23T14:00:0") for one in sections] == [1, 1]


def test_of_many_new_parts_the_last_are_told_and_the_others_counted(db: Path) -> None:
    many = entry(1, *(f'"{n}"'.encode() for n in range(MOST_PARTS + 3)))
    for segment in many.segments:
        segment.new = True
    with Store.open(db) as store:
        store.apply([many])
    assert "- `and 3 more`" in written(db, markdown, Level.METADATA)


def test_a_single_month_is_no_wider_than_any_other() -> None:
    drawn = chart([("2026-11", "cyber", 8), ("2026-11", "bio", 3)])
    assert drawn
    (tick, _), *_ = drawn.ticks
    for bar in drawn.bars:
        assert bar.width == BROADEST
        assert abs(bar.x + bar.width / 2 - tick) < 0.2


def test_the_table_of_a_page_has_times_as_people_write_them_and_keeps_names_whole(db: Path) -> None:
    with Store.open(db) as store:
        store.apply([entry(1, request_id="req_011CX0m7p0TCF5DrZKhFMPYD"), entry(2, at="some time")])
    html = written(db, page)
    assert ">2099-11-23 14:00:01</a>" in html
    assert ">some time</a>" in html
    assert "<td><code>req_011CX0m7p0TCF5DrZKhFMPYD</code></td>" in html
    assert "td code { overflow-wrap: break-word; }" in html


def test_what_is_wide_is_scrolled_with_keys_on_a_screen_and_whole_on_paper(db: Path) -> None:
    store_evil(db)
    html = written(db, page)
    wide = [attributes for _, attributes in Seen(html).tags if attributes.get("class") == "wide"]
    assert [(one["tabindex"], one["role"], bool(one["aria-label"])) for one in wide] == [("0", "region", True)] * 3
    assert html.count("<table>") + html.count('<svg viewBox="0 0 7') == len(wide)
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in Seen(html).tags if tag == "th")
    paper = html[html.index("@media print") :].partition("\n")[0]
    assert ".wide { overflow: visible; } td code { overflow-wrap: anywhere; }" in paper


def test_a_chart_has_every_month_between_and_ends_with_the_last() -> None:
    made = chart([("2026-11", "cyber", 4), ("2026-09", "bio", 2), ("2026-11", "bio", 2), ("no month", "bio", 9)])
    assert made is not None
    assert made.series == ["cyber", "bio"]
    assert made.rows == [("2026-09", [0, 2]), ("2026-10", [0, 0]), ("2026-11", [4, 2])]
    assert [(bar.series, bar.title) for bar in made.bars] == [
        (1, "2026-09, bio: 2"),
        (0, "2026-11, cyber: 4"),
        (1, "2026-11, bio: 2"),
    ]
    heights = [bar.height for bar in made.bars]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2)
    assert made.bars[2].y == pytest.approx(made.scale[1][0], abs=0.2)


def test_a_wrong_clock_neither_stretches_the_chart_nor_hides_what_was_right() -> None:
    right = [("2026-11", "cyber", 4), ("2026-09", "cyber", 2)]
    for wrong in ("1970-01", "2099-11"):
        made = chart([(wrong, "old", 1), *right])
        assert made is not None
        assert sorted(month for month, _ in made.rows) == sorted([wrong, "2026-09", "2026-11"])
        assert sum(sum(row) for _, row in made.rows) == 7
    many = [(f"{year}-01", "cyber", 1) for year in range(1800, 2000)]
    made = chart(many)
    assert made is not None
    assert len(made.rows) == MOST_MONTHS
    assert chart([("", "cyber", 1), ("2026-13", "cyber", 1)]) is None


def test_a_month_without_any_has_no_row_in_the_table_of_the_page(db: Path) -> None:
    with Store.open(db) as store:
        store.apply([entry(1, at="2026-01-01T00:00:00.000Z"), entry(2, at="2026-03-01T00:00:00.000Z")])
    text = written(db, page, Level.IDS)
    assert ">2026-01</th>" in text
    assert "2026-02" not in text.partition("</svg>")[2]


def test_more_categories_than_colours_share_the_last_one() -> None:
    made = chart([("2026-11", f"c{n}", 20 - n) for n in range(12)])
    assert made is not None
    assert len(made.series) == MOST_SERIES
    assert made.series[-1] == REST
    assert sum(made.rows[0][1]) == sum(20 - n for n in range(12))
