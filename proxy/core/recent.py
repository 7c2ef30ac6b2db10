"""The refusals that reached a client lately, so that what it does about them by itself is recognised.

Claude Code sends a declined request of some models to another model, and from 2.1.280 on once more to the same one. Each is a request of its own
on the wire. It is taken for the client's own only on several signs at once: it comes soon, from the same session and agent, with the same last
turn of the user, by Claude Code, and with the marks of a fallback: the credit beta, or headers stamped for it. A person who sends the same
words again leaves no such marks.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from proxy.core.asker import Asker
from proxy.core.context import Split
from proxy.core.headers import Headers, tokens
from proxy.core.said import answers, fingerprint, unnoted

SOON_S = 60.0
"""How long after a refusal the client's own attempts come, in seconds; they come at once."""
KEPT = 1000
"""Sessions that are remembered."""
NOTE = "Your response above was stopped by a safety classifier"
"""How the note begins that Claude Code 2.1.330 adds when it asks the same model once more."""


class Seen(NamedTuple):
    """A refusal that reached the client."""

    refusal_id: str
    model: str | None
    fingerprint: str
    at: float
    """Seconds since 1970."""
    answers: int
    """How many messages of the assistant its history has."""


class Recent:
    """Per session and agent the last one. Bounded; used from several threads, each call is one step."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str | None], Seen] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def note(self, who: Asker, seen: Seen) -> None:
        """A refusal reached this client."""
        if who.session_id:
            self._seen[who.session_id, who.agent_id] = seen
            if len(self._seen) > KEPT:
                self._seen.popitem(last=False)

    def forget(self, who: Asker) -> None:
        """It was answered."""
        self._seen.pop((who.session_id or "", who.agent_id), None)

    def of(self, who: Asker, headers: Headers, now: float) -> Seen | None:
        """The refusal that a request may be the client's own answer to; its last turn is still to be compared."""
        seen = self._seen.get((who.session_id or "", who.agent_id))
        if seen is None or who.client != "claude-cli" or now - seen.at > SOON_S:
            return None
        return seen if _is_marked(headers) else None


class Following:
    """Whether one request is the client's own answer to a refusal."""

    def __init__(
        self,
        recent: Recent,
        headers: Headers,
        began: float,
        who: Callable[[], Asker],
        parts: Callable[[], Split | None],
    ) -> None:
        self._recent, self._headers, self._began, self._who, self._parts = recent, headers, began, who, parts
        self._found: tuple[Seen | None] | None = None
        self.noted = False
        """Whether the client had added its note to it, so that it is not the same content."""

    def may(self) -> bool:
        """Whether it may be: then ``seen`` is to be asked. Takes no time to speak of."""
        return bool(self._recent) and self._candidate() is not None

    def seen(self) -> Seen | None:
        """The refusal that it answers. Takes milliseconds where it may be one."""
        if self._found is None:
            seen = self._candidate()
            self._found = (seen if seen and self._answers(seen) else None,)
        return self._found[0]

    def _candidate(self) -> Seen | None:
        return self._recent.of(self._who(), self._headers, self._began)

    def _answers(self, seen: Seen) -> bool:
        """The same last turn, and no answer since; or behind the client's note that its answer was stopped."""
        parts = self._parts()
        if parts is None:
            return False
        same = fingerprint(parts.segments) == seen.fingerprint and answers(parts.segments) == seen.answers
        self.noted = not same and unnoted(parts, NOTE) == seen.fingerprint
        return same or self.noted


def _is_marked(headers: Headers) -> bool:
    betas = tokens(headers, b"anthropic-beta")
    stamped = (b"x-cc-fallback-", b"x-is-refusal-fallback")
    return any(beta.startswith("fallback-credit-") for beta in betas) or any(
        name.lower().startswith(stamped) for name, _ in headers
    )
