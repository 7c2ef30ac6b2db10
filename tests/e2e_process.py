"""Parts in processes and threads of their own: the pretend API, ``demur``, and a mitmdump that does the least."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import NamedTuple, Self

from aiohttp import web

from proxy.pretend import Options, Pretend, Received, Rule
from proxy.pretend.delivery import Answer

DEMUR = [sys.executable, "-m", "proxy.cli"]
READY_S = 60.0
"""How long a process may take to say that it is ready. Only a failure lasts as long."""
_TRIVIAL = Path(__file__).with_name("e2e_trivial.py")


class Told(NamedTuple):
    """A request, and the id that its answer had."""

    received: Received
    request_id: str


class Api(Pretend):
    """A pretend API that remembers which request id it gave to which request."""

    def __init__(self, scenario: str = "answer", *, rules: Sequence[Rule] = ()) -> None:
        super().__init__(scenario, rules=rules)
        self.told: list[Told] = []

    async def _send(
        self, request: web.Request, received: Received, told: Answer, options: Options | None = None
    ) -> web.StreamResponse:
        ids = [value for name, value in told.headers if name == "request-id"]
        self.told.extend(Told(received, name) for name in ids)
        return await super()._send(request, received, told, options)


@contextmanager
def in_thread[T](server: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """The server, answering in a thread with a loop of its own."""

    async def serve() -> None:
        async with server as opened:
            started.set_result((opened, over := asyncio.Event()))
            await over.wait()

    started: Future[tuple[T, asyncio.Event]] = Future()
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    opened, over = started.result(READY_S)
    try:
        yield opened
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


class Process:
    """A process that said on stdout that it was ready; what it said in the form NAME=VALUE is in ``said``."""

    def __init__(self, command: Sequence[str], log: Path, ready: str) -> None:
        self.log = log
        with log.open("ab") as stderr:
            self.popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
            )
        line = self._line(ready)
        self.said = dict(word.split("=", 1) for word in line.split() if "=" in word)

    def _line(self, ready: str) -> str:
        assert self.popen.stdout is not None
        deadline = time.monotonic() + READY_S
        while select.select([self.popen.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            line = self.popen.stdout.readline().decode()
            if ready in line:
                return line
            if not line:
                break
        self.__exit__()
        raise AssertionError(f"it did not become ready: {self.log.read_text()}")

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ends it, unless it has ended; its exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(how)
        return self.popen.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.end()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()
            if self.popen.stdout:
                self.popen.stdout.close()


def up(upstream: str, db: Path, log: Path | None = None, *, config: Path | None = None) -> Process:
    """``demur up`` on a free port; its URL is ``said["ANTHROPIC_BASE_URL"]``. Its log stands beside the database."""
    command = [*DEMUR, "up", "--listen", "127.0.0.1:0", "--upstream", upstream, "--db", str(db), *_config(config)]
    return Process(command, log or db.with_suffix(".log"), "ANTHROPIC_BASE_URL=")


def mitm(upstream: str, db: Path, log: Path | None = None, *, config: Path | None = None) -> Process:
    """``demur mitm`` on a free port; ``said`` has HTTPS_PROXY and NODE_EXTRA_CA_CERTS."""
    command = [*DEMUR, "mitm", "--listen", "127.0.0.1:0", "--upstream", upstream, "--db", str(db), *_config(config)]
    return Process(command, log or db.with_suffix(".log"), "HTTPS_PROXY=")


def _config(config: Path | None) -> list[str]:
    return ["--config", str(config)] if config else []


def mitmdump(upstream: str, folder: Path) -> Process:
    """A mitmdump that only streams, and sends what is asked of the API to ``upstream``; it says what ``mitm`` says."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", "from mitmproxy.tools.main import mitmdump; mitmdump()", "-q", "-s", str(_TRIVIAL)]
    for setting in (f"confdir={folder}", f"to={upstream}", "listen_host=127.0.0.1", "listen_port=0"):
        command += ["--set", setting]
    return Process(command, folder / "log", "HTTPS_PROXY=")


def command(*arguments: str) -> str:
    """What ``demur`` prints. It must end with 0."""
    done = subprocess.run([*DEMUR, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
