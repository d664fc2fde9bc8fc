"""Every table of the catalog, from nothing or from what the original's versions made.

Those had the first five, in the server's character set, with whole seconds, and without what ends their lists here;
later ones had the status of jobs as an ENUM. Zero dates stay in the rows that have them: what they should say is
unknown. So does the table `schemas`, which is not ours.

Revision ID: 0001
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, MetaData, Numeric, String, Table, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import SchemaItem

from data_manager.storage.migrations.tables import make_or_change

revision = "0001"
down_revision = None

TIME = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
SCORE = Numeric(5, 2)
METADATA = MetaData()


def upgrade() -> None:
    """Make what is missing and change what is old, table by table."""
    for table in METADATA.tables.values():
        make_or_change(op.get_bind(), table)


def _table(name: str, *items: SchemaItem) -> None:
    Table(name, METADATA, *items, mysql_engine="InnoDB", mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin")


_table(
    "datasets",
    Column("dataset_id", String(64), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("description", String(500)),
    Column("category", String(50), nullable=False),
    Column("schema_id", String(64)),
    Column("storage_type", String(20), nullable=False),
    Column("owner", String(100)),
    Column("update_frequency", String(50)),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    Index("idx_datasets_category", "category"),
)
_table(
    "audit_logs",
    Column("audit_id", String(64), primary_key=True),
    Column("dataset_id", String(64), nullable=False),
    Column("symbol", String(20), nullable=False),
    Column("audit_type", String(50), nullable=False),
    Column("severity", String(20)),
    Column("details", Text),
    Column("timestamp", TIME, nullable=False),
    Index("idx_audit_logs_dataset_timestamp", "dataset_id", "timestamp"),
    Index("idx_audit_logs_symbol", "symbol"),
    Index("idx_audit_logs_symbol_timestamp", "symbol", "timestamp"),
    Index("idx_audit_logs_timestamp", "timestamp"),
)
_table(
    "health_metrics",
    Column("metric_id", String(64), primary_key=True),
    Column("dataset_id", String(64), nullable=False),
    Column("symbol", String(20), nullable=False),
    Column("completeness", SCORE),
    Column("freshness_seconds", Integer),
    Column("gaps_count", Integer),
    Column("duplicates_count", Integer),
    Column("quality_score", SCORE),
    Column("timestamp", TIME, nullable=False),
    Column("timeframe", String(10)),
    Column("consistency_score", SCORE),
    Index("idx_health_metrics_dataset_timestamp", "dataset_id", "timestamp"),
    Index("idx_health_metrics_symbol", "symbol"),
    Index("idx_health_metrics_symbol_timestamp", "symbol", "timestamp"),
    Index("idx_health_metrics_timestamp", "timestamp"),
)
_table(
    "backfill_jobs",
    Column("job_id", String(64), primary_key=True),
    Column("symbol", String(20), nullable=False),
    Column("data_type", String(50), nullable=False),
    Column("timeframe", String(10)),
    Column("start_time", TIME, nullable=False),
    Column("end_time", TIME, nullable=False),
    Column("status", String(20), nullable=False),
    Column("progress", SCORE),
    Column("records_fetched", Integer),
    Column("records_inserted", Integer),
    Column("error_message", Text),
    Column("created_at", TIME, nullable=False),
    Column("started_at", TIME),
    Column("completed_at", TIME),
    Column("priority", Integer, nullable=False, server_default="5"),
    Index("idx_backfill_jobs_status", "status"),
    Index("idx_backfill_jobs_symbol", "symbol"),
)
_table(
    "lineage_records",
    Column("lineage_id", String(64), primary_key=True),
    Column("dataset_id", String(64), nullable=False),
    Column("source_dataset_id", String(64)),
    Column("transformation", String(100), nullable=False),
    Column("input_records", Integer),
    Column("output_records", Integer),
    Column("timestamp", TIME, nullable=False),
    Index("idx_lineage_records_dataset", "dataset_id"),
    Index("idx_lineage_records_timestamp", "timestamp"),
)
_table(
    "data_manager_incidents",
    Column("incident_id", String(64), primary_key=True),
    Column("kind", String(50), nullable=False),
    Column("subject", String(100), nullable=False),
    Column("cause", String(500), nullable=False),
    Column("detail", Text, nullable=False),
    Column("started_at", TIME, nullable=False),
    Column("ended_at", TIME),
    Index("idx_data_manager_incidents_started_at", "started_at"),
)
_table(
    "data_manager_gaps",
    Column("gap_id", String(64), primary_key=True),
    Column("dataset_id", String(64), nullable=False),
    Column("symbol", String(20), nullable=False),
    Column("data_type", String(50), nullable=False),
    Column("timeframe", String(10)),
    Column("start_time", TIME, nullable=False),
    Column("end_time", TIME, nullable=False),
    Column("status", String(20), nullable=False),
    Column("cause", String(500)),
    Column("evidence", Text),
    Column("job_id", String(64)),
    Column("first_seen", TIME, nullable=False),
    Column("last_seen", TIME, nullable=False),
    Column("closed_at", TIME),
    Index("idx_data_manager_gaps_dataset_status", "dataset_id", "status"),
    Index("idx_data_manager_gaps_last_seen", "last_seen"),
)
_table(
    "data_manager_leases",
    Column("name", String(100), primary_key=True),
    Column("owner", String(100), nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("acquired_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
)
_table(
    "data_manager_exchange_state",
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    Column("until_at", TIME),
    Column("updated_at", TIME, nullable=False),
)
_table(
    "data_manager_conflicts",
    Column("conflict_id", String(64), primary_key=True),
    Column("dataset_id", String(64), nullable=False),
    Column("symbol", String(20), nullable=False),
    Column("row_key", String(200), nullable=False),
    Column("stored_row", Text, nullable=False),
    Column("offered_row", Text, nullable=False),
    Column("source", String(20), nullable=False),
    Column("timestamp", TIME, nullable=False),
    Index("idx_data_manager_conflicts_dataset_timestamp", "dataset_id", "timestamp"),
    Index("idx_data_manager_conflicts_timestamp", "timestamp"),
)
_table(
    "data_manager_symbols",
    Column("symbol", String(20), primary_key=True),
    Column("status", String(20), nullable=False),
    Column("added_at", TIME, nullable=False),
    Column("retired_at", TIME),
)
