import random
import shutil
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from entries import HOUR, disk, entry, fill, name, noise, python, remount, stored, until
from proxy import writer as module
from proxy.adoption import adopt
from proxy.cli.database import reading
from proxy.packed import dump, pack
from proxy.spool import Spool, spool_folder, spools
from proxy.store import Store, StoreError
from proxy.upkeep import health
from proxy.writer import Writer
from schemas.records import Entry, Traffic, Update

posix = pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
Make = Callable[..., Writer]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "demur.db"


@pytest.fixture
def start() -> Iterator[Make]:
    """Starts writers that do not wait long for a lock, and closes them in the end."""
    writers: list[Writer] = []

    def start(path: Path, **settings: int) -> Writer:
        writers.append(Writer(path, patience=0.05, **settings))
        writers[-1].start()
        return writers[-1]

    yield start
    for writer in writers:
        writer.close()


@pytest.fixture
def log() -> Iterator[list[EventDict]]:
    with capture_logs() as events:
        yield events


def ids(path: Path) -> list[str]:
    """The stored refusals, each of which must have been counted exactly once."""
    with Store.open(path) as store:
        store.db.execute("begin")
        stored = [one.id for one in store.refusals()]
        assert sum(n for traffic, n in store.traffic() if traffic == HOUR) == len(stored)
    return stored[::-1]


def lost(path: Path) -> int:
    with Store.open(path) as store:
        return sum(loss.n for loss in store.losses())


def names(log: list[EventDict], part: str = "database") -> list[str]:
    return [event["event"] for event in log if event.get("part") == part]


def orphan(path: Path, *entries: Entry, losses: int = 0) -> Path:
    """A spool whose owner is dead; the folder it stands in."""
    folder = spool_folder(path)
    folder.mkdir(parents=True, exist_ok=True)
    with Spool.create(folder) as spool:
        for one in entries:
            spool.append(dump(pack(one)))
        if losses:
            spool.lose(losses)
    return folder


