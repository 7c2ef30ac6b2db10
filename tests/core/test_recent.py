"""What a client does by itself about a refusal is written down with that refusal, and is no second one."""

import json
from typing import Any

import pytest

from answers import ANSWER, REFUSAL
from proxy.core.exchange import Exchange, Watcher
from proxy.core.headers import Headers
from proxy.core.recent import KEPT, NOTE, SOON_S
from schemas.labels import Outcome, Result
from schemas.records import Entry

SSE: Headers = ((b"content-type", b"text/event-stream"), (b"request-id", b"req_9"))
CREDIT = ((b"anthropic-beta", b"claude-code-20250219,fallback-credit-2026-06-01"),)
HI: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]


class Client:
    """Claude Code, as far as it is seen: it sends, and gets an answer."""

    def __init__(self) -> None:
        self.at = 1_790_000_000.0
        self._n = 0
        self.watcher = Watcher(source="gateway", now=lambda: self.at, entropy=self._entropy)

    def _entropy(self, size: int) -> bytes:
        self._n += 1
        return self._n.to_bytes(size, "big")

    def send(
        self,
        model: str,
        answer: bytes,
        *,
        marks: Headers = (),
        messages: list[dict[str, Any]] = HI,
        session: bytes = b"s-1",
        agent: bytes = b"claude-cli/2.1.330 (external, cli)",
    ) -> list[Entry]:
        """The entries that were kept of one exchange."""
        headers = ((b"User-Agent", agent), (b"X-Claude-Code-Session-Id", session), *marks)
        exchange = self.watcher.exchange(b"POST", b"/v1/messages", headers)
        assert exchange is not None
        exchange.sent(json.dumps({"model": model, "messages": messages}).encode())
        exchange.opened(200, SSE)
        return self._kept(exchange, answer)

    def _kept(self, exchange: Exchange, answer: bytes) -> list[Entry]:
        makers = [exchange.feed(answer), exchange.finish(whole=True)]
        return [entry for make in makers if make is not None and (entry := make()) != Entry()]


@pytest.fixture
def client() -> Client:
    return Client()


def test_another_model_that_the_client_asks_by_itself_recovers_the_refusal(client: Client) -> None:
    (declined,) = client.send("claude-fable-5", REFUSAL, marks=CREDIT)
    (entry,) = client.send("claude-opus-4-8", ANSWER, marks=CREDIT)
    (update,) = entry.updates
    assert entry.refusals == []
    assert update.refusal_id == declined.refusals[0].id
    assert (update.outcome, update.answered_by) == (Outcome.RECOVERED_BY_CLIENT, "claude-opus-5")
    assert [(one.by, one.model, one.outcome, one.request_id) for one in update.attempts] == [
        ("client", "claude-opus-4-8", Result.ANSWERED, "req_9")
    ]


def test_the_same_model_once_more_is_an_attempt_and_no_second_refusal(client: Client) -> None:
    (declined,) = client.send("claude-opus-5", REFUSAL)
    (repeat,) = client.send("claude-opus-5", REFUSAL, marks=CREDIT)
    (other,) = client.send("claude-opus-4-8", ANSWER, marks=CREDIT)
    assert repeat.refusals == []
    assert [(update.refusal_id, update.outcome) for update in (*repeat.updates, *other.updates)] == [
        (declined.refusals[0].id, None),
        (declined.refusals[0].id, Outcome.RECOVERED_BY_CLIENT),
    ]
    assert [one.outcome for one in repeat.updates[0].attempts] == [Result.REFUSED]
    assert [(row.outcome, n) for row, n in repeat.traffic] == [(Result.REFUSED, 1)]


def test_it_is_known_behind_the_note_that_the_client_adds_after_a_part_of_an_answer(client: Client) -> None:
    (declined,) = client.send("claude-opus-5", REFUSAL)
    noted = [
        *HI,
        {"role": "assistant", "content": "Par"},
        {"role": "user", "content": [{"type": "text", "text": NOTE + "."}]},
    ]
    (repeat,) = client.send("claude-opus-5", REFUSAL, marks=CREDIT, messages=noted)
    assert [update.refusal_id for update in repeat.updates] == [declined.refusals[0].id]


def test_it_is_known_by_the_note_in_the_same_message_as_well(client: Client) -> None:
    (declined,) = client.send("claude-opus-5", REFUSAL)
    content = [{"type": "text", "text": "hi\n"}, {"type": "text", "text": NOTE + " — go on."}]
    (repeat,) = client.send("claude-opus-5", REFUSAL, marks=CREDIT, messages=[{"role": "user", "content": content}])
    assert [update.refusal_id for update in repeat.updates] == [declined.refusals[0].id]


