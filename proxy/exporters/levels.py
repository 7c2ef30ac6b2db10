"""What each level lets out of a record: the one place where that is decided, and the one function that all text passes.

- ``ids``: what a report to the API's support needs, and nothing else.
- ``metadata``: all fields without text; the map of the request by label, kind, size and hash.
- ``excerpts``: and the API's explanation, what persons noted, and how the chosen segments begin.
- ``full``: all that is stored, as it is stored, so that it can be imported again without loss.

Below ``full`` a field keeps its name and its type. What is withheld is null, as is what is not known; ``level`` tells which it may be. Persons
become placeholders that are stable within one export; the client's own names for sessions and agents become hashes, so that exports of
several machines can be put together. Ids of the API, categories, models, versions and times stay as they are: they are what a
record is worth.

A text is cut only after it was scrubbed: of a secret that is cut first, the rest would not be known for one.
"""

from base64 import b64encode
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from json import loads
from typing import Any

import msgspec
from msgspec import Struct, field

from proxy.core.news import candidates
from proxy.core.scrub import Scrubber
from proxy.core.segment import key_of
from proxy.reports import Report
from schemas.labels import Label
from schemas.records import Annotation, Attempt, Judgement, Located, Refusal, Rephrasing, Segment, Trial

VERSION = 1
"""Of the exported record's format: the value of its field ``demur``."""
MOST_EXCERPTS = 3
EXCERPT = 200
"""Characters."""
IDS = "id at request_id message_id kind category model answered_by outcome".split()

_WINDOW = 4000
"""Characters of a text that are scrubbed for its beginning; all of it where little of them is left."""
_SHORT = 500
"""Characters up to which it is remembered what became of a text: the same names stand in many records."""
_HASHED = ("session_id", "agent_id")
_NAMING = ("x-claude-code-session-id", "x-claude-code-agent-id", "x-claude-code-parent-agent-id")
"""Headers whose values are hashed alike."""
_TEXTS = ("client", "entrypoint", "project", "branch", "domain")
"""Of a refusal: what others chose the words of."""


class Level(StrEnum):
    """From what tells least to what tells all."""

    IDS = "ids"
    METADATA = "metadata"
    EXCERPTS = "excerpts"
    FULL = "full"

    @property
    def has_text(self) -> bool:
        """Whether words of persons, of the API or of the request may be in it."""
        return self in (Level.EXCERPTS, Level.FULL)


class Witness(Struct, kw_only=True):
    """Another record of the same refusal, by another source: the row has its id, so that it is known when it comes again."""

    id: str
    source: str


class Case(Struct, kw_only=True):
    """A refusal with all that belongs to it, as far as it was read."""

    refusal: Refusal
    segments: list[Segment] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    skeleton: list[bytes | str] | None = None
    attempts: list[Attempt] = field(default_factory=list)
    rephrasings: list[Rephrasing] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    located: list[Located] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    fault: str | None = None
    """Why its request could not be read."""


class Curtain:
    """What is between the records and the outside: in one export the same thing has the same placeholder."""

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber = scrubber
        self._short = lru_cache(maxsize=20_000)(scrubber.text)
        self._persons: dict[str, str] = {}

    def text(self, text: str) -> str:
        """A text without what must not leave."""
        return self._short(text) if len(text) <= _SHORT else self._scrubber.text(text)

    def beginning(self, text: str, before: str = "", after: str = "") -> str:
        """Of a text that may be long: how it begins, ``EXCERPT`` characters at most. What stands around it is read with it: a secret may be split."""
        self._scrubber.learn([before[-_WINDOW:], text[:_WINDOW]])
        if len(text) <= _WINDOW:
            self._scrubber.learn([text, after[:_WINDOW]])
        clean = self._scrubber.text(text[:_WINDOW])
        if len(text) > _WINDOW > 2 * len(clean):
            clean = self._scrubber.text(text)
        return clean if len(clean) <= EXCERPT else clean[: EXCERPT - 1] + "…"

    def person(self, name: str) -> str:
        """A placeholder, the same for the same name."""
        return self._persons.setdefault(name, f"<PERSON-{len(self._persons) + 1}>")


def to_excerpt(case: Case) -> list[Segment]:
    """The segments whose beginnings are told: those that persons named, or else the strongest candidates."""
    named = {one.segment for one in case.judgements if one.segment is not None}
    chosen = [one for one in case.segments if one.n in named] or candidates(case.segments)
    return [one for one in chosen if one.label not in (Label.MEDIA, Label.THINKING)][:MOST_EXCERPTS]


def record(case: Case, level: Level, curtain: Curtain) -> dict[str, Any]:
    """The exported record, as builtins."""
    head = {"demur": VERSION, "level": str(level)}
    if level == Level.FULL:
        return head | _whole(case)
    refusal = msgspec.to_builtins(case.refusal)
    if level == Level.IDS:
        return head | {name: refusal[name] for name in IDS}
    told = head | _refusal(refusal, level, curtain) | _belonging(case, level, curtain)
    if level == Level.EXCERPTS:
        told["excerpts"] = [_excerpt(case, one, curtain) for one in to_excerpt(case)]
    return told


