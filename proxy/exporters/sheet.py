"""An incident as people read it: a title, facts, what was new in its first request, and who said what of it.

The title is made of category and model alone, as it may end up in public.
"""

from base64 import b64decode
from collections.abc import Iterator
from typing import Any, NamedTuple

from proxy.exporters.export import Record
from proxy.exporters.levels import readable

MOST_PARTS = 12
"""Segments that are told of one by one."""
MOST_IDS = 20
_FACTS = (
    "stage", "status", "ms_to_refusal", "input_tokens", "output_tokens", "cache_read_tokens", "role", "client", "client_version",
    "entrypoint", "project", "turn", "history", "accepted_at", "accepted_model", "accepted_version", "domain", "evidence", "sources",
)  # fmt: skip
"""Fields of the first refusal, in their order; what is not known is left out."""
_OURS = ("stage", "role", "history")
"""Those of our vocabularies."""


class Member(NamedTuple):
    """One refusal of an incident, in short."""

    id: str
    at: str
    request_id: str
    outcome: str


class Sheet(NamedTuple):
    """See the head of the module. All texts are as the level lets them out, and nothing is escaped yet."""

    id: str
    title: str
    category: str
    model: str
    at: str
    """When the first of them came."""
    last_at: str
    n: int
    outcome: str
    """Of the last."""
    verdict: str
    request_id: str
    facts: list[tuple[str, str]]
    parts: list[str]
    """What was new in the first request, the strongest first."""
    excerpts: list[tuple[str, str]]
    """What it is, and how it begins."""
    said: list[str]
    explanation: str
    members: list[Member]
    """``MOST_IDS`` at most."""


def sheet(records: Iterator[Record]) -> Sheet:
    """Of the refusals of one incident, the first first. There is at least one."""
    first = last = next(records)
    n, verdict, members, said = 1, first.get("verdict") or "unknown", [_member(first)], list(_said(first))
    for last in records:
        n += 1
        if last.get("verdict", "unknown") != "unknown":
            verdict = last["verdict"]
        if n <= MOST_IDS:
            members.append(_member(last))
            said += _said(last)
    return Sheet(
        id=first["id"],
        title=title(first),
        category=category(first),
        model=first["model"] or "unknown",
        at=first["at"],
        last_at=last["at"],
        n=n,
        outcome=_outcome(last),
        verdict=plain(verdict),
        request_id=first["request_id"] or "",
        facts=facts(first),
        parts=parts(first),
        excerpts=excerpts(first),
        said=said,
        explanation=first.get("explanation") or "",
        members=members,
    )


def title(record: Record) -> str:
    """``cyber, claude-opus-5``."""
    return f"{category(record)}, {record['model'] or 'model not known'}"


def category(record: Record) -> str:
    """As the API said it; the kind, where it is no refusal."""
    return str(record["category"] or "none") if record["kind"] == "refusal" else plain(record["kind"])


def plain(word: str) -> str:
    """A word of our vocabularies, for people."""
    return word.replace("_", " ")


def facts(record: Record) -> list[tuple[str, str]]:
    """Name and value of what is known of one refusal beside the columns of the table."""
    return [(plain(name), _value(name, record[name])) for name in _FACTS if record.get(name) not in (None, "", [])]


def parts(record: Record) -> list[str]:
    """``tool result of Read ~/x.pdf, 14302 bytes, b2:...``: what was new, else nothing."""
    new = [one for one in record.get("segments", []) if one["new"]]
    told = [f"{_named(one)}, {one['bytes']} bytes, {one['hash']}" for one in new[-MOST_PARTS:]]
    return [*told, *([f"and {more} more"] if (more := len(new) - len(told)) else [])]


def excerpts(record: Record) -> list[tuple[str, str]]:
    """What each is, and how it begins."""
    by_n = {one["n"]: one for one in record.get("segments", [])}
    return [(_named(by_n[one["n"]]), one["text"]) for one in record.get("excerpts", []) if one["text"]]


def texts(record: Record) -> list[tuple[str, str]]:
    """Of a record at level ``full`` what each new segment says, whole."""
    contents = record.get("contents", {})
    new = [one for one in record.get("segments", []) if one["new"] and one.get("content") in contents]
    return [(_named(one), readable(b64decode(contents[one["content"]]))) for one in new]


def _member(record: Record) -> Member:
    return Member(record["id"], record["at"], record["request_id"] or "", _outcome(record))


def _outcome(record: Record) -> str:
    by = f" ({record['answered_by']})" if record["answered_by"] else ""
    return plain(record["outcome"]) + by


def _said(record: Record) -> Iterator[str]:
    """``false positive, security: a note (ann)``."""
    for one in record.get("judgements", []):
        what = ", ".join(filter(None, (plain(one["verdict"]), one["domain"], *one["tags"])))
        note = f": {one['note']}" if one["note"] else ""
        yield f"{what}{note} ({one['author']}, {one['at'][:10]})"


def _named(segment: dict[str, Any]) -> str:
    of = " ".join(fact for fact in (segment["tool"], segment["target"]) if fact)
    return plain(segment["label"]) + (f" of {of}" if of else "")


def _value(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return plain(value) if name in _OURS else str(value)


def table(record: Record) -> str:
    """The facts of one refusal, a line each."""
    named = [
        ("at", record["at"]),
        ("request id", record["request_id"]),
        ("outcome", _outcome(record)),
        ("id", record["id"]),
    ]
    return "\n".join([title(record), *(f"{name}: {value}" for name, value in (*named, *facts(record)) if value)])


def reading(record: Record) -> str:
    """What someone reads who is to judge it, as far as the level lets it out: never empty."""
    blocks = []
    if record.get("explanation"):
        blocks.append(f"The API's explanation: {record['explanation']}")
    if new := parts(record):
        blocks.append("New since the last accepted request:\n" + "\n".join(new))
    blocks += [f"{what}:\n{text}" for what, text in (*excerpts(record), *texts(record)) if text]
    return "\n\n".join(blocks) or title(record)
