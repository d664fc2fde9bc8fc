"""Contract of every catalog: jobs, why there are any, how far they have come, and how they are listed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import create_engine, insert, select

from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.catalog_tables import backfill_jobs
from data_manager.storage.protocols import JobReason, JobStatus
from tests.storage.catalogs import CATALOGS, empty_database, job
from tests.storage.examples import T0, FixedClock


@pytest.fixture(params=CATALOGS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return empty_database(request.param, tmp_path, request)


@pytest.fixture
def catalog(url: str) -> Iterator[SqlCatalog]:
    catalog = SqlCatalog(url, clock=FixedClock())
    yield catalog
    catalog.close()


def ids(found: tuple[list[object], int]) -> tuple[str, int]:
    jobs, total = found
    return "".join(each.job_id for each in jobs), total  # type: ignore[attr-defined]


@pytest.mark.parametrize("reason", JobReason)
def test_reason_and_checkpoint_come_back(catalog: SqlCatalog, reason: JobReason) -> None:
    begun = job("a", reason=reason.value, checkpoint='{"next":1700000040000}' + "x" * 178)
    catalog.save_job(begun)
    assert catalog.job("a") == begun
    further = msgspec.structs.replace(begun, checkpoint=None)
    catalog.save_job(further)
    assert catalog.job("a") == further


def test_a_job_of_an_older_version_is_a_users_and_has_not_begun(url: str, catalog: SqlCatalog) -> None:
    catalog.check()
    row = {"job_id": "a", "symbol": "BTCUSDT", "data_type": "candles", "timeframe": "1h", "status": "pending"}
    times = {"start_time": T0, "end_time": T0 + 3_600_000, "created_at": T0}
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(insert(backfill_jobs).values({**row, **times}))
        assert connection.scalars(select(backfill_jobs.c.reason)).all() == [None]
    engine.dispose()
    assert catalog.job("a") == job("a", reason="user", checkpoint=None)
    assert catalog.jobs() == ([job("a")], 1)


def test_jobs_are_found_by_what_they_are_and_counted(catalog: SqlCatalog) -> None:
    assert catalog.jobs() == ([], 0)
    for each in (
        job("a", created_ms=T0),
        job("b", created_ms=T0 + 1, status="running"),
        job("c", created_ms=T0 + 2, status="failed", symbol="ETHUSDT"),
        job("d", created_ms=T0 + 3, data_type="trades", timeframe=None),
        job("e", created_ms=T0 + 4, status="completed", data_type="funding", timeframe=None),
    ):
        catalog.save_job(each)
    assert ids(catalog.jobs()) == ("edcba", 5)
    assert ids(catalog.jobs(descending=False)) == ("abcde", 5)
    assert ids(catalog.jobs(statuses=[JobStatus.PENDING, JobStatus.RUNNING])) == ("dba", 3)
    assert ids(catalog.jobs(symbol="ETHUSDT")) == ("c", 1)
    assert ids(catalog.jobs(symbol="ethusdt")) == ("", 0)
    assert ids(catalog.jobs(data_type="candles", descending=False)) == ("abc", 3)
    assert ids(catalog.jobs(from_ms=T0 + 1, to_ms=T0 + 4)) == ("dcb", 3)
    assert ids(catalog.jobs(limit=2, offset=1)) == ("dc", 5)
    assert ids(catalog.jobs(limit=0)) == ("", 5)
    assert ids(catalog.jobs(statuses=["pending"], data_type="candles", symbol="BTCUSDT", to_ms=T0 + 1)) == ("a", 1)


def test_jobs_of_one_moment_come_by_their_ids_page_by_page(catalog: SqlCatalog) -> None:
    for name in "cabed":
        catalog.save_job(job(name))
    pages = [catalog.jobs(limit=2, offset=offset, descending=False) for offset in (0, 2, 4)]
    assert [ids(page)[0] for page in pages] == ["ab", "cd", "e"]
    assert ids(catalog.jobs()) == ("edcba", 5)
