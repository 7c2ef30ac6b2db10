"""What was accepted lately: the memory in which a declined request is compared with the last good one of its conversation.

Most requests are accepted, and each resends its whole history; so what is told of one waits for a moment, and only the last of a
conversation within that moment is read. That happens in a thread of its own, never while a client waits; only where a request is declined,
what waits of its session is read at once. What was read is remembered here, and goes to the writer, so that it is known after a restart
and to other processes; both are asked.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event, Lock, Thread
from typing import NamedTuple

from proxy import logs
from proxy.core import news
from proxy.core.asker import Asker
from proxy.core.identities import Identities
from proxy.core.incident import SHORT
from proxy.core.passed import MAIN, Passed
from proxy.core.redact import Redactor
from proxy.core.said import ADDED, fingerprint, last_turn
from proxy.core.stamps import stamp
from proxy.database import NoDatabaseError
from proxy.store import Store
from schemas.records import Accepted, Entry

QUIET_S = 1.0
"""How long what is told waits for what may follow."""
DAY_S = 86_400.0
"""How long it is remembered."""
KEPT = 1000
"""Conversations that are remembered here."""
WAITING = 64 << 20
"""Bytes of requests that may wait; beyond, the oldest is forgotten."""
LONGEST = 20_000
"""Segments of one request that are remembered, the last ones."""
READING_S = 0.3
"""How long a client whose request was declined waits for what is not read yet, in seconds; what is not by then is not compared with."""
PATIENCE = 0.5
"""Seconds to wait for other processes' locks on the database."""


class _Key(NamedTuple):
    session_id: str
    agent_id: str
    role: str
    model: str


