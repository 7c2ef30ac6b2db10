"""The course of a declined request, as ``demur show`` and ``demur retry`` tell it in sentences."""

from pathlib import Path
from typing import Any

import pytest

from answers import REFUSAL
from commands import ESCAPES, declined, demur, keep, lines, request
from entries import entry, name, pin, refusal
from playbook import called, declining
from proxy.cli import course
from proxy.cli.words import short
from proxy.core.tries import LEFT
from schemas.labels import Kind, Outcome, Result, Ruling, Stage, Strategy
from schemas.records import Attempt, Entry
from schemas.settings import Retry

OPUS, OTHER = "claude-opus-5", "claude-opus-4-8"
FIRST = Attempt(n=0, by="client", model=OPUS, outcome=Result.REFUSED, category="cyber")
REFUSED: dict[str, Any] = {"outcome": Outcome.REFUSED, "model": OPUS, "category": "cyber"}


def asked(outcome: Result = Result.ERROR, **fields: Any) -> Attempt:
    return Attempt(**{"n": 1, "by": "demur", "model": OTHER, "outcome": outcome, "strategy": "fallback", **fields})


def said(*attempts: Attempt, **fields: Any) -> str:
    """Without what was declined."""
    return course.sentence(refusal(1, **{**REFUSED, **fields}), [FIRST, *attempts]).partition(". ")[2]


def shown(db: Path, *arguments: str, **environment: str) -> str:
    return " ".join(" ".join(lines(demur("show", "last", *arguments, db=db, **environment))).split())


@pytest.mark.parametrize(
    ("attempt", "how"),
    [
        (asked(status=529, why="HTTP 529"), "was overloaded (HTTP 529)"),
        (asked(status=429, why="HTTP 429, rate_limit_error"), "se rate limit was reached (HTTP 429, rate_limit_error)"),
        (asked(status=404, why="HTTP 404, not_found_error"), "the API does not know, or not for you (HTTP 404, not_found_error)"),
        (asked(status=403), "your key may not use (HTTP 403)"),
        (asked(status=400, why="HTTP 400"), "rejected the request (HTTP 400)"),
        (asked(status=500, why="HTTP 500"), "gave no answer (HTTP 500)"),
        (asked(why="no answer in time"), "gave no answer (no answer in time)"),
        (asked(Result.CUT, why="it broke off"), "se answer broke off (it broke off)"),
        (asked(Result.CUT, why=LEFT), "had not answered when the client left"),
        (asked(Result.REFUSED, category="cyber", status=200), "declined it too"),
        (asked(Result.REFUSED, category="bio"), "declined it too (bio)"),
    ],
    ids=str,
)  # fmt: skip
def test_whom_demur_asked_in_vain_is_told_and_how_it_failed(attempt: Attempt, how: str) -> None:
    told = said(attempt).replace("which ", "").replace("who", "")
    assert told == f"demur then asked {OTHER}, {how}. It ended there."


def test_several_that_failed_are_told_in_their_order() -> None:
    declined_too = asked(Result.REFUSED, model="claude-sonnet-5", strategy="trim", category="cyber")
    assert said(asked(status=529), declined_too) == (
        f"demur then asked {OTHER}, which was overloaded (HTTP 529), then claude-sonnet-5 with the last turn rephrased (trim), which"
        " declined it too. It ended there."
    )


def test_what_was_never_sent_is_not_called_asked() -> None:
    unsent = asked(strategy="restate", why="not sent: it adds a claim")
    assert said(unsent) == "It ended there."
    assert said(asked(Result.REFUSED, strategy="sticky")) == "It ended there."


@pytest.mark.parametrize(
    ("outcome", "ending"),
    [
        (Outcome.RECOVERED_BY_CLIENT, f"demur then asked {OTHER}, which gave no answer. The client then asked {OPUS}, which answered."),
        (Outcome.UNKNOWN, f"demur then asked {OTHER}, which gave no answer. How it ended is not known."),
        (Outcome.RECOVERED_BY_API, f"The API itself then asked {OPUS}, which answered."),
    ],
)  # fmt: skip
def test_what_came_after_those_that_failed_is_told_too(outcome: Outcome, ending: str) -> None:
    assert said(asked(), outcome=outcome, answered_by=OPUS) == ending


