"""The request of one hop: the client's own, addressed to another model; and what of an answer goes into it, or is cut out of it.

An entry of the fallback chain is a patch of the original request, never of an earlier hop's. The rules are those of the
anthropic SDK's middleware (2.12.0, ``BetaRefusalFallbackMiddleware``): a key that is set replaces, a key that is None is taken
off, ``output_config`` is patched one level deep, a carried ``between_tools`` becomes ``disabled``. What the middleware leaves
wrong in a continuation is done as the documentation asks ("Fallback credit"): no unpaired tool call, no blank end.

A member of the body that a hop does not change keeps its bytes, and so does a header, in its place and spelling. What is cut
out of an answer is found by its place in the JSON, never by its words alone, which may stand in any text.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from proxy.core.fitness import Unfit, fit
from proxy.core.headers import Headers, tokens
from proxy.core.message import parse, table
from proxy.core.segment import string, to_json
from proxy.core.sse import frames

Entry = Mapping[str, object]
"""A fallback: ``model``, and further members of the request that it sets, or with None takes off."""

CREDIT = b"fallback-credit-2026-07-01"
"""The beta that makes a refusal carry a credit token, and lets it be redeemed as an object."""

_ASKS_FOR_CREDIT = ("fallback-credit-", "server-side-fallback-")
_BETA = b"anthropic-beta"
_OPENED = ("thinking", "output_config", "tool_choice", "thread", "messages")
_PAIRED = ("server_tool_use", "mcp_tool_use")
_THOUGHT = ("thinking", "redacted_thinking")
_DATA = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|(?<=[\r\n]))data: ?([^\r\n]*)")
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+'
_TOKEN = re.compile(rb'(?P<key>%b")\s*+:|%b"|[{}\[\],]|[^\s{}\[\],:"]++' % (_STRING, _STRING), re.DOTALL)
_BLANKS = rb"(?:\s|data:)*+"
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


class Hop(NamedTuple):
    """What is sent upstream."""

    body: bytes
    headers: Headers
    changes: list[str]
    """What the target made necessary, in a few plain words each."""


def hop(
    body: bytes,
    headers: Headers,
    entry: Entry,
    *,
    token: str | None = None,
    continuation: Sequence[dict[str, Any]] = (),
    learned: Collection[str] = (),
) -> Hop | Unfit:
    """The client's request, its ``body`` decoded JSON, as it goes to the model of ``entry``.

    ``token`` is a fallback credit to redeem; ``continuation`` are the blocks of an assistant's turn to append; ``learned`` the
    fields that the model was seen to reject. Never raises: what cannot be read is unfit.
    """
    try:
        raw = _members(body)
        sent = {key: _value(member) if key in _OPENED else member for key, member in raw.items()}
        made = fit(patched(sent, entry), str(entry["model"]), tokens(headers, _BETA), learned)
        if isinstance(made, Unfit):
            return made
        if token:
            made.body["fallback_credit_token"] = {"token": token, "mode": "best_effort"}
        if continuation:
            history = made.body.get("messages")
            turn = {"role": "assistant", "content": list(continuation)}
            made.body["messages"] = [*(history if isinstance(history, list) else []), turn]
        data = msgspec.json.encode(_closed(made.body, sent, raw))
    except _UNREADABLE:
        return Unfit("the request could not be read")
    return Hop(data, _framed(_hop_betas(headers, made.betas, redeems=bool(token)), len(data)), made.changes)


def patched(original: Mapping[str, Any], entry: Entry) -> dict[str, Any]:
    """The original body with ``entry`` applied, as a new dict, without ``fallbacks``; what is not changed is the same object."""
    made = _patch(original, entry)
    made.pop("fallbacks", None)
    if "thinking" not in entry and string(original.get("thinking"), "type") == "between_tools":
        made["thinking"] = {"type": "disabled"}
    config = entry.get("output_config")
    if isinstance(config, dict):
        made["output_config"] = _patch(table(original.get("output_config")), config)
        if not made["output_config"]:
            del made["output_config"]
    return made


def _patch(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: member for key, member in {**base, **changes}.items() if key not in changes or member is not None}


def _members(body: bytes) -> dict[str, Raw]:
    """The body's members in their bytes; written anew where msgspec refuses it for a lone surrogate."""
    try:
        return msgspec.json.decode(body, type=dict[str, Raw])
    except msgspec.MsgspecError:
        found = parse(body)
    if not found:
        raise ValueError("no object")
    return {key: Raw(to_json(member)) for key, member in found.items()}


