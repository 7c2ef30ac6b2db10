"""``demur watch``: a line for each refusal as a client writes it down."""

import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest

from commands import demur, lines, objects
from entries import untraced
from importers.sessions import Session

LONG = 60.0
"""Seconds after which something never comes."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "projects" / "-home-dev-lab"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "data" / "demur.db"


class Watching:
    """The command, while it runs."""

    def __init__(self, folder: Path, db: Path, *options: str, env: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "proxy.cli", "watch", str(folder), "--every", "0.1", "--db", str(db), *options]
        self.process = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env=env,
        )
        assert self.process.stdout
        assert self.process.stderr
        self.out, self.err = self.process.stdout, self.process.stderr

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.out.close()
        self.err.close()

    def line(self, *, err: bool = False) -> str:
        stream = self.err if err else self.out
        assert select.select([stream], [], [], LONG)[0], "no line came"
        return stream.readline().decode()

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(LONG)


def refused(n: int) -> bytes:
    session = Session(sessionId=f"{n:08d}-2222-4333-8444-555555555555")
    session.prompt(f"the prompt {n} of mine")
    session.refused(n)
    return bytes(session)


@pytest.fixture
def watching(folder: Path, db: Path) -> Iterator[Watching]:
    (folder / "before.jsonl").write_bytes(refused(1))
    with Watching(folder, db) as running:
        assert running.line(err=True).startswith(f"demur watches {folder} ")
        yield running


def test_what_is_written_is_told_of_once_and_what_was_there_before_is_imported_in_silence(
    watching: Watching, folder: Path, db: Path
) -> None:
    (folder / "now.jsonl").write_bytes(refused(2))
    told = watching.line()
    assert "cyber" in told
    assert "req_0002" in told
    assert "prompt 2" not in told
    with (folder / "now.jsonl").open("ab") as file:
        file.write(refused(3))
    assert "req_0003" in watching.line()
    assert watching.end(signal.SIGTERM) == 0
    assert watching.out.read() == b""
    assert len(objects(demur("list", "--all", "--json", db=db))) == 3


def test_ctrl_c_ends_it_well_and_tells_how_many_it_saw(watching: Watching, folder: Path) -> None:
    for n in (2, 3):
        (folder / f"{n}.jsonl").write_bytes(refused(n))
        watching.line()
    assert watching.end(signal.SIGINT) == 0
    assert watching.err.read() == b"demur saw 2 refusals while it watched\n"


def test_a_line_has_the_id_that_the_list_has(watching: Watching, folder: Path, db: Path) -> None:
    (folder / "now.jsonl").write_bytes(refused(2))
    short = watching.line().split("demur show ")[1].strip()
    assert short in [row.split()[0] for row in lines(demur("list", db=db))]
    assert len(short) == 12


def test_what_stays_unreadable_is_told_of_once(watching: Watching, folder: Path) -> None:
    (folder / "cut.jsonl").write_bytes(refused(4)[:-40])
    told = watching.line(err=True)
    assert told.startswith("demur: ")
    assert "cut.jsonl" in told
    (folder / "next.jsonl").write_bytes(refused(5))
    while "req_0005" not in watching.line():
        pass
    assert watching.end(signal.SIGTERM) == 0
    assert watching.err.read() == b"demur saw 1 refusal while it watched\n"


def test_programs_get_one_object_a_line(folder: Path, db: Path) -> None:
    with Watching(folder, db, "--json") as running:
        running.line(err=True)
        (folder / "now.jsonl").write_bytes(refused(2))
        assert json.loads(running.line())["request_id"] == "req_0002"


def test_a_place_that_is_not_there_is_told_at_once(tmp_path: Path, db: Path) -> None:
    result = demur("watch", tmp_path / "none", db=db)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert not db.exists()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_idle_look_writes_nothing(watching: Watching, folder: Path, db: Path) -> None:
    (folder / "now.jsonl").write_bytes(refused(2))
    watching.line()
    time.sleep(0.3)
    first = [path.stat().st_mtime_ns for path in (db, Path(f"{db}-wal"))]
    time.sleep(0.5)
    assert [path.stat().st_mtime_ns for path in (db, Path(f"{db}-wal"))] == first


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the kernel counts what is read")
def test_what_cannot_be_read_is_not_read_again_at_each_look(watching: Watching, folder: Path) -> None:
    def read() -> int:
        return int(Path(f"/proc/{watching.process.pid}/io").read_text().split()[1])

    (folder / "long.jsonl").write_bytes(b"no json\n" + refused(4)[:-1] + b" " * (8 << 20) + b"\n" + refused(5))
    assert "long.jsonl:1: not JSON" in watching.line(err=True)
    before = read()
    (folder / "one.jsonl").write_bytes(refused(6))
    while "req_0006" not in watching.line():
        pass
    time.sleep(0.5)
    assert read() - before < 4 << 20


def test_files_are_followed_wherever_they_turn_up_and_whatever_becomes_of_them(
    watching: Watching, folder: Path, db: Path
) -> None:
    new = folder / "-home-dev-new" / "session" / "subagents"
    new.mkdir(parents=True)
    (new / "agent-1.jsonl").write_bytes(refused(2)[:-60])
    time.sleep(0.2)
    (new / "agent-1.jsonl").write_bytes(refused(2))
    assert "req_0002" in watching.line()
    (new / "agent-1.jsonl").rename(new / "renamed.jsonl")
    (folder / "before.jsonl").write_bytes(b"")
    other = folder / "other.tmp"
    other.write_bytes(refused(3))
    other.replace(folder / "before.jsonl")
    assert "req_0003" in watching.line()
    (folder / "before.jsonl").unlink()
    (folder / "odd.jsonl").write_bytes(b"\xff\xfe\xfd\n" + refused(4).replace(b"the prompt", b"\xc3\x28 prompt"))
    assert "req_0004" in watching.line()
    assert watching.end(signal.SIGTERM) == 0
    assert watching.out.read() == b""
    assert len(objects(demur("list", "--all", "--json", db=db))) == 4


def test_a_name_that_would_drive_a_terminal_is_shown_safely(watching: Watching, folder: Path) -> None:
    (folder / "x\x1b[31m\n.jsonl").write_bytes(refused(4)[:-40])
    assert "x\\x1b[31m\\n.jsonl:2: cut in the middle" in watching.line(err=True)


def test_a_database_that_another_keeps_is_told_of_once_and_what_came_meanwhile_when_it_is_free(
    watching: Watching, folder: Path, db: Path
) -> None:
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("begin immediate")
        (folder / "now.jsonl").write_bytes(refused(2))
        assert "demur.db" in watching.line(err=True)
        (folder / "more.jsonl").write_bytes(refused(3))
        other.execute("rollback")
    assert {line.partition("req_")[2][:4] for line in (watching.line(), watching.line())} == {"0002", "0003"}
    assert watching.end(signal.SIGTERM) == 0
    assert watching.err.read() == b"demur saw 2 refusals while it watched\n"


def test_what_comes_in_by_itself_cannot_be_followed(db: Path) -> None:
    result = demur("watch", "-", db=db)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "demur import -" in result.stderr


def test_ctrl_c_ends_the_first_look_as_well(folder: Path, db: Path) -> None:
    many = b"".join(refused(n) for n in range(3000))
    for n in range(20):
        (folder / f"{n}.jsonl").write_bytes(many + refused(5000 + n))
    with Watching(folder, db, env=untraced()) as running:
        while not db.exists():
            time.sleep(0.05)
        assert running.end(signal.SIGINT) != 0
        said = running.err.read().decode()
        assert "Traceback" not in said
        assert "watches" not in said
