import re
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from commands import (
    LISTED,
    declined,
    demur,
    fails,
    keep,
    lines,
    objects,
    on_terminal,
    orphan,
    posix,
    request,
    without_colour,
)
from entries import HOUR, disk, entry, name, remount
from proxy.cli import layout
from proxy.cli.options import moment_since
from schemas.labels import Kind, Outcome, Stage, Verdict
from schemas.records import Entry


def test_a_row_has_the_facts_and_no_text_of_the_request(db: Path) -> None:
    keep(db, declined(request(said="the prompt of mine")))
    result = demur("list", db=db)
    title, row = lines(result)
    assert title.split() == "ID TIME MODEL CATEGORY STAGE OUTCOME PROJECT REQUEST ID VERDICT".split()
    assert re.split(r"\s{2,}", row)[2:] == "claude-opus-5|cyber|before output|refused|lab-sheets|req_1|unknown".split(
        "|"
    )
    assert re.fullmatch(r"[0-9A-Z]{12}", row.split()[0])
    assert "prompt of mine" not in result.output
    assert "This request was declined" not in result.output


def test_json_gives_exactly_the_fields_of_the_interface_in_their_order(db: Path) -> None:
    keep(db, declined(request(), request_id="req_a"), declined(request(), request_id="req_b"))
    listed = objects(demur("list", "--json", "--all", db=db))
    assert [list(record) for record in listed] == [LISTED, LISTED]
    (incident,) = objects(demur("list", "--json", db=db))
    assert list(incident) == [*LISTED, "refusals", "first_at", "last_at", "ids"]
    first = listed[0]
    assert first["at"] == "2026-11-23T14:36:02.324Z"
    assert (first["category"], first["stage"], first["role"]) == ("cyber", "before_output", "main")
    assert first["sources"] == ["gateway"]
    assert first["tags"] == []
    assert first["agent_id"] is None


def test_the_newest_is_the_first(db: Path) -> None:
    keep(db, entry(2), entry(3), entry(1))
    assert [record["id"] for record in objects(demur("list", "--json", db=db))] == [name(3), name(2), name(1)]
    every = objects(demur("list", "--json", "--all", db=db))
    assert [record["id"] for record in every] == [name(3), name(2), name(1)]


def test_an_incident_is_one_line_told_as_its_first_with_the_end_of_its_last(db: Path) -> None:
    keep(db, *(again(n, category="cyber") for n in range(1, 4)), entry(9))
    keep(db, again(5, outcome=Outcome.RECOVERED_BY_CLIENT, answered_by="claude-opus-4-8", turns_elsewhere=2))
    title, other, row, *_ = lines(demur("list", db=db))
    assert title.split()[:3] == ["ID", "N", "TIME"]
    assert re.split(r"\s{2,}", other)[1] == "1"
    assert re.split(r"\s{2,}", row)[:2] == [name(1), "4"]
    assert "recovered by the client (claude-opus-4-8) +2 turns" in row
    incident = objects(demur("list", "--json", db=db))[1]
    assert (incident["id"], incident["refusals"], incident["outcome"]) == (name(1), 4, "recovered_by_client")
    assert incident["ids"] == [name(n) for n in (1, 2, 3, 5)]
    assert (incident["first_at"], incident["last_at"]) == (entry(1).refusals[0].at, entry(5).refusals[0].at)
    assert "N" not in lines(demur("list", "--all", db=db))[0].split()


def test_an_incident_is_judged_once_any_of_its_refusals_is(db: Path) -> None:
    keep(db, again(1), again(2, verdict=Verdict.FALSE_POSITIVE, domain="data", tags=["x"]), again(3))
    (incident,) = objects(demur("list", "--json", db=db))
    assert (incident["verdict"], incident["domain"], incident["tags"]) == ("false_positive", "data", ["x"])
    assert objects(demur("list", "--json", "--unjudged", db=db)) == []
    every = objects(demur("list", "--json", "--unjudged", "--all", db=db))
    assert [record["id"] for record in every] == [name(3), name(1)]


def test_an_incident_whose_first_refusal_is_gone_is_still_one(db: Path) -> None:
    keep(db, *(again(n) for n in range(3)))
    with closing(sqlite3.connect(db)) as other:
        other.executescript(f"delete from refusals where id = '{name(0)}'")
    (incident,) = objects(demur("list", "--json", db=db))
    assert incident["ids"] == [name(1), name(2)]


