"""What ``demur run`` says of what was declined, and of what another model answered."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import ESCAPES, demur, lines, request
from e2e_process import DEMUR, Api, in_thread
from entries import name, pin, refusal
from proxy.cli.notice import Notice
from proxy.pretend import Rule
from schemas.labels import Kind, Outcome, Result, Ruling, Stage
from schemas.records import Attempt, Pin, Refusal, Update

MODEL, OTHER = "claude-opus-5", "claude-opus-4-8"
ON = f'[retry]\nenabled = true\n[[retry.fallback]]\nmodel = "{OTHER}"\n'
CLIENT = """
import json, os, sys, urllib.request
for body in map(str.encode, json.loads(open(sys.argv[1]).read())):
    headers = {"User-Agent": "claude-cli/2.1.197 (external, sdk-cli)", "X-Claude-Code-Session-Id": "s", "content-type": "application/json"}
    asked = urllib.request.Request(os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages", body, headers)
    urllib.request.urlopen(asked).read()
"""
"""Sends each body of a file, one after the other."""


@pytest.fixture
def api() -> Iterator[Api]:
    with in_thread(Api(rules=[Rule(model=MODEL, play="refusal"), Rule(play="answer")])) as api:
        yield api


def ran(db: Path, api: Api, *said: str, settings: str = ON) -> list[str]:
    """What ``demur run`` says where a client asks this, one turn after the other."""
    bodies, config = db.with_name("bodies.json"), db.with_name("demur.toml")
    bodies.write_text(json.dumps([request(said=text).decode() for text in said]))
    config.write_text(settings)
    command = [*DEMUR, "run", "--upstream", api.url, "--db", str(db), "--config", str(config), "--"]
    done = subprocess.run(
        [*command, sys.executable, "-c", CLIENT, str(bodies)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def ids(db: Path) -> list[str]:
    return [json.loads(line)["id"] for line in lines(demur("list", "--json", db=db))]


def test_one_that_was_declined_is_told_of_once(db: Path, api: Api) -> None:
    said = ran(db, api, "hello", settings="")
    (last,) = ids(db)
    assert said[0].startswith("demur: declined: cyber, before output, claude-opus-5, req_")
    assert said[1:] == [f"demur: see `demur show {last} --db {db}`."]


def test_who_answered_is_told_at_once_and_each_later_turn_too(db: Path, api: Api) -> None:
    said = ran(db, api, "hello", "hello", "hello", "other words")
    turn = f"demur: a later turn was answered by {OTHER} instead of {MODEL}"
    answered = f"demur: answered by {OTHER} instead of {MODEL}"
    turns = f"2 further turns were answered by {OTHER}"
    first, last = ids(db)[::-1]
    assert [line if "declined: " not in line else "declined" for line in said] == [
        "declined",
        answered,
        turn,
        turn,
        "declined",
        answered,
        f"demur: 2 requests were declined; 2 of them were answered by {OTHER}; {turns}. See `demur show {last} --db {db}`.",
    ]
    (stays, _) = [line for line in lines(demur("list", db=db)) if first[:12] in line or last[:12] in line][::-1]
    assert f"recovered by demur ({OTHER}) +2 turns" in stays


def test_what_has_no_effect_is_said_before_the_command_runs(db: Path, api: Api) -> None:
    (said,) = ran(db, api, settings="[retry]\nenabled = true\n")
    assert said.startswith("demur: retry.enabled is true, but there is no [[retry.fallback]]")


def told(*events: Refusal | tuple[Update, Pin | None], at_once: bool, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What is said of these, and then at the end."""
    notice = Notice(at_once=at_once)
    for event in events:
        if isinstance(event, Refusal):
            notice.tell(event)
        else:
            notice.follow(*event)
    notice.close()
    captured = capfd.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def refused(n: int, **fields: Any) -> Refusal:
    given = {"category": "cyber", "model": MODEL, "request_id": f"req_{n}", "outcome": Outcome.REFUSED}
    return refusal(n, **{**given, **fields})


def answered(n: int, by: str | None = OTHER, outcome: Outcome = Outcome.RECOVERED_BY_DEMUR) -> tuple[Update, None]:
    return Update(refusal_id=name(n), outcome=outcome, answered_by=by), None


def rephrased(strategy: str) -> tuple[Update, None]:
    last = Attempt(n=1, by="demur", model=MODEL, outcome=Result.ANSWERED, strategy=strategy)
    return Update(refusal_id=name(1), outcome=Outcome.RECOVERED_BY_DEMUR, answered_by=MODEL, attempts=[last]), None


TURN = Update(refusal_id=name(0), turns_elsewhere=1), pin()


@pytest.mark.parametrize(
    ("events", "closing"),
    [
        ([refused(1)], f"a request was declined: cyber, {MODEL}, req_1. See `demur show {name(1)}`."),
        (
            [refused(1), answered(1)],
            f"a request was declined: cyber, {MODEL}, req_1; it was answered by {OTHER}. See `demur show {name(1)}`.",
        ),
        (
            [refused(1), refused(2), refused(3), answered(2), answered(1), answered(3, "claude-opus-4-6")],
            (
                f"3 requests were declined, the last: cyber, {MODEL}, req_3; 2 of them were answered by {OTHER};"
                f" 1 of them was answered by claude-opus-4-6. See `demur show {name(3)}`."
            ),
        ),
        (
            [refused(1), answered(1), TURN, TURN],
            (
                f"a request was declined: cyber, {MODEL}, req_1; it was answered by {OTHER};"
                f" 2 further turns were answered by {OTHER}. See `demur show {name(1)}`."
            ),
        ),
        (
            [refused(1), rephrased("scope-note")],
            (
                f"a request was declined: cyber, {MODEL}, req_1;"
                f" it was answered by {MODEL} after its last turn was rephrased (scope-note). See `demur show {name(1)}`."
            ),
        ),
        ([TURN], f"1 further turn was answered by {OTHER}. See `demur sticky list`."),
        (
            [refused(1, kind=Kind.OUTPUT_FILTER), (Update(refusal_id=name(1), ruling=Ruling.KIND), None)],
            f"a request was declined: output filter, {MODEL}, req_1. See `demur show {name(1)}`.",
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_before_a_full_screen_there_is_one_line_at_the_end(
    events: list[Any], closing: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert told(*events, at_once=False, capfd=capfd) == [f"demur: {closing}"]


@pytest.mark.parametrize("at_once", [True, False])
def test_of_nothing_nothing_is_said(at_once: bool, capfd: pytest.CaptureFixture[str]) -> None:
    assert told(at_once=at_once, capfd=capfd) == []
    assert told((Update(refusal_id=name(1)), None), at_once=at_once, capfd=capfd) == []


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (
            [refused(1, outcome=Outcome.RECOVERED_BY_API, answered_by=OTHER)],
            f"answered by {OTHER} instead of {MODEL} (asked by the API itself)",
        ),
        (
            [refused(1), answered(1, outcome=Outcome.RECOVERED_BY_CLIENT)],
            f"answered by {OTHER} instead of {MODEL} (asked by the client itself)",
        ),
        ([refused(1), answered(1, f"{MODEL}-20260724")], f"answered by {MODEL}-20260724"),
        ([refused(1), answered(1, None)], f"answered by another model instead of {MODEL}"),
        ([refused(1), rephrased("trim")], f"answered by {MODEL} after its last turn was rephrased (trim)"),
        ([refused(1), rephrased("fallback")], f"answered by {MODEL}"),
        ([refused(1, model=OTHER), rephrased("primary")], f"answered by {MODEL} (the model that was asked for)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_who_had_it_answered_is_told(events: list[Any], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    lines = told(*events, at_once=True, capfd=capfd)
    assert lines[1:] == [f"demur: {said}", f"demur: see `demur show {name(1)}`."]


@pytest.mark.parametrize(("stage", "said"), [(Stage.MID_STREAM, "mid-stream"), (Stage.BEFORE_OUTPUT, "before output")])
def test_the_stage_is_spelled_as_everywhere(stage: Stage, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    lines = told(refused(1, stage=stage), at_once=True, capfd=capfd)
    assert lines[0] == f"demur: declined: cyber, {said}, {MODEL}, req_1"


def test_what_was_told_at_once_is_not_told_again(capfd: pytest.CaptureFixture[str]) -> None:
    assert told(TURN, at_once=True, capfd=capfd)[1:] == ["demur: see `demur sticky list`."]
    several = told(refused(1), answered(1), TURN, TURN, at_once=True, capfd=capfd)
    assert several[-1] == f"demur: 2 further turns were answered by {OTHER}. See `demur show {name(1)}`."
    assert sum("declined" in line for line in several) == 1


def test_names_that_a_client_or_the_api_gave_cannot_drive_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    evil = refused(1, category=ESCAPES, model=ESCAPES, request_id=ESCAPES)
    for at_once in (True, False):
        said = told(evil, answered(1, ESCAPES), (TURN[0], pin(answered_by=ESCAPES)), at_once=at_once, capfd=capfd)
        assert not {"\x1b", "\x9b", "\u202e", "\u200b"} & set("".join(said))
