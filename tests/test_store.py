import os
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, msgpack, to_builtins
from sqlite_utils import Database

from entries import HOUR, disk, entry, key, name, pin, python, refusal, remount
from proxy.adoption import move
from proxy.core.stamps import stamp
from proxy.database import NoDatabaseError
from proxy.judgements import judge
from proxy.packed import dump, pack
from proxy.spool import Spool, spool_folder
from proxy.store import Advance, Store, StoreError
from proxy.tables import ACCEPTED, ATTEMPTS, REFUSALS
from proxy.upkeep import expire, health, vacuum, verify
from schemas.labels import Kind, Outcome, Result, Verdict
from schemas.migrations import migrations
from schemas.records import Accepted, Attempt, Entry, Judgement, Pin, Refusal, Rephrasing, Traffic, Update

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "demur.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store.open(path) as store:
        yield store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# The file


@pytest.mark.parametrize(
    ("table", "record", "more"),
    [
        ("refusals", Refusal, set()),
        ("attempts", Attempt, {"refusal_id"}),
        ("traffic", Traffic, {"n"}),
        ("rephrasings", Rephrasing, {"refusal_id"}),
        ("pins", Pin, set()),
    ],
)
def test_every_field_of_a_record_is_a_column(table: str, record: type[Struct], more: set[str], store: Store) -> None:
    columns = {column.name for column in store.db.table(table).columns}
    assert columns == set(record.__struct_fields__) | more


@posix
def test_the_files_are_their_owners_alone(path: Path) -> None:
    old = os.umask(0o022)
    try:
        with Store.open(path) as store:
            store.apply([entry(1, b"text")])
            for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
                assert mode(file) == 0o600
    finally:
        os.umask(old)
    assert mode(path.parent) == 0o700


@posix
def test_a_file_that_was_open_to_others_is_closed_to_them(path: Path) -> None:
    Store.open(path).close()
    path.chmod(0o644)
    Store.open(path).close()
    assert mode(path) == 0o600


@posix
def test_a_folder_that_was_there_keeps_its_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Store.open(tmp_path / "demur.db").close()
    assert mode(tmp_path) == 0o755


def test_processes_that_open_a_new_file_at_once_all_can(path: Path) -> None:
    code = "import sys; from proxy.store import Store; sys.stdin.readline(); s = Store.open(sys.argv[1]); print(s.version())"
    for turn in range(3):
        file = path.with_name(f"{turn}.db")
        opening = [python(code, file) for _ in range(6)]
        for process in opening:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        versions = {process.communicate()[0] for process in opening}
        assert versions == {"m014_guarded\n"}
        with Store.open(file) as store:
            assert len(migrations.applied(store.db)) == 14


def test_a_file_that_another_process_is_writing_is_waited_for(path: Path) -> None:
    path.parent.mkdir()
    with Database(path) as old:
        migrations.apply(old, stop_before="m003_traffic")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")  # for this SQLite itself would not wait: see DatabaseFile._enable_wal
    with ThreadPoolExecutor() as pool:
        opening = pool.submit(lambda: Store.open(path, timeout=60).close())
        time.sleep(0.1)
        other.execute("rollback")
        opening.result()
    other.close()
    with Store.open(path, readonly=True) as store:
        assert store.version() == "m014_guarded"


def test_a_database_of_a_newer_demur_is_refused_and_left_as_it_is(path: Path) -> None:
    with Store.open(path) as store:
        store.apply([entry(1, b"text")])
        store.db.table("_sqlite_migrations").insert({"migration_set": "demur", "name": "m999_later", "applied_at": "x"})
    with pytest.raises(StoreError, match=r"newer demur \(m999_later\): upgrade demur"):
        Store.open(path)
    with pytest.raises(StoreError, match="upgrade demur"):
        Store.open(path, readonly=True)
    with sqlite3.connect(path) as connection:
        assert connection.execute("select count(*) from refusals").fetchone() == (1,)
    connection.close()


def test_a_database_of_an_older_demur_is_brought_up_to_date_with_what_it_holds(path: Path) -> None:
    path.parent.mkdir()
    with Database(path) as old:
        migrations.apply(old, stop_before="m003_traffic")
        old.execute("insert into segments values ('k', x'00', 1)")
    with pytest.raises(StoreError, match="older demur: open it once with a command that writes"):
        Store.open(path, readonly=True)
    with Store.open(path) as store:
        assert store.version() == "m014_guarded"
        assert store.rows("select key from segments") == [{"key": "k"}]


LATER_FIELDS = {
    "refusals": {
        "ruling", "turns_elsewhere", "asked", "incident_id", "history", "turn", "accepted_at", "accepted_model",
        "accepted_version", "accepted_request_id", "accepted_turn", "branch", "tool_calls",
    },
    "attempts": {"strategy", "status", "request_id", "message_id", "ms", "why", "shown", "tools_held"},
}  # fmt: skip
"""What the records got with m005, m006, m011 and m014."""


