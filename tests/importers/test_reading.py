"""Files read, one after the other or by several processes: whatever is in one, the others are read, and what it gave before it failed is kept."""

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from commands import posix
from importers.sessions import Session, text
from proxy.core.redact import Redactor
from proxy.importers import catalog, reading
from proxy.importers.files import File, walk
from proxy.importers.reading import Batch, Began, Done, Keep, read, read_all, worth
from proxy.importers.source import Found, Origin, Trouble


def session(n: int = 1) -> bytes:
    made = Session()
    made.prompt()
    made.refused(n)
    made.answer(n + 1)
    return bytes(made)


def one(path: Path, *, named: bool = True) -> list[reading.Event]:
    (file,) = (found for found in walk([str(path)]) if isinstance(found, File))
    return list(read(file._replace(named=named), Keep()))


def whys(events: list[reading.Event]) -> list[tuple[int | None, str]]:
    return [(event.line, event.why) for event in events if isinstance(event, Trouble)]


def declined(events: list[reading.Event]) -> list[str | None]:
    return [
        refusal.request_id
        for event in events
        if isinstance(event, Batch)
        for entry in event.entries
        for refusal in entry.refusals
    ]


def test_a_file_that_is_read_whole_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(session())
    first, *_, last = one(path)
    assert first == Began("transcript")
    assert isinstance(last, Done)
    assert last.digest
    assert declined(one(path)) == ["req_0001"]


def peak() -> int:
    """The most memory that this program had, in kB. What ``getrusage`` tells is that of the process before its ``exec``, too."""
    status = Path("/proc/self/status")
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) if status.exists() else 0


