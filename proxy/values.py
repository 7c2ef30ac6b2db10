"""What a setting may be beyond its type: words from a list, entries that need a model. Raises ValueError, in one line."""

from typing import Any

from schemas.settings import Retry, Settings

NEVER = "reasoning_extraction"
CHOICES = {
    "capture.content": ("none", "refusals"),
    "retry.wire": ("auto", "marked", "plain"),
    "retry.mid_stream": ("refuse", "restart"),
    "retry.routes": ("vendor", "any"),
    "retry.hold": ("thinking", "block"),
    "retry.rephrase.strategy": ("scope-note", "trim", "restate"),
}
LISTS = frozenset({"hosts", "deny", "categories", "fallback"})
"""Settings that are lists: the environment separates their items by commas."""


def checked(settings: Settings) -> list[str]:
    """Raises ValueError for what cannot be meant; gives warnings for what will have no effect."""
    for name, choices in CHOICES.items():
        value: Any = settings
        for part in name.split("."):
            value = getattr(value, part)
        if value not in choices:
            *others, last = (f'"{choice}"' for choice in choices)
            raise ValueError(f"{name} is {value!r}: it must be {', '.join(others)} or {last}")
    return _retry(settings.retry)


def _retry(retry: Retry) -> list[str]:
    for n, entry in enumerate(retry.fallback, start=1):
        if not isinstance(entry.get("model"), str) or not entry["model"]:
            raise ValueError(f'[[retry.fallback]] number {n} names no model, for example model = "claude-opus-4-8"')
    rephrase = retry.rephrase
    if rephrase.enabled and rephrase.strategy == "scope-note" and not rephrase.scope_note.strip():
        raise ValueError('retry.rephrase.strategy "scope-note" needs your own statement in retry.rephrase.scope_note')
    if rephrase.enabled and rephrase.strategy == "restate" and not rephrase.restate_model:
        raise ValueError('retry.rephrase.strategy "restate" needs retry.rephrase.restate_model')
    if isinstance(retry.sticky, int) and retry.sticky < 0:
        raise ValueError(f"retry.sticky is {retry.sticky}: it must be true, false, or a number of minutes")
    return list(_without_effect(retry))


def _without_effect(retry: Retry) -> list[str]:
    said = []
    if NEVER in retry.categories:
        said.append(f"retry.categories has {NEVER}, which is never asked again: it is ignored")
    if retry.enabled and not retry.fallback and not retry.rephrase.enabled:
        said.append("retry.enabled is true, but there is no [[retry.fallback]]: only the tool guard is in force")
    return said


def entry(given: object) -> object:
    """A fallback entry as the core takes it: a model's name alone will do, and ``unset`` names keys to leave out."""
    if isinstance(given, str):
        return {"model": given}
    if not isinstance(given, dict):
        return given
    made = {key: value for key, value in given.items() if key != "unset"}
    for name in given.get("unset", ()):
        outer, _, inner = str(name).partition(".")
        if inner:
            made[outer] = {**made.get(outer, {}), inner: None}
        else:
            made[outer] = None
    return made
