"""A refusal that another demur had recorded, with all that belongs to it there: also what persons said of it, and what they had sent again."""

from msgspec import Struct, field

from proxy.origins import Counted
from proxy.reports import Report
from schemas.records import Entry, Judgement, Located, Trial


class Witness(Struct, kw_only=True):
    """Another record of the same refusal, by another source."""

    id: str
    source: str


class Merged(Entry, kw_only=True):
    """An entry, and what no onlooker gives. But for ``counts``, all of it is of the entry's only refusal."""

    judgements: list[Judgement] = field(default_factory=list)
    """All of them, oldest first."""
    trials: list[Trial] = field(default_factory=list)
    located: list[Located] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    counts: list[Counted] = field(default_factory=list)
    """Requests, by who counted them; those in ``traffic`` are of the file alone."""
