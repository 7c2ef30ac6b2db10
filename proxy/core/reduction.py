"""A request body with parts left out that the Messages API still takes.

A part is what can only go together: a call of a tool and its result; each other block of a message, each part of the system prompt, each tool
by itself. What is left stands in its old bytes. The rules, from Anthropic's reference ("Messages", "Tool use", "Preserved thinking"):

- The first message stays, and roles go on alternating: messages that were emptied go whole, in pairs; one that has to stand holds a
  placeholder. A message of role ``system`` stays behind a message.
- Thinking is bound to all that stood before it, and may only be left out from an end. So without anything else all of it goes; it is a part
  of its own, which may be the only one to go. Where ``thinking`` is of type ``enabled`` it stays instead: such models do not look at what it is
  bound to, but need it before a call.
- A tool that is still called, or named, keeps its name and loses its description, its schema and ``strict``, which asks for more of a schema. Tools of Anthropic's own, which have no text, stay.
- The attribution block stays as it is, first and alone.

Parts can be searched further by the lines of their texts: a run of lines that is left out leaves a placeholder. Lines are numbered from 1, through
all texts of one value (see ``proxy.core.excision``).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from proxy.core.excision import PLACEHOLDER, texts_of, without_lines
from proxy.core.message import table
from proxy.core.segment import string, to_json
from proxy.core.verbatim import Value, items, members, spliced

THOUGHT = ("thinking", "redacted_thinking")

_ATTRIBUTION = "x-anthropic-billing-header"
_DESCRIBING = ("description", "input_schema", "input_examples", "strict")


class Part(NamedTuple):
    """What is left out as one."""

    paths: tuple[str, ...]
    """Of its segments, as ``proxy.core.context`` names them."""
    lines: int
    """How many its texts have."""


class Block(NamedTuple):
    """A block of a message or of the system prompt, or a tool."""

    path: str
    place: Value
    value: Any


class _Message(NamedTuple):
    number: int
    role: str | None
    place: Value
    content: Value
    blocks: list[Block]


class Reduction:
    """See the head of the module. Raises ValueError where the body cannot be taken apart for certain."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._text = body.decode()
        self._body = members(self._text)
        if not isinstance(self._body.get("messages", _NOTHING).value, list):
            raise ValueError("the request has no messages")  # noqa: TRY004 - it is the body's fault, not a caller's
        self._system = self._blocks("system", self._body.get("system", _NOTHING))
        self._tools = self._blocks("tools", self._body.get("tools", _NOTHING))
        self._messages = [
            self._message(n, one) for n, one in enumerate(items(self._text, self._body["messages"].start))
        ]
        self._keeps_thinking = string(self._body.get("thinking", _NOTHING).value, "type") == "enabled"
        spoken = [block for message in self._messages for block in message.blocks]
        self._by_path = {block.path: block for block in (*self._system, *self._tools, *spoken)}
        self.thinking = tuple(block.path for block in spoken if _kind(block) in THOUGHT and not self._keeps_thinking)
        self.attribution = [line for block in self._system if _is_attribution(block) for line in self.texts(block.path)]
        """The lines of the attribution block."""
        self.parts = list(self._parts(spoken))
        """All that can be left out: of the thinking, then of the messages, the tools and the system prompt, each from the last to the first."""

    def texts(self, path: str) -> list[str]:
        """The lines of a segment."""
        return [line for text in texts_of(self._by_path[path].value) for line in text.split("\n")]

    def in_order(self, paths: Iterable[str]) -> list[str]:
        """These paths, as they stand in the body."""
        return sorted(paths, key=lambda path: self._by_path[path].place.start)

    def without(self, paths: Collection[str], lines: Mapping[str, Collection[int]] | None = None) -> bytes:
        """The body without these segments, and without these lines of others; nothing left out is the body itself."""
        cut = {path: numbers for path, numbers in (lines or {}).items() if numbers}
        if not paths and not cut:
            return self.body
        left = _Left({*paths, *self.thinking}, cut)
        changes = [
            (self._body[name], made)
            for name, made in (
                ("system", self._prompt(left)),
                ("tools", self._defined(left)),
                ("messages", self._history(left)),
            )
            if made is not None
        ]
        return spliced(self._text, changes).encode()

    def _blocks(self, path: str, place: Value) -> list[Block]:
        """The items of an array; a string as one."""
        if isinstance(place.value, str):
            return [Block(path, place, place.value)]
        if not isinstance(place.value, list):
            return []
        return [Block(f"{path}[{n}]", one, one.value) for n, one in enumerate(items(self._text, place.start))]

    def _message(self, n: int, place: Value) -> _Message:
        found = members(self._text, place.start)
        content = found.get("content", _NOTHING)
        blocks = self._blocks(f"messages[{n}].content", content)
        if not blocks:
            raise ValueError(f"messages[{n}] holds nothing")
        return _Message(n, string(place.value, "role"), place, content, blocks)

    def _parts(self, spoken: Sequence[Block]) -> Iterator[Part]:
        if self.thinking:
            yield Part(self.thinking, 1)
        pairs: dict[str, list[str]] = {}
        for block in spoken:
            if _kind(block) not in (*THOUGHT, "fallback"):
                pairs.setdefault(_pair(block) or block.path, []).append(block.path)
        yield from (self._part(paths) for paths in sorted(pairs.values(), key=self._order, reverse=True))
        yield from (self._part([block.path]) for block in reversed(self._tools) if _is_described(block))
        yield from (self._part([block.path]) for block in reversed(self._system) if not _is_attribution(block))

    def _part(self, paths: Sequence[str]) -> Part:
        return Part(tuple(paths), max(1, sum(len(self.texts(path)) for path in paths)))

    def _order(self, paths: Sequence[str]) -> int:
        return max(self._by_path[path].place.start for path in paths)

    def _prompt(self, left: "_Left") -> str | None:
        if not left.touches(self._system):
            return None
        kept = [self._written(block, left) for block in self._system if block.path not in left.paths]
        return self._listed(self._body["system"], kept or [_placeholder(self._body["system"])])

    def _defined(self, left: "_Left") -> str | None:
        """The tools; of one that is still needed its name."""
        if not left.touches(self._tools):
            return None
        needed, kept = self._needed(left), []
        for block in self._tools:
            if block.path not in left.paths:
                kept.append(self._written(block, left))
            elif string(block.value, "name") in needed:
                kept.append(to_json(_stub(block.value)).decode())
        if not kept and "tool_choice" in self._body:
            kept = [to_json(_stub(self._tools[0].value)).decode()]
        return self._listed(self._body["tools"], kept)

    def _needed(self, left: "_Left") -> set[str | None]:
        """The names of the tools that the rest of the request calls or names."""
        needed = {string(self._body.get("tool_choice", _NOTHING).value, "name")}
        for message in self._messages:
            for block in message.blocks:
                if block.path not in left.paths:
                    needed.add(string(block.value, "name"))
                    needed.update(_referenced(block.value))
        return needed - {None}

    def _history(self, left: "_Left") -> str | None:
        if not any(left.touches(message.blocks) for message in self._messages):
            return None
        rest = {message.number: self._rest(message, left) for message in self._messages}
        standing = _standing([(message.number, message.role, bool(rest[message.number])) for message in self._messages])
        return f"[{','.join(self._shown(self._messages[n], rest[n], left) for n in standing)}]"

    def _rest(self, message: _Message, left: "_Left") -> list[str]:
        """The blocks that are left; none where these would say nothing."""
        kept = [block for block in message.blocks if block.path not in left.paths]
        says = any(_kind(block) not in (*THOUGHT, "fallback") for block in kept)
        return [self._written(block, left) for block in kept] if says or len(kept) == len(message.blocks) else []

    def _shown(self, message: _Message, rest: list[str], left: "_Left") -> str:
        whole = self._text[message.place.start : message.place.end]
        if not left.touches(message.blocks):
            return whole
        place = message.content
        content = self._listed(place, rest or [_placeholder(place)])
        return self._text[message.place.start : place.start] + content + self._text[place.end : message.place.end]

    def _listed(self, place: Value, values: list[str]) -> str:
        return values[0] if isinstance(place.value, str) else f"[{','.join(values)}]"

    def _written(self, block: Block, left: "_Left") -> str:
        numbers = left.lines.get(block.path)
        if not numbers:
            return self._text[block.place.start : block.place.end]
        return to_json(without_lines(block.value, numbers)).decode()


