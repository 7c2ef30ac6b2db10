import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from entries import entry, key, name, refusal
from proxy import chunks
from proxy.core.context import split
from proxy.database import files
from proxy.packed import pack
from proxy.store import Store, StoreError
from proxy.tables import REFUSALS
from proxy.upkeep import expire, vacuum, verify
from schemas.migrations import migrations
from schemas.records import Entry, Segment


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "demur.db") as store:
        yield store


def segment(path: str = "messages[0]", content: bytes = b"x", **fields: Any) -> Segment:
    given: dict[str, Any] = {"n": 0, "label": "user_text", "bytes": 1, "tokens_est": 1, "hash": key(content)}
    return Segment(path=path, **(given | {"content": key(content)} | fields))


def numbered(segments: list[Segment]) -> list[Segment]:
    return [msgspec.structs.replace(each, n=n) for n, each in enumerate(segments)]


def again(segments: list[Segment], skeleton: list[bytes | str]) -> chunks.Request:
    zstd = zstandard.ZstdCompressor()
    blobs = [zstd.compress(chunks.pack(items)[1]) for items in chunks.cut(segments, skeleton)]
    return chunks.read(blobs, chunks.news(segments))


keys = st.one_of(st.sampled_from([key(b"a"), key(b"b"), "plain", "b2:" + "A" * 32]), st.text(max_size=3))
segments = st.lists(
    st.builds(
        Segment, n=st.just(0), label=st.text(max_size=3), path=st.sampled_from(["messages[0]", "system", "", "tools[1]"]),
        tool=st.none() | st.text(max_size=3), media=st.none() | st.text(max_size=3), target=st.none() | st.text(max_size=3),
        pages=st.none() | st.integers(0, 9), bytes=st.integers(0, 1 << 40), tokens_est=st.integers(0, 1 << 40),
        hash=keys, content=keys, new=st.none() | st.booleans(),
    ),
    max_size=80,
)  # fmt: skip


@given(segments, st.lists(st.one_of(st.binary(max_size=3), keys), max_size=80))
def test_whatever_is_cut_comes_together_again(found: list[Segment], skeleton: list[bytes | str]) -> None:
    found = numbered(found)
    request = again(found, skeleton)
    assert request.segments == found
    assert request.skeleton == skeleton


@given(segments)
def test_a_map_and_its_own_skeleton_come_together_again(found: list[Segment]) -> None:
    found = numbered(found)
    skeleton: list[bytes | str] = [part for each in found for part in (b",", each.content)]
    assert again(found, [*skeleton, b"]"]) == chunks.Request(found, [*skeleton, b"]"])


def test_every_field_of_a_segment_is_in_a_chunk() -> None:
    assert {*chunks.FIELDS, "n", "new"} == set(Segment.__struct_fields__)


def test_a_chunk_ends_where_another_part_of_the_body_begins_and_after_32_segments() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": str(n)} for n in range(70)],
        "system": [{"type": "text", "text": "s"}],
        "tools": [{"name": str(n)} for n in range(3)],
        "stream": True,
    }
    parts = split(json.dumps(body).encode(), None)
    cut = chunks.cut(parts.segments, parts.skeleton or [])
    assert [sum(isinstance(item, list) for item in items) for items in cut] == [32, 32, 6, 1, 3]
    assert [items[0] for items in cut[3:]] == [b'}], "system": [', b'], "tools": [']
    assert cut[-1][-1] == b'], "stream": true}'


def test_a_history_that_has_grown_adds_its_last_chunk(store: Store) -> None:
    turns = [b'"%d"' % n for n in range(100)]
    store.apply([entry(1, *turns[:70]), entry(2, *turns[:90]), entry(3, *turns)])
    shared = store.rows("select chunk_id, count(*) as n from maps group by chunk_id order by min(n), chunk_id")
    assert [row["n"] for row in shared] == [3, 3, 1, 1, 1, 1]
    for n, length in ((1, 70), (2, 90), (3, 100)):
        assert store.segments(name(n)) == entry(n, *turns[:length]).segments
        assert store.body(name(n)) == b'{"messages":[' + b"".join(turn + b"," for turn in turns[:length]) + b"]}"


