"""The index: what it finds, that it keeps up, and that nothing which was removed is left in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entries import entry, key, name
from proxy import search
from proxy.core.query import parse
from proxy.database import files
from proxy.search import Match, Wanted, find, index, matches
from proxy.store import Store, StoreError
from proxy.upkeep import expire, vacuum, verify
from schemas.labels import Kind, Verdict
from schemas.records import Entry

OLD = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "demur.db") as store:
        yield store


def said(n: int, *texts: str, **fields: Any) -> Entry:
    return entry(n, *(json.dumps({"type": "text", "text": text}).encode() for text in texts), **fields)


def note(store: Store, n: int, text: str | None) -> None:
    row = {"refusal_id": name(n), "at": OLD, "author": "me", "verdict": "unsure", "note": text, "tags": "[]"}
    store.db.table("judgements").insert(row)


def ids(store: Store, asked: str, **wanted: Any) -> list[int]:
    return [int(one[4:]) for one in find(store, parse(asked), Wanted(**wanted)).ids]


def raw(store: Store) -> bytes:
    store.db.execute("pragma wal_checkpoint(truncate)")
    return b"".join(file.read_bytes() for file in files(store.path))


def indexed(store: Store) -> int:
    return int(store.rows("select count(*) as n from indexed")[0]["n"])


@pytest.mark.parametrize("with_index", [True, False])
def test_what_was_said_is_found_newest_first_with_an_index_and_without(with_index: bool, store: Store) -> None:
    store.apply([said(1, "yeast", "salt"), said(2, "salt"), said(3, "Отказ"), said(4, "研究室"), said(5, "거부는")])
    if with_index:
        index(store)
        store.db.execute("update segments set zstd = x'00'")
    assert ids(store, "salt") == [2, 1]
    assert ids(store, "yeast salt") == []
    assert ids(store, "yeast OR salt") == [2, 1]
    assert ids(store, "salt NOT yeast") == [2, 1]
    assert ids(store, "отказ") == [3]
    assert ids(store, "究") == [4]
    assert ids(store, "거부") == [5]


def test_explanations_and_notes_are_searched_as_they_are_now(store: Store) -> None:
    store.apply([said(1, "x", explanation="It may be Harmful."), said(2, "y"), entry(3)])
    note(store, 2, "harmful? not at all")
    note(store, 2, None)
    index(store)
    assert ids(store, "harmful") == [2, 1]
    store.db.execute("update judgements set note = 'mistaken'")
    assert ids(store, "harmful") == [1]
    assert ids(store, "mistaken") == [2]
    assert not store.rows("select 1 from search where search match 'harmful'")


def test_where_it_was_found_is_told_what_is_new_and_late_first(store: Store) -> None:
    given = said(1, "salt", "pepper", "salt and sugar", "more salt", explanation="Salt.")
    for segment in given.segments:
        segment.new = segment.n == 2
    given.segments[2].tool, given.segments[2].target, given.segments[2].label = "Read", "/a", "tool_result"
    store.apply([given])
    note(store, 1, "salt")
    index(store)
    found = find(store, parse("salt"), Wanted())
    every = matches(store, store.find("last"), found)
    assert [(match.where, match.n) for match in every] == [
        ("segment", 2), ("segment", 3), ("segment", 0), ("explanation", None), ("note", None),
    ]  # fmt: skip
    assert every[0] == Match(
        where="segment", n=2, label="tool_result", tool="Read", target="/a", path="messages[2]", new=True,
        content=given.segments[2].content,
    )  # fmt: skip
    assert every[-1].at == OLD
    assert matches(store, store.find("last"), find(store, parse("nothing"), Wanted())) == []


def test_only_what_is_asked_for_is_searched(store: Store) -> None:
    store.apply([
        said(1, "salt", model="a", category="cyber"),
        said(2, "salt", model="b", category=None, verdict=Verdict.CORRECT),
        said(3, "salt", kind=Kind.POLICY_ERROR),
    ])  # fmt: skip
    index(store)
    assert ids(store, "salt", model="a") == [1]
    assert ids(store, "salt", category="cyber") == [1]
    assert ids(store, "salt", category="none") == [3, 2]
    assert ids(store, "salt", kind="policy_error") == [3]
    assert ids(store, "salt", verdict="correct") == [2]
    assert ids(store, "salt", unjudged=True) == [3, 1]
    assert ids(store, "salt", since="2099-11-23T14:00:02") == [3, 2]


def test_how_much_was_searched_is_counted(store: Store) -> None:
    bare = said(1, "salt")
    bare.contents, bare.skeleton = {}, None
    store.apply([bare, said(2, "pepper"), entry(3)])
    index(store)
    found = find(store, parse("salt"), Wanted())
    assert (found.searched, found.textless, found.ids) == (3, 2, [])
    assert find(store, parse("salt"), Wanted(model="a")).searched == 0


def test_only_what_is_not_indexed_yet_is_indexed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BATCH", 100)
    told: list[tuple[int, int]] = []
    store.apply([said(1, *(f"word{n}" + "x" * 40 for n in range(6)))])
    index(store, lambda done, of: told.append((done, of)))
    assert len(told) == 3
    assert told[-1] == (told[-1][1],) * 2
    assert indexed(store) == 6
    index(store, lambda done, of: told.append((done, of)))
    assert len(told) == 3
    store.apply([said(2, "word7", "pepper")])
    assert ids(store, "word7") == [2]
    assert indexed(store) == 6
    index(store)
    assert indexed(store) == 8
    assert ids(store, "word7") == [2]
    assert len(store.rows("select rowid from search where search match 'word7'")) == 1


def test_two_that_index_at_once_index_each_segment_once(store: Store) -> None:
    store.apply([said(1, "salt", "pepper")])
    with Store.open(store.path) as other:
        pending = search._batches([(row["id"], row["size"]) for row in store.rows(search._UNINDEXED)])
        index(other)
        with store.transaction() as connection:
            for batch in pending:
                for segment_id, _ in batch:
                    search._put_in(connection, segment_id)
    assert len(store.rows("select rowid from search where search match 'salt'")) == 1


def test_a_segment_that_cannot_be_read_keeps_no_other_from_being_found(store: Store) -> None:
    store.apply([said(1, "salt"), said(2, "pepper")])
    store.db.execute("update segments set zstd = x'00' where key = ?", [said(1, "salt").segments[0].content])
    assert ids(store, "pepper") == [2]
    index(store)
    assert ids(store, "pepper OR salt") == [2]
    store.db.execute("delete from refusals")
    assert vacuum(store) == 2
    assert indexed(store) == 0


@pytest.mark.parametrize("remove", ["expire", "vacuum"])
@pytest.mark.parametrize("others", [0, 40])
def test_what_was_removed_stands_nowhere_in_the_file(remove: str, others: int, store: Store) -> None:
    planted = ["plantedsecretword", "отказник", "機密文書です"]
    store.apply([said(1, *(f"{word} and more" for word in planted), "shared", at=OLD)])
    store.apply([said(n + 2, f"other{n} words", "shared") for n in range(others)])
    index(store)
    assert all(ids(store, word) == [1] for word in planted)
    assert b"plantedsecretword" in raw(store)
    if remove == "expire":
        assert expire(store, "2026-06-01") == 1
    else:
        store.db.execute("delete from refusals where id = ?", [name(1)])
        assert vacuum(store) == 3 + (not others)
    left = raw(store)
    for word in ("plantedsecretword", "lantedsecret", "отказник", "機密", "文書"):
        assert word.encode() not in left
    assert ids(store, "plantedsecretword") == []
    assert indexed(store) == (others + 1 if others else 0)
    assert ids(store, "shared") == [n + 2 for n in reversed(range(others))]
    assert ids(store, "other7") == ([9] if others else [])
    store.rows("select count(*) from indexed")
    store.db.execute("insert into search (search) values ('integrity-check')")
    assert all(finding.ok for finding in verify(store))


def test_where_a_text_cannot_be_had_any_more_the_index_goes_and_is_made_anew(store: Store) -> None:
    store.apply([said(1, "plantedsecretword", at=OLD), *(said(n, f"word{n}") for n in range(2, 9))])
    index(store)
    store.db.execute("update segments set zstd = (select zstd from segments where id = 2) where id = 1")
    expire(store, "2026-06-01")
    assert b"plantedsecretword" not in raw(store)
    assert indexed(store) == 0
    assert ids(store, "word5") == [5]
    index(store)
    assert indexed(store) == 7
    assert ids(store, "word5") == [5]


def test_what_others_removed_without_the_index_is_told_and_goes_with_the_next_clean_up(store: Store) -> None:
    store.apply([said(1, "plantedsecretword"), *(said(n, f"word{n}") for n in range(2, 9))])
    index(store)
    store.db.execute("delete from refusals where id = ?", [name(1)])
    store.db.execute("delete from segments where key = ?", [said(1, "plantedsecretword").segments[0].content])
    assert b"plantedsecretword" in raw(store)
    assert [finding.name for finding in verify(store) if not finding.ok] == ["search"]
    vacuum(store)
    assert b"plantedsecretword" not in raw(store)
    assert all(finding.ok for finding in verify(store))


def test_upkeep_needs_no_index(store: Store) -> None:
    store.apply([said(1, "salt", at=OLD)])
    assert expire(store, "2026-06-01") == 1
    assert vacuum(store) == 0
    assert "search" not in store.db.table_names()


def test_media_are_not_indexed(store: Store) -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "plantedsecretword"}}
    store.apply([entry(1, json.dumps(picture).encode())])
    index(store)
    assert ids(store, "plantedsecretword") == []
    assert ids(store, "png") == [1]


def test_a_file_that_cannot_be_written_is_searched_all_the_same(store: Store) -> None:
    store.apply([said(1, "salt")])
    index(store)
    store.apply([said(2, "salt too")])
    with Store.open(store.path, readonly=True) as reader:
        with pytest.raises(StoreError, match="cannot be written"):
            index(reader)
        assert ids(reader, "salt") == [2, 1]


@pytest.mark.parametrize("between", [" ", " OR ", " OR x NOT "])
def test_a_query_may_be_long(between: str, store: Store) -> None:
    store.apply([said(1, "salt")])
    index(store)
    assert ids(store, between.join(["salt"] * 2000)) == [1]


def test_a_key_is_not_found_as_a_text(store: Store) -> None:
    store.apply([said(1, "salt")])
    assert ids(store, key(b"x")) == []
