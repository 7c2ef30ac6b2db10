import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database
from structlog.testing import capture_logs

from entries import entry, name, pin, python
from proxy import recall as module
from proxy.core.stamps import stamp
from proxy.recall import KEYS, Recall
from proxy.store import Store
from proxy.upkeep import expire
from proxy.writer import Writer
from schemas.labels import Result, Verdict
from schemas.migrations import migrations
from schemas.records import Attempt, Entry, Pin, Update


class Clock:
    """This machine's, so that it agrees with what SQLite says the time is, and what a test puts before it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def stamp(self, seconds: float = 0.0) -> str:
        return stamp(self() + seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "demur.db"


@pytest.fixture
def recall(path: Path, clock: Clock) -> Recall:
    return Recall(path, now=clock)


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with Store.open(path) as store:
        yield store


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.01)


def lock(path: Path) -> sqlite3.Connection:
    """Nobody else can read the database until this is closed."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("pragma locking_mode = exclusive")
    other.execute("begin exclusive")
    other.execute("update refusals set user = 'x'")
    other.execute("commit")
    return other


def asked(n: int, times: int = 1, **fields: Any) -> list[Entry]:
    """A refusal that demur asked again."""
    again = [Attempt(n=-1, by="demur", model="b", outcome=Result.REFUSED, strategy="fallback") for _ in range(times)]
    return [entry(n, **fields), Entry(updates=[Update(refusal_id=name(n), attempts=again)])]


# Where there is no database


def test_without_a_database_nothing_is_known_and_none_is_made(recall: Recall, path: Path) -> None:
    assert recall.pin("k") is None
    assert recall.judged_correct("f", "s", frozenset()) is False
    assert recall.attempts("s") == recall.attempts(None) == 0
    assert not path.parent.exists()


def test_without_a_database_memory_decides(recall: Recall) -> None:
    recall.stick(pin())
    recall.attempted("s", KEYS)
    assert [recall.pin("k"), recall.pin("k"), recall.attempts("s")] == [pin(), pin(), 1]


def test_a_database_that_is_being_made_holds_nothing_yet(recall: Recall, path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    recall.stick(pin())
    assert (recall.pin("k"), recall.judged_correct("f", "s", frozenset())) == (pin(), False)
    with Database(path) as empty:
        empty.enable_wal()
    assert (recall.pin("k"), recall.judged_correct("f", "s", frozenset())) == (pin(), False)


# Pins


def test_a_pin_counts_before_it_is_written_and_after(recall: Recall, store: Store) -> None:
    recall.stick(pin(turns=2))
    assert recall.pin("k") == pin(turns=2)
    assert recall.pin("other") is None
    store.apply([Entry(pins=[pin(turns=2)])])
    assert recall.pin("k") == pin(turns=2)


def test_a_pin_of_another_process_or_an_earlier_run_counts(path: Path, clock: Clock, store: Store) -> None:
    store.apply([Entry(pins=[pin()])])
    assert [Recall(path, now=clock).pin("k"), Recall(path, now=clock).pin("k")] == [pin(), pin()]


def test_of_two_the_one_that_lasts_longer_counts(recall: Recall, store: Store) -> None:
    mine, theirs = pin(turns=1, until="2099-11-23T16:00"), pin(turns=9, answered_by="b", until="2099-11-23T17:00")
    store.apply([Entry(pins=[pin()])])
    recall.stick(mine)
    assert recall.pin("k") == mine
    store.apply([Entry(pins=[theirs])])
    assert recall.pin("k") == theirs
    recall.stick(pin(turns=10, until="2099-11-23T18:00"))
    assert recall.pin("k") == pin(turns=10, until="2099-11-23T18:00")


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "never seen"])
@pytest.mark.parametrize("keys", [["k"], None], ids=["by key", "all"])
def test_a_pin_that_was_removed_is_forgotten(seen: bool, keys: list[str] | None, recall: Recall, store: Store) -> None:
    recall.stick(pin())
    store.apply([Entry(pins=[pin()])])
    if seen:
        assert recall.pin("k")
    assert store.unpin(keys) == 1
    assert recall.pin("k") is None
    store.db.execute("delete from unpinned")
    assert recall.pin("k") is None


def test_a_pin_that_was_seen_and_is_gone_without_a_word_is_forgotten(recall: Recall, store: Store) -> None:
    store.apply([Entry(pins=[pin()])])
    assert recall.pin("k")
    recall.stick(pin(turns=1))
    store.db.execute("delete from pins")
    assert recall.pin("k") is None


def test_a_pin_that_was_seen_is_forgotten_with_its_database(recall: Recall, store: Store, path: Path) -> None:
    recall.stick(pin())
    store.apply([Entry(pins=[pin()])])
    assert recall.pin("k")
    store.close()
    shutil.rmtree(path.parent)
    assert recall.pin("k") is None


