"""``demur replay``: a stored request sent again, to a real server on loopback."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from answers import REFUSAL
from commands import ESCAPES, declined, demur, fails, keep, lines, objects, posix, request
from declining import Declining
from e2e_process import DEMUR, in_thread
from entries import untraced
from proxy.cli.evidence import lines as told
from proxy.store import Store
from proxy.trials import add_trial, categories, trials
from schemas.labels import Result as Ending
from schemas.labels import Verdict
from schemas.records import Attempt, Entry, Located, Trial

KEY = "sk-ant-api03-replayed"
A, B = "claude-opus-5", "claude-opus-4-8"
BODY = request(max_tokens=1000)


def by_a(body: bytes) -> bool:
    return bool(json.loads(body)["model"] == A)


@pytest.fixture
def api() -> Iterator[Declining]:
    with in_thread(Declining(by_a)) as api:
        yield api
        assert api.faults == []


def recorded(db: Path, body: bytes = BODY, **changes: Any) -> Entry:
    entry = declined(body)
    for name, value in changes.items():
        setattr(entry.refusals[0], name, value)
    keep(db, entry)
    return entry


def replay(db: Path, api: Declining | None, *arguments: object, key: str = KEY) -> Result:
    place = ["--upstream", api.url] if api else []
    return demur("replay", "last", *arguments, *place, db=db, ANTHROPIC_API_KEY=key)


def sent_again(db: Path) -> list[Trial]:
    with Store.open(db) as store:
        return trials(store, store.find("last").id)


def test_the_stored_request_is_sent_unchanged_but_for_the_model(db: Path, api: Declining) -> None:
    recorded(db, headers={"anthropic-beta": "x-1", "x-claude-code-session-id": "s"})
    lines(replay(db, api, "--model", A, "--model", B, "--yes"))
    assert api.bodies == [BODY, BODY.replace(b'"claude-opus-5"', b'"claude-opus-4-8"')]
    assert api.targets == ["/v1/messages?beta=true"] * 2
    head = api.heads[0]
    assert (head["x-api-key"], head["anthropic-beta"]) == (KEY, "x-1")
    assert not {"authorization", "x-claude-code-session-id"} & head.keys()


def test_it_prints_the_plan_then_each_answer_then_how_often_each_declined(db: Path, api: Declining) -> None:
    entry = recorded(db, exact=False, replacements=2)
    printed = lines(replay(db, api, "--model", A, "--model", B, "--times", 3, "--yes"))
    said = " ".join(" ".join(printed).split())
    tokens = sum(segment.tokens_est for segment in entry.segments)
    for fact in (
        f"to {api.url.removeprefix('http://')}",
        f"models {A}, {B}",
        "requests 6 at most, one after the other: 2 x 3",
        "It costs money. To send again what was declined might count against the account.",
        "Not exact: the stored request is the sent one, but 2 secrets were replaced.",
    ):
        assert fact in said
    assert tokens > 1000
    assert f"~{tokens / 1000:.1f}k each, ~{round(tokens * 6 / 1000)}k in all at most" in said
    assert "unencrypted" not in said
    asked = [line for line in printed if "req_" in line]
    assert [line.split(",")[0] for line in asked] == [
        *(f"  {n}/6  {A}: declined (cyber)" for n in (1, 2, 3)),
        *(f"  {n}/6  {B}: answered" for n in (4, 5, 6)),
    ]
    table = [line.split() for line in printed[-3:]]
    assert table == [
        ["MODEL", "DECLINED", "ANSWERED", "FAILED", "CATEGORY"],
        [A, "3", "of", "3", "0", "0", "cyber", "3"],
        [B, "0", "of", "3", "3", "0", "-"],
    ]


def test_json_has_the_counts_and_request_ids_and_the_plan_is_on_stderr(db: Path, api: Declining) -> None:
    entry = recorded(db)
    result = replay(db, api, "--model", A, "--model", B, "--times", 2, "--yes", "--json")
    (found,) = objects(result)
    assert found["id"] == entry.refusals[0].id
    first = {
        "model": A,
        "sent": 2,
        "declined": 2,
        "answered": 0,
        "failed": 0,
        "categories": {"cyber": 2},
        "request_ids": ["req_1", "req_2"],
    }
    assert found["models"][0] == first
    assert found["models"][1]["answered"] == 2
    assert [trial["outcome"] for trial in found["trials"]] == ["refused", "refused", "answered", "answered"]
    assert "It costs money." in result.stderr


def test_each_is_on_record_and_the_key_nowhere(db: Path, api: Declining) -> None:
    entry = recorded(db)
    result = replay(db, api, "--model", A, "--model", B, "--yes")
    first, second = sent_again(db)
    assert (first.refusal_id, first.purpose, first.model, first.outcome, first.category) == (
        entry.refusals[0].id,
        "replay",
        A,
        "refused",
        "cyber",
    )
    assert (second.model, second.outcome, second.request_id, second.status) == (B, "answered", "req_2", 200)
    assert (second.input_tokens, second.output_tokens, second.left_out, second.why) == (412, 3, [], None)
    assert first.ms is not None
    assert KEY not in result.output
    assert not [file for file in db.parent.iterdir() if file.is_file() and KEY.encode() in file.read_bytes()]


@pytest.mark.parametrize(
    ("name", "value"), [("fallbacks", "default"), ("fallback_credit_token", "tok_1"), ("resumption", {"token": "r"})]
)
def test_what_cannot_be_sent_faithfully_is_said_and_left_out(
    db: Path, api: Declining, name: str, value: object
) -> None:
    recorded(db, json.dumps(json.loads(request(max_tokens=10)) | {name: value}).encode())
    printed = " ".join(" ".join(lines(replay(db, api, "--model", A, "--yes"))).split())
    assert "It cannot be sent faithfully: " in printed
    assert json.loads(api.bodies[0]) == json.loads(request(max_tokens=10))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (request(thread={"type": "continue", "previous_message_id": "t"}), "the request continues a thread"),
        (b'{"messages": []}', "the stored request has no model"),
        (b'{"model": "m"}', "the stored request has no messages"),
        (b"no JSON", "is no JSON"),
        (b'{"model": "m", "model": "n", "messages": []}', "is no JSON that could be read for certain"),
    ],
)
def test_a_request_that_cannot_be_sent_again_is_told_in_one_line(db: Path, body: bytes, why: str) -> None:
    recorded(db, body)
    assert why in fails(replay(db, None, "--model", A, "--yes"))


@pytest.mark.parametrize("thread", [{"type": "create"}, None])
def test_a_request_that_begins_a_thread_carries_its_history_and_is_sent(
    db: Path, api: Declining, thread: object
) -> None:
    recorded(db, request(max_tokens=9, thread=thread))
    lines(replay(db, api, "--model", A, "--yes"))
    assert api.bodies == [request(max_tokens=9, thread=thread)]


@pytest.mark.parametrize("where", ["refusal", "attempt", "trial", "incident"])
def test_reasoning_extraction_is_never_sent_again(db: Path, api: Declining, where: str) -> None:
    named(db, "reasoning_extraction", where)
    said = fails(replay(db, api, "--model", A, "--yes"))
    assert "what is declined as reasoning_extraction is never sent again" in said
    assert api.bodies == []


@pytest.mark.parametrize("category", ["general_harms", "bio"])
@pytest.mark.parametrize("where", ["refusal", "attempt", "trial", "incident"])
def test_what_was_declined_as_a_harm_is_sent_again_after_a_plain_warning(
    db: Path, api: Declining, category: str, where: str
) -> None:
    named(db, category, where)
    printed = " ".join(" ".join(lines(replay(db, api, "--model", A, "--yes"))).split())
    assert f"Warning: this content was declined as {category}. Send it again only if you are sure" in printed
    assert len(api.bodies) == 1


def named(db: Path, category: str, where: str) -> None:
    """The last refusal is one of cyber; the API called its content something else as well."""
    entry = recorded(db, category=category if where == "refusal" else "cyber")
    name = entry.refusals[0].id
    if where == "attempt":
        entry.attempts = [Attempt(n=1, by="demur", model=B, outcome=Ending.REFUSED, category=category)]
        keep(db.with_name("other.db"), entry)
        db.with_name("other.db").replace(db)
    if where == "trial":
        one = Trial(refusal_id=name, at="x", purpose="replay", model=B, outcome=Ending.REFUSED, category=category)
        with Store.open(db) as store:
            add_trial(store, one)
    if where == "incident":
        keep(db, declined(request(3, "Other words."), REFUSAL.replace(b"cyber", category.encode()), at=1_795_444_111.0))
        with Store.open(db) as store, store.transaction() as connection:
            connection.execute("update refusals set asked = null, incident_id = ?", [name])


def test_categories_are_those_of_the_same_words_and_incident_and_no_others(db: Path) -> None:
    mine = recorded(db, asked="b2:mine", category="cyber")
    keep(db, declined(BODY, REFUSAL.replace(b"cyber", b"bio"), at=1_795_111_111.0, request_id="req_2"))
    with Store.open(db) as store:
        with store.transaction() as connection:
            connection.execute("update refusals set asked = id, incident_id = id")
        assert categories(store, store.find(mine.refusals[0].id)) == {"cyber"}
        with store.transaction() as connection:
            connection.execute("update refusals set asked = 'b2:same'")
        assert categories(store, store.find(mine.refusals[0].id)) == {"cyber", "bio"}


def test_what_a_person_judged_correct_is_sent_again_after_a_plain_warning(db: Path, api: Declining) -> None:
    recorded(db, verdict=Verdict.CORRECT)
    printed = " ".join(" ".join(lines(replay(db, api, "--model", A, "--yes"))).split())
    assert "Warning: a person judged a refusal of this content correct." in printed
    assert len(api.bodies) == 1


def test_an_answer_that_names_reasoning_extraction_is_the_last(db: Path) -> None:
    recorded(db)
    with in_thread(Declining(by_a, refusal=REFUSAL.replace(b"cyber", b"reasoning_extraction"))) as api:
        result = replay(db, api, "--model", A, "--times", 5, "--yes")
    assert (result.exit_code, len(api.bodies)) == (1, 1)
    assert "an answer named reasoning_extraction, which is never sent again: 1 of 5 requests" in result.stderr


@pytest.mark.parametrize("secret", ["planted-and-plain", "sk-ant-api03-" + "Zq9" * 30])
def test_an_api_that_says_the_key_back_is_neither_shown_nor_recorded(db: Path, secret: str) -> None:
    recorded(db)
    echo = REFUSAL.replace(b"cyber", secret.encode())
    with in_thread(Declining(by_a, refusal=echo)) as api:
        for more in ([], ["--json"]):
            result = replay(db, api, "--model", A, "--yes", *more, key=secret)
            assert result.exit_code == 0
            assert secret not in result.output
            assert "[redacted:" in result.output
    assert not [file for file in db.parent.iterdir() if file.is_file() and secret.encode() in file.read_bytes()]


def test_what_was_not_stored_or_recorded_is_told_in_one_line(db: Path) -> None:
    assert "nothing is recorded yet" in fails(replay(db, None, "--model", A, "--yes"))
    keep(db, declined(BODY, content=False))
    assert "is not stored" in fails(replay(db, None, "--model", A, "--yes"))
    assert "no refusal is named" in fails(demur("replay", "nobody", "--model", A, "--yes", db=db))


def test_without_credentials_or_anyone_to_ask_nothing_is_sent(db: Path, api: Declining) -> None:
    recorded(db)
    assert "no credentials: set ANTHROPIC_API_KEY" in fails(replay(db, api, "--model", A, "--yes", key=""))
    assert "this would send 4 requests" in fails(replay(db, api, "--model", A, "--times", 4), code=2)
    for url in ("x", "http://[::1"):
        assert "not a URL" in fails(
            demur("replay", "last", "--model", A, "--yes", "--upstream", url, db=db, ANTHROPIC_API_KEY=KEY)
        )
    assert api.bodies == []


def test_there_is_a_most_and_a_model_has_a_name(db: Path) -> None:
    six = [word for n in range(6) for word in ("--model", f"m{n}")]
    assert "would be 120 requests: 100 is the most" in fails(replay(db, None, *six, "--times", 20, "--yes"), code=2)
    assert "an empty name" in fails(replay(db, None, "--model", " ", "--yes"), code=2)
    assert replay(db, None, "--model", A, "--times", 21, "--yes").exit_code == 2
    assert replay(db, None, "--yes").exit_code == 2


def test_credentials_that_would_go_unencrypted_are_said(db: Path) -> None:
    recorded(db)
    closed = "http://demur.invalid:9"
    result = demur("replay", "last", "--model", A, "--yes", "--upstream", closed, db=db, ANTHROPIC_AUTH_TOKEN="tok")
    assert "would go there unencrypted" in result.stdout
    assert result.exit_code == 0
    assert [trial.outcome for trial in sent_again(db)] == ["error"]


@pytest.mark.parametrize("status", [429, 529, 500, 401])
def test_failures_are_no_answers_and_three_in_a_row_end_it(db: Path, status: int) -> None:
    recorded(db)
    with in_thread(Declining(by_a, statuses=(200, status, status, 200, *[status] * 9))) as api:
        result = replay(db, api, "--model", A, "--times", 9, "--yes")
    assert result.exit_code == 1
    assert len(api.bodies) == 7
    assert result.stdout.splitlines()[-1].split() == [A, "2", "of", "2", "0", "5", "cyber", "2"]
    assert result.stderr.startswith("demur: 3 requests in a row failed (")
    assert result.stderr.endswith("): 7 of 9 requests were sent\n")
    assert [trial.status for trial in sent_again(db)] == [200, status, status, 200, status, status, status]


def test_a_record_that_cannot_be_kept_is_told_and_the_answer_all_the_same(db: Path) -> None:
    recorded(db)

    def remove(body: bytes) -> bool:
        with Store.open(db) as store, store.transaction() as connection:
            connection.execute("drop table trials")
        return True

    with in_thread(Declining(remove)) as api:
        result = replay(db, api, "--model", A, "--yes")
    assert result.exit_code == 0
    assert "not recorded" in result.stderr
    assert "1 of 1" in result.stdout


def with_terminal(db: Path, api: Declining, answer: bytes, *arguments: str) -> tuple[int, str]:
    """What a person sees who is asked, and answers."""
    import pty

    ours, theirs = pty.openpty()
    command = [*DEMUR, "replay", "last", "--db", str(db), "--upstream", api.url, *arguments]
    child = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"ANTHROPIC_API_KEY": KEY, "NO_COLOR": "1"},
    )
    os.close(theirs)
    seen = b""
    try:
        while data := os.read(ours, 1 << 16):
            seen += data
            if answer and b"[y/N]: " in seen:
                os.write(ours, answer)
                answer = b""
    except OSError:
        pass
    os.close(ours)
    return child.wait(), seen.decode()


@posix
def test_a_person_is_asked_and_may_say_no(db: Path, api: Declining) -> None:
    recorded(db)
    code, seen = with_terminal(db, api, b"n\n", "--model", A, "--times", "2")
    assert (code, api.bodies) == (1, [])
    assert "Send 2 requests? [y/N]: n" in seen
    code, seen = with_terminal(db, api, b"y\n", "--model", A, "--times", "2")
    assert (code, len(api.bodies)) == (0, 2)
    assert "2 of 2" in seen


@posix
def test_ctrl_c_ends_it_and_what_was_done_is_recorded_and_shown(db: Path) -> None:
    recorded(db)
    child: list[subprocess.Popen[str]] = []

    def rule(body: bytes) -> bool:
        if len(slow.bodies) == 2:
            child[0].send_signal(signal.SIGINT)
            child[0].wait(60)
        return True

    with in_thread(slow := Declining(rule)):
        child.append(start(db, slow))
        stdout, stderr = child[0].communicate(timeout=60)
    assert child[0].returncode == 1
    assert stdout.splitlines()[-1].split() == [A, "1", "of", "1", "0", "1", "cyber", "1"]
    assert stderr == "demur: interrupted: 2 of 9 requests were sent\n"
    assert [(trial.outcome, trial.why) for trial in sent_again(db)] == [("refused", None), ("cut", "interrupted")]


def start(db: Path, api: Declining) -> subprocess.Popen[str]:
    command = [*DEMUR, "replay", "last", "--db", str(db), "--upstream", api.url, "--model", A, "--times", "9", "--yes"]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=untraced() | {"ANTHROPIC_API_KEY": KEY},
    )


def test_names_of_others_cannot_drive_a_terminal(db: Path, api: Declining) -> None:
    recorded(db)
    result = replay(db, api, "--model", f"m{ESCAPES}", "--yes")
    assert not {char for char in ESCAPES if not char.isprintable()} & set(result.output)


def test_show_has_lines_for_what_was_sent_again_and_located() -> None:
    def trial(n: int, **fields: Any) -> Trial:
        given = {
            "refusal_id": "r",
            "at": "2026-11-23T14:00:00.000Z",
            "purpose": "replay",
            "model": A,
            "outcome": "refused",
        }
        return Trial(**(given | fields))

    sent = [
        trial(1, category="cyber"),
        trial(2),
        trial(3, outcome="error"),
        trial(4, model=B, outcome="answered"),
        trial(5, purpose="locate"),
    ]
    found = Located(
        refusal_id="r", at="2026-11-23T14:00:00.000Z", model=A, settled=True, parts=["system[1]:3"], trials=9
    )
    unsure = Located(refusal_id="r", at="x", model=A, settled=False, trials=3, why="it was interrupted")
    seen = Located(
        refusal_id="r", at="x", model=A, settled=True, parts=["system[1]"], trials=5, why="without this part it was"
    )
    said = "\n".join(told(sent, [found, unsure, seen], 1000))
    assert "5 requests (x): system[1]. Without this part it was. What was found is a candidate" in said
    assert f"sent again to {A}: declined 2 of 2 (cyber, none), 1 failed" in said
    assert f"sent again to {B}: declined 0 of 1 (" in said
    assert "9 requests" in said
    assert "accepted without system[1]:3. What was found is a candidate" in said
    assert "3 requests (x): This could not be settled. It was interrupted." in said
    assert told([], [], 80) == []
    assert max(map(len, told(sent, [found], 60))) <= 60
