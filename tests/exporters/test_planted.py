"""Nothing that was planted in a record leaves below ``full``, in whatever format; the API's ids do."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from answers import DETAILS, STOP, end, start
from commands import declined, request
from planted import FORMS, FURTHER, FURTHER_PLACES, IDS, PLACES, PRIVATE, SECRETS, left, wrapped
from proxy.cli import words
from proxy.core.known import Known
from proxy.core.scrub import Scrubber
from proxy.exporters import argilla, jsonl, label_studio, markdown, page, table
from proxy.exporters.chosen import Chosen
from proxy.exporters.export import Export
from proxy.exporters.levels import Curtain, Level
from proxy.judgements import judge
from proxy.reports import Report, mark
from proxy.store import Store
from schemas.labels import Verdict
from schemas.records import Attempt, Judgement, Traffic, Update

OWNER = Known(names=("Mara Quill",), accounts=("mquill",), homes=("/home/mquill",), secrets=("local-proxy-key-0815",))
BELOW_FULL = [level for level in Level if level != Level.FULL]
FORMATS: dict[str, Callable[[Export], Iterator[str]]] = {
    "jsonl": lambda made: jsonl.written(made, words.as_json, traffic=True),
    "csv": table.written,
    "markdown": markdown.written,
    "html": page.written,
    "label-studio": lambda made: label_studio.written(made, words.as_json),
    "argilla": lambda made: argilla.written(made, words.as_json),
}


def keep(store: Store, texts: list[str], request_id: str = IDS[0]) -> str:
    """One refusal, whose request has each text in a block of its own, and all of them wherever a record has words; the session's id."""
    message = {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}
    answer = start() + end("refusal", stop_details=DETAILS | {"explanation": " ".join(texts)}) + STOP
    made = declined(request(messages=[message]), answer, request_id=request_id)
    refusal = made.refusals[0]
    refusal.project, refusal.user, refusal.branch, refusal.entrypoint = texts[0], "mquill", texts[0], texts[0]
    for segment in made.segments:
        segment.new, segment.target, segment.tool = True, texts[0], texts[0]
    attempt = Attempt(n=1, by="demur", model="m", outcome="error", why=" ".join(texts))  # type: ignore[arg-type]
    made.updates = [Update(refusal_id=refusal.id, attempts=[attempt])]
    made.traffic = [(Traffic(hour="2026-11-24T00", user="mquill", client=texts[0], entrypoint=texts[0]), 1)]
    assert store.apply([made]) == 0
    note, tags = "\n".join(texts), [texts[0]]
    said = Judgement(
        refusal_id=refusal.id, at=refusal.at, author="Mara Quill", verdict=Verdict.CORRECT, note=note, tags=tags
    )
    judge(store, said)
    mark(store, [Report(refusal_id=refusal.id, at=refusal.at, url=texts[0], shape=texts[0])])
    return str(refusal.session_id)


def every_export(store: Store) -> Iterator[tuple[Level, str, str]]:
    """Each level and format, and what it lets out."""
    for level in BELOW_FULL:
        for name, form in FORMATS.items():
            made = Export(store, Chosen(), level, Curtain(Scrubber(OWNER)), line=words.line, text=words.text)
            yield level, name, "".join(form(made))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([*SECRETS.values(), *FURTHER.values(), *PRIVATE.values()]), min_size=1, max_size=3),
    st.sampled_from([*PLACES.values(), *FURTHER_PLACES.values()]),
    st.sampled_from([*FORMS.values()]),
    st.sampled_from([*SECRETS.values()]),
    st.data(),
)
def test_nothing_planted_is_in_any_export_below_full_and_the_request_id_is(
    tmp_path_factory: pytest.TempPathFactory,
    planted: list[str],
    place: tuple[str, str],
    form: Any,
    split: str,
    data: Any,
) -> None:
    at = data.draw(st.integers(1, len(split) - 1))
    texts = [f"see {form(one)} there" for one in planted]
    texts += [place[0].format(place[1]), f"cut:\n  {wrapped(split, 11, '  ')}", f"half {split[:at]}", split[at:]]
    with Store.open(tmp_path_factory.mktemp("db") / "demur.db") as store:
        session = keep(store, texts)
        for level, name, text in every_export(store):
            assert IDS[0] in text
            assert [
                (level, name, one)
                for one in (*planted, place[1], split, session, "mquill", "Mara Quill")
                if left(one, text)
            ] == []


def test_no_kind_of_secret_is_in_any_export_below_full_wherever_a_record_has_words(tmp_path: Path) -> None:
    known = SECRETS | FURTHER | PRIVATE
    placed = PLACES | FURTHER_PLACES
    texts = {one: f"see {one} there" for one in known.values()}
    texts |= {secret: place.format(secret) for place, secret in placed.values()}
    with Store.open(tmp_path / "demur.db") as store:
        for n, text in enumerate(texts.values()):
            keep(store, [text], f"req_011CXaBcDeFgHiJkLmNoP{n:04}")
        for level, name, text in every_export(store):
            assert text.count("req_011CXaBcDeFgHiJkLmNoP") >= len(texts)
            assert [(level, name, one) for one in texts if left(one, text)] == []


def test_at_full_all_of_it_leaves_as_it_is_stored(tmp_path: Path) -> None:
    with Store.open(tmp_path / "demur.db") as store:
        session = keep(store, ["see /home/mquill/x", "then"])
        text = "".join(FORMATS["jsonl"](Export(store, Chosen(), Level.FULL, Curtain(Scrubber(OWNER)))))
    assert session in text
    assert "/home/mquill/x" in text