def test_times_are_those_of_this_machine(db: Path, tokyo: None) -> None:
    keep(db, declined(request()))
    assert "2026-11-23 23:36" in lines(demur("list", db=db))[1]
    assert "2026-11-23 23:36:02 +0900 (2026-11-23T14:36:02.324Z)" in demur("show", "last", db=db).stdout


def test_thirty_are_shown_and_the_last_line_says_how_many_more(db: Path) -> None:
    keep(db, *(entry(n) for n in range(33)))
    listed = lines(demur("list", db=db))
    assert len(listed) == 1 + 30 + 1
    assert listed[-1] == "3 more: --limit 33 shows all"
    assert len(lines(demur("list", "--limit", 33, db=db))) == 1 + 33
    assert len(lines(demur("list", "--limit", 2, db=db))) == 1 + 2 + 1
    assert len(objects(demur("list", "--json", db=db))) == 33
    assert len(objects(demur("list", "--json", "--limit", 2, db=db))) == 2


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "claude-fable-5"], [2]),
        (["--category", "cyber"], [1]),
        (["--category", "none"], [3, 2]),
        (["--kind", "output_filter"], [3]),
        (["--unjudged"], [2, 1]),
        (["--since", "2099-11-23T14:00:02Z"], [3, 2]),
        (["--since", "2h"], [3, 2, 1]),
        (["--kind", "refusal", "--unjudged", "--category", "none"], [2]),
    ],
)
def test_filters_choose(db: Path, arguments: list[str], expected: list[int]) -> None:
    keep(
        db,
        entry(1, category="cyber"),
        entry(2, model="claude-fable-5"),
        entry(3, kind=Kind.OUTPUT_FILTER, verdict=Verdict.CORRECT),
    )
    assert [record["id"] for record in objects(demur("list", "--json", *arguments, db=db))] == [
        name(n) for n in expected
    ]


def test_where_nothing_is_like_that_a_line_says_so(db: Path) -> None:
    keep(db, entry(1), entry(2))
    assert lines(demur("list", "--model", "gpt", db=db)) == ["No recorded refusal (of 2) matches."]
    assert lines(demur("list", "--model", "gpt", "--json", db=db)) == []


def test_what_the_api_and_the_filters_call_it_is_listed_verbatim(db: Path) -> None:
    keep(db, entry(1, category="frontier_llm"), entry(2, kind=Kind.OUTPUT_FILTER))
    listed = lines(demur("list", db=db))
    assert "  output_filter  " in listed[1]
    assert "  frontier_llm   " in listed[2]
    assert len(lines(demur("list", "--kind", "output_filter", db=db))) == 2


def test_the_help_says_that_json_is_one_object_a_line() -> None:
    assert "JSON, one object a line" in demur("list", "--help").stdout


def test_columns_are_heeded_in_a_pipe_and_nothing_is_cut_without_them(at_home: Path, db: Path) -> None:
    keep(db, entry(1, category="frontier_llm", project="a-very-long-name-of-a-project", request_id="req_" + "1" * 24))
    commands = [["list"], ["show", "last"], ["doctor", "--offline"]]
    for command in commands:
        narrow = demur(*command, db=db, COLUMNS="70").stdout.splitlines()
        whole = demur(*command, db=db).stdout.splitlines()
        assert max(map(len, whole)) > 70, command
        assert max(len(line) for line in narrow if "/" not in line) <= 70, command
    assert "req_" + "1" * 24 in lines(demur("list", db=db))[1]
    assert lines(demur("list", db=db, COLUMNS="many")) == lines(demur("list", db=db))


@pytest.mark.parametrize(
    ("when", "meant"),
    [
        ("90m", "2026-11-23T10:30:00.000Z"),
        ("2h", "2026-11-23T10:00:00.000Z"),
        ("3d", "2026-11-20T12:00:00.000Z"),
        ("1w", "2026-11-16T12:00:00.000Z"),
        ("2026-11-20", "2026-11-19T15:00:00.000Z"),
        ("2026-11-20T09:30", "2026-11-20T00:30:00.000Z"),
        ("2026-11-20T09:30:00Z", "2026-11-20T09:30:00.000Z"),
        ("2026-11-20T09:30:00+01:00", "2026-11-20T08:30:00.000Z"),
    ],
)
def test_since_takes_an_age_a_day_or_a_time(when: str, meant: str, tokyo: None) -> None:
    assert moment_since(when, datetime(2026, 11, 23, 12, tzinfo=UTC)) == meant


