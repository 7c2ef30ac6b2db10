"""The real Claude Code where demur asks again: the session goes on, no tool of a declined turn runs, and what fails is as without demur."""

import secrets
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from e2e_plays import AGENT, FABLE, FALLBACK, MODEL
from e2e_process import command, mitm, mitmdump
from e2e_retry import ALONE, CHAIN, GUARD, OFF, ON, Printed, Stage, Stages, recorded, rules
from proxy.pretend import SECRETS, Options, Rule
from proxy.store import Store
from schemas.labels import Outcome, Result, Ruling, Strategy

HELLO = Options().text
PARTIAL, WHOLE = "The capital of France", "The capital of France is Paris. It lies on the Seine."
MID, GOES_ON = f"refusal_mid partial='{PARTIAL}'", f"answer text='{WHOLE}'"
FAILING = ["http_error status=529", "http_error status=400", "http_error status=500", "refusal", "cut_before_head", "cut_start"]  # fmt: skip
TOKENS = [secret.encode() for secret in SECRETS if secret.startswith("fct_")]
TOOLS = ("--allowedTools", "Bash(touch:*)", "Bash(echo:*)")
LOOPS = 4
"""How often a tool is called and declined, without the guard, before the pretend API answers."""


@pytest.fixture(scope="module")
def stages(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stages]:
    stages = Stages(program, tmp_path_factory.mktemp("stages"))
    yield stages
    stages.close()


@pytest.fixture(scope="module")
def without(stages: Stages) -> Callable[..., Printed]:
    """What is printed without demur, by the play of the model that is asked for, the options and the environment."""

    @cache
    def printed(play: str, *options: str, fallback: str = "answer", **environment: str) -> Printed:
        stage = stages.new(rules(play, fallback))
        return Printed.of(stage.plain(*options, **environment), stage)

    return printed


# before output


@pytest.mark.parametrize(
    "play", ["refusal", "refusal_thinking", "refusal_thinking encoding=gzip", "refusal category=null"]
)
def test_a_turn_that_is_declined_before_text_is_answered_by_another_model(play: str, stages: Stages) -> None:
    stage = stages.new(rules(play, "answer_thinking"))
    printed = Printed.of(stage.through(ON), stage)
    assert (printed.code, printed.err, printed.result) == (0, "", HELLO)
    assert [block["type"] for block in printed.blocks()] == ["thinking", "text"]
    assert stage.models == [MODEL, FALLBACK]
    (record,) = stage.records()
    assert (record.outcome, record.answered_by, record.ruling) == (
        Outcome.RECOVERED_BY_DEMUR,
        FALLBACK,
        Ruling.RECOVERED,
    )
    tried = [(attempt.by, attempt.model, attempt.strategy, attempt.outcome) for attempt in stage.attempts(record)]
    assert tried == [("client", MODEL, None, Result.REFUSED), ("demur", FALLBACK, Strategy.FALLBACK, Result.ANSWERED)]


def test_the_head_of_the_answer_says_who_answered(stages: Stages) -> None:
    stage = stages.new(rules("refusal", "answer"))
    with stage.demur(ON) as demur, recorded(demur.said["ANTHROPIC_BASE_URL"]) as (url, answers):
        assert stage.claude(ANTHROPIC_BASE_URL=url).code == 0
        assert demur.end() == 0
    (record,) = stage.records()
    said = [[field for field in answer.fields if field[0].startswith(b"x-demur-")] for answer in answers]
    expected = [(b"x-demur-exchange", record.id.encode()), (b"x-demur-answered-by", FALLBACK.encode())]
    assert [fields for fields in said if fields] == [expected]


def test_the_conversation_stays_there_until_its_owner_brings_it_back(stages: Stages) -> None:
    stage = stages.new(rules("refusal", "answer"))
    with stage.demur(ON) as demur:
        assert stage.claude(**demur.said).code == 0
        assert stage.claude("-c", prompt="Once more.", **demur.said).code == 0
        assert demur.end() == 0
    assert stage.models == [MODEL, FALLBACK, FALLBACK]
    assert stage.through(ON, "-c", prompt="After a restart.").code == 0
    assert stage.models[3:] == [FALLBACK]
    with stage.demur(ON) as demur:
        command("sticky", "clear", "--yes", "--db", str(stage.db))
        assert stage.claude("-c", prompt="Brought back.", **demur.said).code == 0
        assert demur.end() == 0
    assert stage.models[4:] == [MODEL, FALLBACK]
    assert [record.turns_elsewhere for record in stage.records()] == [0, 2]


