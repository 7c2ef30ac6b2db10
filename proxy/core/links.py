"""Addresses that belong to a class of refusals. They rot: each has the month in which it was last named, and what was heard of it."""

from typing import NamedTuple

from schemas.labels import Kind


class Link(NamedTuple):
    """For a person to open; demur opens none."""

    title: str
    url: str
    seen: str
    """The month in which documentation or a message last named it."""
    note: str = ""


LINKS = {
    "cyber": Link(
        "Cyber safeguards and the Cyber Verification Program",
        "https://support.claude.com/en/articles/14604842-real-time-cyber-safeguards-on-claude",
        "2026-09",
    ),
    "appeal": Link(
        "Appeal of a cyber block or of a rejected application",
        "https://claude.com/form/cyber-block-false-positive-report-cvp-rejection-appeal",
        "2026-08",
        "some found the form empty",
    ),
    "terms": Link("Commercial terms", "https://www.anthropic.com/legal/commercial-terms", "2026-09"),
    "policy": Link("Usage Policy", "https://www.anthropic.com/legal/aup", "2026-09"),
    "refusals": Link(
        "Refusals and fallback, for developers",
        "https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback",
        "2026-09",
    ),
    "output_filter": Link("The output filter", "https://support.claude.com/en/articles/10023638", "2026-06"),
}

COMMERCIAL = frozenset({"frontier_llm", "reasoning_extraction"})
"""Categories that fall under the commercial terms, whatever policy the client's message names."""


def links(kind: str, category: str | None, *, despite: bool = False, correct: bool = False) -> list[Link]:
    """Those of a class; ``despite``: it was declined despite an exemption; ``correct``: rightly, so only what it fell under."""
    if kind == Kind.OUTPUT_FILTER:
        return [LINKS["output_filter"]]
    if kind != Kind.REFUSAL:
        return []
    terms = LINKS["terms" if category in COMMERCIAL else "policy"]
    if correct:
        return [terms]
    if category == "cyber":
        return [LINKS["appeal" if despite else "cyber"], LINKS["refusals"]]
    return [terms, LINKS["refusals"]]
