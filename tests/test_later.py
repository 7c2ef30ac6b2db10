"""Jobs that nobody waits for."""

from threading import Event, Thread

import pytest
from structlog.testing import capture_logs

from proxy.later import Later


def test_jobs_are_done_one_after_another_and_all_that_there_are_before_it_closes() -> None:
    later, done = Later(), list[int]()
    assert all(later.do(lambda n=n: done.append(n)) for n in range(10))  # type: ignore[misc]
    assert later.close()
    assert done == list(range(10))
    assert not later.do(lambda: done.append(99))
    assert later.close()
    assert done == list(range(10))


def test_a_job_that_fails_is_logged_and_the_next_is_done() -> None:
    later, done = Later(), list[int]()

    def fails() -> None:
        raise RuntimeError

    with capture_logs() as log:
        later.do(fails)
        later.do(lambda: done.append(1))
        assert later.close()
    assert done == [1]
    assert [event["event"] for event in log] == ["later.failed"]


def test_one_that_was_given_nothing_closes_at_once() -> None:
    assert Later().close()


def test_a_job_that_takes_too_long_is_not_waited_for() -> None:
    later, go = Later(), Event()

    def waits() -> None:
        go.wait(30)

    later.do(waits)
    assert not later.close(0.01)
    go.set()
    assert later.close()


def test_what_waits_is_bounded() -> None:
    later, go, done = Later(kept=2), Event(), list[int]()

    def waits() -> None:
        go.wait(30)

    while later.do(waits):
        pass
    assert not later.do(lambda: done.append(1))
    go.set()
    assert later.close()
    assert done == []


def test_a_machine_without_threads_to_spare_costs_the_job_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    later, done = Later(), list[int]()

    def fails(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", fails)
        assert not later.do(lambda: done.append(1))
        assert later.close()
    later = Later()
    assert later.do(lambda: done.append(2))
    assert later.close()
    assert done == [2]