@pytest.mark.parametrize("when", ["yesterday", "", "3", "3y", "2026-13-01", "999999w", "0001-01-01"])
def test_a_time_that_is_none_is_told_in_one_line(db: Path, when: str) -> None:
    keep(db, entry(1))
    if when == "0001-01-01":
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            result = demur("list", "--since", when, db=db)
        time.tzset()
    else:
        result = demur("list", "--since", when, db=db)
    assert "2h, 3d, 2026-11-20" in fails(result, code=2)


def test_a_kind_that_there_is_not_is_wrong_usage(db: Path) -> None:
    assert demur("list", "--kind", "nonsense", db=db).exit_code == 2
    assert demur("list", "--limit", "0", db=db).exit_code == 2


def test_without_a_database_the_list_tells_how_to_begin_and_makes_none(db: Path) -> None:
    (line,) = lines(demur("list", db=db))
    assert "demur run -- claude" in line
    assert lines(demur("list", "--json", db=db)) == []
    assert not list(db.parent.iterdir())


def test_an_empty_database_says_whether_anything_went_through(db: Path) -> None:
    keep(db)
    assert lines(demur("list", db=db))[0].startswith("Nothing is recorded yet: ")
    keep(db, Entry(traffic=[(HOUR, 1204)]))
    assert lines(demur("list", db=db)) == ["Nothing was declined: 1,204 requests went through demur."]


def test_what_a_killed_writer_left_is_listed(db: Path) -> None:
    keep(db, entry(1))
    left = orphan(db, entry(2))
    result = demur("list", "--json", db=db)
    assert [record["id"] for record in objects(result)] == [name(2), name(1)]
    assert result.stderr == ""
    assert not left.exists()


def test_what_a_killed_writer_left_is_listed_even_without_a_database(db: Path) -> None:
    orphan(db, entry(1))
    assert [record["id"] for record in objects(demur("list", "--json", db=db))] == [name(1)]


