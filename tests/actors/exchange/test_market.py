"""The simulated market is consistent: bars with trades, timeframes and moments with each other."""

from __future__ import annotations

import math
import statistics
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.exchange.bars import SimBar, SimTrade, bar_of, fills
from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.minutes import MINUTE_MS, RUN_MS

PURE = settings(derandomize=True, deadline=None, max_examples=40)
NOW = 1_760_918_400_000 // MINUTE_MS  # 2025-10-20 00:00 UTC
DAY = 1440

minutes = st.integers(0, 2 * NOW)
symbols = st.sampled_from(["BTCUSDT", "ETHUSDT", "ADAUSDT", "SOLUSDT", "KEEPUSDT", "币安人生USDT"])
rates = st.sampled_from([0, 96, 150, 600, 2280])
moments = st.integers(NOW * MINUTE_MS, (NOW + 3) * MINUTE_MS)


def brute_bar(trades: list[SimTrade]) -> SimBar:
    buys = [trade for trade in trades if not trade.sell]
    return SimBar(
        open=trades[0].ticks,
        high=max(trade.ticks for trade in trades),
        low=min(trade.ticks for trade in trades),
        close=trades[-1].ticks,
        volume=sum(trade.lots for trade in trades),
        quote=sum(trade.lots * trade.ticks for trade in trades),
        taker_buy_volume=sum(trade.lots for trade in buys),
        taker_buy_quote=sum(trade.lots * trade.ticks for trade in buys),
        first_id=trades[0].trade_id,
        last_id=trades[-1].trade_id,
    )


# -- trades and bars ----------------------------------------------------------------------------------------


@PURE
@given(symbols, minutes, rates, st.integers(0, 100))
def test_a_bar_is_what_its_trades_add_up_to(symbol: str, minute: int, rate: float, seed: int) -> None:
    market = Market(seed, rate)
    trades = list(market.trades(symbol, minute))
    assert market.bar(symbol, minute) == brute_bar(trades) == bar_of(trades)


@PURE
@given(symbols, minutes, rates)
def test_every_trade_has_a_size_and_lies_in_its_minute(symbol: str, minute: int, rate: float) -> None:
    trades = Market(7, rate).trades(symbol, minute)
    times = [trade.time_ms for trade in trades]
    assert times == sorted(times)
    assert minute * MINUTE_MS <= times[0] <= times[-1] < (minute + 1) * MINUTE_MS
    assert all(trade.lots > 0 and trade.ticks > 0 for trade in trades)
    assert {trade.sell for trade in trades} == {True, False}


@PURE
@given(symbols, minutes, rates)
def test_ids_are_unbroken_within_and_across_minutes(symbol: str, minute: int, rate: float) -> None:
    market = Market(7, rate)
    ids = [t.trade_id for m in (minute, minute + 1) for t in market.trades(symbol, m)]
    assert ids == list(range(ids[0], ids[0] + 2 * market.trades_per_minute))


@PURE
@given(symbols, minutes, rates)
def test_orders_are_the_aggregates_of_their_trades(symbol: str, minute: int, rate: float) -> None:
    market = Market(7, rate)
    orders = list(market.orders(symbol, minute * MINUTE_MS, (minute + 1) * MINUTE_MS))
    assert [order.agg_id for order in orders] == list(
        range(orders[0].agg_id, orders[0].agg_id + market.orders_per_minute)
    )
    for order in orders:
        trades = list(fills(order))
        assert [trades[0].trade_id, trades[-1].trade_id] == [order.first_id, order.last_id]
        assert sum(trade.lots for trade in trades) == order.lots
        assert {(t.ticks, t.time_ms, t.sell) for t in trades} == {(order.ticks, order.time_ms, order.sell)}
    assert {order.last_id - order.first_id for order in orders} == {0, 1}


@PURE
@given(symbols, minutes, st.lists(st.integers(0, MINUTE_MS * 2), min_size=1, max_size=6))
def test_windows_of_orders_miss_nothing_and_repeat_nothing(symbol: str, minute: int, cuts: list[int]) -> None:
    market, start = Market(7, 600), minute * MINUTE_MS
    edges = [start, *sorted(start + cut for cut in cuts), start + 2 * MINUTE_MS]
    pieces = [order for left, right in pairwise(edges) for order in market.orders(symbol, left, right)]
    assert pieces == list(market.orders(symbol, edges[0], edges[-1]))


def test_a_minute_opens_where_the_last_one_closed_give_or_take_the_spread() -> None:
    market = Market(7, 600)
    bars = [market.bar("BTCUSDT", NOW + i) for i in range(300)]
    assert all(abs(later.open - bar.close) <= 1 for bar, later in pairwise(bars))


def test_ids_are_unbroken_across_days() -> None:
    market = Market(7, 150)
    last, first = market.bar("BTCUSDT", 3 * DAY - 1), market.bar("BTCUSDT", 3 * DAY)
    assert first.first_id == last.last_id + 1