def test_a_pin_that_is_set_after_its_removal_counts(recall: Recall, store: Store, clock: Clock) -> None:
    store.apply([Entry(pins=[pin()])])
    store.unpin(None)
    assert recall.pin("k") is None
    clock.ahead = 1
    recall.stick(pin(turns=1))
    assert recall.pin("k") == pin(turns=1)
    store.apply([Entry(pins=[pin(turns=1)])])
    assert recall.pin("k") == pin(turns=1)
    store.unpin(None)
    assert recall.pin("k") is None


def test_a_pin_that_is_moved_while_the_database_is_asked_is_not_forgotten(
    recall: Recall, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = pin(turns=1, until="2099-11-23T16:00")
    recall.stick(pin())
    store.apply([Entry(pins=[pin()])])
    assert recall.pin("k")
    store.unpin(None)
    read = Store.unpinned

    def read_while_a_turn_ends(store: Store, key: str) -> str | None:
        recall.stick(moved)
        return read(store, key)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "unpinned", read_while_a_turn_ends)
        assert recall.pin("k") == moved


def test_a_pin_that_has_ended_counts_nowhere(recall: Recall, store: Store, clock: Clock) -> None:
    store.apply([Entry(pins=[pin("a", until=clock.stamp(60))])])
    recall.stick(pin("b", until=clock.stamp(60)))
    assert recall.pin("a")
    assert recall.pin("b")
    clock.ahead = 61
    assert recall.pin("a") is None
    assert recall.pin("b") is None
    clock.ahead = 0
    assert recall.pin("b") is None, "what has ended is not kept"


def test_a_pin_that_was_moved_counts_while_the_database_still_has_the_old_end_or_none(
    recall: Recall, store: Store, clock: Clock
) -> None:
    store.apply([Entry(pins=[pin(until=clock.stamp(-1))])])
    moved = pin(until=clock.stamp(60))
    recall.stick(moved)
    assert recall.pin("k") == moved
    assert recall.pin("k") == moved
    expire(store, "1970")
    assert store.pins("") == []
    assert recall.pin("k") == moved


def test_a_pin_that_was_ended_counts_no_more_while_the_database_still_has_it(
    recall: Recall, store: Store, clock: Clock
) -> None:
    last = pin(until=clock.stamp(60))
    store.apply([Entry(pins=[last])])
    assert recall.pin("k") == last
    recall.unstick(last)
    assert [recall.pin("k"), recall.pin("k")] == [None, None]
    store.apply([Entry(pins=[pin(until=clock.stamp())])])
    assert recall.pin("k") is None
    assert Recall(store.path, now=clock).pin("k") is None


def test_a_pin_that_another_process_ended_counts_no_more(recall: Recall, store: Store, clock: Clock) -> None:
    last = pin(until=clock.stamp(60))
    recall.stick(last)
    store.apply([Entry(pins=[last])])
    clock.ahead = 2
    store.apply([Entry(pins=[pin(until=clock.stamp(-1))])])
    assert recall.pin("k") is None
    recall.stick(last)
    assert recall.pin("k") == last, "what had ended before it was set says nothing of it"


def test_after_a_pin_was_ended_a_newer_one_counts_whoever_set_it(recall: Recall, store: Store, clock: Clock) -> None:
    recall.unstick(pin(until=clock.stamp(60)))
    mine = pin(until=clock.stamp(61), answered_by="mine")
    recall.stick(mine)
    assert recall.pin("k") == mine
    recall.unstick(mine)
    other = pin(until=clock.stamp(90), answered_by="other")
    store.apply([Entry(pins=[other])])
    assert recall.pin("k") == other


def test_only_the_pins_used_last_are_remembered(recall: Recall) -> None:
    for n in range(KEYS):
        recall.stick(pin(str(n)))
    assert recall.pin("0")
    recall.stick(pin("more"))
    recall.stick(pin("2"))
    recall.stick(pin("still more"))
    assert [recall.pin(key) is not None for key in ("0", "1", "2", "3", "4", "more")] == [
        True, False, True, False, True, True,
    ]  # fmt: skip


# Judgements


def test_what_a_person_judged_correct_is_known_at_once(recall: Recall, store: Store) -> None:
    store.apply([entry(1, asked="f"), entry(2, asked="g")])
    assert recall.judged_correct("f", "s", frozenset()) is False
    store.db.execute("update refusals set verdict = ? where asked = 'f'", [Verdict.CORRECT])
    assert recall.judged_correct("f", "s", frozenset()) is True
    assert recall.judged_correct("g", "s", frozenset()) is False


# Further attempts


