"""Statistics over a store: the sources, the periods, and the same content elsewhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import scale
from entries import entry, name, refusal
from proxy.core.periods import By
from proxy.core.tally import FIELDS
from proxy.elsewhere import pairs
from proxy.statistics import Scope, statistics, turns_elsewhere
from proxy.store import Store
from schemas.labels import Kind, Outcome, Result, Stage
from schemas.records import Attempt, Entry, Segment, Traffic, Update

MODEL, OTHER = "claude-opus-5", "claude-opus-4-8"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What years of a team give, on a smaller scale."""
    path = tmp_path_factory.mktemp("scale") / "demur.db"
    scale.fill(path, refusals=1_000, requests=100_000, hours=24 * 100)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "demur.db") as opened:
        yield opened


def recorded(n: int, **fields: Any) -> Entry:
    given = {"model": MODEL, "category": "cyber", "outcome": Outcome.REFUSED, "sources": ["gateway"], **fields}
    return entry(n, traffic=0, **given)


def refusals(store: Store, *fields: str, by: By | None = None, scope: Scope | None = None) -> dict[Any, int]:
    found = statistics(store, fields, by, scope).tallies.items()
    return {key[0] if len(key) == 1 else key: tally.refusals for key, tally in found}


@pytest.mark.parametrize("by", [None, By.DAY])
@pytest.mark.parametrize("field", FIELDS)
def test_however_it_is_divided_it_adds_up_to_the_same(large: Path, field: str, by: By | None) -> None:
    with Store.open(large) as store:
        made = statistics(store, [field], by)
        plain = statistics(store, ["category", "kind"])
        counted = store.rows("select sum(n) as n from traffic where outcome = 'refused'")[0]["n"]
    assert made.total.requests == 100_000
    assert made.total.imported == plain.total.imported == 334
    if field in {"model", "client", "client_version", "entrypoint", "role", "user", "outcome"}:
        assert made.total.refused == counted != plain.total.refused
    else:
        assert made.total == plain.total
    assert sum(tally.refusals for tally in made.tallies.values()) == made.total.refusals


def test_a_hundred_days_have_their_periods(large: Path) -> None:
    with Store.open(large) as store:
        spans = {by: (statistics(store, (), by).span(), len(statistics(store, (), by).periods())) for by in By}
    assert spans == {
        By.HOUR: (("2025-05-01T00", "2025-08-08T23"), 2_400),
        By.DAY: (("2025-05-01", "2025-08-08"), 100),
        By.WEEK: (("2025-W18", "2025-W32"), 15),
        By.MONTH: (("2025-05", "2025-08"), 4),
    }


def test_a_week_belongs_to_the_year_of_its_thursday(store: Store) -> None:
    store.apply([recorded(1, at="2026-12-31T10:00:00.000Z"), recorded(2, at="2027-01-03T10:00:00.000Z")])
    store.apply([recorded(3, at="2027-01-04T00:00:00.000Z")])
    assert refusals(store, "category", by=By.WEEK) == {("2026-W53", "cyber"): 2, ("2027-W01", "cyber"): 1}


@pytest.mark.parametrize("at", ["", "yesterday", "2026-13-01T00:00:00Z", "9999-12-31T23:00:00Z", "2026"])
def test_a_time_that_cannot_be_read_is_in_no_period(store: Store, at: str) -> None:
    store.apply([recorded(1, at=at), recorded(2)])
    for by in By:
        made = statistics(store, ["category"], by)
        assert (made.timeless, made.total.refusals) == (1, 1)
    assert statistics(store, ["category"]).total.refusals == 2


def test_the_likeliest_language_counts_and_an_unknown_one_has_a_name(store: Store) -> None:
    store.apply([recorded(1), recorded(2)])
    rows = [(name(1), "language", "de", 0.4), (name(1), "language", "nl", 0.6), (name(1), "script", "Latin", 1.0)]
    with store.transaction() as connection:
        connection.executemany("insert into annotations values (?, ?, ?, ?, '[]')", rows)
    assert refusals(store, "language") == {"nl": 1, "unknown": 1}
    assert refusals(store, "language", "script") == {("nl", "Latin"): 1, ("unknown", "unknown"): 1}


