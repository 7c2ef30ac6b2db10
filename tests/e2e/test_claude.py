"""The real Claude Code through demur: it prints what it prints without, and what was declined is on record once.

Each way is played through once, two runs at a time, and the tests look at what came of it. "Without demur" is, for the
gateway, ANTHROPIC_BASE_URL at the API itself; for mitmproxy, a mitmdump that only streams, since Claude Code behaves
differently where it takes the host for Anthropic's own.
"""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from e2e_claude import KEY, OLDEST, PLANTED, Ran, claude, normal, version
from e2e_plays import PLAYS, Play, facts, rules, word
from e2e_process import Api, Told, command, in_thread, mitm, mitmdump, up
from proxy.pretend import SECRETS, Received
from proxy.store import Store

WAYS = ("gateway", "mitmproxy")


class Run(NamedTuple):
    """One run, and what the API was asked in it."""

    ran: Ran
    home: Path
    told: list[Told]


class Way(NamedTuple):
    """All plays, played one way; and the database, where there is one."""

    runs: dict[str, Run]
    db: Path


def played(program: Path, folder: Path, api: Api, **environment: str) -> Way:
    def play(numbered: tuple[int, str]) -> tuple[Ran, Path]:
        number, name = numbered
        home = folder / f"{number:02}"
        prompt = f"Say hi. {word(name)} The key is {PLANTED}."
        options = ["--model", PLAYS[name].model, "--output-format", "stream-json", "--verbose"]
        return claude(program, home, prompt, *options, "--allowedTools", "Bash(echo:*)", **environment), home

    with ThreadPoolExecutor(2) as pool:
        done = dict(zip(PLAYS, pool.map(play, enumerate(PLAYS)), strict=True))
    runs = {name: Run(ran, home, [told for told in api.told if of(told, ran)]) for name, (ran, home) in done.items()}
    return Way(runs, folder / "demur.db")