def test_the_rate_is_rounded_to_what_pairs_allow() -> None:
    assert [Market(7, rate).trades_per_minute for rate in (0, 96, 500, 2280, 60_000)] == [
        96,
        96,
        480,
        2304,
        60_000,
    ]


def test_the_price_path_does_not_depend_on_the_rate() -> None:
    slow, fast = (Market(7, rate).bar("BTCUSDT", NOW) for rate in (96, 2280))
    assert (slow.open, slow.high, slow.low, slow.close) == (fast.open, fast.high, fast.low, fast.close)
    assert slow.volume < fast.volume <= slow.volume + 4 * fast.trades  # every order has its least lots


# -- timeframes ---------------------------------------------------------------------------------------------


@PURE
@given(symbols, minutes, st.sampled_from([5, 15, 60, 240, 77]))
def test_a_bar_is_the_aggregate_of_its_own_smaller_bars(symbol: str, minute: int, length: int) -> None:
    market = Market(7, 96)
    small = [market.bar(symbol, m) for m in range(minute, minute + length)]
    assert market.bar(symbol, minute, length) == SimBar(
        open=small[0].open,
        high=max(bar.high for bar in small),
        low=min(bar.low for bar in small),
        close=small[-1].close,
        volume=sum(bar.volume for bar in small),
        quote=sum(bar.quote for bar in small),
        taker_buy_volume=sum(bar.taker_buy_volume for bar in small),
        taker_buy_quote=sum(bar.taker_buy_quote for bar in small),
        first_id=small[0].first_id,
        last_id=small[-1].last_id,
    )


def test_a_day_is_the_aggregate_of_its_hours() -> None:
    market, start = Market(7, 96), NOW // DAY * DAY
    day = market.bar("ETHUSDT", start, DAY)
    hours = [market.bar("ETHUSDT", start + 60 * hour, 60) for hour in range(24)]
    assert (day.open, day.close) == (hours[0].open, hours[-1].close)
    assert day.quote == sum(hour.quote for hour in hours)
    assert day.trades == DAY * market.trades_per_minute


@PURE
@given(symbols, moments)
def test_the_open_bar_holds_the_trades_up_to_now(symbol: str, time_ms: int) -> None:
    market, minute = Market(7, 600), time_ms // MINUTE_MS
    begun = [trade for trade in market.trades(symbol, minute) if trade.time_ms <= time_ms]
    assert market.open_bar(symbol, time_ms) == (brute_bar(begun) if begun else None)


def test_the_open_bar_ends_as_the_bar_of_its_minute() -> None:
    market = Market(7, 600)
    assert market.open_bar("BTCUSDT", (NOW + 1) * MINUTE_MS - 1) == market.bar("BTCUSDT", NOW)
    assert market.open_bar("BTCUSDT", NOW * MINUTE_MS) is None


@settings(PURE, max_examples=10)
@given(symbols, moments)
def test_the_ticker_is_the_aggregate_of_its_day(symbol: str, time_ms: int) -> None:
    market, minute = Market(7, 96), time_ms // MINUTE_MS
    open_ms, bar, last_lots = market.ticker(symbol, time_ms)
    day = market.bar(symbol, minute - DAY + 1, DAY - 1)
    begun = [trade for trade in market.trades(symbol, minute) if trade.time_ms <= time_ms]
    assert open_ms == (minute - DAY + 1) * MINUTE_MS
    assert bar.volume == day.volume + sum(trade.lots for trade in begun)
    assert bar.last_id == (begun[-1].trade_id if begun else day.last_id)
    last = begun[-1] if begun else market.trades(symbol, minute - 1)[-1]
    assert (bar.close, last_lots) == (last.ticks, last.lots)
    assert bar.low <= bar.close <= bar.high


# -- any moment alone ---------------------------------------------------------------------------------------


@PURE
@given(symbols, st.lists(minutes, min_size=2, max_size=4))
def test_any_moment_is_the_same_whatever_was_asked_before(symbol: str, asked: list[int]) -> None:
    market = Market(7, 150)
    in_order = {minute: (market.bar(symbol, minute), market.trades(symbol, minute)) for minute in asked}
    for minute in reversed(asked):
        fresh = Market(7, 150)
        assert (fresh.bar(symbol, minute), fresh.trades(symbol, minute)) == in_order[minute]


def test_the_seed_decides_everything() -> None:
    one, other, same = Market(1, 150), Market(2, 150), Market(1, 150)
    for symbol in ("BTCUSDT", "KEEPUSDT"):
        assert one.trades(symbol, NOW) == same.trades(symbol, NOW)
        assert one.book(symbol, NOW * MINUTE_MS) == same.book(symbol, NOW * MINUTE_MS)
        assert one.mark(symbol, NOW * MINUTE_MS) == same.mark(symbol, NOW * MINUTE_MS)
        assert one.bar(symbol, NOW) != other.bar(symbol, NOW)
    assert one.bar("BTCUSDT", NOW).volume != one.bar("ETHUSDT", NOW).volume


