"""Databases of the size that years of a team give, written straight with SQL. No content in them."""

from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from random import Random

from proxy.store import Store
from schemas.models import family

BEGIN = datetime(2025, 5, 1, tzinfo=UTC)
MODELS = ("claude-opus-5", "claude-opus-4-8", "claude-sonnet-5")
VERSIONS = ("2.1.197", "2.1.330")
CATEGORIES = ("cyber", "bio", "frontier_llm", "reasoning_extraction", None)
_OUTCOMES = ("refused", "refused", "recovered_by_demur", "recovered_by_client", "recovered_by_api", "unknown")
_REFUSAL = """
    insert into refusals (id, at, source, kind, evidence, confidence, category, stage, model, outcome, request_id, session_id, role,
        client, client_version, entrypoint, project, fingerprint, asked, verdict, tags, sources, replacements, headers)
    values (?, ?, ?, 'refusal', 'message_delta.stop_reason', 1.0, ?, 'before_output', ?, ?, ?, ?, 'main', 'claude-cli', ?, 'cli', ?, ?, ?,
        'unknown', '[]', ?, 0, '{"anthropic-beta":"interleaved-thinking-2025-05-14","anthropic-version":"2023-06-01"}')
"""
_TRAFFIC = "insert into traffic values (?, ?, ?, 'claude-cli', ?, 'cli', 'main', '', ?, ?)"
_LANGUAGE = "insert into annotations values (?, 'language', ?, 0.9, '[]')"
_PASS = "insert or ignore into passes values (?, ?, ?, ?, 1)"


def fill(path: Path, *, refusals: int, requests: int, hours: int) -> None:
    """So many refusals and requests, spread over so many hours from ``BEGIN``. A third of the refusals is of another tool."""
    chance = Random(5)
    with Store.open(path) as store, store.transaction() as connection:
        connection.executemany(_TRAFFIC, _traffic(requests, hours))
        declined = list(_refusals(chance, refusals, hours))
        connection.executemany(_REFUSAL, declined)
        connection.executemany(_LANGUAGE, [(row[0], chance.choice(("en", "de", "ja"))) for row in declined[::2]])
        connection.executemany(_PASS, [(row[11], chance.choice(MODELS), row[1], f"{row[6]}p") for row in declined[::9]])


def _traffic(requests: int, hours: int) -> list[tuple[object, ...]]:
    """Most are answered, one in a hundred is declined, and each hour has each model, version and outcome."""
    outcomes = {"answered": 97, "refused": 1, "error": 2}
    cells = list(product(range(hours), MODELS, VERSIONS, outcomes))
    share = requests / (hours * len(MODELS) * len(VERSIONS) * 100)
    rows: list[tuple[object, ...]] = []
    given, owed = 0, 0.0
    for hour, model, version, outcome in cells:
        owed += share * outcomes[outcome]
        n, given = round(owed) - given, round(owed)
        answered = model if outcome == "answered" else ""
        rows.append((f"{BEGIN + timedelta(hours=hour):%Y-%m-%dT%H}", model, answered, version, outcome, n))
    return rows


def _refusals(chance: Random, refusals: int, hours: int) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for n in range(refusals):
        at = BEGIN + timedelta(hours=n * hours / refusals)
        source = "transcript" if n % 3 == 0 else "gateway"
        model, asked = chance.choice(MODELS), f"b2:{chance.randrange(refusals):032x}"
        name = f"01JD{n:022d}"
        rows.append((
            name, f"{at:%Y-%m-%dT%H:%M:%S.000Z}", source, chance.choice(CATEGORIES), family(model), chance.choice(_OUTCOMES),
            f"req_{n:024d}", f"{n // 5:032x}", chance.choice(VERSIONS), f"project-{n % 7}", asked, asked, f'["{source}"]',
        ))  # fmt: skip
    return rows