@pytest.mark.parametrize(
    "new",
    [[None] * 9, [True] * 9, [False] * 3, [False, True, True] * 5, [None, True, False] * 4, [None] * 40 + [False]],
)
def test_what_was_new_stands_beside_the_chunks(new: list[bool | None], store: Store) -> None:
    several = [entry(1, *map(bytes, range(len(new)))), entry(2, *map(bytes, range(len(new))))]
    for each, was_new in zip(several[0].segments, new, strict=True):
        each.new = was_new
    store.apply(several)
    assert [each.new for each in store.segments(name(1))] == new
    assert [each.new for each in store.segments(name(2))] == [None] * len(new)
    assert store.rows("select count(distinct refusal_id) as n from maps group by chunk_id") == [{"n": 2}] * (
        len(new) // 32 + 1
    )


def test_a_map_without_a_text_is_kept_and_shares_nothing_that_is_read(store: Store) -> None:
    bare = entry(1, b"a", b"b")
    bare.contents, bare.skeleton = {}, None
    store.apply([bare, entry(2, b"a", b"b", at="2026-01-01T00:00:00.000Z")])
    late = msgspec.structs.replace(entry(3, b"a", b"b", b"c"), contents={}, skeleton=None)
    store.apply([late])
    assert store.segments(name(1)) == bare.segments
    assert store.segments(name(3)) == late.segments
    assert store.texts(name(3)) == {}
    assert store.skeleton(name(1)) is None
    assert store.texts(name(1)) == {}
    assert store.texts(name(2)) == {key(b"a"): b"a", key(b"b"): b"b"}
    expire(store, "2026-06-01")
    assert store.rows("select key from segments") == []
    assert all(finding.ok for finding in verify(store))


def test_a_text_that_came_after_its_map_goes_when_nobody_refers_to_it_and_not_before(store: Store) -> None:
    bare, other, late = entry(1, b"a"), entry(2, b"a", b"b", at="2026-01-01T00:00:00.000Z"), entry(3, b"a")
    bare.contents, bare.skeleton, late.skeleton = {}, None, None
    store.apply([bare, other, late])
    expire(store, "2026-06-01")
    assert store.texts(name(3)) == {key(b"a"): b"a"}
    assert vacuum(store) == 0
    store.db.execute("delete from refusals")
    assert vacuum(store) == 1
    for table in ("chunks", "chunk_segments", "maps", "requests", "segments"):
        assert store.db.table(table).count == 0


def test_a_request_that_cannot_be_stored_leaves_nothing_of_it(store: Store) -> None:
    bad = [pack(entry(n, b"a", b"b")) for n in range(4)]
    bad[0].skeleton = b"no zstd"
    bad[1].skeleton = zstandard.compress(b"\xc1")
    bad[2].contents[key(b"b")] = b"no zstd"
    bad[3].segments[1].path = None  # type: ignore[assignment]
    assert store.apply([*bad, entry(5, b"c")]) == 4
    assert [one.id for one in store.refusals()] == [name(5)]
    assert store.rows("select key from segments") == [{"key": key(b"c")}]
    assert store.db.table("chunks").count == 1


@pytest.mark.parametrize("items", [b"\xc1", msgspec.msgpack.encode([[True, "x"]]), msgspec.msgpack.encode(["x"])])
def test_a_chunk_that_is_none_is_told_when_it_is_read(items: bytes, store: Store) -> None:
    store.apply([entry(1, b"a")])
    store.db.execute("update chunks set items = ?", [zstandard.compress(items)])
    with pytest.raises(StoreError, match="is damaged .*: `demur db verify` tells more"):
        store.segments(name(1))
    assert [finding.name for finding in verify(store) if not finding.ok] == ["requests"]


def test_a_text_that_is_missing_is_told_when_the_request_is_asked_for(store: Store) -> None:
    store.apply([entry(1, b"a", b"b")])
    store.db.execute("delete from segments where key = ?", [key(b"b")])
    with pytest.raises(StoreError, match=f"the text of segment {key(b'b')} is not stored"):
        store.body(name(1))


