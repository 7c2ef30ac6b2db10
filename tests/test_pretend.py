"""The pretend API against the real SDK and a plain HTTP client, on real sockets."""

import asyncio
import os
import re
import signal
import struct
import sys
import zlib
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import brotli
import msgspec
import pytest
import zstandard
from anthropic.types.beta import BetaMessageParam
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.certs import CertStore
from multidict import CIMultiDict
from yarl import URL

from proxy.pretend import SCENARIOS, SECRETS, Options, Pretend, Rule
from proxy.pretend.compress import Compressor

ROOT = Path(__file__).parent.parent
ASK: list[BetaMessageParam] = [{"role": "user", "content": "hi"}]
NOT_A_MESSAGE = {
    "output_filter", "error_filter", "error_filter_mid", "error_overloaded", "overloaded", "policy_error", "http_error",
    "cut_before_head", "cut_start", "cut_mid",
}  # fmt: skip


@pytest.fixture
async def api() -> AsyncIterator[Pretend]:
    async with Pretend() as api:
        yield api


@pytest.fixture
async def http(api: Pretend) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(api.url, auto_decompress=False) as session:
        yield session


@pytest.fixture
async def sdk(api: Pretend) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=api.url, api_key="sk-ant-pretend", max_retries=0) as client:
        yield client


def body(*, stream: bool = True, text: str = "hi", **more: object) -> bytes:
    messages = [{"role": "user", "content": text}]
    return msgspec.json.encode(
        {"model": "claude-opus-5", "stream": stream, "max_tokens": 9, "messages": messages} | more
    )


async def ask(http: aiohttp.ClientSession, play: str, data: bytes = b"", *, beta: str = "") -> bytes:
    headers = {"x-pretend": play, "anthropic-beta": beta}
    async with http.post("/v1/messages", data=data or body(), headers=headers) as response:
        return await response.read()


def told(stream: bytes) -> list[dict[str, Any]]:
    """The events of an SSE stream, each checked to be framed as the API frames it."""
    frames = re.split(rb"\r?\n\r?\n", stream)
    assert frames.pop() == b""
    events = []
    for frame in frames:
        kind, data = re.split(rb"\r?\n", frame)
        events.append(msgspec.json.decode(data.removeprefix(b"data: ")))
        assert kind == b"event: " + events[-1]["type"].encode()
    return events


async def final(sdk: anthropic.AsyncAnthropic, play: str) -> Any:
    headers = {"x-pretend": play}
    async with sdk.beta.messages.stream(
        model="claude-opus-5", max_tokens=9, messages=ASK, extra_headers=headers
    ) as stream:
        return await stream.get_final_message()


async def whole(sdk: anthropic.AsyncAnthropic, play: str) -> Any:
    headers = {"x-pretend": play}
    return await sdk.beta.messages.create(model="claude-opus-5", max_tokens=9, messages=ASK, extra_headers=headers)


@pytest.mark.parametrize(
    "play", sorted(set(SCENARIOS) - NOT_A_MESSAGE - {"api_fallback_mid", "refusal_no_block_start"})
)
async def test_the_sdk_reads_the_same_message_from_a_stream_and_whole(sdk: anthropic.AsyncAnthropic, play: str) -> None:
    streamed = (await final(sdk, f"{play} pace=0.0001")).to_dict(mode="json")
    single = (await whole(sdk, play)).to_dict(mode="json")
    for message in (streamed, single):
        del message["id"], message["usage"]["input_tokens"]
        message["usage"].pop("iterations", None)
        message.setdefault("stop_details", None)
        message.pop("parsed_output", None)
        for block in message["content"]:
            block.pop("parsed_output", None)
    assert streamed == single


@pytest.mark.parametrize(
    "play", sorted(name for name in SCENARIOS if name.startswith("refusal") and "after" not in name)
)
async def test_every_refusal_ends_in_a_message_delta_that_says_so(http: aiohttp.ClientSession, play: str) -> None:
    events = told(await ask(http, play))
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    assert events[-2]["delta"]["stop_reason"] == "refusal"


