"""Datasette: a ``metadata.yaml`` with questions to the database that are already written, so that ``datasette DB -m metadata.yaml`` is useful at once.

Datasette 0.6x calls them canned queries (docs.datasette.io, "Canned queries"). Nothing of the records is in the file but the database's
name. Datasette opens the file for reading only, and itself listens on loopback; texts of requests are compressed in the tables, explanations
and notes are not. A parameter that is left empty means any.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Query(NamedTuple):
    """One question."""

    title: str
    description: str
    sql: str


QUERIES = {
    "by_month_and_category": Query(
        "By month and category",
        "How many requests were declined, how many of them in the end, and what persons said.",
        """
select substr(at, 1, 7) as month, iif(kind = 'refusal', coalesce(category, 'none'), kind) as category, count(*) as refusals,
  count(distinct coalesce(incident_id, id)) as incidents, sum(outcome not like 'recovered%') as declined_in_the_end,
  sum(verdict = 'false_positive') as false_positive, sum(verdict = 'correct') as correct
from refusals
where (:since = '' or at >= :since) and (:model = '' or model = :model)
group by 1, 2
order by 1 desc, 3 desc
""",
    ),
    "gap_per_model": Query(
        "The gap, per model",
        "Declined at first against declined in the end; requests are those that demur itself saw, so imports have none and no rate.",
        """
with asked as (
  select model, sum(n) as requests, sum(iif(outcome = 'refused' or outcome like 'recovered%', n, 0)) as counted
  from traffic where role <> 'count_tokens' and (:since = '' or hour >= substr(:since, 1, 13)) group by model
), declined as (
  select coalesce(model, '') as model, count(*) as refusals, sum(outcome = 'recovered_by_demur') as by_demur,
    sum(outcome = 'recovered_by_api') as by_api, sum(outcome = 'recovered_by_client') as by_client,
    sum(outcome not like 'recovered%') as in_the_end
  from refusals where kind = 'refusal' and (:since = '' or at >= :since) group by 1
)
select declined.model, requests, refusals as declined_at_first, in_the_end as declined_in_the_end, refusals - in_the_end as gap,
  by_demur, by_api, by_client, round(100.0 * counted / requests, 3) as declined_percent
from declined left join asked using (model)
order by declined_at_first desc
""",
    ),
    "open_incidents": Query(
        "Open incidents",
        "Nobody has judged any of their refusals, and the last was not answered; the one that went on last first.",
        """
with placed as (
  select *, row_number() over (one order by at desc, id desc) as place, count(*) over one as refusals,
    min(at) over one as first_at, max(verdict <> 'unknown') over one as judged
  from refusals where (:since = '' or at >= :since) and (:model = '' or model = :model)
  window one as (partition by coalesce(incident_id, id))
)
select coalesce(incident_id, id) as id, first_at, at as last_at, refusals, model, coalesce(category, kind) as category, stage,
  outcome, request_id, session_id, project
from placed
where place = 1 and not judged and outcome not like 'recovered%'
order by last_at desc
limit 500
""",
    ),
    "most_expensive": Query(
        "Most expensive",
        "Tokens as the API counted them, of the declined request and of all further attempts; whether they were billed is not known.",
        """
select id, at, model, category, outcome, attempts, coalesce(input_tokens, 0) + coalesce(cache_read_tokens, 0)
    + coalesce(cache_write_tokens, 0) + coalesce(output_tokens, 0) + coalesce(more_tokens, 0) as tokens,
  input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, more_tokens, request_id, project
from refusals left join (
  select refusal_id, count(*) as attempts,
    sum(iif(n > 0, coalesce(input_tokens, 0) + coalesce(output_tokens, 0), 0)) as more_tokens
  from attempts group by refusal_id
) on refusal_id = id
where (:since = '' or at >= :since) and (:model = '' or model = :model)
order by tokens desc
limit 100
""",
    ),
    "pairs": Query(
        "Declined by one model, accepted by another",
        "The same last turn of the user, in another request; what went before it in the conversation may differ.",
        """
select refusals.at, refusals.model as declined_by, passes.model as accepted_by, category, refusals.request_id as declined_request,
  passes.request_id as accepted_request, passes.at as accepted_at, passes.n as times_accepted, refusals.id
