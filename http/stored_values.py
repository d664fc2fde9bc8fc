"""Stored rows as responses show them: decimals as the exchange's own text, times in explicit UTC, unknown is null.

The keys of each type, in their order, are also the columns of its CSV form.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from data_manager.http.answer_types import Exact, Time
from data_manager.http.answers import bar_stamp, stamp, stamp_or_none
from data_manager.storage.records import (
    BookTicker,
    Candle,
    Depth,
    Funding,
    Levels,
    Liquidation,
    MarkPrice,
    Ticker,
    Trade,
)


class CandleValue(TypedDict):
    """One bar under its open time; `complete` is false where trades it should cover are missing."""

    timestamp: Time
    open: Exact
    high: Exact
    low: Exact
    close: Exact
    volume: Exact
    quote_volume: Exact | None
    trades_count: int | None
    complete: bool
    source: str


class TradeValue(TypedDict):
    """One trade, or one aggregate; `side` is the aggressor's."""

    timestamp: Time
    trade_id: int
    price: Exact
    quantity: Exact
    side: Annotated[str, Field(json_schema_extra={"enum": ["buy", "sell"]})]


class FundingValue(TypedDict):
    """One funding rate."""

    timestamp: Time
    funding_rate: Exact
    mark_price: Exact | None
    settled: bool


class TickerValue(TypedDict):
    """One rolling ticker of 24 h; a miniTicker has none of the last three."""

    timestamp: Time
    kind: str
    open_price: Exact
    high_price: Exact
    low_price: Exact
    close_price: Exact
    volume: Exact
    quote_volume: Exact
    price_change: Exact | None
    price_change_percent: Exact | None
    trades_count: int | None


class MarkPriceValue(TypedDict):
    """One mark price, with the funding rate that will apply."""

    timestamp: Time
    mark_price: Exact
    index_price: Exact | None
    estimated_settle_price: Exact | None
    last_funding_rate: Exact | None
    next_funding_time: Time | None


class BookTickerValue(TypedDict):
    """Best bid and ask."""

    timestamp: Time
    update_id: int
    bid_price: Exact
    bid_quantity: Exact
    ask_price: Exact
    ask_quantity: Exact


class LiquidationValue(TypedDict):
    """One forced order; `side` is the order's own, as the exchange writes it."""

    timestamp: Time
    side: str
    price: Exact
    quantity: Exact
    average_price: Exact | None
    status: str | None
    last_filled: Exact | None
    total_filled: Exact | None


class LevelValue(TypedDict):
    """One price of a book, and what is there."""

    price: Exact
    quantity: Exact


class BookValue(TypedDict):
    """A book's levels, best first; empty lists and id 0 when there is none."""

    bids: list[LevelValue]
    asks: list[LevelValue]
    last_update_id: int


def columns_of(value: type) -> tuple[str, ...]:
    """The keys of such a value, in their order."""
    return tuple(value.__annotations__)


def candle_value(row: Candle) -> CandleValue:
    """See CandleValue."""
    return {
        "timestamp": bar_stamp(row.open_time),
        "open": row.open,
        "high": row.high,
        "low": row.low,
        "close": row.close,
        "volume": row.volume,
        "quote_volume": row.quote_volume,
        "trades_count": row.trades_count,
        "complete": row.complete,
        "source": row.source,
    }


def trade_value(row: Trade) -> TradeValue:
    """See TradeValue."""
    return {
        "timestamp": stamp(row.time_ms),
        "trade_id": row.trade_id,
        "price": row.price,
        "quantity": row.quantity,
        "side": row.side,
    }


def funding_value(row: Funding) -> FundingValue:
    """See FundingValue."""
    return {
        "timestamp": stamp(row.funding_time),
        "funding_rate": row.funding_rate,
        "mark_price": row.mark_price,
        "settled": row.settled,
    }


def ticker_value(row: Ticker) -> TickerValue:
    """See TickerValue."""
    return {
        "timestamp": stamp(row.time_ms),
        "kind": row.kind,
        "open_price": row.open_price,
        "high_price": row.high_price,
        "low_price": row.low_price,
        "close_price": row.close_price,
        "volume": row.volume,
        "quote_volume": row.quote_volume,
        "price_change": row.price_change,
        "price_change_percent": row.price_change_percent,
        "trades_count": row.trades_count,
    }


def mark_price_value(row: MarkPrice) -> MarkPriceValue:
    """See MarkPriceValue."""
    return {
        "timestamp": stamp(row.time_ms),
        "mark_price": row.mark_price,
        "index_price": row.index_price,
        "estimated_settle_price": row.estimated_settle_price,
        "last_funding_rate": row.last_funding_rate,
        "next_funding_time": stamp_or_none(row.next_funding_time),
    }


def book_ticker_value(row: BookTicker) -> BookTickerValue:
    """See BookTickerValue."""
    return {
        "timestamp": stamp(row.time_ms),
        "update_id": row.update_id,
        "bid_price": row.bid_price,
        "bid_quantity": row.bid_quantity,
        "ask_price": row.ask_price,
        "ask_quantity": row.ask_quantity,
    }


def liquidation_value(row: Liquidation) -> LiquidationValue:
    """See LiquidationValue."""
    return {
        "timestamp": stamp(row.time_ms),
        "side": row.side,
        "price": row.price,
        "quantity": row.quantity,
        "average_price": row.average_price,
        "status": row.status,
        "last_filled": row.last_filled,
        "total_filled": row.total_filled,
    }


def book_value(book: Depth | None) -> BookValue:
    """See BookValue."""
    if book is None:
        return {"bids": [], "asks": [], "last_update_id": 0}
    return {"bids": levels(book.bids), "asks": levels(book.asks), "last_update_id": book.last_update_id}


def levels(side: Levels) -> list[LevelValue]:
    """One side of a book."""
    return [{"price": price, "quantity": quantity} for price, quantity in side]
