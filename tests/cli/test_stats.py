"""``demur stats``: what was declined, of how much, who recovered it, and what was left."""

import re
from pathlib import Path
from typing import Any

import pytest

from commands import ESCAPES, demur, fails, keep, lines, objects
from entries import entry, name
from importers.sessions import FALLBACK, Session
from proxy.cli.judging import FEWEST
from proxy.imports import FileMark, Imports
from proxy.judgements import judge
from proxy.packed import pack
from proxy.store import Store
from schemas.labels import Kind, Outcome, Result, Verdict
from schemas.records import Attempt, Entry, Judgement, Traffic, Update

MODEL, OTHER = "claude-opus-5", "claude-opus-4-8"
FIELDS = (
    "model requests refused_at_first recovered_by_demur recovered_by_api recovered_by_client refused_in_the_end gap turns_elsewhere"
    " rate rate_low rate_high requests_imported"
).split()


def traffic(outcome: Result, n: int = 1, **fields: Any) -> Entry:
    return Entry(traffic=[(Traffic(**{"hour": "2099-11-23T14", "model": MODEL, "outcome": outcome, **fields}), n)])


def by_client(n: int, **fields: Any) -> Entry:
    """A refusal that the client recovered, counted as refused."""
    given = {"model": MODEL, "outcome": Outcome.RECOVERED_BY_CLIENT, "sources": ["gateway"], **fields}
    return entry(n, traffic=0, **given)


def counted(db: Path, *arguments: object) -> dict[str, dict[str, Any]]:
    return {record["model"]: record for record in objects(demur("stats", "--json", *arguments, db=db))}


def test_each_model_has_its_counts_and_its_gap(db: Path) -> None:
    keep(
        db,
        traffic(Result.ANSWERED, 90, answered_by=MODEL),
        traffic(Result.ERROR, 2),
        traffic(Result.REFUSED, 4),
        traffic(Result.RECOVERED_BY_DEMUR, 3, answered_by=OTHER),
        traffic(Result.RECOVERED_BY_API, answered_by=OTHER),
        traffic(Result.ANSWERED, 5, answered_by=OTHER),
        traffic(Result.ANSWERED, 7, model=OTHER, answered_by=OTHER),
        by_client(1),
    )
    found = objects(demur("stats", "--json", db=db))
    assert [list(record) for record in found] == [FIELDS, FIELDS]
    assert [list(record.values())[:9] for record in found] == [
        [MODEL, 105, 8, 3, 1, 1, 3, 0.375, 5],
        [OTHER, 7, 0, 0, 0, 0, 0, None, 0],
    ]
    assert list(found[0].values())[9:12] == pytest.approx([8 / 105, 0.03911, 0.14319], abs=2e-5)
    assert list(found[1].values())[9:12] == pytest.approx([0, 0, 0.35433], abs=1e-5)


def test_the_table_says_the_same_and_adds_it_up(db: Path) -> None:
    keep(db, traffic(Result.REFUSED, 1200), traffic(Result.RECOVERED_BY_DEMUR, 300, model=OTHER, answered_by=MODEL))
    title, *rows = [re.split(r"\s{2,}", line) for line in lines(demur("stats", db=db))]
    assert title == "MODEL|REQUESTS|REFUSED|RATE|95%|BY DEMUR|BY API|BY CLIENT|IN THE END|GAP|ELSEWHERE".split("|")
    assert rows == [
        [MODEL, "1,200", "1,200", "100.0%", "99.7%-100.0%", "0", "0", "0", "1,200", "100.0%", "0"],
        [OTHER, "300", "300", "100.0%", "98.7%-100.0%", "300", "0", "0", "0", "0.0%", "0"],
        ["all", "1,500", "1,500", "100.0%", "99.7%-100.0%", "300", "0", "0", "1,200", "80.0%", "0"],
    ]
    narrow = demur("stats", db=db, COLUMNS="60").stdout.splitlines()
    assert max(map(len, narrow[:-1])) <= 60
    assert narrow[-1] == "Too narrow for: 95%, by demur, by api, by client. --json has all."
    assert len(lines(demur("stats", "--model", MODEL, db=db))) == 2


