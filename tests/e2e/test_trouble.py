"""The disk is full, the database is locked, replaced, or cannot be written: clients notice nothing, `demur doctor` says
what is wrong, and afterwards everything that was declined meanwhile is on record.

Before, during and after the trouble a client asks, and has to get what the API says to the byte.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from answers import MID
from e2e_claude import claude, ran
from e2e_process import DEMUR, Api, Process, command, in_thread, mitm, up
from entries import disk, noise, python, remount, until
from proxy.store import Store
from wire import Seen, ask, serving

EACH = 5
"""Requests before, during and after."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nrequest-id: req_%d\r\nTransfer-Encoding: chunked\r\n\r\n"
LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("begin exclusive")
print("locked", flush=True)
sys.stdin.read()
"""


def answer(number: int) -> bytes:
    return HEAD % number + b"%x\r\n%s\r\n0\r\n\r\n" % (len(MID), MID)


async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(int(seen.field(b"x-number")[0])))


def request(number: int) -> bytes:
    """One that does not compress well."""
    content = noise(20_000, number).hex()
    body = json.dumps({"model": "claude-opus-5", "stream": True, "messages": [{"role": "user", "content": content}]})
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-number: {number}\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


class Site:
    """A gateway with its database, before an API that declines everything."""

    def __init__(self, gateway: Process, db: Path) -> None:
        self.gateway, self.db = gateway, db
        self.asked: list[str] = []
        self._numbers = count()

    def ask(self) -> None:
        """Some requests; each is answered as the API answers it."""
        for _, number in zip(range(EACH), self._numbers, strict=False):
            seen = asyncio.run(ask(self.gateway.said["ANTHROPIC_BASE_URL"], request(number)))
            assert seen.head + b"%x\r\n%s\r\n0\r\n" % (len(seen.body), seen.body) + seen.ending == answer(number)
            self.asked.append(f"req_{number}")

    def end(self) -> None:
        """The gateway ends well, and what was asked is on record, once."""
        assert self.gateway.end() == 0
        lines = command("list", "--all", "--json", "--db", str(self.db)).splitlines()
        assert sorted(json.loads(line)["request_id"] for line in lines) == sorted(self.asked)
        assert json.loads(command("db", "verify", "--json", "--db", str(self.db)))["ok"]
        with Store.open(self.db, readonly=True) as store:
            assert store.losses() == []


@contextmanager
def site(db: Path, log: Path | None = None) -> Iterator[Site]:
    with in_thread(serving(play)) as server, up(server.url, db, log) as gateway:
        yield Site(gateway, db)


def complaints(db: Path) -> dict[str, str]:
    """What ``demur doctor`` finds wrong with the store: the name of the check, and what it found."""
    done = ran([*DEMUR, "doctor", "--offline", "--json", "--db", str(db)])
    checks = json.loads(done.out)["checks"]
    assert done.code == any(check["status"] == "fail" for check in checks)
    about = {"database", "writing", "spools", "space", "privacy", "losses"}
    return {check["name"]: check["found"] for check in checks if check["status"] != "ok" and check["name"] in about}


@contextmanager
def filled(db: Path) -> Iterator[None]:
    """The disk has not a byte left."""
    filler = db.with_name("filler")
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while file.write(b"x" * size):
                    pass
    yield
    filler.unlink()


@contextmanager
def locked(db: Path) -> Iterator[None]:
    """Another process keeps the database to itself."""
    with python(LOCK, db) as other:
        assert other.stdout
        assert other.stdout.readline() == "locked\n"
        yield
        other.communicate()


@contextmanager
def replaced(db: Path) -> Iterator[None]:
    """A folder has taken the database's place."""
    away = db.with_name("away")
    away.mkdir()
    moved = [path for path in db.parent.glob("demur.db*") if path.is_file()]
    for path in moved:
        path.rename(away / path.name)
    db.mkdir()
    yield
    db.rmdir()
    for path in moved:
        (away / path.name).rename(path)


Trouble = Callable[[Path], AbstractContextManager[None]]
TROUBLES = [
    pytest.param(filled, "space", "0 MiB free", id="a full disk"),
    pytest.param(locked, "writing", "is locked by another process", id="a lock of another process"),
    pytest.param(replaced, "database", "is a folder", id="a folder in the database's place"),
]


@pytest.mark.parametrize(("trouble", "name", "what"), TROUBLES)
def test_trouble_with_the_store_costs_neither_an_answer_nor_a_record(
    trouble: Trouble, name: str, what: str, tmp_path: Path
) -> None:
    with disk(tmp_path / "disk", "8m") as folder:
        with site(folder / "demur.db") as there:
            there.ask()
            until(lambda: complaints(there.db).keys() <= {"space"})
            with trouble(there.db):
                there.ask()
                assert what in complaints(there.db)[name]
                there.ask()
            there.ask()
            there.end()


def test_what_could_not_be_written_to_a_read_only_disk_is_written_when_it_can_be(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "8m") as folder:
        Store.open(folder / "demur.db").close()
        remount(folder, "ro")
        with site(folder / "demur.db", tmp_path / "log") as there:
            there.ask()
            assert "demur.db cannot be " in complaints(there.db)["writing"]
            there.ask()
            remount(folder, "rw")
            there.ask()
            there.end()


def test_a_gateway_recovers_by_itself(tmp_path: Path) -> None:
    with site(tmp_path / "demur.db") as there:
        there.ask()
        with locked(there.db):
            there.ask()
        until(lambda: len(command("list", "--all", "--json", "--db", str(there.db)).splitlines()) == 2 * EACH)
        there.end()


@pytest.mark.parametrize("start", [up, mitm])
def test_claude_code_notices_nothing_of_a_full_disk(
    start: Callable[[str, Path], Process], program: Path, tmp_path: Path
) -> None:
    with disk(tmp_path / "disk", "8m") as folder, in_thread(Api("refusal category=bio")) as api:
        with start(api.url, folder / "demur.db") as demur:
            with filled(folder / "demur.db"):
                ran = claude(program, tmp_path, "Say hi.", "--model", "claude-opus-5", **demur.said)
            assert demur.end() == 0
        told = [told.request_id for told in api.told if told.received.scenario]
        listed = command("list", "--all", "--json", "--db", str(folder / "demur.db")).splitlines()
    assert ran.code == 1
    assert ran.out.startswith("API Error: ")
    assert f"Request ID: {told[-1]}" in ran.out
    assert sorted(json.loads(line)["request_id"] for line in listed) == sorted(told)
