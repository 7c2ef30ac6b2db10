"""Where nothing is recorded: what there is to do, for those who have only transcripts as well."""

from pathlib import Path

import pytest

from commands import demur
from proxy.cli.nothing import nothing


@pytest.fixture
def transcripts(at_home: Path) -> Path:
    made = at_home / "home" / ".claude" / "projects"
    made.mkdir(parents=True)
    return made


ASKING = [["list"], ["show", "last"], ["search", "x"], ["label", "last", "--tag", "x"]]


@pytest.mark.parametrize("command", ASKING)
def test_those_who_have_transcripts_are_told_of_them(transcripts: Path, db: Path, command: list[str]) -> None:
    said = demur(*command, db=db).output
    assert "othing is recorded yet" in said
    assert "`demur import`" in said
    assert str(transcripts) in said
    assert "demur run -- claude" in said


@pytest.mark.parametrize("command", ASKING)
def test_a_database_that_is_not_there_is_named(at_home: Path, db: Path, command: list[str]) -> None:
    assert f"there is no {db}" in demur(*command, db=db).output


def test_without_transcripts_a_file_can_be_imported(at_home: Path, db: Path) -> None:
    assert "`demur import FILE`" in nothing(db)


def test_claude_codes_own_folder_may_be_elsewhere(
    at_home: Path, db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere" / "projects").mkdir(parents=True)
    assert str(tmp_path / "elsewhere" / "projects") in nothing(db)


def test_doctor_tells_of_the_import_and_of_its_exit_code(transcripts: Path, db: Path) -> None:
    told = demur("doctor", "--offline", db=db).stdout
    assert str(transcripts) in told
    assert "`demur import` reads what was declined before" in told
    failed = demur("doctor", db=db, DEMUR_UPSTREAM="http://127.0.0.1:1")
    assert failed.exit_code == 1
    last = failed.stdout.splitlines()[-1]
    assert last.startswith("1 failed")
    assert last.endswith("The exit code is 1 where a check failed, and 0 where all is well but for warnings.")


def test_doctor_tells_those_without_transcripts_of_the_import_too(at_home: Path, db: Path) -> None:
    assert "`demur import FILE`" in demur("doctor", "--offline", db=db).stdout


@pytest.mark.parametrize(
    ("typed", "close"),
    [(["expot"], "export"), (["list", "--catgory", "x"], "--category"), (["db", "verfy"], "verify")],
)
def test_what_is_misspelt_is_answered_with_what_was_meant(typed: list[str], close: str) -> None:
    result = demur(*typed)
    assert result.exit_code == 2
    assert f"Did you mean '{close}'?" in result.stderr
