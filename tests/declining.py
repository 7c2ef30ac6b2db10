"""A Messages API that declines by a rule of the test's, and a check of what it was sent that shares no code with ours."""

import gzip
import json
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web
from anthropic.types.beta import BetaContentBlockParam, BetaToolUnionParam
from pydantic import TypeAdapter

from answers import ANSWER, MID, REFUSAL

_BLOCK: TypeAdapter[Any] = TypeAdapter(BetaContentBlockParam)
_TOOL: TypeAdapter[Any] = TypeAdapter(BetaToolUnionParam)


def valid(body: bytes) -> dict[str, Any]:
    """The parsed request, which the API would take: see its reference, "Messages" and "Tool use"."""
    sent: dict[str, Any] = json.loads(body)
    system = sent.get("system", "s")
    assert system, "an empty system prompt"
    for block in [] if isinstance(system, str) else system:
        assert block["type"] == "text"
        assert block["text"].strip()
    tools = [_TOOL.validate_python(tool) and tool["name"] for tool in sent.get("tools", [])]
    assert len(set(tools)) == len(tools)
    _turns(sent["messages"], set(tools))
    return sent


def _turns(messages: list[dict[str, Any]], tools: set[str]) -> None:
    assert messages[0]["role"] == "user"
    before: str = "none"
    open_calls: set[str] = set()
    for message in messages:
        role, content = message["role"], message["content"]
        assert content, f"an empty message of {role}"
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if role == "system":
            assert before == "user", "a system message behind none of the user's"
        else:
            assert role in ("user", "assistant")
            assert role != before.removeprefix("after-"), "two turns of one role"
            assert role == "assistant" or {b["tool_use_id"] for b in blocks if b["type"] == "tool_result"} == open_calls
            open_calls = {b["id"] for b in blocks if b["type"] == "tool_use"}
        for block in blocks:
            _block(block, tools)
        before = f"after-{before}" if role == "system" else role
    assert messages[-1]["role"] != "assistant"
    assert not open_calls


def _block(block: dict[str, Any], tools: set[str]) -> None:
    _BLOCK.validate_python(block)
    if block["type"] == "text":
        assert block["text"].strip(), "an empty text"
    if block["type"] == "tool_use":
        assert block["name"] in tools, "a call of a tool that is not defined"


class Declining:
    """Used as ``with in_thread(Declining(rule)) as api``; ``rule``: of a request that is valid, whether it is declined.

    ``answer`` and ``refusal`` are streams; a request without ``stream`` gets a body that says the same. ``status``: answers with an error.
    """

    def __init__(
        self,
        rule: Callable[[bytes], bool],
        *,
        refusal: bytes = REFUSAL,
        zipped: bool = False,
        statuses: tuple[int, ...] = (),
    ) -> None:
        self.rule, self.refusal, self.zipped, self.statuses = rule, refusal, zipped, list(statuses)
        self.bodies: list[bytes] = []
        self.heads: list[dict[str, str]] = []
        self.targets: list[str] = []
        self.faults: list[str] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.bodies.append(body)
        self.heads.append({name.lower(): value for name, value in request.headers.items()})
        self.targets.append(request.raw_path)
        try:
            sent = valid(body)
        except Exception as error:
            self.faults.append(repr(error))
            raise
        status = self.statuses.pop(0) if self.statuses else 200
        if status != 200:
            told = {"type": "error", "error": {"type": "rate_limit_error", "message": "Number of requests"}}
            return web.json_response(
                told, status=status, headers={"Location": f"{self.url}/elsewhere", "retry-after": "3600"}
            )
        declined = self.rule(body)
        data, kind = self.refusal if declined else ANSWER, "text/event-stream"
        if not sent.get("stream"):
            data, kind = _as_body(declined), "application/json"
        head = {"content-type": kind, "request-id": f"req_{len(self.bodies)}"}
        if self.zipped:
            data, head["content-encoding"] = gzip.compress(data), "gzip"
        return web.Response(body=data, headers=head)


def _as_body(declined: bool) -> bytes:
    details = {"type": "refusal", "category": "cyber", "explanation": None}
    return json.dumps(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-opus-5",
            "content": [] if declined else [{"type": "text", "text": "Hello"}],
            "stop_reason": "refusal" if declined else "end_turn",
            "stop_details": details if declined else None,
            "usage": {"input_tokens": 412, "output_tokens": 3},
        }
    ).encode()


def planted(body: bytes) -> bool:
    return b"PLANTED" in body


__all__ = ["MID", "Declining", "planted", "valid"]
