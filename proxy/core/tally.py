"""What was declined, counted: tallies by period and by value, and of how many requests they are a part.

A refusal is a part of the requests that were counted with it, and then there is a rate. One of which no count of requests knows is told apart, and
no rate has it. Where nobody knows how many requests had a value (a language, a verdict), there is a share of the refusals instead.
"""

from dataclasses import dataclass, field

from proxy.core.periods import By, number, periods
from proxy.core.rates import Rate, wilson

COUNTED = ("model", "client", "client_version", "entrypoint", "role", "user")
"""Fields that the traffic counts have, by which all requests can be grouped. There is ``outcome`` too: how a refusal ended."""
RATED = ("category", "kind", "outcome")
"""What only a refusal has: each of its values is a part of all that was asked."""
ANNOTATED = ("language", "script")
"""Suggestions of demur's, see ``schemas.records.Annotation``."""
RECORDED = ("project", "verdict", "domain", "stage", "source")
FIELDS = (*COUNTED, *RATED, *ANNOTATED, *RECORDED)
RECOVERED = ("recovered_by_demur", "recovered_by_api", "recovered_by_client")
UNKNOWN = "unknown"

type Key = tuple[str, ...]
"""The period, where there are any, and then the value of each field. What is not known is empty."""


@dataclass(kw_only=True)
class Tally:
    """Of one period, one value, or both."""

    requests: int | None = None
    """Those that the refusals are a part of; None where nobody counted them."""
    told: int = 0
    """How many of these imported files tell of; the others demur counted."""
    refused: int = 0
    """Of these, declined at first."""
    apart: int = 0
    """Declined, and none of the requests that were counted."""
    recovered_by_demur: int = 0
    recovered_by_api: int = 0
    recovered_by_client: int = 0
    unknown: int = 0
    """Declined, and nobody knows how it ended."""

    @property
    def refusals(self) -> int:
        return self.refused + self.apart

    @property
    def in_the_end(self) -> int:
        """What nobody recovered."""
        recovered = self.recovered_by_demur + self.recovered_by_api + self.recovered_by_client
        return self.refusals - recovered - self.unknown

    @property
    def gap(self) -> float | None:
        """The share of those that were declined in the end, of those of which it is known."""
        known = self.refusals - self.unknown
        return self.in_the_end / known if known else None

    @property
    def rate(self) -> Rate | None:
        return None if self.requests is None else wilson(self.refused, self.requests)

    def add(self, other: "Tally") -> None:
        """Adds all but the requests, which may be the same ones."""
        for name in ("refused", "apart", *RECOVERED, "unknown"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def put(self, outcome: str, n: int, *, apart: bool = False) -> None:
        """Adds so many refusals that ended so: an ``Outcome``."""
        self.apart += n * apart
        self.refused += n * (not apart)
        if outcome in (*RECOVERED, "unknown"):
            setattr(self, outcome, getattr(self, outcome) + n)

    def end_elsewhere(self, recovered: int, repeated: int) -> None:
        """Takes in what the client did by itself after it had been counted as refused: never more than was counted."""
        self.refused -= min(repeated, max(0, self.in_the_end))
        self.recovered_by_client += max(0, min(recovered, self.in_the_end))


@dataclass(kw_only=True)
class Statistics:
    """The tallies of one question, by key."""

    fields: Key
    by: By | None
    tallies: dict[Key, Tally] = field(default_factory=dict)
    requests: dict[Key, int] = field(default_factory=dict)
    """All that were counted, by period and by those of the fields that the counts have."""
    told: dict[Key, int] = field(default_factory=dict)
    """How many of these imported files tell of, likewise."""
    left_out: int = 0
    """Refusals that would be told apart, where only those are asked for that have a rate."""
    timeless: int = 0
    """Refusals that belong to no period, since their time cannot be read."""

    @property
    def against(self) -> Key | None:
        """The rates are against the requests with the same values of these fields. None: there are shares, and no rates."""
        rated = set(self.fields) <= {*COUNTED, *RATED}
        return tuple(name for name in self.fields if name in COUNTED) if rated else None

    @property
    def total(self) -> Tally:
        """All of it."""
        found = Tally(requests=sum(self.requests.values()), told=sum(self.told.values()))
        for tally in self.tallies.values():
            found.add(tally)
        return found

    def whole(self) -> dict[str, Tally]:
        """All of each period, in their order."""
        found = {name: Tally(requests=0) for name in self.periods()}
        for key, n in self.requests.items():
            found[key[0]].requests = (found[key[0]].requests or 0) + n
            found[key[0]].told += self.told.get(key, 0)
        for key, tally in self.tallies.items():
            found[key[0]].add(tally)
        return found

    def values(self) -> list[Key]:
        """The values of the fields that there are, what was refused most first."""
        found: dict[Key, tuple[int, int]] = {}
        for key, tally in self.tallies.items():
            values = key[bool(self.by) :]
            refusals, requests = found.get(values, (0, 0))
            found[values] = refusals + tally.refusals, requests + (tally.requests or 0)
        return sorted(found, key=lambda values: (-found[values][0], -found[values][1], values))

    def span(self) -> tuple[str, str] | None:
        """The first and the last period in which there is anything."""
        names = {key[0] for key in (*self.tallies, *self.requests)} if self.by else ()
        return (min(names), max(names)) if names else None

    @property
    def number(self) -> int:
        """Of the periods, about: before any is made."""
        span = self.span()
        return number(*span, self.by) if span and self.by else 0

    def periods(self) -> list[str]:
        """All from the first to the last, also those in which there was nothing."""
        span = self.span()
        return periods(*span, self.by) if span and self.by else []

    def tally(self, key: Key) -> Tally:
        """Of a period and values; one of zeros, where nothing was declined."""
        found = self.tallies.get(key)
        return self.set_against(key, Tally()) if found is None else found

    def set_against(self, key: Key, tally: Tally) -> Tally:
        """The tally, with the requests that it is a part of; without, where nobody counted them."""
        if self.against is not None:
            before = bool(self.by)
            same = (value for name, value in zip(self.fields, key[before:], strict=True) if name in self.against)
            asked = (*key[:before], *same)
            tally.requests, tally.told = self.requests.get(asked, 0), self.told.get(asked, 0)
        return tally
