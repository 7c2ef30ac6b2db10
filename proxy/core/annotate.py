"""What demur finds by itself in a declined request: suggestions, kept apart from what a person judges.

Each annotator is a row of ``ANNOTATORS`` and reads a ``Request``: what the last turn of the user says (the last run of messages without
one of the assistant's, as ``proxy.core.said.fingerprint`` has it), and the map of the whole. None sees more than some
20 kB of a text. What is found rests on evidence that names places and words of demur's own tables, never a passage.

One annotator that fails takes nothing from the others: a suggestion less is no harm.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from json import loads
from typing import NamedTuple

from proxy.core import domains, entropy
from proxy.core.keyboard import mismatch
from proxy.core.script import ENOUGH, excerpt, language_of, letters, mixed, prose, shares
from schemas.labels import Label
from schemas.records import Annotation, Segment

MAGIC = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL"
"""With an underscore and 64 hex digits behind it, a string that Anthropic's documentation gives for testing refusals."""

type Language = Callable[[str], tuple[str, float] | None]

_MESSAGE = re.compile(r"messages\[(\d+)\]")
_MAGIC = re.compile(MAGIC.encode() + rb"(_[0-9A-Fa-f]{64})?")
_SPOKEN = frozenset({Label.ASSISTANT_TEXT, Label.THINKING, Label.TOOL_USE, Label.FALLBACK})
_SAID = frozenset({Label.USER_TEXT, Label.TOOL_RESULT})
_PLACES = 5
"""Places that the evidence names, at most."""
_LATEST = 50
"""Segments of a turn that are read, at most: the last ones."""
_TOO_LONG = 16 << 20
"""Bytes of JSON that are not read for the text in it."""
_SCRIPT_SURE, _NAMED_SURE = 0.95, 0.3


class Said(NamedTuple):
    """A text of the last turn, and the segment that it stands in."""

    segment: Segment
    text: str


class Request:
    """The map of a request, and the texts of its last turn, read when they are asked for."""

    def __init__(self, segments: list[Segment], contents: Mapping[str, bytes], language: Language | None) -> None:
        self.segments, self.contents, self.language = segments, contents, language

    @cached_property
    def runs(self) -> list[list[Segment]]:
        """The segments of the messages: those of the assistant and of the user in turn."""
        found: list[list[Segment]] = []
        was: bool | None = None
        for message in self._messages():
            spoke = any(segment.label in _SPOKEN for segment in message)
            if spoke is not was:
                found.append([])
            found[-1] += message
            was = spoke
        return found

    def _messages(self) -> list[list[Segment]]:
        messages: dict[str, list[Segment]] = {}
        for segment in self.segments:
            if place := _MESSAGE.match(segment.path):
                messages.setdefault(place[1], []).append(segment)
        return list(messages.values())

    @cached_property
    def turn(self) -> list[Segment]:
        """The last run of the user's that says something."""
        return next((run for run in reversed(self.runs) if _asks(run)), [])

    @cached_property
    def said(self) -> list[Said]:
        """The texts of the last turn."""
        return self._texts(self.turn)

    @cached_property
    def asked(self) -> list[Said]:
        """What the user wrote last: the texts of the last run that holds any, which is an earlier one after tool calls."""
        wrote = (run for run in reversed(self.runs) if any(segment.label == Label.USER_TEXT for segment in run))
        return [said for said in self._texts(next(wrote, [])) if said.segment.label == Label.USER_TEXT]

    @cached_property
    def words(self) -> str:
        """What of that is language; all of it, where nothing is."""
        whole = "\n".join(said.text for said in self.asked)
        return prose(whole) or excerpt(whole)

    def _texts(self, segments: list[Segment]) -> list[Said]:
        kept = [segment for segment in segments if segment.label in _SAID][-_LATEST:]
        return [Said(segment, text) for segment in kept if (text := text_of(self.contents.get(segment.content)))]


def _asks(run: list[Segment]) -> bool:
    return any(segment.label in _SAID or segment.label == Label.MEDIA for segment in run)


def text_of(content: bytes | None) -> str:
    """The text in the JSON of a string, a text block or a tool's result; empty where there is none that can be read."""
    if not content or len(content) > _TOO_LONG:
        return ""
    try:
        return "\n".join(_texts(loads(content, strict=False)))
    except (ValueError, RecursionError):
        return ""


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict) and value.get("type") in ("text", "tool_result"):
        yield from _texts(value.get("text") if value["type"] == "text" else value.get("content"))


