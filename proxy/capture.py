"""What the settings ask to be captured, as the onlooker that does it."""

import os
import time

from proxy.core.exchange import Watcher
from proxy.core.passed import Memory
from proxy.core.redact import Redactor
from proxy.settings import SettingsError
from schemas.labels import Ruling
from schemas.settings import Settings


def redactor(settings: Settings) -> Redactor:
    """What takes out secrets and what is denied. Raises ``SettingsError``."""
    try:
        return Redactor(settings.redact.deny, secrets=settings.capture.redact_secrets)
    except ValueError as error:
        raise SettingsError(f"redact.deny: {error}") from error


def watcher(settings: Settings, source: str, memory: Memory | None = None) -> Watcher:
    """The onlooker for one way in. ``memory``: of what was accepted lately. Raises ``SettingsError``."""
    return Watcher(
        source=source,
        now=time.time,
        entropy=os.urandom,
        redactor=redactor(settings),
        content=settings.capture.content == "refusals",
        ruling=None if settings.retry.enabled else Ruling.OFF,
        memory=memory,
    )