def test_counts_of_tokens_are_no_requests(db: Path) -> None:
    keep(db, traffic(Result.ANSWERED, 3, role="main"), traffic(Result.ANSWERED, 5, role="count_tokens"))
    assert counted(db)[MODEL]["requests"] == 3


def test_a_dated_name_is_not_another_model_that_answered(db: Path) -> None:
    keep(
        db,
        traffic(Result.ANSWERED, 2, answered_by=f"{MODEL}-20260724"),
        traffic(Result.ANSWERED, 3, answered_by=""),
        traffic(Result.ANSWERED, 4, answered_by=f"us.anthropic.{OTHER}-v1:0"),
    )
    assert counted(db)[MODEL]["turns_elsewhere"] == 4


def test_what_the_client_repeated_on_the_same_model_is_one_refusal(db: Path) -> None:
    again = Attempt(n=-1, by="client", model=MODEL, outcome=Result.REFUSED)
    answered = Attempt(n=-1, by="client", model=OTHER, outcome=Result.ANSWERED)
    keep(db, traffic(Result.REFUSED, 3), by_client(1), by_client(2, outcome=Outcome.REFUSED))
    keep(db, Entry(updates=[Update(refusal_id=name(1), attempts=[again, answered])]))
    found = counted(db)[MODEL]
    assert (found["requests"], found["refused_at_first"], found["recovered_by_client"]) == (3, 2, 1)
    assert (found["refused_in_the_end"], found["gap"]) == (1, 0.5)


def test_what_was_never_counted_is_not_taken_off(db: Path) -> None:
    keep(
        db,
        traffic(Result.REFUSED, 2),
        by_client(1, sources=["transcript"]),
        by_client(2, kind=Kind.OUTPUT_FILTER),
        by_client(3, model="claude-unheard-of"),
        by_client(4, sources=["transcript", "mitmproxy"]),
    )
    found = counted(db)
    assert list(found) == [MODEL]
    assert (found[MODEL]["recovered_by_client"], found[MODEL]["refused_in_the_end"]) == (1, 1)


def test_more_recovered_than_counted_is_never_told(db: Path) -> None:
    keep(db, traffic(Result.RECOVERED_BY_DEMUR, answered_by=OTHER), by_client(1), by_client(2))
    found = counted(db)[MODEL]
    assert (found["recovered_by_client"], found["refused_in_the_end"], found["gap"]) == (0, 0, 0)


def test_since_begins_with_the_hour_for_both_sources(db: Path) -> None:
    keep(
        db,
        traffic(Result.REFUSED, 2, hour="2099-11-23T13"),
        traffic(Result.REFUSED, 2),
        by_client(1, at="2099-11-23T13:59:59.000Z"),
        by_client(2, at="2099-11-23T14:00:01.000Z"),
    )
    assert [counted(db)[MODEL][field] for field in ("refused_at_first", "recovered_by_client")] == [4, 2]
    late = counted(db, "--since", "2099-11-23T14:30:00Z")[MODEL]
    assert [late[field] for field in ("refused_at_first", "recovered_by_client")] == [2, 1]
    assert counted(db, "--since", "2099-11-23T15:00:00Z") == {}


def test_only_a_model_that_is_asked_for_is_counted_where_one_is_named(db: Path) -> None:
    keep(db, traffic(Result.REFUSED), traffic(Result.REFUSED, model=OTHER))
    assert list(counted(db, "--model", OTHER)) == [OTHER]
    assert lines(demur("stats", "--model", "gpt", db=db)) == ["No counted request matches."]


def test_without_anything_recorded_a_line_says_so_and_no_database_is_made(db: Path) -> None:
    assert "`demur doctor`" in lines(demur("stats", db=db))[0]
    assert lines(demur("stats", "--json", db=db)) == []
    assert not db.exists()
    assert "2h, 3d" in fails(demur("stats", "--since", "yesterday", db=db), code=2)


