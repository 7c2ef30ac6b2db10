"""Where in its conversation a line of a transcript stands: which turn of the user it follows, and what was said in it.

A file has several conversations: the session's own, one for each sub-agent, and, in old versions, sidechains whose lines stand between the
others. In each, lines follow one another as they stand in the file, but for a prompt that was edited: it goes on where its parent stands.
The last turn of the user is what was said since the last answer, what a tool gave back included; an answer that is an error ends nothing.

The texts of late lines are kept for as long as there is room: a declined request wants those since the last prompt, what its tools gave
back included.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from proxy.core.context import Split, split
from proxy.core.news import SUMMARY
from proxy.core.recent import NOTE
from proxy.core.redact import Redactor
from proxy.core.said import fingerprint
from proxy.core.segment import key_of
from proxy.importers.line import Line, marks, texts, types

PLACES = 20_000
"""Lines whose place is remembered."""
ROOM = 40 << 20
"""Bytes of texts that are kept: of the longest line, and some more."""
THREADS = 2_000
LONG = 80
"""Lines since a prompt that are kept; then half of them."""
_ADDED = ("<system-reminder>",)
_NOT_TYPED = ("<command-", "<local-command-", "<task-notification>", "<bash-", "[Request interrupted", SUMMARY)
"""How a text of the user's begins that no person typed: of a command, what follows it is the prompt."""
_SWITCH = b"<command-name>/model</command-name>"


class Past(NamedTuple):
    """Something that was said in a conversation, and all before it."""

    before: "Past | None"
    key: str
    marks: tuple[int, ...]
    """Of its blocks."""


class Turn(NamedTuple):
    """What a request asks, by the keys of its texts, and where in its conversation it stands."""

    said: tuple[str, ...] = ()
    """Since the last answer."""
    trail: tuple[tuple[str, bool], ...] = ()
    """Since the last prompt that followed an answer, and whether it was an answer; of that only its calls of tools are kept."""
    n: int = 0
    """Which prompt of the conversation it follows, from 1: of those that a person typed."""
    past: Past | None = None
    """All that the user and the tools had said."""
    root: int = 0
    """How often the conversation was compacted before."""
    answered: bool = False
    """Whether the model had said something before."""
    sure: bool = True
    """Whether it is certain on what the last that was said had followed."""


class Place(NamedTuple):
    """A line's place."""

    thread: str
    spoken: bool = False
    """Whether the user has said something since the last answer."""
    typed: bool = False
    """Whether a person typed some of that."""
    turn: Turn = Turn()
    answer: str | None = None
    """The message id of the last answer."""
    asked: Turn = Turn()
    """What that was the answer to."""


@dataclass
class Thread:
    """A conversation, as far as the file was read."""

    here: Place
    model: str | None = None
    """The one that is known to be asked: of the last answer, until the user chose another."""
    requests: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=16))
    """The last requests that the client noted: time and model."""

    def asking(self) -> Place:
        """Where a request stands that is made now."""
        return self.here._replace(asked=self.here.turn)

    def aside(self) -> Place:
        """Where one stands of which it is not known what was asked."""
        return Place(self.here.thread)

    def asked_at(self, timestamp: str | None) -> str | None:
        """The model of the last request before a time; of the last, where that is not known."""
        before = [one for one in self.requests if timestamp is None or one[0] <= timestamp]
        return max(before)[1] if before else self.model


