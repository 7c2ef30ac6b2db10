"""What an exchange tells the memory of accepted requests, and what it asks of it when it is declined."""

import json
import os
from typing import Any

import pytest

from answers import ITERATIONS, REFUSAL, SEAM, block, delta, end, start, stop
from answers import STOP as LAST
from commands import request
from proxy.core import incident, news
from proxy.core.asker import Asker
from proxy.core.context import split
from proxy.core.exchange import Exchange, Watcher
from proxy.core.passed import Passed
from proxy.core.said import fingerprint
from proxy.core.stamps import stamp
from schemas.labels import History, Label, Result
from schemas.records import Accepted, Refusal

AT = 1_795_444_562.324
HEADERS = (
    (b"User-Agent", b"claude-cli/2.1.197 (external, sdk-cli)"),
    (b"X-Claude-Code-Session-Id", b"11111111-2222-4333-8444-555555555555"),
)
ANSWER = json.dumps(
    {"id": "msg_1", "type": "message", "model": "claude-opus-5", "content": [], "stop_reason": "end_turn"}
)

API_FALLBACK = (
    start("claude-fable-5") + block(0, **SEAM) + stop(0) + block(1) + delta(1, "Hello") + stop(1)
    + end(usage={"output_tokens": 3, "iterations": ITERATIONS}) + LAST
)  # fmt: skip


def before(turns: int) -> bytes:
    """The request that comes before ``request(turns)`` in its conversation."""
    body = json.loads(request(turns=turns))
    return json.dumps(body | {"messages": body["messages"][:-2]}).encode()


class Notebook:
    """A memory that is what it was told."""

    def __init__(self) -> None:
        self.told: list[Passed] = []
        self.asked: list[tuple[Asker, str, str | None]] = []
        self.known: list[Accepted] = []

    def passed(self, passed: Passed) -> None:
        self.told.append(passed)
        segments = split(passed.body(), None).segments
        here = news.asked(segments)
        found = Accepted(
            session_id=passed.who.session_id or "", model=passed.model, at=stamp(passed.at), request_id=passed.request_id,
            client_version=passed.who.client_version, turn=here.turn, root=here.root,
            hashes=b"".join(news.mark(one.hash) for one in segments),
        )  # fmt: skip
        self.known.insert(0, found)

    def accepted(self, who: Asker, model: str, root: str | None) -> list[Accepted]:
        self.asked.append((who, model, root))
        return self.known


@pytest.fixture
def memory() -> Notebook:
    return Notebook()


def exchange(memory: Notebook | None, body: bytes, answer: str | bytes = ANSWER, **more: Any) -> Exchange:
    watcher = Watcher(
        source="gateway", now=lambda: AT, entropy=os.urandom, memory=memory, content=more.get("content", True)
    )
    made = watcher.exchange(b"POST", more.get("target", b"/v1/messages"), more.get("headers", HEADERS))
    assert made
    made.sent(body)
    made.opened(more.get("status", 200), ((b"request-id", b"req_1"),))
    made.outcome, made.answered_by = more.get("outcome"), more.get("answered_by")
    made.changed = more.get("changed", False)
    made.maker = made.feed(answer.encode() if isinstance(answer, str) else answer) or made.finish(whole=True)  # type: ignore[attr-defined]
    return made


def accept(memory: Notebook | None, body: bytes, answer: str = ANSWER, **more: Any) -> None:
    assert exchange(memory, body, answer, **more).traffic()


def decline(memory: Notebook | None, body: bytes, **more: Any) -> tuple[Refusal, Any]:
    maker = exchange(memory, body, REFUSAL, **more).maker  # type: ignore[attr-defined]
    entry = maker()
    return entry.refusals[0], entry


def test_what_is_accepted_is_told_with_its_body_and_whoever_accepted_it(memory: Notebook) -> None:
    accept(memory, request())
    (told,) = memory.told
    assert told.body() == request()
    assert told.who.session_id == "11111111-2222-4333-8444-555555555555"
    assert (told.model, stamp(told.at), told.request_id) == ("claude-opus-5", "2026-11-23T14:36:02.324Z", "req_1")
    assert told.size == len(request())
    accept(memory, request(), answered_by="claude-opus-4-8-20260101", outcome=Result.ANSWERED)
    assert memory.told[-1].model == "claude-opus-4-8"


