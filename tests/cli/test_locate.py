"""``demur locate``: what has to go for a declined request to be accepted, found against a real server on loopback."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from answers import DETAILS, MID, REFUSAL, block, delta, end, start, stop
from commands import ESCAPES, declined, demur, fails, keep, lines, objects, posix
from declining import Declining, planted
from e2e_process import DEMUR, in_thread
from entries import untraced
from proxy.judgements import judge
from proxy.store import Store
from proxy.trials import add_trial, located, trials
from schemas.labels import Kind, Verdict
from schemas.labels import Result as Ending
from schemas.records import Attempt, Entry, Judgement, Trial

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
    assert "Without this part it was not declined before output 3 of 3 times." in printed
    assert "it was accepted" not in result.stdout
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
        "answers let go as soon as a text or a call has begun: then it was not declined before output",
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
    assert [found[name] for name in ("settled", "declined", "asked", "accepted", "answered")] == [True, 3, 3, 3, 3]
    assert found["sent"] == len(api.bodies) <= 24


def test_it_is_on_record_with_each_request(db: Path, api: Declining) -> None:
    entry = recorded(db)
    locate(db, api)
    with Store.open(db) as store:
        (found,) = located(store, entry.refusals[0].id)
        sent = trials(store, entry.refusals[0].id)
    assert (found.parts, found.settled, found.trials) == ([f"{FOUND}:12"], True, len(api.bodies))
    assert found.why == (
        "without this part it was not declined before output 3 of 3 times; as it stands it was declined 3 of 3 times"
    )
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
    assert lines(result)[-2] == "It was not declined before output today, 3 of 3 times: there is nothing to locate."
    assert len(api.bodies) == 3


def test_what_is_declined_whatever_is_left_out_is_said(db: Path) -> None:
    recorded(db)
    with in_thread(Declining(lambda _: True)) as api:
        (found,) = objects(locate(db, api, "--json"))
    assert (found["parts"], found["settled"], len(api.bodies)) == ([], True, 13)
    assert "without all the 7 parts that can be left out, and to leave out each of them singly" in found["why"]
    assert api.faults == []


def test_answers_that_differ_are_not_settled_and_said_with_their_numbers(db: Path) -> None:
    recorded(db)
    answers = iter([True, True, False])
    with in_thread(Declining(lambda _: next(answers))) as api:
        result = locate(db, api)
    said = " ".join(lines(result))
    differed = "One and the same request was declined 2 and not declined before output 1 of 3 times."
    assert f"This could not be settled. {differed}" in said
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
    result = locate(db, api, "--json")
    (found,) = objects(result)
    assert [part["path"] for part in found["parts"]] == [FOUND]
    assert found["begun"] is False
    assert "let go" not in result.stderr
    assert "Without this part it was accepted 3 of 3 times." in lines(locate(db, api))


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


def test_what_another_author_judged_correct_is_not_searched(db: Path, api: Declining) -> None:
    entry = recorded(db)
    with Store.open(db) as store:
        for author, verdict in (("ann", Verdict.CORRECT), ("bob", Verdict.UNSURE)):
            judge(store, Judgement(refusal_id=entry.refusals[0].id, at="x", author=author, verdict=verdict))
    assert "judged a refusal of this content correct" in fails(locate(db, api))


def test_what_is_judged_correct_in_its_incident_is_not_searched_where_its_words_are_not_known(
    db: Path, api: Declining
) -> None:
    first = recorded(db, verdict=Verdict.CORRECT)
    keep(db, declined(session(), at=1_795_444_999.0, request_id="req_2"))
    with Store.open(db) as store, store.transaction() as connection:
        connection.execute("update refusals set asked = null, incident_id = ?", [first.refusals[0].id])
    assert "judged a refusal of this content correct" in fails(locate(db, api))
    assert api.bodies == []


@pytest.mark.parametrize("category", ["general_harms", "bio", "reasoning_extraction"])
@pytest.mark.parametrize("where", ["attempt", "trial", "asked", "incident"])
def test_what_was_declined_as_a_barred_category_anywhere_is_not_searched(
    db: Path, api: Declining, category: str, where: str
) -> None:
    entry = declined(session())
    name = entry.refusals[0].id
    if where == "attempt":
        entry.attempts = [Attempt(n=1, by="demur", model="m", outcome=Ending.REFUSED, category=category)]
    keep(db, entry)
    if where == "trial":
        with Store.open(db) as store:
            add_trial(
                store,
                Trial(refusal_id=name, at="x", purpose="replay", model="m", outcome=Ending.REFUSED, category=category),
            )
    if where in ("asked", "incident"):
        keep(db, declined(session(1), REFUSAL.replace(b"cyber", category.encode()), at=1_795_444_111.0))
        change = "asked = null, incident_id = ?" if where == "incident" else "asked = ?, incident_id = null"
        with Store.open(db) as store, store.transaction() as connection:
            connection.execute(f"update refusals set {change}", [name])
    said = fails(locate(db, api))
    assert f"what is declined as {category} is not searched, and this content was" in said
    assert api.bodies == []


@pytest.mark.parametrize("category", ["general_harms", "bio", "reasoning_extraction"])
def test_an_answer_that_names_a_barred_category_ends_it_with_no_parts(db: Path, category: str) -> None:
    for name, least in (("one.db", 1), ("two.db", 8)):
        recorded(db.with_name(name))
        with in_thread(Declining(planted)) as api:
            api.rule = barring(api, category, least)
            result = locate(db.with_name(name), api, "--content")
        assert len(api.bodies) == least
        assert "An answer named a category that is not searched" in result.stdout
        assert not [word for word in ("PLANTED", f"{FOUND}, line", "Without this part") if word in result.output]
        with Store.open(db.with_name(name)) as store:
            (found,) = located(store, store.find("last").id)
        assert (found.parts, found.settled) == ([], False)
        with in_thread(Declining(planted)) as api:
            assert f"what is declined as {category} is not searched" in fails(locate(db.with_name(name), api))
            assert api.bodies == []


def barring(api: Declining, category: str, at: int) -> Any:
    """Declines by the planted line; from this request on as another category."""

    def rule(body: bytes) -> bool:
        if len(api.bodies) >= at:
            api.refusal = REFUSAL.replace(b"cyber", category.encode())
            return True
        return planted(body)

    return rule


BEHIND_THINKING = (
    start()
    + block(0, type="thinking", thinking="", signature="")
    + delta(0, "Hm.")
    + stop(0)
    + end("refusal", stop_details=DETAILS)
)


def test_what_is_declined_behind_its_thinking_is_not_called_accepted(db: Path) -> None:
    recorded(db, stage="before_output")
    with in_thread(Declining(lambda _: True)) as api:

        def rule(body: bytes) -> bool:
            api.refusal = REFUSAL if planted(body) else BEHIND_THINKING
            return True

        api.rule = rule
        (found,) = objects(locate(db, api, "--json"))
    assert (found["parts"], found["accepted"]) == ([], 0)


def test_numbers_are_those_of_exactly_that_body(db: Path) -> None:
    recorded(db)
    seen: dict[bytes, int] = {}

    def rule(body: bytes) -> bool:
        seen[body] = seen.get(body, 0) + 1
        return planted(body) or seen[body] == 3

    with in_thread(Declining(rule)) as api:
        result = locate(db, api)
    assert "Without this part it was not declined before output 2 of 3 times." in lines(result)
    with Store.open(db) as store:
        (found,) = located(store, store.find("last").id)
    assert (found.why or "").startswith("without this part it was not declined before output 2 of 3 times; as it")


def test_that_all_thinking_goes_is_said_before_and_after_and_on_each_record(db: Path, api: Declining) -> None:
    body = session()
    thought = b'{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, '
    entry = recorded(db, body.replace(b'{"type": "tool_use"', thought + b'{"type": "tool_use"'))
    result = locate(db, api, "--max-requests", 40)
    said = " ".join(result.stdout.split())
    assert "All its thinking (4 blocks) is left out of every request that anything is left out of" in said
    assert "All thinking (4 blocks) was left out with it" in said
    shown = " ".join(demur("show", "last", db=db).stdout.split())
    assert "all thinking (4 blocks) was left out with it" in shown
    thoughts = {f"messages[{n}].content[0]" for n in (1, 3, 5, 7)}
    with Store.open(db) as store:
        sent = trials(store, entry.refusals[0].id)
    assert [set(trial.left_out) >= thoughts for trial in sent] == [b'"thinking"' not in body for body in api.bodies]
    assert {len(trial.left_out) for trial in sent[:3]} == {0}


def test_rejected_steps_are_told_in_the_result(db: Path) -> None:
    recorded(db)
    with in_thread(Declining(planted, statuses=(200, 200, 200, 400))) as api:
        result = locate(db, api, "--max-requests", 40)
    assert "1 request did not get an answer: HTTP 400." in " ".join(result.stdout.split())
    with Store.open(db) as store:
        assert "1 request did not get an answer: HTTP 400" in (located(store, store.find("last").id)[0].why or "")


def test_a_rate_limit_ends_it_and_what_is_known_by_then_is_told(db: Path) -> None:
    recorded(db)
    with in_thread(Declining(planted, statuses=(200,) * 6 + (429,) * 9)) as api:
        result = locate(db, api)
    assert len(api.bodies) == 7
    said = " ".join(result.stdout.split())
    assert "1 request did not get an answer: rate limited (HTTP 429)." in said
    assert "This could not be settled. No more was sent, as nothing would be answered now." in said


def test_a_request_that_begins_a_thread_carries_its_history(db: Path, api: Declining) -> None:
    recorded(db, session(thread={"type": "create"}))
    assert FOUND in locate(db, api).stdout
    recorded(db.with_name("two.db"), session(thread={"type": "continue", "previous_message_id": "msg_1"}))
    assert "carries no history" in fails(locate(db.with_name("two.db"), api))


def test_an_upstream_that_is_no_url_is_told_in_one_line(db: Path) -> None:
    recorded(db)
    said = fails(demur("locate", "last", "--yes", "--upstream", "http://[::1", db=db, ANTHROPIC_API_KEY=KEY))
    assert "is not a URL" in said


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
    assert len(api.bodies) == 1
    assert "rate limited (HTTP 429)" in result.stdout
    with in_thread(Declining(planted, statuses=(529,) * 9)) as api:
        result = locate(db, api)
    assert (result.exit_code, len(api.bodies)) == (1, 3)
    assert "3 requests did not get an answer: overloaded (HTTP 529) (3 times)." in result.stdout
    assert "This could not be settled. 3 requests in a row failed." in result.stdout
    with in_thread(Declining(planted, statuses=(401,) * 9)) as api:
        result = locate(db, api)
    assert (result.exit_code, len(api.bodies)) == (1, 1)
    assert "1 request did not get an answer: the credentials were not accepted (HTTP 401)." in result.stdout


def test_two_parts_are_both_named(db: Path, api: Declining) -> None:
    recorded(db, session().replace(b"at my files.", b"at my PLANTED files."))
    result = locate(db, api, "--max-requests", 60)
    assert "messages[0].content[0]: user_text" in result.stdout
    assert f"{FOUND}, line 12: tool_result of Read" in result.stdout
    assert "Without these 2 parts it was not declined before output 3 of 3 times." in lines(result)


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
        environment = untraced() | {"ANTHROPIC_API_KEY": KEY}
        child.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        stdout, _ = child[0].communicate(timeout=60)
    assert child[0].returncode == 0
    assert "This could not be settled. It was interrupted." in stdout
    with Store.open(db) as store:
        (found,) = located(store, store.find("last").id)
        sent = trials(store, found.refusal_id)
    assert len(sent) == found.trials == 6
    assert (sent[-1].outcome, sent[-1].why) == ("cut", "interrupted")
