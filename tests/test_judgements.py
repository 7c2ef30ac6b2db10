"""What persons say of refusals: all of it is kept, and the last ones say what the refusal is called."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from commands import keep
from entries import entry, name, python
from proxy.judgements import (
    Said,
    agreement,
    history,
    judge,
    judge_all,
    judge_made,
    standing,
    undo,
    unjudged,
    upon,
    verdicts,
)
from proxy.store import Store, StoreError
from proxy.upkeep import expire
from schemas.labels import Verdict
from schemas.records import Judgement

AT = "2099-11-23T15:00:00.000Z"
FALSE, RIGHT, UNSURE, UNKNOWN = Verdict.FALSE_POSITIVE, Verdict.CORRECT, Verdict.UNSURE, Verdict.UNKNOWN


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "demur.db", timeout=0.1) as store:
        store.apply([entry(n, f'"{n}"'.encode(), b'"the same"') for n in range(6)])
        yield store


def judgement(n: int = 1, author: str = "ann", verdict: Verdict = FALSE, **fields: Any) -> Judgement:
    return Judgement(**({"refusal_id": name(n), "at": AT, "author": author, "verdict": verdict} | fields))


def called(store: Store, n: int = 1) -> tuple[Verdict, str | None, list[str]]:
    refusal = store.find(name(n))
    return refusal.verdict, refusal.domain, refusal.tags


def join(store: Store, *members: int) -> None:
    """Makes them one incident."""
    with store.transaction() as connection:
        for n in members:
            connection.execute("update refusals set incident_id = ? where id = ?", [name(members[0]), name(n)])


def test_a_judgement_is_kept_whole_and_its_refusal_alone_is_called_what_it_says(store: Store) -> None:
    given = judgement(domain="security", note="A CTF.\nMine.", tags=["ctf", "ノート"], segment=1)
    assert judge(store, given) == 1
    assert history(store, name(1)) == [given]
    assert called(store) == (FALSE, "security", ["ctf", "ノート"])
    assert called(store, 2) == (UNKNOWN, None, [])
    assert history(store, name(2)) == []


def test_the_last_of_one_author_counts_and_the_earlier_ones_stay(store: Store) -> None:
    said = [judgement(domain="security", tags=["a"]), judgement(verdict=RIGHT, at="2001-01-01T00:00:00.000Z")]
    for one in said:
        judge(store, one)
    assert called(store) == (RIGHT, None, [])
    assert history(store, name(1)) == said


def test_of_several_authors_the_newest_counts_on_each_thing_that_is_said(store: Store) -> None:
    judge(store, judgement(author="ann", domain="security", tags=["a"]))
    judge(store, judgement(author="bob", verdict=RIGHT))
    assert called(store) == (RIGHT, "security", ["a"])
    judge(store, judgement(author="ann", verdict=UNSURE, domain="data"))
    assert called(store) == (UNSURE, "data", [])


def test_a_note_without_a_verdict_leaves_the_verdict_to_the_others(store: Store) -> None:
    judge(store, judgement(author="ann"))
    judge(store, judgement(author="bob", verdict=UNKNOWN, note="I saw that."))
    assert called(store)[0] == FALSE
    judge(store, judgement(author="ann", verdict=UNKNOWN))
    assert called(store)[0] == UNKNOWN


def test_nothing_is_called_unknown() -> None:
    assert standing([]) == (UNKNOWN, None, ())


def test_what_is_taken_back_is_gone_and_what_was_said_before_counts_again(store: Store) -> None:
    ids = [judge(store, judgement(domain="data")), judge(store, judgement(author="bob", verdict=RIGHT, tags=["x"]))]
    assert called(store) == (RIGHT, "data", ["x"])
    undo(store, ids[1])
    assert called(store) == (FALSE, "data", [])
    undo(store, ids[0])
    assert called(store) == (UNKNOWN, None, [])
    assert history(store, name(1)) == []


def test_an_older_judgement_may_be_taken_back_and_the_newer_one_still_counts(store: Store) -> None:
    older, _ = judge_all(store, [judgement(), judgement(author="bob", verdict=RIGHT)])
    undo(store, older)
    assert called(store)[0] == RIGHT


def test_of_several_all_are_taken_back_or_none(store: Store) -> None:
    ids = judge_all(store, [judgement(1), judgement(2)])
    with pytest.raises(StoreError, match="there is no judgement 99"):
        undo(store, *ids, 99)
    assert [called(store, n)[0] for n in (1, 2)] == [FALSE, FALSE]
    undo(store, *ids)
    assert [called(store, n)[0] for n in (1, 2)] == [UNKNOWN, UNKNOWN]


def test_of_several_all_are_kept_or_none(store: Store) -> None:
    with pytest.raises(StoreError, match="is not stored any more"):
        judge_all(store, [judgement(1), judgement(2), judgement(99)])
    assert [called(store, n)[0] for n in (1, 2)] == [UNKNOWN, UNKNOWN]
    assert history(store, name(1)) == []


def test_a_locked_database_is_told_and_nothing_is_changed(store: Store) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(StoreError, match="locked by another process"):
            judge(store, judgement())
    assert called(store)[0] == UNKNOWN


def test_several_processes_that_judge_at_once_lose_nothing(store: Store) -> None:
    code = (
        "import sys\n"
        "from proxy.judgements import judge\n"
        "from proxy.store import Store\n"
        "from schemas.labels import Verdict\n"
        "from schemas.records import Judgement\n"
        "sys.stdin.readline()\n"
        "with Store.open(sys.argv[1], timeout=60) as store:\n"
        "    for n in range(50):\n"
        "        judge(store, Judgement(refusal_id=sys.argv[2], at=str(n), author=sys.argv[3], verdict=Verdict.UNSURE))\n"
    )
    writers = [python(code, store.path, name(1), author) for author in ("ann", "bob", "eve")]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        with writer:
            assert writer.wait() == 0
    said = history(store, name(1))
    for author in ("ann", "bob", "eve"):
        assert [one.at for one in said if one.author == author] == [str(n) for n in range(50)]
    assert called(store)[0] == UNSURE


def test_a_refusal_that_expires_takes_what_was_said_of_it_along(store: Store) -> None:
    judge(store, judgement())
    with store.transaction() as connection:
        connection.execute("delete from refusals where id = ?", [name(1)])
    assert history(store, name(1)) == []
    assert verdicts(store) == {}


def test_what_is_not_said_stays_as_the_same_person_left_it_but_for_the_note(store: Store) -> None:
    refusal = store.find(name(1))

    def say(author: str, **said: Any) -> Judgement:
        (made,) = upon(store, refusal, Said(**said), author=author, at=AT)
        judge(store, made)
        return made

    first = say("ann", verdict=RIGHT, domain="data", note="Hm.", tags=("a",), segment=1)
    assert first == judgement(verdict=RIGHT, domain="data", note="Hm.", tags=["a"], segment=1)
    assert say("ann", tags=("b", "a")) == judgement(verdict=RIGHT, domain="data", tags=["a", "b"], segment=1)
    assert say("bob", note="I?") == judgement(author="bob", verdict=UNKNOWN, note="I?")
    assert say("ann", domain="", tags=("", "c"), segment=0) == judgement(verdict=RIGHT, tags=["c"], segment=0)


def test_an_incident_is_judged_whole_where_that_is_asked_for_and_the_segment_found_by_its_content(
    store: Store,
) -> None:
    store.apply([entry(7, b'"more"', b'"0"', b'"the same"', traffic=0)])
    join(store, 0, 2, 7)
    refusal = store.find(name(0))
    said = Said(verdict=FALSE, segment=1)
    assert [one.refusal_id for one in upon(store, refusal, said, author="ann", at=AT)] == [name(0)]
    found = upon(store, refusal, said, author="ann", at=AT, incident=True)
    assert [(one.refusal_id, one.segment) for one in found] == [(name(0), 1), (name(2), 1), (name(7), 2)]
    found = upon(store, refusal, Said(segment=0), author="ann", at=AT, incident=True)
    assert [(one.refusal_id, one.segment) for one in found] == [(name(0), 0), (name(2), None), (name(7), 1)]
    assert len(upon(store, store.find(name(3)), said, author="ann", at=AT, incident=True)) == 1


def test_the_last_verdict_of_each_author_is_given_and_none_where_nothing_was_decided(store: Store) -> None:
    judge_all(store, [judgement(1), judgement(1, verdict=RIGHT), judgement(2, "bob"), judgement(3, "bob", UNKNOWN)])
    judge_all(store, [judgement(2, "ann"), judgement(2, "ann", UNKNOWN)])
    assert verdicts(store) == {"ann": {name(1): RIGHT}, "bob": {name(2): FALSE}}
    assert verdicts(store, since="2099-11-23T14:00:02") == {"bob": {name(2): FALSE}}
    assert verdicts(store, since="2100") == {}


def test_two_authors_agree_over_what_both_judged(store: Store) -> None:
    assert agreement(store) == []
    for n, (zoe, ann) in enumerate([(FALSE, FALSE), (RIGHT, RIGHT), (FALSE, RIGHT), (RIGHT, RIGHT)]):
        judge_all(store, [judgement(n, "zoe", zoe), judgement(n, "ann", ann)])
    judge(store, judgement(5, "eve"))
    ((one, other, found),) = agreement(store)
    assert (one, other) == ("ann", "zoe")
    assert (found.n, found.observed, found.expected, found.kappa) == (4, 0.75, 0.5, 0.5)
    ((_, _, later),) = agreement(store, since="2099-11-23T14:00:01")
    assert later.n == 3


def test_the_unjudged_are_the_first_of_each_incident_of_which_none_is_judged_newest_first(store: Store) -> None:
    join(store, 1, 3, 5)
    assert [one.id for one in unjudged(store)] == [name(n) for n in (4, 2, 1, 0)]
    judge(store, judgement(2))
    judge(store, judgement(0, verdict=UNKNOWN, note="Later."))
    assert [one.id for one in unjudged(store)] == [name(n) for n in (4, 1, 0)]
    judge(store, judgement(5))
    assert [one.id for one in unjudged(store)] == [name(n) for n in (4, 0)]
    with store.transaction() as connection:
        connection.execute("update refusals set incident_id = null")
    assert [one.id for one in unjudged(store)] == [name(n) for n in (4, 3, 1, 0)]


def test_the_unjudged_can_be_chosen_as_in_the_list(store: Store) -> None:
    store.apply([entry(8, model="claude-x", category="cyber", traffic=0)])
    assert [one.id for one in unjudged(store, model="claude-x")] == [name(8)]
    assert [one.id for one in unjudged(store, category="cyber")] == [name(8)]
    assert len(unjudged(store, category="none")) == 6
    assert [one.id for one in unjudged(store, since="2099-11-23T14:00:05")] == [name(8), name(5)]


def test_an_incident_that_went_on_since_is_to_be_judged_whenever_it_began(store: Store) -> None:
    join(store, 1, 3, 5)
    assert [one.id for one in unjudged(store, since="2099-11-23T14:00:05")] == [name(1)]
    assert unjudged(store, since="2099-11-23T14:00:06") == []


def test_a_second_opinion_is_asked_on_what_others_judged_and_this_author_did_not(store: Store) -> None:
    join(store, 1, 3)
    judge_all(store, [judgement(3, "ann"), judgement(2, "ann"), judgement(4, "bob"), judgement(4, "ann", UNKNOWN)])
    assert [one.id for one in unjudged(store, beside="bob")] == [name(3), name(2)]
    assert [one.id for one in unjudged(store, beside="ann")] == [name(4)]
    judge(store, judgement(3, "bob"))
    assert [one.id for one in unjudged(store, beside="bob")] == [name(2)]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "other" / "demur.db"


def test_what_two_processes_of_one_author_say_at_once_is_all_kept(db: Path) -> None:
    keep(db, entry(1))
    with Store.open(db) as one, Store.open(db) as other:
        refusal = one.find("last")

        def tagged() -> list[Judgement]:
            return upon(other, refusal, Said(tags=("ctf",)), author="me", at="2")

        judge_made(one, lambda: upon(one, refusal, Said(verdict=Verdict.CORRECT), author="me", at="1"))
        judge_made(other, tagged)
        found = one.find("last")
        assert (found.verdict, found.tags) == (Verdict.CORRECT, ["ctf"])


def test_the_id_of_what_is_gone_is_never_another_persons(db: Path) -> None:
    keep(db, entry(1, at="2001-01-01T00:00:00.000Z"), entry(2))
    with Store.open(db) as store:
        mine = judge(store, Judgement(refusal_id=name(1), at="1", author="me", verdict=Verdict.UNSURE))
        assert expire(store, "2020") == 1
        judge(store, Judgement(refusal_id=name(2), at="2", author="other", verdict=Verdict.CORRECT))
        with pytest.raises(StoreError, match="no judgement"):
            undo(store, mine)
        assert [one.author for one in history(store, name(2))] == ["other"]


def test_a_second_opinion_does_not_lift_that_somebody_judged_it_correct(db: Path) -> None:
    keep(db, entry(1, asked="a"), entry(2, asked=None, incident_id=None))
    with Store.open(db) as store:
        judge(store, Judgement(refusal_id=name(1), at="1", author="ann", verdict=Verdict.CORRECT))
        judge(store, Judgement(refusal_id=name(1), at="2", author="bob", verdict=Verdict.UNSURE))
        assert store.find(name(1)).verdict == Verdict.UNSURE
        assert store.judged_correct("a")
        assert store.judged_correct(None, name(1))
        assert not store.judged_correct(None, name(2))
        assert not store.judged_correct("b")
        judge(store, Judgement(refusal_id=name(1), at="3", author="ann", verdict=Verdict.FALSE_POSITIVE))
        assert not store.judged_correct("a")
