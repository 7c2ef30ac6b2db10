"""Flows that mitmproxy saved."""

import io
from typing import Any

import captured
from addons.replay import replayed
from captured import counted, read, refusals, troubles
from proxy.core.exchange import Watcher
from proxy.importers.flow import FlowFile

FLOW = FlowFile()


def test_an_answer_that_was_streamed_and_not_stored_is_told_once_with_how_many() -> None:
    found = read(FLOW, captured.flows(streamed=True) + captured.flows(captured.SESSION_OF[:2]))
    assert [(one.line, one.why) for one in troubles(found)] == [
        (None, "the answers of 4 flows were streamed and not stored"),
    ]


def test_a_file_that_ends_within_a_flow_gives_those_before_it_and_says_so() -> None:
    data = captured.flows()
    found = read(FLOW, data[:-20])
    assert [one.why for one in troubles(found)] == ["it is cut off, or damaged, within a flow"]
    assert [one.request_id for one in refusals(found)] == ["req_2"]


def test_a_file_that_mitmproxy_cannot_read_is_told_of() -> None:
    assert [one.why for one in troubles(read(FLOW, b"12:3:abc;3:def;,"))] == [
        "it is cut off, or damaged, within a flow"
    ]


def test_flows_that_are_no_messages_are_passed_over() -> None:
    from mitmproxy.test import tflow, tutils

    file = io.BytesIO()
    writer: Any = captured.FlowWriter(file)  # type: ignore[no-untyped-call]
    for flow in (tflow.tflow(resp=True), tflow.ttcpflow(), tflow.tflow(err=True)):
        writer.add(flow)
    unanswered = tflow.tflow(req=tutils.treq(method=b"POST", path=b"/v1/messages"), err=True)
    writer.add(unanswered)
    found = read(FLOW, file.getvalue())
    assert refusals(found) == []
    assert counted(found) == {"cut": 1}


def test_the_add_on_gives_the_same_ids_to_the_same_flows() -> None:
    from mitmproxy.io import FlowReader

    first = refusals(read(FLOW, captured.flows()))[0]
    flow = list(FlowReader(io.BytesIO(captured.flows())).stream())[1]
    watcher = Watcher("mitmproxy", lambda: 0.0, bytes)
    exchange = replayed(watcher, flow).exchange(b"POST", b"/v1/messages", flow.request.headers.fields)  # type: ignore[arg-type, attr-defined]
    assert exchange is not None
    assert exchange.id == first.id


class Pipe(io.RawIOBase):
    """Something that can only be read on."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        return self._data.readinto(buffer)


def test_a_pipe_is_read_as_well() -> None:
    from proxy.core.redact import Redactor
    from proxy.importers.source import Origin

    found = list(FLOW.read(Pipe(captured.flows()), Origin("-", Redactor())))  # type: ignore[arg-type]
    assert [one.request_id for one in refusals(found)] == ["req_2", "req_4"]
