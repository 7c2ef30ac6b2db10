"""``demur import``: what is on disk becomes records, once; what cannot be read is said in a line each, and nothing else is lost."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands import SECRET, declined, demur, fails, keep, posix, request
from entries import untraced
from importers.messages import REFUSALS
from importers.sessions import FALLBACK, Session, call
from proxy.cli.importing import import_
from proxy.judgements import judge, merge
from proxy.store import Store
from schemas.labels import Verdict
from schemas.records import Judgement


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "data" / "demur.db"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small ~/.claude/projects."""
    made = tmp_path / "projects"
    for n in range(3):
        place = made / f"-home-dev-{n}"
        place.mkdir(parents=True)
        session = Session(sessionId=f"0000000{n}-2222-4333-8444-555555555555")
        session.prompt(f"prompt {n}: the key is {SECRET}")
        session.answer(10 * n, call(), stop="tool_use")
        session.result()
        session.refused(10 * n + 1)
        session.fallback(10 * n + 2)
        session.answer(10 * n + 3, model=FALLBACK)
        session.error(f"API Error: it was flagged by nobody knows what {n}")
        (place / f"{n}.jsonl").write_bytes(bytes(session))
    (made / "sessions-index.json").write_text("{}")
    (made / "-home-dev-0" / "memory").mkdir()
    (made / "-home-dev-0" / "memory" / "notes.md").write_text(REFUSALS[0].text)
    return made


def run(*arguments: object, db: Path, stdin: bytes | None = None, **environment: str) -> Result:
    command = [*map(str, arguments), "--db", str(db)]
    result = CliRunner().invoke(import_, command, input=stdin, env=environment or None)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def facts(*arguments: object, db: Path, **more: Any) -> dict[str, Any]:
    result = run(*arguments, "--json", db=db, **more)
    made: dict[str, Any] = json.loads(result.stdout)
    return made


def numbers(told: dict[str, Any]) -> dict[str, int]:
    return {name: sum(one[name] for one in told["found"]) for name in ("new", "witnessed", "known")}


def test_a_folder_of_transcripts_becomes_records(folder: Path, db: Path) -> None:
    told = facts(folder, db=db)
    assert told["files"] | {"bytes": 0} == {
        "read": 3,
        "unchanged": 0,
        "other": 2,
        "unread": 0,
        "bytes": 0,
        "by_source": {"transcript": 3},
    }
    assert numbers(told) == {"new": 9, "witnessed": 0, "known": 0}
    assert (told["requests"], told["unclassified"], told["troubles"], told["lost"]) == (15, 3, [], 0)
    with Store.open(db) as store:
        assert len(store.refusals()) == 9
        assert SECRET not in repr([store.texts(refusal.id) for refusal in store.refusals()])


def test_a_second_run_adds_nothing_and_says_so(folder: Path, db: Path) -> None:
    run(folder, db=db)
    again = run(folder, db=db)
    assert again.exit_code == 0
    assert "Nothing new." in again.stdout
    assert "5 are as before" in again.stdout
    told = facts(folder, db=db)
    assert (told["files"]["unchanged"], numbers(told)) == (5, {"new": 0, "witnessed": 0, "known": 0})
    with Store.open(db) as store:
        assert len(store.refusals()) == 9
        assert store.rows("select sum(n) as n from imported_traffic")[0]["n"] == 15


def test_a_file_that_grew_is_read_again_and_only_what_is_new_is_added(folder: Path, db: Path) -> None:
    run(folder, db=db)
    path = folder / "-home-dev-1" / "1.jsonl"
    more = Session()
    more.refused(77)
    path.write_bytes(path.read_bytes() + bytes(more))
    told = facts(folder, db=db)
    assert told["files"]["read"] == 1
    assert numbers(told) == {"new": 1, "witnessed": 0, "known": 3}
    with Store.open(db) as store:
        assert store.rows("select sum(n) as n from imported_traffic")[0]["n"] == 16


