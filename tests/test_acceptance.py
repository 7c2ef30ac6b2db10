"""The memory of what was accepted: what waits, what is read, what is found again by another process."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread, Timer
from typing import Any

import pytest

from commands import SECRET, request
from proxy import acceptance as module
from proxy.acceptance import Acceptance
from proxy.core import news
from proxy.core.asker import Asker
from proxy.core.context import split
from proxy.core.passed import Passed
from proxy.core.redact import Redactor
from proxy.core.said import fingerprint
from proxy.store import Store
from schemas.labels import Role
from schemas.records import Accepted, Entry

NOW = time.time()
WHO = Asker(session_id="s", role=Role.MAIN, model="claude-opus-5", client_version="2.1.197")

type Make = Callable[..., Acceptance]


def who(**fields: Any) -> Asker:
    return Asker(**{"session_id": "s", "role": Role.MAIN, "model": "claude-opus-5", **fields})


def passed(
    body: bytes = b"", asker: Asker = WHO, *, model: str = "claude-opus-5", ago: float = 0, n: int = 1
) -> Passed:
    body = body or request()
    return Passed(asker, model, NOW - ago, f"req_{n}", len(body), lambda: body)


class Sink(list[Accepted]):
    """The writer, as far as it matters here."""

    def put(self, entry: Entry) -> bool:
        self.extend(entry.accepted)
        return True


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def make(sink: Sink) -> Iterator[Make]:
    made: list[Acceptance] = []

    def start(put: Callable[[Entry], bool] = sink.put, db: Path | None = None, **more: Any) -> Acceptance:
        made.append(Acceptance(put, db, Redactor(), now=lambda: NOW, **{"quiet_s": 0.01} | more))
        return made[-1]

    yield start
    for each in made:
        each.close()


def test_what_was_accepted_is_known_at_once_to_whoever_is_declined(make: Make, sink: Sink) -> None:
    memory, body = make(quiet_s=60), request()
    memory.passed(passed(body))
    (found,) = memory.accepted(WHO, "claude-opus-5", None)
    segments = split(body, None).segments
    assert news.marks(found.hashes) == {news.mark(one.hash) for one in segments}
    assert (found.asked, found.turn, found.request_id) == (fingerprint(segments), news.asked(segments).turn, "req_1")
    assert sink == [found]


def test_only_the_last_of_a_conversation_is_read(make: Make, sink: Sink) -> None:
    memory = make(quiet_s=60)
    for n in range(5):
        memory.passed(passed(request(turns=n), n=n))
    memory.passed(passed(asker=who(agent_id="a"), n=8))
    memory.passed(passed(asker=who(role=Role.TITLE), n=9))
    memory.close()
    assert [one.request_id for one in sink] == ["req_4", "req_8", "req_9"]


def test_it_is_read_after_a_moment_by_itself(make: Make) -> None:
    read = Event()

    def put(entry: Entry) -> bool:
        read.set()
        return True

    memory = make(put)
    for _ in range(2):
        memory.passed(passed())
        assert read.wait(20)
        read.clear()


def test_the_same_model_is_preferred_and_else_the_newest(make: Make) -> None:
    memory = make()
    memory.passed(passed(model="claude-opus-5", ago=30, n=1))
    memory.passed(passed(model="claude-opus-4-8", ago=20, n=2))
    memory.passed(passed(model="claude-sonnet-5", ago=10, n=3))
    for model, expected in (("claude-opus-5", "req_1"), ("claude-opus-4-8", "req_2"), ("claude-fable-5", "req_3")):
        assert [one.request_id for one in memory.accepted(WHO, model, None)] == [expected]


def test_another_agent_and_another_session_are_not_compared_with(make: Make) -> None:
    memory = make()
    memory.passed(passed())
    assert memory.accepted(who(agent_id="a"), "claude-opus-5", None) == []
    assert memory.accepted(who(session_id="other"), "claude-opus-5", None) == []


def test_what_is_asked_beside_a_conversation_is_compared_with_that_as_well(make: Make) -> None:
    memory, compaction = make(), who(role=Role.COMPACTION)
    memory.passed(passed(n=1))
    assert [one.request_id for one in memory.accepted(compaction, "claude-opus-5", None)] == ["req_1"]
    memory.passed(passed(asker=compaction, n=2))
    assert [one.request_id for one in memory.accepted(compaction, "claude-opus-5", None)] == ["req_2", "req_1"]
    assert memory.accepted(who(session_id="x", role=Role.TITLE), "claude-opus-5", "root") == []


def test_a_conversation_that_goes_on_in_another_session_is_found_by_how_it_began(make: Make) -> None:
    memory = make()
    memory.passed(passed())
    root = news.asked(split(request(), None).segments).root
    (found,) = memory.accepted(who(session_id="other"), "claude-opus-5", root)
    assert found.session_id == "s"
    assert memory.accepted(who(session_id="other", role=Role.SUBAGENT), "claude-opus-5", root) == []


def test_another_process_finds_it_in_the_database_for_a_day(make: Make, tmp_path: Path) -> None:
    db = tmp_path / "demur.db"
    with Store.open(db) as store:
        first = make(lambda entry: store.apply([entry]) == 0, quiet_s=60)
        first.passed(passed(ago=7200, n=1))
        first.passed(passed(asker=who(session_id="old"), ago=2 * 86_400, n=2))
        first.accepted(WHO, "claude-opus-5", None)
        first.accepted(who(session_id="old"), "claude-opus-5", None)
        second = make(db=db)
        (found,) = second.accepted(WHO, "claude-opus-5", None)
        assert found.request_id == "req_1"
        assert second.accepted(who(session_id="old"), "claude-opus-5", None) == []
        second.passed(passed(ago=3600, n=3))
        assert second.accepted(WHO, "claude-opus-5", None)[0].request_id == "req_3"
        assert second.accepted(WHO, "claude-opus-5", None)[0].hashes == found.hashes


def test_a_secret_in_a_name_is_taken_out(make: Make, sink: Sink) -> None:
    memory = make()
    memory.passed(passed(asker=who(session_id=SECRET)))
    memory.close()
    assert len(sink) == 1
    assert SECRET not in json.dumps([one.session_id for one in sink])


def test_what_waits_is_bounded_and_the_oldest_is_forgotten(
    make: Make, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 3 * len(request()))
    memory = make(quiet_s=60)
    for n in range(5):
        memory.passed(passed(asker=who(session_id=f"s{n}"), n=n))
    memory.close()
    assert [one.request_id for one in sink] == ["req_2", "req_3", "req_4"]


def test_what_is_remembered_is_bounded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    monkeypatch.setattr(module, "LONGEST", 3)
    memory = make()
    for n in range(3):
        memory.passed(passed(asker=who(session_id=f"s{n}")))
        memory.accepted(who(session_id=f"s{n}"), "claude-opus-5", None)
    assert memory.accepted(who(session_id="s0"), "claude-opus-5", None) == []
    (found,) = memory.accepted(who(session_id="s2"), "claude-opus-5", None)
    assert len(found.hashes) == 3 * news.MARK


def test_whatever_fails_is_logged_and_fails_nothing(make: Make, sink: Sink, tmp_path: Path) -> None:
    def fails() -> bytes:
        raise RuntimeError

    broken = tmp_path / "demur.db"
    broken.write_bytes(b"no database" * 100)
    memory = make(db=broken)
    memory.passed(Passed(WHO, "claude-opus-5", NOW, "req_1", 1, fails))
    assert memory.accepted(WHO, "claude-opus-5", None) == []
    memory.passed(passed())
    assert len(memory.accepted(WHO, "claude-opus-5", None)) == 1
    assert make(db=tmp_path / "missing.db").accepted(WHO, "claude-opus-5", None) == []
    assert memory.accepted(None, "claude-opus-5", None) == []  # type: ignore[arg-type]


def test_a_memory_that_was_told_of_nothing_closes_at_once(make: Make, sink: Sink) -> None:
    make().close()
    assert sink == []


def test_what_is_being_read_just_now_is_waited_for(make: Make) -> None:
    memory, reading, go = make(), Event(), Event()

    def body() -> bytes:
        reading.set()
        go.wait(20)
        return request()

    memory.passed(Passed(WHO, "claude-opus-5", NOW, "req_1", 1, body))
    assert reading.wait(20)
    Timer(0.05, go.set).start()
    assert [one.request_id for one in memory.accepted(WHO, "claude-opus-5", None)] == ["req_1"]


def test_a_client_waits_for_it_no_longer_than_a_moment(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "READING_S", 0.01)
    memory, reading, go = make(), Event(), Event()

    def body() -> bytes:
        reading.set()
        go.wait(20)
        return request()

    memory.passed(Passed(WHO, "claude-opus-5", NOW, "req_1", 1, body))
    assert reading.wait(20)
    assert memory.accepted(WHO, "claude-opus-5", "root") == []
    go.set()


def test_once_closed_it_takes_and_holds_nothing(make: Make, sink: Sink) -> None:
    memory = make()
    memory.passed(passed())
    memory.close()
    memory.passed(passed(n=2))
    assert [one.request_id for one in sink] == ["req_1"]
    assert not memory._waiting


def test_a_machine_without_threads_to_spare_still_tells_when_it_is_asked(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    memory = make()
    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", fails)
        memory.passed(passed())
    assert [one.request_id for one in memory.accepted(WHO, "claude-opus-5", None)] == ["req_1"]
