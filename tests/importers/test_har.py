"""HAR files, in the ways in which they differ."""

import gzip
import json
from base64 import b64encode
from typing import Any

import brotli
import pytest
import zstandard

import captured
from answers import ANSWER, REFUSAL
from captured import Json, counted, read, refusals, troubles
from proxy.importers.har import HarFile

HAR = HarFile()


def altered(n: int = 1, /, **response: Any) -> bytes:
    """The sample with the ``n``-th entry's answer changed."""
    log = json.loads(captured.har())
    log["log"]["entries"][n]["response"] |= response
    return json.dumps(log).encode()


def test_bodies_in_base64_and_as_text_say_the_same() -> None:
    plain, coded = (refusals(read(HAR, captured.har(coded=coded))) for coded in (False, True))
    assert plain == coded


def chunks(data: bytes, size: int = 37) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x;x=y\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(REFUSAL)),
        ("none", gzip.compress(REFUSAL)),
        ("br", brotli.compress(REFUSAL)),
        ("zstd", zstandard.compress(REFUSAL)),
        ("none", chunks(REFUSAL)),
        ("none", chunks(REFUSAL)[:-5]),
        ("gzip", chunks(gzip.compress(REFUSAL))),
    ],
)
def test_an_answer_that_was_kept_as_it_was_sent_is_read_all_the_same(coding: str, body: bytes) -> None:
    named = [{"name": "request-id", "value": "req_2"}, {"name": "Content-Encoding", "value": coding}]
    content = {"size": 1, "text": b64encode(body).decode(), "encoding": "base64"}
    sent = altered(content=content, headers=named if coding != "none" else named[:1])
    assert refusals(read(HAR, sent))[0].request_id == "req_2"
    assert counted(read(HAR, sent)) == counted(read(HAR, captured.har()))


def test_a_text_in_chunks_is_read_as_well() -> None:
    sent = altered(content={"size": 1, "text": chunks(REFUSAL).decode()})
    assert refusals(read(HAR, sent)) == refusals(read(HAR, captured.har()))


def test_what_mitmproxy_exports_is_read() -> None:
    found = read(HAR, captured.mitmproxys_har())
    assert [one.request_id for one in refusals(found)] == ["req_2", "req_4"]
    assert troubles(found) == []


@pytest.mark.parametrize(
    "content",
    [{}, {"size": 900}, {"size": 0, "mimeType": "text/event-stream"}, {"text": "a", "encoding": "base64"}, {"text": 3}],
)
def test_an_answer_without_its_body_is_told_of_and_not_counted(content: Json) -> None:
    found = read(HAR, altered(content=content))
    assert [one.why for one in troubles(found)] == ["the body of an answer was not stored"]
    assert counted(found) == {"answered": 2, "recovered_by_api": 1}


def test_an_answer_that_is_known_to_be_empty_was_cut() -> None:
    assert counted(read(HAR, altered(content={"size": 0})))["cut"] == 1


def test_a_request_that_failed_is_counted_as_cut() -> None:
    found = read(HAR, altered(status=0, content={"size": 0, "mimeType": "x-unknown"}))
    assert (troubles(found), counted(found)["cut"]) == ([], 1)


def test_a_declined_request_without_its_body_is_kept_without_it_and_told_of() -> None:
    log = json.loads(captured.har())
    del log["log"]["entries"][1]["request"]["postData"]
    found = read(HAR, json.dumps(log).encode())
    declined = refusals(found)[0]
    assert [one.why for one in troubles(found)] == ["the body of a declined request was not stored"]
    assert (declined.request_id, declined.exact, declined.asked, declined.streamed) == ("req_2", None, None, None)


def test_a_file_that_is_cut_gives_the_entries_before_it() -> None:
    data = captured.har()
    found = read(HAR, data[: data.index(b"req_3")])
    assert [one.why for one in troubles(found)] == ["it is cut off, or damaged, within an entry"]
    assert [one.request_id for one in refusals(found)] == ["req_2"]


def test_a_file_without_entries_is_told_of() -> None:
    assert [one.why for one in troubles(read(HAR, b'{"log": {"version": "1.2"}}'))] == ["no entries"]


def test_where_nobody_says_how_long_it_took_that_is_not_known() -> None:
    log = json.loads(captured.har())
    log["log"]["entries"][1]["time"] = -1
    log["log"]["entries"][1]["startedDateTime"] = "never"
    declined = refusals(read(HAR, json.dumps(log).encode()))[0]
    assert declined.ms_to_refusal is None


def test_a_file_that_is_too_large_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.importers.documents.LARGEST", 1 << 20)
    assert [one.why for one in troubles(read(HAR, b" " * (2 << 20)))] == ["one piece of more than 1 MB"]


@pytest.mark.parametrize("answer", [ANSWER, REFUSAL])
def test_another_host_with_the_same_path_is_read_too(answer: bytes) -> None:
    """Gateways have the same API under other names."""
    data = captured.har([captured.SESSION_OF[0]._replace(answer=answer)]).replace(
        b"api.anthropic.com", b"gateway.example"
    )
    assert sum(counted(read(HAR, data)).values()) == 1