# What was there before


def older(path: Path, *given: Entry, with_new: bool = True) -> None:
    """A database as it was before chunks."""
    path.parent.mkdir(exist_ok=True)
    with Database(path) as old:
        migrations.apply(old, stop_before="m007_chunks")
        for packed in map(pack, given):
            refusal_id = packed.refusals[0].id
            table = old.table("refusals")
            row = REFUSALS.row(packed.refusals[0])
            table.insert({column: row[column] for column in table.columns_dict if column in row})
            for each in packed.segments:
                old.table("refusal_segments").insert({"refusal_id": refusal_id} | msgspec.structs.asdict(each))
            for content, blob in packed.contents.items():
                size = zstandard.frame_content_size(blob)
                old.execute("insert or ignore into segments values (?, ?, ?)", [content, blob, size])
            if packed.skeleton is not None:
                old.table("bodies").insert({"refusal_id": refusal_id, "skeleton": packed.skeleton})


def test_what_was_stored_before_chunks_is_stored_in_chunks(tmp_path: Path) -> None:
    turns = [b'"%d"' % n for n in range(100)]
    marked = entry(2, *turns)
    for each in marked.segments:
        each.new = each.n > 90
    some, textless, loose = entry(3, *turns[:5]), entry(4, *turns[:7]), entry(5, b"only its skeleton has it")
    some.segments[2].new, some.segments[4].new = True, False
    some.segments[1].target, some.segments[1].pages, some.segments[1].hash = "/a", 3, key(b"other")
    textless.contents, textless.skeleton = {}, None
    loose.segments = []
    empty = Entry(refusals=[refusal(6)], skeleton=[])
    kept = [entry(1, *turns[:70]), marked, some, textless, loose, empty, Entry(refusals=[refusal(7)])]
    older(tmp_path / "old.db", *kept)
    with Store.open(tmp_path / "old.db") as store, Store.open(tmp_path / "new.db") as new:
        new.apply(kept)
        assert store.losses() == []
        assert all(finding.ok for finding in verify(store))
        for was in kept:
            refusal_id = was.refusals[0].id
            assert store.segments(refusal_id) == was.segments
            assert store.skeleton(refusal_id) == was.skeleton
            held = entry(4, *turns[:7]) if was is textless else was  # another's text, which it held then, too
            assert store.texts(refusal_id) == held.contents
        for table in ("chunks", "requests"):
            what = "key" if table == "chunks" else "refusal_id, whole, new"
            sql = f"select {what} from {table} order by 1"
            assert store.rows(sql) == new.rows(sql)
        names = store.db.table_names()
        assert "bodies" not in names
        assert "refusal_segments" not in names