def test_a_line_of_200_mb_is_a_trouble_and_the_rest_is_imported_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(session(1))
        file.write(b'{"type":"user","message":{"content":"')
        for _ in range(200):
            file.write(b"x" * (1 << 20))
        file.write(b'"}}\n' + session(3))
    code = (
        "from importers.test_reading import *\n"
        "events = one(Path(sys.argv[1]))\n"
        "print(whys(events), declined(events), peak() < 300 << 10)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "[(4, 'a line of more than 32 MB')] ['req_0001', 'req_0003'] True"


def test_a_cut_archive_gives_what_could_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    noise = Session()
    for n in range(100):
        noise.prompt(os.urandom(2000).hex())
        noise.refused(n)
    whole = gzip.compress(session(1000) + bytes(noise))
    path.write_bytes(whole[: len(whole) // 2])
    events = one(path)
    ((_, why),) = whys(events)
    assert "damaged or cut" in why
    assert 10 < len(declined(events)) < 100
    assert events[-1] == Done(None, troubles=1)


def test_a_bomb_gives_what_stood_before_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    with path.open("wb") as file:
        file.write(gzip.compress(session()))
        piece = gzip.compress(bytes(64 << 20), 9)
        for _ in range(6):
            file.write(piece)
    events = one(path)
    ((_, why),) = whys(events)
    assert why.startswith("a decompression bomb")
    assert declined(events) == ["req_0001"]


@pytest.mark.parametrize("data", [bytes(range(256)) * 100, b"\x7fELF\x00", b"some text\nand more\n"])
def test_what_has_no_format_is_told_of_where_it_was_meant(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(data)
    ((_, why),) = whys(one(path))
    assert "of no format that demur knows" in why
    assert whys(one(path, named=False)) == []
    assert one(path, named=False)[-1].other  # type: ignore[union-attr]
    other = path.rename(tmp_path / "a.jsonl.gz")
    assert len(whys(one(other, named=False))) == 1


def test_an_empty_file_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.touch()
    (done,) = one(path)
    assert isinstance(done, Done)
    assert not done.troubles


@posix
def test_a_file_that_may_not_be_read_is_a_trouble(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(session())
    path.chmod(0)
    root = os.geteuid() == 0  # who may read everything
    try:
        if root:
            os.seteuid(65534)
        events = list(read(File(str(path)), Keep()))
    finally:
        if root:
            os.seteuid(0)
    assert whys(events) == [(None, "Permission denied")]
    assert events[-1] == Done(None, troubles=1)


def test_a_file_that_is_gone_meanwhile_is_a_trouble(tmp_path: Path) -> None:
    events = list(read(File(str(tmp_path / "gone.jsonl")), Keep()))
    assert whys(events) == [(None, "No such file or directory")]


def test_an_importer_that_fails_keeps_no_other_file_from_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        name = "broken"

        def claims(self, head: bytes, origin: Origin) -> bool:
            if not head.startswith(b"broken"):
                raise RuntimeError
            return True

        def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
            yield Trouble(1, "half")
            raise ZeroDivisionError

    every = tuple(catalog.sources())
    monkeypatch.setattr(catalog, "sources", lambda: (Broken(), *every))
    (tmp_path / "a").write_bytes(b"broken")
    (tmp_path / "b").write_bytes(session())
    files = [found for found in walk([str(tmp_path)]) if isinstance(found, File)]
    events = [event for _, event in read_all(files, Keep(), lambda n: None)]
    assert whys(events) == [(1, "half"), (None, "could not be read any further (ZeroDivisionError)")]
    assert declined(events) == ["req_0001"]


def test_many_troubles_are_told_of_up_to_a_number_and_all_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(session() + b"no json\n" * 500)
    events = one(path)
    assert len(whys(events)) == reading.TROUBLES
    assert events[-1] == Done(events[-1].digest, troubles=500)  # type: ignore[union-attr]


def test_several_processes_read_what_one_reads(tmp_path: Path) -> None:
    for n in range(7):
        (tmp_path / f"{n}.jsonl").write_bytes(session(10 * n) * 3)
    (tmp_path / "8.jsonl").write_bytes(b"no format")
    files = [found for found in walk([str(tmp_path)]) if isinstance(found, File)]
    told: list[int] = []
    shared = list(read_all(files, Keep(), told.append, processes=3))
    alone = list(read_all(files, Keep(), told.append, processes=1))

    def by_file(events: list[tuple[File, reading.Event]]) -> dict[str, list[reading.Event]]:
        return {file.name: [event for other, event in events if other == file] for file in files}

    assert by_file(shared) == by_file(alone)
    assert sum(told) == 2 * sum(file.size for file in files)


@posix
def test_a_process_that_dies_is_the_trouble_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").write_bytes(session())
    files = [File(str(tmp_path / "a.jsonl"), stream=True), File(str(tmp_path / "b.jsonl"))]
    started: list[reading._Reader] = []

    class Started(reading._Reader):
        def __init__(self, keep: Keep) -> None:
            super().__init__(keep)
            started.append(self)

    monkeypatch.setattr(reading, "_Reader", Started)
    events = []
    for file, event in read_all(files, Keep(), lambda n: None, processes=2):
        events.append((Path(file.name).name, event))
        if isinstance(event, Done) and file == files[1]:
            (waiting,) = [reader for reader in started if reader.file == files[0]]
            assert waiting.process.pid
            os.kill(waiting.process.pid, signal.SIGKILL)
    assert ("a.jsonl", Trouble(None, "the process that read it died")) in events
    assert declined([event for _, event in events]) == ["req_0001"]


def test_more_processes_are_only_for_much_to_read() -> None:
    small, large = File("a", size=1000), File("b", size=reading.PAYS)
    assert worth([small, small]) == 1
    assert worth([large]) == 1
    assert worth([large, small]) == min(2, os.cpu_count() or 1)


def test_a_format_is_told_by_the_content_and_not_by_the_name() -> None:
    origin = Origin("x.har", Redactor())
    found = catalog.find(session(), origin)
    assert found is not None
    assert found.name == "transcript"
    assert catalog.find(b"nothing of the kind", origin) is None


@pytest.mark.parametrize("noise", [b"\xff\xfe\xfd\n", b"\xfe\xff\n", b"\xff\xfe\n"])
def test_noise_before_the_first_line_costs_no_other(tmp_path: Path, noise: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(noise + session())
    assert (declined(one(path)), whys(one(path))) == (["req_0001"], [(1, "not JSON")])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_that_begins_with_the_mark_of_its_encoding_is_known_and_read_whole(
    tmp_path: Path, encoding: str
) -> None:
    path, lines = tmp_path / "a.jsonl", Session()
    lines.refused(1)
    path.write_text(bytes(lines).decode(), encoding=encoding)
    events = one(path)
    assert (events[0], whys(events), declined(events)) == (Began("transcript"), [], ["req_0001"])


def test_no_two_formats_claim_one_file() -> None:
    made = Session()
    made.prompt('{"log":{"entries":[]}} data: {"type":"message_start"}')
    made.answer(1, text("event: message_start\n"))
    origin = Origin("x", Redactor())
    assert [source.name for source in catalog.sources() if source.claims(bytes(made), origin)] == ["transcript"]
