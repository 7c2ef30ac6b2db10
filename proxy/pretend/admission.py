"""What is checked of a request before a model sees it: who may end it with an assistant's turn, and whether its credit token is good.

The rules are those of the documentation ("Fallback credit", "Prefill Claude's response"); the wordings are the API's where Claude Code's strings
have them. No model since 4.6 goes on from an assistant's turn, unless a refusal gave a token with a claim to what had been written.
"""

from proxy.pretend.asked import Asked
from proxy.pretend.catalog import CLAIM_TOKEN, CREDIT_TOKEN
from proxy.pretend.reply import HttpError, Json

_OBJECTS = "fallback-credit-2026-07-01"
"""The beta with which a token may be an object."""
_TOKEN = "fallback_credit_token: "  # noqa: S105  the name of a member


def fault(asked: Asked) -> HttpError | None:
    """Why the request is not answered, if so."""
    said = _credit(asked) or _turn(asked)
    return HttpError(status=400, kind="invalid_request_error", message=said) if said else None


def token(asked: Asked) -> str | None:
    """The credit token that it brings."""
    return str(asked.credit.get("token")) if isinstance(asked.credit, dict) else asked.credit


def _credit(asked: Asked) -> str | None:
    if asked.credit is None:
        return None
    if not asked.wants_credit:
        return _TOKEN + "Extra inputs are not permitted"
    if isinstance(asked.credit, dict) and _OBJECTS not in asked.betas:
        return _TOKEN + "Input should be a valid string"
    if asked.falls_back:
        return _TOKEN + "cannot be used together with fallbacks"
    return None if token(asked) in (CREDIT_TOKEN, CLAIM_TOKEN) else _TOKEN + "invalid or malformed"


def _turn(asked: Asked) -> str | None:
    if asked.turn is None:
        return None
    if token(asked) != CLAIM_TOKEN:
        return "This model does not support assistant message prefill. The conversation must end with a user message."
    if any(block.get("type") == "tool_use" for block in asked.turn):
        return "messages: `tool_use` ids were found without `tool_result` blocks immediately after"
    return "messages: final assistant content cannot end with trailing whitespace" if _blank(asked.turn) else None


def _blank(turn: tuple[Json, ...]) -> bool:
    last = str(turn[-1].get("text", "")) if turn else ""
    return last != last.rstrip()
