"""A client that asks the same again and again, as the list tells of it: once, however many refusals it made.

Claude Code 2.1.197 answers a refusal after a finished tool call by sending the tool's result, is declined again, and so on without end. A person
may do it too, with a turn that is declined each time. In either case the conversation has to leave the turn.
"""

from collections.abc import Collection, Iterable
from itertools import groupby
from typing import NamedTuple

from schemas.labels import Kind, Outcome
from schemas.records import Refusal

LOOP = 3
"""So many refusals in a row on the same last turn are a loop, as in ``proxy.loops``."""
_ENDED = {Outcome.REFUSED, Outcome.UNKNOWN}


class Loop(NamedTuple):
    """Refusals of one session and agent, the newest first."""

    session_id: str
    refusals: list[Refusal]


def loops(refusals: Iterable[Refusal], shown: Collection[str]) -> list[Loop]:
    """The loops among refusals (newest first) of which so many are shown; ``shown`` has their ids."""
    sessions: dict[tuple[str, str | None], list[Refusal]] = {}
    for refusal in refusals:
        if refusal.session_id and refusal.kind == Kind.REFUSAL:
            sessions.setdefault((refusal.session_id, refusal.agent_id), []).append(refusal)
    runs = [(session, list(run)) for (session, _), every in sessions.items() for _, run in groupby(every, _content)]
    return [Loop(session, run) for session, run in runs if _is_loop(run, shown)]


def sentence(loop: Loop) -> str:
    """How many, which session, since when, and what to do."""
    from proxy.cli import words

    first, last = loop.refusals[-1], loop.refusals[0]
    at = words.local(first.at)
    since = f"{at:%Y-%m-%d %H:%M}" if at else words.line(first.at)
    who = " (a sub-agent)" if last.agent_id else ""
    return (
        f"A loop: {words.short(loop.session_id)}{who} was declined {len(loop.refusals):,} times in a row on the same turn, since {since}."
        " Go back before it with /rewind or Esc Esc, or begin anew with /clear; retry.tool_guard = true stops the loop of a tool."
    )


def _content(refusal: Refusal) -> tuple[str | None, bool]:
    return refusal.asked, refusal.outcome in _ENDED


def _is_loop(run: list[Refusal], shown: Collection[str]) -> bool:
    mark, ended = _content(run[0])
    return bool(mark) and ended and sum(refusal.id in shown for refusal in run) >= LOOP
