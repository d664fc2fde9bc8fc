"""The newest of each dataset's health metrics."""

from __future__ import annotations

from sqlalchemy import Connection, and_, func, select, true

from data_manager.storage.catalog_rows import HEALTH
from data_manager.storage.protocols import Health


def latest_of_each(connection: Connection, symbol: str | None) -> list[Health]:
    """By dataset, in one statement that looks for the newest in the index of datasets and times alone."""
    dataset, at = HEALTH["dataset_id"], HEALTH["at_ms"]
    asked = true() if symbol is None else HEALTH["symbol"] == symbol
    newest = select(dataset.label("of"), func.max(at).label("at")).where(asked).group_by(dataset).subquery()
    query = (
        HEALTH.select.join(newest, and_(dataset == newest.c.of, at == newest.c.at))
        .where(asked)
        .order_by(dataset, HEALTH["metric_id"])
    )
    return list({health.dataset_id: health for health in HEALTH.items(connection, query)}.values())
