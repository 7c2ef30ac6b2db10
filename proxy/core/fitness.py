"""What a declined request must lose so that another model takes it.

A hop is the client's own request. Only what the target is known to answer with a 400 is changed, by the table
``schemas.models.TARGETS``, and in the way that Anthropic documents or its client does it: a thinking budget becomes
adaptive thinking, a system message among the messages becomes a ``<system-reminder>`` of the user, and what only tunes the
sampling is left out. A change that would give the client something else than it asked for is not made: such a request
is unfit for that target. History and thinking blocks stay as they are, as a thinking block is bound to what stands before it.

The table ends where publications end. Beyond it a hop is tried, and its 400 teaches: ``learnable`` reads out of the error
which field was rejected, if it is one that can be left out without changing what was asked.
"""

import re
from collections.abc import Collection
from typing import Any, NamedTuple

from proxy.core.message import parse, table, text
from proxy.core.segment import string
from schemas.models import Shape, rejected

LEARNABLE = (
    "thinking",
    "temperature",
    "top_p",
    "top_k",
    "speed",
    "service_tier",
    "inference_geo",
    "context_management",
    "output_config.effort",
    "output_config.task_budget",
)
"""The fields that tune an answer, cost or speed, and without which the request still asks the same."""

SAMPLING = ("temperature", "top_p", "top_k")
MID_SYSTEM = "mid-conversation-system-"
"""How the betas for system messages among the messages begin."""

_OTHERS = frozenset(
    "messages system tools tool_choice model max_tokens stop_sequences stream metadata output_config container"
    " mcp_servers fallbacks fallback_credit_token thread".split()
)
_PATH = re.compile(r"([a-z_]+(?:[.\[][\w\[\].]*)?): ")
_NAMED = re.compile(
    r"""[`"']([a-z_][a-z_0-9.]*)[`"']              # "thinking.type.enabled" is not supported for this model
    | \badaptive[ ](thinking)\b                    # adaptive thinking is not supported on this model
    | \b(effort|speed)[ ](?:level|parameter)\b     # This model does not support the effort parameter
    | \A([a-z_]+)(?=[ ])                         # temperature is deprecated for this model""",
    re.VERBOSE,
)
_OF_HISTORY = re.compile(r"\bblocks?\b|\bprefill\b|\bassistant\b|fallback_credit_token")
_EDIT = re.compile(r"clear_(?:thinking|tool_uses)_\d+")


class Fit(NamedTuple):
    """A request that the target is not known to reject."""

    body: dict[str, Any]
    betas: list[str]
    changes: list[str]
    """What was changed, in a few plain words each."""


class Unfit(NamedTuple):
    """A request that the target cannot be asked, and why not, in a clause."""

    reason: str


def fit(body: dict[str, Any], model: str, betas: list[str], learned: Collection[str] = ()) -> Fit | Unfit:
    """``body``, parsed and already addressed to ``model``, as that model takes it; ``body`` itself is not changed.

    ``learned`` are fields that the model was seen to reject, as ``learnable`` names them. What is not changed is the same
    object in the body that is returned.
    """
    shapes = rejected(model)
    folds = Shape.SYSTEM_MESSAGE in shapes and _has_system(body)
    if reason := _obstacle(body, shapes, folds=folds):
        return Unfit(reason)
    made = Fit(dict(body), list(betas), [])
    _set_thinking(made, shapes)
    if folds:
        made.body["messages"] = _folded(body["messages"])
        made.betas[:] = [beta for beta in betas if not beta.startswith(MID_SYSTEM)]
        made.changes.append("system messages folded")
    slow = ("speed",) if Shape.FAST in shapes and body.get("speed") == "fast" else ()
    for field in (*(SAMPLING if Shape.SAMPLING in shapes else ()), *slow, *learned):
        _leave_out(made, field)
    return made


def learnable(status: int, body: bytes) -> str | None:
    """The field of ``LEARNABLE`` that an error body names as rejected; None where it names another one, or none.

    Wordings of the API: ``speed: Extra inputs are not permitted``, ``"thinking.type.enabled" is not supported for this model``.
    A refused prefill, credit token or block of the history is never a field to leave out.
    """
    error = table(parse(body).get("error"))
    said = text(error.get("message"))
    if status != 400 or error.get("type") != "invalid_request_error" or not said:
        return None
    if path := _PATH.match(said):
        return _field(path[1])
    if _OF_HISTORY.search(said):
        return None
    names = (found[found.lastindex or 0] for found in _NAMED.finditer(said))
    return next((_field(name) for name in names if _is_field(name)), None)


def _is_field(name: str) -> bool:
    return _field(name) is not None or name.partition(".")[0] in _OTHERS


