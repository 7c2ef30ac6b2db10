"""Statistics over a store: the sources, the periods, and the same content elsewhere."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

import scale
from entries import entry, name, refusal
from proxy.core.periods import By
from proxy.core.tally import FIELDS
from proxy.elsewhere import pairs
from proxy.imports import FileMark, Imports
from proxy.packed import pack
from proxy.statistics import Scope, statistics, turns_elsewhere
from proxy.store import Store
from schemas.labels import Kind, Outcome, Result, Stage
from schemas.migrations import migrations
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
    assert made.total.apart == plain.total.apart == 334
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


HOUR, LATER = "2099-11-23T14", "2099-11-23T15"
ANSWERED, REFUSED = Result.ANSWERED, Result.REFUSED


def counts(hour: str = HOUR, model: str = MODEL, **ends: int) -> list[tuple[Traffic, int]]:
    return [(Traffic(hour=hour, model=model, outcome=Result(end)), n) for end, n in ends.items()]


def imported(store: Store, source: str, *more: list[tuple[Traffic, int]], file: str = "") -> None:
    """What one imported file tells of."""
    imports, name = Imports(store), file or f"/{source}"
    imports.take(name, [pack(Entry(traffic=[one for each in more for one in each]))])
    imports.done(FileMark(name, 1, 1, name), source=source, whole=True)


def witnessed(n: int, *sources: str, hour: str = HOUR, **fields: Any) -> Entry:
    return recorded(n, at=f"{hour}:30:00.000Z", source=sources[0], sources=[*sources], **fields)


def told(store: Store, *fields: str, **options: Any) -> tuple[int | None, int, int, int]:
    """Requests, those that imported files tell of, and refusals: in the rate, and apart."""
    total = statistics(store, fields, **options).total
    return total.requests, total.told, total.refused, total.apart


def test_who_only_imported_has_rates(store: Store) -> None:
    store.apply([witnessed(1, "transcript"), witnessed(2, "transcript", category="bio"), witnessed(3, "raw")])
    imported(store, "transcript", counts(answered=18, refused=2))
    for fields in ((), ("model",), ("category",), ("outcome",), ("kind",)):
        assert told(store, *fields) == (20, 20, 2, 1), fields
    assert statistics(store, ["category"]).tallies["bio",].rate == pytest.approx((0.05, 0.00888, 0.23613), abs=1e-5)
    assert told(store, "category", imports=False) == (0, 0, 0, 0)
    assert told(store, "model", imports=False) == (0, 0, 0, 0)


@pytest.mark.parametrize("field", FIELDS)
def test_an_hour_is_taken_from_demur_or_from_a_kind_of_file_and_never_from_both(store: Store, field: str) -> None:
    store.apply([Entry(traffic=[*counts(answered=7, refused=2), *counts(LATER, answered=1, refused=1)])])
    imported(store, "transcript", counts(answered=5, refused=1), counts(LATER, answered=8, refused=2))
    imported(store, "stream-json", counts(answered=5, refused=1), counts(LATER, answered=3, refused=1))
    store.apply([witnessed(1, "gateway", "transcript"), witnessed(2, "gateway"), witnessed(3, "stream-json")])
    store.apply([
        witnessed(4, "gateway", hour=LATER),
        witnessed(5, "stream-json", "transcript", hour=LATER),
        witnessed(6, "transcript", hour=LATER),
    ])  # fmt: skip
    assert told(store, field) == (19, 10, 4, 2)
    assert told(store, field, by=By.HOUR) == (19, 10, 4, 2)
    assert told(store, field, imports=False) == (11, 0, 3, 0)
    assert told(store, field, scope=Scope(since=LATER)) == (10, 10, 2, 1)
    assert told(store, field, scope=Scope(until=LATER)) == (9, 0, 2, 1)


def test_a_model_that_is_asked_for_does_not_change_what_its_hour_is_taken_from(store: Store) -> None:
    """One request, by the model that was asked here, and by the one that answered there."""
    store.apply([Entry(traffic=[*counts(answered=5), *counts(model=OTHER, answered=1)])])
    imported(store, "transcript", counts(answered=3), counts(model=OTHER, answered=2))
    assert [told(store, "model", scope=Scope(model=model))[:2] for model in (MODEL, OTHER, None)] == [
        (5, 0), (1, 0), (6, 0),
    ]  # fmt: skip


def test_files_of_one_kind_are_added_up_and_so_are_the_demurs_of_several_machines(store: Store) -> None:
    for n in range(3):
        imported(store, "transcript", counts(answered=2), file=f"/{n}.jsonl")
    assert told(store)[:2] == (6, 6)
    store.apply([Entry(traffic=counts(answered=3, refused=1))])
    imported(store, "demur", counts(answered=2, refused=1), file="/export.jsonl")
    imported(store, "", counts(answered=1), file="demur:b2:00")
    imported(store, "", counts(answered=3), file="demur:b2:00/11")
    assert told(store) == (8, 0, 2, 0)
    store.apply([witnessed(1, "gateway"), witnessed(2, "transcript")])
    assert told(store, "category") == (8, 0, 1, 1)


def test_of_older_imports_any_kind_of_file_may_have_told(store: Store) -> None:
    imported(store, "", counts(answered=8, refused=2))
    store.apply([witnessed(1, "transcript"), witnessed(2, "har"), witnessed(3, "gateway"), witnessed(4, "raw")])
    assert told(store, "category") == (10, 10, 2, 2)


def test_what_an_older_demur_had_imported_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "older.db"
    with Database(path) as old:
        migrations.apply(old, stop_before="m010_sources")
        old.execute(
            "insert into imported_traffic values ('/a', ?, ?, '', '', '', '', '', '', 'answered', 5)", [HOUR, MODEL]
        )
    with Store.open(path) as store:
        assert told(store)[:2] == (5, 5)


def test_what_the_client_did_by_itself_is_followed_in_imported_files_as_well(store: Store) -> None:
    """Its repeat is a request, and no refusal of its own; what another model answered is recovered."""
    again = Attempt(n=-1, by="client", model=MODEL, outcome=REFUSED)
    store.apply([witnessed(1, "transcript", outcome=Outcome.RECOVERED_BY_CLIENT), witnessed(2, "gateway")])
    store.apply([Entry(updates=[Update(refusal_id=name(n), attempts=[again])]) for n in (1, 2)])
    imported(store, "transcript", counts(answered=7, refused=3))
    (tally,) = statistics(store, ["model"]).tallies.values()
    assert (tally.requests, tally.refused, tally.apart, tally.recovered_by_client) == (10, 2, 1, 1)


def test_turns_elsewhere_are_of_what_the_hour_is_taken_from(store: Store) -> None:
    def turns(n: int) -> list[tuple[Traffic, int]]:
        return [(Traffic(hour=HOUR, model=MODEL, answered_by=OTHER, outcome=ANSWERED), n)]

    store.apply([Entry(traffic=turns(2))])
    imported(store, "har", turns(3))
    assert turns_elsewhere(store, Scope()) == {MODEL: 3}
    assert turns_elsewhere(store, Scope(), imports=False) == {MODEL: 2}


def test_counts_of_tokens_decide_nothing_either(store: Store) -> None:
    store.apply([Entry(traffic=counts(answered=2))])
    asked = [(Traffic(hour=HOUR, model=MODEL, role="count_tokens", outcome=ANSWERED), 9)]
    imported(store, "har", counts(answered=1), asked)
    assert told(store)[:2] == (2, 0)


def test_an_imported_hour_that_is_none_is_in_no_period(store: Store) -> None:
    imported(store, "transcript", counts(answered=2), counts("yesterday", answered=3))
    assert told(store, by=By.DAY)[:2] == (2, 2)


def test_refusals_that_are_in_no_rate_are_only_counted_where_they_are_not_asked_for(store: Store) -> None:
    store.apply([witnessed(1, "raw"), witnessed(2, "raw"), Entry(traffic=counts(answered=2, refused=1))])
    made = statistics(store, ["model"], apart=False)
    assert (made.total.refused, made.total.apart, made.left_out) == (1, 0, 2)
    assert statistics(store, ["model"]).left_out == statistics(store, ["model"], imports=False).left_out == 0


WAYS = ("gateway", "transcript", "har")
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from((HOUR, LATER)),
        st.sampled_from((MODEL, OTHER)),
        st.booleans(),
        st.sets(st.sampled_from(WAYS), min_size=1),
    ),
    max_size=12,
)
"""Requests that there were: hour, model, whether it was declined, and who saw it."""


@settings(max_examples=40, deadline=None)
@given(REQUESTS)
def test_whoever_saw_it_no_request_is_counted_twice(asked: list[tuple[str, str, bool, set[str]]]) -> None:
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "demur.db") as store:
        before = 0
        for n, (hour, model, declined, ways) in enumerate(asked):
            if declined:
                first, *others = sorted(ways)
                store.apply([witnessed(n, first, *others, hour=hour, model=model)])
        for way in WAYS:
            seen = [
                (Traffic(hour=hour, model=model, role="other", outcome=REFUSED if declined else ANSWERED), 1)
                for hour, model, declined, ways in asked
                if way in ways
            ]
            store.apply([Entry(traffic=seen)]) if way == "gateway" else imported(store, way, seen)
            requests = statistics(store).total.requests or 0
            assert before <= requests <= len(asked)
            assert requests >= len(seen)
            before = requests
        refusals_ = sum(declined for _, _, declined, _ in asked)
        for fields in ((), ("model",), ("category",), ("model", "category"), ("outcome",), ("kind", "role")):
            for by in (None, By.HOUR):
                made = statistics(store, fields, by)
                assert made.total.refused + made.total.apart == refusals_
                for tally in made.tallies.values():
                    assert tally.requests is not None
                    assert tally.refused <= tally.requests <= len(asked)
                    assert tally.told <= tally.requests
