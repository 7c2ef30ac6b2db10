"""What to do about a refusal: one sentence a step, the most useful first, in our own words and by class.

A class is what structure says: kind, category, role, what the request was beside the last accepted one, its first candidate. Each
``Rule`` looks at the facts and adds its steps. What they say was seen with a client or is documented (PROTOCOL of the design,
parts 1.3, 1.5, 6 and 7); what demur does not know, it says it does not know. A candidate is never called the cause, and
no step tells how to put a request so that it is not noticed. Nothing here opens or sends anything; addresses are data of
``proxy.core.links``.
"""

from collections.abc import Callable, Iterator
from datetime import date

from msgspec import Struct, field

from schemas.labels import History, Kind, Label, Outcome, Role
from schemas.records import Annotation


class Facts(Struct, kw_only=True):
    """What is known of a refusal and of its incident; the fields that are a record's are named as there."""

    kind: str = Kind.REFUSAL
    category: str | None = None
    role: str = Role.OTHER
    stage: str | None = None
    outcome: str = Outcome.UNKNOWN
    history: str | None = None
    turn: int | None = None
    accepted_turn: int | None = None
    refusals_in_incident: int = 1
    """Refusals of its incident up to now, itself included."""
    first_label: str | None = None
    """Of the first candidate: a ``Label``."""
    first_tool: str | None = None
    first_target: str | None = None
    tiny: bool = False
    """Whether the user's last text is no more than a greeting."""
    annotations: list[Annotation] = field(default_factory=list)
    approved_on: str | None = None
    """The owner's ``exemption.approved_on``."""
    at: str = ""
    """When it was declined."""
    retry_enabled: bool = False
    client: str | None = None


_AGREED = frozenset({History.GROWN, History.SAME, History.EDITED, History.RESUMED, History.COMPACTED})
_STUCK = _AGREED | {History.UNSEEN, None}
_RECOVERED = frozenset({Outcome.RECOVERED_BY_DEMUR, Outcome.RECOVERED_BY_API, Outcome.RECOVERED_BY_CLIENT})
_SIDE = frozenset({Role.COMPACTION, Role.TITLE, Role.CLASSIFIER, Role.COUNT_TOKENS})
_CLAUDE_CODE = "claude-cli"
_CONSTANT = {
    Label.MEMORY: "CLAUDE.md or memory",
    Label.HOOK: "the output of a hook",
    Label.MCP: "the instructions of an MCP server",
    Label.ENVIRONMENT: "what the client tells of the machine, such as the git status",
    Label.REMINDER: "a reminder that the client adds",
    Label.SYSTEM_MESSAGE: "a system message that the client adds",
    Label.SYSTEM: "a part of the system prompt",
    Label.TOOL: "the definition of a tool",
}
"""What goes with a request without being typed."""

type Rule = Callable[[Facts], Iterator[str]]


def advice(facts: Facts) -> list[str]:
    """The steps, each a sentence; empty where demur has none to offer. Texts of others in them are as they came."""
    return list(dict.fromkeys(step for rule in RULES for step in rule(facts)))


def despite_exemption(category: str | None, at: str, approved_on: str | None) -> bool:
    """Whether it was declined as ``cyber`` on the day of the owner's approval or later. False where a date cannot be read."""
    if category != "cyber" or not approved_on:
        return False
    try:
        return date.fromisoformat(at[:10]) >= date.fromisoformat(approved_on[:10])
    except ValueError:
        return False


def is_stuck(facts: Facts) -> bool:
    """Whether the session was declined again, on little or nothing that is new."""
    return facts.kind == Kind.REFUSAL and facts.refusals_in_incident > 1 and facts.history in _STUCK


def _recovered(facts: Facts) -> Iterator[str]:
    if facts.outcome == Outcome.RECOVERED_BY_CLIENT:
        yield (
            "It was answered: the client itself asked another model, and may stay on that one for the rest of the session;"
            " /model chooses again, and /config says whether it may switch when a message is flagged."
        )
    elif facts.outcome in _RECOVERED:
        yield "It was answered by another model: nothing has to be done, and the answer is that model's."


