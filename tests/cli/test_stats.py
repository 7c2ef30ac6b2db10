"""``demur stats``: what each model declined, who recovered it, and what was left."""

import re
from pathlib import Path
from typing import Any

import pytest

from commands import ESCAPES, demur, fails, keep, lines, objects
from entries import entry, name
from schemas.labels import Kind, Outcome, Result
from schemas.records import Attempt, Entry, Traffic, Update

MODEL, OTHER = "claude-opus-5", "claude-opus-4-8"
FIELDS = (
    "model requests refused_at_first recovered_by_demur recovered_by_api recovered_by_client refused_in_the_end gap turns_elsewhere"
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
    assert [list(record.values()) for record in found] == [
        [MODEL, 105, 8, 3, 1, 1, 3, 0.375, 5],
        [OTHER, 7, 0, 0, 0, 0, 0, None, 0],
    ]


def test_the_table_says_the_same_and_adds_it_up(db: Path) -> None:
    keep(db, traffic(Result.REFUSED, 1200), traffic(Result.RECOVERED_BY_DEMUR, 300, model=OTHER, answered_by=MODEL))
    title, *rows = [re.split(r"\s{2,}", line) for line in lines(demur("stats", db=db))]
    assert title == "MODEL|REQUESTS|REFUSED|BY DEMUR|BY API|BY CLIENT|IN THE END|GAP|ELSEWHERE".split("|")
    assert rows == [
        [MODEL, "1,200", "1,200", "0", "0", "0", "1,200", "100.0%", "0"],
        [OTHER, "300", "300", "300", "0", "0", "0", "0.0%", "0"],
        ["all", "1,500", "1,500", "300", "0", "0", "1,200", "80.0%", "0"],
    ]
    narrow = demur("stats", db=db, COLUMNS="60").stdout.splitlines()
    assert max(map(len, narrow)) <= 60
    assert narrow[-1] == "Too narrow for: by api, by client. --json has all."
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


@pytest.mark.parametrize("option", ["--by", "--group", "--plot"])
def test_what_comes_later_is_not_taken_for_known(db: Path, option: str) -> None:
    assert demur("stats", option, "day", db=db).exit_code == 2


def test_a_model_without_a_name_or_with_an_evil_one_is_told(db: Path) -> None:
    keep(db, traffic(Result.REFUSED, model=""), traffic(Result.ANSWERED, model=ESCAPES))
    result = demur("stats", db=db)
    assert "unknown" in result.stdout
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u200b]", result.stdout)
    assert [record["model"] for record in objects(demur("stats", "--json", db=db))] == [None, ESCAPES]
