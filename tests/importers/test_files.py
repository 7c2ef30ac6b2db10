"""Files that are named, walked and opened: links that lead back, what may not be read, what is compressed, and bombs."""

import gzip
import io
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest
import zstandard

from commands import posix
from proxy.importers.files import BOMB_BYTES, END, File, digest, opened, walk
from proxy.importers.lines import Cut, lines
from proxy.importers.source import HEAD, Trouble


def names(*paths: Path) -> list[str]:
    return [Path(one.name).name for one in walk(map(str, paths)) if isinstance(one, File)]


def content(path: Path) -> bytes:
    with opened(File(str(path))) as (file, head, _):
        whole = file.read()
    assert whole.startswith(head)
    return whole


def test_a_folder_is_walked_with_all_below_it_in_order(tmp_path: Path) -> None:
    for name in ("b/2.jsonl", "b/1.jsonl", "a.jsonl", "c/d/e.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert names(tmp_path) == ["a.jsonl", "1.jsonl", "2.jsonl", "e.jsonl"]
    found = [one for one in walk([str(tmp_path), str(tmp_path / "a.jsonl")]) if isinstance(one, File)]
    assert len(found) == 4
    assert not any(one.named for one in found)


@posix
def test_links_that_lead_back_are_walked_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.jsonl").write_text("x")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "twice.jsonl").symlink_to(tmp_path / "a/x.jsonl")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    every = list(walk([str(tmp_path)]))
    assert [Path(one.name).name for one in every if isinstance(one, File)] == ["x.jsonl"]
    troubles = [one for one in every if not isinstance(one, File)]
    assert [(Path(path).name, trouble.line) for path, trouble in troubles] == [("loop", None)]


@posix
def test_what_may_not_be_read_is_a_trouble_and_the_rest_is_found(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "x.jsonl").write_text("x")
    every = list(walk([str(tmp_path)]))
    assert [one[1].why for one in every if not isinstance(one, File)] == ["No such file or directory"]
    assert len(every) == 2


@posix
def test_pipes_in_a_folder_are_passed_over_and_one_that_is_named_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert names(tmp_path) == []
    (found,) = walk([str(tmp_path / "pipe")])
    assert isinstance(found, File)
    assert found.stream


@posix
def test_a_socket_that_is_named_is_an_error_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ignored: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "s"))
        (file,) = walk([str(tmp_path / "s")])
        assert isinstance(file, File)
        with pytest.raises(OSError, match="No such device"), opened(file):
            pass
    assert ignored == []


def test_a_dash_is_what_comes_in_by_itself() -> None:
    code = (
        "from proxy.importers.files import *\n(f,) = walk(['-'])\n"
        "with opened(f) as o: print(len(o.head), len(o.file.read()), len(o.hashed()))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=b"x" * 200_000, capture_output=True, check=True)
    assert done.stdout.split() == [b"65536", b"200000", b"32"]


@pytest.mark.parametrize("size", [0, 5, HEAD, HEAD + 1, 3_000_000])
def test_what_is_compressed_is_read_as_what_it_holds(tmp_path: Path, size: int) -> None:
    data = os.urandom(size // 2).hex().encode()
    made = {
        "plain": data,
        "gz": gzip.compress(data),
        "two.gz": gzip.compress(data) + gzip.compress(b"more"),
        "zst": zstandard.compress(data),
        "two.zst": zstandard.compress(data) + zstandard.compress(b"more"),
    }
    for name, written in made.items():
        path = tmp_path / name
        path.write_bytes(written)
        assert content(path) == data + b"more" * name.startswith("two"), name


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_text_in_utf_16_is_read_as_the_utf_8_that_it_would_be(tmp_path: Path, encoding: str, packed: bool) -> None:
    said = '{"says": "naïve \U0001f600"}\r\n' * 50_000
    data = said.encode(encoding) if encoding == "utf-16" else ("\ufeff" + said).encode(encoding)
    (tmp_path / "x").write_bytes(gzip.compress(data) if packed else data)
    assert content(tmp_path / "x") == said.encode()
    (tmp_path / "x").write_bytes(data[:-1])
    assert content(tmp_path / "x").startswith(said.encode()[:-1])


def test_a_plain_file_can_go_back_and_says_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"0123456789")
    with opened(File(str(tmp_path / "x"))) as (file, head, _):
        assert file.seekable()
        assert os.fstat(file.fileno()).st_size == 10
        assert (head, file.read()) == (b"0123456789", b"0123456789")


def read_until(stream: BinaryIO, why: str) -> int:
    """How many bytes there are before it fails."""
    pieces = iter(lambda: stream.read(1 << 20), b"")
    read: list[int] = []
    with pytest.raises(OSError, match=why):
        read.extend(map(len, pieces))
    return sum(read)


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_what_is_compressed_and_cut_is_an_error_after_what_could_be_read(tmp_path: Path, kind: str) -> None:
    data = os.urandom(2_000_000).hex().encode()
    whole = gzip.compress(data) if kind == "gz" else zstandard.compress(data)
    path = tmp_path / "x"
    path.write_bytes(whole[: len(whole) // 2] + (b"damage" * 99 if kind == "zst" else b""))
    with pytest.raises(OSError, match="damaged or cut"):
        content(path)


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_bomb_ends_before_it_goes_off(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        if kind == "gz":
            piece = gzip.compress(bytes(64 << 20), 9)
            file.write(piece * 8)
        else:
            with zstandard.ZstdCompressor().stream_writer(file) as writer:
                for _ in range(512):
                    writer.write(bytes(1 << 20))
    with opened(File(str(path))) as (stream, _, _):
        read = read_until(stream, "bomb")
    assert BOMB_BYTES - (2 << 20) <= read <= BOMB_BYTES + (2 << 20)


def test_a_file_is_known_by_both_its_ends(tmp_path: Path) -> None:
    path = tmp_path / "x"
    seen = set()
    for data in (b"a" * 300_000, b"b" + b"a" * 299_999, b"a" * 299_999 + b"b", b"a" * END, b"a" * (END + 1), b""):
        path.write_bytes(data)
        seen.add(digest(File(str(path), size=len(data))))
    assert len(seen) == 6


def test_progress_is_told_in_bytes_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(gzip.compress(os.urandom(100_000)))
    told: list[int] = []
    with opened(File(str(tmp_path / "x")), told.append) as (file, _, _):
        file.read()
    assert sum(told) == (tmp_path / "x").stat().st_size


def test_a_line_that_is_too_long_is_passed_over() -> None:
    data = b"one\n" + b"x" * 100 + b"\n\n  \nthree\r\n" + b"y" * 100 + b"\nlast"
    every = list(lines(io.BytesIO(data), 10))
    assert every[::2] == [(1, b"one"), (5, b"three"), (7, b"last")]
    assert [one.line for one in every if isinstance(one, Trouble)] == [2, 6]
    assert isinstance(every[-1][1], Cut)


def test_a_line_of_just_the_length_is_read() -> None:
    assert list(lines(io.BytesIO(b"x" * 10), 10)) == [(1, b"x" * 10)]
    assert next(lines(io.BytesIO(b"x" * 10 + b"\ny\n"), 10)) == (1, b"x" * 10)
    assert isinstance(next(lines(io.BytesIO(b"x" * 11), 10)), Trouble)
