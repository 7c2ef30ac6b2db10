"""CSV: flat, as RFC 4180 has it, and harmless to a spreadsheet."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from entries import entry, name
from proxy.cli import words
from proxy.core.scrub import Scrubber
from proxy.exporters import table
from proxy.exporters.chosen import Chosen
from proxy.exporters.export import Export
from proxy.exporters.levels import IDS, Curtain, Level
from proxy.judgements import judge
from proxy.store import Store
from schemas.labels import Verdict
from schemas.records import Judgement


def rows(tmp_path: Path, level: Level = Level.METADATA, **fields: Any) -> list[dict[str, str]]:
    with Store.open(tmp_path / "demur.db") as store:
        store.apply([entry(1, b'"x"', **fields)])
        judge(
            store,
            Judgement(
                refusal_id=name(1),
                at="2099",
                author="ann",
                verdict=Verdict.CORRECT,
                note='a, "note"\nof two lines',
                tags=["a", "b"],
            ),
        )
        text = "".join(table.written(Export(store, Chosen(), level, Curtain(Scrubber()))))
    assert text.count("\r\n") == text.count("\n") - (level.has_text)  # the note's own
    assert text.startswith("\ufeffid,")  # or Excel takes it for the code page of the country
    return list(csv.DictReader(io.StringIO(text[1:], newline=""), strict=True))


@pytest.mark.parametrize(
    "formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\uff1d1", "=cmd|' /C calc'!A0"]
)
def test_a_formula_gets_an_apostrophe_in_front(tmp_path: Path, formula: str) -> None:
    assert rows(tmp_path, Level.FULL, project=formula)[0]["project"] == f"'{formula}"


@pytest.mark.parametrize("level", Level)
def test_the_columns_of_a_level_are_filled_and_its_text_only_where_it_has_some(tmp_path: Path, level: Level) -> None:
    (row,) = rows(tmp_path, level, explanation="The API's words.", streamed=True, output_tokens=0)
    assert list(row) == table.columns(level)
    assert (list(row) == IDS) is (level == Level.IDS)
    assert row.get("explanation") == ("The API's words." if level.has_text else None)
    assert row.get("note") == ('a, "note"\nof two lines' if level.has_text else None)
    if level != Level.IDS:
        assert (row["tags"], row["streamed"], row["output_tokens"], row["agent_id"]) == ("a; b", "true", "0", "")
        assert (row["attempts"], row["segments"], row["new_segments"], row["tokens_est"]) == ("1", "1", "0", "1")


def test_a_list_with_a_formula_is_defused_too(tmp_path: Path) -> None:
    assert rows(tmp_path, sources=["=x", "y", "=z"])[0]["sources"] == "'=x; y; '=z"


@pytest.mark.parametrize(
    ("text", "shown"), [("b;=1+2", "b;'=1+2"), ('y, z; @x "q"', 'y, z; \'@x "q"'), ("a-b; c=d", "a-b; c=d")]
)
def test_no_formula_begins_where_a_spreadsheet_splits_at_semicolons(tmp_path: Path, text: str, shown: str) -> None:
    (row,) = rows(tmp_path, Level.FULL, project=text)
    assert row["project"] == shown


@pytest.mark.parametrize("text", ["x" * 32_768, "\u202e" * 6000, "=" * 32_767])
def test_no_cell_is_longer_than_those_of_a_spreadsheet(tmp_path: Path, text: str) -> None:
    with Store.open(tmp_path / "demur.db") as store:
        store.apply([entry(1, explanation=text), entry(2, explanation="y" * 32_767)])
        made = Export(store, Chosen(), Level.FULL, Curtain(Scrubber()), line=words.line)
        cut, whole = csv.DictReader(io.StringIO("".join(table.written(made))[1:], newline=""), strict=True)
    assert (len(cut["explanation"]), cut["explanation"][-1]) == (32_767, "…")
    assert whole["explanation"] == "y" * 32_767


def test_no_record_leaves_the_head(tmp_path: Path) -> None:
    with Store.open(tmp_path / "demur.db") as store:
        text = "".join(table.written(Export(store, Chosen(), Level.IDS, Curtain(Scrubber()))))
    assert text == "\ufeff" + ",".join(IDS) + "\r\n"
