"""The recorded sessions that a home is multiplied from, and what was declined in each.

They are in ``seeds.tar.xz``, made by ``bench.recording`` out of runs of the real Claude Code. A *seed* is the transcript of one prompt
with its agents' own files. Each copy of it is told a number of its own, which goes into every id (line, request, message, call, agent),
into the prompt, and moves its times; so no copy is taken for another. What a session says only at its beginning (the prompt and the
tools of the client, most of all) is left out where a copy goes on a session.
"""

import json
import re
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from bench.bodies import WORDS

ARCHIVE = Path(__file__).with_name("seeds.tar.xz")
INDEX = "index.json"
BEGIN = datetime(2025, 9, 1, tzinfo=UTC)
STEP_S = 97
"""Seconds from a copy to the next."""
_ONCE = frozenset(
    "environment model deferred_tools_delta agent_listing_delta skill_listing session_context date"
    " remote_session_change prompt_snapshot".split()
)
"""Attachments that come at a session's beginning."""
_SLOT = re.compile(
    rb"""(?P<uuid>[0-9a-f]{8}(?=(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}))"""
    rb"""|(?P<name>(?<=\breq_011C|..\bmsg_01)[0-9a-f]{8}|(?<=\btoolu_01)Pretend|(?<=\ba)[0-9a-f]{8}(?=[0-9a-f]{8}\b))"""
    rb"""|(?P<at>20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"""
    rb"""|(?P<first>(?<="parentUuid":)null)|(?P<prompt>(?<=\blook at )lines\.py|(?<=\bLook)(?=\. <))"""
)
_FILLER = re.compile(rb"<(\d+) characters>")


class Copy(NamedTuple):
    """What is different in one copy."""

    n: int
    session: str
    """Its session's id."""
    parent: str | None = None
    """The line of the session that it goes on from."""


class Part(NamedTuple):
    """One file of a seed."""

    agent: str
    """The rest of its agent's file name; empty: the session's own."""
    literals: list[bytes]
    slots: list[tuple[str, bytes]]
    """Between the literals: what stands there, and what stood there."""
    last: str
    """The uuid of its last line that has one."""

    def written(self, copy: Copy) -> bytes:
        """Its lines, as a copy has them."""
        number = b"%08x" % copy.n
        fill: dict[str, Callable[[bytes], bytes]] = {
            "session": lambda was: copy.session.encode(),
            "uuid": lambda was: number,
            "name": lambda was: number,
            "at": lambda was: _moved(was, copy.n),
            "first": lambda was: b'"%s"' % copy.parent.encode() if copy.parent else was,
            "prompt": lambda was: was + b" (%d)" % copy.n,
        }
        made = [self.literals[0]]
        for (kind, was), literal in zip(self.slots, self.literals[1:], strict=True):
            made += (fill[kind](was), literal)
        return b"".join(made)


class Seed(NamedTuple):
    """One session of one prompt."""

    name: str
    whole: list[Part]
    """Its own file first."""
    again: list[Part]
    """The same where it goes on a session. An agent always begins."""
    declined: list[tuple[str, str | None]]
    """Kind and category of what the API declined in it, by what the API answered."""


def filler(length: int) -> str:
    """What stands in a seed for words of the client's maker; reading it makes them as many others."""
    return f"<{length} characters>"


@cache
def seeds() -> list[Seed]:
    """All of them, in order of their names."""
    with tarfile.open(ARCHIVE) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}  # type: ignore[union-attr]
    index: dict[str, list[tuple[str, str | None]]] = json.loads(files.pop(INDEX))
    made = []
    for name, declined in sorted(index.items()):
        own = {path: data for path, data in files.items() if path.startswith(f"{name}/")}
        paths = sorted(own, key=lambda path: path.count("/"))
        lines = [(_agent(path), own[path].splitlines()) for path in paths]
        session = paths[0].rpartition("/")[2].removesuffix(".jsonl")
        whole = [_part(agent, data, session) for agent, data in lines]
        again = [_part("", _without_once(lines[0][1]), session), *whole[1:]]
        made.append(Seed(name, whole, again, [(kind, category) for kind, category in declined]))
    return made


def _agent(path: str) -> str:
    return path.partition("/subagents/")[2]


def _without_once(lines: list[bytes]) -> list[bytes]:
    """Each line whose parent is left out follows that one's own parent."""
    kept, parents = [], dict[str, str | None]()
    for data in lines:
        line = json.loads(data)
        parent = line.get("parentUuid")
        if line["type"] == "api-request-shape" or line.get("attachment", {}).get("type") in _ONCE:
            parents[line.get("uuid", "")] = parents.get(parent, parent)
        else:
            kept.append(_following(data, parent, parents.get(parent, parent)))
    return kept


def _following(data: bytes, parent: str | None, other: str | None) -> bytes:
    return data if parent == other else data.replace(_json(parent), _json(other), 1)


def _json(parent: str | None) -> bytes:
    return b'"parentUuid":' + json.dumps(parent).encode()


def _part(agent: str, lines: list[bytes], session: str) -> Part:
    data = _FILLER.sub(lambda found: _words(int(found[1])), b"".join(line + b"\n" for line in lines))
    literals, slots, end = list[bytes](), list[tuple[str, bytes]](), 0
    rest = session[8:].encode()
    for found in _SLOT.finditer(data):
        kind, stop = str(found.lastgroup), found.end()
        if kind == "uuid" and found[0] == session[:8].encode() and data.startswith(rest, stop):
            kind, stop = "session", stop + len(rest)
        literals.append(data[end : found.start()])
        slots.append((kind, found[0]))
        end = stop
    last = next((uuid for line in reversed(lines) if (uuid := _uuid(line))), "")
    return Part(agent, [*literals, data[end:]], slots, last)


def _uuid(data: bytes) -> str | None:
    line: dict[str, Any] = json.loads(data)
    return line.get("uuid")


def _words(length: int) -> bytes:
    words = " ".join(WORDS)
    return (words * (length // len(words) + 1))[:length].encode()


def _moved(was: bytes, n: int) -> bytes:
    """A time of the recording, in the copy's own minute."""
    at = _seconds(was) + timedelta(seconds=n * STEP_S)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z".encode()


@cache
def _seconds(was: bytes) -> datetime:
    """All recordings begin at ``BEGIN``, give or take a minute."""
    at = datetime.fromisoformat(was.decode())
    return BEGIN + timedelta(seconds=at.second, microseconds=at.microsecond)
