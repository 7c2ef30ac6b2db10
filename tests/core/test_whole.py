"""An answer that is no stream is held until it is whole, and then sent as it came."""

import pytest

from playbook import CLAIMED, PRIMARY, SECOND, TOKEN, Json, encoded, message, refused_message
from proxy.core import whole
from proxy.core.message import parse
from proxy.core.splice import Refused, Wire
from proxy.core.whole import Whole

TEXT = {"type": "text", "text": "Hi"}


def reader(*, secret: bool = True) -> Whole:
    return Whole(Wire(model=PRIMARY, secret=secret, guard=False), PRIMARY, marked=False)


def later() -> Whole:
    """A later attempt in the official shape."""
    wire = Wire(model=PRIMARY, secret=True, guard=False)
    refused = refused_message(**CLAIMED)
    wire.absorb(Refused(event=refused, start={"message": refused}, blocks=[], shown=False), PRIMARY, next_index=0)
    wire.seam(SECOND)
    return Whole(wire, SECOND, marked=True)


@pytest.mark.parametrize("body", [encoded(message(TEXT)), b"", b"no json", b"[1, 2]", b'{"type": "error"}'])
def test_an_answer_goes_on_as_it_came_once_it_is_whole(body: bytes) -> None:
    made = reader()
    assert [made.feed(body[:3]), made.feed(body[3:])] == [b"", b""]
    assert made.close(whole=True) == body
    assert made.refused is None


def test_an_answer_that_was_cut_goes_on_as_far_as_it_came() -> None:
    made = reader()
    made.feed(encoded(refused_message())[:40])
    assert made.close(whole=False) == encoded(refused_message())[:40]


@pytest.mark.parametrize("secret", [False, True])
def test_a_refusal_stands_without_what_the_client_did_not_ask_for(secret: bool) -> None:
    made = reader(secret=secret)
    body = encoded(refused_message(TEXT, **CLAIMED))
    assert made.feed(body) == made.close(whole=True) == b""
    assert made.refused is not None
    assert (made.refused.token, made.refused.blocks, made.refused.category) == (TOKEN, [TEXT], "cyber")
    assert made.stand() == (encoded(refused_message(TEXT)) if secret else body)


def test_a_refusal_whose_content_is_no_list_has_none() -> None:
    made = reader()
    made.feed(encoded({"stop_reason": "refusal", "content": "Hi"}))
    made.close(whole=True)
    assert made.refused is not None
    assert (made.refused.blocks, made.refused.details) == ([], {})


def test_a_part_of_a_body_is_of_no_use_when_time_is_over() -> None:
    made = reader()
    made.feed(b'{"a":')
    assert made.flush() == b""
    assert made.feed(b"1}") == b""
    assert made.close(whole=True) == b'{"a":1}'


@pytest.mark.parametrize("secret", [False, True])
def test_what_is_held_back_can_be_given_up_and_the_rest_goes_on_as_it_comes(secret: bool) -> None:
    made = reader(secret=secret)
    body = encoded(refused_message(**CLAIMED))
    made.feed(body)
    made.close(whole=True)
    assert made.give_up() == (encoded(refused_message()) if secret else body)
    assert made.refused is None
    assert (made.feed(b"1}"), made.close(whole=True)) == (b"1}", b"")


def test_what_is_too_large_to_be_held_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "LARGEST", 10)
    made = reader()
    assert made.feed(b"0123456789") == b""
    assert made.feed(b"a") == b"0123456789a"


def test_a_later_answer_begins_with_its_seams_and_tells_of_every_attempt() -> None:
    made = later()
    made.feed(encoded(message(TEXT)))
    out = parse(made.close(whole=True))
    assert [found["type"] for found in out["content"]] == ["fallback", "text"]
    assert [each["type"] for each in out["usage"]["iterations"]] == ["message", "fallback_message"]


@pytest.mark.parametrize("answer", [{"content": "Hi"}, {"type": "error"}])
def test_a_later_answer_that_is_no_message_is_left_alone(answer: Json) -> None:
    made = later()
    made.feed(encoded(answer))
    assert parse(made.close(whole=True)) == answer


def test_a_later_answer_that_cannot_be_read_goes_on_as_it_came() -> None:
    made = later()
    made.feed(b"no json")
    assert made.close(whole=True) == b"no json"


@pytest.mark.parametrize("details", [True, False])
def test_a_later_refusal_stands_with_its_seams_and_without_its_token(details: bool) -> None:
    made = later()
    refused = refused_message(TEXT, model=SECOND, **CLAIMED)
    made.feed(encoded(refused if details else refused | {"stop_details": None}))
    made.close(whole=True)
    out = made.stand()
    assert TOKEN.encode() not in out
    assert [found["type"] for found in parse(out)["content"]] == ["fallback", "text"]
    assert bool(parse(out)["stop_details"]) is details


@pytest.mark.parametrize("details", [True, False])
def test_where_every_later_attempt_failed_the_refusal_tells_so(details: bool) -> None:
    wire = Wire(model=PRIMARY, secret=True, guard=False)
    refused = refused_message(TEXT, **CLAIMED) | ({} if details else {"stop_details": None})
    wire.absorb(Refused(event=refused, start={"message": refused}, blocks=[TEXT], shown=False), PRIMARY, next_index=0)
    out = Whole(wire, PRIMARY, marked=False).exhausted(SECOND)
    assert TOKEN.encode() not in out
    assert parse(out)["content"] == [TEXT]
    assert [each["model"] for each in parse(out)["usage"]["iterations"]] == [PRIMARY]
    assert (parse(out)["stop_details"] or {}).get("recommended_model") == (SECOND if details else None)
