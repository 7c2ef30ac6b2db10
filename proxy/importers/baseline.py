"""What a capture shows to have been accepted earlier: what is not new in a request of it that was declined.

It is asked in the order of the capture, so what it answers is the same each time. Of each conversation only the last accepted
request is remembered, and it is read when it is needed.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from proxy.core import news
from proxy.core.asker import Asker
from proxy.core.identities import Identities
from proxy.core.passed import MAIN, Passed
from proxy.core.redact import Redactor
from proxy.core.said import fingerprint
from proxy.core.stamps import stamp
from schemas.records import Accepted

KEPT = 1000
"""Conversations that are remembered, those that went on last."""
UNREAD = 64 << 20
"""Bytes of requests that may wait to be read."""
LONGEST = 20_000
"""Segments of one request that are remembered, the last ones."""


class _Conversation(NamedTuple):
    session_id: str
    agent_id: str
    role: str
    model: str


class Baseline:
    """A ``proxy.core.passed.Memory`` of one capture."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor, self._identities = redactor, Identities(redactor)
        self._last: OrderedDict[_Conversation, Passed | Accepted] = OrderedDict()
        self._unread = 0

    def passed(self, passed: Passed) -> None:
        """See ``Memory``."""
        who = passed.who
        which = _Conversation(who.session_id or "", who.agent_id or "", who.role, passed.model)
        self._forget(which)
        self._last[which] = passed
        self._unread += passed.size
        if len(self._last) > KEPT:
            self._forget(next(iter(self._last)))
        if self._unread > UNREAD:
            self._read(self._last)

    def accepted(self, who: Asker, model: str, root: str | None) -> list[Accepted]:
        """See ``Memory``. Its own conversation first; what is asked beside one is compared with that one as well."""
        here = self._read([one for one in self._last if one.session_id == who.session_id])
        here = [one for one in here if one.agent_id == (who.agent_id or "")]
        own = _last(here, {who.role}, model)
        if who.role not in MAIN:
            return own + _last(here, MAIN, model)
        if own or root is None:
            return own
        elsewhere = self._read([one for one in self._last if one.session_id != who.session_id])
        return _last([one for one in elsewhere if one.root == root], {who.role}, model)

    def _forget(self, which: _Conversation) -> None:
        gone = self._last.pop(which, None)
        if isinstance(gone, Passed):
            self._unread -= gone.size

    def _read(self, which: Iterable[_Conversation]) -> list[Accepted]:
        """What is remembered of some conversations, the newest first."""
        read = []
        for one in list(which):
            last = self._last[one]
            if isinstance(last, Passed):
                self._unread -= last.size
                last = self._last[one] = self._remembered(one, last)
            read.append(last)
        return sorted(read, key=lambda one: one.at, reverse=True)

    def _remembered(self, which: _Conversation, passed: Passed) -> Accepted:
        traces = self._identities.of(passed.body())
        place = news.asked(traces)
        names = {name: self._redactor.text(value)[0] for name, value in which._asdict().items() if name != "role"}
        return Accepted(
            **names,
            role=which.role,
            at=stamp(passed.at),
            client_version=passed.who.client_version,
            request_id=passed.request_id,
            asked=fingerprint(traces),
            root=place.root,
            turn=place.turn,
            hashes=b"".join(news.mark(trace.hash) for trace in traces[-LONGEST:]),
        )


def _last(found: list[Accepted], roles: Iterable[str], model: str) -> list[Accepted]:
    """The last of these roles, by the same family of models where there is one."""
    return sorted((one for one in found if one.role in roles), key=lambda one: one.model != model)[:1]
