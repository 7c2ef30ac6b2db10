"""What is written from the code says what the code says. `python -m script.docs` writes it anew."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from proxy.cli import COMMANDS
from schemas.records import Refusal
from schemas.settings import PLANNED
from script.docs import RECORDS, ROOT, written

GENERATED = written()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_a_generated_file_is_current(path: Path) -> None:
    assert path.read_text("utf-8") == GENERATED[path], "python -m script.docs"


def test_no_schema_is_left_of_a_record_that_is_gone() -> None:
    there = {path.stem for path in (ROOT / "schemas" / "json").iterdir()}
    assert there == {record.__name__.lower() for record in RECORDS}


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
    assert all(f"`[{table}]`" in pages["settings.md"] for table in PLANNED)
    assert '| `content` | `"refusals"` | `DEMUR_CAPTURE_CONTENT` |' in pages["settings.md"]
    told = re.findall(r"^## demur ([\w-]+)$", pages["commands.md"], re.MULTILINE)
    assert told == list(COMMANDS)
    assert "## demur db vacuum" in pages["commands.md"]
