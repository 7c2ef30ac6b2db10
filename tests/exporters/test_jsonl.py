"""One object a line: what each level lets out, what comes back from it, and its schema."""

import io
import json
import tracemalloc
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import SECRET
from entries import entry, key, name
from proxy.cli.words import as_json
from proxy.core.redact import Redactor
from proxy.core.scrub import Scrubber
from proxy.exporters import jsonl
from proxy.exporters.chosen import Chosen
from proxy.exporters.export import Export
from proxy.exporters.levels import EXCERPT, IDS, Case, Curtain, Level, readable, record
from proxy.exporters.schema import schema
from proxy.importers.own import OwnRecords
from proxy.importers.source import Origin, Trouble
from proxy.judgements import judge_all
from proxy.origins import grow
from proxy.reports import Report, mark
from proxy.store import Store
from proxy.tables import JUDGEMENTS
from proxy.trials import add_located, add_trial
from scale import fill
from schemas.labels import Result, Verdict
from schemas.records import (
    Annotation,
    Attempt,
    Judgement,
    Located,
    Refusal,
    Rephrasing,
    Segment,
    Traffic,
    Trial,
    Update,
)

AT = "2099-11-24T09:00:00.000Z"
ADDRESS = "https://github.com/ann-example/reports/issues/7"
SESSION = "11111111-2222-4333-8444-555555555555"
WORDS = ("The owner's own words.", "why it is harmless", "What was asked first.", "the API's reason")
TEXTS = (b'"the first words of ann@example.org"', b'"what the file said"', b'{"type":"text","text":"a last text"}')


def fill_one(db: Path, *, new: bool = True) -> None:
    """Two refusals: one with all that can belong to it, and one bare."""
    made = entry(
        1,
        *TEXTS,
        category="cyber",
        session_id=SESSION,
        user="ann",
        project="lab",
        explanation=WORDS[3],
        request_id="req_011A",
    )
    for segment in made.segments:
        segment.new, segment.target = new, "/home/ann/paper.pdf"
    made.annotations = {name(1): [Annotation(name="domain", value="security", confidence=0.5, evidence=["exploit"])]}
    made.refusals[0].headers = {"x-claude-code-session-id": SESSION, "user-agent": "claude-cli/2.1.197"}
    made.updates = [
        Update(
            refusal_id=name(1),
            attempts=[Attempt(n=1, by="demur", model="m", outcome=Result.ERROR, why="HTTP 529")],
            rephrasings=[Rephrasing(n=1, strategy="restate", original=WORDS[2], sent=WORDS[2][::-1])],
        )
    ]
    witness = entry(9, traffic=0, request_id="req_011A", source="transcript", session_id=SESSION)
    judgements = [
        Judgement(
            refusal_id=name(1),
            at=AT,
            author=author,
            verdict=Verdict.FALSE_POSITIVE,
            note=WORDS[1],
            tags=["ctf"],
            segment=1,
        )
        for author in ("ann", "bob", "ann")
    ]
    with Store.open(db) as store:
        store.apply([made, witness, entry(2, at="2099-11-23T13:00:00.000Z", verdict="unknown")])
        judge_all(store, judgements)
        add_trial(
            store,
            Trial(
                refusal_id=name(1),
                at=AT,
                purpose="replay",
                model="m",
                outcome=Result.ANSWERED,
                left_out=["messages[1]"],
            ),
        )
        add_located(
            store, Located(refusal_id=name(1), at=AT, model="m", settled=True, parts=["messages[1]:3-4"], trials=9)
        )
        mark(store, [Report(refusal_id=name(1), at=AT, url=ADDRESS, shape="github")])


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "demur.db"


def curtain(*deny: str) -> Curtain:
    return Curtain(Scrubber(deny=deny))


def exported(
    db: Path, level: Level = Level.METADATA, *deny: str, traffic: bool = False, **chosen: Any
) -> list[dict[str, Any]]:
    with Store.open(db, readonly=True) as store:
        made = Export(store, Chosen(**chosen), level, curtain(*deny))
        return [json.loads(line) for line in jsonl.written(made, as_json, traffic=traffic)]


def imported(db: Path, lines: list[dict[str, Any]]) -> None:
    """As the importer reads them."""
    file = io.BytesIO("".join(json.dumps(line) + "\n" for line in lines).encode())
    with Store.open(db) as store:
        for found in OwnRecords().read(file, Origin("-", Redactor())):
            assert not isinstance(found, Trouble), found
            assert store.apply([found]) == 0
            with store.transaction() as connection:
                for judgement in getattr(found, "judgements", []):
                    connection.execute(JUDGEMENTS.insert, JUDGEMENTS.row(judgement))
                for witness in getattr(found, "witnesses", []):
                    values = [witness.id, found.refusals[0].id, witness.source]
                    connection.execute("insert or ignore into witnesses values (?, ?, ?)", values)
            if reports := getattr(found, "reports", []):
                mark(store, reports)
            grow(store, getattr(found, "counts", []))
            for trial in getattr(found, "trials", []):
                add_trial(store, trial)
            for located in getattr(found, "located", []):
                add_located(store, located)


