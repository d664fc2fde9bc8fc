"""Both stores as housekeeping has them: real SQLite on threads of their own, which a test can make fail."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from data_manager.http.store_thread import StoreThread
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.protocols import Catalog, Event, MarketStore, Query, Write
from data_manager.storage.records import ALL_SYMBOLS, Record, Series, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.errors import StoreCorrupt, StoreUnavailable
from data_manager.system.metrics import Metrics, series
from tests.log_capture import logs_to
from tests.storage.examples import BTC, FixedClock

R = TypeVar("R", bound=Record)

DAY_MS = 86_400_000
NOW = 1_800_000_000_000  # a whole minute


class Market(SqliteMarketStore):
    """A market store with faults and figures set by hand."""

    away = False
    unchecked = False  # its check says that it is away
    damaged: Symbol | None = None
    free: int | None = None
    found: tuple[str, ...] = ()
    expired: list[tuple[Series, int]]  # every call to `expire`

    def check(self, symbol: Symbol = ALL_SYMBOLS) -> None:
        if self.unchecked:
            raise StoreUnavailable("away")
        super().check(symbol)

    def symbols(self) -> list[Symbol]:
        if self.away:
            raise StoreUnavailable("away")
        return list(super().symbols())

    def expire(self, series: Series, stored_before_ms: int, limit: int = 1000) -> int:
        if series.symbol == self.damaged:
            raise StoreCorrupt(f"{series.symbol} is damaged")
        self.expired.append((series, limit))
        return super().expire(series, stored_before_ms, limit)

    def rows(self, symbol: Symbol, record: type[R], query: Query) -> list[R]:
        if symbol == self.damaged:
            raise StoreCorrupt(f"{symbol} is damaged")
        return super().rows(symbol, record, query)

    def data_bytes(self) -> int:
        if self.away:
            raise StoreUnavailable("away")
        return super().data_bytes()

    def free_bytes(self) -> int:
        return super().free_bytes() if self.free is None else self.free

    def findings(self) -> list[str]:
        return list(self.found)


class AwayCatalog(SqlCatalog):
    """A catalog that can be away."""

    away = False
    unchecked = False

    def check(self) -> None:
        if self.unchecked:
            raise StoreUnavailable("the catalog is away")
        super().check()

    def incidents(self, limit: int = 100, open_only: bool = False):
        if self.away:
            raise StoreUnavailable("the catalog is away")
        return super().incidents(limit, open_only)


class Stores:
    """The stores, their threads, and what housekeeping is given beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FixedClock(NOW)
        self.metrics = Metrics()
        self.market = Market(folder / "market", clock=self.clock)
        self.market.expired = []
        self.tests = SqliteMarketStore(folder / "market", clock=self.clock)  # of the test's own thread
        self.catalog = AwayCatalog(f"sqlite:///{folder}/catalog.sqlite3", clock=self.clock)
        (folder / "market").mkdir(exist_ok=True)
        self.market_thread: StoreThread[MarketStore] = StoreThread("market store", lambda: self.market)
        self.catalog_thread: StoreThread[Catalog] = StoreThread("catalog", lambda: self.catalog)

    def store(self, records: Iterable[Record], symbol: Symbol = BTC) -> None:
        self.tests.write(symbol, Write(events=[Event(type(row).dataset, row) for row in records]))

    def rows(self, record: type[Record], symbol: Symbol = BTC) -> int:
        return self.tests.count(symbol, record, Query(), cap=10**6)

    def delete_candle(self, open_time: int, timeframe: str = "1m", symbol: Symbol = BTC) -> None:
        """As an accident would."""
        with closing(sqlite3.connect(self.folder / "market" / f"{symbol}.sqlite3")) as file, file:
            file.execute("DELETE FROM candles WHERE timeframe = ? AND open_time = ?", (timeframe, open_time))

    def counter(self, name: str, **labels: str) -> float:
        return self.metrics.totals().counters.get(series(f"data_manager_{name}", labels), 0)

    def gauge(self, name: str, **labels: str) -> float | None:
        return self.metrics.totals().gauges.get(series(f"data_manager_{name}", labels))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Stores]:
    stores = Stores(folder)
    yield stores
    stores.market.away = stores.catalog.away = False
    await stores.market_thread.close()
    await stores.catalog_thread.close()
    stores.market.close()
    stores.tests.close()
    stores.catalog.close()


class _Lines(StringIO):
    def __init__(self) -> None:
        super().__init__()
        self.parsed: list[dict[str, Any]] = []

    def write(self, text: str) -> int:
        self.parsed.append(json.loads(text))
        return len(text)


@contextmanager
def captured() -> Iterator[list[dict[str, Any]]]:
    """The log lines of the block, as they come."""
    stream = _Lines()
    with logs_to(stream):
        yield stream.parsed


def with_stores(folder: Path, check: Callable[[Stores], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened(folder) as stores:
            await check(stores)

    asyncio.run(run())
