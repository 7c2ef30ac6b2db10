"""mitmproxy in a process of its own, and a client that goes through it by CONNECT."""

import asyncio
import os
import re
import signal
import ssl
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
ADDON = ROOT / "addons" / "refusals.py"
DEMUR = "from proxy.cli import main; main(['mitm', *__import__('sys').argv[1:]], prog_name='demur')"
MITMDUMP = "from mitmproxy.tools.main import mitmdump; mitmdump()"
PATIENCE = 60.0


class Ended(NamedTuple):
    """A process that is over."""

    code: int | None
    out: str
    err: str


class Mitmproxy:
    """One that listens. After the end of its context, ``ended`` says how it ended."""

    def __init__(self, process: Process, said: str) -> None:
        self.process, self.said = process, said
        self.ended: Ended
        found = re.search(r"(?:is ready: \w+=http://|listening at )([\w.\[\]:]+:\d+)", said)
        assert found, said
        self.address = urlsplit(f"//{found[1]}")

    @property
    def url(self) -> str:
        return f"http://{self.address.netloc}"


def command(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(more or {})}


def authority() -> Path:
    """The certificate of mitmproxy's own authority."""
    return Path("~/.mitmproxy/mitmproxy-ca-cert.pem").expanduser()


async def start(code: str, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
    return await asyncio.create_subprocess_exec(
        *command(code, *arguments), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment(env), cwd=ROOT
    )


async def ended(process: Process, *, said: str = "") -> Ended:
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    return Ended(process.returncode, said + out.decode(), err.decode())


async def outcome(code: str, *arguments: str, env: Mapping[str, str] | None = None) -> Ended:
    """How a process ends that ends by itself."""
    return await ended(await start(code, *arguments, env=env))


@asynccontextmanager
async def running(
    code: str, *arguments: str, env: Mapping[str, str] | None = None, end: signal.Signals = signal.SIGTERM
) -> AsyncIterator[Mitmproxy]:
    """mitmproxy, from the line in which it says where it listens, to its end by a signal."""
    process = await start(code, *arguments, env=env)
    assert process.stdout
    said = ""
    while not re.search(r"listening at|demur is ready", said):
        line = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode()
        if not line:
            raise AssertionError(await ended(process, said=said))
        said += line
    proxy = Mitmproxy(process, said)
    try:
        yield proxy
    finally:
        if process.returncode is None:
            process.send_signal(end)
        proxy.ended = await ended(process, said=said)


@asynccontextmanager
async def tunnel(
    proxy: str, host: str, port: int = 443
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection through the proxy, before anything has gone through it."""
    there = urlsplit(proxy)
    reader, writer = await asyncio.open_connection(there.hostname, there.port, limit=1 << 24)
    try:
        writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert b" 200 " in answer, answer
        yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def secure_tunnel(
    proxy: str, host: str, port: int = 443, *, ca: Path | None = None, name: str | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """TLS through the proxy. ``ca``: what the client trusts, else mitmproxy's; ``name``: whom it asks for, else the host."""
    context = ssl.create_default_context(cafile=ca or authority())
    context.set_alpn_protocols(["http/1.1"])
    async with tunnel(proxy, host, port) as (reader, writer):
        await asyncio.wait_for(writer.start_tls(context, server_hostname=name or host), PATIENCE)
        yield reader, writer