def test_the_level_ids_has_its_nine_fields_and_nothing_else(db: Path) -> None:
    fill_one(db)
    for line in exported(db, Level.IDS):
        assert list(line) == ["demur", "level", *IDS]


def test_the_level_metadata_names_every_field_of_a_refusal_and_has_no_text(db: Path) -> None:
    fill_one(db)
    line = exported(db)[1]
    assert set(Refusal.__struct_fields__) <= set(line)
    text = json.dumps(line)
    for words in (*WORDS, "first words", "what the file said", "a last text"):
        assert words not in text
    assert line["explanation"] is None
    assert [one["note"] for one in line["judgements"]] == [None] * 3
    assert line["rephrasings"] == [{"n": 1, "strategy": "restate", "original_bytes": 21, "sent_bytes": 21}]


def test_below_full_persons_are_placeholders_and_sessions_hashes_and_homes_are_gone(db: Path) -> None:
    fill_one(db)
    for level in (Level.METADATA, Level.EXCERPTS):
        line = exported(db, level)[1]
        assert line["user"] == "<PERSON-1>"
        assert [one["author"] for one in line["judgements"]] == ["<PERSON-1>", "<PERSON-2>", "<PERSON-1>"]
        assert line["session_id"] == line["headers"]["x-claude-code-session-id"] != SESSION
        for gone in (SESSION, "/home/ann", "example.org", "bob"):
            assert gone not in json.dumps(line)
        assert line["request_id"] == "req_011A"
        assert line["evidence"] == "message_delta.stop_reason"


STRUCTURE = set(
    "id at source kind evidence category stage model answered_by outcome request_id message_id role client_version fingerprint verdict ruling"
    " asked incident_id history accepted_at accepted_model accepted_version accepted_request_id".split()
)
"""Fields of a refusal that leave as they are."""


@pytest.mark.parametrize("level", [Level.METADATA, Level.EXCERPTS])
def test_below_full_a_field_passes_the_curtain_unless_it_is_structure(level: Level) -> None:
    words = "ann.planted@mail.example"
    texts = {field for field, hint in get_type_hints(Refusal).items() if hint in (str, str | None)} - STRUCTURE
    assert {"project", "user", "session_id", "explanation", "domain"} <= texts
    for field in texts:
        refusal = entry(1).refusals[0]
        setattr(refusal, field, words)
        assert words not in json.dumps(record(Case(refusal=refusal), level, curtain())), field


def test_an_excerpt_is_of_the_segment_that_a_person_named(db: Path) -> None:
    fill_one(db)
    line = exported(db, Level.EXCERPTS)[1]
    assert line["excerpts"] == [{"n": 1, "label": "user_text", "hash": key(TEXTS[1]), "text": "what the file said"}]
    assert line["explanation"] == WORDS[3]
    assert line["judgements"][0]["note"] == WORDS[1]


def test_without_a_named_one_the_excerpts_are_of_the_new_segments(db: Path) -> None:
    fill_one(db)
    with Store.open(db) as store, store.transaction() as connection:
        connection.execute("delete from judgements")
    assert [one["n"] for one in exported(db, Level.EXCERPTS)[1]["excerpts"]] == [2, 1, 0]


def test_what_is_not_known_to_be_new_has_no_excerpt(db: Path) -> None:
    with Store.open(db) as store:
        store.apply([entry(1, *TEXTS)])
    assert exported(db, Level.EXCERPTS)[0]["excerpts"] == []


def test_an_excerpt_whose_text_was_not_kept_says_null(db: Path) -> None:
    fill_one(db)
    with Store.open(db) as store, store.transaction() as connection:
        connection.execute("delete from segments")
    assert exported(db, Level.EXCERPTS)[1]["excerpts"][0]["text"] is None


def test_full_has_the_request_to_the_byte(db: Path) -> None:
    fill_one(db)
    line = exported(db, Level.FULL)[1]
    parts = [
        b64decode(part["bytes"] if "bytes" in part else line["contents"][part["key"]]) for part in line["skeleton"]
    ]
    with Store.open(db, readonly=True) as store:
        assert b"".join(parts) == store.body(name(1))
    assert exported(db, Level.FULL)[0]["skeleton"] is None


def test_what_is_exported_whole_and_imported_elsewhere_is_exported_the_same(db: Path, tmp_path: Path) -> None:
    fill_one(db)
    lines = exported(db, Level.FULL, traffic=True)
    other = tmp_path / "other.db"
    imported(other, lines)
    again = exported(other, Level.FULL, traffic=True)
    assert again == lines
    assert lines[0]["n"] == 2
    assert [one["url"] for one in lines[-1]["reports"]] == [ADDRESS]


