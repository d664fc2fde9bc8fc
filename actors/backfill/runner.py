"""Fetches one job, page by page: each is stored with all that it tells before the next one is asked for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill import proving
from data_manager.actors.backfill.binance import Binance
from data_manager.actors.backfill.budget import Sleep
from data_manager.actors.backfill.conf import Routes
from data_manager.actors.backfill.conflicts import conflicts
from data_manager.actors.backfill.door import Door
from data_manager.actors.backfill.errand import Errand
from data_manager.actors.backfill.jobs import Page, advanced
from data_manager.actors.backfill.paging import Fetched, walk
from data_manager.actors.backfill.patience import EXCHANGE, Away, Stores
from data_manager.actors.backfill.settling import Settler
from data_manager.storage.protocols import (
    MERGE_ROWS,
    Catalog,
    Conflict,
    Difference,
    Gap,
    Job,
    JobReason,
    MarketStore,
    Merged,
)
from data_manager.storage.records import Candle, Funding, Symbol, Trade
from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import ExchangeClosed, ExchangeUnavailable
from data_manager.system.metrics import Metrics

OUTAGE_TRIES = 12  # in a row, each of several requests; about 10 minutes
OUTAGE_FIRST_S = 2.0
OUTAGE_MAX_S = 60.0

Rows = Sequence[Candle] | Sequence[Trade] | Sequence[Funding]


class Runner:
    """Brings jobs to where nothing of them is left to be asked for; any number at a time."""

    def __init__(
        self,
        door: Door,
        stores: Stores,
        settler: Settler,
        away: Away,
        routes: Routes,
        clock: Clock,
        rng: random.Random,
        metrics: Metrics,
        *,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._door = door
        self._stores = stores
        self._settler = settler
        self._away = away
        self._routes = routes
        self._clock = clock
        self._rng = rng
        self._metrics = metrics
        self._sleep = sleep

    async def fetch(self, errand: Errand) -> None:
        """Fetch and store what is left of it; waits while a store is away or the exchange forbids requests.

        Raises ExchangeUnavailable after OUTAGE_TRIES tries in a row that brought no page, RequestRefused,
        UnexpectedAnswer, and StoreError for what the store refuses.
        """
        failures = 0
        while True:
            before = errand.job.checkpoint
            try:
                return await self._pages(errand)
            except ExchangeClosed as closed:
                await self._door.closed(closed)
            except ExchangeUnavailable as error:
                failures = 1 if errand.job.checkpoint != before else failures + 1
                self._away.gone(EXCHANGE, str(error))
                if failures == OUTAGE_TRIES:
                    raise
                longest = min(OUTAGE_MAX_S, OUTAGE_FIRST_S * 2.0 ** (failures - 1))
                await self._sleep(longest * self._rng.uniform(0.5, 1.0))

    async def _pages(self, errand: Errand) -> None:
        pieces = errand.pieces(await self._wanted(errand))
        if not pieces:
            return
        exchange = await self._door.open()
        for work, checkpoint in pieces:
            async for page in walk(exchange, work, self._routes, checkpoint):
                self._door.answered()
                await self._keep(errand, page)
                self._show(exchange)

    async def _wanted(self, errand: Errand) -> list[Range]:
        """A gap of longer bars is first filled from shorter ones: what these tell is never asked for."""
        timeframe, rest = errand.series.timeframe, errand.rest
        if errand.job.reason != JobReason.GAP or timeframe is None or timeframe == "1m":
            return [rest] if rest.start_ms < rest.end_ms else []
        await self._settler.roll_up(errand.work.symbol, timeframe, rest)
        return await self._settler.missing(errand.series, rest)

    async def _keep(self, errand: Errand, page: Fetched) -> None:
        symbol = errand.work.symbol
        written, differences = 0, list[Difference]()
        for start in range(0, len(page.rows), MERGE_ROWS):
            merged = await self._stores.write(partial(merge, symbol, page.rows[start : start + MERGE_ROWS]))
            written += merged.inserted + merged.replaced
            differences += merged.differences
        now = now_ms(self._clock)
        untraded = await self._untraded(errand, page)
        empty = errand.memory.remember(page.absent, untraded, now)
        job = advanced(errand.job, errand.work, Page(len(page.rows), written, page.checkpoint))
        found = conflicts(errand.series, differences, now)
        await self._stores.catalog(partial(save_page, job, found, empty))
        errand.job = job
        self._metrics.inc("data_manager_backfill_rows_total", written, data_type=job.data_type)
        labels = {"symbol": symbol, "data_type": job.data_type, "timeframe": job.timeframe or ""}
        self._metrics.set("data_manager_backfill_progress_ratio", job.progress / 100, **labels)
        if differences:
            self._metrics.inc("data_manager_backfill_conflicts_total", len(differences), symbol=symbol)

    async def _untraded(self, errand: Errand, page: Fetched) -> list[Range]:
        """Where trades prove that the exchange has nothing because there was nothing."""
        times = [Range(each.start_ms, each.end_ms) for each in page.absent if each.first_id is None]
        if not times or errand.series.record is Funding:
            return []
        left = await self._stores.read(partial(proving.traded, errand.series, times))
        return [each for each in times if each not in left]

    def _show(self, exchange: Binance) -> None:
        if exchange.clock_skew_ms is not None:
            self._metrics.set("data_manager_exchange_clock_skew_ms", exchange.clock_skew_ms)


def merge(symbol: Symbol, rows: Rows, market: MarketStore) -> Merged:
    """What the market store's thread does with a page."""
    return market.merge(symbol, rows)


def save_page(job: Job, found: Sequence[Conflict], empty: Sequence[Gap], catalog: Catalog) -> None:
    """What the catalog's thread does with a page; the checkpoint comes last, so that a crash loses nothing."""
    if found:
        catalog.save_conflicts(found)
    if empty:
        catalog.save_gaps(empty)
    catalog.save_job(job)
