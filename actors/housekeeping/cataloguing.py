"""The catalog says what there is: datasets when they first hold data, and what derived bars were made of."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from data_manager.actors.housekeeping.chores import for_each
from data_manager.http.store_thread import StoreThread
from data_manager.storage.inventory import Held, dataset_of, held
from data_manager.storage.lineage import HOUR_MS, finished_hours, lineage_of
from data_manager.storage.protocols import Catalog, Dataset, Lineage, MarketStore
from data_manager.storage.records import ALL_SYMBOLS, Symbol
from data_manager.system.clock import Clock, now_ms
from data_manager.system.logs import log

COMPLETE_S = 3600.0  # between looks at everything; those between them look for what is new only
RECOUNTED_MS = 3 * HOUR_MS  # hours this young are counted again, since late trades and repairs still change them


class Cataloguer:
    """Fills the catalog from the market store. Raises StoreError where one of them is away."""

    def __init__(
        self, market: StoreThread[MarketStore], catalog: StoreThread[Catalog], storage_type: str, clock: Clock
    ) -> None:
        self._market = market
        self._catalog = catalog
        self._storage_type = storage_type
        self._clock = clock
        self._known: frozenset[str] = frozenset()
        self._complete_at = float("-inf")
        self._through_ms = 0  # the end of the last hour whose lineage is known

    async def register(self) -> None:
        """Register series that hold data; once in COMPLETE_S all of them, since the catalog may have lost some.

        A dataset's `updated_ms` is when its newest row had been stored, as of the last look at everything.
        """
        now = self._clock.monotonic()
        complete = now >= self._complete_at
        known: Collection[str] = () if complete else self._known
        datasets: list[Dataset] = []

        async def look(symbol: Symbol) -> None:
            found = await self._market.call(partial(held, symbol=symbol, known=known))
            datasets.extend(map(self._described, found))

        refused = await for_each(await self._symbols(), look)
        if datasets:
            new = await self._catalog.call(lambda catalog: catalog.save_datasets(datasets))
            if new:
                log("datasets_registered", new=new)
        self._known = frozenset((*known, *(dataset.dataset_id for dataset in datasets)))
        if complete:
            self._complete_at = now + COMPLETE_S
        if refused:
            raise refused

    async def trace(self) -> None:
        """Record the lineage of every hour that has ended since it was last done."""
        now = now_ms(self._clock)
        if not finished_hours(now, self._through_ms):
            return
        hours = finished_hours(now, self._through_ms - RECOUNTED_MS)

        async def count(symbol: Symbol) -> None:
            records: list[Lineage] = []
            for end_ms in hours:
                records += await self._market.call(partial(lineage_of, symbol=symbol, end_ms=end_ms))
            if records:
                await self._catalog.call(lambda catalog: catalog.save_lineage(records))

        refused = await for_each(await self._symbols(), count)
        self._through_ms = hours[-1]
        if refused:
            raise refused

    async def _symbols(self) -> Collection[Symbol]:
        return [*await self._market.call(lambda store: store.symbols()), ALL_SYMBOLS]

    def _described(self, found: Held) -> Dataset:
        return dataset_of(found.series, self._storage_type, created_ms=now_ms(self._clock), updated_ms=found.stored_ms)
