"""Raw order-book data goes first when space is short: oldest rows of all symbols, and nothing else.

Where deletion does not show. A row deleted from SQLite frees its page for new rows at once, but the disk gets
pages back only later, and not the few that each file keeps; the log of the deletion even takes some more at
first. And what fills a disk may not be ours at all. So a round does not delete until the disk looks better: it
deletes until as many bytes as are short have become free for new rows (`data_bytes` tells at once), and leaves
the rest to the next look, a minute later. Rows younger than KEPT_MS stay in any case, or fresh rows would be
deleted as they come, for as long as the shortage lasts: below that nothing is gained by deleting, since they
are written into the pages that older ones have left.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import NamedTuple

from data_manager.actors.housekeeping.chores import for_each, rested
from data_manager.http.store_thread import StoreThread
from data_manager.storage.inventory import edge
from data_manager.storage.protocols import MarketStore
from data_manager.storage.records import BookTicker, Depth, Record, Series, Symbol
from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import StoreError, StoreUnavailable
from data_manager.system.metrics import Metrics

SHED: tuple[type[Record], ...] = (Depth, BookTicker)
KEPT_MS = 15 * 60_000
SLICE_MS = 10 * 60_000  # how far one series may run ahead of the others
ROWS = 1000  # deleted by one call


class Shed(NamedTuple):
    """What one call did, and what it left."""

    rows: int
    oldest_ms: int | None  # of the series, by when it was stored
    data_bytes: int  # of the whole store


class Shedder:
    """Deletes order-book data; `rows` counts it by dataset, since the start."""

    def __init__(self, market: StoreThread[MarketStore], clock: Clock, metrics: Metrics) -> None:
        self._market = market
        self._clock = clock
        self._metrics = metrics
        self.rows: Counter[str] = Counter()

    async def shed(self, wanted: int) -> bool:
        """Make that many bytes free for new rows; False when all that is left is too young to go.

        A damaged file is passed over; its StoreError is raised when the others did not suffice.
        """
        kept_from = now_ms(self._clock) - KEPT_MS
        oldest, refused = await self._oldest()
        before = await self._market.call(lambda store: store.data_bytes())
        while oldest:
            series = min(oldest, key=lambda each: oldest[each])
            if oldest[series] >= kept_from:
                break
            before_ms = min(oldest.pop(series) + SLICE_MS, kept_from)
            try:
                async with rested(self._clock):
                    shed = await self._market.call(partial(shed_rows, series=series, stored_before_ms=before_ms))
            except StoreUnavailable:
                raise
            except StoreError as error:
                refused = refused or error
                continue
            self._count(series, shed.rows)
            if before - shed.data_bytes >= wanted:
                return True
            if shed.rows and shed.oldest_ms is not None:
                oldest[series] = shed.oldest_ms
        if refused:
            raise refused
        return False

    async def _oldest(self) -> tuple[dict[Series, int], StoreError | None]:
        oldest: dict[Series, int] = {}

        async def look(symbol: Symbol) -> None:
            oldest.update(await self._market.call(partial(oldest_rows, symbol=symbol)))

        return oldest, await for_each(await self._market.call(lambda store: store.symbols()), look)

    def _count(self, series: Series, rows: int) -> None:
        if rows:
            dataset = series.record.dataset
            self.rows[dataset] += rows
            self._metrics.inc("data_manager_shed_rows_total", rows, dataset=dataset)


def oldest_rows(store: MarketStore, symbol: Symbol) -> dict[Series, int]:
    """The series of the symbol that may be shed, and when the oldest row of each was stored."""
    found = {series: edge(store, series, newest=False) for series in (Series(symbol, record) for record in SHED)}
    return {series: oldest for series, oldest in found.items() if oldest is not None}


def shed_rows(store: MarketStore, series: Series, stored_before_ms: int) -> Shed:
    """Delete some of the series' oldest rows."""
    rows = store.expire(series, stored_before_ms, ROWS)
    return Shed(rows, edge(store, series, newest=False), store.data_bytes())
