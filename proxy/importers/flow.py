"""Flows that mitmproxy or mitmdump saved (``-w``): http flows of any version that the installed mitmproxy can read.

The ids are those that the add-on of demur gives to the same flows when mitmproxy reads the file. A body that was streamed when it was
recorded is not in the file: ``demur mitm`` streams all that it observes, and keeps what was declined in its own database.
"""

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast
from warnings import catch_warnings

from proxy.importers.exchanged import Captured, Exchanges
from proxy.importers.source import Found, Origin, Trouble

if TYPE_CHECKING:
    from mitmproxy.http import HTTPFlow

_NETSTRING = re.compile(rb"\d{1,12}:\d{1,4}:[a-z_]+[;:,]")
"""A dictionary of mitmproxy's, as a tnetstring, by its first key."""


class FlowFile:
    """See the head of the module."""

    name = "flow"

    def claims(self, head: bytes, origin: Origin) -> bool:
        """See ``Source``."""
        return _NETSTRING.match(head) is not None

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """See ``Source``."""
        with catch_warnings(action="ignore", category=DeprecationWarning):  # of pyparsing, at mitmproxy's use of it
            from mitmproxy.exceptions import FlowReadException
            from mitmproxy.http import HTTPFlow
            from mitmproxy.io import FlowReader

        exchanges, streamed = Exchanges(self.name, origin), 0
        flows = iter(FlowReader(_peekable(file)).stream())
        while True:
            try:
                flow = next(flows, None)
            except FlowReadException:
                yield Trouble(None, "it is cut off, or damaged, within a flow")
                break
            if flow is None:
                break
            if isinstance(flow, HTTPFlow):
                for found in exchanges.found(_captured(flow)):
                    if isinstance(found, Trouble) and flow.response and flow.response.raw_content is None:
                        streamed += 1
                    else:
                        yield found
        if streamed:
            yield Trouble(None, f"the answers of {streamed} flows were streamed and not stored")


def _captured(flow: "HTTPFlow") -> Captured:
    request, response = flow.request, flow.response
    return Captured(
        began=request.timestamp_start,
        ended=(response.timestamp_end if response else None) or request.timestamp_start,
        method=request.method,
        target=request.path,
        asked=request.headers.fields,
        request=request.raw_content,
        status=response.status_code if response else 0,
        told=response.headers.fields if response else (),
        answer=response.raw_content if response else b"",
        whole=response is not None and flow.error is None,
        name=flow.id,
    )


def _peekable(file: BinaryIO) -> BinaryIO:
    """mitmproxy's reader looks ahead."""
    if hasattr(file, "peek") or file.seekable():
        return file
    return cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", file)))
