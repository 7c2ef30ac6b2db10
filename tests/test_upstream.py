"""Reaching the API: by TLS with an authority of one's own, through an HTTP proxy, and clear words where it cannot be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from authority import issue
from gateways import gateway
from proxy import connection, upstream
from proxy.pretend import Pretend
from proxy.upstream import Upstream, UpstreamError
from wire import Seen, ask, read_message, says, serving

GET = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def tls_api(folder: Path, *names: str) -> AsyncIterator[tuple[str, Path]]:
    ca, context = await asyncio.to_thread(issue, folder, *names)
    api = Pretend()
    await api.start(tls=context)
    try:
        yield api.url, ca
    finally:
        await api.stop()


def trusting(url: str, ca: Path | str = "", proxy: str = "") -> Upstream:
    return Upstream(url, ca=str(ca), proxy=proxy)


async def test_a_given_authority_is_trusted(tmp_path: Path) -> None:
    async with tls_api(tmp_path, "127.0.0.1") as (url, ca):
        reach = await asyncio.to_thread(trusting, url, ca)
        async with gateway(reach) as mine:
            assert b"claude" in (await ask(mine, GET)).body


async def test_an_unknown_authority_is_not_and_the_answer_says_what_to_do(tmp_path: Path) -> None:
    async with tls_api(tmp_path, "127.0.0.1") as (url, _), gateway(await asyncio.to_thread(trusting, url)) as mine:
        got = await ask(mine, GET)
    assert got.head.startswith(b"HTTP/1.1 502")
    assert b"certificate is not trusted" in got.body
    assert b"upstream_ca" in got.body


async def test_a_certificate_for_another_name_is_not_trusted(tmp_path: Path) -> None:
    async with tls_api(tmp_path, "localhost") as (url, ca):
        async with gateway(await asyncio.to_thread(trusting, url, ca)) as mine:
            assert b"certificate is not trusted" in (await ask(mine, GET)).body


def test_an_authority_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UpstreamError, match="cannot read certificates"):
        Upstream("https://x", ca=str(tmp_path / "none.pem"))
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(UpstreamError, match="cannot read certificates"):
        Upstream("https://x", ca=str(tmp_path / "bad.pem"))


@pytest.mark.parametrize("url", ["http://[::1", "https://[no-address]/", "ftp://x", "http://", "x", "http://u:p@x"])
def test_what_is_no_url_of_an_api_is_told(url: str) -> None:
    with pytest.raises(UpstreamError, match="is not a URL of the form"):
        upstream.origin(url)


class Tunnels:
    """An HTTP proxy that digs tunnels and passes requests on."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.answer = answer
        self.heads: list[Seen] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        head = await read_message(reader)
        self.heads.append(head)
        writer.write(self.answer)
        if b"200" in self.answer[:13] and head.head.startswith(b"CONNECT"):
            host, _, port = head.head.split()[1].decode().rpartition(":")
            there_reader, there_writer = await asyncio.open_connection(host, int(port))
            self.writers.append(there_writer)
            await asyncio.gather(_pipe(reader, there_writer), _pipe(there_reader, writer))
        writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def tunnelling(tunnels: Tunnels) -> AsyncIterator[str]:
    listener = await asyncio.start_server(tunnels.serve, "127.0.0.1", 0)
    try:
        yield f"http://us%40er:p%20w@127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        for writer in tunnels.writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def test_https_goes_through_a_proxy_by_a_tunnel_with_its_credentials(tmp_path: Path) -> None:
    tunnels = Tunnels()
    async with tls_api(tmp_path, "127.0.0.1") as (url, ca), tunnelling(tunnels) as proxy:
        async with gateway(await asyncio.to_thread(trusting, url, ca, proxy)) as mine:
            for _ in range(2):
                assert b"claude" in (await ask(mine, GET)).body
    (head,) = tunnels.heads
    assert head.head.startswith(b"CONNECT 127.0.0.1:")
    assert head.field(b"proxy-authorization") == [b"Basic dXNAZXI6cCB3"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", b"answered CONNECT with 407"),
        (b"", b"the proxy closed the connection"),
        (b"nonsense\r\n\r\n", b"the proxy closed the connection"),
    ],
)
async def test_a_proxy_that_digs_no_tunnel_is_told(answer: bytes, said: bytes) -> None:
    async with tunnelling(Tunnels(answer)) as proxy:
        async with gateway(await asyncio.to_thread(trusting, "https://127.0.0.1:1", "", proxy)) as mine:
            assert said in (await ask(mine, GET)).body


@pytest.mark.parametrize("proxy", ["foo", "socks5://h:1", "http://", "http://h:x"])
def test_a_proxy_that_is_no_url_is_told(proxy: str) -> None:
    with pytest.raises(UpstreamError):
        Upstream("https://api.example", proxy=proxy)


async def test_a_proxy_that_cannot_be_reached_is_named() -> None:
    async with serving(says(OK)) as server:
        dead = server.url
    async with gateway(Upstream("http://api.example", proxy=dead)) as mine:
        assert b"api.example:80 through the proxy 127.0.0.1:" in (await ask(mine, GET)).body


async def test_plain_http_goes_through_a_proxy_by_absolute_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(says(OK)) as server:
        there = server.url.replace("http://", "http://user:pw@")
        async with gateway(Upstream("http://api.example", proxy=there)) as mine:
            assert (await ask(mine, GET)).body == b"ok"
        assert server.seen[0].head.startswith(b"GET http://api.example/v1/models HTTP/1.1\r\n")
        assert server.seen[0].field(b"host") == [b"api.example"]
        assert server.seen[0].field(b"proxy-authorization") == [b"Basic dXNlcjpwdw=="]


async def test_the_environments_proxy_is_honoured_but_not_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(says(OK)) as server, serving(says(OK)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        for url in ("http://api.example", server.url, server.url.replace("127.0.0.1", "localhost")):
            async with gateway(Upstream(url)) as mine:
                await ask(mine, GET)
        monkeypatch.setenv("no_proxy", "api.example")
        assert Upstream("http://api.example").fields == ()
        assert (len(proxy.seen), len(server.seen)) == (1, 2)


async def test_a_connection_that_is_never_made_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "CONNECT_S", 0.01)

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.2)
        writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listener:
        url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with gateway(await asyncio.to_thread(trusting, url)) as mine:
            assert b"no connection within" in (await ask(mine, GET)).body


async def test_an_idle_connection_that_the_api_closes_is_not_used_again() -> None:
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    async def play(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(closing)
        writer.close()

    async with serving(play) as server, gateway(server.url) as mine:
        for _ in range(3):
            assert (await ask(mine, GET)).body == b"ok"
            await server.gone.wait()
            server.gone.clear()
            await asyncio.sleep(0)
        assert server.connections == 3


async def test_an_idle_connection_is_closed_after_a_while_and_one_that_speaks_unasked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "IDLE_S", 0.01)
    async with serving(OK) as server, gateway(server.url) as mine:
        await ask(mine, GET)
        await server.gone.wait()
    async with serving(OK + b"HTTP/1.1 408 Late\r\n\r\n") as server, gateway(server.url) as mine:
        await ask(mine, GET)
        await server.gone.wait()
