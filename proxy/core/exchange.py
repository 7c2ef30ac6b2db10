"""One Messages request and its answer, as an onlooker reads them: fed copies of the bytes that pass, it says what to keep.

Both ways in use it: the gateway's relay and the mitmproxy add-on. It is told the request's body (``sent``), the head of the
answer (``opened``), the answer's bytes as they pass (``feed``) and how they ended (``finish``). As soon as a message is seen to be
declined it gives a *maker* of the ``Entry`` to keep (``proxy.core.record``). The maker does the costly part (the segment map, redaction),
so that the caller chooses where that happens; the caller keeps the entry before it passes on the bytes that ``feed`` was given.

The clock and the source of random bytes come from outside.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from msgspec.structs import replace

from proxy.core import asker, incident
from proxy.core.answer import Answer
from proxy.core.context import Split, split
from proxy.core.detect import Verdict, answerer, detect, result
from proxy.core.encoding import Decoder
from proxy.core.headers import Headers, values
from proxy.core.passed import Memory, Passed
from proxy.core.recent import Following, Recent, Seen
from proxy.core.record import Record, attempted
from proxy.core.redact import Redactor
from proxy.core.said import answers, fingerprint
from proxy.core.stamps import hour, ulid
from proxy.core.surface import Surface, surface
from schemas.labels import Kind, Outcome, Result
from schemas.models import family
from schemas.records import Entry, Traffic, Update
from schemas.wire import Message

Maker = Callable[[], Entry]

_LONG = 20
"""Characters of the shortest secret that the table of secrets knows, about."""
_ASIDE = frozenset({Surface.COUNT_TOKENS, Surface.BATCH_RESULTS})
"""What is no turn of a conversation."""
_ACCEPTED = frozenset({Result.ANSWERED, Result.RECOVERED_BY_API, Result.RECOVERED_BY_DEMUR})
"""Ends for which some model took the very content of the request."""
_TOLD = ("model", "session_id", "agent_id", "client", "client_version", "entrypoint", "project")


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
    ruling: str | None = None
    """Why nothing is asked again, where that is so for all of them: a ``Ruling``."""
    recent: Recent = field(default_factory=Recent)
    memory: Memory | None = None
    """What was accepted lately, and what is told of it."""

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
        self.answer = Answer(surface)
        self._counted = surface is Surface.BATCH_RESULTS
        self._parts: Split | None = None
        self._who: asker.Asker | None = None
        self.following = Following(watcher.recent, headers, self._began, self._asker, self._split)
        self.known = False
        """Whether an earlier exchange brought that refusal: this is one more attempt of the client at it."""
        self.declined: Verdict | None = None
        """The first, once there is one."""
        self.ruling = watcher.ruling
        self.model: str | None = None
        """The model that was asked, where it was not the client's."""
        self.outcome: Result | None = None
        """How it ends for the client, where the answer alone does not tell."""
        self.answered_by: str | None = None
        self._memory = watcher.memory
        """Until it is told."""
        self.changed = False
        """Whether what was answered in the end was not what the client had asked."""
        self.open = False
        """Whether more may come of it than this answer: then it is counted at the end, and not with the refusal."""

    @cached_property
    def id(self) -> str:
        """Of the exchange, and of the first refusal in it; made when somebody asks, for most exchanges need none."""
        return ulid(self._began, self._watcher.entropy(10))

    def sent(self, data: bytes) -> None:
        """A piece of the request's body, on its way up."""
        self._body.append(data)
        self._who = None

    def opened(self, status: int, headers: Headers) -> None:
        """The head of the answer."""
        self.answer.opened(status, headers)

    def feed(self, data: bytes) -> Maker | None:
        """A piece of the answer's body, about to go down. Gives a maker where it completes a message that was declined."""
        messages = self.answer.feed(data)
        return self._weigh(messages) if messages else None

    def finish(self, *, whole: bool) -> Maker | None:
        """The end of the answer; ``whole`` False where it was cut or the client left."""
        return self._weigh(self.answer.finish(whole=whole))

    def request(self) -> bytes:
        """The request's body, decoded where the client had compressed it."""
        body = b"".join(self._body)
        decoder = Decoder(values(self._headers, b"content-encoding"))
        plain = decoder.feed(body)
        return body if decoder.failed else plain

    def who(self) -> asker.Asker:
        """Who asked, secrets taken out."""
        who = self._asker()
        return who if _is_plain(who) else self._cleaned(who)

    def asked(self) -> str | None:
        """One hash for what the last turn of the user said. Takes milliseconds."""
        parts = self._split()
        return fingerprint(parts.segments) if parts else None

    def marks(self) -> frozenset[bytes]:
        """Of all that the request holds: see ``proxy.core.incident``. Takes milliseconds."""
        parts = self._split()
        return incident.marks_of(parts.segments) if parts else frozenset()

    def record_id(self) -> str:
        """Of the refusal that this exchange is told of: where the client asks the same model once more, that of the first."""
        seen = self.following.seen()
        if seen is not None and seen.model == self._asker().model:
            self.id, self.known = seen.refusal_id, True
        return self.id

    def reached(self) -> None:
        """The refusal reached the client, which may do something about it by itself."""
        parts = self._split()
        if parts and (mark := fingerprint(parts.segments)) is not None:
            seen = Seen(self.id, self._asker().model, mark, self.now(), answers(parts.segments))
            self._watcher.recent.note(self._asker(), seen)

    @property
    def keeps_text(self) -> bool:
        """Whether the text of a declined request is stored."""
        return self._watcher.content

    def clean(self, said: str) -> str:
        """A text without secrets."""
        return self._watcher.redactor.text(said)[0]

    def now(self) -> float:
        """Seconds since 1970."""
        return self._watcher.now()

    def traffic(self) -> Traffic | None:
        """The exchange's place in the traffic counts, unless an entry has carried it already."""
        outcome = self._result(self.answer.message, self.declined)
        memory, self._memory = self._memory, None
        if memory is not None and outcome in _ACCEPTED and not self.changed:
            self._pass(memory)
        if self._counted:
            return None
        self._counted = True
        return self._traffic(self.who(), self.answer.message, outcome)

    def _pass(self, memory: Memory) -> None:
        """Its content was accepted."""
        who = self.who()
        if self._surface not in _ASIDE and who.session_id:
            model = family(self.answered_by or answerer(self.answer.message) or who.model or "")
            size = sum(map(len, self._body))
            memory.passed(Passed(who, model, self._began, self.answer.request_id, size, self.request))

    def _weigh(self, messages: list[Message]) -> Maker | None:
        found = [(message, verdict) for message in messages if (verdict := detect(message)) is not None]
        if not found:
            answered = messages[-1].stop_reason is not None if messages else False
            return self._followed if answered and self.following.may() else None
        self.declined = self.declined or found[0][1]
        elapsed = self._watcher.now() - self._began
        counted = self._counted or self.open
        self._counted = self._counted or not counted
        return lambda: self._entry(found, elapsed, counted=counted)

    def _entry(self, found: list[tuple[Message, Verdict]], elapsed: float, *, counted: bool) -> Entry:
        who = self._cleaned(self._asker())
        message, verdict = found[0]
        traffic = [] if counted else [(self._traffic(who, message, self._result(message, verdict)), 1)]
        if verdict.kind is Kind.REFUSAL and self.record_id() and self.known:
            return Entry(updates=[] if self.open else [self._attempted(Result.REFUSED)], traffic=traffic)
        if not self.open and verdict.kind is Kind.REFUSAL and verdict.outcome is Outcome.REFUSED:
            self.reached()
        return self._record(who, elapsed).entry(found, traffic)

    def _followed(self) -> Entry:
        """The client's own answer to a refusal was answered, by whichever model."""
        if self.following.seen() is None:
            return Entry()
        self._watcher.recent.forget(self._asker())
        update = self._attempted(Result.ANSWERED)
        update.outcome, update.answered_by = Outcome.RECOVERED_BY_CLIENT, answerer(self.answer.message)
        return Entry(updates=[update])

    def _attempted(self, result: Result) -> Update:
        seen, elapsed = self.following.seen(), self.now() - self._began
        name, model = seen.refusal_id if seen else self.id, self._asker().model
        return attempted(name, model, self.answer, elapsed, result, noted=self.following.noted)

    def _record(self, who: asker.Asker, elapsed: float) -> Record:
        watcher = self._watcher
        return Record(
            source=watcher.source,
            surface=self._surface,
            began=self._began,
            elapsed=elapsed,
            headers=self._headers,
            who=who,
            parts=self._split(),
            answer=self.answer,
            model=self.model,
            ruling=self.ruling,
            content=watcher.content,
            redactor=watcher.redactor,
            memory=watcher.memory,
            new_id=lambda n: ulid(self._began, watcher.entropy(10)) if n else self.id,
        )

    def _asker(self) -> asker.Asker:
        self._who = self._who or asker.asker(self._target, self._headers, self.request())
        return self._who

    def _cleaned(self, who: asker.Asker) -> asker.Asker:
        """A secret may stand where nobody expects one: in a session's id, in the name of a folder."""
        texts = {name: value for name in _TOLD if (value := getattr(who, name))}
        return replace(who, **{name: self.clean(value) for name, value in texts.items()})

    def _split(self) -> Split | None:
        if self._parts is None and self._surface is not Surface.BATCH_RESULTS:
            self._parts = split(self.request(), self._watcher.redactor)
        return self._parts

    def _result(self, message: Message, verdict: Verdict | None) -> Result:
        if self.outcome is not None:
            return self.outcome
        if verdict is None and self.answer.unread:
            return Result.UNREADABLE
        if verdict is None and self.answer.status >= 400:
            return Result.ERROR
        if verdict is None and self._surface is Surface.COUNT_TOKENS:
            return Result.ANSWERED
        found = result(message, verdict)
        unread = found is Result.CUT and self.answer.whole and message.where == "message"
        return Result.UNREADABLE if unread else found

    def _traffic(self, who: asker.Asker, message: Message, outcome: Result) -> Traffic:
        answered = outcome in {Result.ANSWERED, Result.RECOVERED_BY_API, Result.RECOVERED_BY_DEMUR}
        return Traffic(
            hour=hour(self._began),
            model=who.model or "",
            answered_by=(self.answered_by or answerer(message) or "") if answered else "",
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
