"""One exchange as an onlooker reads it: what is kept of a declined one, and how each counts in the traffic."""

import gzip
import json

import pytest

from answers import ANSWER, DETAILS, MID, REFUSAL, aws, data_of, end, start
from proxy.core.context import join
from proxy.core.exchange import Exchange, Watcher
from proxy.core.headers import Headers
from proxy.core.redact import Redactor
from proxy.core.stamps import stamp, ulid
from schemas.labels import Kind, Result, Role, Stage
from schemas.records import Entry

BEGAN = 1_790_000_000.5
TARGET = b"/v1/messages?beta=true"
ASK = b'{"model":"claude-opus-5","stream":true,"messages":[{"role":"user","content":"my key is sk-ant-api03-abcdefghijklmnop0"}]}'
FROM: Headers = (
    (b"User-Agent", b"claude-cli/2.1.197 (external, sdk-cli)"),
    (b"X-Api-Key", b"sk-ant-api03-secretsecretsecret0"),
)
SSE: Headers = ((b"content-type", b"text/event-stream"), (b"request-id", b"req_1"))
JSON: Headers = ((b"content-type", b"application/json"),)
REFUSED = json.dumps({"id": "msg_2", "content": [], "stop_reason": "refusal", "stop_details": DETAILS}).encode()


def watch(
    method: bytes = b"POST", target: bytes = TARGET, headers: Headers = FROM, *, content: bool = True
) -> Exchange:
    clock = iter([BEGAN, *[BEGAN + 0.812] * 9])
    watcher = Watcher(source="gateway", now=lambda: next(clock), entropy=lambda n: b"\x01" * n, content=content)
    exchange = watcher.exchange(method, target, headers)
    assert exchange is not None
    return exchange


def run(
    exchange: Exchange, answer: bytes, head: Headers = SSE, status: int = 200, body: bytes = ASK, *, whole: bool = True
) -> Entry | None:
    exchange.sent(body[:10])
    exchange.sent(body[10:])
    exchange.opened(status, head)
    maker = exchange.feed(answer)
    maker = exchange.finish(whole=whole) or maker
    return maker() if maker else None


def entry(exchange: Exchange, answer: bytes, head: Headers = SSE, status: int = 200, body: bytes = ASK) -> Entry:
    found = run(exchange, answer, head, status, body)
    assert found is not None
    return found


def counted(exchange: Exchange) -> Result:
    traffic = exchange.traffic()
    assert traffic is not None
    assert exchange.traffic() is None
    return Result(traffic.outcome)


def test_ids_sort_by_time_and_times_are_utc_with_milliseconds() -> None:
    assert ulid(BEGAN, b"\x00" * 10) < ulid(BEGAN + 0.001, b"\x00" * 10)
    assert ulid(0, b"\xff" * 10) == "0" * 10 + "Z" * 16
    assert len(ulid(BEGAN, b"\x01" * 10)) == 26
    assert stamp(BEGAN) == "2026-09-21T14:13:20.500Z"


def test_a_declined_request_is_kept_with_all_that_is_known_of_it() -> None:
    found = entry(watch(), MID)
    (refusal,) = found.refusals
    assert (refusal.kind, refusal.category, refusal.stage) == (Kind.REFUSAL, "cyber", Stage.MID_STREAM)
    assert (refusal.at, refusal.ms_to_refusal, refusal.status) == ("2026-09-21T14:13:20.500Z", 812, 200)
    assert (refusal.model, refusal.client, refusal.client_version) == ("claude-opus-5", "claude-cli", "2.1.197")
    assert (refusal.request_id, refusal.message_id, refusal.streamed) == ("req_1", "msg_1", True)
    assert (refusal.input_tokens, refusal.output_tokens, refusal.cache_read_tokens) == (412, 3, 9)
    assert (refusal.source, refusal.sources, refusal.fingerprint is None) == ("gateway", ["gateway"], False)
    assert [(key.outcome, key.model, n) for key, n in found.traffic] == [(Result.REFUSED, "claude-opus-5", 1)]


def test_the_request_is_kept_with_its_secrets_out_and_no_credential_at_all() -> None:
    found = entry(watch(), REFUSAL)
    assert found.skeleton is not None
    kept = join(found.skeleton, found.contents)
    assert kept == ASK.replace(b"sk-ant-api03-abcdefghijklmnop0", b"[redacted:anthropic-key]")
    assert (found.refusals[0].exact, found.refusals[0].replacements) == (False, 1)
    assert found.refusals[0].headers == {"user-agent": "claude-cli/2.1.197 (external, sdk-cli)"}


def test_the_explanation_loses_its_token_even_where_prompts_are_kept_as_they_are() -> None:
    said = "Apply: https://claude.com/form/cyber-use-case?token=AbCdEf0123456789AbCdEf"
    stream = start() + end("refusal", stop_details={**DETAILS, "explanation": said})
    watcher = Watcher(source="gateway", now=lambda: BEGAN, entropy=bytes, redactor=Redactor(secrets=False))
    exchange = watcher.exchange(b"POST", TARGET, FROM)
    assert exchange is not None
    refusal = entry(exchange, stream).refusals[0]
    assert refusal.explanation == "Apply: https://claude.com/form/cyber-use-case?token=[redacted:exemption-token]"
    assert refusal.exact


