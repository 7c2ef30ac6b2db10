"""What is put together of one refusal, as it stands in a real store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from commands import demur
from entries import entry, name, pin
from proxy.core.links import LINKS
from proxy.core.news import SUMMARY
from proxy.dossier import Dossier, dossier
from proxy.store import Store
from schemas.labels import History, Kind, Label, Outcome, Result, Role, Stage, Strategy, Verdict
from schemas.records import Annotation, Attempt, Entry, Segment, Traffic
from schemas.settings import Settings

SAID = {"session_id": "s", "role": Role.MAIN, "client": "claude-cli", "outcome": Outcome.REFUSED, "category": "cyber"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "d" / "demur.db") as opened:
        yield opened


def settings(given: dict[str, Any]) -> Settings:
    return msgspec.convert(given, Settings)


def placed(n: int, label: Label, path: str, *, new: bool | None = None, tokens: int = 1, **fields: Any) -> Segment:
    return Segment(
        n=n, label=label, path=path, bytes=400, tokens_est=tokens, hash=f"h{path}", content=f"c{n}", new=new, **fields
    )


def declined(n: int, *segments: Segment, attempts: tuple[Attempt, ...] = (), **fields: Any) -> Entry:
    made = entry(n, traffic=0, **SAID | fields)
    made.segments, made.attempts = list(segments), [*made.attempts, *attempts]
    return made


def of(store: Store, n: int, *entries: Entry, given: Settings | None = None) -> Dossier:
    assert store.apply(entries) == 0
    return dossier(store, store.find(name(n)), given or Settings())


def one_incident(store: Store, n: int = 0) -> None:
    with store.transaction() as connection:
        connection.execute("update refusals set incident_id = ?", [name(n)])


def prompt(turn: int, *, new: bool, tokens: int = 1) -> list[Segment]:
    """A text of the user, and what the model said to it."""
    at = 2 * turn - 2
    answered = placed(at + 1, Label.ASSISTANT_TEXT, f"messages[{at + 1}].content[0]", new=new)
    return [placed(at, Label.USER_TEXT, f"messages[{at}].content[0]", new=new, tokens=tokens), answered]


def poisoned(n: int, turns: int, **fields: Any) -> Entry:
    """Two turns that were accepted, one with the result of a tool, and greetings after that."""
    old = [*prompt(1, new=False), *prompt(2, new=False)]
    asked = placed(4, Label.USER_TEXT, "messages[4].content[0]", new=True, tokens=50)
    result = placed(
        5, Label.TOOL_RESULT, "messages[5].content[0]", new=True, tokens=900, tool="Read", target="scan.pdf"
    )
    later = [placed(6 + k, Label.USER_TEXT, f"messages[{6 + k}].content[0]", new=True) for k in range(turns)]
    known: dict[str, Any] = {"history": History.GROWN, "turn": 3 + turns, "accepted_turn": 2}
    return declined(n, *old, asked, result, *later, **known | fields)


def test_the_advice_of_a_poisoned_session_names_the_turn_to_go_back_to(store: Store) -> None:
    store.apply([poisoned(n, n) for n in range(3)])
    one_incident(store)
    steps = of(store, 2).advice
    assert steps[0] == (
        "The session is stuck: it was declined 3 times since turn 3, and what was new then is still in the request;"
        " a short message may be declined as well."
    )
    assert "Go back to turn 2, the last that was accepted" in steps[1]
    assert "choose the prompt of turn 3" in steps[1]
    assert any("The first candidate is the result of Read (scan.pdf)" in step for step in steps)
    assert "stuck" not in " ".join(of(store, 0).advice)


@pytest.mark.parametrize(
    "other",
    [{"session_id": "elsewhere"}, {"agent_id": "a"}, {"role": Role.TITLE}, {"role": Role.COMPACTION}],
    ids=str,
)
def test_what_others_were_declined_makes_no_session_stuck(store: Store, other: dict[str, Any]) -> None:
    store.apply([poisoned(0, 0, **other), poisoned(1, 0, **other), poisoned(2, 1)])
    one_incident(store)
    assert "stuck" not in " ".join(of(store, 2).advice)


def test_refusals_of_no_session_are_not_one_session(store: Store) -> None:
    store.apply([poisoned(n, n, session_id=None) for n in range(3)])
    one_incident(store)
    found = of(store, 2)
    assert len(found.incident) == 3
    assert "stuck" not in " ".join(found.advice)


ANSWERED: dict[str, Any] = {"outcome": Outcome.RECOVERED_BY_DEMUR, "answered_by": "claude-opus-4-8"}


def test_a_refusal_that_was_answered_makes_no_session_stuck(store: Store) -> None:
    store.apply([poisoned(0, 0, **ANSWERED), poisoned(1, 1)])
    one_incident(store)
    found = " ".join(of(store, 1).advice)
    assert "stuck" not in found
    store.apply([poisoned(2, 2)])
    one_incident(store)
    assert "The session is stuck: it was declined 2 times since turn 4" in " ".join(of(store, 2).advice)


@pytest.mark.parametrize(
    ("other", "last"),
    [
        ({}, 3),
        ({"outcome": Outcome.RECOVERED_BY_CLIENT}, 3),
        ({"outcome": Outcome.REFUSED}, 2),
        ({"agent_id": "a"}, 2),
        ({"turn": None}, 2),
        ({"turn": 4}, 2),
        ({"accepted_at": "2099-11-23T14:00:00.500Z"}, 2),
    ],
    ids=str,
)
def test_a_turn_that_was_declined_first_and_then_answered_is_accepted(
    store: Store, other: dict[str, Any], last: int
) -> None:
    since = other.get("accepted_at")
    store.apply([poisoned(0, 0, **ANSWERED | {k: v for k, v in other.items() if k != "accepted_at"})])
    store.apply([poisoned(1, 1, accepted_at=since)])
    one_incident(store)
    assert f"Go back to turn {last}, the last that was accepted" in " ".join(of(store, 1).advice)


def test_a_conversation_that_begins_with_a_summary_has_turns_without_numbers(store: Store) -> None:
    kept = poisoned(0, 0)
    assert "Go back to turn 2" in " ".join(of(store, 0, kept).advice)
    kept = poisoned(1, 0, session_id="t")
    kept.contents = {
        kept.segments[0].content: msgspec.json.encode({"type": "text", "text": f"{SUMMARY} that ran out."})
    }
    kept.skeleton = [one.content for one in kept.segments]
    assert "Go back to the last turn that was accepted:" in " ".join(of(store, 1, kept).advice)


def test_what_follows_a_compaction_in_one_incident_has_turns_without_numbers(store: Store) -> None:
    store.apply([poisoned(0, 0, history=History.COMPACTED), poisoned(1, 1)])
    one_incident(store)
    assert "Go back to the last turn that was accepted:" in " ".join(of(store, 1).advice)
    store.apply([poisoned(2, 0, session_id="t", history=History.COMPACTED), poisoned(3, 1, session_id="u")])
    assert "Go back to turn 2" in " ".join(of(store, 3).advice)


STICKY = Attempt(n=0, by="demur", model="claude-opus-4-8", outcome=Result.REFUSED, strategy=Strategy.STICKY)


def test_a_pin_is_that_of_the_refusal_or_the_one_by_which_it_was_declined(store: Store) -> None:
    store.apply([Entry(pins=[pin("k", refusal_id=name(0)), pin("l", session_id="elsewhere")])])
    made = of(store, 0, declined(0, **ANSWERED))
    assert made.pin is not None
    assert (made.pin.key, "sticky" in " ".join(made.advice)) == ("k", False)
    stays = declined(1, model="claude-opus-4-8")
    stays.attempts = [STICKY]
    found = of(store, 1, stays)
    assert found.pin == made.pin
    assert any("`demur sticky clear s` brings it back to claude-opus-5" in step for step in found.advice)
    assert of(store, 2, declined(2, model="claude-opus-4-8")).pin is None
    other = declined(3, model="claude-sonnet-5")
    other.attempts = [STICKY]
    left = of(store, 3, other)
    assert left.pin is None
    assert any("stays on claude-sonnet-5 no longer" in step for step in left.advice)


def test_whom_demur_asked_in_vain_is_told_to_the_advice(store: Store) -> None:
    failed = Attempt(n=1, by="demur", model="claude-opus-4-8", outcome=Result.ERROR, status=529, strategy="fallback")
    found = of(store, 0, declined(0, attempts=(failed,)))
    assert any("claude-opus-4-8 had no capacity just then (HTTP 529)" in step for step in found.advice)


def test_what_stands_before_the_first_prompt_has_no_turn_to_go_back_to(store: Store) -> None:
    memory = placed(0, Label.MEMORY, "messages[0].content[0]", new=True)
    found = of(store, 0, declined(0, memory, *prompt(1, new=False), history=History.EDITED, turn=2, accepted_turn=1))
    assert found.since_turn == 0
    assert "Go back" not in " ".join(found.advice)


def test_where_only_the_client_added_something_the_accepted_turn_is_the_stored_one(store: Store) -> None:
    reminder = placed(9, Label.REMINDER, "messages[9]", new=True)
    grown = declined(0, *prompt(1, new=False), reminder, history=History.GROWN, turn=4, accepted_turn=3)
    assert "Go back to turn 3" in " ".join(of(store, 0, grown).advice)


def test_a_repeated_greeting_is_not_the_first_candidate_and_the_earlier_text_is_not_called_the_last(
    store: Store,
) -> None:
    segments = [
        *prompt(1, new=False),
        *prompt(2, new=True, tokens=80),
        placed(4, Label.USER_TEXT, "messages[4]", new=False),
    ]
    found = of(store, 0, declined(0, *segments, history=History.GROWN, turn=3, accepted_turn=1))
    assert [one.n for one in found.candidates if one.label == Label.USER_TEXT] == [2]
    assert "The first candidate is an earlier text of yours" in " ".join(found.advice)


@pytest.mark.parametrize(
    ("tokens", "parts", "tiny"),
    [(6, ["messages[0].content[1]"], True), (7, ["messages[0].content[1]"], False),
     (4, ["messages[0].content[1]", "messages[0].content[2]"], False),
     (4, ["messages[0].content[1]", "messages[1].content[0]"], True)],
)  # fmt: skip
def test_a_text_is_tiny_where_the_last_message_of_the_user_is(
    store: Store, tokens: int, parts: list[str], *, tiny: bool
) -> None:
    memory = placed(0, Label.MEMORY, "messages[0].content[0]", new=True, tokens=5000)
    said = [placed(n, Label.USER_TEXT, path, new=True, tokens=tokens) for n, path in enumerate(parts, start=1)]
    advice = " ".join(of(store, 0, declined(0, memory, *said, history=History.FIRST, turn=1)).advice)
    assert ("Your text was tiny" in advice) is tiny
    assert ("well: CLAUDE.md or memory." in advice) is tiny
    assert ("your own last text" in advice) is not tiny


def test_where_nothing_was_typed_nothing_is_tiny(store: Store) -> None:
    memory = placed(0, Label.MEMORY, "messages[0].content[0]", new=True)
    assert "tiny" not in " ".join(of(store, 0, declined(0, memory, history=History.FIRST, turn=1)).advice)


@pytest.mark.parametrize("content", [True, False], ids=["asked", "incident"])
def test_what_a_person_judged_correct_is_passed_on_to_the_advice_and_the_links(store: Store, *, content: bool) -> None:
    store.apply([poisoned(0, 0, asked="a", verdict=Verdict.CORRECT), poisoned(1, 1, asked="a" if content else "b")])
    if not content:
        one_incident(store)
    for n in (0, 1):
        found = of(store, n)
        assert "so no way on is named here" in " ".join(found.advice)
        assert "demur retry" not in " ".join(found.advice)
        assert found.links == [LINKS["policy"]]


def test_a_verdict_counts_for_a_refusal_of_which_neither_content_nor_incident_is_known(store: Store) -> None:
    store.apply([poisoned(0, 0, verdict=Verdict.CORRECT)])
    with store.transaction() as connection:
        connection.execute("update refusals set incident_id = null")
    assert "so no way on is named here" in " ".join(of(store, 0).advice)


def test_a_second_opinion_does_not_make_retry_possible_again(tmp_path: Path) -> None:
    db = tmp_path / "demur.db"
    with Store.open(db) as opened:
        opened.apply([poisoned(0, 0, asked="a")])
    for author, verdict in (("ann", "correct"), ("bob", "unsure")):
        demur("label", "last", "--verdict", verdict, "--author", author, db=db)
    with Store.open(db) as opened:
        found = of(opened, 0)
    assert found.refusal.verdict == Verdict.UNSURE
    assert "so no way on is named here" in " ".join(found.advice)


def test_what_nobody_judged_correct_has_a_way_on(store: Store) -> None:
    found = of(store, 0, poisoned(0, 0, verdict=Verdict.FALSE_POSITIVE, asked="a"))
    assert "demur retry" in " ".join(found.advice)
    assert LINKS["refusals"] in found.links


def test_the_same_is_not_called_judged_differently_where_another_model_had_accepted_it(store: Store) -> None:
    known: dict[str, Any] = {"history": History.SAME, "turn": 1, "accepted_turn": 1, "model": "claude-opus-5"}
    store.apply([declined(0, *prompt(1, new=False), **known, accepted_model="claude-opus-5", session_id="a")])
    store.apply([declined(1, *prompt(1, new=False), **known, accepted_model="claude-sonnet-5", session_id="b")])
    assert "not always judged alike" in " ".join(of(store, 0).advice)
    assert "had been accepted by claude-sonnet-5." in " ".join(of(store, 1).advice)


def test_new_tools_beside_the_same_conversation_are_named(store: Store) -> None:
    tool = placed(0, Label.TOOL, "tools[0]", new=True, tool="mcp__pubmed__search")
    found = of(store, 0, declined(0, tool, *prompt(1, new=False), history=History.SAME, turn=1, accepted_turn=1))
    assert [one.n for one in found.candidates] == [0]
    assert "new is only what goes with it: the definition of a tool." in " ".join(found.advice)
    assert "nothing new" not in " ".join(found.advice)


@pytest.mark.parametrize(
    ("attempts", "told"),
    [
        ([("claude-opus-5", Strategy.TRIM, Result.ANSWERED)], "by the same model, but not as it was sent: a part was left out."),
        ([("claude-opus-5", Strategy.TRIM, Result.ANSWERED), ("claude-opus-4-8", Strategy.STICKY, Result.REFUSED)],
         "by the same model, but not as it was sent: a part was left out."),
        ([("claude-opus-5", Strategy.TRIM, Result.REFUSED), ("claude-opus-5", Strategy.FALLBACK, Result.ANSWERED)],
         "It was answered by the same model: nothing has to be done."),
    ],
    ids=["changed", "changed, and more", "unchanged"],
)  # fmt: skip
def test_only_where_the_answered_request_was_changed_it_is_told_to_be(
    store: Store, attempts: list[tuple[str, Strategy, Result]], told: str
) -> None:
    tried = tuple(
        Attempt(n=n, by="demur", model=model, outcome=outcome, strategy=strategy)
        for n, (model, strategy, outcome) in enumerate(attempts, start=1)
    )
    known = {"outcome": Outcome.RECOVERED_BY_DEMUR, "model": "claude-opus-5", "answered_by": "claude-opus-5"}
    assert told in of(store, 0, declined(0, attempts=tried, stage=Stage.BEFORE_OUTPUT, **known)).advice[0]


def test_a_stream_that_was_declined_in_the_middle_is_answered_in_two_parts_and_a_body_is_not(store: Store) -> None:
    known: dict[str, Any] = {
        "outcome": Outcome.RECOVERED_BY_API,
        "model": "m",
        "answered_by": "n",
        "stage": Stage.MID_STREAM,
    }
    assert "in two parts, by two models" in of(store, 0, declined(0, streamed=True, **known)).advice[0]
    assert "parts" not in of(store, 1, declined(1, streamed=False, **known)).advice[0]


@pytest.mark.parametrize(("shown", "parts"), [(True, True), (False, False), (None, False)])
def test_what_demur_had_answered_is_in_two_parts_only_where_the_record_says_that_the_first_was_shown(
    store: Store, shown: bool | None, parts: bool
) -> None:
    kept = declined(0, **ANSWERED, model="claude-opus-5", stage=Stage.MID_STREAM, streamed=True)
    first = msgspec.structs.replace(kept.attempts[0], shown=shown)
    kept.attempts = [first, Attempt(n=1, by="demur", model="m", outcome=Result.ANSWERED, strategy="fallback")]
    assert ("in two parts" in of(store, 0, kept).advice[0]) is parts
    assert store.attempts(name(0))[0].shown is shown


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"source": "gateway"}, True),
        ({"source": "mitmproxy"}, True),
        ({"source": "claude-code-transcript"}, False),
        ({"source": "claude-code-transcript", "sources": ["claude-code-transcript", "gateway"]}, True),
        ({"source": "gateway", "evidence": "usage.iterations"}, False),
    ],
)
def test_that_the_api_named_no_category_is_said_only_where_its_answer_said_so(
    store: Store, fields: dict[str, Any], *, told: bool
) -> None:
    about = of(store, 0, declined(0, **fields | {"category": None})).about
    assert ("the API named no category" in about) is told
    assert (about == "no category is known") is not told


def test_a_refusal_after_the_approval_is_despite_it(store: Store) -> None:
    given = settings({"exemption": {"approved_on": "2099-11-23"}})
    store.apply([declined(0, at="2099-11-22T23:59:59.999Z"), declined(1), declined(2, category="bio")])
    assert [of(store, n, given=given).despite_exemption for n in range(3)] == [False, True, False]
    found = of(store, 1, given=given)
    assert LINKS["appeal"] in found.links
    assert "this was declined as cyber all the same" in " ".join(found.advice)
    assert not of(store, 1).despite_exemption


def test_it_costs_what_the_owners_prices_say(store: Store) -> None:
    tried = Attempt(
        n=1, by="demur", model="claude-opus-4-8", outcome=Result.ANSWERED, input_tokens=500_000, output_tokens=10
    )
    known = {"model": "claude-opus-5", "input_tokens": 1_000_000, "output_tokens": 100_000}
    given = settings({"prices": {"claude-opus-5": {"input": 5.0, "output": 25.0}}})
    found = of(store, 0, declined(0, attempts=(tried,), **known), given=given).cost
    assert found.usd == pytest.approx(7.5)
    assert found.unpriced == ["claude-opus-4-8"]
    assert found.attempts == 2
    assert of(store, 0).cost.usd is None


def test_advice_offers_retry_only_where_it_is_off(store: Store) -> None:
    assert "`demur retry`" in " ".join(of(store, 0, declined(0)).advice)
    given = settings({"retry": {"enabled": True, "fallback": [{"model": "claude-opus-4-8"}]}})
    assert "`demur retry`" not in " ".join(of(store, 0, given=given).advice)


def test_annotations_that_were_stored_are_taken_as_they_are_and_others_are_made(store: Store) -> None:
    kept = declined(0)
    kept.annotations = {name(0): [Annotation(name="layout", value="Russian on US", confidence=0.7)]}
    scan = placed(0, Label.MEDIA, "messages[0].content[0]", media="image/png")
    store.apply([declined(1, scan, session_id="t")])
    found = of(store, 0, kept)
    assert found.annotations == kept.annotations[name(0)]
    assert "looks like Russian that was typed on the US keyboard layout" in " ".join(found.advice)
    assert [one.value for one in of(store, 1).annotations] == ["image/png"]


def hour(n: int, day: int = 23, minute: int = 0) -> str:
    return f"2099-11-{day:02}T{n:02}:{minute:02}:00.000Z"


def test_an_hour_is_compared_with_the_past_of_its_own_category(store: Store) -> None:
    """24 hours, in ten of which cyber was declined once and bio never; then each three times."""
    past = [declined(n, at=hour(n), session_id=f"past{n}") for n in range(10)]
    now = [
        declined(20 + n, at=hour(0, day=24, minute=n), session_id=f"{category}{n}", category=category)
        for n, category in enumerate(["cyber", "bio"] * 3)
    ]
    store.apply([*past, *now])
    cyber, bio = of(store, 24).burst, of(store, 25).burst
    assert (cyber.count, bio.count) == (3, 3)
    assert cyber.expected == pytest.approx(11 / 25)
    assert bio.expected == pytest.approx(1 / 25)
    assert bio.unusual
    assert cyber.probability > bio.probability
    assert of(store, 21).burst.count == 1  # as it stood then


def test_a_burst_counts_incidents_and_kinds_apart(store: Store) -> None:
    store.apply([declined(n, at=hour(5, minute=n)) for n in range(4)])
    one_incident(store)
    store.apply(
        [declined(9, at=hour(5, minute=9), session_id="else"), declined(10, at=hour(5, minute=9), kind="output_filter")]
    )
    assert of(store, 9).burst.count == 2
    assert of(store, 10).burst.count == 1


def test_the_past_begins_with_the_first_request_and_reaches_back_four_weeks(store: Store) -> None:
    store.apply([Entry(traffic=[(Traffic(hour="2099-11-23T04"), 7)]), declined(0, at=hour(14))])
    assert of(store, 0).burst.expected == pytest.approx(1 / 11)
    store.apply([Entry(traffic=[(Traffic(hour="2099-09-01T00"), 1)])])
    assert of(store, 0).burst.expected == pytest.approx(1 / (28 * 24 + 1))


def test_a_time_that_nobody_can_read_has_no_burst_and_spoils_no_other(store: Store) -> None:
    store.apply([declined(0, at="some day"), declined(1, at=hour(14), session_id="t")])
    assert of(store, 0).burst.count == 0
    store.apply([declined(2, at="", session_id="u")])
    assert of(store, 1).burst.count == 1
    assert of(store, 1).burst.expected == pytest.approx(1 / (28 * 24 + 1))


def test_what_was_new_when_the_incident_began_comes_before_what_was_added_since(store: Store) -> None:
    said = placed(0, Label.USER_TEXT, "messages[0].content", new=True)
    added = [placed(n, Label.TOOL_RESULT, f"messages[{n}].content[0]", new=True) for n in (2, 4)]
    model = [placed(n, Label.TOOL_USE, f"messages[{n}].content[0]", new=True) for n in (1, 3)]
    later = sorted([said, *added, *model], key=lambda one: one.n)
    found = of(store, 2, declined(1, said), declined(2, *later))
    assert len(found.incident) == 2
    assert [one.label for one in found.candidates] == [
        "user_text",
        "tool_result",
        "tool_result",
        "tool_use",
        "tool_use",
    ]


def test_without_a_day_of_past_nothing_is_called_a_burst(store: Store) -> None:
    store.apply(
        [entry(n, traffic=0, category="cyber", at=f"2099-11-23T14:{n:02}:00.000Z", kind=Kind.REFUSAL) for n in range(9)]
    )
    assert not dossier(store, store.find("last"), Settings()).burst.unusual
    store.apply([entry(20, traffic=0, category="bio", at="2099-11-20T14:00:00.000Z", kind=Kind.REFUSAL)])
    assert dossier(store, store.find("last"), Settings()).burst.unusual