def test_caches_stay_bounded() -> None:
    market = Market(7, 60_000)
    for run in range(200):
        list(market.orders("BTCUSDT", run * RUN_MS, run * RUN_MS + 1))
    held = market._orders.cache_info()
    assert held.currsize * market.orders_per_minute / 16 <= 100_000


# -- statistics ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ADAUSDT", "KEEPUSDT"])
def test_minute_returns_have_realistic_volatility_and_heavy_tails(symbol: str) -> None:
    market = Market(7, 96)
    closes = [market.bar(symbol, NOW - i * 7).close for i in range(4000)]
    opens = [market.bar(symbol, NOW - i * 7).open for i in range(4000)]
    returns = [math.log(close / open_) for close, open_ in zip(closes, opens, strict=True)]
    sigma = statistics.pstdev(returns)
    assert 0.0003 < sigma < 0.0025
    assert abs(statistics.fmean(returns)) < 4 * sigma / math.sqrt(len(returns))
    assert statistics.fmean(r**4 for r in returns) > 3.5 * sigma**4


def test_volatility_comes_in_clusters() -> None:
    market = Market(7, 96)
    moves = [abs(b.close - b.open) for b in (market.bar("BTCUSDT", NOW + i) for i in range(3000))]
    mean, variance = statistics.fmean(moves), statistics.pvariance(moves)
    lagged = statistics.fmean((a - mean) * (b - mean) for a, b in zip(moves, moves[10:], strict=False))
    assert lagged > 0.05 * variance


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ADAUSDT", "KEEPUSDT"])
def test_the_price_stays_near_its_base_for_400_days(symbol: str) -> None:
    market = Market(7, 96)
    base = market.instrument(symbol).base_ticks
    prices = [market.best_bid(symbol, (NOW - day * DAY) * MINUTE_MS) / base for day in range(400)]
    assert 0.4 < min(prices) < max(prices) < 2.5
    assert max(prices) / min(prices) > 1.1
    daily = [math.log(b / a) for a, b in pairwise(prices)]
    assert 0.01 < statistics.pstdev(daily) < 0.08


def test_afternoons_are_livelier_than_nights() -> None:
    market, start = Market(7, 96), NOW // DAY * DAY
    volume = {
        hour: sum(market.bar("BTCUSDT", start - day * DAY + hour * 60, 60).volume for day in range(20))
        for hour in (3, 15)
    }
    assert volume[15] > 1.5 * volume[3]


# -- quotes -------------------------------------------------------------------------------------------------


@PURE
@given(symbols, moments, st.integers(1, 50))
def test_the_book_is_sorted_uncrossed_and_agrees_with_its_top(symbol: str, time_ms: int, levels: int) -> None:
    market = Market(7, 600)
    book = market.book(symbol, time_ms, levels)
    bids, asks = [ticks for ticks, _ in book.bids], [ticks for ticks, _ in book.asks]
    assert len(bids) == len(asks) == levels
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert asks[0] == bids[0] + 1 == market.best_bid(symbol, time_ms) + 1
    assert all(lots > 0 for _, lots in (*book.bids, *book.asks))
    top = market.book(symbol, time_ms, 1)
    assert (top.bids[0], top.asks[0]) == (book.bids[0], book.asks[0])
    assert book.update_id < market.book(symbol, time_ms + 1).update_id


def test_trades_happen_at_the_touch() -> None:
    market = Market(7, 2280)
    listed = market.instrument("BTCUSDT")
    for trade in market.trades("BTCUSDT", NOW):
        touch = market.best_bid("BTCUSDT", trade.time_ms) + (not trade.sell)
        assert abs(trade.ticks - touch) * listed.tick / 100 < 0.0005 * listed.base_price


@PURE
@given(symbols, moments)
def test_mark_and_index_stay_near_the_book(symbol: str, time_ms: int) -> None:
    market = Market(7, 600)
    mark, listed = market.mark(symbol, time_ms), market.instrument(symbol)
    middle = Decimal(listed.price(2 * market.best_bid(symbol, time_ms) + 1)) / 2
    assert Decimal(mark.index_price).scaleb(-8) == middle
    assert abs(mark.mark_price - mark.index_price) < 0.001 * mark.index_price
    assert 0 < mark.next_funding_ms - time_ms <= 8 * 3_600_000
    assert mark.next_funding_ms % (8 * 3_600_000) == 0


def test_the_foretold_funding_rate_ends_as_the_settled_one() -> None:
    market, settled_ms = Market(7, 600), NOW * MINUTE_MS
    settled = market.funding_rate("BTCUSDT", settled_ms)
    early = market.mark("BTCUSDT", settled_ms - 7 * 3_600_000).rate
    assert abs(market.mark("BTCUSDT", settled_ms - 1).rate - settled) <= 1
    assert abs(early - settled) < 10_000
    assert early != settled


def test_a_moment_that_is_no_funding_time_has_no_settled_rate() -> None:
    with pytest.raises(ValueError, match="no funding time"):
        Market(7, 600).funding_rate("BTCUSDT", NOW * MINUTE_MS + 1)
