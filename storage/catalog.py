"""SqlCatalog: the Catalog protocol on MySQL, MariaDB and SQLite."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    column,
    false,
    func,
    or_,
    select,
    table,
    text,
    true,
    update,
)

from data_manager.storage import catalog_expiry
from data_manager.storage import catalog_tables as tables
from data_manager.storage.catalog_database import CatalogDatabase
from data_manager.storage.catalog_health import latest_of_each
from data_manager.storage.catalog_moves import Move
from data_manager.storage.catalog_rows import (
    AUDIT_LOGS,
    CHUNK_ROWS,
    CONFLICTS,
    DATASETS,
    EXCHANGE_STATES,
    GAPS,
    HEALTH,
    INCIDENTS,
    JOBS,
    LINEAGE,
    SYMBOLS,
    Shape,
)
from data_manager.storage.database import TIMEOUT_S
from data_manager.storage.fencing import PAUSED_S, Fence
from data_manager.storage.protocols import (
    AuditLog,
    Conflict,
    Dataset,
    ExchangeState,
    Expiring,
    Gap,
    GapStatus,
    Health,
    Incident,
    Job,
    Lineage,
    ListedSymbol,
)
from data_manager.system.clock import Clock

S = TypeVar("S", bound=msgspec.Struct)

FIGURES = ("table_schema", "table_name", "data_length", "index_length")


class SqlCatalog:
    """The catalog in the database at `url`, brought to the present schema at the first use.

    Every call is one transaction, tried again where the error means so; each does the same however often it is
    repeated. Several threads may call at once. With a `fence` what writes, and `check`, raises StaleLease once the
    lease has passed on; what reads is for everybody.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,  # every back end is given one; this one dates nothing
        timeout_s: float = TIMEOUT_S,
        rng: random.Random | None = None,
        fence: Fence | None = None,
    ) -> None:
        idle_s = PAUSED_S if fence else None
        self._database = CatalogDatabase(url, timeout_s=timeout_s, rng=rng, fence=fence, idle_s=idle_s)

    def save_incident(self, incident: Incident) -> None:
        """Insert it, or update the one with the same id."""
        self._database.write(lambda connection: INCIDENTS.save(connection, [incident]))

    def incidents(self, limit: int = 100, open_only: bool = False) -> list[Incident]:
        """The newest first."""
        newest = (INCIDENTS["started_ms"].desc(), INCIDENTS["incident_id"])
        query = INCIDENTS.select.order_by(*newest).limit(limit)
        if open_only:
            query = query.where(INCIDENTS["ended_ms"].is_(None))
        return self._database.read(lambda connection: INCIDENTS.items(connection, query))

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

        return self._database.write(save)

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
        matching = _equal(DATASETS, category=category, owner=owner)
        if search is not None:
            searched = (DATASETS[field] for field in ("dataset_id", "name", "description"))
            matching &= or_(*(column.icontains(search, autoescape=True) for column in searched))
        return self._page(DATASETS, matching, ["dataset_id"], limit, offset, descending=descending)

    def dataset(self, dataset_id: str) -> Dataset | None:
        """The one with that id."""
        return self._one(DATASETS, dataset_id=dataset_id)

    def save_lineage(self, records: Sequence[Lineage]) -> None:
        """Insert them; one whose id is there already replaces it, so that a repetition changes nothing."""
        self._database.write(lambda connection: LINEAGE.save(connection, records))

    def lineage(self, dataset_id: str, limit: int = 100) -> list[Lineage]:
        """How that dataset came to be, the newest first."""
        return self._newest(LINEAGE, "lineage_id", limit, dataset_id=dataset_id)

    def save_job(self, job: Job) -> None:
        """Insert it, or update the one with the same id."""
        self._database.write(lambda connection: JOBS.save(connection, [job]))

    def job(self, job_id: str) -> Job | None:
        """The one with that id, by primary key."""
        return self._one(JOBS, job_id=job_id)

    def jobs(
        self,
        *,
        statuses: Sequence[str] = (),
        symbol: str | None = None,
        data_type: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 100,
        offset: int = 0,
        descending: bool = True,
    ) -> tuple[list[Job], int]:
        """Those that match, by when they were created (`from_ms <= created < to_ms`) and id, and how many in all.

        No status means any.
        """
        matching = _equal(JOBS, symbol=symbol, data_type=data_type)
        if statuses:
            matching &= JOBS["status"].in_(statuses)
        matching &= _within(JOBS["created_ms"], from_ms, to_ms)
        return self._page(JOBS, matching, ["created_ms", "job_id"], limit, offset, descending=descending)

    def save_gaps(self, gaps: Sequence[Gap]) -> None:
        """Insert them, or update those with the same id, whose `first_seen_ms` stays."""
        self._database.write(lambda connection: GAPS.save(connection, gaps, keep=["first_seen"]))

    def see_gaps(self, gaps: Sequence[Gap]) -> None:
        """Insert them, or update times, cause, evidence and `last_seen_ms` of those with the same id.

        Status, job and end of a gap that is there stay: while an audit looks, a job may have taken it up.
        """
        kept = ["first_seen", "status", "job_id", "closed_at"]
        self._database.write(lambda connection: GAPS.save(connection, gaps, keep=kept))

    def move_gap(
        self,
        gap_id: str,
        to: GapStatus,
        *,
        only_from: Sequence[GapStatus],
        at_ms: int,
        job_id: str | None = None,
        evidence: str | None = None,
    ) -> bool:
        """Give the gap another status if it has one of `only_from`, in one statement; False where it has none.

        `job_id` and `evidence` are written where given; `closed_ms` becomes `at_ms` where `to` is an end, else None.
        """
        return self._database.write(Move(gap_id, to, only_from, at_ms, job_id, evidence))

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
        matching = _equal(GAPS, symbol=symbol, dataset_id=dataset_id)
        if statuses:
            matching &= GAPS["status"].in_(statuses)
        return self._page(GAPS, matching, ["start_ms", "gap_id"], limit, offset, descending=descending)

    def gap(self, gap_id: str) -> Gap | None:
        """The one with that id."""
        return self._one(GAPS, gap_id=gap_id)

    def save_audit_logs(self, logs: Sequence[AuditLog]) -> None:
        """Insert them, or update those with the same id, whose `at_ms` stays: the same finding twice is one row."""
        self._database.write(lambda connection: AUDIT_LOGS.save(connection, logs, keep=["timestamp"]))

    def audit_logs(
        self,
        *,
        symbol: str | None = None,
        severity: str | None = None,
        audit_type: str | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        limit: int = 100,
        offset: int = 0,
        descending: bool = True,
    ) -> tuple[list[AuditLog], int]:
        """Those that match, by when they were found (`from_ms <= at < to_ms`) and id, and how many in all."""
        matching = _equal(AUDIT_LOGS, symbol=symbol, severity=severity, audit_type=audit_type)
        matching &= _within(AUDIT_LOGS["at_ms"], from_ms, to_ms)
        return self._page(AUDIT_LOGS, matching, ["at_ms", "audit_id"], limit, offset, descending=descending)

    def count_audit_logs(self, audit_type: str) -> dict[tuple[str, str], int]:
        """How many there are of a type, by symbol and severity."""
        groups = AUDIT_LOGS["symbol"], AUDIT_LOGS["severity"]
        query = select(*groups, func.count()).where(AUDIT_LOGS["audit_type"] == audit_type).group_by(*groups)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return {(symbol, severity or ""): count for symbol, severity, count in rows}

    def save_health(self, metrics: Sequence[Health]) -> None:
        """Insert them, or update those with the same id."""
        self._database.write(lambda connection: HEALTH.save(connection, metrics))

    def latest_health(self, symbol: str | None = None) -> list[Health]:
        """The newest of each dataset, by dataset; of two of one moment that with the greater id."""
        return self._database.read(lambda connection: latest_of_each(connection, symbol))

    def health_history(self, dataset_id: str, limit: int = 100) -> list[Health]:
        """The newest first."""
        return self._newest(HEALTH, "metric_id", limit, dataset_id=dataset_id)

    def save_conflicts(self, conflicts: Sequence[Conflict]) -> None:
        """Insert them, or update those with the same id: the same conflict twice is one row."""
        self._database.write(lambda connection: CONFLICTS.save(connection, conflicts))

    def conflicts(self, *, dataset_id: str | None = None, limit: int = 100) -> list[Conflict]:
        """The newest first."""
        return self._newest(CONFLICTS, "conflict_id", limit, dataset_id=dataset_id)

    def save_exchange_state(self, state: ExchangeState) -> None:
        """Insert it, or update the one with the same name."""
        self._database.write(lambda connection: EXCHANGE_STATES.save(connection, [state]))

    def exchange_state(self, name: str) -> ExchangeState | None:
        """The one with that name."""
        return self._one(EXCHANGE_STATES, name=name)

    def symbols(self) -> list[ListedSymbol]:
        """All of them, in the order in which they were added; those of one moment by name."""
        query = SYMBOLS.select.order_by(SYMBOLS["added_ms"], SYMBOLS["symbol"])
        return self._database.read(lambda connection: SYMBOLS.items(connection, query))

    def save_symbols(self, symbols: Sequence[ListedSymbol], *, only_new: bool = False) -> None:
        """Insert them, or update those that are there, which `only_new` leaves as they are."""
        kept = ["status", "added_at", "retired_at"] if only_new else []
        self._database.write(lambda connection: SYMBOLS.save(connection, symbols, keep=kept))

    def expire(self, table: Expiring, before_ms: int, limit: int = 1000) -> int:
        """Delete what ended or was written before that time, the oldest `limit` rows at most; return how many."""
        return self._database.write(lambda connection: catalog_expiry.expire(connection, table, before_ms, limit))

    def data_bytes(self) -> int:
        """How much this service's own tables take, with their indexes, by the server's figures."""
        return self._database.read(_data_bytes)

    def check(self) -> None:
        """Return when the catalog can be read and written now; raise StoreError otherwise."""
        nothing = update(tables.incidents).where(false()).values(detail="")  # asks for all that a change needs
        self._database.write(lambda connection: connection.execute(nothing))

    def close(self) -> None:
        """Release connections; harmless when repeated."""
        self._database.close()

    def _one(self, shape: Shape[S], **values: str) -> S | None:
        """The row whose key that is."""
        query = shape.select.where(_equal(shape, **values))
        return next(iter(self._database.read(lambda connection: shape.items(connection, query))), None)

    def _newest(self, shape: Shape[S], key: str, limit: int, **values: str | None) -> list[S]:
        """Those with these values, by `at_ms` from the newest and by key."""
        newest = (shape["at_ms"].desc(), shape[key])
        query = shape.select.where(_equal(shape, **values)).order_by(*newest).limit(limit)
        return self._database.read(lambda connection: shape.items(connection, query))

    def _page(
        self,
        shape: Shape[S],
        matching: ColumnElement[bool],
        order: Sequence[str],
        limit: int,
        offset: int,
        *,
        descending: bool,
    ) -> tuple[list[S], int]:
        """One page of those that match, and how many match in all, of one moment."""
        ordered = [shape[field].desc() if descending else shape[field] for field in order]
        page = shape.select.where(matching).order_by(*ordered).limit(limit).offset(offset)

        def read(connection: Connection) -> tuple[list[S], int]:
            return shape.items(connection, page), _count(connection, matching, shape.table)

        return self._database.read(read)


def _equal(shape: Shape[S], **values: str | None) -> ColumnElement[bool]:
    """That fields have these values; None asks for nothing."""
    matching: ColumnElement[bool] = true()
    for field, value in values.items():
        if value is not None:
            matching &= shape[field] == value
    return matching


def _within(time: Column[int], from_ms: int | None, to_ms: int | None) -> ColumnElement[bool]:
    """That `from_ms <= time < to_ms`, where they are given."""
    matching: ColumnElement[bool] = true()
    if from_ms is not None:
        matching &= time >= from_ms
    return matching if to_ms is None else matching & (time < to_ms)


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
