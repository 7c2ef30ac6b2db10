"""What is asked of the store while a request waits, and what this process remembers itself.

The writer is always a little behind, and what another process wrote stands in the database alone; so both are asked. Where the
database cannot be read, memory alone decides, and what only the database knows is not known.

A pin that is in memory and not in the database is either not written yet or was removed by a person (``demur sticky clear``). It
was removed if it has been seen there, or if a removal is recorded that came after it was remembered here. One that stands there as ended
before its time, and since it was remembered here, was ended by another process, whose turn was declined.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock

import structlog
from msgspec import Struct
from msgspec.structs import replace

from proxy import logs
from proxy.core.stamps import stamp
from proxy.database import NoDatabaseError
from proxy.store import Store
from schemas.records import Pin

KEYS = 1000
"""Conversations that are remembered, and sessions."""
PATIENCE = 1.0
"""Seconds to wait for other processes' locks."""
HOUR = 3600.0

_log = structlog.get_logger("demur")


class _Known(Struct, frozen=True):
    """A pin in memory."""

    pin: Pin
    since: str
    """When it was remembered."""
    seen: str = ""
    """Until when it was to last as the database last had it; empty where it was not seen there."""
    ended: str = ""
    """Until when it was to last when it was ended: what the database has of it up to then is no longer so."""


class _Lately[V](OrderedDict[str | None, V]):
    """The entries that were used last, ``KEYS`` at most."""

    def use(self, key: str | None, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > KEYS:
            self.popitem(last=False)


class Recall:
    """Asked in any thread. ``now``: seconds since 1970. No method raises; ``stick``, ``unstick`` and ``attempted`` only touch memory.

    ``db`` None: only this process is remembered. The others may wait for ``PATIENCE`` seconds where another process locks the database. No file or folder is made.
    """

    def __init__(self, db: Path | None, *, now: Callable[[], float] = time.time) -> None:
        self._db, self._now = db, now
        self._lock = Lock()  # never held while the database is read
        self._pins: _Lately[_Known] = _Lately()
        self._attempts: _Lately[Counter[int]] = _Lately()  # by the minute
        self._works = True

    def pin(self, key: str) -> Pin | None:
        """The model that a conversation stays on, where it does."""
        with self._lock:
            before = self._pins.get(key)
        nothing: tuple[Pin | None, str | None] = (None, None)
        told = self._ask(lambda store: (store.pin(key, ""), store.unpinned(key)), nothing)
        with self._lock:
            if told is not None:
                self._compare(key, before, *told)
            known = self._pins.get(key)
            if known is None or known.ended:
                return None
            if known.pin.until <= self._stamp():
                del self._pins[key]
                return None
            self._pins.use(key, known)
            return known.pin

    def stick(self, pin: Pin) -> None:
        """Remembers a pin that was set, or moved."""
        with self._lock:
            known = self._pins.get(pin.key)
            self._pins.use(pin.key, _Known(pin, self._stamp(), known.seen if known else ""))

    def unstick(self, pin: Pin) -> None:
        """Forgets it, and what the database has of it until the writer has told it there."""
        with self._lock:
            self._pins.use(pin.key, _Known(pin, self._stamp(), ended=pin.until))

    def judged_correct(self, asked: str | None, session_id: str | None, marks: frozenset[bytes]) -> bool | None:
        """Whether a person judged a refusal of this content correct, or of its incident; None where that cannot be read."""
        return self._ask(lambda store: store.judged_correct(asked) or store.holds_judged(session_id, marks), False)

    def attempts(self, session_id: str | None) -> int:
        """Further attempts for a session within the last hour, of whichever process; of this one for all without a session."""
        since = self._now() - HOUR
        with self._lock:
            counted = self._attempts.get(session_id, Counter())
            here = sum(n for minute, n in counted.items() if minute >= since // 60)
        if session_id is None:
            return here
        return max(here, self._ask(lambda store: store.attempts_since(session_id, stamp(since)), 0) or 0)

    def attempted(self, session_id: str | None, most: int) -> bool:
        """Counts one more, unless this process has counted ``most`` within the last hour: then False."""
        minute = int(self._now() // 60)
        with self._lock:
            counted = Counter({m: n for m, n in self._attempts.get(session_id, Counter()).items() if m >= minute - 60})
            if counted.total() >= most:
                return False
            counted[minute] += 1
            self._attempts.use(session_id, counted)
        return True

    def _compare(self, key: str, before: _Known | None, stored: Pin | None, unpinned: str | None) -> None:
        """Brings memory up to what the database said. ``before``: what was known when it was asked."""
        known, ended = self._pins.get(key), ""
        if stored is not None and stored.until <= self._stamp():
            ended, stored = stored.until, None
        if stored is not None and known is not None and stored.until <= known.ended:
            return
        if stored is not None:
            ours = known is not None and known.pin.until >= stored.until
            base = known if known is not None and ours else _Known(stored, self._stamp())
            self._pins.use(key, replace(base, seen=stored.until))
        elif before is not None and known is before and self._was_removed(before, unpinned or "", ended):
            del self._pins[key]

    def _was_removed(self, known: _Known, unpinned: str, ended: str) -> bool:
        """Where it was seen there and had ended since, that may be all: the writer has not moved it yet."""
        cut_short = known.since <= ended < (known.seen or known.pin.until)
        return known.seen > self._stamp() or unpinned >= known.since or cut_short

    def _ask[T](self, question: Callable[[Store], T], nothing: T) -> T | None:
        """The store's answer: ``nothing`` where there is no database yet, None where it cannot be read."""
        if self._db is None:
            return nothing
        try:
            with Store.open(self._db, readonly=True, timeout=PATIENCE) as store:
                answer = question(store)
        except NoDatabaseError:
            answer = nothing
        except Exception as error:  # noqa: BLE001 - rule zero
            self._say(error)
            return None
        self._say(None)
        return answer

    def _say(self, error: Exception | None) -> None:
        """Logs that the database cannot be read, and that it can again, when that changes."""
        works, self._works = self._works, error is None
        if works and error:
            logs.failed("recall.failed", error)
        elif error is None and not works:
            with suppress(Exception):
                _log.info("recall.recovered")

    def _stamp(self) -> str:
        return stamp(self._now())
