"""The transcripts that the real Claude Code leaves: what the API declined is found once, with its class, and nothing else.

What an API declined without leaving a trace in the transcript cannot be found there; the plays that do so are named.
"""

import json
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from e2e_claude import PLANTED, claude
from e2e_plays import PLAYS, Fact, facts, rules, word
from e2e_process import Api, in_thread
from proxy.cli.importing import import_
from proxy.core.context import split
from proxy.core.redact import Redactor
from proxy.core.said import answers, fingerprint
from proxy.pretend import SECRETS, Received, Rule
from proxy.store import Store
from schemas.labels import History, Label, Outcome, Stage
from schemas.records import Refusal

UNTOLD = frozenset(
    {"the-output-filter-twice-streamed-and-not", "a-repeat-without-a-stream-that-is-declined", "a-policy-error"}
)
"""An error that the client repeats by itself leaves no line: only the last is told of."""
OPEN_BLOCK = "declined-in-an-open-block"
"""The client drops a block that was not closed, and so nothing says that output had begun."""


class Imported(NamedTuple):
    """What was asked and declined in each play, and the database."""

    told: dict[str, dict[str, Received]]
    db: Path
    homes: Path


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    named = os.environ.get("DEMUR_CLAUDE", "")
    if not os.access(named, os.X_OK):
        why = f"DEMUR_CLAUDE names no Claude Code: {named!r}"
        pytest.fail(why) if os.environ.get("DEMUR_E2E") == "require" else pytest.skip(why)
    homes = tmp_path_factory.mktemp("homes")

    def play(name: str) -> str:
        prompt = f"Say hi. {word(name)} The key is {PLANTED}."
        options = ["--model", PLAYS[name].model, "--output-format", "stream-json", "--verbose"]
        ran = claude(
            Path(named), homes / name, prompt, *options, "--allowedTools", "Bash(echo:*)", ANTHROPIC_BASE_URL=url
        )
        (homes / name / "printed.jsonl").write_text(ran.out)
        return ran.out

    with in_thread(Api(rules=rules())) as api, ThreadPoolExecutor(2) as pool:
        url = api.url
        printed = dict(zip(PLAYS, pool.map(play, PLAYS), strict=True))
        told = {
            name: {one.request_id: one.received for one in api.told if _session(one.received) in out}
            for name, out in printed.items()
        }
    db = homes.parent / "imported.db"
    projects = [str(path) for path in homes.glob("*/.claude/projects")]
    assert CliRunner().invoke(import_, [*projects, "--db", str(db), "--strict"]).exit_code == 0
    return Imported(told, db, homes)


def _session(received: Received) -> str:
    return received.header("x-claude-code-session-id") or "no session"


def _by_request(store: Store, told: dict[str, Received]) -> dict[str, Refusal]:
    """The records of a play by the ids of the requests on the wire; some know only the message, which the pretend API numbers alike."""
    sessions = {_session(received) for received in told.values()}
    found = [refusal for refusal in store.refusals() if refusal.session_id in sessions]
    numbers = {int(name[-6:]) + 1: name for name in told}
    made = {one.request_id or numbers[int((one.message_id or "")[-6:])]: one for one in found}
    assert len(made) == len(found)
    return made


@pytest.mark.parametrize("name", PLAYS)
def test_each_refusal_of_the_api_is_found_once_with_its_class_and_nothing_else(name: str, imported: Imported) -> None:
    told = imported.told[name]
    known: dict[str | None, Received] = dict(told.items())
    expected: dict[str, Fact] = {str(key): fact for key, fact in facts(PLAYS[name], known).items()}
    with Store.open(imported.db) as store:
        made = _by_request(store, told)
    assert set(made) <= set(expected)
    if name not in UNTOLD:
        assert set(made) == set(expected)
    for key, refusal in made.items():
        fact = expected[key]
        assert (refusal.kind, refusal.outcome, refusal.answered_by) == (fact.kind, fact.outcome, fact.answered_by)
        assert refusal.category in (fact.category, None)
        assert refusal.stage == fact.stage or (name == OPEN_BLOCK and refusal.stage == Stage.BEFORE_OUTPUT)
        assert refusal.model in (told[key].json()["model"], None)
        assert refusal.agent_id == told[key].header("x-claude-code-agent-id")
        assert refusal.project == "work"


def test_what_was_asked_has_the_fingerprint_that_it_had_on_the_wire(imported: Imported) -> None:
    with Store.open(imported.db) as store:
        for name, told in imported.told.items():
            for key, refusal in _by_request(store, told).items():
                if name != OPEN_BLOCK:
                    sent = split(told[key].body, Redactor())
                    assert refusal.asked == fingerprint(sent.segments), (name, key)


