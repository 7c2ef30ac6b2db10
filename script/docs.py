"""What is written from the code: ``python -m script.docs`` writes it, and ``tests/test_docs.py`` holds it to the code.

``schemas/json/*.json``, ``docs/records.md``, ``docs/settings.md`` and ``docs/commands.md``. Descriptions are the docstrings that stand
under the fields of ``schemas``.
"""  # noqa: INP001 - run with -m, never imported by the package

import ast
import inspect
import json
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import click
import msgspec
from msgspec import Struct
from msgspec.structs import FieldInfo, fields

from proxy.exporters import schema as exported
from proxy.values import OPEN
from schemas import labels, records
from schemas.settings import Settings

ROOT = Path(__file__).parent.parent
RECORDS: tuple[type[Struct], ...] = (
    records.Refusal,
    records.Attempt,
    records.Segment,
    records.Traffic,
    records.Rephrasing,
    records.Pin,
    records.Accepted,
    records.Annotation,
    records.Judgement,
    records.Trial,
    records.Located,
)
VOCABULARIES: tuple[type[StrEnum], ...] = (
    labels.Kind,
    labels.Stage,
    labels.Outcome,
    labels.Role,
    labels.Verdict,
    labels.Result,
    labels.Label,
    labels.Source,
    labels.Strategy,
    labels.Ruling,
    labels.History,
    labels.Domain,
    labels.Purpose,
)
_TYPES = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    bytes: "bytes",
    dict: "object",
    type(None): "null",
}


def written() -> dict[Path, str]:
    """Every generated file with what it has to say."""
    schemas = {ROOT / f"schemas/json/{record.__name__.lower()}.json": schema(record) for record in RECORDS}
    schemas[ROOT / "schemas/json/export.json"] = json.dumps(exported.schema(), indent=2) + "\n"
    return schemas | {
        ROOT / "docs/records.md": _page(_records()),
        ROOT / "docs/settings.md": _page(_settings()),
        ROOT / "docs/commands.md": _page(_commands()),
    }


def schema(record: type[Struct]) -> str:
    """A record's JSON Schema (2020-12), with a description for each property."""
    made = msgspec.json.schema(record)
    for name, definition in made["$defs"].items():
        for field, text in _docstrings(records).get(name, {}).items():
            if field in definition.get("properties", {}):
                definition["properties"][field]["description"] = _plain(text)
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **made}, indent=2) + "\n"


def _records() -> Iterator[str]:
    yield _head("Records", "schemas/records.py and schemas/labels.py")
    yield _cell(inspect.cleandoc(records.__doc__ or "").partition("\n\n")[2])
    yield (
        "`demur list --json` gives incidents, one object a line: the fields of the first refusal up to `sources`, with `outcome` and `answered_by` of the"
        " last and the newest `verdict`, and `refusals` (how many), `first_at`, `last_at` and `ids`. With `--all` it gives the refusals,"
        " without these four. `demur show --json` gives one object: all fields of the refusal, and `segments` (without `content`, which holds the"
        " text itself where `--content` was asked for), `candidates` (the new ones, the strongest first), `since_turn` (in which the"
        " first new thing stands), `attempts`, `rephrasings`, `advice`, `incident`, `annotations`, `judgements`, `trials`, `located`, `cost`,"
        " `burst`, `despite_exemption` and `links`."
    )
    yield "The same as JSON Schema: " + ", ".join(
        f"[{record.__name__.lower()}](../schemas/json/{record.__name__.lower()}.json)" for record in RECORDS
    )
    for record in RECORDS:
        hints, told = get_type_hints(record), _docstrings(records)[record.__name__]
        yield f"## {record.__name__}"
        yield _cell(record.__doc__ or "")
        yield _table(
            ("field", "type", ""),
            [(f"`{name}`", _type(hints[name]), told.get(name, "")) for name in record.__struct_fields__],
        )
    for vocabulary in VOCABULARIES:
        told = _docstrings(labels)[vocabulary.__name__]
        yield f"## {vocabulary.__name__}"
        yield _cell(vocabulary.__doc__ or "")
        yield _table(("value", "meaning"), [(f"`{member.value}`", told.get(member.name, "")) for member in vocabulary])


