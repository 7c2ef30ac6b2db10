"""What is said of a request that no source held as it was sent: a transcript tells its last turn, telemetry nothing of it."""

from proxy.cli.words import exactness
from proxy.core.facts import hearsay
from schemas.records import Refusal


def stored(refusal: Refusal, *, mapped: bool) -> str:
    """What is stored of the request, beside what was sent. ``mapped``: whether any segment of it is known."""
    if not (told := hearsay(refusal.sources)):
        return exactness(refusal)
    if not mapped:
        return f"nothing of the request: {told} does not tell it"
    return f"what {told} tells of the request: its last turn, never the whole"


def compared(refusal: Refusal) -> str | None:
    """Why it was compared with nothing; None where it could have been."""
    if not (told := hearsay(refusal.sources)):
        return None
    return f"with nothing: {told} does not hold the request as it was sent, so what was new in it is not known"