def test_where_it_was_reported_is_told_without_the_address_and_scrubbed_where_texts_are(db: Path) -> None:
    fill_one(db)
    told = {level: exported(db, level)[1].get("reports", []) for level in Level}
    assert told[Level.IDS] == []
    assert told[Level.METADATA] == [{"refusal_id": name(1), "at": AT, "url": None, "shape": "github"}]
    assert told[Level.FULL] == [{"refusal_id": name(1), "at": AT, "url": ADDRESS, "shape": "github"}]
    assert told[Level.EXCERPTS][0]["url"].startswith("https://")
    assert "ann-example" not in told[Level.EXCERPTS][0]["url"]


def test_all_that_a_database_holds_of_a_refusal_is_exported(db: Path) -> None:
    fill_one(db)
    (line,) = exported(db, Level.FULL, ids=(name(1),))
    made_anew, kept_here = {"incidents", "requests", "maps"}, {"withdrawn"}
    with Store.open(db, readonly=True) as store:
        tables = [row["name"] for row in store.rows("select name from sqlite_schema where type = 'table'")]
        owned = {
            table
            for table in tables
            if any(key["table"] == "refusals" for key in store.rows(f"pragma foreign_key_list({table})"))
        }
    assert owned - made_anew - kept_here == set(line) - set(Refusal.__struct_fields__) - {
        "demur",
        "level",
        "segments",
        "contents",
        "skeleton",
    }
    assert all(line[table] for table in owned - made_anew - kept_here)


def test_what_files_told_of_is_counted_too_and_told_apart(db: Path) -> None:
    fill_one(db)
    values = ["a.jsonl", *msgspec.structs.astuple(Traffic(hour="2099-11-23T14", model="m")), 5, "transcript"]
    with Store.open(db) as store, store.transaction() as connection:
        connection.execute(f"insert into imported_traffic values ({', '.join('?' * len(values))})", values)
    seen, told = (line for line in exported(db, traffic=True) if "traffic" in line)
    assert (seen["imported"], seen["n"], told["imported"], told["n"]) == (False, 2, True, 5)
    assert told["origin"].startswith(f"{seen['origin']}/")
    assert (seen["source"], told["source"]) == ("", "transcript")
    assert "a.jsonl" not in json.dumps(told)


def test_the_counts_of_all_requests_have_no_person_below_full(db: Path) -> None:
    with Store.open(db) as store:
        made = entry(1, traffic=0)
        made.traffic = [(Traffic(hour=f"2099-11-23T1{n}", model="m", user="ann"), n) for n in (1, 2)]
        store.apply([made])
    counts = [line for line in exported(db, traffic=True, since="2099-11-23T12:30") if "traffic" in line]
    assert [(one["traffic"]["hour"], one["traffic"]["user"], one["n"]) for one in counts] == [
        ("2099-11-23T12", "<PERSON-1>", 2)
    ]
    assert not [line for line in exported(db, traffic=True, model="other") if "traffic" in line]


@pytest.mark.parametrize("level", Level)
def test_every_line_is_as_the_schema_says_and_says_nothing_else(db: Path, level: Level) -> None:
    fill_one(db)
    for line in exported(db, level, traffic=True):
        problems = list(checked(line, schema(), schema()["$defs"]))
        assert not problems, problems


def test_the_schema_takes_no_line_of_another_level_or_version(db: Path) -> None:
    fill_one(db)
    made = schema()
    line = exported(db)[1]
    for change in (
        {"level": "full"},
        {"level": "ids", "more": 1},
        {"demur": 2},
        {"at": 3},
        {"segments": None},
        {"kind": "other"},
    ):
        assert list(checked(line | change, made, made["$defs"]))


