"""All chores together, as one task of the auditor."""

from __future__ import annotations

import asyncio
import random

from data_manager.actors.housekeeping.cataloguing import Cataloguer
from data_manager.actors.housekeeping.chores import Chore, keep
from data_manager.actors.housekeeping.expiring import Sweeper
from data_manager.actors.housekeeping.watching import Watch
from data_manager.http.store_thread import StoreThread
from data_manager.storage.choice import market_backend
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.storage.symbols import seeded
from data_manager.system.clock import Clock, now_ms
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings

SWEEP_S = 600.0
FINDINGS_S = 3600.0
REGISTER_S = 60.0
TRACE_S = 600.0
SYMBOLS_S = 3600.0


class Housekeeping:
    """Keeps both stores until it is cancelled.

    `market` is a writing store of its own, with a thread that answers within a minute: a count or a sweep of a
    large symbol may take long. Every step is idempotent, so replicas that share their stores may all run it.
    """

    def __init__(
        self,
        market: StoreThread[MarketStore],
        catalog: StoreThread[Catalog],
        settings: Settings,
        clock: Clock,
        rng: random.Random,
        metrics: Metrics,
    ) -> None:
        sweeper = Sweeper(market, catalog, settings, clock, metrics)
        watch = Watch(market, catalog, settings, clock, metrics)
        cataloguer = Cataloguer(market, catalog, market_backend(settings), clock)
        measure_s = settings.mongo_data_size_refresh_interval
        self._catalog = catalog
        self._configured = settings.supported_pairs
        self._clock = clock
        self._rng = rng
        self._chores = (
            Chore("market_retention", SWEEP_S, sweeper.market_rows),
            Chore("catalog_retention", SWEEP_S, sweeper.catalog_rows),
            Chore("market_space", measure_s, watch.space),
            Chore("catalog_size", measure_s, watch.catalog_size),
            Chore("findings", FINDINGS_S, watch.findings),
            Chore("datasets", REGISTER_S, cataloguer.register),
            Chore("lineage", TRACE_S, cataloguer.trace),
            Chore("symbols", SYMBOLS_S, self._list_symbols),
        )

    async def run(self) -> None:
        """Do every chore in its time; whatever one raises but a StoreError ends them all."""
        async with asyncio.TaskGroup() as group:
            for chore in self._chores:
                group.create_task(keep(chore, self._clock, self._rng), name=chore.name)

    async def _list_symbols(self) -> None:
        """See to it that the catalog lists what is configured, from its first start on: whoever adds or retires does
        so too, but perhaps nobody ever will. Raises StoreError.
        """
        await self._catalog.call(lambda catalog: seeded(catalog, self._configured, now_ms(self._clock)))