def _value(raw: Raw) -> Any:
    return json.loads(bytes(raw).decode("utf-8", "replace"))


def _closed(made: dict[str, Any], sent: dict[str, Any], raw: dict[str, Raw]) -> dict[str, Raw]:
    """Each member as JSON: in its old bytes where it is still the same object, and so with each message."""
    closed: dict[str, Raw] = {}
    for key, member in made.items():
        if member is sent.get(key):
            closed[key] = raw[key]
        elif key == "messages" and isinstance(member, list):
            closed[key] = _history(member, sent.get(key), raw.get(key, Raw()))
        else:
            closed[key] = Raw(to_json(member))
    return closed


def _history(messages: list[Any], sent: Any, raw: Raw) -> Raw:
    try:
        items = msgspec.json.decode(raw, type=list[Raw])
    except msgspec.MsgspecError:  # none, or written anew already for a lone surrogate
        items = []
    pieces = {id(message): item for message, item in zip(sent, items, strict=True)} if items else {}
    return Raw(msgspec.json.encode([pieces.get(id(message)) or Raw(to_json(message)) for message in messages]))


def armed_headers(headers: Headers, *, credit: bool) -> Headers:
    """The head of an armed exchange's first request: no encoding asked for, and with ``credit`` the beta for credit tokens.

    The beta joins those that the client sent, in one field; it is not added where the client sent this very one.
    """
    plain = _set(headers, b"Accept-Encoding", b"identity")
    return _with_credit(plain) if credit and CREDIT.decode() not in tokens(plain, _BETA) else plain


def asked_for_credit(headers: Headers) -> bool:
    """Whether the client itself sent a beta with which a refusal carries a credit token."""
    return any(token.startswith(_ASKS_FOR_CREDIT) for token in tokens(headers, _BETA))


def _with_credit(headers: Headers) -> Headers:
    sent = [value for name, value in headers if name.lower() == _BETA and value.strip()]
    return _set(headers, _BETA, b",".join([*sent, CREDIT]))


def _hop_betas(headers: Headers, kept: Collection[str], *, redeems: bool) -> Headers:
    """The betas less those that went, with their features; a field that names none of them keeps its bytes."""
    made: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        betas = value.split(b",") if name.lower() == _BETA else []
        stay = [beta for beta in betas if _stays(beta.strip().lower().decode("latin-1"), kept)]
        if stay or not betas:
            made.append((name, b",".join(stay).strip() if len(stay) < len(betas) else value))
    gone = tuple(made)
    return _with_credit(gone) if redeems and CREDIT.decode() not in tokens(gone, _BETA) else gone


def _stays(beta: str, kept: Collection[str]) -> bool:
    return not beta or (beta in kept and not beta.startswith("server-side-fallback-"))


def _framed(headers: Headers, length: int) -> Headers:
    """For a body of ``length`` bytes, neither encoded nor chunked."""
    gone = (b"transfer-encoding", b"content-encoding")
    return _set(tuple(field for field in headers if field[0].lower() not in gone), b"Content-Length", b"%d" % length)


def _set(headers: Headers, name: bytes, value: bytes) -> Headers:
    """The one field of this name, in the place and spelling of the first; at the end where there was none."""
    places = [n for n, (key, _) in enumerate(headers) if key.lower() == name.lower()]
    if not places:
        return (*headers, (name, value))
    return tuple((key, value if n == places[0] else old) for n, (key, old) in enumerate(headers) if n not in places[1:])


