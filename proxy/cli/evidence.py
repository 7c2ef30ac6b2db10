"""What was sent again of a refusal, and what came of it, as ``demur show`` and ``demur locate`` tell it."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from proxy.cli import words
from proxy.cli.layout import wrapped
from proxy.core.location import passed
from schemas.labels import Purpose, Result
from schemas.records import Located, Segment, Trial

if TYPE_CHECKING:
    from proxy.core.location import Finding
    from proxy.core.reduction import Reduction

_FAILED = (Result.ERROR, Result.CUT, Result.UNREADABLE)
_LINES = re.compile(r"(.*):(\d+)(?:-(\d+))?")
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
        head += f"{'' if one.why else 'accepted without '}{words.line(', '.join(one.parts))}. "
    yield (head + conclusion(one.settled, words.line(one.why) if one.why else None, bool(one.parts))).rstrip()


def counted(finding: "Finding", unanswered: "Sequence[Trial]") -> Iterator[str]:
    """What a search saw, each as a sentence without its full stop. ``unanswered``: the requests that failed or were rejected."""
    if finding.parts and finding.answered:
        these = "this part" if len(finding.parts) == 1 else f"these {len(finding.parts)} parts"
        times = f"{finding.accepted} of {finding.answered} times"
        yield f"without {these} it was {passed(finding.begun)} {times}"
    if finding.parts and finding.thinking:
        yield f"all thinking ({words.count(len(finding.thinking), 'block')}) was left out with it, as the API takes no part of it"
    if finding.declined:
        yield f"as it stands it was declined {finding.declined} of {finding.asked} times"
    if unanswered:
        reasons = Counter(trial.why or str(trial.outcome) for trial in unanswered)
        said = ", ".join(f"{reason} ({n} times)" if n > 1 else reason for reason, n in reasons.items())
        yield f"{words.count(len(unanswered), 'request')} did not get an answer: {said}"


def part(
    name: str, segments: Sequence[Segment], reduction: "Reduction", *, with_content: bool = False
) -> dict[str, Any]:
    """What is known of a part that ``Finding.parts`` names, as ``--json`` gives it."""
    found = _LINES.fullmatch(name)
    path = found[1] if found else name
    lines = [int(found[2]), int(found[3] or found[2])] if found else None
    segment = next((one for one in segments if one.path == path), None)
    known = {name: getattr(segment, name, None) for name in ("n", "label", "tool", "target")}
    text = reduction.texts(path)[lines[0] - 1 : lines[1]] if lines else reduction.texts(path)
    return {"path": path, "lines": lines, **known} | ({"content": "\n".join(text)} if with_content else {})


def heading(part: dict[str, Any]) -> str:
    """``messages[3].content[0], lines 12-14: tool_result of Read (/src/a.py)``."""
    lines = part["lines"]
    which = "" if lines is None else f", line {lines[0]}" if lines[0] == lines[1] else f", lines {lines[0]}-{lines[1]}"
    tool = f" of {words.line(part['tool'])}" if part["tool"] else ""
    label = words.line(part["label"] or "other")
    return f"{words.line(part['path'])}{which}: {label}{tool}{words.bracketed(part['target'])}"
