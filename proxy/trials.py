"""What a person had demur send again, and what was located by it: the tables ``trials`` and ``located``."""

from proxy.store import Store
from proxy.tables import LOCATED, TRIALS
from schemas.records import Located, Trial


def add_trial(store: Store, trial: Trial) -> None:
    """Keeps one. Raises StoreError."""
    with store.transaction() as connection:
        connection.execute(TRIALS.insert, TRIALS.row(trial))


def add_located(store: Store, located: Located) -> None:
    """Keeps one; earlier ones stay. Raises StoreError."""
    with store.transaction() as connection:
        connection.execute(LOCATED.insert, LOCATED.row(located))


def trials(store: Store, refusal_id: str) -> list[Trial]:
    """All that was sent again of a refusal, in order."""
    rows = store.rows("select * from trials where refusal_id = ? order by id", [refusal_id])
    return [TRIALS.record(_without_id(row)) for row in rows]


def located(store: Store, refusal_id: str) -> list[Located]:
    """What was located of a refusal, the newest last."""
    rows = store.rows("select * from located where refusal_id = ? order by id", [refusal_id])
    return [LOCATED.record(_without_id(row)) for row in rows]


def _without_id(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != "id"}
