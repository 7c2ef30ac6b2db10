"""What ``demur show`` says of what was tried."""

import re
from pathlib import Path
from typing import Any

import pytest

from commands import ESCAPES, demur, keep, lines, objects
from entries import entry
from proxy.cli import words
from proxy.cli.layout import folded, width
from schemas.labels import Outcome, Result, Ruling
from schemas.records import Attempt, Entry, Rephrasing, Update

DECLINED = Attempt(
    n=0,
    by="client",
    model="claude-opus-5",
    outcome=Result.REFUSED,
    category="cyber",
    input_tokens=412,
    output_tokens=3,
    status=200,
    request_id="req_first",
    ms=812,
)
FAILED = Attempt(
    n=1,
    by="demur",
    model="claude-opus-4-8",
    outcome=Result.ERROR,
    strategy="fallback",
    status=529,
    why="HTTP 529",
    ms=33,
)
ANSWERED = Attempt(
    n=2,
    by="demur",
    model="claude-opus-4-6",
    outcome=Result.ANSWERED,
    strategy="scope-note",
    output_tokens=1264,
    ms=2133,
)


def tried(*attempts: Attempt, rephrasings: tuple[Rephrasing, ...] = (), **fields: Any) -> Entry:
    kept = entry(1, **fields)
    kept.attempts = [DECLINED, *attempts]
    kept.updates = [Update(refusal_id=kept.refusals[0].id, rephrasings=list(rephrasings))]
    return kept


def shown(db: Path, *arguments: str) -> list[str]:
    return lines(demur("show", "last", *arguments, db=db))


def test_each_attempt_has_its_number_sender_model_and_what_came_of_it(db: Path) -> None:
    keep(db, tried(FAILED, ANSWERED))
    told = shown(db)
    start = told.index("Attempts")
    assert told[start + 1 : start + 4] == [
        "   0  the client  claude-opus-5    declined (cyber); 412 in, 3 out; 812 ms; req_first",
        "   1  demur       claude-opus-4-8  fallback: failed (HTTP 529); 33 ms",
        "   2  demur       claude-opus-4-6  scope-note: answered; 1,264 out; 2,133 ms",
    ]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"by": "api", "model": None, "outcome": Result.ANSWERED}, "the API itself  unknown        answered"),
        ({"outcome": Result.ERROR, "status": 503}, "failed (HTTP 503)"),
        ({"outcome": Result.ERROR, "why": "no answer in time"}, "failed (no answer in time)"),
        ({"outcome": Result.CUT, "why": "it broke off", "status": 200}, "cut off (it broke off)"),
        ({"outcome": Result.ANSWERED, "status": 200, "strategy": "sticky"}, "sticky: answered"),
    ],
    ids=str,
)
def test_a_failure_is_told_by_its_reason_or_its_status(db: Path, fields: dict[str, Any], told: str) -> None:
    keep(db, tried(Attempt(**{"n": 1, "by": "demur", "model": "m", **fields})))
    (row,) = [line for line in shown(db) if line.startswith("   1  ")]
    assert told in row


def test_long_rows_of_attempts_stay_within_the_terminal(db: Path) -> None:
    keep(db, tried(Attempt(n=1, by="demur", model="claude-opus-4-8", outcome=Result.ERROR, why="word " * 30)))
    narrow = demur("show", "last", db=db, COLUMNS="70").stdout.splitlines()
    assert max(map(len, narrow)) <= 70
    assert sum("word" in line for line in narrow) > 3


def test_without_attempts_there_is_no_heading(db: Path) -> None:
    kept = entry(1)
    kept.attempts = []
    keep(db, kept)
    assert "Attempts" not in shown(db)
    assert "Rephrased" not in shown(db)


def test_every_ruling_and_every_result_has_its_sentence() -> None:
    assert set(words.RULINGS) == set(Ruling)
    assert set(words.RESULTS) == set(Result)
    again = {Ruling.RECOVERED, Ruling.EXHAUSTED}
    for ruling, sentence in words.RULINGS.items():
        assert sentence.startswith("asked again" if ruling in again else "not asked again: "), ruling
        assert not sentence.endswith(".")
    assert len(set(words.RULINGS.values())) == len(Ruling)


