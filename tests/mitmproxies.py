"""mitmproxy in a process of its own, and a client that goes through it by CONNECT."""

import asyncio
import os
import re
import signal
import ssl
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded

from wire import Seen

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


def listeners(pid: int) -> set[tuple[str, int]]:
    """The TCP addresses that a process listens on: IPv4 in Linux's /proc (proc_pid_net(5))."""
    ours = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            ours.add(str(file.readlink()))
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1].split(":") for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in ours]
    return {(str(IPv4Address(bytes.fromhex(host)[::-1])), int(port, 16)) for host, port in listening}


def until_it_listens(pid: int, count: int) -> set[tuple[str, int]]:
    """The addresses, once there are so many. Only a failure lasts."""
    deadline = time.monotonic() + PATIENCE
    while len(found := listeners(pid)) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


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
    trusted = ca or authority()
    async with asyncio.timeout(PATIENCE):
        while not trusted.exists():  # mitmproxy may listen before it has made its authority  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    context = ssl.create_default_context(cafile=trusted)
    context.set_alpn_protocols(["http/1.1"])
    async with tunnel(proxy, host, port) as (reader, writer):
        await asyncio.wait_for(writer.start_tls(context, server_hostname=name or host), PATIENCE)
        yield reader, writer


async def ask_by_http2(proxy: str, host: str, target: str, body: bytes) -> Seen:
    """One request over HTTP/2 through the proxy; its answer's fields stand in the head as in HTTP/1.1."""
    context = ssl.create_default_context(cafile=authority())
    context.set_alpn_protocols(["h2"])
    async with tunnel(proxy, host) as (reader, writer):
        await asyncio.wait_for(writer.start_tls(context, server_hostname=host), PATIENCE)
        connection = H2Connection(H2Configuration(header_encoding=None))
        connection.initiate_connection()
        fields = {":method": "POST", ":scheme": "https", ":authority": host, ":path": target}
        connection.send_headers(1, [*fields.items(), ("content-length", str(len(body)))])
        connection.send_data(1, body, end_stream=True)
        head, pieces = b"", list[bytes]()
        while True:
            writer.write(connection.data_to_send())
            for event in _events(connection, await asyncio.wait_for(reader.read(65536), PATIENCE)):
                if isinstance(event, ResponseReceived):
                    head = b"".join(b"%b: %b\r\n" % (name, value) for name, value in event.headers)
                elif isinstance(event, DataReceived):
                    pieces.append(event.data)
                    connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded):
                    return Seen(b"HTTP/2\r\n" + head + b"\r\n", b"".join(pieces))


def _events(connection: H2Connection, data: bytes) -> list[Event]:
    assert data, "it left"
    return connection.receive_data(data)


class Chain:
    """A proxy: it knows CONNECT, writes down what it was asked, and sends everyone to one place."""

    def __init__(self, port: int) -> None:
        self.heads: list[bytes] = []
        self._port = port

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        there, onward = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_pipe(reader, onward), _pipe(there, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def chain(port: int) -> AsyncIterator[tuple[Chain, int]]:
    proxy = Chain(port)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        yield proxy, listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await asyncio.wait_for(listener.wait_closed(), PATIENCE)
