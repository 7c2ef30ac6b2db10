"""What the benchmark of `demur import` plants is what an import finds. Nothing here looks at a clock."""

import json
import sqlite3
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import homes, importing  # noqa: E402 - beside the tests, and no package that is installed
from bench.homes import MB, Facts, Home  # noqa: E402
from proxy.cli.importing import import_  # noqa: E402


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Path]:
    projects = tmp_path_factory.mktemp("home") / "projects"
    return homes.write(projects, 5 * MB), projects


def imported(projects: Path, db: Path) -> str:
    done = CliRunner().invoke(import_, [str(projects), "--db", str(db), "--strict", "--json"])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_home_has_the_size_and_the_files_that_it_says(home: tuple[Home, Path]) -> None:
    made, projects = home
    files = list(projects.rglob("*.jsonl"))
    assert len(files) == made.files
    assert sum(path.stat().st_size for path in files) == made.bytes
    assert 5 * MB <= made.bytes < 6 * MB
    assert any(path.parent.name == "subagents" for path in files)


def test_every_line_is_json_and_no_id_stands_in_two_sessions(home: tuple[Home, Path]) -> None:
    _, projects = home
    owners: dict[str, set[str]] = {}
    for path in projects.rglob("*.jsonl"):
        for line in map(json.loads, path.read_text().splitlines()):
            names = (line.get("uuid"), line.get("requestId"), (line.get("message") or {}).get("id"))
            for name in filter(None, names):
                owners.setdefault(name, set()).add(line["sessionId"])
    assert len(owners) > 500
    assert not [name for name, sessions in owners.items() if len(sessions) > 1]


def test_an_import_finds_what_was_planted_and_nothing_else(home: tuple[Home, Path], tmp_path: Path) -> None:
    made, projects = home
    db = tmp_path / "demur.db"
    imported(projects, db)
    assert made.declined.total() > 0
    assert importing.wrong(importing.on_record(db), made.declined) == ""
    told = json.loads(imported(projects, db))
    assert told["files"]["unchanged"] == made.files
    assert importing.wrong(importing.on_record(db), made.declined) == ""


def test_what_is_missing_or_too_much_is_said(home: tuple[Home, Path], tmp_path: Path) -> None:
    made, projects = home
    db = tmp_path / "demur.db"
    imported(projects, db)
    with closing(sqlite3.connect(db)) as opened:
        opened.execute("delete from refusals where id in (select id from refusals limit 1)")
        opened.commit()
    found = importing.on_record(db)
    assert importing.wrong(found, made.declined).startswith("1 that were declined are not on record")
    fact = next(iter(made.declined))
    assert "and 1 are that were not" in importing.wrong(made.declined + Counter([fact]), made.declined)
    other: Facts = Counter({(*name[:2], "of-next-year"): n for name, n in made.declined.items()})
    assert "a category that they had not" in importing.wrong(other, made.declined)


def test_what_was_declined_behind_a_long_line_is_found(tmp_path: Path) -> None:
    made = homes.with_a_line(tmp_path / "projects", 2 * MB, 2)
    assert made.bytes > 4 * MB
    db = tmp_path / "demur.db"
    imported(tmp_path / "projects", db)
    assert importing.wrong(importing.on_record(db), made.declined) == ""
