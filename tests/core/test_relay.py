"""One request as a playbook: the commands that the relay gives, for the events that it is sent."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answers import ANSWER, MID, REFUSAL
from proxy.core.commands import (
    Abort,
    Chunk,
    Command,
    Count,
    End,
    Event,
    Failed,
    Finish,
    Keep,
    Note,
    Open,
    Opened,
    Pass,
    Read,
    Respond,
    Unreached,
    Write,
)
from proxy.core.exchange import Exchange, Watcher
from proxy.core.headers import Headers
from proxy.core.relay import plain, relay
from schemas.labels import Result

ASK = Open(b"POST", b"/v1/messages?beta=true", ((b"Host", b"x"),))
SSE: Headers = ((b"Content-Type", b"text/event-stream"), (b"request-id", b"req_1"))
HEAD = Opened(200, b"OK", SSE)
CUT = Failed("cut", reached=True)


def watched() -> Exchange:
    exchange = Watcher(source="gateway", now=lambda: 1_790_000_000.0, entropy=bytes).exchange(
        b"POST", ASK.target, ASK.headers
    )
    assert exchange is not None
    exchange.sent(b'{"model": "claude-opus-5", "messages": [{"role": "user", "content": "hi"}]}')
    return exchange


def play(exchange: Exchange | None, events: Iterable[Event]) -> list[Command]:
    """Runs a relay; ``events`` answer ``Open`` and each ``Pass``. What only passed stands as ``Write`` too."""
    running, coming = relay(ASK, exchange), iter(events)
    commands = [next(running)]
    while True:
        event = next(coming) if isinstance(commands[-1], Open | Pass) else None
        last = commands[-1]
        while isinstance(last, Pass) and isinstance(event, Chunk) and not last.look(event.data):
            commands.append(Write(event.data))
            event = next(coming)
        try:
            commands.append(running.send(event))
        except StopIteration:
            return commands


def kinds(commands: list[Command]) -> list[type]:
    return [type(command) for command in commands]


def written(commands: list[Command]) -> bytes:
    return b"".join(command.data for command in commands if isinstance(command, Write))


def counted(commands: list[Command]) -> list[Result]:
    return [Result(command.traffic.outcome) for command in commands if isinstance(command, Count)]


def test_an_answer_goes_through_and_is_counted() -> None:
    commands = play(watched(), [HEAD, Chunk(ANSWER), End(((b"X-T", b"1"),))])
    assert kinds(commands) == [Open, Respond, Pass, Write, Count, Finish]
    assert commands[1] == Respond(200, b"OK", SSE)
    assert commands[-1] == Finish(((b"X-T", b"1"),))
    assert counted(commands) == [Result.ANSWERED]


def test_a_refusal_is_kept_before_the_bytes_that_tell_of_it_go_out() -> None:
    commands = play(watched(), [HEAD, Chunk(REFUSAL), End()])
    assert kinds(commands) == [Open, Respond, Pass, Keep, Write, Pass, Finish]
    keep = commands[3]
    assert isinstance(keep, Keep)
    entry = keep.make()
    assert entry.refusals[0].request_id == "req_1"
    assert [(key.outcome, n) for key, n in entry.traffic] == [(Result.REFUSED, 1)]


def test_what_was_sent_before_a_refusal_is_not_held_back() -> None:
    commands = play(watched(), [HEAD, *(Chunk(MID[n : n + 1]) for n in range(len(MID))), End()])
    assert written(commands) == MID
    place = kinds(commands).index(Keep)
    assert MID.index(b"message_delta") < len(written(commands[:place])) < MID.index(b"event: message_stop")


def test_a_refusal_that_only_the_end_reveals_is_kept_before_the_end_goes_out() -> None:
    body = b'{"content": [], "stop_reason": "refusal"}'
    commands = play(watched(), [Opened(200, b"OK", ()), Chunk(body), End()])
    assert kinds(commands) == [Open, Respond, Pass, Write, Keep, Finish]


def test_a_cut_is_passed_on_as_a_cut_and_counted() -> None:
    commands = play(watched(), [HEAD, Chunk(MID[:200]), CUT])
    assert kinds(commands)[-2:] == [Count, Abort]
    assert counted(commands) == [Result.CUT]


def test_a_cut_before_the_head_is_a_cut_too() -> None:
    assert kinds(play(watched(), [CUT])) == [Open, Count, Abort]
    assert kinds(play(None, [None])) == [Open, Unreached]


def test_an_api_that_cannot_be_reached_is_told_to_the_client() -> None:
    assert play(None, [Failed("no route", reached=False)])[-1] == Unreached("no route")


def test_a_request_that_is_not_observed_goes_through_just_so() -> None:
    assert kinds(play(None, [HEAD, Chunk(REFUSAL), End()])) == [Open, Respond, Pass, Write, Finish]


class Raising(Exchange):
    """An onlooker that fails at one of its duties."""

    def __init__(self, at: str) -> None:
        made = watched()
        self.__dict__.update(made.__dict__)
        setattr(self, at, self._raise)

    def _raise(self, *_: object, **__: object) -> None:
        raise RuntimeError("a bug of ours")


@pytest.mark.parametrize("at", ["opened", "feed", "finish", "traffic"])
@pytest.mark.parametrize("last", [End(), CUT])
def test_an_onlooker_that_raises_is_dismissed_and_every_byte_goes_on(at: str, last: Event) -> None:
    commands = play(Raising(at), [HEAD, Chunk(MID), Chunk(b"more"), last])
    assert written(commands) == MID + b"more"
    assert kinds(commands).count(Note) == 1
    assert isinstance(commands[-1], Finish if last == End() else Abort)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=20), st.sampled_from([End(), CUT]))
def test_any_bytes_pass_in_order_whatever_they_are(parts: list[bytes], last: Event) -> None:
    commands = play(watched(), [HEAD, *map(Chunk, parts), last])
    assert written(commands) == b"".join(parts)
    assert isinstance(commands[-1], Finish if last == End() else Abort)


@pytest.mark.parametrize("responded", [True, False])
def test_the_plain_relay_passes_on_what_is_left(responded: bool) -> None:
    running = plain(responded=responded)
    next(running)
    if not responded:
        assert running.send(HEAD) == Respond(200, b"OK", SSE)
        next(running)
    assert running.send(Chunk(b"a")) == Write(b"a")
    assert running.send(None) == Read()
    assert running.send(End()) == Finish()
    stopped = plain(responded=responded)
    next(stopped)
    assert stopped.send(CUT) == Abort()
