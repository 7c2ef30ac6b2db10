"""The one thread that owns the writing connection. ``put`` never blocks on the database and never raises.

An entry is compressed and appended to this process's spool by the caller; the thread moves spools into the database. So what
``put`` returned True for survives the death of the process, and a locked, full, missing or broken database only makes the
spool longer: everything lands once it works again. Where the spool cannot be written either, entries wait in memory, up to
a bound, and are tried again; what does not fit, or still waits at the end, is counted as lost, never dropped in silence.

Traffic counts are summed in memory and spooled about once a second.

A spool that has been moved is replaced by a fresh one when it is large or a minute old, so that what the database has
expired or purged does not live on in it. Offsets never run backwards: a spool is never emptied, only left and removed.
"""

import time
from collections import Counter, deque
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Lock, Thread

import structlog

from proxy.adoption import adopt, move, remove
from proxy.database import private_folder
from proxy.packed import Packed, dump, load, pack
from proxy.spool import START, Spool, spool_folder
from proxy.store import Store
from proxy.upkeep import expire
from schemas.records import Entry, Traffic

TICK = 1.0
"""Seconds between two looks, where nothing happens."""
PAUSES = (0.1, 5.0)
"""Seconds between two tries of a failing database: the first, doubled up to the second."""
GRACE = 0.5
"""Seconds beyond its timeout in which a close may let go of the files."""
LARGE = 4 << 20
"""Bytes at which a spool is replaced,"""
OLD = 60.0
"""or seconds; also how often the spools of dead processes are looked for."""

_log = structlog.get_logger("demur")


