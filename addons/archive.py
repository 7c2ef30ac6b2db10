"""Where what the add-on sees is kept, while it is open: the writer, and the keepers before it."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from addons.replay import Uncounted
from proxy.acceptance import Acceptance
from proxy.core.redact import Redactor
from proxy.keeper import Keeper
from proxy.later import Later
from proxy.writer import Writer

LATE_S = 5.0
"""How long what is still being kept is waited for at the end, in seconds."""


class Archive:
    """Open from the start. ``late`` has the threads that still keep what nobody waits for any more; ``look`` is called in another after each refusal."""

    def __init__(
        self, db: Path, retention_days: int, redactor: Redactor, look: Callable[[], None] = lambda: None
    ) -> None:
        self.db = db
        self.late: list[Thread] = []
        self._writer = Writer(db, retention_days=retention_days)
        self._writer.start()
        self.acceptance, self._later = Acceptance(self._writer.put, db, redactor), Later()
        later = self._later

        def tell(_refusal: object, _candidate: object) -> None:
            later.do(look)

        self.keeper = Keeper(self._writer, tell, later=later)
        self.uncounting = Keeper(Uncounted(self._writer))
        """For flows from a file."""

    def close(self) -> None:
        """Keeps what there is."""
        end = time.monotonic() + LATE_S
        for thread in self.late:
            thread.join(max(0.0, end - time.monotonic()))
        self.acceptance.close()
        self._later.close()
        self._writer.close()