def checked(value: Any, wanted: dict[str, Any], defs: dict[str, Any], path: str = "$") -> Iterator[str]:
    """What of a value is not as a schema says, and which member it does not name: as much of JSON Schema as ours needs."""
    known = {"$ref", "$schema", "$defs", "title", "description", "default", "oneOf", "anyOf", "const", "enum", "type"}
    known |= {"properties", "required", "items", "additionalProperties", "contentEncoding"}
    assert set(wanted) <= known, set(wanted) - known
    if "$ref" in wanted:
        yield from checked(value, defs[wanted["$ref"].rpartition("/")[2]], defs, path)
    for word in ("oneOf", "anyOf"):
        fits = [not list(checked(value, one, defs, path)) for one in wanted.get(word, ())]
        if fits and (sum(fits) != 1 if word == "oneOf" else not any(fits)):
            yield f"{path} fits {sum(fits)} of {word}"
    if "const" in wanted and value != wanted["const"]:
        yield f"{path} is not {wanted['const']}"
    if "enum" in wanted and value not in wanted["enum"]:
        yield f"{path} is none of {wanted['enum']}"
    types: dict[str, Any] = {
        "string": str, "integer": int, "number": (int, float), "boolean": bool, "null": type(None), "object": dict, "array": list,
    }  # fmt: skip
    if "type" in wanted and (
        not isinstance(value, types[wanted["type"]]) or (isinstance(value, bool) and wanted["type"] != "boolean")
    ):
        yield f"{path} is no {wanted['type']}"
    if isinstance(value, list):
        for n, item in enumerate(value):
            yield from checked(item, wanted.get("items", {}), defs, f"{path}[{n}]")
    if isinstance(value, dict) and wanted.get("type") == "object":
        rest = wanted.get("additionalProperties")
        properties = wanted.get("properties", {})
        yield from (f"{path} has no {name}" for name in wanted.get("required", ()) if name not in value)
        for member, inner in value.items():
            if member not in properties and rest is None:
                yield f"{path}.{member} is not named"
            yield from checked(inner, properties.get(member, rest or {}), defs, f"{path}.{member}")


def test_a_damaged_request_keeps_no_other_back(db: Path) -> None:
    fill_one(db)
    with Store.open(db) as store, store.transaction() as connection:
        connection.execute("update chunks set items = x'00'")
    with Store.open(db, readonly=True) as store:
        made = Export(store, Chosen(), Level.FULL, curtain())
        lines = list(made.records())
    assert [line["id"] for line in lines] == [name(2), name(1)]
    assert lines[1]["segments"] == []
    assert list(made.faults) == [name(1)]


def test_a_secret_that_two_segments_share_is_in_no_excerpt() -> None:
    half = len(SECRET) // 2
    texts = [f"key {SECRET[:half]}", f"{SECRET[half:]} and more", "then"]
    contents = [json.dumps(text).encode() for text in texts]
    segments = [
        Segment(
            n=n,
            label="user_text",
            path=f"messages[0].content[{n}]",
            bytes=1,
            tokens_est=1,
            hash=key(one),
            content=key(one),
            new=True,
        )
        for n, one in enumerate(contents)
    ]
    case = Case(
        refusal=entry(1).refusals[0], segments=segments, contents=dict(zip(map(key, contents), contents, strict=True))
    )
    text = json.dumps(record(case, Level.EXCERPTS, curtain()))
    assert not any(SECRET[at : at + 12] in text for at in range(8, len(SECRET) - 12))


@given(st.integers(0, 6000), st.integers(0, 300))
def test_a_beginning_is_short_and_has_no_piece_of_a_secret_wherever_it_is_cut(before: int, spaces: int) -> None:
    text = "word " * (before // 5) + SECRET + " " * spaces + SECRET + " rest" * 2000
    shown = curtain().beginning(text)
    assert len(shown) <= EXCERPT
    assert not any(SECRET[at : at + 12] in shown for at in range(0, len(SECRET) - 12, 4))


def test_a_beginning_of_which_little_is_left_is_scrubbed_whole() -> None:
    pem = (
        "-----BEGIN PRIVATE KEY-----\n"
        + "\n".join("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC" * 2 for _ in range(300))
        + "\n-----END PRIVATE KEY-----"
    )
    assert "MIIEvQIBADAN" not in curtain().beginning(f"see {pem} after")


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (b'"plain"', "plain"),
        (b'{"type":"text","text":"block"}', "block"),
        (
            b'{"type":"tool_result","content":[{"type":"text","text":"a"},{"type":"image","source":{"data":"QUJD"}}]}',
            "a",
        ),
        (b'{"type":"tool_use","input":{"command":"ls","n":3}}', "command: ls\nn: 3"),
        (b'{"type":"thinking","thinking":"hm","signature":"c2ln"}', "hm"),
        (b'{"type":"redacted_thinking","data":"QUJD"}', ""),
        (b"not json \xff", "not json \\xff"),
    ],
)
def test_what_a_segment_says_is_read_without_its_json_and_without_media(stored: bytes, said: str) -> None:
    assert readable(stored) == said


def test_the_memory_that_an_export_takes_does_not_grow_with_the_records(db: Path) -> None:
    peaks = []
    for n in (500, 3000):
        path = db.with_name(f"{n}.db")
        fill(path, refusals=n, requests=n, hours=200)
        with Store.open(path, readonly=True) as store:
            made = Export(store, Chosen(), Level.METADATA, curtain())
            tracemalloc.start()
            count = sum(1 for _ in made.records())
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert count == made.count == n
    assert peaks[1] - peaks[0] < 2500 * 300, peaks  # an id is 75 bytes, and a whole record 5 kB