def test_a_model_without_a_name_or_with_an_evil_one_is_told(db: Path) -> None:
    keep(db, traffic(Result.REFUSED, model=""), traffic(Result.ANSWERED, model=ESCAPES))
    result = demur("stats", db=db)
    assert "unknown" in result.stdout
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b]", result.stdout)
    assert [record["model"] for record in objects(demur("stats", "--json", db=db))] == [None, ESCAPES]


def recorded(n: int, **fields: Any) -> Entry:
    """A recorded refusal, which is counted too unless another tool had recorded it."""
    given = {"model": MODEL, "category": "cyber", "outcome": Outcome.REFUSED, "sources": ["gateway"], **fields}
    entered = entry(n, traffic=0, **given)
    if given["sources"] == ["gateway"] and given.get("kind", Kind.REFUSAL) == Kind.REFUSAL:
        hour = entered.refusals[0].at[:13]
        entered.traffic = [(Traffic(hour=hour, model=given["model"], outcome=Result.REFUSED), 1)]
    return entered


@pytest.fixture
def mixed(db: Path) -> Path:
    """Three months, of which the second has nothing: five refusals in 105 requests, and two that were imported."""
    keep(
        db,
        traffic(Result.ANSWERED, 60, hour="2026-09-10T10"),
        traffic(Result.ANSWERED, 40, hour="2026-11-10T10", model=OTHER),
        recorded(1, at="2026-09-10T10:00:00.000Z", project="lab"),
        recorded(2, at="2026-09-11T10:00:00.000Z", outcome=Outcome.RECOVERED_BY_CLIENT),
        recorded(3, at="2026-09-12T10:00:00.000Z", category=None),
        recorded(4, at="2026-11-10T10:00:00.000Z", model=OTHER),
        recorded(5, at="2026-11-11T10:00:00.000Z", category="bio", model=OTHER),
        recorded(6, at="2026-11-11T11:00:00.000Z", source="transcript", sources=["transcript"], model="claude-old"),
        recorded(
            7, at="2026-11-11T12:00:00.000Z", source="transcript", sources=["transcript"], outcome=Outcome.UNKNOWN
        ),
        recorded(8, at="2026-11-11T13:00:00.000Z", kind=Kind.OUTPUT_FILTER, category=None),
    )
    return db


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def test_a_category_has_its_share_its_rate_against_all_and_its_gap(mixed: Path) -> None:
    title, *rows = lines(demur("stats", "--group", "category", db=mixed))
    assert cells(title) == ["CATEGORY", "REFUSED", "APART", "SHARE", "RATE", "95%", "IN THE END", "GAP"]
    assert cells(rows[0]) == ["cyber", "5", "2", "71.4%", "2.86%", "0.98%-8.07%", "3", "75.0%"]
    assert [cells(row)[:2] for row in rows[1:4]] == [["none", "1"], ["bio", "1"], ["all", "7"]]
    assert rows[4] == "A rate is against the 105 requests of the whole period, a share is of the refusals."
    assert rows[5:] == [
        "No rate has what stands apart (2): these refusals are none of the counted requests.",
        "How 1 refusal ended is not known: the gap is that of the others.",
    ]


def test_a_models_rate_is_against_its_own_requests_and_an_imported_ones_is_not_told(mixed: Path) -> None:
    found = {record["model"]: record for record in objects(demur("stats", "--group", "model", "--json", db=mixed))}
    assert [found[MODEL][name] for name in ("refusals", "refused_at_first", "apart", "requests", "rate")] == [
        4,
        3,
        1,
        63,
        3 / 63,
    ]
    assert found[MODEL]["against"] == ["model"]
    assert (found[MODEL]["refused_in_the_end"], found[MODEL]["gap"]) == (2, 2 / 3)
    old = found["claude-old"]
    assert [old[name] for name in ("refusals", "requests", "rate", "rate_low", "rate_high")] == [1, 0, None, None, None]
    row = next(row for row in lines(demur("stats", "--group", "model", db=mixed)) if row.startswith("claude-old"))
    assert cells(row) == ["claude-old", "0", "1", "1", "-", "-", "1", "100.0%"]