def _whole(case: Case) -> dict[str, Any]:
    names = [name for name in case.__struct_fields__ if name not in ("refusal", "contents", "skeleton", "fault")]
    parts: dict[str, Any] = {name: msgspec.to_builtins(getattr(case, name)) for name in names}
    parts["contents"] = {key: _base64(content) for key, content in case.contents.items()}
    parts["skeleton"] = None
    if case.skeleton is not None:
        parts["skeleton"] = [
            {"key": part} if isinstance(part, str) else {"bytes": _base64(part)} for part in case.skeleton
        ]
    refusal: dict[str, Any] = msgspec.to_builtins(case.refusal)
    return refusal | parts


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _refusal(fields: dict[str, Any], level: Level, curtain: Curtain) -> dict[str, Any]:
    """Its fields, in their order."""
    told = fields | {name: fields[name] and curtain.text(fields[name]) for name in _TEXTS}
    told |= {name: fields[name] and _hashed(fields[name]) for name in _HASHED}
    told["user"] = fields["user"] and curtain.person(fields["user"])
    told["explanation"] = _text(fields["explanation"], level, curtain)
    told["tags"] = [curtain.text(tag) for tag in fields["tags"]]
    told["headers"] = {
        name: _hashed(value) if name in _NAMING else curtain.text(value) for name, value in fields["headers"].items()
    }
    return told


def _hashed(name: str) -> str:
    return key_of(name.encode("utf-8", "surrogatepass"))


def _text(text: str | None, level: Level, curtain: Curtain) -> str | None:
    """What is told of a text that is no more than withheld below ``excerpts``."""
    return curtain.text(text) if text is not None and level.has_text else None


def _belonging(case: Case, level: Level, curtain: Curtain) -> dict[str, Any]:
    return {
        "segments": [_segment(one, curtain) for one in case.segments],
        "attempts": [_why(one, curtain) for one in case.attempts],
        "rephrasings": [_rephrasing(one) for one in case.rephrasings],
        "annotations": [_annotation(one, curtain) for one in case.annotations],
        "judgements": [_judgement(one, level, curtain) for one in case.judgements],
        "trials": [_why(one, curtain) for one in case.trials],
        "located": [_why(one, curtain) for one in case.located],
        "witnesses": msgspec.to_builtins(case.witnesses),
        "reports": [_report(one, level, curtain) for one in case.reports],
    }


def _segment(segment: Segment, curtain: Curtain) -> dict[str, Any]:
    """Without the key of its exact bytes: the hash of what it says is enough to compare it by."""
    told: dict[str, Any] = msgspec.to_builtins(segment)
    del told["content"]
    return told | {name: told[name] and curtain.text(told[name]) for name in ("tool", "target")}


def _why(one: Attempt | Trial | Located, curtain: Curtain) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(one)
    return told | {"why": told["why"] and curtain.text(told["why"])}


def _rephrasing(of: Rephrasing) -> dict[str, Any]:
    sizes = {f"{name}_bytes": len(text.encode("utf-8", "surrogatepass")) for name, text in _versions(of)}
    return {"n": of.n, "strategy": of.strategy, **sizes}


def _versions(of: Rephrasing) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("original", of.original), ("sent", of.sent)


def _annotation(annotation: Annotation, curtain: Curtain) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(annotation)
    return told | {"value": curtain.text(told["value"]), "evidence": [curtain.text(one) for one in told["evidence"]]}


def _judgement(judgement: Judgement, level: Level, curtain: Curtain) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(judgement)
    return told | {
        "author": curtain.person(judgement.author),
        "domain": judgement.domain and curtain.text(judgement.domain),
        "note": _text(judgement.note, level, curtain),
        "tags": [curtain.text(tag) for tag in judgement.tags],
    }


def _report(report: Report, level: Level, curtain: Curtain) -> dict[str, Any]:
    """An address may lead to whoever reported: it is withheld as a note is."""
    told: dict[str, Any] = msgspec.to_builtins(report)
    return told | {"url": _text(report.url, level, curtain), "shape": curtain.text(report.shape)}


def around(case: Case, segments: Sequence[Segment]) -> list[Segment]:
    """The segments, and those that stand before and behind them: what must be known to tell how they begin."""
    wanted = {one.n + step for one in segments for step in (-1, 0, 1)}
    return [one for one in case.segments if one.n in wanted]


def _excerpt(case: Case, segment: Segment, curtain: Curtain) -> dict[str, Any]:
    stored = {one.n: case.contents.get(one.content) for one in around(case, [segment])}
    before, here, after = (stored.get(segment.n + step) for step in (-1, 0, 1))
    text = None
    if here is not None:
        text = curtain.beginning(readable(here), readable(before or b'""'), readable(after or b'""'))
    return {"n": segment.n, "label": str(segment.label), "hash": segment.hash, "text": text}


def readable(content: bytes) -> str:
    """What a stored segment says, without the JSON around it; of media nothing."""
    try:
        return _said(loads(content, strict=False))
    except (ValueError, RecursionError):
        return content.decode("utf-8", "backslashreplace")


def _said(value: Any) -> str:
    match value:
        case str():
            return value
        case list():
            return "\n".join(filter(None, map(_said, value)))
        case {"type": "text", "text": str(said)} | {"type": "thinking", "thinking": str(said)}:
            return said
        case {"type": "image" | "document" | "thinking" | "redacted_thinking"}:
            return ""
        case {"type": str(kind), "content": content} if kind.endswith("tool_result"):
            return _said(content)
        case {"type": str(kind), "input": asked} if kind.endswith("tool_use"):
            return _said(asked)
        case dict():
            return "\n".join(f"{name}: {_said(member)}" for name, member in value.items())
    return str(value)
