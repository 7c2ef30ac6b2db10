"""Flows that are read from a file: when they were, and what may be counted of them."""

from dataclasses import replace
from hashlib import blake2b
from itertools import count

from mitmproxy.http import HTTPFlow

from proxy.core.exchange import Watcher
from proxy.writer import Writer
from schemas.records import Entry, Traffic


def replayed(watcher: Watcher, flow: HTTPFlow) -> Watcher:
    """For a flow from a file: the time is its own, and what is found in it has the same ids whenever it is read."""
    began = flow.request.timestamp_start
    ended = flow.response.timestamp_end if flow.response else None
    times, serial = iter([began]), count()

    def entropy(size: int) -> bytes:
        return blake2b(f"{flow.id} {next(serial)}".encode(), digest_size=size).digest()

    return replace(watcher, source="flow", now=lambda: next(times, ended or began), entropy=entropy, memory=None)


class Uncounted:
    """The writer, less the counts: the flow may have been counted when it passed, or when the file was read before."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def put(self, entry: Entry) -> bool:
        entry.traffic.clear()
        return self._writer.put(entry)

    def count(self, traffic: Traffic) -> None:
        """Not counted."""