def test_what_is_damaged_keeps_nothing_else_from_being_converted(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    older(path, *(entry(n, b"a%d" % n, b"b") for n in range(1, 6)))
    with sqlite3.connect(path) as old:
        old.execute("update bodies set skeleton = x'00' where refusal_id = ?", [name(1)])
        old.execute("update bodies set skeleton = ? where refusal_id = ?", [zstandard.compress(b"\xc1"), name(2)])
        no_skeleton = zstandard.compress(msgspec.msgpack.encode([7]))
        old.execute("update bodies set skeleton = ? where refusal_id = ?", [no_skeleton, name(3)])
        old.execute("update refusal_segments set path = cast(x'ff' as text) where refusal_id = ? and n = 1", [name(4)])
        old.execute("delete from refusals where id = ?", [name(5)])  # as one would without foreign keys
    old.close()
    with Store.open(path) as store:
        assert [(loss.n, loss.what) for loss in store.losses()] == [(4, "damaged before they were converted")]
        for n in (1, 2, 3):
            assert store.segments(name(n)) == entry(n, b"a%d" % n, b"b").segments
            assert store.skeleton(name(n)) is None
        assert store.segments(name(4)) == []
        assert store.body(name(4)) == b'{"messages":[a4,b,]}'
        assert len(store.refusals()) == 4
        assert [finding.name for finding in verify(store) if not finding.ok] == ["unused"]
        assert vacuum(store) == 1


# How it grows


WORDS = [bytes(random.Random(n).choices(b"etaoinshrdlucmfwyp", k=2 + n % 9)).decode() for n in range(4000)]


def growing(turns: int, size: int) -> Iterator[bytes]:
    """The requests of one session as Claude Code sends them, up to a length in bytes: texts of 0.5 to 20 kB, calls and their results."""
    chance = random.Random(4)

    def text(least: int, most: int) -> str:
        length = int(least * (most / least) ** chance.random())
        said = ""
        while len(said) < length:
            said += " ".join(chance.choices(WORDS, weights=range(len(WORDS), 0, -1), k=12)) + ".\n"
        return said

    rules = {"type": "text", "text": text(9_000, 9_001), "cache_control": {"type": "ephemeral"}}
    tools = [{"name": f"T{n}", "description": text(900, 4000), "input_schema": {"type": "object"}} for n in range(18)]
    messages: list[dict[str, Any]] = []
    said = 0
    for turn in range(turns):
        while said < (size - 70_000) * (turn + 1) / turns or len(messages) < 1 + 2 * (turn * 3 // 4):
            n = len(messages)
            call = {"type": "tool_use", "id": f"toolu_{n:024}", "name": "Read", "input": {"file_path": f"/src/{n}.py"}}
            if n % 2:
                blocks = [{"type": "text", "text": text(200, 500)}, call]
            else:
                result = {"type": "tool_result", "tool_use_id": f"toolu_{n - 1:024}", "content": text(500, 20_000)}
                blocks = [result] if n else [{"type": "text", "text": text(500, 3000)}]
            messages.append({"role": "assistant" if n % 2 else "user", "content": blocks})
            said += len(json.dumps(blocks))
        marked = {**messages[-1]["content"][-1], "cache_control": {"type": "ephemeral"}}
        last = {**messages[-1], "content": [*messages[-1]["content"][:-1], marked]}
        billing = f"x-anthropic-billing-header: cc_version=2.1.197.abc; cc_entrypoint=cli; cch={chance.randrange(1 << 20):05x};"
        system = [{"type": "text", "text": billing}, rules]
        body = {"model": "claude-opus-5", "messages": [*messages[:-1], last], "system": system, "tools": tools}
        yield json.dumps(body | {"metadata": {"user_id": "u"}, "max_tokens": 32_000, "stream": True}).encode()


def test_200_refusals_of_a_session_that_grows_to_a_megabyte_cost_less_than_4(store: Store) -> None:
    bodies = list(growing(200, 1_000_000))
    assert 950_000 < len(bodies[-1]) < 1_100_000
    for n, body in enumerate(bodies):
        parts = split(body, None)
        given = Entry(refusals=[refusal(n)], segments=parts.segments, contents=parts.contents, skeleton=parts.skeleton)
        assert store.apply([given]) == 0
    store.db.execute("pragma wal_checkpoint(truncate)")
    taken = sum(file.stat().st_size for file in files(store.path))
    print(f"{taken / 1e6:.2f} MB for {sum(map(len, bodies)) / 1e6:.0f} MB")
    assert taken < 4_000_000
    assert [store.body(name(n)) == bodies[n] for n in (0, 99, 199)] == [True] * 3
    assert all(finding.ok for finding in verify(store))


def test_a_request_of_literals_alone_and_one_of_which_nothing_can_be_read_are_converted_too(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    literal, nothing = Entry(refusals=[refusal(1)], skeleton=[b"{}"]), Entry(refusals=[refusal(2)], skeleton=[b"{}"])
    exactly = entry(3, *(b'"%d"' % n for n in range(32)))
    older(path, literal, nothing, exactly)
    with sqlite3.connect(path) as old:
        old.execute("update bodies set skeleton = x'00' where refusal_id = ?", [name(2)])
    old.close()
    with Store.open(path) as store:
        assert store.body(name(1)) == b"{}"
        assert store.skeleton(name(2)) is None
        assert store.skeleton(name(3)) == exactly.skeleton
        assert [loss.n for loss in store.losses()] == [1]
