"""``demur locate``: what has to go for a declined request to be accepted, found against a real server on loopback."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from answers import MID
from commands import ESCAPES, declined, demur, fails, keep, lines, objects, posix
from declining import Declining, planted
from e2e_process import DEMUR, in_thread
from proxy.store import Store
from proxy.trials import located, trials
from schemas.labels import Kind, Verdict
from schemas.records import Entry

KEY = "sk-ant-api03-located"
FOUND = "messages[6].content[0]"


def session(turns: int = 4, lines: int = 20, **more: Any) -> bytes:
    """A session in which one line of what the third Read gave is planted."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": "Please look at my files."}]}
    ]
    for n in range(turns):
        said = [f"line {line} of file {n}, with some words" for line in range(1, lines + 1)]
        if n == 2:
            said[11] = "This is PLANTED here."
        call = {"type": "tool_use", "id": f"toolu_{n}", "name": "Read", "input": {"file_path": f"/src/{n}.py"}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{n}", "content": "\n".join(said)}
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    system = [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197.1; cch=abcde;"},
        {"type": "text", "text": "You are Claude Code.\nHelp."},
    ]
    tools = [{"name": "Read", "description": "It reads.", "input_schema": {"type": "object"}}]
    body = {"model": "claude-opus-5", "max_tokens": 1000, "stream": True, "system": system, "tools": tools}
    return json.dumps(body | {"messages": messages} | more).encode()


@pytest.fixture
def api() -> Iterator[Declining]:
    with in_thread(Declining(planted)) as api:
        yield api
        assert api.faults == []


def recorded(db: Path, body: bytes | None = None, new: tuple[str, ...] = (), **changes: Any) -> Entry:
    entry = declined(session() if body is None else body)
    for name, value in changes.items():
        setattr(entry.refusals[0], name, value)
    for segment in entry.segments:
        segment.new = segment.path in new
    keep(db, entry)
    return entry


def locate(db: Path, api: Declining | None, *arguments: object, key: str = KEY) -> Result:
    place = ["--upstream", api.url] if api else []
    return demur("locate", "last", "--yes", *arguments, *place, db=db, ANTHROPIC_API_KEY=key)


def test_the_planted_line_is_named_with_its_place_and_never_shown(db: Path, api: Declining) -> None:
    recorded(db)
    result = locate(db, api)
    printed = lines(result)
    assert f"{FOUND}, line 12: tool_result of Read" in result.stdout
    assert "Without this part it was accepted 3 of 3 times." in printed
    assert "As it stands it was declined 3 of 3 times." in printed
    assert "candidate" in result.stdout
    assert f"{len(api.bodies)} requests to claude-opus-5" in result.stdout
    assert "PLANTED" not in result.output
    assert "cause" not in result.output
    assert api.bodies[:3] == [session()] * 3


def test_the_plan_comes_first(db: Path, api: Declining) -> None:
    recorded(db)
    printed = " ".join(" ".join(lines(locate(db, api, "--max-requests", 20))).split())
    plan, _, _ = printed.partition(" 1/20 ")
    for fact in (
        "requests 20 at most, one after the other: as it stands, 3 times at most, then without some of its 7 parts",
        "answers let go as soon as they begin",
        "It costs money. To send again what was declined might count against the account.",
        "Its attribution block has a checksum (cch)",
    ):
        assert fact in plan


def test_content_shows_the_line(db: Path, api: Declining) -> None:
    recorded(db)
    assert "    │ This is PLANTED here." in lines(locate(db, api, "--content"))


def test_in_300_kb_it_is_found_within_the_cap_and_every_body_is_valid(db: Path, api: Declining) -> None:
    body = session(turns=60, lines=140)
    assert len(body) > 300_000
    recorded(db, body)
    (found,) = objects(locate(db, api, "--json"))
    (part,) = found["parts"]
    assert (part["path"], part["lines"], part["label"], part["tool"]) == (FOUND, [12, 12], "tool_result", "Read")
    assert "content" not in part
    assert (found["settled"], found["declined"], found["asked"], found["accepted"]) == (True, 3, 3, 3)
    assert found["sent"] == len(api.bodies) <= 24


def test_it_is_on_record_with_each_request(db: Path, api: Declining) -> None:
    entry = recorded(db)
    locate(db, api)
    with Store.open(db) as store:
        (found,) = located(store, entry.refusals[0].id)
        sent = trials(store, entry.refusals[0].id)
    assert (found.parts, found.settled, found.trials, found.why) == ([f"{FOUND}:12"], True, len(api.bodies), None)
    assert [trial.purpose for trial in sent] == ["locate"] * len(api.bodies)
    assert [trial.left_out for trial in sent[:3]] == [[], [], []]
    assert [(trial.outcome, trial.left_out) for trial in sent[-2:]] == [("answered", [f"{FOUND}:12"])] * 2
    assert not [file for file in db.parent.iterdir() if file.is_file() and KEY.encode() in file.read_bytes()]


def test_what_is_new_is_asked_about_first_and_another_model_may_be(db: Path, api: Declining) -> None:
    recorded(db, new=(FOUND,))
    locate(db, api, "--model", "claude-opus-4-8", "--repeat", 1)
    assert {json.loads(body)["model"] for body in api.bodies} == {"claude-opus-4-8"}
    assert b"toolu_2" not in api.bodies[1]
    assert b"toolu_1" in api.bodies[1]


def test_what_is_accepted_today_is_said(db: Path) -> None:
    recorded(db)
    with in_thread(Declining(lambda _: False)) as api:
        result = locate(db, api)
    assert lines(result)[-2] == "It was accepted today, 3 of 3 times: there is nothing to locate."
    assert len(api.bodies) == 3


def test_what_is_declined_whatever_is_left_out_is_said(db: Path) -> None:
    recorded(db)
    with in_thread(Declining(lambda _: True)) as api:
        (found,) = objects(locate(db, api, "--json"))
    assert (found["parts"], found["settled"], len(api.bodies)) == ([], True, 12)
    assert "even without all the 7 parts" in found["why"]
    assert api.faults == []


def test_answers_that_differ_are_not_settled_and_said_with_their_numbers(db: Path) -> None:
    recorded(db)
    answers = iter([True, True, False])
    with in_thread(Declining(lambda _: next(answers))) as api:
        result = locate(db, api)
    said = " ".join(lines(result))
    assert "This could not be settled. One and the same request was declined 2 and accepted 1 of 3 times." in said
    with Store.open(db) as store:
        (found,) = located(store, store.find("last").id)
    assert (found.settled, found.parts, found.trials) == (False, [], 3)


@pytest.mark.parametrize(
    ("stage", "where"), [("before_output", ["messages[0].content[0]"]), ("mid_stream", [FOUND]), (None, [FOUND])]
)
def test_an_answer_is_read_to_its_end_unless_it_was_declined_before_output(
    db: Path, stage: str | None, where: list[str]
) -> None:
    recorded(db, stage=stage)
    with in_thread(Declining(planted, refusal=MID)) as api:
        (found,) = objects(locate(db, api, "--json"))
    accepted_at_once = stage == "before_output"
    assert (found["accepted"] == 0) is accepted_at_once
    assert [part["path"] for part in found["parts"]] == ([] if accepted_at_once else where)


def test_a_request_without_stream_is_searched_too(db: Path, api: Declining) -> None:
    recorded(db, session(stream=False))
    (found,) = objects(locate(db, api, "--json"))
    assert [part["path"] for part in found["parts"]] == [FOUND]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"category": "general_harms"}, "what is declined as general_harms is not searched"),
        ({"category": "bio"}, "what is declined as bio is not searched"),
        ({"category": "reasoning_extraction"}, "what is declined as reasoning_extraction is not searched"),
        ({"kind": Kind.OUTPUT_FILTER}, "this is no refusal by the safeguards (output_filter)"),
        ({"verdict": Verdict.CORRECT}, "a person judged a refusal of this content correct"),
    ],
)
def test_what_is_not_to_be_searched_is_not_sent(db: Path, api: Declining, changes: dict[str, Any], why: str) -> None:
    recorded(db, **changes)
    assert why in fails(locate(db, api))
    assert api.bodies == []