def test_what_is_not_known_is_empty(store: Store) -> None:
    store.apply([recorded(1, category=None, stage=Stage.MID_STREAM), recorded(2, domain="data")])
    assert refusals(store, "category") == {"": 1, "cyber": 1}
    assert refusals(store, "stage", "domain") == {("mid_stream", ""): 1, ("", "data"): 1}


def test_the_end_divides_what_was_counted_and_follows_the_client(store: Store) -> None:
    counts = {Result.ANSWERED: 50, Result.REFUSED: 4, Result.RECOVERED_BY_API: 1, Result.ERROR: 3}
    hour = "2099-11-23T14"
    store.apply([Entry(traffic=[(Traffic(hour=hour, model=MODEL, outcome=end), n) for end, n in counts.items()])])
    again = Attempt(n=-1, by="client", model=MODEL, outcome=Result.REFUSED)
    store.apply([recorded(1, outcome=Outcome.RECOVERED_BY_CLIENT), recorded(2)])
    store.apply([Entry(updates=[Update(refusal_id=name(2), attempts=[again])])])
    made = statistics(store, ["outcome"])
    assert {key[0]: (tally.refused, tally.requests) for key, tally in made.tallies.items()} == {
        "refused": (2, 58),
        "recovered_by_client": (1, 58),
        "recovered_by_api": (1, 58),
    }
    by_model = statistics(store, ["model"]).tallies[MODEL,]
    assert (by_model.refused, by_model.in_the_end, by_model.gap) == (4, 2, 0.5)
    assert set(statistics(store, ["outcome", "model"], By.MONTH).tallies) == {
        ("2099-11", end, MODEL) for end in ("refused", "recovered_by_client", "recovered_by_api")
    }


def test_counts_of_tokens_are_part_of_nothing(store: Store) -> None:
    hour = "2099-11-23T14"
    roles = {"main": 3, "count_tokens": 5}
    store.apply([Entry(traffic=[(Traffic(hour=hour, role=role, outcome="answered"), n) for role, n in roles.items()])])
    assert statistics(store, ["role"]).requests == {("main",): 3}
    assert statistics(store).total.requests == 3


def test_a_rate_is_never_above_all(store: Store) -> None:
    """More was recorded than counted: a count was lost."""
    store.apply([recorded(1), recorded(2), Entry(traffic=[(Traffic(hour="2099-11-23T14", model=MODEL), 1)])])
    (tally,) = statistics(store, ["category"]).tallies.values()
    assert (tally.refused, tally.requests, tally.rate) == (2, 1, None)


def test_a_scope_is_for_both_sources(store: Store) -> None:
    hours = ("2099-11-23T13", "2099-11-23T14", "2099-11-23T15")
    for n, hour in enumerate(hours):
        store.apply([recorded(n, at=f"{hour}:30:00.000Z"), recorded(n + 10, at=f"{hour}:30:00.000Z", model=OTHER)])
        store.apply(
            [Entry(traffic=[(Traffic(hour=hour, model=model, outcome="refused"), 1) for model in (MODEL, OTHER)])]
        )
    scope = Scope(since=hours[1], until=hours[2], model=MODEL)
    for fields in (["model"], ["category"]):
        assert (
            statistics(store, fields, scope=scope).total.requests,
            *refusals(store, *fields, scope=scope).values(),
        ) == (1, 1)
    assert refusals(store, "model", scope=Scope(category="none")) == {}
    assert statistics(store, ["model"], scope=Scope(category="cyber")).total.refused == 6


