"""What came, and how its answer ended."""

import msgspec
from msgspec import Struct

from proxy.pretend.reply import Json


class Received(Struct, kw_only=True):
    """One request as it came."""

    method: str
    target: str
    """As on the request line, undecoded."""
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    """Undecoded too."""
    scenario: str = ""
    request_id: str = ""
    """That its answer carried; empty where the connection was closed instead."""
    sent: int = 0
    """How many pieces of the answer were written: one an event, unless the body is split."""
    ended: str = "open"
    """``open``; ``whole``; ``cut``, when the pretend API broke it off; ``left``, when the client did."""

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == wanted), None)

    def json(self) -> Json:
        """The body, read as JSON."""
        value: Json = msgspec.json.decode(self.body)
        return value
