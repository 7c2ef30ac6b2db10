"""The head of an armed answer: what demur adds to it, and what no longer holds of its body."""

from proxy.core.commands import Opened
from proxy.core.headers import Headers

EXCHANGE = b"x-demur-exchange"
ANSWERED_BY = b"x-demur-answered-by"
_BODY = frozenset({b"content-length", b"transfer-encoding"})


def armed_head(
    head: Opened, exchange_id: str | None, answered_by: str | None, *, decoded: bool, length: int | None
) -> Opened:
    """The head for the client. ``length``: of a body that is whole; None for a stream, whose length may change."""
    headers = tuple(pair for pair in head.headers if not (decoded and pair[0].lower() == b"content-encoding"))
    added: list[tuple[bytes, bytes]] = []
    if exchange_id is not None:
        added.append((EXCHANGE, exchange_id.encode()))
    if answered_by is not None:
        added.append((ANSWERED_BY, answered_by.encode("latin-1", "replace")))
    return Opened(head.status, head.reason, (*_framed(headers, length), *added))


def _framed(headers: Headers, length: int | None) -> Headers:
    """A stream in chunks, a whole body by its length; the field stands where its body's framing stood."""
    field = (b"Transfer-Encoding", b"chunked") if length is None else (b"Content-Length", b"%d" % length)
    out: list[tuple[bytes, bytes]] = []
    placed = False
    for name, value in headers:
        if name.lower() not in _BODY:
            out.append((name, value))
        elif not placed:
            out.append((name, value) if _same(name, value, field) else field)
            placed = True
    return tuple(out) if placed else (*out, field)


def _same(name: bytes, value: bytes, field: tuple[bytes, bytes]) -> bool:
    return name.lower() == field[0].lower() and value.strip().lower() == field[1]
