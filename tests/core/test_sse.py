"""Server-sent events: any bytes in, the same bytes out, and frames that do not depend on where the network cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.core.sse import Frame, Frames, frames

STREAM = (
    b'\xef\xbb\xbfevent: message_start\ndata: {"a": 1}      \n\n'
    b": a comment\r\n\r\n"
    b"id: 7\nretry: 10\ndata:first\ndata: second\n\n"
    b"data\r\rdata: lone\r\n\n"
    b"\n\n\n"
    b"event: last\ndata: without a blank line"
)

pieces = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"\n\n", b"data: x", b"event: y", b": z", b"\x00", b"\xff"]), max_size=30
)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({min(place, len(data)) for place in at} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


def read(parts: list[bytes]) -> list[bytes]:
    reader = Frames()
    found = [frame.raw for part in parts for frame in reader.feed(part)]
    return found + [frame.raw for frame in reader.close()]


def test_a_frame_keeps_the_bytes_it_came_in() -> None:
    assert b"".join(frame.raw for frame in frames(STREAM)) == STREAM


def test_fields_are_read_as_the_standard_says() -> None:
    parsed = [frame.parse() for frame in frames(STREAM)]
    assert parsed == [
        ("message_start", b'{"a": 1}      '),
        ("", b""),
        ("", b"first\nsecond"),
        ("", b""),
        ("", b"lone"),
        ("", b""),
        ("last", b"without a blank line"),
    ]


def test_a_stream_fed_byte_by_byte_gives_the_same_frames() -> None:
    assert read([STREAM[n : n + 1] for n in range(len(STREAM))]) == read([STREAM])


@given(pieces, st.lists(st.integers(0, 120)))
def test_frames_do_not_depend_on_the_cuts_and_lose_no_byte(parts: list[bytes], at: list[int]) -> None:
    stream = b"".join(parts)
    whole = read([stream])
    assert b"".join(whole) == stream
    assert read(cut(stream, at)) == whole


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_any_bytes_come_out_as_they_went_in(stream: bytes, at: list[int]) -> None:
    assert b"".join(read(cut(stream, at))) == stream
    for raw in read([stream]):
        Frame(raw).parse()


lines = st.lists(
    st.sampled_from([b"event: a", b"event:b", b"data: x", b"data:", b"id: 1", b": c", b"data"]), max_size=4
)


@given(lines)
def test_what_a_frame_says_does_not_depend_on_its_line_ends(parts: list[bytes]) -> None:
    said = {Frame(end.join([*parts, b"", b""])).parse() for end in (b"\n", b"\r\n", b"\r")}
    assert len(said) == 1


def test_pending_tells_how_much_of_a_frame_is_held() -> None:
    reader = Frames()
    reader.feed(b"data: x\n\ndata: half")
    assert reader.pending == len(b"data: half")
    assert repr(reader.close()[0]) == "Frame(b'data: half')"
    assert reader.close() == []