def test_where_the_model_it_stays_on_declines_the_one_that_was_asked_for_answers_and_keeps_it(stages: Stages) -> None:
    stage = stages.new([Rule(model=MODEL, play="refusal", times=1), Rule(model=FALLBACK, play="answer", times=1),
                        Rule(model=FALLBACK, play="refusal"), Rule(play="answer")])  # fmt: skip
    with stage.demur(ON) as demur:
        assert stage.claude(**demur.said).code == 0
        printed = Printed.of(stage.claude("-c", prompt="Once more.", **demur.said), stage)
        assert (printed.code, printed.result) == (0, HELLO)
        assert stage.claude("-c", prompt="And again.", **demur.said).code == 0
        assert demur.end() == 0
    assert stage.models == [MODEL, FALLBACK, FALLBACK, MODEL, MODEL]
    newest, first = stage.records()
    assert (newest.model, newest.outcome, newest.answered_by) == (FALLBACK, Outcome.RECOVERED_BY_DEMUR, MODEL)
    assert (first.model, first.answered_by) == (MODEL, FALLBACK)


def test_another_conversation_begins_with_the_model_that_is_asked_for(stages: Stages) -> None:
    stage = stages.new(rules("refusal", "answer"))
    with stage.demur(ON) as demur:
        for _ in range(2):
            assert stage.claude(**demur.said).code == 0
    assert stage.models == [MODEL, FALLBACK] * 2


def test_a_repeat_without_a_stream_is_answered_by_another_model_too(stages: Stages) -> None:
    """So does 2.1.197 where a stream ends in an error; newer ones ask for another stream."""
    stage = stages.new([Rule(model=MODEL, play="error_filter", times=1), *rules("refusal", "answer")])
    printed = Printed.of(stage.through(ON), stage)
    assert (printed.code, printed.result) == (0, HELLO)
    assert stage.models == [MODEL, MODEL, FALLBACK]
    streamed = [one.json().get("stream") for one in stage.asked]
    assert streamed[1] == streamed[2]
    assert [record.outcome for record in stage.records()] == [Outcome.RECOVERED_BY_DEMUR, Outcome.REFUSED]


def test_demur_run_asks_again_too(stages: Stages) -> None:
    stage = stages.new(rules("refusal", "answer"))
    got = stage.run(ON)
    assert (got.code, got.out.strip()) == (0, HELLO)
    assert stage.models == [MODEL, FALLBACK]


# in mid-stream


@pytest.mark.parametrize("play", [MID, MID.replace("_mid", "_mid_open")])
@pytest.mark.parametrize("going_on", [GOES_ON, GOES_ON.replace("answer", "answer_thinking")])
def test_a_text_that_is_declined_is_gone_on_with_in_the_same_block(play: str, going_on: str, stages: Stages) -> None:
    stage = stages.new(rules(play, going_on))
    printed = Printed.of(stage.through(ON), stage)
    assert (printed.code, printed.result) == (0, WHOLE)
    assert printed.blocks() == [{"type": "text", "text": WHOLE}]
    assert stage.models == [MODEL, FALLBACK]
    assert stage.asked[1].json()["messages"][-1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": PARTIAL}],
    }
    (record,) = stage.records()
    assert (record.outcome, record.answered_by, record.stage) == (Outcome.RECOVERED_BY_DEMUR, FALLBACK, "mid_stream")


def test_the_next_turn_has_the_text_of_both_models(stages: Stages) -> None:
    stage = stages.new(rules(MID, GOES_ON))
    with stage.demur(ON) as demur:
        assert stage.claude(**demur.said).code == 0
        assert stage.claude("-c", prompt="Once more.", **demur.said).code == 0
    assert stage.models == [MODEL, FALLBACK, FALLBACK]
    spoken = [message for message in stage.asked[2].json()["messages"] if message["role"] == "assistant"]
    assert [block["text"] for message in spoken for block in message["content"]] == [WHOLE]