def test_a_secret_where_an_id_or_a_name_should_be_is_not_kept_either() -> None:
    key = b"sk-ant-api03-abcdefghijklmnop0"
    body = ASK.replace(b"claude-opus-5", key)
    found = entry(watch(headers=((b"X-Claude-Code-Session-Id", key), (b"User-Agent", key))), REFUSAL, body=body)
    assert key.decode() not in repr(found)
    answered = watch(headers=((b"User-Agent", key),))
    run(answered, ANSWER, body=body)
    assert key.decode() not in repr(answered.traffic())


def test_without_content_the_map_is_kept_and_no_text() -> None:
    found = entry(watch(content=False), REFUSAL)
    assert [segment.label for segment in found.segments] == ["user_text"]
    assert (found.contents, found.skeleton, found.refusals[0].exact) == ({}, None, None)


def test_a_compressed_request_is_kept_readable_and_one_that_cannot_be_read_as_it_came() -> None:
    head = (*FROM, (b"Content-Encoding", b"gzip"))
    assert entry(watch(headers=head), REFUSAL, body=gzip.compress(ASK)).segments[0].label == "user_text"
    assert entry(watch(headers=head), REFUSAL, body=ASK).segments[0].label == "user_text"


def test_an_encoded_answer_is_read_and_one_that_cannot_be_is_counted_so() -> None:
    zipped = (*SSE, (b"content-encoding", b"gzip"))
    assert entry(watch(), gzip.compress(REFUSAL), zipped).refusals
    for head in (zipped, (*SSE, (b"content-encoding", b"rot13"))):
        exchange = watch()
        assert run(exchange, REFUSAL, head) is None
        assert counted(exchange) == Result.UNREADABLE


def test_a_body_of_known_length_is_decided_by_its_last_byte() -> None:
    exchange = watch()
    exchange.opened(200, (*JSON, (b"content-length", b"%d" % len(REFUSED))))
    assert exchange.feed(REFUSED[:-1]) is None
    assert exchange.feed(REFUSED[-1:]) is not None
    assert exchange.finish(whole=True) is None
    assert exchange.traffic() is None


@pytest.mark.parametrize(
    ("answer", "head", "status", "result"),
    [
        (ANSWER, SSE, 200, Result.ANSWERED),
        (ANSWER[:200], SSE, 200, Result.CUT),
        (b'{"error": {"type": "overloaded_error"}}', JSON, 529, Result.ERROR),
        (b"<html>", JSON, 502, Result.ERROR),
        (b"<html>", SSE, 200, Result.CUT),
        (b"{}", JSON, 200, Result.UNREADABLE),
        (b'{"stop_reason": "end_turn", "model": "m"}', JSON, 200, Result.ANSWERED),
    ],
)
def test_what_was_not_declined_is_counted(answer: bytes, head: Headers, status: int, result: Result) -> None:
    exchange = watch()
    assert run(exchange, answer, head, status) is None
    assert counted(exchange) == result


def test_the_count_knows_who_answered_whom() -> None:
    exchange = watch()
    run(exchange, ANSWER)
    traffic = exchange.traffic()
    assert traffic is not None
    assert (traffic.hour, traffic.model, traffic.answered_by) == ("2026-09-21T14", "claude-opus-5", "claude-opus-5")
    assert (traffic.client, traffic.client_version, traffic.role) == ("claude-cli", "2.1.197", Role.OTHER)


def test_counting_tokens_is_traffic_of_its_own_role() -> None:
    exchange = watch(target=b"/v1/messages/count_tokens")
    run(exchange, b'{"input_tokens": 3}', JSON)
    assert counted(exchange) == Result.ANSWERED


def test_batch_results_are_refusals_without_a_request() -> None:
    lines = [{"custom_id": str(n), "result": {"type": "succeeded", "message": json.loads(REFUSED)}} for n in range(2)]
    lines.append({"custom_id": "x", "result": {"type": "succeeded", "message": {"stop_reason": "end_turn"}}})
    exchange = watch(b"GET", b"/v1/messages/batches/b_1/results")
    found = entry(exchange, b"\n".join(json.dumps(line).encode() for line in lines), body=b"")
    assert next((r.message_id, r.request_id, r.ms_to_refusal) for r in found.refusals) == ("msg_2", None, None)
    assert (found.segments, found.skeleton, found.traffic) == ([], None, [])
    assert exchange.traffic() is None
    failed = watch(b"GET", b"/v1/messages/batches/b_1/results")
    assert run(failed, b'{"error": {"type": "not_found_error"}}', JSON, 404, b"") is None


def test_bedrock_is_read_by_its_envelope_and_its_path() -> None:
    exchange = watch(target=b"/model/anthropic.claude-opus-5-v1%3A0/invoke-with-response-stream")
    head = ((b"content-type", b"application/vnd.amazon.eventstream"), (b"x-amzn-requestid", b"aws-1"))
    refusal = entry(
        exchange, aws(data_of(start())) + aws(data_of(end("refusal"))), head, body=b'{"messages": []}'
    ).refusals[0]
    assert (refusal.model, refusal.request_id, refusal.streamed) == ("anthropic.claude-opus-5-v1:0", "aws-1", True)
    assert refusal.fingerprint is None


def test_only_requests_of_ours_are_watched() -> None:
    watcher = Watcher(source="gateway", now=lambda: BEGAN, entropy=bytes)
    assert watcher.exchange(b"GET", b"/v1/models", ()) is None
    assert watcher.exchange(b"POST", b"/v1/messages_of_others", ()) is None
