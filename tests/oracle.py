"""Two clients for one chain: the anthropic SDK with its fallback middleware, and the plain SDK before demur; and what each sees.

The middleware is the oracle: what it makes of a chain, demur in marked wire has to make of it too.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import httpx2
from anthropic import APIConnectionError, APIStatusError, AsyncAnthropic, BetaRefusalFallbackMiddleware
from anthropic.lib.streaming._beta_messages import accumulate_event

from chains import PRIMARY, TOOLS, Chain, Hop, tidied
from scripted import Json, Request, scripted

CREDIT_BETA = "fallback-credit-2026-07-01"

type Before = Callable[[str, Chain], AbstractAsyncContextManager[str]]
"""Something that stands before the API of this URL, for the length of a chain: its own URL."""


NEVER = ("reasoning_extraction", "unlisted")
"""Categories that demur does not ask again: one never, one since no setting lists it."""
SECRETS = ("fallback_credit_token", "fallback_has_prefill_claim")


class Failure(NamedTuple):
    """What a client raised. ``status`` None: the connection was cut."""

    status: int | None
    kind: str | None = None


class Sent(NamedTuple):
    """What reached the API."""

    body: Json
    betas: frozenset[str]

    @property
    def model(self) -> str:
        return str(self.body["model"])

    @property
    def token(self) -> Any:
        return self.body.get("fallback_credit_token")

    @property
    def turns(self) -> list[Json]:
        return list(self.body["messages"])


class Seen(NamedTuple):
    """What a client saw of a chain, and the API of the client."""

    events: list[Json]
    """Of a stream, without pings."""
    message: Json | None
    """As the SDK put it together."""
    failure: Failure | None
    sent: list[Sent]

    @property
    def skeleton(self) -> list[str]:
        """An event a line: type, index, and what is in it."""
        return [_outline(event) for event in self.events]

    @property
    def iterations(self) -> list[tuple[str, str, int]]:
        """Type, model and output tokens of each."""
        entries = (self.message or {}).get("usage", {}).get("iterations") or []
        return [(entry["type"], entry.get("model"), entry["output_tokens"]) for entry in entries]


async def middleware(chain: Chain) -> Seen:
    """The chain as the SDK's middleware makes it."""
    async with scripted(answering=chain.answering()) as api, _http() as http:
        falling = BetaRefusalFallbackMiddleware(chain.entries)  # type: ignore[arg-type]
        client = _client(api.url, http).with_options(middleware=[falling])
        # Without an entry the middleware is off, and asks for no credit.
        betas = chain.betas if chain.entries else (*chain.betas, CREDIT_BETA)
        return await _see(client, chain, api.asked, betas)


async def plain(chain: Chain, before: Before) -> Seen:
    """The chain as a client without middleware sees it from ``before``."""
    async with scripted(answering=chain.answering()) as api, before(api.url, chain) as url, _http() as http:
        return await _see(_client(url, http), chain, api.asked, chain.betas)


@asynccontextmanager
async def _http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(verify=False, trust_env=False) as http:
        yield http


def _client(url: str, http: httpx2.AsyncClient) -> AsyncAnthropic:
    return AsyncAnthropic(api_key="sk-ant-scripted", base_url=url, max_retries=0, http_client=http)


async def _see(client: AsyncAnthropic, chain: Chain, asked: list[Request], betas: tuple[str, ...]) -> Seen:
    events: list[Json] = []
    message, failure = None, None
    ask = _stream if chain.streamed else _create
    try:
        message = await ask(client, chain.request | ({"betas": list(betas)} if betas else {}), events)
    except APIStatusError as error:
        body = error.body if isinstance(error.body, dict) else {}
        failure = Failure(error.status_code, body.get("error", {}).get("type"))
    except (APIConnectionError, httpx2.TransportError):
        failure = Failure(None)
    return Seen(events, message, failure, [Sent(request.body, request.betas) for request in asked])


async def _create(client: AsyncAnthropic, request: Json, events: list[Json]) -> Json:
    return (await client.beta.messages.create(**request)).to_dict()


async def _stream(client: AsyncAnthropic, request: Json, events: list[Json]) -> Json | None:
    whole, inputs = None, dict[int, bytes]()
    async with await client.beta.messages.create(**request, stream=True) as stream:
        async for event in stream:
            events.append(event.to_dict())
            whole = accumulate_event(
                event=event, current_snapshot=whole, json_bufs=inputs, request_headers=httpx2.Headers()
            )
    return whole.to_dict() if whole else None


def _outline(event: Json) -> str:
    match event:
        case {"type": "message_start", "message": {"id": name, "model": model}}:
            return f"message_start {name} {model}"
        case {"type": "content_block_start", "index": index, "content_block": {"type": "fallback"} as seam}:
            trigger = seam["trigger"]["category"]
            return f"start {index} fallback {seam['from']['model']} -> {seam['to']['model']} ({trigger})"
        case {"type": "content_block_start", "index": index, "content_block": {"type": kind}}:
            return f"start {index} {kind}"
        case {"type": "content_block_delta", "index": index, "delta": {"type": kind}}:
            return f"delta {index} {kind}"
        case {"type": "content_block_stop", "index": index}:
            return f"stop {index}"
        case {"type": "message_delta", "delta": {"stop_reason": reason}}:
            return f"message_delta {reason}"
    return str(event["type"])


