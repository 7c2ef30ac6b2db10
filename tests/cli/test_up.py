"""What ``demur up`` says: to a person at a terminal in plain lines, to a machine in JSON."""

import json
import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest

from commands import demur, objects, posix, request
from e2e_process import DEMUR, Api, in_thread, up
from proxy.cli import inforce
from proxy.pretend import Rule
from proxy.settings import load
from proxy.store import Store

ON = '[retry]\nenabled = true\n[[retry.fallback]]\nmodel = "claude-opus-4-8"\n'


@pytest.fixture
def api() -> Iterator[Api]:
    with in_thread(Api(rules=[Rule(model="claude-opus-5", play="refusal"), Rule(play="answer")])) as api:
        yield api


@pytest.fixture
def config(tmp_path: Path) -> Path:
    config = tmp_path / "demur.toml"
    config.write_text("")
    return config


def ask(url: str) -> None:
    headers = {"X-Claude-Code-Session-Id": "s", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/v1/messages", request(), headers)) as answer:
        answer.read()


def test_the_log_says_once_that_the_settings_were_changed(api: Api, db: Path, config: Path) -> None:
    with up(api.url, db, config=config) as gateway:
        ask(gateway.said["ANTHROPIC_BASE_URL"])
        config.write_text(ON)
        for _ in range(2):
            ask(gateway.said["ANTHROPIC_BASE_URL"])
        gateway.end()
        events = [json.loads(line) for line in gateway.log.read_text().splitlines()]
    assert [line["event"] for line in events].count("refusal.seen") == 3
    (changed,) = (line for line in events if line["event"] == "settings.changed")
    assert (changed["file"], changed["todo"]) == (str(config), "start demur again to use them")


@contextmanager
def on_terminal(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], TextIO]]:
    """``demur`` on a terminal of its own, and that terminal."""
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*DEMUR, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=os.environ
    )
    os.close(theirs)
    try:
        with os.fdopen(ours, encoding="utf-8") as terminal:
            yield process, terminal
    finally:
        process.terminate()
        process.wait(60)


def command(api: Api, db: Path, config: Path) -> list[str]:
    return ["up", "--listen", "127.0.0.1:0", "--upstream", api.url, "--db", str(db), "--config", str(config)]


def ready(terminal: TextIO) -> str:
    """The base URL, where retry is off."""
    found = re.search(r"ANTHROPIC_BASE_URL=(\S+) .*, retry is off\)$", terminal.readline().rstrip())
    assert found
    return found[1]


@posix
def test_at_a_terminal_a_person_reads_one_plain_line_for_each_refusal(api: Api, db: Path, config: Path) -> None:
    with on_terminal(*command(api, db, config)) as (process, terminal):
        url = ready(terminal)
        ask(url)
        config.write_text(ON)
        ask(url)
        changed, *declined = sorted(
            (terminal.readline().rstrip() for _ in range(3)), key=lambda line: "declined" in line
        )
        assert changed == f"demur: {config} was changed: start demur again to use it"
        for line in declined:
            assert re.fullmatch(r"demur: declined: cyber, before output, claude-opus-5, req_\w+", line)
        process.send_signal(signal.SIGTERM)
        assert terminal.readline().startswith("demur: 2 requests were declined. See `demur show ")
        assert process.wait(60) == 0


@posix
def test_a_terminal_that_is_gone_keeps_nothing_from_being_kept(api: Api, db: Path, config: Path) -> None:
    with on_terminal(*command(api, db, config)) as (process, terminal):
        url = ready(terminal)
        terminal.close()
        ask(url)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    (kept,) = objects(demur("list", "--json", db=db))
    with Store.open(db, readonly=True) as store:
        assert store.annotations(kept["id"])


@pytest.mark.parametrize(
    ("settings", "stance"),
    [
        ("", "retry is off"),
        ("[retry]\ntool_guard = true\n", "retry is off, the tool guard is on"),
        (
            f'{ON}max_tokens = 8000\n[[retry.fallback]]\nmodel = "claude-opus-5"\n',
            "retry on: claude-opus-4-8, then claude-opus-5",
        ),
        ("[retry]\nenabled = true\n", "retry on: nothing is asked, there is no [[retry.fallback]]"),
        (
            '[retry]\nenabled = true\n[retry.rephrase]\nenabled = true\nstrategy = "trim"\n',
            "retry on: rephrased (trim)",
        ),
    ],
)
def test_what_retry_is_has_few_words(config: Path, settings: str, stance: str) -> None:
    config.write_text(settings)
    assert inforce.stance(load(str(config)).settings.retry) == stance
