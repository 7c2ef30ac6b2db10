"""Label Studio, Argilla and Datasette: what they are given is of the shape that their documentation has.

By hand the same was tried with label-studio 1.23.2 (server, editor and SDK 2.1.2), argilla 2.8.0 on argilla-server 2.8.0, and datasette 0.65.5.
"""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from entries import entry, name
from proxy.cli.words import as_json
from proxy.core.scrub import Scrubber
from proxy.exporters import argilla, datasette, label_studio
from proxy.exporters.chosen import Chosen
from proxy.exporters.export import Export
from proxy.exporters.levels import Curtain, Level
from proxy.judgements import judge_all
from proxy.store import Store
from scale import fill
from schemas.labels import Domain, Kind, Verdict
from schemas.records import Accepted, Annotation, Entry, Judgement

LEVELS = list(Level)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "demur.db"
    made = entry(
        1, b'"the words"', category="cyber", model="claude-opus-5", asked="b2:1", input_tokens=4, explanation="It says."
    )
    made.segments[0].new = True
    made.annotations = {
        name(1): [
            Annotation(name="domain", value=value, confidence=c) for value, c in (("security", 0.4), ("data", 0.9))
        ]
    }
    said = [
        Judgement(refusal_id=name(1), at="2099", author="ann", verdict=Verdict.CORRECT, domain="security"),
        Judgement(
            refusal_id=name(1),
            at="2099",
            author="bob",
            verdict=Verdict.FALSE_POSITIVE,
            domain='my "own" <field>',
            note="why",
        ),
        Judgement(refusal_id=name(1), at="2099", author="carl", verdict=Verdict.UNKNOWN),
        Judgement(refusal_id=name(1), at="2099", author="ann", verdict=Verdict.UNSURE),
    ]
    passed = Accepted(session_id="s", model="claude-opus-4-8", at="2099-11-23T15:00:00.000Z", asked="b2:1", hashes=b"")
    with Store.open(path) as store:
        store.apply([made, Entry(accepted=[passed]), entry(2), entry(3, kind=Kind.POLICY_ERROR)])
        judge_all(store, said)
    return path


def written(db: Path, form: Any, level: Level) -> tuple[list[dict[str, Any]], list[str]]:
    with Store.open(db) as store:
        made = Export(store, Chosen(), level, Curtain(Scrubber()))
        return json.loads("".join(form.written(made, as_json))), label_studio.domains(made)


@pytest.mark.parametrize("level", LEVELS)
def test_every_task_names_only_what_the_labeling_configuration_has(db: Path, level: Level) -> None:
    tasks, known = written(db, label_studio, level)
    config = ET.fromstring(label_studio.config(known))
    values = {
        tag.attrib["name"]: tag.attrib["value"].removeprefix("$") for tag in config if tag.tag in ("Text", "Table")
    }
    choices = {tag.attrib["name"]: [one.attrib["value"] for one in tag] for tag in config if tag.tag == "Choices"}
    assert choices["verdict"] == ["false_positive", "correct", "unsure"]
    assert choices["domain"][: len(Domain)] == list(Domain)
    assert len(tasks) == 3
    for task in tasks:
        assert all(task["data"][value] for value in values.values())
        for result in (result for said in (*task["predictions"], *task["annotations"]) for result in said["result"]):
            assert result["to_name"] in values
            assert set(result["value"].get("choices", [])) <= set(choices.get(result["from_name"], []))
            assert result["type"] == ("textarea" if result["from_name"] == "note" else "choices")


def test_a_suggestion_is_a_prediction_and_the_last_word_of_each_person_an_annotation(db: Path) -> None:
    (task, *_), _ = written(db, label_studio, Level.EXCERPTS)
    (prediction,) = task["predictions"]
    assert (prediction["score"], prediction["result"][0]["value"]) == (0.9, {"choices": ["data"]})
    said = [
        [(one["from_name"], *one["value"].values()) for one in annotation["result"]]
        for annotation in task["annotations"]
    ]
    assert sorted(said, key=len) == [
        [("verdict", ["unsure"])],
        [("verdict", ["false_positive"]), ("domain", ['my "own" <field>']), ("note", ["why"])],
    ]


@pytest.mark.parametrize("form", [label_studio, argilla])
def test_the_words_of_a_request_are_read_only_at_a_level_that_has_them(db: Path, form: Any) -> None:
    for level in LEVELS:
        text = json.dumps(written(db, form, level)[0])
        assert ("the words" in text, "It says." in text) == (level.has_text, level.has_text)


@pytest.mark.parametrize("form", [label_studio, argilla])
def test_no_record_is_an_empty_list(tmp_path: Path, form: Any) -> None:
    Store.open(tmp_path / "demur.db").close()
    assert written(tmp_path / "demur.db", form, Level.IDS) == ([], list(Domain))


@pytest.mark.parametrize("level", LEVELS)
def test_every_record_names_only_what_the_settings_of_the_dataset_have(db: Path, level: Level) -> None:
    records, known = written(db, argilla, level)
    settings = argilla.settings(known)
    fields, questions, metadata = (
        {one["name"]: one for one in settings[part]} for part in ("fields", "questions", "metadata")
    )
    for record in records:
        assert set(record["fields"]) == set(fields)
        assert all(record["fields"].values())
        assert set(record["metadata"]) <= set(metadata)
        for question, suggestion in record["suggestions"].items():
            options = [one["value"] for one in questions[question]["settings"].get("options", [])]
            assert not options or suggestion["value"] in options
        for key, value in record["metadata"].items():
            assert isinstance(value, int if metadata[key]["settings"]["type"] == "integer" else str)