def test_what_nobody_counted_has_a_share_and_no_rate(mixed: Path) -> None:
    title, *rows = lines(demur("stats", "--group", "project", db=mixed))
    assert cells(title) == ["PROJECT", "REFUSED", "SHARE", "IN THE END", "GAP"]
    assert cells(rows[0])[:4] == ["unknown", "6", "85.7%", "4"]
    assert cells(rows[1])[:4] == ["lab", "1", "14.3%", "1"]
    assert rows[3].startswith("A share is of the refusals: ")
    record = objects(demur("stats", "--group", "project", "--json", db=mixed))[0]
    assert [record[name] for name in ("project", "against", "requests", "rate")] == [None, None, None, None]


def test_two_fields_give_a_row_for_each_two_values(mixed: Path) -> None:
    found = objects(demur("stats", "--group", "model, category", "--json", db=mixed))
    assert {(record["model"], record["category"]): (record["refusals"], record["requests"]) for record in found} == {
        (MODEL, "cyber"): (3, 63),
        (MODEL, None): (1, 63),
        (OTHER, "cyber"): (1, 42),
        (OTHER, "bio"): (1, 42),
        ("claude-old", "cyber"): (1, 0),
    }
    assert {tuple(record["against"]) for record in found} == {("model",)}


def test_other_kinds_are_told_where_kinds_are_asked_for(mixed: Path) -> None:
    found = {
        record["kind"]: record["refusals"] for record in objects(demur("stats", "--group", "kind", "--json", db=mixed))
    }
    assert found == {"refusal": 7, "output_filter": 1}


def test_each_period_has_a_row_also_where_there_was_nothing(mixed: Path) -> None:
    found = objects(demur("stats", "--by", "month", "--json", db=mixed))
    assert [(record["period"], record["requests"], record["refusals"]) for record in found] == [
        ("2026-09", 63, 3),
        ("2026-10", 0, 0),
        ("2026-11", 42, 4),
    ]
    assert [record["rate"] for record in found] == [3 / 63, None, 2 / 42]
    title, *rows = lines(demur("stats", "--by", "month", db=mixed, COLUMNS="100"))
    assert cells(title)[0::8] == ["MONTH", "CHART"]
    assert [(cells(row)[0], row.count("#")) for row in rows[:3]] == [("2026-09", 9), ("2026-10", 0), ("2026-11", 12)]


def test_a_period_and_a_group_give_a_pivot_and_bars_with_a_legend(mixed: Path) -> None:
    found = objects(demur("stats", "--by", "month", "--group", "category", "--json", db=mixed))
    assert len(found) == 9
    assert {(record["period"], record["category"]): record["refusals"] for record in found} == {
        **{(month, category): 0 for month in ("2026-09", "2026-10", "2026-11") for category in ("cyber", "bio", None)},
        ("2026-09", "cyber"): 2,
        ("2026-09", None): 1,
        ("2026-11", "cyber"): 3,
        ("2026-11", "bio"): 1,
    }
    assert {record["requests"] for record in found if record["period"] == "2026-11"} == {42}
    printed = lines(demur("stats", "--by", "month", "--group", "category", db=mixed, COLUMNS="60"))
    assert cells(printed[0])[:3] == ["MONTH", "ALL", "CYBER"]
    assert cells(printed[1])[:3] == ["2026-09", "3", "2"]
    assert re.fullmatch(r"2026-09  #{6}(={3}|\+{3})", printed[5])
    assert printed[6] == "2026-10"
    assert printed[8].startswith("# cyber   = ")
    assert max(map(len, printed)) <= 60


