"""Full text: what of a segment a person reads, how it stands in the index, and what a query asks for.

The index is one of words (FTS5, tokenizer unicode61): a fraction of the size of one of trigrams, and quicker to make. Scripts that set
no spaces between words are made into pairs first, here, for the index and for queries alike: of ABCD the words AB BC CD D. So any
part of such a run is found as a row of pairs, and a single character as the beginning of one. Korean is treated the same, since its words
end in particles. Width, case, accents and composition make no difference, nor does the Russian ё.

A query is words that must all stand in one text, ``"a phrase"``, ``begin*``, ``this OR that``, ``this NOT that``. Every other
character is what it is in a text: what separates words. An operator with nothing to work on is a word.
"""

import re
from collections.abc import Iterator
from json import loads
from typing import Any, NamedTuple
from unicodedata import category, normalize

from proxy.core.redact import OPAQUE

TOKENIZER = "unicode61 remove_diacritics 2 categories 'L* N* Co M*'"
"""With marks: without their vowel signs, words in Devanagari would fall apart."""
BEFORE, AFTER = 60, 140
"""Characters of an excerpt before a match, and from its beginning on."""

_UNREAD = frozenset({"signature", "encrypted_content", "encrypted_index"})
"""Members that are no text, wherever they stand."""
_RUN = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3130-\u318f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
"""Thai, Lao, Burmese, Khmer; kana, bopomofo, Han; Hangul."""
_TAIL = re.compile(rf"{_RUN.pattern}\Z")
_TOKEN = re.compile(r'"([^"]*)(?:"|\Z)(\*?)|([^\s"]+)')
_OPERATORS = frozenset({"AND", "OR", "NOT"})


class QueryError(ValueError):
    """A query that asks for nothing. The message says what to do."""


class Term(NamedTuple):
    """A word or a phrase."""

    given: str
    """Its words, with a space between two."""
    indexed: str
    """As they stand in the index: folded, in pairs."""
    begins: bool
    """Whether the last word may go on."""


class Query(NamedTuple):
    """What is looked for."""

    expression: str
    """For FTS5; every term is quoted."""
    terms: list[Term]
    """Those that a text is found by."""


class Excerpt(NamedTuple):
    """A match and what stands around it."""

    before: str
    match: str
    after: str


def said(content: bytes) -> str:
    """What a person would read of a segment's JSON, a line for each string: not its syntax, media or signatures."""
    try:
        return "\n".join(_say(loads(content, object_pairs_hook=_object)))
    except (ValueError, RecursionError):
        return content.decode("utf-8", "replace")


def folded(text: str) -> str:
    """A text as it is indexed."""
    return _RUN.sub(lambda run: f" {_pairs(run[0])} ", _plain(text))


def parse(asked: str) -> Query:
    """Raises QueryError where there is no word in it."""
    tokens = [token for found in _TOKEN.finditer(asked) if (token := _token(found))]
    wanted: list[list[Term]] = [[]]
    unwanted: list[list[Term]] = [[]]
    target = wanted
    for n, (term, operator) in enumerate(tokens):
        if operator and n + 1 < len(tokens) and wanted[-1] and target is wanted:
            if operator == "OR":
                wanted.append([])
                unwanted.append([])
            target = unwanted if operator == "NOT" else wanted
            continue
        target[-1].append(term)
        target = wanted
    terms = [term for part in wanted for term in part]
    if not terms:
        raise QueryError("there is no word in the query: name one that stands in what you look for")
    return Query(" OR ".join(map(_conjunction, wanted, unwanted)), terms)


def excerpt(text: str, query: Query) -> Excerpt:
    """The first place in a text where a term of the query stands; the beginning where it cannot be told."""
    found = _pattern(query.terms).search(text.translate(_LOOKS))
    start, end = found.span() if found else (0, 0)
    first, last = max(0, start - BEFORE), max(end, start + AFTER)
    before = "…" * (first > 0) + text[first:start]
    return Excerpt(before, text[start:end], text[end:last] + "…" * (last < len(text)))


def _say(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case bool() | None:
            return
        case int() | float():
            yield str(value)
        case list():
            for item in value:
                yield from _say(item)
        case {"type": "text", "text": str(text)} | {"type": "thinking", "thinking": str(text)}:
            yield text
        case {"type": str(kind), "input": asked} if kind.endswith("tool_use"):
            yield from _say(asked)
        case {"type": str(kind), "content": given} if kind.endswith("tool_result"):
            yield from _say(given)
        case _:
            for key, member in value.items():
                if key not in _UNREAD and (value.get("type"), key) not in OPAQUE:
                    yield key
                    yield from _say(member)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def _plain(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode().replace("\0", " ")
    return normalize("NFKC", clean).casefold().replace("ё", "е")  # noqa: RUF001 - Cyrillic


def _pairs(run: str) -> str:
    return " ".join(run[at : at + 2] for at in range(len(run)))


def _token(found: re.Match[str]) -> tuple[Term, str] | None:
    """A term, and the operator that it may be; None where there is no word in it."""
    given = found[3] if found[1] is None else found[1]
    begins = found[2] == "*" if found[1] is not None else given.endswith("*")
    words = _words(given)
    if not any(_is_letter(char) for char in words):
        return None
    indexed = folded(words).strip()
    if tail := _TAIL.search(_plain(words)):
        indexed = indexed[:-2] if len(tail[0]) > 1 else indexed  # of ABCD its last word, D, may stand within a run
        begins = begins or len(tail[0]) == 1
    return Term(words, indexed, begins), given if given in _OPERATORS and found[1] is None else ""


def _words(given: str) -> str:
    return " ".join("".join(char if _is_letter(char) or category(char)[0] == "M" else " " for char in given).split())


def _is_letter(char: str) -> bool:
    return category(char)[0] in "LN" or category(char) == "Co"


def _conjunction(wanted: list[Term], unwanted: list[Term]) -> str:
    all_of, none_of = " AND ".join(map(_phrase, wanted)), " OR ".join(map(_phrase, unwanted))
    return f"(({all_of}) NOT ({none_of}))" if unwanted else f"({all_of})"


def _phrase(term: Term) -> str:
    return f'"{term.indexed}"{" *" * term.begins}'


class _Looks(dict[int, str]):
    """What a character is taken for, so that a text keeps its length: without accents, case and width."""

    def __missing__(self, point: int) -> str:
        char = chr(point)
        self[point] = char if _RUN.match(char) else normalize("NFKD", char)[0].casefold()[0]
        return self[point]


_LOOKS = _Looks()


def _pattern(terms: list[Term]) -> re.Pattern[str]:
    return re.compile("|".join(map(_spelling, terms)))


def _spelling(term: Term) -> str:
    """A term as it may stand in a text of ``_LOOKS``."""
    words = normalize("NFC", term.given).translate(_LOOKS)
    start = "" if _RUN.match(words) else r"(?<![^\W_])"
    end = "" if term.begins or _RUN.match(words[-1]) else r"(?![^\W_])"
    return start + r"[\W_]+".join(map(re.escape, words.split())) + end
