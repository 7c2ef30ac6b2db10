"""A declined request once more, with its last turn put differently, openly: the owner's note added, or a part left out.

Rephrasing answers a safeguard that mistook a request. It adds what its owner wrote, leaves out a part and says so in its place, or
(``proxy.core.restate``) puts the same text more plainly. Nothing is hidden, encoded or claimed. Every function takes the body as
it was sent, decompressed, and gives the new one with the two texts side by side, or says why there is none; none raises.

The body is cut by ``proxy.core.context`` and joined again with one part exchanged: all other bytes stay as they were. Only the last
turn of the user is ever touched, which no thinking block before it is bound to (PROTOCOL 2.6). A request with a checksum in its
attribution block is left alone: the checksum covers the messages, and a new one would be a forgery (PROTOCOL 5.4). So is what a client asks by itself
(a title, a summary, whether a command is safe to run): nobody typed it, and a note or a gap in it would mislead who judges by it.
"""

import re
from json import JSONDecoder
from typing import Any, NamedTuple

from proxy.core.asker import Asker
from proxy.core.context import Split, join, split
from proxy.core.inserted import skill
from proxy.core.message import table
from proxy.core.segment import string, to_json
from schemas.labels import Role
from schemas.records import Segment


class Rephrased(NamedTuple):
    """A request to send in place of the declined one."""

    body: bytes
    original: str
    """What stood there: the last user text, or what was left out."""
    sent: str
    """What stands there now. Both are for the record, and may hold secrets."""


class Declined(NamedTuple):
    """There is no such request."""

    why: str
    """One line, without a word of the request's."""


class Block(NamedTuple):
    """A text that is a message's whole content, or one block of a content."""

    at: int
    """Its place in the skeleton."""
    segment: Segment
    value: Any
    last: bool
    """Whether it stands in the last message of the user's."""


class Turn(NamedTuple):
    """What the user sent since the assistant's last message; the messages of role ``system`` among it are left out."""

    parts: Split
    blocks: list[Block]

    def typed(self) -> Block | None:
        """The last text that the person typed into the last message; None where that is only what tools and the client put in."""
        return next((block for block in reversed(self.blocks) if block.last and said(block.value)), None)

    def put(self, block: Block, data: bytes) -> bytes:
        """The body with ``data``, JSON, in place of a block."""
        skeleton = list(self.parts.skeleton or ())
        skeleton[block.at] = data
        return join(skeleton, self.parts.contents)


_REMINDER = "<system-reminder>"
_ATTRIBUTION, _CHECKSUM = b"x-anthropic-billing-header", b"cch="
_JSON = JSONDecoder(strict=False)
_STAND_IN = "[Left out by demur after a refusal: {}]"
_STOOD_IN = re.compile(re.escape(_STAND_IN).replace(r"\{\}", r"the result of .{1,200}"))
_NAME = re.compile(r"[\w.:/+-]{1,128}")
"""A tool's name or a media type."""
_MEDIA = {"document": "a", "image": "an"}
_BY_REFERENCE = frozenset({"url", "file"})
_PERSONS = frozenset({"AskUserQuestion", "ExitPlanMode"})
_SAID = re.compile(
    r"(?:The user doesn't want to|Permission for this tool use was denied|The user responded: |Your questions have been answered: )"
    r"|.*<system-reminder>\s*The user sent ",
    re.DOTALL,
)
"""Tools whose results are what a person said, and results in which Claude Code tells what a person said (strings of 2.1.197 and 2.1.330)."""
_SIDE = frozenset({Role.CLASSIFIER, Role.TITLE, Role.COMPACTION})
"""What a client asks by itself, as far as it can be told."""


def forbidden(body: bytes, who: Asker) -> str | None:
    """Why this request may never be rephrased, in one line; None where it may."""
    if who.role in _SIDE:
        return "the client asks this by itself: nobody typed it"
    turn = opened(body)
    return turn.why if isinstance(turn, Declined) else None


def scope_note(body: bytes, note: str) -> Rephrased | Declined:
    """With the owner's note, to the letter, as one more text block behind what the user said."""
    turn = opened(body)
    if isinstance(turn, Declined):
        return turn
    if not note.strip():
        return Declined("no scope note is written")
    block, own = turn.blocks[-1], turn.typed()
    data, added = turn.parts.contents[block.segment.content], to_json({"type": "text", "text": note})
    if block.segment.path.endswith("]"):
        data += b"," + added
    else:
        data = b'[{"type":"text","text":' + data + b"}," + added + b"]"
    original = said(own.value) if own else ""
    return Rephrased(turn.put(block, data), original, f"{original}\n\n{note}" if original else note)


def trim(body: bytes) -> Rephrased | Declined:
    """Without the newest result of a tool, document or image of the last turn; a text in its place says what it was, and its size.

    What an earlier trim left out is passed over. What the user typed, also into a tool's result, and the client's reminders stay.
    """
    turn = opened(body)
    if isinstance(turn, Declined):
        return turn
    for block in reversed(turn.blocks):
        if what := _candidate(block):
            instead = _STAND_IN.format(what)
            changed = to_json(_without(block.value, instead))
            return Rephrased(turn.put(block, changed), f"{what}\n\n{_told(block.value)}".rstrip(), instead)
    return Declined("the last turn has no tool result, document or image to leave out")


