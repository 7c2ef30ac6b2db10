import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from answers import DETAILS, STOP, end, start
from commands import (
    ESCAPES,
    LISTED,
    declined,
    demur,
    fails,
    keep,
    lines,
    objects,
    on_terminal,
    posix,
    request,
    without_colour,
)
from proxy.store import Store

MATCH = "where n label tool target path new at".split()


def note(db: Path, text: str) -> None:
    with Store.open(db) as store:
        row: dict[str, Any] = {"at": "2026-11-24T00:00:00.000Z", "author": "me", "verdict": "unsure", "tags": "[]"}
        store.db.table("judgements").insert(row | {"refusal_id": store.find("last").id, "note": text})


def test_what_is_found_is_told_by_where_it_stands_and_without_its_text(db: Path) -> None:
    keep(
        db,
        declined(request(said="The yeast is dry.")),
        declined(request(said="No bread."), request_id="req_2", at=1_795_444_600.0),
    )
    title, row = lines(demur("search", "yeast", db=db))
    assert title.split() == "ID TIME MODEL CATEGORY VERDICT WHERE".split()
    assert re.search(r"claude-opus-5 +cyber +unknown +user text  messages\[0\].content\[1\]", row)
    assert "yeast" not in row
    assert "dry" not in demur("search", "yeast", "--json", db=db).stdout
    _, first, second = lines(demur("search", "file_path", db=db))
    assert first.split()[0] > second.split()[0]
    assert "tool use  Read" in first
    _, many = lines(demur("search", "bread OR house", db=db))[:2]
    assert many.endswith("+1")


def test_the_text_is_shown_where_it_is_asked_for_and_cannot_drive_a_terminal(db: Path) -> None:
    keep(db, declined(request(said=f"The\nyeast {ESCAPES} is dry.\n" + "x" * 500)))
    facts, place, text = lines(demur("search", "YEAST", "--content", db=db))
    assert re.search(r"  claude-opus-5  cyber  verdict: unknown", facts)
    assert place.split() == ["user", "text", "messages[0].content[1]"]
    assert text.startswith("    │ The yeast \\x1b]0;owned\\x07\\x9b31m\\u202e\\u200b is dry. xxx")
    assert text.endswith("x…")
    (found,) = objects(demur("search", "yeast", "--content", "--json", db=db))
    assert found["matches"][0]["excerpt"].startswith("The yeast \\x1b]0;owned")


def test_many_places_of_one_request_are_summed_up(db: Path) -> None:
    keep(db, declined(request(turns=9)))
    *shown, more = lines(demur("search", "line", "--content", db=db))
    assert sum(line.startswith("    │ ") for line in shown) == 3
    assert more == "  6 more places: --json has all"
    _, row = lines(demur("search", "line", db=db))
    assert row.endswith("+8")


def test_programs_get_the_record_as_the_list_has_it_and_every_match(db: Path) -> None:
    keep(db, declined(request(turns=3, said="line")))
    (found,) = objects(demur("search", "line", "--json", db=db))
    assert list(found) == [*LISTED, "matches"]
    (listed,) = objects(demur("list", "--all", "--json", db=db))
    assert {name: found[name] for name in LISTED} == {name: listed[name] for name in LISTED}
    assert all(list(match) == MATCH for match in found["matches"])
    last, *_, first = found["matches"]
    assert (last["label"], last["tool"], last["path"]) == ("tool_result", "Read", "messages[6].content[0]")
    assert (first["where"], first["label"], first["n"] > 0) == ("segment", "user_text", True)


def test_explanations_and_notes_are_searched(db: Path) -> None:
    keep(db, declined(request()))
    with closing(sqlite3.connect(db)) as other, other:
        other.execute("update refusals set explanation = 'Perhaps a mishap.'")
    note(db, "It was\na mistake")
    assert lines(demur("search", "mishap", db=db))[1].endswith("  explanation")
    assert lines(demur("search", "mistake", db=db))[1].endswith("  note")
    assert lines(demur("search", "mishap", "--content", db=db))[2] == "    │ Perhaps a mishap."
    assert lines(demur("search", "mistake", "--content", db=db))[2] == "    │ It was a mistake"
    (found,) = objects(demur("search", "mistake", "--json", db=db))
    assert (found["matches"][0]["where"], found["matches"][0]["at"]) == ("note", "2026-11-24T00:00:00.000Z")


