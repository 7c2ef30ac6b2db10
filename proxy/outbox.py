"""What connections have to send, held while a callback of the event loop runs: a head and its body are one system call, not three.

A ``Cork`` is shared by the connections of one gateway. Between ``hold`` and ``release`` their outboxes keep what is written to
them; the last ``release`` sends it. Without a hold, what is written is sent at once.
"""

import asyncio


class Cork:
    """Whether, and by whom, something is held."""

    __slots__ = ("_depth", "held")

    def __init__(self) -> None:
        self._depth = 0
        self.held: list[Outbox] = []

    def __bool__(self) -> bool:
        return self._depth > 0

    def hold(self) -> None:
        """A callback begins."""
        self._depth += 1

    def release(self) -> None:
        """It ends: nothing waits longer than for it."""
        self._depth -= 1
        if self.held and not self._depth:
            held, self.held = self.held, []
            for outbox in held:
                outbox.flush()


class Outbox:
    """Writes to one transport, in order."""

    __slots__ = ("_cork", "_parts", "_transport")

    def __init__(self, transport: asyncio.Transport, cork: Cork) -> None:
        self._transport, self._cork = transport, cork
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send this after what was sent before."""
        if not self._parts:
            self._cork.held.append(self)
        self._parts.append(data)
        if not self._cork:
            self._cork.hold()
            self._cork.release()

    def close(self) -> None:
        """Close the transport when all is sent."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Send what is held."""
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
