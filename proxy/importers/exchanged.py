"""One captured request and its answer, made into what is kept of it, by the onlooker that reads the traffic as it passes.

Its clock is that of the capture, and its random bytes are made of what was captured, so that the same capture gives the same ids whenever it
is read. What the capture shows to have been accepted earlier in the same session is what is not new. An exchange that a file
holds twice counts once.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from itertools import count
from typing import Any, NamedTuple

from msgspec.structs import replace as changed

from proxy.core.exchange import Exchange, Watcher
from proxy.core.headers import Headers, first
from proxy.core.segment import to_json
from proxy.importers.baseline import Baseline
from proxy.importers.source import Found, Origin, Trouble
from schemas.records import Entry

MESSAGES = "/v1/messages"
_FRAMING = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
"""What a capture that stores decoded bodies still says of the encoded ones."""
_GRAIN = 1e-6
"""Seconds that a sum of such times may lack, so that 20 ms are not 19."""
_NO_ANSWER = "the body of an answer was not stored"
_NO_REQUEST = "the body of a declined request was not stored"


class Captured(NamedTuple):
    """One exchange, as a capture tells of it. Times are seconds since 1970."""

    began: float
    answer: bytes | None
    """The answer's body, None where it was not stored."""
    request: bytes | None = None
    """The request's body, likewise."""
    method: str = "POST"
    target: str = MESSAGES
    """Path and query, or a whole URL."""
    asked: Headers = ()
    status: int = 200
    told: Headers = ()
    """The answer's head."""
    ended: float | None = None
    whole: bool = True
    """Whether the answer came to its end."""
    exact: bool = True
    """Whether the request's body is the sent one to the byte, and was not written anew by the capture."""
    name: str | None = None
    """What the capture itself calls the exchange, where that is unique."""


class Exchanges:
    """Reads the exchanges of one file. They are to be told in the file's order. ``requests`` False: of a kind that has no requests."""

    def __init__(self, source: str, origin: Origin, *, requests: bool = True) -> None:
        self._requests = requests
        memory = Baseline(origin.redactor)
        self._watcher = Watcher(source, lambda: 0.0, bytes, origin.redactor, origin.content, memory=memory)
        self._seen: set[str] = set()

    def found(self, captured: Captured, line: int | None = None) -> Iterator[Found]:
        """What is kept of one: nothing where it is no Messages request, or was told before."""
        seed = captured.name or _seed(self._watcher.source, captured)
        if seed in self._seen:
            return
        try:
            if (exchange := self._exchange(captured, seed)) is None:
                return
            self._seen.add(seed)
            if captured.answer is None:
                yield Trouble(line, _NO_ANSWER)
                return
            entries = list(_entries(exchange, captured, captured.answer))
        except Exception as error:  # noqa: BLE001 - the rest of the file is read all the same
            yield Trouble(line, f"an exchange could not be read ({type(error).__name__})")
            return
        yield from entries
        if self._requests and captured.request is None and any(entry.refusals for entry in entries):
            yield Trouble(line, _NO_REQUEST)

    def _exchange(self, captured: Captured, seed: str) -> Exchange | None:
        times, serial = iter([captured.began]), count()
        ended = (captured.began if captured.ended is None else captured.ended) + _GRAIN

        def entropy(size: int) -> bytes:
            return blake2b(f"{seed} {next(serial)}".encode("utf-8", "replace"), digest_size=size).digest()

        watcher = replace(self._watcher, now=lambda: next(times, ended), entropy=entropy)
        method = captured.method.upper().encode("latin-1", "replace")
        return watcher.exchange(method, _path(captured.target), captured.asked)


def pairs(headers: object) -> Headers:
    """A head that a capture stores as an object, or as a list of ``{"name": ..., "value": ...}``, whose bodies are decoded."""
    return tuple((name, value) for name, value in all_pairs(headers) if name.lower() not in _FRAMING)


def all_pairs(headers: object) -> Headers:
    """Likewise, with what it says of the encoded bodies."""
    if isinstance(headers, Mapping):
        found: Iterable[tuple[Any, Any]] = headers.items()
    else:
        fields = headers if isinstance(headers, list) else []
        found = [(field.get("name"), field.get("value")) for field in fields if isinstance(field, dict)]
    several = [(name, one) for name, value in found for one in (value if isinstance(value, list) else [value])]
    raw = [(name, value) for name, value in several if isinstance(name, str) and isinstance(value, str)]
    return tuple((name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in raw)


def answered(headers: object) -> Headers:
    """The head of an answer, likewise. Whether it is a stream its first byte tells: some captures put streams together into one message."""
    return tuple(pair for pair in pairs(headers) if pair[0].lower() != b"content-type" or b"amazon" in pair[1].lower())


def body(value: object) -> bytes | None:
    """A body that a capture stores as a text or as parsed JSON; None where there is none."""
    if value is None or isinstance(value, bytes):
        return value
    return value.encode("utf-8", "replace") if isinstance(value, str) else to_json(value)


def stream(events: Iterable[tuple[str | None, object]]) -> bytes:
    """Parsed events as a stream again: names, and data as a text or as parsed JSON."""
    frames = []
    for name, data in events:
        said = data.encode("utf-8", "replace") if isinstance(data, str) else to_json(data)
        kind = name or (data.get("type") if isinstance(data, dict) else None)
        opening = f"event: {kind}\n" if isinstance(kind, str) else ""
        frames.append(opening.encode("utf-8", "replace") + b"data: " + said.replace(b"\n", b"\ndata: ") + b"\n\n")
    return b"".join(frames)


def _entries(exchange: Exchange, captured: Captured, answer: bytes) -> Iterator[Entry]:
    if captured.request is not None:
        exchange.sent(captured.request)
    exchange.opened(captured.status, captured.told)
    makers = [exchange.feed(answer), exchange.finish(whole=captured.whole and bool(answer))]
    for make in filter(None, makers):
        yield _told(make(), captured)
    if (traffic := exchange.traffic()) is not None:
        yield Entry(traffic=[(traffic, 1)])


def _told(entry: Entry, captured: Captured) -> Entry:
    """The entry, without what the capture cannot know."""
    unknown: dict[str, Any] = {}
    if captured.ended is None:
        unknown["ms_to_refusal"] = None
        for attempt in (attempt for update in entry.updates for attempt in update.attempts):
            attempt.ms = None
    if captured.request is None:
        entry.segments, entry.contents, entry.skeleton = [], {}, None
        nothing = ("asked", "fingerprint", "history", "exact", "turn", "streamed")
        unknown |= dict.fromkeys(nothing)
    elif not captured.exact:
        unknown["exact"] = False if entry.skeleton is not None else None
    entry.refusals = [changed(refusal, **unknown) for refusal in entry.refusals]
    return entry


def _path(target: str) -> bytes:
    """Path and query, of a whole URL as well."""
    if "://" in target[:16]:
        _, _, rest = target.partition("://")
        _, slash, path = rest.partition("/")
        target = slash + path
    return target.encode("latin-1", "replace")


def _seed(source: str, captured: Captured) -> str:
    """What makes it the one that it is: the API's own id of it, else all that was said."""
    said = first(captured.told, b"request-id")
    if said is None:
        parts = b"\0".join((captured.request or b"", captured.answer or b"", repr(captured.began).encode()))
        said = blake2b(parts, digest_size=16).hexdigest()
    return f"{source}\0{said}"
