"""What of a conversation had been accepted before a request of it was declined, as far as its transcript tells.

The rules are those of ``proxy.core.news``: a declined request is compared with the last accepted one of its session and agent, by the same
model where there was one. A part is new where that one had none that says the same. A transcript has neither the system prompt nor what the client
put in by itself, so of these nothing is said.

Where a line's place is not certain (a file that goes on from another one, lines that are missing), and in what ``claude -p`` prints, which has no
prompts, the history is None, and no part is called new or old.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from proxy.core.detect import answerer
from proxy.core.stamps import stamp
from proxy.importers.turns import Past, Turn
from schemas.labels import History, Result, Role
from schemas.models import family

if TYPE_CHECKING:
    from proxy.importers.told import Told

THREADS = 2_000
"""Conversations of a file that are remembered."""
_TAKEN = frozenset({Result.ANSWERED, Result.RECOVERED_BY_API})
_OF_A_CONVERSATION = frozenset({Role.MAIN, Role.SUBAGENT})
_BLOCK = re.compile(r"content(?:\[(\d+)\])?\Z")


class Good(NamedTuple):
    """An accepted request."""

    at: str
    model: str
    """The family of the one that answered."""
    request_id: str | None
    version: str | None
    turn: Turn


class Since(NamedTuple):
    """What a declined request is beside the last accepted one. None: not known."""

    history: History | None = None
    good: Good | None = None

    @property
    def good_turn(self) -> int | None:
        """The last good turn, where the request goes on from it."""
        return (self.good and self.good.turn.n) or None if self.history is History.GROWN else None


class Standing:
    """Of one file. It is told its requests in the file's order. ``whole``: the file has all that the user said."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._good: OrderedDict[str, dict[str, Good]] = OrderedDict()

    def take(self, told: "Told") -> None:
        """The next request, which is settled: if it was declined, says what was new in it."""
        if told.who.role not in _OF_A_CONVERSATION:
            return
        if told.parts is not None:
            told.since = self._since(told)
        if told.result() in _TAKEN:
            self._accept(told)

    def _accept(self, told: "Told") -> None:
        model = family(answerer(told.message) or told.asked_model or "")
        good = Good(stamp(told.at), model, told.request_id, told.who.version, told.turn)
        known = self._good.pop(told.thread, {})
        known.pop(model, None)
        self._good[told.thread] = known | {model: good}
        if len(self._good) > THREADS:
            self._good.popitem(last=False)

    def _since(self, told: "Told") -> Since:
        good, turn = self._chosen(told), told.turn
        if good is None:
            return Since(self._begun(told))
        known = _known(good.turn)
        if not turn.sure or not turn.said or not self._whole or not _mark(told, known):
            return Since(None, good)
        if good.turn.root != turn.root:
            return Since(History.COMPACTED, good)
        if not any(one is good.turn.past for one in _line(turn)):
            return Since(History.EDITED, good)
        return Since(History.GROWN, good)

    def _chosen(self, told: "Told") -> Good | None:
        """The one that it is compared with; None also where the model is not known, and there are several."""
        known = self._good.get(told.thread, {})
        if told.asked_model is None:
            return next(iter(known.values())) if len(known) == 1 else None
        return known.get(family(told.asked_model)) or next(reversed(known.values()), None)

    def _begun(self, told: "Told") -> History | None:
        """Where nothing is known to have been accepted."""
        turn = told.turn
        if not self._whole or not turn.sure or not turn.n or self._good.get(told.thread):
            return None
        if turn.answered or turn.root:
            return History.UNSEEN
        return History.FIRST if _mark(told, set()) else None


def _line(turn: Turn) -> Iterator[Past]:
    """What was said, the last first."""
    here = turn.past
    while here is not None:
        yield here
        here = here.before


def _known(turn: Turn) -> set[int]:
    return {mark for one in _line(turn) for mark in one.marks}


def _mark(told: "Told", known: set[int]) -> bool:
    """Says of each part whether it is new; False where that cannot be told, and then of none."""
    assert told.parts is not None
    by_key = {one.key: one.marks for one in _line(told.turn)}
    marks = []
    for segment, key in zip(told.parts.segments, told.keys, strict=True):
        found, place = by_key.get(key, ()), _BLOCK.search(segment.path)
        n = int(place[1] or 0) if place else len(found)
        if n >= len(found):
            return False
        marks.append(found[n])
    for segment, mark in zip(told.parts.segments, marks, strict=True):
        segment.new = mark not in known
    return True