def test_what_demur_or_the_api_had_another_model_answer_was_accepted_by_that_one(memory: Notebook) -> None:
    accept(memory, request(), outcome=Result.RECOVERED_BY_DEMUR, answered_by="claude-opus-4-8")
    made = exchange(memory, request(), API_FALLBACK)
    assert made.maker().refusals[0].outcome == "recovered_by_api"  # type: ignore[attr-defined]
    assert made.traffic() is None
    assert made.traffic() is None
    assert [told.model for told in memory.told] == ["claude-opus-4-8", "claude-opus-4-8"]


def test_other_platforms_are_compared_as_well(memory: Notebook) -> None:
    accept(memory, request(), target=b"/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-5:rawPredict")
    assert len(memory.told) == 1


def test_a_memory_that_fails_costs_no_record(memory: Notebook) -> None:
    memory.known = [None]  # type: ignore[list-item]
    refusal, entry = decline(memory, request())
    assert (refusal.category, refusal.asked, len(entry.segments)) == (
        "cyber",
        None,
        len(split(request(), None).segments),
    )


@pytest.mark.parametrize(
    "more",
    [
        {"headers": HEADERS[:1]},
        {"target": b"/v1/messages/count_tokens"},
        {"status": 529, "answer": '{"type":"error","error":{"type":"overloaded_error"}}'},
        {"outcome": Result.RECOVERED_BY_DEMUR, "changed": True},
        {"outcome": Result.REFUSED},
        {"answer": REFUSAL.decode()},
    ],
)
def test_nothing_else_is_told(memory: Notebook, more: dict[str, Any]) -> None:
    exchange(memory, request(), **more).traffic()
    assert memory.told == []


def test_without_a_memory_nothing_is_new_and_nothing_is_old() -> None:
    accept(None, request())
    refusal, entry = decline(None, request())
    assert {one.new for one in entry.segments} == {None}
    assert refusal.history is None
    assert refusal.asked == refusal.fingerprint == fingerprint(entry.segments)


def test_a_declined_request_is_told_apart_from_the_last_accepted_one(memory: Notebook) -> None:
    accept(memory, before(4))
    refusal, entry = decline(memory, request(turns=4))
    assert memory.asked[0][1:] == ("claude-opus-5", news.asked(entry.segments).root)
    assert refusal.history == History.GROWN
    assert (refusal.accepted_at, refusal.accepted_model) == ("2026-11-23T14:36:02.324Z", "claude-opus-5")
    assert (refusal.accepted_version, refusal.accepted_request_id) == ("2.1.197", "req_1")
    assert (refusal.turn, refusal.accepted_turn) == (1, 1)
    known = {one.hash for one in split(before(4), None).segments}
    assert [one.new for one in entry.segments] == [one.hash not in known for one in entry.segments]
    assert refusal.fingerprint == incident.fingerprint(entry.segments)


def test_the_first_of_a_session_is_new_as_a_whole_and_says_so(memory: Notebook) -> None:
    body = json.dumps({"model": "claude-opus-5", "messages": [{"role": "user", "content": "hi"}]}).encode()
    refusal, entry = decline(memory, body)
    assert refusal.history == History.FIRST
    assert (refusal.turn, refusal.accepted_at, refusal.accepted_turn) == (1, None, None)
    assert [one.label for one in news.candidates(entry.segments)] == [Label.USER_TEXT]


def test_what_was_new_is_known_where_no_text_is_kept(memory: Notebook) -> None:
    accept(memory, before(4))
    refusal, entry = decline(memory, request(turns=4), content=False)
    assert entry.contents == {}
    assert refusal.history == History.GROWN
    assert any(one.new for one in entry.segments)


def test_a_request_without_a_session_is_compared_with_nothing(memory: Notebook) -> None:
    refusal, _ = decline(memory, request(), headers=HEADERS[:1])
    assert memory.asked == []
    assert refusal.history is None
    assert refusal.asked
