"""What was sent again of a refusal, and what came of it, as ``demur show`` tells it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from proxy.cli import words
from proxy.cli.layout import wrapped
from schemas.labels import Purpose, Result
from schemas.records import Located, Trial

_FAILED = (Result.ERROR, Result.CUT, Result.UNREADABLE)
_CANDIDATE = "What was found is a candidate: which of its words matter, and why, is not known."


def conclusion(settled: bool, why: str | None, found: bool) -> str:
    """What a search came to, in a sentence or two."""
    said = f"{why[0].upper()}{why[1:]}." if why else ""
    if not settled:
        return f"This could not be settled. {said}".rstrip()
    return f"{said} {_CANDIDATE}".lstrip() if found else said


def lines(trials: Sequence[Trial], located: Sequence[Located], room: int) -> list[str]:
    """Without a heading, in ``room`` columns; none where nothing was sent again. No text of a request."""
    told = [*_replayed(trials), *(sentence for one in located for sentence in _located(one))]
    return [part for sentence in told for part in ("  " + wrapped(sentence, room, 4)).split("\n")]


def _replayed(trials: Sequence[Trial]) -> Iterator[str]:
    """One for each model."""
    by_model: defaultdict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.purpose == Purpose.REPLAY:
            by_model[trial.model].append(trial)
    for model, own in by_model.items():
        answered = [trial for trial in own if trial.outcome not in _FAILED]
        declined = [trial for trial in answered if trial.outcome != Result.ANSWERED]
        categories = words.bracketed(", ".join(dict.fromkeys(trial.category or "none" for trial in declined)))
        failed = len(own) - len(answered)
        said = f"sent again to {words.line(model)}: declined {len(declined)} of {len(answered)}{categories}"
        yield said + (f", {failed} failed" if failed else "") + f" ({words.moment(own[-1].at)})"


def _located(one: Located) -> Iterator[str]:
    head = f"searched with {words.line(one.model)}, {words.count(one.trials, 'request')} ({words.moment(one.at)}): "
    if one.parts:
        head += f"accepted without {words.line(', '.join(one.parts))}. "
    yield (head + conclusion(one.settled, words.line(one.why) if one.why else None, bool(one.parts))).rstrip()