def test_an_answer_after_a_rephrasing_is_told_to_be_one() -> None:
    recovered: dict[str, Any] = {"outcome": Outcome.RECOVERED_BY_DEMUR, "answered_by": OPUS}
    rephrased = asked(Result.ANSWERED, model=OPUS, strategy="scope-note")
    assert (
        said(rephrased, **recovered)
        == f"demur then asked {OPUS} with the last turn rephrased (scope-note), which answered."
    )
    assert said(asked(Result.ANSWERED), **recovered) == f"demur then asked {OPUS}, which answered."
    assert said(**recovered) == f"demur then asked {OPUS}, which answered."


def test_a_conversation_that_had_stayed_elsewhere_is_told_to_have(db: Path) -> None:
    attempts = [
        asked(Result.REFUSED, n=0, strategy="sticky"),
        asked(Result.ANSWERED, model=OPUS, strategy=Strategy.PRIMARY),
    ]
    kept = entry(1, **{**REFUSED, "model": OTHER, "outcome": Outcome.RECOVERED_BY_DEMUR, "answered_by": OPUS})
    kept.attempts = attempts
    assert f"{OTHER}, on which the conversation had stayed, before" in course.sentence(
        refusal(1, **{**REFUSED, "model": OTHER, "stage": Stage.BEFORE_OUTPUT}), attempts
    )
    keep(db, kept)
    told = shown(db)
    assert f"a request to {OTHER}, on which the conversation had stayed. demur then" in told
    assert f"demur then asked {OPUS} (the model that was asked for), which answered." in told


def test_rephrased_stands_in_the_list_and_in_the_outcome(db: Path) -> None:
    for n, strategy in enumerate(["trim", "fallback"]):
        kept = entry(n, **{**REFUSED, "outcome": Outcome.RECOVERED_BY_DEMUR, "answered_by": OPUS})
        kept.attempts = [FIRST, asked(Result.ANSWERED, model=OPUS, strategy=strategy)]
        keep(db, kept)
    listed = lines(demur("list", db=db))
    assert f"recovered by demur ({OPUS})  " in listed[1]
    assert f"recovered by demur ({OPUS}, rephrased)  " in listed[2]
    assert "by demur (opus-5, rephrased)" in demur("list", db=db, COLUMNS="80").stdout
    told = lines(demur("show", name(0), db=db))
    assert f"outcome      recovered by demur ({OPUS}, rephrased)" in told
    assert "with the last turn rephrased (trim), which answered." in " ".join(told[1:3])


def guarded(held: int | None, answer: bytes = declining(called(1))) -> Entry:
    kept = declined(request(), answer)
    kept.attempts = [Attempt(n=0, by="client", model=OPUS, outcome=Result.REFUSED, shown=True, tools_held=held)]
    return kept


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        (guarded(1), "tools 1 whole tool call in the declined answer: held back by the tool guard, so it did not run "),
        (guarded(2, declining(called(1), called(2))), "tools 2 whole tool calls in the declined answer: held back by the tool guard, so they did"),
        (guarded(None), "tools 1 whole tool call in the declined answer, and no tool guard held it back: it may have run "),
        (declined(request(), declining(called(1), called(2))), "no tool guard held them back: they may have run "),
    ],
    ids=["held", "two", "not held", "nobody asked"],
)  # fmt: skip
def test_whether_a_tool_of_a_declined_answer_ran_is_told(db: Path, kept: Entry, told: str) -> None:
    keep(db, kept)
    assert told in shown(db)


@pytest.mark.parametrize(
    "answer", [REFUSAL, declining(called(1, left_open=True)), declining(called(1, "server_tool_use"))]
)
def test_of_a_tool_call_that_never_came_whole_nothing_is_said(db: Path, answer: bytes) -> None:
    keep(db, guarded(0, answer))
    assert " tools " not in shown(db).partition("The request")[0]


def test_a_tool_of_an_answer_that_the_client_never_got_did_not_run() -> None:
    kept = refusal(1, **REFUSED, tool_calls=1)
    kept.outcome = Outcome.RECOVERED_BY_DEMUR
    assert course.tool_calls(kept, [Attempt(n=0, by="client", model=OPUS, outcome=Result.REFUSED, shown=False)]) is None
    assert course.tool_calls(kept, []) is not None