def annotate(
    segments: list[Segment], contents: Mapping[str, bytes], *, language: Language | None = None
) -> list[Annotation]:
    """All that the annotators find. ``contents``: the JSON of the segments by key; where some are missing, less is found.

    ``language`` gives the language (ISO 639) of a text and a probability, or None. Never raises.
    """
    request = Request(segments, contents, language)
    found: list[Annotation] = []
    for annotator in ANNOTATORS:
        with suppress(Exception):
            found += annotator(request)
    return found


def _script(request: Request) -> Iterator[Annotation]:
    found = shares(request.words)
    if not found:
        return
    where = _where(request.asked)
    (name, share), *_ = found
    yield Annotation(name="script", value=name, confidence=round(share, 2), evidence=where)
    if names := mixed(found):
        yield Annotation(name="script", value="+".join(names), confidence=_SCRIPT_SURE, evidence=where)


def _language(request: Request) -> Iterator[Annotation]:
    words = prose(request.words)
    whole = sum(letters(excerpt(said.text)) for said in request.asked)
    if letters(words) < ENOUGH or letters(words) * 8 < whole or mismatch(request.words):
        return
    named, by = language_of(words), "its script"
    if named is None and request.language and len(words.split()) > 2:
        named, by = request.language(words), "a detector"
    if named:
        yield Annotation(
            name="language", value=named[0], confidence=named[1], evidence=[f"by {by}", *_where(request.asked)]
        )


def _layout(request: Request) -> Iterator[Annotation]:
    found = mismatch("\n".join(said.text for said in request.asked))
    if found:
        told = f"typed on the {found.layout} layout, reads as {found.meant} on its own"
        value = f"{found.meant} on {found.layout}"
        yield Annotation(
            name="layout", value=value, confidence=found.confidence, evidence=[told, *_where(request.asked)]
        )


def _entropy(request: Request) -> Iterator[Annotation]:
    places = []
    for segment, text in request.said:
        kind = entropy.kind(text)
        if kind is None and segment.label == Label.USER_TEXT and not mismatch(text):
            kind = entropy.nonsense(text)
        if kind:
            places.append(
                f"{segment.path}: {size(len(text))}, {entropy.bits(excerpt(text)):.1f} bits a character, {kind}"
            )
    if places:
        yield Annotation(name="entropy", value="high", confidence=0.8, evidence=places[-_PLACES:])


def _media(request: Request) -> Iterator[Annotation]:
    counts = Counter(segment.media for segment in request.segments if segment.media)
    for kind, n in counts.items():
        places = [_medium(segment) for segment in request.segments if segment.media == kind][-_PLACES:]
        yield Annotation(name="media", value=kind or "", evidence=[f"{n} in the request", *places])


def _medium(segment: Segment) -> str:
    pages = f", {segment.pages} {'page' if segment.pages == 1 else 'pages'}" if segment.pages else ""
    return f"{segment.path}: {size(segment.bytes)}{pages}"


def _marker(request: Request) -> Iterator[Annotation]:
    whole: list[str] = []
    named: list[str] = []
    for segment in request.segments:
        found = [bool(one[1]) for one in _MAGIC.finditer(request.contents.get(segment.content, b""))]
        if found:
            label = str(segment.label).replace("_", " ") + (f" of {segment.tool}" if segment.tool else "")
            (whole if any(found) else named).append(f"{segment.path} ({label})")
    if whole or named:
        sure = 1.0 if whole else _NAMED_SURE
        yield Annotation(
            name="marker", value="refusal test string", confidence=sure, evidence=(whole or named)[-_PLACES:]
        )


def _domain(request: Request) -> Iterator[Annotation]:
    texts = [(excerpt(said.text), said.segment.path) for said in request.said]
    if not any(said.segment.label == Label.USER_TEXT for said in request.said):
        texts += [(excerpt(said.text), said.segment.path) for said in request.asked]
    targets = [(segment.target, segment.path) for segment in request.turn if segment.target]
    tools = [(segment.tool, segment.path) for segment in request.turn if segment.tool]
    if found := domains.hint(texts, targets, tools):
        yield Annotation(name="domain", value=found.domain, confidence=found.confidence, evidence=found.evidence)


ANNOTATORS: tuple[Callable[[Request], Iterator[Annotation]], ...] = (
    _marker,
    _layout,
    _script,
    _language,
    _entropy,
    _media,
    _domain,
)


def _where(said: list[Said]) -> list[str]:
    return [one.segment.path for one in said][-_PLACES:]


def size(n: int) -> str:
    """Bytes or characters, as ``41 kB``."""
    return f"{n} B" if n < 1000 else f"{n / 1000:.0f} kB" if n < 999_500 else f"{n / 1e6:.1f} MB"
