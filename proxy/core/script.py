# ruff: noqa: RUF001 - signs of other scripts
"""In which script a text is written, and which of its words are language at all.

Python knows no script of a character, but its Unicode name begins with one: ``CYRILLIC SMALL LETTER A``. Only letters are
counted. Some scripts write one language, for all that matters here; these need no detector.
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from unicodedata import name

LONGEST = 20_000
"""Characters of a text that are looked at: of a longer one its beginning and its end."""
ENOUGH = 20
"""Letters that a text has at least, before its language is asked for."""
MATTERS = 0.2
"""The share of letters from which on a second script is told of."""

_SCRIPTS = {
    **{one.upper(): one for one in (
        "Latin Greek Cyrillic Armenian Hebrew Arabic Syriac Thaana Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu"
        " Kannada Malayalam Sinhala Thai Lao Tibetan Myanmar Georgian Hangul Ethiopic Cherokee Khmer Mongolian Hiragana"
        " Katakana Bopomofo"
    ).split()},
    "CJK": "Han",
}  # fmt: skip
_WIDE = {"FULLWIDTH", "HALFWIDTH"}

_JAPANESE = frozenset({"Hiragana", "Katakana"})
_DENSE = frozenset({"Han", "Hangul"}) | _JAPANESE
"""Scripts whose letters are syllables or words: one counts as four."""
_TOGETHER = _JAPANESE | {"Han"}
_LANGUAGES = {
    "Hangul": ("ko", 0.99), "Thai": ("th", 0.99), "Greek": ("el", 0.98), "Hebrew": ("he", 0.95), "Armenian": ("hy", 0.99),
    "Georgian": ("ka", 0.98), "Khmer": ("km", 0.99), "Lao": ("lo", 0.99), "Myanmar": ("my", 0.95), "Tamil": ("ta", 0.99),
    "Telugu": ("te", 0.99), "Kannada": ("kn", 0.98), "Malayalam": ("ml", 0.99), "Gujarati": ("gu", 0.98),
    "Gurmukhi": ("pa", 0.98), "Sinhala": ("si", 0.99), "Han": ("zh", 0.9),
}  # fmt: skip
"""The language (ISO 639-1) of a script that others hardly use, and how sure that is."""

_ASIDE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|<[^<>\n]{1,200}>", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_AROUND = " \t.,:;!?\"'()[]«»„“”‘’…。、，！？：；（）「」『』-–—*•>#"
_SIGN = re.compile(r"[{}=<>|\\&$^~]|\w[(\[]|;$")
_CODE = 0.07
"""The share of signs in a line from which on it is code."""


def excerpt(text: str) -> str:
    """Its beginning and its end, together ``LONGEST`` characters at most."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n{text[-LONGEST // 2 :]}"


@lru_cache(maxsize=4096)
def script_of(char: str) -> str | None:
    """The script of a letter, by its Unicode name; None of anything else."""
    if not char.isalpha():
        return None
    words = name(char, "").split()
    return next((_SCRIPTS.get(word) for word in words if word not in _WIDE), None)


def scripts(text: str) -> Counter[str]:
    """How many letters of each script it has."""
    counts = Counter(char for char in text if char.isalpha())
    found: Counter[str] = Counter()
    for char, n in counts.items():
        if script := script_of(char):
            found[script] += n
    return found


def shares(text: str) -> list[tuple[str, float]]:
    """The scripts that matter in it, the most frequent first, with their share of its letters. Empty without letters."""
    found = scripts(text)
    every = found.total()
    return [(script, n / every) for script, n in found.most_common() if n / every >= MATTERS]


def mixed(found: Iterable[tuple[str, float]]) -> list[str]:
    """Those that stand beside each other and do not belong together, as kanji and kana do."""
    names = [script for script, _ in found]
    if _TOGETHER.issuperset(names[1:]) and names[0] in _TOGETHER:
        return []
    return names if len(names) > 1 else []


def letters(text: str) -> int:
    """How many letters it has; one that is a syllable or a word counts as four."""
    return sum(n * (4 if script in _DENSE else 1) for script, n in scripts(text).items())


def language_of(text: str) -> tuple[str, float] | None:
    """The language that its script says, with a confidence; None where the script is that of many."""
    found = scripts(text)
    if not found:
        return None
    kana = found["Hiragana"] + found["Katakana"]
    if kana and kana >= (kana + found["Han"]) / 20 and (kana + found["Han"]) * 2 >= found.total():
        return "ja", 0.99
    script, n = found.most_common(1)[0]
    return _LANGUAGES.get(script) if n * 2 >= found.total() else None


def aside(text: str) -> str:
    """What is said: without code between backquotes and what stands in angle brackets."""
    return _ASIDE.sub(" ", excerpt(text))


def prose(text: str) -> str:
    """The words of it that are language: without code, addresses, paths, and names with digits or signs in them."""
    return "\n".join(" ".join(_words(line)) for line in aside(text).splitlines() if not _is_code(line)).strip()


def _words(line: str) -> list[str]:
    return [word for part in line.split() if (word := part.strip(_AROUND)) and _is_word(word)]


def _is_word(word: str) -> bool:
    """Letters alone, and not written ``likeThis``."""
    return bool(_WORD.fullmatch(word)) and (word.islower() or word.isupper() or word[1:] == word[1:].lower())


def _is_code(line: str) -> bool:
    solid = "".join(line.split())
    return len(_SIGN.findall(solid)) > _CODE * len(solid)