def test_where_a_conversation_stays_is_told_until_when_and_how_it_comes_back(db: Path) -> None:
    kept = entry(1, **{**REFUSED, "outcome": Outcome.RECOVERED_BY_DEMUR, "answered_by": OTHER})
    keep(db, kept, Entry(pins=[pin("b2:0123456789abcdef", refusal_id=name(1))]))
    told = shown(db)
    assert (
        f"stays the conversation stays on {OTHER} until 2099-11-23 15:00:00 +0000, and longer with each turn;" in told
    )
    assert f"`demur sticky clear {short('b2:0123456789abcdef')}` brings it back to {OPUS} " in told
    assert demur("sticky", "clear", short("b2:0123456789abcdef"), db=db).stdout == "1 conversation brought back.\n"
    assert "stays" not in shown(db)


def test_a_pin_that_has_ended_or_is_another_s_is_not_told(db: Path) -> None:
    ended = pin("a", refusal_id=name(1), until="2020-01-01T00:00:00.000Z")
    keep(db, entry(1, **{**REFUSED, "outcome": Outcome.RECOVERED_BY_DEMUR}), Entry(pins=[ended, pin("b")]))
    assert "stays" not in shown(db)


FORBADE: list[tuple[dict[str, Any], list[Attempt], Retry, str | None]] = [
    ({"ruling": Ruling.MID_STREAM}, [], Retry(), 'output had been sent then, and with mid_stream = "refuse" nothing may follow it'),
    ({"ruling": Ruling.MID_STREAM, "stage": Stage.MID_STREAM}, [], Retry(mid_stream="restart"), None),
    ({"ruling": Ruling.TOOL}, [], Retry(), "a tool call had begun on the client's side then, and nothing may follow that"),
    ({"ruling": Ruling.OFF, "tool_calls": 1}, [], Retry(), "a tool call had begun on the client's side then, and nothing may follow that"),
    ({"ruling": Ruling.OFF, "tool_calls": 1, "streamed": False}, [], Retry(), None),
    ({"ruling": Ruling.HOLD}, [], Retry(), "the response had been held back for as long as allowed then (retry.hold_s)"),
    ({"ruling": Ruling.MAX_ATTEMPTS}, [], Retry(), "the request had had its further attempts then (retry.max_attempts)"),
    ({"ruling": Ruling.EXHAUSTED}, [asked(status=529), asked(Result.REFUSED, model="m")], Retry(),
     f"every model that was asked then declined or failed: {OTHER} (HTTP 529), m (declined)"),
    ({"ruling": Ruling.EXHAUSTED}, [], Retry(), "every model that was asked then declined or failed"),
    ({"ruling": Ruling.UNFIT}, [], Retry(), "no model of the chain could take the request then"),
    ({"ruling": Ruling.LEFT}, [], Retry(), "the client had left then"),
    ({"ruling": Ruling.FAILED}, [], Retry(), "demur itself failed then"),
    ({"ruling": Ruling.OFF, "stage": Stage.MID_STREAM}, [], Retry(), "part of the answer had come by then, and not every answer may follow that"),
    ({"ruling": Ruling.OFF, "stage": Stage.BEFORE_OUTPUT}, [], Retry(), None),
    ({"ruling": None}, [], Retry(), None),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "attempts", "settings", "told"), FORBADE, ids=str)
def test_what_the_course_was_against_is_known_from_the_record(
    fields: dict[str, Any], attempts: list[Attempt], settings: Retry, told: str | None
) -> None:
    assert course.forbade(refusal(1, **{**REFUSED, **fields}), [FIRST, *attempts], settings) == told


@pytest.mark.parametrize("kind", Kind)
def test_names_of_others_cannot_drive_a_terminal(kind: Kind) -> None:
    evil = refusal(1, kind=kind, outcome=Outcome.REFUSED, model=ESCAPES, category=ESCAPES)
    told = course.sentence(evil, [asked(Result.REFUSED, model=ESCAPES, category=f"x{ESCAPES}", why=ESCAPES)])
    assert not {"\x1b", "\x9b", "\u202e", "\u200b"} & set(told)
