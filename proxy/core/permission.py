"""Whether another attempt may follow a refusal, where the exchange stands just now.

Three things may be against it, and the first is recorded: the rules (``proxy.core.policy``), with what persons judged and what the session
has used up, which the counsel is asked for; what the client has been sent, on which not every answer may follow; and the bounds of
number and time. What cannot be found out is against it as well: an exchange that nobody watches any more, a counsel that is silent.
"""

from collections.abc import Collection
from typing import Any

from proxy.core.commands import Ask, Step, Told
from proxy.core.detect import Verdict
from proxy.core.exchange import Exchange
from proxy.core.hops import Hops
from proxy.core.passage import Leg, Passage
from proxy.core.plan import Plan
from proxy.core.policy import Declined, asking, first_against
from proxy.core.relay import Watched
from proxy.core.splice import Refused
from schemas.labels import Kind, Outcome, Ruling


class Permission:
    """Of one exchange. It decides anew after each refusal, and keeps nothing."""

    def __init__(self, plan: Plan, watched: Watched, exchange: Exchange, passage: Passage, hops: Hops) -> None:
        self._plan, self._watched, self._exchange = plan, watched, exchange
        self._passage, self._hops = passage, hops

    def against(self, leg: Leg, refused: Refused, *, but: Collection[Ruling] = ()) -> Step[Ruling | None]:
        """Why no attempt may follow this leg, if so; ``but``: rules that are not asked."""
        if self._watched.exchange is None or self._exchange.declined is None:
            return Ruling.FAILED
        told = yield Ask(self._question)
        judged, attempts = told.answer if isinstance(told, Told) and isinstance(told.answer, tuple) else (None, 0)
        self._hops.left_this_hour = self._plan.retry.max_per_hour - attempts + self._hops.sent
        declined = _declined(leg, refused, self._exchange.declined, judged, attempts)
        rules = asking(self._plan.retry, self._plan.asked.who.model or "", declined)
        check = first_against(rule for rule in rules if rule.ruling not in but)
        return check.ruling if check else self._unsafe(leg, refused) or self._hops.bound()

    def _question(self, counsel: Any) -> tuple[bool | None, int]:
        """Whether a person judged correct what the request holds, and how many attempts the session has had within the hour."""
        exchange, session = self._exchange, self._plan.asked.who.session_id
        marks = exchange.marks()
        judged = counsel.judged_correct(exchange.asked(), session, marks) if marks else False
        return judged, counsel.attempts(session)

    def _unsafe(self, leg: Leg, refused: Refused) -> Ruling | None:
        """Why nothing may follow on what the client has been sent, if so."""
        if leg.reader.tool:
            return Ruling.TOOL
        if self._plan.wire == "marked" and not leg.is_whole:
            follows = refused.token is not None or not (refused.shown or refused.blocks)
            return None if follows else Ruling.MID_STREAM
        if leg.is_whole:
            return Ruling.HOLD if self._passage.responded else None
        if not self._passage.responded or self._plan.retry.mid_stream == "restart":
            return None
        return None if self._hops.goes_on(leg, refused) else Ruling.MID_STREAM


def _declined(leg: Leg, refused: Refused, verdict: Verdict, judged: bool | None, attempts: int) -> Declined:
    """What the rules are told: of the first attempt the whole verdict, of a later one that it refused."""
    kind, outcome = (verdict.kind, verdict.outcome) if leg.answer is None else (Kind.REFUSAL, Outcome.REFUSED)
    return Declined(kind=kind, outcome=outcome, category=refused.category, judged_correct=judged, attempts=attempts)
