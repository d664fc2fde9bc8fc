"""The newest of each dataset's health metrics."""

from __future__ import annotations

from sqlalchemy import Connection, and_, func, select

from data_manager.storage.catalog_rows import HEALTH
from data_manager.storage.protocols import Health


def latest_of_each(connection: Connection, symbol: str | None) -> list[Health]:
    """By dataset, in one statement that looks for the newest in the index of datasets and times alone."""
    dataset, at = HEALTH["dataset_id"], HEALTH["at_ms"]
    newest = select(dataset.label("of"), func.max(at).label("at")).group_by(dataset)
    if symbol is not None:
        newest = newest.where(HEALTH["symbol"] == symbol)
    latest = newest.subquery()
    query = HEALTH.select.join(latest, and_(dataset == latest.c.of, at == latest.c.at)).order_by(
        dataset, HEALTH["metric_id"]
    )
    return list({health.dataset_id: health for health in HEALTH.items(connection, query)}.values())
