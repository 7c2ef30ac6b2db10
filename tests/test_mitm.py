"""mitmproxy with the add-on, in processes of its own: ``demur mitm`` and a plain ``mitmdump -s``, with a client that goes through them."""

import asyncio
import socket
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM

import pytest
import structlog
from click.testing import CliRunner

from answers import ANSWER, MID, REFUSAL
from authority import issue
from entries import stored
from mitmproxies import (
    ADDON,
    DEMUR,
    MITMDUMP,
    PATIENCE,
    ROOT,
    authority,
    chain,
    outcome,
    running,
    secure_tunnel,
    tunnel,
)
from proxy.cli.mitm import mitm
from proxy.cli.notice import Notice
from proxy.cli.wayin import _follow
from proxy.pretend import SECRETS, Pretend
from schemas.labels import Result
from schemas.records import Refusal
from wire import Seen, Server, connected, read_message, serving

API = "api.anthropic.com"
TRIVIAL = ROOT / "bench" / "trivial.py"
ASK = b'{"model": "claude-opus-5", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
POST = (
    b"POST /v1/messages?beta=true HTTP/1.1\r\nhOST: %b\r\nX-UPPER: 2\r\nx-lower: 1\r\nAuthorization: Bearer sk-ant-oat01-nobody\r\n"
    b"Content-Length: %d\r\n\r\n" % (API.encode(), len(ASK))
) + ASK


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def stream(*pieces: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nset-cookie: a=1\r\nrequest-id: req_7\r\nX-Odd: \xe9\r\nSet-Cookie: b=2\r\n"
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(map(chunk, (*pieces, b"")))


def error(status: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def kept(db: Path) -> tuple[list[Refusal], list[str]]:
    """The refusals, and how all exchanges ended."""
    with stored(db) as store:
        return store.refusals(), sorted(str(traffic.outcome) for traffic, n in store.traffic() for _ in range(n))


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def _kept(db: Path) -> tuple[list[Refusal], list[str]]:
    return await asyncio.to_thread(kept, db)


async def ask(reader: StreamReader, writer: StreamWriter, request: bytes = POST) -> Seen:
    writer.write(request)
    return await asyncio.wait_for(read_message(reader), PATIENCE)


async def ask_api(proxy: str, request: bytes = POST) -> Seen:
    async with secure_tunnel(proxy, API) as (reader, writer):
        return await ask(reader, writer, request)


def ways(db: Path, upstream: str) -> dict[str, tuple[str, ...]]:
    """The two ways to start it, with the same settings."""
    options = ("--set", f"demur_db={db}", "--set", f"demur_upstream={upstream}")
    plain = ("-s", str(ADDON), "--listen-host", "127.0.0.1", "--listen-port", "0", *options)
    return {DEMUR: ("--listen", "127.0.0.1:0", "--upstream", upstream, "--db", str(db)), MITMDUMP: plain}


@pytest.mark.parametrize("code", [DEMUR, MITMDUMP])
async def test_bytes_pass_as_through_mitmproxy_with_a_trivial_add_on(tmp_path: Path, code: str) -> None:
    answers = [
        stream(ANSWER),
        stream(*(MID[at : at + 7] for at in range(0, len(MID), 7))),
        stream(REFUSAL[:99], REFUSAL[99:]),
        error(b"529 Overloaded", b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}'),
        error(b"400 Bad Request", b""),
    ]
    turn = iter([answer for answer in answers for _ in "12"])

    async def play(_: Seen, writer: StreamWriter) -> None:
        writer.write(next(turn))

    async with serving(play) as server:
        mode = ("--mode", f"reverse:{server.url}", "--listen-host", "127.0.0.1", "--listen-port", "0")
        async with (
            running(MITMDUMP, "-s", str(TRIVIAL), *mode) as trivial,
            running(code, *ways(tmp_path / "demur.db", server.url)[code]) as proxy,
        ):
            for _ in answers:
                async with connected(trivial.url) as (reader, writer):
                    plain = await ask(reader, writer)
                assert await ask_api(proxy.url) == plain
        for plain, through in zip(server.seen[::2], server.seen[1::2], strict=True):
            assert through == plain
    refusals, outcomes = await _kept(tmp_path / "demur.db")
    assert [refusal.source for refusal in refusals] == ["mitmproxy", "mitmproxy"]
    assert outcomes == [Result.ANSWERED, Result.ERROR, Result.ERROR, Result.REFUSED, Result.REFUSED]


@pytest.mark.parametrize("code", [DEMUR, MITMDUMP])
async def test_refusals_land_in_the_database_with_no_secret(tmp_path: Path, code: str) -> None:
    async with Pretend("refusal encoding=gzip split=true") as api:
        async with running(code, *ways(tmp_path / "demur.db", api.url)[code]) as proxy:
            await ask_api(proxy.url)
        assert api.requests[0].body == ASK
    (refusal,), _ = await _kept(tmp_path / "demur.db")
    assert (refusal.category, refusal.streamed, refusal.exact) == ("cyber", True, True)
    assert proxy.ended.code == 0
    secrets = (
        [*SECRETS, "sk-ant-oat01-nobody"]
        if not isinstance(SECRETS, dict)
        else [*SECRETS.values(), "sk-ant-oat01-nobody"]
    )
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in secrets:
        assert secret.encode() not in stored
        assert secret not in proxy.ended.out + proxy.ended.err


async def test_each_event_is_passed_on_at_once(tmp_path: Path) -> None:
    async with (
        Pretend("answer stepped=true") as api,
        running(DEMUR, *ways(tmp_path / "demur.db", api.url)[DEMUR]) as proxy,
    ):
        async with secure_tunnel(proxy.url, API) as (reader, writer):
            writer.write(POST)
            api.step()
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
            assert b"event-stream" in head
            assert b"message_start" in await asyncio.wait_for(reader.readuntil(b"\n\n"), PATIENCE)
            await api.until(lambda: api.requests[0].ended == "open")
        await api.until(lambda: api.requests[0].ended == "left")


async def test_a_cut_answer_is_cut_for_the_client_and_counted_as_cut(tmp_path: Path) -> None:
    async with Pretend("cut_mid") as api, running(DEMUR, *ways(tmp_path / "demur.db", api.url)[DEMUR]) as proxy:
        with pytest.raises(asyncio.IncompleteReadError):
            await ask_api(proxy.url)
    assert await _kept(tmp_path / "demur.db") == ([], [Result.CUT])


async def test_an_upstream_that_is_not_there_gives_an_error_and_is_counted(tmp_path: Path) -> None:
    async with running(DEMUR, *ways(tmp_path / "demur.db", "http://127.0.0.1:9")[DEMUR]) as proxy:
        assert (await ask_api(proxy.url)).head.startswith(b"HTTP/1.1 502 ")
    assert await _kept(tmp_path / "demur.db") == ([], [Result.CUT])


@asynccontextmanager
async def other_host(tmp_path: Path) -> AsyncIterator[tuple[Server, Path]]:
    """A server by TLS with a certificate of its own authority."""
    ca, context = await asyncio.to_thread(issue, tmp_path, "127.0.0.1", "other.example")

    async def play(_: Seen, writer: StreamWriter) -> None:
        writer.write(stream(REFUSAL))

    server = Server(play)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server, ca
    finally:
        listener.close()
        await asyncio.wait_for(listener.wait_closed(), PATIENCE)


@pytest.mark.parametrize("code", [DEMUR, MITMDUMP])
async def test_other_hosts_are_tunnelled_with_their_own_certificate_and_nothing_is_stored(
    tmp_path: Path, code: str
) -> None:
    saved = tmp_path / "saved.flow"
    more = ("--", "-w", str(saved)) if code == DEMUR else ("-w", str(saved))
    async with other_host(tmp_path) as (server, ca):
        async with running(code, *ways(tmp_path / "demur.db", "http://127.0.0.1:9")[code], *more) as proxy:
            async with secure_tunnel(proxy.url, "127.0.0.1", server.port, ca=ca, name="other.example") as (
                reader,
                writer,
            ):
                shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                got = await ask(reader, writer)
        assert shown == ssl.PEM_cert_to_DER_cert((tmp_path / "server.pem").read_text())
        assert got.body == REFUSAL
        assert server.seen[0].head + server.seen[0].body == POST
    assert await _kept(tmp_path / "demur.db") == ([], [])
    assert saved.read_bytes() == b""


async def test_what_is_not_tls_passes_a_tunnel_untouched_and_unrecorded(tmp_path: Path) -> None:
    async def greet(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"SSH-2.0-server\r\n")
        writer.write(await reader.readexactly(8))
        writer.close()

    saved = tmp_path / "saved.flow"
    listener = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    async with running(
        DEMUR, *ways(tmp_path / "demur.db", "http://127.0.0.1:9")[DEMUR], "--", "-w", str(saved)
    ) as proxy:
        async with tunnel(proxy.url, "127.0.0.1", port) as (reader, writer):
            writer.write(b"\x00\x01\xff\r\n\r\n\x16")
            assert await asyncio.wait_for(reader.read(-1), PATIENCE) == b"SSH-2.0-server\r\n\x00\x01\xff\r\n\r\n\x16"
    listener.close()
    assert saved.read_bytes() == b""


async def test_a_saved_flow_is_found_again_offline(tmp_path: Path) -> None:
    saved = tmp_path / "saved.flow"
    async with Pretend("refusal") as api:
        plain = ("--mode", f"reverse:{api.url}", "--listen-host", "127.0.0.1", "--listen-port", "0")
        async with running(MITMDUMP, *plain, "-w", str(saved)) as proxy:
            async with connected(proxy.url) as (reader, writer):
                await ask(reader, writer)
    over = await outcome(MITMDUMP, "-nr", str(saved), "-s", str(ADDON), "--set", f"demur_db={tmp_path / 'demur.db'}")
    assert over.code == 0, over
    (refusal,), outcomes = await _kept(tmp_path / "demur.db")
    assert (refusal.source, refusal.category, outcomes) == ("flow", "cyber", [])


async def test_what_was_seen_live_and_is_found_again_in_a_file_is_one_refusal_with_two_witnesses(
    tmp_path: Path,
) -> None:
    saved, db = tmp_path / "saved.flow", tmp_path / "demur.db"
    more = ("--", "-w", str(saved), "--set", "store_streamed_bodies=true")
    async with Pretend("refusal") as api, running(DEMUR, *ways(db, api.url)[DEMUR], *more) as proxy:
        await ask_api(proxy.url)
    for _ in "12":
        assert (await outcome(MITMDUMP, "-nr", str(saved), "-s", str(ADDON), "--set", f"demur_db={db}")).code == 0
    (refusal,), outcomes = await _kept(db)
    assert (refusal.sources, outcomes) == (["mitmproxy", "flow"], [Result.REFUSED])


@pytest.mark.parametrize("order", [(), ("-s", str(TRIVIAL))])
async def test_a_declined_flow_is_saved_with_its_mark_and_found_by_it(tmp_path: Path, order: tuple[str, ...]) -> None:
    saved, found = tmp_path / "saved.flow", tmp_path / "found.flow"
    async with Pretend("answer") as api:
        api.cast.scenario = "refusal"
        async with running(
            DEMUR, *ways(tmp_path / "demur.db", api.url)[DEMUR], "--", "-w", str(saved), *order
        ) as proxy:
            await ask_api(proxy.url)
            api.cast.scenario = "answer"
            await ask_api(proxy.url)
    for words in ("~marked", "~comment declined"):
        assert (await outcome(MITMDUMP, "-nr", str(saved), "-w", str(found), words)).code == 0
        assert found.read_bytes().count(b":no_entry_sign:") == 1
        assert found.read_bytes().count(b"claude-opus-5") == 1


@pytest.mark.parametrize("way", ["stop", "interrupt", "kill"])
async def test_however_it_ends_what_a_client_received_is_kept(tmp_path: Path, way: str) -> None:
    end = {"stop": SIGTERM, "interrupt": SIGINT, "kill": SIGKILL}[way]
    async with Pretend("refusal") as api:
        async with running(DEMUR, *ways(tmp_path / "demur.db", api.url)[DEMUR], end=end) as proxy:
            await ask_api(proxy.url)
        assert proxy.ended.code == (-SIGKILL if way == "kill" else 0)
    assert len((await _kept(tmp_path / "demur.db"))[0]) == 1


async def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    async with running(DEMUR, "--with-parent", *ways(tmp_path / "demur.db", "http://127.0.0.1:9")[DEMUR]) as proxy:
        assert proxy.process.stdin
        proxy.process.stdin.close()
        assert await asyncio.wait_for(proxy.process.wait(), PATIENCE) == 0


async def test_it_says_one_line_on_stdout_and_nothing_else(tmp_path: Path) -> None:
    async with Pretend() as api, running(DEMUR, *ways(tmp_path / "demur.db", api.url)[DEMUR]) as proxy:
        await ask_api(proxy.url)
    assert proxy.ended.out == f"demur is ready: HTTPS_PROXY={proxy.url} NODE_EXTRA_CA_CERTS={authority()}\n"
    assert proxy.ended.err == "demur: retry is off\n"


async def test_the_ca_follows_mitmproxys_own_folder(tmp_path: Path) -> None:
    arguments = ("--listen", "[::1]:0", "--db", str(tmp_path / "demur.db"), "--", "--set", f"confdir={tmp_path}")
    async with running(DEMUR, *arguments) as proxy:
        assert proxy.said.endswith(f"NODE_EXTRA_CA_CERTS={tmp_path / 'mitmproxy-ca-cert.pem'}\n")
        assert "=http://[::1]:" in proxy.said
    assert (tmp_path / "mitmproxy-ca-cert.pem").exists()


async def test_a_reverse_proxy_is_told_as_a_base_url_and_observes_every_host(tmp_path: Path) -> None:
    async with Pretend("refusal") as api:
        arguments = (
            "--listen",
            "127.0.0.1:0",
            "--db",
            str(tmp_path / "demur.db"),
            "--",
            "--mode",
            f"reverse:{api.url}",
        )
        async with running(DEMUR, *arguments) as proxy:
            assert f"ANTHROPIC_BASE_URL={proxy.url} " in proxy.said
            async with connected(proxy.url) as (reader, writer):
                await ask(reader, writer)
    assert len((await _kept(tmp_path / "demur.db"))[0]) == 1


async def test_traffic_goes_on_where_the_database_cannot_be_opened(tmp_path: Path) -> None:
    async with Pretend("refusal") as api:
        for code in (DEMUR, MITMDUMP):
            async with running(code, *ways(tmp_path, api.url)[code]) as proxy:
                assert (await ask_api(proxy.url)).head.startswith(b"HTTP/1.1 200 ")


async def test_run_passes_on_what_the_log_says_of_errors_and_nothing_minor(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        '{"event": "spool.adopted", "level": "info"}',
        '{"event": "upstream.failed", "level": "warning"}',
        '{"event": "store.failed", "level": "error"}',
        "no JSON",
        '{"event": "refusal.seen", "id": "a", "kind": "refusal", "outcome": "refused", "category": "bio", "level": "info"}',
        (
            '{"event": "refusal.seen", "id": "b", "kind": "refusal", "outcome": "recovered_by_api", "stage": "mid_stream",'
            ' "model": "claude-opus-5", "answered_by": "claude-opus-4-8", "level": "info"}'
        ),
    ]
    stderr = StreamReader()
    stderr.feed_data("\n".join(lines).encode())
    stderr.feed_eof()
    await _follow(stderr, Notice(at_once=True))
    assert capsys.readouterr().err.splitlines() == [
        lines[2],
        lines[3],
        "demur: declined: bio",
        "demur: declined: no category, mid-stream, claude-opus-5",
        "demur: answered by claude-opus-4-8 instead of claude-opus-5 (asked by the API itself)",
    ]


# the proxy that is there already


async def test_a_proxy_that_is_set_is_chained_with_its_credentials(tmp_path: Path) -> None:
    ca, context = await asyncio.to_thread(issue, tmp_path, API)
    (tmp_path / "demur.toml").write_text(f"upstream_ca = '{ca}'\n")
    async with Pretend("refusal") as api:
        await api.stop()
        port = int((await api.start(tls=context)).rpartition(":")[2])
        async with chain(port) as (proxy, at):
            env = {"https_proxy": f"http://me:p%40ss@127.0.0.1:{at}", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}
            arguments = (
                "--listen",
                "127.0.0.1:0",
                "--db",
                str(tmp_path / "demur.db"),
                "--config",
                str(tmp_path / "demur.toml"),
            )
            async with running(DEMUR, *arguments, env=env) as here:
                await ask_api(here.url)
        assert proxy.heads[0].startswith(b"CONNECT api.anthropic.com:443 HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in proxy.heads[0]
        assert "p@ss" not in here.ended.out + here.ended.err
        assert api.requests[0].header("host") == API
    assert len((await _kept(tmp_path / "demur.db"))[0]) == 1


async def test_an_upstream_on_this_machine_is_not_asked_through_the_proxy_but_others_are(tmp_path: Path) -> None:
    async with Pretend("refusal") as api, other_host(tmp_path) as (server, ca), chain(server.port) as (proxy, at):
        env = {"ALL_PROXY": f"127.0.0.1:{at}"}
        async with running(DEMUR, *ways(tmp_path / "demur.db", api.url)[DEMUR], env=env) as here:
            await ask_api(here.url)
            async with secure_tunnel(here.url, "other.example", ca=ca) as (reader, writer):
                assert (await ask(reader, writer)).body == REFUSAL
        assert any(head.startswith(b"CONNECT other.example:443 ") for head in proxy.heads)
        assert len(api.requests) == 1


async def test_no_proxy_for_the_api_means_no_chain(tmp_path: Path) -> None:
    env = {"HTTPS_PROXY": "socks5://127.0.0.1:9", "NO_PROXY": "anthropic.com"}
    async with running(DEMUR, "--listen", "127.0.0.1:0", "--db", str(tmp_path / "demur.db"), env=env) as proxy:
        pass
    assert proxy.ended.code == 0


# what cannot be


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (("--listen", "0.0.0.0:0"), {}, "0.0.0.0 is not a loopback address"),
        (("--listen", "8789"), {}, "is not HOST:PORT"),
        (("--upstream", "ftp://x"), {}, "upstream 'ftp://x' is not a URL"),
        (("--config", "/nowhere/demur.toml"), {}, "there is no config file"),
        ((), {"DEMUR_UPSTREAM_CA": "/nowhere.pem"}, "cannot read certificates from /nowhere.pem"),
        ((), {"DEMUR_REDACT_DENY": "/(/"}, "redact.deny"),
        ((), {"HTTPS_PROXY": "socks5://me:p%40ss@127.0.0.1:9"}, "is not http[s]://host[:port]"),
        ((), {"DEMUR_UPSTREAM_PROXY": "http://127.0.0.1:x"}, "is not http[s]://host[:port]"),
        (("--listen", "localhost:{port}"), {"HTTPS_PROXY": "http://127.0.0.1:{port}"}, "to demur itself"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    port = free_port()
    words = [
        word.format(port=port) for word in ("--db", str(tmp_path / "demur.db"), "--listen", "127.0.0.1:0", *arguments)
    ]
    result = CliRunner().invoke(mitm, words, env={name: value.format(port=port) for name, value in env.items()})
    structlog.reset_defaults()
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert "p%40ss" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("more", [("--listen-host", "0.0.0.0"), ("--mode", "regular@0.0.0.0:0")])
async def test_mitmproxys_own_options_cannot_open_it_to_others(tmp_path: Path, more: tuple[str, ...]) -> None:
    over = await outcome(DEMUR, "--db", str(tmp_path / "demur.db"), "--listen", "127.0.0.1:0", "--", *more)
    assert (over.code, over.out) == (1, "")
    assert over.err == "demur: 0.0.0.0 is not a loopback address: demur has no authentication yet\n"


async def test_an_address_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        over = await outcome(DEMUR, "--db", str(tmp_path / "demur.db"), "--listen", f"127.0.0.1:{port}")
    assert over.code == 1
    assert over.err.startswith(f"demur: cannot listen on 127.0.0.1:{port}: Address already in use")
    assert over.err.count("\n") == 1


async def test_a_mitmproxy_without_demur_is_told_what_it_lacks_in_one_line() -> None:
    code = f"import sys; sys.modules['structlog'] = None; {MITMDUMP}"
    over = await outcome(code, "-s", str(ADDON), "--listen-port", str(free_port()))
    assert over.code == 1
    (line,) = [line for line in over.out.splitlines() if "demur" in line and "Loading script" not in line]
    assert "this add-on needs demur in mitmproxy's own environment" in line
    assert "Traceback" not in over.out + over.err