def said(value: object) -> str:
    """The text that a person typed: of a string or a text block that is not blank, no reminder of the client's and no skill. Else empty."""
    text = _text(value)
    return "" if text.isspace() or text.lstrip().startswith(_REMINDER) or skill(text) else text


def opened(body: bytes) -> Turn | Declined:
    """The last turn of the user, or why it is not to be touched."""
    try:
        messages = table(_JSON.decode(body.decode())).get("messages")
    except (ValueError, RecursionError):
        return Declined("the request is not JSON")
    parts = split(body, None)
    paths = [segment.path for segment in parts.segments]
    if len(set(paths)) != len(paths):
        return Declined("a key stands twice in the request")
    prompt = [parts.contents[segment.content] for segment in parts.segments if segment.path.startswith("system")]
    if any(map(_has_checksum, prompt)):
        return Declined("its attribution block has a checksum, which would no longer fit")
    return _last_turn(parts, messages if isinstance(messages, list) else [])


def _has_checksum(data: bytes) -> bool:
    text = to_json(_JSON.decode(data.decode()))
    return _ATTRIBUTION in text and _CHECKSUM in text


def _last_turn(parts: Split, messages: list[Any]) -> Turn | Declined:
    own = _own(messages)
    if not own:
        return Declined("the last message is not the user's own")
    places = [at for at, part in enumerate(parts.skeleton or ()) if isinstance(part, str)]
    found = {segment.path: (at, segment) for at, segment in zip(places, parts.segments, strict=True)}
    blocks: list[Block] = []
    for n in own:
        path = f"messages[{n}].content"
        values = _values(path, messages[n].get("content"))
        if [known for known in found if known.startswith(path)] != list(values):
            return Declined("a message of the last turn could not be read for certain")
        blocks.extend(Block(*found[path], value, last=n == own[-1]) for path, value in values.items())
    return Turn(parts, blocks) if blocks and blocks[-1].last else Declined("the last message of the user's is empty")


def _own(messages: list[Any]) -> list[int]:
    """The numbers of the user's messages since the last one that is neither theirs nor of role ``system``."""
    own: list[int] = []
    for n in range(len(messages) - 1, -1, -1):
        role = string(messages[n], "role")
        if role not in ("user", "system"):
            break
        if role == "user":
            own.insert(0, n)
    return own


def _values(path: str, content: object) -> dict[str, object]:
    """What a content holds, by the paths that ``split`` gives."""
    if isinstance(content, list):
        return {f"{path}[{n}]": value for n, value in enumerate(content)}
    return {path: content} if isinstance(content, str) else {}


def _candidate(block: Block) -> str | None:
    """What trim would leave out here, in words: ``the result of the tool Read, 12,345 bytes``."""
    kind, tool = string(block.value, "type"), block.segment.tool or ""
    if kind == "tool_result":
        content, told = block.value.get("content"), _told(block.value)
        if not content or _STOOD_IN.fullmatch(told) or tool in _PERSONS or _SAID.match(told):
            return None
        return f"the result of {f'the tool {tool}' if _NAME.fullmatch(tool) else 'a tool'}, {_size(content)}"
    return _medium(block.value) if kind in _MEDIA else None


def _without(value: dict[str, Any], instead: str) -> dict[str, Any]:
    """A tool's result, which must stay, with another content; a text block in place of a medium, with its cache breakpoint."""
    block = {"type": "text", "text": instead}
    if value["type"] == "tool_result":
        return {**value, "content": [block]}
    return block | {key: member for key, member in value.items() if key == "cache_control"}


def _medium(value: object) -> str:
    """A document or an image in words: ``a document, application/pdf, 48,120 bytes``."""
    kind, source = string(value, "type") or "", table(table(value).get("source"))
    media = string(source, "media_type") or ""
    size = "by reference" if string(source, "type") in _BY_REFERENCE else _size(source)
    return ", ".join([f"{_MEDIA[kind]} {kind}", *([media] if _NAME.fullmatch(media) else []), size])


def _size(value: object) -> str:
    return f"{sum(map(_bytes, value)) if isinstance(value, list) else _bytes(value):,} bytes"


def _bytes(value: object) -> int:
    """Of a text in UTF-8; of what is base64, decoded; of anything else as JSON."""
    holder = table(value)
    if string(holder.get("source"), "type") == "base64":
        holder = holder["source"]
    data, kind = string(holder, "data"), string(holder, "type")
    if data is not None and kind == "base64":
        return len(data.rstrip("=")) * 3 // 4
    text = data if data is not None and kind == "text" else _text(value)
    return len(text.encode("utf-8", "surrogatepass") if text else to_json(value))


def _told(value: object) -> str:
    """The text of a tool's result or of a document; media within it in words."""
    block = table(value)
    source = table(block.get("source"))
    content = source.get("content", source.get("data")) if string(source, "type") in ("text", "content") else None
    content = block.get("content", content)
    blocks = content if isinstance(content, list) else [content]
    return "\n\n".join(f"[{_medium(one)}]" if string(one, "type") in _MEDIA else _text(one) for one in blocks)


def _text(value: object) -> str:
    """The text of a string or of a text block; else an empty one."""
    if isinstance(value, str):
        return value
    return string(value, "text") or "" if string(value, "type") == "text" else ""
