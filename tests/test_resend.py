"""One request sent again, to real servers on loopback, and how it ended."""

import json
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from socket import create_server, socket
from threading import Thread

import pytest

from answers import ANSWER, DETAILS, REFUSAL, SEAM, block, delta, end, start, stop
from authority import issue
from commands import free_port
from declining import MID, Declining, planted
from e2e_process import in_thread
from proxy import resend
from proxy.resend import LET_GO, Ended, Resender, credentials
from proxy.upstream import UpstreamError
from schemas.labels import Result

KEY = {"x-api-key": "sk-ant-api03-planted"}
BODY = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hi. PLANTED"}]}).encode()


@contextmanager
def saying(*pieces: bytes, tls: ssl.SSLContext | None = None, hang: bool = False) -> Iterator[tuple[str, list[bytes]]]:
    """A server that says this to whoever comes, and then hangs up, or waits for the other end to do so."""
    heard: list[bytes] = []

    def answer(server: socket) -> None:
        with closing(server.accept()[0]) as plain:
            try:
                with closing(_secured(plain, tls) if tls else plain) as connection:
                    heard.append(connection.recv(1 << 16))
                    for piece in pieces:
                        connection.sendall(piece)
                    while hang and connection.recv(1 << 16):
                        pass
            except OSError:
                heard.append(b"left")

    with closing(create_server(("127.0.0.1", 0))) as server:
        thread = Thread(target=answer, args=(server,))
        thread.start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.getsockname()[1]}", heard
        thread.join()


