"""Jobs are taken up, ended and told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_manager.actors.backfill.jobs import completed
from data_manager.actors.backfill.queue import MAX_USER_JOBS
from data_manager.actors.exchange.faults import Slow
from data_manager.system.messages import AuditRequested
from tests.actors.backfill.working import BTC, HOUR, NOW, Work, gap, job, working


@pytest.mark.parametrize(
    ("fields", "word"),
    [({"data_type": "depth"}, "depth"), ({"timeframe": "7m"}, "7m"), ({"end_ms": NOW - 24 * HOUR}, "ends")],
)
def test_a_job_that_cannot_be_worked_on_fails_with_the_reason(
    tmp_path: Path, fields: dict[str, Any], word: str
) -> None:
    async def scenario(work: Work) -> None:
        failed = await work.ended(work.request(job(**fields)))
        assert failed.status == "failed"
        assert word in str(failed.error_message)
        assert not work.exchange.requests

    working(tmp_path, scenario)


def test_users_have_so_many_jobs_at_a_time_and_the_rest_wait(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        work.exchange.faults.add(Slow(seconds=0.3, route="/fapi/v1/klines"))
        names = [work.request(job(f"job-{number}")) for number in range(MAX_USER_JOBS + 2)]
        await work.until(lambda: work.gauge("backfill_jobs", status="pending") == 2)
        assert work.gauge("backfill_jobs", status="running") == MAX_USER_JOBS
        await work.completed(*names)
        await work.until(lambda: work.gauge("backfill_jobs", status="running") == 0)

    working(tmp_path, scenario)


def test_a_job_without_a_hint_is_taken_up_all_the_same(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        work.catalog.save_job(job())
        await work.completed("job-1")

    working(tmp_path, scenario)


def test_each_job_leaves_a_lineage_with_its_own_counts(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        await work.completed(work.request(job()))
        (record,) = work.catalog.lineage("candles_BTCUSDT_1m")
        assert (record.transformation, record.source_dataset_id) == ("backfill", "/fapi/v1/klines")
        assert (record.input_records, record.output_records) == (60, 60)
        assert work.counter("backfill_rows_total", data_type="candles") == 60
        assert work.gauge("exchange_clock_skew_ms") == 0
        await work.until(lambda: work.gauge("backfill_weight_used") == 2)
        assert work.gauge("backfill_weight_limit") == 2400
        assert work.gauge("exchange_closed_seconds") == 0

    working(tmp_path, scenario)


def test_every_series_that_was_touched_is_told_to_the_auditor(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        await work.completed(work.request(job()))
        await work.until(lambda: len(work.repaired()) == 6)
        told = {message.dataset_id: (message.start_ms, message.end_ms) for message in work.repaired()}
        assert told["candles_BTCUSDT_1m"] == told["candles_BTCUSDT_1h"] == (NOW - 3 * HOUR, NOW - 2 * HOUR)
        assert told["candles_BTCUSDT_4h"] == (NOW - 4 * HOUR, NOW)

    working(tmp_path, scenario)


def test_a_gap_whose_job_ended_before_it_could_be_told_is_told_at_the_next_start(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        work.catalog.save_job(completed(job("before"), NOW))
        work.catalog.save_gaps([gap(status="backfilling", job_id="before")])
        work.start()
        await work.until(lambda: [message.symbol for message in work.repaired()] == [BTC])

    working(tmp_path, scenario, begun=False)


def test_what_nobody_should_send_is_an_error(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        with pytest.raises(TypeError, match="AuditRequested"):
            work.worker.receive(AuditRequested())

    working(tmp_path, scenario)
