"""The course of a declined request, in sentences: what happened, whom demur asked, how each failed, and how it ended."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxy.cli.words import OUTCOMES, bracketed, count, line, moment, short
from proxy.core import tries
from proxy.core.tries import Trouble
from schemas.labels import REPHRASED, Kind, Outcome, Result, Ruling, Stage, Strategy
from schemas.records import Attempt, Pin, Refusal

if TYPE_CHECKING:
    from schemas.settings import Retry

_STATUSES = {
    403: "which your key may not use",
    404: "which the API does not know, or not for you",
    429: "whose rate limit was reached",
    529: "which was overloaded",
}


def sentence(refusal: Refusal, attempts: Sequence[Attempt] = ()) -> str:
    """What happened, for a person who has never heard of stop reasons. With its attempts also what was tried."""
    return f"{_what(refusal, stayed=tries.stayed(attempts))} {_ending(refusal, attempts)}"


def outcome(refusal: Refusal, *, rephrased: bool = False) -> str:
    """``recovered by demur (claude-opus-4-8) +3 turns``: how it ended, by which model, and what went there later."""
    later = f" +{count(refusal.turns_elsewhere, 'turn')}" if refusal.turns_elsewhere else ""
    return _ended(refusal, rephrased=rephrased) + later


def ended(refusal: Refusal, attempts: Sequence[Attempt]) -> str:
    """``recovered by demur (claude-opus-5, rephrased)``."""
    last = tries.answered(attempts)
    return _ended(refusal, rephrased=last is not None and last.strategy in REPHRASED)


def stays(pin: Pin) -> str:
    """Where the conversation stays, how long, and how it comes back."""
    return (
        f"the conversation stays on {line(pin.answered_by)} until {moment(pin.until)}, and longer with each turn; `demur sticky clear"
        f" {short(pin.key)}` brings it back to {line(pin.model)}"
    )


def _ended(refusal: Refusal, *, rephrased: bool) -> str:
    by = ", ".join([*filter(None, [refusal.answered_by]), *["rephrased"] * rephrased])
    return OUTCOMES[refusal.outcome] + bracketed(by)


def tool_calls(refusal: Refusal, attempts: Sequence[Attempt]) -> str | None:
    """Whether the tools ran that a declined answer calls; None where it calls none, as far as is known."""
    n, held = refusal.tool_calls, tries.held(attempts)
    replaced = refusal.outcome == Outcome.RECOVERED_BY_DEMUR and tries.shown(attempts) is False
    if not n or replaced:
        return None
    it = "it" if n == 1 else "they"
    whole = f"{count(n, 'whole tool call')} in the declined answer"
    if held is not None and held >= n:
        return f"{whole}: held back by the tool guard, so {it} did not run"
    return f"{whole}, and no tool guard held {'it' if n == 1 else 'them'} back: {it} may have run"


def forbade(refusal: Refusal, attempts: Sequence[Attempt], retry: "Retry") -> str | None:
    """What stood against another attempt besides the rules, as the exchange went then and with these settings; in words."""
    if refusal.ruling == Ruling.TOOL or (refusal.tool_calls and refusal.streamed is not False):
        return "a tool call had begun on the client's side then, and nothing may follow that"
    match refusal.ruling:
        case Ruling.MID_STREAM:
            refused = f'output had been sent then, and with mid_stream = "{retry.mid_stream}" nothing may follow it'
            return refused if retry.mid_stream == "refuse" else None
        case Ruling.HOLD:
            return "the response had been held back for as long as allowed then (retry.hold_s)"
        case Ruling.MAX_ATTEMPTS:
            return "the request had had its further attempts then (retry.max_attempts)"
        case Ruling.EXHAUSTED:
            failed = ", ".join(
                f"{line(one.model or 'unknown')}{bracketed(_why(one))}" for one in tries.in_vain(attempts)
            )
            return "every model that was asked then declined or failed" + f": {failed}" * bool(failed)
        case Ruling.UNFIT:
            return "no model of the chain could take the request then"
        case Ruling.LEFT:
            return "the client had left then"
        case Ruling.FAILED:
            return "demur itself failed then"
    begun = refusal.stage == Stage.MID_STREAM and refusal.outcome == Outcome.REFUSED
    return "part of the answer had come by then, and not every answer may follow that" if begun else None


def _what(refusal: Refusal, *, stayed: bool) -> str:
    model = line(refusal.model or "a model that is not known")
    match refusal.kind:
        case Kind.REFUSAL:
            when = {
                Stage.BEFORE_OUTPUT: " before any output",
                Stage.MID_STREAM: " in the middle of the answer",
                None: "",
            }[refusal.stage]
            there = (", on which the conversation had stayed" + "," * bool(when)) * stayed
            return f"{_who_declined(refusal)} a request to {model}{there}{when}."
        case Kind.POLICY_ERROR:
            return f"The API answered a request to {model} with an error that names a usage policy."
        case Kind.OUTPUT_FILTER:
            return f'The API\'s output filter stopped an answer of {model} (HTTP 400, "output blocked"): another mechanism than a refusal.'
        case Kind.SOFT_REFUSAL:
            return f"{model} declined a request in its own words."
        case Kind.UNCLASSIFIED:
            return f"An answer of {model} looks like a refusal and fits no rule: look at it yourself."


def _who_declined(refusal: Refusal) -> str:
    """Without a category it is not known whether it was a safeguard or the model."""
    if refusal.category:
        return "The API's safeguards declined"
    return "The API declined" + " (stop_reason: refusal)" * refusal.evidence.endswith("stop_reason")


def _ending(refusal: Refusal, attempts: Sequence[Attempt]) -> str:
    tried = ", then ".join(f"{_whom(one)}, {_how(one, refusal)}" for one in tries.in_vain(attempts))
    before = f"demur then asked {tried}. " if tried else ""
    other = line(refusal.answered_by or "another model")
    match refusal.outcome:
        case Outcome.REFUSED:
            return f"{before}It ended there."
        case Outcome.RECOVERED_BY_DEMUR:
            last = tries.answered(attempts)
            return f"demur then asked {other}{_addition(last) if last else ''}, which answered."
        case Outcome.RECOVERED_BY_API:
            return f"The API itself then asked {other}, which answered."
        case Outcome.RECOVERED_BY_CLIENT:
            return f"{before}The client then asked {other}, which answered."
        case Outcome.UNKNOWN:
            return f"{before}How it ended is not known."


def _whom(attempt: Attempt) -> str:
    return line(attempt.model or "another model") + _addition(attempt)


def _addition(attempt: Attempt) -> str:
    """What was special about asking it."""
    if attempt.strategy in REPHRASED:
        return f" with the last turn rephrased ({attempt.strategy})"
    return " (the model that was asked for)" * (attempt.strategy == Strategy.PRIMARY)


def _how(attempt: Attempt, refusal: Refusal) -> str:
    """``which was overloaded (HTTP 529)``."""
    match tries.trouble(attempt):
        case Trouble.DECLINED:
            other = attempt.category if attempt.category != refusal.category else None
            return f"which declined it too{bracketed(other)}"
        case Trouble.CAPACITY | Trouble.REJECTED:
            how = _STATUSES.get(attempt.status or 0, "which rejected the request")
        case Trouble.LEFT:
            return "which had not answered when the client left"
        case Trouble.UNANSWERED:
            how = "whose answer broke off" if attempt.outcome == Result.CUT else "which gave no answer"
    return how + bracketed(tries.reason(attempt))


def _why(attempt: Attempt) -> str | None:
    return tries.reason(attempt) if attempt.outcome != Result.REFUSED else "declined"