def test_a_text_that_may_not_be_continued_is_declined_as_without_demur(
    stages: Stages, without: Callable[..., Printed]
) -> None:
    play = f"{MID} claim=false"
    stage = stages.new(rules(play, GOES_ON))
    printed = Printed.of(stage.through(ON, **ALONE), stage)
    assert printed.code == 1
    assert printed == without(play, **ALONE)
    assert stage.models == [MODEL]
    assert [record.ruling for record in stage.records()] == [Ruling.MID_STREAM]


# every hop fails


@pytest.mark.parametrize("play", ["refusal", "refusal_thinking", MID])
@pytest.mark.parametrize("failing", FAILING)
def test_where_every_hop_fails_it_is_as_without_demur(
    failing: str, play: str, stages: Stages, without: Callable[..., Printed]
) -> None:
    stage = stages.new(rules(play, failing))
    printed = Printed.of(stage.through(ON, **ALONE), stage)
    assert printed.code == 1
    assert printed == without(play, **ALONE)
    assert stage.models == [MODEL, FALLBACK]
    (record,) = stage.records()
    assert (record.outcome, record.ruling, record.answered_by) == (Outcome.REFUSED, Ruling.EXHAUSTED, None)
    assert [attempt.by for attempt in stage.attempts(record)] == ["client", "demur"]


@pytest.mark.parametrize("play", ["refusal", "refusal_thinking", MID, MID.replace("_mid", "_mid_open")])
def test_where_every_model_declines_what_the_client_does_itself_is_left_to_it(
    play: str, stages: Stages, without: Callable[..., Printed]
) -> None:
    """Newer versions ask the same model once more, and then another one."""
    stage = stages.new(rules(play, "refusal"))
    assert Printed.of(stage.through(ON), stage) == without(play, fallback="refusal")
    attempts = [attempt for record in stage.records() for attempt in stage.attempts(record)]
    assert [attempt.model for attempt in attempts if attempt.by == "demur"] == [FALLBACK]
    assert len(attempts) == len(stage.models) <= 4


# tools


@pytest.mark.parametrize("late", [0, 2])
@pytest.mark.parametrize("settings", [ON, GUARD], ids=["retry", "guard alone"])
def test_no_tool_of_a_declined_turn_runs(settings: str, late: int, stages: Stages) -> None:
    made = f"made-{secrets.token_hex(4)}"
    stage = stages.new([Rule(play=f"refusal_tool_complete late={late} command='touch {made}'", times=LOOPS)])
    printed = Printed.of(stage.through(settings, *TOOLS, **ALONE), stage)
    assert not list(stage.home.rglob(made))
    assert printed.code == 1
    assert printed.result.startswith("API Error: ")
    assert "tool_use" not in [block["type"] for block in printed.blocks()]
    assert stage.models == [MODEL]
    assert [record.ruling for record in stage.records()] == [Ruling.TOOL if settings == ON else Ruling.OFF]


def test_without_the_guard_it_runs_and_is_declined_over_and_over(stages: Stages) -> None:
    """What the test before holds against."""
    made = f"made-{secrets.token_hex(4)}"
    stage = stages.new([Rule(play=f"refusal_tool_complete late=1 command='touch {made}'", times=LOOPS)])
    assert stage.plain(*TOOLS, **ALONE).code == 0
    assert list(stage.home.rglob(made))
    assert stage.models == [MODEL] * (LOOPS + 1)


@pytest.mark.parametrize("play", ["answer_tool", "answer_tools", "answer_tools late=1 encoding=gzip"])
@pytest.mark.parametrize("settings", [ON, GUARD], ids=["retry", "guard alone"])
def test_a_turn_with_tools_is_as_without_demur(
    settings: str, play: str, stages: Stages, without: Callable[..., Printed]
) -> None:
    stage = stages.new(rules(play, "refusal"))
    printed = Printed.of(stage.through(settings, *TOOLS), stage)
    assert printed.code == 0
    assert printed == without(play, *TOOLS)
    assert stage.models == [MODEL, MODEL]
    assert stage.records() == []


