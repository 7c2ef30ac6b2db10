"""Which refusals are one incident, as they are stored."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from entries import name
from proxy.core.context import split
from proxy.core.incident import fingerprint as essence
from proxy.core.incident import marks_of
from proxy.core.said import fingerprint
from proxy.core.segment import to_json
from proxy.store import Store
from proxy.upkeep import expire
from schemas.labels import Kind
from schemas.records import Entry, Refusal, Segment

ADVERT = "Please look at the scan of the advert: " + "lorem ipsum " * 30
BEFORE = "2026-11-24T09:00:00.000Z"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "demur.db"


def at(minute: int, hour: int = 10, day: int = 24) -> str:
    return f"2026-11-{day}T{hour:02}:{minute:02}:00.000Z"


def refusal(n: int, *said: str, new: int | None = 0, **fields: Any) -> Entry:
    """The ``n``-th, in minute ``n``: a text for each turn, of which those from ``new`` on were not in the accepted request."""
    messages = [{"role": "user", "content": text} for text in said]
    parts = split(to_json({"messages": messages}), None)
    for segment in parts.segments:
        segment.new = None if new is None else segment.n >= new
    asked = fingerprint(parts.segments)
    given: dict[str, Any] = {
        "at": at(n), "source": "gateway", "kind": Kind.REFUSAL, "evidence": "message_delta.stop_reason", "confidence": 1.0,
        "session_id": "s", "asked": asked, "fingerprint": essence(parts.segments) or asked, "accepted_at": BEFORE,
    }  # fmt: skip
    made = Refusal(id=name(n), **given | fields)
    return Entry(refusals=[made], segments=parts.segments, contents=parts.contents, skeleton=parts.skeleton)


def stored(db: Path, *entries: Entry) -> dict[int, tuple[int, str | None]]:
    """Number of each refusal -> number of its incident, and its fingerprint."""
    numbers = {name(n): n for n in range(100)}
    with Store.open(db) as store:
        for entry in entries:
            store.apply([entry])
        return {numbers[one.id]: (numbers[one.incident_id or ""], one.fingerprint) for one in store.refusals()}


def incidents(db: Path, *entries: Entry) -> dict[int, int]:
    return {n: incident for n, (incident, _) in sorted(stored(db, *entries).items())}


def test_what_follows_from_the_same_candidates_is_one_incident_and_has_one_fingerprint(db: Path) -> None:
    entries = [refusal(n, "Good day.", ADVERT, *["hi"] * n, new=1) for n in range(5)]
    found = stored(db, *entries)
    assert {incident for incident, _ in found.values()} == {0}
    assert {mark for _, mark in found.values()} == {entries[0].refusals[0].fingerprint}


def test_an_acceptance_in_between_begins_another_one(db: Path) -> None:
    assert incidents(db, refusal(0, ADVERT), refusal(5, ADVERT, "hi", accepted_at=at(3))) == {0: 0, 5: 5}


def test_a_sub_agent_and_a_compaction_of_the_session_belong_to_it(db: Path) -> None:
    more = [
        refusal(1, ADVERT, "Summarise.", role="compaction"),
        refusal(2, ADVERT, "x", agent_id="a", accepted_at=None),
    ]
    assert incidents(db, refusal(0, ADVERT), *more) == {0: 0, 1: 0, 2: 0}


def test_the_same_content_in_another_session_within_a_day_belongs_to_it(db: Path) -> None:
    entries = [
        refusal(0, ADVERT),
        refusal(1, ADVERT, session_id="other"),
        refusal(2, ADVERT, session_id=None),
        refusal(3, ADVERT, session_id="late", at=at(1, day=25)),
        refusal(4, "Something else, long enough to be known. " * 9, session_id="another"),
    ]
    assert incidents(db, *entries) == {0: 0, 1: 0, 2: 0, 3: 3, 4: 4}


def test_a_greeting_in_another_session_does_not(db: Path) -> None:
    assert incidents(db, refusal(0, "hi"), refusal(1, "hi", session_id="other")) == {0: 0, 1: 1}


def test_where_it_is_not_known_what_was_new_the_same_words_of_a_session_belong_together(db: Path) -> None:
    unknown = [refusal(n, said, new=None) for n, said in enumerate(["hi", "hi", "well"])]
    assert incidents(db, *unknown) == {0: 0, 1: 0, 2: 2}


def test_the_newest_incident_is_looked_at_first(db: Path) -> None:
    entries = [refusal(0, ADVERT), refusal(1, ADVERT), refusal(2, "hi", ADVERT)]
    entries[1].refusals[0].accepted_at = "2026-11-24T10:00:30.000Z"
    entries[2].refusals[0].accepted_at = "2026-11-24T10:00:30.000Z"
    assert incidents(db, *entries) == {0: 0, 1: 1, 2: 1}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_in_whichever_order_they_arrive_the_first_of_the_session_opens_it(db: Path, order: tuple[int, ...]) -> None:
    entries = [refusal(n, ADVERT, *["hi"] * n) for n in range(3)]
    found = stored(db, *(entries[n] for n in order))
    assert {n: incident for n, (incident, _) in found.items()} == {0: 0, 1: 0, 2: 0}
    assert len({mark for _, mark in found.values()}) == 1


def test_one_that_arrives_late_and_is_no_part_of_it_leaves_the_others_as_they_were(db: Path) -> None:
    assert incidents(db, refusal(2, ADVERT), refusal(3, ADVERT, "hi"), refusal(1, "Else.")) == {1: 1, 2: 2, 3: 2}


def test_members_of_other_sessions_come_along_where_an_earlier_one_takes_it_over(db: Path) -> None:
    entries = [refusal(5, ADVERT), refusal(6, ADVERT, session_id="other"), refusal(1, ADVERT)]
    assert incidents(db, *entries, refusal(7, ADVERT, "hi", session_id="other")) == {1: 1, 5: 1, 6: 1, 7: 1}


def test_a_session_goes_on_with_the_incident_of_another_one_that_it_had_joined(db: Path) -> None:
    joined = refusal(5, ADVERT, session_id="other", accepted_at=at(3))
    later = refusal(6, ADVERT, "hi", session_id="other", accepted_at=at(3))
    accepted_since = refusal(9, ADVERT, "hi", "well", session_id="other", accepted_at=at(8))
    assert incidents(db, refusal(0, ADVERT), joined, later, accepted_since) == {0: 0, 5: 0, 6: 0, 9: 9}


def test_a_request_that_holds_what_was_judged_correct_is_known(db: Path) -> None:
    stored(db, refusal(0, ADVERT), refusal(1, "hi", session_id="t"))
    held = marks_of(refusal(2, ADVERT, "and more").segments)
    hi = marks_of(refusal(2, "hi").segments)
    with Store.open(db) as store:
        assert not store.holds_judged("s", held)
        store.db.execute("update refusals set verdict = 'correct'")
        assert store.holds_judged("s", held)
        assert store.holds_judged("elsewhere", held)
        assert not store.holds_judged("s", hi)
        assert store.holds_judged("t", hi)
        assert not store.holds_judged("t", frozenset())


def test_a_session_that_arrives_newest_first_is_put_in_order_at_once(db: Path) -> None:
    entries = [refusal(n, ADVERT, *["hi"] * n) for n in range(59, -1, -1)]
    with Store.open(db) as store:
        assert store.apply(entries) == 0
        assert {one.incident_id for one in store.refusals()} == {name(0)}


def test_an_odd_row_keeps_nobody_from_being_stored(db: Path) -> None:
    with Store.open(db) as store:
        store.apply([refusal(5, ADVERT)])
        store.db.execute("update refusals set tags = 'no json', headers = '['")
        assert store.apply([refusal(1, ADVERT)]) == 0
        assert store.rows("select incident_id from refusals where id = ?", [name(5)]) == [{"incident_id": name(1)}]


def test_an_incident_goes_on_when_its_first_refusal_is_too_old(db: Path) -> None:
    old = refusal(0, ADVERT, at=at(0, day=10), accepted_at=None)
    entries = [old, *(refusal(n, ADVERT, *["hi"] * n, accepted_at=None) for n in (1, 2))]
    assert incidents(db, *entries) == {0: 0, 1: 0, 2: 0}
    with Store.open(db) as store:
        assert expire(store, at(0, day=12)) == 1
    assert incidents(db, refusal(3, ADVERT, "hi", "hi", "hi", accepted_at=None)) == {1: 1, 2: 1, 3: 1}
    with Store.open(db) as store:
        assert expire(store, at(0, day=25)) == 3


def test_a_damaged_map_and_a_strange_time_keep_nobody_from_being_stored(db: Path) -> None:
    with Store.open(db) as store:
        store.apply([refusal(5, ADVERT)])
        store.db.execute("update chunks set items = x'00'")
        store.apply([refusal(1, ADVERT)])
    assert incidents(db, refusal(7, ADVERT, at="soon", session_id="z")) == {1: 1, 5: 1, 7: 7}


def test_another_mechanism_is_another_incident(db: Path) -> None:
    assert incidents(db, refusal(0, ADVERT), refusal(1, ADVERT, kind=Kind.OUTPUT_FILTER)) == {0: 0, 1: 1}


def test_other_refusals_of_one_entry_have_no_map_and_are_placed_too(db: Path) -> None:
    entry = refusal(1, ADVERT)
    entry.refusals.append(refusal(2, "x", session_id=None).refusals[0])
    assert incidents(db, entry) == {1: 1, 2: 2}


def test_the_words_of_an_incident_that_was_judged_correct_are_judged_correct(db: Path) -> None:
    entries = [refusal(0, ADVERT), refusal(1, ADVERT, "hi")]
    stored(db, *entries)
    with Store.open(db) as store:
        assert not store.judged_correct(entries[1].refusals[0].asked or "")
        store.db.execute("update refusals set verdict = 'correct' where id = ?", [name(0)])
        assert store.judged_correct(entries[1].refusals[0].asked or "")
        assert not store.judged_correct("b2:other")


def test_a_segment_is_read_back_with_what_was_new(db: Path) -> None:
    entry = refusal(0, "Good day.", ADVERT, new=1)
    stored(db, entry)
    with Store.open(db) as store:
        found: list[Segment] = store.segments(name(0))
        assert [one.new for one in found] == [False, True]
        assert store.incident(name(0)) == store.refusals()