def _secured(plain: socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
    """Its handshake is made when it is already somebody's to close."""
    secure = tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    try:
        secure.do_handshake()
    except OSError:
        secure.close()
        raise
    return secure


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_9\r\n"


def ended(url: str, *, early: bool = False, body: bytes = BODY, ca: str = "") -> Ended:
    found = Resender(url, KEY, {}, ca=ca).send(body, early=early)
    assert found.ms is not None
    assert found.ms >= 0
    return found._replace(ms=None)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_and_a_refusal_are_told_apart(stream: bool, zipped: bool) -> None:
    body = json.dumps(json.loads(BODY) | {"stream": stream}).encode()
    with in_thread(Declining(planted, zipped=zipped)) as api:
        assert ended(api.url, body=body)[:4] == (Result.REFUSED, "cyber", "req_1", 200)
        answered = ended(api.url, body=body.replace(b"PLANTED", b""))
        assert answered == Ended(Result.ANSWERED, None, "req_2", 200, None, 412, 3)
    assert api.bodies[0] == body


def test_a_refusal_in_the_middle_is_one_unless_a_begun_answer_is_enough() -> None:
    with in_thread(Declining(planted, refusal=MID)) as api:
        assert ended(api.url).outcome == Result.REFUSED
        assert ended(api.url, early=True)[::7] == (Result.ANSWERED, LET_GO)
        assert ended(api.url, early=True, body=BODY.replace(b"PLANTED", b"")).outcome == Result.ANSWERED
    with in_thread(Declining(planted)) as api:
        assert ended(api.url, early=True).outcome == Result.REFUSED


def test_an_answer_that_has_begun_is_let_go_of_where_that_is_enough() -> None:
    begun = ANSWER.partition(delta(0, "Hello"))[0]
    with saying(HEAD + b"\r\n", begun[:100], begun[100:], hang=True) as (url, _):
        assert ended(url, early=True)[:4] == (Result.ANSWERED, None, "req_9", 200)


THOUGHT = start() + block(0, type="thinking", thinking="", signature="") + delta(0, "Hm.") + stop(0)


def test_thinking_is_no_answer_yet_and_what_is_declined_behind_it_is_declined() -> None:
    with saying(HEAD + b"connection: close\r\n\r\n", THOUGHT, end("refusal", stop_details=DETAILS)) as (url, _):
        assert ended(url, early=True)[:2] == (Result.REFUSED, "cyber")
    call = block(1, type="tool_use", id="toolu_1", name="Read", input={})
    for begun in (call, block(1)):
        with saying(HEAD + b"\r\n", THOUGHT + begun, hang=True) as (url, _):
            assert ended(url, early=True)[::7] == (Result.ANSWERED, LET_GO)


def test_a_begun_answer_counts_only_where_nothing_was_declined_before_it() -> None:
    seam = SEAM | {"trigger": {"type": "refusal", "category": "cyber"}}
    with saying(HEAD + b"\r\n", start() + block(0, **seam) + block(1), hang=True) as (url, _):
        assert ended(url, early=True)[::7] == (Result.RECOVERED_BY_API, LET_GO)
    with saying(HEAD + b"\r\n", REFUSAL + block(0), hang=True) as (url, _):
        assert ended(url, early=True).outcome == Result.REFUSED
    with saying(HEAD.replace(b"200 OK", b"500 No") + b"connection: close\r\n\r\n", ANSWER) as (url, _):
        assert ended(url, early=True).outcome == Result.ERROR


def test_a_barred_category_is_told_wherever_the_answer_names_it() -> None:
    other = SEAM | {"trigger": {"type": "refusal", "category": "cyber"}}
    data = start() + block(0, **other) + block(0, **SEAM) + block(1) + stop(1) + end()
    with saying(HEAD + b"connection: close\r\n\r\n", data) as (url, _):
        assert ended(url)[:2] == (Result.RECOVERED_BY_API, "bio")
    with saying(HEAD + b"\r\n", start() + block(0, **SEAM) + block(1), hang=True) as (url, _):
        assert ended(url, early=True).category == "bio"
    named = REFUSAL.replace(b"cyber", b"bio")
    with saying(HEAD + b"connection: close\r\n\r\n", named) as (url, _):
        assert Resender(url, {"x-api-key": "b"}, {}).send(BODY).category == "bio"


@pytest.mark.parametrize("secret", ["planted-and-plain", "sk-ant-api03-" + "Zq9" * 30])
def test_an_api_that_says_the_credentials_back_is_not_repeated(secret: str) -> None:
    fields = credentials({"ANTHROPIC_API_KEY": secret, "ANTHROPIC_AUTH_TOKEN": f"{secret}-token"})
    other = "sk-ant-api03-" + "Xy7" * 30
    for said in (secret, f"{secret}-token", f"Bearer {secret}-token", other):
        head = HEAD.replace(b"req_9", f"req_{said}".encode()) + b"connection: close\r\n\r\n"
        with saying(head + REFUSAL.replace(b"cyber", said.encode())) as (url, _):
            found = Resender(url, fields, {}).send(BODY)
        assert secret not in repr(found)
        assert other not in repr(found)
        assert "redacted" in (found.request_id or "")
        assert "redacted" in (found.category or "")


def test_a_request_id_that_is_not_utf8_is_cleaned() -> None:
    with saying(HEAD.replace(b"req_9", b"req_\xff\xfe") + b"connection: close\r\n\r\n", REFUSAL) as (url, _):
        assert ended(url)[:3] == (Result.REFUSED, "cyber", "req_??")


def test_the_head_has_the_credentials_and_of_the_stored_headers_what_the_body_needs() -> None:
    stored = {
        "anthropic-beta": "a-1,b-2",
        "anthropic-version": "2026-10-21",
        "x-claude-code-session-id": "s",
        "content-encoding": "gzip",
    }
    fields = credentials({"ANTHROPIC_API_KEY": "sk-1", "ANTHROPIC_AUTH_TOKEN": " tok ", "OTHER": "x"})
    with in_thread(Declining(planted)) as api:
        Resender(f"{api.url}/prefix/", fields, stored).send(BODY)
        Resender(api.url, credentials({"ANTHROPIC_AUTH_TOKEN": "tok"}), {}).send(BODY)
    first, second = api.heads
    assert {
        name: first.get(name)
        for name in ("x-api-key", "authorization", "anthropic-beta", "anthropic-version", "content-type")
    } == {
        "x-api-key": "sk-1",
        "authorization": "Bearer tok",
        "anthropic-beta": "a-1,b-2",
        "anthropic-version": "2026-10-21",
        "content-type": "application/json",
    }
    assert not {"x-claude-code-session-id", "content-encoding", "cookie"} & first.keys()
    assert (second["anthropic-version"], second.get("x-api-key")) == ("2023-06-01", None)
    assert api.targets == ["/prefix/v1/messages?beta=true", "/v1/messages"]
    assert credentials({"ANTHROPIC_API_KEY": " "}) == {}


@pytest.mark.parametrize(
    ("status", "why", "rejected", "closed"),
    [
        (400, "HTTP 400", True, False),
        (401, "the credentials were not accepted (HTTP 401)", False, True),
        (429, "rate limited (HTTP 429)", False, True),
        (500, "HTTP 500", False, False),
        (529, "overloaded (HTTP 529)", False, False),
        (307, "it was redirected, which is not followed (HTTP 307)", False, False),
    ],
)
def test_an_error_is_told_by_its_status_and_nothing_waits_or_follows(
    status: int, why: str, rejected: bool, closed: bool
) -> None:
    with in_thread(Declining(planted, statuses=(status,))) as api:
        found = ended(api.url)
    assert (found.outcome, found.status, found.why) == (Result.ERROR, status, why)
    assert (found.rejected, found.closed) == (rejected, closed)
    assert len(api.bodies) == 1


def test_an_error_that_names_a_policy_is_no_failure() -> None:
    said = json.dumps(
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "Output blocked by content filtering policy"},
        }
    )
    head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said)
    with saying(head + said.encode()) as (url, _):
        assert ended(url)[:4] == (Result.OUTPUT_FILTER, None, None, 400)


