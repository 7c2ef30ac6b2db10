"""``demur run``: the command gets its terminal, its signals and its exit code, and its requests go through demur."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e_claude import Ran, environment, folder, normal, ran
from e2e_process import DEMUR, Api, Process, command, in_thread, mitmdump
from proxy.pretend import Rule

VIAS = ("gateway", "mitmproxy")
DECLINED = "centrifuge"
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
TRAPPED = "trap 'echo it came; exit 9' {0}; echo READY=1; while :; do sleep 0.05; done"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with in_thread(Api(rules=[Rule(word=DECLINED, play="refusal category=bio")])) as api:
        yield api


def run(home: Path, *arguments: str, **more: str) -> Ran:
    return ran([*DEMUR, "run", *arguments], env=own(home, **more), cwd=folder(home))


def own(home: Path, **more: str) -> dict[str, str]:
    """Claude Code's environment, and what our own processes need of this one."""
    return {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "COV"))} | environment(
        home, **more
    )


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("word", ["balance", DECLINED])
def test_claude_code_runs_behind_it_and_is_told_of_once(
    via: str, word: str, program: Path, home: Path, api: Api
) -> None:
    asked = ["-p", f"How do I {word} the tubes?", "--model", "claude-opus-5"]
    got = run(home, "--via", via, "--", str(program), *asked, ANTHROPIC_BASE_URL=api.url)
    without = ran([str(program), *asked], env=environment(home, ANTHROPIC_BASE_URL=api.url), cwd=folder(home))
    assert (got.code, normal(got.out, home)) == (without.code, normal(without.out, home))
    listed = [json.loads(line) for line in command("list", "--json", "--db", db(home)).splitlines()]
    assert {record["source"] for record in listed} == ({via} if word == DECLINED else set())
    said = [
        f"demur: declined: bio, before output, {record['model']}, {record['request_id']}" for record in listed[::-1]
    ]
    if listed:
        count = "" if len(listed) == 1 else f"{len(listed)} requests were declined. "
        see = "see" if len(listed) == 1 else "See"
        said.append(f"demur: {count}{see} `demur show {listed[0]['id']}`.")
    assert got.err.splitlines() == said


def db(home: Path) -> str:
    return str(home / ".local" / "share" / "demur" / "demur.db")


def test_a_proxy_that_is_set_is_chained(program: Path, home: Path, api: Api, tmp_path: Path) -> None:
    """Claude Code -> demur -> a proxy that decrypts as well -> the API, by the API's own name."""
    with mitmdump(api.url, tmp_path / "other") as other:
        env = {**other.said, "DEMUR_UPSTREAM_CA": other.said["NODE_EXTRA_CA_CERTS"]}
        asked = [str(program), "-p", f"Use the {DECLINED}.", "--model", "claude-opus-5"]
        got = run(home, "--via", "mitmproxy", "--", *asked, **env)
    assert got.code == 1, got
    assert "demur: declined: bio, before output, claude-opus-5, req_" in got.err


def test_by_gateway_the_command_gets_a_base_url_and_nothing_else(home: Path, api: Api) -> None:
    before = own(home, ANTHROPIC_BASE_URL=api.url)
    after = json.loads(run(home, "--", sys.executable, "-c", SHOW, ANTHROPIC_BASE_URL=api.url).out)
    assert changed(before, after) == {"ANTHROPIC_BASE_URL"}
    assert after["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")


def test_a_proxy_that_is_set_is_not_asked_for_the_gateway(home: Path, api: Api) -> None:
    env = {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "example.org"}
    after = json.loads(run(home, "--upstream", api.url, "--", sys.executable, "-c", SHOW, **env).out)
    assert after["HTTPS_PROXY"] == env["HTTPS_PROXY"]
    assert after["NO_PROXY"].split(",") == ["example.org", "127.0.0.1"]


def test_by_mitmproxy_the_command_gets_a_proxy_and_its_authority(home: Path, api: Api) -> None:
    got = run(home, "--via", "mitmproxy", "--upstream", api.url, "--", sys.executable, "-c", SHOW)
    after = json.loads(got.out)
    assert changed(own(home), after) == {"HTTPS_PROXY", "https_proxy", "NODE_EXTRA_CA_CERTS"}
    assert after["HTTPS_PROXY"] == after["https_proxy"]
    assert Path(after["NODE_EXTRA_CA_CERTS"]).read_text().startswith("-----BEGIN CERTIFICATE-----")


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    names = before.keys() | after.keys()
    return {name for name in names if before.get(name) != after.get(name)} - {"LC_CTYPE", "_", "PWD", "OLDPWD", "SHLVL"}


@pytest.mark.parametrize(
    ("via", "script", "code"), [("gateway", "exit 7", 7), ("gateway", "kill -KILL $$", 137), ("mitmproxy", "exit 8", 8)]
)
def test_the_exit_code_is_the_command_s(via: str, script: str, code: int, home: Path, api: Api) -> None:
    assert run(home, "--via", via, "--upstream", api.url, "--", "sh", "-c", script) == Ran(code, "", "")


def test_a_command_that_is_not_there_is_127_and_one_that_cannot_be_run_126(home: Path) -> None:
    missing = run(home, "--", "no-such-command")
    assert (missing.code, missing.err) == (127, "demur: no-such-command: command not found\n")
    found = run(home, "--", str(folder(home)))
    assert found.code == 126
    assert found.err.startswith("demur: cannot run ")


@pytest.mark.parametrize(
    ("via", "name"), [("gateway", "TERM"), ("gateway", "HUP"), ("gateway", "INT"), ("mitmproxy", "TERM")]
)
def test_a_signal_for_demur_reaches_the_command(via: str, name: str, home: Path, api: Api, tmp_path: Path) -> None:
    trapped = ["sh", "-c", TRAPPED.format(name)]
    command = [*DEMUR, "run", "--via", via, "--upstream", api.url, "--db", str(tmp_path / "demur.db"), "--", *trapped]
    with Process(command, tmp_path / "log", "READY=") as demur:
        demur.popen.send_signal(getattr(signal, f"SIG{name}"))
        out, _ = demur.popen.communicate(timeout=60)
    assert (demur.popen.returncode, out) == (9, b"it came\n")


def test_the_command_reads_what_is_typed(home: Path, api: Api) -> None:
    command = [*DEMUR, "run", "--upstream", api.url, "--", "sh", "-c", "read line; echo got $line"]
    done = subprocess.run(
        command, env=own(home), input="words\n", capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "got words\n")
