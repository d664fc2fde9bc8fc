"""Rows that cannot be true, whatever the market did. Pure."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from data_manager.storage.records import (
    TIMEFRAMES,
    BookTicker,
    Candle,
    Depth,
    Funding,
    MarkPrice,
    Record,
    Ticker,
    Trade,
)


def contradicts(row: Record) -> bool:
    """Whether the row's own numbers contradict each other or are none, or its time is none that its series has."""
    try:
        return _contradicts(row)
    except InvalidOperation:  # somebody else has written text that is no number
        return True


def _contradicts(row: Record) -> bool:
    match row:
        case Candle():
            return _candle(row)
        case Trade():
            return row.last_id < row.first_id or Decimal(row.price) <= 0 or Decimal(row.quantity) < 0
        case Depth():
            return bool(row.bids and row.asks) and Decimal(row.bids[0][0]) >= Decimal(row.asks[0][0])
        case BookTicker():
            return Decimal(row.bid_price) > Decimal(row.ask_price)
        case Ticker():
            low, high = Decimal(row.low_price), Decimal(row.high_price)
            return not low <= Decimal(row.close_price) <= high
        case MarkPrice():
            return Decimal(row.mark_price) <= 0
        case Funding():
            return abs(Decimal(row.funding_rate)) >= 1
        case _:
            return False


def _candle(bar: Candle) -> bool:
    low, high, volume = Decimal(bar.low), Decimal(bar.high), Decimal(bar.volume)
    return (
        bool(bar.open_time % TIMEFRAMES[bar.timeframe])
        or not low <= Decimal(bar.open) <= high
        or not low <= Decimal(bar.close) <= high
        or volume < 0
        or _exceeds(bar.taker_buy_volume, bar.volume)
        or _exceeds(bar.taker_buy_quote_volume, bar.quote_volume)
    )


def _exceeds(part: str | None, whole: str | None) -> bool:
    return part is not None and whole is not None and Decimal(part) > Decimal(whole)