class Acceptance:
    """See the head of the module. ``put``: the writer's; ``db``: where its entries arrive, None for nowhere. No method raises."""

    def __init__(
        self,
        put: Callable[[Entry], bool],
        db: Path | None,
        redactor: Redactor,
        *,
        now: Callable[[], float] = time.time,
        quiet_s: float = QUIET_S,
    ) -> None:
        self._put, self._db, self._redactor, self._now, self._quiet_s = put, db, redactor, now, quiet_s
        self._lock, self._reading = Lock(), Lock()
        self._identities = Identities(redactor)  # used by whoever holds `_reading`
        self._waiting: OrderedDict[_Key, Passed] = OrderedDict()
        self._size = 0
        self._known: OrderedDict[_Key, Accepted] = OrderedDict()
        self._told, self._closing = Event(), Event()
        self._thread: Thread | None = None

    def passed(self, passed: Passed) -> None:
        """Takes note of an accepted request, until it is closed. Waits for nothing to speak of."""
        who = passed.who
        key = _Key(who.session_id or "", who.agent_id or "", who.role, passed.model)
        with self._lock:
            if self._closing.is_set():
                return
            self._take(key)
            self._waiting[key] = passed
            self._size += passed.size
            while self._size > WAITING and len(self._waiting) > 1:
                self._take(next(iter(self._waiting)))
            if self._thread is None:
                self._start()
        if not self._told.is_set():
            self._told.set()

    def accepted(self, who: Asker, model: str, root: str | None) -> list[Accepted]:
        """See ``proxy.core.passed.Memory``."""
        try:
            with self._lock:
                ours = [key for key in self._waiting if key.session_id == who.session_id]
            self._read(ours, READING_S)
            if chosen := _chosen(self._found(who.session_id or "", root), who, model):
                return chosen
            with self._lock:  # it may go on from another one
                others = list(reversed(self._waiting)) if root is not None else []
            self._read(others, READING_S)
            return _chosen(self._found(who.session_id or "", root), who, model)
        except Exception as error:  # noqa: BLE001 - rule zero
            logs.failed("acceptance.failed", error)
            return []

    def close(self, timeout: float = 5.0) -> None:
        """Reads what waits."""
        self._closing.set()
        self._told.set()
        if self._thread is not None:
            self._thread.join(timeout)
        with self._lock:
            self._waiting.clear()

    def _start(self) -> None:
        thread = Thread(target=self._run, name="demur-acceptance", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads: it is tried again with the next
            logs.failed("acceptance.failed", error)
        else:
            self._thread = thread

    def _take(self, key: _Key) -> Passed | None:
        passed = self._waiting.pop(key, None)
        self._size -= passed.size if passed else 0
        return passed

    def _run(self) -> None:
        while True:
            self._told.wait()
            self._closing.wait(self._quiet_s)
            self._told.clear()
            with self._lock:
                waiting = list(self._waiting)
            self._read(waiting)
            if self._closing.is_set():
                return

    def _read(self, keys: Iterable[_Key], seconds: float | None = None) -> None:
        """Reads what waits under these keys, for so many seconds at most; also waits for what is being read just now."""
        end = None if seconds is None else time.monotonic() + seconds
        for key in [None, *keys]:
            left = -1 if end is None else end - time.monotonic()
            if (end is not None and left <= 0) or not self._reading.acquire(timeout=left):
                return
            try:
                with self._lock:
                    passed = self._take(key) if key is not None else None
                if key is not None and passed is not None:
                    self._learn(key, passed)
            finally:
                self._reading.release()

    def _learn(self, key: _Key, passed: Passed) -> None:
        try:
            found = self._accepted(key, passed)
            with self._lock:
                self._known.pop(key, None)
                self._known[key] = found
                if len(self._known) > KEPT:
                    self._known.popitem(last=False)
            self._put(Entry(accepted=[found]))
        except Exception as error:  # noqa: BLE001 - rule zero
            logs.failed("acceptance.failed", error)

    def _accepted(self, key: _Key, passed: Passed) -> Accepted:
        segments = self._identities.of(passed.body())
        here = news.asked(segments)
        return Accepted(
            session_id=self._clean(key.session_id),
            agent_id=self._clean(key.agent_id),
            role=key.role,
            model=self._clean(key.model),
            at=stamp(passed.at),
            request_id=passed.request_id,
            client_version=passed.who.client_version,
            turn=here.turn,
            root=here.root,
            asked=None
            if sum(one.bytes for one in last_turn(segments) if one.label not in ADDED) <= SHORT
            else fingerprint(segments),
            hashes=b"".join(news.mark(one.hash) for one in segments[-LONGEST:]),
        )

    def _clean(self, name: str) -> str:
        return self._redactor.text(name)[0]

    def _found(self, session_id: str, root: str | None) -> list[Accepted]:
        """What is remembered of a session, and of any that began with the same text; the newest of each conversation and model."""
        since = stamp(self._now() - DAY_S)
        with self._lock:
            here = [one for one in self._known.values() if session_id == one.session_id or (root and root == one.root)]
        newest: dict[_Key, Accepted] = {}
        for one in [*self._stored(session_id, root), *here]:
            key = _Key(one.session_id, one.agent_id, one.role, one.model)
            if one.at >= since and (key not in newest or one.at >= newest[key].at):
                newest[key] = one
        return sorted(newest.values(), key=lambda one: one.at, reverse=True)

    def _stored(self, session_id: str, root: str | None) -> list[Accepted]:
        if self._db is None:
            return []
        try:
            with Store.open(self._db, readonly=True, timeout=PATIENCE) as store:
                return store.accepted(session_id, root)
        except NoDatabaseError:
            return []
        except Exception as error:  # noqa: BLE001 - rule zero
            logs.failed("acceptance.failed", error)
            return []


def _chosen(found: list[Accepted], who: Asker, model: str) -> list[Accepted]:
    """The best first: of the session, this agent's, of the same role and model; for what is asked beside a conversation, that one's as well."""
    session = [one for one in found if one.session_id == who.session_id and one.agent_id == (who.agent_id or "")]
    own = _best([one for one in session if one.role == who.role], model)
    main = [] if who.role in MAIN else _best([one for one in session if one.role in MAIN], model)
    if own or main:
        return own + main
    if who.role not in MAIN:
        return []
    return _best([one for one in found if one.session_id != who.session_id and one.role == who.role], model)


def _best(found: list[Accepted], model: str) -> list[Accepted]:
    return sorted(found, key=lambda one: one.model != model)[:1]
