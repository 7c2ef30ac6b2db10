"""What was said last, and its fingerprint."""

import json
from collections.abc import Mapping

from proxy.core.context import split
from proxy.core.said import fingerprint

CACHED = {"cache_control": {"type": "ephemeral"}}
ANSWER = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "Read", "input": {}}]}


def text(said: str, **more: object) -> dict[str, object]:
    return {"type": "text", "text": said, **more}


def printed(*messages: Mapping[str, object]) -> str | None:
    body = {"model": "m", "system": "Be plain.", "messages": list(messages)}
    return fingerprint(split(json.dumps(body).encode(), None).segments)


def test_the_fingerprint_is_of_the_users_last_turn() -> None:
    asked = {"role": "user", "content": "do it"}
    before: list[Mapping[str, object]] = [
        {"role": "user", "content": "read a.py"},
        ANSWER,
        {"role": "user", "content": "other"},
        {"role": "assistant", "content": "yes"},
    ]
    assert printed(asked) == printed(*before, asked)
    assert printed(asked) != printed({"role": "user", "content": "do that"})
    assert printed(asked) == printed({"role": "user", "content": [text("do it", **CACHED)]})


def test_the_fingerprint_leaves_out_what_the_client_adds() -> None:
    bare = printed({"role": "user", "content": "do it"})
    added: list[Mapping[str, object]] = [
        {"role": "user", "content": [text("<system-reminder>x"), text("do it")]},
        {"role": "system", "content": "note"},
    ]
    assert printed(*added) == bare


def test_the_fingerprint_takes_a_turn_of_several_messages_whole() -> None:
    one, two = {"role": "user", "content": "one"}, {"role": "user", "content": "two"}
    assert printed(one, two) == printed({"role": "user", "content": [text("one"), text("two")]})
    assert printed(one, two) != printed(two, one)
    assert printed(ANSWER, one, {"role": "assistant", "content": "started"}) == printed(one)


def test_there_is_no_fingerprint_where_nobody_asked() -> None:
    assert fingerprint([]) is None
    assert printed() is None
    assert printed({"role": "assistant", "content": "hi"}) is None
    assert printed({"role": "user", "content": [text("<system-reminder>x")]}) is None
