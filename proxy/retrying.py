"""What a gateway has for requests that may be asked again: the owner's settings, what it asks of the store, and what targets taught it."""

import os
import time
from copy import copy
from typing import Self

from proxy.core.commands import Counsel, Open
from proxy.core.plan import Learned, Plan, plan
from proxy.upstream import Upstream
from schemas.settings import Retry


class Retrying:
    """For the life of a gateway. ``first_party``: whether its clients believe that they talk to Anthropic itself."""

    def __init__(self, retry: Retry, counsel: Counsel) -> None:
        self.counsel, self.first_party = counsel, False
        self._retry = retry
        self._learned = Learned({})
        self._upstreams: dict[str, Upstream] = {}

    def believed(self, *, first_party: bool) -> Self:
        """The same, what was learned included, for a client that believes so."""
        same = copy(self)
        same.first_party = first_party
        return same

    def plan(self, request: Open) -> Plan:
        """What is to be done with a request whose body is whole."""
        name = self._retry.rephrase.restate_key_env
        key = os.environ.get(name, "").strip() if name else None
        return plan(self._retry, request, self._learned, time.monotonic, first_party=self.first_party, restate_key=key)

    def elsewhere(self, url: str) -> Upstream:
        """Where a turn is restated. Raises ``UpstreamError``."""
        if url not in self._upstreams:
            self._upstreams[url] = Upstream(url)
        return self._upstreams[url]

    def close(self) -> None:
        """Close what is at rest."""
        for upstream in self._upstreams.values():
            upstream.close()
