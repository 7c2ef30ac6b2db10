"""Where a report may be handed in: data with the month in which each was last named. demur opens and posts to none of them."""

from collections.abc import Iterable
from typing import NamedTuple

from schemas.labels import Kind


class Channel(NamedTuple):
    """For a person. ``seen``: the month in which documentation, a message or a report last named it."""

    name: str
    where: str
    seen: str
    note: str = ""


FEEDBACK = Channel(
    "/feedback, in the session that was declined",
    "/feedback",
    "2026-09",
    "it sends the whole conversation, which is kept for up to 5 years; for some it failed with 401 or 403; note the id that it gives",
)
ISSUES = Channel(
    "Issues of Claude Code (public)",
    "https://github.com/anthropics/claude-code/issues/new/choose",
    "2026-09",
    "bug_report.yml, or model_behavior.yml, which says that it is not for API errors; search first: most reports end as duplicates",
)
SAFETY = Channel("Anthropic's user safety team", "usersafety@anthropic.com", "2026-08")
PROGRAM = Channel(
    "Application to the Cyber Verification Program",
    "https://claude.com/form/cyber-use-case",
    "2026-09",
    "the link in a refusal has a token, which is a secret; 2 working days; not for organisations with zero data retention",
)
APPEAL = Channel(
    "Appeal of a cyber block or of a rejected application",
    "https://claude.com/form/cyber-block-false-positive-report-cvp-rejection-appeal",
    "2026-08",
    "some found the form empty",
)
HELP = Channel(
    "Help: cyber safeguards and the program",
    "https://support.claude.com/en/articles/14604842-real-time-cyber-safeguards-on-claude",
    "2026-09",
)
MODELS = Channel(
    "Help: safeguards of Fable and Opus", "https://support.claude.com/en/articles/15363606", "2026-09", "and 16049681"
)
TERMS = Channel(
    "Commercial terms, which this category falls under",
    "https://www.anthropic.com/legal/commercial-terms",
    "2026-09",
)
POLICY = Channel("Usage Policy", "https://www.anthropic.com/legal/aup", "2026-09")
FILTER = Channel("Help: the output filter", "https://support.claude.com/en/articles/10023638", "2026-06")

_COMMERCIAL = frozenset({"frontier_llm", "reasoning_extraction"})


def channels(classes: Iterable[tuple[str, str | None]], *, exempt: bool = False) -> list[Channel]:
    """Those for these classes (kind and category), each once. ``exempt``: the owner names an approval by the program."""
    found: dict[Channel, None] = {}
    for kind, category in classes:
        found |= dict.fromkeys(_of(kind, category, exempt=exempt))
    return list(found)


def _of(kind: str, category: str | None, *, exempt: bool) -> list[Channel]:
    if kind == Kind.OUTPUT_FILTER:
        return [FEEDBACK, ISSUES, FILTER]
    if kind != Kind.REFUSAL:
        return [FEEDBACK, ISSUES]
    if category == "cyber":
        return [FEEDBACK, ISSUES, SAFETY, APPEAL if exempt else PROGRAM, APPEAL, HELP, MODELS]
    return [FEEDBACK, ISSUES, SAFETY, TERMS if category in _COMMERCIAL else POLICY, MODELS]
