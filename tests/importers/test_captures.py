"""What holds for all captures of the wire alike."""

import json
import random
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import captured
from answers import ANSWER, REFUSAL
from captured import KEY, SESSION, counted, entries, everything, read, refusals, troubles
from entries import refusal
from proxy.core.redact import Redactor
from proxy.importers.captures import SOURCES
from proxy.importers.catalog import sources
from proxy.importers.source import HEAD, Origin, Source
from schemas.labels import Kind, Outcome

ORIGIN = Origin("capture", Redactor())
BY_NAME = {source.name: source for source in SOURCES}
WHOLE = {
    "flow": captured.flows(),
    "har": captured.har(),
    "claude-tap": captured.lines(captured.tap_records()),
    "claude-trace": captured.lines(captured.trace_pairs()),
    "llm-interceptor": captured.lines(captured.interceptor_records()),
    "litellm": captured.lines(captured.spend_rows()),
    "inspect": json.dumps(captured.inspect_log()).encode(),
}
"""The same session by each tool that keeps requests and answers."""
IDS = dict.fromkeys(WHOLE, ("req_2", "req_4")) | {"llm-interceptor": (None, None), "litellm": (None, None)}
"""These two do not keep the API's own request id."""
PARTIAL = {
    "raw": REFUSAL,
    "otel": json.dumps(captured.otel({"name": "api_refusal", "at": captured.BEGAN, "request_id": "req_2"})).encode(),
    "demur": captured.lines(
        [{"demur": 1, "level": "ids", "id": refusal(1).id, "at": refusal(1).at, "kind": "refusal"}]
    ),
}
SAMPLES = WHOLE | PARTIAL
NONE_OF_THEM = {
    "nothing": b"",
    "text": b"Hello there",
    "binary": random.Random(1).randbytes(4000),
    "json": b'{"a": 1}',
    "array": b"[1, 2]",
    "transcript": b'{"type":"user","uuid":"x","sessionId":"s","message":{"role":"user","content":"hi"}}\n',
    "stream-json": b'{"type":"assistant","message":{"type":"message","role":"assistant","content":[]},"session_id":"s"}\n',
    "another stream": b'event: response.created\ndata: {"type":"response.created"}\n\n',
    "another database": b"SQLite format 3\0" + b"\0" * 100 + b"CREATE TABLE history (id integer)",
    "a tnetstring of another": b"5:hello,",
    "an error of another": b'{"type":"error","error":"no"}',
}


def test_each_source_has_a_sample_here_and_a_name_of_its_own() -> None:
    assert {source.name for source in SOURCES} == SAMPLES.keys()
    assert len(BY_NAME) == len(SOURCES)


@pytest.mark.parametrize("name", SAMPLES)
def test_each_file_is_claimed_by_its_own_source_alone_by_its_beginning(name: str) -> None:
    data = SAMPLES[name]
    for head in (data[:HEAD], data[:HEAD].rstrip(), b" \n" + data[:HEAD] if name != "flow" else data):
        assert [source.name for source in sources() if source.claims(head, ORIGIN)] == [name]


@pytest.mark.parametrize("name", WHOLE)
def test_a_record_that_is_longer_than_the_beginning_is_claimed_all_the_same(name: str) -> None:
    turns = [captured.SESSION_OF[0]._replace(request=captured.asked("long " * HEAD))]
    makers: dict[str, Any] = {
        "flow": lambda: captured.flows(turns),
        "har": lambda: captured.har(turns),
        "claude-tap": lambda: captured.lines(captured.tap_records(turns)),
        "claude-trace": lambda: captured.lines(captured.trace_pairs(turns)),
        "llm-interceptor": lambda: captured.lines(captured.interceptor_records(turns)),
        "litellm": lambda: captured.lines(captured.spend_rows(turns)),
        "inspect": lambda: json.dumps(captured.inspect_log(turns)).encode(),
    }
    head = makers[name]()[:HEAD]
    assert [source.name for source in SOURCES if source.claims(head, ORIGIN)] == [name]


@pytest.mark.parametrize("name", NONE_OF_THEM)
def test_what_is_no_capture_is_claimed_by_nobody(name: str) -> None:
    assert [source.name for source in SOURCES if source.claims(NONE_OF_THEM[name], ORIGIN)] == []


@given(st.binary(max_size=200), st.sampled_from(list(SAMPLES.values())), st.integers(0, 5000))
def test_no_claim_raises(noise: bytes, sample: bytes, cut: int) -> None:
    for source in SOURCES:
        source.claims(noise, ORIGIN)
        source.claims(sample[:cut] + noise, ORIGIN)


