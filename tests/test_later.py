"""Jobs that nobody waits for."""

from threading import Event

from structlog.testing import capture_logs

from proxy.later import Later


def test_jobs_are_done_one_after_another_and_all_that_there_are_before_it_closes() -> None:
    later, done = Later(), list[int]()
    for n in range(20):
        later.do(lambda n=n: done.append(n))  # type: ignore[misc]
    assert later.close()
    assert done == list(range(20))


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
