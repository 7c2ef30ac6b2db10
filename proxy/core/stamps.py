"""When it was, and an id that says so."""

from datetime import UTC, datetime
from functools import lru_cache

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(seconds: float, entropy: bytes) -> str:
    """An id that sorts by time: 48 bits of milliseconds since 1970 and 80 random ones (github.com/ulid/spec)."""
    number = int(seconds * 1000) << 80 | int.from_bytes(entropy[:10])
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def stamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def hour(seconds: float) -> str:
    """The hour in UTC in which that was: ``2026-11-23T14``."""
    return _hour(int(seconds // 3600))


@lru_cache(100)
def _hour(number: int) -> str:
    return stamp(number * 3600)[:13]