def test_what_a_person_judged_correct_elsewhere_is_not_searched_either(db: Path, api: Declining) -> None:
    recorded(db, asked="b2:same", verdict=Verdict.CORRECT)
    keep(db, changed := declined(session(), at=1_795_444_999.0, request_id="req_2"))
    assert changed.refusals[0].verdict == Verdict.UNKNOWN
    with Store.open(db) as store, store.transaction() as connection:
        connection.execute("update refusals set asked = 'b2:same'")
    assert "judged a refusal of this content correct" in fails(locate(db, api))
    assert api.bodies == []


def test_what_cannot_be_searched_is_told_in_one_line(db: Path, api: Declining) -> None:
    recorded(db, b'{"model": "m", "messages": [3]}')
    assert "cannot be taken apart for certain" in fails(locate(db, api))
    assert "no credentials" in fails(demur("locate", "last", "--yes", db=once(db, "two.db"), ANTHROPIC_API_KEY=""))
    assert "this would send 24 requests" in fails(
        demur("locate", "last", db=once(db, "three.db"), ANTHROPIC_API_KEY=KEY), code=2
    )
    keep(db.with_name("four.db"), declined(session(), content=False))
    assert "is not stored" in fails(locate(db.with_name("four.db"), api))
    assert "nothing is recorded yet" in fails(locate(db.with_name("five.db"), api))
    assert locate(db, api, "--max-requests", 101).exit_code == 2
    assert api.bodies == []