async def expected(chain: Chain) -> Seen:
    """What demur has to make of a chain: what the middleware makes of it, less the faults that test_oracle.py names one by one."""
    # The middleware swallows what a model began and breaks off without output; the first goes on, a later one is passed over.
    passed_over = tuple(hop._replace(end="head") if _is_mute(hop, chain) else hop for hop in chain.hops)
    chain = chain._replace(hops=(chain.hops[0] if chain.streamed else passed_over[0], *passed_over[1:]))
    last = _standing(chain)
    short = chain if last is None else chain.until(last)
    if chain.streamed:
        return _mended(await middleware(short), short)
    return _in_one_piece(_mended(await middleware(short.twin()), short), short)


def _is_mute(hop: Hop, chain: Chain) -> bool:
    """Whether it begins an answer and breaks off before any output; what is no stream has none before its end."""
    if hop.is_whole or hop.status != 200 or hop.end == "head":
        return False
    return not chain.streamed or {event["type"] for event in hop.events(0, "")} <= {"message_start", "ping", "error"}


def guarded(events: list[Json]) -> list[Json]:
    """The ends of tool calls moved to just before the stop reason, or left out where there is none to say that a tool may run."""
    calls = {event["index"] for event in events if event.get("content_block", {}).get("type") in TOOLS}
    ends = [event for event in events if event["type"] == "content_block_stop" and event["index"] in calls]
    rest = [event for event in events if event not in ends]
    at = next((n for n, event in enumerate(rest) if event["type"] == "message_delta"), len(rest))
    runs = at < len(rest) and rest[at]["delta"]["stop_reason"] != "refusal"
    return [*rest[:at], *(ends if runs else ()), *rest[at:]]


def _standing(chain: Chain) -> int | None:
    """The first hop after which demur asks nobody, if the chain comes to it: its refusal stands, or the first broke off."""
    if _is_mute(chain.hops[0], chain):
        return 0
    for number, hop in enumerate(chain.hops):
        kinds = [block.kind for block in hop.blocks]
        begun = any(kind in TOOLS for kind in kinds) or (hop.open and kinds[-1:] == ["server_tool_use"])
        if hop.refuses and ((chain.streamed and begun) or (hop.details and hop.category in NEVER)):
            return number
    return None


def _mended(seen: Seen, chain: Chain) -> Seen:
    events = guarded([_discreet(event) for event in seen.events])
    return Seen(events, seen.message and _discreet(seen.message), seen.failure, list(_resent(seen.sent, chain)))


def _in_one_piece(seen: Seen, chain: Chain) -> Seen:
    """What a chain's twin made of it, with the content, the id and the model of the hop that had the last word."""
    hops = dict(zip([PRIMARY, *chain.targets], enumerate(chain.hops), strict=False))
    sent = [Sent({key: value for key, value in each.body.items() if key != "stream"}, each.betas) for each in seen.sent]
    message = seen.message
    if message is not None:
        said = [(*hops[each.model], each.model) for each in sent]
        number, hop, model = [told for told in said if told[1].is_whole][-1]
        own = hop.message(number, model)
        seams = [block for block in message["content"] if block["type"] == "fallback"]
        message = message | {"id": own["id"], "model": own["model"], "content": [*seams, *own["content"]]}
        if hop.refuses and said[-1][0] == number:
            # Where no hop failed after it the last refusal is told as it came, as the middleware tells it too.
            message["stop_details"] = _discreet(own["stop_details"])
    return Seen([], message, seen.failure, sent)


def _discreet[Value](value: Value) -> Value:
    """Without what only concerns credit."""
    if isinstance(value, dict):
        return {key: _discreet(item) for key, item in value.items() if key not in SECRETS}  # type: ignore[return-value]
    return value


def _resent(sent: list[Sent], chain: Chain) -> Iterator[Sent]:
    """The requests with their appended turns tidied; what is then the same twice is sent once."""
    own = len(chain.asked["messages"])
    bases: list[tuple[list[Json], list[Json]]] = [([], [])]
    last = None
    for each in sent:
        content = each.turns[own]["content"] if len(each.turns) > own else []
        base, neat = max((pair for pair in bases if content[: len(pair[0])] == pair[0]), key=lambda pair: len(pair[0]))
        tidy = tidied([*neat, *content[len(base) :]])
        bases.append((content, tidy))
        appended = [{"role": "assistant", "content": tidy}] if tidy else []
        mended = Sent(each.body | {"messages": [*each.turns[:own], *appended]}, each.betas)
        if mended != last:
            yield mended
        last = mended
