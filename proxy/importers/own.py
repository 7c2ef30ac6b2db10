"""What another demur recorded: its database, its exports as JSON Lines, and what ``demur show --json`` and ``list --all --json`` print.

Here it is only known again; ``proxy.importers.recorded`` reads it, and is loaded when there is any.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from proxy.importers.documents import Json
from proxy.importers.opening import first
from proxy.importers.source import Found, Origin
from proxy.importers.sqlite import MAGIC, has_tables, is_database

_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_TABLES = frozenset({"refusals", "witnesses"})


class OwnRecords:
    """See the head of the module."""

    name = "demur"

    def claims(self, head: bytes, origin: Origin) -> bool:
        """See ``Source``."""
        if head.startswith(MAGIC):
            shown = has_tables(head, origin, _TABLES)
            return _may_be_ours(head) if shown is None else shown
        value = first(head)
        return ("demur" in value and "traffic" in value) or is_record(value)

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """See ``Source``."""
        from proxy.importers.recorded import stored, told

        yield from stored(file, origin) if is_database(file) else told(file, origin)


def _may_be_ours(head: bytes) -> bool:
    """Of a database that comes in by itself and shows no tables at its beginning. An older demur's says nothing of who made it: what else does not
    is told of when it is read.
    """
    from proxy.database import APPLICATION_ID

    return int.from_bytes(head[68:72]) in (0, APPLICATION_ID)


def is_record(value: Json) -> bool:
    """Whether it has what each record has."""
    return value.keys() >= {"id", "at", "kind"} and _ID.fullmatch(str(value["id"])) is not None
