"""The catalog's tables, in terms that SQLite and MySQL share; storage/migrating.py brings a database to them.

The first five are the original's: its names, types and indexes stay, since others read them; what is added says so.
They may live in a database that other services share, so that every name of our own begins with `data_manager_`.

Text is compared by code point, as SQLite does it: MySQL's own collations take `a` for `A` and `ß` for `ss`, so that
two ids or symbols would be one key. The original writes and asks for the same spelling, and a binary collation may be
compared with any other of its character set, so that its readers see no difference.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a DATETIME has no zone; every one of ours is UTC
ENGINE, CHARSET, COLLATION = "InnoDB", "utf8mb4", "utf8mb4_bin"


class EpochMs(TypeDecorator[int]):
    """Milliseconds since 1970 UTC in Python, a DATETIME with microseconds in the database.

    MySQL's zero date, which the original has left in some rows, is read as None: it says that no time was given.
    """

    impl = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        return None if value is None else EPOCH + timedelta(milliseconds=value)

    def process_result_value(self, value: datetime | str | None, dialect: Dialect) -> int | None:
        """From the database; PyMySQL hands over as text what is no date."""
        return (value - EPOCH) // timedelta(milliseconds=1) if isinstance(value, datetime) else None


metadata = MetaData()


def _table(name: str, *items: SchemaItem) -> Table:
    return Table(name, metadata, *items, mysql_engine=ENGINE, mysql_charset=CHARSET, mysql_collate=COLLATION)


def _score(name: str) -> Column[float]:
    return Column(name, Numeric(5, 2, asdecimal=False))


datasets = _table(
    "datasets",
    Column("dataset_id", String(64), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("description", String(500)),
    Column("category", String(50), nullable=False),
    Column("schema_id", String(64)),
    Column("storage_type", String(20), nullable=False),
    Column("owner", String(100)),
    Column("update_frequency", String(50)),
    Column("created_at", EpochMs, nullable=False),
    Column("updated_at", EpochMs, nullable=False),
    Index("idx_datasets_category", "category"),
)

audit_logs = _table(
    "audit_logs",
    Column("audit_id", String(64), primary_key=True),
    Column("dataset_id", String(64), nullable=False),
    Column("symbol", String(20), nullable=False),
    Column("audit_type", String(50), nullable=False),
    Column("severity", String(20)),
    Column("details", Text),
    Column("timestamp", EpochMs, nullable=False),
    Index("idx_audit_logs_dataset_timestamp", "dataset_id", "timestamp"),
    Index("idx_audit_logs_symbol", "symbol"),
    Index("idx_audit_logs_symbol_timestamp", "symbol", "timestamp"),  # the original's later versions have it
    Index("idx_audit_logs_timestamp", "timestamp"),  # ours: the newest of all, and what is to expire
)

health_metrics = _table(
    "health_metrics",
    Column("metric_id", String(64), primary_key=True),
    Column("dataset_id", String(64), nullable=False),
    Column("symbol", String(20), nullable=False),
    _score("completeness"),
    Column("freshness_seconds", Integer),
    Column("gaps_count", Integer),
    Column("duplicates_count", Integer),
    _score("quality_score"),
    Column("timestamp", EpochMs, nullable=False),
    Column("timeframe", String(10)),  # ours
    _score("consistency_score"),  # ours
    Index("idx_health_metrics_dataset_timestamp", "dataset_id", "timestamp"),
    Index("idx_health_metrics_symbol", "symbol"),
    Index("idx_health_metrics_symbol_timestamp", "symbol", "timestamp"),  # the original's later versions have it
    Index("idx_health_metrics_timestamp", "timestamp"),  # ours: what is to expire
)

backfill_jobs = _table(
    "backfill_jobs",
    Column("job_id", String(64), primary_key=True),
    Column("symbol", String(20), nullable=False),
    Column("data_type", String(50), nullable=False),
    Column("timeframe", String(10)),
    Column("start_time", EpochMs, nullable=False),
    Column("end_time", EpochMs, nullable=False),
    Column("status", String(20), nullable=False),
    _score("progress"),
    Column("records_fetched", Integer),
    Column("records_inserted", Integer),
    Column("error_message", Text),
    Column("created_at", EpochMs, nullable=False),
    Column("started_at", EpochMs),
    Column("completed_at", EpochMs),
    Column("priority", Integer, nullable=False, server_default="5"),  # ours; the default is the original API's
    Column("reason", String(20)),  # ours; null where the original or an older version wrote it
    Column("checkpoint", String(200)),  # ours, likewise
    Index("idx_backfill_jobs_created_at", "created_at"),  # ours: the newest of all
    Index("idx_backfill_jobs_status", "status"),
    Index("idx_backfill_jobs_symbol", "symbol"),
)

lineage_records = _table(
    "lineage_records",
    Column("lineage_id", String(64), primary_key=True),
    Column("dataset_id", String(64), nullable=False),
    Column("source_dataset_id", String(64)),
    Column("transformation", String(100), nullable=False),
    Column("input_records", Integer),
    Column("output_records", Integer),
    Column("timestamp", EpochMs, nullable=False),
    Index("idx_lineage_records_dataset", "dataset_id"),
    Index("idx_lineage_records_timestamp", "timestamp"),  # ours: what is to expire
)

incidents = _table(
    "data_manager_incidents",
    Column("incident_id", String(64), primary_key=True),
    Column("kind", String(50), nullable=False),
    Column("subject", String(100), nullable=False),
    Column("cause", String(500), nullable=False),
    Column("detail", Text, nullable=False),
    Column("started_at", EpochMs, nullable=False),
    Column("ended_at", EpochMs),
    Index("idx_data_manager_incidents_started_at", "started_at"),
)

gaps = _table(
    "data_manager_gaps",
    Column("gap_id", String(64), primary_key=True),
    Column("dataset_id", String(64), nullable=False),
    Column("symbol", String(20), nullable=False),
    Column("data_type", String(50), nullable=False),
    Column("timeframe", String(10)),
    Column("start_time", EpochMs, nullable=False),
    Column("end_time", EpochMs, nullable=False),
    Column("status", String(20), nullable=False),  # open, backfilling, closed, unfillable or exchange_empty
    Column("cause", String(500)),
    Column("evidence", Text),
    Column("job_id", String(64)),
    Column("first_seen", EpochMs, nullable=False),
    Column("last_seen", EpochMs, nullable=False),
    Column("closed_at", EpochMs),
    Index("idx_data_manager_gaps_dataset_status", "dataset_id", "status"),
    Index("idx_data_manager_gaps_last_seen", "last_seen"),
)

leases = _table(
    "data_manager_leases",
    Column("name", String(100), primary_key=True),
    Column("owner", String(100), nullable=False),
    Column("token", BigInteger, nullable=False),  # grows with every owner
    Column("acquired_at", EpochMs, nullable=False),
    Column("expires_at", EpochMs, nullable=False),  # by the database's clock
)

members = _table(
    "data_manager_members",
    Column("replica", String(100), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(50), nullable=False),
    Column("started_at", EpochMs, nullable=False),
    Column("expires_at", EpochMs, nullable=False),  # by the database's clock
    Column("leasable", Text, nullable=False),  # a JSON list: what it can run under a lease, beside the symbols
    Column("actors", Text, nullable=False),  # a JSON list: what runs there
)

commands = _table(
    "data_manager_commands",
    Column("command_id", String(64), primary_key=True),
    Column("actor", String(100), nullable=False),
    Column("action", String(20), nullable=False),
    Column("body", Text),
    Column("requested_by", String(100), nullable=False),
    Column("requested_at", EpochMs, nullable=False),  # by the database's clock, as all times here
    Column("taken_by", String(100)),
    Column("taken_at", EpochMs),
    Column("done_at", EpochMs),
    Column("state", String(20)),  # of the actor, once the command was carried out
    Column("problem", Text),  # why it was not
    Index("idx_data_manager_commands_taken_by", "taken_by"),
    Index("idx_data_manager_commands_requested_at", "requested_at"),
)

exchange_state = _table(
    "data_manager_exchange_state",
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    Column("until_at", EpochMs),
    Column("updated_at", EpochMs, nullable=False),
)

conflicts = _table(
    "data_manager_conflicts",
    Column("conflict_id", String(64), primary_key=True),
    Column("dataset_id", String(64), nullable=False),
    Column("symbol", String(20), nullable=False),
    Column("row_key", String(200), nullable=False),
    Column("stored_row", Text, nullable=False),
    Column("offered_row", Text, nullable=False),
    Column("source", String(20), nullable=False),  # of the row that was offered
    Column("timestamp", EpochMs, nullable=False),
    Index("idx_data_manager_conflicts_dataset_timestamp", "dataset_id", "timestamp"),
    Index("idx_data_manager_conflicts_timestamp", "timestamp"),
)

symbols = _table(
    "data_manager_symbols",
    Column("symbol", String(20), primary_key=True),
    Column("status", String(20), nullable=False),
    Column("added_at", EpochMs, nullable=False),
    Column("retired_at", EpochMs),
)
