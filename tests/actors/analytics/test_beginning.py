"""The first cycle waits for the first history: for every job of it, and for nothing where nobody fetches any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.actors.analytics.beginning import Beginning, beginning_of
from data_manager.actors.backfill.history import History
from data_manager.actors.backfill.plan import bootstrap
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import Job, JobStatus
from data_manager.storage.records import Symbol
from data_manager.system.clock import SystemClock
from data_manager.system.settings import Settings

NOW = 1_760_961_600_000


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    opened = SqlCatalog(f"sqlite:///{tmp_path}/catalog.sqlite3", clock=SystemClock())
    yield opened
    opened.close()


def job(job_id: str, status: JobStatus) -> Job:
    return Job(job_id, "BTCUSDT", "candles", "1h", 0, 1, status.value, NOW)


def test_it_is_over_when_each_job_has_ended_well_or_not(catalog: SqlCatalog) -> None:
    beginning = Beginning(["a", "b"])
    assert not beginning.is_over(catalog)
    for status in (JobStatus.PENDING, JobStatus.RUNNING):
        catalog.save_job(job("b", status))
        assert not beginning.is_over(catalog)
    catalog.save_job(job("b", JobStatus.COMPLETED))
    assert not beginning.is_over(catalog)
    catalog.save_job(job("a", JobStatus.FAILED))
    assert beginning.is_over(catalog)


def test_what_has_ended_once_is_not_asked_for_again(catalog: SqlCatalog) -> None:
    beginning = Beginning(["a", "b"])
    catalog.save_job(job("b", JobStatus.FAILED))
    assert not beginning.is_over(catalog)
    catalog.save_job(job("b", JobStatus.PENDING))  # backfill tries it again
    catalog.save_job(job("a", JobStatus.COMPLETED))
    assert beginning.is_over(catalog)


@pytest.mark.parametrize("off", ["enable_backfiller", "history_bootstrap"])
def test_where_nobody_fetches_any_history_it_is_over_at_once(off: str, catalog: SqlCatalog) -> None:
    assert beginning_of(Settings(**{off: False}), ("BTCUSDT",)).is_over(catalog)  # type: ignore[arg-type]


def test_it_waits_for_the_very_jobs_that_backfill_makes(catalog: SqlCatalog) -> None:
    symbols = ("BTCUSDT", "ETHUSDT")
    beginning = beginning_of(Settings(), symbols)
    works = bootstrap([Symbol(symbol) for symbol in symbols], {"1m": 1, "1h": 1}, NOW)
    made = History(works).make(catalog, NOW)
    assert made == 4
    jobs, _ = catalog.jobs()
    left = Beginning(each.job_id for each in jobs)
    for each in jobs:
        assert not left.is_over(catalog)
        catalog.save_job(job(each.job_id, JobStatus.COMPLETED))
    assert left.is_over(catalog)
    assert {each.job_id for each in jobs} <= set(beginning._left)
