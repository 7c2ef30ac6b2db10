"""A GitHub issue in the form of anthropics/claude-code's ``bug_report.yml`` and ``model_behavior.yml`` (read in November 2026).

The headings are the labels of these forms, so that each part can be put into its field. All that is not ours stands in fences: there GitHub shows a
placeholder as it is, notifies nobody, and follows no link. What only the person knows is left for the person. GitHub takes ``MOST`` characters:
of as many refusals as do not fit with all their facts, a line each is told.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from proxy.report import facts
from proxy.report.pack import Event, Pack, judged_false

YOURS = "(to be written by you"
NOT_TOLD = "not told at the level ids"
CLIENT = "claude-cli"
"""As it calls itself: only its version is Claude Code's."""
MOST = 65_536
_MODELS = {"bug_report": ("Sonnet (default)", "Opus"), "model_behavior": ("Sonnet", "Opus", "Haiku")}
"""What each form lets choose, beside ``_NO_MODEL`` and ``Other``."""
_NO_MODEL = {"bug_report": "Not sure / Multiple models", "model_behavior": "Not sure"}
_TICKS = re.compile(r"`{3,}")


def issue(made: Pack) -> str:
    """By ``bug_report.yml``."""
    return _document("[BUG]", made, _issue)


def behavior(made: Pack) -> str:
    """By ``model_behavior.yml``, whose own head says that it is not for API errors."""
    return _document("[MODEL]", made, _behavior)


