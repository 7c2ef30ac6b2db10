"""The rephrased attempt: the last turn of the user put differently, once, after the models of the chain.

Only before the client has been sent anything. What a strategy does, and what none may do, stands in ``rephrase`` and ``restate``; here it
is asked, and its result sent. The original and the sent text are recorded side by side. A fallback credit is never redeemed for it, since the body is
another one, and no conversation stays where a rephrased turn was answered.
"""

from typing import Any
from urllib.parse import urlsplit

from proxy.core import rephrase, restate
from proxy.core.asker import Asker
from proxy.core.commands import Ask, Chunk, End, Failed, Note, Open, Opened, Read, Step, Told
from proxy.core.encoding import Decoder
from proxy.core.fitness import Unfit
from proxy.core.headers import Headers, values
from proxy.core.hop import hop
from proxy.core.hops import Hops
from proxy.core.ledger import Ledger
from proxy.core.passage import Ending, Left, Leg
from proxy.core.plan import Plan
from proxy.core.policy import rephrases
from proxy.core.rephrase import Declined, Rephrased
from proxy.core.tries import LEFT
from schemas.labels import Result, Ruling, Strategy
from schemas.settings import Rephrase

RESTATE_S = 30.0
"""How long a restatement may take, in seconds."""
LARGEST = 1024 * 1024
"""The largest restatement that is read, in bytes."""


class Rephraser:
    """Of one exchange."""

    def __init__(self, plan: Plan, hops: Hops, ledger: Ledger) -> None:
        self._plan, self._hops, self._ledger = plan, hops, ledger
        self._settings = plan.retry.rephrase
        self._strategy = Strategy(self._settings.strategy)
        self._asked = plan.asked.who.model or ""
        self._tried = 0
        self._body = plan.body

    def open_to(self, category: str | None) -> bool:
        """Whether a rephrased attempt may be made after a refusal of this category."""
        return self._tried < self._settings.max_attempts and rephrases(self._plan.retry, self._asked, category)

    def again(self, leg: Leg) -> Step[tuple[Leg, Ending] | Ruling | None]:
        """The rephrased attempt's answer; None where there is none."""
        self._tried += 1
        if (ruling := self._hops.bound()) is not None:
            return ruling
        made = yield from self._rephrased()
        if not isinstance(made, Rephrased):
            yield Note("rephrase.declined", facts={"strategy": str(self._strategy), "why": made.why})
            return None
        self._body = made.body
        model = self._settings.model or self._asked
        sent = hop(made.body, self._hops.headers, {"model": model}, learned=self._plan.learned.of(model))
        if isinstance(sent, Unfit):
            yield Note("hop.unfit", facts={"model": model, "why": sent.reason})
            return None
        self._ledger.rephrased(self._strategy, made.original, made.sent)
        event = yield from self._hops.ask(model, sent, self._strategy)
        if not isinstance(event, Opened) or not 200 <= event.status < 300:
            return None
        return (yield from self._hops.follow(model, event, leg, [], sticks=False))

    def _rephrased(self) -> Step[Rephrased | Declined]:
        body, who, settings, strategy = self._body, self._plan.asked.who, self._settings, self._strategy
        told = yield Ask(lambda _: first_step(body, who, settings, strategy))
        made = told.answer if isinstance(told, Told) else None
        if not isinstance(made, bytes):
            return made if isinstance(made, Rephrased | Declined) else Declined("it took too long")
        self._ledger.began(settings.restate_model, strategy)
        try:
            found = yield from self._restated(made)
        except Left:
            self._ledger.ended(None, Result.ERROR, f"not sent: {LEFT}")
            raise
        if isinstance(found, Declined):
            self._ledger.ended(None, Result.ERROR, f"not sent: {found.why}")
        return found

    def _restated(self, asking: bytes) -> Step[Rephrased | Declined]:
        body = self._body
        event = yield self._to_restater(asking)
        if not isinstance(event, Opened):
            if isinstance(event, Failed) and event.left:
                raise Left
            return Declined("the model that restates gave no answer")
        head = event
        answer = yield from self._read(head)
        told = yield Ask(lambda _: restate.restated(body, answer, head.status))
        made = told.answer if isinstance(told, Told) else None
        return made if isinstance(made, Rephrased | Declined) else Declined("it took too long")

    def _to_restater(self, body: bytes) -> Open:
        """The client's own credentials go only where the client sends them itself."""
        elsewhere = self._settings.restate_upstream
        made = hop(body, self._hops.headers, {"model": self._settings.restate_model})
        if not elsewhere and not isinstance(made, Unfit):
            return Open(b"POST", self._plan.request.target, made.headers, made.body, RESTATE_S)
        headers: Headers = (
            (b"Host", urlsplit(elsewhere).netloc.encode("latin-1", "replace")),
            (b"Content-Type", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"anthropic-version", b"2023-06-01"),
            (b"Content-Length", b"%d" % len(body)),
        )
        if self._plan.restate_key:
            headers += ((b"x-api-key", self._plan.restate_key.encode("latin-1", "replace")),)
        return Open(b"POST", b"/v1/messages", headers, body, RESTATE_S, elsewhere)

    def _read(self, head: Opened) -> Step[bytes]:
        """Its answer; empty where it did not come whole, and that is no answer."""
        decoder, body, until = Decoder(values(head.headers, b"content-encoding")), b"", self._plan.clock() + RESTATE_S
        event: Any = None
        while isinstance(event := (yield Read(max(0.0, until - self._plan.clock()))), Chunk) and len(body) < LARGEST:
            body += decoder.feed(event.data)
        if isinstance(event, Failed) and event.left:
            raise Left
        return body if isinstance(event, End) else b""


def first_step(body: bytes, who: Asker, settings: Rephrase, strategy: str) -> Rephrased | Declined | bytes:
    """The rephrased request; with ``restate`` the request to the model that restates; or why there is none. Does no I/O, and raises nothing."""
    if why := rephrase.forbidden(body, who):
        return Declined(why)
    if strategy == Strategy.RESTATE:
        return restate.restating(body, settings.restate_model)
    return rephrase.trim(body) if strategy == Strategy.TRIM else rephrase.scope_note(body, settings.scope_note)
