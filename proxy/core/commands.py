"""What a relay yields, the commands, and what it is sent, the events.

The driver does what a command says and sends back what came of it::

    Open      -> Opened | Failed | Late           send a request upstream, in place of one that is still open
    Read      -> Chunk | End | Failed | Late      the next piece of the answer's body, as soon as there is one
    Pass      -> Chunk | End | Failed             send the client each piece as it comes, as long as ``look`` sees nothing in it;
                                                  the first in which it does comes back unsent
    Ask       -> Told                             ask the counsel, outside the event loop
    Respond, Write, Keep, Tell, Count, Note -> None
    Finish, Abort, Unreached                      nothing follows

``Keep`` keeps what the maker makes, and only then goes on; a failure is the driver's to report.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Protocol

from proxy.core.exchange import Maker
from proxy.core.headers import Headers
from schemas.records import Pin, Traffic


class Counsel(Protocol):
    """What a relay may want to know that no request tells. See ``proxy.recall``."""

    def pin(self, key: str) -> Pin | None:
        """The model that a conversation stays on."""

    def judged_correct(self, asked: str | None, session_id: str | None, marks: frozenset[bytes]) -> bool | None:
        """Whether a person judged a refusal of this content correct, or of its incident; None where that cannot be read.

        ``marks``: of the whole request, see ``proxy.core.incident``.
        """

    def attempts(self, session_id: str | None) -> int:
        """Further attempts within the last hour."""

    def attempted(self, session_id: str | None, most: int) -> bool:
        """Count one more, unless this process has counted ``most`` within the last hour: then False. Does not block."""

    def stick(self, pin: Pin) -> None:
        """Remember it. Does not block."""

    def unstick(self, pin: Pin) -> None:
        """Forget it, also where the store has not been told yet. Does not block."""


@dataclass(frozen=True, slots=True)
class Open:
    """Send a request upstream."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes | None = None
    """None: as the client sends it."""
    within: float | None = None
    """How long its answer's head may take, in seconds."""
    elsewhere: str | None = None
    """The URL of an upstream that is not the request's own."""


@dataclass(frozen=True, slots=True)
class Respond:
    """Send the client the head of an answer."""

    status: int
    reason: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Read:
    """Wait for the next piece of the answer."""

    within: float | None = None
    """Seconds, after which ``Late`` comes instead."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Pass pieces on, which is what nearly all of an answer wants, without coming back for each."""

    look: Callable[[bytes], bool]
    """Whether there is something to do before this piece goes on. Never raises."""


@dataclass(frozen=True, slots=True)
class Write:
    """Send the client a piece of the answer."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep an entry, and only then go on."""

    make: Maker


@dataclass(frozen=True, slots=True)
class Ask:
    """A question that may take milliseconds."""

    question: Callable[[Counsel], object]


@dataclass(frozen=True, slots=True)
class Tell:
    """Something to remember."""

    fact: Callable[[Counsel], None]


@dataclass(frozen=True, slots=True)
class Count:
    """Add one to a traffic count."""

    traffic: Traffic


@dataclass(frozen=True, slots=True)
class Note:
    """Our own code failed, where there is an ``error``; else something that the log should have."""

    event: str
    error: Exception | None = None
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer is whole."""

    trailers: Headers = ()


@dataclass(frozen=True, slots=True)
class Abort:
    """The answer was cut."""


@dataclass(frozen=True, slots=True)
class Unreached:
    """There was no answer."""

    why: str


Command = Open | Respond | Read | Pass | Write | Keep | Ask | Tell | Count | Note | Finish | Abort | Unreached


@dataclass(frozen=True, slots=True)
class Opened:
    """The head of an answer."""

    status: int
    reason: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer's body, without its framing; never empty."""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """An answer came to its proper end."""

    trailers: Headers = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The answer cannot come any more. ``reached``: the API had been reached, and cut the connection."""

    why: str
    reached: bool
    left: bool = False
    """It was the client that left: nothing more is wanted."""


@dataclass(frozen=True, slots=True)
class Late:
    """What was waited for did not come in time. It may still come."""


@dataclass(frozen=True, slots=True)
class Told:
    """The counsel's answer; None where it did not come."""

    answer: object


Event = Opened | Chunk | End | Failed | Late | Told | None

Relay = Generator[Command, Event, None]

type Step[T] = Generator[Command, Event, T]
"""A part of a relay, with a result."""
