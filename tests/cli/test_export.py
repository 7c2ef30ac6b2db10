"""``demur export``: which refusals, at which level, and where it is written."""

import csv
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands import ESCAPES, LISTED, SECRET, declined, fails, keep, lines, objects, posix, request
from entries import entry, name
from proxy.cli.exporting import FORMATS, LEVELS, export
from proxy.cli.importing import import_
from proxy.exporters.levels import Level
from proxy.judgements import judge
from proxy.reports import Report, mark
from proxy.store import Store
from schemas.labels import Kind, Verdict
from schemas.records import Judgement

ROOT = Path(__file__).parents[2]
EMAIL, HOME = "ann@mail.example", "/home/annabel/reports"


def demur(*arguments: object, db: Path, **environment: str) -> Result:
    result = CliRunner().invoke(export, [*map(str, arguments), "--db", str(db)], env=environment or None)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def ids(*arguments: object, db: Path) -> list[str]:
    return [one["id"] for one in objects(demur("--level", "ids", *arguments, db=db))]


def fill(db: Path) -> None:
    """Four refusals of three incidents."""
    given: list[dict[str, Any]] = [
        {"category": "cyber", "model": "claude-opus-5", "request_id": "req_011A"},
        {"category": "bio", "model": "claude-opus-4-8", "at": "2026-01-02T00:00:00.000Z"},
        {"kind": Kind.POLICY_ERROR},
        {"category": "cyber", "model": "claude-opus-5"},
    ]
    keep(db, *(entry(n, f'"{n}"'.encode(), **fields) for n, fields in enumerate(given)))
    with Store.open(db) as store:
        judge(store, Judgement(refusal_id=name(1), at="2099", author="ann", verdict=Verdict.CORRECT))
        with store.transaction() as connection:
            connection.execute("update refusals set incident_id = ? where id = ?", [name(0), name(3)])


def test_a_line_has_what_the_list_has_in_the_same_order(db: Path) -> None:
    keep(db, declined(request()))
    (line,) = objects(demur(db=db))
    assert [field for field in line if field in LISTED] == LISTED
    assert (line["demur"], line["level"], line["category"], line["request_id"]) == (1, "metadata", "cyber", "req_1")


def test_the_filters_are_those_of_the_list_and_more(db: Path) -> None:
    fill(db)
    assert ids(db=db) == [name(n) for n in (1, 0, 2, 3)]
    for arguments, found in (
        (["--category", "cyber"], [0, 3]),
        (["--category", "none"], [2]),
        (["--model", "claude-opus-4-8"], [1]),
        (["--kind", "policy_error"], [2]),
        (["--since", "2027-01-01"], [0, 2, 3]),
        (["--unjudged"], [0, 2, 3]),
        (["--verdict", "correct"], [1]),
        (["--incident", name(3)], [0, 3]),
        (["--incident", "req_011A", "--incident", name(2)], [0, 2, 3]),
        ([name(2), "req_011A"], [0, 2]),
        (["last"], [3]),
        ([name(1), "--category", "cyber"], []),
    ):
        assert ids(*arguments, db=db) == [name(n) for n in found], arguments


def test_a_name_of_nothing_is_one_line(db: Path) -> None:
    assert "nothing is recorded" in fails(demur("last", db=db))
    fill(db)
    assert "no refusal is named zzz" in fails(demur("zzz", db=db))
    assert "empty ID" in fails(demur("--incident", " ", db=db), 2)


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "datasette"])
@pytest.mark.parametrize("level", [level for level in LEVELS if level != "full"])
def test_no_secret_and_nothing_personal_is_in_any_format_below_full_and_the_request_id_is(
    db: Path, form: str, level: str
) -> None:
    said = f"mail {EMAIL} about {HOME}/x.txt with password hunter2-Zq81kd at 10.20.30.40"
    made = entry(
        1,
        json.dumps(said).encode(),
        request_id="req_011CPlanted",
        project=EMAIL,
        user="annabel",
        explanation=said,
        category="cyber",
    )
    made.segments[0].new, made.segments[0].target = True, f"{HOME}/x.txt"
    keep(db, made)
    with Store.open(db) as store:
        judge(
            store,
            Judgement(
                refusal_id=name(1),
                at="2099",
                author=EMAIL,
                verdict=Verdict.CORRECT,
                note=f"{said} {SECRET}",
                domain=EMAIL,
                tags=[EMAIL],
            ),
        )
    result = demur("--format", form, "--level", level, db=db)
    assert result.exit_code == 0
    for planted in (EMAIL, HOME, "annabel", "10.20.30.40", SECRET[20:40]):
        assert planted not in result.stdout
    assert "req_011CPlanted" in result.stdout