class Turns:
    """All conversations of a file."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, Place] = OrderedDict()
        self._threads: OrderedDict[str, Thread] = OrderedDict()
        self._texts: OrderedDict[str, bytes] = OrderedDict()
        self._room = ROOM

    def thread(self, line: Line) -> Thread:
        """The conversation that a line belongs to."""
        name = self._name(line)
        thread = self._threads.get(name)
        if thread is None:
            thread = self._threads[name] = Thread(Place(name))
            if len(self._threads) > THREADS:
                self._threads.popitem(last=False)
        return thread

    def follow(self, line: Line, thread: Thread) -> Place:
        """Goes on to a line that says nothing of its own."""
        if line.type == "system" and line.subtype == "compact_boundary":
            thread.here = Place(thread.here.thread, turn=Turn(root=thread.here.turn.root + 1))
        return self._stand(line, thread.here)

    def user(self, line: Line, thread: Thread) -> Place:
        """Goes on to what the user, a tool or the client said."""
        content = line.message.content if line.message else None
        if not content or is_note(line):
            return self.follow(line, thread)
        kinds, said = types(content), texts(content)
        spoken = "text" in kinds and not all(one.startswith(_ADDED) for one in said)
        here = thread.here
        if spoken and "tool_result" not in kinds:
            here = self._after(line, here)
        if _SWITCH in memoryview(content)[:400].tobytes():
            thread.model = None
        typed = spoken and not line.is_meta and not said[0].startswith(_NOT_TYPED)
        here = self._said(here, line, spoken=spoken, typed=typed)
        if spoken and not here.turn.root and said[0].startswith(SUMMARY):
            here = here._replace(turn=here.turn._replace(root=1))
        thread.here = here
        return self._stand(line, here)

    def _after(self, line: Line, here: Place) -> Place:
        """The place that a prompt goes on from: its parent's; the last one's where that is not known."""
        parent = self._places.get(line.parent_uuid or "")
        if parent is not None and parent.thread == here.thread:
            return parent
        begins = line.parent_uuid is None and here.turn.past is None and not here.turn.answered
        return here if begins else here._replace(turn=here.turn._replace(sure=False))

    def _said(self, here: Place, line: Line, *, spoken: bool, typed: bool) -> Place:
        """The place behind a line of the user or of a tool."""
        assert line.message is not None
        before, content = here.turn, line.message.content
        key = self._keep(line, bytes(content))
        trail = () if spoken and not before.said and not line.is_meta else before.trail
        turn = before._replace(
            said=(*before.said, key),
            trail=_grown(trail, key, answer=False),
            n=before.n + (spoken and (not here.spoken or (typed and here.typed))),
            past=Past(before.past, key, marks(content)),
        )
        return here._replace(spoken=here.spoken or spoken, typed=here.typed or typed, turn=turn)

    def answer(self, line: Line, thread: Thread) -> Place:
        """Goes on to a line of an answer. What it answers is ``asked`` of the place."""
        assert line.message is not None
        here, content = thread.here, line.message.content
        calls = b'"tool_use"' in memoryview(content).tobytes()
        begins = here.answer is None or line.message.id != here.answer
        if begins:
            turn = here.turn._replace(said=(), answered=True, sure=True)
            here = Place(here.thread, turn=turn, answer=line.message.id or line.uuid, asked=here.turn)
        if begins or calls:
            key = self._keep(line, bytes(content)) if calls else ""
            said, trail = here.turn.said, here.turn.trail
            at = max(0, len(trail) - len(said))  # behind it stand the results of calls that the same answer made before
            trail = (*_grown(trail[:at], key, answer=True), *trail[at:])
            here = here._replace(turn=here.turn._replace(trail=trail))
        thread.here = here
        return self._stand(line, here)

    def split(self, turn: Turn, redactor: Redactor | None) -> tuple[Split, str | None, list[str]]:
        """The segments of a turn since its prompt, its fingerprint, and the key of each segment; none where its texts are not kept any more."""
        trail = [(key, answer) for key, answer in turn.trail if not key or key in self._texts]
        if not turn.said or not all(key in self._texts for key in turn.said):
            return Split(skeleton=None, exact=None), None, []
        messages = [(self._texts.get(key, b'""'), answer) for key, answer in trail]
        parts = split(_body(messages), redactor)
        answers = {f"messages[{n}]" for n, (_, answer) in enumerate(messages) if answer}
        kept = [one for one in parts.segments if one.path.partition(".")[0] not in answers]
        keys = [trail[int(one.path[len("messages[") :].partition("]")[0])][0] for one in kept]
        for n, segment in enumerate(kept):
            segment.n = n
        contents = {one.content: parts.contents[one.content] for one in kept}
        made = Split(segments=kept, contents=contents, skeleton=None, exact=None, replacements=parts.replacements)
        return made, fingerprint(parts.segments), keys

    def _name(self, line: Line) -> str:
        if line.agent_id or not line.is_sidechain:
            return f"{line.session_id} {line.agent_id or ''}"
        parent = self._places.get(line.parent_uuid or "")
        return parent.thread if parent and parent.thread.startswith("side ") else f"side {line.uuid}"

    def _stand(self, line: Line, place: Place) -> Place:
        if line.uuid:
            self._places[line.uuid] = place
            if len(self._places) > PLACES:
                self._places.popitem(last=False)
        return place

    def _keep(self, line: Line, text: bytes) -> str:
        key = line.uuid or key_of(text)
        if key not in self._texts:
            self._texts[key] = text
            self._room -= len(text)
        while self._room < 0:
            self._room += len(self._texts.popitem(last=False)[1])
        return key


def is_note(line: Line) -> bool:
    """Whether it is the client's own note that an answer was stopped, with which it asks once more (since 2.1.280)."""
    if line.refused_message_id:
        return True
    content = line.message.content if line.message else None
    return bool(content) and NOTE.encode() in memoryview(content)[:120].tobytes()  # type: ignore[arg-type]


def _grown(trail: tuple[tuple[str, bool], ...], key: str, *, answer: bool) -> tuple[tuple[str, bool], ...]:
    """With one more; of a long one the prompt and the last are kept."""
    trail = (*trail, (key, answer))
    return trail if len(trail) <= LONG else (trail[0], *trail[-LONG // 2 :])


def _body(messages: Sequence[tuple[bytes, bool]]) -> bytes:
    said = [b'{"role":"%s","content":%s}' % (b"assistant" if answer else b"user", text) for text, answer in messages]
    return b'{"messages":[%s]}' % b",".join(said).decode("utf-8", "replace").encode()
