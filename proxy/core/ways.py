"""Where a person can go after a refusal: back, anew, or on; and what the first candidate is.

Steps onward are named only where ``may_go_on``; those back always are. They were seen with a client (PROTOCOL of the design, parts 6 and
7). That something was new is no proof that it mattered: where it says what may be left out, it says candidate.
"""

from collections.abc import Iterator

from proxy.core import tries
from proxy.core.facts import (
    CONSTANT,
    GOES_ON,
    RECOVERED,
    SIDE,
    Facts,
    constants,
    has_turns,
    is_claude_code,
    is_correct,
    is_open,
    is_stuck,
    last_good,
    may_go_on,
    same_model,
)
from proxy.core.tries import Trouble
from schemas.labels import History, Label, Outcome, Role, Ruling, Stage, Strategy

_CHANGED = {
    Strategy.SCOPE_NOTE: "your own note was added",
    Strategy.TRIM: "a part was left out",
    Strategy.RESTATE: "the last text was put more plainly",
}
"""What demur had done to a request before it was answered, as its owner's settings say."""
_AGAIN = frozenset({History.FIRST, History.CLEARED, History.SAME, None})
_TROUBLES = {
    Trouble.CAPACITY: "had no capacity just then{why}: send the same once more in a while, or put a second model into the chain"
    " ([[retry.fallback]]), which is asked where the first one fails.",
    Trouble.REJECTED: "cannot take this request{why}: look at the name and the keys of its [[retry.fallback]]; `demur doctor` tells what is"
    " set.",
    Trouble.UNANSWERED: "gave no answer{why}: send the same once more in a while.",
    Trouble.LEFT: "was still at it when the client left: send the same once more, and wait for it.",
}
"""What to do about a model that demur asked in vain."""


def recovered(facts: Facts) -> Iterator[str]:
    """By whom it was answered."""
    if facts.outcome == Outcome.RECOVERED_BY_CLIENT:
        yield from _by_client(facts)
    elif facts.outcome in RECOVERED:
        yield from _by_another(facts)


def _by_client(facts: Facts) -> Iterator[str]:
    match same_model(facts.answered_by, facts.model):
        case None:
            yield "It was answered: the client itself asked again."
        case True:
            yield "It was answered: the client itself asked the same model once more."
        case _ if facts.stayed:
            yield f"It was answered: the client itself asked again, and the conversation stays on {_declining(facts)} no longer."
        case _:
            yield "It was answered: the client itself asked another model."
            if may_go_on(facts) and is_claude_code(facts):
                yield (
                    "The client may stay on that model for the rest of the session; /model chooses again, and /config says whether it may"
                    " switch when a message is flagged."
                )


def _by_another(facts: Facts) -> Iterator[str]:
    same = same_model(facts.answered_by, facts.model)
    by = {None: "", True: " by the same model", False: " by another model"}[same]
    if facts.strategy in _CHANGED:
        done = _CHANGED[Strategy(facts.strategy)]
        yield (
            f"It was answered{by}, but not as it was sent: {done}. `demur show` has what was changed, and the answer is to that."
        )
    elif facts.stage == Stage.MID_STREAM and facts.streamed is not False and facts.shown is not False:
        shown = facts.shown or facts.outcome == Outcome.RECOVERED_BY_API
        parts = ": the answer is in two parts" * shown + ", by two models" * (shown and same is False)
        yield f"It was declined in the middle and then answered{by}{parts}."
    elif facts.strategy == Strategy.PRIMARY:
        yield "It was answered by the model that was asked for, to which the conversation went back: nothing has to be done."
    else:
        yield f"It was answered{by}: nothing has to be done" + (
            ", and the answer is that model's." if same is False else "."
        )


def correct(facts: Facts) -> Iterator[str]:
    """Why there is no step onward."""
    if is_correct(facts):
        yield "A person judged this refusal, or another of the same content or incident, correct: so no way on is named here."


