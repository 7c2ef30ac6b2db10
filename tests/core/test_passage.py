"""What the client gets and when: as it comes, held back until it shows output, and nothing once it has left."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import ANSWER, PING, REFUSAL, STOP, block, delta, end, start
from playbook import (
    CLAIMED,
    CUT,
    LEFT,
    NO_ROUTE,
    PARTIAL,
    PRIMARY,
    SECOND,
    SERVED,
    TOKEN,
    Answer,
    Book,
    Json,
    Memory,
    Piece,
    answering,
    at_cuts,
    declined,
    declining,
    encoded,
    failing,
    message,
    play,
    refused_message,
    request,
    retry,
    said,
    texts,
    thought,
)
from proxy.core.commands import (
    Abort,
    Count,
    Finish,
    Keep,
    Open,
    Respond,
    Tell,
    Unreached,
    Write,
)
from proxy.core.message import parse
from proxy.core.passage import Leg, Passage
from proxy.core.splice import Wire
from proxy.core.through import Through
from schemas.labels import Outcome, Result, Ruling

ONE: list[Json] = [{"model": SECOND}]


# an answer that is not declined


def test_an_answer_is_the_api_s_and_counts_as_answered() -> None:
    played = play(retry(), Answer([SERVED]))
    assert played.body == SERVED
    assert played.kinds == [Open, Respond, Write, Count, Finish]
    assert (played.count, played.counted[0].answered_by) == (Result.ANSWERED, SECOND)
    assert played.field("x-demur-exchange") != []
    assert played.field("x-demur-answered-by") == []


@given(st.lists(st.integers(0, 10**6), max_size=10))
def test_an_answer_is_the_api_s_wherever_it_is_cut(cuts: list[int]) -> None:
    data = answering(thought(0, "hm"), said(1, "Hi"), PING, said(2, "so"))
    assert play(retry(), Answer(at_cuts(data, cuts))).body == data


def test_an_armed_request_asks_for_no_encoding_and_for_credit() -> None:
    played = play(retry(), Answer([SERVED]))
    head = dict(played.asked[0].headers)
    assert head[b"Accept-Encoding"] == b"identity"
    assert head[b"anthropic-beta"] == b"claude-code-20250219,fallback-credit-2026-07-01"
    assert played.sent[0]["model"] == PRIMARY


@pytest.mark.parametrize("last", [CUT, b""])
def test_an_answer_that_breaks_off_is_broken_off(last: Piece) -> None:
    played = play(retry(), Answer([start() + block(0) + delta(0, "Hi"), *([last] if last else [])]))
    assert texts(played.body) == "Hi"
    assert isinstance(played.ending, Abort if last else Finish)
    assert played.count == Result.CUT


def test_an_answer_that_breaks_off_before_output_goes_out_as_far_as_it_came() -> None:
    played = play(retry(), Answer([start(), PING, CUT]))
    assert (played.body, type(played.ending)) == (start() + PING, Abort)


def test_an_answer_without_a_byte_has_a_head() -> None:
    played = play(retry(), Answer([]))
    assert (played.kinds, played.body) == ([Open, Respond, Count, Finish], b"")


@pytest.mark.parametrize("kind", [None, b"text/plain; charset=utf-8", b"application/octet-stream"])
def test_a_stream_under_another_name_goes_on_as_it_comes(kind: bytes | None) -> None:
    first = start() + said(0, "Hi", left_open=True)
    played = play(retry(), Answer([first, end() + STOP], kind=kind))
    assert played.written == [first, end() + STOP]


@pytest.mark.parametrize("kind", [None, b"text/plain"])
def test_a_stream_under_another_name_is_read_as_one(kind: bytes | None) -> None:
    played = play(retry(), Answer([declining(**CLAIMED)], kind=kind), Answer([SERVED]))
    assert (played.body, played.ruling) == (SERVED, Ruling.RECOVERED)


def test_what_is_no_stream_and_has_no_name_goes_on_without_a_token() -> None:
    body = encoded(refused_message(**CLAIMED))
    played = play(retry(), Answer([body], kind=None))
    assert TOKEN.encode() not in played.body
    assert parse(played.body)["stop_reason"] == "refusal"
    other = b'<html>\n\n{"a": 1}'
    assert play(retry(), Answer([other], kind=None)).body == other


def test_trailers_go_on() -> None:
    assert play(retry(), Answer([SERVED], trailers=((b"X", b"1"),))).ending == Finish(((b"X", b"1"),))


@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
def test_an_error_is_passed_on_as_it_came(status: int) -> None:
    given = failing(status, "Output blocked by content filtering policy")
    played = play(retry(), given)
    assert (played.head.status, played.body) == (
        status,
        b"".join(piece for piece in given.body if isinstance(piece, bytes)),
    )
    assert played.head.headers[:3] == given.opened.headers
    assert [name for name, _ in played.head.headers[3:]] == [b"x-demur-exchange"]


def test_amazon_s_envelope_is_passed_on_as_it_came() -> None:
    played = play(retry(), Answer([b"\x00\x01"], kind=b"application/vnd.amazon.eventstream"))
    assert played.body == b"\x00\x01"


def test_an_api_that_cannot_be_reached_is_told_to_the_client() -> None:
    assert play(retry(), Answer(head=NO_ROUTE)).ending == Unreached("no route")
    assert isinstance(play(retry(), Answer(head=CUT)).ending, Abort)


# encodings: identity was asked for, and may not be given


def coded(data: bytes, *, by: bytes = b"gzip") -> Answer:
    return Answer([gzip.compress(data)], headers=((b"Content-Encoding", by),))


@pytest.mark.parametrize("first", [ANSWER, REFUSAL])
def test_an_answer_that_is_encoded_all_the_same_is_decoded(first: bytes) -> None:
    played = play(retry(), coded(first), coded(SERVED))
    assert played.body == (ANSWER if first == ANSWER else SERVED)
    assert played.field("content-encoding") == []


def test_a_whole_answer_that_is_encoded_is_decoded_and_its_length_set_anew() -> None:
    body = encoded(message())
    given = Answer(
        [gzip.compress(body)],
        kind=b"application/json",
        headers=((b"Content-Encoding", b"gzip"), (b"Content-Length", b"9")),
    )
    played = play(retry(), given, asked=request({"stream": False}))
    assert (played.body, played.field("content-length")) == (body, [str(len(body))])


def test_an_encoding_that_is_not_known_goes_on_as_it_came() -> None:
    played = play(retry(), Answer([b"??"], headers=((b"Content-Encoding", b"rot13"),)))
    assert (played.body, played.field("content-encoding")) == (b"??", ["rot13"])


def test_an_encoding_that_is_damaged_is_no_proper_end() -> None:
    data = gzip.compress(SERVED)
    played = play(retry(), Answer([data[:60], b"\xff" * 40], headers=((b"Content-Encoding", b"gzip"),)))
    assert not played.is_whole


# the order of events


def test_what_is_recorded_is_recorded_before_the_bytes_that_tell_of_it() -> None:
    played = play(retry(), Answer([REFUSAL]), Answer([SERVED[n : n + 1] for n in range(len(SERVED))]))
    assert played.before(Keep, b'"end_turn"')
    assert not played.before(Keep, b"Ser")
    stands = play(retry(), Answer([declining(said(0, "Hi"))]))
    assert stands.before(Keep, b"message_delta")


def test_the_refusal_is_recorded_before_anything_else_is_asked() -> None:
    played = play(retry(), Answer([REFUSAL]), Answer([SERVED]))
    assert played.kinds == [Open, Keep, Open, Keep, Respond, Write, Count, Finish]
    assert played.kept[0].refusals[0].ruling is None
    assert played.kept[0].traffic == []


def test_a_turn_is_pinned_before_its_end_goes_out() -> None:
    counsel = Memory()
    book = Book(retry(sticky=True), counsel=counsel)
    played = book.play(Answer([REFUSAL]), Answer([SERVED]))
    assert played.before(Tell, b'"end_turn"')
    assert [pin.answered_by for pin in counsel.pins.values()] == [SECOND]


# the client leaves


LEAVING: dict[str, list[Answer]] = {
    "before the head": [Answer(head=LEFT)],
    "before output": [Answer([start(), LEFT])],
    "in the text": [Answer([start() + PARTIAL, LEFT])],
    "at the end of a refusal": [Answer([start() + declined(), LEFT])],
    "before a hop's head": [Answer([REFUSAL]), Answer(head=LEFT)],
    "in a failed hop": [Answer([REFUSAL]), Answer([b"{", LEFT], status=529)],
    "before a hop's output": [Answer([REFUSAL]), Answer([start(SECOND), LEFT])],
    "in a hop": [Answer([REFUSAL]), Answer([start(SECOND) + block(0), LEFT])],
    "in a hop after output": [
        Answer([declining(PARTIAL, **CLAIMED)]),
        Answer([start(SECOND) + block(0) + delta(0, "x"), LEFT]),
    ],
    "at a hop's own refusal": [Answer([REFUSAL]), Answer([start(SECOND) + declined(), LEFT])],
}


@pytest.mark.parametrize("where", LEAVING)
@pytest.mark.parametrize("wire", ["plain", "marked"])
def test_when_the_client_leaves_nothing_more_is_asked_and_what_was_declined_is_recorded(where: str, wire: str) -> None:
    answers = LEAVING[where]
    played = play(retry(wire=wire), *answers)
    assert len(played.asked) == len(answers)
    assert isinstance(played.ending, Abort)
    refused = bool(played.kept)
    assert refused is ("hop" in where or "refusal" in where)
    assert played.count == (Result.REFUSED if refused else Result.CUT)
    if refused:
        assert (played.ruling, played.outcome) == (Ruling.LEFT, Outcome.REFUSED)
        assert len(played.kept[0].refusals) == 1
        further = [attempt for attempt in played.attempts if attempt.by == "demur"]
        assert [attempt.model for attempt in further] == [SECOND] * ("hop" in where)


def test_a_client_that_leaves_after_the_answer_had_come_was_answered() -> None:
    played = play(retry(), Answer([REFUSAL]), Answer([start(SECOND) + said(0, "Hi") + end(), LEFT]))
    assert (played.ruling, played.count) == (Ruling.RECOVERED, Result.RECOVERED_BY_DEMUR)


def test_what_can_be_no_part_of_an_answer_is_an_error_of_ours() -> None:
    book = Book(retry())
    head = Answer().opened
    reader = Through(Wire(model=PRIMARY, secret=False, guard=False), thinking=False, graft=False)
    steps = Passage(book.watched, "01", float, lambda _: iter(())).go(Leg(head, reader, PRIMARY, None))  # type: ignore[arg-type, return-value]
    next(steps)
    with pytest.raises(TypeError):
        steps.send(head)
