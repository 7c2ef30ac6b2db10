"""Content codings: the copy decodes like the original, in any pieces, and a bomb ends the decoding only."""

import gzip
import random
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.encoding import Decoder

TEXT = b'event: ping\ndata: {"type": "ping"}\n\n' * 40


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


ENCODE = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("coding", ENCODE)
def test_every_coding_decodes_whole_and_byte_by_byte(coding: str) -> None:
    encoded = ENCODE[coding](TEXT)
    whole, bytewise = Decoder([coding]), Decoder([coding.upper()])
    assert whole.feed(encoded) == TEXT
    assert b"".join(bytewise.feed(encoded[n : n + 1]) for n in range(len(encoded))) == TEXT
    assert whole.failed is bytewise.failed is None


def test_headerless_deflate_is_read_too_even_byte_by_byte() -> None:
    encoded = raw_deflate(TEXT)
    decoder = Decoder(["deflate"])
    assert b"".join(decoder.feed(encoded[n : n + 1]) for n in range(len(encoded))) == TEXT
    assert Decoder(["deflate"]).feed(encoded) == TEXT


def test_several_gzip_members_in_a_row_are_one_body() -> None:
    assert Decoder(["gzip"]).feed(gzip.compress(b"one ") + gzip.compress(b"two")) == b"one two"


def test_stacked_codings_come_off_in_reverse() -> None:
    encoded = brotli.compress(gzip.compress(zstandard.ZstdCompressor().compress(TEXT)))
    assert Decoder(["zstd, gzip", "br"]).feed(encoded) == TEXT


def test_identity_and_nothing_leave_the_bytes_alone() -> None:
    assert Decoder(["identity", ""]).feed(TEXT) == TEXT
    assert Decoder([]).feed(TEXT) == TEXT


def test_an_unknown_coding_is_named_and_reads_nothing() -> None:
    decoder = Decoder(["gzip", "rot13"])
    assert decoder.failed == "unknown encoding rot13"
    assert decoder.feed(TEXT) == b""


@pytest.mark.parametrize("coding", ENCODE)
def test_a_bomb_ends_the_decoding_and_raises_nothing(coding: str) -> None:
    decoder = Decoder([coding], burst=100_000)
    assert decoder.feed(ENCODE[coding](b"\0" * 5_000_000)) == b""
    assert decoder.failed == "a decompression bomb"
    assert decoder.feed(b"more") == b""


@pytest.mark.parametrize("coding", ENCODE)
def test_a_long_answer_in_small_pieces_is_no_bomb(coding: str) -> None:
    decoder = Decoder([coding], burst=100_000)
    answer = random.Random(1).randbytes(1_000_000)
    encoded = ENCODE[coding](answer)
    read = b"".join(decoder.feed(encoded[n : n + 1000]) for n in range(0, len(encoded), 1000))
    assert decoder.failed is None
    assert read == answer


@pytest.mark.parametrize("coding", ENCODE)
@given(data=st.binary(min_size=1, max_size=60))
def test_damage_is_told_and_never_raised(coding: str, data: bytes) -> None:
    decoder = Decoder([coding])
    decoder.feed(data)
    decoder.feed(data)
    assert decoder.failed in {None, "damaged encoding"}


def test_damage_after_a_good_start_is_told() -> None:
    decoder = Decoder(["gzip"])
    assert decoder.feed(gzip.compress(TEXT)[:-8]) == TEXT
    decoder.feed(b"\0" * 8)
    assert decoder.failed == "damaged encoding"