def in_vain(facts: Facts) -> Iterator[str]:
    """What to do about the models that demur asked, by how they failed."""
    if is_open(facts) and may_go_on(facts):
        for one in facts.tried:
            why = f" ({reason})" if (reason := tries.reason(one)) else ""
            if (mending := _TROUBLES.get(tries.trouble(one))) is not None:
                yield f"{one.model or 'The model that was asked'} {mending.format(why=why)}"


def after_output(facts: Facts) -> Iterator[str]:
    """Where to go on after a refusal that nothing could follow."""
    if not is_open(facts) or not may_go_on(facts) or facts.ruling not in (Ruling.MID_STREAM, Ruling.TOOL):
        return
    on = "go on with another model" + " (/model)" * is_claude_code(facts)
    if facts.ruling == Ruling.TOOL:
        yield f"A tool call had begun when it was declined, and no other answer may follow that: send it again, or {on}."
        return
    yield (
        f"Output had been sent when it was declined, so no other model was asked: send it again, or {on}. With"
        ' mid_stream = "restart" under [retry] a second answer follows the unfinished first, unless the client itself asks for fallback.'
    )


def staying(facts: Facts) -> Iterator[str]:
    """How to leave the model on which the conversation stays, and which declined; or that it was left."""
    if not is_open(facts) or not may_go_on(facts):
        return
    if facts.pin is not None:
        yield (
            f"The conversation stays on {facts.pin.answered_by}: `demur sticky clear {facts.pin.session_id}` brings it back to"
            f" {facts.pin.model}, which was asked for."
        )
    elif facts.stayed and all(one.strategy != Strategy.PRIMARY for one in facts.tried):
        yield f"The conversation stays on {_declining(facts)} no longer: what is sent next goes to the model that you chose."


def _declining(facts: Facts) -> str:
    return facts.model or "the model that declined it"


def stuck(facts: Facts) -> Iterator[str]:
    """The session was declined again and again."""
    if not is_open(facts) or not is_stuck(facts):
        return
    last, n = last_good(facts), facts.refusals_in_session
    since = (
        f" since {'its last good turn' if facts.compacted else f'turn {last + 1}'}"
        if last
        else ", as far as demur saw it"
    )
    still = ", and what was new then is still in the request" if last and facts.first_label else ""
    short = "; a short message may be declined as well" if facts.first_label and not facts.first_is_last else ""
    yield f"The session is stuck: it was declined {n} times{since}{still}{short}."
    if last:
        yield _back(facts, last)
    yield from _anew(facts)


def _anew(facts: Facts) -> Iterator[str]:
    on = may_go_on(facts)
    if is_claude_code(facts):
        yield (
            "/clear begins a conversation without all that"
            + "; /model goes on with this one on another model" * on
            + "."
        )
        if on:
            yield "Where a new session is stuck too, try `claude --safe-mode`, and compare."
    else:
        yield "Begin a new conversation" + ", or go on with another model" * on + "."


def resent(facts: Facts) -> Iterator[str]:
    """The same was sent again, and not as a later turn."""
    again = facts.history in _AGAIN or not has_turns(facts)
    if is_open(facts) and facts.refusals_in_incident > 1 and again:
        yield (
            f"The same content was declined {facts.refusals_in_incident} times: each further sending costs time and may cost money, and"
            " demur does not know whether it counts against the account."
        )


def new_turn(facts: Facts) -> Iterator[str]:
    """The first refusal after an acceptance: what was declined may be sent again with every later turn."""
    if not is_open(facts) or facts.role in SIDE or is_stuck(facts):
        return
    if facts.history == History.SAME:
        yield _same(facts)
    elif facts.history in GOES_ON and has_turns(facts) and (last := last_good(facts)):
        yield "What was declined may stay in the conversation, and is then sent again with every later turn, until you take it out."
        yield _back(facts, last)


