"""All that computes, put together: imported where something is computed, and nowhere else."""

from __future__ import annotations

import logging
from functools import partial

from data_manager.actors.analytics.calculator import Calculator
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.cycle import Cycle
from data_manager.actors.analytics.detection import Detective
from data_manager.actors.analytics.troubles import Troubles
from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import Catalog, MarketStore
from data_manager.system.clock import now_ms
from data_manager.system.errors import StoreError
from data_manager.system.logs import log
from data_manager.system.messages import Detected, DetectRequested
from data_manager.system.worker import Context

REACH_MS = 3_600_000  # books of longer ago are not read any more, unless the cycles lie further apart


class Analysis:
    """The documents and the anomalies of the service's symbols."""

    def __init__(
        self,
        context: Context,
        market: StoreThread[MarketStore],
        catalog: StoreThread[Catalog],
        calculator: Calculator,
    ) -> None:
        settings, clock, metrics = context.settings, context.clock, context.metrics
        conf, self._troubles = analytics_conf(), Troubles()
        reach_ms = max(REACH_MS, round(1000 * settings.analytics_interval))
        self._clock = clock
        self._cycle = Cycle(market, context.symbols, conf, reach_ms, calculator, self._troubles, clock, metrics)
        self._detective = Detective(market, catalog, conf, calculator, self._troubles, clock, metrics)

    async def cycle(self, catalog: StoreThread[Catalog]) -> None:
        """Documents, then anomalies, which are kept in this catalog: that of whoever has the schedule.

        Raises StoreUnavailable or StoreFull where the market store takes nothing.
        """
        self._troubles.begin()
        await self._detective.look(await self._cycle.run(), catalog)
        try:
            await catalog.call(partial(self._troubles.settle, now_ms=now_ms(self._clock)))
        except StoreError as error:  # presence.py tells that the catalog is away
            log("troubles_not_kept", logging.DEBUG, cause=str(error))

    async def answer(self, asked: DetectRequested) -> Detected:
        """What one method finds in one symbol's bars now."""
        return await self._detective.answer(asked)

    async def close(self) -> None:
        """End what was started for it."""
        await self._detective.close()
