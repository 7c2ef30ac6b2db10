"""Chains: what a model, and the ones after it, do with one request; small enough to read, and for hypothesis to make up.

A chain is played by a scripted API: each model has one hop, and answers every request for it alike, but that it may reject an appended
assistant turn. Streamed or not, the same description gives the answer in both forms.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

from scripted import Answering, Json, Request, Script, failure

PRIMARY = "claude-fable-5"
SECOND = "claude-opus-4-8"
THIRD = "claude-opus-5"
TARGETS = (SECOND, THIRD, "claude-sonnet-5")
EXPLANATION = "This request was declined because it could enable cyber harm."
ASKED: Json = {"max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
TOOLS = ("tool_use",)
"""Kinds of block that the client has to act on."""


class Block(NamedTuple):
    """One content block, its text in the parts in which it is streamed."""

    kind: str
    parts: tuple[str, ...] = ()

    def taken_apart(self, name: str) -> tuple[Json, list[Json]]:
        """What its start carries, and the deltas that fill it."""
        text = [{"type": "text_delta", "text": part} for part in self.parts]
        match self.kind:
            case "text":
                return {"type": "text", "text": ""}, text
            case "cited":
                return {"type": "text", "text": "", "citations": []}, [_CITED, *text]
            case "thinking":
                deltas: list[Json] = [{"type": "thinking_delta", "thinking": part} for part in self.parts]
                signed = {"type": "signature_delta", "signature": f"c2ln{name}"}
                return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
            case "redacted_thinking":
                return {"type": "redacted_thinking", "data": f"cmVk{name}"}, []
            case "tool_use":
                return {"type": "tool_use", "id": f"toolu_{name}", "name": "Bash", "input": {}}, self._input()
            case "server_tool_use":
                start = {"type": "server_tool_use", "id": f"srvtoolu_{name}", "name": "web_search", "input": {}}
                return start, self._input()
        return _FOUND | {"tool_use_id": f"srvtoolu_{name}"}, []

    def whole(self, name: str) -> Json:
        """As one message has it."""
        block, deltas = self.taken_apart(name)
        for delta in deltas:
            key, value = next((key, value) for key, value in delta.items() if key != "type")
            if key == "partial_json":
                block["input"] = self._argument() if self.parts else {}
            elif key == "citation":
                block["citations"] = [value]
            else:
                block[key] = block.get(key, "") + value
        return block

    def _argument(self) -> Json:
        return {"command": "".join(self.parts)}

    def _input(self) -> list[Json]:
        written = json.dumps(self._argument(), ensure_ascii=False) if self.parts else ""
        pieces = ["", written[:7], written[7:]]
        return [{"type": "input_json_delta", "partial_json": piece} for piece in pieces[: 3 if self.parts else 1]]


_CITATION = {
    "type": "char_location",
    "cited_text": "é",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 1,
    "file_id": None,
}
_CITED: Json = {"type": "citations_delta", "citation": _CITATION}
_FOUND: Json = {
    "type": "web_search_tool_result",
    "content": [
        {
            "type": "web_search_result",
            "title": "Eclipses",
            "url": "https://www.example.com/",
            "encrypted_content": "ZW5j",
            "page_age": None,
        }
    ],
}


def text(*parts: str) -> Block:
    return Block("text", parts)


def thinking(*parts: str) -> Block:
    return Block("thinking", parts)


def tool(*parts: str) -> Block:
    return Block("tool_use", parts)


class Hop(NamedTuple):
    """What one model does when it is asked."""

    blocks: tuple[Block, ...] = (text("Served", " here."),)
    stop: str = "end_turn"
    open: bool = False
    """The last block has no stop event."""
    category: str | None = "cyber"
    explanation: str | None = EXPLANATION
    token: str = "given"
    """Of a refusal: "given", "null" or "absent"."""
    claim: bool | str | None = True
    """Of a refusal; "absent": not there at all."""
    details: bool = True
    """A refusal says more than that it is one."""
    status: int = 200
    end: str = "whole"
    """Or the connection closes: before the "head", after the "start", in the "middle" of the last block, or after the message_"delta".
    "error": an error event is the end."""
    prefill: str = "taken"
    """Or an appended turn is "refused", or "longer refused": one longer than was taken before; "strict": the API's own rule."""
    usage: str = "plain"
    alias: bool = False
    """The model gives itself another name than it was asked by."""
    transformed: bool = False
    """``message_start`` has ``input_transformations``."""
    pings: bool = False
    at_once: bool = False
    """``message_start`` and ``message_delta`` both have all that is told of usage."""

    def __repr__(self) -> str:
        """What is not usual of it."""
        return _told(self)

    @property
    def is_whole(self) -> bool:
        """Whether it answers, and the answer comes to its end."""
        return self.status == 200 and self.end == "whole"

    @property
    def refuses(self) -> bool:
        return self.stop == "refusal" and self.status == 200 and self.end in {"whole", "delta"}

    def events(self, number: int, model: str) -> list[Json]:
        """Up to where the connection closes."""
        opening: list[Json] = [{"type": "message_start", "message": self._opening(number, model)}]
        opening += [{"type": "ping"}] if self.pings else []
        if self.end == "start":
            return opening
        content = list(self._content(number))
        if self.end == "middle":
            return [*opening, *content[:-2]]
        if self.end == "error":
            return [*opening, *content, {**failure(529), "request_id": None}]
        delta = {"type": "message_delta", "delta": self._ending(number), "usage": self._usage(number)[1]}
        return [*opening, *content, delta] + ([{"type": "message_stop"}] if self.end == "whole" else [])

    def message(self, number: int, model: str) -> Json:
        """As an answer in one piece."""
        blocks = [block.whole(self._name(number, index)) for index, block in enumerate(self.blocks)]
        usage = self.twin()._usage(number)[1]
        return self._opening(number, model) | {"content": blocks, **self._ending(number), "usage": usage}

    def twin(self) -> Self:
        """See ``Chain.twin``."""
        return self._replace(blocks=() if self.refuses else self.blocks, open=False, at_once=True)

    def _opening(self, number: int, model: str) -> Json:
        opening: Json = {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": f"{model}-20261101" if self.alias else model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "usage": self._usage(number)[0],
        }
        dropped = [{"type": "thinking_dropped", "message_index": number, "reason": "model_binding_mismatch"}]
        return opening | ({"input_transformations": dropped} if self.transformed else {})

    def _content(self, number: int) -> Iterator[Json]:
        for index, block in enumerate(self.blocks):
            start, deltas = block.taken_apart(self._name(number, index))
            yield {"type": "content_block_start", "index": index, "content_block": start}
            if self.pings:
                yield {"type": "ping"}
            left_open = self.open and index == len(self.blocks) - 1
            cut_off = left_open and block.kind in {"tool_use", "server_tool_use"}
            for delta in deltas[: -1 if cut_off else None]:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            if not left_open:
                yield {"type": "content_block_stop", "index": index}

    def _name(self, number: int, index: int) -> str:
        """A search and what it found share a name."""
        found = self.blocks[index].kind == "web_search_tool_result"
        return f"{number}{index - 1 if found else index}"

    def _ending(self, number: int) -> Json:
        ending: Json = {"stop_reason": self.stop, "stop_sequence": None, "stop_details": None}
        return ending | ({"stop_details": self._details(number)} if self.stop == "refusal" and self.details else {})

    def _details(self, number: int) -> Json:
        credit: dict[str, Json] = {
            "given": {"fallback_credit_token": f"tok_{number}"},
            "null": {"fallback_credit_token": None},
        }
        claim: Json = {} if self.claim == "absent" else {"fallback_has_prefill_claim": self.claim}
        said: Json = {"type": "refusal", "category": self.category, "explanation": self.explanation}
        return said | credit.get(self.token, {}) | claim

    def _usage(self, number: int) -> tuple[Json, Json]:
        """In ``message_start`` and in ``message_delta``."""
        tokens = {"input_tokens": 100 + number, "cache_creation_input_tokens": 7, "cache_read_input_tokens": number}
        done = 10 + number
        split = {"cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 0}}
        start: Json = tokens | {"output_tokens": 1}
        start |= split if self.usage != "plain" else {}
        delta = _DELTAS[self.usage](tokens, done)
        whole = start | {key: value for key, value in delta.items() if value is not None}
        return (whole, whole) if self.at_once else (start, delta)


_DELTAS: dict[str, Any] = {
    "plain": lambda tokens, done: {"output_tokens": done},
    "full": lambda tokens, done: tokens | {"output_tokens": done, "output_tokens_details": {"thinking_tokens": 3}},
    "nulls": lambda tokens, done: dict.fromkeys(tokens) | {"output_tokens": done, "server_tool_use": None},
    "zero": lambda tokens, done: {"input_tokens": 0, "output_tokens": 0, "iterations": None},
    "own": lambda tokens, done: {"output_tokens": done, "iterations": [_iteration(done)]},
    "named": lambda tokens, done: {"output_tokens": done, "iterations": [_iteration(done) | {"model": "claude-named"}]},
    "looped": lambda tokens, done: {"output_tokens": done, "iterations": [_iteration(1), _iteration(done)]},
}
USAGES = tuple(_DELTAS)
"""Kinds of usage: with and without cache fields, nulls, and the iterations that a model may report of itself."""


def _iteration(output_tokens: int) -> Json:
    counts = {"input_tokens": 5, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    return {"type": "message", **counts, "output_tokens": output_tokens, "cache_creation": None}


def refusal(*blocks: Block, **more: Any) -> Hop:
    """A hop that refuses, after ``blocks``."""
    return Hop(blocks=blocks, stop="refusal", **more)


class Chain(NamedTuple):
    """One request, and the hops of the models that may be asked: the primary, then one for each entry."""

    hops: tuple[Hop, ...]
    streamed: bool = True
    patches: tuple[Json, ...] = ({}, {}, {})
    """What each entry changes of the request besides its model; None removes a key."""
    targets: tuple[str, ...] = TARGETS
    asked: Json = ASKED
    betas: tuple[str, ...] = ()
    gzip: bool = False
    sizes: tuple[int, ...] = ()

    def __repr__(self) -> str:
        """What is not usual of it."""
        return _told(self)

    @property
    def request(self) -> Json:
        return {"model": PRIMARY, **self.asked}

    @property
    def entries(self) -> list[Json]:
        """The fallbacks, as the SDK takes them."""
        asked = zip(self.targets, self.patches, self.hops[1:], strict=False)
        return [{"model": model, **patch} for model, patch, _ in asked]

    def until(self, number: int) -> Self:
        """The chain that ends with that hop."""
        return self._replace(hops=self.hops[: number + 1])

    def twin(self) -> Self:
        """The same in a stream: nobody says anything before a refusal, and usage is told at once."""
        return self._replace(hops=tuple(hop.twin() for hop in self.hops), streamed=True)

    def answering(self) -> Answering:
        """How an API answers that plays this chain once."""
        taken = 0

        def answer(request: Request) -> Script:
            nonlocal taken
            number = [PRIMARY, *self.targets].index(request.body["model"])
            appended = request.body["messages"][len(self.asked["messages"]) :]
            content = appended[0]["content"] if appended else []
            counted = len(tidied(content))
            if _rejects(self.hops[number].prefill, content, counted, taken):
                return Script(status=400, message=failure(400, "the appended turn"))
            if self.hops[number].status == 200:
                taken = counted
            return self._script(number, request.body["model"])

        return answer

    def _script(self, number: int, model: str) -> Script:
        hop = self.hops[number]
        if hop.status != 200:
            return Script(status=hop.status, message=failure(hop.status))
        if hop.end == "head":
            return Script(hang_up=True)
        if not self.streamed:
            cut = None if hop.is_whole else 40
            return Script(message=hop.message(number, model), cut=cut, gzip=self.gzip, sizes=self.sizes)
        events = hop.events(number, model)
        cut = None if hop.end in {"whole", "error"} else len(events)
        return Script(events=events, cut=cut, gzip=self.gzip, sizes=self.sizes)


def _told(what: Any) -> str:
    usual = what._field_defaults
    unusual = {name: value for name, value in what._asdict().items() if name not in usual or value != usual[name]}
    return f"{type(what).__name__}({', '.join(f'{name}={value!r}' for name, value in unusual.items())})"


def tidied(content: list[Json]) -> list[Json]:
    """An appended turn as the API asks for it: no blank text, no search without its result, no thinking or white space at its end."""
    found = {block.get("tool_use_id") for block in content}
    kept = [block for block in content if block.get("text", "text").strip() and _paired(block, found)]
    while kept and kept[-1]["type"] in {"thinking", "redacted_thinking"}:
        kept.pop()
    if kept and "text" in kept[-1]:
        kept[-1] = kept[-1] | {"text": kept[-1]["text"].rstrip()}
    return kept


def _paired(block: Json, found: set[Any]) -> bool:
    return block["type"] != "server_tool_use" or block["id"] in found


def _rejects(prefill: str, content: list[Json], counted: int, taken: int) -> bool:
    """Whether an appended turn is rejected. But for "strict" it is judged without what should not be in it."""
    if prefill == "strict" and content:
        last = content[-1]
        return last.get("text", "").endswith((" ", "\n")) or last["type"] in TOOLS or "thinking" in last["type"]
    return counted > {"refused": 0, "longer refused": taken}.get(prefill, counted)
