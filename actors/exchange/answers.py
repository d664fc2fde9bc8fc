"""What the REST side answers: the rows of each route, as far as the exchange has them at a moment."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

from data_manager.actors.exchange import rows
from data_manager.actors.exchange.bars import Order, SimBar
from data_manager.actors.exchange.faults import Faults
from data_manager.actors.exchange.market import Market
from data_manager.actors.exchange.meter import WEIGHT_A_MINUTE
from data_manager.actors.exchange.minutes import MINUTE_MS
from data_manager.actors.exchange.queries import Query, Refusal
from data_manager.actors.exchange.quotes import FUNDING_MS

LISTED_MS = 1_567_900_800_000  # all symbols since 2019-09-08; nothing is older
YEAR_MS = 365 * 86_400_000  # aggTrades go back so far
HOUR_MS = 3_600_000

KLINES = (500, 1500)  # rows of a page: by default, and at most
AGG_TRADES = (500, 1000)
FUNDING_RATES = (100, 1000)
DEPTH_WEIGHTS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}
DEPTH = 500

Answer = Callable[[Query, int], Awaitable[object]]


class Route(NamedTuple):
    """How a route weighs a request, and answers it at a moment in ms; both raise Refusal."""

    weigh: Callable[[Query], int]
    answer: Answer
    funding: bool = False  # counts against the limit of funding and weighs nothing


class Answers:
    """The routes of some symbols of a market."""

    def __init__(
        self, market: Market, symbols: Sequence[str], faults: Faults, weight_a_minute: int = WEIGHT_A_MINUTE
    ) -> None:
        self._market = market
        self._symbols = symbols
        self._faults = faults
        self._weight_a_minute = weight_a_minute
        self.routes = {
            "/fapi/v1/ping": Route(_one, self.ping),
            "/fapi/v1/time": Route(_one, self.time),
            "/fapi/v1/exchangeInfo": Route(_one, self.exchange_info),
            "/fapi/v1/klines": Route(klines_weight, self.klines),
            "/fapi/v1/aggTrades": Route(lambda query: 20, self.agg_trades),
            "/fapi/v1/fundingRate": Route(lambda query: 0, self.funding_rates, funding=True),
            "/fapi/v1/depth": Route(lambda query: DEPTH_WEIGHTS[_depth(query)], self.depth),
            "/fapi/v1/premiumIndex": Route(lambda query: 1 if query.has("symbol") else 10, self.premium_index),
            "/fapi/v1/ticker/24hr": Route(lambda query: 1 if query.has("symbol") else 40, self.tickers),
        }

    async def ping(self, query: Query, now_ms: int) -> object:
        """Nothing."""
        return {}

    async def time(self, query: Query, now_ms: int) -> object:
        """The exchange's clock."""
        return {"serverTime": now_ms}

    async def exchange_info(self, query: Query, now_ms: int) -> object:
        """What is traded."""
        listed = [self._market.instrument(symbol) for symbol in self._symbols]
        return rows.exchange_answer(listed, now_ms, LISTED_MS, self._weight_a_minute)

    async def klines(self, query: Query, now_ms: int) -> object:
        """Bars by open time, ascending: from `startTime` on, else the newest; the very newest is still open."""
        symbol, interval, limit = query.symbol(), query.interval_ms(), query.limit(*KLINES)
        start, end = query.times()
        opens = _grid(start, end, now_ms, interval)
        found = (ms for ms in opens if self._faults.has_rows(symbol, ms, ms + interval))
        listed, page = self._market.instrument(symbol), []
        for open_ms in found:
            if bar := self._bar(symbol, open_ms, interval, now_ms):
                page.append(rows.kline_row(listed, open_ms, interval, bar))
            if len(page) == limit:
                break
            await asyncio.sleep(0)  # a bar of a day takes a while, and the feed waits for its turn
        return page if start is not None else page[::-1]

    async def agg_trades(self, query: Query, now_ms: int) -> object:
        """Taker orders by id, ascending: from `fromId` or `startTime` on, else the newest."""
        symbol, limit = query.symbol(), query.limit(*AGG_TRADES)
        from_id, (start, end) = query.integer("fromId"), query.times()
        if from_id is not None and (start is not None or end is not None):
            raise Refusal(400, -1128, "Combination of optional parameters invalid.")
        if start is not None and end is not None and end - start >= HOUR_MS:
            raise Refusal(400, -1127, "Lookup interval is too big. More than 1 hours between startTime and endTime.")
        until = min(now_ms if end is None else end, now_ms) + 1
        if from_id is not None:
            later = self._orders(symbol, self._market.not_before_ms(from_id), until, now_ms)
            page = list(islice((order for order in later if order.agg_id >= from_id), limit))
        elif start is not None:
            page = list(islice(self._orders(symbol, start, until, now_ms), limit))
        else:
            minutes = limit // self._market.orders_per_minute + 2
            page = list(deque(self._orders(symbol, until - minutes * MINUTE_MS, until, now_ms), limit))
        listed = self._market.instrument(symbol)
        return [rows.agg_trade_row(listed, order) for order in page]

    async def funding_rates(self, query: Query, now_ms: int) -> object:
        """Settled rates by time, ascending: from `startTime` on, else the newest; of all symbols when none is named."""
        symbols, limit = query.symbols(), query.limit(*FUNDING_RATES)
        start, end = query.times()
        settled = ((ms, symbol) for ms in _grid(start, end, now_ms, FUNDING_MS) for symbol in symbols)
        found = islice(((ms, symbol) for ms, symbol in settled if self._faults.has_rows(symbol, ms)), limit)
        return [
            rows.funding_row(
                self._market.instrument(symbol),
                ms,
                self._market.funding_rate(symbol, ms),
                self._market.mark(symbol, ms),
            )
            for ms, symbol in sorted(found, key=itemgetter(0))
        ]

    async def depth(self, query: Query, now_ms: int) -> object:
        """The order book."""
        symbol = query.symbol()
        book = self._market.book(symbol, now_ms, _depth(query))
        return rows.depth_answer(self._market.instrument(symbol), now_ms, now_ms, book)

    async def premium_index(self, query: Query, now_ms: int) -> object:
        """Mark prices and the rates that will be settled next."""
        found = [
            rows.premium_row(self._market.instrument(symbol), now_ms, self._market.mark(symbol, now_ms))
            for symbol in query.symbols()
        ]
        return found[0] if query.has("symbol") else found

    async def tickers(self, query: Query, now_ms: int) -> object:
        """The 24 h statistics."""
        found = []
        for symbol in query.symbols():
            ticker = self._market.ticker(symbol, now_ms)
            found.append(rows.ticker_row(self._market.instrument(symbol), now_ms, ticker))
            await asyncio.sleep(0)
        return found[0] if query.has("symbol") else found

    def _bar(self, symbol: str, open_ms: int, interval_ms: int, now_ms: int) -> SimBar | None:
        minute = open_ms // MINUTE_MS
        if open_ms + interval_ms > now_ms:
            return self._market.bar_until(symbol, minute, now_ms)
        return self._market.bar(symbol, minute, interval_ms // MINUTE_MS)

    def _orders(self, symbol: str, start_ms: int, end_ms: int, now_ms: int) -> Iterator[Order]:
        oldest = max(LISTED_MS, now_ms - YEAR_MS)
        for order in self._market.orders(symbol, max(start_ms, oldest), end_ms):
            if self._faults.has_rows(symbol, order.time_ms) and self._faults.has_id(symbol, order.agg_id):
                yield order


def klines_weight(query: Query) -> int:
    """By the number of rows asked for."""
    limit = query.limit(*KLINES)
    return next(weight for rows_below, weight in ((100, 1), (500, 2), (1001, 5), (1501, 10)) if limit < rows_below)


def _one(query: Query) -> int:
    return 1


def _depth(query: Query) -> int:
    levels = query.integer("limit") or DEPTH
    if levels not in DEPTH_WEIGHTS:
        raise Refusal(400, -4021, f"Invalid depth limit: {levels}.")
    return levels


def _grid(start_ms: int | None, end_ms: int | None, now_ms: int, step_ms: int) -> range:
    """The multiples of `step_ms` in `start <= time <= end`, none in the future; the newest first without a start."""
    first = -(-max(start_ms or 0, LISTED_MS) // step_ms) * step_ms
    last = min(now_ms if end_ms is None else end_ms, now_ms) // step_ms * step_ms
    return range(last, first - 1, -step_ms) if start_ms is None else range(first, last + 1, step_ms)