def test_a_database_that_another_process_writes_to_is_listed_with_a_warning(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.cli.database.PATIENCE", 0.05)
    keep(db, entry(1))
    left = orphan(db, entry(2))
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("begin immediate")
        result = demur("list", "--json", db=db)
    assert [record["id"] for record in objects(result)] == [name(1)]
    assert "locked by another process" in result.stderr
    assert left.exists()


@posix
def test_a_database_on_a_read_only_disk_is_listed_with_a_warning(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as folder:
        keep(folder / "demur.db", entry(1))
        remount(folder, "ro")
        result = demur("list", "--json", db=folder / "demur.db")
        assert [record["id"] for record in objects(result)] == [name(1)]
        assert "warning" in result.stderr
        remount(folder, "rw")


@posix
def test_the_list_fits_the_terminal_and_names_what_it_leaves_out(db: Path) -> None:
    keep(db, entry(1, model="claude-opus-5-20260101", category="frontier_llm", project="a-very-long-name-of-a-project"))
    keep(db, entry(2, model="claude-opus-5", category="cyber", request_id="req_" + "1" * 24, stage=Stage.MID_STREAM))
    for columns in (60, 80, 120):
        seen = without_colour(on_terminal(columns, "list", "--db", db))
        assert max(map(len, seen[:3])) <= columns
        assert seen[1].startswith(name(2)[:12])
    wide = without_colour(on_terminal(200, "list", "--db", db))
    assert "req_" + "1" * 24 in wide[1]
    assert len(wide) == 3
    assert "request id" in without_colour(on_terminal(80, "list", "--db", db))[3]


@posix
def test_colour_is_for_terminals_that_want_it(db: Path) -> None:
    keep(db, declined(request()))
    for command in (["list"], ["show", "last"], ["doctor", "--offline"]):
        assert "\x1b[" in on_terminal(100, *command, "--db", db)
        assert "\x1b[" not in on_terminal(100, *command, "--db", db, NO_COLOR="1")
        assert "\x1b[" not in demur(*command, db=db).stdout


def test_columns_stand_under_each_other_also_with_wide_characters(db: Path) -> None:
    keep(db, entry(1, project="実験ノート", request_id="req_1"), entry(2, project="e\u0301", request_id="req_2"))
    starts = [layout.width(line.partition("req_")[0]) for line in lines(demur("list", db=db))[1:]]
    assert len(set(starts)) == 1


def test_the_outcome_says_which_model_answered_and_how_many_later_turns(db: Path) -> None:
    answered: dict[str, Any] = {"outcome": Outcome.RECOVERED_BY_DEMUR, "answered_by": "claude-opus-4-8"}
    keep(db, entry(1, **answered), entry(2, **answered, turns_elsewhere=1), entry(3, **answered, turns_elsewhere=3))
    keep(db, entry(4, outcome=Outcome.RECOVERED_BY_CLIENT))
    told = [re.split(r"\s{2,}", line)[5] for line in lines(demur("list", db=db))[1:]]
    assert told == [
        "recovered by the client",
        "recovered by demur (claude-opus-4-8) +3 turns",
        "recovered by demur (claude-opus-4-8) +1 turn",
        "recovered by demur (claude-opus-4-8)",
    ]
    narrow = demur("list", db=db, COLUMNS="80").stdout.splitlines()
    assert narrow[2].endswith(" by demur (opus-4-8) +3")
    assert max(map(len, narrow)) <= 80
    assert "turns_elsewhere" not in objects(demur("list", "--json", db=db))[0]


SESSION = "11111111-2222-4333-8444-555555555555"


def again(n: int, **fields: Any) -> Entry:
    """One more refusal of a turn that was sent again."""
    return entry(n, **{"session_id": SESSION, "asked": "b2:same", "outcome": Outcome.REFUSED, **fields})


def looped(db: Path, *arguments: object) -> list[str]:
    return [line for line in lines(demur("list", *arguments, db=db)) if line.startswith("A loop: ")]


def test_a_loop_is_told_once_with_how_many_who_since_when_and_what_to_do(db: Path, tokyo: None) -> None:
    keep(db, entry(0), *(again(n) for n in range(1, 6)))
    listed = lines(demur("list", db=db))
    assert len(listed) == 1 + 2 + 1
    assert listed[-1] == (
        "A loop: 11111111-222 was declined 5 times in a row on the same turn, since 2099-11-23 23:00."
        " Go back before it with /rewind or Esc Esc, or begin anew with /clear;"
        " retry.tool_guard = true stops the loop of a tool."
    )
    assert len(lines(demur("list", "--json", "--all", db=db))) == 6


def test_two_in_a_row_are_no_loop_and_neither_is_what_nobody_can_tell_apart(db: Path) -> None:
    keep(db, again(1), again(2), again(3, asked="b2:other"), again(4), again(5))
    keep(db, *(again(n, session_id=None) for n in range(6, 10)), *(again(n, asked=None) for n in range(10, 14)))
    keep(db, *(again(n, session_id="s", kind=Kind.OUTPUT_FILTER) for n in range(14, 18)))
    keep(db, *(again(n, session_id="t", outcome=Outcome.RECOVERED_BY_DEMUR) for n in range(18, 22)))
    keep(db, *(again(n, session_id="u", agent_id=str(n)) for n in range(22, 26)))
    assert looped(db, "--limit", 99) == []


def test_a_loop_is_told_whatever_other_sessions_do_between(db: Path) -> None:
    keep(db, *(again(n, session_id="ab"[n % 2], agent_id="x") for n in range(8)))
    assert [line.split(" was ")[0] for line in looped(db)] == ["A loop: b (a sub-agent)", "A loop: a (a sub-agent)"]


def test_a_loop_of_which_less_than_three_are_shown_is_not_told_and_a_long_one_is_counted_whole(db: Path) -> None:
    keep(db, *(again(n) for n in range(40)))
    assert looped(db, "--all", "--limit", 2) == []
    (told,) = looped(db, "--all")
    assert looped(db) == [told]
    assert "40 times in a row" in told
    assert max(map(len, demur("list", db=db, COLUMNS="80").stdout.splitlines())) <= 80


def test_the_list_and_the_log_call_the_same_a_loop() -> None:
    from proxy.cli.loops import LOOP
    from proxy.loops import LOOP as IN_THE_LOG

    assert LOOP == IN_THE_LOG


def test_a_terminal_too_narrow_for_anything_still_gets_whole_ids(db: Path) -> None:
    keep(db, entry(1, outcome=Outcome.RECOVERED_BY_DEMUR, answered_by="claude-opus-4-8"))
    listed = demur("list", db=db, COLUMNS="20").stdout.splitlines()
    assert listed[1].startswith(name(1)[:12])
    assert "by de…" in listed[1]