@pytest.mark.parametrize(
    ("data", "outcome", "why"),
    [
        (ANSWER.partition(b"event: message_delta")[0], Result.CUT, "the answer was cut off"),
        (
            b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n',
            Result.ERROR,
            "the answer ended in an error",
        ),
    ],
)
def test_an_answer_that_did_not_end_is_a_failure(data: bytes, outcome: Result, why: str) -> None:
    with saying(HEAD + b"connection: close\r\n\r\n" + data) as (url, _):
        assert (ended(url).outcome, why) == (outcome, why)


def test_a_connection_that_breaks_is_a_failure() -> None:
    with saying(HEAD + b"content-length: 9999\r\n\r\n" + ANSWER[:50]) as (url, _):
        assert ended(url)[::7] == (Result.CUT, "the connection failed (ClientPayloadError)")
    with saying() as (url, _):
        assert ended(url).outcome == Result.CUT


def test_what_cannot_be_read_is_no_answer() -> None:
    with saying(HEAD + b"content-encoding: gzip\r\ncontent-length: 40\r\n\r\n" + b"\xff" * 40) as (url, _):
        assert ended(url)[::7] == (Result.UNREADABLE, "the answer could not be read")


def test_silence_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "SILENCE_S", 0.05)
    with saying(HEAD + b"\r\n", hang=True) as (url, _):
        assert ended(url)[::7] == (Result.CUT, "no answer in time")


def test_where_nobody_listens_it_is_said_without_the_credentials() -> None:
    host = f"127.0.0.1:{free_port()}"
    found = ended(f"http://{host}")
    assert found[::7] == (Result.ERROR, f"cannot reach {host}: Connection refused")
    assert "planted" not in repr(found)


def test_a_certificate_is_checked_and_an_authority_of_ones_own_is_trusted(tmp_path: Path) -> None:
    ca, tls = issue(tmp_path, "127.0.0.1")
    with saying(HEAD + b"connection: close\r\n\r\n" + REFUSAL, tls=tls) as (url, _):
        assert ended(url, ca=str(ca)).outcome == Result.REFUSED
    with saying(tls=tls) as (url, heard):
        assert (
            ended(url).why
            == f"the certificate of {url.removeprefix('https://')} is not trusted; see the setting upstream_ca"
        )
    assert heard == [b"left"]
    with pytest.raises(UpstreamError, match="cannot read certificates"):
        Resender("https://localhost", KEY, {}, ca=str(tmp_path / "none.pem"))


def test_a_proxy_is_asked_where_one_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"
    for setting in (True, False):
        with saying(refused) as (url, heard):
            if not setting:
                monkeypatch.setenv("HTTP_PROXY", url)
            found = Resender("http://api.example", KEY, {}, proxy=url if setting else "").send(BODY)
        assert found.status == 502
        assert heard[0].startswith(b"POST http://api.example/v1/messages HTTP/1.1")


def test_a_url_that_is_none_and_a_key_that_is_no_header_are_told() -> None:
    for url in ("ftp://x", "http://[::1"):
        with pytest.raises(UpstreamError):
            Resender(url, KEY, {})
    with saying() as (url, _):
        found = Resender(url, {"x-api-key": "a\nb"}, {}).send(BODY)
    assert found[::7] == (Result.CUT, "the connection failed (ValueError)")
