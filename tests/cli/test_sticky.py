"""``demur sticky``: the conversations that stay on the model that answered, and the way back."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from commands import ESCAPES, demur, fails, keep, lines, objects, orphan, posix
from entries import entry, name, pin
from proxy.store import Store
from schemas.records import Entry, Pin

SESSIONS = "11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555"
KEYS = tuple(f"b2:{digit * 32}" for digit in "abc")


def three(db: Path) -> None:
    """Two conversations of one session, the second a sub-agent's, and one of another."""
    pins = [
        pin(KEYS[0], session_id=SESSIONS[0], refusal_id=name(1), turns=4, at="2099-11-23T14:00:01.000Z"),
        pin(KEYS[1], session_id=SESSIONS[0], agent_id="a", at="2099-11-23T14:00:00.500Z"),
        pin(KEYS[2], session_id=SESSIONS[1]),
    ]
    keep(db, entry(1), Entry(pins=pins))


def left(db: Path) -> list[str]:
    return [record["key"] for record in objects(demur("sticky", "list", "--json", db=db))]


def test_the_list_has_who_answers_for_whom_since_when_and_how_often(db: Path, tokyo: None) -> None:
    three(db)
    title, *rows = [re.split(r"\s{2,}", line) for line in lines(demur("sticky", "list", db=db))]
    assert title == ["CONVERSATION", "SESSION", "MODEL", "ANSWERED BY", "SINCE", "UNTIL", "TURNS", "REFUSAL"]
    times = ["2099-11-23 23:00", "2099-11-24 00:00"]
    first = ["aaaaaaaaaaaa", "11111111-222", "claude-opus-5", "claude-opus-4-8", *times, "4", name(1)[:12]]
    assert rows[0] == first
    assert rows[1][:2] == ["bbbbbbbbbbbb", "11111111-222 (agent)"]
    assert rows[2][-2:] == ["0", "-"]


def test_json_has_the_records_one_a_line(db: Path) -> None:
    three(db)
    found = objects(demur("sticky", "list", "--json", db=db))
    assert [list(record) for record in found] == [list(Pin.__struct_fields__)] * 3
    assert [record["key"] for record in found] == list(KEYS)


def test_what_has_ended_is_not_listed_and_where_there_is_none_a_line_says_so(db: Path) -> None:
    none = ["No conversation stays on another model."]
    assert lines(demur("sticky", "list", db=db)) == none
    assert lines(demur("sticky", "clear", db=db)) == none
    assert lines(demur("sticky", "list", "--json", db=db)) == []
    assert not db.exists()
    keep(db, Entry(pins=[pin(until="2020-01-01T00:00:00.000Z")]))
    assert lines(demur("sticky", "list", db=db)) == none
    assert objects(demur("sticky", "clear", "--json", db=db)) == [{"cleared": 0}]


def test_what_a_killed_writer_left_is_listed(db: Path) -> None:
    orphan(db, Entry(pins=[pin(KEYS[0])]))
    assert left(db) == [KEYS[0]]


@pytest.mark.parametrize(
    ("names", "gone"),
    [
        ([], [0, 1, 2]),
        (["aaaaaaaaaaaa"], [0]),
        (["b2:AAAA"], [0]),
        ([KEYS[2]], [2]),
        (["11111111-222"], [0, 1]),
        ([SESSIONS[1]], [2]),
        ([name(1)[:12].lower()], [0]),
        (["a", "9999"], [0, 2]),
        (["a", "aaa"], [0]),
    ],
    ids=str,
)
def test_those_that_are_named_are_brought_back_and_all_where_none_is(
    db: Path, names: list[str], gone: list[int]
) -> None:
    three(db)
    plural = "conversation" if len(gone) == 1 else "conversations"
    assert lines(demur("sticky", "clear", *names, db=db)) == [f"{len(gone)} {plural} brought back."]
    assert left(db) == [key for n, key in enumerate(KEYS) if n not in gone]
    with Store.open(db) as store:
        assert [store.unpinned(key) is not None for key in KEYS] == [n in gone for n in range(3)]


def test_clearing_tells_a_program_how_many(db: Path) -> None:
    three(db)
    assert objects(demur("sticky", "clear", "a", "--json", db=db)) == [{"cleared": 1}]


def test_a_name_of_none_or_of_several_is_told_in_one_line_and_nothing_is_cleared(db: Path) -> None:
    three(db)
    keep(db, Entry(pins=[pin(f"b2:a{'f' * 31}", session_id="1111")]))
    assert "`demur sticky list` shows them" in fails(demur("sticky", "clear", "nobody", db=db))
    assert "say more of it" in fails(demur("sticky", "clear", "a", db=db), code=2)
    assert "say more of it" in fails(demur("sticky", "clear", "111", db=db), code=2)
    assert "an empty name" in fails(demur("sticky", "clear", "", db=db), code=2)
    assert "`demur sticky list`" in fails(demur("sticky", "clear", "a", db=db.with_name("none.db")))
    assert len(left(db)) == 4
    assert lines(demur("sticky", "clear", "1111", db=db)) == ["1 conversation brought back."]


def test_a_name_cannot_drive_a_terminal(db: Path) -> None:
    keep(db, Entry(pins=[pin(ESCAPES, session_id=ESCAPES, model=ESCAPES, answered_by=ESCAPES, at=f"2{ESCAPES}")]))
    for arguments in (["list"], ["list", "--json"], ["clear", f"no{ESCAPES}"]):
        result = demur("sticky", *arguments, db=db)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b]", result.output)


def test_a_database_that_cannot_be_written_is_told_and_nothing_is_cleared(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.cli.database.PATIENCE", 0.05)
    three(db)
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("begin immediate")
        result = demur("sticky", "clear", db=db)
    assert result.exit_code == 1
    assert "locked by another process" in result.stderr
    assert len(left(db)) == 3


@posix
@pytest.mark.parametrize(
    ("arguments", "typed", "code", "n"),
    [([], "n\n", 1, 3), ([], "y\n", 0, 0), (["--yes"], "", 0, 0), (["aaaa"], "", 0, 2)],
)
def test_on_a_terminal_it_asks_before_it_clears_all(
    db: Path, arguments: list[str], typed: str, code: int, n: int
) -> None:
    three(db)
    ended, seen = typing(typed, "sticky", "clear", *arguments, "--db", str(db))
    assert ended == code, seen
    assert ("Bring 3 conversations back" in seen) is bool(typed)
    assert len(left(db)) == n


def typing(typed: str, *arguments: str) -> tuple[int, str]:
    """The exit code of a command on a terminal on which something is typed, and what it shows."""
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "proxy.cli", *arguments]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=Path(__file__).parents[2])
    os.close(theirs)
    os.write(ours, typed.encode())
    seen = b""
    try:
        while data := os.read(ours, 1 << 16):
            seen += data
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    return child.wait(), seen.decode()
