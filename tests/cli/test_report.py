"""``demur report``: what is asked of a person, what is written, what is refused, and what was reported already."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands import ESCAPES, declined, fails, keep, posix, request
from commands import demur as command
from entries import untraced
from planted import IDS, SECRETS, left
from proxy.cli.reporting import report
from proxy.judgements import judge
from proxy.store import Store
from schemas.labels import Verdict
from schemas.records import Judgement

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
    assert "there is no folder" in fails(demur("last", "--yes", "-o", tmp_path / "no" / "x", "--db", two))
    assert "cannot write" in fails(demur("last", "--yes", "-o", file / "x", "--db", two))


def test_an_incident_or_a_filter_names_several(two: Path) -> None:
    for arguments in (
        ["last", "--incident"],
        ["--category", "cyber"],
        ["--model", "claude-opus-5", "--since", "2026-01-01"],
    ):
        made = json.loads(demur(*arguments, "--as", "json", "--yes", "--pairs", "--db", two).stdout)
        assert [event["request_id"] for event in made["events"]] == [IDS[0], IDS[1]]
    assert "no recorded refusal matches" in fails(demur("--category", "bio", "--yes", "--db", two))


def test_all_that_were_declined_despite_an_exemption_are_one_filter(db: Path, tmp_path: Path) -> None:
    keep(db, declined(request(), at=AT - 9e6, request_id=IDS[0]), declined(request(), at=AT, request_id=IDS[1]))
    config = tmp_path / "demur.toml"
    config.write_text('[exemption]\napproved_on = "2026-11-01"\n')
    made = json.loads(demur("--exempt", "--as", "json", "--yes", "--db", db, "--config", config).stdout)
    assert [event["request_id"] for event in made["events"]] == [IDS[1]]
    assert made["exemption"] == "2026-11-01"
    assert made["events"][0]["despite_exemption"] is True
    assert "no exemption is named" in fails(demur("--exempt", "--yes", "--db", db), 2)
    assert "leave out" in fails(demur("--exempt", "--category", "bio", "--yes", "--db", db, "--config", config), 2)


def test_pairs_alone_name_what_another_model_accepted(two: Path) -> None:
    assert "no content is recorded" in fails(demur("--pairs", "--yes", "--db", two))
    with Store.open(two) as store:
        last = store.find("last")
        with store.transaction() as connection:
            connection.execute(
                """insert into attempts (refusal_id, n, "by", model, outcome, request_id)
                values (?, 1, 'demur', 'claude-sonnet-5', 'answered', ?)""",
                [last.id, IDS[2]],
            )
    made = json.loads(demur("--pairs", "--as", "json", "--yes", "--db", two).stdout)
    assert [event["request_id"] for event in made["events"]] == [IDS[1]]
    assert IDS[2] in made["pairs"][0]["accepted"][0]


@posix
def test_nothing_that_is_there_is_written_over(two: Path, tmp_path: Path) -> None:
    (tmp_path / "to").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "to")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("to", "link", "dangling", "."):
        assert "is there already" in fails(demur("last", "--yes", "-o", tmp_path / name, "--db", two))
    assert (tmp_path / "to").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_what_is_marked_is_a_place_and_shows_no_signs_of_a_terminal(two: Path) -> None:
    assert "is a refusal" in fails(demur("mark", IDS[0], "last", "--db", two), 2)
    assert "is a refusal" in fails(demur("mark", "last", IDS[0], "--db", two), 2)
    assert fails(demur("mark", "no-such-refusal", "https://x.example", "--db", two))
    assert demur("mark", "last", f"https://x.example/{ESCAPES}", "--db", two).exit_code == 0
    told = fails(demur("last", "--yes", "--db", two))
    assert not set(ESCAPES.replace("]0;owned", "").replace("31m", "")) & set(told)


def test_what_a_terminal_would_obey_is_written_out(db: Path) -> None:
    keep(db, declined(request(said=f"look {ESCAPES} here"), request_id=IDS[0]))
    with Store.open(db) as store:
        n = next(one.n for one in store.segments(store.find("last").id) if one.label == "user_text")
    for shape in ("issue", "mail", "json"):
        text = demur("last", "--level", "excerpts", "--segment", n, "--as", shape, "--yes", "--db", db).stdout
        assert not set("\x1b\x07\x9b\u202e\u200b") & set(text)


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
    told = fails(demur("last", IDS[0], "--yes", "--db", two))
    assert f"at {url}" in told
    assert "(and 1 more of them)" in told
    assert "Abc123" not in told
    assert demur("last", "--yes", "--again", "--db", two).exit_code == 0
    with Store.open(two) as store:
        assert [row["shape"] for row in store.rows("select shape from reports")] == ["issue", "issue"]


def test_a_selection_leaves_out_what_was_reported_and_says_how_many(two: Path, tmp_path: Path) -> None:
    demur("mark", IDS[0], "https://x.example/1", "--db", two)
    for chosen in (["--category", "cyber"], ["last", "--incident"]):
        result = demur(*chosen, "--as", "json", "--yes", "--db", two)
        assert [event["request_id"] for event in json.loads(result.stdout)["events"]] == [IDS[1]]
        assert "1 refusal reported already is left out (--again takes them in)" in result.stderr
        both = json.loads(demur(*chosen, "--again", "--as", "json", "--yes", "--db", two).stdout)
        assert len(both["events"]) == 2
    demur("mark", IDS[1], "https://x.example/2", "--db", two)
    told = fails(demur("--category", "cyber", "-o", tmp_path / "x", "--yes", "--db", two))
    assert "nothing is left to report: 2 refusals reported already are left out (--again" in told
    assert not (tmp_path / "x").exists()


def test_what_a_person_judged_correct_is_in_no_selection_unless_it_is_asked_for(two: Path) -> None:
    with Store.open(two) as store:
        said = Judgement(refusal_id=store.find(IDS[0]).id, at="2026-11-24", author="a", verdict=Verdict.CORRECT)
        judge(store, said)
    for chosen in (["--category", "cyber"], ["last", "--incident"]):
        result = demur(*chosen, "--as", "json", "--yes", "--db", two)
        assert [event["request_id"] for event in json.loads(result.stdout)["events"]] == [IDS[1]]
        assert "1 refusal judged correct is left out (name it, or say --verdict correct)" in result.stderr
    for named in ([IDS[0]], ["--verdict", "correct"]):
        result = demur(*named, "--as", "json", "--yes", "--db", two)
        assert [event["verdict"] for event in json.loads(result.stdout)["events"]] == ["correct"]
        assert "left out" not in result.stderr
    made = json.loads(demur("--verdict", "unknown", "--as", "json", "--yes", "--db", two).stdout)
    assert [event["request_id"] for event in made["events"]] == [IDS[1]]
    assert "no recorded refusal matches" in fails(demur("--verdict", "unsure", "--yes", "--db", two))
    assert "not both" in fails(demur("last", "--verdict", "correct", "--yes", "--db", two), 2)
    demur("mark", IDS[0], IDS[1], "https://x.example/1", "--db", two)
    told = fails(demur("--category", "cyber", "--yes", "--db", two))
    assert told.endswith("2 refusals reported already are left out (--again takes them in)")


def test_what_is_marked_twice_is_one_note_and_can_be_taken_back(two: Path) -> None:
    url = "https://github.com/anthropics/claude-code/issues/1?token=Abc123def456"
    assert "1 refusal marked" in demur("mark", IDS[0], url, "--db", two).stderr
    again = demur("mark", IDS[0], IDS[1], url, "--db", two)
    assert "1 refusal marked" in again.stderr
    assert "1 refusal had been marked so already: that stays one note" in again.stderr
    with Store.open(two) as store:
        assert store.rows("select count(*) as n from reports")[0]["n"] == 2
    elsewhere = fails(demur("mark", IDS[0], "https://x.example/2", "--remove", "--db", two))
    assert "nothing is marked as reported at https://x.example/2" in elsewhere
    assert "issues/1" in elsewhere
    assert "2 marks taken back" in demur("mark", IDS[0], IDS[1], url, "--remove", "--db", two).stderr
    assert "not marked at all" in fails(demur("mark", IDS[0], url, "--remove", "--db", two))
    assert demur("last", "--yes", "--db", two).exit_code == 0
    assert "--remove takes a mark back" in fails(demur("last", "--remove", "--yes", "--db", two), 2)


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("https://github.com/anthropics/claude-code/issues/1", 0),
        ("HTTP://x", 0),
        ("usersafety@anthropic.com", 0),
        ("/feedback", 0),
        ("by mail to the safety team", 0),
        ("nonsense", 2),
        ("01M8727W57JX", 2),
        ("htps://github.com/x", 2),
        ("ftp://x.example and more", 2),
        ("https://", 2),
    ],
)
def test_where_it_was_reported_is_an_address_or_a_few_words(two: Path, place: str, code: int) -> None:
    result = demur("mark", "last", place, "--db", two)
    assert result.exit_code == code
    assert ("is no http or https address" in result.stderr) == bool(code)


def test_where_it_may_be_handed_in_is_not_told_of_a_file_that_a_script_writes(two: Path, tmp_path: Path) -> None:
    assert "usersafety" not in demur("last", "--yes", "-o", tmp_path / "x", "--db", two).stderr
    told = demur("last", "--yes", "--db", two).stderr
    assert "usersafety" in told
    assert "kept for up to 5 years" not in told


def test_where_it_was_reported_is_shown(two: Path) -> None:
    assert "reported" not in command("show", "last", db=two).stdout
    url = "https://github.com/anthropics/claude-code/issues/1"
    demur("mark", "last", f"{url}{ESCAPES}", "--as", "issue", "--db", two)
    demur("mark", "last", "by mail", "--db", two)
    shown = " ".join(command("show", "last", db=two).stdout.split())
    assert f" at {url}" in shown
    assert "(issue)" in shown
    assert " at by mail" in shown
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(shown)
    (first, second) = json.loads(command("show", "last", "--json", db=two).stdout)["reports"]
    assert first["url"].startswith(url)
    assert (first["shape"], second["url"], second["shape"]) == ("issue", "by mail", "")
    assert set(first) == {"refusal_id", "at", "url", "shape"}
    assert "1 of them was reported already" in command("list", db=two).stdout
    assert "reported" not in command("list", "--category", "bio", db=two).stdout


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
    written = demur("--check", file, "-o", out, "--yes")
    assert (written.exit_code, written.stdout, written.stderr) == (1, "", result.stderr)
    assert out.read_text() == result.stdout
    again = demur("--check", out)
    assert (again.exit_code, again.stderr) == (0, "Nothing had to be replaced.\n")


def test_the_exit_code_of_a_check_tells_what_was_replaced_from_what_could_not_be_done(tmp_path: Path) -> None:
    fine, secret, out, config = (tmp_path / name for name in ("fine", "secret", "out", "demur.toml"))
    fine.write_text("nothing\n")
    secret.write_text(SECRETS["github"])
    out.write_text("mine")
    assert demur("--check", fine).exit_code == 0
    assert demur("--check", secret).exit_code == 1
    assert "is there already" in fails(demur("--check", secret, "-o", out, "--yes"), 2)
    assert "there is no folder" in fails(demur("--check", secret, "-o", tmp_path / "no" / "x", "--yes"), 2)
    config.write_text("[redact\n")
    assert fails(demur("--check", secret, "--config", config), 2)
    for word in ("0 nothing had to be replaced", "1 something was", "2 it could not be done"):
        assert word in " ".join(demur("--help").stdout.split())


@pytest.mark.parametrize("given", ["file", "-"])
def test_without_a_terminal_a_checked_text_goes_into_no_file_unless_yes_is_said(tmp_path: Path, given: str) -> None:
    file, out = tmp_path / "mine.md", tmp_path / "clean.md"
    file.write_text("mine")
    named = str(file) if given == "file" else "-"
    assert "say --yes" in fails(demur("--check", named, "-o", out, stdin="mine"), 2)
    assert not out.exists()
    assert demur("--check", named, "-o", out, "--yes", stdin="mine").exit_code == 0
    assert out.read_text() == "mine"


def test_a_check_says_of_line_breaks_that_went_too(tmp_path: Path) -> None:
    file, token = tmp_path / "mine.md", SECRETS["github"]
    file.write_text(f"see\n{token[:26]}\n{token[26:]}\nand go on\n")
    assert "1 line break went with it" in demur("--check", file).stderr
    file.write_text(f"key {token}\nhttps://claude.com/form and so on\n")
    result = demur("--check", file)
    assert result.stdout == "key <SECRET-1>\nhttps://claude.com/form and so on\n"
    assert "line break" not in result.stderr


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
    assert "not UTF-8" in fails(demur("--check", binary), 2)
    assert "cannot read" in fails(demur("--check", tmp_path / "none"), 2)
    monkeypatch.setattr("proxy.cli.checking._LARGEST", 2)
    assert "check a smaller text" in fails(demur("--check", binary), 2)


def test_a_check_that_would_lose_an_id_is_refused(tmp_path: Path) -> None:
    config, file = tmp_path / "demur.toml", tmp_path / "mine.md"
    config.write_text(f'[redact]\ndeny = ["/the {IDS[0]} id/"]\n')
    file.write_text(f"the {IDS[0]} id")
    assert demur("--check", file, "--config", config).stdout == f"<DENIED-1>{IDS[0]}<DENIED-1>\n"
    config.write_text(f'[redact]\ndeny = ["{IDS[0][:12]}"]\n')
    assert demur("--check", file, "--config", config).exit_code == 0


def asked(answer: bytes | signal.Signals, *arguments: object) -> tuple[int, str]:
    """On a terminal: its exit code, and all that it showed. ``answer``: what is typed, or a signal."""
    import pty

    ours, theirs = pty.openpty()
    code = "from proxy.cli.reporting import report; report()"
    child = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=(untraced() if isinstance(answer, signal.Signals) else os.environ) | {"PAGER": "cat", "TERM": "dumb"},
    )
    os.close(theirs)
    seen, answered = b"", False
    try:
        while select.select([ours], [], [], 60)[0] and (data := os.read(ours, 1 << 16)):
            seen += data
            if b"Write it?" in seen and not answered:
                child.send_signal(answer) if isinstance(answer, signal.Signals) else os.write(ours, answer)
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
    assert "kept for up to 5 years" in seen
    assert seen.index("then you are asked whether to write it") < seen.index("# [BUG]")


@posix
def test_of_a_checked_text_the_person_sees_every_byte_and_is_asked_too(tmp_path: Path) -> None:
    file, out = tmp_path / "mine.md", tmp_path / "clean.md"
    file.write_text(f"my key {SECRETS['github']}\nand \x1b[31mred\n")
    code, seen = asked(b"\n", "--check", file, "-o", out)
    assert (code, out.exists()) == (2, False)
    assert "nothing was written" in seen
    code, seen = asked(b"y\n", "--check", file, "-o", out)
    assert code == 1
    assert out.read_text() == "my key <SECRET-1>\nand \x1b[31mred\n"
    assert "my key <SECRET-1>" in seen
    assert seen.count("<SECRET-1>  a secret (github-token)") == 1
    assert "\x1b[31m" not in seen
    assert left(SECRETS["github"], seen) is None


@posix
def test_an_interrupt_at_the_question_writes_nothing(two: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.md"
    code, _ = asked(signal.SIGINT, "last", "-o", file, "--db", two)
    assert code != 0
    assert not file.exists()


def test_help_has_an_example() -> None:
    assert "Example: demur report last" in demur("--help").stdout


@pytest.mark.parametrize(("shape", "told"), [("issue", True), ("behavior", True), ("mail", False)])
def test_what_is_too_long_for_an_issue_is_told_to_be(
    shape: str, told: bool, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.report.markdown.MOST", 1000)
    result = demur("last", "--as", shape, "--yes", "--db", two)
    assert result.exit_code == 0
    assert ("GitHub takes 1,000 characters, and this has" in result.stderr) is told
