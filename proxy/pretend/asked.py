"""What a request asks for, as far as a scenario cares."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from proxy.pretend.reply import Json

FALLBACK_MODEL = "claude-opus-4-8"


class Asked(Struct, frozen=True, kw_only=True):
    """One Messages request, read for the scenarios."""

    model: str
    stream: bool
    text: str
    """The last text of the user."""
    tool_result: bool
    """Whether any message brings the result of a tool."""
    betas: frozenset[str]
    fallback: str
    """The model that a server-side fallback of this request would ask."""
    input_tokens: int
    falls_back: bool = False
    """Whether it asks for a server-side fallback."""
    turn: tuple[Json, ...] | None = None
    """The blocks of an assistant's turn that the request ends with; None where it ends with the user's."""
    credit: str | Json | None = None
    """``fallback_credit_token`` as it was sent."""
    calls: int = 0
    """How many tools have been called in the history."""
    seen: int = 0
    """How many requests had this scenario before."""

    @property
    def wants_credit(self) -> bool:
        """Whether a refusal may carry a credit token (beta ``fallback-credit-*`` or ``server-side-fallback-*``)."""
        return any(beta.startswith(("fallback-credit-", "server-side-fallback-")) for beta in self.betas)

    @property
    def said(self) -> str:
        """The text that a continuation goes on from; empty where the answer begins anew."""
        return "".join(str(block.get("text", "")) for block in self.turn or () if block.get("type") == "text")


class _Message(Struct):
    role: str = ""
    content: str | list[Json] = ""


class _Body(Struct):
    model: str = "claude-opus-5"
    stream: bool = False
    messages: list[_Message] = []
    fallbacks: str | list[Json] | None = None
    fallback_credit_token: str | Json | None = None
    anthropic_beta: list[str] = []


def read_asked(body: bytes, *, betas: Iterable[str] = (), model: str = "", stream: bool | None = None) -> Asked:
    """The request in `body`; `model` and `stream` are given where the path says them (Bedrock, Vertex).

    Raises ValueError when it is not a Messages request.
    """
    parsed = msgspec.json.decode(body, type=_Body)
    chain = parsed.fallbacks if isinstance(parsed.fallbacks, list) else []
    return Asked(
        model=model or parsed.model,
        stream=parsed.stream if stream is None else stream,
        text=_last_user_text(parsed.messages),
        tool_result=any(block.get("type") == "tool_result" for block in _blocks(parsed.messages)),
        turn=_last_turn(parsed.messages),
        credit=parsed.fallback_credit_token,
        calls=sum(block.get("type") == "tool_use" for block in _blocks(parsed.messages)),
        betas=frozenset(betas) | frozenset(parsed.anthropic_beta),
        fallback=str(chain[0].get("model", FALLBACK_MODEL)) if chain else FALLBACK_MODEL,
        input_tokens=len(body) // 4,
        falls_back=parsed.fallbacks is not None,
    )


def _blocks(messages: Iterable[_Message]) -> Iterable[Json]:
    for message in messages:
        if isinstance(message.content, str):
            yield {"type": "text", "text": message.content}
        else:
            yield from message.content


def _last_turn(messages: list[_Message]) -> tuple[Json, ...] | None:
    return tuple(_blocks(messages[-1:])) if messages and messages[-1].role == "assistant" else None


def _last_user_text(messages: list[_Message]) -> str:
    for message in reversed(messages):
        if message.role == "user" and (text := _text(message)):
            return text
    return ""


def _text(message: _Message) -> str:
    if isinstance(message.content, str):
        return message.content
    return "\n".join(str(block.get("text", "")) for block in message.content if block.get("type") == "text")
