import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commands import (
    demur,
    keep,
    lines,
)
from entries import refusal
from proxy.cli import course, words
from proxy.cli.layout import fit
from schemas.labels import Outcome
from schemas.records import Entry, Segment, Traffic


@pytest.mark.parametrize(
    ("n", "told"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9949, "9.9 kB"),
        (9950, "10 kB"),
        (999_500, "1.0 MB"),
        (43_210, "43 kB"),
    ],
)
def test_sizes_are_told_in_two_figures(n: int, told: str) -> None:
    assert words.size(n) == told


def test_one_is_singular_and_others_are_plural() -> None:
    assert [words.count(n, "entry") for n in (0, 1, 2)] == ["0 entries", "1 entry", "2 entries"]
    assert [words.count(n, "refusal") for n in (1, 1204)] == ["1 refusal", "1,204 refusals"]


def test_what_does_not_fit_is_cut_and_what_does_is_padded() -> None:
    assert fit("abc", 5) == "abc  "
    assert fit("abcdef", 5) == "abcd…"
    assert fit("実験ノート", 5) == "実験…"
    assert fit("実験ノート", 4) == "実… "


def test_a_time_of_an_importer_without_an_offset_is_taken_for_utc(tokyo: None) -> None:
    assert words.moment("2026-11-23T14:36:02") == "2026-11-23 23:36:02 +0900"
    assert words.local("2026-11-23T14:36:02Z") == datetime(2026, 11, 23, 14, 36, 2, tzinfo=UTC)
    assert words.local("2026-11-23T14:36:02Z") != datetime(2026, 11, 23, 14, 36, 2, tzinfo=UTC) + timedelta(hours=9)


@pytest.mark.parametrize(
    ("category", "evidence", "told"),
    [
        ("cyber", "message_delta.stop_reason", "The API's safeguards declined a request to m. It ended there."),
        (None, "message_delta.stop_reason", "The API declined (stop_reason: refusal) a request to m. It ended there."),
        (None, "usage.iterations", "The API declined a request to m. It ended there."),
    ],
)
def test_safeguards_are_named_only_where_the_api_named_a_category(
    category: str | None, evidence: str, told: str
) -> None:
    made = refusal(1, category=category, evidence=evidence, model="m", outcome=Outcome.REFUSED)
    assert course.sentence(made) == told


@pytest.mark.parametrize("char", ["\x7f", "\x9b", "\u2028", "\ud800", "\U000e0041"])
def test_json_escapes_what_a_terminal_would_obey(char: str) -> None:
    written = words.as_json({"a": f"é{char}"})
    assert char not in written
    assert "é" in written
    assert json.loads(written) == {"a": f"é{char}"}


def test_a_map_with_paths_of_any_kind_is_drawn() -> None:
    from proxy.cli.segments import lines as drawn
    from proxy.cli.segments import rows

    paths = ["system", "system[0]", "", "odd path", "tools[0]", "messages[0]", "messages[1].content[0]"]
    segments = [
        Segment(n=n, label="other", path=path, bytes=1, tokens_est=1, hash="", content="")
        for n, path in enumerate(paths)
    ]
    text = "\n".join(drawn(rows(segments), 80))
    for path in ("system", "[0]", "body", "odd path", "tools[0]", "messages[0]", "messages[1]"):
        assert path in text
    assert drawn([], 80) == []


def test_the_traffic_of_several_hours_is_added_up(db: Path) -> None:
    keep(db, Entry(traffic=[(Traffic(hour="2026-11-23T14"), 2), (Traffic(hour="2026-11-23T15"), 3)]))
    assert lines(demur("list", db=db)) == ["Nothing was declined: 5 requests went through demur."]