def test_a_database_from_before_retries_loses_nothing_and_can_be_told_what_became_of_its_refusals(path: Path) -> None:
    given = entry(1, **FULL)
    rows = {
        "refusals": REFUSALS.row(given.refusals[0]),
        "attempts": ATTEMPTS.row(given.attempts[0], refusal_id=name(1)),
        "witnesses": {"id": name(2), "refusal_id": name(1), "source": "flow"},
        "losses": {"at": "2026-01-01", "n": 3, "what": "x"},
    }
    path.parent.mkdir()
    with Database(path) as old:
        migrations.apply(old, stop_before="m005_retries")
        for table, row in rows.items():
            old.table(table).insert({name: row[name] for name in row.keys() - LATER_FIELDS.get(table, set())})
    with Store.open(path) as store:
        assert to_builtins(store.refusals()) == to_builtins(given.refusals)
        assert store.attempts(name(1)) == given.attempts
        assert [loss.n for loss in store.losses()] == [3]
        asked = Attempt(n=1, by="demur", model="b", outcome=Result.ANSWERED, strategy="fallback", status=200, ms=7)
        store.apply([Entry(updates=[Update(refusal_id=name(2), ruling="recovered", attempts=[asked])], pins=[pin()])])
        assert store.find("last").ruling == "recovered"
        assert store.attempts(name(1)) == [*given.attempts, asked]
        assert store.pin("k", "2099") == pin()
        assert all(finding.ok for finding in verify(store))


def test_a_database_without_tables_holds_nothing_yet(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with pytest.raises(NoDatabaseError, match="nothing has been recorded there yet"):
        Store.open(path, readonly=True)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("content", [b"this is a text file, and long enough to be taken for one" * 20, b"x"])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(content: bytes, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreError, match="is not a database: move it away, or name another file with --db"):
        Store.open(path)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_refused_and_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    with Database(path) as other:
        other.table("logs").insert({"id": 1})
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program: name another file with --db"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder: name a file with --db"):
        Store.open(tmp_path)


def test_a_place_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"file/demur.db cannot be reached \(.*\): name another place with --db"):
        Store.open(tmp_path / "file" / "demur.db")


def test_what_is_not_there_cannot_be_only_read(path: Path) -> None:
    with pytest.raises(StoreError, match="nothing has been recorded there yet"):
        Store.open(path, readonly=True)
    assert not path.parent.exists()


def test_a_locked_database_is_told_as_such(store: Store, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")
    with Store.open(path, timeout=0.01) as second, pytest.raises(StoreError, match="is locked by another process"):
        second.apply([entry(1)])
    other.close()


def test_a_damaged_database_is_told_as_such(path: Path) -> None:
    with Store.open(path) as store:
        store.apply([entry(n, str(n).encode() * 100) for n in range(300)])
    damaged = bytearray(path.read_bytes())
    damaged[8192:] = bytes(b ^ 0x5A for b in damaged[8192:])
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match="is damaged: move it away"), Store.open(path) as store:
        store.refusals()


