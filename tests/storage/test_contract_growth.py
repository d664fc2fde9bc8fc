"""Contract of every back end: what it holds, what that takes, and how rows leave it again."""

from __future__ import annotations

from typing import Any

import pytest

from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import (
    ALL_SYMBOLS,
    TIMEFRAMES,
    Candle,
    Depth,
    Quarantined,
    Record,
    Series,
    Symbol,
    Trade,
    series_of,
)
from tests.storage.backends import Backend
from tests.storage.examples import (
    BTC,
    ONE_OF_EACH,
    T0,
    agg_trade,
    candle,
    depth,
    open_candle,
    quarantined,
    received,
    trade,
)

ETH = Symbol("ETHUSDT")
EVERYTHING = Query(limit=10**6)


def bar(timeframe: str, number: int, **fields: Any) -> Candle:
    return candle(0, timeframe=timeframe, open_time=T0 + number * TIMEFRAMES[timeframe], **fields)


# -- expire -------------------------------------------------------------------------------------------------


def test_of_candles_only_those_of_the_timeframe_expire(store: MarketStore) -> None:
    later = T0 + 10**9
    store.write(BTC, received(*(bar(name, n, stored_ms=later) for n in range(4) for name in TIMEFRAMES)))
    assert store.expire(Series(BTC, Candle, "5m"), later + 1) == 4
    left = {row.timeframe for row in store.rows(BTC, Candle, EVERYTHING)}
    assert left == set(TIMEFRAMES) - {"5m"}
    assert store.count(BTC, Candle, EVERYTHING) == 4 * (len(TIMEFRAMES) - 1)


def test_candles_that_were_stored_before_others_expire_behind_those_that_stay(store: MarketStore) -> None:
    """A backfill stores the oldest bars last."""
    old, new = T0 + 10**9, T0 + 2 * 10**9
    store.write(BTC, received(*(bar("1m", n, stored_ms=old) for n in range(100, 105))))
    store.write(BTC, received(*(bar("1h", n, stored_ms=old) for n in range(50))))
    backfilled = [bar("1m", n, stored_ms=new) for n in range(100)]
    store.write(BTC, received(*backfilled))
    one_minute = Series(BTC, Candle, "1m")
    assert [store.expire(one_minute, new, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert store.rows(BTC, Candle, Query(equal=(("timeframe", "1m"),), limit=1000)) == backfilled
    assert store.count(BTC, Candle, Query(equal=(("timeframe", "1h"),))) == 50


def test_a_bar_that_was_replaced_lives_from_then_on(store: MarketStore) -> None:
    old, new = T0 + 10**9, T0 + 2 * 10**9
    store.write(BTC, received(bar("1m", 0, stored_ms=old, source="trades"), bar("1m", 1, stored_ms=old)))
    better = bar("1m", 0, stored_ms=new, source="rest")
    store.write(BTC, received(better))
    assert store.expire(Series(BTC, Candle, "1m"), new) == 1
    assert store.rows(BTC, Candle, EVERYTHING) == [better]


@pytest.mark.parametrize("record", ONE_OF_EACH, ids=lambda record: type(record).__name__)
def test_rows_of_every_type_expire_and_no_others(store: MarketStore, record: Record) -> None:
    store.write(BTC, received(*ONE_OF_EACH))
    store.write(ETH, received(record))
    series = Series(BTC, type(record), record.timeframe if isinstance(record, Candle) else None)
    assert store.expire(series, T0) == 0
    assert store.expire(series, T0 + 10**9) == 1
    left = {type(other): store.count(BTC, type(other), EVERYTHING) for other in ONE_OF_EACH}
    assert left == {type(other): int(other is not record) for other in ONE_OF_EACH}
    assert store.count(ETH, type(record), EVERYTHING) == 1


def test_quarantine_of_no_symbol_expires_too(store: MarketStore) -> None:
    store.write(ALL_SYMBOLS, received(quarantined(1), quarantined(2, stored_ms=T0 + 5)))
    assert store.expire(Series(ALL_SYMBOLS, Quarantined), T0 + 5) == 1
    assert [row.feed_seq for row in store.rows(ALL_SYMBOLS, Quarantined, EVERYTHING)] == [2]


def test_what_expired_may_come_again(store: MarketStore) -> None:
    store.write(BTC, received(trade(1)))
    assert store.expire(Series(BTC, Trade), T0 + 1) == 1
    assert store.write(BTC, received(trade(1))).new_trades == 1


# -- holdings -----------------------------------------------------------------------------------------------


def test_holdings_count_every_series_and_know_its_ends(store: MarketStore) -> None:
    store.write(BTC, received(*(trade(n) for n in range(5, 12)), *(agg_trade(n) for n in (2, 30))))
    store.write(BTC, received(*(bar("1m", n) for n in range(3)), bar("4h", 7), depth(4), depth(9)))
    held = {each.series: (each.rows, each.oldest_ms, each.newest_ms) for each in store.holdings(BTC)}
    four_hours = T0 + 7 * TIMEFRAMES["4h"]
    assert held == {
        Series(BTC, Candle, "1m"): (3, T0, T0 + 120_000),
        Series(BTC, Candle, "4h"): (1, four_hours, four_hours),
        Series(BTC, Trade): (9, T0 + 2, T0 + 30),
        Series(BTC, Depth): (2, T0 + 4, T0 + 9),
    }


def test_holdings_come_in_the_order_of_the_series_without_open_bars_and_quarantine(store: MarketStore) -> None:
    store.write(BTC, received(*ONE_OF_EACH, *(bar(name, 1) for name in reversed(TIMEFRAMES))))
    assert [each.series for each in store.holdings(BTC)] == list(series_of(BTC))


def test_nothing_is_held_of_what_has_no_rows_in_a_series(store: MarketStore) -> None:
    store.write(BTC, received(quarantined(1), open_candle(1), book=depth(1)))
    assert store.holdings(BTC) == []
    assert store.holdings(ETH) == []
    store.write(BTC, received(trade(1)))
    assert len(store.holdings(BTC)) == 1
    store.expire(Series(BTC, Trade), T0 + 1)
    assert store.holdings(BTC) == []


def test_bytes_of_a_series_are_unknown_or_those_of_some_rows(store: MarketStore) -> None:
    store.write(BTC, received(*map(trade, range(500))))
    (held,) = store.holdings(BTC)
    assert held.bytes is None or held.bytes > 500 * 20


# -- space and findings -------------------------------------------------------------------------------------


def test_data_takes_more_space_when_it_grows_and_less_when_it_expires(backend: Backend) -> None:
    store, reader = backend.open(), backend.open(read_only=True)
    store.write(ETH, received(trade(1)))
    empty = store.data_bytes()
    store.write(BTC, received(*map(trade, range(800))))
    full = reader.data_bytes()
    assert full > empty + 800 * 50
    while store.expire(Series(BTC, Trade), T0 + 1, limit=100):  # more at once may outlast a busy server's time-out
        pass
    assert reader.data_bytes() < full - 800 * 50


def test_what_is_left_for_it_is_positive_or_unknown(store: MarketStore) -> None:
    store.write(BTC, received(trade(1)))
    free = store.free_bytes()
    assert free is None or free > 0


def test_nothing_is_found_in_a_store_that_is_well(backend: Backend) -> None:
    store = backend.open()
    for symbol in (BTC, ETH, ALL_SYMBOLS):
        store.write(symbol, received(*ONE_OF_EACH))
    assert store.findings() == []
    assert backend.open(read_only=True).findings() == []
