"""What is new in a declined request, beside the last one of its conversation that was accepted: its candidates.

A segment is new where the accepted request had none that says the same. New ones are candidates for what set the refusal off, never more
than that: what had been accepted before may have tipped the scale as well. They are put in order by how foreign and how late they are:
first what came from outside (a tool's result, a document), then what the user or the user's files said, then what the client added, then
what the model itself had said, then the tools and the system prompt; among equals the latest first.

Where nothing of the conversation was ever accepted, all of its first turn is a candidate. Of a conversation that was under way before
demur saw it, nothing is known: then no segment is called new, and none old.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from json import loads
from typing import NamedTuple

from proxy.core.said import ANSWERED, Placed
from schemas.labels import History, Label
from schemas.records import Accepted, Segment

MARK = 8
"""Bytes of a hash by which segments are compared."""
SUMMARY = "This session is being continued from a previous conversation"
"""How the first text begins with which Claude Code 2.1.197 and 2.1.330 go on after compacting."""
FOREIGN = (
    frozenset({Label.MEDIA, Label.TOOL_RESULT, Label.OTHER}),
    frozenset({Label.USER_TEXT, Label.MEMORY, Label.HOOK}),
    frozenset({Label.MCP, Label.ENVIRONMENT, Label.SYSTEM_MESSAGE, Label.REMINDER}),
    ANSWERED,
    frozenset({Label.SYSTEM, Label.TOOL, Label.ATTRIBUTION}),
)
"""What came from whom, the most foreign first."""
_HEX = frozenset("0123456789abcdef")
_MESSAGE = re.compile(r"messages\[(\d+)\]")


class Asked(NamedTuple):
    """Where in its conversation a request stands."""

    turn: int
    """Which prompt of the user it is, from 1; 0 where there is none."""
    root: str | None
    """The hash of the first text of the user."""
    prompt: str | None
    """The hash of the last one."""
    answers: int
    """How many messages of the assistant there are."""


class Who(NamedTuple):
    """Whose request it is."""

    session_id: str
    side: bool = False
    """Whether the client asks it by itself, beside the conversation: a title, say."""


class News(NamedTuple):
    """See the head of the module."""

    history: History
    accepted: Accepted | None
    """The request that it was compared with."""


def mark(hash_: str) -> bytes:
    """The beginning of ``Segment.hash``, as ``Accepted.hashes`` has it; of an importer's that has another form, a hash of it."""
    if hash_.startswith("b2:") and len(hash_) == 35 and not set(hash_[3:]) - _HEX:
        return bytes.fromhex(hash_[3 : 3 + 2 * MARK])
    return blake2b(hash_.encode("utf-8", "surrogatepass"), digest_size=MARK).digest()


def marks(hashes: bytes) -> set[bytes]:
    """Those of an accepted request."""
    return {hashes[at : at + MARK] for at in range(0, len(hashes), MARK)}


def asked(segments: Iterable[Placed]) -> Asked:
    """Where a request stands, by its map."""
    turn, spoken, answers = 0, False, set()
    root = prompt = None
    for segment in segments:
        found = _MESSAGE.match(segment.path)
        if found and segment.label in ANSWERED:
            spoken = False
            answers.add(found[1])
        elif found and segment.label == Label.USER_TEXT:
            turn += not spoken
            spoken = True
            root, prompt = root or segment.hash, segment.hash
    return Asked(turn, root, prompt, len(answers))


def compare(segments: list[Segment], accepted: Sequence[Accepted], contents: Mapping[str, bytes], who: Who) -> News:
    """Says of each segment whether it is new, and what the request is beside the accepted one.

    ``accepted``: what may be compared with, the best first; those of other sessions only where they began with the same text.
    ``contents``: the texts, as far as they are known.
    """
    here = asked(segments)
    said = {mark(one.hash) for one in segments if one.label in ANSWERED}
    # One that only begins with the same words elsewhere is another conversation: what its model had said is not in here.
    accepted = [one for one in accepted if one.session_id == who.session_id or marks(one.hashes) & said]
    if not accepted:
        if here.answers:
            return News(History.UNSEEN, None)
        _mark(segments, set())
        return News(History.FIRST, None)
    last = accepted[0]
    _mark(segments, set().union(*(marks(one.hashes) for one in accepted)))
    if last.session_id != who.session_id:
        return News(History.RESUMED, last)
    if who.side and here.root != last.root:
        return News(History.FIRST, last)
    return News(_history(segments, here, last, contents), last)


def candidates(segments: Iterable[Segment]) -> list[Segment]:
    """The new ones, the strongest first."""
    return sorted((one for one in segments if one.new), key=lambda one: (_foreign(one), -one.n))


def named(segment: Segment) -> str:
    """``tool result of Read /x/scan.pdf``: a candidate in a few words, no text of it."""
    tool = segment.label == Label.MEDIA and segment.tool
    what = "tool result" if tool else segment.label.replace("_", " ")
    facts = " ".join(fact for fact in (segment.tool, segment.target) if fact)
    return f"{what} of {facts}" if facts else what


def since(segments: Iterable[Segment]) -> int | None:
    """The turn from which on something was new that came from outside or from the user: before its prompt all had been accepted.

    0 for what stands before the first prompt; None where nothing of the kind is known to be new.
    """
    turn, spoken = 0, False
    for segment in segments:
        if not _MESSAGE.match(segment.path):
            continue
        if segment.label in ANSWERED:
            spoken = False
        elif segment.label == Label.USER_TEXT:
            turn += not spoken
            spoken = True
        if segment.new and _foreign(segment) in (0, 1):
            return turn
    return None


def _foreign(segment: Segment) -> int:
    return next((n for n, labels in enumerate(FOREIGN) if segment.label in labels), 0)


def _mark(segments: list[Segment], known: set[bytes]) -> None:
    for segment in segments:
        segment.new = mark(segment.hash) not in known


def _history(segments: list[Segment], here: Asked, last: Accepted, contents: Mapping[str, bytes]) -> History:
    if here.root != last.root:
        return _begun_anew(segments, contents)
    if last.turn and (here.turn < last.turn or (here.turn == last.turn and _is_new(segments, here.prompt))):
        return History.EDITED
    said = [one for one in segments if _MESSAGE.match(one.path) and _foreign(one) in (0, 1, 3)]
    if not any(one.new for one in said):
        return History.SAME
    before = Counter(last.hashes[at : at + MARK] for at in range(0, len(last.hashes), MARK))
    known = []
    for one in said:
        known.append(before[mark(one.hash)] > 0)
        before[mark(one.hash)] -= 1
    return History.EDITED if any(known[known.index(False) :]) else History.GROWN


def _is_new(segments: list[Segment], hash_: str | None) -> bool:
    return any(one.new for one in segments if one.hash == hash_)


def _begun_anew(segments: list[Segment], contents: Mapping[str, bytes]) -> History:
    first = next((one for one in segments if one.label == Label.USER_TEXT), None)
    value = loads(contents.get(first.content, b'""'), strict=False) if first else ""
    text = value if isinstance(value, str) else value.get("text", "")
    return History.COMPACTED if text.startswith(SUMMARY) else History.CLEARED
