"""The exported line as JSON Schema (2020-12), put together from the schemas of the records: one definition for each level, and one for a traffic count.

A reader tells the levels apart by ``level``. Below ``full`` what is withheld is null, so that the types are those of the record.
"""

from typing import Any

import msgspec

from proxy.exporters.levels import IDS, VERSION, Level, Witness
from proxy.reports import Report
from schemas import records

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/{name}"
_PARTS: dict[str, type[msgspec.Struct]] = {
    "segments": records.Segment,
    "attempts": records.Attempt,
    "rephrasings": records.Rephrasing,
    "annotations": records.Annotation,
    "judgements": records.Judgement,
    "trials": records.Trial,
    "located": records.Located,
    "witnesses": Witness,
    "reports": Report,
}
_TOLD = {"segments": "MappedSegment", "rephrasings": "RephrasingSizes", "reports": "ToldReport"}
"""What of these is told below ``full``."""


def schema() -> dict[str, Any]:
    """Of one line of ``demur export``."""
    _, defs = msgspec.json.schema_components((records.Refusal, records.Traffic, *_PARTS.values()), ref_template=_REF)
    for name in ("Refusal", *(part.__name__ for part in _PARTS.values())):
        defs[name]["required"] = list(defs[name]["properties"])  # an export leaves nothing out
    defs |= {"MappedSegment": _without(defs["Segment"], "content"), "RephrasingSizes": _sizes()}
    defs["ToldReport"] = _withheld(defs["Report"], "url")
    lists = {name: _list(part.__name__) for name, part in _PARTS.items()}
    told = lists | {name: _list(part) for name, part in _TOLD.items()}
    refusal = defs["Refusal"]["properties"]
    defs["Ids"] = _line(Level.IDS, {name: refusal[name] for name in IDS})
    defs["Metadata"] = _line(Level.METADATA, refusal | told)
    defs["Excerpts"] = _line(Level.EXCERPTS, refusal | told | {"excerpts": {"type": "array", "items": _EXCERPT}})
    defs["Full"] = _line(Level.FULL, refusal | lists | _BODY)
    defs["Count"] = {
        "title": "Count",
        "description": "How many Messages requests of one hour agree in these; only with --traffic.",
        "type": "object",
        "properties": _COUNT,
        "required": list(_COUNT),
    }
    lines = [{"$ref": f"#/$defs/{name}"} for name in ("Ids", "Metadata", "Excerpts", "Full", "Count")]
    return {"$schema": DRAFT, "title": "A line of demur export", "oneOf": lines, "$defs": dict(sorted(defs.items()))}


def _line(level: Level, properties: dict[str, Any]) -> dict[str, Any]:
    head: dict[str, Any] = {"demur": {"const": VERSION}, "level": {"const": str(level)}}
    return {
        "title": level.capitalize(),
        "description": f"A refusal at level {level}.",
        "type": "object",
        "properties": head | properties,
        "required": [*head, *properties],
    }


def _without(definition: dict[str, Any], name: str) -> dict[str, Any]:
    properties = {key: value for key, value in definition["properties"].items() if key != name}
    return definition | {"title": "MappedSegment", "properties": properties, "required": list(properties)}


def _withheld(definition: dict[str, Any], name: str) -> dict[str, Any]:
    """With a text that is null where it is withheld."""
    return definition | {"title": "ToldReport", "properties": definition["properties"] | {name: _TEXT}}


def _sizes() -> dict[str, Any]:
    properties = {"n": {"type": "integer"}, "strategy": {"type": "string"}}
    properties |= {name: {"type": "integer"} for name in ("original_bytes", "sent_bytes")}
    described = "A rephrasing, below the level full: the sizes of both texts."
    return {
        "title": "RephrasingSizes",
        "description": described,
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _list(name: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": _REF.format(name=name)}}


_TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}]}
_COUNT: dict[str, Any] = {
    "demur": {"const": VERSION},
    "traffic": {"$ref": "#/$defs/Traffic"},
    "n": {"type": "integer"},
    "imported": {"type": "boolean", "description": "Whether a file told of them, and no demur saw them."},
    "origin": {"type": "string", "description": "Who counted: of one origin and key the larger count holds both."},
    "source": {
        "type": "string",
        "description": "The importer that told of them; empty where it is not known, or none did.",
    },
}
_BASE64 = {"type": "string", "contentEncoding": "base64"}
_EXCERPT: dict[str, Any] = {
    "type": "object",
    "description": "How a segment begins, scrubbed; null where its text is not stored.",
    "properties": {"n": {"type": "integer"}, "label": {"type": "string"}, "hash": {"type": "string"}, "text": _TEXT},
    "required": ["n", "label", "hash", "text"],
}
_PIECE = {
    "anyOf": [
        {"type": "object", "properties": {"bytes": _BASE64}, "required": ["bytes"]},
        {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]},
    ]
}
_BODY: dict[str, Any] = {
    "contents": {
        "type": "object",
        "description": "Content key -> the segment's JSON, its bytes in base64.",
        "additionalProperties": _BASE64,
    },
    "skeleton": {
        "description": "The request in order: literal bytes, and the keys of contents. Joined it is the request; null where it was not kept.",
        "anyOf": [{"type": "array", "items": _PIECE}, {"type": "null"}],
    },
}
