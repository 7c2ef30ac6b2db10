"""CSV (RFC 4180): a row for each refusal, its fields in flat columns; lists joined by ``; ``.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-`` or ``@`` for a formula, which could send what stands beside it somewhere: such a cell
gets an apostrophe in front (OWASP, "CSV Injection"). So does what follows a semicolon: where the comma is in decimals, a spreadsheet opens
any CSV with semicolons between its cells. The mark at the beginning tells Excel that it is UTF-8; the readers of pandas, DuckDB, sqlite3
and csvkit drop it. A cell ends where those of a spreadsheet do. The requests themselves have no place in a table; ``full`` adds only that
nothing is scrubbed.
"""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from proxy.exporters.export import Export, Record
from proxy.exporters.levels import IDS, Level
from schemas.records import Refusal

UTF_8 = "\ufeff"
"""The byte order mark."""
LONGEST = 32_767
"""Characters of a cell: more is cut off by a spreadsheet, or runs into the next row."""
_FORMULA = re.compile("(^|; *)( *[=+@\uff1d\uff0b\uff0d\uff20\\-]| *[\t\r\n])")
"""What begins a formula, or is skipped before one; the four are the wide ones."""
_NOT_FLAT = ("headers",)
_ADDED = ("attempts", "segments", "new_segments", "tokens_est", "note")


def columns(level: Level) -> list[str]:
    """The names of the columns, in order."""
    if level == Level.IDS:
        return IDS
    fields = [name for name in Refusal.__struct_fields__ if name not in _NOT_FLAT]
    return [name for name in (*fields, *_ADDED) if level.has_text or name not in ("explanation", "note")]


def written(export: Export) -> Iterator[str]:
    """The head, and a row for each refusal, the oldest first. Raises StoreError."""
    named = columns(export.level)
    yield UTF_8 + _row(named)
    for record in export.records():
        values = record | _added(record) if export.level != Level.IDS else record
        yield _row([_cell(values[name], export) for name in named])


def _added(record: Record) -> dict[str, Any]:
    """What is counted of the lists, and the last note."""
    segments = record["segments"]
    notes = [one["note"] for one in record["judgements"] if one["note"]]
    return {
        "attempts": len(record["attempts"]),
        "segments": len(segments),
        "new_segments": sum(one["new"] is True for one in segments),
        "tokens_est": sum(one["tokens_est"] for one in segments),
        "note": notes[-1] if notes else None,
    }


def _cell(value: Any, export: Export) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return _cell("; ".join(map(str, value)), export)
        case str():
            shown = export.line(_FORMULA.sub(r"\1'\2", value))
            return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"
    return str(value)


def _row(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(cells)
    return out.getvalue()
