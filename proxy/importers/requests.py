"""The requests that a transcript tells of, one for each however many lines speak of it.

A line is joined to a request by the request's id, else the message's, else by the lines that it names: its parent, those that it retracts or
supersedes. A declined request may have: lines of the answer that was stopped, a line of an error that the client made, a line that says to
which model the client turned, a note with which it asked the same model once more, and the answer of that. Lines come late and in no
certain order, so the last ``OPEN`` requests stay open; then a request is *settled*: counted, and recorded where it was declined.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterator

from msgspec.structs import replace

from proxy.core.message import parse
from proxy.importers import wording
from proxy.importers.line import Line, texts
from proxy.importers.named import hashed
from proxy.importers.sides import Side, side
from proxy.importers.source import Origin
from proxy.importers.standing import Standing
from proxy.importers.told import Asker, Told, same_model
from proxy.importers.turns import Place, Thread, Turns, is_note
from schemas.labels import Role
from schemas.records import Entry, Traffic
from schemas.wire import Message

OPEN = 64
"""Requests that may still be spoken of."""
KNOWN = 500_000
"""Settled requests whose names are remembered, so that none is counted twice."""
SYNTHETIC = "<synthetic>"
DETACHED = "HEAD"
"""What the client writes where there is no branch."""


class Requests:
    """Of one file. It is told each line, with its time, and asked for what is settled."""

    def __init__(self, source: str, origin: Origin) -> None:
        self.turns = Turns()
        self.traffic: defaultdict[Traffic, list[int]] = defaultdict(list)
        """The settled ones, by name."""
        self._source, self._origin = source, origin
        self._open: OrderedDict[int, Told] = OrderedDict()
        self._names: dict[str, Told] = {}
        """Request ids, message ids and lines of the open ones."""
        self._settled: dict[int, None] = {}
        self._standing = Standing(whole=source == "transcript")
        self._last: dict[str, Told] = {}
        """By conversation: the declined request that the client is about to ask again, or another model."""

    def take(self, line: Line, at: float) -> None:
        """One line, and its time in seconds since 1970."""
        thread = self.turns.thread(line)
        if (beside := side(line)) is not None:
            self._beside(line, beside, thread, at)
        if line.type == "assistant" and line.message is not None:
            if line.is_api_error_message or line.message.model == SYNTHETIC:
                self._failed(line, thread, at)
                self.turns.follow(line, thread)
            else:
                self._answered(line, thread, at)
        elif line.type == "user":
            if is_note(line):
                self._noted(line, thread, at)
            self.turns.user(line, thread)
        else:
            if line.type == "system" and (line.subtype or "").startswith("model_refusal_"):
                self._turned(line, thread, at)
            self.turns.follow(line, thread)

    def note(self, line: Line) -> None:
        """A request that the client noted (2.1.330): which model it went to."""
        model = parse(bytes(line.params)).get("model") if line.params else None
        if isinstance(model, str) and line.timestamp:
            self.turns.thread(line).requests.append((line.timestamp, model))

    def settled(self) -> Iterator[Entry]:
        """Records of the requests that no line will speak of any more."""
        while len(self._open) > OPEN:
            yield from self._settle()

    def rest(self) -> Iterator[Entry]:
        """The file has ended: all others."""
        while self._open:
            yield from self._settle()

    def _answered(self, line: Line, thread: Thread, at: float) -> None:
        assert line.message is not None
        place = self.turns.answer(line, thread)
        told = self._find(line.request_id, line.message.id)
        if told is None:
            if self._was_settled(line.request_id or line.message.id or line.uuid):
                return
            told = self._begin(line, line.message.id, at, place)
            self._follow(told, thread, line.message.model)
        if told.message.id is not None and told.message.id != line.message.id:
            return  # the same request, but another answer: a copy
        told.answer(line)
        self._name(told, line)
        thread.model = told.asked_model
        if told.message.seams or told.message.iterations:
            self._declined(told)
        if told.message.stop_reason == "refusal":
            self._declined(told)
            self._last[thread.here.thread] = told

    def _failed(self, line: Line, thread: Thread, at: float) -> None:
        """An error that the client wrote in an answer's place."""
        assert line.message is not None
        said = "\n".join(texts(line.message.content))
        structured = line.message.stop_reason == "refusal"
        finding = None if structured else wording.judge(said, line.api_error_status)
        request_id = line.request_id or wording.request_id(said)
        if not structured and finding is None and not request_id and line.api_error_status is None:
            return
        told = self._find(request_id or line.uuid, line.refused_message_id) or self._stopped(line, request_id)
        if told is None:
            if self._was_settled(request_id or line.refused_message_id or line.uuid):
                return
            told = self._begin(line, line.refused_message_id, at, thread.asking(), request_id)
            model = line.refusing_model or (finding and finding.model) or wording.named(said)
            self._follow(told, thread, model)
            told.model = model or told.model or thread.asked_at(line.timestamp)
        self._name(told, line)
        told.failed = True
        if structured:
            told.declined = told.declined or f"{self._source}.message.stop_reason"
            told.explain(line.message)
        else:
            told.finding = told.finding or finding
        if structured or finding is not None:
            self._declined(told)
        self._last.pop(thread.here.thread, None)

    def _turned(self, line: Line, thread: Thread, at: float) -> None:
        """The client says that it was declined, and to which model it turned, if to any."""
        retracted = line.retracted_message_uuids or []
        told = self._find(line.request_id, line.refused_message_id, *retracted)
        if told is None:
            if self._was_settled(line.request_id or line.uuid):
                return
            told = self._begin(line, None, at, thread.asking())
            told.model = line.original_model
            self._follow(told, thread, line.original_model)
        self._name(told, line)
        told.declined = told.declined or f"{self._source}.{line.subtype}"
        told.details(line.api_refusal_category, line.api_refusal_explanation)
        told.going_on = line.fallback_model or told.going_on
        told.shown = told.shown or bool(retracted)
        self._declined(told)
        if line.fallback_model and told.message.stop_reason in (None, "refusal"):
            self._last[thread.here.thread] = told

    def _noted(self, line: Line, thread: Thread, at: float) -> None:
        """The client asks the same model once more, and says so to it."""
        told = self._find(line.refused_message_id) or self._last.get(thread.here.thread)
        if told is None:
            if not line.refused_message_id or self._was_settled(line.refused_message_id):
                return
            told = self._begin(line, line.refused_message_id, at, thread.asking())
            told.model = thread.asked_at(line.timestamp)
        told.declined = told.declined or f"{self._source}.refused_message_id"
        told.going_on = told.going_on or told.asked_model or "the same"
        told.shown = told.shown or not line.is_virtual
        self._declined(told)
        self._last[thread.here.thread] = told

    def _beside(self, line: Line, beside: Side, thread: Thread, at: float) -> None:
        """A request that the client made by itself; what was asked in it is not known."""
        name = beside.request_id or line.uuid
        if self._find(beside.request_id) is None and not self._was_settled(name):
            told = self._begin(line, None, at, thread.aside(), beside.request_id)
            told.request_id = beside.request_id
            told.model, told.finding, told.failed = beside.finding.model, beside.finding, True
            told.who = replace(told.who, role=beside.role)

    def _begin(
        self, line: Line, message_id: str | None, at: float, place: Place, request_id: str | None = None
    ) -> Told:
        request_id = request_id or line.request_id
        sidechain = bool(line.is_sidechain or line.agent_id)
        who = Asker(
            session_id=line.session_id,
            agent_id=line.agent_id,
            role=Role.SUBAGENT if sidechain else Role.MAIN,
            version=line.version,
            entrypoint=line.entrypoint,
            cwd=line.cwd,
            branch=None if line.git_branch == DETACHED else line.git_branch or None,
        )
        key = request_id or message_id or line.original_uuid or f"{line.session_id} {at}"
        message = Message(where=f"{self._source}.message")
        told = Told(
            key=key,
            at=at,
            who=who,
            message=message,
            turn=place.asked,
            thread=place.thread,
            request_id=request_id,
            message_id=message_id,
        )
        self._open[id(told)] = told
        self._name(told, line)
        return told

    def _follow(self, told: Told, thread: Thread, model: str | None) -> None:
        """The client made this request because an earlier one was declined, where it said so."""
        first = self._last.pop(thread.here.thread, None)
        if first is None or first is told or first.next is not None:
            return
        if first.going_on is None:
            return
        first.next = told
        if first.going_on and same_model(model, first.asked_model):
            told.retry_of = first
            told.model = told.model or first.asked_model

    def _declined(self, told: Told) -> None:
        """Keeps what was asked, while its texts are there."""
        if told.parts is None:
            told.parts, told.asked, told.keys = self.turns.split(told.turn, self._origin.redactor)

    def _find(self, *names: str | None) -> Told | None:
        return next((told for name in names if name and (told := self._names.get(name))), None)

    def _stopped(self, line: Line, request_id: str | None) -> Told | None:
        """The answer that an error directly follows, where nothing says that it had ended, or that it was another request's."""
        told = self._names.get(line.parent_uuid or "")
        if told is None or told.failed or told.message.stop_reason not in (None, "refusal"):
            return None
        return told if None in (request_id, told.request_id) or request_id == told.request_id else None

    def _name(self, told: Told, line: Line) -> None:
        """What further lines may call it by."""
        told.request_id = told.request_id or line.request_id
        told.message_id = told.message_id or line.refused_message_id
        of_answer = line.uuid if line.type == "assistant" else None
        for name in (told.request_id, told.message_id, of_answer):
            if name and self._names.setdefault(name, told) is told:
                told.names.add(name)

    def _was_settled(self, name: str | None) -> bool:
        return hash(name) in self._settled

    def _settle(self) -> Iterator[Entry]:
        _, told = self._open.popitem(last=False)
        self.traffic[told.traffic()].append(hashed(self._source, told.key))
        self._standing.take(told)
        if (entry := told.entry(self._source, self._origin)) is not None:
            yield entry
        told.parts = None
        for name in told.names:
            if self._names.get(name) is told:
                del self._names[name]
        names = (told.request_id, told.message_id, told.key, *(told.names if told.failed else ()))
        self._settled |= dict.fromkeys(hash(name) for name in names if name)
        while len(self._settled) > KNOWN:
            del self._settled[next(iter(self._settled))]
