"""Which datasets exist, found by looking for a first row of each kind; remembered for half a minute."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import (
    TIMEFRAMES,
    BookTicker,
    Candle,
    Depth,
    Funding,
    Liquidation,
    MarkPrice,
    Record,
    Symbol,
    Ticker,
    Trade,
)
from data_manager.system.clock import Clock

FRESH_S = 30.0
SERIES: tuple[type[Record], ...] = (Trade, Depth, Ticker, MarkPrice, BookTicker, Liquidation, Funding)


class Dataset(NamedTuple):
    """One series of one symbol; `name` is its collection's."""

    symbol: Symbol
    name: str


class Datasets:
    """The list of them; looked for one symbol at a time, so that other calls on the thread get their turn."""

    def __init__(self, survey: StoreThread[MarketStore], clock: Clock) -> None:
        self._survey = survey
        self._clock = clock
        self._looking = asyncio.Lock()
        self._found: tuple[Dataset, ...] = ()
        self._found_at = float("-inf")

    async def all(self) -> tuple[Dataset, ...]:
        """Every dataset with at least one row, by symbol; raises StoreError."""
        async with self._looking:
            if self._clock.monotonic() - self._found_at >= FRESH_S:
                found: list[Dataset] = []
                for symbol in await self._survey.call(lambda store: store.symbols()):
                    found += await self._survey.call(partial(datasets_of, symbol))
                self._found, self._found_at = tuple(found), self._clock.monotonic()
        return self._found


def datasets_of(symbol: Symbol, store: MarketStore) -> list[Dataset]:
    """Those of one symbol."""

    def names() -> Iterator[str]:
        for timeframe in TIMEFRAMES:
            if store.rows(symbol, Candle, Query(limit=1, equal=(("timeframe", timeframe),))):
                yield f"{Candle.dataset}_{symbol}_{timeframe}"
        for record in SERIES:
            if store.rows(symbol, record, Query(limit=1)):
                yield f"{record.dataset}_{symbol}"

    return [Dataset(symbol, name) for name in names()]
