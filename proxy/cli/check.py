"""One thing that ``demur doctor`` looked at."""

from typing import NamedTuple


class Check(NamedTuple):
    """One thing that was looked at. ``todo`` is empty where it is well."""

    name: str
    status: str
    found: str
    todo: str = ""


def ok(name: str, found: str) -> Check:
    """It is well."""
    return Check(name, "ok", found)


def warn(name: str, found: str, todo: str) -> Check:
    """It stops nothing."""
    return Check(name, "warn", found, todo)


def fail(name: str, found: str, todo: str) -> Check:
    """Something will not work."""
    return Check(name, "fail", found, todo)
