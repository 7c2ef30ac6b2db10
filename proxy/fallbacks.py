"""The entries of ``[[retry.fallback]]``: what they may hold, what is likely a slip in them, and how they are told.

An entry ends where the file does or where the next table begins, so that a setting of ``[retry]`` that is appended to the file
becomes part of the entry, and with it of a request. What is certainly that is an error. What the API may take is sent.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from schemas.fields import NAMES
from schemas.models import KNOWN, family
from schemas.settings import Rephrase, Retry, Settings

FIXED = frozenset(
    {"messages", "system", "tools", "stream", "metadata", "fallbacks", "fallback_credit_token", "thread", "container"}
)
"""Members of a request that an entry of the chain may not patch: they are what is asked, or how it is answered."""
_PLACES = (
    (Retry, "a setting of [retry]: move it above the first [[retry.fallback]]"),
    (Rephrase, "a setting of [retry.rephrase]: move it there"),
    (Settings, "a setting outside of [retry]: move it above the first [table] of the file"),
)
_LONG = 40
"""Characters of a text that is told."""


def entry(given: object) -> object:
    """A fallback entry as the core takes it: a model's name alone will do, and ``unset`` names keys to leave out."""
    if isinstance(given, str):
        return {"model": given}
    if not isinstance(given, dict):
        return given
    unset = given.get("unset", [])
    if not isinstance(unset, list):
        return given
    made = {key: value for key, value in given.items() if key != "unset"}
    for name in unset:
        outer, _, inner = str(name).partition(".")
        if inner:
            table = made.get(outer)
            made[outer] = {**(table if isinstance(table, dict) else {}), inner: None}
        else:
            made[outer] = None
    return made


def check(entries: Iterable[dict[str, Any]]) -> None:
    """Raises ValueError for an entry that cannot be meant."""
    for n, one in enumerate(entries, start=1):
        _check(f"retry.fallback number {n}", one)


def slips(retry: Retry) -> Iterator[str]:
    """What is likely not meant, each in a sentence without its full stop."""
    models = [str(one["model"]) for one in retry.fallback]
    for n, one in enumerate(retry.fallback, start=1):
        for key in sorted(one.keys() - NAMES):
            what = f"retry.fallback number {n} has {key}, which is sent as it is: no field of the Messages API that demur knows"
            yield what + _meant(get_close_matches(key, NAMES | _SETTINGS, n=1, cutoff=0.75))
    for model, times in Counter(map(family, models)).items():
        if times > 1:
            yield f"retry.fallback names {model} {times} times: after a refusal each is a request to the same model"
    for model in dict.fromkeys(models) if retry.routes == "vendor" else ():
        if family(model) not in KNOWN:
            what = f'{model} is not a model that demur knows: with retry.routes = "vendor" it never takes over from one that is'
            yield what + _meant(_alike(model))


def told(one: dict[str, Any]) -> str:
    """``claude-opus-4-8 (max_tokens = 8000, without temperature)``. Values that may hold anything are not told."""
    changes = [change for key, value in one.items() if key != "model" for change in _changes(key, value)]
    return str(one["model"]) + (f" ({', '.join(changes)})" if changes else "")


_SETTINGS = frozenset(Retry.__struct_fields__)


def _check(name: str, one: dict[str, Any]) -> None:
    if not isinstance(one.get("model"), str) or not one["model"]:
        close = get_close_matches("model", one, n=1)
        said = f"; did you mean model for {close[0]}?" if close and close[0] != "model" else ""
        raise ValueError(f'{name} names no model, for example model = "claude-opus-4-8"{said}')
    if "unset" in one:
        raise ValueError(f'{name}: unset is a list of names, for example unset = ["temperature"]')
    if fixed := sorted(FIXED & one.keys()):
        raise ValueError(f"{name} may not change {fixed[0]}: a further attempt asks the same thing")
    for table, place in _PLACES:
        if misplaced := [key for key in one if key in table.__struct_fields__ and key not in NAMES]:
            raise ValueError(f"{name} has {misplaced[0]}, which is {place}")


def _meant(close: list[str]) -> str:
    return f"; did you mean {close[0]}?" if close else ""


def _alike(model: str) -> list[str]:
    """A model that is known and written nearly so: with the same figures, as another version is no slip."""
    name = family(model)
    same = [known for known in KNOWN if re.sub(r"\D", "", known) == re.sub(r"\D", "", name)]
    return get_close_matches(name, sorted(same), n=1, cutoff=0.8)


def _changes(key: str, value: object) -> Iterator[str]:
    if isinstance(value, dict) and key == "output_config":
        for inner, member in value.items():
            yield from _changes(f"{key}.{inner}", member)
    elif value is None:
        yield f"without {key}"
    else:
        yield f"{key} = {_value(key, value)}"


def _value(key: str, value: object) -> str:
    plain = key.partition(".")[0] in NAMES and isinstance(value, bool | int | float | str)
    return json.dumps(value, ensure_ascii=False) if plain and len(str(value)) <= _LONG else "…"
