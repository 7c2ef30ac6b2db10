"""One captured request and its answer."""

import json
from typing import Any

import pytest

import captured
from answers import ANSWER, REFUSAL, aws, data_of
from captured import HEADERS, counted, entries, refusals, troubles
from proxy.core.identities import Identities
from proxy.core.redact import Redactor
from proxy.core.sse import frames
from proxy.importers import baseline
from proxy.importers.exchanged import Captured, Exchanges, answered, body, pairs, stream
from proxy.importers.source import Found, Origin, Trouble
from schemas.labels import Outcome

ORIGIN = Origin("x", Redactor())
ASKED = pairs(HEADERS)


def request(*said: Any, **more: Any) -> bytes:
    return json.dumps(captured.asked(*said) | more).encode()


def one(at: float, sent: bytes, answer: bytes | None = ANSWER, /, **more: Any) -> Captured:
    given: dict[str, Any] = {
        "asked": ASKED,
        "ended": captured.BEGAN + at + 1,
        "told": ((b"request-id", f"req_{at}".encode()),),
    }
    return Captured(captured.BEGAN + at, answer, sent, **(given | more))


def told(*exchanges: Captured) -> list[Found]:
    reader = Exchanges("test", ORIGIN)
    return [found for each in exchanges for found in reader.found(each)]


def test_the_clients_own_attempt_after_a_refusal_is_one_more_attempt_at_it() -> None:
    marked = {"asked": (*ASKED, (b"anthropic-beta", b"fallback-credit-2026-06-01"))}
    other = request("Hello PLANTED", model="claude-opus-4-8")
    found = told(one(0, request("Hello PLANTED"), REFUSAL), one(2, other, ANSWER, **marked))
    (refusal,) = refusals(found)
    (update,) = [update for entry in entries(found) for update in entry.updates]
    assert (update.refusal_id, update.outcome) == (refusal.id, Outcome.RECOVERED_BY_CLIENT)
    assert counted(found) == {"refused": 1, "answered": 1}
    unknown = told(one(0, request("Hello PLANTED"), REFUSAL), one(2, other, ANSWER, **marked, ended=None))
    assert [u.attempts[0].ms for entry in entries(unknown) for u in entry.updates] == [None]


def test_what_is_no_messages_request_gives_nothing() -> None:
    assert (
        told(one(0, b"{}", target="/v1/models"), one(1, b"{}", method="GET"), one(2, b"", target="http://[", name="n"))
        == []
    )


def test_a_whole_url_is_known_by_its_path() -> None:
    found = told(one(0, request("a"), REFUSAL, target="https://gateway.example:8443/api/v1/messages?beta=true"))
    assert len(refusals(found)) == 1


def test_an_answer_in_amazons_envelope_is_read() -> None:
    events = b"".join(aws(data_of(frame.raw)) for frame in frames(REFUSAL))
    head = answered({"Content-Type": "application/vnd.amazon.eventstream", "Content-Encoding": "gzip"})
    target = "/model/anthropic.claude-opus-5/invoke-with-response-stream"
    assert len(refusals(told(one(0, request("a"), events, target=target, told=head)))) == 1


def test_heads_are_read_in_every_form_and_without_what_is_of_the_encoded_body() -> None:
    listed = [{"name": "A", "value": "b"}, {"name": "Content-Encoding", "value": "br"}, {"name": 1, "value": "x"}, "y"]
    assert pairs(listed) == ((b"A", b"b"),)
    assert pairs({"A": ["b", "c"], "Content-Length": "3", "D": 4}) == ((b"A", b"b"), (b"A", b"c"))
    assert pairs(None) == ()
    assert answered({"content-type": "text/event-stream", "request-id": "r"}) == ((b"request-id", b"r"),)


def test_bodies_and_events_become_bytes_again() -> None:
    assert (body(None), body(b"x"), body("é\ud83d"), body({"a": [1]})) == (None, b"x", b"\xc3\xa9?", b'{"a":[1]}')
    said = stream([("ping", "one\ntwo"), (None, {"type": "message_stop"}), (None, [1])])
    assert (
        said
        == b'event: ping\ndata: one\ndata: two\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\ndata: [1]\n\n'
    )


def test_an_exchange_that_cannot_be_read_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RecursionError

    reader = Exchanges("test", ORIGIN)
    with monkeypatch.context() as patch:
        patch.setattr("proxy.importers.exchanged.Exchange.opened", fail)
        assert [why.why for why in troubles(list(reader.found(one(0, request("a"), REFUSAL))))] == [
            "an exchange could not be read (RecursionError)"
        ]
    assert len(refusals(list(reader.found(one(1, request("a"), REFUSAL))))) == 1


@pytest.mark.parametrize("began", [float("nan"), 1e300, float("-inf")])
def test_a_time_that_none_can_be_costs_no_other_exchange(began: float) -> None:
    exchanges = Exchanges("flow", ORIGIN)
    odd, next_ = Captured(began, REFUSAL, b"{}"), Captured(captured.BEGAN, REFUSAL, b"{}")
    (trouble,) = exchanges.found(odd)
    assert isinstance(trouble, Trouble)
    assert trouble.why.startswith("an exchange could not be read")
    assert refusals(list(exchanges.found(next_)))


def test_a_resumed_conversation_is_compared_with_the_one_that_it_goes_on_from() -> None:
    elsewhere = tuple((name, b"other" if name == b"x-claude-code-session-id" else value) for name, value in ASKED)
    before = one(0, request("Good day.", "Hello", "Yes?"))
    on = one(5, request("Good day.", "Hello", "Yes?", "No.", "PLANTED"), REFUSAL, asked=elsewhere)
    other = one(5, request("Other.", "Hello", "PLANTED"), REFUSAL, asked=elsewhere)
    assert [[refusal.history for refusal in refusals(told(before, last))] for last in (on, other)] == [
        ["resumed"],
        ["unseen"],
    ]


def test_what_is_asked_beside_a_conversation_is_compared_with_it() -> None:
    title = {"system": "Generate a concise, sentence-case title for it"}
    found = told(one(0, request("Good day.")), one(5, request("Good day.", "Hello", "PLANTED", **title), REFUSAL))
    (refusal,) = refusals(found)
    assert (refusal.role, refusal.accepted_request_id) == ("title", "req_0")


def test_only_so_many_conversations_and_bytes_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baseline, "KEPT", 2)
    monkeypatch.setattr(baseline, "UNREAD", 1)
    read: list[bytes] = []
    known = Identities.of

    def noted(self: Identities, body: bytes) -> Any:
        read.append(body)
        return known(self, body)

    monkeypatch.setattr(Identities, "of", noted)
    exchanges = [
        one(n, request("Good day.", "Hello", "Yes?"), asked=(*ASKED[:3], (b"x-claude-code-session-id", b"s%d" % n)))
        for n in range(4)
    ]
    again = one(
        9,
        request("Good day.", "Hello", "Yes?", "No.", "x"),
        REFUSAL,
        asked=(*ASKED[:3], (b"x-claude-code-session-id", b"s0")),
    )
    (refusal,) = refusals(told(*exchanges, again))
    assert (refusal.history, refusal.accepted_request_id) == ("resumed", "req_3")
    assert len(read) == 4
