"""However long a job is, no more than a page of it is held."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from data_manager.actors.backfill.patience import Stores
from data_manager.actors.backfill.worker import BackfillWorker
from data_manager.storage.protocols import MarketStore
from tests.actors.backfill.exchange_server import exchange_server
from tests.actors.backfill.market import Market
from tests.actors.backfill.working import DAY, MINUTE, NOW, Work, job, working

T = TypeVar("T")

PAGES = 8
FIRST = 3  # by then what is loaded once has been loaded
PAGE_BYTES = 500_000  # what a page of bars takes, about


class WeighedStores(Stores):
    """Notes what is held whenever the market store is called."""

    held: list[int]

    async def write(self, work: Callable[[MarketStore], T]) -> T:
        self.held.append(tracemalloc.get_traced_memory()[0])
        return await super().write(work)


def weighed(*arguments: Any, **options: Any) -> BackfillWorker:
    worker = BackfillWorker(*arguments, **options)
    worker._stores.__class__ = WeighedStores
    worker._stores.held = []  # type: ignore[attr-defined]
    return worker


def test_a_long_job_holds_no_more_than_a_short_one(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        start, end = NOW - 30 * DAY, NOW - 30 * DAY + PAGES * 499 * MINUTE
        async with exchange_server(work.clock) as server:
            Market(opens=range(start, end, MINUTE)).serve(server)
            work.settings = work.settings.model_copy(update={"binance_fapi_base_url": server.url})
            work.start(weighed)
            stores: Any = work.worker._stores
            tracemalloc.start(1)
            try:
                await work.completed(work.request(job(start_ms=start, end_ms=end)))
            finally:
                tracemalloc.stop()
            await work.stop()
        pages = stores.held[FIRST:PAGES]
        assert max(pages) - pages[0] < PAGE_BYTES

    working(tmp_path, scenario, begun=False)