def test_a_tool_that_the_other_model_calls_runs_and_its_result_goes_there(stages: Stages) -> None:
    stage = stages.new(rules("refusal", "answer_tools command='touch made'"))
    printed = Printed.of(stage.through(ON, *TOOLS), stage)
    assert (printed.code, printed.result) == (0, HELLO)
    assert list(stage.home.rglob("made"))
    assert stage.models == [MODEL, FALLBACK, FALLBACK]


def test_a_turn_that_is_declined_after_a_tool_s_result_goes_on(stages: Stages) -> None:
    stage = stages.new(rules("refusal_after_tool", "answer"))
    printed = Printed.of(stage.through(ON, *TOOLS), stage)
    assert (printed.code, printed.result) == (0, HELLO)
    assert stage.models == [MODEL, MODEL, FALLBACK]


# a client that falls back by itself


def fable(stages: Stages, settings: str, fallback: str) -> tuple[Stage, Printed]:
    stage = stages.new([Rule(model=FABLE, play="refusal"), Rule(model=FALLBACK, play=fallback)])
    return stage, Printed.of(stage.through(settings, model=FABLE), stage)


def own_fallbacks(printed: Printed) -> list[str]:
    told = [line for line in printed.lines if line.get("subtype") == "model_refusal_fallback"]
    return [line["fallback_model"] for line in told]


def test_a_client_that_falls_back_by_itself_is_left_to_it(stages: Stages) -> None:
    stage, printed = fable(stages, ON, "answer")
    assert (printed.code, printed.result) == (0, HELLO)
    assert own_fallbacks(printed) == [FALLBACK]
    assert stage.models.count(FALLBACK) == 1
    records = stage.records()
    assert {record.outcome for record in records} == {Outcome.RECOVERED_BY_CLIENT}
    assert {attempt.by for record in records for attempt in stage.attempts(record)} == {"client"}
    assert records[-1].ruling == Ruling.OWN_CLIENT


def test_with_own_client_demur_falls_back_and_the_client_does_not(stages: Stages) -> None:
    stage, printed = fable(stages, ON.replace(CHAIN, f"own_client = true\n{CHAIN}"), "answer")
    assert (printed.code, printed.result) == (0, HELLO)
    assert own_fallbacks(printed) == []
    assert stage.models == [FABLE, FALLBACK]
    (record,) = stage.records()
    assert (record.outcome, record.answered_by) == (Outcome.RECOVERED_BY_DEMUR, FALLBACK)


def test_a_client_s_own_fallback_that_is_declined_is_not_asked_again(stages: Stages) -> None:
    stage, printed = fable(stages, ON, "refusal")
    plain = stages.new([Rule(model=FABLE, play="refusal"), Rule(model=FALLBACK, play="refusal")])
    assert printed == Printed.of(plain.plain(model=FABLE), plain)
    assert stage.models == plain.models
    assert {attempt.by for record in stage.records() for attempt in stage.attempts(record)} == {"client"}


# the rest


def test_an_agent_s_turn_is_answered_elsewhere_and_the_conversation_is_not(stages: Stages) -> None:
    stage = stages.new(
        [
            Rule(word=AGENT, model=MODEL, play="refusal"),
            Rule(word=AGENT, model=FALLBACK, play="answer_tool"),
            Rule(play="e2e_agent"),
        ]
    )
    printed = Printed.of(stage.through(ON, *TOOLS), stage)
    assert (printed.code, printed.result) == (0, HELLO)
    (record,) = stage.records()
    assert (record.role, record.outcome, record.answered_by) == ("subagent", Outcome.RECOVERED_BY_DEMUR, FALLBACK)
    (pin,) = stage.pins()
    assert (pin.agent_id, pin.model, pin.answered_by, pin.turns) == (record.agent_id, MODEL, FALLBACK, 1)
    by_agent = [(one.header("x-claude-code-agent-id"), one.json()["model"]) for one in stage.asked]
    assert [model for agent, model in by_agent if agent] == [MODEL, FALLBACK, FALLBACK]
    assert {model for agent, model in by_agent if not agent} == {MODEL}


