"""Shedding: order-book rows only, the oldest of all symbols first, no more than is asked for, and no fresh ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_manager.actors.housekeeping import shedding
from data_manager.actors.housekeeping.shedding import KEPT_MS, SLICE_MS, Shedder
from data_manager.storage.protocols import Query
from data_manager.storage.records import BookTicker, Candle, Depth, Symbol, Trade
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.errors import StoreCorrupt
from tests.actors.housekeeping.stores import NOW, Market, Stores, with_stores
from tests.storage.examples import BTC, candle, depth, trade

ETH = Symbol("ETHUSDT")
LEVELS = tuple((f"43123.{number:04}", "1.5000000") for number in range(40))
EVERYTHING = 10**9  # bytes
HOUR = 3_600_000


def book(slot: int, age_ms: int) -> Depth:
    """About 2 kB."""
    return depth(slot, bids=LEVELS, asks=LEVELS, time_ms=NOW - age_ms, stored_ms=NOW - age_ms)


def best(slot: int, age_ms: int) -> BookTicker:
    return BookTicker(slot, NOW - age_ms, slot, "1", "1", "2", "2", slot, 1, NOW - age_ms)


def shedder(stores: Stores) -> Shedder:
    return Shedder(stores.market_thread, stores.clock, stores.metrics)


def ages_left(stores: Stores, record: type[Depth] | type[BookTicker], symbol: Symbol = BTC) -> list[int]:
    return [NOW - row.stored_ms for row in stores.tests.rows(symbol, record, Query(limit=10_000))]


def test_nothing_but_order_book_data_goes(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        old = {"stored_ms": NOW - HOUR}
        stores.store([trade(1, **old), candle(0, **old), book(1, HOUR), best(1, HOUR)])
        assert not await shedder(stores).shed(EVERYTHING)
        assert [stores.rows(record) for record in (Trade, Candle, Depth, BookTicker)] == [1, 1, 0, 0]
        assert stores.counter("shed_rows_total", dataset="depth") == 1
        assert stores.counter("shed_rows_total", dataset="book_tickers") == 1

    with_stores(tmp_path, check)


def test_fresh_rows_stay_however_much_is_wanted(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([book(1, KEPT_MS + 1), book(2, KEPT_MS), book(3, 0), best(1, 5)])
        assert not await shedder(stores).shed(EVERYTHING)
        assert ages_left(stores, Depth) == [KEPT_MS, 0]
        assert stores.rows(BookTicker) == 1

    with_stores(tmp_path, check)


def test_no_more_goes_than_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shedding, "ROWS", 20)

    async def check(stores: Stores) -> None:
        stores.store([book(number, 20 * HOUR - number * 1000) for number in range(1000)])
        before = stores.tests.data_bytes()
        assert await shedder(stores).shed(500_000)
        freed = before - stores.tests.data_bytes()
        assert 500_000 <= freed < 700_000
        ages = ages_left(stores, Depth)
        assert max(ages) == 20 * HOUR - (1000 - len(ages)) * 1000  # the oldest went

    with_stores(tmp_path, check)


def test_all_symbols_lose_their_oldest_rows_alike(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        # BTC goes back ten hours, ETH five, with a row of 2 kB a minute
        stores.store([book(number, 10 * HOUR - number * 60_000) for number in range(580)])
        stores.store([book(number, 5 * HOUR - number * 60_000) for number in range(280)], ETH)
        assert await shedder(stores).shed(1_400_000)
        oldest = max(ages_left(stores, Depth)), max(ages_left(stores, Depth, ETH))
        assert oldest[0] < 5 * HOUR
        assert oldest[1] < 5 * HOUR
        assert abs(oldest[0] - oldest[1]) <= 2 * SLICE_MS

    with_stores(tmp_path, check)


def test_a_store_without_order_book_data_has_nothing_to_shed(tmp_path: Path) -> None:
    async def check(stores: Stores) -> None:
        stores.store([trade(1)])
        assert not await shedder(stores).shed(1)
        assert stores.market.expired == []

    with_stores(tmp_path, check)


def test_it_ends_when_the_store_does_not_let_rows_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(stores: Stores) -> None:
        stores.store([book(1, HOUR)])
        monkeypatch.setattr(stores.market, "expire", lambda *args: 0)
        assert not await shedder(stores).shed(1)

    with_stores(tmp_path, check)


@pytest.mark.parametrize("readable", [False, True])
def test_a_damaged_file_does_not_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readable: bool
) -> None:
    if readable:
        monkeypatch.setattr(Market, "rows", SqliteMarketStore.rows)

    async def check(stores: Stores) -> None:
        for symbol in (BTC, ETH):
            stores.store([book(number, HOUR) for number in range(100)], symbol)
        stores.market.damaged = BTC
        assert await shedder(stores).shed(100_000)
        assert (stores.rows(Depth, BTC), stores.rows(Depth, ETH)) == (100, 0)
        with pytest.raises(StoreCorrupt):
            await shedder(stores).shed(100_000)

    with_stores(tmp_path, check)