def fenced(text: str) -> str:
    """Within a fence that nothing in the text can end."""
    longest = max((len(ticks) for ticks in _TICKS.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def listed(told: Iterator[facts.Fact]) -> str:
    """``Title: text`` on a line each."""
    return "\n".join(f"{title}: {text}".replace("\n", "\n  ") for title, text in told)


def _document(mark: str, made: Pack, form: Callable[[Pack, int], Iterator[tuple[str, str]]]) -> str:
    head = f"# {mark} {facts.title(made)}\n"
    whole = len(made.events)
    while True:
        text = "\n".join([head, *(f"### {title}\n\n{text}\n" for title, text in form(made, whole))])
        if len(text) <= MOST or not whole:
            return text
        whole = min(whole - 1, whole * MOST // len(text))


def _issue(made: Pack, whole: int) -> Iterator[tuple[str, str]]:
    """``whole``: how many refusals are told with all their facts."""
    yield (
        "Preflight Checklist",
        _ticks("I have searched existing issues", "This is a single bug report", "I am using the latest version"),
    )
    yield "What's Wrong?", fenced(listed(facts.summary(made)))
    yield "What Should Happen?", _expected(made)
    if texts := _explanations(made):
        yield "Error Messages/Logs", texts
    yield "Steps to Reproduce", _steps(made)
    yield "Claude Model", _model(made, "bug_report")
    yield (
        "Is this a regression?",
        "I don't know" if not made.pairs else "I don't know (another model accepted the same content, see below)",
    )
    if last := _last_accepted(made):
        yield "Last Working Version", fenced(last)
    yield from _surroundings(made)
    if made.system:
        yield "Operating System", _system(made)
    yield "Terminal/Shell", made.terminal or NOT_TOLD
    yield "Additional Information", _additional(made, whole)


def _behavior(made: Pack, whole: int) -> Iterator[tuple[str, str]]:
    yield (
        "Preflight Checklist",
        _ticks("I have searched existing issues", "This report does NOT contain sensitive information"),
    )
    yield (
        "Type of Behavior Issue",
        "Claude refused a reasonable request" if judged_false(made) else "Other unexpected behavior",
    )
    yield (
        "What You Asked Claude to Do",
        f"{YOURS}: as much of it as you want to be public)" if not _excerpts(made) else _excerpts(made),
    )
    yield "What Claude Actually Did", fenced(listed(facts.summary(made)))
    yield "Expected Behavior", _expected(made)
    yield "Permission Mode", "I don't know / Not sure"
    yield "Can You Reproduce This?", _reproducible(made)
    yield "Steps to Reproduce", _steps(made)
    yield "Claude Model", _model(made, "model_behavior")
    if texts := _explanations(made):
        yield "Relevant Conversation", texts
    yield "Impact", f"{YOURS}: Critical, High, Medium or Low)"
    yield from _surroundings(made)
    system = f"Operating system: {_system(made)}\n\n" if made.system else ""
    yield "Additional Context", system + _additional(made, whole)


def _ticks(*lines: str) -> str:
    return "\n".join(f"- [ ] {line}" for line in lines)


def _expected(made: Pack) -> str:
    notes = list(dict.fromkeys(note for event in made.events for note in event.notes))
    if notes:
        return fenced("\n".join(notes))
    return f"{YOURS}: one sentence on what the work was; `demur label ID --note` keeps it with the record)"


def _explanations(made: Pack) -> str:
    said = list(dict.fromkeys(event.explanation for event in made.events if event.explanation))
    return fenced("\n\n".join(said)) if said else ""


def _steps(made: Pack) -> str:
    again = [line for event in made.events for line in facts.facts(event) if line[0] in ("Sent again", "Located")]
    if again:
        return fenced(listed(iter(dict.fromkeys(again))))
    return f"{YOURS}, or: not tried. The request ids below name the requests themselves.)"


def _reproducible(made: Pack) -> str:
    again = [one for event in made.events for one in event.again if one.model == event.model]
    if not again:
        return "Haven't tried to reproduce"
    declined, answered = sum(one.declined for one in again), sum(one.answered for one in again)
    return (
        "Sometimes (intermittent)"
        if declined and answered
        else "Yes, every time with the same prompt"
        if declined
        else "No, only happened once"
    )


def _model(made: Pack, form: str) -> str:
    models = list(dict.fromkeys(event.model for event in made.events if event.model))
    lines = {name.partition(" ")[0].lower(): name for name in _MODELS[form]}
    named = {next((name for key, name in lines.items() if key in model), "Other") for model in models}
    choice = named.pop() if len(named) == 1 else _NO_MODEL[form]
    return f"{choice}\n\n{fenced(', '.join(models) or 'not known')}"


def _last_accepted(made: Pack) -> str:
    last = max((event for event in made.events if event.last_accepted_at), key=lambda one: one.at, default=None)
    if last is None:
        return ""
    return listed(line for line in facts.facts(last) if line[0] == "Last accepted request")


def _surroundings(made: Pack) -> Iterator[tuple[str, str]]:
    versions = list(
        dict.fromkeys(event.client_version for event in made.events if event.client_version and event.client == CLIENT)
    )
    yield "Claude Code Version", fenced(", ".join(versions) or "not known")
    yield "Platform", made.platform or NOT_TOLD


def _system(made: Pack) -> str:
    return f"{made.system} (of the machine that this report was made on)"


def _additional(made: Pack, whole: int) -> str:
    common = facts.shared(made)
    parts = ["The same for each of them:\n\n" + fenced(listed(iter(common)))] if common else []
    parts += [_event(one, alone=len(made.events) == 1) for one in islice(facts.told(made), whole)]
    if more := made.events[whole:]:
        parts.append(f"In short, as an issue has no room for more ({MOST} characters):\n\n" + fenced(_short(more)))
    parts += ["The same content:\n\n" + fenced(f"{head}\n{text}") for head, text in facts.pairs(made)]
    if texts := _excerpts(made):
        parts.append(texts)
    return "\n\n".join([*parts, "Made by demur from its records. What was new is a candidate, never the cause."])


def _event(one: facts.Told, *, alone: bool) -> str:
    told = listed(iter(one.facts if alone else [("Refusal", one.head.removeprefix("Refusal ")), *one.facts]))
    if one.candidates:
        told += "\nNew since the last accepted request (candidates, never the cause):\n  "
        told += one.candidates.replace("\n", "\n  ")
    return fenced(told)


def _short(events: Sequence[Event]) -> str:
    told = (
        (one.at, one.request_id or "no request id", one.model or "not known", one.category or one.kind)
        for one in events
    )
    return "\n".join("  ".join(parts) for parts in told)


def _excerpts(made: Pack) -> str:
    chosen = [one for event in made.events for one in event.excerpts]
    return "\n\n".join(
        f"Segment {one.n} ({one.kind}), chosen by the person who reports:\n\n{fenced(one.text)}" for one in chosen
    )
