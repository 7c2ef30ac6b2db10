"""What a refusal was: sentences by its kind, category and role, and by what was found in the request.

Each rule looks at the facts and adds its sentences. ``about`` explains a category as Anthropic's documentation explains it (PROTOCOL of the
design, 1.3); where the API named none, by what it was declined is not known.
"""

from collections.abc import Iterator

from proxy.core.facts import Facts, despite_exemption, has_turns, is_claude_code, is_correct, is_open, may_go_on
from schemas.labels import Kind, Role
from schemas.records import Annotation

_COMMERCIAL = "that is in the commercial terms, not in the Usage Policy, even if the client's message cites that"
_ABOUT = {
    "cyber": "malware and exploits",
    "bio": "dangerous laboratory methods; demur knows of no exemption for it",
    "frontier_llm": f"building competing models: {_COMMERCIAL}",
    "reasoning_extraction": f"printing or copying a model's own reasoning: {_COMMERCIAL}; demur never asks another model here",
    "general_harms": "another part of the Usage Policy; which one, the API does not say",
}
"""Category -> what it is about."""


def kind(facts: Facts) -> Iterator[str]:
    """Where it was no refusal: the mechanism."""
    match facts.kind:
        case Kind.OUTPUT_FILTER:
            yield from _output_filter(facts)
        case Kind.POLICY_ERROR:
            yield "The API answered with an error that names a policy; its own words are all that demur knows of the reason."
        case Kind.SOFT_REFUSAL:
            yield "The model declined in its own words, and no safeguard was seen on the wire."
            if may_go_on(facts):
                yield (
                    "Answer it as you would any answer, and look in the map for a reminder or a system message that tells it to decline."
                )
        case Kind.UNCLASSIFIED:
            yield "demur has no rule for this answer: look at it yourself, and say what it was with `demur label`."


def _output_filter(facts: Facts) -> Iterator[str]:
    yield "This is the output filter, not a refusal: it stopped what the model was about to write."
    if may_go_on(facts):
        yield (
            "The output filter is known from texts that exist elsewhere word for word, such as licences and codes of conduct; take such"
            " a file from its publisher."
        )
    yield "The client may repeat such a request without streaming: look whether it was paid for twice."


def marker(facts: Facts) -> Iterator[str]:
    """Anthropic's own test string."""
    if (found := _found(facts, "marker")) is None:
        return
    where = ", ".join(found.evidence)
    if found.confidence < 1.0:
        yield f"The request names Anthropic's test string for refusals, in {where}, but not in full; demur does not know whether that matters."
        return
    yield (
        f"The request holds Anthropic's test string for refusals, in {where}: a request that holds it can be declined for that alone."
    )
    if not is_correct(facts):
        yield "Take the file or the text that brings the test string out of the conversation."


def layout(facts: Facts) -> Iterator[str]:
    """Text that was typed on another keyboard layout. A sub-agent's and the client's own were typed by nobody."""
    found = _found(facts, "layout")
    if found is None or not has_turns(facts):
        return
    meant, _, typed = found.value.partition(" on ")
    yield f"Your last text looks like {meant} that was typed on the {typed} keyboard layout: as it stands it says nothing."
    if may_go_on(facts):
        yield "Go back, and type the last text on the right keyboard layout."


def despite(facts: Facts) -> Iterator[str]:
    """Declined in spite of the owner's exemption."""
    if facts.kind != Kind.REFUSAL or not despite_exemption(facts.category, facts.at, facts.approved_on):
        return
    yield (
        f"By your own settings the Cyber Verification Program approved you on {facts.approved_on}, and this was declined as cyber all the"
        " same."
    )
    if may_go_on(facts):
        yield "Never mind a message that tells you to apply; keep the request ids, and appeal with them."
        yield (
            "An approval is for one organisation: look whether this session belongs to it (oauthAccount.organizationUuid in"
            " ~/.claude.json)."
        )


def role(facts: Facts) -> Iterator[str]:
    """Whose request it was, where it was not the conversation itself."""
    match facts.role:
        case Role.COMPACTION:
            yield "It was the compaction that was declined, not your last prompt: it sends the whole conversation."
            if is_open(facts):
                yield _instead_of_compacting(facts)
        case Role.TITLE:
            yield "It was a side request for the session's title: the main work goes on, and nothing has to be done."
        case Role.CLASSIFIER:
            yield (
                "It was the check of auto mode that was declined, which is sent what the conversation holds: what the client shows as a"
                " permission that was denied is no decision about the action."
            )
        case Role.COUNT_TOKENS:
            yield "It was a count of tokens: the main work goes on, and nothing has to be done."
        case Role.SUBAGENT:
            yield "It was a sub-agent's request."
            if is_open(facts) and is_claude_code(facts):
                yield (
                    "Claude Code hands a sub-agent's parent the refusal as if it were a result: look at what the parent made of it, and which"
                    " work is missing."
                )


def _instead_of_compacting(facts: Facts) -> str:
    if not is_claude_code(facts):
        return "Begin a new conversation, or go back to an earlier turn."
    if may_go_on(facts):
        return "/clear begins anew; or /rewind to an earlier turn first, and only then /compact."
    return "/clear begins anew, and /rewind goes back to an earlier turn."


def about(facts: Facts) -> str:
    """What the API means by its category, or that nothing is known of it; empty where it was no refusal. A fact, and no step."""
    if facts.kind != Kind.REFUSAL:
        return ""
    if facts.category is None:
        unknown = "the API named no category, which is common: by what the request was declined, demur does not know"
        return unknown if facts.told else "no category is known"
    return _ABOUT.get(facts.category, "demur does not know this category: the API's explanation is all there is")


def category(facts: Facts) -> Iterator[str]:
    """Steps that belong to what the API called it."""
    if facts.kind != Kind.REFUSAL or facts.role == Role.TITLE:
        return
    exempt = despite_exemption(facts.category, facts.at, facts.approved_on)
    if facts.category == "cyber" and may_go_on(facts) and not exempt:
        yield (
            "If security is your work, the Cyber Verification Program is the way that Anthropic names; organisations without data"
            " retention cannot take part, and its link in the message is yours alone."
        )
    if facts.category == "reasoning_extraction" and not is_correct(facts):
        yield "Quoted thinking, and prompts or skills that ask for it, may be what to leave out; demur does not know that."


def _found(facts: Facts, name: str) -> Annotation | None:
    return next((one for one in facts.annotations if one.name == name), None)
