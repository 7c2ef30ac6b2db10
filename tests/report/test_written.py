"""What leaves in a report, at each level and in each shape."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from answers import DETAILS, STOP, end, start
from commands import declined, request
from planted import FORMS, FURTHER, FURTHER_PLACES, IDS, PLACES, PRIVATE, SECRETS, left, wrapped
from proxy.core.known import Known
from proxy.judgements import judge
from proxy.report import SHAPES, UnsafeError, written
from proxy.report.pack import Level
from proxy.report.personal import Machine
from proxy.report.sources import Sources, said, sources
from proxy.store import Store, StoreError
from schemas.labels import Verdict
from schemas.records import Judgement, Refusal
from schemas.settings import Exemption, Redact, Settings

MACHINE = Machine("Other Linux", "Other")
OWNER = Known(names=("Mara Quill",), accounts=("mquill",), homes=("/home/mquill",), secrets=("local-proxy-key-0815",))
SAID = "Zebra-crossing words of the person"
AT = 1_795_444_562.324


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "demur.db") as opened:
        yield opened


def report(
    store: Store, *, level: str = "metadata", shape: str = "issue", chosen: tuple[int, ...] = (), **more: Any
) -> str:
    given = more.pop("settings", Settings())
    read = sources(store, store.refusals(), given, chosen=chosen, with_pairs=True)
    return written(read, given, level=Level(level), shape=shape, known=OWNER, machine=MACHINE, **more).text


def keep(store: Store, *texts: str, explanation: str | None = None, note: str | None = None) -> Refusal:
    """One refusal whose request has each text in a block of its own, and what a person said of it."""
    message = {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}
    answer = start() + end("refusal", stop_details=DETAILS | {"explanation": explanation}) + STOP
    entry = declined(request(messages=[message]), answer, at=AT, request_id=IDS[0])
    assert store.apply([entry]) == 0
    (refusal,) = store.refusals()
    if note:
        judge(
            store,
            Judgement(refusal_id=refusal.id, at=refusal.at, author="mara", verdict=Verdict.FALSE_POSITIVE, note=note),
        )
    return refusal


def numbers(store: Store, refusal: Refusal) -> tuple[int, ...]:
    """Of the segments of its message."""
    return tuple(one.n for one in store.segments(refusal.id) if one.path.startswith("messages"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("level", ["ids", "metadata"])
def test_no_text_of_the_conversation_leaves_unless_it_is_chosen(store: Store, shape: str, level: str) -> None:
    refusal = keep(store, SAID, explanation="Declined, see /home/mquill/x.", note="Work of Mara Quill")
    found = report(store, level=level, shape=shape)
    assert "Zebra" not in found
    assert "lab-sheets" not in found
    assert "mquill" not in found
    assert "Mara" not in found
    assert str(refusal.session_id) not in found
    for fact in (IDS[0], refusal.at, "claude-opus-5", "cyber", "2.1.197"):
        assert fact in found
    assert ("Declined, see <PATH-1>" in found) == (level == "metadata")


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_chosen_leaves_scrubbed(store: Store, shape: str) -> None:
    refusal = keep(store, f"{SAID} by Mara Quill", "not chosen")
    first, _ = numbers(store, refusal)
    found = report(store, level="excerpts", shape=shape, chosen=(first,))
    assert f"{SAID} by <NAME-1>" in found
    assert "not chosen" not in found


_ALL = [*SECRETS.values(), *FURTHER.values(), *PRIVATE.values()]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(_ALL), min_size=1, max_size=3),
    st.sampled_from([*PLACES.values(), *FURTHER_PLACES.values()]),
    st.sampled_from([*FORMS.values()]),
    st.sampled_from([*SECRETS.values()]),
    st.data(),
)
def test_nothing_planted_is_in_any_report_and_the_ids_are(
    tmp_path_factory: pytest.TempPathFactory,
    planted: list[str],
    place: tuple[str, str],
    form: Any,
    split: str,
    data: Any,
) -> None:
    at = data.draw(st.integers(1, len(split) - 1))
    texts = [f"see {form(one)} there" for one in planted] + [
        place[0].format(place[1]),
        f"half of it {split[:at]}",
        split[at:],
    ]
    texts += [f"cut:\n  {wrapped(split, 11, '  ')}\n{IDS[1]}"]
    with Store.open(tmp_path_factory.mktemp("db") / "demur.db") as store:
        refusal = keep(store, *texts, explanation=" ".join(texts), note="\n".join(texts))
        for level in Level:
            chosen = numbers(store, refusal) if level == Level.EXCERPTS else ()
            for shape in SHAPES:
                found = report(store, level=level, shape=shape, chosen=chosen)
                assert [one for one in (*planted, place[1], split) if left(one, found)] == []
                assert IDS[0] in found
                assert refusal.at in found
                if level != Level.IDS:
                    assert IDS[1] in found


def test_half_of_a_secret_does_not_leave_though_the_other_half_is_not_chosen(store: Store) -> None:
    secret = SECRETS["github"]
    refusal = keep(store, f"it is {secret[:16]}", f"{secret[16:]} to the end")
    *_, second = numbers(store, refusal)
    found = report(store, level="excerpts", shape="mail", chosen=(second,))
    assert left(secret, found) is None
    assert "to the end" in found


def test_a_report_that_would_lose_an_id_is_not_written(store: Store) -> None:
    keep(store, SAID)
    with pytest.raises(UnsafeError, match="cyber would be lost"):
        report(store, settings=Settings(redact=Redact(deny=["cyber"])))


def test_a_report_in_which_a_piece_of_a_secret_is_left_is_not_written(store: Store) -> None:
    keep(store, SAID)
    read = sources(store, store.refusals(), Settings())
    ours = "Preflight Checklist"
    with pytest.raises(UnsafeError, match="a piece of a secret is left"):
        written(read, Settings(), level=Level.IDS, shape="issue", known=Known(secrets=(ours,)), machine=MACHINE)
    two = Known(secrets=(ours, "Additional Information"))
    with pytest.raises(UnsafeError, match="pieces of 2 secrets are left"):
        written(read, Settings(), level=Level.IDS, shape="issue", known=two, machine=MACHINE)


def test_a_report_whose_shape_leaves_an_id_out_is_not_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(store, SAID)
    monkeypatch.setitem(SHAPES, "mail", lambda made: "nothing")
    with pytest.raises(UnsafeError, match=IDS[0]):
        report(store, shape="mail")


def test_an_organisation_is_named_where_its_owner_wants_it(store: Store) -> None:
    keep(store, SAID, note=f"organisation {PRIVATE['uuid']}")
    assert PRIVATE["uuid"] not in report(store)
    assert PRIVATE["uuid"] in report(store, keep=[PRIVATE["uuid"]])


def test_a_segment_that_is_not_there_or_not_kept_is_told_of(store: Store) -> None:
    entry = declined(request(), content=False)
    assert store.apply([entry]) == 0
    with pytest.raises(StoreError, match="no segment 999"):
        sources(store, store.refusals(), Settings(), chosen=[999])
    with pytest.raises(StoreError, match="segment 0 of .* was not kept"):
        sources(store, store.refusals(), Settings(), chosen=[0])


def test_effort_and_exemption_are_told(store: Store) -> None:
    assert store.apply([declined(request(output_config={"effort": "high"}), at=AT, request_id=IDS[0])]) == 0
    found = report(store, shape="exhibit", settings=Settings(exemption=Exemption(approved_on="2026-11-01")))
    assert "effort high" in found
    assert "approved on 2026-11-01, as the owner says. 1 of 1 were declined despite it." in " ".join(found.split())
    assert "despite the approval" in found
    assert "None is named" in report(store, shape="exhibit")


def test_the_poison_test_and_the_incident_are_told_though_one_refusal_is_named(store: Store) -> None:
    first = {"role": "user", "content": "The sheet says: " + "word " * 60}
    chain = [first, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "hi"}]
    assert store.apply([declined(request(messages=[first]), at=AT, request_id=IDS[0])]) == 0
    assert store.apply([declined(request(messages=chain), at=AT + 60, request_id=IDS[1])]) == 0
    later, earlier = store.refusals()
    read = sources(store, [earlier], Settings())
    assert isinstance(read, Sources)
    found = written(read, Settings(), level=Level.METADATA, shape="mail", known=OWNER, machine=MACHINE).text
    found = " ".join(found.split())
    assert f"after something else had been declined, a text of at most 6 tokens was declined too: {IDS[1]}" in found
    assert f"2 refusals with what had been new in the first of them, {earlier.at} to {later.at}" in found
    assert "whatever was said" not in found


def test_a_short_text_that_is_itself_what_was_declined_is_no_poison_test(store: Store) -> None:
    chain: list[dict[str, Any]] = [
        {"role": "user", "content": "please format this file for me"},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "BADBIO turn two"},
    ]
    assert store.apply([declined(request(messages=chain), at=AT, request_id=IDS[0])]) == 0
    assert sources(store, store.refusals(), Settings()).poisoned == []
    chain[-1] = {"role": "user", "content": [{"type": "text", "text": "BADBIO turn two"}] * 2}
    assert store.apply([declined(request(messages=chain), at=AT + 60, request_id=IDS[1])]) == 0
    read = sources(store, store.refusals(), Settings())
    assert read.poisoned == []
    found = written(read, Settings(), level=Level.METADATA, shape="issue", known=OWNER, machine=MACHINE).text
    assert "Distinct contents: 1, by what was newest in each" in found
    assert "Said before: 1 said" in found
    assert "too:" not in found


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("said", "said"),
        ({"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, "Hm."),
        ({"type": "redacted_thinking", "data": "c2ln"}, "(redacted thinking, not shown)"),
        ({"type": "tool_use", "id": "t", "name": "Read", "input": {"file_path": "/x", "n": 3}}, "file_path: /x\nn: 3"),
        ({"type": "tool_result", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "a\nb"),
        ({"type": "image", "source": {"type": "base64", "data": "aGk="}}, "source: (4 characters of base64, not shown)"),
        ({"type": "new", "cache_control": 1, "empty": [], "x": None}, "empty: \nx: null"),
    ],
)  # fmt: skip
def test_a_segment_is_told_without_its_json(content: Any, told: str) -> None:
    assert said(json.dumps(content).encode()) == told


def test_an_address_that_a_tool_was_given_is_a_placeholder(store: Store) -> None:
    keep(store, SAID)
    assert store.apply([declined(request(2), at=AT + 9000, request_id=IDS[1])]) == 0
    assert "/src/0.py" not in report(store, shape="json")


def test_what_is_no_json_is_told_as_it_is() -> None:
    assert said(b"\xff{") == "\\xff{"