def test_more_groups_than_marks_are_told_together(db: Path) -> None:
    keep(db, *(recorded(n, category=f"c{n}") for n in range(12)))
    printed = lines(demur("stats", "--by", "day", "--group", "category", db=db))
    assert cells(printed[0])[-1] == "OTHER"
    assert cells(printed[1])[-1] == "4"
    assert printed[3].endswith("." * 12)
    assert printed[4].endswith(". other")


def test_a_value_called_like_a_column_has_a_column_of_its_own(db: Path) -> None:
    keep(db, recorded(1, category="day"), recorded(2, category="all"), recorded(3, category=ESCAPES))
    result = demur("stats", "--by", "day", "--group", "category", db=db)
    assert {"DAY", "ALL", "DAY'", "ALL'"} < set(cells(lines(result)[0]))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b]", result.stdout)


def test_until_leaves_out_what_is_later_and_keeps_the_hour_itself(db: Path) -> None:
    keep(
        db,
        traffic(Result.REFUSED, 2, hour="2099-11-23T13"),
        traffic(Result.REFUSED, 3),
        traffic(Result.REFUSED, 4, hour="2099-11-23T15"),
    )
    keep(db, by_client(1, at="2099-11-23T14:59:00.000Z"), by_client(2, at="2099-11-23T15:00:00.000Z"))
    found = {
        when: counted(db, "--until", f"2099-11-23T{when}Z")[MODEL] for when in ("14:00", "14:30", "15:00", "15:01")
    }
    assert [found[when]["refused_at_first"] for when in found] == [2, 5, 5, 9]
    assert [found[when]["recovered_by_client"] for when in found] == [0, 1, 1, 2]
    assert fails(demur("stats", "--until", "soon", db=db), code=2).startswith("demur: --until 'soon' is no time")
    assert "too late" in fails(demur("stats", "--until", "9999-12-31T23:30Z", db=db), code=2)


def test_a_category_alone_is_counted_by_model_against_all_its_requests(mixed: Path) -> None:
    found = counted(mixed, "--category", "cyber")
    assert [found[MODEL][name] for name in ("requests", "refused_at_first", "recovered_by_client")] == [63, 2, 1]
    assert [found[OTHER][name] for name in ("requests", "refused_at_first")] == [42, 1]
    assert list(counted(mixed, "--category", "none")) == [MODEL]


def test_pairs_are_contents_that_one_model_declined_and_another_accepted(db: Path) -> None:
    keep(
        db,
        recorded(1, asked="b2:a", request_id="req_1", at="2099-11-23T14:00:00.000Z"),
        recorded(2, asked="b2:a", request_id="req_2", at="2099-11-24T14:00:00.000Z"),
        recorded(3, asked="b2:b", request_id="req_3"),
    )
    with Store.open(db) as store, store.transaction() as connection:
        rows = [("b2:a", f"{OTHER}-20260101"), ("b2:a", f"{MODEL}-20260101"), ("b2:c", OTHER)]
        connection.executemany("insert into passes values (?, ?, '2099-11-25T14:00:00.000Z', 'req_9', 1)", rows)
    (pair,) = objects(demur("stats", "--pairs", "--json", db=db))
    assert (pair["asked"], pair["declined_by"], pair["accepted_by"], pair["categories"]) == (
        "b2:a",
        MODEL,
        OTHER,
        ["cyber"],
    )
    assert [(one["id"], one["request_id"], one["at"][:10]) for one in pair["declined"]] == [
        (name(1), "req_1", "2099-11-23"),
        (name(2), "req_2", "2099-11-24"),
    ]
    at = "2099-11-25T14:00:00.000Z"
    assert pair["accepted"] == [
        {"request_id": "req_9", "at": at, "model": f"{OTHER}-20260101", "by": "another request"}
    ]
    assert pair["newest"] == at
    title, row, *_ = lines(demur("stats", "--pairs", db=db, TZ="UTC"))
    assert cells(title) == ["DECLINED BY", "ACCEPTED BY", "CONTENTS", "REFUSALS", "NEWEST"]
    assert cells(row)[:4] == [MODEL, OTHER, "1", "2"]
    assert lines(demur("stats", "--pairs", "--category", "bio", db=db)) == [
        "No content that one model declined was seen to pass at another."
    ]


