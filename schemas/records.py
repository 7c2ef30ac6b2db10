"""The records: one msgspec Struct a table. Field names are those of ``docs/records.md`` and never change their meaning.

Times are ISO 8601 in UTC with milliseconds and a ``Z``. Sizes are bytes, durations milliseconds. What is not known is
None, never a guess.
"""

from msgspec import Struct, field

from schemas.labels import Kind, Outcome, Result, Role, Stage, Verdict


class Refusal(Struct, kw_only=True):
    """One declined request: what the API said, who had asked, and how it ended. No prompt text."""

    id: str
    """A ULID: 26 characters of Crockford base 32, in order of time."""
    at: str
    """When the request reached demur."""
    source: str
    """A ``Source``, or the name that an importer gives."""
    kind: Kind
    evidence: str
    """Where it was seen: a JSON path such as ``message_delta.stop_reason``, or ``rule:NAME`` where wording decided."""
    confidence: float
    """1.0 where structure decided, less where wording did."""
    category: str | None = None
    """As the API said it; an open set."""
    explanation: str | None = None
    """As the API said it, secrets taken out. To be shown, never to be matched."""
    stage: Stage | None = None
    output_tokens: int | None = None
    """As the API counted them, like the other counts of tokens."""
    ms_to_refusal: int | None = None
    """From the request's arrival to the event that declined it."""
    model: str | None = None
    """The model that was asked for."""
    answered_by: str | None = None
    """The model that answered in the end, where one did."""
    outcome: Outcome = Outcome.UNKNOWN
    """How it ended for the person who asked."""
    request_id: str | None = None
    """The API's own, from the head of its answer: what its support asks for."""
    message_id: str | None = None
    """``msg_...``, where the answer was a message."""
    session_id: str | None = None
    """The client's own name for the conversation."""
    agent_id: str | None = None
    """Set for sub-agents only."""
    role: Role = Role.OTHER
    """What the client wanted the request for."""
    client: str | None = None
    """As its User-Agent says, e.g. ``claude-cli``."""
    client_version: str | None = None
    entrypoint: str | None = None
    """How the client was started, e.g. ``cli`` or ``sdk-cli``."""
    user: str | None = None
    project: str | None = None
    """The last part of the working directory that the client named."""
    branch: str | None = None
    """The git branch there, as a transcript names it."""
    fingerprint: str | None = None
    """One hash for the candidates, shared by all refusals of an incident; where these are not known, ``asked``."""
    verdict: Verdict = Verdict.UNKNOWN
    """A person's, never demur's."""
    domain: str | None = None
    """A person's word for the field of work."""
    tags: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    """All witnesses; the first is ``source``."""
    status: int | None = None
    """The HTTP status of the response."""
    streamed: bool | None = None
    """Whether the client asked for a stream."""
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    exact: bool | None = None
    """Whether the stored request is the sent one to the byte; None where none was stored."""
    replacements: int = 0
    """How many secrets were replaced in the stored request."""
    headers: dict[str, str] = field(default_factory=dict)
    """Request headers of the allow list, names in lower case."""
    ruling: str | None = None
    """Which rule decided whether it was asked again: a ``Ruling``; None where nobody decided (an import)."""
    turns_elsewhere: int = 0
    """How many later turns of the conversation were answered by the model that answered this one."""
    asked: str | None = None
    """One hash for what the last turn of the user said: the same words again have the same."""
    incident_id: str | None = None
    """The id of the refusal that opened its incident; its own, where it did."""
    history: str | None = None
    """What it is beside the last accepted request: a ``History``; None where that cannot be known."""
    turn: int | None = None
    """Which prompt of its conversation it is, from 1."""
    accepted_at: str | None = None
    """When the last request of its session and agent was accepted, by the model that it asks for where there was one."""
    accepted_model: str | None = None
    """The model that accepted it."""
    accepted_version: str | None = None
    """The client's version then."""
    accepted_request_id: str | None = None
    accepted_turn: int | None = None
    """Which prompt of the conversation that was: the last good turn."""
    tool_calls: int | None = None
    """Whole calls of the client's tools in the answer that was declined; None where that is not known."""