def test_a_database_on_a_read_only_disk_can_be_read(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as folder:
        with Store.open(folder / "demur.db") as store:
            store.apply([entry(1)])
        remount(folder, "ro")
        with Store.open(folder / "demur.db", readonly=True) as store:
            assert [one.id for one in store.refusals()] == [name(1)]
            with pytest.raises(StoreError, match="cannot be written: check the permissions"):
                store.apply([entry(2)])


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
def test_a_store_whose_file_was_removed_says_so(store: Store, path: Path) -> None:
    assert store.in_place()
    path.unlink()
    assert not store.in_place()


# Entries


FULL: dict[str, Any] = {
    "category": "cyber",
    "explanation": "why, naïvely \N{SNOWMAN}",
    "stage": "mid_stream",
    "output_tokens": 12,
    "request_id": "req_011",
    "tags": ["a", "b"],
    "sources": ["gateway", "flow"],
    "streamed": True,
    "exact": False,
    "headers": {"user-agent": "claude-cli/2.1"},
    "incident_id": name(1),
}


def test_a_record_comes_out_as_it_went_in(store: Store) -> None:
    given = entry(1, b'{"a": 1}', b"other", **FULL)
    store.apply([given])
    (kept,) = store.refusals()
    assert to_builtins(kept) == to_builtins(given.refusals[0])
    assert store.attempts(kept.id) == given.attempts
    assert store.segments(kept.id) == given.segments
    assert store.traffic() == [(HOUR, 1)]


@given(parts=st.lists(st.binary(max_size=50)))
def test_a_request_comes_out_to_the_byte(parts: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    with Store.open(tmp_path_factory.mktemp("body") / "demur.db") as store:
        given = entry(1, b"", *parts)
        store.apply([given])
        sent = b"".join(given.contents[part] if isinstance(part, str) else part for part in given.skeleton or [])
        assert store.body(name(1)) == sent
        assert [finding for finding in verify(store) if not finding.ok] == []


def test_a_resent_history_is_stored_once(store: Store) -> None:
    history = [b"turn %d" % n for n in range(50)]
    store.apply([entry(1, *history), entry(2, *history, b"new")])
    assert store.rows("select count(*) as n from segments") == [{"n": 51}]
    assert len(store.segments(name(2))) == 51


def test_without_content_the_hashes_are_kept_and_the_rest_is_told_to_be_missing(store: Store) -> None:
    given = entry(1, b"text")
    given.contents, given.skeleton = {}, None
    store.apply([given])
    assert [segment.hash for segment in store.segments(name(1))] == [key(b"text")]
    with pytest.raises(StoreError, match="is not stored"):
        store.body(name(1))
    with pytest.raises(StoreError, match="is not stored"):
        store.content(key(b"text"))
    assert all(finding.ok for finding in verify(store))


def test_the_same_id_again_changes_nothing(store: Store) -> None:
    store.apply([entry(1, b"text", category="cyber")])
    store.apply([entry(1, b"text", b"more", category="bio")])
    assert [one.category for one in store.refusals()] == ["cyber"]
    assert len(store.segments(name(1))) == 1


def test_batch_results_that_are_fetched_again_are_not_new(store: Store) -> None:
    for n, message in enumerate(["msg_1", "msg_2", "msg_1", None, None]):
        store.apply([Entry(refusals=[refusal(n, message_id=message, evidence="batch.result.message.stop_reason")])])
    assert sorted(found.message_id or "" for found in store.refusals()) == ["", "", "msg_1", "msg_2"]


@pytest.mark.parametrize("request_id", [None, "req_1"])
def test_an_api_whose_ids_are_always_the_same_loses_no_record(request_id: str | None, store: Store) -> None:
    for n, (source, session) in enumerate(
        [("gateway", "s1"), ("gateway", "s1"), ("gateway", "s2"), ("mitmproxy", "s3")]
    ):
        one = refusal(n, message_id="msg_1", request_id=request_id, source=source, session_id=session)
        store.apply([Entry(refusals=[one])])
    assert len(store.refusals()) == 4


def test_two_witnesses_of_one_refusal_make_one_row(store: Store) -> None:
    store.apply([entry(1, request_id="req_1", source="gateway")])
    store.apply([entry(2, request_id="req_1", source="mitmproxy")])
    store.apply([entry(3, request_id="req_1", source="flow")])
    (kept,) = store.refusals()
    assert (kept.id, kept.sources) == (name(1), ["gateway", "mitmproxy", "flow"])


def test_a_second_witness_that_comes_again_changes_nothing_and_can_be_asked_for(store: Store) -> None:
    for _ in range(2):
        store.apply([entry(1, request_id="req_1"), entry(2, request_id="req_1", source="flow")])
    (kept,) = store.refusals()
    assert kept.sources == ["gateway", "flow"]
    assert store.find(name(2)) == kept


def test_two_refusals_in_one_response_stay_two_whoever_else_saw_them(store: Store) -> None:
    for first, source in ((1, "gateway"), (3, "mitmproxy")):
        seen = [
            refusal(first + n, request_id="req_1", source=source, category=c) for n, c in enumerate(("cyber", "bio"))
        ]
        store.apply([Entry(refusals=seen[::-1] if first == 3 else seen)])
    kept = store.refusals()
    assert {(one.category, *one.sources) for one in kept} == {
        ("cyber", "gateway", "mitmproxy"),
        ("bio", "gateway", "mitmproxy"),
    }
    assert [store.find(name(n)).category for n in range(1, 5)] == ["cyber", "bio", "cyber", "bio"]


@pytest.mark.parametrize(
    "other",
    [
        {"request_id": None, "source": "flow"},
        {"request_id": "req_2", "source": "flow"},
        {"request_id": "req_1", "source": "flow", "kind": Kind.OUTPUT_FILTER},
        {"request_id": "req_1"},
    ],
)
def test_what_may_be_another_refusal_is_another_row(other: dict[str, Any], store: Store) -> None:
    store.apply([entry(1, request_id="req_1"), entry(2, **other)])
    assert len(store.refusals()) == 2


def test_refusals_without_a_request_id_are_never_taken_for_one(store: Store) -> None:
    store.apply([entry(1), entry(2, source="flow")])
    assert len(store.refusals()) == 2


def test_an_entry_that_cannot_be_stored_keeps_no_other_from_it_and_is_counted(store: Store) -> None:
    bad = [entry(2, output_tokens=1 << 70), entry(3, b"text"), entry(4, model="\ud800")]
    bad[1].segments[0].bytes = "no number"  # type: ignore[assignment]
    assert store.apply([entry(1), *bad, entry(5)]) == 3
    assert {one.id for one in store.refusals()} == {name(1), name(5)}
    assert store.traffic() == [(HOUR, 2)]
    assert [(loss.n, loss.what) for loss in store.losses()] == [(3, "refused by the database")]


def test_counts_are_added_up(store: Store) -> None:
    other = Traffic(hour="2026-11-23T15", role="main")
    store.apply([Entry(traffic=[(HOUR, 2), (other, 1)]), Entry(traffic=[(HOUR, 3)])])
    store.apply([Entry(traffic=[(other, 4)])])
    assert store.traffic() == [(HOUR, 5), (other, 5)]
    assert store.traffic(since="2026-11-23T15:30:00Z") == [(other, 5)]
    assert store.traffic("2026-11-24") == []


def test_what_earlier_writers_lost_is_kept(store: Store) -> None:
    store.apply([Entry(lost=3), pack(Entry(lost=2))])
    assert [loss.n for loss in store.losses()] == [3, 2]


def test_a_spool_that_someone_else_has_moved_is_not_moved_again(store: Store) -> None:
    store.apply([entry(1)], Advance(name="s", start=0, end=100, lost=2))
    with pytest.raises(StoreError, match="has been moved by another process"):
        store.apply([entry(2)], Advance(name="s", start=0, end=150))
    assert len(store.refusals()) == 1
    store.apply([entry(3)], Advance(name="s", start=100, end=200, lost=3, unreadable=4))
    assert store.moved("s") == (200, 3)
    assert [loss.n for loss in store.losses()] == [2, 1, 4]
    store.forget("s")
    assert store.moved("s") == (0, 0)


def test_an_entry_that_an_earlier_demur_spooled_is_stored(store: Store, tmp_path: Path) -> None:
    old = msgpack.decode(dump(pack(entry(1, b"text"))))
    for record, table in (
        *((one, "refusals") for one in old["refusals"]),
        *((one, "attempts") for one in old["attempts"]),
    ):
        for later in LATER_FIELDS[table]:
            del record[later]
    del old["updates"], old["pins"]
    with Spool.create(tmp_path) as spool:
        spool.append(msgpack.encode(old))
        assert move(store, spool) == 1
    assert store.losses() == []
    (kept,) = store.refusals()
    assert (kept.ruling, kept.turns_elsewhere, store.attempts(kept.id)) == (None, 0, entry(1).attempts)


def test_all_that_an_entry_says_goes_through_a_spool(store: Store, tmp_path: Path) -> None:
    update = Update(refusal_id=name(1), outcome=Outcome.RECOVERED_BY_DEMUR, attempts=[ASKED], rephrasings=[SAID])
    with Spool.create(tmp_path) as spool:
        spool.append(dump(pack(entry(1))))
        spool.append(dump(pack(Entry(updates=[update], pins=[pin()]))))
        assert move(store, spool) == 2
    assert store.find(name(1)).outcome == "recovered_by_demur"
    assert store.attempts(name(1))[1:] == [ASKED]
    assert store.rephrasings(name(1)) == [SAID]
    assert store.pins("2099") == [pin()]


# What became of a refusal


ASKED = Attempt(n=1, by="demur", model="b", outcome=Result.CUT, strategy="fallback", request_id="req_b", why="timeout")
ANSWERED = Attempt(n=1, by="demur", model="b", outcome=Result.ANSWERED, message_id="msg_b", output_tokens=5)
SAID = Rephrasing(n=1, strategy="scope-note", original="what was asked", sent="what was asked\n\nwhy")


def test_an_update_changes_what_it_names_and_nothing_else(store: Store) -> None:
    given = [entry(1, **FULL), entry(2)]
    store.apply(given)
    store.apply([Entry(updates=[Update(refusal_id=name(1), ruling="tool", turns_elsewhere=2)])])
    store.apply([Entry(updates=[Update(refusal_id=name(1), turns_elsewhere=3)])])
    expected = given[0].refusals[0]
    expected.ruling, expected.turns_elsewhere = "tool", 5
    assert to_builtins(store.find(name(1))) == to_builtins(expected)
    assert to_builtins(store.find(name(2))) == to_builtins(given[1].refusals[0]) | {
        "sources": ["gateway"],
        "incident_id": name(2),
    }
    store.apply([Entry(updates=[Update(refusal_id=name(1), outcome=Outcome.RECOVERED_BY_DEMUR, answered_by="b")])])
    kept = store.find(name(1))
    assert (kept.outcome, kept.answered_by, kept.ruling) == ("recovered_by_demur", "b", "tool")


def test_an_entry_may_bring_a_refusal_and_what_became_of_it_in_order(store: Store) -> None:
    given = entry(1)
    given.updates = [Update(refusal_id=name(1), ruling=ruling, attempts=[ASKED]) for ruling in ("hold", "left")]
    store.apply([pack(given)])
    assert store.find(name(1)).ruling == "left"
    assert store.attempts(name(1)) == [*given.attempts, ASKED]


@pytest.mark.parametrize("recovered", [one for one in Outcome if one.startswith("recovered")])
@pytest.mark.parametrize("told", [Outcome.REFUSED, Outcome.UNKNOWN])
def test_a_recovery_is_not_taken_back(recovered: Outcome, told: Outcome, store: Store) -> None:
    store.apply([entry(1, outcome=Outcome.REFUSED)])
    updates = [Update(refusal_id=name(1), outcome=outcome, answered_by="b") for outcome in (recovered, told)]
    store.apply([Entry(updates=updates)])
    assert store.find(name(1)).outcome == recovered


def test_a_recovery_may_turn_out_to_be_another_one(store: Store) -> None:
    store.apply([entry(1, outcome=Outcome.RECOVERED_BY_DEMUR)])
    store.apply([Entry(updates=[Update(refusal_id=name(1), outcome=Outcome.RECOVERED_BY_CLIENT)])])
    assert store.find(name(1)).outcome == "recovered_by_client"


def test_what_is_told_of_a_witness_goes_to_the_refusal(store: Store) -> None:
    store.apply([entry(1, request_id="req_1"), entry(2, request_id="req_1", source="flow")])
    store.apply([Entry(updates=[Update(refusal_id=name(2), ruling="off", attempts=[ASKED], rephrasings=[SAID])])])
    assert store.find(name(1)).ruling == "off"
    assert store.attempts(name(1))[1:] == [ASKED]
    assert store.rephrasings(name(1)) == [SAID]


def test_what_is_told_of_a_refusal_that_is_not_there_is_dropped(store: Store) -> None:
    update = Update(refusal_id=name(9), outcome=Outcome.REFUSED, attempts=[ASKED], rephrasings=[SAID])
    assert store.apply([Entry(updates=[update], traffic=[(HOUR, 1)], pins=[pin()])]) == 0
    assert store.losses() == []
    assert store.rows("select * from attempts") == []
    assert store.traffic() == [(HOUR, 1)]
    assert store.pins("2099") == [pin()]


def test_an_attempt_takes_the_place_of_the_one_with_its_number(store: Store) -> None:
    store.apply([entry(1)])
    for attempt in (ASKED, ANSWERED):
        store.apply([Entry(updates=[Update(refusal_id=name(1), attempts=[attempt])])])
    assert store.attempts(name(1)) == [*entry(1).attempts, ANSWERED]


def test_an_attempt_without_a_number_becomes_the_last_with_what_it_rephrased(store: Store) -> None:
    bare = entry(2)
    bare.attempts = []
    store.apply([entry(1), bare])
    loose = msgspec.structs.replace(ASKED, n=-1)
    said = msgspec.structs.replace(SAID, n=-1)
    for refusal_id in (name(1), name(2)):
        for _ in range(2):
            store.apply([Entry(updates=[Update(refusal_id=refusal_id, attempts=[loose], rephrasings=[said])])])
        store.apply([Entry(updates=[Update(refusal_id=refusal_id, attempts=[loose, loose])])])
    assert [attempt.n for attempt in store.attempts(name(1))] == [0, 1, 2, 3, 4]
    assert [attempt.n for attempt in store.attempts(name(2))] == [1, 2, 3, 4]
    assert [one.n for one in store.rephrasings(name(1))] == [1, 2]


def test_what_was_rephrased_stands_side_by_side_in_order_and_goes_with_its_refusal(store: Store) -> None:
    store.apply([entry(1), entry(2, at="2026-01-01T00:00:00.000Z")])
    second = Rephrasing(n=2, strategy="trim", original="a\ud7ff", sent="")
    for n in (1, 2):
        store.apply([Entry(updates=[Update(refusal_id=name(n), rephrasings=[second, SAID])])])
    assert store.rephrasings(name(1)) == store.rephrasings(name(2)) == [SAID, second]
    expire(store, "2026-06-01T00:00:00.000Z")
    assert store.rephrasings(name(1)) == [SAID, second]
    assert store.rephrasings(name(2)) == []


def test_an_update_that_cannot_be_stored_takes_its_entry_along_and_no_other(store: Store) -> None:
    bad = Entry(
        updates=[Update(refusal_id=name(1), ruling="off"), Update(refusal_id=name(1), turns_elsewhere=1 << 70)],
        pins=[pin()],
    )
    late = Entry(updates=[Update(refusal_id=name(1), ruling="hold")], pins=[pin("b"), pin("c", answered_by="\ud800")])
    good = Entry(updates=[Update(refusal_id=name(1), turns_elsewhere=1)], pins=[pin("d")])
    assert store.apply([entry(1), bad, late, good]) == 2
    kept = store.find(name(1))
    assert (kept.ruling, kept.turns_elsewhere) == (None, 1)
    assert [one.key for one in store.pins("2099")] == ["d"]


# Pins


def test_a_pin_is_set_moved_and_read_the_newest_first(store: Store) -> None:
    full = pin("b", agent_id="a", turns=3, refusal_id=name(9), at="2099-11-23T14:00:01.000Z")
    store.apply([Entry(pins=[pin("a"), full, pin("c")])])
    assert store.pins("2099-11-23T14:00:00.000Z") == [full, pin("a"), pin("c")]
    moved = pin("a", turns=1, until="2099-11-23T16:00:00.000Z")
    store.apply([Entry(pins=[moved])])
    assert store.pin("a", "2099-11-23T15:00:00.000Z") == moved
    assert store.pins("2099-11-23T15:00:00.000Z") == [moved]
    assert store.pin("d", "2099") is None


def test_a_pin_that_has_ended_is_not_read_and_goes_with_what_is_too_old(store: Store) -> None:
    ended = pin("a", at="2026-01-01T00:00:00.000Z", until="2026-01-01T01:00:00.000Z")
    store.apply([Entry(pins=[ended, pin("b")])])
    assert store.pin("a", "2026-01-01T00:59:59.999Z") == ended
    assert store.pin("a", "2026-01-01T01:00:00.000Z") is None
    expire(store, "1970-01-01T00:00:00.000Z")
    assert store.pins("") == [pin("b")]


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({"turns": 2, "at": "2099-11-23T14:30"}, {"turns": 4, "refusal_id": "r"}),
        ({"turns": 5, "at": "2099-11-23T13:00"}, {"turns": 5, "at": "2099-11-23T13:00", "refusal_id": "r"}),
        (
            {"until": "2099-11-23T16:00", "refusal_id": "s"},
            {"turns": 4, "until": "2099-11-23T16:00", "refusal_id": "r"},
        ),
        ({"answered_by": "b", "at": "2099-11-23T14:30"}, {"answered_by": "b", "at": "2099-11-23T14:30"}),
        ({"at": "2099-11-23T15:00:00.000Z", "turns": 1}, {"at": "2099-11-23T15:00:00.000Z", "turns": 1}),
    ],
    ids=["behind", "ahead", "moved", "another model", "ended meanwhile"],
)
def test_a_pin_goes_on_unless_it_begins_anew(told: dict[str, Any], kept: dict[str, Any], store: Store) -> None:
    store.apply([Entry(pins=[pin(turns=4, refusal_id="r")])])
    store.apply([Entry(pins=[pin(**told)])])
    assert store.pin("k", "2099") == pin(**kept)


