"""Whether a piece of a known secret stands in a text: any 12 characters of it in a row, whatever lies between them.

Both are compared without spaces, line breaks and the borders of boxes, in each layer of escapes. What a secret has in common with every text of
its kind is no piece of it: the armour of a PEM file, and ids, times, models and versions of the API.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from proxy.core.reading import PROTECTED, Reading, decoded

LEAST = 12
"""Characters of a piece. A secret that has fewer is looked for whole."""
SHORTEST = 6
"""A secret of fewer characters would be found everywhere."""
_BETWEEN = re.compile(r"[\s│┃║|>]+")
_ARMOUR = re.compile(r"-{5,9}(?:BEGIN|END) [A-Z0-9 ]{1,64}-{5,9}")


@lru_cache(maxsize=4096)
def _grams(secret: str) -> dict[int, frozenset[str]]:
    """The pieces, by their length."""
    found: dict[int, set[str]] = {}
    for layer in decoded(secret):
        for part in _ARMOUR.split(layer.text):
            for bare in PROTECTED.split(part):
                piece = _BETWEEN.sub("", bare)
                if len(piece) >= SHORTEST:
                    size = min(len(piece), LEAST)
                    found.setdefault(size, set()).update(piece[n : n + size] for n in range(len(piece) - size + 1))
    return {size: frozenset(pieces) for size, pieces in found.items()}


def pieces(reading: Reading, secrets: Iterable[str]) -> Iterator[tuple[int, int, str]]:
    """Where in a reading pieces of secrets stand: start, end (in the reading), and the secret that it is of."""
    owners: dict[int, dict[str, str]] = {}
    for secret in secrets:
        for size, grams in _grams(secret).items():
            owners.setdefault(size, {}).update(dict.fromkeys(grams, secret))
    if not owners:
        return
    squeezed, places = _squeezed(reading.text)
    for size, owned in owners.items():
        for start, end, secret in _runs(squeezed, size, owned):
            yield places[start], places[end - 1] + 1, secret


def leaks(text: str, secrets: Iterable[str]) -> int:
    """How many of the secrets have a piece in a text."""
    known = list(secrets)
    return len({secret for layer in decoded(text) for *_, secret in pieces(layer, known)})


def _squeezed(text: str) -> tuple[str, list[int]]:
    parts, places, at = [], list[int](), 0
    for match in _BETWEEN.finditer(text):
        parts.append(text[at : match.start()])
        places += range(at, match.start())
        at = match.end()
    parts.append(text[at:])
    places += range(at, len(text))
    return "".join(parts), places


def _runs(text: str, size: int, owned: dict[str, str]) -> Iterator[tuple[int, int, str]]:
    """The spans that are made of pieces of one secret, overlapping ones as one. ``owned``: which secret a piece is of."""
    start, end, of = 0, -1, ""
    for n in [n for n in range(len(text) - size + 1) if text[n : n + size] in owned]:
        secret = owned[text[n : n + size]]
        if n >= end:
            if end > 0:
                yield start, end, of
            start, of = n, secret
        end = n + size
    if end > 0:
        yield start, end, of
