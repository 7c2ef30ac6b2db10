"""What a gateway may change of a head, and what not."""

import pytest

from proxy.core.headers import chunked, end_to_end, first, for_host, length, tokens, values

ODD = (
    (b"hOsT", b"127.0.0.1:8788"),
    (b"X-Odd", b"caf\xe9"),
    (b"Set-Cookie", b"a=1"),
    (b"set-cookie", b"b=2"),
    (b"Connection", b"keep-alive, X-Mine"),
    (b"X-Mine", b"1"),
    (b"TE", b"trailers"),
    (b"Transfer-Encoding", b"gzip, chunked"),
)


def test_only_hop_by_hop_fields_go_and_all_else_keeps_case_order_and_number() -> None:
    assert end_to_end(ODD) == (ODD[0], ODD[1], ODD[2], ODD[3], ODD[7])


@pytest.mark.parametrize(
    "name",
    [
        b"Connection",
        b"Keep-Alive",
        b"Proxy-Authenticate",
        b"Proxy-Authorization",
        b"Proxy-Connection",
        b"TE",
        b"Upgrade",
    ],
)
def test_a_hop_by_hop_field_goes_though_no_connection_field_names_it(name: bytes) -> None:
    assert end_to_end(((b"A", b"1"), (name, b"x"), (name.lower(), b"y"))) == ((b"A", b"1"),)


def test_a_connection_field_cannot_take_off_the_framing_or_the_host() -> None:
    headers = ((b"Host", b"h"), (b"Content-Length", b"2"), (b"Connection", b"content-length, host"))
    assert end_to_end(headers) == headers[:2]


def test_named_fields_can_be_dropped_beside() -> None:
    assert end_to_end(((b"A", b"1"), (b"B", b"2")), drop=(b"a",)) == ((b"B", b"2"),)


def test_the_host_is_set_in_its_place_and_spelling_or_added() -> None:
    assert for_host(ODD, b"api")[0] == (b"hOsT", b"api")
    assert for_host(((b"A", b"1"),), b"api") == ((b"Host", b"api"), (b"A", b"1"))


def test_values_are_read_without_regard_to_case() -> None:
    assert values(ODD, b"set-cookie") == ["a=1", "b=2"]
    assert first(ODD, b"x-odd") == "café"
    assert first(ODD, b"absent") is None
    assert tokens(ODD, b"connection") == ["keep-alive", "x-mine"]


def test_the_framing_fields_are_read_strictly() -> None:
    assert chunked(ODD)
    assert not chunked(((b"Transfer-Encoding", b"chunked, gzip"),))
    assert length(((b"Content-Length", b"12"), (b"content-length", b"12"))) == 12
    assert length(((b"Content-Length", b"12"), (b"content-length", b"13"))) is None
    assert length(((b"Content-Length", b"+1"),)) is None
    assert length(()) is None
