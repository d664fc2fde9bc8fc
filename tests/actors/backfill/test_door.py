"""Where the exchange is, and what it forbids."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from data_manager.actors.backfill.budget import BudgetState
from data_manager.actors.backfill.door import load_state, simulated_url
from data_manager.actors.exchange.faults import TooMany
from data_manager.actors.exchange.server import SimulatedExchange
from data_manager.actors.exchange.worker import write_port
from tests.actors.backfill.clocks import HeldClock
from tests.actors.backfill.working import MARKET, NOW, Work, job, working

JOBS = 5


def test_a_simulated_exchange_is_where_its_file_says(tmp_path: Path) -> None:
    file = tmp_path / "exchange.json"
    assert simulated_url(file) is None
    write_port(file, 4711)
    assert simulated_url(file) == "http://127.0.0.1:4711"


def test_jobs_wait_for_the_simulated_exchange_and_follow_it_to_another_port(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        work.request(job("job-1"))
        await work.until(lambda: "exchange.json" in work.worker._away._reasons.get("exchange", ""))
        write_port(work.settings.exchange_file, work.exchange.port)
        await work.completed("job-1")
        asked = work.requests("klines")
        async with SimulatedExchange(MARKET, work.clock) as other:
            write_port(work.settings.exchange_file, other.port)
            await work.completed(work.request(job("job-2")))
            assert other.requests["/fapi/v1/klines"] == 1
        assert work.requests("klines") == asked

    working(tmp_path, scenario, exchange_enabled=True)


def test_what_the_exchange_forbids_is_in_the_catalog_before_anything_else_is_done(tmp_path: Path) -> None:
    clock = HeldClock(NOW)

    async def scenario(work: Work) -> None:
        assert load_state(work.catalog) is None
        work.exchange.faults.add(TooMany(route="/fapi/v1/klines", count=1, retry_after_s=30))
        work.request(job())
        await work.until(lambda: clock.held)
        assert load_state(work.catalog) == BudgetState(NOW + 30_000, 429)
        saved = work.catalog.exchange_state("budget")
        assert saved is not None
        assert (json.loads(saved.value)["status"], saved.until_ms) == (429, NOW + 30_000)
        await work.until(lambda: work.gauge("exchange_closed_seconds") == 30)

    working(tmp_path, scenario, clock=clock)


def test_no_job_asks_anything_while_another_was_told_to_wait(tmp_path: Path) -> None:
    clock = HeldClock(NOW)

    async def scenario(work: Work) -> None:
        work.exchange.faults.add(TooMany(count=1, retry_after_s=30))
        work.request(job("first"))
        await work.until(lambda: clock.held)
        asked = sum(work.exchange.requests.values())
        for number in range(JOBS):
            work.request(job(f"job-{number}", reason="gap"))
        await work.until(lambda: len(clock.held) == 1 + JOBS)
        await asyncio.sleep(0)
        assert sum(work.exchange.requests.values()) == asked
        clock.move(30)
        await work.completed("first", *(f"job-{number}" for number in range(JOBS)))

    working(tmp_path, scenario, clock=clock)
