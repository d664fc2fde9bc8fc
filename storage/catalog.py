"""SqlCatalog: the Catalog protocol on MySQL, MariaDB and SQLite."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    column,
    delete,
    false,
    func,
    or_,
    select,
    table,
    text,
    true,
    update,
)

from data_manager.storage import catalog_tables as tables
from data_manager.storage.catalog_rows import AUDIT_LOGS, CHUNK_ROWS, DATASETS, GAPS, INCIDENTS, JOBS, LINEAGE
from data_manager.storage.database import TIMEOUT_S, Database
from data_manager.storage.migrating import is_current, migrate
from data_manager.storage.protocols import AuditLog, Dataset, Expiring, Gap, Incident, Job, Lineage
from data_manager.system.clock import Clock
from data_manager.system.errors import StoreError

T = TypeVar("T")

FIGURES = ("table_schema", "table_name", "data_length", "index_length")


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
        _gaps.status.in_(("closed", "exchange_empty", "unfillable")),
    ),
}


class SqlCatalog:
    """The catalog in the database at `url`, brought to the present schema at the first use.

    Every call is one transaction, tried again where the error means so; each does the same however often it is
    repeated. Several threads may call at once.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,  # every back end is given one; this one dates nothing
        timeout_s: float = TIMEOUT_S,
        rng: random.Random | None = None,
    ) -> None:
        self._database = Database(url, timeout_s=timeout_s, rng=rng)
        self._ready = False

    def save_incident(self, incident: Incident) -> None:
        """Insert it, or update the one with the same id."""
        self._run(lambda connection: INCIDENTS.save(connection, [incident]))

    def incidents(self, limit: int = 100, open_only: bool = False) -> list[Incident]:
        """The newest first."""
        newest = (INCIDENTS["started_ms"].desc(), INCIDENTS["incident_id"])
        query = INCIDENTS.select.order_by(*newest).limit(limit)
        if open_only:
            query = query.where(INCIDENTS["ended_ms"].is_(None))
        return self._run(lambda connection: INCIDENTS.items(connection, query))

    def save_datasets(self, datasets: Sequence[Dataset]) -> int:
        """Insert those that are new and update the others, whose `created_ms` stays; return how many were new."""
        ids = list({dataset.dataset_id for dataset in datasets})

        def save(connection: Connection) -> int:
            known = 0
            for start in range(0, len(ids), CHUNK_ROWS):
                those = DATASETS["dataset_id"].in_(ids[start : start + CHUNK_ROWS])
                known += _count(connection, those, DATASETS.table)
            DATASETS.save(connection, datasets, keep=["created_at"])
            return len(ids) - known

        return self._run(save)

    def datasets(
        self,
        *,
        category: str | None = None,
        owner: str | None = None,
        search: str | None = None,
        limit: int = 100,
        offset: int = 0,
        descending: bool = False,
    ) -> tuple[list[Dataset], int]:
        """Those that match, by id, and how many match in all; `search` is looked for in id, name and description.

        Letters of either case match in `search`, and in nothing else.
        """
        matching: ColumnElement[bool] = true()
        for field, value in (("category", category), ("owner", owner)):
            if value is not None:
                matching &= DATASETS[field] == value
        if search is not None:
            searched = (DATASETS[field] for field in ("dataset_id", "name", "description"))
            matching &= or_(*(column.icontains(search, autoescape=True) for column in searched))
        key = DATASETS["dataset_id"]
        page = DATASETS.select.where(matching).order_by(key.desc() if descending else key).limit(limit).offset(offset)

        def read(connection: Connection) -> tuple[list[Dataset], int]:
            return DATASETS.items(connection, page), _count(connection, matching, DATASETS.table)

        return self._run(read)

    def dataset(self, dataset_id: str) -> Dataset | None:
        """The one with that id."""
        query = DATASETS.select.where(DATASETS["dataset_id"] == dataset_id)
        return next(iter(self._run(lambda connection: DATASETS.items(connection, query))), None)

    def save_lineage(self, records: Sequence[Lineage]) -> None:
        """Insert them; one whose id is there already replaces it, so that a repetition changes nothing."""
        self._run(lambda connection: LINEAGE.save(connection, records))

    def lineage(self, dataset_id: str, limit: int = 100) -> list[Lineage]:
        """How that dataset came to be, the newest first."""
        newest = (LINEAGE["at_ms"].desc(), LINEAGE["lineage_id"])
        query = LINEAGE.select.where(LINEAGE["dataset_id"] == dataset_id).order_by(*newest).limit(limit)
        return self._run(lambda connection: LINEAGE.items(connection, query))

    def save_job(self, job: Job) -> None:
        """Insert it, or update the one with the same id."""
        self._run(lambda connection: JOBS.save(connection, [job]))

    def job(self, job_id: str) -> Job | None:
        """The one with that id, by primary key."""
        query = JOBS.select.where(JOBS["job_id"] == job_id)
        return next(iter(self._run(lambda connection: JOBS.items(connection, query))), None)

    def save_gaps(self, gaps: Sequence[Gap]) -> None:
        """Insert them, or update those with the same id, whose `first_seen_ms` stays."""
        self._run(lambda connection: GAPS.save(connection, gaps, keep=["first_seen"]))

    def gaps(
        self,
        *,
        symbol: str | None = None,
        dataset_id: str | None = None,
        statuses: Sequence[str] = (),
        limit: int = 100,
        offset: int = 0,
        descending: bool = True,
    ) -> tuple[list[Gap], int]:
        """Those that match, by their start and id, and how many match in all; no status means any."""
        matching: ColumnElement[bool] = true()
        for field, value in (("symbol", symbol), ("dataset_id", dataset_id)):
            if value is not None:
                matching &= GAPS[field] == value
        if statuses:
            matching &= GAPS["status"].in_(statuses)
        start = GAPS["start_ms"].desc() if descending else GAPS["start_ms"]
        page = GAPS.select.where(matching).order_by(start, GAPS["gap_id"]).limit(limit).offset(offset)

        def read(connection: Connection) -> tuple[list[Gap], int]:
            return GAPS.items(connection, page), _count(connection, matching, GAPS.table)

        return self._run(read)

    def gap(self, gap_id: str) -> Gap | None:
        """The one with that id."""
        query = GAPS.select.where(GAPS["gap_id"] == gap_id)
        return next(iter(self._run(lambda connection: GAPS.items(connection, query))), None)

    def save_audit_logs(self, logs: Sequence[AuditLog]) -> None:
        """Insert them, or update those with the same id: the same finding twice is one row."""
        self._run(lambda connection: AUDIT_LOGS.save(connection, logs))

    def audit_logs(self, symbol: str, limit: int = 100) -> list[AuditLog]:
        """What audits found of that symbol, the newest first."""
        newest = (AUDIT_LOGS["at_ms"].desc(), AUDIT_LOGS["audit_id"])
        query = AUDIT_LOGS.select.where(AUDIT_LOGS["symbol"] == symbol).order_by(*newest).limit(limit)
        return self._run(lambda connection: AUDIT_LOGS.items(connection, query))

    def expire(self, table: Expiring, before_ms: int, limit: int = 1000) -> int:
        """Delete what ended or was written before that time, the oldest first; at most `limit` rows, return how many.

        Rows are named by key: to delete by range would lock, in MySQL, what is being inserted beside it.
        """
        rows, since, over = EXPIRIES[table]
        (key,) = rows.primary_key
        old = over & (since < before_ms)
        oldest = select(key).where(old).order_by(since, key).limit(limit)

        def expire(connection: Connection) -> int:
            keys = connection.scalars(oldest).all()
            return sum(
                connection.execute(delete(rows).where(key.in_(keys[start : start + CHUNK_ROWS]), old)).rowcount
                for start in range(0, len(keys), CHUNK_ROWS)
            )

        return self._run(expire)

    def data_bytes(self) -> int:
        """How much this service's own tables take, with their indexes, by the server's figures."""
        return self._run(_data_bytes)

    def check(self) -> None:
        """Return when the catalog can be read and written now; raise StoreError otherwise."""
        nothing = update(tables.incidents).where(false()).values(detail="")  # asks for all that a change needs
        self._run(lambda connection: connection.execute(nothing))

    def close(self) -> None:
        """Release connections; harmless when repeated."""
        self._database.close()

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            if not self._ready:
                if not self._database.run(is_current):  # asked with a call's patience, changed with more
                    self._database.maintain(migrate)
                self._ready = True
            return self._database.run(work)
        except StoreError:
            self._ready = False  # the database may come back as another one, restored or empty
            raise


def _count(connection: Connection, matching: ColumnElement[bool], table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table).where(matching)) or 0


def _data_bytes(connection: Connection) -> int:
    if connection.dialect.name == "sqlite":
        pages, size = (connection.scalar(text(f"PRAGMA {name}")) for name in ("page_count", "page_size"))
        return int(pages or 0) * int(size or 0)
    figures = table("tables", *map(column, FIGURES), schema="information_schema").c
    ours = figures.table_name.in_(list(tables.metadata.tables))
    total = func.sum(figures.data_length + figures.index_length)
    return int(connection.scalar(select(total).where(figures.table_schema == func.database(), ours)) or 0)