def turns(*results: str) -> list[dict[str, Any]]:
    """A conversation with a tool that was run for each result."""
    messages = list(HI)
    for n, told in enumerate(results):
        messages += [
            {"role": "assistant", "content": [{"type": "tool_use", "id": f"t{n}", "name": "Bash", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"t{n}", "content": told}]},
        ]
    return messages


def test_a_loop_of_the_same_tool_is_not_taken_for_it(client: Client) -> None:
    client.send("claude-opus-5", REFUSAL, marks=CREDIT, messages=turns("x"))
    (again,) = client.send("claude-opus-5", REFUSAL, marks=CREDIT, messages=turns("x", "x"))
    assert len(again.refusals) == 1
    assert client.send("claude-opus-5", ANSWER, marks=CREDIT, messages=turns("x", "x", "x")) == []


def test_a_model_that_declines_the_client_s_own_fallback_is_a_refusal_of_its_own(client: Client) -> None:
    client.send("claude-fable-5", REFUSAL, marks=CREDIT)
    (entry,) = client.send("claude-opus-4-8", REFUSAL, marks=CREDIT)
    assert [refusal.model for refusal in entry.refusals] == ["claude-opus-4-8"]


def test_the_results_of_a_batch_are_nobody_s_answer_to_a_refusal(client: Client) -> None:
    client.send("claude-opus-5", REFUSAL, marks=CREDIT)
    headers = ((b"User-Agent", b"claude-cli/2.1.330"), (b"X-Claude-Code-Session-Id", b"s-1"), *CREDIT)
    exchange = client.watcher.exchange(b"GET", b"/v1/messages/batches/b_1/results", headers)
    assert exchange is not None
    exchange.opened(200, ())
    message = {"model": "claude-opus-5", "content": [], "stop_reason": "refusal"}
    make = exchange.feed(json.dumps({"result": {"type": "succeeded", "message": message}}).encode() + b"\n")
    assert make is not None
    assert len(make().refusals) == 1


def test_headers_that_the_client_stamps_are_marks_as_well(client: Client) -> None:
    client.send("claude-fable-5", REFUSAL)
    stamped: Headers = ((b"X-CC-Fallback-From-Model", b"claude-fable-5"),)
    (entry,) = client.send("claude-opus-4-8", ANSWER, marks=stamped)
    assert entry.updates[0].outcome == Outcome.RECOVERED_BY_CLIENT


def test_it_is_recovered_once(client: Client) -> None:
    client.send("claude-fable-5", REFUSAL, marks=CREDIT)
    assert client.send("claude-opus-4-8", ANSWER, marks=CREDIT) != []
    assert client.send("claude-opus-4-8", ANSWER, marks=CREDIT) == []


@pytest.mark.parametrize(
    "change",
    [
        {"marks": ()},
        {"messages": [{"role": "user", "content": "something else"}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": []},
        {"session": b"s-2"},
        {"agent": b"Anthropic/Python 2.12.0"},
    ],
    ids=["without marks", "other words", "no words", "no messages", "other session", "other client"],
)
def test_a_person_or_another_client_who_asks_another_model_is_not_taken_for_it(client: Client, change: Any) -> None:
    client.send("claude-fable-5", REFUSAL, marks=CREDIT)
    assert client.send("claude-opus-4-8", ANSWER, **{"marks": CREDIT, **change}) == []


def test_what_comes_late_is_not_taken_for_it(client: Client) -> None:
    client.send("claude-fable-5", REFUSAL, marks=CREDIT)
    client.at += SOON_S + 1
    assert client.send("claude-opus-4-8", ANSWER, marks=CREDIT) == []


def test_only_the_last_sessions_are_remembered(client: Client) -> None:
    for n in range(KEPT + 1):
        client.send("claude-fable-5", REFUSAL, marks=CREDIT, session=b"s-%d" % n)
    assert len(client.watcher.recent) == KEPT
    assert client.send("claude-opus-4-8", ANSWER, marks=CREDIT, session=b"s-0") == []
    assert client.send("claude-opus-4-8", ANSWER, marks=CREDIT, session=b"s-1") != []


def test_a_client_without_a_session_is_not_remembered(client: Client) -> None:
    client.send("claude-fable-5", REFUSAL, marks=CREDIT, session=b"")
    assert len(client.watcher.recent) == 0