def test_with_retry_off_it_is_as_without_demur_and_the_record_says_so(
    stages: Stages, without: Callable[..., Printed]
) -> None:
    stage = stages.new(rules("refusal", "answer"))
    assert Printed.of(stage.through(OFF), stage) == without("refusal")
    assert {record.ruling for record in stage.records()} == {Ruling.OFF}
    assert b"fallback-credit" not in b"".join(value for _, value in stage.asked[0].headers)


@pytest.mark.parametrize("play", ["refusal", MID])
def test_no_credit_token_reaches_the_client_the_log_or_the_database(play: str, stages: Stages) -> None:
    stage = stages.new(rules(play, GOES_ON))
    with stage.demur(ON) as demur, recorded(demur.said["ANTHROPIC_BASE_URL"]) as (url, answers):
        got = stage.claude(ANTHROPIC_BASE_URL=url)
        assert demur.end() == 0
    with Store.open(stage.db) as store:
        stored = [store.body(record.id) for record in store.refusals()]
    files = [path.read_bytes() for path in stage.home.rglob("*") if path.is_file()]
    told = [part for answer in answers for part in (answer.head, answer.body)]
    texts = [*stored, *files, *told, got.out.encode(), got.err.encode()]
    assert any(b"stop_reason" in text for text in told)
    assert not [text[:80] for text in texts if any(token in text for token in TOKENS)]
    assert any(token in stage.asked[1].body for token in TOKENS)


# by mitmproxy


@pytest.mark.parametrize("play", ["refusal", "refusal_thinking"])
def test_by_mitmproxy_a_declined_turn_is_answered_by_another_model_too(play: str, stages: Stages) -> None:
    stage = stages.new(rules(play, "answer"))
    with stage.demur(ON, mitm) as demur:
        printed = Printed.of(stage.claude(**demur.said), stage)
        assert (printed.code, printed.result) == (0, HELLO)
        assert stage.claude("-c", prompt="Once more.", **demur.said).code == 0
        assert demur.end() == 0
    assert stage.models == [MODEL, FALLBACK, FALLBACK]
    (record,) = stage.records()
    assert (record.outcome, record.answered_by, record.source) == (Outcome.RECOVERED_BY_DEMUR, FALLBACK, "mitmproxy")


def test_by_mitmproxy_a_text_that_is_declined_is_gone_on_with(stages: Stages) -> None:
    stage = stages.new(rules(MID, GOES_ON))
    printed = Printed.of(stage.by_mitmproxy(ON), stage)
    assert (printed.code, printed.result) == (0, WHOLE)
    assert stage.models == [MODEL, FALLBACK]


@pytest.mark.parametrize("settings", [ON, GUARD], ids=["retry", "guard alone"])
def test_by_mitmproxy_no_tool_of_a_declined_turn_runs(settings: str, stages: Stages) -> None:
    made = f"made-{secrets.token_hex(4)}"
    stage = stages.new([Rule(play=f"refusal_tool_complete late=1 command='touch {made}'", times=LOOPS)])
    printed = Printed.of(stage.by_mitmproxy(settings, *TOOLS, **ALONE), stage)
    assert not list(stage.home.rglob(made))
    assert (printed.code, stage.models) == (1, [MODEL])


@pytest.mark.parametrize("play", ["refusal", MID])
def test_by_mitmproxy_where_every_hop_fails_it_is_as_without_demur(play: str, stages: Stages) -> None:
    stage, plain = (stages.new(rules(play, "http_error status=529")) for _ in range(2))
    with mitmdump(plain.api.url, plain.home / "conf") as proxy:
        expected = Printed.of(plain.claude(**proxy.said, **ALONE), plain)
    assert Printed.of(stage.by_mitmproxy(ON, **ALONE), stage) == expected
    assert expected.code == 1
    assert (stage.models, plain.models) == ([MODEL, FALLBACK], [MODEL])


def test_by_mitmproxy_a_client_that_has_the_api_fall_back_is_left_to_it(stages: Stages) -> None:
    stage = stages.new([Rule(model=FABLE, play="refusal"), Rule(model=FALLBACK, play="answer")])
    printed = Printed.of(stage.by_mitmproxy(ON, model=FABLE), stage)
    assert (printed.code, printed.result) == (0, HELLO)
    assert stage.models.count(FALLBACK) == 1
    assert {attempt.by for record in stage.records() for attempt in stage.attempts(record)} == {"client"}
