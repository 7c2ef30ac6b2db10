"""Claude Code's OpenTelemetry logs as OTLP JSON, one export or one a line, as a collector's file exporter writes them. Metadata only.

Read after Claude Code's own documentation ("Monitoring") and the OTLP specification, not against a collector. ``claude_code.api_refusal`` tells of a
declined request; one with ``server_fallback_hop`` is followed by what came of the API's own fallback, under the same request id.
``category`` is told only where tool details are logged. ``api_request`` and ``api_error`` events are counted. Nothing that names a person is taken.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

from proxy.core.stamps import stamp
from proxy.importers import moments
from proxy.importers.documents import Json, objects, table, text
from proxy.importers.opening import first
from proxy.importers.source import Found, Origin, Trouble, identify
from schemas.labels import Kind, Outcome, Result, Role
from schemas.records import Entry, Refusal, Traffic

_EVENTS = {"api_refusal": None, "api_request": Result.ANSWERED, "api_error": Result.ERROR}
_ROLES = {
    "repl_main_thread": Role.MAIN,
    "sdk": Role.MAIN,
    "compact": Role.COMPACTION,
    "generate_session_title": Role.TITLE,
    "auto_mode": Role.CLASSIFIER,
}
_PARTS = ("resourceLogs", "scopeLogs", "logRecords")


class OtelLogs:
    """See the head of the module."""

    name = "otel"

    def claims(self, head: bytes, origin: Origin) -> bool:
        """See ``Source``."""
        return isinstance(first(head).get("resourceLogs"), list)

    def read(self, file: BinaryIO, origin: Origin) -> Iterator[Found]:
        """See ``Source``. Records come at the end, as a later event may say more of the same request."""
        refused, counted = dict[str, Refusal](), dict[str, Traffic]()
        try:
            for found in objects(file):
                yield from [found] if isinstance(found, Trouble) else _take(*found, origin, refused, counted)
        except OSError:
            yield from _entries(refused, counted)
            raise
        yield from _entries(refused, counted)


def _take(
    line: int | None, batch: Json, origin: Origin, refused: dict[str, Refusal], counted: dict[str, Traffic]
) -> Iterator[Trouble]:
    for n, facts in enumerate(_facts(batch)):
        if facts["name"] not in _EVENTS:
            continue
        if (at := moments.seconds(facts["at"])) is None:
            yield Trouble(line, "an event without a time")
            continue
        request = text(facts.get("request_id"))
        one = request or f"{at} {facts.get('session.id')} {facts.get('event.sequence', n)}"
        if facts["name"] == "api_refusal":
            refused[one] = _refused(refused.get(one), facts, at, request, one, origin)
        else:
            counted[one] = _traffic(facts, at, _EVENTS[facts["name"]])


def _entries(refused: dict[str, Refusal], counted: dict[str, Traffic]) -> Iterator[Entry]:
    for one, refusal in refused.items():
        counted.pop(one, None)
        yield Entry(refusals=[refusal], traffic=[(_of(refusal), 1)])
    if counts := Counter(counted.values()):
        yield Entry(traffic=list(counts.items()))


def _facts(batch: Json) -> Iterator[dict[str, Any]]:
    """The attributes of each record, with those of its resource; ``name`` without its prefix, and ``at``."""
    for resource in _list(batch, _PARTS[0]):
        about = _attributes(table(resource.get("resource")))
        for record in (record for scope in _list(resource, _PARTS[1]) for record in _list(scope, _PARTS[2])):
            facts = about | _attributes(record)
            said = facts.get("event.name") or record.get("eventName") or _plain(table(record.get("body")))
            at = facts.get("event.timestamp") or record.get("timeUnixNano") or record.get("observedTimeUnixNano")
            yield facts | {"name": str(said).removeprefix("claude_code."), "at": at}


def _list(value: Json, name: str) -> list[Json]:
    found = value.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _attributes(holder: Json) -> dict[str, Any]:
    return {str(one.get("key")): _plain(table(one.get("value"))) for one in _list(holder, "attributes")}


def _plain(value: Json) -> Any:
    """``{"stringValue": ...}``, ``{"intValue": "3"}`` and the like; structures are left out."""
    return next((one for one in value.values() if isinstance(one, str | int | float)), None)


def _refused(before: Refusal | None, facts: Json, at: float, request: str | None, one: str, origin: Origin) -> Refusal:
    """``before``: what an earlier event said of the same request. What ended it counts."""
    hop = str(facts.get("server_fallback_hop")).lower() == "true"
    if before is not None and hop:
        return before

    def clean(name: str) -> str | None:
        said = text(facts.get(name))
        return origin.redactor.text(said)[0] if said else None

    return Refusal(
        id=before.id if before else identify(at, "otel", one),
        at=before.at if before else stamp(at),
        source=OtelLogs.name,
        sources=[OtelLogs.name],
        kind=Kind.REFUSAL,
        evidence="claude_code.api_refusal",
        confidence=1.0,
        category=clean("category") or (before.category if before else None),
        model=(before.model if before else None) or clean("model"),
        outcome=Outcome.RECOVERED_BY_API if hop else Outcome.REFUSED,
        request_id=origin.redactor.text(request)[0] if request else None,
        session_id=clean("session.id"),
        role=_role(facts),
        client="claude-cli",
        client_version=clean("app.version") or clean("service.version"),
        entrypoint=clean("app.entrypoint"),
    )


def _traffic(facts: Json, at: float, outcome: Result | None) -> Traffic:
    model = text(facts.get("model")) or ""
    return Traffic(
        hour=stamp(at)[:13],
        model=model,
        answered_by=model if outcome is Result.ANSWERED else "",
        client="claude-cli",
        client_version=text(facts.get("app.version")) or text(facts.get("service.version")) or "",
        entrypoint=text(facts.get("app.entrypoint")) or "",
        role=_role(facts),
        outcome=outcome or "",
    )


def _of(refusal: Refusal) -> Traffic:
    return Traffic(
        hour=refusal.at[:13],
        model=refusal.model or "",
        client="claude-cli",
        client_version=refusal.client_version or "",
        entrypoint=refusal.entrypoint or "",
        role=refusal.role,
        outcome=refusal.outcome,
    )


def _role(facts: Json) -> Role:
    asked = text(facts.get("query_source")) or ""
    return _ROLES.get(asked) or (Role.SUBAGENT if asked.startswith("agent") else Role.OTHER)