def test_a_word_of_the_deny_list_does_not_leave(db: Path, tmp_path: Path) -> None:
    keep(db, entry(1, project="acme-rocket"))
    config = tmp_path / "demur.toml"
    config.write_text('[redact]\ndeny = ["rocket"]\n')
    assert "rocket" in demur(db=db).stdout
    assert "rocket" not in demur("--config", config, db=db).stdout
    assert "rocket" in demur("--config", config, "--level", "full", db=db).stdout


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "datasette"])
def test_what_others_wrote_does_not_drive_a_terminal(db: Path, form: str) -> None:
    keep(db, entry(1, project=f"x{ESCAPES}y", explanation=ESCAPES, category=f"c{ESCAPES}"))
    shown = demur("--format", form, "--level", "full", db=db).stdout
    assert not set(ESCAPES.replace("owned", "").replace("31m", "")) & set("\x1b\x07\x9b\u202e\u200b") & set(shown)


@pytest.mark.parametrize("form", FORMATS)
def test_where_nothing_is_recorded_an_export_is_empty_and_well(db: Path, form: str) -> None:
    result = demur("--format", form, db=db)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert (result.stdout == "") is (form == "jsonl")
    assert not db.exists()


@posix
@pytest.mark.parametrize("level", LEVELS)
def test_a_file_is_readable_by_its_owner_alone(db: Path, tmp_path: Path, level: str) -> None:
    fill(db)
    target = tmp_path / "out.jsonl"
    said = lines(demur("--level", level, "-o", target, db=db))
    assert said == [f"{target}: 4 refusals, level {level}"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert len(target.read_text().splitlines()) == 4
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")] == []


def test_an_existing_file_is_written_over_only_when_asked(db: Path, tmp_path: Path) -> None:
    fill(db)
    target = tmp_path / "out.csv"
    target.write_text("mine")
    assert "--force" in fails(demur("--format", "csv", "-o", target, db=db))
    assert target.read_text() == "mine"
    lines(demur("--format", "csv", "-o", target, "--force", db=db))
    assert len(list(csv.reader(target.read_text().splitlines()))) == 5


def test_a_file_that_comes_meanwhile_is_not_written_over(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(db)
    target = tmp_path / "out.jsonl"
    link = os.link

    def late(source: str, place: Path) -> None:
        target.write_text("another's")
        link(source, place)

    monkeypatch.setattr(os, "link", late)
    assert "--force" in fails(demur("-o", target, db=db))
    assert target.read_text() == "another's"
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".out")] == []