class _Part:
    """Whether one part works. It says so when that changes, and only then."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.works = True

    def failed(self, error: Exception) -> None:
        if self.works:
            self.works = False
            _say("store.failed", part=self.name, error=type(error).__name__, message=str(error).partition("\n")[0])

    def worked(self) -> None:
        if not self.works:
            self.works = True
            _say("store.recovered", part=self.name)


def _say(event: str, **keys: object) -> None:
    with suppress(Exception):  # a log that fails costs no record
        (_log.error if event in ("store.failed", "store.lost") else _log.info)(event, **keys)


class Writer:
    """Takes entries and counts from any thread and writes them to one database file.

    ``retention_days``: older records are removed when the database is opened; 0 keeps them. ``memory``: how many bytes may
    wait where not even the spool can be written. ``patience``: how long one try waits for another process's lock on the
    database, in seconds.
    """

    def __init__(
        self, database: Path | str, *, retention_days: int = 90, memory: int = 64 << 20, patience: float = 5.0
    ) -> None:
        self._database, self._folder = Path(database), spool_folder(database)
        self._retention_days, self._memory, self._patience = retention_days, memory, patience
        self._seen: deque[Traffic] = deque()  # to be counted; appended to without a lock
        self._lock = Lock()  # over all of these:
        self._spool: Spool | None = None
        self._left: list[Spool] = []  # spools that are no longer appended to, to be moved and removed
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._counts: Counter[Traffic] = Counter()
        self._lost = 0  # not yet told to any header
        self._closed = False
        self._wake, self._closing = Event(), Event()
        self._deadline = 0.0
        self._thread: Thread | None = None
        # and these are the thread's own:
        self._store: Store | None = None
        self._parts = _Part("spool"), _Part("database")
        self._pause, self._retry_at = PAUSES[0], 0.0
        self._renewed_at = self._adopt_at = 0.0

    def start(self) -> None:
        """Starts the thread. Whatever state the disk and the database are in, it does not fail for it."""
        with self._lock, suppress(Exception):
            self._renew()
        self._thread = Thread(target=self._run, name="demur-writer", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> bool:
        """Whether the entry is in the spool; where it is not, it waits in memory or is counted as lost."""
        try:
            payload = dump(pack(entry))
        except Exception as error:  # noqa: BLE001 - rule zero
            with self._lock:
                self._lose(1, f"an entry cannot be encoded: {type(error).__name__}")
            return False
        with self._lock:
            if self._waiting:  # what became of a refusal must not overtake it
                self._spill()
            spooled = not self._waiting and self._append(payload)
            if not spooled:
                self._keep_waiting(payload)
        self._wake.set()
        return spooled

    def count(self, traffic: Traffic) -> None:
        """Counts one Messages request. Waits for nothing, so that an event loop may call it."""
        self._seen.append(traffic)
        if self._closed:
            with self._lock:
                self._spool_counts()

    def close(self, timeout: float = 5.0) -> bool:
        """Writes what there is, for about ``timeout`` seconds at most; whether all of it is in the database.

        What is not stays in the spool for the next writer. What comes later than this is spooled all the same.
        """
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        self._wake.set()
        if self._thread is None:
            self._finish()
        else:
            self._thread.join(timeout + GRACE)
        with self._lock:
            done = self._settled()
            self._give_up()
        return done

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait(TICK)
            self._wake.clear()
            self._turn()
        self._finish()

    def _finish(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._spill()
            self._closed = True
            if self._spool is not None:
                self._left.append(self._spool)
                self._spool = None
        while True:
            left = max(0.0, self._deadline - time.monotonic())
            self._retry_at, self._patience = 0.0, min(left, self._patience)
            self._turn()
            with self._lock:
                if self._settled() or time.monotonic() >= self._deadline:
                    break
            time.sleep(min(left, PAUSES[0]))
        with self._lock:
            self._give_up()
            for spool in self._left:
                spool.close()
        self._close_store()

    def _turn(self) -> None:
        try:
            with self._lock:
                self._spill()
            if time.monotonic() < self._retry_at:
                return
            self._move()
        except Exception as error:  # noqa: BLE001 - rule zero
            self._parts[1].failed(error)
            self._close_store()
            self._retry_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, PAUSES[1])
        else:
            self._parts[1].worked()
            self._pause = PAUSES[0]

    def _move(self) -> None:
        store = self._opened()
        with self._lock:
            left, spool = [*self._left], self._spool
        for each in left:
            move(store, each)
            with self._lock:
                self._left.remove(each)
            with suppress(OSError):  # what cannot be removed is adopted later, and holds nothing new
                remove(store, each)
        if spool is not None:
            move(store, spool)
            self._renew_moved(spool)
        if not self._parts[0].works:
            self._write_directly(store)
        if time.monotonic() >= self._adopt_at or self._closing.is_set():
            if moved := adopt(store, self._folder):
                _say("spool.adopted", entries=moved)
            self._adopt_at = time.monotonic() + OLD

    def _opened(self) -> Store:
        if self._store is not None and not self._store.in_place():
            self._close_store()
        if self._store is None:
            self._store = Store.open(self._database, timeout=self._patience)
            self._adopt_at = 0.0
            if self._retention_days:
                oldest = datetime.now(UTC) - timedelta(days=self._retention_days)
                expire(self._store, oldest.isoformat())
        return self._store

    def _close_store(self) -> None:
        if self._store is not None:
            with suppress(Exception):
                self._store.close()
            self._store = None

    def _renew_moved(self, spool: Spool) -> None:
        age = time.monotonic() - self._renewed_at
        with self._lock, suppress(OSError):  # where no new one can be made, the old one goes on
            if self._spool is spool and spool.end > START and (spool.end > LARGE or age > OLD):
                self._renew()

    def _write_directly(self, store: Store) -> None:
        """Where the spool takes nothing and the database does."""
        with self._lock:
            waiting, counts, lost = list(self._waiting), Counter(self._counts), self._lost
        if not (waiting or counts or lost):
            return
        store.apply([*load(waiting), Packed(traffic=list(counts.items()), lost=lost)])
        with self._lock:
            for _ in waiting[: len(self._waiting)]:
                self._waiting_bytes -= len(self._waiting.popleft())
            self._counts -= counts
            self._lost -= min(lost, self._lost)

    # What follows is called with the lock held.

    def _settled(self) -> bool:
        return self._parts[1].works and not (self._left or self._waiting or self._counts or self._lost)

    def _spill(self) -> None:
        """What is in memory goes into the spool, as far as it is taken."""
        if self._spool is None and not self._closed:
            with suppress(OSError):
                self._renew()
        self._spool_counts()
        while self._waiting and self._append(self._waiting[0]):
            self._waiting_bytes -= len(self._waiting.popleft())
        self._tell_loss()

    def _spool_counts(self) -> None:
        while self._seen:
            self._counts[self._seen.popleft()] += 1
        if self._counts and self._append(dump(Packed(traffic=list(self._counts.items())))):
            self._counts.clear()

    def _append(self, payload: bytes) -> bool:
        try:
            spool = self._spool
            if spool is None or not spool.in_place():
                spool = self._renew()
            spool.append(payload)
        except Exception as error:  # noqa: BLE001 - rule zero
            self._parts[0].failed(error)
            return False
        self._parts[0].worked()
        if self._closed:
            spool.close()
            self._spool = None
        return True

    def _renew(self) -> Spool:
        private_folder(self._folder)
        spool = Spool.create(self._folder)
        if self._spool is not None:
            self._left.append(self._spool)
        self._spool, self._renewed_at = spool, time.monotonic()
        return spool

    def _keep_waiting(self, payload: bytes) -> None:
        if self._waiting_bytes + len(payload) > self._memory:
            self._lose(1, "neither the spool nor the database can be written, and memory is full")
            return
        self._waiting.append(payload)
        self._waiting_bytes += len(payload)

    def _lose(self, n: int, why: str) -> None:
        _say("store.lost", entries=n, why=why)
        self._lost += n
        self._tell_loss()

    def _tell_loss(self) -> None:
        """The count goes into a spool's header, which can be written on a full disk too."""
        spool = self._spool or (self._left[-1] if self._left else None)
        if self._lost and spool is not None:
            with suppress(OSError):
                spool.lose(self._lost)
                self._lost = 0

    def _give_up(self) -> None:
        """At the end: what could be written nowhere is counted as lost."""
        self._spill()
        if n := len(self._waiting) + bool(self._counts):
            self._waiting.clear()
            self._counts.clear()
            self._waiting_bytes = 0
            self._lose(n, "closed while neither the spool nor the database could be written")