async def test_a_refusal_before_output_has_three_events_and_null_details_at_its_start(
    http: aiohttp.ClientSession,
) -> None:
    start, delta, stop = told(await ask(http, "refusal"))
    assert (start["type"], delta["type"], stop["type"]) == ("message_start", "message_delta", "message_stop")
    assert start["message"]["stop_reason"] is start["message"]["stop_details"] is None
    assert delta["delta"]["stop_details"].keys() == {"type", "category", "explanation"}


async def test_category_and_explanation_are_those_of_the_play(sdk: anthropic.AsyncAnthropic) -> None:
    message = await whole(sdk, 'refusal category=bio explanation="Because of this."')
    assert (message.stop_details.category, message.stop_details.explanation) == ("bio", "Because of this.")
    assert "bio" in (await whole(sdk, "refusal category=bio")).stop_details.explanation
    assert (await whole(sdk, "refusal category=null")).stop_details.explanation is None


async def test_the_usual_explanation_carries_an_exemption_token(sdk: anthropic.AsyncAnthropic) -> None:
    explanation = (await whole(sdk, "refusal")).stop_details.explanation
    assert explanation.rpartition("?token=")[2] in SECRETS


async def test_a_credit_token_is_given_to_those_who_ask_for_it(http: aiohttp.ClientSession) -> None:
    plain = told(await ask(http, "refusal_mid"))[-2]["delta"]["stop_details"]
    beta = "a-2026-01-01, fallback-credit-2026-07-01"
    asked = told(await ask(http, "refusal_mid", beta=beta))[-2]["delta"]["stop_details"]
    assert "fallback_credit_token" not in plain
    assert asked["fallback_credit_token"] in SECRETS
    assert asked["fallback_has_prefill_claim"] is True
    assert asked.keys() - plain.keys() == {"fallback_credit_token", "fallback_has_prefill_claim"}


CREDIT = "fallback-credit-2026-07-01"
TURN: list[Any] = [*ASK, {"role": "assistant", "content": [{"type": "text", "text": "The capital of France"}]}]
CAPITAL = 'answer text="The capital of France is Paris."'


async def token(http: aiohttp.ClientSession, play: str) -> Any:
    details = told(await ask(http, play, beta=CREDIT))[-2]["delta"]["stop_details"]
    return details["fallback_credit_token"], details["fallback_has_prefill_claim"]


def texts(events: list[dict[str, Any]]) -> str:
    return "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")


async def error(http: aiohttp.ClientSession, data: bytes, beta: str = CREDIT) -> tuple[int, str]:
    async with http.post("/v1/messages", data=data, headers={"anthropic-beta": beta}) as response:
        return response.status, (await response.json())["error"]["message"]


async def test_a_continuation_goes_on_from_the_assistant_s_turn_and_redeems(http: aiohttp.ClientSession) -> None:
    claimed, claim = await token(http, "refusal_mid partial='The capital of France '")
    more: Any = {"fallback_credit_token": {"token": claimed, "mode": "best_effort"}}
    events = told(await ask(http, CAPITAL, body(messages=TURN, **more), beta=CREDIT))
    assert (claim, texts(events)) == (True, " is Paris.")
    redeemed = {"status": {"type": "redeemed"}}
    assert [event["usage"]["fallback_credit"] for event in events if "usage" in event] == [redeemed]
    assert events[0]["message"]["usage"]["fallback_credit"] == redeemed
    whole = msgspec.json.decode(await ask(http, CAPITAL, body(stream=False, messages=TURN, **more), beta=CREDIT))
    assert (whole["content"][0]["text"], whole["usage"]["fallback_credit"]) == (" is Paris.", redeemed)


async def test_without_a_token_nothing_is_redeemed_and_the_answer_is_whole(http: aiohttp.ClientSession) -> None:
    events = told(await ask(http, CAPITAL, beta=CREDIT))
    assert texts(events) == "The capital of France is Paris."
    assert "fallback_credit" not in events[-2]["usage"]


