import os
import stat
import struct
import sys
import threading
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entries import disk, fill, noise, python
from proxy.spool import START, STARTED, Spool, _lock, spools

PAYLOADS = [b"one", b"", noise(300), b"four" * 50]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a spool that holds the payloads."""
    with Spool.create(tmp_path_factory.mktemp("spool")) as spool:
        for payload in PAYLOADS:
            spool.append(payload)
        return spool.path.read_bytes()


def read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> tuple[list[bytes], int, int]:
    path = tmp_path_factory.mktemp("torn") / "x.spool"
    path.write_bytes(content)
    spool = Spool.claim(path)
    assert spool is not None
    with spool:
        return spool.read(0)


def test_what_was_appended_is_read_in_order(folder: Path) -> None:
    with Spool.create(folder) as spool:
        for payload in PAYLOADS:
            spool.append(payload)
        assert spool.read(0) == (PAYLOADS, spool.end, 0)
        assert spool.read(spool.end) == ([], spool.end, 0)


def test_a_read_takes_about_as_much_as_it_is_told_and_the_next_goes_on(folder: Path) -> None:
    with Spool.create(folder) as spool:
        for payload in PAYLOADS:
            spool.append(payload)
        seen, at = [], 0
        for _ in PAYLOADS:
            batch = spool.read(at, 1 if at else START + 1)
            assert len(batch.payloads) == 1
            seen += batch.payloads
            at = batch.end
        assert seen == PAYLOADS


@given(cut=st.integers(0, 10_000))
def test_whatever_is_cut_off_the_entries_before_it_survive(
    cut: int, written: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = written[: max(START, len(written) - cut)]
    payloads, end, damaged = read(tmp_path_factory, kept)
    assert payloads == PAYLOADS[: len(payloads)]
    assert damaged == 0
    ends = [START]
    for payload in PAYLOADS:
        ends.append(ends[-1] + 12 + len(payload))
    assert len(payloads) == sum(one <= len(kept) for one in ends[1:])
    assert end == ends[len(payloads)]


@given(at=st.integers(START, 10_000), flip=st.integers(1, 255), more=st.binary(max_size=40))
def test_whatever_is_changed_nothing_is_repeated_or_invented(
    at: int, flip: int, more: bytes, written: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    at = min(at, len(written) - 1)
    changed = bytearray(written)
    changed[at] ^= flip
    payloads, end, damaged = read(tmp_path_factory, bytes(changed) + more)
    before, start = 0, START
    for payload in PAYLOADS:
        start += 12 + len(payload)
        before += start <= at
    assert payloads[:before] == PAYLOADS[:before]
    rest = iter(PAYLOADS[before:])
    assert all(payload in rest for payload in payloads[before:])
    assert damaged >= 1
    assert end <= len(changed) + len(more)


@given(tail=st.binary(max_size=400))
def test_any_bytes_behind_the_header_can_be_read(
    tail: bytes, written: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    payloads, _, _ = read(tmp_path_factory, written + tail)
    assert payloads[: len(PAYLOADS)] == PAYLOADS


def test_zeros_that_a_lost_power_leaves_are_one_damage(
    written: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    payloads, end, damaged = read(tmp_path_factory, written + bytes(4096))
    assert (payloads, end, damaged) == (PAYLOADS, len(written) + 4096, 1)


def test_the_entries_behind_a_damaged_one_survive(written: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    changed = bytearray(written)
    changed[START + 12] ^= 1
    payloads, end, damaged = read(tmp_path_factory, bytes(changed))
    assert (payloads, end, damaged) == (PAYLOADS[1:], len(written), 1)


def test_a_spool_of_a_live_owner_cannot_be_claimed_but_be_looked_at(folder: Path) -> None:
    with Spool.create(folder) as spool:
        spool.append(b"x")
        spool.lose(3)
        assert Spool.claim(spool.path) is None
        view = Spool.view(spool.path)
        assert view is not None
        with view:
            assert (view.read(0).payloads, view.lost, view.pid) == ([b"x"], 3, os.getpid())
            assert view.started == STARTED


def test_a_later_spool_of_a_process_has_the_same_start(folder: Path) -> None:
    with Spool.create(folder) as one, Spool.create(folder) as other:
        assert one.started == other.started <= one.path.stat().st_mtime_ns // 1_000_000


def test_a_spool_is_claimed_by_one_only(folder: Path) -> None:
    Spool.create(folder).close()
    (path,) = spools(folder)
    first = Spool.claim(path)
    assert first is not None
    assert Spool.claim(path) is None
    first.discard()
    assert Spool.claim(path) is None
    assert spools(folder) == []


def test_a_spool_of_a_killed_owner_is_whole_and_can_be_claimed(folder: Path) -> None:
    code = "import sys, time; from pathlib import Path; from proxy.spool import Spool\n"
    code += "s = Spool.create(Path(sys.argv[1])); s.append(b'x' * 100_000); s.lose(2); print('ready', flush=True)\n"
    code += "time.sleep(600)"
    with python(code, folder) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "ready\n"
        (path,) = spools(folder)
        assert Spool.claim(path) is None
        owner.kill()
    spool = Spool.claim(path)
    assert spool is not None
    with spool:
        assert spool.read(0).payloads == [b"x" * 100_000]
        assert (spool.lost, spool.pid) == (2, owner.pid)


def test_a_file_whose_owner_died_before_it_began_is_removed(folder: Path) -> None:
    path = folder / "x.spool"
    path.write_bytes(b"demur")
    assert Spool.view(path) is None
    assert Spool.claim(path) is None
    assert not path.exists()


def test_who_takes_a_spool_over_has_what_its_owner_wrote_until_the_end(folder: Path) -> None:
    with Spool.create(folder) as owner, Spool._open(owner.path, os.O_RDWR) as next_one:
        with pytest.raises(OSError, match="temporarily unavailable"):
            next_one.take_over()
        owner.append(b"the last")
        owner.lose(1)
        owner.close()
        assert next_one.take_over()
        assert (next_one.read(0).payloads, next_one.lost) == ([b"the last"], 1)


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_a_spool_that_another_has_moved_and_removed_meanwhile_is_not_taken_over(folder: Path) -> None:
    Spool.create(folder).close()
    (path,) = spools(folder)
    with Spool._open(path, os.O_RDWR) as late:
        other = Spool.claim(path)
        assert other is not None
        other.discard()
        assert not late.take_over()


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_a_spool_that_was_taken_for_a_dead_ones_before_it_began_is_begun_anew(folder: Path) -> None:
    path = folder / "x.spool"
    with Spool._open(path, os.O_RDWR | os.O_CREAT) as owner:
        with Spool._open(path, os.O_RDWR) as other:
            _lock(other._fd)
            assert not owner.begin()  # while the other looks at it
        assert Spool.claim(path) is None
        assert not path.exists()
        assert not owner.begin()  # and after it has removed it
    begun: list[bool] = []

    class Watched(Spool):
        def begin(self) -> bool:
            if not begun:
                assert Spool.claim(self.path) is None
            begun.append(super().begin())
            return begun[-1]

    with Watched.create(folder) as spool:
        assert begun == [False, True]
        assert spools(folder) == [spool.path]


def test_a_file_of_another_format_is_left_alone(folder: Path) -> None:
    path = folder / "x.spool"
    path.write_bytes(b"demur\x002\n" + bytes(500))
    assert Spool.claim(path) is None
    assert Spool.view(path) is None
    assert path.stat().st_size == 508


def test_what_is_no_file_is_no_spool(folder: Path) -> None:
    (folder / "x.spool").mkdir()
    (folder / "file").write_bytes(b"")
    assert Spool.claim(folder / "x.spool") is None
    assert Spool.view(folder / "missing.spool") is None
    assert spools(folder / "missing") == []
    assert spools(folder / "file") == []


def test_a_damaged_count_of_losses_is_not_believed(written: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.spool"
    changed = bytearray(written)
    changed[24:32] = struct.pack("<Q", 99)
    path.write_bytes(changed)
    spool = Spool.claim(path)
    assert spool is not None
    with spool:
        assert (spool.lost, spool.read(0).payloads) == (0, PAYLOADS)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_spool_is_its_owners_alone(folder: Path) -> None:
    with Spool.create(folder) as spool:
        assert stat.S_IMODE(spool.path.stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_a_spool_that_was_removed_says_so(folder: Path) -> None:
    with Spool.create(folder) as spool:
        assert spool.in_place()
        spool.path.unlink()
        assert not spool.in_place()
        spool.append(b"still readable")
        assert spool.read(0).payloads == [b"still readable"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's device that is always full")
def test_a_spool_that_cannot_be_cut_back_is_not_used_again() -> None:
    with Spool(Path("/dev/full"), os.open("/dev/full", os.O_RDWR)) as spool:
        assert spool.in_place()
        with pytest.raises(OSError, match="No space"):
            spool.append(b"x")
        assert not spool.in_place()


def test_on_a_full_disk_an_append_fails_whole_and_losses_are_still_written(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as folder, Spool.create(folder) as spool:
        spool.append(b"before")
        filler = fill(folder)
        with pytest.raises(OSError, match="No space"):
            spool.append(noise(100_000))
        spool.lose(1)
        with pytest.raises(OSError, match="No space"):
            Spool.create(folder).append(noise(100_000))
        filler.unlink()
        spool.append(b"after")
        spool.close()
        again = Spool.claim(spool.path)
        assert again is not None
        with again:
            assert (again.read(0).payloads, again.read(0).damaged, again.lost) == ([b"before", b"after"], 0, 1)


def test_a_reader_beside_the_appender_sees_each_entry_once(folder: Path) -> None:
    payloads = [str(n).encode() * (n % 50) for n in range(2000)]
    with Spool.create(folder) as spool:
        thread = threading.Thread(target=lambda: deque(map(spool.append, payloads), 0))
        thread.start()
        seen: list[bytes] = []
        at = 0
        while thread.is_alive() or at < spool.end:
            batch = spool.read(at, 500)
            assert batch.damaged == 0
            seen += batch.payloads
            at = batch.end
        thread.join()
    assert seen == payloads
