"""Is it a refusal, which kind, and on what evidence.

Structure decides: ``stop_reason == "refusal"`` is a refusal, whatever ``stop_details`` says or lacks, and a ``fallback`` block
in an answer is a refusal that the API itself got answered (Anthropic, "Refusals and fallback"). Wording is used only where there
is no structure, in error bodies, by the table ``RULES``: the first rule that matches decides, and rules for what is *not* a
refusal stand first. What smells of a refusal and matches no rule is ``unclassified``. The explanation is never matched.
"""

import re
from dataclasses import dataclass, field
from itertools import groupby

from schemas.labels import Kind, Outcome, Result, Stage
from schemas.records import Attempt
from schemas.wire import Iteration, Message, Usage

_OTHER_STOPS = frozenset({"sensitive", "content_filter", "content_filtered", "guardrail_intervened"})
"""Stop reasons that other surfaces and gateways use for something of the kind; none of them is in Anthropic's own list."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What an error body's wording means. ``kind`` None: certainly not a refusal."""

    name: str
    kind: Kind | None
    confidence: float
    types: re.Pattern[str]
    """On ``error.type``."""
    words: re.Pattern[str]
    """On ``error.message``."""


def _rule(name: str, kind: Kind | None, confidence: float, types: str, words: str) -> Rule:
    return Rule(name, kind, confidence, re.compile(types), re.compile(words, re.IGNORECASE))


_REQUEST = r"^(invalid_request_error|permission_error|)$"

RULES = (
    _rule("busy", None, 1.0, r"overloaded|rate_limit|timeout|billing|authentication|not_found|too_large", r""),
    _rule(
        "field",
        None,
        1.0,
        r"",
        r"^[a-z_]+(\.[\w\[\]]+)+: |extra inputs are not permitted|field required|input should be",
    ),
    _rule(
        "account",
        None,
        1.0,
        r"",
        r"organi[sz]ation (has been|is) (disabled|on hold)|credit balance|usage limits?\b|extra usage",
    ),
    _rule("thinking", None, 1.0, r"", r"invalid .?signature.? in .?thinking|fallback_credit_token"),
    _rule("output_filter", Kind.OUTPUT_FILTER, 1.0, r"", r"output blocked by content filtering policy"),
    _rule("filter", Kind.OUTPUT_FILTER, 0.8, _REQUEST, r"content filter"),
    _rule(
        "usage_policy", Kind.POLICY_ERROR, 0.9, _REQUEST, r"usage polic(y|ies)|acceptable use|anthropic\.com/legal/aup"
    ),
    _rule(
        "safeguard",
        Kind.POLICY_ERROR,
        0.8,
        _REQUEST,
        r"safeguards?\b.{0,40}(flag|block|declin|stop)|safety (classifier|measures)",
    ),
    _rule(
        "terms",
        Kind.POLICY_ERROR,
        0.8,
        _REQUEST,
        r"violat\w* .{0,60}(terms of service|commercial terms)|legal/commercial-terms",
    ),
    _rule("smell", Kind.UNCLASSIFIED, 0.3, r"", r"polic(y|ies)|refus|violat|safety|safeguard|flagged|harmful"),
)


@dataclass(slots=True)
class Verdict:
    """What was found in one message that was declined."""

    kind: Kind
    evidence: str
    confidence: float
    outcome: Outcome
    category: str | None = None
    explanation: str | None = None
    stage: Stage | None = None
    usage: Usage = field(default_factory=Usage)
    message_id: str | None = None
    request_id: str | None = None
    answered_by: str | None = None
    attempts: list[Attempt] = field(default_factory=list)


def detect(message: Message) -> Verdict | None:
    """The verdict on a message; None where nothing was declined."""
    verdict = _judge(message)
    if verdict is not None:
        verdict.usage = message.usage
        verdict.message_id, verdict.request_id = message.id, message.request_id
        verdict.attempts = _attempts(message)
    return verdict


