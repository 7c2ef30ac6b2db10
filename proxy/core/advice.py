"""What to do about a refusal: one sentence a step, the most useful first, in our own words and by class.

A class is what structure says: kind, category, role, what the request was beside the last accepted one, its first candidate, and what
a person judged. Each ``Rule`` looks at the facts and adds its steps: ``meaning`` what it was, ``ways`` where to go from there. What demur
does not know, it says it does not know. A candidate is never called the cause, and no step tells how to put a request so that it is
not noticed. Nothing here opens or sends anything; addresses are data of ``proxy.core.links``.
"""

from collections.abc import Callable, Iterator

from proxy.core import meaning, ways
from proxy.core.facts import Facts

type Rule = Callable[[Facts], Iterator[str]]

RULES: tuple[Rule, ...] = (
    ways.recovered,
    meaning.kind,
    ways.correct,
    ways.in_vain,
    ways.after_output,
    ways.staying,
    meaning.marker,
    meaning.layout,
    meaning.despite,
    meaning.role,
    ways.stuck,
    ways.resent,
    ways.new_turn,
    ways.first_turn,
    ways.candidate,
    meaning.category,
    ways.other_model,
)


def advice(facts: Facts) -> list[str]:
    """The steps, each a sentence; empty where demur has none to offer. Texts of others in them are as they came."""
    return list(dict.fromkeys(step for rule in RULES for step in rule(facts)))