from passes join refusals on refusals.asked = passes.asked
where kind = 'refusal' and passes.model <> refusals.model and (:since = '' or refusals.at >= :since)
  and (:model = '' or refusals.model = :model)
order by refusals.at desc
limit 500
""",
    ),
    "unjudged": Query(
        "Not judged yet",
        "The first refusal of each incident of which nobody has judged any, newest first.",
        """
with placed as (
  select *, row_number() over (one order by at, id) as place, max(verdict <> 'unknown') over one as judged
  from refusals where (:since = '' or at >= :since) and (:model = '' or model = :model)
  window one as (partition by coalesce(incident_id, id))
)
select id, at, model, coalesce(category, kind) as category, stage, outcome, role, project, request_id
from placed
where place = 1 and not judged
order by at desc
limit 500
""",
    ),
    "by_client_version": Query(
        "By client version",
        "Requests that demur saw and how many of them were declined, by the version of the client.",
        """
select client, client_version, model, sum(n) as requests,
  sum(iif(outcome = 'refused' or outcome like 'recovered%', n, 0)) as declined,
  round(100.0 * sum(iif(outcome = 'refused' or outcome like 'recovered%', n, 0)) / sum(n), 3) as declined_percent
from traffic
where role <> 'count_tokens' and (:since = '' or hour >= substr(:since, 1, 13)) and (:model = '' or model = :model)
group by 1, 2, 3
order by requests desc
limit 500
""",
    ),
    "judgements_beside": Query(
        "Who said what",
        "Refusals that two or more persons judged, with the last verdict of each.",
        """
select refusal_id, at, model, category, group_concat(author || ': ' || said, ', ') as said, count(distinct said) > 1 as differ
from (
  select refusal_id, author, verdict as said from judgements where id in (select max(id) from judgements group by refusal_id, author)
) join refusals on id = refusal_id
where said <> 'unknown' and (:since = '' or at >= :since)
group by refusal_id having count(*) > 1
order by differ desc, at desc
limit 500
""",
    ),
}
"""Name -> query, over the tables of ``schemas.migrations``."""
_TABLES: dict[str, dict[str, object]] = {
    "refusals": {
        "description": "One row for each declined request; docs/records.md says what each column means.",
        "sort_desc": "at",
        "facets": ["category", "model", "outcome", "verdict", "kind"],
        "label_column": "request_id",
    },
    "judgements": {"description": "What persons said.", "sort_desc": "id", "facets": ["author", "verdict"]},
    "traffic": {"description": "Counts of all requests, by the hour; no content.", "sort_desc": "hour"},
    "imported_traffic": {"description": "Counts of requests that imported files tell of.", "sort_desc": "hour"},
    "reports": {"description": "What was reported where.", "sort_desc": "id"},
    "imports": {"hidden": True},
    "imported_requests": {"hidden": True},
    "segments": {"hidden": True},
    "chunks": {"hidden": True},
    "chunk_segments": {"hidden": True},
    "maps": {"hidden": True},
    "requests": {"hidden": True},
    "indexed": {"hidden": True},
    "incidents": {"hidden": True},
    "spools": {"hidden": True},
    "losses": {"hidden": True},
    "pins": {"hidden": True},
    "unpinned": {"hidden": True},
    "accepted": {"hidden": True},
    "witnesses": {"hidden": True},
    "passes": {"hidden": True},
    "withdrawn": {"hidden": True},
    "_sqlite_migrations": {"hidden": True},
    "sqlite_sequence": {"hidden": True},
}


def written(db: Path) -> Iterator[str]:
    """The file, for a database of this name. Scalars are written as JSON, which YAML 1.2 holds, and the queries as blocks."""
    yield f"# datasette {json.dumps(db.name)} -m metadata.yaml\n"
    yield 'title: "What the API declined"\n'
    yield f"databases:\n  {json.dumps(db.stem)}:\n    description: {json.dumps('Written by demur export --format datasette.')}\n    queries:\n"
    for name, query in QUERIES.items():
        yield f"      {name}:\n        title: {json.dumps(query.title)}\n        description: {json.dumps(query.description)}\n        sql: |-\n"
        yield "".join(f"          {line}\n" for line in query.sql.strip().splitlines())
    yield "    tables:\n"
    for name, said in _TABLES.items():
        yield f"      {name}: {json.dumps(said)}\n"
