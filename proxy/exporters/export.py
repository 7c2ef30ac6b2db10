"""One export: what is chosen, at which level, and the records in the order that a format wants."""

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from proxy.exporters.cases import cases
from proxy.exporters.chosen import Chosen, Order, counts, names
from proxy.exporters.levels import Curtain, Level, record
from proxy.store import Store

type Record = dict[str, Any]
"""A refusal as ``levels.record`` tells it."""


class Export:
    """What a format is written from. ``store``: None where nothing is recorded. ``line`` and ``text``: others' words, in one line and in several,
    so that no terminal obeys them.
    """

    def __init__(
        self,
        store: Store | None,
        chosen: Chosen,
        level: Level,
        curtain: Curtain,
        *,
        line: Callable[[str], str] = str,
        text: Callable[[str], str] = str,
    ) -> None:
        self.store, self.chosen, self.level, self.curtain = store, chosen, level, curtain
        self.line, self.text = line, text
        self.faults: dict[str, str] = {}
        """Refusal id -> why its request could not be read."""
        self.count = 0
        """How many refusals were given out the last time that they were read through."""
        self.bare = 0
        """And how many of them have no excerpt, where the level would tell one."""

    def records(self, order: Order = "oldest") -> Iterator[Record]:
        """The chosen refusals, a page at a time. Raises StoreError."""
        for _, told in self._read(order):
            yield told

    def incidents(self) -> Iterator[Iterator[Record]]:
        """The same by incident, the one that began last first, in each the first first. Each is to be read before the next. Raises StoreError."""
        for _, group in groupby(self._read("incident"), key=lambda pair: pair[0]):
            yield (told for _, told in group)

    def counts(self) -> list[tuple[str, str, int]]:
        """How many there are by month and category. Raises StoreError."""
        return [] if self.store is None else counts(self.store, self.chosen)

    def _read(self, order: Order) -> Iterator[tuple[str, Record]]:
        """With the incident that each belongs to."""
        self.count = self.bare = 0
        if self.store is None:
            return
        for case in cases(self.store, names(self.store, self.chosen, order), self.level):
            if case.fault:
                self.faults[case.refusal.id] = case.fault
            self.count += 1
            told = record(case, self.level, self.curtain)
            self.bare += self.level == Level.EXCERPTS and not any(one["text"] for one in told["excerpts"])
            yield case.refusal.incident_id or case.refusal.id, told
