"""What a person had demur send again, and what was located by it: the tables ``trials`` and ``located``."""

from proxy.store import Store
from proxy.tables import LOCATED, TRIALS
from schemas.records import Located, Refusal, Trial


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


def categories(store: Store, refusal: Refusal) -> set[str]:
    """All that the API called a refusal, its attempts and what was sent again of it; and others of the same words or incident."""
    sql = """
        with kin as (
            select id from refusals where id in (:id, :incident) or asked = :asked or incident_id = :incident
                or incident_id in (select incident_id from refusals where asked = :asked)
        )
        select category from refusals where id in kin and category is not null
        union select category from attempts where refusal_id in kin and category is not null
        union select category from trials where refusal_id in kin and category is not null
    """
    named = {"id": refusal.id, "asked": refusal.asked, "incident": refusal.incident_id or refusal.id}
    return {row["category"] for row in store.rows(sql, named)}


def _without_id(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != "id"}
