"""An analytics worker at work on real SQLite stores, with seeded bars and books."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from data_manager.actors.analytics.bars import Bars
from data_manager.actors.analytics.worker import AnalyticsWorker
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.choice import catalog_url
from data_manager.storage.protocols import Event, Query, Write
from data_manager.storage.records import ALL_SYMBOLS, TIMEFRAMES, Analytics, Candle, Depth, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock, now_ms
from data_manager.system.messages import Message
from data_manager.system.metrics import Metrics
from data_manager.system.settings import Settings
from data_manager.system.symbols import Symbols
from data_manager.system.worker import Context
from tests.actors.analytics.series import walk
from tests.eventually import eventually

SYMBOLS = tuple(map(Symbol, ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT")))
HISTORY_DAYS = {"1h": 120, "1d": 600, "1m": 1, "5m": 2}  # what the bars of a test reach back, ending now
PATIENCE_S = 60.0


def candles(timeframe: str, bars: Bars) -> list[Candle]:
    """The bars as the exchange's REST side is stored; NaN is what the source does not tell."""
    columns = (bars.open, bars.high, bars.low, bars.close, bars.volume, bars.quote_volume, bars.taker_buy)
    texts = zip(*([text(value) for value in column] for column in columns), strict=True)
    counts = [None if np.isnan(count) else int(count) for count in bars.trades]
    return [
        Candle(
            timeframe, at, *prices, quote, count, bought, None, "rest", True, None, None, 0, 0, at
        )  # type: ignore[arg-type]
        for at, (*prices, quote, bought), count in zip(map(int, bars.open_times), texts, counts, strict=True)
    ]  # fmt: skip


def text(value: float) -> str | None:
    """A number as the exchange writes it."""
    return None if np.isnan(value) else repr(float(value))


def history(timeframe: str, days: int, end_ms: int, seed: int) -> list[Candle]:
    """So many days of a random walk, the last bar closing at the last time before `end_ms` that one can."""
    length = TIMEFRAMES[timeframe]
    n = days * TIMEFRAMES["1d"] // length
    start = end_ms // length * length - n * length
    return candles(timeframe, walk(n, seed=seed, interval_ms=length, start_ms=start))


def book(time_ms: int, mid: float = 40_000.0) -> Depth:
    """Twenty levels a side, a tick apart."""
    bids = tuple((f"{mid - 0.05 - level / 10:.2f}", "2.5") for level in range(20))
    asks = tuple((f"{mid + 0.05 + level / 10:.2f}", "1.5") for level in range(20))
    return Depth(time_ms, time_ms, time_ms, bids, asks, 0, 0, time_ms)


class Computing:
    """The worker's stores from outside, its settings, and what it sends."""

    def __init__(self, folder: Path, symbols: tuple[Symbol, ...] = SYMBOLS, **settings: Any) -> None:
        self.folder = folder
        self.symbols = symbols
        self.clock = SystemClock()
        values = {"supported_pairs": symbols, "enable_backfiller": False, **settings}
        self.settings = Settings(data_dir=folder, **values)
        self.market = SqliteMarketStore(folder / "market", clock=self.clock)
        self.catalog = SqlCatalog(catalog_url(self.settings), clock=self.clock)
        self.active = Symbols(self.settings.supported_pairs)
        self.metrics = Metrics()
        self.sent: list[Message] = []
        self.now = now_ms(self.clock)

    def fill(self, *symbols: Symbol, timeframes: tuple[str, ...] = tuple(HISTORY_DAYS)) -> None:
        """Store history of these symbols, or of all."""
        for seed, symbol in enumerate(symbols or self.symbols):
            for timeframe in timeframes:
                rows = history(timeframe, HISTORY_DAYS[timeframe], self.now, seed)
                for start in range(0, len(rows), 1000):
                    self.market.merge(symbol, rows[start : start + 1000])

    def books(self, *ages_s: float) -> None:
        """Store a book of each symbol for each of these ages, the oldest first."""
        for symbol in self.symbols:
            rows = [book(self.now - round(1000 * age)) for age in sorted(ages_s, reverse=True)]
            events = [Event("depth", row) for row in rows]
            self.market.write(symbol, Write(events=events, book=rows[-1]))

    def context(self) -> Context:
        return Context(
            "analytics",
            1,
            None,
            self.settings,
            self.clock,
            random.Random(5),
            self.metrics,
            self.sent.append,
            self.active,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AnalyticsWorker]:
        """A worker, until the block's end; what it dies of is raised."""
        stop, worker = asyncio.Event(), AnalyticsWorker(self.context())
        work = asyncio.create_task(worker.run(stop))
        self._work = work
        try:
            yield worker
        finally:
            stop.set()
            async with asyncio.timeout(10):
                await work

    async def until(self, check: Any) -> None:
        """Until it is true; fails with what the worker died of."""

        def checked() -> object:
            if self._work.done():
                self._work.result()
                raise AssertionError("the worker has ended")
            return check()

        await eventually(checked, PATIENCE_S)

    def documents(self, symbol: Symbol | None = None) -> list[Analytics]:
        """All that are stored: of one symbol, or of every one and of the market."""
        symbols = (*self.symbols, ALL_SYMBOLS) if symbol is None else (symbol,)
        return [row for each in symbols for row in self.market.rows(each, Analytics, Query(limit=10_000))]

    def gauge(self, name: str, **labels: str) -> float | None:
        """A gauge as it stands."""
        return self.metrics.totals().gauges.get((f"data_manager_{name}", tuple(sorted(labels.items()))))

    def close(self) -> None:
        self.market.close()
        self.catalog.close()


def body(document: Analytics) -> dict[str, Any]:
    """What the document says."""
    found: dict[str, Any] = orjson.loads(document.body)
    return found
