"""The audit of a symbol: each of its series in turns, its gaps kept in the catalog."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from data_manager.actors.audit.candles import Audited, CandleAudit
from data_manager.actors.audit.causes import explained
from data_manager.actors.audit.gaps import audit_log, reconcile, stamp
from data_manager.actors.audit.grid import Range
from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import Catalog, Gap, GapStatus, MarketStore
from data_manager.storage.records import Candle, Symbol, series_of
from data_manager.storage.retention import retention_of
from data_manager.system.clock import Clock, now_ms
from data_manager.system.logs import log
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings

LASTING = (GapStatus.OPEN.value, GapStatus.BACKFILLING.value)
MAX_GAPS = 1_000  # of one series that are compared at a time
MAX_INCIDENTS = 500  # the newest, in which causes are looked for


class Auditor:
    """Finds gaps and closes those that are whole again. Raises StoreError where a store is away."""

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
        self._clock = clock
        self._metrics = metrics
        self._audit = CandleAudit(retention_of(settings), round(settings.gap_tolerance_seconds * 1000))

    async def symbols(self) -> Sequence[Symbol]:
        """Every symbol that holds data."""
        return await self._market.call(lambda store: store.symbols())

    def forget(self) -> None:
        """Take nothing for whole any more: the next look at each series begins at its beginning."""
        self._audit.forget()

    async def look(self, symbol: Symbol) -> None:
        """Look at what may have changed since the last look."""
        lasting = 0
        for series in series_of(symbol):
            if series.record is Candle:
                audited = await self._market.call(partial(self._audit.look, series, now_ms(self._clock)))
                lasting += await self._catalog.call(partial(self._settle, audited))
        self._metrics.set("data_manager_open_gaps", lasting, symbol=symbol)

    async def look_again(self, symbol: Symbol, dataset_id: str, repaired: Range) -> None:
        """Look at what a job has repaired."""
        await self.look(symbol)

    def _settle(self, audited: Audited, catalog: Catalog) -> int:
        """Save what is new and what has changed; how many gaps of the series last."""
        series, now = audited.series, now_ms(self._clock)
        known, _ = catalog.gaps(dataset_id=series.dataset_id, statuses=LASTING, limit=MAX_GAPS, descending=False)
        found = audited.found
        if found:
            incidents = catalog.incidents(limit=MAX_INCIDENTS)
            found = [explained(each, series.symbol, incidents, now) for each in found]
        new, changed = reconcile(series, known, found, audited.audited, now)
        if new or changed:
            catalog.save_gaps([*new, *changed])
        if new:
            catalog.save_audit_logs([audit_log(gap) for gap in new])
        self._tell(new, changed)
        closed = sum(gap.status == GapStatus.CLOSED for gap in changed)
        return len(known) + len(new) - closed

    def _tell(self, new: list[Gap], changed: list[Gap]) -> None:
        for gap in new:
            self._metrics.inc(
                "data_manager_audit_gaps_detected_total", symbol=gap.symbol, timeframe=gap.timeframe or ""
            )
            log(
                "gap_found",
                logging.WARNING,
                dataset=gap.dataset_id,
                start=stamp(gap.start_ms),
                end=stamp(gap.end_ms),
                cause=gap.cause,
                evidence=gap.evidence,
            )
        for gap in changed:
            if gap.status == GapStatus.CLOSED:
                log("gap_closed", dataset=gap.dataset_id, start=stamp(gap.start_ms), end=stamp(gap.end_ms))
