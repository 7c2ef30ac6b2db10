"""One Messages request and its answer, as an onlooker reads them: fed copies of the bytes that pass, it says what to keep.

Both ways in use it: the gateway's relay and the mitmproxy add-on. It is told the request's body (``sent``), the head of the
answer (``opened``), the answer's bytes as they pass (``feed``) and how they ended (``finish``). As soon as a message is seen to be
declined it gives a *maker* of the ``Entry`` to keep. The maker does the costly part (the segment map, redaction), so that the caller
chooses where that happens; the caller keeps the entry before it passes on the bytes that ``feed`` was given.

The clock and the source of random bytes come from outside.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec.structs import replace

from proxy.core import asker
from proxy.core.context import Split, fingerprint, split, without_content
from proxy.core.detect import Verdict, answerer, detect, result
from proxy.core.encoding import Decoder
from proxy.core.fold import BatchFold, BodyFold, EventStreamFold, Fold, SniffedFold, StreamFold
from proxy.core.headers import Headers, first, length, values
from proxy.core.redact import Redactor
from proxy.core.surface import Surface, surface
from schemas.labels import Outcome, Result
from schemas.records import Entry, Refusal, Traffic
from schemas.wire import Message

Maker = Callable[[], Entry]

_LONG = 20
"""Characters of the shortest secret that the table of secrets knows, about."""
_TOLD = ("model", "session_id", "agent_id", "client", "client_version", "entrypoint", "project")

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(seconds: float, entropy: bytes) -> str:
    """An id that sorts by time: 48 bits of milliseconds since 1970 and 80 random ones (github.com/ulid/spec)."""
    number = int(seconds * 1000) << 80 | int.from_bytes(entropy[:10])
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def stamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Watcher:
    """What is the same for all exchanges of one way in."""

    source: str
    now: Callable[[], float]
    """Seconds since 1970."""
    entropy: Callable[[int], bytes]
    redactor: Redactor = field(default_factory=Redactor)
    content: bool = True
    """Whether the declined request is kept, or only its segment map."""

    def exchange(self, method: bytes, target: bytes, headers: Headers) -> "Exchange | None":
        """The onlooker for a request; None where the request is none of ours and is only passed on."""
        found = surface(method, target)
        return Exchange(self, found, target, headers) if found else None


class Exchange:
    """See the head of the module. Every method may be told anything, in any order, and is cheap unless a message is declined."""

    def __init__(self, watcher: Watcher, surface: Surface, target: bytes, headers: Headers) -> None:
        self._watcher = watcher
        self._surface = surface
        self._target = target
        self._headers = headers
        self._began = watcher.now()
        self._body: list[bytes] = []
        self._status = 0
        self._request_id: str | None = None
        self._decoder, self._encoded = Decoder(()), False
        self._fold: Fold = BodyFold()
        self._counted = surface is Surface.BATCH_RESULTS
        self._last = Message()
        self._whole = False

    def sent(self, data: bytes) -> None:
        """A piece of the request's body, on its way up."""
        self._body.append(data)

    def opened(self, status: int, headers: Headers) -> None:
        """The head of the answer."""
        self._status = status
        self._request_id = first(headers, b"request-id") or first(headers, b"x-amzn-requestid")
        codings = values(headers, b"content-encoding")
        self._decoder, self._encoded = Decoder(codings), bool(codings)
        self._fold = _fold(self._surface, status, headers, None if codings else length(headers))

    def feed(self, data: bytes) -> Maker | None:
        """A piece of the answer's body, about to go down. Gives a maker where it completes a message that was declined."""
        messages = self._fold.feed(self._decoder.feed(data) if self._encoded else data)
        return self._weigh(messages) if messages else None

    def finish(self, *, whole: bool) -> Maker | None:
        """The end of the answer; ``whole`` False where it was cut or the client left."""
        self._whole = whole
        return self._weigh(self._fold.close())

    def traffic(self) -> Traffic | None:
        """The exchange's place in the traffic counts, unless an entry has carried it already."""
        if self._counted:
            return None
        self._counted = True
        who = self._asker()
        return self._traffic(who if _is_plain(who) else self._cleaned(who), self._last, self._result(self._last, None))

    def _weigh(self, messages: list[Message]) -> Maker | None:
        found = []
        for message in messages:
            self._last = message
            if (verdict := detect(message)) is not None:
                found.append((message, verdict))
        if not found:
            return None
        elapsed, counted, self._counted = self._watcher.now() - self._began, self._counted, True
        return lambda: self._entry(found, elapsed, counted=counted)

    def _entry(self, found: list[tuple[Message, Verdict]], elapsed: float, *, counted: bool) -> Entry:
        who = self._cleaned(self._asker())
        parts = self._split()
        message, verdict = found[0]
        entry = Entry(
            refusals=[self._refusal(who, message, verdict, parts, elapsed) for message, verdict in found],
            attempts=verdict.attempts,
        )
        if parts is not None:
            kept = parts if self._watcher.content else without_content(parts)
            entry.segments, entry.contents, entry.skeleton = kept.segments, kept.contents, kept.skeleton or None
        if not counted:
            entry.traffic.append((self._traffic(who, message, self._result(message, verdict)), 1))
        return entry

    def _refusal(
        self, who: asker.Asker, message: Message, verdict: Verdict, parts: Split | None, elapsed: float
    ) -> Refusal:
        watcher = self._watcher
        return Refusal(
            id=ulid(self._began, watcher.entropy(10)),
            at=stamp(self._began),
            source=watcher.source,
            sources=[watcher.source],
            kind=verdict.kind,
            evidence=verdict.evidence,
            confidence=verdict.confidence,
            category=verdict.category,
            explanation=self._clean(verdict.explanation),
            stage=verdict.stage,
            ms_to_refusal=None if self._surface is Surface.BATCH_RESULTS else int(elapsed * 1000),
            model=who.model or message.model,
            answered_by=verdict.answered_by,
            outcome=Outcome(verdict.outcome),
            request_id=self._request_id_of(message),
            message_id=message.id,
            session_id=who.session_id,
            agent_id=who.agent_id,
            role=who.role,
            client=who.client,
            client_version=who.client_version,
            entrypoint=who.entrypoint,
            user=who.user,
            project=who.project,
            fingerprint=fingerprint(parts.segments) if parts else None,
            status=self._status or None,
            streamed=who.streamed,
            output_tokens=verdict.usage.output_tokens,
            input_tokens=verdict.usage.input_tokens,
            cache_read_tokens=verdict.usage.cache_read_tokens,
            cache_write_tokens=verdict.usage.cache_write_tokens,
            exact=parts.exact if parts and watcher.content else None,
            replacements=parts.replacements if parts else 0,
            headers=asker.kept_headers(self._headers, watcher.redactor),
        )

    def _request_id_of(self, message: Message) -> str | None:
        return message.request_id if self._surface is Surface.BATCH_RESULTS else self._request_id or message.request_id

    def _clean(self, said: str | None) -> str | None:
        return self._watcher.redactor.text(said)[0] if said else said

    def _asker(self) -> asker.Asker:
        return asker.asker(self._target, self._headers, self._request())

    def _cleaned(self, who: asker.Asker) -> asker.Asker:
        """A secret may stand where nobody expects one: in a session's id, in the name of a folder."""
        texts = {name: value for name in _TOLD if (value := getattr(who, name))}
        return replace(who, **{name: self._clean(value) for name, value in texts.items()})

    def _split(self) -> Split | None:
        return None if self._surface is Surface.BATCH_RESULTS else split(self._request(), self._watcher.redactor)

    def _request(self) -> bytes:
        """The request's body, decoded where the client had compressed it."""
        body = b"".join(self._body)
        decoder = Decoder(values(self._headers, b"content-encoding"))
        plain = decoder.feed(body)
        return body if decoder.failed else plain

    def _result(self, message: Message, verdict: Verdict | None) -> Result:
        if verdict is None and (self._decoder.failed or self._fold.failed):
            return Result.UNREADABLE
        if verdict is None and self._status >= 400:
            return Result.ERROR
        if verdict is None and self._surface is Surface.COUNT_TOKENS:
            return Result.ANSWERED
        found = result(message, verdict)
        unread = found is Result.CUT and self._whole and message.where == "message"
        return Result.UNREADABLE if unread else found

    def _traffic(self, who: asker.Asker, message: Message, outcome: Result) -> Traffic:
        answered = outcome in {Result.ANSWERED, Result.RECOVERED_BY_API}
        return Traffic(
            hour=stamp(self._began)[:13],
            model=who.model or "",
            answered_by=(answerer(message) or "") if answered else "",
            client=who.client or "",
            client_version=who.client_version or "",
            entrypoint=who.entrypoint or "",
            role=who.role,
            user=who.user or "",
            outcome=outcome,
        )


def _is_plain(who: asker.Asker) -> bool:
    """Whether names are too short to hide a secret, as all real ones are: this runs for every request."""
    return all(len(name) < _LONG for name in (who.model, who.client, who.client_version, who.entrypoint) if name)


def _fold(surface: Surface, status: int, headers: Headers, size: int | None) -> Fold:
    kind = (first(headers, b"content-type") or "").lower()
    if surface is Surface.BATCH_RESULTS and status < 300:
        return BatchFold()
    if "amazon.eventstream" in kind:
        return EventStreamFold()
    return StreamFold() if "event-stream" in kind else SniffedFold(size)
