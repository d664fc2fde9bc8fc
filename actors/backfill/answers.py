"""The exchange's answers, from bytes to the rows they mean, with every number, time and id checked. Pure.

Every function raises DataError, or msgspec's DecodeError and ValidationError, for what cannot be true.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec
from msgspec import field
from msgspec.json import Decoder

from data_manager.actors.audit.grid import Range
from data_manager.actors.ingest.numbers import check_plain, check_positive, check_signed, check_trade
from data_manager.actors.ingest.quarantine import BAD_SHAPE, BAD_TIME
from data_manager.actors.ingest.wire import Id, Ms
from data_manager.storage.records import MINUTE_MS, TIMEFRAMES, Candle, Depth, Funding, Levels, Source, Trade
from data_manager.system.errors import DataError


class Failure(msgspec.Struct, frozen=True):
    """The body of a request that failed."""

    code: int
    msg: str


class Listed(msgspec.Struct, frozen=True, rename="camel"):
    """A symbol that the exchange has, and since when."""

    symbol: str
    status: str  # TRADING, and others from before the first day to after the last
    contract_type: str
    onboard_date: int


class ExchangeInfo(msgspec.Struct, frozen=True):
    """What the exchange trades."""

    symbols: tuple[Listed, ...]


class _ServerTime(msgspec.Struct, frozen=True, rename="camel"):
    server_time: Ms


class _Kline(msgspec.Struct, frozen=True, gc=False, array_like=True):
    open_time: Ms
    open: str
    high: str
    low: str
    close: str
    volume: str
    close_time: Ms
    quote_volume: str
    trades_count: Id
    taker_buy_volume: str
    taker_buy_quote_volume: str


class _AggTrade(msgspec.Struct, frozen=True, gc=False):
    trade_id: Id = field(name="a")
    price: str = field(name="p")
    quantity: str = field(name="q")
    first_id: Id = field(name="f")
    last_id: Id = field(name="l")
    time_ms: Ms = field(name="T")
    is_buyer_maker: bool = field(name="m")


class _FundingRate(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    symbol: str
    funding_time: Ms
    funding_rate: str
    mark_price: str = ""  # empty before 2023


class _Depth(msgspec.Struct, frozen=True, rename="camel"):
    last_update_id: Id
    time_ms: Ms = field(name="T")
    bids: Levels
    asks: Levels


_klines = Decoder(list[_Kline])
_agg_trades = Decoder(list[_AggTrade])
_funding_rates = Decoder(list[_FundingRate])
_depth = Decoder(_Depth)
_info = Decoder(ExchangeInfo)
_time = Decoder(_ServerTime)
_failure = Decoder(Failure)


def klines(body: bytes, timeframe: str, within: Range, closed_before_ms: int, stored_ms: int) -> list[Candle]:
    """The bars of `within` that have closed before that time, ascending: the newest is usually still open."""
    rows = _klines.decode(body)
    _check_times([row.open_time for row in rows], within)
    if any(row.open_time % TIMEFRAMES[timeframe] for row in rows):
        raise DataError(BAD_TIME, f"A bar does not open where bars of {timeframe} do.")
    check_positive(*(price for row in rows for price in (row.open, row.high, row.low, row.close)))
    check_plain(*(row.volume for row in rows), *(row.quote_volume for row in rows))
    check_plain(*(row.taker_buy_volume for row in rows), *(row.taker_buy_quote_volume for row in rows))
    return [
        Candle(
            timeframe,
            row.open_time,
            row.open,
            row.high,
            row.low,
            row.close,
            row.volume,
            row.quote_volume,
            row.trades_count,
            row.taker_buy_volume,
            row.taker_buy_quote_volume,
            Source.REST.value,
            True,
            None,
            None,
            0,
            0,
            stored_ms,
        )
        for row in rows
        if row.close_time < closed_before_ms
    ]


def agg_trades(body: bytes, stored_ms: int) -> list[Trade]:
    """Aggregate trades in ascending order of their ids."""
    rows = _agg_trades.decode(body)
    if any(later.trade_id <= row.trade_id for row, later in pairwise(rows)):
        raise DataError(BAD_SHAPE, "The ids of the aggTrades do not ascend.")
    for row in rows:
        check_trade(row.price, row.quantity)
        if row.first_id > row.last_id:
            raise DataError(BAD_SHAPE, f"The first trade of aggTrade {row.trade_id} lies beyond its last.")
    return [
        Trade(
            "aggTrade",
            row.trade_id,
            row.time_ms,
            row.price,
            row.quantity,
            row.is_buyer_maker,
            row.first_id,
            row.last_id,
            "MARKET",
            0,
            0,
            stored_ms,
        )
        for row in rows
    ]


def funding_rates(body: bytes, symbol: str, within: Range, stored_ms: int) -> list[Funding]:
    """Settled rates, ascending; their times to the minute, as predictions have them."""
    rows = _funding_rates.decode(body)
    if any(row.symbol != symbol for row in rows):
        raise DataError(BAD_SHAPE, f"A funding rate is not of {symbol}.")
    _check_times([row.funding_time for row in rows], within)
    check_signed(*(row.funding_rate for row in rows))
    check_plain(*(row.mark_price for row in rows if row.mark_price))
    return [
        Funding(
            row.funding_time - row.funding_time % MINUTE_MS,
            row.funding_time,
            row.funding_rate,
            row.mark_price or None,
            True,
            0,
            0,
            stored_ms,
        )
        for row in rows
    ]


def depth(body: bytes, stored_ms: int) -> Depth:
    """The top of the book."""
    row = _depth.decode(body)
    check_plain(*(number for level in (*row.bids, *row.asks) for number in level))
    return Depth(row.last_update_id, row.time_ms, row.last_update_id, row.bids, row.asks, 0, 0, stored_ms)


def exchange_info(body: bytes) -> ExchangeInfo:
    """What is traded."""
    return _info.decode(body)


def server_time(body: bytes) -> int:
    """The exchange's clock in ms UTC."""
    return _time.decode(body).server_time


def failure(body: bytes) -> Failure:
    """Why a request failed."""
    return _failure.decode(body)


def _check_times(times: Sequence[int], within: Range) -> None:
    """They ascend, and are those that were asked for."""
    if any(later <= time for time, later in pairwise(times)):
        raise DataError(BAD_TIME, "The times of the rows do not ascend.")
    if times and not (within.start_ms <= times[0] and times[-1] < within.end_ms):
        raise DataError(BAD_TIME, f"Rows from {times[0]} to {times[-1]} were not asked for.")
