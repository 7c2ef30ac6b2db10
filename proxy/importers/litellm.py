"""LiteLLM's spend logs, as JSON or JSON Lines: rows of ``LiteLLM_SpendLogs``, or what ``/spend/logs`` and ``/spend/logs/ui`` answer.

Read after the source of litellm 1.110.2. Bodies are in them only where ``store_prompts_in_spend_logs`` is on; without, nobody can tell a declined
request from an accepted one. What the gateway was asked is ``proxy_server_request``, long texts cut. An answer to
``/chat/completions`` names ``finish_reason`` ``content_filter``, with the API's own reason under ``provider_specific_fields`` in newer versions;
until March 2026 a refusal became ``stop`` and cannot be told any more. ``request_id`` is LiteLLM's own.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

from msgspec.structs import replace

from proxy.importers import moments
from proxy.importers.documents import Json, number, objects, table, text
from proxy.importers.exchanged import Captured, Exchanges, body
from proxy.importers.opening import first, opening
from proxy.importers.source import Found, Origin, Trouble
from schemas.records import Entry

_ROW = frozenset({"request_id", "call_type", "startTime"})
_VENDORS = frozenset({"anthropic", "bedrock", "vertex_ai", "azure_ai"})
_NATIVE = "provider_specific_fields"


class LiteLlm:
    """See the head of the module."""

    name = "litellm"

    def claims(self, head: bytes, origin: Origin) -> bool:
        """See ``Source``."""
        value = opening(head)
        page = value.get("data") if isinstance(value, dict) else None
        rows = [first(head), *map(table, page if isinstance(page, list) else [])]
        return any(row.keys() >= _ROW for row in rows)

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """See ``Source``."""
        exchanges, silent = Exchanges(self.name, origin), 0
        for found in _rows(file):
            if isinstance(found, Trouble):
                yield found
                continue
            line, row = found
            answer, evidence = _answer(row)
            if not _is_claude(row):
                continue
            if answer is None:
                silent += 1
            elif (captured := _captured(row, answer)) is None:
                yield Trouble(line, "a row without a time")
            else:
                yield from (_evident(one, evidence) for one in exchanges.found(captured, line))
        if silent:
            yield Trouble(None, f"the answers of {silent} requests were not stored")


def _rows(file: BinaryIO) -> Iterator[tuple[int | None, Json] | Trouble]:
    for found in objects(file):
        page = None if isinstance(found, Trouble) else found[1].get("data")
        if isinstance(page, list):
            yield from ((None, row) for row in page if isinstance(row, dict))
        else:
            yield found


def _is_claude(row: Json) -> bool:
    models = (text(row.get(name)) or "" for name in ("model", "model_group"))
    return row.get("custom_llm_provider") in _VENDORS or any("claude" in model.lower() for model in models)


def _answer(row: Json) -> tuple[Json | None, str | None]:
    """The answer as the Messages API would have given it, and where it was seen if that was elsewhere."""
    if row.get("status") == "failure" or "error_information" in table(row.get("metadata")):
        return _error(row), None
    response = table(row.get("response"))
    if response.get("type") == "message":
        return response, None
    choices = response.get("choices")
    return _chosen(response, table(choices[0])) if isinstance(choices, list) and choices else (None, None)


def _chosen(response: Json, choice: Json) -> tuple[Json, str | None]:
    message, usage = table(choice.get("message")), table(response.get("usage"))
    native = table(choice.get(_NATIVE)) or table(message.get(_NATIVE))
    reason = text(native.get("stop_reason"))
    finish = text(choice.get("finish_reason"))
    said = text(message.get("content"))
    answer = {
        "type": "message",
        "id": response.get("id"),
        "model": response.get("model"),
        "content": [{"type": "text", "text": said}] if said else [],
        "stop_reason": reason or ("end_turn" if finish in ("stop", "length", "tool_calls") else finish),
        "stop_details": native.get("stop_details"),
        "usage": {"input_tokens": usage.get("prompt_tokens"), "output_tokens": usage.get("completion_tokens")},
    }
    evidence = f"choices[0].{_NATIVE}.stop_reason" if reason else f"choices[0].finish_reason={finish}"
    return answer, evidence


def _error(row: Json) -> Json | None:
    """What the API said, out of the exception's text, which has the answer's JSON in it."""
    told = table(table(row.get("metadata")).get("error_information"))
    said = text(told.get("error_message"))
    if said is None:
        return None
    start, end = said.find('{"type"'), said.rfind("}")
    found = table(said[start : end + 1]) if 0 <= start < end else {}
    return found if "error" in found else {"type": "error", "error": {"type": "", "message": said}}


def _captured(row: Json, answer: Json) -> Captured | None:
    began = moments.seconds(row.get("startTime"))
    if began is None:
        return None
    metadata = table(row.get("metadata"))
    agent = text(metadata.get("user_agent"))
    request = table(row.get("proxy_server_request"))
    code = number(table(metadata.get("error_information")).get("error_code"))
    return Captured(
        began=began,
        ended=moments.seconds(row.get("endTime")),
        asked=((b"user-agent", agent.encode("latin-1", "replace")),) if agent else (),
        request=body(request or {"model": row.get("model")}),
        exact=False,
        status=(code or 500) if "error" in answer else 200,
        answer=body(answer),
        name=f"litellm\0{row.get('request_id')}",
    )


def _evident(found: Any, evidence: str | None) -> Found:
    if isinstance(found, Entry) and evidence:
        found.refusals = [replace(one, evidence=evidence) for one in found.refusals]
    kept: Found = found
    return kept
