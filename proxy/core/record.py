"""The record of a declined request: what its exchange saw, made into the entry that is kept.

It is made where a message was declined, and nowhere else, so it may take milliseconds: it reads the whole request. Each declined
message of an answer is a refusal of its own (the results of a batch hold many); the request belongs to the first. What of the request was
new is a suggestion, and costs no record where it fails. A further attempt that the client makes by itself is an update of the record
that its first refusal made.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import replace

from proxy.core import incident, news
from proxy.core.answer import Answer
from proxy.core.asker import Asker, kept_headers
from proxy.core.context import Split, without_content
from proxy.core.detect import Verdict
from proxy.core.headers import Headers
from proxy.core.passed import MAIN, Memory
from proxy.core.redact import Redactor
from proxy.core.said import fingerprint
from proxy.core.stamps import stamp
from proxy.core.surface import Surface
from schemas.labels import Outcome, Result
from schemas.models import family
from schemas.records import Accepted, Attempt, Entry, Refusal, Traffic, Update
from schemas.wire import Message


class Record(NamedTuple):
    """Of one exchange. ``who`` and ``parts`` come without secrets; of the rest they are taken out here."""

    source: str
    surface: Surface
    began: float
    """Seconds since 1970."""
    elapsed: float
    """Seconds until it was seen to be declined."""
    headers: Headers
    """Of the request."""
    who: Asker
    parts: Split | None
    """The request; None where there is none."""
    answer: Answer
    model: str | None
    """The model that was asked, where it was not the client's."""
    ruling: str | None
    content: bool
    """Whether the request is kept, or only its segment map."""
    redactor: Redactor
    memory: Memory | None
    new_id: Callable[[int], str]
    """The id of each refusal, by its place among those of the exchange."""

    def entry(self, found: list[tuple[Message, Verdict]], traffic: list[tuple[Traffic, int]]) -> Entry:
        """What is kept of the messages that were declined, and the request."""
        try:
            told = self._news()
        except Exception:  # noqa: BLE001 - a suggestion costs no record
            told = {}
        refusals = [replace(self._refusal(n, *one), **told) for n, one in enumerate(found)]
        entry = Entry(refusals=refusals, attempts=found[0][1].attempts, traffic=traffic)
        if self.parts is not None:
            kept = self.parts if self.content else without_content(self.parts)
            entry.segments, entry.contents, entry.skeleton = kept.segments, kept.contents, kept.skeleton or None
        return entry

    def _news(self) -> dict[str, Any]:
        """Fields of the refusals: what the request said, and what of it was new. Marks the segments."""
        if self.parts is None:
            return {}
        who, segments = self.who, self.parts.segments
        here, said = news.asked(segments), fingerprint(segments)
        facts: dict[str, Any] = {"asked": said, "fingerprint": said, "turn": here.turn or None}
        if self.memory is None or who.session_id is None:
            return facts
        accepted = self.memory.accepted(who, family(self.model or who.model or ""), here.root)
        found = news.compare(segments, accepted, self.parts.contents, news.Who(who.session_id, who.role not in MAIN))
        facts |= {"history": found.history, "fingerprint": incident.fingerprint(segments) or said}
        return facts | (_compared_with(found.accepted) if found.accepted else {})

    def _refusal(self, n: int, message: Message, verdict: Verdict) -> Refusal:
        who, parts, explanation = self.who, self.parts, verdict.explanation
        return Refusal(
            id=self.new_id(n),
            at=stamp(self.began),
            source=self.source,
            sources=[self.source],
            kind=verdict.kind,
            evidence=verdict.evidence,
            confidence=verdict.confidence,
            category=verdict.category,
            explanation=self.redactor.text(explanation)[0] if explanation else explanation,
            stage=verdict.stage,
            ms_to_refusal=None if self.surface is Surface.BATCH_RESULTS else int(self.elapsed * 1000),
            model=self.model or who.model or message.model,
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
            status=self.answer.status or None,
            streamed=who.streamed,
            output_tokens=verdict.usage.output_tokens,
            input_tokens=verdict.usage.input_tokens,
            cache_read_tokens=verdict.usage.cache_read_tokens,
            cache_write_tokens=verdict.usage.cache_write_tokens,
            exact=parts.exact if parts and self.content else None,
            replacements=parts.replacements if parts else 0,
            headers=kept_headers(self.headers, self.redactor),
            ruling=self.ruling,
            tool_calls=message.calls if verdict.outcome == Outcome.REFUSED else None,
        )

    def _request_id_of(self, message: Message) -> str | None:
        own = None if self.surface is Surface.BATCH_RESULTS else self.answer.request_id
        return own or message.request_id


def _compared_with(last: Accepted) -> dict[str, Any]:
    return {
        "accepted_at": last.at,
        "accepted_model": last.model,
        "accepted_version": last.client_version,
        "accepted_request_id": last.request_id,
        "accepted_turn": last.turn or None,
    }


def attempted(
    refusal_id: str, model: str | None, answer: Answer, elapsed: float, result: Result, *, noted: bool
) -> Update:
    """One more attempt of the client at what was declined, of ``elapsed`` seconds; ``noted``: with its own note in it."""
    message = answer.message
    attempt = Attempt(
        n=-1,
        by="client",
        model=model,
        outcome=result,
        category=message.category,
        input_tokens=message.usage.input_tokens,
        output_tokens=message.usage.output_tokens,
        status=answer.status or None,
        request_id=answer.request_id,
        message_id=message.id,
        ms=int(elapsed * 1000),
        strategy="noted" if noted else None,
    )
    return Update(refusal_id=refusal_id, attempts=[attempt])