def together(what: Callable[[int], object]) -> None:
    """Four threads do it at once."""
    threads = [threading.Thread(target=what, args=[k]) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# What is put lands


def test_what_is_put_is_in_the_spool_at_once_and_in_the_database_after_the_close(path: Path) -> None:
    writer = Writer(path)
    writer.start()
    for n in range(20):
        assert writer.put(entry(n, b"some text", noise(1000, n)))
    assert writer.close()
    assert ids(path) == [name(n) for n in range(20)]
    assert spools(spool_folder(path)) == []
    with Store.open(path) as store:
        assert store.rows("select * from spools") == []


def test_it_lands_while_the_writer_goes_on(path: Path, start: Make) -> None:
    writer = start(path)
    writer.put(entry(1))
    until(lambda: path.exists() and ids(path) == [name(1)])
    writer.put(entry(2))
    until(lambda: ids(path) == [name(1), name(2)])


def test_counts_are_summed_and_land(path: Path, start: Make) -> None:
    writer = start(path)
    other = Traffic(hour="2026-11-23T15")
    writer.count(other)
    together(lambda _: deque(map(writer.count, [HOUR] * 500), 0))
    assert writer.close()
    with Store.open(path) as store:
        assert store.traffic() == [(HOUR, 2000), (other, 1)]


def test_any_thread_may_put(path: Path, start: Make) -> None:
    writer = start(path)
    together(lambda k: [writer.put(entry(100 * k + n, noise(2000, n))) for n in range(100)])
    assert writer.close()
    assert ids(path) == [name(n) for n in range(400)]


def test_several_writers_in_one_process_share_one_file(path: Path, start: Make) -> None:
    writers = [start(path) for _ in range(3)]
    for n in range(60):
        assert writers[n % 3].put(entry(n))
    assert all(writer.close() for writer in writers)
    assert ids(path) == [name(n) for n in range(60)]


def test_what_comes_after_the_close_is_spooled_and_adopted_by_the_next(path: Path, start: Make) -> None:
    writer = start(path)
    assert writer.close()
    assert writer.put(entry(1, traffic=0))
    writer.count(HOUR)
    assert start(path).close()
    assert ids(path) == [name(1)]


def test_a_writer_that_never_started_keeps_what_it_was_given(path: Path) -> None:
    writer = Writer(path)
    assert writer.put(entry(1))
    assert writer.close()
    assert writer.close()
    assert ids(path) == [name(1)]


def test_an_entry_that_cannot_be_encoded_is_counted_and_raises_nothing(
    path: Path, start: Make, log: list[EventDict]
) -> None:
    writer = start(path)
    assert not writer.put(entry(1, output_tokens=1 << 90))
    assert not writer.put(None)  # type: ignore[arg-type]
    assert writer.put(entry(2))
    assert writer.close()
    assert (ids(path), lost(path)) == ([name(2)], 2)
    assert [event["event"] for event in log] == ["store.lost"] * 2


def test_what_is_too_old_is_removed_when_a_writer_starts(path: Path, start: Make) -> None:
    Writer(path).close()
    with Store.open(path) as store:
        store.apply([entry(1, b"x", at="2020-01-01T00:00:00.000Z", traffic=0), entry(2)])
    assert start(path, retention_days=0).close()
    with Store.open(path) as store:
        assert len(store.refusals()) == 2
    assert start(path).close()
    with Store.open(path) as store:
        assert [one.id for one in store.refusals()] == [name(2)]
        assert store.rows("select * from segments") == []


# Deaths


PUT = """
import random, sys
from pathlib import Path
from proxy.writer import Writer
from entries import entry, noise
writer = Writer(sys.argv[1], patience=0.05)
writer.start()
first, n = int(sys.argv[2]), int(sys.argv[3])
for i in range(first, first + n):
    assert writer.put(entry(i, b"shared", noise(i % 7 * 3000, i)))
    print(i, flush=True)
if "wait" in sys.argv:
    sys.stdin.readline()
assert writer.close(60)
"""


def test_a_killed_process_loses_and_repeats_nothing(path: Path) -> None:
    told: set[str] = set()
    chance = random.Random(7)
    for turn in range(8):
        with python(PUT, path, turn * 1000, 1000) as process:
            assert process.stdout is not None
            for _ in range(chance.randrange(1, 200)):
                told.add(name(int(process.stdout.readline())))
            process.kill()
            told |= {name(int(line)) for line in process.stdout.read().split("\n")[:-1]}
    with stored(path) as store:
        kept = {one.id for one in store.refusals(limit=None)}
        assert store.losses() == []
    assert told <= kept
    assert len(kept - told) <= 8  # put, and killed before it could be told
    assert set(ids(path)) == kept
    assert spools(spool_folder(path)) == []
    report = health(path)
    assert (report.pending, report.lost) == (0, 0)


ADOPT = """
import sys
from proxy.adoption import adopt
from proxy.spool import spool_folder
from proxy.store import Store
with Store.open(sys.argv[1]) as store:
    print("ready", flush=True)
    adopt(store, spool_folder(sys.argv[1]))
"""


def test_whoever_adopts_may_be_killed_too(path: Path) -> None:
    folder = orphan(path, *(entry(n, noise(200_000, n)) for n in range(120)))
    Store.open(path).close()
    for n in range(6):
        with python(ADOPT, path) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            until(lambda n=n, process=process: process.poll() is not None or len(ids(path)) > n * 20)  # type: ignore[misc]
            process.kill()
        assert ids(path) == [name(i) for i in range(len(ids(path)))]
    with Store.open(path) as store:
        adopt(store, folder)
    assert ids(path) == [name(n) for n in range(120)]
    assert spools(folder) == []


def test_processes_that_share_a_file_lose_and_repeat_nothing(path: Path) -> None:
    processes = [python(PUT, path, k * 1000, 150) for k in range(4)]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    assert ids(path) == [name(k * 1000 + n) for k in range(4) for n in range(150)]
    assert spools(spool_folder(path)) == []


def test_what_dead_processes_left_is_adopted_by_the_next_writer_with_their_losses(path: Path, start: Make) -> None:
    orphan(path, entry(1), entry(2), losses=3)
    orphan(path, entry(3))
    assert start(path).close()
    assert (ids(path), lost(path)) == ([name(1), name(2), name(3)], 3)


def test_what_dead_processes_left_is_adopted_by_whoever_reads(path: Path) -> None:
    folder = orphan(path, entry(1), losses=1)
    with stored(path) as store:
        assert [one.id for one in store.refusals()] == [name(1)]
    assert spools(folder) == []
    with stored(path) as store:
        assert sum(loss.n for loss in store.losses()) == 1


def test_a_live_spool_is_not_adopted(path: Path) -> None:
    with python(PUT, path, 0, 5, "wait") as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        until(lambda: path.exists() and len(ids(path)) == 5)
        with Store.open(path) as store:
            assert adopt(store, spool_folder(path)) == 0
        assert len(spools(spool_folder(path))) == 1
        process.communicate("\n")
    assert process.returncode == 0


def test_damaged_and_foreign_entries_are_counted_and_keep_no_other_from_landing(path: Path, start: Make) -> None:
    folder = orphan(path, entry(1), entry(2))
    (first,) = spools(folder)
    content = bytearray(first.read_bytes())
    content[64 + 12 + 5] ^= 1
    first.write_bytes(content)
    with Spool.create(folder) as spool:
        spool.append(b"\x93 not what it should be")
        spool.append(dump(pack(entry(3))))
    assert start(path).close()
    assert (ids(path), lost(path)) == ([name(2), name(3)], 2)
    assert spools(folder) == []


# A database that does not work


def test_a_locked_database_keeps_nobody_waiting_and_gets_everything_afterwards(
    path: Path, start: Make, log: list[EventDict]
) -> None:
    Store.open(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")
    writer = start(path)
    until(lambda: "store.failed" in names(log))
    assert all(writer.put(entry(n)) for n in range(50))
    for _ in range(10):
        writer.count(Traffic(hour="2026-11-23T15"))
    other.execute("rollback")
    other.close()
    assert writer.close()
    assert ids(path) == [name(n) for n in range(50)]
    assert names(log) == ["store.failed", "store.recovered"]
    failed = log[0]
    assert failed["error"] == "StoreError"
    assert "is locked by another process" in failed["message"]


def test_a_database_that_is_locked_to_the_end_leaves_everything_to_the_next_writer(path: Path, start: Make) -> None:
    Store.open(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")
    writer = start(path)
    assert all(writer.put(entry(n)) for n in range(50))
    assert not writer.close(0.2)
    other.close()
    assert start(path).close()
    assert ids(path) == [name(n) for n in range(50)]


def test_each_change_of_state_is_told_once(path: Path, start: Make, log: list[EventDict]) -> None:
    path.mkdir(parents=True)
    writer = start(path)
    until(lambda: "store.failed" in names(log))
    for n in range(5):
        assert writer.put(entry(n))
    path.rmdir()
    until(lambda: "store.recovered" in names(log))
    assert writer.close()
    assert ids(path) == [name(n) for n in range(5)]
    assert names(log) == ["store.failed", "store.recovered"]


@posix
@pytest.mark.parametrize("files", ["demur.db", "demur.db*"])
def test_a_deleted_database_is_made_again(files: str, path: Path, start: Make) -> None:
    writer = start(path)
    writer.put(entry(1))
    until(lambda: path.exists() and ids(path) == [name(1)])
    for file in path.parent.glob(files):
        if file.is_file():
            file.unlink()
    writer.put(entry(2))
    until(lambda: path.exists() and name(2) in ids(path))
    assert writer.close()
    assert name(2) in ids(path)


@posix
def test_a_spool_is_not_given_up_for_a_database_that_was_deleted_meanwhile(path: Path) -> None:
    folder = orphan(path, entry(1))
    with Store.open(path) as store:
        path.unlink()
        with pytest.raises(StoreError, match="was removed while it was written"):
            adopt(store, folder)
    with stored(path) as store:
        assert [one.id for one in store.refusals()] == [name(1)]


@posix
def test_a_folder_in_the_place_of_the_database_is_noticed_and_its_end_too(
    path: Path, start: Make, log: list[EventDict]
) -> None:
    writer = start(path)
    writer.put(entry(1))
    until(lambda: path.exists() and ids(path) == [name(1)])
    moved = path.with_name("moved.db")
    path.rename(moved)
    path.mkdir()
    assert writer.put(entry(2))
    until(lambda: "store.failed" in names(log))
    path.rmdir()
    moved.rename(path)
    assert writer.close()
    assert ids(path) == [name(1), name(2)]


def test_a_file_that_is_no_database_is_left_as_it_is_and_the_spool_kept(path: Path, start: Make) -> None:
    path.parent.mkdir()
    path.write_bytes(b"a text of somebody's" * 100)
    writer = start(path)
    assert writer.put(entry(1))
    assert not writer.close(0.2)
    assert path.read_bytes() == b"a text of somebody's" * 100
    path.unlink()
    with stored(path) as store:
        assert [one.id for one in store.refusals()] == [name(1)]


# A disk that does not work


@posix
def test_a_removed_spool_folder_is_made_again(path: Path, start: Make) -> None:
    path.mkdir(parents=True)  # so that nothing leaves the spool yet
    writer = start(path)
    assert writer.put(entry(1))
    shutil.rmtree(spool_folder(path))
    assert writer.put(entry(2))
    assert len(spools(spool_folder(path))) == 1
    path.rmdir()
    assert writer.close()
    assert ids(path) == [name(1), name(2)]


@posix
def test_where_there_can_be_no_spool_entries_go_straight_into_the_database(
    path: Path, start: Make, log: list[EventDict]
) -> None:
    path.parent.mkdir()
    spool_folder(path).write_bytes(b"a file in its place")
    writer = start(path)
    assert not any(writer.put(entry(n, b"text")) for n in range(3))
    assert not writer.put(entry(4, output_tokens=1 << 90))
    writer.count(Traffic(hour="2026-11-23T15"))
    until(lambda: path.exists() and len(ids(path)) == 3)
    assert writer.close()
    assert (ids(path), lost(path)) == ([name(0), name(1), name(2)], 1)
    with Store.open(path) as store:
        assert (Traffic(hour="2026-11-23T15"), 1) in store.traffic()
    assert names(log, "spool") == ["store.failed"]


@posix
def test_where_nothing_can_be_made_everything_waits_and_lands_afterwards(
    path: Path, start: Make, log: list[EventDict]
) -> None:
    path.parent.write_bytes(b"a file in the place of the folder")
    writer = start(path)
    assert not any(writer.put(entry(n, b"text")) for n in range(3))
    writer.count(Traffic(hour="2026-11-23T15"))
    path.parent.unlink()
    until(lambda: path.exists() and len(ids(path)) == 3)
    assert writer.put(entry(3))
    assert writer.close()
    assert ids(path) == [name(n) for n in range(4)]
    assert names(log, "spool") == ["store.failed", "store.recovered"]
    assert path.parent.stat().st_mode & 0o777 == 0o700


@posix
def test_what_can_be_written_nowhere_until_the_end_is_told_to_be_lost(
    path: Path, start: Make, log: list[EventDict]
) -> None:
    path.parent.write_bytes(b"a file in the place of the folder")
    writer = start(path)
    assert not writer.put(entry(1))
    writer.count(HOUR)
    assert not writer.close(0.2)
    assert [event["entries"] for event in log if event["event"] == "store.lost"] == [2]


def test_on_a_full_disk_everything_waits_and_lands_when_there_is_space(
    tmp_path: Path, start: Make, log: list[EventDict]
) -> None:
    with disk(tmp_path / "disk") as folder:
        path = folder / "demur.db"
        writer = start(path)
        assert writer.put(entry(0))
        until(lambda: path.exists() and ids(path) == [name(0)])
        filler = fill(folder)
        assert not any(writer.put(entry(n, noise(20_000, n))) for n in range(1, 10))
        assert names(log, "spool") == ["store.failed"]
        filler.unlink()
        until(lambda: len(ids(path)) == 10)
        assert writer.put(entry(10))
        assert names(log, "spool") == ["store.failed", "store.recovered"]
        assert writer.close()
        assert (ids(path), lost(path)) == ([name(n) for n in range(11)], 0)


def test_what_became_of_a_refusal_never_overtakes_it(tmp_path: Path, start: Make) -> None:
    with disk(tmp_path / "disk") as folder:
        path = folder / "demur.db"
        writer = start(path)
        assert writer.put(entry(0))
        until(lambda: path.exists() and ids(path) == [name(0)])
        filler = fill(folder)
        with filler.open("r+b") as file:
            file.truncate(filler.stat().st_size - 16_384)
        assert not writer.put(entry(1, noise(200_000, 1)))
        assert not writer.put(Entry(updates=[Update(refusal_id=name(1), ruling="exhausted")]))
        filler.unlink()
        until(lambda: len(ids(path)) == 2)
        assert writer.close()
        with Store.open(path) as store:
            assert {one.id: one.ruling for one in store.refusals()} == {name(0): None, name(1): "exhausted"}


def test_what_does_not_fit_into_memory_is_counted_on_the_full_disk_and_told_afterwards(
    tmp_path: Path, start: Make, log: list[EventDict]
) -> None:
    with disk(tmp_path / "disk") as folder:
        path = folder / "demur.db"
        writer = start(path, memory=50_000)
        assert writer.put(entry(0))
        until(lambda: path.exists() and ids(path) == [name(0)])
        filler = fill(folder)
        assert not any(writer.put(entry(n, noise(20_000, n))) for n in range(1, 6))
        assert [event["entries"] for event in log if event["event"] == "store.lost"] == [1] * 3
        assert health(path).lost == 3
        assert not writer.close(0.2)
        assert health(path).lost > 3
        filler.unlink()
        assert start(path).close()
        assert len(ids(path)) + lost(path) == 6  # SQLite may give a page back on closing, and one more entry fits
        assert health(path).lost == lost(path)


def test_on_a_read_only_disk_everything_waits_and_lands_when_it_can_be_written(
    tmp_path: Path, start: Make, log: list[EventDict]
) -> None:
    with disk(tmp_path / "disk") as folder:
        path = folder / "demur.db"
        orphan(path, entry(0))
        Store.open(path).close()
        remount(folder, "ro")
        writer = start(path)
        assert not any(writer.put(entry(n, b"text")) for n in range(1, 4))
        with reading(path) as store:
            assert store is not None
            assert store.refusals() == []
        until(lambda: "store.failed" in names(log) + names(log, "spool"))
        remount(folder, "rw")
        until(lambda: len(ids(path)) == 4)
        assert writer.put(entry(4))
        assert writer.close()
        assert ids(path) == [name(n) for n in range(5)]


# Spools that were moved


@pytest.mark.parametrize("setting", ["LARGE", "OLD"])
def test_a_spool_that_was_moved_is_replaced_so_that_nothing_lives_on_in_it(
    setting: str, path: Path, start: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, setting, 0)
    writer = start(path)
    secret = noise(500)
    folder = spool_folder(path)
    assert writer.put(entry(1, secret))
    until(lambda: path.exists() and ids(path) == [name(1)])

    def gone() -> bool:
        try:
            return all(secret not in spool.read_bytes() for spool in spools(folder))
        except FileNotFoundError:  # it was replaced just now
            return False

    until(gone)
    assert writer.put(entry(2))
    assert writer.close()
    assert ids(path) == [name(1), name(2)]
    assert spools(folder) == []


# Reading


def test_where_nothing_was_recorded_a_reader_has_nothing_and_makes_nothing(path: Path) -> None:
    with reading(path) as store:
        assert store is None
    assert not path.parent.exists()


def test_a_locked_database_is_read_as_it_is(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store.open(path) as store:
        store.apply([entry(1)])
    folder = orphan(path, entry(2))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    with reading(path) as store:
        assert store is not None
        assert [one.id for one in store.refusals()] == [name(1)]
    other.close()
    assert "not in the database yet and not shown" in capsys.readouterr().err
    assert len(spools(folder)) == 1


def test_what_cannot_be_read_at_all_says_why(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="is a folder"), reading(path):
        pass
