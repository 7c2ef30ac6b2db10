"""A client that asks the same again and again: told once, in the log.

Claude Code 2.1.197 answers a refusal after a finished tool call by sending the tool's result, is declined again, and so on without end; the tool
guard prevents it, and where it is off this tells of it.
"""

from collections import OrderedDict

import structlog

from schemas.labels import Kind
from schemas.records import Refusal

LOOP = 3
"""So many refusals in a row on the same last turn are a loop."""
KEPT = 1000
"""Sessions that are watched."""

_log = structlog.get_logger("demur")


class Loops:
    """Counts refusals in a row, by session and agent."""

    def __init__(self) -> None:
        self._rows: OrderedDict[tuple[str, str | None], tuple[str, int]] = OrderedDict()

    def seen(self, refusal: Refusal) -> None:
        """One more refusal."""
        if refusal.kind != Kind.REFUSAL or not refusal.session_id or not refusal.asked:
            return
        key = (refusal.session_id, refusal.agent_id)
        mark, count = self._rows.pop(key, ("", 0))
        count = count + 1 if mark == refusal.asked else 1
        self._rows[key] = (refusal.asked, count)
        if len(self._rows) > KEPT:
            self._rows.popitem(last=False)
        if count == LOOP:
            _log.warning("loop.seen", session=refusal.session_id, agent=refusal.agent_id, id=refusal.id, refusals=count)
