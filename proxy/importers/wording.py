"""What Claude Code printed where it kept no structure: its error texts of all versions, as a table of rules.

Only texts at the place of an API error are looked at: a file or a person that quotes a refusal says the same words. The first rule that matches
decides; each is anchored at the beginning of the text, behind the client's own prefixes. An error of the API itself, with a status or an error
body, is judged by the rules of ``proxy.core.detect``. What smells of a refusal, and is none of the known look-alikes, is ``unclassified``.

Sources: the texts that users reported (anthropics/claude-code, 2025-06 to 2026-09), the strings of Claude Code 2.1.197 and 2.1.330.
"""

import re
from typing import NamedTuple

from proxy.core.detect import detect
from proxy.core.message import parse, table
from proxy.core.message import text as plain
from schemas.labels import Kind
from schemas.wire import Message, Problem


class Rule(NamedTuple):
    """A text of the client's that stood for a refusal."""

    name: str
    confidence: float
    words: re.Pattern[str]
    category: str | None = None
    """Where the client had a text of its own for it."""


class Finding(NamedTuple):
    """What an error text says."""

    kind: Kind
    evidence: str
    confidence: float
    category: str | None = None
    explanation: str | None = None
    model: str | None = None
    """Of whose safeguards it speaks."""


def _rule(name: str, confidence: float, words: str, category: str | None = None) -> Rule:
    return Rule(name, confidence, re.compile(words), category)


_Q = r"['\u2019]"
_WHOSE = r"(?:claude-[a-z0-9.-]{3,40}|[Tt]his model|[A-Z][a-z]+ \d(?:\.\d+)?)(?: \(1M context\))?"
REFUSALS = (
    _rule("client_usage_policy", 0.95, r"Claude Code is unable to respond to this request, which appears to violate"),
    _rule(
        "client_cyber_topic",
        0.95,
        rf"{_WHOSE}(?:{_Q}s safeguards| has safety measures that) flagged this message for a cybersecurity topic",
        "cyber",
    ),
    _rule("client_safeguards", 0.95, rf"{_WHOSE}{_Q}s safeguards flagged this (?:message|session)"),
    _rule("client_measures", 0.9, rf"{_WHOSE} has (?:safety )?measures that flagged (?:this|something in this)"),
    _rule("client_safety_measures", 0.9, rf"{_WHOSE}{_Q}s safety measures flagged this message"),
    _rule("client_cannot_help", 0.9, rf"{_WHOSE} can{_Q}t help with this\. Start a new session"),
    _rule("api_cyber", 0.9, r"This request triggered (?:restrictions on violative cyber content|cyber-related safeg)"),
    _rule("api_terms", 0.9, rf"This request was blocked as it seems to violate Anthropic{_Q}s Terms of Service"),
)

LOOK_ALIKES = (
    ("account", r"organi[sz]ation|subscription|log ?in\b|oauth|credit|spend|usage limit|extra usage|api key|billing"),
    ("auto_mode", r"auto mode|permission"),
    ("busy", r"overloaded|rate.?limit|too many requests|capacity"),
    ("connection", r"econnrefused|connection (?:was )?refused|refused to connect|connect(?:ion)? error|socket"),
    ("other_vendor", rf"responsible ai service|content can{_Q}t be shown|content management policy|azure|copilot"),
    ("acp", r"refused to respond to this prompt|stop reason .?refusal"),
    ("shape", r"must (?:have|be|not)\b|too long|too large|invalid .{0,30}signature|tool_use_id"),
)
"""What smells, in error texts that are none of the API's refusals; on the text in lower case."""
_LOOK_ALIKES = [re.compile(words) for _, words in LOOK_ALIKES]

_PREFIX = re.compile(
    r"\A(?:Claude Code returned an error result: |Error: |Error during compaction: |Agent terminated early due to an API error: )*"
)
_API = re.compile(r"API Error: ?(?:\(?(\d{3})\)? ?)?")
_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_DETAILS = re.compile(r"Details: `?\[(\w{1,40})\]")
_SAID = re.compile(
    r"legal/aup\)\.? +(?!Please double press|Try rephrasing|If you are seeing)"
    r"(.+?)(?= ?(?:Please double press|Try rephrasing|If you are seeing)|\n\n|\Z)",
    re.DOTALL,
)
_ID = re.compile(r"Request ID: (req_\w{4,80})")
_NAMED = re.compile(
    r"(?:(claude-[a-z0-9.-]{3,40}\w)|(Opus|Sonnet|Haiku|Fable|Mythos) (\d)(?:\.(\d+))?)"
    rf"(?: \(1M context\))?(?:{_Q}s saf| has (?:safety )?measures| can{_Q}t help)"
)


def judge(text: str, status: int | None = None) -> Finding | None:
    """What an error text of the client's says; None where nothing was declined. ``status``: of the API's answer, where it is known."""
    text = _PREFIX.sub("", text, count=1)
    found = _API.match(text)
    said = text[found.end() :] if found else text
    rule = next((rule for rule in REFUSALS if rule.words.match(said)), None)
    if rule is not None:
        category = _first(_DETAILS, said) or rule.category
        explanation = _first(_SAID, said) if rule is REFUSALS[0] else None
        return Finding(Kind.REFUSAL, f"rule:{rule.name}", rule.confidence, category, explanation, named(said))
    return _error(said, int(found[1]) if found and found[1] else status)


def request_id(text: str) -> str | None:
    """The request id that an error text ends with (since 2.1.129)."""
    return _first(_ID, text)


def named(text: str) -> str | None:
    """The model of whose safeguards a text speaks, as an id: ``Opus 4.8's safeguards`` is ``claude-opus-4-8``."""
    found = _NAMED.search(text)
    if found is None or found[1]:
        return found and found[1]
    return "-".join(["claude", found[2].lower(), found[3], *([found[4]] if found[4] else [])])


def _error(said: str, status: int | None) -> Finding | None:
    problem = _problem(said, status)
    verdict = detect(Message(problem=problem, where="error"))
    if verdict is None:
        return None
    if status is None and not said.startswith("{") and verdict.kind is not Kind.OUTPUT_FILTER:
        verdict.kind, verdict.evidence, verdict.confidence = Kind.UNCLASSIFIED, "rule:smell", 0.3
    if verdict.kind is Kind.UNCLASSIFIED and any(words.search(said.lower()) for words in _LOOK_ALIKES):
        return None
    return Finding(verdict.kind, verdict.evidence, verdict.confidence, None, problem.message)


def _problem(said: str, status: int | None) -> Problem:
    """The API's error: older versions print its body, newer ones its message."""
    error = table(parse(said.encode("utf-8", "replace")).get("error"))
    message = plain(error.get("message"))
    return Problem(
        type=plain(error.get("type")) or _TYPES.get(status or 0), message=said if message is None else message
    )


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found and found[1]
