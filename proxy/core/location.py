"""What ``demur locate`` asks, and what it concludes: a generator of requests to send, which is sent how each ended.

First the request itself, as often as ``repeat`` says: only what is declined each time can be searched. Then the search of
``proxy.core.ddmin`` over the parts of the request, the new ones first, the latest first among them; then over the lines of what was found. What
is found at the end is asked again until it was accepted ``repeat`` times. The number of requests has a limit; where it is reached, what is known
so far is the answer, with its last acceptance confirmed as well: for that some requests are kept back.

A classifier need not be deterministic. The same body is sent again only to find that out; two answers to one body end the search: it is not
settled. One that declines at random seven times in ten declines three times in a row often enough; before it is said that a request
is declined whatever is left out, ``SURE`` equal answers are asked for (0.7 ** 12 = 0.014). Where it is declined, or rejected, even without all that can be
left out, what is left may be too little: then the parts are left out one by one.

No search helps to find the boundary of a category in ``NEVER``: an answer that names one ends it, and nothing is found. An answer that is let go when
it has begun was not declined before output; that is then what is said of it, and not that it was accepted.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

from proxy.core.ddmin import Search as Ddmin
from proxy.core.ddmin import smallest
from proxy.core.reduction import Reduction

NEVER = ("general_harms", "bio", "reasoning_extraction")
"""Categories whose boundary demur does not help to find."""
SURE = 12
FAILURES = 3
"""How many requests may fail one after the other, before no more are sent."""


class Said(Enum):
    """How a request ended, for the search."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    REJECTED = "rejected"
    """The API did not take it, as a body (a 4xx): the same body would be rejected again."""
    FAILED = "failed"
    """Nobody knows: overloaded, cut off, not reached."""
    CLOSED = "closed"
    """Whatever is sent now, it would not be answered: a rate limit, credentials that are not accepted."""
    BARRED = "barred"
    """Declined as one of ``NEVER``."""


class Ask(NamedTuple):
    """A request to send."""

    body: bytes
    left_out: list[str]
    """As ``Finding.parts``; and the thinking, which goes with whatever else does."""


class Finding(NamedTuple):
    """What came of it."""

    parts: list[str]
    """Paths of segments, with ``:12-14`` behind one for the lines of it."""
    settled: bool
    why: str | None
    sent: int
    declined: int
    """How often the request itself was,"""
    asked: int
    """of how many answers;"""
    accepted: int
    """and how often it was accepted without exactly these parts,"""
    answered: int
    """of how many answers."""
    thinking: list[str]
    """What of the thinking was left out beside these parts, in paths: all of it, as the API takes nothing else."""
    begun: bool
    """Whether answers were let go when they had begun: then accepted means no more than not declined before output."""


class Left(NamedTuple):
    """What is left out."""

    paths: tuple[str, ...] = ()
    lines: Mapping[str, Collection[int]] = {}

    emptied: frozenset[str] = frozenset()
    """Of which all lines are."""

    def named(self) -> list[str]:
        """As ``Finding.parts``."""
        cut = (
            [path] if path in self.emptied else [f"{path}:{run}" for run in runs(numbers)]
            for path, numbers in self.lines.items()
        )
        return [*self.paths, *(name for names in cut for name in names)]


class InterruptedSearchError(Exception):
    """To be thrown into the search, where its owner wants no more of it: it then concludes from what it has."""


class _EndError(Exception):
    """The search ends here; the message says why. ``settled``: whether the same answer came each time."""

    def __init__(self, why: str, *, settled: bool) -> None:
        super().__init__(why)
        self.settled = settled


class _SpentError(Exception):
    """No more requests may be sent, but for those that are kept back."""


Search = Generator[Ask, Said, Finding]
type _Asking[T] = Generator[Ask, Said, T]

_REJECTED = [0, -1]
"""In the tally, of a body that the API does not take."""


