"""The client's side of one request, as its drive sees it."""

from typing import Protocol

from proxy.core.commands import Opened
from proxy.core.headers import Headers


class Client(Protocol):
    """The client's side of the request."""

    def respond(self, status: int, reason: bytes, headers: Headers) -> None:
        """The head of the answer."""

    def interim(self, head: Opened) -> None:
        """The head of an answer of the 1xx kind."""

    def write(self, data: bytes) -> None:
        """A piece of the answer."""

    def finish(self, trailers: Headers) -> None:
        """The answer is whole."""

    def abort(self) -> None:
        """The answer was cut."""

    def refuse(self, status: int, kind: str, why: str) -> None:
        """An answer of demur's own, where the API gave none."""

    def upload(self, *, paused: bool) -> None:
        """Whether the client should stop sending its body for now."""
