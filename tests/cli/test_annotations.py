"""How what was found, the steps and the cost are put."""

import pytest

from commands import ESCAPES
from proxy.cli.annotations import LANGUAGES, advice_lines, cost_sentence, facts, language, link_lines
from proxy.cli.layout import width
from proxy.core.costs import Cost
from proxy.core.links import LINKS
from schemas.records import Annotation


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Annotation(name="script", value="Latin", confidence=0.98), ("script", "Latin (confidence 0.98)")),
        (Annotation(name="language", value="ru", confidence=0.93, evidence=["by a detector", "messages[2].content[1]"]),
         ("language", "Russian (confidence 0.93): by a detector, messages[2].content[1]")),
        (Annotation(name="language", value="xx"), ("language", "xx")),
        (Annotation(name="layout", value="Russian on US", confidence=0.6, evidence=["typed on the US layout"]),
         ("keyboard", "looks like Russian on US (confidence 0.6): typed on the US layout")),
        (Annotation(name="domain", value="life_science", confidence=0.5, evidence=["plasmid (messages[0].content)"]),
         ("field", "perhaps life science (confidence 0.5): plasmid (messages[0].content)")),
        (Annotation(name="media", value="application/pdf", evidence=["1 in the request"]),
         ("media", "application/pdf: 1 in the request")),
        (Annotation(name="marker", value="refusal test string", evidence=["system[0] (system)"]),
         ("test string", "refusal test string: system[0] (system)")),
        (Annotation(name="of_next_year", value="odd"), ("of_next_year", "odd")),
    ],
    ids=lambda value: value.name if isinstance(value, Annotation) else "",
)  # fmt: skip
def test_each_annotation_has_a_title_and_a_sentence(found: Annotation, told: tuple[str, str]) -> None:
    assert list(facts([found])) == [told]


def test_several_of_one_name_have_one_title() -> None:
    found = [Annotation(name="media", value="image/png"), Annotation(name="media", value="application/pdf")]
    assert list(facts(found)) == [("media", "image/png"), ("", "application/pdf")]
    assert list(facts([])) == []


def test_no_annotation_can_drive_a_terminal() -> None:
    found = [Annotation(name=name + ESCAPES, value=ESCAPES, evidence=[ESCAPES]) for name in ("x", "y")]
    found += [Annotation(name=name, value=ESCAPES) for name in ("language", "domain", "layout")]
    told = "".join(title + sentence for title, sentence in facts(found))
    assert told.isprintable()


def test_steps_are_wrapped_behind_their_bullets_and_cannot_drive_a_terminal() -> None:
    lines = advice_lines(["Go back " * 20, f"see {ESCAPES}\nx"], 60)
    assert [line[:4] for line in lines] == ["  - ", "    ", "    ", "  - "]
    assert all(width(line) <= 60 and line.isprintable() for line in lines)
    assert lines[-1].endswith(r"\nx")
    assert advice_lines([], 60) == []


def test_addresses_are_whole_and_dated() -> None:
    lines = link_lines(list(LINKS.values()), 60)
    assert sum("https://" in line for line in lines) == len(LINKS)
    assert "(2026-08, some found the form empty)" in " ".join(" ".join(lines).split())
    for link in LINKS.values():
        assert any(link.url in line for line in lines)


@pytest.mark.parametrize(
    ("cost", "told"),
    [
        (Cost(), ""),
        (Cost(input_tokens=412, output_tokens=3, ms=812), "tokens: 412 in, 3 out; 0.8 s"),
        (Cost(ms=65_432), "65.4 s"),
        (
            Cost(input_tokens=25_000, output_tokens=510, cache_read_tokens=20_000, cache_write_tokens=2000, lost_tokens=2000,
                 again_tokens=22_000, attempts=2, ms=4900, usd=1.128, at_least=True),
            ("tokens: 25,000 in, 510 out, 20,000 read from the cache, 2,000 written to it;"
            " 2,000 of them written to the cache of a model that then declined; 22,000 that another model had to read anew;"
            " 2 attempts; 4.9 s; at least $1.13 at list prices, if billed"),
        ),
        (Cost(usd=0.00123), "$0.0012 at list prices, if billed"),
        (Cost(usd=0.0), "$0.0000 at list prices, if billed"),
        (Cost(usd=1234.5, unpriced=["m", "n\x1b"]),
         r"at least $1,234.50 at list prices, if billed, without m, n\x1b, which has no price"),
    ],
)  # fmt: skip
def test_a_cost_is_tokens_attempts_time_and_money_if_billed(cost: Cost, told: str) -> None:
    assert cost_sentence(cost) == told


def test_the_languages_people_complained_in_have_names() -> None:
    assert [language(code) for code in "ru tr ko hu en".split()] == [
        "Russian",
        "Turkish",
        "Korean",
        "Hungarian",
        "English",
    ]
    assert all(len(code) == 2 and name.istitle() for code, name in LANGUAGES.items())
    assert language(ESCAPES).isprintable()
