"""What the ways in hand over is kept and told; and nothing that fails there is raised."""

from entries import entry as made_entry
from proxy.keeper import Keeper
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
    Keeper(sink, told.append).keep(lambda: entry)
    Keeper(sink).keep(lambda: entry)
    Keeper(sink).count(Traffic(hour="2026-11-24T06"))
    assert sink.put_in == [entry, entry]
    assert told == entry.refusals
    assert len(sink.counted) == 1


def test_what_fails_is_not_raised() -> None:
    def fails() -> Entry:
        raise RuntimeError("a bug of ours")

    told = list[Refusal]()
    Keeper(Sink(), told.append).keep(fails)
    Keeper(Sink(broken=True), told.append).keep(lambda: made_entry(1))
    Keeper(Sink(broken=True)).count(Traffic(hour="2026-11-24T06"))
    assert told == []