def test_the_last_pin_of_a_key_in_an_entry_counts(store: Store) -> None:
    store.apply([Entry(pins=[pin(answered_by="a", turns=7), pin(answered_by="b", turns=1)])])
    assert store.pins("2099") == [pin(answered_by="b", turns=1)]


def test_pins_are_removed_by_key_or_all_and_can_be_set_again(store: Store) -> None:
    ended = pin("e", until="2026-01-01T00:00:00.000Z")
    store.apply([Entry(pins=[pin("a"), pin("b"), pin("c"), pin("d"), ended])])
    assert store.unpin(["a", "c", "x", "e"]) == 2
    assert [one.key for one in store.pins("2099")] == ["b", "d"]
    assert store.unpin([]) == 0
    assert store.unpin(None) == 2
    assert store.pins("") == []
    assert store.unpin(None) == 0
    store.apply([Entry(pins=[pin("a", turns=9)])])
    assert store.pins("2099") == [pin("a", turns=9)]


def test_when_a_pin_was_removed_is_known_until_it_would_have_ended(store: Store) -> None:
    store.apply([Entry(pins=[pin("a"), pin("b")])])
    before = stamp(time.time())
    store.unpin(["a"])
    assert before <= (store.unpinned("a") or "") <= stamp(time.time())
    assert store.unpinned("b") is None
    expire(store, "2026-06-01T00:00:00.000Z")
    assert store.unpinned("a")
    store.db.execute("update unpinned set until = '2026-01-01T00:00:00.000Z'")
    expire(store, "1970-01-01T00:00:00.000Z")
    assert store.unpinned("a") is None