def of(told: Told, ran: Ran) -> bool:
    session = told.received.header("x-claude-code-session-id")
    return session is not None and session in ran.out


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For paths of one length, since the pretend API counts tokens by bytes."""
    return tmp_path_factory.mktemp("ways")


@pytest.fixture(scope="module")
def without_gateway(program: Path, homes: Path) -> Way:
    with in_thread(Api(rules=rules())) as api:
        return played(program, homes / "a", api, ANTHROPIC_BASE_URL=api.url)


@pytest.fixture(scope="module")
def gateway(program: Path, homes: Path) -> Way:
    with in_thread(Api(rules=rules())) as api, up(api.url, made(homes / "b")) as demur:
        way = played(program, homes / "b", api, **demur.said)
        assert demur.end() == 0
        return way


@pytest.fixture(scope="module")
def without_mitmproxy(program: Path, homes: Path) -> Way:
    with in_thread(Api(rules=rules())) as api, mitmdump(api.url, homes / "conf") as plain:
        return played(program, homes / "c", api, **plain.said)


@pytest.fixture(scope="module")
def mitmproxy(program: Path, homes: Path) -> Way:
    with in_thread(Api(rules=rules())) as api, mitm(api.url, made(homes / "d")) as demur:
        way = played(program, homes / "d", api, **demur.said)
        assert demur.end() == 0
        return way


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder / "demur.db"


def seen(run: Run, *, in_order: bool) -> Any:
    """What a person or a program sees of a run."""
    lines = normal(run.ran.out, run.home)
    ends = [line["result"] for line in lines if line["type"] == "result"]
    return run.ran.code, run.ran.err, lines if in_order else ends


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PLAYS)
def test_claude_code_prints_what_it_prints_without_demur(name: str, way: str, request: pytest.FixtureRequest) -> None:
    without, through = request.getfixturevalue(f"without_{way}"), request.getfixturevalue(way)
    play, expected = PLAYS[name], seen(without.runs[name], in_order=PLAYS[name].in_order)
    assert expected[2], without.runs[name]
    assert seen(through.runs[name], in_order=play.in_order) == expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PLAYS)
def test_what_was_declined_is_on_record_once_and_nothing_else(
    name: str, way: str, program: Path, request: pytest.FixtureRequest
) -> None:
    through: Way = request.getfixturevalue(way)
    told: dict[str | None, Received] = {one.request_id: one.received for one in through.runs[name].told}
    declined = facts(PLAYS[name], told)
    with Store.open(through.db) as store:
        records = [record for record in store.refusals() if record.request_id in told]
        assert sorted(map(str, (record.request_id for record in records))) == sorted(map(str, declined))
        for record in records:
            received, found = told[record.request_id], declined[record.request_id]
            assert (record.kind, record.evidence, record.category, record.stage) == found[:4]
            assert record.outcome == found.outcome
            assert record.answered_by == found.answered_by
            assert record.source == way
            assert record.model == received.json()["model"]
            assert record.streamed == ("stream" in received.json())
            assert record.session_id == received.header("x-claude-code-session-id")
            assert record.agent_id == received.header("x-claude-code-agent-id")
            assert record.role == ("subagent" if record.agent_id else "main")
            assert (record.client, record.client_version) == ("claude-cli", version(program))
            assert record.entrypoint == "sdk-cli"
            labels = {segment.label for segment in store.segments(record.id)}
            assert labels >= {"attribution", "system", "tool", "user_text", *PLAYS[name].labels}
    assert any(record.agent_id for record in records) == (name == "an-agent-that-is-declined")
    if version(program) == OLDEST:
        assert len(records) == PLAYS[name].n


@pytest.mark.parametrize("way", WAYS)
def test_the_project_is_the_folder_that_claude_code_works_in(way: str, request: pytest.FixtureRequest) -> None:
    through: Way = request.getfixturevalue(way)
    with Store.open(through.db) as store:
        assert {record.project for record in store.refusals()} == {"work"}


@pytest.mark.parametrize("way", WAYS)
def test_the_list_has_every_record_and_nothing_that_no_play_led_to(way: str, request: pytest.FixtureRequest) -> None:
    through: Way = request.getfixturevalue(way)
    listed = [json.loads(line) for line in command("list", "--all", "--json", "--db", str(through.db)).splitlines()]
    told: list[tuple[Play, dict[str | None, Received]]] = [
        (PLAYS[name], {one.request_id: one.received for one in run.told}) for name, run in through.runs.items()
    ]
    declined = [request_id for play, one in told for request_id in facts(play, one)]
    assert sorted(record["request_id"] for record in listed) == sorted(map(str, declined))
    assert json.loads(command("db", "verify", "--json", "--db", str(through.db)))["ok"]


@pytest.mark.parametrize("way", WAYS)
def test_every_request_is_counted_once(way: str, request: pytest.FixtureRequest) -> None:
    through: Way = request.getfixturevalue(way)
    told = [one.received for run in through.runs.values() for one in run.told]
    asked = [received for received in told if received.target.startswith("/v1/messages?")]
    with Store.open(through.db) as store:
        assert sum(n for _, n in store.traffic()) == len(asked)


@pytest.mark.parametrize("way", WAYS)
def test_the_request_that_was_declined_is_stored_whole_but_for_the_secret(
    way: str, request: pytest.FixtureRequest
) -> None:
    through: Way = request.getfixturevalue(way)
    told: dict[str | None, Received] = {
        one.request_id: one.received for run in through.runs.values() for one in run.told
    }
    with Store.open(through.db) as store:
        for record in store.refusals():
            sent = told[record.request_id].body
            parts = [re.escape(part) for part in re.split("|".join((PLANTED, *SECRETS)), plain(sent))]
            assert re.fullmatch(r"[^\"]{1,60}".join(parts), plain(store.body(record.id)))
            assert record.replacements == len(parts) - 1
            assert record.exact == (record.replacements == 0)


def plain(body: bytes) -> str:
    """JSON in one spelling, its keys in their own order."""
    return json.dumps(json.loads(body))


@pytest.mark.parametrize("way", WAYS)
def test_no_secret_is_kept_or_shown(way: str, request: pytest.FixtureRequest) -> None:
    through: Way = request.getfixturevalue(way)
    kept = [path for path in through.db.parent.rglob("*") if path.is_file() and path.name.startswith("demur")]
    texts = [path.read_bytes() for path in kept]
    with Store.open(through.db) as store:
        keys = [row["key"] for row in store.rows("select key from segments")]
        records = store.refusals()
        texts += [store.content(key) for key in keys] + [store.body(record.id) for record in records]
    shown = [command("show", record.id, "--content", "--db", str(through.db)) for record in distinct(records)]
    texts += [text.encode() for text in shown]
    texts += [command("show", "last", "--content", "--json", "--db", str(through.db)).encode()]
    assert any(word("declined-before-output") in text for text in shown)
    for secret in (KEY, PLANTED, *SECRETS):
        assert not [text[:80] for text in texts if secret.encode() in text], secret


def distinct(records: list[Any]) -> list[Any]:
    """One of each kind, category and stage: a command takes a third of a second."""
    return list({(record.kind, record.category, record.stage, record.outcome): record for record in records}.values())
