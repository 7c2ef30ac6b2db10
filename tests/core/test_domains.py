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


@pytest.mark.parametrize(
    "text",
    [
        "The symptom is a hang on start. Please run the diagnostics and find out why.",
        "Fix the regression in the dashboard component",
        "Run the molecule tests and check the catalyst config",
        "The quiz and the exam of the compiler",
        "translate this matrix and check the grammar of the parser",
        "The exploit of memory locality: no vulnerabilities",
        "Add a regression test for the histogram widget",
        "Migrate the Enzyme tests of the Primer components",
        "Add CSRF protection and escape the output against XSS in the login form",
        "Fine-tune the layout and the embedding of the map iframe",
        "Write a babel transformer that keeps the embedding of styles",
        "Be patient with the diagnosis: the symptom is a deadlock",
        "The virus scanner blocks the sequencing of our migrations",
        "Export the dataset as csv and add a pivot to the table",
        "The gettext catalogue and the i18n of the settings page are out of date",
        "Localise the message, then translate the coordinates",
        "Lessons learned: the exam page needs a teacher role",
        "Run the docker image and fix the dns lookup",
        "Use an LLM to build embeddings of the docs",
        "Add an outlier marker to the histogram, and a subtitle",
        "Traduis ce code en Rust et vérifie la grammaire",
        "Переведи этот модуль на TypeScript и поправь перевод строки",
        "Сделай выборку из таблицы",
        "把这个函数翻译成 Rust, 输出表格",
    ],
)
def test_ordinary_work_on_software_is_no_other_field(text: str) -> None:
    assert field(text) in (None, Domain.GENERAL_DEVELOPMENT)


def test_a_word_that_is_said_of_software_as_well_counts_beside_a_sign_of_another_kind_or_two_of_its_field() -> None:
    assert field("the symptom and its diagnosis") is None
    assert field("the symptom and the dosage") is None
    assert field("the symptom and its diagnosis", "scan.dcm") is Domain.MEDICINE
    found = hint([("the symptom, its dosage, radiology", "t")])
    assert found
    assert found.evidence == ["symptom (t)", "dosage (t)", "radiolog (t)"]


def test_what_is_common_still_tells_against_another_field() -> None:
    assert field("plasmid, genome: symptoms, diagnosis") is None


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
