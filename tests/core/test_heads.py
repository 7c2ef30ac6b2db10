"""The head of an armed answer gains who answered, and tells how its body is framed now."""

import pytest

from proxy.core.commands import Opened
from proxy.core.headers import Headers
from proxy.core.heads import armed_head

KEPT: Headers = ((b"Content-Type", b"text/event-stream"), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"))
CHUNKED: Headers = ((b"Transfer-Encoding", b"chunked"),)


def headers(given: Headers, length: int | None = None, *, decoded: bool = False) -> Headers:
    return armed_head(Opened(200, b"Fine", given), None, None, decoded=decoded, length=length).headers


def test_it_gains_the_exchange_and_who_answered_and_nothing_else() -> None:
    head = armed_head(Opened(200, b"Fine", KEPT + CHUNKED), "01JD", "claude-opus-4-8", decoded=False, length=None)
    added = ((b"x-demur-exchange", b"01JD"), (b"x-demur-answered-by", b"claude-opus-4-8"))
    assert head == Opened(200, b"Fine", KEPT + CHUNKED + added)


def test_a_model_with_an_odd_name_can_be_told() -> None:
    head = armed_head(Opened(200, b"", CHUNKED), None, "claude-☃", decoded=False, length=None)
    assert head.headers[-1] == (b"x-demur-answered-by", b"claude-?")


def test_what_was_decoded_is_not_called_encoded() -> None:
    coded: Headers = ((b"content-ENCODING", b"gzip"), *CHUNKED)
    assert headers(coded, decoded=True) == CHUNKED
    assert headers(coded) == coded


@pytest.mark.parametrize(
    ("given", "length", "framed"),
    [
        (((b"transfer-encoding", b"Chunked"),), None, ((b"transfer-encoding", b"Chunked"),)),
        (((b"content-length", b"7"),), None, ((b"Transfer-Encoding", b"chunked"),)),
        (((b"content-length", b"7"),), 7, ((b"content-length", b"7"),)),
        (((b"content-length", b"7"),), 8, ((b"Content-Length", b"8"),)),
        (CHUNKED, 8, ((b"Content-Length", b"8"),)),
        (
            ((b"Content-Length", b"7"), (b"A", b"1"), (b"Content-Length", b"7")),
            7,
            ((b"Content-Length", b"7"), (b"A", b"1")),
        ),
        (((b"A", b"1"),), None, ((b"A", b"1"), (b"Transfer-Encoding", b"chunked"))),
        (((b"A", b"1"),), 0, ((b"A", b"1"), (b"Content-Length", b"0"))),
    ],
)
def test_a_stream_comes_in_chunks_and_a_whole_body_by_its_length(
    given: Headers, length: int | None, framed: Headers
) -> None:
    assert headers(given, length) == framed