def result(message: Message, verdict: Verdict | None) -> Result:
    """How the request counts in the traffic."""
    if verdict is None:
        return Result.ERROR if message.problem else Result.ANSWERED if message.stop_reason else Result.CUT
    if verdict.kind == Kind.REFUSAL:
        return Result(verdict.outcome)
    return Result(verdict.kind)


def answerer(message: Message) -> str | None:
    """The model that wrote the answer: the last fallback that ran, else the one that the message names."""
    fallbacks = [entry.model for entry in message.iterations if entry.type == "fallback_message" and entry.model]
    seams = [seam.to_model for seam in message.seams if seam.to_model]
    return next(iter([*fallbacks[-1:], *seams[-1:]]), message.model)


def _judge(message: Message) -> Verdict | None:
    if message.stop_reason == "refusal":
        return _refusal(message)
    if message.problem is not None:
        return _error(message)
    if message.stop_reason in _OTHER_STOPS:
        evidence = f"{message.where}.stop_reason={message.stop_reason}"
        return Verdict(Kind.UNCLASSIFIED, evidence, 0.5, Outcome.REFUSED, stage=_stage(message))
    return _recovered(message) if message.stop_reason else None


def _refusal(message: Message) -> Verdict:
    return Verdict(
        Kind.REFUSAL,
        f"{message.where}.stop_reason",
        1.0,
        Outcome.REFUSED,
        category=message.category,
        explanation=message.explanation,
        stage=_stage(message),
    )


def _recovered(message: Message) -> Verdict | None:
    """An answer with a seam. Without one, fallback entries alone mean that the conversation had stayed on the fallback."""
    if message.seams:
        evidence, category = "content_block.fallback", message.seams[0].category
    elif _declined_inside(message):
        evidence, category = "usage.iterations", None
    else:
        return None
    return Verdict(
        Kind.REFUSAL,
        evidence,
        1.0,
        Outcome.RECOVERED_BY_API,
        category=category,
        stage=_stage(message) if message.seams else None,
        answered_by=answerer(message),
    )


def _declined_inside(message: Message) -> bool:
    types = [entry.type for entry in message.iterations]
    return "fallback_message" in types and "message" in types[: types.index("fallback_message")]


def _error(message: Message) -> Verdict | None:
    kind, words = (message.problem and message.problem.type) or "", (message.problem and message.problem.message) or ""
    rule = next((rule for rule in RULES if rule.types.search(kind) and rule.words.search(words)), None)
    if rule is None or rule.kind is None:
        return None
    return Verdict(
        rule.kind, f"rule:{rule.name}", rule.confidence, Outcome.REFUSED, explanation=words, stage=_stage(message)
    )


def _stage(message: Message) -> Stage:
    shown = message.seams[0].after if message.seams else message.blocks
    return Stage.MID_STREAM if shown else Stage.BEFORE_OUTPUT


def _attempts(message: Message) -> list[Attempt]:
    """The API's own tries, where it told of them: all but the last were declined, and the last as the message ended.

    A model that used server tools has several entries in a row; they are one try.
    """
    if not any(entry.type == "fallback_message" for entry in message.iterations):
        return []
    tries = [list(group)[-1] for _, group in groupby(message.iterations, key=lambda entry: (entry.type, entry.model))]
    ended = Result.REFUSED if message.stop_reason == "refusal" else Result.ANSWERED
    return [
        _attempt(n, entry, ended if n == len(tries) - 1 else Result.REFUSED, message) for n, entry in enumerate(tries)
    ]


def _attempt(n: int, entry: Iteration, outcome: Result, message: Message) -> Attempt:
    categories = [seam.category for seam in message.seams] + [message.category]
    return Attempt(
        n=n,
        by="client" if n == 0 else "api",
        model=entry.model,
        outcome=outcome,
        category=categories[n] if outcome == Result.REFUSED and n < len(categories) else None,
        input_tokens=entry.usage.input_tokens,
        output_tokens=entry.usage.output_tokens,
    )
