"""One JSON object a line: what ``demur import`` reads again, at the level ``full`` without loss.

A line is a refusal, or where they were asked for one count of the traffic: ``{"demur": 1, "traffic": {...}, "n": 5, ...}``, also of what files told of,
each with who counted it (``proxy.origins``). Each line stands for itself, so that any part of the file can be read; a session's history is
therefore in every line of it, and compresses well.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from proxy.exporters.export import Export
from proxy.exporters.levels import VERSION, Level
from proxy.origins import counted


def written(export: Export, encode: Callable[[object], str], *, traffic: bool = False) -> Iterator[str]:
    """``encode``: how a value becomes JSON in one line. Raises StoreError."""
    if traffic:
        yield from (encode(count) + "\n" for count in counts(export))
    yield from (encode(record) + "\n" for record in export.records())


def counts(export: Export) -> Iterator[dict[str, Any]]:
    """The counts of all Messages requests, those of the chosen time and model; an hour at a time. Raises StoreError."""
    if export.store is None:
        return
    for one in counted(export.store, export.chosen.since, export.chosen.model):
        key = msgspec.to_builtins(one.traffic)
        if export.level != Level.FULL:
            key["user"] = key["user"] and export.curtain.person(key["user"])
            key |= {name: export.curtain.text(key[name]) for name in ("client", "entrypoint")}
        told = {"imported": one.imported, "origin": one.origin, "source": one.source}
        yield {"demur": VERSION, "traffic": key, "n": one.n, **told}
