"""What was imported lands once, and is counted once, however often and in whatever order it is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from entries import entry, name, refusal
from proxy.importers.named import named
from proxy.imports import FileMark, Imports, Told
from proxy.packed import Packed, pack
from proxy.store import Store
from schemas.labels import Kind, Result, Verdict
from schemas.records import Accepted, Attempt, Entry, Judgement, Located, Refusal, Traffic, Trial, Update

FILE = FileMark("/a.jsonl", 10, 20, "d1")
HOUR = Traffic(hour="2026-11-23T14", model="claude-opus-5", outcome="answered")

LATER = Traffic(hour="2026-11-23T15", model="claude-opus-5", outcome="answered")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "demur.db") as opened:
        yield opened


def told(n: int, source: str = "transcript", **fields: Any) -> Packed:
    made = entry(n, b"text", **({"source": source, "request_id": f"req_{n}", "session_id": "s"} | fields))
    made.traffic = [(HOUR, 2)]
    return pack(made)


def counts(store: Store) -> list[tuple[str, int]]:
    return [(row["file"], row["n"]) for row in store.rows("select file, n from imported_traffic order by file")]


def test_a_second_run_adds_nothing(store: Store) -> None:
    for run, (new, known) in enumerate(((2, 0), (0, 2))):
        imports = Imports(store)
        imports.take(FILE.file, [told(1), told(2)])
        imports.done(FILE, whole=True)
        assert imports.tallies.new.total() == new, run
        assert imports.tallies.known.total() == known
        assert imports.tallies.requests == 4
        assert counts(store) == [("/a.jsonl", 4)]
    assert len(store.refusals()) == 2
    assert store.rows("select sum(n) as n from imported_traffic")[0]["n"] == 4


def test_counts_never_go_to_what_demur_itself_saw(store: Store) -> None:
    imports = Imports(store)
    imports.take(FILE.file, [told(1), pack(Entry(traffic=[(HOUR, 5)]))])
    imports.done(FILE, whole=True)
    assert store.traffic() == []
    assert counts(store) == [("/a.jsonl", 7)]


def test_the_counts_of_a_file_are_replaced_as_a_whole_and_those_of_others_stay(store: Store) -> None:
    other = FILE._replace(file="/b.jsonl", digest="d2")
    for file, n in ((FILE, 5), (other, 7), (FILE, 3)):
        imports = Imports(store)
        imports.take(file.file, [pack(Entry(traffic=[(HOUR, n)]))])
        imports.done(file, whole=True)
    assert counts(store) == [("/a.jsonl", 3), ("/b.jsonl", 7)]


def test_counts_are_kept_with_the_name_of_their_source_and_none_is_below_one(store: Store) -> None:
    for file, source in ((FILE, "transcript"), (FILE._replace(file="/b.har", digest="d2"), "har")):
        imports = Imports(store)
        imports.take(file.file, [pack(Entry(traffic=[(HOUR, 5), (LATER, -3)]))])
        imports.done(file, source=source, whole=True)
    assert store.rows("select source, n from imported_traffic order by file") == [
        {"source": "transcript", "n": 5},
        {"source": "har", "n": 5},
    ]


def test_a_request_that_two_files_name_is_counted_in_the_one_that_was_read_first(store: Store) -> None:
    other, later = FILE._replace(file="/b.jsonl", digest="d2"), msgspec.structs.replace(HOUR, hour="2026-11-23T15")
    several = {
        FILE: named({HOUR: [1, 2, -(1 << 63)]}),
        other: named({HOUR: [1, 2, 7], later: [8]}),
    }
    for mark, more in ((FILE, 3), (other, 2), (FILE, 3), (other, 2)):
        imports = Imports(store)
        imports.take(mark.file, [pack(several[mark])])
        imports.name(mark.file, several[mark].called())
        imports.done(mark, whole=True)
        assert imports.tallies.requests == more
    assert counts(store) == [("/a.jsonl", 3), ("/b.jsonl", 1), ("/b.jsonl", 1)]
    imports = Imports(store)
    imports.done(FILE, whole=True)
    imports.take(other.file, [pack(several[other])])
    imports.name(other.file, several[other].called())
    imports.done(other, whole=True)
    assert sum(n for _, n in counts(store)) == 4


def test_a_file_is_known_while_it_is_as_it_was(store: Store) -> None:
    imports = Imports(store)
    assert not imports.is_known(FILE)
    imports.done(FILE, whole=False)
    assert not imports.is_known(FILE)
    imports.done(FILE, whole=True)
    assert imports.is_known(FILE)
    for changed in (FILE._replace(size=11), FILE._replace(mtime=21), FILE._replace(digest="d2")):
        assert not imports.is_known(changed)


def test_a_copy_of_a_file_is_neither_read_nor_counted(store: Store) -> None:
    imports = Imports(store)
    imports.done(FILE, whole=True)
    assert imports.is_known(FILE._replace(file="/backup/a.jsonl", mtime=99))
    assert not imports.is_known(FILE._replace(file="/backup/a.jsonl", size=0))


def test_two_sources_of_one_refusal_are_two_witnesses(store: Store) -> None:
    imports = Imports(store)
    imports.take("/a", [told(1)])
    imports.take("/b", [told(2, "flow", request_id="req_1")])
    (stored,) = store.refusals()
    assert stored.sources == ["transcript", "flow"]
    assert imports.tallies.new == {Told("transcript", "refusal"): 1}
    assert imports.tallies.witnessed == {Told("flow", "refusal"): 1}


def test_one_that_the_same_source_told_of_at_a_guessed_time_is_the_same(store: Store) -> None:
    imports = Imports(store)
    imports.take("/a", [told(1), told(2, request_id="req_1", at="2099-11-24T14:00:00.000Z")])
    imports = Imports(store)
    imports.take("/b", [told(3, request_id="req_1", at="2099-11-25T14:00:00.000Z")])
    assert imports.tallies.known.total() == 1
    imports.take("/b", [told(4, request_id="req_1", kind=Kind.OUTPUT_FILTER)])
    assert imports.tallies.new.total() == 1


def test_an_attempt_without_a_place_of_its_own_is_added_once(store: Store) -> None:
    attempt = Attempt(n=-1, by="client", model="claude-opus-4-8", outcome=Result.ANSWERED, request_id="req_9")
    update = Update(refusal_id=name(1), outcome=None, attempts=[attempt], turns_elsewhere=3)
    for _ in range(3):
        Imports(store).take("/a", [told(1), pack(Entry(updates=[update]))])
    assert [one.request_id for one in store.attempts(name(1))] == [None, "req_9"]
    assert store.refusals()[0].turns_elsewhere <= 3


def test_what_is_remembered_for_requests_to_come_is_left_out(store: Store) -> None:
    accepted = Accepted(session_id="s", at="2099-11-23T14:00:00.000Z", asked="b2:x", hashes=b"")
    Imports(store).take("/a", [pack(Entry(accepted=[accepted]))])
    assert store.accepted("s", None) == []
    assert store.rows("select * from passes") == []


def test_what_cannot_be_stored_is_counted_and_the_rest_is_stored(store: Store) -> None:
    imports = Imports(store)
    imports.take("/a", [told(1, status=1 << 70), told(2)])
    assert imports.tallies.refused == 1
    assert len(store.refusals()) == 1


def test_what_persons_said_elsewhere_is_added_once_and_counts(store: Store) -> None:
    said = Judgement(refusal_id="another id", at="2026-11-23T15:00:00.000Z", author="ann", verdict=Verdict.CORRECT)
    tried = Trial(refusal_id="", at="2026-11-23T15:00:00.000Z", purpose="replay", model="m", outcome=Result.ANSWERED)
    place = Located(refusal_id="", at="2026-11-23T15:00:00.000Z", model="m", settled=True)
    imports = Imports(store)
    imports.take("/a", [told(1)])
    for _ in range(2):
        imports.add(name(1), [said], [tried], [place])
        imports.add(name(7), [said], [tried], [place])
        imports.attest(name(1), [(name(5), "flow"), (name(1), "itself")])
        imports.attest(name(7), [(name(6), "flow")])
    assert store.refusals()[0].verdict == Verdict.CORRECT
    assert [
        store.rows(f"select count(*) as n from {table}")[0]["n"] for table in ("judgements", "trials", "located")
    ] == [1, 1, 1]
    assert [row["id"] for row in store.rows("select id from witnesses")] == [name(5)]


def test_no_name_of_the_record_is_made_up_here(store: Store) -> None:
    Imports(store).take("/a", [told(1)])
    (stored,) = store.refusals()
    expected: Refusal = refusal(1, source="transcript", sources=["transcript"], request_id="req_1", session_id="s")
    assert (stored.id, stored.request_id, stored.sources) == (expected.id, "req_1", ["transcript"])