# Reading


def test_refusals_come_newest_first_and_as_they_are_asked_for(store: Store) -> None:
    store.apply([
        entry(1, model="a", category="cyber"),
        entry(2, model="a", category=None, verdict=Verdict.CORRECT),
        entry(3, model="b", category="bio"),
    ])  # fmt: skip

    def ids(**asked: Any) -> list[int]:
        return [int(one.id[4:]) for one in store.refusals(**asked)]

    assert ids() == [3, 2, 1]
    assert ids(limit=2) == [3, 2]
    assert ids(model="a") == [2, 1]
    assert ids(category="cyber") == [1]
    assert ids(category="none") == [2]
    assert ids(unjudged=True) == [3, 1]
    assert ids(since="2099-11-23T14:00:02") == [3, 2]
    assert ids(model="a", unjudged=True, limit=1) == [1]


def test_a_refusal_is_found_by_any_of_its_names(store: Store) -> None:
    store.apply([entry(1, request_id="req_1"), entry(2, request_id="req_2")])
    first, second = name(1), name(2)
    for asked in (first, first.lower(), "req_1"):
        assert store.find(asked).id == first
    for asked in (second, "last", "req_2", second[:26]):
        assert store.find(asked).id == second


@pytest.mark.parametrize("asked", ["last", "", "req_9", "01JX", "%", "'"])
def test_what_is_not_there_is_not_found(asked: str, store: Store) -> None:
    with pytest.raises(StoreError, match=r"no refusal is named .*: `demur list --all` shows them"):
        store.find(asked)