@pytest.mark.parametrize("play", ["refusal", "refusal_mid claim=false", "refusal_thinking"])
async def test_a_turn_of_the_assistant_is_refused_without_a_claim_to_it(http: aiohttp.ClientSession, play: str) -> None:
    unclaimed, claim = await token(http, play)
    status, said = await error(http, body(messages=TURN, fallback_credit_token=unclaimed))
    assert (claim, status) == (False, 400)
    assert "prefill" in said
    assert await error(http, body(messages=TURN)) == (400, said)


async def test_a_claim_is_as_the_play_says(http: aiohttp.ClientSession) -> None:
    assert (await token(http, "refusal_thinking claim=true"))[1] is True


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"type": "text", "text": "The capital "}, "trailing whitespace"),
        ({"type": "tool_use", "id": "t", "name": "Bash", "input": {}}, "without `tool_result` blocks"),
    ],
)
async def test_a_continuation_must_end_in_what_can_be_continued(
    http: aiohttp.ClientSession, block: dict[str, Any], said: str
) -> None:
    claimed, _ = await token(http, "refusal_mid")
    turn = [*ASK, {"role": "assistant", "content": [block]}]
    status, message = await error(http, body(messages=turn, fallback_credit_token=claimed))
    assert status == 400
    assert said in message


@pytest.mark.parametrize(
    ("more", "beta", "said"),
    [
        ({"fallback_credit_token": "fct_other"}, CREDIT, "invalid or malformed"),
        ({"fallback_credit_token": {"token": "fct_other"}}, "fallback-credit-2026-06-01", "valid string"),
        ({"fallback_credit_token": "TOKEN"}, "", "Extra inputs are not permitted"),
        ({"fallback_credit_token": "TOKEN", "fallbacks": "default"}, CREDIT, "fallbacks"),
    ],
)
async def test_a_token_that_is_no_good_is_refused_and_uses_up_no_rule(
    api: Pretend, http: aiohttp.ClientSession, more: dict[str, Any], beta: str, said: str
) -> None:
    good, _ = await token(http, "refusal")
    api.cast.rules = [Rule(play="refusal", times=1)]
    sent = {key: good if value == "TOKEN" else value for key, value in more.items()}
    status, message = await error(http, body(**sent), beta)
    assert status == 400
    assert message.startswith("fallback_credit_token: ")
    assert said in message
    assert told(await ask(http, "", beta=CREDIT))[-2]["delta"]["stop_reason"] == "refusal"
    assert [received.scenario for received in api.requests] == ["refusal", "rejected", "refusal"]


async def test_an_error_has_the_status_of_the_play(http: aiohttp.ClientSession) -> None:
    for status in (400, 429, 500, 529):
        async with http.post("/v1/messages", data=body(), headers={"x-pretend": f"http_error status={status}"}) as got:
            assert (got.status, (await got.json())["error"]["message"]) == (status, f"A pretend {status}.")


async def test_two_tools_are_called_at_once_and_no_two_calls_have_one_id(http: aiohttp.ClientSession) -> None:
    def calls(events: list[dict[str, Any]]) -> list[str]:
        blocks = [event["content_block"] for event in events if event["type"] == "content_block_start"]
        return [block["id"] for block in blocks if block["type"] == "tool_use"]

    ids = calls(told(await ask(http, "answer_tools")))
    past = [{"type": "tool_use", "id": name, "name": "Bash", "input": {}} for name in ids]
    ids += calls(
        told(await ask(http, "refusal_tool_complete", body(messages=[{"role": "assistant", "content": past}, *ASK])))
    )
    assert len(set(ids)) == len(ids) == 3


async def test_a_tool_runs_the_command_of_the_play(http: aiohttp.ClientSession) -> None:
    whole = await ask(http, "refusal_tool_complete command='touch made'", body(stream=False))
    assert msgspec.json.decode(whole)["content"][1]["input"]["command"] == "touch made"


