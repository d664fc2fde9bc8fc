"""The simulated market: pure functions of (seed, symbol, time), consistent with each other at any moment.

Any moment of any year costs the same, whatever was asked before. Every minute holds equally many trades, so
ids follow from the time and never break; bars are what their trades and their own smaller bars add up to.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from data_manager.actors.exchange.bars import Order, SimBar, SimTrade, bar_of, fills, merge
from data_manager.actors.exchange.instruments import Instrument, instrument
from data_manager.actors.exchange.minutes import (
    MIN_ORDERS,
    MINUTE_MS,
    RUN_MS,
    RUNS,
    TRADES_OF_TWO,
    Runs,
    Shapes,
    bar_of_runs,
    bars_of_shapes,
    make_orders,
    make_shapes,
)
from data_manager.actors.exchange.noise import Noise
from data_manager.actors.exchange.path import MINUTES_A_DAY, STRETCH, PricePath
from data_manager.actors.exchange.quotes import (
    FUNDING_MS,
    MAX_LEVELS,
    Book,
    Mark,
    make_book,
    make_mark,
    settled_rate,
)

# Bounds of the caches, each over all symbols of a market.
_SYMBOLS = 1024
_MINUTES = 2048  # about 6 MB
_DAYS = 2048  # of hours: about 20 MB
_SHAPES = 128  # about 16 MB
_ORDERS = 100_000  # about 25 MB


class Ticker(NamedTuple):
    """The rolling day: 1,439 whole minutes from `open_ms`, and what has traded of the present one."""

    open_ms: int
    bar: SimBar
    last_lots: int


class Market:
    """All symbols of one seed. `trades_per_minute` is rounded to what mirrored pairs allow, at least 96."""

    def __init__(self, seed: int, trades_per_minute: float) -> None:
        self._seed = seed
        pairs = round(trades_per_minute / RUNS / TRADES_OF_TWO)
        self._orders_per_run = max(MIN_ORDERS, 2 * pairs)
        self._trades_per_run = self._orders_per_run // 2 * TRADES_OF_TWO
        self.trades_per_minute = RUNS * self._trades_per_run
        self.orders_per_minute = RUNS * self._orders_per_run
        self.instrument = lru_cache(maxsize=_SYMBOLS)(self._instrument)
        self._path = lru_cache(maxsize=_SYMBOLS)(self._make_path)
        self._runs = lru_cache(maxsize=_MINUTES)(self._make_runs)
        self._orders = lru_cache(maxsize=max(16, _ORDERS // self._orders_per_run))(self._make_orders)
        self._shapes = lru_cache(maxsize=_SHAPES)(self._make_shapes)
        self._hours = lru_cache(maxsize=_DAYS)(self._make_hours)
        self._day = lru_cache(maxsize=_SYMBOLS)(self._make_day)

    # -- trades ---------------------------------------------------------------------------------------------

    def orders(self, symbol: str, start_ms: int, end_ms: int) -> Iterator[Order]:
        """The taker orders (aggTrades) with `start_ms <= time < end_ms`, by id, which is also by time."""
        for run in range(start_ms // RUN_MS, -(-end_ms // RUN_MS)):
            orders = self._orders(symbol, run)
            first, last = (bisect_left(orders, ms, key=_time) for ms in (start_ms, end_ms))
            yield from orders[first:last]

    def not_before_ms(self, agg_id: int) -> int:
        """A moment before which there is no order with this id or a later one."""
        return agg_id // self._orders_per_run * RUN_MS

    def trades(self, symbol: str, minute: int) -> Sequence[SimTrade]:
        """All raw trades of a minute since 1970, by id, which is also by time."""
        orders = self.orders(symbol, minute * MINUTE_MS, (minute + 1) * MINUTE_MS)
        return [trade for order in orders for trade in fills(order)]

    # -- bars -----------------------------------------------------------------------------------------------

    def bar(self, symbol: str, minute: int, minutes: int = 1) -> SimBar:
        """The bar of `minutes` minutes, the first of which is `minute` since 1970."""
        parts, end = [], minute + minutes
        while minute < end:
            whole_hour = minute % 60 == 0 and end - minute >= 60
            parts.append(self._hour(symbol, minute // 60) if whole_hour else self._minute(symbol, minute))
            minute += 60 if whole_hour else 1
        return merge(parts)

    def open_bar(self, symbol: str, time_ms: int) -> SimBar | None:
        """The unfinished bar of the minute of `time_ms`: trades at or before it; None before the first."""
        minute, run = time_ms // MINUTE_MS, time_ms // RUN_MS
        trades = [trade for order in self.orders(symbol, run * RUN_MS, time_ms + 1) for trade in fills(order)]
        whole = run - minute * RUNS
        parts = [self._bar_of_runs(symbol, minute, whole)] if whole else []
        parts += [bar_of(trades)] if trades else []
        return merge(parts) if parts else None

    def bar_until(self, symbol: str, minute: int, time_ms: int) -> SimBar | None:
        """The unfinished bar that began with `minute`: trades at or before `time_ms`; None before the first."""
        whole = time_ms // MINUTE_MS - minute
        newest = self.open_bar(symbol, time_ms)
        parts = [self.bar(symbol, minute, whole)] if whole else []
        parts += [newest] if newest else []
        return merge(parts) if parts else None

    def ticker(self, symbol: str, time_ms: int) -> Ticker:
        """The 24 h statistics: the aggregate of their bars, and the size of the last trade."""
        minute = time_ms // MINUTE_MS
        day, newest = self._day(symbol, minute), self.open_bar(symbol, time_ms)
        open_ms = (minute - MINUTES_A_DAY + 1) * MINUTE_MS
        *_, last = fills(self._last_order(symbol, time_ms))
        return Ticker(open_ms, merge([day, newest]) if newest else day, last.lots)

    # -- quotes ---------------------------------------------------------------------------------------------

    def best_bid(self, symbol: str, time_ms: int) -> int:
        """The best bid in ticks; the best ask is one tick above it."""
        minute, within = divmod(time_ms, MINUTE_MS)
        run, at = divmod(within, RUN_MS)
        left, right = self._runs(symbol, minute).bids[run : run + 2]
        return left + (right - left) * at // RUN_MS

    def book(self, symbol: str, time_ms: int, levels: int = 20) -> Book:
        """The top of the book, at most MAX_LEVELS a side."""
        _, noise = self._path(symbol)
        bid = self.best_bid(symbol, time_ms)
        return make_book(self.instrument(symbol), noise, time_ms, bid, min(levels, MAX_LEVELS))

    def mark(self, symbol: str, time_ms: int) -> Mark:
        """Mark price, index price and the funding rate as foretold now."""
        _, noise = self._path(symbol)
        return make_mark(self.instrument(symbol), noise, time_ms, self.best_bid(symbol, time_ms))

    def funding_rate(self, symbol: str, funding_ms: int) -> int:
        """The settled rate in units of 10**-8; ValueError when `funding_ms` is no funding time."""
        if funding_ms % FUNDING_MS:
            raise ValueError(f"{funding_ms} is no funding time: a multiple of {FUNDING_MS} ms")
        return settled_rate(self._path(symbol)[1], funding_ms)

    # -- what is cached -------------------------------------------------------------------------------------

    def _instrument(self, symbol: str) -> Instrument:
        return instrument(self._seed, symbol)

    def _make_path(self, symbol: str) -> tuple[PricePath, Noise]:
        noise = Noise(self._seed, symbol)
        return PricePath(noise, self.instrument(symbol).sigma), noise

    def _make_runs(self, symbol: str, minute: int) -> Runs:
        return self._shapes(symbol, minute // STRETCH).runs(minute % STRETCH)

    def _make_shapes(self, symbol: str, stretch: int) -> Shapes:
        path, noise = self._path(symbol)
        return make_shapes(self.instrument(symbol), path, noise, stretch, self._orders_per_run)

    def _make_orders(self, symbol: str, run: int) -> tuple[Order, ...]:
        return make_orders(self._runs(symbol, run // RUNS), self._path(symbol)[1], run, self._orders_per_run)

    def _make_hours(self, symbol: str, day: int) -> Sequence[SimBar]:
        """The 24 of a day at once, from arrays: many times faster than from the bars of its minutes."""
        first, end = day * MINUTES_A_DAY, (day + 1) * MINUTES_A_DAY
        parts = []
        for stretch in range(first // STRETCH, -(-end // STRETCH)):
            start = stretch * STRETCH
            parts.append(self._shapes(symbol, stretch).cut(max(first - start, 0), end - start))
        return bars_of_shapes(parts, 60, first * self.trades_per_minute, self.trades_per_minute)

    def _hour(self, symbol: str, hour: int) -> SimBar:
        return self._hours(symbol, hour // 24)[hour % 24]

    def _make_day(self, symbol: str, minute: int) -> SimBar:
        return self.bar(symbol, minute - MINUTES_A_DAY + 1, MINUTES_A_DAY - 1)

    def _minute(self, symbol: str, minute: int) -> SimBar:
        return self._bar_of_runs(symbol, minute, RUNS)

    def _bar_of_runs(self, symbol: str, minute: int, count: int) -> SimBar:
        runs = self._runs(symbol, minute)
        return bar_of_runs(runs, count, minute * self.trades_per_minute, self._trades_per_run)

    def _last_order(self, symbol: str, time_ms: int) -> Order:
        run = time_ms // RUN_MS
        orders = self._orders(symbol, run)
        place = bisect_right(orders, time_ms, key=_time)
        return orders[place - 1] if place else self._orders(symbol, run - 1)[-1]


def _time(order: Order) -> int:
    return order.time_ms
