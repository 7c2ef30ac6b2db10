"""The scenarios: a name, and a function from what was asked to what is answered. Plain data wherever that is enough."""

from collections.abc import Callable
from typing import Any, Literal

from msgspec import UNSET
from msgspec.structs import replace

from proxy.pretend.asked import Asked
from proxy.pretend.catalog import CLAIM_TOKEN, CREDIT_TOKEN, explanation
from proxy.pretend.options import Options
from proxy.pretend.reply import HangUp, HttpError, Json, Play, Reply

type Scenario = Callable[[Asked, Options], Play]

FILTER_MESSAGE = "Output blocked by content filtering policy"
FILTER_ERROR = {"details": None, "type": "invalid_request_error", "message": FILTER_MESSAGE}
OVERLOADED_ERROR = {"details": None, "type": "overloaded_error", "message": "Overloaded"}
POLICY_MESSAGE = "This request appears to violate our Usage Policy (https://www.anthropic.com/legal/aup)."
QUOTED = (
    'A declined stream ends in "stop_reason":"refusal" like this:\n\n'
    'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"refusal",'
    '"stop_details":{"type":"refusal","category":"cyber"}}}\n\n'
    'event: message_stop\ndata: {"type":"message_stop"}\n\nThat was a quotation.'
)


def text(words: str) -> Json:
    """A text block."""
    return {"type": "text", "text": words}


def thinking(words: str) -> Json:
    """A thinking block, with a signature that nobody made."""
    return {"type": "thinking", "thinking": words, "signature": "cHJldGVuZC1zaWduYXR1cmUtbm90LWEtcmVhbC1vbmU="}


def tool_use(name: str, number: int = 0, **arguments: object) -> Json:
    """A call of a tool, the `number`-th of its conversation."""
    return {"type": "tool_use", "id": f"toolu_01Pretend{name}{number}", "name": name, "input": arguments}


def seam(asked: Asked, options: Options) -> Json:
    """The block that marks where a server-side fallback took over."""
    trigger = {"type": "refusal", "category": options.category}
    return {"type": "fallback", "from": {"model": asked.model}, "to": {"model": asked.fallback}, "trigger": trigger}


