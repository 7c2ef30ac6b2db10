"""One line of a Claude Code transcript, or of ``claude -p --output-format stream-json``: the members that matter, of either spelling.

Of a line that cannot matter msgspec only finds its end, without making anything of it: that is what makes reading fast. Where a
member is not of the type that it should be, or the bytes are not UTF-8, the line is read once more, leniently.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from proxy.core.message import parse, table, text

NOTHING = Raw()


class Said(Struct, kw_only=True):
    """``message``: what the API answered, or what was said to it."""

    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_details: Raw = NOTHING
    usage: Raw = NOTHING
    content: Raw = NOTHING


class Line(Struct, kw_only=True, rename="camel"):
    """See the head of the module. A member that is missing is empty."""

    type: str = ""
    subtype: str | None = None
    uuid: str | None = None
    parent_uuid: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    is_sidechain: bool | None = None
    is_meta: bool | None = None
    is_virtual: bool | None = None
    """Of the client's note: there was nothing in the answer that it could go on from."""
    is_api_error_message: bool | None = None
    api_error_status: int | None = None
    timestamp: str | None = None
    version: str | None = None
    entrypoint: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    request_id: str | None = None
    message: Said | None = None
    content: Raw = NOTHING
    original_model: str | None = None
    fallback_model: str | None = None
    api_refusal_category: str | None = None
    api_refusal_explanation: str | None = None
    retracted_message_uuids: list[str] | None = None
    supersedes_uuids: list[str] | None = None
    refused_message_id: str | None = None
    refusing_model: str | None = None
    forked_from: Raw = NOTHING
    """Of a copy out of another session: that session, and the line there."""
    params: Raw = NOTHING
    """Of an ``api-request`` (2.1.330): what was asked for, its ``model`` among it."""

    @property
    def original_uuid(self) -> str | None:
        """Its own; of a copy that of the line that it was copied from."""
        return text(parse(bytes(self.forked_from)).get("messageUuid")) if self.forked_from else self.uuid


_LINE = msgspec.json.Decoder(Line)
_TEXTS = [field for field in msgspec.structs.fields(Line) if field.type == str | None or field.type is str]
_RAW = [field for field in msgspec.structs.fields(Line) if field.type is Raw]
_SNAKE = {
    "session_id": "sessionId",
    "request_id": "requestId",
    "original_model": "originalModel",
    "fallback_model": "fallbackModel",
    "api_refusal_category": "apiRefusalCategory",
    "api_refusal_explanation": "apiRefusalExplanation",
    "retracted_message_uuids": "retractedMessageUuids",
    "supersedes": "supersedesUuids",
    "refused_message_id": "refusedMessageId",
    "refusing_model": "refusingModel",
    "is_virtual": "isVirtual",
    "is_api_error_message": "isApiErrorMessage",
    "claude_code_version": "version",
    "parent_tool_use_id": "agentId",
}
"""How stream-json spells what a transcript has. A sub-agent is known there by the call that started it."""


def read_line(data: bytes) -> Line | None:
    """A line of a transcript; None where it is no JSON object."""
    try:
        return _LINE.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        members = parse(data)
        return made(members) if members else None


def read_streamed(data: bytes) -> Line | None:
    """A line of stream-json; None where it is no JSON object."""
    members = parse(data)
    return made({_SNAKE.get(name, name): value for name, value in members.items()}) if members else None


def made(members: dict[str, Any]) -> Line:
    """A line of what JSON gave; what has the wrong type is not there."""
    line = Line()
    for field in _TEXTS:
        if (value := text(members.get(field.encode_name))) is not None:
            setattr(line, field.name, value)
    for field in _RAW:
        setattr(line, field.name, _raw(members.get(field.encode_name)))
    for name in ("is_sidechain", "is_meta", "is_virtual", "is_api_error_message"):
        setattr(line, name, members.get(_camel(name)) is True)
    for name in ("retracted_message_uuids", "supersedes_uuids"):
        value = members.get(_camel(name))
        setattr(line, name, [item for item in value if isinstance(item, str)] if isinstance(value, list) else None)
    status = members.get("apiErrorStatus")
    line.api_error_status = status if type(status) is int else None
    if said := table(members.get("message")):
        line.message = _said(said)
    return line


def texts(raw: Raw) -> list[str]:
    """The texts of a content: of a string, or of its text blocks."""
    content = _lenient(raw)
    if isinstance(content, str):
        return [content]
    blocks = [table(block) for block in content] if isinstance(content, list) else []
    return [found for block in blocks if block.get("type") == "text" and (found := text(block.get("text"))) is not None]


def types(raw: Raw) -> list[str]:
    """The types of a content's blocks; a string is a ``text``."""
    if bytes(memoryview(raw)[:1]) == b'"':
        return ["text"]
    try:
        return [block.type for block in _TYPES.decode(raw)]
    except (msgspec.MsgspecError, UnicodeError):
        content = _lenient(raw)
        return [text(table(block).get("type")) or "" for block in content] if isinstance(content, list) else []


def marks(raw: Raw) -> tuple[int, ...]:
    """A number for what each block of a content says, by which it is known again in this process; none where the blocks cannot be told apart."""
    data = bytes(raw)
    if data[:1] == b'"':
        return (hash(data),)
    try:
        return tuple(map(_said_in, _BLOCKS.decode(data)))
    except (msgspec.MsgspecError, UnicodeError):
        return ()


class _Type(Struct):
    type: str = ""


class _Block(Struct):
    """What a block says is in one of these, the id of its call left out."""

    type: str = ""
    text: Raw = NOTHING
    content: Raw = NOTHING
    source: Raw = NOTHING


_TYPES = msgspec.json.Decoder(list[_Type])
_BLOCKS = msgspec.json.Decoder(list[_Block])


def _said_in(block: _Block) -> int:
    if block.type == "text":
        return hash(bytes(block.text))
    return hash((block.type, bytes(block.content), bytes(block.source)))


def _lenient(raw: Raw) -> Any:
    return parse(b'{"content":' + bytes(raw) + b"}").get("content") if raw else None


def _said(members: dict[str, Any]) -> Said:
    return Said(
        id=text(members.get("id")),
        model=text(members.get("model")),
        stop_reason=text(members.get("stop_reason")),
        stop_details=_raw(members.get("stop_details")),
        usage=_raw(members.get("usage")),
        content=_raw(members.get("content")),
    )


def _raw(given: object) -> Raw:
    from proxy.core.segment import to_json

    return NOTHING if given is None else Raw(to_json(given))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
