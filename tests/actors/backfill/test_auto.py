"""Gaps become jobs: in their order, so many at a time, never twice, and again only after a while."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_manager.actors.backfill.auto import AGAIN_MS, put_right, take_up, worth_repairing
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import Job
from tests.actors.backfill.working import HOUR, MINUTE, NOW, gap, job
from tests.storage.examples import FixedClock


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlCatalog]:
    opened = SqlCatalog(f"sqlite:///{tmp_path}/catalog.sqlite3", clock=FixedClock(NOW), rng=random.Random(1))
    yield opened
    opened.close()


def taken_up(catalog: SqlCatalog, most: int = 5, least_ms: int = 0, now_ms: int = NOW) -> list[Job]:
    return take_up(catalog, most, least_ms, now_ms, random.Random(now_ms))


def status(catalog: SqlCatalog, name: str = "gap-1") -> str:
    found = catalog.gap(name)
    assert found is not None
    return found.status


def test_the_finest_bars_come_first_then_funding_then_trades() -> None:
    gaps = [
        gap("trades", data_type="trades"),
        gap("day", timeframe="1d"),
        gap("funding", data_type="funding_rates"),
        gap("late", start_ms=NOW - HOUR, end_ms=NOW),
        gap("early"),
        gap("book", data_type="depth"),
    ]
    assert [each.gap_id for each in worth_repairing(gaps, 0)] == ["early", "late", "day", "funding", "trades"]


def test_a_gap_that_is_too_short_waits_for_a_user() -> None:
    assert worth_repairing([gap()], 10 * MINUTE)
    assert not worth_repairing([gap()], 10 * MINUTE + 1)


def test_an_open_gap_gets_a_job_that_it_names(catalog: SqlCatalog) -> None:
    catalog.save_gaps([gap()])
    (made,) = taken_up(catalog)
    found = catalog.gap("gap-1")
    assert found is not None
    assert (found.status, found.job_id) == ("backfilling", made.job_id)
    assert catalog.job(made.job_id) == made


def test_no_more_jobs_are_made_than_may_be_under_way(catalog: SqlCatalog) -> None:
    catalog.save_gaps([gap(f"gap-{n}", start_ms=NOW + n * HOUR, end_ms=NOW + (n + 1) * HOUR) for n in range(9)])
    assert len(taken_up(catalog, 5)) == 5
    assert taken_up(catalog, 5) == []
    assert catalog.gaps(statuses=["open"])[1] == 4


def test_jobs_of_users_take_no_place(catalog: SqlCatalog) -> None:
    catalog.save_job(job("user", start_ms=NOW - 9 * HOUR, end_ms=NOW - 8 * HOUR))
    catalog.save_gaps([gap()])
    assert len(taken_up(catalog, 1)) == 1


def test_a_gap_joins_a_job_that_fetches_exactly_it(catalog: SqlCatalog) -> None:
    missing = gap()
    catalog.save_job(job("user", start_ms=missing.start_ms, end_ms=missing.end_ms))
    catalog.save_gaps([missing])
    assert taken_up(catalog) == []
    found = catalog.gap("gap-1")
    assert found is not None
    assert (found.status, found.job_id) == ("backfilling", "user")


@pytest.mark.parametrize("ended", ["failed", "completed"])
def test_a_gap_that_a_job_could_not_repair_is_tried_again_after_a_while(catalog: SqlCatalog, ended: str) -> None:
    catalog.save_job(job("before", status=ended, completed_ms=NOW))
    catalog.save_gaps([gap(job_id="before")])
    assert taken_up(catalog, now_ms=NOW + AGAIN_MS - 1) == []
    assert len(taken_up(catalog, now_ms=NOW + AGAIN_MS)) == 1


@pytest.mark.parametrize(
    ("fields", "seen_ms", "expected"),
    [
        ({"status": "running"}, NOW, "backfilling"),
        ({"status": "pending"}, NOW, "backfilling"),
        ({"status": "failed", "completed_ms": NOW}, NOW, "open"),
        ({"status": "completed", "completed_ms": NOW}, NOW - 1, "backfilling"),  # no audit has looked since
        ({"status": "completed", "completed_ms": NOW}, NOW + 1, "open"),  # and found that it was wrong
    ],
)
def test_a_gap_whose_job_has_ended_gets_its_due(
    catalog: SqlCatalog, fields: dict[str, Any], seen_ms: int, expected: str
) -> None:
    catalog.save_job(job(**fields))
    catalog.save_gaps([gap(status="backfilling", job_id="job-1", last_seen_ms=seen_ms)])
    whole = put_right(catalog, NOW + 5)
    assert status(catalog) == expected
    assert [each.gap_id for each in whole] == (["gap-1"] if "completed_ms" in fields and expected != "open" else [])


def test_a_gap_whose_job_is_gone_is_open_again(catalog: SqlCatalog) -> None:
    catalog.save_gaps([gap(status="backfilling", job_id="gone"), gap("gap-2", status="backfilling")])
    assert put_right(catalog, NOW) == []
    assert (status(catalog), status(catalog, "gap-2")) == ("open", "open")