class Accepted(Struct, kw_only=True):
    """The last accepted request of a session, agent, role and model: what is *not* new in the next one. Kept for a day."""

    session_id: str
    agent_id: str = ""
    role: str = ""
    model: str = ""
    """The one that was asked for, and answered."""
    at: str
    request_id: str | None = None
    client_version: str | None = None
    turn: int = 0
    """Which prompt of the conversation it was, from 1."""
    root: str | None = None
    """The hash of the conversation's first text by the user."""
    asked: str | None = None
    """As in ``Refusal``; None where the last turn was too short to be known by."""
    hashes: bytes
    """Of its segments, 8 bytes each, in order: the first half of ``Segment.hash``."""


class Annotation(Struct, kw_only=True):
    """What demur found by itself in a declined request. A suggestion, never a judgement."""

    name: str
    """What was looked at: ``script``, ``language``, ``layout``, ``entropy``, ``media``, ``domain``, ``marker`` ..."""
    value: str
    confidence: float = 1.0
    evidence: list[str] = field(default_factory=list)
    """What it rests on, in a few words; of a text only single known words, never a passage."""


class Judgement(Struct, kw_only=True):
    """What one person said of a refusal, at one time. The last one counts; all are kept."""

    refusal_id: str
    at: str
    author: str
    verdict: Verdict
    domain: str | None = None
    note: str | None = None
    tags: list[str] = field(default_factory=list)
    segment: int | None = None
    """The ``n`` of the segment that the person believes guilty."""


class Trial(Struct, kw_only=True):
    """One request that a person had demur send again."""

    refusal_id: str
    at: str
    purpose: str
    """A ``Purpose``."""
    model: str
    outcome: Result
    category: str | None = None
    request_id: str | None = None
    status: int | None = None
    ms: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    left_out: list[str] = field(default_factory=list)
    """Of ``locate``: the paths of the segments, or the lines, that the request was sent without."""
    why: str | None = None
    """Where it failed: in a few words of demur's."""


class Located(Struct, kw_only=True):
    """What ``demur locate`` found: a set of parts without which the request was accepted. Evidence, not a cause."""

    refusal_id: str
    at: str
    model: str
    settled: bool
    """Whether the same answer came each time it was asked for."""
    parts: list[str] = field(default_factory=list)
    """Paths of segments, with ``:12-14`` behind one for the lines of it."""
    trials: int = 0
    """How many requests it took."""
    why: str | None = None
    """Where nothing was found or it is not settled: in a sentence."""


class Attempt(Struct, kw_only=True):
    """One model's try at a declined request, in order; the client's, the API's own, or demur's."""

    n: int
    by: str
    """``client``, ``api`` or ``demur``: who sent it to this model."""
    model: str | None
    outcome: Result
    category: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    strategy: str | None = None
    """Of demur's: a ``Strategy``. Of the client's: ``noted`` where it had added its own note to the request."""
    status: int | None = None
    """The HTTP status, where there was one."""
    request_id: str | None = None
    message_id: str | None = None
    ms: int | None = None
    """From sending it to the end of its answer, or to its refusal."""
    why: str | None = None
    """Where it failed: in a few words of demur's, never the API's."""
    shown: bool | None = None
    """Of a declined one: whether the client had been sent any of its content by then."""
    tools_held: int | None = None
    """Of a declined one: how many whole tool calls the tool guard kept from the client, so that they did not run; None without a guard."""


