"""Header fields as bytes, in the order, case and number that they came in; and what a gateway may change of them.

A gateway takes off what belongs to one connection (RFC 9110, 7.6.1) and sets ``Host`` for where it forwards to. Everything
else stays as it is, also what is odd.
"""

from collections.abc import Iterable

Headers = tuple[tuple[bytes, bytes], ...]
"""Pairs of name and value, raw."""

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"upgrade",
    }
)
"""``Transfer-Encoding`` is one too, but the body is framed anew in the way it came, so its field stays with it."""


def values(headers: Headers, name: bytes) -> list[str]:
    """All values of a field, as text; ``name`` in lower case."""
    size = len(name)
    return [value.decode("latin-1") for key, value in headers if len(key) == size and key.lower() == name]


def first(headers: Headers, name: bytes) -> str | None:
    """The first value of a field, or None."""
    return next(iter(values(headers, name)), None)


def tokens(headers: Headers, name: bytes) -> list[str]:
    """The members of a list-valued field, in lower case."""
    return [token.strip().lower() for value in values(headers, name) for token in value.split(",") if token.strip()]


def length(headers: Headers) -> int | None:
    """The Content-Length in bytes, where there is exactly one that is a number."""
    found = set(tokens(headers, b"content-length"))
    value = found.pop() if len(found) == 1 else ""
    return int(value) if value.isascii() and value.isdigit() else None


def chunked(headers: Headers) -> bool:
    """Whether the body ends with a last chunk."""
    return tokens(headers, b"transfer-encoding")[-1:] == ["chunked"]


def end_to_end(headers: Headers, drop: Iterable[bytes] = ()) -> Headers:
    """The fields that a gateway passes on, less ``drop`` (names in lower case)."""
    named = {token.encode("latin-1") for token in tokens(headers, b"connection")}
    gone = _HOP_BY_HOP | (named - {b"content-length", b"transfer-encoding", b"host"}) | frozenset(drop)
    return tuple((name, value) for name, value in headers if name.lower() not in gone)


def for_host(headers: Headers, host: bytes) -> Headers:
    """The fields with ``Host`` set to where the request now goes, in its old place and spelling."""
    if any(name.lower() == b"host" for name, _ in headers):
        return tuple((name, host if name.lower() == b"host" else value) for name, value in headers)
    return ((b"Host", host), *headers)
