"""``demur report``: what is asked of a person, what is written, what is refused, and what was reported already."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands import declined, fails, keep, posix, request
from planted import IDS, SECRETS, left
from proxy.cli.reporting import report
from proxy.store import Store

AT = 1_795_444_562.324


def demur(*arguments: object, stdin: str | bytes | None = None, **environment: str) -> Result:
    result = CliRunner().invoke(report, list(map(str, arguments)), input=stdin, env=environment or None)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def two(db: Path) -> Path:
    """Two refusals of one incident."""
    keep(db, declined(request(), at=AT, request_id=IDS[0]), declined(request(), at=AT + 60, request_id=IDS[1]))
    return db


def test_a_report_is_written_to_stdout_and_its_account_to_stderr(two: Path) -> None:
    result = demur("last", "--yes", "--db", two)
    assert result.exit_code == 0
    assert result.stdout.startswith("# [BUG] Request declined by the API's safeguards: refusal, category cyber\n")
    assert IDS[1] in result.stdout
    assert IDS[0] not in result.stdout
    assert "<ID-1>  the id of a session" in result.stderr
    assert "usersafety@anthropic.com (2026-08)" in result.stderr


def test_a_report_goes_into_a_new_file_of_its_owners(two: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.txt"
    assert demur("last", "--yes", "--as", "mail", "-o", file, "--db", two).stdout == ""
    assert file.read_text().startswith("Subject: ")
    assert file.stat().st_mode & 0o777 == 0o600
    assert "is there already" in fails(demur("last", "--yes", "-o", file, "--db", two))
    assert "cannot write" in fails(demur("last", "--yes", "-o", tmp_path / "no" / "x", "--db", two))


def test_an_incident_or_a_filter_names_several(two: Path) -> None:
    for arguments in (
        ["last", "--incident"],
        ["--category", "cyber"],
        ["--model", "claude-opus-5", "--since", "2026-01-01"],
    ):
        made = json.loads(demur(*arguments, "--as", "json", "--yes", "--pairs", "--db", two).stdout)
        assert [event["request_id"] for event in made["events"]] == [IDS[0], IDS[1]]
    assert "no recorded refusal matches" in fails(demur("--category", "bio", "--yes", "--db", two))


def test_a_chosen_segment_is_told(two: Path) -> None:
    with Store.open(two) as store:
        n = next(one.n for one in store.segments(store.find("last").id) if one.label == "user_text")
    assert (
        "Please look at my file." in demur("last", "--level", "excerpts", "--segment", n, "--yes", "--db", two).stdout
    )
    assert "Please look" not in demur("last", "--yes", "--db", two).stdout
    both = ["last", "--incident", "--level", "excerpts", "--segment", n, "--yes", "--db", two]
    assert "name one refusal" in fails(demur(*both), 2)
    assert "no segment 999" in fails(demur("last", "--level", "excerpts", "--segment", 999, "--yes", "--db", two))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "no refusal is named"),
        (["last", "--category", "cyber"], "not both"),
        (["last", "--segment", "1"], "--segment needs --level excerpts"),
        (["last", "--level", "excerpts"], "needs --segment N"),
        (["last", "--check", "x"], "name no refusals"),
        (["mark", "last"], "what was reported where"),
        (["mark", "last", " "], "an empty URL"),
        (["", "--yes"], "an empty ID"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(two: Path, arguments: list[str], told: str) -> None:
    assert told in fails(demur(*arguments, "--db", two), 2)


def test_without_a_terminal_nothing_is_written_unless_yes_is_said(two: Path, tmp_path: Path) -> None:
    assert "say --yes" in fails(demur("last", "-o", tmp_path / "x", "--db", two), 2)
    assert not (tmp_path / "x").exists()


def test_nothing_recorded_is_said(db: Path) -> None:
    assert "nothing is recorded yet" in fails(demur("last", "--yes", "--db", db))
    assert "nothing is recorded yet" in fails(demur("mark", "last", "https://x.example", "--db", db))


def test_nothing_is_reported_twice_unless_it_is_asked_for(two: Path) -> None:
    url = "https://github.com/anthropics/claude-code/issues/1"
    assert (
        "2 refusals marked as reported"
        in demur("mark", "last", IDS[0], f"{url}?token=Abc123def456", "--as", "issue", "--db", two).stderr
    )
    told = fails(demur("last", "--incident", "--yes", "--db", two))
    assert f"at {url}" in told
    assert "(and 1 more)" in told
    assert "Abc123" not in told
    assert demur("last", "--yes", "--again", "--db", two).exit_code == 0
    with Store.open(two) as store:
        assert [row["shape"] for row in store.rows("select shape from reports")] == ["issue", "issue"]


def test_what_is_marked_goes_with_its_refusal(two: Path) -> None:
    from proxy.database import StoreError
    from proxy.reports import Report, mark, reported

    demur("mark", "last", "by mail", "--db", two)
    with Store.open(two) as store:
        name = store.find("last").id
        with store.transaction() as connection:
            connection.execute("delete from refusals where id = ?", [name])
        assert reported(store, [name]) == []
        with pytest.raises(StoreError, match="not stored any more"):
            mark(store, [Report(refusal_id=name, at="x", url="x")])


def test_a_list_that_takes_what_a_report_needs_is_told_of(two: Path, tmp_path: Path) -> None:
    config = tmp_path / "demur.toml"
    config.write_text('[redact]\ndeny = ["cyber"]\n')
    assert "cyber would be lost" in fails(demur("last", "--yes", "--db", two, "--config", config))


def test_the_key_of_the_environment_is_in_no_report(db: Path) -> None:
    key = "local-proxy-" + "key-0815"
    keep(db, declined(request(said=f"my key is {key}"), request_id=IDS[0]))
    with Store.open(db) as store:
        n = next(one.n for one in store.segments(store.find("last").id) if one.label == "user_text")
    result = demur("last", "--level", "excerpts", "--segment", n, "--yes", "--db", db, ANTHROPIC_API_KEY=key)
    assert "my key is <SECRET-1>" in result.stdout


def test_a_text_of_ones_own_is_checked(tmp_path: Path) -> None:
    file, out = tmp_path / "mine.md", tmp_path / "clean.md"
    file.write_text(f"{IDS[0]}: my key {SECRETS['github']}, ask joe@corp.example.de\n")
    result = demur("--check", file)
    assert result.exit_code == 1
    assert result.stdout == f"{IDS[0]}: my key <SECRET-1>, ask <EMAIL-1>\n"
    assert "<SECRET-1>  a secret (github-token)" in result.stderr
    assert left(SECRETS["github"], result.stderr) is None
    assert demur("--check", file, "-o", out).exit_code == 1
    assert out.read_text() == result.stdout
    again = demur("--check", out)
    assert (again.exit_code, again.stderr) == (0, "Nothing had to be replaced.\n")


def test_a_text_from_stdin_is_checked() -> None:
    assert demur("--check", "-", stdin="joe@corp.example.de").stdout == "<EMAIL-1>\n"
    assert (
        demur(
            "--check",
            "-",
            stdin="joe@corp.example.de",
        ).exit_code
        == 1
    )
    assert demur("--check", "-", "--keep", "joe@corp.example.de", stdin="joe@corp.example.de").exit_code == 0


def test_a_report_of_ours_passes_its_own_check(two: Path, tmp_path: Path) -> None:
    for shape in ("issue", "behavior", "mail", "exhibit", "json"):
        file = tmp_path / shape
        assert demur("last", "--incident", "--as", shape, "--yes", "-o", file, "--db", two).exit_code == 0
        assert demur("--check", file).exit_code == 0, demur("--check", file).stderr


def test_what_cannot_be_read_is_not_vouched_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in fails(demur("--check", binary))
    assert "cannot read" in fails(demur("--check", tmp_path / "none"))
    monkeypatch.setattr("proxy.cli.reporting._LARGEST", 2)
    assert "check a smaller text" in fails(demur("--check", binary))


def test_a_check_that_would_lose_an_id_is_refused(tmp_path: Path) -> None:
    config, file = tmp_path / "demur.toml", tmp_path / "mine.md"
    config.write_text(f'[redact]\ndeny = ["/the {IDS[0]} id/"]\n')
    file.write_text(f"the {IDS[0]} id")
    assert demur("--check", file, "--config", config).stdout == f"<DENIED-1>{IDS[0]}<DENIED-1>\n"
    config.write_text(f'[redact]\ndeny = ["{IDS[0][:12]}"]\n')
    assert demur("--check", file, "--config", config).exit_code == 0


def asked(answer: bytes, *arguments: object) -> tuple[int, str]:
    """On a terminal: its exit code, and all that it showed."""
    import pty

    ours, theirs = pty.openpty()
    code = "from proxy.cli.reporting import report; report()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"PAGER": "cat", "TERM": "dumb"},
    )
    os.close(theirs)
    seen, answered = b"", False
    try:
        while select.select([ours], [], [], 60)[0] and (data := os.read(ours, 1 << 16)):
            seen += data
            if b"Write it?" in seen and not answered:
                os.write(ours, answer)
                answered = True
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    return child.wait(), seen.decode()


@posix
def test_the_person_sees_every_byte_and_is_asked(two: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.md"
    code, seen = asked(b"\n", "last", "-o", file, "--db", two)
    assert code == 1
    assert "nothing was written" in seen
    assert not file.exists()
    code, seen = asked(b"y\n", "last", "-o", file, "--db", two)
    assert code == 0
    assert file.read_text() in seen.replace("\r\n", "\n")
    assert "Replaced (1 placeholder)" in seen
    assert "/feedback" in seen


def test_help_has_an_example() -> None:
    assert "Example: demur report last" in demur("--help").stdout