def test_a_name_that_fits_several_says_how_many_and_which(store: Store) -> None:
    store.apply([entry(n) for n in range(1, 5)])
    with pytest.raises(StoreError, match=f"01JD may mean 4 refusals .{name(1)}, {name(2)}, {name(3)}, ....: say more"):
        store.find("01JD")


def test_a_person_s_word_holds_for_all_that_asks_the_same(store: Store) -> None:
    verdicts = {
        "f": (Verdict.UNKNOWN, Verdict.CORRECT),
        "g": (Verdict.FALSE_POSITIVE, Verdict.UNSURE),
        None: ("correct",),
    }
    found = [(asked, verdict) for asked, given in verdicts.items() for verdict in given]
    store.apply([entry(n, asked=f, verdict=Verdict(verdict)) for n, (f, verdict) in enumerate(found)])
    assert store.judged_correct("f")
    assert not store.judged_correct("g")
    assert not store.judged_correct("")


def test_only_what_demur_asked_again_since_then_counts(store: Store) -> None:
    store.apply([entry(n, session_id=session) for n, session in enumerate(["s", "s", "t", None])])
    by = {"demur": ("fallback", "scope-note", None, "sticky"), "client": (None,), "api": ("fallback",)}
    asked = [
        Attempt(n=-1, by=who, model="b", outcome=Result.REFUSED, strategy=strategy)
        for who, strategies in by.items()
        for strategy in strategies
    ]
    store.apply([Entry(updates=[Update(refusal_id=name(n), attempts=asked) for n in range(4)])])
    assert store.attempts_since("s", "2099-11-23T14:00:00.324Z") == 6
    assert store.attempts_since("s", "2099-11-23T14:00:01.324Z") == 3
    assert store.attempts_since("t", "2099") == 3
    assert store.attempts_since("t", "2100") == store.attempts_since("u", "2099") == 0


def test_short_ids_are_as_short_as_they_can_be_and_mean_one_refusal(store: Store) -> None:
    ids = ["01JDAAAAAAAAAAAAAAAAAAAAAA", "01JDAAAAAAAAAAABBBBBBBBBBB", "01JDBBBBBBBBBBBBBBBBBBBBBB"]
    store.apply([Entry(refusals=[refusal(0, id=one)]) for one in ids])
    assert store.short_ids(ids) == {ids[0]: ids[0][:16], ids[1]: ids[1][:16], ids[2]: ids[2][:12]}
    assert all(store.find(short).id == one for one, short in store.short_ids(ids).items())


# Upkeep


def test_what_is_too_old_goes_with_its_content_and_what_is_shared_stays(store: Store) -> None:
    old = entry(1, b"old", b"shared", at="2026-01-01T00:00:00.000Z", request_id="req_1")
    old.traffic = [(Traffic(hour="2026-01-01T00"), 1)]
    store.apply([old, entry(9, request_id="req_1", source="flow", traffic=0), entry(2, b"new", b"shared")])
    store.apply([Entry(lost=1)])
    assert expire(store, "2026-06-01T00:00:00.000Z") == 1
    assert [one.id for one in store.refusals()] == [name(2)]
    assert {row["key"] for row in store.rows("select key from segments")} == {key(b"new"), key(b"shared")}
    for table in ("attempts", "maps", "requests"):
        assert {row["refusal_id"] for row in store.rows(f"select refusal_id from {table}")} == {name(2)}
    assert store.rows("select * from witnesses") == []
    assert store.traffic() == [(HOUR, 1)]
    assert len(store.losses()) == 1
    assert expire(store, "2026-06-01T00:00:00.000Z") == 0


