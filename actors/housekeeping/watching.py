"""What the stores take and what is wrong with them: gauges, incidents, and shedding where space is short."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial

from data_manager.actors.housekeeping.shedding import KEPT_MS, Shedder
from data_manager.http.store_thread import StoreThread
from data_manager.storage.choice import mongo_target
from data_manager.storage.incidents import Trouble, settle
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.storage.space import MIB, Limits, Shortage, Space, shortages
from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import StoreError
from data_manager.system.logs import log
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings

MARKET, CATALOG = "market", "catalog"  # labels of the gauges
SUBJECT = "market store"
FINDING = "store_finding"
KEPT_MINUTES = KEPT_MS // 60_000


class Watch:
    """Looks at both stores. Raises StoreError where one of them is away."""

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
        self._limits = Limits.of(settings)
        self._clock = clock
        self._metrics = metrics
        self._shedder = Shedder(market, clock, metrics)
        self._short: Mapping[Shortage, int] = {}
        self._exhausted = False
        mongo = mongo_target(settings) if settings.enable_mongo_data_size_gauge else None
        self._database = mongo.database if mongo else None  # where the original's gauge is kept

    async def space(self) -> None:
        """Measure the market store; shed while it is short of space."""
        await self._judge()
        if self._short:
            with suppress(StoreError):  # shedding does not wait for the catalog; below it is told again
                await self._tell_shortages()
            enough = await self._shedder.shed(max(self._short.values()))
            space = await self._judge()
            self._note_exhausted(space, exhausted=bool(self._short) and not enough)
        else:
            self._exhausted = False
        await self._tell_shortages()

    async def catalog_size(self) -> None:
        """Measure the catalog."""
        size = await self._catalog.call(lambda catalog: catalog.data_bytes())
        self._metrics.set("data_manager_store_data_bytes", size, store=CATALOG)

    async def findings(self) -> None:
        """Each finding of the market store is an incident for as long as it is found."""
        found = await self._market.call(lambda store: store.findings())
        await self._settle((FINDING,), [Trouble(FINDING, SUBJECT, sentence) for sentence in found])

    async def _judge(self) -> Space:
        try:
            space = await self._market.call(measure)
        except StoreError:
            if self._database is not None:
                self._metrics.inc("data_manager_mongo_data_size_scrape_errors_total")
            raise
        self._metrics.set("data_manager_store_data_bytes", space.data_bytes, store=MARKET)
        if space.free_bytes is not None:
            self._metrics.set("data_manager_store_free_bytes", space.free_bytes)
        if self._database is not None:
            self._metrics.set("data_manager_mongo_data_size_bytes", space.data_bytes, database=self._database)
        self._note_change(shortages(space, self._limits, self._short), space)
        return space

    def _note_change(self, short: Mapping[Shortage, int], space: Space) -> None:
        fields: dict[str, object] = {"data_mib": mib(space.data_bytes), "free_mib": mib(space.free_bytes)}
        for kind in short.keys() - self._short.keys():
            log("shedding_began", logging.WARNING, kind=kind, cause=self._cause(kind), **fields)
        for kind in self._short.keys() - short.keys():
            log("shedding_ended", logging.INFO, kind=kind, rows=self._shedder.rows.total(), **fields)
        self._short = short

    def _note_exhausted(self, space: Space, *, exhausted: bool) -> None:
        if exhausted and not self._exhausted:
            advice = " ".join(self._advice(kind) for kind in self._short)
            log("nothing_left_to_shed", logging.ERROR, data_mib=mib(space.data_bytes), advice=advice)
        self._exhausted = exhausted

    def _cause(self, kind: Shortage) -> str:
        if kind is Shortage.QUOTA:
            limit = f"{self._settings.shed_at_percent} % of MARKET_QUOTA_MB={self._settings.market_quota_mb}"
            return f"The market store takes more than {limit}: its oldest order-book rows are deleted."
        limit = f"DISK_LOW_MB={self._settings.disk_low_mb}"
        return f"The market store's disk has less than {limit} left: the oldest order-book rows are deleted."

    def _advice(self, kind: Shortage) -> str:
        left = f"no order-book row older than {KEPT_MINUTES} minutes is left to delete"
        if kind is Shortage.QUOTA:
            return (
                f"The market store takes more than its quota and {left}: raise MARKET_QUOTA_MB, or shorten "
                "TRADES_RETENTION_DAYS or KLINES_RETENTION_DAYS_1M."
            )
        return (
            f"The market store's disk is nearly full and {left}: free some space on it; with less than "
            f"DISK_MIN_MB={self._settings.disk_min_mb} nothing more is stored."
        )

    async def _tell_shortages(self) -> None:
        troubles = [Trouble(kind.value, SUBJECT, self._cause(kind), self._advice(kind)) for kind in self._short]
        await self._settle(tuple(Shortage), troubles)

    async def _settle(self, kinds: Collection[str], troubles: Collection[Trouble]) -> None:
        await self._catalog.call(
            partial(settle, kinds=kinds, troubles=troubles, now_ms=now_ms(self._clock)),
        )


def measure(store: MarketStore) -> Space:
    """What the market store's thread does."""
    return Space(store.data_bytes(), store.free_bytes())


def mib(size: int | None) -> int | None:
    """Whole MiB."""
    return None if size is None else size // MIB