@pytest.mark.parametrize("ruling", Ruling)
def test_show_says_which_rule_decided(db: Path, ruling: Ruling) -> None:
    keep(db, entry(1, ruling=ruling))
    assert f"retry {words.RULINGS[ruling]}" in " ".join(" ".join(shown(db)).split())


def test_a_rule_that_stopped_a_chain_half_way_is_told_so(db: Path) -> None:
    keep(db, tried(FAILED, ruling=Ruling.MAX_ATTEMPTS))
    assert "not asked once more: the request had had its further attempts" in " ".join(" ".join(shown(db)).split())


def test_what_the_client_asked_by_itself_is_not_called_asked_by_demur(db: Path) -> None:
    kept = entry(1, ruling=Ruling.MID_STREAM, outcome=Outcome.RECOVERED_BY_CLIENT)
    kept.attempts = [Attempt(n=1, by="client", model="claude-opus-4-8", outcome=Result.ANSWERED)]
    keep(db, kept)
    assert "retry not asked again: output had been sent" in " ".join(" ".join(shown(db)).split())


def test_where_nobody_decided_nothing_is_said_and_an_unknown_ruling_is_shown_as_it_is(db: Path) -> None:
    keep(db, entry(1))
    assert not [line for line in shown(db) if line.startswith("retry")]
    keep(db, entry(2, ruling=f"of_next_year{ESCAPES}"))
    (told,) = [line for line in shown(db) if line.startswith("retry")]
    assert told.split()[1].startswith("of_next_year\\x1b")


def test_a_model_on_which_the_conversation_stays_and_that_declined_was_not_asked_again(db: Path) -> None:
    kept = entry(1, ruling=Ruling.EXHAUSTED, outcome=Outcome.REFUSED)
    sticky = Attempt(n=0, by="demur", model="claude-opus-4-8", outcome=Result.REFUSED, strategy="sticky")
    kept.attempts = [sticky]
    keep(db, kept)
    told = " ".join(" ".join(shown(db)).split())
    assert (
        "retry not asked again: the conversation had stayed on a model, and after that one no other was asked" in told
    )
    assert "It ended there." in told
    assert "demur then asked" not in told
    kept = entry(2, ruling=Ruling.EXHAUSTED)
    kept.attempts = [sticky, FAILED]
    keep(db, kept)
    told = " ".join(" ".join(shown(db)).split())
    assert "retry asked again, but every model that was asked declined or failed" in told
    kept = entry(3, ruling=Ruling.MID_STREAM)
    kept.attempts = [sticky]
    keep(db, kept)
    assert "retry not asked again: output had been sent" in " ".join(" ".join(shown(db)).split())


@pytest.mark.parametrize(
    ("why", "told"),
    [
        (None, "restated 1 further request went to the model that restates: in neither the attempts nor the cost"),
        ("not sent: it adds a claim", None),
    ],
)
def test_the_request_to_the_model_that_restates_is_told_where_it_is_no_attempt(
    db: Path, why: str | None, told: str | None
) -> None:
    outcome = Result.ERROR if why else Result.ANSWERED
    keep(db, tried(Attempt(n=1, by="demur", model="m", outcome=outcome, strategy="restate", why=why)))
    said = " ".join(" ".join(shown(db)).split())
    assert (told in said) if told else ("restated" not in said and "failed (not sent: it adds a claim)" in said)


def test_turns_that_went_elsewhere_later_are_told(db: Path) -> None:
    keep(db, entry(1, outcome=Outcome.RECOVERED_BY_DEMUR, answered_by="claude-opus-4-8", turns_elsewhere=3))
    assert "later        3 turns of the conversation were answered by claude-opus-4-8 too" in shown(db)
    keep(db, entry(2, turns_elsewhere=1))
    assert "later        1 turn of the conversation was answered by the model that answered too" in shown(db)


NOTED = Rephrasing(n=2, strategy="scope-note", original="fix my café", sent="fix my café\n\nIt is our own shop.")


