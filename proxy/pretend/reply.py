"""What a scenario answers: a message, an HTTP error, or nothing at all."""

from typing import Any, Literal

from msgspec import Struct, UnsetType

type Json = dict[str, Any]


class Reply(Struct, frozen=True, kw_only=True):
    """One message of the API, told once: `events` renders it as a stream, `message` whole."""

    model: str
    blocks: tuple[Json, ...] = ()
    """Whole content blocks, as a message that is not streamed has them."""
    stop_reason: str = "end_turn"
    stop_details: Json | UnsetType | None = None
    """UNSET leaves the key out, as models before Opus 4.7 do."""
    input_tokens: int = 0
    iterations: tuple[Json, ...] = ()
    """``usage.iterations``: one entry an attempt, when a server-side fallback took part."""
    redeemed: bool = False
    """``usage.fallback_credit`` says that the credit token of the request was taken."""
    error: Json | None = None
    """An ``error`` event comes in place of the stop reason."""
    opened: bool = True
    """False: after ``message_start`` nothing came before the error, not even that."""
    cut: Literal["", "start", "middle"] = ""
    """Where the connection breaks: after ``message_start``, or within the last block."""
    pace: float = 0.0
    """Seconds between two events, where the options do not say."""
    block_start: bool = True
    """False: blocks come without ``content_block_start``, as seen on another surface (clove#36)."""
    block_stop: bool = True
    """False: the last block is still open when the stop reason comes."""


class HttpError(Struct, frozen=True, kw_only=True):
    """An answer with an error status; `kind` and `message` go into the usual body."""

    status: int
    kind: str
    message: str
    retry: bool | None = None
    """``x-should-retry``, where it is sent."""


class HangUp(Struct, frozen=True):
    """The connection is closed before a single byte was answered."""


type Play = Reply | HttpError | HangUp
