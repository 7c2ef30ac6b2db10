"""Incidents, as the list has them: one refusal and what followed from the same candidates, told as the first of them.

How it ended is how the last of them ended, and the verdict is the newest that anybody gave on any of them.
"""

from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from schemas.labels import Verdict
from schemas.records import Refusal


class Incident(NamedTuple):
    """Refusals of one incident, the first first."""

    refusals: list[Refusal]

    @property
    def told(self) -> Refusal:
        """The first, with the end of the last and the verdict on any."""
        first, last = self.refusals[0], self.refusals[-1]
        judged = next((one for one in reversed(self.refusals) if one.verdict != Verdict.UNKNOWN), first)
        return replace(
            first,
            outcome=last.outcome,
            answered_by=last.answered_by,
            turns_elsewhere=sum(one.turns_elsewhere for one in self.refusals),
            verdict=judged.verdict,
            domain=judged.domain,
            tags=judged.tags,
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What an incident has beside the fields of a refusal."""
        return {
            "refusals": len(self.refusals),
            "first_at": self.refusals[0].at,
            "last_at": self.refusals[-1].at,
            "ids": [one.id for one in self.refusals],
        }


def record(refusal: Refusal) -> dict[str, Any]:
    """A refusal's fields up to ``sources``, in the record's order, as builtins."""
    names = refusal.__struct_fields__
    fields: dict[str, Any] = msgspec.to_builtins(refusal)
    return {name: fields[name] for name in names[: names.index("sources") + 1]}