def test_turns_elsewhere_are_those_of_another_family(store: Store) -> None:
    answered = {f"{MODEL}-20260724": 2, "": 3, OTHER: 4}
    store.apply([
        Entry(traffic=[(Traffic(hour="2099-11-23T14", model=MODEL, answered_by=by, outcome="answered"), n)])
        for by, n in answered.items()
    ])  # fmt: skip
    assert turns_elsewhere(store, Scope()) == {MODEL: 4}
    assert turns_elsewhere(store, Scope(until="2099-11-23T14")) == {}


def attempt(n: int, **fields: Any) -> Attempt:
    given = {"n": n, "by": "demur", "model": OTHER, "outcome": Result.ANSWERED, "request_id": "req_a", **fields}
    return Attempt(**given)


def test_a_further_attempt_with_the_same_content_is_a_pair(store: Store) -> None:
    store.apply([recorded(1, asked="b2:a"), recorded(2), recorded(3, asked="b2:c")])
    told = {1: attempt(1, strategy="fallback"), 2: attempt(1, by="client"), 3: attempt(1, strategy="sticky", by="api")}
    store.apply([Entry(updates=[Update(refusal_id=name(n), attempts=[one])]) for n, one in told.items()])
    found = {next(iter(pair.declined)).id: next(iter(pair.accepted)) for pair in pairs(store, Scope())}
    at = {n: f"2099-11-23T14:00:0{n}.324Z" for n in (1, 3)}
    assert found == {
        name(1): ("req_a", at[1], OTHER, "demur"),
        name(2): ("req_a", None, OTHER, "client"),
        name(3): ("req_a", at[3], OTHER, "api"),
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"strategy": "scope-note"},
        {"strategy": "trim"},
        {"outcome": Result.REFUSED},
        {"model": f"{MODEL}-20260724"},
        {"model": None},
    ],
)
def test_changed_content_or_the_same_model_or_another_refusal_is_none(store: Store, fields: dict[str, Any]) -> None:
    store.apply(
        [recorded(1, asked="b2:a"), Entry(updates=[Update(refusal_id=name(1), attempts=[attempt(1, **fields)])])]
    )
    assert pairs(store, Scope()) == []


def test_one_content_declined_often_is_one_pair_and_its_newest_time_is_of_either_side(store: Store) -> None:
    store.apply([recorded(n, asked="b2:a", category="bio" if n == 2 else "cyber") for n in (1, 2, 3)])
    store.apply([recorded(4, asked="b2:a", model=None), recorded(5, asked="b2:a", kind="output_filter")])
    with store.transaction() as connection:
        connection.execute("insert into passes values ('b2:a', ?, '2000-01-01T00:00:00.000Z', null, 3)", [OTHER])
    (pair,) = pairs(store, Scope())
    assert [one.id for one in pair.declined] == [name(1), name(2), name(3)]
    assert list(pair.categories) == ["cyber", "bio"]
    assert pair.newest == "2099-11-23T14:00:03.324Z"
    assert [one.at for one in pair.accepted] == ["2000-01-01T00:00:00.000Z"]
    assert pairs(store, Scope(since="2099-11-23T15")) == []
    assert pairs(store, Scope(model=OTHER)) == []


def test_a_greeting_that_another_model_took_is_no_pair(tmp_path: Path) -> None:
    said = {"hi": ("s", 30), "a longer text that says something of its own": ("t", 300)}
    with Store.open(tmp_path / "demur.db") as store:
        for n, (text, (session, size)) in enumerate(said.items()):
            segment = Segment(
                n=0, label="user_text", path="messages[0].content", bytes=size, tokens_est=1, hash=f"b2:{n:032x}", content="", new=True
            )  # fmt: skip
            refused = refusal(
                n, kind=Kind.REFUSAL, model="claude-opus-5", asked=text, session_id=session, fingerprint=f"f{n}"
            )
            store.apply([Entry(refusals=[refused], segments=[segment])])
            store.db.execute("insert into passes values (?, 'claude-opus-4-8', '2026-01-01', 'req_1', 1)", [text])
        assert [pair.asked for pair in pairs(store, Scope())] == ["a longer text that says something of its own"]