def test_a_session_that_was_resumed_as_a_new_file_is_counted_once(tmp_path: Path, db: Path) -> None:
    session = Session()
    session.prompt()
    session.answer(1)
    session.refused(2)
    resumed = Session()
    resumed.lines = [line | {"sessionId": "99999999-2222-4333-8444-555555555555"} for line in session.lines]
    resumed.refused(3)
    for n, one in enumerate((session, resumed)):
        (tmp_path / f"{n}.jsonl").write_bytes(bytes(one))
    told = facts(tmp_path / "0.jsonl", tmp_path / "1.jsonl", db=db)
    assert (told["requests"], numbers(told)) == (3, {"new": 2, "witnessed": 0, "known": 1})


@posix
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_import_that_was_interrupted_goes_on_and_counts_all_once(
    tmp_path: Path, db: Path, how: signal.Signals
) -> None:
    place = tmp_path / "projects"
    place.mkdir()
    for n in range(8):
        session = Session(sessionId=f"0000000{n}-2222-4333-8444-555555555555")
        for each in range(n * 1000, n * 1000 + 80):
            session.prompt("x" * 500)
            session.refused(each)
        (place / f"{n}.jsonl").write_bytes(bytes(session))
    command = [sys.executable, "-m", "proxy.cli", "import", str(place), "--db", str(db)]
    with subprocess.Popen(command, env=untraced(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        while not db.exists() and child.poll() is None:
            time.sleep(0.01)
        time.sleep(0.5)
        child.send_signal(how)
        assert b"Traceback" not in child.communicate(timeout=60)[1]
    assert facts(place, db=db)["troubles"] == []
    with Store.open(db) as store:
        assert len({refusal.request_id for refusal in store.refusals()}) == len(store.refusals()) == 640
        assert store.rows("select sum(n) as n from imported_traffic")[0]["n"] == 640


def test_a_fallback_that_is_answered_later_is_recovered_then(tmp_path: Path, db: Path) -> None:
    session, path = Session(), tmp_path / "a.jsonl"
    session.prompt()
    session.fallback(1)
    path.write_bytes(bytes(session))
    run(path, db=db)
    session.answer(2, model=FALLBACK)
    path.write_bytes(bytes(session))
    run(path, db=db)
    with Store.open(db) as store:
        (refusal,) = store.refusals()
    assert (refusal.outcome, refusal.answered_by) == ("recovered_by_client", FALLBACK)


def test_without_a_path_this_machine_s_transcripts_are_read(
    folder: Path, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    (folder.parent / ".claude").mkdir()
    assert "names no" not in (said := fails(run(db=db), 2))
    assert f"{folder.parent}/.claude/projects" in said
    folder.rename(folder.parent / ".claude" / "projects")
    assert numbers(facts(db=db))["new"] == 9


def test_a_path_that_is_not_there_is_wrong_usage(tmp_path: Path, db: Path) -> None:
    assert "nowhere" in fails(run(tmp_path / "nowhere", db=db), 2)
    assert not db.exists()


def test_what_comes_in_by_itself_is_read_and_known_again(folder: Path, db: Path) -> None:
    data = (folder / "-home-dev-1" / "1.jsonl").read_bytes()
    command = [
        sys.executable,
        "-c",
        "from proxy.cli.importing import import_; import_()",
        "-",
        "--json",
        "--db",
        str(db),
    ]
    first, second = (
        json.loads(subprocess.run(command, input=data, capture_output=True, check=True).stdout) for _ in range(2)
    )
    assert numbers(first) == {"new": 3, "witnessed": 0, "known": 0}
    assert numbers(second) == {"new": 0, "witnessed": 0, "known": 3}
    with Store.open(db) as store:
        assert store.rows("select sum(n) as n from imported_traffic")[0]["n"] == 5


def test_each_file_that_cannot_be_read_has_a_line_and_the_others_are_imported(
    folder: Path, db: Path, tmp_path: Path
) -> None:
    place = folder / "-home-dev-2"
    (place / "bad.jsonl").write_bytes(b"\x00\x01\x02" * 100)
    (place / "cut.jsonl").write_bytes((place / "2.jsonl").read_bytes() + b"no json\n" * 3 + b'{"type":')
    (place / "loop").symlink_to(folder)
    (place / "gone.jsonl").symlink_to(place / "nowhere")
    result = run(folder, db=db)
    assert result.exit_code == 0
    assert sorted(line.removeprefix(f"demur: {place}/") for line in result.stderr.splitlines()) == [
        "bad.jsonl: binary, and of no format that demur knows",
        "cut.jsonl:8: not JSON (and 3 more)",
        "gone.jsonl: No such file or directory",
    ]
    assert numbers(facts(folder, db=tmp_path / "again.db"))["new"] == 9
    assert run(folder, "--strict", db=db).exit_code == 1
    assert len(facts(folder, db=db)["troubles"]) == 3
    (place / "bad.jsonl").unlink()
    (place / "cut.jsonl").unlink()
    (place / "gone.jsonl").unlink()
    assert run(folder, "--strict", db=db).exit_code == 0


@posix
def test_a_name_that_is_no_text_and_one_that_would_drive_a_terminal_are_shown_safely(tmp_path: Path, db: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in (b"\xff\xfe.jsonl", b"\x1b]0;owned\x07.jsonl"):
        path = os.path.join(os.fsencode(folder), name)  # noqa: PTH118 - bytes
        with open(path, "wb") as file:  # noqa: PTH123 - bytes
            file.write(b"nothing known")
    result = run(folder, db=db)
    assert "\x1b" not in result.stderr
    assert result.stderr.count("of no format that demur knows") == 2
    session = Session()
    session.refused(1)
    (folder / os.fsdecode(b"\xff.jsonl")).write_bytes(bytes(session))
    assert numbers(facts(folder, db=db))["new"] == 1


def test_what_is_unclassified_is_said_with_its_count(folder: Path, db: Path) -> None:
    said = run(folder, db=db).stdout
    assert "3 unclassified: an error text that smells of a refusal" in " ".join(said.split())
    assert "They tell of 15 requests." in said


def test_what_is_denied_and_what_is_kept_is_as_the_settings_say(folder: Path, db: Path, tmp_path: Path) -> None:
    config = tmp_path / "demur.toml"
    config.write_text('[capture]\ncontent = "none"\n[redact]\ndeny = ["lab-sheets"]\n')
    run(folder, "--config", config, db=db)
    with Store.open(db) as store:
        assert store.rows("select count(*) as n from segments")[0]["n"] == 0
        assert {refusal.project for refusal in store.refusals()} == {"[redacted:deny]"}
        assert all(store.segments(refusal.id) for refusal in store.refusals() if refusal.kind == "refusal")
    config.write_text('[redact]\ndeny = ["/(/"]\n')
    assert "redact.deny" in fails(run(folder, "--config", config, db=db))


def test_what_was_imported_can_be_listed_shown_and_searched(folder: Path, db: Path) -> None:
    run(folder, db=db)
    listed = [json.loads(line) for line in demur("list", "--all", "--json", db=db).stdout.splitlines()]
    assert len(listed) == 9
    shown = json.loads(demur("show", "last", "--json", "--content", db=db).stdout)
    assert shown["source"] == "transcript"
    found = demur("search", "prompt", "--json", db=db).stdout.splitlines()
    assert found
    assert json.loads(demur("db", "verify", "--json", db=db).stdout)["ok"]


def test_the_database_of_another_machine_is_merged_with_what_persons_said_there(tmp_path: Path, db: Path) -> None:
    there = tmp_path / "there.db"
    keep(there, declined(request()))
    with Store.open(there) as store:
        name = store.find("last").id
        said = Judgement(refusal_id=name, at="2026-11-23T15:00:00.000Z", author="ann", verdict=Verdict.FALSE_POSITIVE)
        judge(store, said)
    for new in (1, 0):
        told = facts(there, db=db)
        assert numbers(told)["new"] == new
        assert told["troubles"] == []
    with Store.open(db) as store:
        assert store.find(name).verdict == Verdict.FALSE_POSITIVE
        assert store.rows("select count(*) as n from judgements")[0]["n"] == 1
        assert store.body(name)


def test_several_processes_write_what_one_writes(
    folder: Path, db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxy.importers import reading

    run(folder, db=db)
    monkeypatch.setattr(reading, "PAYS", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    other = tmp_path / "other.db"
    run(folder, db=other)
    with Store.open(db) as one, Store.open(other) as two:
        for sql in ("select * from refusals order by id", "select * from imported_traffic", "select * from attempts"):
            assert one.rows(sql) == two.rows(sql)


@posix
def test_how_far_it_is_is_said_on_a_terminal_only(folder: Path, db: Path) -> None:
    import pty

    code = "from proxy.cli import importing, intake; intake.PATIENCE = 0; importing.import_()"
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", code, str(folder), "--db", str(db)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs) as child:
        os.close(theirs)
        assert child.stdout
        out, seen = child.stdout.read(), os.read(ours, 1 << 16)
    os.close(ours)
    assert b"Reading: " in seen
    assert b"files" in seen
    assert b"Reading: " not in out


def test_the_help_has_an_example() -> None:
    said = CliRunner().invoke(import_, ["--help"]).stdout
    assert "Example: demur import" in said


def test_a_file_of_which_nothing_can_be_read_is_not_one_that_was_read(tmp_path: Path) -> None:
    packed = gzip.compress(b'{"type":"user","uuid":"' + os.urandom(90_000).hex().encode() + b'"}')
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 4])
    (tmp_path / "notes.md").write_text("nothing of ours")
    paths = [str(tmp_path / "cut.jsonl.gz"), str(tmp_path / "notes.md")]
    ran = CliRunner().invoke(import_, [*paths, "--db", str(tmp_path / "demur.db")])
    assert ran.stdout == "0 files read, 2 not understood.\n"
    assert "cut.jsonl.gz: compressed, and damaged or cut" in ran.stderr
    assert "notes.md: of no format that demur knows" in ran.stderr


def test_copies_of_one_session_tell_of_its_requests_once(tmp_path: Path) -> None:
    session = Session()
    session.prompt()
    session.answer(1)
    session.prompt("more")
    session.refused(2)
    (tmp_path / "backup").mkdir()
    (tmp_path / "a.jsonl").write_bytes(bytes(session))
    (tmp_path / "backup" / "b.jsonl").write_bytes(bytes(session) + b"\n")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(bytes(session)))
    db = str(tmp_path / "demur.db")
    for path in ("a.jsonl", "a.jsonl.gz", "backup"):
        assert CliRunner().invoke(import_, [str(tmp_path / path), "--db", db]).exit_code == 0
    assert CliRunner().invoke(import_, ["-", "--db", db], input=bytes(session)).exit_code == 0
    with Store.open(Path(db)) as store:
        assert store.rows("select sum(n) as n from imported_traffic") == [{"n": 2}]
        assert len(store.refusals()) == 1


def test_a_judgement_that_is_taken_over_is_told_of(tmp_path: Path) -> None:
    session = Session()
    session.prompt()
    session.refused(1)
    (tmp_path / "a.jsonl").write_bytes(bytes(session))
    theirs, ours = str(tmp_path / "theirs.db"), str(tmp_path / "ours.db")
    for db in (theirs, ours):
        assert CliRunner().invoke(import_, [str(tmp_path / "a.jsonl"), "--db", db]).exit_code == 0
    with Store.open(Path(theirs)) as store:
        name = store.refusals()[0].id
        at = "2026-11-24T10:00:00.000Z"
        merge(store, name, [Judgement(refusal_id=name, at=at, author="she", verdict=Verdict.FALSE_POSITIVE)])
    ran = CliRunner().invoke(import_, [theirs, "--db", ours])
    assert "No new refusals; 1 judgement taken over." in ran.stdout
    assert "Nothing new." in CliRunner().invoke(import_, [theirs, "--db", str(tmp_path / "ours.db")]).stdout
