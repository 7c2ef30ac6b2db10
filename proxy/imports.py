"""What importers found, put into the store; and what was imported of which file, so that nothing is read or counted twice.

A refusal is known by its id, which its importer makes of what was found. One that the same source has told of by the same request id is the same,
even where its time was only guessed. Requests are counted for each file by itself, in ``imported_traffic``: the counts are replaced
as a whole when the file is read again, and never go into ``traffic``, which is what demur saw. Those that files name (transcripts) are counted in the
one that was read first. What is remembered for the sake of requests to
come (accepted requests, pins) is left out: it is about another day.

A file that is as it was when it was read whole is not read again. One that gave trouble is.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from proxy.completion import Completed, complete
from proxy.core.stamps import stamp
from proxy.incidents import regroup
from proxy.judgements import history, merge
from proxy.origins import Counted, grow
from proxy.packed import Packed
from proxy.reports import Report, reported
from proxy.reports import merge as merge_reports
from proxy.store import OWN_FAULT, Store
from proxy.trials import add_located, add_trial, located, trials
from schemas.records import Attempt, Judgement, Located, Refusal, Traffic, Trial, Update

_KNOWN = """
    select value from json_each(?) where value in (select id from refusals) or value in (select id from witnesses)
"""
_STORED = "select id from refusals where id = :id union select refusal_id from witnesses where id = :id"
_TOLD = """
    select 1 from refusals where request_id = :request_id and kind = :kind and instr(sources, :source) > 0
        and coalesce(session_id = :session_id, true)
"""
_TRIED = """
    select 1 from attempts where refusal_id = ? and coalesce(request_id, message_id, model, '') = ? and outcome = ?
"""

_ELSEWHERE = "select name from imported_requests where name in (select value from json_each(?))"

_ATTEST = """
    insert or ignore into witnesses select :id, :refusal_id, :source where not exists (select 1 from refusals where id = :id)