def _settings() -> Iterator[str]:
    yield _head("Settings", "schemas/settings.py")
    yield (
        "`demur.toml` stands in the user's config folder (`~/.config/demur` on Linux); `--config` or `DEMUR_CONFIG` names another. A flag"
        " goes before the environment, the environment before the file, the file before the default. A list in the environment is separated"
        " by commas. `demur doctor` shows what is set, and where. Settings are read when demur starts: after a change, start `demur up`,"
        " `demur run` or `demur mitm` again. `demur doctor` says where one still runs that had begun before a change."
    )
    yield from _setting_tables(Settings, "")


def _setting_tables(table: type[Struct], prefix: str) -> Iterator[str]:
    """Of a table of ``demur.toml`` its settings, and then the tables in it."""
    hints = get_type_hints(table, include_extras=True)
    yield _setting_table([field for field in fields(table) if not _is_table(hints[field.name])], hints, prefix)
    for field in fields(table):
        if _is_table(inner := hints[field.name]):
            yield f"## [{prefix}{field.name}]"
            told = _cell(inspect.cleandoc(inner.__doc__ or "").partition(": ")[2])
            yield told[:1].upper() + told[1:]
            yield from _setting_tables(inner, f"{prefix}{field.name}.")


def _setting_table(listed: list[FieldInfo], hints: dict[str, Any], prefix: str) -> str:
    rows: list[tuple[str, ...]] = []
    for field in listed:
        default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
        variable = "DEMUR_" + (prefix + field.name).replace(".", "_").upper()
        (meta,) = hints[field.name].__metadata__
        named = "" if _is_list_of_tables(hints[field.name]) or field.name in OPEN else f"`{variable}`"
        rows.append((f"`{field.name}`", f"`{json.dumps(default)}`", named, meta.description))
    return _table(("setting", "default", "environment", "meaning"), rows)


def _commands() -> Iterator[str]:
    from proxy.cli import main

    yield _head("Commands", "--help")
    yield from _helps(main, "demur", None)


def _helps(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, parent, name, terminal_width=100, **command.context_settings)
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from _helps(found, inner, context)


def _head(title: str, origin: str) -> str:
    return f"# {title}\n\n<!-- Written by `python -m script.docs` from {origin}. -->"


def _page(parts: Iterator[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    cells = [titles, tuple("---" for _ in titles), *(tuple(_cell(cell) for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _cell(text: str) -> str:
    return " ".join(_null(text).replace("``", "`").replace("|", "\\|").split())


def _plain(text: str) -> str:
    return " ".join(_null(text).replace("``", "").split())


def _null(text: str) -> str:
    """Python's None is JSON's null."""
    return re.sub(r"\bNone\b", "null", text)


def _is_table(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Struct)


def _is_list_of_tables(hint: Any) -> bool:
    return any(get_origin(inner) is dict for inner in get_args(get_args(hint)[0]))


def _type(hint: Any) -> str:
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(map(_type, get_args(hint)))
    if get_origin(hint) is list:
        return f"list of {_type(get_args(hint)[0])}"
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    return _TYPES[get_origin(hint) or hint]


def _docstrings(module: ModuleType) -> dict[str, dict[str, str]]:
    """Class -> field or member -> the text that stands under it."""
    found: dict[str, dict[str, str]] = {}
    for defined in ast.parse(inspect.getsource(module)).body:
        if not isinstance(defined, ast.ClassDef):
            continue
        texts = found[defined.name] = {}
        for above, below in zip(defined.body, defined.body[1:], strict=False):
            target = (
                above.target
                if isinstance(above, ast.AnnAssign)
                else above.targets[0]
                if isinstance(above, ast.Assign)
                else None
            )
            match target, below:
                case ast.Name(id=name), ast.Expr(value=ast.Constant(value=str(text))):
                    texts[name] = text
    return found


if __name__ == "__main__":
    for path, text in written().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        print(path.relative_to(ROOT))  # noqa: T201 - a script