def continuation(blocks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content blocks of a refused answer, deltas applied, as the assistant's turn that the next model continues.

    Left out are seams, calls of the client's tools (no result can follow), calls of server tools without their result,
    empty texts, and at the end thinking and blanks. Empty where nothing can be continued. ``blocks`` are not changed.
    """
    answered = {string(block, "tool_use_id") for block in blocks if str(block.get("type")).endswith("_tool_result")}
    turn = [block for block in blocks if _continues(block, answered)]
    while turn and turn[-1].get("type") in _THOUGHT:
        turn.pop()
    if turn and turn[-1].get("type") == "text":
        turn[-1] = {**turn[-1], "text": turn[-1]["text"].rstrip()}
    return turn


def _continues(block: dict[str, Any], answered: Collection[object]) -> bool:
    kind = block.get("type")
    if kind == "text":
        return bool((string(block, "text") or "").strip())
    return kind not in ("fallback", "tool_use") and (kind not in _PAIRED or string(block, "id") in answered)


def cut(data: bytes, names: Collection[str]) -> bytes:
    """JSON, or server-sent events of it, without the named members of any ``stop_details``; all other bytes as they were.

    A member goes with one comma and the blanks beside it. Never raises. In what is no JSON the strings of these names are
    blanked instead, wherever they stand: a token never gets out.
    """
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return _cut(data, [(0, data)], names)
    return b"".join(_cut(frame.raw, _data(frame.raw), names) for frame in frames(data))


def _cut(raw: bytes, pieces: list[tuple[int, bytes]], names: Collection[str]) -> bytes:
    """``pieces`` of ``raw``, each with its place in it, are the lines of one JSON text."""
    text = b"\n".join(piece for _, piece in pieces)
    try:
        json.loads(text.decode("utf-8-sig", "replace"), strict=False)
    except (ValueError, RecursionError):
        return _blanked(raw, names)
    begins = list(accumulate((len(piece) + 1 for _, piece in pieces[:-1]), initial=0))
    kept, done = [], 0
    for span in sorted(_spans(text, names)):
        start, end = (pieces[n][0] + at - begins[n] for at in span for n in [bisect_right(begins, at) - 1])
        if start >= done:
            kept.append(raw[done:start])
            done = end
    return b"".join([*kept, raw[done:]])


def _data(frame: bytes) -> list[tuple[int, bytes]]:
    return [(line.start(1), line[1]) for line in _DATA.finditer(frame)]


def _blanked(raw: bytes, names: Collection[str]) -> bytes:
    for name in names:
        raw = re.sub(rb'("%b"%b:%b")(?:[^"\\]|\\.)*+' % (re.escape(name.encode()), _BLANKS, _BLANKS), rb"\1", raw)
    return raw


class _Member(NamedTuple):
    name: str
    comma: int
    """Where the comma before it stands."""
    start: int
    end: int


class _Level:
    """An object or an array that is being read."""

    def __init__(self, *, inside: bool) -> None:
        self.inside = inside
        self.members: list[_Member] = []
        self.key: str | None = None
        self.start = self.comma = 0


def _spans(text: bytes, names: Collection[str]) -> Iterator[tuple[int, int]]:
    """From where to where the named members stand in what is within a ``stop_details``; ``text`` is known to be JSON."""
    levels, end = [_Level(inside=False)], 0
    for found in _TOKEN.finditer(text):
        level, char = levels[-1], found[0][:1]
        if found["key"]:
            level.key, level.start = json.loads(found["key"].decode("utf-8", "replace"), strict=False), found.start()
        elif char in (b"{", b"["):
            levels.append(_Level(inside=level.inside or level.key == "stop_details"))
        elif char in (b",", b"}", b"]"):
            if level.key is not None:
                level.members.append(_Member(level.key, level.comma, level.start, end))
            level.comma = found.start()
            if char != b",":
                levels.pop()
                yield from _doomed(level.members, names) if level.inside else ()
        end = found.end()


def _doomed(members: list[_Member], names: Collection[str]) -> Iterator[tuple[int, int]]:
    kept = False
    for n, member in enumerate(members, 1):
        if member.name not in names:
            kept = True
        elif kept:
            yield member.comma, member.end
        else:
            yield member.start, members[n].start if n < len(members) else member.end