def test_attempts_are_counted_for_an_hour_and_by_session(recall: Recall, clock: Clock) -> None:
    for session in ("s", "s", "t", None):
        recall.attempted(session, KEYS)
    assert [recall.attempts(session) for session in ("s", "t", None, "u")] == [2, 1, 1, 0]
    clock.ahead = 1800
    recall.attempted("s", KEYS)
    assert recall.attempts("s") == 3
    clock.ahead = 3600 + 60
    assert [recall.attempts(session) for session in ("s", "t", None)] == [1, 0, 0]
    clock.ahead = 5400 + 60
    recall.attempted("s", KEYS)
    assert recall.attempts("s") == 1
    assert len(recall._attempts["s"]) == 1, "what no longer counts is not kept"


def test_no_more_are_counted_than_a_session_may_have(recall: Recall, clock: Clock) -> None:
    assert [recall.attempted("s", 2) for _ in range(3)] == [True, True, False]
    assert (recall.attempts("s"), recall.attempted("t", 2)) == (2, True)
    clock.ahead = 3600 + 60
    assert recall.attempted("s", 2)


def test_the_attempts_of_all_processes_count(recall: Recall, store: Store, path: Path, clock: Clock) -> None:
    store.apply(asked(1, 3, at=clock.stamp(-60), session_id="s"))
    store.apply(asked(2, 5, at=clock.stamp(-3660), session_id="s"))
    store.apply(asked(3, 7, at=clock.stamp(), session_id=None))
    recall.attempted("s", KEYS)
    assert recall.attempts("s") == Recall(path, now=clock).attempts("s") == 3
    for _ in range(4):
        recall.attempted("s", KEYS)
    assert recall.attempts("s") == 5
    assert recall.attempts(None) == 0


def test_only_the_sessions_that_asked_last_are_remembered(recall: Recall) -> None:
    for n in range(KEYS):
        recall.attempted(str(n), KEYS)
    recall.attempted("0", KEYS)
    recall.attempted(None, KEYS)
    assert [recall.attempts(session) for session in ("0", "1", "2", None)] == [2, 0, 1, 1]


# Where the database cannot be read


def locked(path: Path) -> Callable[[], object]:
    return lock(path).close


def damaged(path: Path) -> Callable[[], object]:
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes(b ^ 0x5A for b in whole[100:]))
    return lambda: path.write_bytes(whole)


def no_database(path: Path) -> Callable[[], object]:
    whole = path.read_bytes()
    path.write_bytes(b"a text, and long enough to be taken for a database" * 20)
    return lambda: path.write_bytes(whole)


def strange(path: Path) -> Callable[[], object]:
    """Of a demur that wrote what this one cannot read."""
    with Database(path) as other:
        other.execute("alter table pins rename column until to end")
        other.execute("alter table refusals rename column verdict to judgement")
        other.execute("alter table attempts rename column strategy to how")

    def restore() -> None:
        with Database(path) as other:
            other.execute("alter table pins rename column end to until")
            other.execute("alter table refusals rename column judgement to verdict")
            other.execute("alter table attempts rename column how to strategy")

    return restore


@pytest.mark.parametrize("trouble", [locked, damaged, no_database, strange], ids=lambda trouble: trouble.__name__)
def test_where_the_database_cannot_be_read_memory_alone_decides(
    trouble: Callable[[Path], Callable[[], object]], impatient: None, recall: Recall, path: Path, clock: Clock
) -> None:
    with Store.open(path) as store:
        store.apply(asked(1, 3, at=clock.stamp(), session_id="s", asked="f", verdict=Verdict.CORRECT))
        store.apply([Entry(pins=[pin("a"), pin("b"), pin("c")])])
    recall.stick(pin("mine"))
    recall.attempted("s", KEYS)
    assert recall.pin("a")
    with capture_logs() as log:
        mend = trouble(path)
        assert recall.pin("mine") == pin("mine")
        assert recall.pin("a") == pin("a"), "what was read once is remembered"
        assert recall.pin("b") is None
        assert recall.judged_correct("f", "s", frozenset()) is None
        assert recall.attempts("s") == 1
        mend()
        assert recall.pin("b") == pin("b")
        assert recall.judged_correct("f", "s", frozenset()) is True
        assert recall.attempts("s") == 3
    assert [event["event"] for event in log] == ["recall.failed", "recall.recovered"]


def test_a_value_that_is_none_of_ours_is_not_read(recall: Recall, store: Store) -> None:
    store.apply([Entry(pins=[pin()])])
    store.db.execute("create table odd (key text, session_id text, agent_id text, model blob, answered_by text, at text,"
                     " until text, turns text, refusal_id text)")  # fmt: skip
    store.db.execute("insert into odd select * from pins")
    store.db.execute("update odd set turns = 'many'")
    store.db.execute("drop table pins")
    store.db.execute("alter table odd rename to pins")
    assert recall.pin("k") is None
    recall.stick(pin(turns=3))
    assert recall.pin("k") == pin(turns=3)