def test_a_persons_word_goes_before_what_demur_suggests(db: Path) -> None:
    (record, *_), _ = written(db, argilla, Level.METADATA)
    assert record["suggestions"] == {
        "verdict": {"value": "unsure", "score": None, "agent": "PERSON-1"},
        "domain": {"value": 'my "own" <field>', "score": None, "agent": "PERSON-2"},
    }


AGENT = re.compile(r"^[a-zA-Z0-9-_:\./\s]*[a-zA-Z0-9][a-zA-Z0-9-_:\./\s]*$")
"""As argilla-server 2.8.0 asks for it, ``AGENT_REGEX``; 200 characters at most."""


@pytest.mark.parametrize(
    ("author", "agent"),
    [
        ("ann", "ann"),
        ("J\u00fcrgen O'Hara", "J rgen O Hara"),
        ("\u0411\u043e\u0440\u0438\u0441", None),
        ("<<=>>", None),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_person_is_named_as_the_server_takes_it(db: Path, author: str, agent: str | None) -> None:
    said = [
        Judgement(refusal_id=name(2), at="2099", author=one, verdict=Verdict.CORRECT) for one in (author, "(\u0416)")
    ]
    agents = set()
    for one in said:
        with Store.open(db) as store:
            judge_all(store, [one])
        records, _ = written(db, argilla, Level.FULL)
        agents.add(records[1]["suggestions"]["verdict"]["agent"])
    assert all(AGENT.match(one) and len(one) <= 200 for one in agents)
    assert len(agents) == 2
    assert agent is None or agent in agents


def test_the_words_of_persons_are_no_choices_at_the_level_ids(db: Path) -> None:
    for level in LEVELS:
        known = written(db, label_studio, level)[1]
        assert ('my "own" <field>' in known) == (level != Level.IDS)


def test_no_choice_is_empty_or_longer_than_the_server_takes(db: Path) -> None:
    said = [
        Judgement(refusal_id=name(2), at="2099", author="ann", verdict=Verdict.CORRECT, domain=domain)
        for domain in ("d" * 200, "e" * 201, "  ")
    ]
    with Store.open(db) as store:
        judge_all(store, said)
    records, known = written(db, argilla, Level.FULL)
    assert set(known) - set(Domain) == {'my "own" <field>', "d" * 200}
    assert "domain" not in records[1]["suggestions"]  # nor an earlier one of the same person


def run(db: Path, query: str, **given: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        values = dict.fromkeys(re.findall(r":([a-z]+)", datasette.QUERIES[query].sql), "") | given
        return [dict(row) for row in connection.execute(datasette.QUERIES[query].sql, values)]


def test_the_queries_say_what_is_there(db: Path) -> None:
    months = run(db, "by_month_and_category")
    assert {(one["category"], one["refusals"]) for one in months} == {("cyber", 1), ("none", 1), ("policy_error", 1)}
    assert run(db, "gap_per_model")[0]["gap"] == 0
    assert [one["id"] for one in run(db, "open_incidents")] == [name(3), name(2)]
    assert run(db, "most_expensive")[0]["id"] == name(1)
    assert [(one["declined_by"], one["accepted_by"]) for one in run(db, "pairs")] == [
        ("claude-opus-5", "claude-opus-4-8")
    ]
    assert [one["id"] for one in run(db, "unjudged")] == [name(3), name(2)]
    assert [one["requests"] for one in run(db, "by_client_version")] == [3]
    assert [(one["refusal_id"], one["differ"]) for one in run(db, "judgements_beside")] == [(name(1), 1)]


def test_a_parameter_narrows_a_query(db: Path) -> None:
    assert run(db, "unjudged", model="other") == []
    assert run(db, "by_month_and_category", since="2100") == []
    assert run(db, "gap_per_model", since="2100") == []


@pytest.mark.parametrize("query", datasette.QUERIES)
def test_every_query_runs_on_a_database_of_some_size_and_on_an_empty_one(tmp_path: Path, query: str) -> None:
    Store.open(tmp_path / "empty.db").close()
    assert run(tmp_path / "empty.db", query) == []
    fill(tmp_path / "full.db", refusals=500, requests=5000, hours=200)
    assert run(tmp_path / "full.db", query) or query == "judgements_beside"


def test_the_metadata_names_tables_and_the_database_that_are_there(db: Path) -> None:
    text = "".join(datasette.written(db.with_name("my db.db")))
    assert '  "my db":\n' in text
    with Store.open(db, readonly=True) as store:
        tables = {row["name"] for row in store.rows("select name from sqlite_schema where type = 'table'")}
    told = re.findall(r"^      (\w+): (\{.*\})$", text, re.MULTILINE)
    assert {table for table, _ in told} <= tables
    assert all(isinstance(json.loads(said), dict) for _, said in told)
    assert re.findall(r"^      (\w+):$", text, re.MULTILINE) == list(datasette.QUERIES)
    assert not set(datasette.QUERIES) & tables
    shown = tables - {table for table, said in told if json.loads(said).get("hidden")}
    assert shown == {
        "refusals", "judgements", "attempts", "rephrasings", "annotations", "trials", "located", "reports", "traffic", "imported_traffic",
    }  # fmt: skip
