"""Argilla 2: the records as ``Dataset.records.from_json`` reads them, and the settings as ``Settings.from_json`` does, with our vocabularies.

Format: docs.argilla.io/latest/reference/argilla/records and /settings. What demur suggests and what persons said are both suggestions, as a response
needs a user of the server; the agent tells them apart, and a person's word goes before demur's. The server takes few characters for an agent,
and refuses all records of a batch for one that has others (argilla-server 2.8, ``AGENT_REGEX``).
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from proxy.core.segment import key_of
from proxy.exporters.export import Export, Record
from proxy.exporters.label_studio import VERDICTS, domains, last_words, score
from proxy.exporters.sheet import plain, reading, table
from schemas.labels import Verdict

_TERMS = (
    "kind",
    "category",
    "stage",
    "model",
    "answered_by",
    "outcome",
    "role",
    "client",
    "client_version",
    "project",
    "request_id",
    "at",
)
_NO_AGENT = re.compile(r"[^A-Za-z0-9_:./-]+")
_LONGEST_AGENT = 200
_NUMBERS = ("input_tokens", "output_tokens", "ms_to_refusal", "turn")


def written(export: Export, encode: Callable[[object], str]) -> Iterator[str]:
    """The records, the oldest refusal first. Raises StoreError."""
    known = set(domains(export))
    between = "[\n"
    for record in export.records():
        yield between + encode(told(record, known))
        between = ",\n"
    yield "[]\n" if between == "[\n" else "\n]\n"


def told(record: Record, known: set[str]) -> dict[str, Any]:
    """One refusal."""
    metadata = {name: record[name] for name in (*_TERMS, *_NUMBERS) if record.get(name) not in (None, "")}
    return {
        "id": record["id"],
        "fields": {"facts": table(record), "text": reading(record)},
        "metadata": metadata,
        "suggestions": _suggestions(record, known),
        "responses": {},
        "vectors": {},
    }


def settings(known: list[str]) -> dict[str, Any]:
    """Of the dataset that the records go into; ``known``: the domains to choose from."""
    return {
        "guidelines": "Was the request declined rightly? What is called new is a candidate for what set it off, not a cause.",
        "fields": [
            _field("facts", "What was declined", required=True),
            _field("text", "What was new in it", required=True),
        ],
        "questions": [
            _labels("verdict", "Was it declined rightly?", [str(one) for one in VERDICTS], required=True),
            _labels("domain", "Field of work", known, required=False),
            _question("note", "Why?", {"type": "text", "use_markdown": False}, required=False),
        ],
        "metadata": [
            *(_metadata(name, "terms") for name in _TERMS),
            *(_metadata(name, "integer") for name in _NUMBERS),
        ],
        "vectors": [],
        "allow_extra_metadata": False,
        "distribution": {"strategy": "overlap", "min_submitted": 1},
    }


def _suggestions(record: Record, known: set[str]) -> dict[str, Any]:
    suggested = [one for one in record.get("annotations", []) if one["name"] == "domain" and one["value"] in known]
    found: dict[str, Any] = {}
    if suggested:
        best = max(suggested, key=lambda one: float(one["confidence"]))
        found["domain"] = {"value": best["value"], "score": score(best), "agent": "demur"}
    for one in last_words(record):
        agent = {"score": None, "agent": _agent(one["author"])}
        if one["verdict"] != Verdict.UNKNOWN:
            found["verdict"] = {"value": one["verdict"], **agent}
        if one["domain"] in known:
            found["domain"] = {"value": one["domain"], **agent}
        if one["note"]:
            found["note"] = {"value": one["note"], **agent}
    return found


def _agent(author: str) -> str:
    """A person in the characters that the server takes; where none is left, a hash."""
    told = _NO_AGENT.sub(" ", author).strip()[:_LONGEST_AGENT]
    return told if any(map(str.isalnum, told)) else key_of(author.encode("utf-8", "surrogatepass"))


def _field(name: str, title: str, *, required: bool) -> dict[str, Any]:
    settings = {"type": "text", "use_markdown": False}
    return {
        "name": name,
        "title": title,
        "type": "text",
        "required": required,
        "description": None,
        "settings": settings,
    }


def _question(name: str, title: str, settings: dict[str, Any], *, required: bool) -> dict[str, Any]:
    kind = settings["type"]
    return {"name": name, "title": title, "type": kind, "required": required, "description": None, "settings": settings}


def _labels(name: str, title: str, values: list[str], *, required: bool) -> dict[str, Any]:
    options = [{"value": value, "text": plain(value)} for value in values]
    visible = len(options) if len(options) > 3 else None
    return _question(
        name, title, {"type": "label_selection", "options": options, "visible_options": visible}, required=required
    )


def _metadata(name: str, kind: str) -> dict[str, Any]:
    bounds = {"values": None} if kind == "terms" else {"min": None, "max": None}
    return {
        "name": name,
        "title": plain(name),
        "visible_for_annotators": True,
        "settings": {"type": kind, "visible_for_annotators": True, **bounds},
    }
