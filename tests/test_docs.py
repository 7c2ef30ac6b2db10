"""What is written from the code says what the code says. `python -m script.docs` writes it anew."""

import json
import re
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from proxy.cli import COMMANDS, main
from schemas.models import ROUTES, permitted
from schemas.records import Refusal
from script.docs import RECORDS, ROOT, written

GENERATED = written()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_a_generated_file_is_current(path: Path) -> None:
    assert path.read_text("utf-8") == GENERATED[path], "python -m script.docs"


def test_no_schema_is_left_of_a_record_that_is_gone() -> None:
    there = {path.stem for path in (ROOT / "schemas" / "json").iterdir()}
    assert there == {record.__name__.lower() for record in RECORDS} | {"export"}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_a_schema_names_every_field_and_needs_those_without_a_default(record: type[msgspec.Struct]) -> None:
    schema = json.loads(GENERATED[ROOT / "schemas" / "json" / f"{record.__name__.lower()}.json"])
    definition: dict[str, Any] = schema["$defs"][record.__name__]
    assert schema["$ref"] == f"#/$defs/{record.__name__}"
    assert list(definition["properties"]) == list(record.__struct_fields__)
    needed = [field.name for field in msgspec.structs.fields(record) if field.required]
    assert definition.get("required", []) == needed


def test_a_docstring_under_a_field_is_its_description() -> None:
    properties = json.loads(GENERATED[ROOT / "schemas" / "json" / "refusal.json"])["$defs"]["Refusal"]["properties"]
    assert properties["answered_by"]["description"] == "The model that answered in the end, where one did."
    assert "null" in properties["exact"]["description"]


def test_the_pages_name_all_that_there_is() -> None:
    pages = {path.name: text for path, text in GENERATED.items()}
    assert all(f"| `{field}` |" in pages["records.md"] for field in Refusal.__struct_fields__)
    assert '| `content` | `"refusals"` | `DEMUR_CAPTURE_CONTENT` |' in pages["settings.md"]
    told = re.findall(r"^## demur ([\w-]+)$", pages["commands.md"], re.MULTILINE)
    assert told == list(COMMANDS)
    assert "## demur db vacuum" in pages["commands.md"]


PAGES = [ROOT / name for name in ("README.md", "THREAT_MODEL.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
_COMMAND = re.compile(r"(?:^|[`$(&] ?)demur (?!is ready)([a-z][a-z-]*)((?: [^\s`|&#)]+)*)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_is_there_with_its_options(page: Path) -> None:
    text = page.read_text("utf-8")
    code = "\n".join(re.findall(r"```.*?```", text, re.DOTALL) + re.findall(r"`[^`\n]+`", text))
    for name, rest in _COMMAND.findall(code):
        assert name in COMMANDS, f"demur {name}"
        command = main.get_command(click.Context(main), name)
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        given = [word.partition("=")[0] for word in rest.split(" -- ")[0].split() if word.startswith("--")]
        assert set(given) - {"--"} <= known or isinstance(command, click.Group), f"demur {name}{rest}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_links_to_is_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_the_threat_model_names_tests_that_are_there() -> None:
    text = (ROOT / "THREAT_MODEL.md").read_text("utf-8")
    for name in re.findall(r"`(tests/[\w/.]+)`", text):
        assert (ROOT / name).exists(), name
    for file, names in re.findall(r"`(tests/[\w/]+\.py)` \(([^)]+)\)", text):
        there = re.findall(r"^(?:async )?def (test_\w+)\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", names)) <= set(there), file


def test_the_page_on_retry_has_the_table_of_routes() -> None:
    page = (ROOT / "docs/retry.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `claude-")]
    told = {primary: row[1:] for row in rows for primary in re.findall(r"`([^`]+)`", row[0])}
    assert set(told) == {route.primary for route in ROUTES}
    for primary, cells in told.items():
        for category, cell in zip(("cyber", "bio", "frontier_llm", None), cells, strict=True):
            assert set(re.findall(r"`([^`]+)`", cell)) == (permitted(primary, category) or frozenset())
            assert (cell == "none") == (not permitted(primary, category))
