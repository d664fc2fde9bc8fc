"""A worker that dies at any of its store calls, and the one after it: the same rows as without, no page three times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from data_manager.actors.backfill.patience import Stores
from data_manager.actors.backfill.worker import BackfillWorker
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.storage.records import Candle, Funding, Record, Trade
from data_manager.system.errors import DataManagerError
from tests.actors.backfill import told
from tests.actors.backfill.working import DAY, HOUR, MINUTE, NOW, at_work, job

T = TypeVar("T")

JOBS: dict[str, tuple[type[Record], dict[str, Any]]] = {  # three pages each
    "candles": (Candle, {"start_ms": NOW - 2 * DAY, "end_ms": NOW - 2 * DAY + 1200 * MINUTE}),
    "history": (
        Candle,
        {"start_ms": NOW - 2 * DAY, "end_ms": NOW - 2 * DAY + 1200 * MINUTE, "reason": "bootstrap"},
    ),
    "trades": (Trade, {"data_type": "trades", "start_ms": NOW - 3 * HOUR, "end_ms": NOW - 3 * HOUR + 45 * MINUTE}),
    "funding": (Funding, {"data_type": "funding", "start_ms": NOW - 25 * DAY, "end_ms": NOW}),
}
SMALL_PAGE = {30: 0}  # rows of funding rates, for which the simulated exchange takes long
ROUTES = {Candle: "klines", Trade: "aggTrades", Funding: "fundingRate"}


class Death(DataManagerError):
    """Of the process, as far as the worker can tell."""


class DyingStores(Stores):
    """Dies before the nth call from now on."""

    calls_left: int

    async def read(self, work: Callable[[MarketStore], T]) -> T:
        self._count()
        return await super().read(work)

    async def catalog(self, work: Callable[[Catalog], T]) -> T:
        self._count()
        return await super().catalog(work)

    def _count(self) -> None:
        self.calls_left -= 1
        if self.calls_left < 0:
            raise Death


def small_pages(*arguments: Any, **options: Any) -> BackfillWorker:
    worker = BackfillWorker(*arguments, **options)
    routes = worker._conf.routes
    funding = replace(routes.funding_rates, weights=SMALL_PAGE)
    worker._conf = replace(worker._conf, routes=replace(routes, funding_rates=funding))
    return worker


def dying(calls: int) -> Callable[..., BackfillWorker]:
    def make(*arguments: Any, **options: Any) -> BackfillWorker:
        worker = small_pages(*arguments, **options)
        worker._stores.__class__ = DyingStores
        worker._stores.calls_left = calls  # type: ignore[attr-defined]
        return worker

    return make


async def interrupted(folder: Path, kind: str, calls: int) -> tuple[bool, Any, int]:
    """Whether a worker that dies at that call died before its job's end; the rows, and the requests for them."""
    record, fields = JOBS[kind]
    folder.mkdir()
    async with at_work(folder, begun=False) as work:
        work.catalog.save_job(job(**fields))
        work.start(dying(calls))
        await work.until(lambda: work.job("job-1").status == "completed" or work.crashed)
        died = work.job("job-1").status != "completed"
        with suppress(ExceptionGroup):
            await work.stop()
        work.start(small_pages)
        await work.completed("job-1")
        return died, told.said(work.rows(record)), work.requests(ROUTES[record])


@pytest.mark.parametrize("kind", JOBS)
def test_a_worker_that_dies_at_any_call_leaves_the_next_one_all_it_needs(tmp_path: Path, kind: str) -> None:
    async def scenario() -> None:
        died, rows, asked = await interrupted(tmp_path / "whole", kind, 10_000)
        assert (died, asked) == (False, 3)
        calls, died = 3, True  # the first ones come before any job
        while died:
            died, rows_again, asked_again = await interrupted(tmp_path / str(calls), kind, calls)
            assert rows_again == rows
            assert 3 <= asked_again <= 4
            calls += 1 if calls < 13 else 30  # behind the pages it is all the same
        assert calls > 9

    asyncio.run(scenario())
