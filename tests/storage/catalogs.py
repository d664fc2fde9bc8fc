"""The databases that the catalog's suite runs on, by id, and short ways to make what a catalog holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.protocols import Conflict, Dataset, Gap, Health, Incident, Job, Lineage
from tests.storage.examples import T0

CATALOGS = ("mysql", "sqlite")


def empty_database(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a new one, as SQLAlchemy has it."""
    if name == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.sqlite3"
    return driven(request.getfixturevalue("new_mysql")())


def driven(uri: str) -> str:
    """A URI of the original's form with our driver in it, as storage/choice.py makes it."""
    return uri.replace("mysql://", "mysql+pymysql://", 1)


def incident(name: str, started_ms: int = T0 + 1, ended_ms: int | None = None, **fields: str) -> Incident:
    values = {"kind": "actor_down", "subject": "ingest/BTCUSDT", "cause": "signal 9", **fields}
    return Incident(name, started_ms=started_ms, ended_ms=ended_ms, **values)


def dataset(dataset_id: str, **fields: Any) -> Dataset:
    values: dict[str, Any] = {
        "name": "BTCUSDT trades",
        "description": "Every trade.",
        "category": "market_data",
        "schema_id": "trade_schema_v1",
        "storage_type": "mongodb",
        "owner": "data-manager",
        "update_frequency": "real-time",
        "created_ms": T0,
        "updated_ms": T0,
    }
    return Dataset(dataset_id, **{**values, **fields})


def lineage(lineage_id: str, at_ms: int = T0, **fields: Any) -> Lineage:
    values: dict[str, Any] = {
        "dataset_id": "candles_BTCUSDT_1m",
        "source_dataset_id": "trades_BTCUSDT",
        "transformation": "derive_candles",
        "input_records": 7,
        "output_records": 1,
    }
    return Lineage(lineage_id, at_ms=at_ms, **{**values, **fields})


def job(job_id: str, **fields: Any) -> Job:
    values: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "data_type": "candles",
        "timeframe": "1h",
        "start_ms": T0,
        "end_ms": T0 + 3_600_000,
        "status": "pending",
        "created_ms": T0,
    }
    return Job(job_id, **{**values, **fields})


def gap(gap_id: str, **fields: Any) -> Gap:
    values: dict[str, Any] = {
        "dataset_id": "candles_BTCUSDT_1m",
        "symbol": "BTCUSDT",
        "data_type": "candles",
        "timeframe": "1m",
        "start_ms": T0,
        "end_ms": T0 + 60_000,
        "status": "open",
        "cause": None,
        "evidence": None,
        "first_seen_ms": T0 + 1,
        "last_seen_ms": T0 + 2,
    }
    return Gap(gap_id, **{**values, **fields})


def health(metric_id: str, at_ms: int = T0, **fields: Any) -> Health:
    values: dict[str, Any] = {
        "dataset_id": "candles_BTCUSDT_1m",
        "symbol": "BTCUSDT",
        "timeframe": "1m",
        "completeness": 99.5,
        "freshness_seconds": 61,
        "gaps_count": 2,
        "duplicates_count": 0,
        "consistency_score": 100.0,
        "quality_score": 97.25,
    }
    return Health(metric_id, at_ms=at_ms, **{**values, **fields})


def conflict(conflict_id: str, at_ms: int = T0, **fields: Any) -> Conflict:
    values = {
        "dataset_id": "candles_BTCUSDT_1m",
        "symbol": "BTCUSDT",
        "row_key": "1m 1700000040000",
        "stored_row": '{"close":"1"}',
        "offered_row": '{"close":"2"}',
        "source": "rest",
    }
    return Conflict(conflict_id, at_ms=at_ms, **{**values, **fields})
