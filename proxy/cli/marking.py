"""``demur report mark``: what a person reported where, so that nothing is reported twice; and how that is taken back.

Where it was reported is an http or https address, an address of a mail, ``/feedback``, or a note of several words. A single other word is likely an id
that was mistyped, or an address that was cut.
"""

import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.cli.options import Failed, Misused, meant, warn

if TYPE_CHECKING:
    from proxy.settings import InForce
    from proxy.store import Store

_USAGE = "demur report mark ID... URL"
_PLACE = re.compile(r"(?i:https?)://[^\s/?#]\S*|[^\s@:/]+@[^\s@:/]+\.[^\s@:/]+|/feedback")


def mark(in_force: "InForce", given: Sequence[str], shape: str, *, remove: bool = False) -> None:
    """Notes it, or takes it back. Raises ``Misused``, ``Failed``, StoreError."""
    from proxy.cli.database import reading
    from proxy.cli.words import without_secrets

    if len(given) < 2:
        raise Misused(f"say what was reported where: {_USAGE}")
    *names, url = given
    if not url.strip():
        raise Misused("an empty URL says nothing: say where it was reported")
    with reading(in_force.db) as store:
        if store is None:
            raise Failed("nothing is recorded yet: there is nothing to mark")
        _check_place(store, url.strip())
        ids = list({store.find(meant(name)).id: None for name in names})
        place = without_secrets(url.strip())
        if remove:
            _remove(store, ids, place)
        else:
            _note(store, ids, place, shape)


def _check_place(store: "Store", url: str) -> None:
    if url == "last" or _names_a_refusal(store, url):
        raise Misused(f"{url} is a refusal: say last where it was reported: {_USAGE}")
    if not _PLACE.fullmatch(url) and not (" " in url and "://" not in url.split(maxsplit=1)[0]):
        raise Misused(f"{url} is no http or https address: say one, or in a few words where it was reported")


def _note(store: "Store", ids: Sequence[str], place: str, shape: str) -> None:
    from proxy.cli.words import count
    from proxy.core.stamps import stamp
    from proxy.reports import Report
    from proxy.reports import mark as noted

    new = noted(store, [Report(refusal_id=one, at=stamp(time.time()), url=place, shape=shape) for one in ids])
    if new:
        warn(f"{count(new, 'refusal')} marked as reported at {place}")
    if before := len(ids) - new:
        warn(f"{count(before, 'refusal')} had been marked so already: that stays one note")


def _remove(store: "Store", ids: Sequence[str], place: str) -> None:
    from proxy.cli.words import count
    from proxy.reports import reported, unmark

    if not (gone := unmark(store, ids, place)):
        others = ", ".join(dict.fromkeys(one.url for one in reported(store, ids)))
        known = f"marked as reported at {others}" if others else "not marked at all"
        raise Failed(f"nothing is marked as reported at {place}: what you named is {known}")
    warn(f"{count(gone, 'mark')} taken back: reported at {place}")


def _names_a_refusal(store: "Store", word: str) -> bool:
    from proxy.store import StoreError

    try:
        return bool(store.find(word))
    except StoreError:
        return False
