"""The few fields that we read of a Messages answer; tolerant of all others, and of wrong types in these.

Sources: Anthropic's API reference ("Messages", "Streaming", "Refusals and fallback") and the ``anthropic`` SDK's types.
"""

from msgspec import Struct, field


class Usage(Struct, kw_only=True):
    """Token counts as the API gave them; None where it gave none."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None


class Iteration(Struct, kw_only=True):
    """One entry of ``usage.iterations``: one model's try inside the API."""

    type: str | None = None
    """``message`` for the primary, ``fallback_message`` for a fallback."""
    model: str | None = None
    usage: Usage = field(default_factory=Usage)


class Seam(Struct, kw_only=True):
    """A ``fallback`` content block: a model declined, and the next one took over."""

    from_model: str | None = None
    to_model: str | None = None
    category: str | None = None
    after: int = 0
    """How many content blocks stood before it."""


class Problem(Struct, kw_only=True):
    """An error body or an ``error`` event."""

    type: str | None = None
    message: str | None = None


class Message(Struct, kw_only=True):
    """What is known of one answer, folded from its events or read from its body."""

    id: str | None = None
    model: str | None = None
    """The model that the answer names."""
    stop_reason: str | None = None
    category: str | None = None
    explanation: str | None = None
    blocks: int = 0
    """Content blocks that began, seams left out."""
    calls: int = 0
    """Of these, whole calls of the client's tools."""
    seams: list[Seam] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    iterations: list[Iteration] = field(default_factory=list)
    problem: Problem | None = None
    request_id: str | None = None
    """Where an error repeats it."""
    where: str = ""
    """What it was read from: ``message_delta``, ``message``, ``error`` or ``batch.result.message``."""