def test_what_is_called_new_was_not_in_the_accepted_request_on_the_wire(imported: Imported) -> None:
    seen: Counter[str | None] = Counter()
    with Store.open(imported.db) as store:
        for name, told in imported.told.items():
            sent = {key: split(one.body, Redactor()).segments for key, one in told.items()}
            for key, refusal in _by_request(store, told).items():
                seen[refusal.history] += 1
                known: set[str] = set()
                if refusal.history == History.GROWN:
                    known = {one.hash for one in sent[str(refusal.accepted_request_id)]}
                    assert key not in (None, refusal.accepted_request_id)
                elif refusal.history == History.FIRST:
                    assert not answers(sent[key]), name
                if refusal.history is not None:
                    for one in store.segments(refusal.id):
                        assert one.new == (one.hash not in known), (name, key, one.path)
                        assert one.hash in {other.hash for other in sent[key]}, (name, key, one.path)
    assert seen[History.GROWN] >= 1
    assert seen[History.FIRST] >= 10


def test_every_answer_is_counted_once(imported: Imported) -> None:
    with Store.open(imported.db) as store:
        rows = store.rows("select outcome, sum(n) as n from imported_traffic group by outcome")
        declined = len(store.refusals())
    counted = Counter({row["outcome"]: row["n"] for row in rows})
    answered = sum(
        received.scenario in ("answer", "quote", "e2e_agent") and received.target.startswith("/v1/messages?")
        for told in imported.told.values()
        for received in told.values()
    )
    assert counted["answered"] >= answered
    assert counted.total() - counted["answered"] >= declined


def test_no_secret_is_kept(imported: Imported) -> None:
    with Store.open(imported.db) as store:
        kept = repr([(refusal, store.texts(refusal.id)) for refusal in store.refusals()])
    for secret in (PLANTED, *SECRETS):
        assert secret not in kept


def test_a_second_run_adds_nothing_and_what_was_printed_is_a_second_witness(imported: Imported) -> None:
    with Store.open(imported.db) as store:
        before = {refusal.id: refusal.outcome for refusal in store.refusals()}
    printed = [str(path) for path in imported.homes.glob("*/printed.jsonl")]
    projects = [str(path) for path in imported.homes.glob("*/.claude/projects")]
    for paths in (projects, printed, printed):
        assert CliRunner().invoke(import_, [*paths, "--db", str(imported.db), "--strict"]).exit_code == 0
    with Store.open(imported.db) as store:
        after = {refusal.id: refusal for refusal in store.refusals()}
    assert set(after) == set(before)
    assert {name: one.outcome for name, one in after.items()} == before
    assert sum("stream_json" in one.sources for one in after.values()) >= 20
    assert all(one.outcome != Outcome.UNKNOWN for one in after.values())


def test_a_session_that_is_resumed_and_declined_again_has_what_the_wire_has(tmp_path: Path) -> None:
    named = os.environ.get("DEMUR_CLAUDE", "")
    if not os.access(named, os.X_OK):
        pytest.skip("DEMUR_CLAUDE names no Claude Code")
    prompts = ("First, say hi.", "<stuck> and hi.", "<stuck> once more", "<again> hi.", "<stuck> at last")
    options: list[str] = ["--model", "claude-opus-5", "--output-format", "stream-json", "--verbose"]
    rules = [Rule(word="<again>", play="answer"), Rule(word="<stuck>", play="refusal category=cyber")]
    with in_thread(Api(rules=rules)) as api:
        for prompt in prompts:
            ran = claude(Path(named), tmp_path, prompt, *options, ANTHROPIC_BASE_URL=api.url)
            session = json.loads(ran.out.splitlines()[0])["session_id"]
            options = [*options[:5], "--resume", session]
    sent = {one.request_id: split(one.received.body, Redactor()).segments for one in api.told}
    db = str(tmp_path / "demur.db")
    assert CliRunner().invoke(import_, [str(tmp_path / ".claude"), "--db", db, "--strict"]).exit_code == 0
    with Store.open(Path(db)) as store:
        found = [one for one in reversed(store.refusals()) if one.source == "transcript"]
        maps = {one.id: store.segments(one.id) for one in found}
    turns = {(one.turn, one.accepted_turn) for one in found}  # newer versions ask another model as well
    assert turns == {(2, 1), (3, 1), (5, 4)}
    assert len({one.incident_id for one in found}) == 2
    for one in (one for one in found if one.request_id):
        here, before = sent[str(one.request_id)], {each.hash for each in sent[str(one.accepted_request_id)]}
        assert one.history == History.GROWN
        assert one.asked == fingerprint(here)
        said = {each.hash for each in here if each.label == Label.USER_TEXT} - before
        assert {each.hash for each in maps[one.id] if each.new} == said