def once(db: Path, name: str) -> Path:
    keep(db.with_name(name), declined(session()))
    return db.with_name(name)


def test_where_no_request_is_answered_it_has_failed(db: Path) -> None:
    recorded(db)
    with in_thread(Declining(planted, statuses=(429,) * 9)) as api:
        result = locate(db, api)
    assert result.exit_code == 1
    assert len(api.bodies) == 3
    assert "This could not be settled. 3 requests in a row failed." in result.stdout
    with in_thread(Declining(planted, statuses=(401,) * 9)) as api:
        result = locate(db, api)
    assert (result.exit_code, len(api.bodies)) == (1, 1)
    assert "the credentials were not accepted (HTTP 401)" in result.stdout


def test_two_parts_are_both_named(db: Path, api: Declining) -> None:
    recorded(db, session().replace(b"at my files.", b"at my PLANTED files."))
    result = locate(db, api, "--max-requests", 60)
    assert "messages[0].content[0]: user_text" in result.stdout
    assert f"{FOUND}, line 12: tool_result of Read" in result.stdout
    assert "Without these 2 parts it was accepted 3 of 3 times." in lines(result)


def test_names_of_others_cannot_drive_a_terminal(db: Path) -> None:
    recorded(db, session().replace(b'"Read"', json.dumps(f"Read{ESCAPES}").encode()))
    with in_thread(Declining(planted)) as api:
        result = locate(db, api, "--content")
    assert FOUND in result.stdout
    assert not {char for char in ESCAPES if not char.isprintable()} & set(result.output)


@posix
def test_ctrl_c_concludes_from_what_it_has(db: Path) -> None:
    recorded(db)
    child: list[subprocess.Popen[str]] = []

    def rule(body: bytes) -> bool:
        if len(slow.bodies) == 6:
            child[0].send_signal(signal.SIGINT)
            child[0].wait(60)
        return planted(body)

    with in_thread(slow := Declining(rule)):
        command = [*DEMUR, "locate", "last", "--db", str(db), "--upstream", slow.url, "--yes"]
        environment = os.environ | {"ANTHROPIC_API_KEY": KEY}
        child.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        stdout, _ = child[0].communicate(timeout=60)
    assert child[0].returncode == 0
    assert "This could not be settled. It was interrupted." in stdout
    with Store.open(db) as store:
        (found,) = located(store, store.find("last").id)
        assert len(trials(store, found.refusal_id)) == found.trials == 5