def _kind(facts: Facts) -> Iterator[str]:
    match facts.kind:
        case Kind.OUTPUT_FILTER:
            yield (
                "This is the output filter, not a refusal: it stopped what the model was about to write. It is known from texts that"
                " exist elsewhere word for word, such as licences and codes of conduct; take such a file from its publisher."
            )
            yield "The client may repeat such a request without streaming: look whether it was paid for twice."
        case Kind.POLICY_ERROR:
            yield "The API answered with an error that names a policy; its own words are all that demur knows of the reason."
        case Kind.SOFT_REFUSAL:
            yield (
                "The model declined in its own words, and no safeguard was seen on the wire: answer it as you would any answer, and"
                " look in the map for a reminder or a system message that tells it to decline."
            )
        case Kind.UNCLASSIFIED:
            yield "demur has no rule for this answer: look at it yourself, and say what it was with `demur label`."


def _marker(facts: Facts) -> Iterator[str]:
    if found := _found(facts, "marker"):
        where = ", ".join(found.evidence)
        if found.confidence == 1.0:
            yield (
                f"The request holds Anthropic's test string for refusals, in {where}: a request that holds it can be declined for"
                " that alone, so take the file or the text that brings it out of the conversation, and compare."
            )
        else:
            yield f"The request names Anthropic's test string for refusals, in {where}, but not in full; demur does not know whether that matters."


def _layout(facts: Facts) -> Iterator[str]:
    if found := _found(facts, "layout"):
        meant, _, layout = found.value.partition(" on ")
        yield (
            f"Your last text looks like {meant} that was typed on the {layout} keyboard layout: as it stands it says nothing; go back,"
            " and type it on the right one."
        )


def _despite(facts: Facts) -> Iterator[str]:
    if facts.kind == Kind.REFUSAL and despite_exemption(facts.category, facts.at, facts.approved_on):
        yield (
            f"By your own settings the Cyber Verification Program approved you on {facts.approved_on}, and this was declined as cyber"
            " all the same: never mind a message that tells you to apply; keep the request ids, and appeal with them."
        )
        yield (
            "An approval is for one organisation: look whether this session belongs to it (oauthAccount.organizationUuid in"
            " ~/.claude.json)."
        )


def _role(facts: Facts) -> Iterator[str]:
    match facts.role:
        case Role.COMPACTION:
            yield (
                "It was the compaction that was declined, not your last prompt: it sends the whole conversation. /clear begins anew;"
                " or /rewind to an earlier turn first, and only then /compact."
            )
        case Role.TITLE:
            yield "It was a side request for the session's title: the main work goes on, and nothing has to be done."
        case Role.CLASSIFIER:
            yield (
                "It was the check of auto mode that was declined, because of what the conversation holds: what the client shows as a"
                " permission that was denied is no decision about the action."
            )
        case Role.COUNT_TOKENS:
            yield "It was a count of tokens: the main work goes on, and nothing has to be done."
        case Role.SUBAGENT:
            yield (
                "It was a sub-agent's request: Claude Code hands its parent the refusal as if it were a result, so look at what the"
                " parent made of it, and which work is missing."
            )


def _stuck(facts: Facts) -> Iterator[str]:
    if not _open(facts) or facts.role in _SIDE or not is_stuck(facts):
        return
    last, n = facts.accepted_turn, facts.refusals_in_incident
    times = f"declined {n} times" if n > 1 else "declined"
    since = f"since turn {last + 1}" if last else "since its beginning, as far as demur saw it"
    yield (
        f"The session is stuck: it was {times} {since}, and what was new then is still in the request, so that a short message is"
        " declined as well; it is not what you typed last."
    )
    if last:
        yield from _back(facts, last)
    if _is_claude_code(facts):
        yield "/clear begins a conversation without all that; /model goes on with this one on another model."
        yield "Where a new session is stuck too, try `claude --safe-mode`, and compare."
    else:
        yield "Begin a new conversation, or go on with another model."


def _resent(facts: Facts) -> Iterator[str]:
    """Nothing of it had been accepted, and it was sent again."""
    if _open(facts) and facts.refusals_in_incident > 1 and facts.history in (History.FIRST, History.CLEARED):
        yield (
            f"The same content was declined {facts.refusals_in_incident} times: each further sending costs time and may cost money, and"
            " demur does not know whether it counts against the account."
        )


def _new_turn(facts: Facts) -> Iterator[str]:
    """The first refusal after an acceptance: what was declined would be sent again with every later turn."""
    if not _open(facts) or facts.role in _SIDE or is_stuck(facts):
        return
    if facts.history == History.SAME:
        yield "Nothing in it is new: the same had been accepted, so it is not always judged alike, and demur knows no candidate."
    elif facts.history in _AGREED and facts.accepted_turn:
        yield "What was declined stays in the conversation, and is sent again with every later turn, until you take it out."
        yield from _back(facts, facts.accepted_turn)


