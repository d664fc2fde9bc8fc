"""Walks the pages of a job: rows, what the exchange does not have, and where to go on after a crash."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple, Protocol

from data_manager.actors.audit.funding import unsettled
from data_manager.actors.audit.grid import Range, missing
from data_manager.actors.backfill.absences import Absent
from data_manager.actors.backfill.conf import Routes
from data_manager.actors.backfill.plan import HOUR_MS, Checkpoint, DataType, Work, candle_pages, page_size, rest
from data_manager.storage.records import MINUTE_MS, TIMEFRAMES, Candle, Funding, Symbol, Trade
from data_manager.storage.retention import DAY_MS

SETTLED_MS = MINUTE_MS  # what ended less than this before the exchange's clock may still come: no evidence

TRADES_KEPT_MS = 365 * DAY_MS  # aggTrades older than that are not served: that none come says nothing


class Fetched(NamedTuple):
    """One page: once its rows are stored, the job can go on at `checkpoint`, in this process or in another."""

    rows: Sequence[Candle] | Sequence[Trade] | Sequence[Funding]
    absent: Sequence[Absent]
    checkpoint: Checkpoint


class Exchange(Protocol):
    """What paging needs of the exchange; binance.py is one."""

    async def server_ms(self) -> int:
        """A time that the exchange's clock has certainly reached."""
        ...

    async def klines(self, symbol: Symbol, timeframe: str, within: Range, limit: int) -> list[Candle]:
        """The closed bars of `within`."""
        ...

    async def agg_trades(self, symbol: Symbol, from_id: int, limit: int) -> list[Trade]:
        """The aggTrades from that id on."""
        ...

    async def agg_trades_between(self, symbol: Symbol, within: Range, limit: int) -> list[Trade]:
        """The first aggTrades of `within`, at most an hour."""
        ...

    async def funding_rates(self, symbol: Symbol, within: Range, limit: int) -> list[Funding]:
        """The first settled rates of `within`."""
        ...


def walk(
    exchange: Exchange, work: Work, routes: Routes, checkpoint: Checkpoint | None = None
) -> AsyncIterator[Fetched]:
    """The pages of a job from `checkpoint` on; raises ExchangeError, after which a new walk goes on at the last one.

    Holds one page at a time. The range should have passed: where it has not, the walk ends at the exchange's own
    present, and nothing that may still come is called absent.
    """
    if work.data_type is DataType.CANDLES:
        return _candles(exchange, work, page_size(work, routes.klines), checkpoint)
    if work.data_type is DataType.TRADES:
        return _trades(exchange, work, page_size(work, routes.agg_trades), checkpoint)
    return _funding(exchange, work, page_size(work, routes.funding_rates), checkpoint)


def whole_minutes(within: Range) -> Range:
    """The times whose minute lies in the range: a rate settles some milliseconds after its time."""
    return Range(within.start_ms, within.end_ms - MINUTE_MS + 1)


async def _candles(exchange: Exchange, work: Work, size: int, checkpoint: Checkpoint | None) -> AsyncIterator[Fetched]:
    assert work.timeframe is not None
    length = TIMEFRAMES[work.timeframe]
    for page in candle_pages(work, size, checkpoint):
        settled = await _settled(exchange)
        bars = await exchange.klines(work.symbol, work.timeframe, page, size)
        judged = Range(page.start_ms, min(page.end_ms, settled // length * length))
        holes = missing((bar.open_time for bar in bars), judged, length)
        done = page.start_ms if work.newest_first else page.end_ms
        yield Fetched(bars, [Absent(*hole) for hole in holes], Checkpoint(done))


async def _trades(exchange: Exchange, work: Work, size: int, checkpoint: Checkpoint | None) -> AsyncIterator[Fetched]:
    """By time until a trade is found, then by id: many trades can share a millisecond."""
    at, end = rest(work, checkpoint)
    next_id = checkpoint.next_id if checkpoint else None
    while at < end:
        settled = await _settled(exchange)
        if next_id is None:
            hour = Range(at, min(at + HOUR_MS, end))
            until, found = hour.end_ms, await exchange.agg_trades_between(work.symbol, hour, size)
            absent = [Absent(*hour)] if not found and until <= settled < at + TRADES_KEPT_MS else []
        else:
            until, found = end, await exchange.agg_trades(work.symbol, next_id, size)
            absent = list(_skipped_first(found, next_id, at))
        absent += _skipped(found, end)
        rows = [trade for trade in found if trade.time_ms < end]
        is_all = len(found) < size  # by id: all that there is
        if found:
            at, next_id = found[-1].time_ms, found[-1].trade_id + 1
        if is_all and until <= settled:
            at = until
        yield Fetched(rows, absent, Checkpoint(min(at, end), next_id))
        if is_all and until > settled:
            return


async def _funding(exchange: Exchange, work: Work, size: int, checkpoint: Checkpoint | None) -> AsyncIterator[Fetched]:
    at, end = rest(work, checkpoint)
    while at < end:
        settled = await _settled(exchange)
        rates = await exchange.funding_rates(work.symbol, Range(at, end), size)
        is_all = len(rates) < size
        begin = at
        if rates:
            at = rates[-1].event_time + 1
        if is_all and end <= settled:
            at = end
        absent = _unsettled(rates, Range(begin, at)) if rates or at == begin else [Absent(begin, at)]
        yield Fetched(rates, absent, Checkpoint(at))
        if is_all and end > settled:
            return


async def _settled(exchange: Exchange) -> int:
    """Before this time the exchange's answers will not change any more."""
    return await exchange.server_ms() - SETTLED_MS


def _unsettled(rates: Sequence[Funding], within: Range) -> list[Absent]:
    """Times at which a rate should have settled, those between the same two rates taken together."""
    times = [rate.funding_time for rate in rates]
    holes = unsettled(rates, whole_minutes(within))
    between = groupby(holes, lambda hole: bisect_left(times, hole.start_ms))
    groups = (list(group) for _, group in between)
    return [Absent(group[0].start_ms, group[-1].end_ms) for group in groups]


def _skipped_first(found: Sequence[Trade], next_id: int, at: int) -> Iterator[Absent]:
    """Ids between the last page and this one."""
    if found and found[0].trade_id > next_id:
        yield Absent(at, found[0].time_ms + 1, next_id, found[0].trade_id - 1)


def _skipped(found: Sequence[Trade], end: int) -> Iterator[Absent]:
    """Ids within a page; those before `end`."""
    for trade, later in pairwise(found):
        if later.trade_id > trade.trade_id + 1 and trade.time_ms < end:
            yield Absent(trade.time_ms, later.time_ms + 1, trade.trade_id + 1, later.trade_id - 1)