class Segment(Struct, kw_only=True):
    """A labelled part of a request body. Its text is kept apart, under ``content``."""

    n: int
    """Its place in the request, from 0."""
    label: str
    """What it is: a ``Label``."""
    path: str
    """Where it stands, e.g. ``messages[3].content[0]``."""
    tool: str | None = None
    """The tool that it defines, calls or answers."""
    media: str | None = None
    """The media type of an image or a document, also of one within a tool's result."""
    target: str | None = None
    """What the tool's input names: a file, an address, or the program of a command without its arguments."""
    pages: int | None = None
    """Of a PDF, where they can be counted."""
    bytes: int
    """Of its JSON, as it was sent."""
    tokens_est: int
    """Estimated: from its text alone, of an image a flat number, of a document by its size."""
    hash: str
    """Its identity, ``b2:`` and 32 hex digits: of the redacted content without ``cache_control``, a string and a list of
    one text block alike, without the ids of tool calls and the volatile part of the attribution block. What the client writes by
    itself (labels ``system``, ``system_message``, ``reminder``, ``memory``, ``hook``, ``environment``, ``mcp``) is without its ISO dates,
    the line ``Today's date is ...`` and the count of tokens left, so that midnight makes nothing new; a tool's result is without the
    reminders that the client put behind its text, and what the user said without the blanks at its end."""
    content: str
    """The key under which its exact (redacted) JSON is stored; the same scheme as ``hash``."""
    new: bool | None = None
    """Whether it was absent from the last accepted request of the session; None where that is not known."""


class Traffic(Struct, frozen=True, kw_only=True):
    """The key of one traffic count: all Messages requests of one hour that agree in these. No content."""

    hour: str
    """``2026-11-23T14``, UTC."""
    model: str = ""
    answered_by: str = ""
    client: str = ""
    client_version: str = ""
    entrypoint: str = ""
    role: str = ""
    user: str = ""
    outcome: str = ""
    """A ``Result``."""


class Rephrasing(Struct, kw_only=True):
    """What a rephrased attempt changed, side by side; secrets taken out."""

    n: int
    """Of its attempt."""
    strategy: str
    original: str
    sent: str


class Update(Struct, kw_only=True):
    """What became of a refusal that an earlier entry brought."""

    refusal_id: str
    outcome: Outcome | None = None
    answered_by: str | None = None
    ruling: str | None = None
    attempts: list[Attempt] = field(default_factory=list)
    """Added; one with the ``n`` of an earlier one takes its place. One whose ``n`` is below 0 becomes the last."""
    rephrasings: list[Rephrasing] = field(default_factory=list)
    turns_elsewhere: int = 0
    """Added to the refusal's."""


class Pin(Struct, kw_only=True):
    """A conversation whose later turns go to the model that answered. No content: the key is a hash."""

    key: str
    session_id: str
    agent_id: str | None = None
    model: str
    """The one that is asked for."""
    answered_by: str
    """The one that answers."""
    at: str
    """Since when, UTC."""
    until: str
    """Until when, UTC; each turn moves it."""
    turns: int = 0
    """Turns answered since."""
    refusal_id: str | None = None
    """The refusal that it came from."""


class Entry(Struct, kw_only=True):
    """What is handed to the writer, and what one spool entry holds: all that belongs together and lands together."""

    refusals: list[Refusal] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    """Of the first refusal."""
    segments: list[Segment] = field(default_factory=list)
    """Of the first refusal, in order."""
    contents: dict[str, bytes] = field(default_factory=dict)
    """Content key -> the segment's JSON."""
    skeleton: list[bytes | str] | None = None
    """The body in order: literal bytes, and content keys where a segment stood. Joined, it is the request again."""
    traffic: list[tuple[Traffic, int]] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    pins: list[Pin] = field(default_factory=list)
    """Set, or moved: the last of a key counts."""
    accepted: list[Accepted] = field(default_factory=list)
    annotations: dict[str, list[Annotation]] = field(default_factory=dict)
    """Refusal id -> what demur found in it; takes the place of what was found before."""
    lost: int = 0
    """Records that an earlier writer could not keep."""
