"""The real Claude Code before a demur that asks again: what the API was asked, what was printed, what is on record."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from e2e_claude import Ran, claude, environment, folder, normal, ran
from e2e_plays import FALLBACK, MODEL
from e2e_process import DEMUR, Api, Process, in_thread, mitm, up
from proxy.pretend import Received, Rule
from proxy.store import Store
from schemas.records import Attempt, Pin, Refusal
from wire import Seen, ask, serving

CHAIN = f'[[retry.fallback]]\nmodel = "{FALLBACK}"\n'
ON = f"[retry]\nenabled = true\n{CHAIN}"
"""What stands in docs/retry.md first."""
GUARD = "[retry]\ntool_guard = true\n"
OFF = f"[retry]\nenabled = false\n{CHAIN}"
ALONE = {"CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK": "1", "CLAUDE_CODE_DISABLE_REFUSAL_RETRY": "1"}
"""Claude Code takes no care of a refusal itself; for what is demur's alone to do."""
NEVER = "0000"
"""Before every pin ends."""
PROMPT = "Say hi."


def rules(primary: str, fallback: str) -> list[Rule]:
    """What the model that is asked for plays, and what the other one does."""
    return [Rule(model=MODEL, play=primary), Rule(model=FALLBACK, play=fallback)]


class Stage(NamedTuple):
    """One API, a home for Claude Code, and a database."""

    program: Path
    api: Api
    home: Path

    @property
    def db(self) -> Path:
        return self.home / "demur.db"

    def demur(self, settings: str, start: Callable[..., Process] = up) -> Process:
        """A demur before the API, with these settings in its ``demur.toml``."""
        return start(self.api.url, self.db, config=self.config(settings))

    def config(self, settings: str) -> Path:
        config = self.home / "demur.toml"
        config.write_text(settings)
        return config

    def claude(self, *options: str, prompt: str = PROMPT, model: str = MODEL, **environment: str) -> Ran:
        printed = ("--model", model, "--output-format", "stream-json", "--verbose")
        return claude(self.program, self.home, prompt, *printed, *options, **environment)

    def plain(self, *options: str, **more: str) -> Ran:
        """Without demur."""
        return self.claude(*options, ANTHROPIC_BASE_URL=self.api.url, **more)

    def through(self, settings: str, *options: str, **more: str) -> Ran:
        """Through ``demur up``, until it has ended."""
        return self._through(self.demur(settings), options, more)

    def by_mitmproxy(self, settings: str, *options: str, **more: str) -> Ran:
        """Through ``demur mitm``, until it has ended."""
        return self._through(self.demur(settings, mitm), options, more)

    def _through(self, process: Process, options: Sequence[str], more: Mapping[str, str]) -> Ran:
        with process as demur:
            ran = self.claude(*options, **demur.said, **more)
            assert demur.end() == 0
        return ran

    def run(self, settings: str, *options: str) -> Ran:
        """By ``demur run``."""
        command = [*DEMUR, "run", "--config", str(self.config(settings)), "--db", str(self.db), "--", str(self.program)]
        ours = {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "COV"))}
        env = ours | environment(self.home, ANTHROPIC_BASE_URL=self.api.url)
        return ran([*command, "-p", PROMPT, "--model", MODEL, *options], env=env, cwd=folder(self.home))

    @property
    def asked(self) -> list[Received]:
        """The Messages requests, in order."""
        return [received for received in self.api.requests if received.target.startswith("/v1/messages?")]

    @property
    def models(self) -> list[str]:
        """Of these requests."""
        return [str(received.json()["model"]) for received in self.asked]

    def records(self) -> list[Refusal]:
        with Store.open(self.db) as store:
            return store.refusals()

    def attempts(self, refusal: Refusal) -> list[Attempt]:
        with Store.open(self.db) as store:
            return store.attempts(refusal.id)

    def pins(self) -> list[Pin]:
        with Store.open(self.db) as store:
            return store.pins(NEVER)


class Stages:
    """Makes stages, whose homes have paths of one length, since the pretend API counts tokens by bytes; ends with them."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program, self._folder, self._made = program, folder, 0
        self._stack = ExitStack()

    def new(self, rules: Sequence[Rule], scenario: str = "answer") -> Stage:
        home = self._folder / f"{self._made:03}"
        home.mkdir()
        self._made += 1
        return Stage(self.program, self._stack.enter_context(in_thread(Api(scenario, rules=rules))), home)

    def close(self) -> None:
        self._stack.close()


class Printed(NamedTuple):
    """What a person or a program gets to see of a run."""

    code: int
    err: str
    lines: list[Any]

    @classmethod
    def of(cls, ran: Ran, stage: Stage) -> "Printed":
        return cls(ran.code, ran.err, _in_order(normal(ran.out, stage.home)))

    @property
    def result(self) -> str:
        return str(next(line["result"] for line in self.lines if line["type"] == "result"))

    def blocks(self) -> list[Any]:
        """The content blocks of the assistant, in order."""
        messages = [line["message"] for line in self.lines if line["type"] == "assistant"]
        return [block for message in messages for block in message["content"]]


def _in_order(lines: list[Any]) -> list[Any]:
    """Results of tools that ran at once come in any order."""
    ordered: list[Any] = []
    for is_result, group in groupby(lines, lambda line: line["type"] == "user"):
        together = list(group)
        ordered += sorted(together, key=str) if is_result else together
    return ordered


@contextmanager
def recorded(url: str) -> Iterator[tuple[str, list[Seen]]]:
    """A listener that passes everything on to ``url``, and keeps the answers."""
    kept: list[Seen] = []

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        answer = await ask(url, seen.head + seen.body, bodiless=seen.head.startswith(b"HEAD"))
        kept.append(answer)
        body = b"%x\r\n%s\r\n0\r\n" % (len(answer.body), answer.body) if answer.ending else answer.body
        writer.write(answer.head + body + answer.ending)

    with in_thread(serving(play)) as server:
        yield server.url, kept
