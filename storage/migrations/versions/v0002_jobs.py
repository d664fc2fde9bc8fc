"""Jobs say why there are any and how far they have come, and are listed by when they were made.

The original and older versions of this program go on writing jobs without either: both may be null.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, DateTime, Index, MetaData, String, Table
from sqlalchemy.dialects import mysql

from data_manager.storage.migrations.tables import add_missing

revision = "0002"
down_revision = "0001"

TIME = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql")

JOBS = Table(
    "backfill_jobs",
    MetaData(),
    Column("created_at", TIME, nullable=False),  # there already, for the index
    Column("reason", String(20)),
    Column("checkpoint", String(200)),
    Index("idx_backfill_jobs_created_at", "created_at"),
)


def upgrade() -> None:
    """Add what is missing."""
    add_missing(op.get_bind(), JOBS)
