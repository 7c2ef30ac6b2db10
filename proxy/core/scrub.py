"""What leaves is scrubbed: secrets and whatever tells of a person, a machine or a company become placeholders, and an account is given of it.

``scrub`` does one text; a ``Scrubber`` does several of one report, in which the same value has the same placeholder (``<PATH-1>``). Each text is
read as it is, with its escapes taken off (JSON, URLs), and with lines joined that a terminal has cut (``proxy.core.reading``); what is found in any of these
readings goes from the text. Secrets are known by ``proxy.core.redact``, private things by ``proxy.core.private``, what is known of the owner
by ``proxy.core.known``; of a secret that was found once, every piece of 12 characters goes wherever it stands (``proxy.core.leak``).

Ids of requests and messages, models, versions and times stay, even within what goes, since a report without them is useless. What has been scrubbed
is not changed by scrubbing it again.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from proxy.core.known import Known, Sought, sought, squeezed
from proxy.core.leak import SHORTEST, leaks, pieces
from proxy.core.passwords import looks_chosen
from proxy.core.places import Places
from proxy.core.private import private
from proxy.core.reading import IDS, PROTECTED, Reading, decoded, joined
from proxy.core.redact import SECRET_NAMES, Redactor
from proxy.core.rule import Private
from proxy.core.secrets import DONE, SECRET_KEYS, looks_random
from proxy.core.spans import Span, is_kept, merged_spans, parted

NOBODY = Known()
PLACEHOLDER = re.compile(r"<[A-Z]{2,10}-\d{1,6}>|\[redacted:[\w-]{1,40}\]")
_FOLDED = frozenset({"EMAIL", "HOST", "NAME", "PROJECT", "HANDLE", "ID", "DENIED"})
_SHORT = frozenset({"ID", "IP", "HANDLE"})
"""Kinds of which the end alone is not taken for a whole one."""
_PEM = "-----BEGIN "
_PLAIN = re.compile(r"[a-z][a-z_]{0,31}\Z")
_NAMES_A_SHAPE = frozenset({"type", "role", "label", "kind"})
"""Keys whose words are no texts."""
_SAID = frozenset({"text", "thinking", "content", "partial_json"})
"""Keys of texts that go on from one block to the next."""


class Replaced(NamedTuple):
    """One placeholder of an account. It never says what was replaced."""

    kind: str
    n: int
    """``<KIND-n>`` stands for it."""
    why: str
    times: int = 1

    @property
    def placeholder(self) -> str:
        return f"<{self.kind}-{self.n}>"


class Scrubbed(NamedTuple):
    """A text that may leave, and what was replaced in it, in order."""

    text: str
    replaced: list[Replaced]


def scrub(text: str, known: Known = NOBODY, deny: Sequence[str] = (), keep: Sequence[str] = ()) -> Scrubbed:
    """One text. ``deny``: as ``proxy.core.redact`` has it; ``keep``: what stays though a rule would take it, but for secrets.

    Raises ValueError, one line, for a deny entry that cannot be used.
    """
    scrubber = Scrubber(known, deny, keep)
    return Scrubbed(scrubber.text(text), scrubber.replaced)


class Scrubber:
    """The texts of one report. The same value gets the same placeholder in all of them. Raises what ``scrub`` raises."""

    def __init__(self, known: Known = NOBODY, deny: Sequence[str] = (), keep: Sequence[str] = ()) -> None:
        told = [entry for entry in deny if entry.strip()]
        words = [entry for entry in told if not _is_pattern(entry)]
        self._redactor = Redactor(told)
        self._sought: list[Sought] = sought(known, words)
        self._keep = [re.compile(rf"(?<![^\W_]){re.escape(one)}(?![^\W_])") for one in keep if one]
        self._secrets: dict[str, None] = dict.fromkeys(one for one in known.secrets if len(one) >= SHORTEST)
        self._numbers: dict[tuple[str, str], int] = {}
        self._last: Counter[str] = Counter()
        self._counts: dict[tuple[str, int], Replaced] = {}

    @property
    def replaced(self) -> list[Replaced]:
        """What has been replaced so far, each placeholder once, in order."""
        return list(self._counts.values())

    def text(self, text: str) -> str:
        """One text."""
        return self.texts([text])[0]

    def texts(self, texts: Sequence[str]) -> list[str]:
        """Texts that follow one upon the other, as blocks do: what is split over two of them is found."""
        if not texts:
            return []
        starts, at = [], 0
        for text in texts:
            starts.append(at)
            at += len(text) + 1
        whole = "\n".join(texts)
        parts: list[list[str]] = [[] for _ in texts]
        at = 0
        for span in self._spans(whole):
            _cut(whole, at, span.start, starts, parts)
            parts[bisect_right(starts, span.start) - 1].append(self.placeholder(span.kind, span.value, span.why))
            at = span.end
        _cut(whole, at, len(whole), starts, parts)
        return ["".join(part) for part in parts]

    def value(self, value: object) -> Any:
        """JSON as builtins, with its texts and its keys scrubbed. Secrets are known by their keys too. ``value`` is not changed.

        Raises RecursionError where JSON is nested too deeply.
        """
        said: list[str] = []
        _collect(value, said)
        return self._filled(value, iter(self.texts(said)))

    def placeholder(self, kind: str, value: str, why: str) -> str:
        """What stands for a value that must not be shown, whatever it looks like."""
        key = kind, value.lower() if kind in _FOLDED else value
        if key not in self._numbers:
            self._last[kind] += 1
            self._numbers[key] = self._last[kind]
        n = self._numbers[key]
        before = self._counts.get((kind, n))
        self._counts[kind, n] = Replaced(kind, n, before.why if before else why, before.times + 1 if before else 1)
        return f"<{kind}-{n}>"

    def learn(self, texts: Sequence[str]) -> None:
        """Takes notice of the secrets in texts that do not leave, so that no piece of them does."""
        whole = "\n".join(texts)
        for span in self._found(whole):
            self._remember(span)

    def leaks(self, text: str) -> int:
        """How many of the secrets that it has seen have a piece in a text that is about to leave."""
        return leaks(text, self._secrets)

    def _filled(self, value: object, clean: Iterator[str], key: str = "") -> Any:
        if isinstance(value, str):
            text = next(clean) if key in _SAID else value if _is_shape(key, value) else self.text(value)
            return self._secret(text) if _is_secret(key, value) else text
        if isinstance(value, list | tuple):
            return [self._filled(item, clean, key) for item in value]
        if not isinstance(value, dict):
            return value
        filled: dict[str, Any] = {}
        for name, member in value.items():
            spelt = str(name)
            shown = spelt if _PLAIN.match(spelt) else self.text(spelt)
            while shown in filled:
                shown += "_"
            filled[shown] = self._filled(member, clean, spelt)
        return filled

    def _secret(self, value: str) -> str:
        if PLACEHOLDER.fullmatch(value):
            return value
        if len(value) >= SHORTEST:
            self._secrets[value] = None
        return self.placeholder("SECRET", value, "the value of a key that names a secret")

    def _spans(self, text: str) -> list[Span]:
        """What is to be replaced, in order, without overlaps."""
        found = list(self._found(text))
        for span in found:
            self._remember(span)
        layers = decoded(text)
        for layer in layers:
            for start, end, secret in pieces(layer, self._secrets):
                found.append(Span(*layer.place(start, end), "SECRET", "a piece of a secret", secret))
        done = [match.span() for match in PLACEHOLDER.finditer(text)]
        named = _places(layers, *(pattern.finditer for pattern in self._keep))
        facts = Places([*_places(layers, PROTECTED.finditer), *done])
        by_name = Places(named)
        spans = merged_spans([span for span in found if not is_kept(span, facts, by_name)])
        ids = [*_places(layers, IDS.finditer, _behind_a_break), *done]
        return parted(spans, Places(ids), Places([*ids, *named]))

    def _remember(self, span: Span) -> None:
        """A word that stands where a secret may stand is replaced there; it is not looked for everywhere."""
        if span.kind == "SECRET" and len(span.value) >= SHORTEST and looks_chosen(span.value):
            self._secrets[span.value] = None

    def _found(self, text: str) -> Iterator[Span]:
        *layers, last = decoded(text)
        for layer in layers:
            yield from self._whole(layer)
        whole = list(self._whole(last))
        yield from whole
        begins = {(span.start, span.kind) for span in whole}
        secrets = {span.end for span in whole if span.kind == "SECRET"}
        for reading in joined(last, {span.start for span in whole}, {span.end for span in whole}, secrets):
            for start, end, kind, why, value in self._by_rules(reading.text):
                place = reading.place(start, end)
                if reading.is_joined(end) and not _was_whole(reading, start, end, kind, begins):
                    yield Span(*place, kind, why, value)

    def _whole(self, layer: Reading) -> Iterator[Span]:
        for start, end, kind, why, value in self._by_rules(layer.text):
            yield Span(*layer.place(start, end), kind, why, value)
        bare = squeezed(layer.text) if self._sought else ""
        for one in self._sought:
            if one.needs in bare:
                for match in one.pattern.finditer(layer.text):
                    yield Span(*layer.place(*match.span()), one.kind, one.why, one.of or match[0])

    def _by_rules(self, text: str) -> Iterator[Private]:
        for start, end, name in self._redactor.found(text):
            begin = text.rfind(_PEM, 0, start) if name == "private-key" else start
            if name == "deny":
                yield Private(start, end, "DENIED", "your own list (redact.deny)", text[start:end])
            else:
                yield Private(begin, end, "SECRET", f"a secret ({name})", text[begin:end])
        yield from private(text)


def _is_pattern(entry: str) -> bool:
    return len(entry) > 1 and entry.startswith("/") and entry.endswith("/")


def _was_whole(reading: Reading, start: int, end: int, kind: str, begins: set[tuple[int, str]]) -> bool:
    """Whether what stands behind the line break is found by itself: then nothing was cut there."""
    assert reading.starts is not None
    return kind in _SHORT and all(
        (reading.starts[join], kind) in begins for join in reading.joins if start < join < end
    )


def _places(layers: list[Reading], *finders: Callable[[str], Iterable[re.Match[str]]]) -> list[tuple[int, int]]:
    """Where in the text something stands that may have been written in any of its layers."""
    return [layer.place(*match.span()) for layer in layers for find in finders for match in find(layer.text)]


def _behind_a_break(text: str) -> Iterator[re.Match[str]]:
    """What is protected and begins a line: it is not the rest of what stands before."""
    for match in PROTECTED.finditer(text):
        if text[max(0, match.start() - 40) : match.start()].rstrip(" \t│┃║|>").endswith("\n"):
            yield match


def _cut(whole: str, start: int, end: int, starts: list[int], parts: list[list[str]]) -> None:
    """Puts a piece of the joined texts where it belongs, without the line breaks that joined them."""
    for n in range(bisect_right(starts, start) - 1, len(starts)):
        stop = starts[n + 1] - 1 if n + 1 < len(starts) else len(whole)
        if starts[n] >= end:
            break
        parts[n].append(whole[max(start, starts[n]) : min(end, stop)])


def _is_shape(key: str, value: str) -> bool:
    return key in _NAMES_A_SHAPE and _PLAIN.match(value) is not None


def _is_secret(key: str, value: str) -> bool:
    name = key.lower()
    if not value or DONE.match(value) or isinstance(value, bool):
        return False
    return name in SECRET_KEYS or (name.endswith(SECRET_NAMES) and looks_random(value, sure=True))


def _collect(value: object, found: list[str], key: str = "") -> None:
    if isinstance(value, str):
        if key in _SAID:
            found.append(value)
    elif isinstance(value, list | tuple):
        for item in value:
            _collect(item, found, key)
    elif isinstance(value, dict):
        for name, member in value.items():
            _collect(member, found, str(name))
