"""One request to the API, as the lines of a transcript tell of it: several lines, one request; and the record that comes of it."""

from msgspec import Struct, field
from msgspec.structs import replace

from proxy.core import incident
from proxy.core.context import Split, without_content
from proxy.core.detect import Verdict, answerer, detect, result
from proxy.core.message import read_body
from proxy.core.redact import Redactor
from proxy.core.stamps import stamp
from proxy.importers.line import Line, Said, types
from proxy.importers.source import Origin, identify
from proxy.importers.standing import Since
from proxy.importers.turns import Turn
from proxy.importers.wording import Finding
from schemas.labels import Kind, Outcome, Result, Role, Stage
from schemas.models import family
from schemas.records import Attempt, Entry, Refusal, Traffic, Update
from schemas.wire import Message

CLIENT = "claude-cli"


class Asker(Struct, frozen=True, kw_only=True):
    """Who asked, as the first line says that tells of the request."""

    session_id: str | None
    agent_id: str | None
    role: Role
    version: str | None
    entrypoint: str | None
    cwd: str | None
    branch: str | None


class Told(Struct, kw_only=True):
    """A request, as far as it is known by now."""

    key: str
    """What the first line names it by: a request id, else a message's, else the line's."""
    at: float
    """When the first line was written, in seconds since 1970."""
    who: Asker
    turn: Turn
    """What the user had said last."""
    thread: str = ""
    """Its conversation: its name in this file."""
    request_id: str | None = None
    message_id: str | None = None
    model: str | None = None
    """The one that was asked, where a line says so, or everything speaks for it."""
    message: Message = field(default_factory=Message)
    """The answer: what its lines say, together; without its usage."""
    usage: bytes = b""
    """As the last of them has it: JSON."""
    finding: Finding | None = None
    """What an error text says, where there is nothing better."""
    declined: str | None = None
    """Where it says that it was declined, other than in the answer: the evidence."""
    shown: bool = False
    """The client took back lines of its answer."""
    failed: bool = False
    """It ended in an error."""
    going_on: str | None = None
    """The model that the client then asked."""
    retry_of: "Told | None" = None
    """The declined request of which this is the client's own repeat, to the same model."""
    next: "Told | None" = None
    """The request that the client made because this one was declined."""
    parts: Split | None = None
    """The segments of the turn; of a declined request only."""
    keys: list[str] = field(default_factory=list)
    """Of each of these, by which it is told on what line it stood."""
    asked: str | None = None
    since: Since = Since()
    """What it is beside the last accepted one; of a declined request only."""
    names: set[str] = field(default_factory=set)
    """What lines may call it by."""

    def answer(self, line: Line) -> None:
        """One more line of its answer."""
        said, whole = line.message, self.message
        assert said is not None
        kinds = types(said.content)
        if "fallback" in kinds:
            seams = read_body(b'{"content":%s}' % bytes(said.content)).seams
            whole.seams += [replace(seam, after=seam.after + whole.blocks) for seam in seams]
        whole.blocks += sum(kind != "fallback" for kind in kinds)
        whole.id, whole.model = said.id or whole.id, said.model or whole.model
        whole.stop_reason = said.stop_reason or whole.stop_reason
        self.message_id = self.message_id or said.id
        self.usage = bytes(said.usage) or self.usage
        if b'"fallback_message"' in self.usage:
            whole.iterations = self._usage().iterations
        if said.stop_reason == "refusal":
            self.explain(said)

    def explain(self, said: Said) -> None:
        """Why it was declined, where a message says so."""
        found = read_body(b'{"stop_details":%s}' % (bytes(said.stop_details) or b"null"))
        self.details(found.category, found.explanation)

    def _usage(self) -> Message:
        return read_body(b'{"usage":%s}' % (self.usage or b"null"))

    def details(self, category: str | None, explanation: str | None) -> None:
        """What another line says of why."""
        self.message.category = self.message.category or category
        self.message.explanation = self.message.explanation or explanation

    @property
    def asked_model(self) -> str | None:
        """The model that was asked: one that fell back inside the API wrote the answer in another's place."""
        seams = [seam.from_model for seam in self.message.seams if seam.from_model]
        first = [entry.model for entry in self.message.iterations if entry.model]
        return self.model or next(iter([*seams, *first]), self.message.model)

    def verdict(self) -> Verdict | None:
        """Whether it was declined; by structure, else by wording."""
        found = self._judged()
        if found is not None:
            return found
        answered = self.message.stop_reason is not None
        if self.declined:
            outcome = Outcome.RECOVERED_BY_API if answered else Outcome.REFUSED
            return self._made(Kind.REFUSAL, self.declined, 1.0, outcome)
        if self.finding:
            said = self.finding
            made = self._made(said.kind, said.evidence, said.confidence, Outcome.REFUSED)
            made.category, made.explanation = said.category, made.explanation or said.explanation
            return made
        return None

    def _judged(self) -> Verdict | None:
        """By the answer's structure. Where nothing tells why an answer stopped, and nothing speaks against it, it was whole."""
        message = self.message
        if self.failed:
            return detect(message) if message.stop_reason == "refusal" else None
        if message.stop_reason is None and not self.declined:
            return detect(replace(message, stop_reason="end_turn"))
        return detect(message)

    def _made(self, kind: Kind, evidence: str, confidence: float, outcome: Outcome) -> Verdict:
        message = self.message
        return Verdict(
            kind,
            evidence,
            confidence,
            outcome,
            category=message.category,
            explanation=message.explanation,
            stage=self.stage(),
            answered_by=message.model if outcome is Outcome.RECOVERED_BY_API else None,
        )

    def stage(self) -> Stage:
        """Whether anything of an answer had come."""
        return Stage.MID_STREAM if self.message.blocks or self.shown else Stage.BEFORE_OUTPUT

    def result(self) -> Result:
        """How it counts among the requests."""
        verdict = self.verdict()
        if verdict is None:
            return Result.ERROR if self.failed else Result.ANSWERED
        return result(self.message, verdict)

    def traffic(self) -> Traffic:
        """Its place in the counts. The client's own fallback is a request of its own."""
        outcome = self.result()
        took = outcome in {Result.ANSWERED, Result.RECOVERED_BY_API}
        return Traffic(
            hour=stamp(self.at)[:13],
            model=self.asked_model or "",
            answered_by=(answerer(self.message) or "") if took else "",
            client=CLIENT,
            client_version=self.who.version or "",
            entrypoint=self.who.entrypoint or "",
            role=self.who.role,
            outcome=outcome,
        )

    def entry(self, source: str, origin: Origin) -> Entry | None:
        """Its record, with what the client did about it; None where nothing was declined, or it is part of another's."""
        verdict = self.verdict()
        if verdict is None or (self.retry_of is not None and verdict.kind is Kind.REFUSAL):
            return None
        attempts, last = self._repeats(max((one.n for one in verdict.attempts), default=0))
        outcome, answered_by = Outcome(verdict.outcome), verdict.answered_by
        if outcome is Outcome.REFUSED and verdict.kind is Kind.REFUSAL:
            outcome, answered_by = self._ended(last)
        refusal = self._refusal(verdict, source, origin.redactor)
        refusal.outcome, refusal.answered_by = outcome, answered_by
        made = Entry(refusals=[refusal], attempts=[*verdict.attempts, *attempts])
        if self.parts is not None:
            kept = self.parts if origin.content else without_content(self.parts)
            made.segments, made.contents, refusal.replacements = kept.segments, kept.contents, kept.replacements
        if outcome in (Outcome.RECOVERED_BY_CLIENT, Outcome.RECOVERED_BY_API):
            made.updates = [Update(refusal_id=refusal.id, outcome=outcome, answered_by=answered_by)]
        return made

    def _repeats(self, before: int) -> tuple[list[Attempt], "Told"]:
        """What the client did by itself: its repeats to the same model, and an answer of another; and the last of them that was declined."""
        attempts: list[Attempt] = []
        last, then = self, self.next
        while then is not None:
            declined = then.verdict() is not None or then.failed
            if declined and then.retry_of is None:
                break
            outcome = (Result.REFUSED if then.verdict() else Result.ERROR) if declined else Result.ANSWERED
            attempts.append(then.attempt(before + len(attempts) + 1, outcome))
            if not declined:
                break
            last, then = then, then.next
        return attempts, last

    def attempt(self, n: int, outcome: Result) -> Attempt:
        """This request as an attempt of the client at an earlier one."""
        usage = self._usage().usage
        return Attempt(
            n=n,
            by="client",
            model=self.asked_model,
            outcome=outcome,
            category=self.message.category if outcome is Result.REFUSED else None,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            request_id=self.request_id,
            message_id=self.message_id,
        )

    def _ended(self, last: "Told") -> tuple[Outcome, str | None]:
        """How it ended for the person who asked."""
        then = last.next
        if then is None:
            return (Outcome.UNKNOWN if last.going_on else Outcome.REFUSED), None
        if then.failed or then.verdict() is not None:
            return Outcome.REFUSED, None
        return Outcome.RECOVERED_BY_CLIENT, answerer(then.message) or last.going_on

    def _refusal(self, verdict: Verdict, source: str, redactor: Redactor) -> Refusal:
        clean = _Cleaned(redactor)
        category, explanation = verdict.category, verdict.explanation
        if (again := self.next) is not None and again.retry_of is self:
            category, explanation = category or again.message.category, explanation or again.message.explanation
        who, usage, good = self.who, self._usage().usage, self.since.good
        return Refusal(
            id=identify(self.at, source, self.key),
            at=stamp(self.at),
            source=source,
            sources=[source],
            kind=verdict.kind,
            evidence=verdict.evidence,
            confidence=verdict.confidence,
            category=clean(category),
            explanation=clean(explanation),
            stage=verdict.stage,
            model=clean(self.asked_model),
            request_id=clean(self.request_id),
            message_id=clean(self.message_id),
            session_id=clean(who.session_id),
            agent_id=clean(who.agent_id),
            role=who.role,
            client=CLIENT,
            client_version=clean(who.version),
            entrypoint=clean(who.entrypoint),
            project=clean(project(who.cwd)),
            branch=clean(who.branch),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            asked=self.asked,
            fingerprint=(self.parts and incident.fingerprint(self.parts.segments)) or self.asked,
            turn=self.turn.n or None,
            history=self.since.history,
            accepted_at=good and good.at,
            accepted_model=clean(good and good.model),
            accepted_version=clean(good and good.version),
            accepted_request_id=clean(good and good.request_id),
            accepted_turn=self.since.good_turn,
            exact=None,
        )


def same_model(one: str | None, other: str | None) -> bool:
    """Whether two names may mean one model; what is not known may be any."""
    return one is None or other is None or family(one) == family(other)


def project(cwd: str | None) -> str | None:
    """The last part of a working directory, of either kind of path."""
    return (cwd or "").replace("\\", "/").rstrip("/").rpartition("/")[2] or None


class _Cleaned:
    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, text: str | None) -> str | None:
        return text and self._redactor.text(text)[0]
