"""What the settings ask to be captured, as the onlooker that does it."""

import os
import time

from proxy.core.exchange import Watcher
from proxy.core.redact import Redactor
from proxy.settings import SettingsError
from schemas.labels import Ruling
from schemas.settings import Settings


def watcher(settings: Settings, source: str) -> Watcher:
    """The onlooker for one way in. Raises ``SettingsError``."""
    try:
        redactor = Redactor(settings.redact.deny, secrets=settings.capture.redact_secrets)
    except ValueError as error:
        raise SettingsError(f"redact.deny: {error}") from error
    content = settings.capture.content == "refusals"
    ruling = None if settings.retry.enabled else Ruling.OFF
    return Watcher(source=source, now=time.time, entropy=os.urandom, redactor=redactor, content=content, ruling=ruling)
