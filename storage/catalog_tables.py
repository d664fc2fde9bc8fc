"""The catalog's tables, in terms that SQLite and MySQL share."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Column, DateTime, Dialect, Index, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a DATETIME has no zone; every one of ours is UTC


class EpochMs(TypeDecorator[int]):
    """Milliseconds since 1970 UTC in Python, a DATETIME with microseconds in the database."""

    impl = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        return None if value is None else EPOCH + timedelta(milliseconds=value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> int | None:
        """From the database."""
        return None if value is None else (value - EPOCH) // timedelta(milliseconds=1)


metadata = MetaData()

incidents = Table(
    "data_manager_incidents",
    metadata,
    Column("incident_id", String(64), primary_key=True),
    Column("kind", String(50), nullable=False),
    Column("subject", String(100), nullable=False),
    Column("cause", String(500), nullable=False),
    Column("detail", Text, nullable=False),
    Column("started_at", EpochMs, nullable=False),
    Column("ended_at", EpochMs),
    Index("idx_data_manager_incidents_started_at", "started_at"),
)