def test_what_has_expired_cannot_be_found_in_the_file(store: Store, path: Path) -> None:
    secret = os.urandom(200)
    store.apply([entry(1, secret, at="2026-01-01T00:00:00.000Z")])
    store.db.execute("pragma wal_checkpoint(truncate)")
    assert secret in path.read_bytes()
    expire(store, "2026-06-01")
    store.db.execute("pragma wal_checkpoint(truncate)")
    assert secret not in path.read_bytes()


def test_vacuum_drops_what_no_refusal_refers_to_and_nothing_else(store: Store) -> None:
    store.apply([entry(1, b"a", b"b"), entry(2, b"c")])
    given = entry(3, b"d")
    given.segments = []  # only its skeleton refers to it
    store.apply([given])
    store.db.execute("delete from refusals where id = ?", [name(2)])
    assert [finding.name for finding in verify(store) if not finding.ok] == ["unused"]
    assert vacuum(store) == 1
    assert {row["key"] for row in store.rows("select key from segments")} == {key(b"a"), key(b"b"), key(b"d")}
    assert all(finding.ok for finding in verify(store))


@pytest.mark.parametrize(
    ("damage", "name", "what"),
    [
        ("update segments set zstd = x'28b52ffd00'", "segments", "cannot be read"),
        ("update segments set size = 7", "segments", "bytes instead of 7"),
        ("update segments set key = 'b2:' || substr(key, 4, 31) || 'x'", "segments", "is not the hash of its content"),
        ("delete from segments", "requests", "lacks 1 segments"),
        ("delete from chunk_segments", "requests", "lacks 1 segments"),
        ("update chunks set items = x'00'", "requests", "cannot be read"),
        ("update chunks set key = x'00'", "requests", "cannot be read"),
        ("insert into indexed values (7, x'00')", "search", "1 removed segments"),
        ("pragma foreign_keys = off; delete from refusals", "rows", "rows without their refusal"),
    ],
)
def test_damage_is_found_and_says_what_to_do(damage: str, name: str, what: str, store: Store) -> None:
    store.apply([entry(1, b"some text")])
    store.db.executescript(damage)
    found = {finding.name: finding for finding in verify(store) if not finding.ok}
    assert what in found[name].what
    assert found[name].todo


def test_damaged_content_is_told_when_it_is_read(store: Store) -> None:
    store.apply([entry(1, b"some text")])
    store.db.executescript("update segments set zstd = x'28b52ffd00'; update chunks set items = x'00'")
    with pytest.raises(StoreError, match="`demur db verify` tells more"):
        store.content(key(b"some text"))
    with pytest.raises(StoreError, match="`demur db verify` tells more"):
        store.body(name(1))
    assert vacuum(store) == 0


def test_where_nothing_is_yet_nothing_is_wrong_and_nothing_is_made(path: Path) -> None:
    report = health(path)
    assert [finding for finding in report.findings if not finding.ok] == []
    assert (report.version, report.pending, report.lost) == (None, 0, 0)
    assert not path.parent.exists()


def test_a_sound_store_is_told_to_be_sound(store: Store, path: Path) -> None:
    store.apply([entry(1)])
    report = health(path)
    assert [finding for finding in report.findings if not finding.ok] == []
    assert report.version == "m014_guarded"
    assert {finding.name for finding in report.findings} == {
        "database", "writing", "spools", "space", "privacy", "losses",
    }  # fmt: skip


def test_spools_and_losses_are_counted_wherever_they_are(store: Store, path: Path) -> None:
    folder = spool_folder(path)
    folder.mkdir(mode=0o700)
    with Spool.create(folder) as live:
        live.append(dump(pack(entry(1))))
        live.lose(2)
        orphan = Spool.create(folder)
        for n in range(3):
            orphan.append(dump(pack(entry(n))))
        store.apply([], Advance(name=orphan.name, start=0, end=orphan.read(0, 65).end))
        orphan.close()
        (folder / "later.spool").write_bytes(b"demur\x002\n" + bytes(100))
        store.apply([Entry(lost=5)])
        report = health(path)
    assert (report.live, report.orphans, report.pending, report.lost) == (1, 1, 3, 7)
    bad = {finding.name: finding for finding in report.findings if not finding.ok}
    assert "1 files are no spools" in bad["spools"].what
    assert "7 records" in bad["losses"].what
    assert orphan.path.exists()


def test_what_is_wrong_is_told_with_what_to_do(path: Path) -> None:
    path.mkdir(parents=True)
    assert _bad(path) == {"database": ("is a folder", "name a file with --db")}
    path.rmdir()
    path.write_bytes(b"no database" * 100)
    path.chmod(0o600)
    assert _bad(path) == {"database": ("is not a database", "move it away, or name another file with --db")}


def test_a_locked_database_is_told_by_the_doctor(store: Store, path: Path) -> None:
    store.db.execute("begin immediate")
    assert _bad(path) == {"writing": ("is locked by another process", "try again, or end that process")}
    store.db.rollback()


@posix
def test_files_that_others_can_read_are_told_with_the_command_that_helps(store: Store, path: Path) -> None:
    path.chmod(0o640)
    (found,) = [finding for finding in health(path).findings if not finding.ok]
    assert found.todo == f"chmod go= {path}"


