"""What is to be done with one armed request, decided before it is sent: all that the hop loop needs to know of settings and client.

In *auto* wire the official shape goes only to a client that asked for it, by a beta, and that understands it: Claude Code at a base URL drops
seam blocks from its history, so it gets plain wire (PROTOCOL 6.6).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from proxy.core.commands import Open
from proxy.core.conversation import conversation
from proxy.core.encoding import Decoder
from proxy.core.headers import values
from proxy.core.hop import asked_for_credit
from proxy.core.policy import Asked, Check, arming, asked, first_against
from schemas.settings import Retry

STICKY_MIN = 60
"""How long a conversation stays where it was answered, in minutes after its last turn, where the settings say no other number."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What targets rejected, for the life of the process: fields by model."""

    fields: dict[str, set[str]]

    def of(self, model: str) -> set[str]:
        """The fields that a model is not sent any more."""
        return self.fields.setdefault(model, set())


@dataclass(frozen=True, slots=True)
class Plan:
    """See the head of the module."""

    retry: Retry
    asked: Asked
    request: Open
    """As the client sent it, with its body."""
    body: bytes
    """The same, decompressed."""
    against: Check | None
    """The rule by which this request is not asked again; then only the tool guard is left to do."""
    learned: Learned
    clock: Callable[[], float]
    """Seconds, monotonic."""
    restate_key: str | None = None
    """The owner's key for the model that restates."""
    first_party: bool = False
    """Whether the client believes that it talks to Anthropic itself (through mitmproxy): then it understands seams."""

    @property
    def retries(self) -> bool:
        """Whether a refusal may be asked again."""
        return self.against is None

    @property
    def guards(self) -> bool:
        """Whether tool calls end only once the stop reason is known. An API that falls back itself is left alone."""
        on = self.retry.enabled if self.retry.tool_guard is None else self.retry.tool_guard
        asked = self.asked
        api_falls_back = asked.members is None or "fallbacks" in asked.members
        return on and asked.messages and asked.who.streamed is True and not api_falls_back

    @property
    def armed(self) -> bool:
        """Whether the answer may be altered at all."""
        return self.retries or self.guards

    @property
    def credit(self) -> bool:
        """Whether demur asks for fallback credit."""
        return self.retries and self.retry.credit

    @property
    def secret(self) -> bool:
        """Whether the client has not asked for it, so that it is to see nothing of it."""
        return self.credit and not asked_for_credit(self.request.headers)

    @property
    def wire(self) -> Literal["marked", "plain"]:
        """The shape of a recovered answer."""
        if self.retry.wire in {"marked", "plain"}:
            return "marked" if self.retry.wire == "marked" else "plain"
        gateway = self.asked.who.client == "claude-cli" and not self.first_party
        return "marked" if asked_for_credit(self.request.headers) and not gateway else "plain"

    @property
    def sticky_s(self) -> float:
        """How long a conversation stays on the model that answered, in seconds; 0: it does not."""
        sticky = self.retry.sticky
        return 60.0 * (STICKY_MIN if sticky is True else sticky) if self.retries and self.retry.fallback else 0.0

    def key(self) -> str | None:
        """The conversation's. Takes a millisecond."""
        return conversation(self.asked.who, self.body)


def plan(
    retry: Retry,
    request: Open,
    learned: Learned,
    clock: Callable[[], float],
    *,
    first_party: bool = False,
    restate_key: str | None = None,
) -> Plan:
    """The plan for a request whose body is whole. Raises nothing that its bytes could cause."""
    sent = request.body or b""
    decoder = Decoder(values(request.headers, b"content-encoding"))
    plain = decoder.feed(sent)
    body = sent if decoder.failed else plain
    facts = asked(request.method, request.target, request.headers, body)
    against = first_against(arming(retry, facts))
    return Plan(retry, facts, request, body, against, learned, clock, restate_key, first_party)
