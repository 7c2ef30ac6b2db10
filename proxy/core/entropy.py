"""Text that is hardly text: encoded, compressed into long lines, binary, or letters that make no words.

Bits a character alone do not tell: English has about 4.3, source code up to 5.2, base64 6.0, but hexadecimal less than English, and
Chinese has 9. So each kind has a measure of its own, the bits are told beside it.
"""

import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from math import log2
from unicodedata import category

from proxy.core.keyboard import plausible
from proxy.core.script import LONGEST, prose, scripts

LEAST = 100
"""Characters of a text, or of what is encoded in it, below which nothing is said."""
SHARE = 0.5
"""The share of a text's characters that are encoded, from which on it is told of."""
RUN = 1000
"""Characters of one encoded run from which on it is told of, however long the text is."""

_RUN = re.compile(r"[A-Za-z0-9+/_=-]{32,}")
_HEX = re.compile(r"(?<![0-9A-Za-z%\\])(?:0x)?[0-9A-Fa-f]{2,}(?=[^0-9A-Za-z]|\Z)")
_ESCAPE = re.compile(r"(?:\\x|%|\\u00)[0-9A-Fa-f]{2}")
_HEX_LETTERS = (0.15, 0.6)
"""The share of a to f among hexadecimal digits: 0.375 where they are random, 0 in plain numbers, 1 in words."""
_LONG_LINE, _BLANKS = 500, 0.08
_PAIRS, _USUAL = 40, 0.5


def bits(text: str) -> float:
    """Shannon's entropy: bits a character, of single characters."""
    n = len(text)
    return -sum(count / n * log2(count / n) for count in Counter(text).values()) if n else 0.0


def kind(text: str) -> str | None:
    """What about it is not text, in a word or two; None where nothing is."""
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} {text[-LONGEST // 2 :]}"
    if len(text) < LEAST:
        return None
    return next((name for name, is_it in _KINDS if is_it(text)), None)


def nonsense(text: str) -> str | None:
    """The same for what a person typed: whether its letters make words of any language in Latin script."""
    said = prose(text)
    found = scripts(said)
    if found["Latin"] * 2 < found.total():
        return None
    pairs, usual = plausible(said)
    return "letters that make no words" if pairs >= _PAIRS and usual < _USUAL else None


def _is_binary(text: str) -> bool:
    odd = sum(
        n
        for char, n in Counter(text).items()
        if char == "\ufffd" or (category(char) == "Cc" and char not in "\t\n\r\x1b")
    )
    return odd > len(text) / 20


def _is_hex(text: str) -> bool:
    found = "".join(_HEX.findall(text))
    least, most = _HEX_LETTERS
    letters = sum(map(str.isalpha, found.replace("0x", "")))
    return _counts(found, text) and least <= letters / len(found) <= most


def _is_base64(text: str) -> bool:
    runs = [run for run in _RUN.findall(text) if _is_mixed(run)]
    return _counts("".join(runs), text) or max(map(len, runs), default=0) >= RUN


def _is_escaped(text: str) -> bool:
    return _counts("".join(_ESCAPE.findall(text)), text)


def _is_minified(text: str) -> bool:
    """Code without blanks in lines that nobody reads."""
    longest = max(text.split("\n"), key=len)
    if len(longest) < _LONG_LINE or not longest.isascii():
        return False
    signs = sum(map(longest.count, "{}();=,:"))
    return longest.count(" ") < _BLANKS * len(longest) and signs > len(longest) / 20


_KINDS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("binary", _is_binary),
    ("hexadecimal", _is_hex),
    ("base64", _is_base64),
    ("escapes", _is_escaped),
    ("minified", _is_minified),
)


def _counts(found: str, text: str) -> bool:
    """Whether so much of the text is too much. Blanks are not counted."""
    return len(found) >= LEAST and len(found) >= SHARE * len("".join(text.split()))


def _is_mixed(run: str) -> bool:
    """Capitals, small letters and digits in turn, as no name or path has them."""
    has = [any(map(test, run)) for test in (str.isupper, str.islower, str.isdigit)]
    changes = sum(a.isupper() != b.isupper() for a, b in pairwise(run) if a.isalpha() and b.isalpha())
    return all(has) and changes * 6 > len(run) and bits(run) > 4