class _Left(NamedTuple):
    """What is left out: segments by their paths, and lines of others."""

    paths: set[str]
    lines: dict[str, Collection[int]]

    def touches(self, blocks: Sequence[Block]) -> bool:
        return any(block.path in self.paths or block.path in self.lines for block in blocks)


_NOTHING = Value(None, 0, 0, 0)


def _standing(messages: Sequence[tuple[int, str | None, bool]]) -> list[int]:
    """The numbers of the messages that stand. Each is given with its role, and whether anything is left of it.

    Between two that stand, emptied ones stand only where a role would follow itself, which it did not before; and where a message of
    role ``system`` would have nothing of its own to stand behind.
    """
    standing: list[int] = []
    roles: list[str | None] = []
    last: str | None = None
    emptied: list[tuple[int, str | None]] = []

    def stand(n: int, role: str | None) -> None:
        nonlocal last
        between = next((one for one in reversed(emptied) if one[1] != role), None)
        if last == role and between:
            standing.append(between[0])
            roles.append(between[1])
        emptied.clear()
        standing.append(n)
        roles.append(role)
        last = role

    for n, role, says in messages:
        if role == "system":
            if says:
                if emptied and (emptied[-1][1] != last or roles[-1] == "system"):
                    stand(*emptied.pop())
                emptied.clear()
                standing.append(n)
                roles.append(role)
        elif says or not standing:
            stand(n, role)
        else:
            emptied.append((n, role))
    if emptied and emptied[-1][1] != last:
        stand(*emptied.pop())
    return standing


def _kind(block: Block) -> str | None:
    return string(block.value, "type")


def _pair(block: Block) -> str | None:
    """What a call and its result have in common."""
    kind = _kind(block) or ""
    if kind.endswith("tool_use"):
        return string(block.value, "id")
    return string(block.value, "tool_use_id")


def _is_attribution(block: Block) -> bool:
    text = block.value if isinstance(block.value, str) else string(block.value, "text") or ""
    return text.startswith(_ATTRIBUTION)


def _is_described(block: Block) -> bool:
    """Whether it is a tool of the client's: one with a name and a schema of its own."""
    return string(block.value, "name") is not None and isinstance(table(block.value).get("input_schema"), dict)


def _stub(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool of which only the name is left, and how it is treated."""
    kept = {key: member for key, member in tool.items() if key not in _DESCRIBING}
    return {**kept, "description": PLACEHOLDER, "input_schema": {"type": "object"}}


def _placeholder(place: Value) -> str:
    value: Any = PLACEHOLDER if isinstance(place.value, str) else {"type": "text", "text": PLACEHOLDER}
    return to_json(value).decode()


def _referenced(value: Any) -> Iterator[str]:
    """The tools that a result of a search for tools names."""
    content = table(value).get("content")
    for one in content if isinstance(content, list) else table(content).get("tool_references") or ():
        if name := string(one, "tool_name"):
            yield name
