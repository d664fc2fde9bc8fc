"""The sweep: rows at the end of their retention go, a bounded number at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

from data_manager.actors.housekeeping.chores import for_each, rested
from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import Catalog, Expiring, MarketStore
from data_manager.storage.records import ALL_SYMBOLS, Series, Symbol
from data_manager.storage.retention import DAY_MS, catalog_days, expiring_series, retention_of
from data_manager.system.clock import Clock, now_ms
from data_manager.system.logs import log
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings

ROWS = 1000  # deleted by one call


class Sweeper:
    """Deletes what is due from both stores. A row's age counts from when it was stored."""

    def __init__(
        self,
        market: StoreThread[MarketStore],
        catalog: StoreThread[Catalog],
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._market = market
        self._catalog = catalog
        self._settings = settings
        self._retention = retention_of(settings)
        self._clock = clock
        self._metrics = metrics

    async def market_rows(self) -> None:
        """One sweep of the market store; none where its server deletes by itself.

        Raises StoreError; when it concerns one symbol only, after the others have been swept.
        """
        if await self._market.call(lambda store: store.expires_itself):
            return
        swept: Counter[str] = Counter()
        now = now_ms(self._clock)

        async def sweep(symbol: Symbol) -> None:
            for series in expiring_series(symbol):
                await self._sweep(swept, series.record.dataset, partial(self._expire, series, now))

        try:
            refused = await for_each([*await self._market.call(lambda store: store.symbols()), ALL_SYMBOLS], sweep)
        finally:
            tell(swept)
        if refused:
            raise refused

    async def catalog_rows(self) -> None:
        """One sweep of the catalog: what is open stays, whatever its age."""
        swept: Counter[str] = Counter()
        now = now_ms(self._clock)
        try:
            for table in Expiring:
                before = now - catalog_days(self._settings, table) * DAY_MS
                await self._sweep(swept, table.value, partial(self._expire_from, table, before))
        finally:
            tell(swept)

    async def _sweep(self, swept: Counter[str], dataset: str, expire: Callable[[], Awaitable[int]]) -> None:
        deleted = -1
        while deleted:  # ends: what is due was settled when the sweep began
            async with rested(self._clock):
                deleted = await expire()
            if deleted:
                swept[dataset] += deleted
                self._metrics.inc("data_manager_expired_rows_total", deleted, dataset=dataset)

    async def _expire(self, series: Series, now: int) -> int:
        days = self._retention.of(series)
        if days is None:
            return 0
        return await self._market.call(lambda store: store.expire(series, now - days * DAY_MS, ROWS))

    async def _expire_from(self, table: Expiring, before_ms: int) -> int:
        return await self._catalog.call(lambda catalog: catalog.expire(table, before_ms, ROWS))


def tell(swept: Counter[str]) -> None:
    """One line a sweep, if it found anything."""
    if swept:
        log("rows_expired", rows=swept.total(), **swept)