def _back(facts: Facts, last: int) -> Iterator[str]:
    if _is_claude_code(facts):
        yield (
            f"Go back to turn {last}, the last that was accepted: press Esc twice or type /rewind, and choose the prompt of turn"
            f" {last + 1}, which is then taken back with all that follows."
        )
    else:
        yield f"Go back to turn {last}, the last that was accepted, and leave out what came after it."


def _first_turn(facts: Facts) -> Iterator[str]:
    if not _open(facts) or facts.history not in (History.FIRST, History.CLEARED):
        return
    if facts.tiny:
        yield (
            "These are hardly your words: the text was tiny, and nothing had been accepted yet. The candidates are what else was in the"
            " request: CLAUDE.md and memory, hooks, MCP servers, the git status."
        )
    if _is_claude_code(facts) and (facts.tiny or facts.first_label in _CONSTANT):
        yield (
            "Try `claude --safe-mode`, and compare: what is accepted there and declined here points to your additions; one trial proves"
            " little, as the same request is not always judged alike."
        )


def _candidate(facts: Facts) -> Iterator[str]:
    if not _open(facts) or facts.role in _SIDE or facts.first_label is None:
        return
    if facts.first_label in (Label.TOOL_RESULT, Label.MEDIA):
        of = f" of {facts.first_tool}" if facts.first_tool else ""
        named = f" ({facts.first_target})" if facts.first_target else ""
        what = f"the result{of}" if facts.first_label == Label.TOOL_RESULT else "a document or an image"
        yield (
            f"The first candidate is {what}{named}: go on without it, or have it summarised elsewhere and work with the summary."
        )
    elif facts.first_label in _CONSTANT:
        yield (
            f"The first candidate is {_CONSTANT[Label(facts.first_label)]}: nobody typed it, and it may go with every request; look at what"
            " it says, and go on without it where you can."
        )
    elif facts.first_label == Label.USER_TEXT and not facts.tiny:
        yield "The first candidate is your own last text; which of its words it was, if any, demur does not know."


def _category(facts: Facts) -> Iterator[str]:
    if facts.kind != Kind.REFUSAL or facts.role == Role.TITLE:
        return
    match facts.category:
        case "cyber":
            if not despite_exemption(facts.category, facts.at, facts.approved_on):
                yield (
                    "Category cyber is about malware and exploits. If security is your work, the Cyber Verification Program is the way that"
                    " Anthropic names; organisations without data retention cannot take part, and its link in the message is yours alone."
                )
        case "bio":
            yield "Category bio is about dangerous laboratory methods; demur knows of no exemption for it."
        case "frontier_llm":
            yield (
                "Category frontier_llm is about building competing models: that is in the commercial terms, not in the Usage Policy, even if"
                " the client's message cites that."
            )
        case "reasoning_extraction":
            yield (
                "Category reasoning_extraction is about printing or copying a model's own reasoning: that is in the commercial terms, not in"
                " the Usage Policy, even if the client's message cites that. Candidates are quoted thinking and prompts or skills that"
                " ask for it. demur never asks another model here."
            )
        case "general_harms":
            yield "Category general_harms is another part of the Usage Policy; which one, the API does not say."
        case None:
            yield (
                "The API named no category, which is common: whether a safeguard or the model itself declined, demur does not know from that."
            )
        case _:
            yield "demur does not know this category: the API's explanation is all there is."


def _other_model(facts: Facts) -> Iterator[str]:
    """That demur could go on, where it has not been asked to."""
    if _open(facts) and not facts.retry_enabled and facts.category not in ("reasoning_extraction", "general_harms"):
        yield "demur can ask another model by itself: `demur retry` explains that, and it is off unless you turn it on."


RULES: tuple[Rule, ...] = (
    _recovered,
    _kind,
    _marker,
    _layout,
    _despite,
    _role,
    _stuck,
    _resent,
    _new_turn,
    _first_turn,
    _candidate,
    _category,
    _other_model,
)


def _open(facts: Facts) -> bool:
    """A refusal that nobody has answered, of a request that somebody waits for."""
    return facts.kind == Kind.REFUSAL and facts.outcome not in _RECOVERED and facts.role != Role.TITLE


def _is_claude_code(facts: Facts) -> bool:
    return facts.client in (_CLAUDE_CODE, None)


def _found(facts: Facts, name: str) -> Annotation | None:
    return next((one for one in facts.annotations if one.name == name), None)