@pytest.mark.parametrize("name", WHOLE)
def test_a_session_gives_one_refusal_for_what_was_declined_and_one_for_what_the_api_recovered(name: str) -> None:
    found = read(BY_NAME[name], WHOLE[name])
    declined, recovered = refusals(found)
    assert troubles(found) == []
    assert (declined.kind, declined.category, declined.outcome) == (Kind.REFUSAL, "cyber", Outcome.REFUSED)
    assert (recovered.outcome, recovered.category) == (Outcome.RECOVERED_BY_API, "bio")
    assert (declined.request_id, recovered.request_id) == IDS[name]
    assert {one.source for one in (declined, recovered)} == {name}
    assert (declined.sources, declined.session_id, declined.model) == ([name], SESSION, "claude-opus-5")
    assert declined.at == "2026-11-18T11:06:50.000Z"
    assert declined.ms_to_refusal == 1500
    assert counted(found) == {"answered": 2, "refused": 1, "recovered_by_api": 1}


@pytest.mark.parametrize("name", WHOLE)
def test_what_was_accepted_earlier_in_the_file_is_not_new(name: str) -> None:
    entry = next(entry for entry in entries(read(BY_NAME[name], WHOLE[name])) if entry.refusals)
    new = [segment.path for segment in entry.segments if segment.new]
    assert [path for path in new if path.startswith("messages")] == ["messages[1].content", "messages[2].content"]
    assert (entry.refusals[0].history, entry.refusals[0].turn) == ("grown", 2)
    assert entry.refusals[0].accepted_request_id == ("req_1" if IDS[name][0] else None)


@pytest.mark.parametrize("name", WHOLE)
def test_the_same_file_gives_the_same_ids_each_time(name: str) -> None:
    once, again = (refusals(read(BY_NAME[name], WHOLE[name])) for _ in range(2))
    assert [one.id for one in once] == [one.id for one in again]
    assert len({one.id for one in once}) == 2


@pytest.mark.parametrize("name", [name for name in WHOLE if name not in ("har", "inspect")])
def test_what_stands_twice_in_a_file_counts_once(name: str) -> None:
    found = read(BY_NAME[name], WHOLE[name] * 2)
    assert len(refusals(found)) == 2
    assert counted(found) == counted(read(BY_NAME[name], WHOLE[name]))


@pytest.mark.parametrize("name", WHOLE)
def test_no_secret_is_kept_of_a_capture(name: str) -> None:
    kept = everything(read(BY_NAME[name], WHOLE[name]))
    assert KEY not in kept
    assert KEY[:24] not in kept
    assert "PLANTED" in kept


@pytest.mark.parametrize("name", WHOLE)
def test_without_content_only_the_map_is_kept(name: str) -> None:
    found = read(BY_NAME[name], WHOLE[name], content=False)
    assert "PLANTED" not in everything(found)
    assert all(entry.segments and entry.skeleton is None for entry in entries(found) if entry.refusals)


@pytest.mark.parametrize("name", WHOLE)
def test_a_body_that_the_capture_had_parsed_is_not_called_exact(name: str) -> None:
    exact = {one.exact for one in refusals(read(BY_NAME[name], WHOLE[name], redactor=Redactor(secrets=False)))}
    assert exact == {name in ("flow", "har")}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
def test_a_file_that_is_cut_gives_what_came_before_and_says_so(name: str, part: float) -> None:
    data = SAMPLES[name]
    found = read(BY_NAME[name], data[: int(len(data) * part)])
    assert troubles(found) or len(entries(found)) <= len(entries(read(BY_NAME[name], data)))


@pytest.mark.parametrize("name", ["claude-tap", "claude-trace", "llm-interceptor", "litellm"])
def test_a_line_that_is_no_json_is_told_with_its_number_and_the_rest_is_read(name: str) -> None:
    first, _, rest = WHOLE[name].partition(b"\n")
    found = read(BY_NAME[name], first + b"\n\x00\xff nonsense {\n[1]\n" + rest)
    assert [(one.line, one.why) for one in troubles(found)] == [(2, "not JSON"), (3, "not an object")]
    assert len(refusals(found)) == 2


@given(
    source=st.sampled_from(SOURCES), cut=st.integers(0, 30_000), noise=st.binary(max_size=60), more=st.integers(0, 400)
)
def test_no_damage_makes_a_source_raise(source: Source, cut: int, noise: bytes, more: int) -> None:
    data = SAMPLES[source.name]
    list(source.read(BytesIO(data[:cut] + noise + data[cut + more :]), ORIGIN))


def test_an_answer_that_says_nothing_is_no_refusal() -> None:
    turns = [turn._replace(answer=ANSWER) for turn in captured.SESSION_OF]
    assert refusals(read(BY_NAME["har"], captured.har(turns))) == []