def iteration(kind: str, model: str, asked: Asked, output_tokens: int) -> Json:
    """One entry of ``usage.iterations``."""
    tokens = {"input_tokens": asked.input_tokens, "output_tokens": output_tokens}
    cache = {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    return {"type": kind, "model": model} | tokens | cache


def stop_details(asked: Asked, options: Options, *, prefill: bool) -> Json:
    """Why it was declined. The credit fields come only to those who asked for them by a beta."""
    reason = explanation(options.category) if options.explanation == "" else options.explanation
    details = {"type": "refusal", "category": options.category, "explanation": reason}
    claim = prefill if options.claim is None else options.claim
    token = CLAIM_TOKEN if claim else CREDIT_TOKEN
    credit = {"fallback_credit_token": token, "fallback_has_prefill_claim": claim}
    return details | credit if asked.wants_credit else details


def answer(asked: Asked, options: Options, *before: Json) -> Reply:
    """An ordinary answer, after the blocks in `before`; of a continuation, what is left to say."""
    said = text(options.text.removeprefix(asked.said))
    return Reply(model=asked.model, blocks=(*before, said), input_tokens=asked.input_tokens)


def declined(asked: Asked, options: Options, *before: Json) -> Reply:
    """A refusal after the blocks in `before`."""
    return Reply(
        model=asked.model,
        blocks=before,
        stop_reason="refusal",
        stop_details=stop_details(asked, options, prefill=any(block["type"] == "text" for block in before)),
        input_tokens=asked.input_tokens,
    )


def _answer_tool(asked: Asked, options: Options) -> Play:
    return answer(asked, options) if asked.tool_result else _tool_call(asked, options)


def _answer_tools(asked: Asked, options: Options) -> Play:
    """Two calls at once."""
    call = _tool_call(asked, options)
    second = tool_use("Bash", asked.calls + 1, command="echo two", description="Say two")
    return answer(asked, options) if asked.tool_result else replace(call, blocks=(*call.blocks, second))


def _tool_call(asked: Asked, options: Options) -> Reply:
    call = tool_use("Bash", asked.calls, command=options.command, description="Say hi")
    blocks = (text("I will run one command. "), call)
    return Reply(model=asked.model, blocks=blocks, stop_reason="tool_use", input_tokens=asked.input_tokens)


def _refusal_after_tool(asked: Asked, options: Options) -> Play:
    return declined(asked, options) if asked.tool_result else _tool_call(asked, options)


def _error_filter(asked: Asked, options: Options) -> Play:
    return _broken(asked, FILTER_ERROR) if asked.stream else _output_filter(asked, options)


def _error_filter_mid(asked: Asked, options: Options) -> Play:
    return _broken(asked, FILTER_ERROR, text("Copyright (c) ")) if asked.stream else _output_filter(asked, options)


def _error_overloaded(asked: Asked, options: Options) -> Play:
    if asked.seen:
        return answer(asked, options)
    return replace(_broken(asked, OVERLOADED_ERROR), opened=False) if asked.stream else _overload()


def _broken(asked: Asked, fault: Json, *blocks: Json) -> Reply:
    return Reply(model=asked.model, blocks=blocks, error=fault, input_tokens=asked.input_tokens)


def _output_filter(asked: Asked, options: Options) -> Play:
    return HttpError(status=400, kind="invalid_request_error", message=FILTER_MESSAGE)


def _policy_error(asked: Asked, options: Options) -> Play:
    return HttpError(status=400, kind="invalid_request_error", message=POLICY_MESSAGE)


def _cut_before_head(asked: Asked, options: Options) -> Play:
    return HangUp()


def _quote(asked: Asked, options: Options) -> Play:
    return answer(asked, replace(options, text=QUOTED))


def _overload() -> HttpError:
    return HttpError(status=529, kind="overloaded_error", message="Overloaded", retry=True)


def _overloaded(asked: Asked, options: Options) -> Play:
    return _overload() if asked.seen < options.times else answer(asked, options)


def _api_fallback(asked: Asked, options: Options) -> Reply:
    attempts = (iteration("message", asked.model, asked, 0), iteration("fallback_message", asked.fallback, asked, 20))
    return replace(answer(asked, options, seam(asked, options)), model=asked.fallback, iterations=attempts)


def _api_fallback_mid(asked: Asked, options: Options) -> Play:
    if not asked.stream:
        return _api_fallback(asked, options)
    attempts = (iteration("message", asked.model, asked, 4), iteration("fallback_message", asked.fallback, asked, 20))
    return replace(answer(asked, options, text("It begins here, "), seam(asked, options)), iterations=attempts)


def _api_fallback_sticky(asked: Asked, options: Options) -> Play:
    attempts = (iteration("fallback_message", asked.fallback, asked, 20),)
    return replace(answer(asked, options), model=asked.fallback, iterations=attempts)


def _api_fallback_exhausted(asked: Asked, options: Options) -> Play:
    attempts = (iteration("message", asked.model, asked, 0), iteration("fallback_message", asked.fallback, asked, 0))
    return replace(declined(asked, options, seam(asked, options)), model=asked.fallback, iterations=attempts)


def _cut(where: Literal["start", "middle"]) -> Scenario:
    return lambda asked, options: replace(answer(asked, options), cut=where)


def _declined_after(*blocks: Json, **changes: Any) -> Scenario:
    return lambda asked, options: replace(declined(asked, options, *blocks), **changes)


def _declined_with(**changes: Any) -> Scenario:
    return lambda asked, options: declined(asked, replace(options, **changes))


def _refusal_new_category(asked: Asked, options: Options) -> Play:
    reply = declined(asked, replace(options, category="category_of_next_year"))
    details = {**(reply.stop_details or {}), "future_field": {"level": 2}}
    return replace(reply, stop_details=details)


def _refusal_tool_complete(asked: Asked, options: Options) -> Play:
    return declined(asked, options, *_tool_call(asked, options).blocks)


def _refusal_mid(asked: Asked, options: Options) -> Reply:
    return declined(asked, options, text(options.partial))


def _refusal_mid_open(asked: Asked, options: Options) -> Play:
    return replace(_refusal_mid(asked, options), block_stop=False)


def _http_error(asked: Asked, options: Options) -> Play:
    kind = _KINDS.get(options.status, "api_error")
    return HttpError(status=options.status, kind=kind, message=f"A pretend {options.status}.")


def _quote_tool(asked: Asked, options: Options) -> Play:
    quoted = {"type": "message", "stop_reason": "refusal", "stop_details": {"type": "refusal", "category": "cyber"}}
    blocks = (text("I will write it down. "), tool_use("Write", file_path="declined.json", content=quoted))
    return answer(asked, options) if asked.tool_result else replace(_tool_call(asked, options), blocks=blocks)


def _slow(asked: Asked, options: Options) -> Play:
    return replace(answer(asked, replace(options, text="One more of many words. " * 60)), pace=0.05)


_KINDS = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}
"""Of errors, by status; all others are ``api_error``."""


SCENARIOS: dict[str, Scenario] = {
    "answer": answer,
    "answer_thinking": lambda asked, options: answer(asked, options, thinking("An easy question, so be brief. ")),
    "answer_tool": _answer_tool,
    "answer_tools": _answer_tools,
    "refusal": declined,
    "refusal_mid": _refusal_mid,
    "refusal_mid_open": _refusal_mid_open,
    "refusal_thinking": _declined_after(thinking("Is this allowed? Let me see. ")),
    "refusal_after_tool": _refusal_after_tool,
    "refusal_tool_complete": _refusal_tool_complete,
    "refusal_no_details": _declined_after(stop_details=UNSET),
    "refusal_null_details": _declined_after(stop_details=None),
    "refusal_null_category": _declined_with(category=None, explanation=None),
    "refusal_new_category": _refusal_new_category,
    "refusal_no_block_start": lambda asked, options: replace(_refusal_mid(asked, options), block_start=False),
    "output_filter": _output_filter,
    "error_filter": _error_filter,
    "error_filter_mid": _error_filter_mid,
    "error_overloaded": _error_overloaded,
    "overloaded": _overloaded,
    "policy_error": _policy_error,
    "http_error": _http_error,
    "api_fallback": _api_fallback,
    "api_fallback_mid": _api_fallback_mid,
    "api_fallback_sticky": _api_fallback_sticky,
    "api_fallback_exhausted": _api_fallback_exhausted,
    "cut_before_head": _cut_before_head,
    "cut_start": _cut("start"),
    "cut_mid": _cut("middle"),
    "quote": _quote,
    "quote_tool": _quote_tool,
    "slow": _slow,
}
"""By name. ``refusal_mid`` closes the open block before the stop reason, ``refusal_mid_open`` does not."""
