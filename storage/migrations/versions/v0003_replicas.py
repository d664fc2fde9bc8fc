"""Several replicas are one service: who there is, and what one of them asks of another.

The leases themselves are as old as the first schema.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, DateTime, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import SchemaItem

from data_manager.storage.migrations.tables import make_or_change

revision = "0003"
down_revision = "0002"

TIME = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")
METADATA = MetaData()


def upgrade() -> None:
    """Make what is missing."""
    for table in METADATA.tables.values():
        make_or_change(op.get_bind(), table)


def _table(name: str, *items: SchemaItem) -> None:
    Table(name, METADATA, *items, mysql_engine="InnoDB", mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin")


_table(
    "data_manager_members",
    Column("replica", String(100), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(50), nullable=False),
    Column("started_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("leasable", Text, nullable=False),
    Column("actors", Text, nullable=False),
)
_table(
    "data_manager_commands",
    Column("command_id", String(64), primary_key=True),
    Column("actor", String(100), nullable=False),
    Column("action", String(20), nullable=False),
    Column("body", Text),
    Column("requested_by", String(100), nullable=False),
    Column("requested_at", TIME, nullable=False),
    Column("taken_by", String(100)),
    Column("taken_at", TIME),
    Column("done_at", TIME),
    Column("state", String(20)),
    Column("problem", Text),
    Index("idx_data_manager_commands_taken_by", "taken_by"),
    Index("idx_data_manager_commands_requested_at", "requested_at"),
)