def _same(facts: Facts) -> str:
    same = same_model(facts.accepted_model, facts.model)
    by = {None: "", True: " by the same model", False: f" by {facts.accepted_model}"}[same]
    if facts.first_label:
        added = constants(facts) or "what the client adds"
        return f"What was said in it had been accepted{by}; new is only what goes with it: {added}."
    alike = ", so it is not always judged alike" if same else ""
    return f"demur sees nothing new in it, and knows no candidate: the same had been accepted{by}{alike}."


def _back(facts: Facts, last: int) -> str:
    turn, following = f"turn {last}, the last that was accepted", f"prompt of turn {last + 1}"
    if facts.compacted:
        turn, following = "the last turn that was accepted", "prompt after it"
    if is_claude_code(facts):
        return (
            f"Go back to {turn}: press Esc twice or type /rewind, and choose the {following}, which is then taken back with all that"
            " follows."
        )
    return f"Go back to {turn}, and leave out what came after it."


def first_turn(facts: Facts) -> Iterator[str]:
    """Nothing of the conversation had been accepted."""
    if not is_open(facts) or facts.role in SIDE or facts.history not in (History.FIRST, History.CLEARED):
        return
    tiny = _is_tiny(facts)
    if tiny:
        yield (
            "Your text was tiny, and nothing had been accepted yet in this conversation. What else is new in the request is a candidate"
            f" as well: {constants(facts)}."
        )
    if may_go_on(facts) and is_claude_code(facts) and (tiny or facts.first_label in CONSTANT):
        yield (
            "Try `claude --safe-mode`, and compare: what is accepted there and declined here points to your additions; one trial proves"
            " little, as the same request may not always be judged alike."
        )


def _is_tiny(facts: Facts) -> bool:
    """Whether the person wrote a greeting, and there are candidates that nobody typed."""
    return facts.tiny and has_turns(facts) and bool(constants(facts))


def candidate(facts: Facts) -> Iterator[str]:
    """The first one, and that it can be left out."""
    if not is_open(facts) or facts.role in SIDE or facts.first_label is None:
        return
    if facts.first_label in (Label.TOOL_RESULT, Label.MEDIA):
        yield _came_in(facts)
    elif facts.first_label in CONSTANT:
        yield (
            f"The first candidate is {CONSTANT[Label(facts.first_label)]}: it goes with the request without being typed."
            + (" Look at what it says, and go on without it where you can." * (not is_correct(facts)))
        )
    elif facts.first_label == Label.USER_TEXT:
        yield from _said(facts)


def _came_in(facts: Facts) -> str:
    of = f" of {facts.first_tool}" if facts.first_tool else ""
    named = f" ({facts.first_target})" if facts.first_target else ""
    what = f"the result{of}" if facts.first_label == Label.TOOL_RESULT else "a document or an image"
    part = ", or with the part of it that you need and can vouch for" * may_go_on(facts)
    without = f": go on without it{part}" * (not is_correct(facts))
    return f"The first candidate is {what}{named}{without}."


def _said(facts: Facts) -> Iterator[str]:
    words = "which of its words matter, if any, demur does not know."
    if facts.role == Role.SUBAGENT:
        yield f"The first candidate is a text that the parent's model wrote for the sub-agent; {words}"
    elif not facts.first_is_last:
        yield f"The first candidate is an earlier text of yours; {words}"
    elif not (facts.history in (History.FIRST, History.CLEARED) and _is_tiny(facts)):
        yield f"The first candidate is your own last text; {words}"


def other_model(facts: Facts) -> Iterator[str]:
    """That demur could go on, where it was not asked to."""
    if not is_open(facts) or not may_go_on(facts) or facts.role == Role.COUNT_TOKENS:
        return
    if not facts.retry_enabled:
        yield "demur can ask another model by itself: `demur retry` explains that, and it is off unless you turn it on."
    elif facts.ruling == Ruling.OFF:
        yield (
            "demur can ask another model by itself: that was off then, and your settings turn it on now (`demur retry`). They are read when"
            " demur starts, so start it again if it has been running since."
        )
