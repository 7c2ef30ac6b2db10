"""What is decided of a request before it is sent."""

import gzip
import json
from typing import Any

import pytest

from playbook import ASKED, CHAIN, CLIENT, CREDIT, SDK, retry
from playbook import request as asked
from proxy.core.commands import Open
from proxy.core.plan import STICKY_MIN, Learned, Plan, plan
from schemas.labels import Ruling
from schemas.settings import Rephrase, Retry

SERVER_SIDE = ((b"anthropic-beta", b"server-side-fallback-2026-07-01"),)
GUARD_ALONE: dict[str, Any] = {"enabled": False, "tool_guard": True}


def planned(settings: Retry | None = None, request: Open | None = None, **more: Any) -> Plan:
    return plan(settings or retry(), request or asked(), Learned({}), float, **more)


def test_a_compressed_body_is_read() -> None:
    body = json.dumps(ASKED).encode()
    made = planned(request=asked(gzip.compress(body), (*CLIENT, (b"Content-Encoding", b"gzip"))))
    assert (made.body, made.retries, made.asked.who.model) == (body, True, ASKED["model"])


def test_a_body_that_cannot_be_read_is_left_alone() -> None:
    made = planned(request=asked(b"no gzip", (*CLIENT, (b"Content-Encoding", b"gzip"))))
    assert made.against is not None
    assert (made.body, made.against.ruling, made.armed) == (b"no gzip", Ruling.UNREADABLE, False)
    assert planned(request=Open(b"POST", b"/v1/messages", ())).armed is False


# the tool guard


@pytest.mark.parametrize(
    ("changed", "guards"),
    [
        ({}, True),
        ({"tool_guard": False}, False),
        ({"tool_guard": True}, True),
        ({"enabled": False}, False),
        (GUARD_ALONE, True),
        ({"enabled": True, "fallback": []}, True),
    ],
)
def test_the_guard_goes_with_retry_and_may_be_on_alone(changed: dict[str, Any], guards: bool) -> None:
    assert planned(retry(**changed)).guards is guards


@pytest.mark.parametrize("settings", [{}, GUARD_ALONE], ids=["retry", "guard alone"])
def test_only_a_stream_needs_it(settings: dict[str, Any]) -> None:
    made = planned(retry(**settings), asked({"stream": False}))
    assert not made.guards
    assert made.armed is (settings == {})


ALONE = {
    "fallbacks": asked({"fallbacks": "default"}),
    "another surface": asked(target=b"/v1/projects/p/models/claude-opus-5:streamRawPredict"),
    "unreadable": asked(b"[]"),
}


@pytest.mark.parametrize("given", ALONE.values(), ids=ALONE)
def test_an_api_that_falls_back_itself_and_what_is_no_plain_request_is_left_alone(given: Open) -> None:
    assert not planned(request=given).armed


@pytest.mark.parametrize("given", ALONE.values(), ids=ALONE)
def test_it_is_left_alone_with_the_guard_alone_too(given: Open) -> None:
    assert not planned(retry(**GUARD_ALONE), given).armed


@pytest.mark.parametrize(
    "body", [{"thread": {"type": "create"}}, {"fallback_credit_token": "t"}, {"model": "claude-fable-5"}]
)
def test_a_request_that_is_not_asked_again_is_guarded_all_the_same(body: dict[str, Any]) -> None:
    made = planned(request=asked(body))
    assert (made.retries, made.guards, made.armed) == (False, True, True)


# the wire


@pytest.mark.parametrize(
    ("wire", "headers", "first_party", "shape"),
    [
        ("auto", SDK, False, "plain"),
        ("auto", SDK + CREDIT, False, "marked"),
        ("auto", SDK + SERVER_SIDE, False, "marked"),
        ("auto", CLIENT, False, "plain"),
        ("auto", CLIENT + CREDIT, False, "plain"),
        ("auto", CLIENT + CREDIT, True, "marked"),
        ("auto", CLIENT, True, "plain"),
        ("marked", CLIENT, False, "marked"),
        ("plain", SDK + CREDIT, False, "plain"),
    ],
)
def test_seams_go_to_those_who_asked_for_them_and_understand_them(
    wire: str, headers: Any, first_party: bool, shape: str
) -> None:
    assert planned(retry(wire=wire), asked(headers=headers), first_party=first_party).wire == shape


# credit


@pytest.mark.parametrize(
    ("changed", "headers", "secret"),
    [
        ({}, SDK, True),
        ({}, SDK + CREDIT, False),
        ({}, SDK + SERVER_SIDE, False),
        ({"credit": False}, SDK, False),
        (GUARD_ALONE, SDK, False),
    ],
)
def test_what_demur_alone_asked_for_is_kept_from_the_client(changed: Any, headers: Any, secret: bool) -> None:
    assert planned(retry(**changed), asked(headers=headers)).secret is secret


# stickiness


@pytest.mark.parametrize(
    ("changed", "seconds"),
    [
        ({"sticky": True}, 60.0 * STICKY_MIN),
        ({"sticky": False}, 0.0),
        ({"sticky": 0}, 0.0),
        ({"sticky": 5}, 300.0),
        ({"sticky": 5, "enabled": False}, 0.0),
        ({"sticky": 5, "fallback": [], "rephrase": Rephrase(enabled=True)}, 0.0),
    ],
)
def test_a_conversation_stays_as_long_as_its_owner_says(changed: dict[str, Any], seconds: float) -> None:
    assert planned(retry(**changed)).sticky_s == seconds


def test_a_conversation_has_a_key_where_the_client_names_its_session() -> None:
    assert planned().key() == planned(request=asked({"max_tokens": 9})).key() is not None
    assert planned(request=asked(headers=SDK)).key() is None


def test_what_a_model_rejects_is_learned_for_it_alone() -> None:
    learned = Learned({})
    learned.of("a").add("thinking")
    assert (learned.of("a"), learned.of("b")) == ({"thinking"}, set())


def test_a_chain_of_models_is_all_that_it_takes() -> None:
    assert planned(Retry(enabled=True, fallback=CHAIN)).retries
