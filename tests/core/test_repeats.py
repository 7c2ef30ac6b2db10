"""How often, how often the same, and whether a short text was declined as well."""

from typing import Any

from entries import refusal
from proxy.core.repeats import newest, repeats, tiny
from schemas.records import Refusal, Segment


def said(path: str, tokens: int, label: str = "user_text", words: str = "0") -> Segment:
    return Segment(n=0, label=label, path=path, bytes=9, tokens_est=tokens, hash=f"b2:{words}", content="b2:0")


def turn(*words: str, label: str = "user_text", tokens: int = 3) -> list[Segment]:
    """What was said since the last answer, a message each, as a transcript tells it."""
    return [said(f"messages[{n}].content", tokens, label, one) for n, one in enumerate(words)]


def asked(n: int, **fields: Any) -> Refusal:
    return refusal(n, **({"session_id": "s", "incident_id": "i"} | fields))


def test_what_is_the_same_is_told_from_what_is_distinct() -> None:
    given: list[dict[str, Any]] = [
        {"asked": "a", "incident_id": "i", "session_id": "s"},
        {"asked": "a", "incident_id": "i", "session_id": "s"},
        {"asked": "b", "incident_id": "j", "session_id": "t"},
        {},
    ]
    found = repeats([refusal(n, **fields) for n, fields in enumerate(given)][::-1])
    assert (found.refusals, found.incidents, found.contents, found.resends, found.sessions) == (4, 3, 3, 1, 2)
    assert (found.unknown, found.sessionless) == (1, 1)
    assert (found.first_at, found.last_at) == ("2099-11-23T14:00:00.324Z", "2099-11-23T14:00:03.324Z")


def test_a_request_to_which_nothing_was_added_is_a_resend() -> None:
    assert repeats([refusal(1, history="same")]).resends == 1
    given = [
        asked(1, asked="a", history="same"),
        asked(2, asked="a", history="same"),
        asked(3, asked="b", history="same"),
    ]
    assert repeats(given).resends == 3


def test_what_is_counted_is_what_was_newest_though_the_declined_prompts_stand_before_it() -> None:
    given = [asked(1, asked="1"), asked(2, asked="2"), asked(3, asked="3")]
    maps = {given[0].id: turn("a"), given[1].id: turn("a", "a"), given[2].id: turn("a", "a", "b")}
    found = newest(given, maps)
    assert [[part.hash for part in found[one.id]] for one in given] == [["b2:a"], ["b2:a"], ["b2:b"]]
    counted = repeats(given, found)
    assert (counted.contents, counted.resends, counted.unknown) == (2, 1, 0)


def test_the_client_puts_declined_prompts_into_one_message() -> None:
    given = [asked(1), asked(2)]
    one = said("messages[2].content[0]", 9, words="a")
    maps = {given[0].id: [one], given[1].id: [one, said("messages[2].content[1]", 2, words="b")]}
    assert [part.hash for part in newest(given, maps)[given[1].id]] == ["b2:b"]


def test_what_is_resent_is_what_it_was_at_first() -> None:
    given = [asked(1), asked(2), asked(3), asked(4, asked="x"), asked(5, asked="x")]
    maps = {
        given[0].id: turn("a"),
        given[1].id: turn("a", "b"),
        given[2].id: turn("a", "b"),
        given[3].id: turn("c"),
        given[4].id: turn("c", "the client's own note"),
    }
    found = newest(given, maps)
    assert found[given[2].id] == found[given[1].id]
    assert found[given[4].id] == found[given[3].id]
    assert repeats(given, found).contents == 3


def test_conversations_are_not_mixed_and_what_stands_elsewhere_alike_is_the_same() -> None:
    given = [asked(1), asked(2, session_id="t"), asked(3, session_id=None), asked(4, agent_id="g")]
    maps = {given[0].id: turn("a"), given[1].id: turn("a", "b"), given[2].id: turn("a"), given[3].id: turn("a", "c")}
    found = newest(given, maps)
    assert [len(found[one.id]) for one in given] == [1, 2, 1, 2]
    assert repeats(given, found).contents == 3


def test_a_short_text_counts_only_where_another_one_was_declined_before_it() -> None:
    given = [asked(1), asked(2), asked(3), asked(4, incident_id="j")]
    maps = {
        given[0].id: turn("long", tokens=90),
        given[1].id: [*turn("long", tokens=90), said("messages[1].content", 2, words="hi")],
        given[2].id: [*turn("long", tokens=90), *turn("long", "hi", "longer", tokens=90)[1:]],
        given[3].id: turn("ok"),
    }
    assert [one.id for one in tiny(given, newest(given, maps))] == [given[1].id]


def test_the_short_text_that_was_declined_first_says_nothing_of_others() -> None:
    given = [asked(1, turn=2), asked(2, turn=2)]
    for maps in ({given[0].id: turn("a")}, {given[0].id: turn("a"), given[1].id: turn("a", "a")}):
        assert tiny(given[: len(maps)], newest(given[: len(maps)], maps)) == []
    results = {given[0].id: turn("a"), given[1].id: turn("r", label="tool_result")}
    assert tiny(given, newest(given, results)) == []
    unmapped = [asked(1, asked="a"), asked(2, asked="b"), asked(3)]
    assert tiny(unmapped, newest(unmapped, {})) == []
