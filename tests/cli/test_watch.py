"""``demur watch``: a line for each refusal as a client writes it down."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from commands import demur, objects
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

    def __init__(self, folder: Path, db: Path, *options: str) -> None:
        command = [sys.executable, "-m", "proxy.cli", "watch", str(folder), "--every", "0.1", "--db", str(db), *options]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
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


def test_ctrl_c_ends_it_well(watching: Watching) -> None:
    assert watching.end(signal.SIGINT) == 0


def test_what_stays_unreadable_is_told_of_once(watching: Watching, folder: Path) -> None:
    (folder / "cut.jsonl").write_bytes(refused(4)[:-40])
    told = watching.line(err=True)
    assert told.startswith("demur: ")
    assert "cut.jsonl" in told
    (folder / "next.jsonl").write_bytes(refused(5))
    while "req_0005" not in watching.line():
        pass
    assert watching.end(signal.SIGTERM) == 0
    assert watching.err.read() == b""


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