def test_where_there_are_no_links_it_is_written_all_the_same(
    db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(db)
    target = tmp_path / "out.jsonl"

    def refused(source: str, place: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert lines(demur("-o", target, db=db))
    assert len(target.read_text().splitlines()) == 4


def test_where_it_cannot_be_written_one_line_says_so(db: Path, tmp_path: Path) -> None:
    fill(db)
    assert "no folder" in fails(demur("-o", tmp_path / "none" / "out", db=db))
    assert "no file" in fails(demur("-o", tmp_path, "--force", db=db), 2)
    assert "the database itself" in fails(demur("-o", db, "--force", db=db), 2)
    assert "the database itself" in fails(demur("-o", f"{db}-wal", "--force", db=db), 2)
    for length in (300, 250):  # for the file itself, and for the one that takes its place meanwhile
        assert "cannot be written" in fails(demur("-o", tmp_path / ("x" * length), db=db))


@pytest.mark.parametrize(("form", "ending"), [("label-studio", "config.xml"), ("argilla", "settings.json")])
def test_what_a_set_up_needs_is_written_beside(db: Path, tmp_path: Path, form: str, ending: str) -> None:
    fill(db)
    target = tmp_path / "tasks.json"
    told = json.loads("".join(lines(demur("--format", form, "-o", target, "--json", db=db))))
    beside = tmp_path / f"tasks.{ending}"
    assert told == {"path": str(target), "beside": str(beside), "format": form, "level": "metadata", "refusals": 4}
    assert "verdict" in beside.read_text()
    assert len(json.loads(target.read_text())) == 4
    target.unlink()
    assert ending in fails(demur("--format", form, "-o", target, db=db))
    assert not target.exists()
    assert ending in lines(demur("--format", form, "-o", target, "--force", db=db))[0]


def test_the_queries_for_datasette_name_the_database(db: Path, tmp_path: Path) -> None:
    target = tmp_path / "metadata.yaml"
    assert lines(demur("--format", "datasette", "-o", target, db=db)) == [f"{target}: queries"]
    assert '  "demur":' in target.read_text()


def test_a_dash_is_standard_output(db: Path) -> None:
    fill(db)
    assert len(objects(demur("-o", "-", "--json", db=db))) == 4


def test_what_does_not_go_together_is_told(db: Path) -> None:
    assert "jsonl" in fails(demur("--traffic", "--format", "csv", db=db), 2)
    assert "--json" in fails(demur("--json", "--format", "csv", db=db), 2)


def test_the_counts_of_all_requests_come_first(db: Path) -> None:
    fill(db)
    counts, *refusals = objects(demur("--traffic", db=db))
    assert (counts["traffic"]["hour"], counts["n"]) == ("2026-11-23T14", 4)
    assert len(refusals) == 4


def test_without_a_database_there_are_no_counts_either(db: Path) -> None:
    assert demur("--traffic", db=db).stdout == ""


def test_what_is_exported_whole_and_imported_on_another_machine_is_exported_there_the_same(
    db: Path, tmp_path: Path
) -> None:
    fill(db)
    keep(db, declined(request()))
    target, other = tmp_path / "full.jsonl", tmp_path / "other.db"
    lines(demur("--level", "full", "-o", target, db=db))
    assert CliRunner().invoke(import_, [str(target), "--db", str(other)]).exit_code == 0
    there, here = objects(demur("--level", "full", db=other)), objects(demur("--level", "full", db=db))
    for line in (*there, *here):  # what is one incident is found anew
        del line["incident_id"]
    assert there == here
    assert len(there) == 5


def test_a_whole_export_that_went_through_another_machine_is_the_same_to_the_byte(db: Path, tmp_path: Path) -> None:
    odd = b'{"model":"claude-opus-5","messages":[{"role":"user","content":"lone \\ud800, nul \\u0000"}],"stream":true}'
    keep(
        db,
        declined(request(2)),
        declined(odd, at=1_795_444_700.0, request_id="req_2"),
        entry(21, b"\xff\xfe\x00 binary"),
    )
    one = ids(db=db)[0]
    with Store.open(db) as store:
        for author, verdict in (("ann", Verdict.CORRECT), ("bob", Verdict.UNSURE)):
            judge(store, Judgement(refusal_id=one, at="2026-11-24", author=author, verdict=verdict, note="why"))
        mark(store, [Report(refusal_id=one, at="2026-11-25", url="https://example.org/issues/1", shape="issue")])
    whole = ("--level", "full", "--traffic")
    here = demur(*whole, db=db).stdout
    other = tmp_path / "other.db"
    for _ in range(2):
        arguments = ["-", "--db", str(other)]
        assert CliRunner().invoke(import_, arguments, input=here.encode()).exit_code == 0
        assert demur(*whole, db=other).stdout == here
    assert len(ids(db=other)) == 3


def test_a_damaged_request_is_told_of_and_the_rest_is_written(db: Path) -> None:
    fill(db)
    with Store.open(db) as store, store.transaction() as connection:
        connection.execute("update chunks set items = x'00' where id = 1")
    result = demur(db=db)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 4
    assert "the requests of 1 refusals are left out" in result.stderr


@posix
def test_a_reader_that_has_seen_enough_is_no_failure(db: Path) -> None:
    keep(db, *(entry(n, b'"%d"' % n) for n in range(300)))
    code = "from proxy.cli.exporting import export; export()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "--db", str(db)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert child.stdout
    assert child.stderr
    assert json.loads(child.stdout.readline())["level"] == "metadata"
    child.stdout.close()
    assert child.stderr.read() == ""
    child.stderr.close()
    assert child.wait() == 0


def test_the_levels_and_formats_that_are_named_are_those_that_there_are() -> None:
    assert tuple(Level) == LEVELS
    assert "Example:" in CliRunner().invoke(export, ["--help"]).stdout