def runs(numbers: Iterable[int]) -> list[str]:
    """``12-14`` for 12, 13 and 14; ``7`` for one alone."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return [str(first) if first == last else f"{first}-{last}" for first, last in found]


def passed(begun: bool) -> str:
    """What may be said of a request that was not declined. ``begun``: as in ``Finding``."""
    return "not declined before output" if begun else "accepted"


def locate(reduction: Reduction, new: Collection[str] = (), *, limit: int, repeat: int, begun: bool = False) -> Search:
    """``new``: the paths that were not in the last accepted request. ``limit``: of requests; ``repeat``: of one and the same.

    ``begun``: as in ``Finding``.
    """
    return _Location(reduction, new, limit, max(1, min(repeat, limit)), begun=begun).run()


class _Location:
    """``_tally``: how often each body was accepted, and how often declined. ``_best``: the least without which it was accepted."""

    def __init__(self, reduction: Reduction, new: Collection[str], limit: int, repeat: int, *, begun: bool) -> None:
        self._reduction, self._limit, self._repeat, self._begun = reduction, limit, repeat, begun
        thought = [part for part in reduction.parts if part.paths == reduction.thinking]
        others = [part for part in reduction.parts if part.paths != reduction.thinking]
        suspect = [part for part in others if not set(new).isdisjoint(part.paths)]
        self._parts = [*thought, *suspect, *(part for part in others if part not in suspect)]
        self._first = len(thought) + len(suspect) if suspect else 0
        self._kept_back = self._sent = self._failing = 0
        self._taken = False  # whether the API has answered a reduced request
        self._tally: dict[bytes, list[int]] = {reduction.body: [0, 0]}
        self._best: Left | None = None

    def run(self) -> Search:
        """See ``locate``."""
        why, settled = None, True
        try:
            yield from self._as_it_is()
            why = yield from self._searched()
        except _EndError as end:
            why, settled = str(end), end.settled
        except InterruptedSearchError:
            why, settled = "it was interrupted", False
        parts = self._best or Left()
        whole, rest = self._tally[self._reduction.body], self._counts(parts) if self._best else [0, 0]
        thinking = self._thinking(parts) if self._best else []
        named = parts.named()
        return Finding(named, settled, why, self._sent, whole[1], sum(whole), rest[0], sum(rest), thinking, self._begun)

    def _as_it_is(self) -> _Asking[None]:
        yield from self._repeated(Left(), self._repeat)
        if accepted := self._tally[self._reduction.body][0]:
            times = f"{accepted} of {accepted} times" if accepted > 1 else "when it was asked once"
            raise _EndError(f"it was {passed(self._begun)} today, {times}: there is nothing to locate", settled=True)

    def _searched(self) -> _Asking[str | None]:
        """Why it could not be narrowed to the end; None where it was."""
        self._kept_back, why = self._repeat - 1, None
        try:
            yield from self._narrowed()
        except _SpentError:
            why = f"it could not be narrowed further with {self._limit} requests"
        self._kept_back = 0
        if self._best is None:
            raise _EndError(f"nothing was accepted yet when the {self._limit} requests were used up", settled=True)
        yield from self._repeated(self._best, self._repeat)
        return why

    def _narrowed(self) -> _Asking[None]:
        search = smallest([part.lines for part in self._parts], first=self._first)
        found: frozenset[int] | None = yield from self._led(search, self._without_parts)
        if found is None:
            found = yield from self._singly(self._without_parts(range(len(self._parts))))
        yield from self._by_lines(self._without_parts(found).paths)

    def _by_lines(self, paths: Sequence[str]) -> _Asking[None]:
        lines = [(path, n) for path in paths for n in range(1, len(self._reduction.texts(path)) + 1)]
        whole = tuple(path for path in paths if not self._reduction.texts(path))

        def without(numbers: Collection[int]) -> Left:
            cut: dict[str, list[int]] = {}
            for number in sorted(numbers):
                path, n = lines[number]
                cut.setdefault(path, []).append(n)
            emptied = frozenset(path for path, gone in cut.items() if len(gone) == len(self._reduction.texts(path)))
            return Left(whole, cut, emptied)

        if len(lines) > 1:
            yield from self._led(smallest([1] * len(lines), assumed=True), without)

    def _without_parts(self, numbers: Collection[int]) -> Left:
        return Left(tuple(self._reduction.in_order(path for n in numbers for path in self._parts[n].paths)))

    def _led(self, search: Ddmin, left: Callable[[Collection[int]], Left]) -> _Asking[frozenset[int] | None]:
        try:
            numbers = next(search)
            while True:
                numbers = search.send((yield from self._is_accepted(left(numbers))))
        except StopIteration as found:
            value: frozenset[int] | None = found.value
            return value

    def _singly(self, everything: Left) -> _Asking[frozenset[int]]:
        """One part that is enough, where all of them are not."""
        if not self._parts:
            raise _EndError("nothing of it can be left out", settled=True)
        rest, tried = self._counts(everything), 0
        if rest != _REJECTED:
            yield from self._repeated(everything, self._repeat)
        with suppress(_SpentError):
            for n in range(len(self._parts)):
                if (yield from self._is_accepted(self._without_parts([n]))):
                    return frozenset({n})
                tried += 1
        self._kept_back = 0
        if rest != _REJECTED:
            equal = sum(counts[1] for counts in self._tally.values() if counts != _REJECTED)
            yield from self._repeated(everything, rest[1] + SURE - equal)
        raise _EndError(self._never(rest, tried), settled=rest != _REJECTED)

    def _never(self, rest: list[int], tried: int) -> str:
        """That nothing that can be left out was enough: not without all of it, nor without single parts."""
        n = len(self._parts)
        how = "the API rejects it" if rest == _REJECTED else f"it was declined {rest[1]} of {rest[1]} times"
        each = "each of them" if tried == n else f"{tried} of them"
        singly = f", and to leave out {each} singly was not enough" if tried and n > 1 else ""
        return (
            f"{how} without all the {n} parts that can be left out{singly}: what it is declined for may be in what always stays, or in"
            " several parts, or a request without so much may be declined for that"
        )

    def _repeated(self, left: Left, times: int) -> _Asking[None]:
        """Until it was answered so often, or no more may be sent."""
        with suppress(_SpentError):
            while sum(self._counts(left)) < times:
                yield from self._once(left)

    def _is_accepted(self, left: Left) -> _Asking[bool]:
        counts = self._counts(left)
        if counts == [0, 0]:
            yield from self._once(left)
        if counts[0]:
            self._best = left
        return bool(counts[0])

    def _once(self, left: Left) -> _Asking[None]:
        """Sends it until it is answered."""
        said, counts = Said.FAILED, self._counts(left)
        while said is Said.FAILED:
            if self._sent >= self._limit - self._kept_back:
                raise _SpentError
            self._sent += 1
            said = yield Ask(self._body(left), [*left.named(), *self._thinking(left)])
            self._go_on(said, left, counts)
        if said is Said.REJECTED:
            counts[:] = counts if any(counts) else _REJECTED
        else:
            counts[said is Said.DECLINED] += 1
            self._taken = self._taken or bool(left.named())
        if all(counts):
            accepted, declined = counts
            raise _EndError(
                f"one and the same request was declined {declined} and {passed(self._begun)} {accepted} of {accepted + declined} times",
                settled=False,
            )

    def _go_on(self, said: Said, left: Left, counts: list[int]) -> None:
        """Ends the search where nothing more is to be sent after this. That a new body is rejected tells of that body, once one was taken."""
        if said is Said.BARRED:
            self._best = None
            counts[1] += 1
            raise _EndError(f"an answer named a category that is not searched ({', '.join(NEVER)})", settled=False)
        if said is Said.CLOSED:
            raise _EndError("no more was sent, as nothing would be answered now", settled=False)
        if said is Said.REJECTED and not left.named():
            raise _EndError("the API rejects the request as it stands", settled=False)
        fails = said is Said.FAILED or (said is Said.REJECTED and (any(counts) or not self._taken))
        self._failing = self._failing + 1 if fails else 0
        if self._failing == FAILURES:
            raise _EndError(f"{FAILURES} requests in a row failed", settled=False)

    def _thinking(self, left: Left) -> list[str]:
        """What of the thinking goes with what is left out."""
        return [path for path in self._reduction.thinking if path not in left.paths] if left.named() else []

    def _counts(self, left: Left) -> list[int]:
        return self._tally.setdefault(self._body(left), [0, 0])

    def _body(self, left: Left) -> bytes:
        return self._reduction.without(left.paths, left.lines)
