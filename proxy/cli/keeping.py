"""What ``demur retry`` says without an ID: what asking again is, whether it is on, and how it is turned on."""

from typing import TYPE_CHECKING, Any

from proxy.cli.layout import wrapped
from proxy.cli.words import count, line

if TYPE_CHECKING:
    from proxy.settings import InForce
    from schemas.settings import Retry

_WHAT = (
    "Where a model's safeguards decline a request, demur can ask another model that you name, in the response that is still open, so that the"
    " session goes on. The refusal stays on record, each attempt is a further request on your account, and what a person judged correct is"
    " never asked again."
)
_LINES = """  [retry]
  enabled = true
  [[retry.fallback]]
  model = "claude-opus-4-8"
"""
_READ = "The settings are read when demur starts: start it again after a change."
_MORE = "`demur retry last` goes through the rules for the newest refusal. docs/retry.md has the whole of it, docs/settings.md each setting."


def record(in_force: "InForce") -> dict[str, Any]:
    """As builtins: whether it is on, what is asked, and where the settings are, or would be."""
    retry = in_force.settings.retry
    rephrasing = retry.rephrase.strategy if retry.rephrase.enabled else None
    return {
        "enabled": retry.enabled,
        "models": _chain(retry),
        "rephrasing": rephrasing,
        "config": str(in_force.config),
    }


def text(in_force: "InForce", room: int) -> str:
    """For a person, in so many columns."""
    retry, config = in_force.settings.retry, line(str(in_force.config))
    parts = [wrapped(_WHAT, room), wrapped(_state(retry), room)]
    if not retry.enabled:
        parts.append(wrapped(f"To turn it on, put this into {config}:", room) + f"\n\n{_LINES}")
    parts += [wrapped(_READ, room), wrapped(_MORE, room)]
    return "\n\n".join(part.rstrip("\n") for part in parts)


def _state(retry: "Retry") -> str:
    if not retry.enabled:
        return "It is off (retry.enabled): nothing is asked again."
    models = ", then ".join(map(line, _chain(retry)))
    ways = [models] * bool(models) + [f"rephrased ({retry.rephrase.strategy})"] * retry.rephrase.enabled
    if not ways or not retry.max_attempts:
        missing = (
            "neither a [[retry.fallback]] nor a rephrasing" if not ways else "no attempt allowed (retry.max_attempts)"
        )
        return f"It is on, but there is {missing}: nothing is asked again."
    return f"It is on: {', then '.join(ways)}; {count(retry.max_attempts, 'attempt')} at most for a request."


def _chain(retry: "Retry") -> list[str]:
    return [str(entry["model"]) for entry in retry.fallback]
