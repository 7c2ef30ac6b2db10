"""Declined requests that Claude Code makes by itself, beside the conversation: what a transcript tells of them.

They leave no answer and no line of their own kind. A compaction leaves what ``/compact`` printed, in a form that the client alone writes. The check of
the auto mode leaves a denial in the place of a tool's result; of these denials only those are meant that say that the check's own
request was stopped, for all others are decisions and no refusals (anthropics/claude-code#87850).
"""

import re
from typing import Any, NamedTuple

from proxy.core.message import parse, table
from proxy.core.message import text as plain
from proxy.importers import wording
from proxy.importers.line import Line
from proxy.importers.wording import Finding
from schemas.labels import Kind, Role

_COMPACTION = re.compile(
    r"<local-command-std(?:out|err)>(?:Error: )?(Error during compaction: API Error: .*?)(?:</local-command-std\w+>)?\Z",
    re.DOTALL,
)
_PRINTED = b'"<local-command-std'
"""How older versions had it: as something that the user said."""
_CHECK = b"safety check separate from auto mode"
_DENIED = "Permission for this action was denied by the Claude Code auto mode classifier"


class Side(NamedTuple):
    """A request beside the conversation that was declined."""

    role: Role
    finding: Finding
    request_id: str | None = None


def side(line: Line) -> Side | None:
    """What a line tells of one; None for nearly all lines."""
    if line.type == "system" and line.subtype == "local_command":
        return _compaction(bytes(line.content))
    if line.type == "user" and line.message and memoryview(line.message.content)[: len(_PRINTED)] == _PRINTED:
        return _compaction(bytes(line.message.content))
    if line.type == "user" and line.message and _CHECK in memoryview(line.message.content).tobytes():
        return _check(bytes(line.message.content))
    return None


def _compaction(content: bytes) -> Side | None:
    said = plain(parse(b'{"content":%s}' % (content or b"null")).get("content"))
    found = _COMPACTION.match(said or "")
    finding = wording.judge(found[1]) if found else None
    return Side(Role.COMPACTION, finding, wording.request_id(found[1])) if found and finding else None


def _check(content: bytes) -> Side | None:
    blocks = parse(b'{"content":%s}' % content).get("content")
    for block in map(table, blocks if isinstance(blocks, list) else ()):
        if block.get("type") == "tool_result" and block.get("is_error") is True and _is_stopped(block.get("content")):
            return Side(Role.CLASSIFIER, Finding(Kind.REFUSAL, "rule:auto_mode_check", 0.7))
    return None


def _is_stopped(content: Any) -> bool:
    said = (
        content
        if isinstance(content, str)
        else "".join(plain(table(block).get("text")) or "" for block in (content if isinstance(content, list) else ()))
    )
    return said.startswith(_DENIED) and _CHECK.decode() in said[:2000]
