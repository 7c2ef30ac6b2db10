"""The hint at a field of work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.domains import hint
from schemas.labels import Domain


def field(text: str = "", *targets: str, tools: tuple[str, ...] = ()) -> Domain | None:
    found = hint([(text, "t")], [(target, "f") for target in targets], [(tool, "c") for tool in tools])
    assert found is None or 0 < found.confidence < 1
    return found and found.domain


@pytest.mark.parametrize(
    ("text", "targets", "tools", "domain"),
    [
        ("design primers for this plasmid", (), (), Domain.LIFE_SCIENCE),
        ("open it", ("/lab/reads.fastq.gz",), ("mcp__pubmed__search",), Domain.LIFE_SCIENCE),
        ("Собери карту плазмиды и сравни геномы", (), (), Domain.LIFE_SCIENCE),
        ("这个质粒的基因组", (), (), Domain.LIFE_SCIENCE),
        ("write a yara rule for this malware", ("rules/a.yar",), (), Domain.SECURITY),
        ("Найди уязвимости и эксплойты в отчёте", (), (), Domain.SECURITY),
        ("convert", ("caffeine.sdf",), ("obabel",), Domain.CHEMISTRY),
        ("anonymise the DICOM files of each patient", (), (), Domain.MEDICINE),
        ("fine-tune a LoRA with pytorch", (), (), Domain.AI_ML),
        ("why does it fail", ("infra/main.tf",), ("mcp__kubernetes__pods",), Domain.INFRASTRUCTURE),
        ("the Dockerfile does not start nginx", (), (), Domain.INFRASTRUCTURE),
        ("a quiz for my students", (), (), Domain.EDUCATION),
        ("plot a histogram", ("C:\\data\\run.ipynb",), (), Domain.DATA),
        ("übersetze die Untertitel", ("film.srt",), (), Domain.LANGUAGE),
        ("refactor @src/app.py, please", (), (), Domain.GENERAL_DEVELOPMENT),
        ("why does the vlan fail", ("terraform",), (), Domain.INFRASTRUCTURE),
        ("commit it", (), ("git",), Domain.GENERAL_DEVELOPMENT),
    ],
)
def test_two_signs_that_agree_make_a_hint(
    text: str, targets: tuple[str, ...], tools: tuple[str, ...], domain: Domain
) -> None:
    assert field(text, *targets, tools=tools) == domain


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hi",
        "Please look at my file.",
        "what is a plasmid",
        "open report.csv",  # the word and the end of the name are one sign
        "the student saw a virus in the api of the patient",
        "plasmids and genomes of patients with symptoms",
        "the cell, the sequence, the kernel, the agent and the payload",
        "see https://example.org/a/b",
        "привет, как дела",
    ],
)
def test_where_it_is_not_clear_nothing_is_said(text: str) -> None:
    assert field(text) is None


def test_general_development_gives_way_to_any_other_field() -> None:
    assert field("refactor and debug src/a.py src/b.go, the tests for plasmid and genome fail") == Domain.LIFE_SCIENCE
    assert field("refactor and debug the plasmid code in a.py, commit it") == Domain.GENERAL_DEVELOPMENT
    assert field("refactor the plasmid code, a genome") is Domain.LIFE_SCIENCE
    assert field("refactor the plasmid") is None


def test_the_evidence_is_words_of_the_table_and_where_they_stand() -> None:
    found = hint([("My secret plasmids, CRISPRed genomes: s.fasta", "messages[2].content")], [("x/s.fasta", "m")])
    assert found
    assert found.evidence == [
        "plasmid (messages[2].content)", "genom (messages[2].content)", ".fasta (messages[2].content)",
    ]  # fmt: skip
    many = hint([("plasmid crispr genome primer pcr enzyme antibody bacteria virus protein", "t")])
    assert many
    assert len(many.evidence) == 5
    assert many.confidence == 0.9


@given(st.lists(st.text()), st.lists(st.text()), st.lists(st.text()))
def test_any_text_can_be_looked_at(texts: list[str], targets: list[str], tools: list[str]) -> None:
    hint([(one, "t") for one in texts], [(one, "f") for one in targets], [(one, "c") for one in tools])