async def test_the_stop_reason_may_come_late(api: Pretend, http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/messages", data=body(), headers={"x-pretend": "refusal_mid late=60"}) as response:
        text = b""
        while b"content_block_stop" not in text:
            text += await response.content.readany()
        assert b"message_delta" not in text
        assert api.requests[-1].ended == "open"


async def test_a_tool_is_called_until_its_result_is_there(http: aiohttp.ClientSession) -> None:
    called = told(await ask(http, "answer_tool"))
    result = [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "hi"}]}]
    answered = told(await ask(http, "answer_tool", body(messages=result)))
    declined = told(await ask(http, "refusal_after_tool", body(messages=result)))
    assert [called[-2]["delta"]["stop_reason"], answered[-2]["delta"]["stop_reason"]] == ["tool_use", "end_turn"]
    assert declined[-2]["delta"]["stop_reason"] == "refusal"


async def test_a_tool_is_complete_before_the_refusal_in_the_same_stream(http: aiohttp.ClientSession) -> None:
    kinds = [event["type"] for event in told(await ask(http, "refusal_tool_complete"))]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert kinds.count("content_block_stop") == 2


async def test_a_block_may_be_left_open_or_never_have_begun(http: aiohttp.ClientSession) -> None:
    opened = [event["type"] for event in told(await ask(http, "refusal_mid_open"))]
    bare = [event["type"] for event in told(await ask(http, "refusal_no_block_start"))]
    assert "content_block_start" in opened
    assert "content_block_stop" not in opened
    assert "content_block_start" not in bare
    assert "content_block_delta" in bare


async def test_a_quoted_refusal_is_content_and_never_structure(http: aiohttp.ClientSession) -> None:
    raw = await ask(http, "quote")
    events = told(raw)
    text = "".join(e["delta"]["text"] for e in events if e["type"] == "content_block_delta")
    assert '"stop_reason":"refusal"' in text
    assert "\nevent: message_delta\ndata: " in text
    assert events[-2]["delta"]["stop_reason"] == "end_turn"
    assert b'"stop_reason":"refusal"' in await ask(http, "quote_tool", body(stream=False))


async def test_errors_reach_the_sdk_as_its_own_errors(sdk: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="content filtering policy"):
        await whole(sdk, "output_filter")
    with pytest.raises(anthropic.BadRequestError, match="Usage Policy"):
        await final(sdk, "policy_error")
    with pytest.raises(anthropic.APIStatusError, match="content filtering policy"):
        await final(sdk, "error_filter_mid")
    with pytest.raises(anthropic.BadRequestError, match="content filtering policy"):
        await whole(sdk, "error_filter")


