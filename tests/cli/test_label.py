"""``demur label``: what a person says of refusals."""

import getpass
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from commands import ESCAPES, SECRET, declined, demur, fails, keep, lines, objects, posix, request
from entries import entry, name
from proxy.cli import judgement
from proxy.judgements import history
from proxy.store import Store
from schemas.labels import Verdict
from schemas.records import Judgement, Refusal


@pytest.fixture(autouse=True)
def _ann(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMUR_AUTHOR", "ann")


def three(db: Path) -> None:
    keep(db, *(entry(n, b'"a"', f'"{n}"'.encode()) for n in (1, 2, 3)))


def join(db: Path, *members: int) -> None:
    """Makes them one incident."""
    with Store.open(db) as store, store.transaction() as connection:
        for n in members:
            connection.execute("update refusals set incident_id = ? where id = ?", [name(members[0]), name(n)])


def said(db: Path, n: int = 1) -> list[Judgement]:
    with Store.open(db) as store:
        return history(store, name(n))


def called(db: Path, n: int = 1) -> Refusal:
    with Store.open(db) as store:
        return store.find(name(n))


def test_a_line_tells_what_was_and_what_is(db: Path) -> None:
    three(db)
    everything = ["--domain", "security", "--note", "A CTF.", "--tag", "ctf", "--tag", "school", "--segment", "1"]
    assert lines(demur("label", "last", "--verdict", "false_positive", *everything, db=db)) == [
        f"{name(3)}: was unknown; is false positive, domain security, tags ctf, school; segment 1, with a note"
    ]
    facts = "domain security, tags ctf, school"
    assert lines(demur("label", "last", "--verdict", "correct", db=db)) == [
        f"{name(3)}: was false positive, {facts}; is correct, {facts}; segment 1"
    ]
    assert [(one.author, one.verdict, one.note) for one in said(db, 3)] == [
        ("ann", "false_positive", "A CTF."),
        ("ann", "correct", None),
    ]
    assert said(db, 1) == said(db, 2) == []


def test_json_has_the_judgement_and_what_was_and_is_one_a_line(db: Path) -> None:
    three(db)
    first, second = objects(
        demur("label", name(1), name(2), "--verdict", "unsure", "--tag", "a", "--note", "Hm.", "--json", db=db)
    )
    assert list(first) == "id judgement at author verdict domain note tags segment was is".split()
    assert (first["id"], second["id"]) == (name(1), name(2))
    assert (first["judgement"], first["author"], first["note"], first["segment"]) == (1, "ann", "Hm.", None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["at"])
    assert first["was"] == {"verdict": "unknown", "domain": None, "tags": []}
    assert first["is"] == {"verdict": "unsure", "domain": None, "tags": ["a"]}


@pytest.mark.parametrize("spelled", ["false_positive", "false-positive", "False Positive", " FALSE-POSITIVE "])
def test_a_verdict_may_be_spelled_as_people_write(db: Path, spelled: str) -> None:
    three(db)
    lines(demur("label", name(1), "--verdict", spelled, db=db))
    assert called(db).verdict == Verdict.FALSE_POSITIVE


def test_every_verdict_can_be_given_and_taken_back_with_unknown(db: Path) -> None:
    three(db)
    for verdict in (*Verdict, Verdict.UNKNOWN):
        lines(demur("label", name(1), "--verdict", verdict, db=db))
        assert called(db).verdict == verdict
    assert len(said(db)) == len(Verdict) + 1


def test_a_note_alone_leaves_the_verdict_as_it_is(db: Path) -> None:
    three(db)
    lines(demur("label", name(1), "--verdict", "correct", db=db))
    assert lines(demur("label", name(1), "--note", "Still.", db=db)) == [
        f"{name(1)}: was correct; is correct; with a note"
    ]
    assert lines(demur("label", name(1), "--note", "Oh?", "--author", "bob", db=db)) == [
        f"{name(1)}: was correct; is correct; with a note"
    ]
    assert [(one.author, one.verdict) for one in said(db)] == [
        ("ann", "correct"),
        ("ann", "correct"),
        ("bob", "unknown"),
    ]


def test_of_several_authors_the_newest_counts(db: Path) -> None:
    three(db)
    lines(demur("label", name(1), "--verdict", "correct", db=db))
    lines(demur("label", name(1), "--verdict", "unsure", "--author", "bob", db=db))
    assert called(db).verdict == "unsure"
    assert [one.author for one in said(db)] == ["ann", "bob"]


def test_the_author_is_the_account_where_nobody_is_named(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three(db)
    monkeypatch.delenv("DEMUR_AUTHOR")
    monkeypatch.setenv("LOGNAME", "zoe")
    for arguments in ([], ["--author", " eve "]):
        lines(demur("label", name(1), "--verdict", "unsure", *arguments, db=db))
    assert [one.author for one in said(db)] == ["zoe", "eve"]


def test_an_account_without_a_name_is_told_what_to_do(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three(db)
    monkeypatch.delenv("DEMUR_AUTHOR")

    def nobody() -> str:
        raise OSError("no entry")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert "say --author NAME" in fails(demur("label", name(1), "--verdict", "unsure", db=db))


def test_tags_are_added_and_dropped_and_a_domain_can_be_taken_back(db: Path) -> None:
    three(db)
    for arguments in (["--tag", "a", "--domain", "Life Science"], ["--tag", "b", "--tag", "a"]):
        lines(demur("label", name(1), *arguments, db=db))
    assert (called(db).domain, called(db).tags) == ("life_science", ["a", "b"])
    lines(demur("label", name(1), "--tag", "", "--tag", "c", "--domain", "", db=db))
    assert (called(db).domain, called(db).tags) == (None, ["c"])


@pytest.mark.parametrize(
    ("domain", "told"),
    [
        ("securty", "the nearest there is security"),
        ("Numismatics", "general_development, security"),
        ("xyz", "language"),
    ],
)
def test_a_domain_of_ones_own_is_kept_and_told_of(db: Path, domain: str, told: str) -> None:
    three(db)
    result = demur("label", name(1), "--domain", domain, db=db)
    assert result.exit_code == 0
    (warning,) = result.stderr.splitlines()
    assert f"{domain!r} is not in the list" in warning
    assert told in warning
    assert called(db).domain == domain


def test_a_secret_is_taken_out_before_anything_is_written_and_that_is_said(db: Path, tmp_path: Path) -> None:
    three(db)
    config = tmp_path / "demur.toml"
    config.write_text('[redact]\ndeny = ["acme"]\n')
    result = demur(
        "label", name(1), "--note", f"For Acme: {SECRET}", "--tag", SECRET, "--domain", SECRET, "--author", SECRET,
        "--config", config, db=db,
    )  # fmt: skip
    assert result.exit_code == 0
    assert "5 secrets were taken out before anything was written" in result.stderr
    (kept,) = said(db)
    assert kept.note == "For [redacted:deny]: [redacted:anthropic-key]"
    assert SECRET not in repr(kept) + result.output
    assert all(SECRET.encode() not in file.read_bytes() for file in tmp_path.iterdir() if file.is_file())


def test_several_are_judged_together_and_one_that_is_named_twice_once(db: Path) -> None:
    three(db)
    arguments = [name(1).lower(), name(3), "last", name(1)]
    assert len(lines(demur("label", *arguments, "--verdict", "correct", db=db))) == 2
    assert [called(db, n).verdict for n in (1, 2, 3)] == ["correct", "unknown", "correct"]
    assert len(said(db)) == 1


def test_a_later_refusal_of_an_incident_is_named_with_the_id_that_the_list_has(db: Path) -> None:
    keep(db, entry(1, b'"a"'), entry(2, b'"a"'), entry(4))
    join(db, 1, 2)
    (said,) = lines(demur("label", name(2), "--verdict", "correct", db=db))
    assert said.startswith(f"{name(2)} (in the list as {name(1)}): was unknown; is correct")
    assert name(1) in demur("list", db=db).stdout
    assert name(2) not in demur("list", db=db).stdout
    with Store.open(db) as store, store.transaction() as connection:
        connection.execute("delete from refusals where id = ?", [name(1)])
    assert lines(demur("label", name(2), "--tag", "x", db=db))[0].startswith(f"{name(2)}: ")


def test_its_incident_is_judged_too_where_that_is_asked_for(db: Path) -> None:
    keep(db, entry(1, b'"a"', b'"b"'), entry(2, b'"b"'), entry(3, b'"a"'), entry(4))
    join(db, 1, 2, 3)
    assert len(lines(demur("label", name(2), "--verdict", "correct", db=db))) == 1
    assert [called(db, n).verdict for n in (1, 2, 3, 4)] == ["unknown", "correct", "unknown", "unknown"]
    found = lines(demur("label", name(2), "--verdict", "unsure", "--segment", "0", "--incident", db=db))
    assert [line[:26] for line in found] == [name(2), name(1), name(3)]
    assert [called(db, n).verdict for n in (1, 2, 3, 4)] == ["unsure", "unsure", "unsure", "unknown"]
    assert [said(db, n)[-1].segment for n in (1, 2, 3)] == [1, 0, None]


def test_what_is_said_of_a_refusal_goes_before_what_is_said_of_its_incident(db: Path) -> None:
    keep(db, entry(1, b'"a"', b'"b"'), entry(2, b'"b"', b'"a"'))
    join(db, 1, 2)
    lines(demur("label", name(1), name(2), "--segment", "0", "--incident", db=db))
    assert [[one.segment for one in said(db, n)] for n in (1, 2)] == [[0], [0]]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            [name(1), "--verdict", "false_postive"],
            "none of unknown, false_positive, correct, unsure; did you mean false",
        ),
        ([name(1), "--verdict", "xyzzy"], "is none of unknown, false_positive, correct, unsure"),
        ([name(1)], "give --verdict, --domain, --note, --tag or --segment"),
        (["--verdict", "correct"], "no refusal is named"),
        ([name(1), "", "--verdict", "correct"], "an empty ID"),
        ([name(1), "--note", "  "], "an empty --note"),
        ([name(1), "--note", "n", "--author", " "], "an empty --author"),
        ([name(1), name(2), "--verdict", "unsure", "--segment", "2"], "it has 2 segments, 0 to 1; `demur show"),
        ([name(1), "--segment", "-1"], "has no segment -1"),
        ([name(1), "--segment", "one"], "has no segment one"),
        ([name(1), "--segment", "9" * 9999], "has no segment 999"),
        ([name(3), "--segment", "0"], "nothing is known of its request"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_be_meant_is_one_line_and_changes_nothing(db: Path, arguments: list[str], told: str) -> None:
    keep(db, entry(1, b'"a"', b'"1"'), entry(2, b'"a"', b'"2"'), entry(3))
    assert told in fails(demur("label", *arguments, db=db), code=2)
    assert said(db) == said(db, 2) == []


def test_an_unknown_id_among_several_changes_nothing(db: Path) -> None:
    three(db)
    told = fails(demur("label", name(1), "nobody", name(2), "--verdict", "correct", db=db))
    assert "no refusal is named nobody" in told
    assert said(db) == said(db, 2) == []
    assert "may mean 3 refusals" in fails(demur("label", name(1), "01JD", "--verdict", "correct", db=db))
    assert said(db) == []


def test_where_nothing_is_recorded_that_is_told_and_nothing_made(db: Path) -> None:
    assert "nothing is recorded yet" in fails(demur("label", "last", "--verdict", "correct", db=db))
    assert not db.exists()


def test_settings_that_cannot_be_used_are_told_in_one_line(db: Path, tmp_path: Path) -> None:
    three(db)
    config = tmp_path / "demur.toml"
    config.write_text('[redact]\ndeny = ["/(/"]\n')
    assert "redact.deny" in fails(demur("label", name(1), "--note", "n", "--config", config, db=db))


def test_a_locked_database_is_one_line_and_nothing_is_judged(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.cli.database.PATIENCE", 0.05)
    three(db)
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("begin immediate")
        assert "locked by another process" in fails(demur("label", name(1), "--verdict", "correct", db=db))
    assert said(db) == []


def test_what_was_said_cannot_drive_a_terminal(db: Path) -> None:
    three(db)
    arguments = ["--note", f"n{ESCAPES}\n{ESCAPES}", "--tag", f"t{ESCAPES}", "--domain", f"d{ESCAPES}"]
    for more in ([], ["--json"], ["--verdict", ESCAPES], ["--segment", ESCAPES]):
        result = demur("label", name(1), *arguments, "--author", f"a{ESCAPES}", *more, db=db)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b]", result.output)
    printed = "\n".join(judgement.lines(said(db), 100))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b]", printed)
    assert "n\\x1b]0;owned" in printed


@posix
def test_an_argument_that_is_no_utf_8_is_kept_all_the_same(db: Path) -> None:
    three(db)
    command = [sys.executable, "-m", "proxy.cli", "label", name(1), "--db", str(db), "--note"]
    done = subprocess.run(
        [*map(os.fsencode, command), b"caf\xe9"], cwd=Path(__file__).parents[2], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert said(db)[0].note == "caf\\udce9"


@posix
def test_the_database_stays_private(db: Path) -> None:
    three(db)
    db.chmod(0o644)
    lines(demur("label", name(1), "--verdict", "correct", db=db))
    assert stat.S_IMODE(db.stat().st_mode) == 0o600


def test_what_was_judged_correct_counts_as_that_for_the_same_content(db: Path) -> None:
    keep(db, declined(request()))
    with Store.open(db) as store:
        refusal = store.find("last")
        assert refusal.asked
        assert not store.judged_correct(refusal.asked)
        lines(demur("label", "last", "--verdict", "correct", db=db))
        assert store.judged_correct(refusal.asked)


def spoken(**fields: Any) -> Judgement:
    given = {"refusal_id": name(1), "at": "2099-11-23T15:00:00.000Z", "author": "ann", "verdict": Verdict.CORRECT}
    return Judgement(**(given | fields))


def test_the_history_tells_who_said_what_when_with_the_note_below(tokyo: None) -> None:
    told = judgement.lines(
        [
            spoken(domain="security", tags=["a", "b"], segment=3, note="It was\nas it should be."),
            spoken(author="bob", verdict=Verdict.UNKNOWN),
        ],
        100,
    )
    assert list(told) == [
        "2099-11-24 00:00:00 +0900  ann: correct, domain security, tags a, b, segment 3",
        "    It was",
        "    as it should be.",
        "2099-11-24 00:00:00 +0900  bob: unknown",
    ]


def test_the_history_keeps_to_the_columns_that_there_are() -> None:
    told = list(judgement.lines([spoken(tags=["tag"] * 20, note="word " * 40, domain="d" * 50)], 40))
    assert max(map(len, told)) <= 40
    assert " ".join(told).count("word") == 40
    assert json.dumps(told).count("tag") >= 20
