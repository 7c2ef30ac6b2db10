"""Out of spools, into the database: one's own, and those whose processes are dead.

Where a spool stands is read from the database each time, and written in the transaction that moves it on. Nothing is
remembered elsewhere, so a process may die at any point, and the database may be deleted under its writers: each entry lands
in it exactly once. The file goes first and its row after it; in between, the row of a missing file hurts nobody.
"""

from contextlib import suppress
from pathlib import Path

import structlog

from proxy.packed import load
from proxy.spool import START, Spool, spools
from proxy.store import Advance, Store, StoreError

_log = structlog.get_logger("demur")


def adopt(store: Store, folder: Path) -> int:
    """Moves the spools of dead processes into the database and removes them; how many entries that were.

    Raises StoreError, and then what is left stays for the next one.
    """
    moved = 0
    for path in spools(folder):
        if spool := Spool.claim(path):
            with spool, suppress(OSError):  # one that cannot be read or removed keeps no other waiting
                moved += move(store, spool)
                remove(store, spool)
    return moved


def move(store: Store, spool: Spool) -> int:
    """Moves what a spool holds into the database, each entry exactly once; how many entries that were.

    Raises StoreError, and OSError where the spool cannot be read.
    """
    moved = 0
    while True:
        start, lost = store.moved(spool.name)
        batch = spool.read(start)
        if batch.end == max(start, START) and spool.lost <= lost:
            break
        entries = load(batch.payloads)
        unreadable = batch.damaged + len(batch.payloads) - len(entries)
        advance = Advance(name=spool.name, start=start, end=batch.end, lost=spool.lost, unreadable=unreadable)
        store.apply(entries, advance)
        moved += len(entries)
    if not store.in_place():
        raise StoreError(f"{store.path} was removed while it was written: its spools are moved into the next one")
    return moved


def remove(store: Store, spool: Spool) -> None:
    """Removes a spool that has been moved whole. Raises OSError or StoreError."""
    spool.discard()
    store.forget(spool.name)