def _field(name: str) -> str | None:
    if name == "effort":
        return "output_config.effort"
    if _EDIT.fullmatch(name):
        return "context_management"
    return next((field for field in LEARNABLE if re.match(rf"{re.escape(field)}(?![\w-])", name)), None)


def _obstacle(body: dict[str, Any], shapes: frozenset[Shape], *, folds: bool) -> str | None:
    if body.get("thread") is not None:
        return "the request continues a thread and carries no history"
    if Shape.FORCED_TOOL in shapes and string(body.get("tool_choice"), "type") in ("any", "tool"):
        return "the model does not take a forced tool_choice"
    if folds and any(_role(message) == "system" and not _is_text(message) for message in body["messages"]):
        return "the model takes no system messages, and one of them holds more than text"
    return None


def _set_thinking(made: Fit, shapes: frozenset[Shape]) -> None:
    thinking = table(made.body.get("thinking"))
    kind = thinking.get("type")
    if kind == "enabled" and Shape.ENABLED in shapes:
        rest = {key: member for key, member in thinking.items() if key != "budget_tokens"}
        made.body["thinking"] = {**rest, "type": "adaptive"}
        made.changes.append("thinking made adaptive")
    elif kind == "adaptive" and Shape.ADAPTIVE in shapes:
        _leave_out(made, "thinking")
    elif kind == "between_tools" and Shape.BETWEEN_TOOLS in shapes:
        if _rejects_disabled(made.body, shapes):
            _leave_out(made, "thinking")
        else:
            made.body["thinking"] = {"type": "disabled"}
            made.changes.append("thinking disabled")
    elif kind == "disabled" and _rejects_disabled(made.body, shapes):
        _leave_out(made, "thinking")


def _rejects_disabled(body: dict[str, Any], shapes: frozenset[Shape]) -> bool:
    high = string(body.get("output_config"), "effort") in ("xhigh", "max")
    return Shape.DISABLED in shapes or (high and Shape.DISABLED_AT_HIGH_EFFORT in shapes)


def _leave_out(made: Fit, field: str) -> None:
    """Without a member, or without a member of a member; where nothing else is left in it, it goes too."""
    outer, _, inner = field.partition(".")
    holder = table(made.body.get(outer)) if inner else made.body
    if (inner or outer) not in holder:
        return
    rest = {key: member for key, member in holder.items() if key != inner}
    if inner and rest:
        made.body[outer] = rest
    else:
        del made.body[outer]
    made.changes.append(f"{field} left out")


def _has_system(body: dict[str, Any]) -> bool:
    messages = body.get("messages")
    return isinstance(messages, list) and any(_role(message) == "system" for message in messages)


def _folded(messages: list[Any]) -> list[Any]:
    """The messages with each of role ``system`` as text of the user message before it, else of the one behind it.

    The user messages on its two sides, which would then stand in a row, become one.
    """
    last = max((n for n, message in enumerate(messages) if _role(message) == "user"), default=-1)
    folded: list[Any] = []
    gone = False
    for n, message in enumerate(messages):
        if _role(message) == "system":
            _add(folded, [] if _is_cleared(message, before=n < last) else _reminders(message))
        elif gone and _role(message) == "user" and folded and _role(folded[-1]) == "user":
            folded[-1] = _joined(folded[-1], _blocks(message))
        else:
            folded.append(message)
        gone = _role(message) == "system"
    return folded


def _add(folded: list[Any], reminders: list[Any]) -> None:
    at = next((n for n in reversed(range(len(folded))) if _role(folded[n]) == "user"), None)
    if at is not None:
        folded[at] = _joined(folded[at], reminders)
    elif reminders:
        folded.append({"role": "user", "content": reminders})


def _is_cleared(message: Any, *, before: bool) -> bool:
    """Whether the model is no longer shown it: ``clear_at``, once a user message has followed."""
    return before and string(message, "clear_at") == "next_user_message"


def _joined(message: dict[str, Any], blocks: list[Any]) -> dict[str, Any]:
    return {**message, "content": [*_blocks(message), *blocks]} if blocks else message


def _blocks(message: dict[str, Any]) -> list[Any]:
    content = message.get("content")
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if isinstance(content, str) and content else []


def _reminders(message: dict[str, Any]) -> list[Any]:
    return [
        {**block, "text": f"<system-reminder>\n{block['text']}\n</system-reminder>"}
        for block in _blocks(message)
        if block["text"]
    ]


def _is_text(message: dict[str, Any]) -> bool:
    return all(string(block, "type") == "text" and string(block, "text") is not None for block in _blocks(message))


def _role(message: object) -> str | None:
    return string(message, "role")