async def test_an_error_event_before_content_repeats_the_request_id(api: Pretend, http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/messages", data=body(), headers={"x-pretend": "error_filter"}) as response:
        start, error = told(await response.read())
        assert start["type"] == "message_start"
        assert error["request_id"] == response.headers["request-id"] == api.requests[-1].request_id


async def test_an_overload_passes_after_some_tries(http: aiohttp.ClientSession) -> None:
    statuses = []
    for _ in range(3):
        async with http.post("/v1/messages", data=body(), headers={"x-pretend": "overloaded times=2"}) as response:
            statuses.append(response.status)
    assert statuses == [529, 529, 200]
    assert [event["type"] for event in told(await ask(http, "error_overloaded"))] == ["error"]
    assert told(await ask(http, "error_overloaded"))[-1]["type"] == "message_stop"


async def test_where_no_stream_was_asked_for_an_overload_is_a_529(http: aiohttp.ClientSession) -> None:
    assert b"overloaded_error" in await ask(http, "error_overloaded", body(stream=False))


async def test_server_side_fallback_tells_of_its_attempts(http: aiohttp.ClientSession) -> None:
    asked = body(fallbacks=[{"model": "claude-opus-4-8"}])
    before, mid, sticky, exhausted = [
        told(await ask(http, f"api_fallback{name}", asked)) for name in ("", "_mid", "_sticky", "_exhausted")
    ]
    models = [events[0]["message"]["model"] for events in (before, mid, sticky, exhausted)]
    assert models == ["claude-opus-4-8", "claude-opus-5", "claude-opus-4-8", "claude-opus-4-8"]
    assert before[1]["content_block"]["type"] == "fallback"
    assert [e["content_block"]["type"] for e in mid if "content_block" in e] == ["text", "fallback", "text"]
    assert [i["type"] for i in sticky[-2]["usage"]["iterations"]] == ["fallback_message"]
    assert exhausted[-2]["delta"]["stop_reason"] == "refusal"


@pytest.mark.parametrize("encoding", ["identity", "gzip", "gzip,br"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("framing", ["auto", "chunked", "length"])
async def test_a_cut_answer_never_looks_complete(
    http: aiohttp.ClientSession, encoding: str, stream: bool, framing: str
) -> None:
    for name in ("cut_start", "cut_mid"):
        with pytest.raises(aiohttp.ClientPayloadError):
            await ask(http, f"{name} encoding={encoding} framing={framing}", body(stream=stream))


async def test_what_came_before_the_cut_arrives(http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/messages", data=body(), headers={"x-pretend": "cut_start"}) as response:
        assert b"message_start" in await response.content.readuntil(b"\n\n")
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()


async def test_a_connection_may_close_before_the_head(api: Pretend, http: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await ask(http, "cut_before_head")
    assert {received.ended for received in api.requests} == {"cut"}


DECODERS: dict[str, Callable[[], Callable[[bytes], bytes]]] = {
    "gzip": lambda: zlib.decompressobj(31).decompress,
    "deflate": lambda: zlib.decompressobj(15).decompress,
    "br": lambda: brotli.Decompressor().process,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
    "identity": lambda: lambda data: data,
}


@pytest.mark.parametrize("encoding", [*DECODERS, "gzip,br", "zstd,gzip"])
@given(pieces=st.lists(st.binary(min_size=1)))
def test_every_piece_can_be_decoded_as_soon_as_it_has_arrived(encoding: str, pieces: list[bytes]) -> None:
    compressor = Compressor(encoding)
    decoders = [DECODERS[name]() for name in reversed(encoding.split(","))]
    for piece in [*pieces, b""]:
        data = compressor.piece(piece) if piece else compressor.last()
        for decode in decoders:
            data = decode(data)
        assert data == piece


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip,br"])
async def test_an_encoded_body_says_so_and_decodes_to_the_same(http: aiohttp.ClientSession, encoding: str) -> None:
    async with http.post("/v1/messages", data=body(), headers={"x-pretend": f"answer encoding={encoding}"}) as response:
        data = await response.read()
        assert response.headers["content-encoding"] == encoding
    for name in reversed(encoding.split(",")):
        data = DECODERS[name]()(data)
    assert told(data)[-1] == {"type": "message_stop"}


async def test_what_was_asked_is_kept_as_json_too(api: Pretend, http: aiohttp.ClientSession) -> None:
    await ask(http, "answer")
    assert api.requests[-1].json()["model"] == "claude-opus-5"


@pytest.mark.parametrize("option", ["split=true", "crlf=true", "padding=0", "framing=length", "pace=0.001"])
async def test_the_way_of_writing_changes_no_event(http: aiohttp.ClientSession, option: str) -> None:
    def without_ids(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        events[0]["message"].pop("id")
        return events

    assert without_ids(told(await ask(http, f"answer_tool {option}"))) == without_ids(
        told(await ask(http, "answer_tool"))
    )


async def test_padding_stands_before_the_closing_brace(http: aiohttp.ClientSession) -> None:
    assert re.search(rb'data: {"type":"message_stop" +}\n', await ask(http, "refusal"))
    assert not re.search(rb" +}\n", await ask(http, "refusal padding=0"))


async def test_a_stepped_event_comes_when_the_test_wants_it(api: Pretend, http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/messages", data=body(), headers={"x-pretend": "refusal stepped=true"}) as response:
        api.step()
        assert b"message_start" in await response.content.readuntil(b"\n\n")
        assert api.requests[-1].sent == 1
        api.step(2)
        assert b"message_stop" in await response.content.read()


async def test_a_client_that_leaves_is_noticed(api: Pretend, http: aiohttp.ClientSession) -> None:
    async with http.post("/v1/messages", data=body(), headers={"x-pretend": "answer stepped=true"}) as response:
        api.step()
        await response.content.readuntil(b"\n\n")
        response.close()
    await api.until(lambda: api.requests[-1].ended == "left")


async def test_header_goes_before_rule_and_rule_before_scenario(api: Pretend, http: aiohttp.ClientSession) -> None:
    api.cast.rules = [Rule(play="refusal", word="Exploit", times=1), Rule(play="refusal_mid", model="claude-fable-5")]
    await ask(http, "quote", body(text="an exploit"))
    for data in (body(text="an EXPLOIT"), body(text="an exploit"), body(model="claude-fable-5")):
        async with http.post("/v1/messages", data=data) as response:
            await response.read()
    assert [received.scenario for received in api.requests] == ["quote", "refusal", "answer", "refusal_mid"]


async def test_the_word_of_a_rule_is_looked_for_in_the_last_text_of_the_user() -> None:
    blocks = [{"type": "text", "text": "exploit"}]
    later = [{"role": "assistant", "content": "a"}, {"role": "user", "content": [{"type": "tool_result"}]}]
    async with Pretend(rules=[Rule(play="refusal", word="exploit")]) as api, aiohttp.ClientSession(api.url) as http:
        for messages in (
            [{"role": "user", "content": blocks}, *later],
            [{"role": "assistant", "content": blocks}, *ASK],
        ):
            await (await http.post("/v1/messages", data=body(messages=messages))).read()
        assert [received.scenario for received in api.requests] == ["refusal", "answer"]


async def test_a_request_is_remembered_as_it_came(api: Pretend, http: aiohttp.ClientSession) -> None:
    headers = CIMultiDict([("X-Odd", "1"), ("X-Odd", "2"), ("Content-Encoding", "gzip")])
    target = URL(f"{api.url}/v1/messages?beta=true&a=%2F", encoded=True)
    async with http.post(target, data=b"not json", headers=headers) as response:
        assert (response.status, response.headers.getall("set-cookie")[1][:7]) == (400, "_cfuvid")
    received = api.requests[-1]
    assert received.header("x-ODD") == "1"
    assert (received.target, received.body) == ("/v1/messages?beta=true&a=%2F", b"not json")
    assert [pair for pair in received.headers if pair[0].lower() == b"x-odd"] == [
        (b"X-Odd", b"1"),
        (b"X-Odd", b"2"),
    ]


async def test_what_does_not_exist_is_a_clear_404(http: aiohttp.ClientSession) -> None:
    async with http.get("/v1/nothing") as response:
        assert (response.status, (await response.json())["error"]["type"]) == (404, "not_found_error")
    assert b"no scenario 'nonsense'" in await ask(http, "nonsense")


async def test_the_sdk_counts_tokens_lists_models_and_reads_a_batch(sdk: anthropic.AsyncAnthropic) -> None:
    counted = await sdk.messages.count_tokens(model="claude-opus-5", messages=[{"role": "user", "content": "hi"}])
    models = [model.id async for model in sdk.models.list()]
    lines = [line.result async for line in await sdk.messages.batches.results("msgbatch_01")]
    results = [result.message.stop_reason for result in lines if result.type == "succeeded"]
    assert counted.input_tokens > 0
    assert "claude-opus-5" in models
    assert results == ["end_turn", "refusal"]


async def test_the_client_s_own_checks_are_answered(http: aiohttp.ClientSession) -> None:
    for method, path in (("HEAD", "/"), ("GET", "/api/hello"), ("GET", "/v1/models/claude-opus-5")):
        async with http.request(method, path) as response:
            assert response.status == 200


def binary_messages(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The headers and the payload of each message of an Amazon event stream, both CRCs checked."""
    while data:
        total, head, crc = struct.unpack(">III", data[:12])
        assert crc == zlib.crc32(data[:8])
        assert struct.unpack(">I", data[total - 4 : total]) == (zlib.crc32(data[: total - 4]),)
        yield data[12 : 12 + head], data[12 + head : total - 4]
        data = data[total:]


async def test_bedrock_streams_the_same_events_in_binary_frames(http: aiohttp.ClientSession) -> None:
    headers = {"x-pretend": "refusal_mid split=true"}
    path = "/model/anthropic.claude-opus-5-v1:0"
    async with http.post(f"{path}/invoke-with-response-stream", data=body(), headers=headers) as response:
        frames = list(binary_messages(await response.read()))
    events = [msgspec.json.decode(b64decode(msgspec.json.decode(payload)["bytes"])) for _, payload in frames]
    async with http.post(f"{path}/invoke", data=body(), headers=headers) as response:
        message = await response.json()
    assert b"\x0b:event-type\x07\x00\x05chunk" in frames[0][0]
    assert events[-2]["delta"]["stop_reason"] == message["stop_reason"] == "refusal"
    assert message["model"] == "anthropic.claude-opus-5-v1:0"


async def test_an_error_in_a_bedrock_stream_is_an_exception_message(http: aiohttp.ClientSession) -> None:
    path = "/model/anthropic.claude-opus-5-v1%3A0/invoke-with-response-stream"
    async with http.post(path, data=body(), headers={"x-pretend": "error_filter_mid"}) as response:
        *_, (head, payload) = binary_messages(await response.read())
    assert b"modelStreamErrorException" in head
    assert b"content filtering policy" in payload
    async with http.post(path, data=body(), headers={"x-pretend": "output_filter"}) as response:
        assert (await response.json()).keys() == {"message"}


async def test_vertex_answers_under_its_own_paths(http: aiohttp.ClientSession) -> None:
    path = "/v1/projects/p/locations/europe-west1/publishers/anthropic/models/claude-opus-5@20260901"
    async with http.post(f"{path}:streamRawPredict", data=body(), headers={"x-pretend": "refusal"}) as response:
        assert told(await response.read())[-2]["delta"]["stop_reason"] == "refusal"
        assert response.headers["request-id"].startswith("req_vrtx_")
    async with http.post(f"{path}:rawPredict", data=body(), headers={"x-pretend": "refusal"}) as response:
        assert (await response.json())["stop_reason"] == "refusal"


async def test_as_a_process_it_prints_its_url_and_ends_on_sigterm() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "proxy.pretend", "--decline", "exploit", "--rule", "biology: refusal category=bio",
        stdout=asyncio.subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONWARNINGS": "error"},
    )  # fmt: skip
    assert process.stdout
    url = (await process.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession(url) as http:
        for text, reason in (("exploit", "refusal"), ("biology", "refusal"), ("hello", "end_turn")):
            async with http.post("/v1/messages", data=body(stream=False, text=text)) as response:
                assert (await response.json())["stop_reason"] == reason
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert process.returncode == 0


async def test_given_a_certificate_it_speaks_tls(tmp_path: Path) -> None:
    CertStore.from_store(tmp_path, "pretend", 2048)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy.pretend", "--cert", str(tmp_path / "pretend-ca.pem")),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout
    url = (await process.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession() as http, http.head(url, ssl=False) as response:
        assert (url[:8], response.status) == ("https://", 200)
    process.terminate()
    await process.communicate()


@pytest.mark.parametrize(
    "arguments", [["--scenario", "nonsense"], ["--rule", "no colon"], ["--scenario", "slow pace=x"]]
)
async def test_a_play_that_does_not_exist_is_wrong_usage(arguments: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "proxy.pretend",
        *arguments,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    await process.communicate()
    assert process.returncode == 2


def test_an_option_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(TypeError):
        Options(paec=1)  # type: ignore[call-arg]
