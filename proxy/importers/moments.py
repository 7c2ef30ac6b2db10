"""When something was, in the many ways in which captures write it: as seconds since 1970."""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

_LATEST = 4_102_444_800.0
"""The year 2100: a larger number is no count of seconds."""
_UNITS = (1.0, 1e3, 1e6, 1e9)


def seconds(value: object) -> float | None:
    """From a count of seconds, milli-, micro- or nanoseconds, as a number or its digits, or from ISO 8601 (UTC where it names no zone)."""
    if isinstance(value, str):
        with suppress(ValueError):
            return _counted(float(value))
        try:
            at = datetime.fromisoformat(value.strip())
            found = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
        return found if 0 < found < _LATEST else None
    return _counted(float(value)) if isinstance(value, int | float) and not isinstance(value, bool) else None


def of_file(file: BinaryIO, name: str) -> float:
    """When a file was last written, by what it is read from or by its path; now, where that is not known."""
    with suppress(OSError, AttributeError, ValueError):
        return os.fstat(file.fileno()).st_mtime
    with suppress(OSError, ValueError):
        return Path(name).stat().st_mtime
    return time.time()


def _counted(number: float) -> float | None:
    found = (number / unit for unit in _UNITS if 0 < number / unit < _LATEST)
    return next(found, None)
