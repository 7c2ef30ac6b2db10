"""What the ways in hand over is kept and told; and nothing that fails there is raised."""

from structlog.testing import capture_logs

from commands import declined, request
from entries import entry as made_entry
from proxy.keeper import Keeper
from proxy.later import Later
from schemas.records import Entry, Refusal, Traffic


class Sink:
    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.put_in: list[Entry] = []
        self.counted: list[Traffic] = []

    def put(self, entry: Entry) -> bool:
        if self.broken:
            raise OSError("no space left")
        self.put_in.append(entry)
        return True

    def count(self, traffic: Traffic) -> None:
        if self.broken:
            raise OSError("no space left")
        self.counted.append(traffic)


def test_an_entry_is_put_and_its_refusals_are_told() -> None:
    sink, told = Sink(), list[Refusal]()
    entry = made_entry(1)
    Keeper(sink, lambda refusal, _: told.append(refusal)).keep(lambda: entry)
    Keeper(sink).keep(lambda: entry)
    Keeper(sink).count(Traffic(hour="2026-11-24T06"))
    assert sink.put_in == [entry, entry]
    assert told == entry.refusals
    assert len(sink.counted) == 1


def test_what_fails_is_not_raised() -> None:
    def fails() -> Entry:
        raise RuntimeError("a bug of ours")

    told = list[Refusal]()
    Keeper(Sink(), lambda refusal, _: told.append(refusal)).keep(fails)
    Keeper(Sink(broken=True), lambda refusal, _: told.append(refusal)).keep(lambda: made_entry(1))
    Keeper(Sink(broken=True)).count(Traffic(hour="2026-11-24T06"))
    assert told == []


def test_the_strongest_of_what_was_new_is_told_with_a_refusal_in_a_few_words() -> None:
    told = list[str | None]()
    entry = declined(request(turns=1))
    keeper = Keeper(Sink(), lambda _, candidate: told.append(candidate))
    for new in (None, True, False):
        for segment in entry.segments:
            segment.new = new
        keeper.keep(lambda: entry)
    for segment in entry.segments:
        segment.new = segment.label == "tool_result"
    keeper.keep(lambda: entry)
    assert told == [None, None, None, "tool result of Read /src/0.py"]


def test_the_log_tells_the_facts_of_a_refusal_and_nothing_that_anybody_said() -> None:
    entry = declined(request(said="Please look at the words of my own."))
    assert entry.refusals[0].explanation
    with capture_logs() as logs:
        Keeper(Sink()).keep(lambda: entry)
    (told,) = logs
    facts = "id kind category stage outcome model answered_by request_id candidate spooled".split()
    assert set(told) <= {"event", "log_level", *facts}
    assert entry.refusals[0].explanation not in str(told)
    assert "words of my own" not in str(told)


def test_what_was_declined_is_annotated_when_it_is_kept() -> None:
    sink, later = Sink(), Later()
    keeper = Keeper(sink, later=later)
    keeper.keep(lambda: declined(request(said="Пожалуйста, посмотри на этот файл, там лежит описание опыта.")))
    keeper.keep(lambda: made_entry(1))
    assert later.close()
    (annotated,) = [entry for entry in sink.put_in if entry.annotations]
    ((refusal_id, found),) = annotated.annotations.items()
    assert refusal_id == sink.put_in[0].refusals[0].id
    assert {("script", "Cyrillic"), ("media", "image/png")} <= {(one.name, one.value) for one in found}