def test_authors_have_their_judgements_and_each_two_their_agreement(db: Path) -> None:
    assert "Nothing is recorded yet" in lines(demur("stats", "--group", "author", db=db))[0]
    keep(db, *(recorded(n) for n in range(1, 5)))
    assert "Nobody has judged" in lines(demur("stats", "--group", "author", db=db))[0]
    said = {"ann": "ffcc", "bob": "ffcf"}
    verdicts = {"f": Verdict.FALSE_POSITIVE, "c": Verdict.CORRECT}
    with Store.open(db) as store:
        for author, letters in said.items():
            for n, letter in enumerate(letters, 1):
                at = "2099-11-23T15:00:00.000Z"
                judge(store, Judgement(refusal_id=name(n), at=at, author=author, verdict=verdicts[letter]))
    found = objects(demur("stats", "--group", "author", "--json", db=db))
    assert {(one["author"], one["verdict"]): one["judgements"] for one in found[:-1]} == {
        ("ann", "false_positive"): 2, ("ann", "correct"): 2, ("ann", "unsure"): 0,
        ("bob", "false_positive"): 3, ("bob", "correct"): 1, ("bob", "unsure"): 0,
    }  # fmt: skip
    assert found[-1] == {"author": "ann", "other": "bob", "n": 4, "observed": 0.75, "expected": 0.5, "kappa": 0.5}
    printed = lines(demur("stats", "--group", "author", db=db))
    assert [cells(row) for row in printed[1:3]] == [["ann", "4", "2", "2", "0"], ["bob", "4", "3", "1", "0"]]
    assert cells(printed[5]) == ["ann", "bob", "4", "75.0%", "50.0%", "too few"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("--group colour", "'colour' is no field"),
        ("--group model,role,user", "one field, or two"),
        ("--group model,model", "one field, or two"),
        ("--group author,model", "stands alone"),
        ("--group author --by day", "stands alone"),
        ("--group author --until 2h", "--since alone"),
        ("--pairs --by day", "--pairs stands without"),
        ("--pairs --no-imports", "--pairs stands without"),
        ("--group author --no-imports", "--since alone"),
        ("--markers some.csv", "goes with --plot"),
        ("--plot chart.pdf", ".svg or .png"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_line(db: Path, options: str, why: str) -> None:
    assert why in fails(demur("stats", *options.split(), db=db), code=2)


def test_too_many_periods_are_not_made(db: Path) -> None:
    keep(db, recorded(1, at="0900-01-01T10:00:00.000Z", sources=["har"]), recorded(2))
    assert "hours: say --since" in fails(demur("stats", "--by", "hour", db=db), code=2)
    assert len(objects(demur("stats", "--by", "month", "--json", db=db))) == 12 * 1199 + 11


def test_a_refusal_without_a_readable_time_is_left_out_and_said(db: Path) -> None:
    keep(db, recorded(1, at="yesterday", sources=["har"]), recorded(2))
    assert lines(demur("stats", "--by", "day", db=db))[-1] == "1 refusal without a readable time left out."
    assert (
        lines(demur("stats", "--by", "day", "--group", "category", db=db))[-1]
        == "1 refusal without a readable time left out."
    )
    assert "7" not in lines(demur("stats", "--group", "category", db=db))[1][:20]


def test_nothing_that_matches_is_said_whatever_is_asked(mixed: Path) -> None:
    for options in ("", "--by day", "--group category", "--by day --group category"):
        assert lines(demur("stats", "--model", "gpt", *options.split(), db=mixed)) == ["No counted request matches."]
        assert lines(demur("stats", "--json", "--model", "gpt", *options.split(), db=mixed)) == []


@pytest.fixture
def only_imported(tmp_path: Path, db: Path) -> Path:
    """A transcript of eight requests, three of which were declined: one was answered by another model, one again by the same. No proxy."""
    session = Session()
    for n in (1, 2):
        session.prompt(f"prompt {n}")
        session.answer(n)
    session.prompt("a harder one")
    session.refused(3)
    session.fallback(3)
    session.answer(4, model=FALLBACK)
    session.prompt("another one")
    session.refused(5)
    session.prompt("once more")
    session.answer(6, stop="refusal")
    session.note(6)
    session.answer(7)
    session.prompt("thanks")
    session.answer(8)
    file = tmp_path / "projects" / "session.jsonl"
    file.parent.mkdir()
    file.write_bytes(bytes(session))
    demur("import", file, db=db)
    return db


FROM_IMPORTS = (
    "Requests: 0 counted by demur, 8 told of by imported files. Each hour is taken from one of them, never from both."
)


def test_who_only_imported_has_rates_too(only_imported: Path) -> None:
    found = counted(only_imported)
    names = ("requests", "requests_imported", "refused_at_first", "recovered_by_client", "refused_in_the_end")
    assert {model: tuple(found[model][name] for name in names) for model in found} == {
        MODEL: (7, 7, 3, 2, 1),
        OTHER: (1, 1, 0, 0, 0),
    }
    assert found[MODEL]["rate"] == 3 / 7
    printed = lines(demur("stats", db=only_imported))
    assert cells(printed[1])[:4] == [MODEL, "7", "3", "42.9%"]
    assert printed[-1] == FROM_IMPORTS


def test_a_transcripts_refusals_are_in_the_rates_however_they_are_grouped(only_imported: Path) -> None:
    for group in ("category", "kind", "model", "outcome", "client_version", "role,category"):
        found = objects(demur("stats", "--group", group, "--json", db=only_imported))
        assert sum(record["refused_at_first"] for record in found) == 3, group
        assert {record["apart"] for record in found} == {0}, group
        assert {record["requests"] for record in found} == {record["requests_imported"] for record in found}, group
    (found_,) = objects(demur("stats", "--by", "month", "--json", db=only_imported))
    assert (found_["period"], found_["requests"], found_["requests_imported"], found_["rate"]) == (
        "2026-11",
        8,
        8,
        3 / 8,
    )
    for options in ("--by month", "--by month --group category", "--group category"):
        assert FROM_IMPORTS in lines(demur("stats", *options.split(), db=only_imported)), options
    assert FROM_IMPORTS not in lines(demur("stats", "--group", "project", db=only_imported))


def test_without_imports_there_is_only_what_went_through_demur(only_imported: Path, tmp_path: Path) -> None:
    nothing = ["No counted request matches."]
    for options in ("", "--by day", "--group category", "--by day --group model"):
        assert lines(demur("stats", "--no-imports", *options.split(), db=only_imported)) == nothing
    assert "nothing to plot" in fails(
        demur("stats", "--no-imports", "--plot", tmp_path / "chart.svg", db=only_imported)
    )
    told = lines(demur("stats", "--plot", tmp_path / "chart.svg", db=only_imported))
    assert told[0].endswith(
        "chart.svg: 3 refusals, 8 requests (8 told of by imported files), from 2026-11 to 2026-11, UTC"
    )


def test_a_session_that_went_through_demur_and_was_imported_too_counts_once(only_imported: Path) -> None:
    """demur saw two requests more in that hour, and nothing in the next, which a capture has."""
    keep(
        only_imported, traffic(Result.ANSWERED, 9, hour="2026-11-23T14"), traffic(Result.REFUSED, hour="2026-11-23T14")
    )
    with Store.open(only_imported) as store:
        imports = Imports(store)
        key = Traffic(hour="2026-11-23T15", model=MODEL, outcome=Result.ANSWERED)
        imports.take("/a.har", [pack(Entry(traffic=[(key, 4)]))])
        imports.done(FileMark("/a.har", 1, 1, "x"), source="har", whole=True)
    assert [counted(only_imported)[MODEL][name] for name in FIELDS[1:3]] == [14, 1]
    printed = lines(demur("stats", db=only_imported))
    assert printed[-2:] == [
        "Requests: 10 counted by demur, 4 told of by imported files. Each hour is taken from one of them, never from both.",
        "Not among these requests, and in no rate: 3 more refusals. --group model has them, under APART.",
    ]
    (record,) = objects(demur("stats", "--group", "category", "--json", db=only_imported))
    assert [record[name] for name in ("refusals", "refused_at_first", "apart", "requests", "rate")] == [3, 0, 3, 14, 0]


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_a_chart_is_written_and_told_in_a_line(mixed: Path, tmp_path: Path, suffix: str) -> None:
    markers = tmp_path / "releases.csv"
    markers.write_text("date,label\n2026-10-16,claude-next\n2020-01-01,long ago\n")
    file = tmp_path / f"chart{suffix}"
    told = lines(demur("stats", "--plot", file, "--markers", markers, db=mixed))
    assert told == [
        f"{file}: 7 refusals (2 of no counted request), 105 requests, from 2026-09 to 2026-11, UTC; 1 marker outside of that time left out"
    ]
    assert file.stat().st_size > 1000
    assert len(objects(demur("stats", "--plot", file, "--by", "week", "--json", db=mixed))) == 30


def test_where_there_is_nothing_to_plot_no_file_is_written(mixed: Path, tmp_path: Path) -> None:
    file = tmp_path / "chart.svg"
    assert "nothing to plot" in fails(demur("stats", "--plot", file, "--model", "gpt", db=mixed))
    assert "do not fit" in fails(demur("stats", "--plot", file, "--by", "hour", db=mixed))
    assert "cannot be written" in fails(demur("stats", "--plot", tmp_path / "no" / "chart.svg", db=mixed))
    assert not list(tmp_path.glob("*.svg*"))


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("m.csv", "2026-10-16,one,two\n", "line 1 is not date,label"),
        ("m.csv", "# mine\n\n16.10.2026,one\n", "line 3 has no date such as 2026-07-24"),
        ("m.csv", "2026-10-16, \n", "line 1 has no label"),
        ("m.toml", "[[marker]]\ndate = 5\nlabel = 'one'\n", "marker 1 has no date"),
        ("m.toml", "[[marker]]\ndate = 2026-10-16\n", "marker 1 is something else than date and label"),
        ("m.toml", "marker = 5\n", "something else than [[marker]] tables"),
        ("m.toml", "[[marker", "m.toml: "),
        ("none.csv", None, "cannot be read"),
    ],
)
def test_bad_markers_are_one_clear_line(mixed: Path, tmp_path: Path, name: str, text: str | None, why: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    file = tmp_path / "chart.svg"
    assert why in fails(demur("stats", "--plot", file, "--markers", tmp_path / name, db=mixed))
    assert not file.exists()


def test_markers_may_be_toml(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(
        "[[marker]]\ndate = 2026-10-16\nlabel = 'a day'\n[[marker]]\ndate = 2026-10-17T10:00:00Z\nlabel = 'a time'\n"
    )
    file = tmp_path / "chart.svg"
    demur("stats", "--plot", file, "--markers", tmp_path / "m.toml", db=mixed)
    assert "a day<" in file.read_text()
    assert "a time<" in file.read_text()


def test_a_kappa_is_printed_of_so_many_that_it_says_something(db: Path) -> None:
    keep(db, *(recorded(n) for n in range(FEWEST)))
    with Store.open(db) as store:
        for author, letters in {"ann": "fc" * (FEWEST // 2), "bob": "fc" * (FEWEST // 2)}.items():
            for n, letter in enumerate(letters):
                verdict = Verdict.FALSE_POSITIVE if letter == "f" else Verdict.CORRECT
                judge(
                    store, Judgement(refusal_id=name(n), at="2099-11-23T15:00:00.000Z", author=author, verdict=verdict)
                )
    printed = lines(demur("stats", "--group", "author", db=db))
    assert cells(printed[5]) == ["ann", "bob", str(FEWEST), "100.0%", "50.0%", "1.00"]
