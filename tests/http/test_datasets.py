from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from data_manager.http.datasets import Datasets
from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import MarketStore
from data_manager.storage.records import ALL_SYMBOLS, TIMEFRAMES, Quarantined, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.errors import StoreUnavailable
from tests.http.serving import BTC, NOW_MS, StillClock, book, candle, funding, store_rows, trade

CLOCK = StillClock()


def with_datasets(folder: Path, check: Callable[[Datasets, StoreThread[MarketStore]], Awaitable[None]]) -> None:
    async def run() -> None:
        thread: StoreThread[MarketStore] = StoreThread(
            "market store", lambda: SqliteMarketStore(folder / "market", clock=CLOCK, read_only=True)
        )
        await check(Datasets(thread, CLOCK), thread)
        await thread.close()

    asyncio.run(run())


def test_a_dataset_is_named_as_its_collection(tmp_path: Path) -> None:
    (tmp_path / "market").mkdir()
    store_rows(tmp_path, [*(candle(NOW_MS, timeframe) for timeframe in TIMEFRAMES), trade(1, NOW_MS), book(1)])
    store_rows(tmp_path, [funding(NOW_MS, settled=False)], symbol=Symbol("测试USDT"))

    async def check(datasets: Datasets, _: object) -> None:
        assert [(found.symbol, found.name) for found in await datasets.all()] == [
            *((BTC, f"candles_BTCUSDT_{timeframe}") for timeframe in TIMEFRAMES),
            (BTC, "trades_BTCUSDT"),
            (BTC, "depth_BTCUSDT"),
            ("测试USDT", "funding_rates_测试USDT"),
        ]

    with_datasets(tmp_path, check)


def test_what_belongs_to_no_symbol_is_no_dataset(tmp_path: Path) -> None:
    (tmp_path / "market").mkdir()
    bad = Quarantined(1, 1, "unknown", "not_json", "", b"{", NOW_MS, NOW_MS)
    store_rows(tmp_path, [bad], symbol=ALL_SYMBOLS)
    store_rows(tmp_path, [bad])

    async def check(datasets: Datasets, _: object) -> None:
        assert await datasets.all() == ()

    with_datasets(tmp_path, check)


def test_other_calls_get_their_turn_between_two_symbols(tmp_path: Path) -> None:
    (tmp_path / "market").mkdir()
    for number in range(10):
        store_rows(tmp_path, [trade(1, NOW_MS)], symbol=Symbol(f"S{number}USDT"))

    async def check(datasets: Datasets, thread: StoreThread[MarketStore]) -> None:
        looking = asyncio.create_task(datasets.all())
        await asyncio.sleep(0)
        await thread.call(lambda store: store.check())
        assert not looking.done()
        assert len(await looking) == 10

    with_datasets(tmp_path, check)


def test_many_at_once_look_once(tmp_path: Path) -> None:
    (tmp_path / "market").mkdir()
    store_rows(tmp_path, [trade(1, NOW_MS)])

    async def check(datasets: Datasets, _: object) -> None:
        first, *others = await asyncio.gather(*(datasets.all() for _ in range(20)))
        assert all(other is first for other in others)

    with_datasets(tmp_path, check)


def test_a_store_that_is_away_is_an_error_and_not_an_empty_list(tmp_path: Path) -> None:
    async def check(datasets: Datasets, _: object) -> None:
        with pytest.raises(StoreUnavailable):
            await datasets.all()
        (tmp_path / "market").mkdir()
        assert await datasets.all() == ()

    with_datasets(tmp_path, check)
