"""Requests of the shape and size that Claude Code sends (2.1.197 against a base URL: 76 kB on the first turn)."""

import json
import random
from functools import cache
from typing import Any

WORDS = (
    "the file reads each line and returns a list of tokens when it has been called with a path or an open handle so "
    "that tests can see which of them were skipped before the parser gave up on an empty value in the second column"
).split()
HEADERS = {
    "accept": "application/json",
    "content-type": "application/json",
    "user-agent": "claude-cli/2.1.197 (external, sdk-cli)",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "0",
    "x-stainless-timeout": "600",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
    "prompt-caching-scope-2026-01-05,mid-conversation-system-2026-04-07,effort-2025-11-24",
    "anthropic-version": "2023-06-01",
    "x-api-key": "sk-ant-bench",
    "x-app": "cli",
    "accept-encoding": "identity",
}
"""Identity, so that every contestant carries the same bytes."""
SESSION = b"S" * 36
TURN = b"T" * 6
"""What differs between two requests, where it is to be put."""


def request(target: str, session: int, turn: int, size: int) -> bytes:
    """One whole HTTP request whose body has about `size` bytes; another session or turn gives another body."""
    body = _body(size).replace(SESSION, _session(session).encode()).replace(TURN, b"%6d" % turn)
    headers = HEADERS | {"x-claude-code-session-id": _session(session), "content-length": str(len(body))}
    lines = [
        f"POST {target} HTTP/1.1",
        "host: api.anthropic.test",
        *(f"{key}: {value}" for key, value in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@cache
def _body(size: int) -> bytes:
    source = random.Random(size)
    body: dict[str, Any] = {
        "model": "claude-opus-5",
        "messages": [{"role": "user", "content": [_text(source, 2_000)]}],
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197.123; cc_entrypoint=sdk-cli;"},
            _text(source, 14_000) | {"cache_control": {"type": "ephemeral"}},
        ],
        "tools": [_tool(source, number) for number in range(18)],
        "metadata": {
            "user_id": json.dumps({"device_id": "d" * 64, "account_uuid": "", "session_id": SESSION.decode()})
        },
        "max_tokens": 32_000,
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "stream": True,
    }
    room = size - len(json.dumps(body))
    number = 0
    while room > 9_000:
        exchange = _exchange(source, number)
        body["messages"] += exchange
        room -= len(json.dumps(exchange))
        number += 1
    body["messages"].append(
        {"role": "user", "content": [_text(source, room - 100), {"type": "text", "text": TURN.decode()}]}
    )
    return json.dumps(body, separators=(",", ":")).encode()


def _session(session: int) -> str:
    return f"00000000-0000-4000-8000-{session:012}"


def _text(source: random.Random, size: int) -> dict[str, Any]:
    words = " ".join(source.choice(WORDS) for _ in range(size // 5))
    return {"type": "text", "text": words[:size]}


def _tool(source: random.Random, number: int) -> dict[str, Any]:
    fields = {
        f"argument_{n}": {"type": "string", "description": _text(source, 150)["text"], "maxLength": 4096}
        for n in range(5)
    }
    schema = {"type": "object", "properties": fields, "required": ["argument_0"], "additionalProperties": False}
    return {"name": f"Tool{number}", "description": _text(source, 1_500)["text"], "input_schema": schema}


def _exchange(source: random.Random, number: int) -> list[dict[str, Any]]:
    call = {
        "type": "tool_use",
        "id": f"toolu_{number:020}",
        "name": "Tool1",
        "input": {"argument_0": f"src/{number}.py"},
    }
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": _text(source, 7_000)["text"]}
    return [
        {"role": "assistant", "content": [_text(source, 300), call]},
        {"role": "user", "content": [result]},
    ]
