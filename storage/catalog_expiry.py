"""Which rows of the catalog grow old, and how they go."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select, true

from data_manager.storage import catalog_tables as tables
from data_manager.storage.catalog_rows import CHUNK_ROWS
from data_manager.storage.protocols import Expiring, GapStatus


class Expiry(NamedTuple):
    """Which rows of a table grow old, and since when."""

    table: Table
    since: ColumnElement[Any]
    over: ColumnElement[bool] = true()


_jobs, _gaps = tables.backfill_jobs.c, tables.gaps.c

EXPIRIES: dict[Expiring, Expiry] = {
    Expiring.AUDIT_LOGS: Expiry(tables.audit_logs, tables.audit_logs.c.timestamp),
    Expiring.HEALTH_METRICS: Expiry(tables.health_metrics, tables.health_metrics.c.timestamp),
    Expiring.LINEAGE: Expiry(tables.lineage_records, tables.lineage_records.c.timestamp),
    Expiring.CONFLICTS: Expiry(tables.conflicts, tables.conflicts.c.timestamp),
    Expiring.INCIDENTS: Expiry(tables.incidents, tables.incidents.c.ended_at),  # null while it lasts
    Expiring.BACKFILL_JOBS: Expiry(
        tables.backfill_jobs,
        func.coalesce(_jobs.completed_at, _jobs.created_at),
        _jobs.status.in_(("completed", "failed")),
    ),
    Expiring.GAPS: Expiry(
        tables.gaps,
        func.coalesce(_gaps.closed_at, _gaps.last_seen),
        _gaps.status.in_((GapStatus.CLOSED.value, GapStatus.UNFILLABLE.value)),
    ),
}


def expire(connection: Connection, table: Expiring, before_ms: int, limit: int) -> int:
    """Delete what ended or was written before that time, the oldest first; at most `limit` rows, return how many.

    Rows are named by key: to delete by range would lock, in MySQL, what is being inserted beside it.
    """
    rows, since, over = EXPIRIES[table]
    (key,) = rows.primary_key
    old = over & (since < before_ms)
    keys = connection.scalars(select(key).where(old).order_by(since, key).limit(limit)).all()
    return sum(
        connection.execute(delete(rows).where(key.in_(keys[start : start + CHUNK_ROWS]), old)).rowcount
        for start in range(0, len(keys), CHUNK_ROWS)
    )
