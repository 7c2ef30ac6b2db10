"""How often, how often the same, and whether whatever was said was declined."""

from typing import Any

from entries import refusal
from proxy.core.repeats import is_tiny, repeats
from schemas.records import Segment


def said(path: str, tokens: int, label: str = "user_text") -> Segment:
    return Segment(n=0, label=label, path=path, bytes=9, tokens_est=tokens, hash="b2:0", content="b2:0")


def test_what_is_the_same_is_told_from_what_is_distinct() -> None:
    given: list[dict[str, Any]] = [
        {"asked": "a", "incident_id": "i", "session_id": "s"},
        {"asked": "a", "incident_id": "i", "session_id": "s"},
        {"asked": "b", "incident_id": "j", "session_id": "t"},
        {},
    ]
    found = repeats([refusal(n, **fields) for n, fields in enumerate(given)][::-1])
    assert (found.refusals, found.incidents, found.contents, found.resends, found.sessions) == (4, 3, 3, 1, 2)
    assert (found.first_at, found.last_at) == ("2099-11-23T14:00:00.324Z", "2099-11-23T14:00:03.324Z")


def test_a_request_to_which_nothing_was_added_is_a_resend() -> None:
    assert repeats([refusal(1, history="same")]).resends == 1


def test_a_greeting_is_tiny_and_only_the_last_text_counts() -> None:
    assert is_tiny(
        [said("messages[0].content", 900), said("messages[2].content[0]", 2), said("messages[2].content[1]", 3)]
    )
    assert not is_tiny([said("messages[0].content", 2), said("messages[2].content[0]", 900)])
    assert not is_tiny([said("messages[0].content", 2, "tool_result")])
    assert not is_tiny([])