def test_a_log_that_fails_fails_nothing(recall: Recall, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def error(self, event: str, **keys: object) -> None:
            raise OSError(event)

        info = error

    monkeypatch.setattr(module, "_log", Full())
    monkeypatch.setattr("proxy.logs._log", Full())
    path.mkdir(parents=True)
    assert recall.judged_correct("f", "s", frozenset()) is None
    path.rmdir()
    assert recall.judged_correct("f", "s", frozenset()) is False


def test_a_database_of_an_older_demur_is_read_once_it_is_brought_up_to_date(recall: Recall, path: Path) -> None:
    path.parent.mkdir()
    with Database(path) as old:
        migrations.apply(old, stop_before="m005_retries")
    recall.stick(pin())
    assert (recall.pin("k"), recall.judged_correct("f", "s", frozenset())) == (pin(), None)
    with Store.open(path) as store:
        store.apply([Entry(pins=[pin("other")])])
    assert (recall.pin("k"), recall.pin("other"), recall.judged_correct("f", "s", frozenset())) == (
        pin(),
        pin("other"),
        False,
    )


def test_who_writes_and_who_asks_do_not_wait_for_each_other(recall: Recall, store: Store) -> None:
    store.apply([Entry(pins=[pin()])])
    with store.transaction() as connection:
        connection.execute("delete from pins")
        assert recall.pin("k") == pin()
    assert recall.pin("k") is None


# Beside the writer, other threads, other processes


def test_what_is_put_into_the_writer_counts_all_along(recall: Recall, path: Path, clock: Clock) -> None:
    writer = Writer(path, patience=0.05)
    writer.start()
    for turns in range(5):
        moved = pin(turns=turns, until=clock.stamp(3600 + turns))
        recall.stick(moved)
        writer.put(Entry(pins=[moved]))
        assert recall.pin("k") == moved
    assert writer.close()
    assert recall.pin("k") == Recall(path, now=clock).pin("k") == moved


async def test_sticking_and_counting_do_not_block_the_event_loop(recall: Recall) -> None:
    """The guard in conftest.py fails this where they do."""
    recall.stick(pin())
    recall.attempted("s", KEYS)


def test_any_thread_may_ask_and_tell(recall: Recall, store: Store) -> None:
    store.apply([Entry(pins=[pin("theirs")])])

    def work(k: int) -> None:
        for n in range(50):
            recall.stick(pin(f"{k}-{n}"))
            recall.attempted("s", KEYS)
            assert recall.pin(f"{k}-{n}")
            assert recall.pin("theirs")
            assert recall.attempts("s") > n

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert recall.attempts("s") == 200


TELLS = """
import sys
from pathlib import Path
from entries import pin
from proxy.recall import Recall
from proxy.store import Store
from schemas.records import Entry
recall, path = Recall(Path(sys.argv[1])), sys.argv[1]
for line in sys.stdin:
    with Store.open(path) as store:
        exec(line)
"""


def test_processes_share_what_they_pin_and_what_is_removed(recall: Recall, path: Path) -> None:
    def known() -> list[Pin | None]:
        return [recall.pin("theirs"), recall.pin("mine")]

    recall.stick(pin("mine"))
    with python(TELLS, path) as other:

        def told(expression: str) -> str:
            assert other.stdin is not None
            assert other.stdout is not None
            print(f"print({expression}, flush=True)", file=other.stdin, flush=True)
            return other.stdout.readline().strip()

        assert told("store.apply([Entry(pins=[pin('theirs')])])") == "0"
        assert known() == [pin("theirs"), pin("mine")]
        assert told("recall.pin('mine')") == "None"
        with Store.open(path) as store:
            store.apply([Entry(pins=[pin("mine")])])
        assert told("recall.pin('mine') == pin('mine')") == "True"
        assert told("store.unpin(None)") == "2"
        assert known() == [None, None]
        assert told("recall.pin('mine')") == "None"


def test_a_process_that_dies_while_it_writes_leaves_what_was_there(recall: Recall, store: Store, path: Path) -> None:
    store.apply([Entry(pins=[pin()])])
    code = """
import sys
from proxy.store import Store
store = Store.open(sys.argv[1])
store.db.conn.execute("begin immediate")
store.db.conn.execute("delete from pins")
print("now", flush=True)
sys.stdin.read()
"""
    with python(code, path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "now\n"
        assert recall.pin("k") == pin()
        other.kill()
    assert recall.pin("k") == pin()
    assert store.unpin(None) == 1
    assert recall.pin("k") is None


def test_the_log_never_says_what_was_asked(recall: Recall, path: Path) -> None:
    path.mkdir(parents=True)
    with capture_logs() as log:
        recall.pin("the key")
        recall.judged_correct("the fingerprint", "s", frozenset())
        recall.attempts("the session")
    assert [event["event"] for event in log] == ["recall.failed"]
    assert "the " not in repr(log)