"""


class FileMark(NamedTuple):
    """A file, as it was when it was read."""

    file: str
    """Its real path, or ``-`` and the hash of what came in by itself."""
    size: int
    mtime: int
    """In nanoseconds since 1970."""
    digest: str


class Told(NamedTuple):
    """Refusals of one source and kind."""

    source: str
    kind: str


class Tallies(msgspec.Struct):
    """What one run of an import found."""

    new: Counter[Told] = msgspec.field(default_factory=Counter)
    witnessed: Counter[Told] = msgspec.field(default_factory=Counter)
    """Known by another source, and new from this one."""
    known: Counter[Told] = msgspec.field(default_factory=Counter)
    requests: int = 0
    """All that were counted, in the files that were read."""
    judged: int = 0
    """Judgements that were taken over from another machine."""
    completed: int = 0
    """Refusals of which less was stored than another machine tells."""
    refused: int = 0
    """Entries that could not be stored for what they hold."""


class Imports:
    """One run. Raises StoreError where the database is at fault."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.tallies = Tallies()
        self._traffic: dict[str, Counter[Traffic]] = {}
        self._names: dict[str, dict[int, Traffic]] = {}

    def is_known(self, mark: FileMark) -> bool:
        """Whether the file is as it was when it was read whole; or whether another one was that is the same."""
        rows = self.store.rows("select file, size, mtime, digest from imports where file = ?", [mark.file])
        if rows:
            return FileMark(**rows[0]) == mark
        same = "select 1 from imports where digest = ? and size = ?"
        return bool(mark.size and self.store.rows(same, [mark.digest, mark.size]))

    def take(self, file: str, entries: Sequence[Packed]) -> None:
        """Some of what was found in a file."""
        before = self._known(refusal for entry in entries for refusal in entry.refusals)
        kept = [made for entry in entries if (made := self._kept(file, entry)) is not None]
        self.tallies.refused += self.store.apply(kept)
        after = self._ids(refusal.id for entry in kept for refusal in entry.refusals)
        for refusal in (refusal for entry in entries for refusal in entry.refusals):
            told = Told(refusal.source, refusal.kind)
            where = self.tallies.known if refusal.id in before else self.tallies.new
            if refusal.id not in before and refusal.id not in after:
                where = self.tallies.witnessed if self._is_witness(refusal.id) else self.tallies.known
            where[told] += 1
            before.add(refusal.id)

    def take_over(self, file: str, entries: Sequence[Packed]) -> None:
        """Records of another demur: what is stored of the same refusals is completed. See ``proxy.completion``."""
        self.take(file, [msgspec.structs.replace(entry, annotations={}) for entry in entries])
        done: list[Completed | None] = []
        with self.store.transaction() as connection:
            for entry in entries:
                with suppress(*OWN_FAULT), self.store.db.atomic():
                    done.append(complete(connection, entry))
            for session_id in sorted({one.session_id for one in done if one and one.session_id}):
                regroup(connection, session_id)
        self.tallies.completed += sum(one is not None for one in done)

    def add(self, refusal_id: str, said: Iterable[Judgement], tried: Iterable[Trial], found: Iterable[Located]) -> None:
        """What persons said of a refusal on another machine, and what they had sent again of it; what is here already is not added."""
        rows = self.store.rows(_STORED, {"id": refusal_id})
        if not rows:
            return
        name = rows[0]["id"]
        trials_ = list(map(_without_why, trials(self.store, name)))
        located_ = list(map(_without_why, located(self.store, name)))
        here = history(self.store, name)
        judged = [msgspec.structs.replace(one, refusal_id=name) for one in said]
        self.tallies.judged += sum(one not in here for one in judged)
        merge(self.store, name, judged)
        for trial in tried:
            if _without_why(trial := msgspec.structs.replace(trial, refusal_id=name)) not in trials_:
                add_trial(self.store, trial)
        for one in found:
            if _without_why(place := msgspec.structs.replace(one, refusal_id=name)) not in located_:
                add_located(self.store, place)

    def report(self, refusal_id: str, reports: Iterable[Report]) -> None:
        """Where it was reported from another machine; what is noted here already is not noted again, nor what was taken back."""
        rows = self.store.rows(_STORED, {"id": refusal_id})
        here = reported(self.store, [row["id"] for row in rows])
        told = [msgspec.structs.replace(one, refusal_id=row["id"]) for row in rows for one in reports]
        if new := [one for one in dict.fromkeys(told) if one not in here]:
            merge_reports(self.store, new)

    def count(self, counts: Sequence[Counted]) -> None:
        """Requests that other machines counted."""
        self.tallies.requests += grow(self.store, counts)

    def attest(self, refusal_id: str, witnesses: Iterable[tuple[str, str]]) -> None:
        """The ids and sources of other records of a refusal that another machine had joined with it."""
        rows = self.store.rows(_STORED, {"id": refusal_id})
        with self.store.transaction() as connection:
            for name, source in witnesses if rows else ():
                connection.execute(_ATTEST, {"id": name, "refusal_id": rows[0]["id"], "source": source})

    def name(self, file: str, named: Iterable[tuple[Traffic, Iterable[int]]]) -> None:
        """What the requests are called that were counted in a file: 64 bits each, signed."""
        names = self._names.setdefault(file, {})
        for traffic, some in named:
            names |= dict.fromkeys(some, traffic)

    def done(self, mark: FileMark, *, source: str = "", whole: bool, was: str | None = None) -> None:
        """The file has been read; its counts take the place of those that it had.

        ``source``: the importer's name, by which counts of the same requests are told apart (``proxy.core.overlap``). ``whole``: the file need not be
        read again. ``was``: what ``take`` called it, where its name came of what was read.
        """
        counts = self._traffic.pop(was or mark.file, Counter())
        names = self._names.pop(was or mark.file, {})
        columns = ("file", "source", *Traffic.__struct_fields__, "n")
        insert = f"insert into imported_traffic ({', '.join(columns)}) values (?{', ?' * (len(columns) - 1)})"  # noqa: S608 the names are ours
        with self.store.transaction() as connection:
            connection.execute("delete from imported_traffic where file = ?", [mark.file])
            counts.subtract(names[one] for one in _counted_elsewhere(connection, mark.file, names))
            rows = ((mark.file, source, *msgspec.structs.astuple(key), n) for key, n in counts.items() if n > 0)
            connection.executemany(insert, rows)
            if whole:
                values = [*mark, stamp(time.time())]
                connection.execute("insert or replace into imports values (?, ?, ?, ?, ?)", values)
        self.tallies.requests += counts.total()

    def _kept(self, file: str, entry: Packed) -> Packed | None:
        """An entry without what is counted elsewhere, or known; None where nothing is left of it."""
        counts = self._traffic.setdefault(file, Counter())
        for traffic, n in entry.traffic:
            counts[traffic] += n
        refusals = entry.refusals
        told = [refusal for refusal in refusals if not self._was_told(refusal)]
        if told and told[0] is not refusals[0]:
            told = []  # what belongs to the first is not another's
        updates = [self._update(update) for update in entry.updates]
        made = msgspec.structs.replace(entry, refusals=told, traffic=[], accepted=[], pins=[], updates=updates)
        return made if told or updates or made.annotations else None

    def _was_told(self, refusal: Refusal) -> bool:
        if refusal.request_id is None or self._ids([refusal.id]):
            return False
        names = {"request_id": refusal.request_id, "kind": refusal.kind, "session_id": refusal.session_id}
        return bool(self.store.rows(_TOLD, names | {"source": f'"{refusal.source}"'}))

    def _update(self, update: Update) -> Update:
        """Without attempts that stand there already: one without a place of its own would be added each time."""
        rows = self.store.rows(_STORED, {"id": update.refusal_id})
        if not rows:
            return update
        attempts = [one for one in update.attempts if one.n >= 0 or not self._was_tried(rows[0]["id"], one)]
        return msgspec.structs.replace(update, attempts=attempts, turns_elsewhere=0)

    def _was_tried(self, refusal_id: str, attempt: Attempt) -> bool:
        name = attempt.request_id or attempt.message_id or attempt.model or ""
        return bool(self.store.rows(_TRIED, [refusal_id, name, attempt.outcome]))

    def _known(self, refusals: Iterable[Refusal]) -> set[str]:
        names = msgspec.json.encode([refusal.id for refusal in refusals]).decode()
        return {row["value"] for row in self.store.rows(_KNOWN, [names])}

    def _ids(self, names: Iterable[str]) -> set[str]:
        sql = "select id from refusals where id in (select value from json_each(?))"
        return {row["id"] for row in self.store.rows(sql, [msgspec.json.encode(list(names)).decode()])}

    def _is_witness(self, name: str) -> bool:
        return bool(self.store.rows("select 1 from witnesses where id = ?", [name]))


def _without_why[T: (Trial, Located)](one: T) -> T:
    """An export below ``full`` may have placeholders in that text."""
    return msgspec.structs.replace(one, why=None)


def _counted_elsewhere(connection: sqlite3.Connection, file: str, names: Iterable[int]) -> set[int]:
    """Those that are counted in other files. The others are from now on counted in this one."""
    place = int.from_bytes(blake2b(file.encode("utf-8", "surrogatepass"), digest_size=8).digest(), signed=True)
    connection.execute("delete from imported_requests where file = ?", [place])
    others = {row[0] for row in connection.execute(_ELSEWHERE, [msgspec.json.encode(list(names)).decode()])}
    own = ((one, place) for one in names if one not in others)
    connection.executemany("insert into imported_requests values (?, ?)", own)
    return others
