"""Label Studio: a list of tasks, and the labeling configuration that belongs to it, with our vocabularies.

Formats: labelstud.io/guide/task_format and /guide/predictions. What demur suggests is a prediction, what a person said an annotation. An annotation
belongs to whoever imports it, as its author is no user there. Domains that persons made up are choices beside ours.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

from proxy.exporters.export import Export, Record
from proxy.exporters.levels import Level
from proxy.exporters.sheet import category, plain, reading
from schemas.labels import Domain, Verdict

VERDICTS = [verdict for verdict in Verdict if verdict != Verdict.UNKNOWN]
MOST_DOMAINS = 100
LONGEST_DOMAIN = 200
"""Characters of a choice: Argilla's server takes no more."""
_FACTS = (
    "at", "request_id", "kind", "category", "stage", "model", "answered_by", "outcome", "role", "client", "client_version", "project", "turn",
)  # fmt: skip
_DOMAINS = """
    select distinct domain from (select domain from judgements union select value from annotations where name = 'domain')
    where domain is not null and trim(domain) <> '' and length(domain) <= ? order by 1 limit ?
"""


def written(export: Export, encode: Callable[[object], str]) -> Iterator[str]:
    """The tasks, the oldest refusal first. Raises StoreError."""
    known = set(domains(export))
    between = "[\n"
    for record in export.records():
        yield between + encode(task(record, known))
        between = ",\n"
    yield "[]\n" if between == "[\n" else "\n]\n"


def config(known: Iterable[str]) -> str:
    """The labeling configuration; ``known``: the domains to choose from."""
    verdicts = "".join(map(_choice, VERDICTS))
    fields = "".join(map(_choice, known))
    return f"""<View>
  <Header value="What was declined"/>
  <Table name="facts" value="$facts"/>
  <Text name="text" value="$text"/>
  <Header value="Was the request declined rightly?"/>
  <Choices name="verdict" toName="text" choice="single" required="true">
{verdicts}  </Choices>
  <Header value="Field of work"/>
  <Choices name="domain" toName="text" choice="single">
{fields}  </Choices>
  <TextArea name="note" toName="text" placeholder="Why?" maxSubmissions="1" editable="true"/>
</View>
"""


def domains(export: Export) -> list[str]:
    """Ours, and those that persons made up, as the level lets them out. Raises StoreError."""
    if export.store is None or export.level == Level.IDS:
        return list(Domain)
    more = export.store.rows(_DOMAINS, [LONGEST_DOMAIN, MOST_DOMAINS])
    told = [one["domain"] if export.level == Level.FULL else export.curtain.text(one["domain"]) for one in more]
    return list(dict.fromkeys([*Domain, *map(export.line, told)]))


def task(record: Record, known: set[str]) -> dict[str, Any]:
    """One refusal."""
    facts = {plain(name): str(record[name]) for name in _FACTS if record.get(name) not in (None, "")}
    data = {
        "id": record["id"],
        "title": f"{category(record)}, {record['model'] or 'unknown'}",
        "facts": facts,
        "text": reading(record),
    }
    return {
        "data": data,
        "predictions": list(_predictions(record, known)),
        "annotations": list(_annotations(record, known)),
    }


def _predictions(record: Record, known: set[str]) -> Iterator[dict[str, Any]]:
    """The likeliest field of work, as demur suggests it."""
    found = [one for one in record.get("annotations", []) if one["name"] == "domain" and one["value"] in known]
    if found:
        best = max(found, key=lambda one: float(one["confidence"]))
        result = [_result(record, "domain", "choices", {"choices": [best["value"]]})]
        yield {"model_version": "demur", "score": score(best), "result": result}


def score(annotation: dict[str, Any]) -> float:
    """How sure demur is of what it suggests, from 0 to 1: no more is taken."""
    return min(max(float(annotation["confidence"]), 0.0), 1.0)


def _annotations(record: Record, known: set[str]) -> Iterator[dict[str, Any]]:
    """The last judgement of each author, where it says something."""
    for one in last_words(record):
        result = []
        if one["verdict"] != Verdict.UNKNOWN:
            result.append(_result(record, "verdict", "choices", {"choices": [one["verdict"]]}))
        if one["domain"] in known:
            result.append(_result(record, "domain", "choices", {"choices": [one["domain"]]}))
        if one["note"]:
            result.append(_result(record, "note", "textarea", {"text": [one["note"]]}))
        if result:
            yield {"result": result, "was_cancelled": False, "ground_truth": False}


def last_words(record: Record) -> list[dict[str, Any]]:
    """The last judgement of each author, the newest last."""
    last: dict[str, dict[str, Any]] = {}
    for one in record.get("judgements", []):
        last.pop(one["author"], None)
        last[one["author"]] = one
    return list(last.values())


def _result(record: Record, name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"{record['id']}-{name}", "from_name": name, "to_name": "text", "type": kind, "value": value}


def _choice(value: str) -> str:
    return f"    <Choice value={quoteattr(value)}/>\n"
