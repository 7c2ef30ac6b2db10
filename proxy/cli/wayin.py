"""The two ways in, as ``demur run`` opens them for one command: an environment that leads its requests through demur."""

import asyncio
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import click
import msgspec

from proxy.cli.notice import Notice
from proxy.settings import InForce
from schemas.labels import Outcome
from schemas.records import Pin, Refusal, Update

END_S = 15.0
"""How long mitmproxy may take to end, in seconds."""


class _Line(msgspec.Struct, tag_field="event"):
    """A log line that is told of."""

    id: str
    """The refusal's."""


class _Seen(_Line, tag="refusal.seen"):
    """Something was declined."""

    kind: str
    outcome: str
    category: str | None = None
    stage: str | None = None
    model: str | None = None
    answered_by: str | None = None
    request_id: str | None = None
    candidate: str | None = None

    def tell(self, notice: Notice) -> None:
        facts = {**msgspec.structs.asdict(self), "at": "", "source": "mitmproxy", "evidence": "", "confidence": 1.0}
        notice.tell(msgspec.convert(facts, Refusal), self.candidate)


class _Ended(_Line, tag="refusal.ended"):
    """What became of it."""

    outcome: Outcome | None = None
    answered_by: str | None = None

    def tell(self, notice: Notice) -> None:
        notice.follow(Update(refusal_id=self.id, outcome=self.outcome, answered_by=self.answered_by), None)


class _Elsewhere(_Line, tag="turn.answered_elsewhere"):
    """A later turn was answered by another model too."""

    model: str
    answered_by: str

    def tell(self, notice: Notice) -> None:
        pin = Pin(key="", session_id="", model=self.model, answered_by=self.answered_by, at="", until="")
        notice.follow(Update(refusal_id=self.id, turns_elsewhere=1), pin)


class _Other(msgspec.Struct):
    """Any other log line."""

    event: str
    level: str


@asynccontextmanager
async def through_gateway(in_force: InForce, notice: Notice) -> AsyncIterator[Mapping[str, str | None]]:
    """A gateway in this process, and ``ANTHROPIC_BASE_URL`` for it."""
    from proxy.cli.serving import serving

    async with serving(in_force, listen="127.0.0.1:0", tell=notice.tell, follow=notice.follow) as (_, url):
        yield {"ANTHROPIC_BASE_URL": url, **_no_proxy()}


@asynccontextmanager
async def through_mitmproxy(in_force: InForce, notice: Notice) -> AsyncIterator[Mapping[str, str | None]]:
    """mitmproxy in a process of its own, and the proxy variables for it. It ends when its stdin does, so also when we die.

    A base URL that is set has become the upstream; the command must not see it, or it would go there past us.
    """
    command = [
        sys.executable,
        "-m",
        "proxy.cli",
        "mitm",
        "--with-parent",
        "--listen",
        "127.0.0.1:0",
        "--db",
        str(in_force.db),
    ]
    command += ["--config", str(in_force.config)] if in_force.config.exists() else []
    command += ["--upstream", in_force.settings.upstream] if "upstream" in in_force.origins else []
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    following = asyncio.create_task(_follow(process.stderr, notice))
    try:
        ready = (await process.stdout.readline()).decode()
        if not ready:
            await following
            raise click.ClickException("mitmproxy did not start; see above")
        with tempfile.TemporaryDirectory(prefix="demur-") as folder:
            yield _proxied(ready, Path(folder))
    finally:
        await _end(process)
        await following


def _proxied(ready: str, folder: Path) -> dict[str, str | None]:
    """The child's environment, from the line in which ``demur mitm`` says that it is ready."""
    told = dict(word.split("=", 1) for word in shlex.split(ready) if "=" in word)
    url, ca = told["HTTPS_PROXY"], told["NODE_EXTRA_CA_CERTS"]
    if other := os.environ.get("NODE_EXTRA_CA_CERTS"):
        merged = folder / "ca.pem"
        merged.write_bytes(Path(other).read_bytes() + b"\n" + Path(ca).read_bytes())
        ca = str(merged)
    return {"HTTPS_PROXY": url, "https_proxy": url, "NODE_EXTRA_CA_CERTS": ca, "ANTHROPIC_BASE_URL": None}


async def _follow(stderr: asyncio.StreamReader, notice: Notice) -> None:
    """Tells of what the log of ``demur mitm`` says was declined or answered elsewhere; of the rest, errors go to our own stderr."""
    while line := await stderr.readline():
        try:
            msgspec.json.decode(line, type=_Seen | _Ended | _Elsewhere).tell(notice)
        except msgspec.MsgspecError:
            if not _is_minor(line):
                click.echo(line.decode("utf-8", "replace").rstrip(), err=True)


def _is_minor(line: bytes) -> bool:
    try:
        return msgspec.json.decode(line, type=_Other).level in {"debug", "info", "warning"}
    except msgspec.MsgspecError:
        return False


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _no_proxy() -> dict[str, str]:
    """A proxy that is set must not be asked for our own loopback address."""
    if not any(name.lower() in {"http_proxy", "https_proxy", "all_proxy"} for name in os.environ):
        return {}
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    mine = ",".join(part for part in (listed, "127.0.0.1") if part)
    return {"NO_PROXY": mine, "no_proxy": mine}