def test_filters_are_those_of_the_list(db: Path) -> None:
    keep(
        db,
        declined(request()),
        declined(
            request(),
            start() + end("refusal", stop_details={**DETAILS, "category": "bio"}) + STOP,
            request_id="req_2",
            at=1_795_544_600.0,
        ),
    )

    def found(*options: str) -> list[str]:
        return [one["category"] for one in objects(demur("search", "file", "--json", *options, db=db))]

    assert found() == ["bio", "cyber"]
    assert found("--category", "cyber") == ["cyber"]
    assert found("--since", "2026-11-24T12:00") == ["bio"]
    assert found("--model", "other") == found("--kind", "output_filter") == found("--verdict", "correct") == []
    assert found("--unjudged", "--verdict", "unknown", "--model", "claude-opus-5", "--kind", "refusal") == found()
    assert found("--limit", "1") == ["bio"]
    *_, more = lines(demur("search", "file", "--limit", 1, db=db))
    assert more == "1 more: --limit 2 shows all"
    *_, more = lines(demur("search", "file", "--limit", 1, "--content", db=db))
    assert more == "1 more: --limit 2 shows all"


def test_nothing_found_is_no_failure_and_says_what_was_searched(db: Path) -> None:
    keep(db, declined(request()), declined(request(), request_id="req_2", content=False))
    said = " ".join(lines(demur("search", "absent", db=db)))
    assert said.startswith("Nothing was found in 2 refusals. Of 1 of them no text is stored")
    assert lines(demur("search", "absent", "--json", db=db)) == []
    assert lines(demur("search", "absent", "--category", "bio", db=db)) == ["Nothing was found in 0 refusals."]


def test_where_nothing_is_recorded_nothing_is_made(db: Path) -> None:
    (said,) = lines(demur("search", "absent", db=db))
    assert said.startswith("Nothing is recorded yet")
    assert lines(demur("search", "absent", "--json", db=db)) == []
    assert not db.exists()


@pytest.mark.parametrize("asked", ["foo-bar", '"unbalanced', "a:b", "NEAR(", "x AND", "*x", "'", "C++ (a)", "NOT"])
def test_odd_characters_are_no_syntax(asked: str, db: Path) -> None:
    keep(db, declined(request()))
    result = demur("search", "--json", "--", asked, db=db)
    assert (result.exit_code, result.stderr) in ((0, ""), (2, result.stderr))
    assert asked == "'" or result.exit_code == 0


def test_a_query_without_a_word_is_misused(db: Path) -> None:
    assert "there is no word in the query" in fails(demur("search", "((", db=db), 2)
    assert demur("search", db=db).exit_code == 2


def test_what_cannot_be_written_is_searched_with_a_warning(db: Path) -> None:
    keep(db, declined(request(said="The yeast is dry.")))
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("begin immediate")
        result = demur("search", "yeast", db=db)
    assert result.exit_code == 0
    assert "user text" in result.stdout
    assert "is locked by another process" in result.stderr
    assert "It is searched without an index" in result.stderr


def test_damage_is_told_and_the_rest_is_shown(db: Path) -> None:
    keep(db, declined(request(said="The yeast is dry.")))
    lines(demur("search", "yeast", db=db))
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("update segments set zstd = x'00'")
    result = demur("search", "yeast", "--content", db=db)
    assert result.exit_code == 0
    assert "`demur db verify` tells more" in result.stderr
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("update chunks set items = x'00'")
    result = demur("search", "yeast", db=db)
    assert "cannot be read" in result.stdout
    assert "`demur db verify` tells more" in result.stderr


@posix
def test_the_index_is_its_owner_s_alone(db: Path) -> None:
    keep(db, declined(request()))
    lines(demur("search", "file", db=db))
    assert {file.stat().st_mode & 0o777 for file in db.parent.glob("demur.db*")} == {0o600}


@posix
def test_on_a_terminal_the_match_is_marked_and_a_long_index_says_how_far_it_is(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(db, declined(request(said="The yeast is dry.")))
    seen = on_terminal(100, "search", "yeast", "--content", "--db", db)
    assert "The \x1b[33m\x1b[1myeast\x1b[0m is dry." in seen
    assert any("user text" in line for line in without_colour(on_terminal(60, "search", "yeast", "--db", db)))
    from proxy.cli import searching

    monkeypatch.setattr(searching, "PATIENCE", 0.0)
    told = searching._progress()
    told(1, 3)
    told(3, 3)


def test_json_is_of_what_others_wrote_and_cannot_drive_a_terminal(db: Path) -> None:
    keep(db, declined(request(said=f"yeast {ESCAPES}")))
    out = demur("search", "yeast", "--json", "--content", db=db).stdout
    assert "\x1b" not in out
    assert json.loads(out)["matches"]
