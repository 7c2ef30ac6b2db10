"""What another demur recorded: merged without loss."""

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from sqlite_utils import Database

import captured
from captured import Json, read, troubles
from commands import SECRET, declined, demur, keep, objects, request
from entries import HOUR, entry, name, refusal
from proxy import judgements, trials
from proxy.cli.importing import import_
from proxy.cli.words import as_json
from proxy.core.context import join
from proxy.core.redact import Redactor
from proxy.core.scrub import Scrubber
from proxy.database import APPLICATION_ID
from proxy.exporters import jsonl, levels
from proxy.exporters.cases import cases
from proxy.exporters.chosen import Chosen
from proxy.exporters.export import Export
from proxy.exporters.levels import Curtain, Level, record
from proxy.importers import recorded
from proxy.importers.captures import SOURCES
from proxy.importers.merged import Merged
from proxy.importers.own import OwnRecords
from proxy.importers.source import HEAD, Found, Origin
from proxy.reports import Report, mark, reported
from proxy.store import Store
from schemas.labels import Purpose, Result, Verdict
from schemas.migrations import migrations
from schemas.records import Annotation, Entry, Judgement, Located, Refusal, Rephrasing, Trial, Update

OWN = OwnRecords()
AT = "2026-11-24T10:00:00.000Z"
BODY = request(2)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A database in which a refusal has all that one can have, and another has little."""
    path = tmp_path / "theirs.db"
    first = declined(BODY)
    one = first.refusals[0].id
    witness = declined(BODY).refusals[0]
    witness.source = "transcript"
    annotation = Annotation(name="domain", value="security", confidence=0.5, evidence=["a word"])
    rephrasing = Rephrasing(n=1, strategy="trim", original="All of it.", sent="Some of it.")
    update = Update(refusal_id=one, rephrasings=[rephrasing])
    keep(
        path,
        first,
        Entry(refusals=[witness]),
        entry(2, traffic=0),
        Entry(annotations={one: [annotation]}, updates=[update]),
    )
    with Store.open(path) as store:
        for verdict in (Verdict.UNSURE, Verdict.FALSE_POSITIVE):
            note = f"It is a scan. {verdict}"
            judgements.judge(
                store, Judgement(refusal_id=one, at=AT, author="ann", verdict=verdict, note=note, segment=3)
            )
        trials.add_trial(
            store, Trial(refusal_id=one, at=AT, purpose=Purpose.REPLAY, model="m", outcome=Result.ANSWERED)
        )
        trials.add_located(store, Located(refusal_id=one, at=AT, model="m", settled=True, parts=["messages[0]"]))
        mark(store, [Report(refusal_id=one, at=AT, url="https://example.org/issues/1", shape="github")])
    return path


def of_database(path: Path, **origin: Any) -> list[Found]:
    with path.open("rb") as file:
        return list(OWN.read(file, Origin(str(path), origin.pop("redactor", Redactor()), **origin)))


def exported(path: Path, level: Level) -> bytes:
    with Store.open(path, readonly=True) as store:
        names = [row["id"] for row in store.rows("select id from refusals order by at, id")]
        return captured.lines([record(one, level, Curtain(Scrubber())) for one in cases(store, names, level)])


def merged(found: list[Found]) -> list[Merged]:
    return [one for one in found if isinstance(one, Merged) and one.refusals]


def plain(one: Merged) -> Json:
    """Without what another machine decides for itself."""
    value: Json = msgspec.to_builtins(one, builtin_types=(bytes,))
    return value | {"traffic": []}


def test_a_database_and_its_full_export_say_the_same_and_all_of_it(db: Path) -> None:
    from_database, from_export = (
        merged(of_database(db)),
        merged(read(OWN, exported(db, Level.FULL))),
    )
    assert list(map(plain, from_database)) == list(map(plain, from_export))
    full, little = from_database
    with Store.open(db, readonly=True) as store:
        stored = store.refusals(limit=None)
        one = full.refusals[0].id
        assert {each.refusals[0].id for each in from_database} == {refusal.id for refusal in stored}
        assert full.judgements == judgements.history(store, one)
        assert full.trials == trials.trials(store, one)
        assert full.located == trials.located(store, one)
        assert full.reports == reported(store, [one]) != []
        assert full.segments == store.segments(one)
        assert full.annotations[one] == store.annotations(one)
        assert full.attempts == store.attempts(one)
        assert full.skeleton is not None
        assert join(full.skeleton, full.contents) == store.body(one) == BODY
    assert full.refusals[0].sources == ["gateway", "transcript"]
    assert [witness.source for witness in full.witnesses] == ["transcript"]
    assert full.updates[0].rephrasings[0].sent == "Some of it."
    assert (little.judgements, little.skeleton, little.segments) == ([], None, [])


def test_what_is_merged_into_another_database_is_there_once_however_often(db: Path, tmp_path: Path) -> None:
    with Store.open(tmp_path / "ours.db") as store:
        for _ in range(2):
            store.apply(merged(of_database(db)) + merged(read(OWN, exported(db, Level.FULL))))
        one = store.refusals()[-1].id
        assert len(store.refusals()) == 2
        assert store.body(one) == BODY
        assert [rephrasing.sent for rephrasing in store.rephrasings(one)] == ["Some of it."]


def test_what_show_and_list_print_is_read_too(db: Path) -> None:
    one = merged(of_database(db))[0].refusals[0].id
    shown = demur("show", one, "--json", "--content", db=db).stdout.encode()
    listed = "\n".join(map(json.dumps, objects(demur("list", "--all", "--json", db=db)))).encode()
    for data in (shown, listed):
        assert OWN.claims(data[:HEAD], Origin("x", Redactor()))
    (full,) = merged(read(OWN, shown))
    assert full.judgements == merged(of_database(db))[0].judgements
    assert any(b"Please look at my file." in content for content in full.contents.values())
    assert {segment.content for segment in full.segments} == full.contents.keys()
    assert {each.refusals[0].id for each in merged(read(OWN, listed))} == {one, name(2)}


@pytest.mark.parametrize("level", [Level.IDS, Level.METADATA, Level.EXCERPTS])
def test_an_export_below_full_is_read_as_far_as_it_tells(db: Path, level: Level) -> None:
    data = exported(db, level)
    assert [source.name for source in SOURCES if source.claims(data[:HEAD], Origin("x", Redactor()))] == ["demur"]
    found = read(OWN, data)
    full = merged(found)[0]
    assert troubles(found) == []
    assert (full.refusals[0].request_id, full.refusals[0].category) == ("req_1", "cyber")
    assert (full.judgements, full.contents, full.updates, full.reports) == ([], {}, [], [])
    assert bool(full.segments) == (level != Level.IDS)


def counted_in(path: Path, file: str = "a.jsonl", n: int = 1) -> None:
    """Requests that a file told of."""
    with Store.open(path) as store, store.transaction() as connection:
        key = msgspec.structs.astuple(HOUR)
        connection.execute(
            f"insert into imported_traffic values (?{', ?' * len(key)}, ?, 'transcript')", [file, *key, n]
        )


def with_counts(path: Path) -> bytes:
    with Store.open(path, readonly=True) as store:
        made = Export(store, Chosen(), Level.FULL, Curtain(Scrubber()))
        return "".join(jsonl.written(made, as_json, traffic=True)).encode()


def counts(found: list[Found]) -> list[tuple[str, int]]:
    return [(one.origin, one.n) for each in found if isinstance(each, Merged) for one in each.counts]


def test_counts_of_traffic_are_read_of_both_by_who_counted_them(tmp_path: Path) -> None:
    path = tmp_path / "more.db"
    keep(path, entry(1, traffic=3))
    counted_in(path, "a")
    counted_in(path, "b")
    found = counts(of_database(path))
    assert sorted(found) == sorted(counts(read(OWN, with_counts(path))))
    assert [n for _, n in found] == [3, 1, 1]
    assert len({origin for origin, _ in found}) == 3
    assert len({origin.partition("/")[0] for origin, _ in found}) == 1


def test_counts_of_an_older_export_are_the_file_s(tmp_path: Path) -> None:
    line: Json = {"demur": 1, "traffic": msgspec.to_builtins(HOUR), "n": 5}
    assert OWN.claims(captured.lines([line]), Origin("x", Redactor()))
    assert captured.counted(read(OWN, captured.lines([line]))) == {"refused": 5}


def test_what_machines_counted_is_not_doubled_in_whatever_order_and_form_it_is_merged(tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.db" for name in ("a", "b", "c")}
    for n, path in enumerate(paths.values()):
        keep(path, entry(n, traffic=n + 1))
        counted_in(path, n=10)
    early = tmp_path / "early.jsonl"
    early.write_bytes(with_counts(paths["a"]))
    keep(paths["a"], entry(7, traffic=4))

    def merge(into: str, *what: Path) -> None:
        assert CliRunner().invoke(import_, [*map(str, what), "--db", str(paths[into])]).exit_code == 0

    merge("b", paths["a"])
    merge("b", early)
    merge("c", paths["b"], paths["a"], early)
    merge("a", paths["c"], paths["b"])
    late = tmp_path / "late.jsonl"
    late.write_bytes(with_counts(paths["a"]))
    merge("b", late)
    merge("c", late)
    every = {path.name: with_counts(path) for path in paths.values()}
    for lines in every.values():
        told = [json.loads(line) for line in lines.splitlines() if b'"traffic"' in line]
        assert sum(one["n"] for one in told if not one["imported"]) == 1 + 4 + 2 + 3
        assert sum(one["n"] for one in told if one["imported"]) == 30
    assert every["a.db"] == every["b.db"] == every["c.db"]


def test_of_two_machines_the_verdict_that_was_given_last_stands_in_whatever_order_they_are_merged(
    tmp_path: Path,
) -> None:
    said = {
        "laptop": [("2026-11-24T10:00:00.000Z", Verdict.FALSE_POSITIVE), ("2026-11-24T12:00:00.000Z", Verdict.UNSURE)],
        "desk": [("2026-11-24T11:00:00.000Z", Verdict.FALSE_POSITIVE), ("2026-11-24T13:00:00.000Z", Verdict.CORRECT)],
    }
    for machine, words in said.items():
        keep(tmp_path / machine, entry(1, traffic=0))
        with Store.open(tmp_path / machine) as store:
            for at, verdict in words:
                judgements.judge(store, Judgement(refusal_id=name(1), at=at, author="ann", verdict=verdict))
    for ours, theirs in (("laptop", "desk"), ("desk", "laptop"), ("desk", "laptop")):
        arguments = [str(tmp_path / theirs), "--db", str(tmp_path / ours)]
        assert CliRunner().invoke(import_, arguments).exit_code == 0
        with Store.open(tmp_path / ours) as store:
            assert store.find(name(1)).verdict == Verdict.CORRECT
            told = [one.at[11:13] for one in judgements.history(store, name(1))]
            assert told == ["10", "11", "12", "13"]


def test_the_version_that_is_read_is_the_one_that_is_written() -> None:
    assert recorded.VERSION == levels.VERSION


def test_a_report_of_one_refusal_is_merged_once(db: Path, tmp_path: Path) -> None:
    export = tmp_path / "theirs.jsonl"
    export.write_bytes(exported(db, Level.FULL))
    ours = tmp_path / "ours.db"
    for what in (db, export):
        assert CliRunner().invoke(import_, [str(what), "--db", str(ours)]).exit_code == 0
    one = merged(of_database(db))[0].refusals[0].id
    with Store.open(ours) as store, Store.open(db) as theirs:
        assert reported(store, [one]) == reported(theirs, [one]) != []


def test_a_report_that_was_taken_back_here_does_not_come_back_unless_it_was_noted_again_since(
    db: Path, tmp_path: Path
) -> None:
    with Store.open(db) as store:
        (told,) = reported(store, [row["id"] for row in store.rows("select id from refusals")])
    before, url, one = exported(db, Level.FULL), told.url, told.refusal_id

    def known() -> list[str]:
        with Store.open(db) as store:
            return [each.url for each in reported(store, [one])]

    assert demur("report", "mark", one, url, "--remove", db=db).exit_code == 0
    take(db, before, tmp_path)
    assert known() == []
    later = before.replace(AT.encode(), b"2999-11-24T10:00:00.000Z")
    take(db, later, tmp_path)
    assert known() == [url]
    assert demur("report", "mark", one, url, "--remove", db=db).exit_code == 0
    assert demur("report", "mark", one, url, db=db).exit_code == 0
    assert known() == [url]


def test_a_secret_that_their_machine_kept_is_not_kept_here(tmp_path: Path) -> None:
    body = request(said=f"My key is {SECRET}")
    path = tmp_path / "careless.db"
    watcher = declined(body)
    clear = next(key for key, content in watcher.contents.items() if b"My key is" in content)
    watcher.contents[clear] = watcher.contents[clear].replace(b"[redacted:anthropic-key]", SECRET.encode())
    assert SECRET.encode() in watcher.contents[clear]
    watcher.refusals[0].explanation = f"It had {SECRET}."
    watcher.refusals[0].headers["authorization"] = "Bearer x"
    keep(path, watcher)
    for found in (of_database(path), read(OWN, exported(path, Level.FULL))):
        (one,) = merged(found)
        assert SECRET not in captured.everything(found)
        assert "authorization" not in one.refusals[0].headers
        assert one.skeleton is not None
        assert b"My key is [redacted" in join(one.skeleton, one.contents)
        assert {segment.content for segment in one.segments} == one.contents.keys()


def test_without_content_only_the_map_is_taken(db: Path) -> None:
    (full, _) = merged(of_database(db, content=False))
    assert (full.contents, full.skeleton, full.refusals[0].exact) == ({}, None, None)
    assert full.segments


def test_a_database_out_of_a_pipe_and_one_with_a_journal_are_read(db: Path) -> None:
    with Store.open(db) as store:
        store.apply([entry(3)])
        assert len(merged(of_database(db))) == 3
    data = db.read_bytes()
    assert OWN.claims(data[:HEAD], Origin("-", Redactor()))
    assert len(merged(list(OWN.read(io.BytesIO(data), Origin("-", Redactor()))))) == 3


def test_nothing_is_left_beside_a_database_that_is_read(db: Path) -> None:
    before = sorted(path.name for path in db.parent.iterdir())
    assert merged(of_database(db))
    assert sorted(path.name for path in db.parent.iterdir()) == before


def steps() -> list[str]:
    with Database(memory=True) as empty:
        return [step.name for step in migrations.pending(empty)]


@pytest.mark.parametrize("step", steps()[1:])
def test_a_database_of_every_older_demur_is_read_and_not_touched(tmp_path: Path, step: str) -> None:
    path = tmp_path / "old" / "demur.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        migrations.apply(Database(connection), stop_before=step)
        columns = [name for _, name, *_ in connection.execute("pragma table_info(refusals)")]
        row = {"tags": "[]", "sources": '["gateway"]', "headers": "{}"}
        row = dict.fromkeys(columns) | msgspec.to_builtins(refusal(1)) | row
        connection.execute(f"insert into refusals values ({', '.join(f':{name}' for name in columns)})", row)
        connection.commit()
    before = path.read_bytes()
    assert CliRunner().invoke(import_, [str(path.parent), "--db", str(tmp_path / "ours.db")]).exit_code == 0
    with Store.open(tmp_path / "ours.db") as store:
        assert [one.id for one in store.refusals()] == [name(1)]
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["demur.db"]


def test_a_database_of_others_is_not_claimed_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "demur.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table history (id integer)")
    assert not any(source.claims(path.read_bytes()[:HEAD], Origin(str(path), Redactor())) for source in SOURCES)


@pytest.mark.parametrize(("mark", "claimed"), [(APPLICATION_ID, True), (0, True), (0x47504B47, False)])
def test_a_database_out_of_a_pipe_is_known_by_its_header(db: Path, mark: int, claimed: bool) -> None:
    head = bytearray(db.read_bytes()[:HEAD])
    assert int.from_bytes(head[68:72]) == APPLICATION_ID
    head[68:72] = mark.to_bytes(4)
    head = head.replace(b"CREATE TABLE", b"CREATE_TABLE").replace(b"create table", b"create_table")
    assert OWN.claims(bytes(head), Origin("-", Redactor())) is claimed


def test_a_database_without_a_mark_gets_it_when_it_is_written_and_not_when_it_is_read(db: Path) -> None:
    def header() -> int:
        with closing(sqlite3.connect(db)) as connection:
            return int(connection.execute("pragma application_id").fetchone()[0])

    with closing(sqlite3.connect(db)) as connection:
        connection.execute("pragma application_id = 0")
    Store.open(db, readonly=True).close()
    assert header() == 0
    Store.open(db).close()
    assert header() == APPLICATION_ID


def test_a_database_of_others_out_of_a_pipe_is_told_of_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table history (id integer)")
    found = list(OWN.read(io.BytesIO(path.read_bytes()), Origin("-", Redactor())))
    assert [one.why for one in troubles(found)] == ["a database of another program"]


def test_a_refusal_that_goes_while_the_database_is_read_keeps_no_other_back(db: Path) -> None:
    with db.open("rb") as file:
        found = OWN.read(file, Origin(str(db), Redactor()))
        first = next(found)
        with Store.open(db) as store, store.transaction() as connection:
            connection.execute("delete from refusals where id = ?", [name(2)])
        rest = list(found)
    assert isinstance(first, Merged)
    assert troubles(rest) == []


def test_a_database_of_a_newer_demur_and_a_damaged_one_are_told_of(db: Path) -> None:
    with sqlite3.connect(db) as connection:
        connection.execute(
            "insert into _sqlite_migrations (name, applied_at, migration_set) values ('m999', '1', 'demur')"
        )
    connection.close()
    why = "a database that cannot be read: damaged, or of a newer demur"
    assert [one.why for one in troubles(of_database(db))] == [why]
    db.write_bytes(db.read_bytes()[:5000])
    assert [one.why for one in troubles(of_database(db))] == [why]


def test_a_stored_request_that_is_damaged_does_not_keep_the_others_back(db: Path) -> None:
    with sqlite3.connect(db) as connection:
        connection.execute("update segments set zstd = x'00'")
    connection.close()
    found = of_database(db)
    assert [one.why for one in troubles(found)] == ["a stored request that is damaged"]
    assert len(merged(found)) == 2
    assert merged(found)[0].judgements


@pytest.mark.parametrize(
    "damage", [{"demur": 2}, {"id": "x"}, {"kind": "of the future"}, {"segments": [{"n": 1}]}, {"contents": {"b2:x": "!"}}, {"skeleton": [{"x": 1}]}]
)  # fmt: skip
def test_a_line_that_is_no_record_is_told_of_and_the_rest_is_read(db: Path, damage: Json) -> None:
    first, second = exported(db, Level.FULL).splitlines()
    found = read(OWN, captured.lines([json.loads(first) | damage]) + second)
    assert [(one.line, one.why) for one in troubles(found)] == [(1, "no record of this demur, or of a newer one")]
    assert [one.refusals[0].id for one in merged(found)] == [name(2)]


def test_no_field_of_a_refusal_is_lost(db: Path) -> None:
    with Store.open(db, readonly=True) as store:
        stored = {refusal.id: refusal for refusal in store.refusals()}
    for one in merged(read(OWN, exported(db, Level.FULL))):
        (refusal,) = one.refusals
        told: Refusal = stored[refusal.id]
        told.incident_id = None
        assert refusal == told


def take(into: Path, data: bytes, folder: Path) -> None:
    file = folder / f"{len(list(folder.iterdir()))}.jsonl"
    file.write_bytes(data)
    assert demur("import", file, "--strict", db=into).exit_code == 0


@pytest.mark.parametrize("level", [Level.IDS, Level.METADATA, Level.EXCERPTS])
@pytest.mark.parametrize("form", ["database", "export"])
def test_what_an_export_below_full_told_is_completed_by_what_tells_all(
    db: Path, tmp_path: Path, level: Level, form: str
) -> None:
    with Store.open(db) as store, store.transaction() as connection:
        connection.execute(
            "update refusals set user = 'ann', project = 'https://intern.example.org/x', explanation = 'No.'"
        )
    ours = tmp_path / "ours.db"
    take(ours, exported(db, level), tmp_path)
    with Store.open(ours) as store:
        assert (store.refusals()[-1].explanation, store.refusals()[-1].user) != ("No.", "ann")
    for _ in range(2):
        if form == "database":
            assert demur("import", db, db=ours).exit_code == 0
        else:
            take(ours, exported(db, Level.FULL), tmp_path)
        assert exported(ours, Level.FULL) == exported(db, Level.FULL)


def test_a_person_is_told_that_refusals_were_completed(db: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours.db"
    take(ours, exported(db, Level.IDS), tmp_path)
    said = [demur("import", db, db=ours).stdout, demur("export", "--db", db, "--level", "full").stdout]
    assert "No new refusals; 2 refusals completed, 2 judgements taken over." in said[0]
    file = tmp_path / "again.jsonl"
    file.write_text(said[1])
    assert "Nothing new." in demur("import", file, db=ours).stdout


def test_what_is_stored_whole_loses_nothing_to_an_export_that_tells_less(db: Path, tmp_path: Path) -> None:
    before = exported(db, Level.FULL)
    for level in Level:
        take(db, exported(db, level), tmp_path)
        assert exported(db, Level.FULL) == before


def test_an_export_that_tells_more_than_the_one_before_completes_it_in_any_order(db: Path, tmp_path: Path) -> None:
    every = [exported(db, level) for level in Level]
    for n, order in enumerate(([0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1])):
        for which in order:
            take(tmp_path / f"{n}.db", every[which], tmp_path)
        assert exported(tmp_path / f"{n}.db", Level.FULL) == every[-1]


def test_a_part_that_a_person_named_by_its_number_gets_its_text_and_keeps_its_number(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs.db", tmp_path / "ours.db"
    for n, name_ in enumerate(("transcript", "gateway")):
        told = entry(n, b'"a"', b'"b"', session_id=f"s{n}", source=name_)
        told.skeleton = told.skeleton if n else None  # what a transcript tells is a part
        keep(theirs, told)
    take(ours, exported(theirs, Level.METADATA), tmp_path)
    for n in range(2):
        assert demur("label", name(n), "--verdict", "unsure", "--segment", 1, db=ours).exit_code == 0
    take(ours, exported(theirs, Level.FULL), tmp_path)
    with Store.open(ours) as store, Store.open(theirs) as other:
        for n in range(2):
            assert store.segments(name(n)) == other.segments(name(n))
            assert store.texts(name(n)) == other.texts(name(n)) != {}
            assert [one.segment for one in judgements.history(store, name(n))] == [1]
        assert store.body(name(1)) == other.body(name(1))


def test_refusals_of_one_session_are_grouped_by_what_completes_them(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs.db", tmp_path / "ours.db"
    keep(theirs, *(entry(n, b'"a long enough text that was new"', session_id="s", asked="b2:1") for n in range(3)))
    keep(ours, entry(3, b'"a long enough text that was new"', session_id="s", asked="b2:1"))
    for level in (Level.IDS, Level.METADATA, Level.FULL):
        take(ours, exported(theirs, level), tmp_path)
    assert [one["refusals"] for one in objects(demur("list", "--json", db=ours))] == [4]


@pytest.mark.parametrize("first", ["export", "transcript"])
def test_a_session_that_an_export_names_by_its_hash_is_the_same_for_another_witness(tmp_path: Path, first: str) -> None:
    theirs, ours = tmp_path / "theirs.db", tmp_path / "ours.db"
    keep(theirs, entry(1, session_id="s", request_id="req_1"))
    witness = entry(2, session_id="s", request_id="req_1", source="transcript")
    stranger = entry(3, session_id="t", request_id="req_1", source="har")
    if first == "transcript":
        keep(ours, witness)
    take(ours, exported(theirs, Level.METADATA), tmp_path)
    keep(ours, witness, stranger)
    with Store.open(ours) as store:
        assert sorted(len(one.sources) for one in store.refusals()) == [1, 2]


def test_what_cannot_be_stored_completes_nothing_and_keeps_no_other_back(db: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours.db"
    take(ours, exported(db, Level.IDS), tmp_path)
    first, second = map(json.loads, exported(db, Level.FULL).splitlines())
    file = tmp_path / "damaged.jsonl"
    file.write_bytes(captured.lines([first | {"status": 1 << 70}, second]))
    assert demur("import", file, db=ours).exit_code == 0
    with Store.open(ours) as store:
        assert {one.id: one.source for one in store.refusals()} == {first["id"]: "demur", second["id"]: "gateway"}


def test_a_trial_whose_reason_was_replaced_is_not_kept_twice(db: Path, tmp_path: Path) -> None:
    with Store.open(db) as store:
        one = store.refusals()[-1].id
        trial = Trial(
            refusal_id=one,
            at=AT,
            purpose=Purpose.REPLAY,
            model="n",
            outcome=Result.ERROR,
            why="no way to x.intern.lan",
        )
        trials.add_trial(store, trial)
    ours = tmp_path / "ours.db"
    for level in (Level.METADATA, Level.FULL):
        take(ours, exported(db, level), tmp_path)
    with Store.open(ours) as store:
        assert [each.model for each in trials.trials(store, one)] == ["m", "n"]