def test_of_a_rephrasing_the_sizes_are_told_and_the_texts_only_where_they_are_asked_for(db: Path) -> None:
    keep(db, tried(FAILED, ANSWERED, rephrasings=(NOTED,)))
    told = shown(db)
    assert told[told.index("Rephrased") + 1] == "  attempt 2, scope-note: 12 B became 33 B"
    assert "café" not in "\n".join(told)
    (record,) = objects(demur("show", "last", "--json", db=db))
    assert record["rephrasings"] == [{"n": 2, "strategy": "scope-note", "original_bytes": 12, "sent_bytes": 33}]
    assert record["attempts"][1]["why"] == "HTTP 529"
    assert list(record["attempts"][0]) == list(Attempt.__struct_fields__)
    (record,) = objects(demur("show", "last", "--json", "--content", db=db))
    assert (record["rephrasings"][0]["original"], record["rephrasings"][0]["sent"]) == (NOTED.original, NOTED.sent)


def test_the_two_texts_stand_side_by_side(db: Path) -> None:
    keep(db, tried(FAILED, ANSWERED, rephrasings=(NOTED,)))
    told = shown(db, "--content")
    start = told.index("  attempt 2, scope-note: 12 B became 33 B")
    rows = [[cell.strip() for cell in line.split("│")] for line in told[start + 1 : start + 5]]
    assert rows == [["original", "sent"], ["fix my café", "fix my café"], ["", ""], ["", "It is our own shop."]]


def test_texts_side_by_side_cannot_drive_a_terminal_and_are_whole(db: Path) -> None:
    long = f"{'実験 ' * 60}{'x' * 300} {ESCAPES}\tend"
    keep(db, tried(rephrasings=(Rephrasing(n=1, strategy="restate", original=long, sent=long),)))
    result = demur("show", "last", "--content", db=db, COLUMNS="80")
    rows = [line for line in result.stdout.splitlines() if re.match(r"    .*│", line)]
    assert all(width(row) <= 80 for row in rows)
    sides = ["".join("".join(side).split()) for side in zip(*(row.split("│") for row in rows[1:]), strict=True)]
    assert sides == ["".join(words.text(long).split())] * 2


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", [""]),
        ("one two three", ["one two", "three"]),
        ("onetwothreefour", ["onetwothr", "eefour"]),
        ("a\n\nb", ["a", "", "b"]),
        ("exactly 9 x", ["exactly 9", "x"]),
        ("実験ノート", ["実験ノー", "ト"]),
    ],
)
def test_text_is_folded_at_spaces_or_where_a_line_ends(text: str, parts: list[str]) -> None:
    assert folded(text, 9) == parts


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("trim", "asked again, and answered: with its last turn rephrased (trim)"),
        ("fallback", "asked again, and answered"),
    ],
)
def test_that_what_was_answered_had_been_rephrased_is_said(db: Path, strategy: str, said: str) -> None:
    kept = tried(Attempt(n=1, by="demur", model="m", outcome=Result.ANSWERED, strategy=strategy))
    kept.refusals[0].ruling = Ruling.RECOVERED
    keep(db, kept)
    (line,) = [line for line in shown(db) if line.startswith("retry ")]
    assert line.split(None, 1)[1] == said


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("claude-sonnet-5-5", "Anthropic's table permits claude-sonnet-5 here"),
        ("claude-haiku-5-5", "Anthropic's table permits none here"),
        ("claude-opus-4-8", "Anthropic's table does not have claude-opus-4-8"),
    ],
)
def test_where_routes_permitted_no_model_it_is_said_which_the_table_permits(db: Path, model: str, said: str) -> None:
    keep(db, entry(1, ruling=Ruling.ROUTES, model=model, category="cyber"))
    (line,) = [line for line in shown(db) if line.startswith("routes ")]
    assert line.split(None, 1)[1] == said


def test_of_a_refusal_of_another_model_that_was_asked_no_table_is_told(db: Path) -> None:
    keep(db, tried(FAILED, ruling=Ruling.ROUTES))
    assert not [line for line in shown(db) if line.startswith("routes ")]