def test_little_space_is_told(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as folder:
        (found,) = [finding for finding in health(folder / "demur.db").findings if not finding.ok]
        assert (found.name, found.todo) == ("space", "free some space, or name another place with --db")


def _bad(path: Path) -> dict[str, tuple[str, str]]:
    bad = [finding for finding in health(path).findings if not finding.ok]
    return {finding.name: (finding.what.removeprefix(f"{path} "), finding.todo) for finding in bad}


def test_what_another_way_in_has_counted_is_not_counted_again(store: Store) -> None:
    seen: dict[str, Any] = {"request_id": "req_1", "session_id": "s"}
    store.apply([entry(1, source="mitmproxy", **seen), entry(2, source="gateway", **seen)])
    assert [one.sources for one in store.refusals()] == [["mitmproxy", "gateway"]]
    assert sum(n for _, n in store.traffic()) == 1


def test_a_witness_without_a_request_id_is_joined_by_session_time_and_words(store: Store) -> None:
    wire: dict[str, Any] = {
        "session_id": "s",
        "asked": "a",
        "at": "2099-11-23T14:00:00.000Z",
        "source": "gateway",
        "request_id": "req_1",
    }
    told: dict[str, Any] = {"session_id": "s", "request_id": None, "source": "transcript"}
    store.apply([entry(1, **wire)])
    store.apply([entry(2, **told, asked="a", at="2099-11-23T14:05:00.000Z", project="lab", message_id="msg_1")])
    store.apply([entry(3, **told | {"source": "har"}, asked=None, at="2099-11-23T14:00:05.000Z")])
    (found,) = store.refusals()
    assert found.sources == ["gateway", "transcript", "har"]
    assert (found.project, found.message_id, found.request_id) == ("lab", "msg_1", "req_1")
    assert store.find(name(3)).id == name(1)
    others: list[dict[str, Any]] = [
        {"asked": "other words"},
        {"asked": None, "at": "2099-11-23T14:01:00.000Z"},
        {"asked": "a", "at": "2099-11-23T15:00:00.000Z"},
        {"asked": "a", "session_id": "t"},
        {"asked": "a", "request_id": "req_2"},
        {"asked": "a", "message_id": "msg_2"},
        {"asked": "a", "kind": Kind.OUTPUT_FILTER},
    ]
    for n, other in enumerate(others, start=10):
        store.apply([entry(n, **{**told, "source": "flow", "at": "2099-11-23T14:00:01.000Z", **other})])
    assert len(store.refusals()) == 8


def test_a_witness_brings_the_request_that_the_first_one_lacked(store: Store) -> None:
    seen: dict[str, Any] = {"request_id": "req_1", "session_id": "s"}
    store.apply([entry(1, source="transcript", **seen)])
    assert store.skeleton(name(1)) is None
    store.apply([entry(2, b'"text"', source="flow", **seen)])
    assert b'"text"' in store.body(name(1))
    assert len(store.refusals()) == 1


def told(n: int, *contents: bytes, new: bool | None = None, **fields: Any) -> Entry:
    """What a transcript tells of a declined request: some of its parts, and which of them were new."""
    made = entry(n, *contents, **{"source": "transcript", "request_id": "req_1", "session_id": "s"} | fields)
    made.segments = [msgspec.structs.replace(one, new=new) for one in made.segments]
    made.skeleton = None
    return made


def test_a_witness_that_saw_the_request_whole_puts_it_in_the_place_of_a_part(store: Store) -> None:
    store.apply([told(1, b'"new"', new=True)])
    whole = entry(2, b'"old"', b'"new"', source="flow", request_id="req_1", session_id="s")
    whole.refusals[0].replacements = 3
    store.apply([whole])
    assert store.body(name(1)) == b'{"messages":["old","new",]}'
    assert [(one.hash, one.new) for one in store.segments(name(1))] == [(key(b'"old"'), None), (key(b'"new"'), True)]
    (found,) = store.refusals()
    assert (found.sources, found.replacements) == (["transcript", "flow"], 3)
    vacuum(store)
    assert all(finding.ok for finding in verify(store))


def test_what_the_whole_request_says_of_its_parts_stands(store: Store) -> None:
    store.apply([told(1, b'"a"', b'"b"', new=True)])
    whole = entry(2, b'"a"', b'"b"', source="flow", request_id="req_1", session_id="s")
    whole.segments[0].new = False
    store.apply([whole])
    assert [one.new for one in store.segments(name(1))] == [False, True]


def test_a_part_stays_where_nothing_better_comes_or_a_person_has_named_one(store: Store) -> None:
    store.apply([told(1, b'"a"', new=True)])
    store.apply([told(2, b'"a"', b'"b"', source="otel")])
    assert len(store.segments(name(1))) == 1
    judge(
        store,
        Judgement(refusal_id=name(1), at="2099-11-23T15:00:00.000Z", author="me", verdict=Verdict.UNSURE, segment=0),
    )
    store.apply([entry(3, b'"x"', source="flow", request_id="req_1", session_id="s")])
    assert [one.hash for one in store.segments(name(1))] == [key(b'"a"')]
    assert store.refusals()[0].sources == ["transcript", "otel", "flow"]


def test_what_was_accepted_is_forgotten_after_a_day_and_which_model_took_it_with_the_refusals(store: Store) -> None:
    old = Accepted(session_id="s", at="2001-01-01T00:00:00.000Z", model="m", asked="a", hashes=b"")
    with store.transaction() as connection:
        connection.execute(ACCEPTED.insert, ACCEPTED.row(old))
        connection.execute(
            "insert into passes values ('a', 'm', '2001-01-01T00:00:00.000Z', null, 1), ('b', 'm', '2098-01-01', null, 1)"
        )
    expire(store, "2020")
    assert store.accepted("s", None) == []
    assert store.rows("select asked from passes") == [{"asked": "b"}]
