"""Short ways to make records and writes, with values that differ from field to field."""

from __future__ import annotations

from typing import Any

from data_manager.storage.computed import body_of
from data_manager.storage.ledger import BatchEntry, Counts
from data_manager.storage.protocols import Event, Write
from data_manager.storage.records import (
    MINUTE_MS,
    Analytics,
    BookTicker,
    Candle,
    Depth,
    Funding,
    Liquidation,
    MarkPrice,
    OpenCandle,
    Quarantined,
    Record,
    Symbol,
    Ticker,
    Trade,
)

BTC = Symbol("BTCUSDT")
T0 = 1_700_000_040_000  # a whole minute

WIRE_NAMES: dict[type[Record], str] = {
    Candle: "kline",
    OpenCandle: "kline",
    Depth: "depthUpdate",
    Ticker: "24hrTicker",
    MarkPrice: "markPriceUpdate",
    BookTicker: "bookTicker",
    Liquidation: "forceOrder",
    Funding: "fundingRate",
    Quarantined: "unknown",
}


class FixedClock:
    """A clock that stands where it is put."""

    def __init__(self, ms: int = T0) -> None:
        self.ms = ms

    def now_us(self) -> int:
        return self.ms * 1000

    def monotonic(self) -> float:
        return self.ms / 1000


def trade(trade_id: int, **fields: Any) -> Trade:
    values: dict[str, Any] = {
        "kind": "trade",
        "trade_id": trade_id,
        "time_ms": T0 + trade_id,
        "price": "43123.10",
        "quantity": "0.0150",
        "is_buyer_maker": trade_id % 2 == 0,
        "first_id": trade_id,
        "last_id": trade_id,
        "order_type": "MARKET",
        "feed_seq": trade_id << 12,
        "market_seq": 1,
        "stored_ms": T0,
    }
    return Trade(**{**values, **fields})


def agg_trade(trade_id: int, **fields: Any) -> Trade:
    return trade(trade_id, **{"kind": "aggTrade", **fields})


def candle(minute: int, **fields: Any) -> Candle:
    values: dict[str, Any] = {
        "timeframe": "1m",
        "open_time": T0 + minute * MINUTE_MS,
        "open": "1.0",
        "high": "4.0",
        "low": "0.5",
        "close": "2.0",
        "volume": "100.000",
        "quote_volume": "150.1",
        "trades_count": 7,
        "taker_buy_volume": "60",
        "taker_buy_quote_volume": None,
        "source": "kline",
        "complete": True,
        "first_id": 1,
        "last_id": None,
        "feed_seq": 9,
        "market_seq": 2,
        "stored_ms": T0,
    }
    return Candle(**{**values, **fields})


def derived(minute: int, trades: int, *, complete: bool = True, **fields: Any) -> Candle:
    return candle(minute, **{"source": "trades", "trades_count": trades, "complete": complete, **fields})


def open_candle(minute: int, event_time: int = 1, **fields: Any) -> OpenCandle:
    values: dict[str, Any] = {
        "timeframe": "1m",
        "open_time": T0 + minute * MINUTE_MS,
        "event_time": event_time,
        "open": "1.0",
        "high": "4.0",
        "low": "0.5",
        "close": "2.0",
        "volume": "1",
        "quote_volume": None,
        "trades_count": None,
        "feed_seq": 3,
        "market_seq": 2,
        "stored_ms": T0,
    }
    return OpenCandle(**{**values, **fields})


def depth(slot: int, update_id: int = 1, **fields: Any) -> Depth:
    values: dict[str, Any] = {
        "slot": slot,
        "time_ms": T0 + slot,
        "last_update_id": update_id,
        "bids": (("43123.10", "1.5"), ("43123.00", "0")),
        "asks": (),
        "feed_seq": 4,
        "market_seq": 2,
        "stored_ms": T0,
    }
    return Depth(**{**values, **fields})


def quarantined(feed_seq: int, **fields: Any) -> Quarantined:
    values: dict[str, Any] = {
        "incarnation": 5,
        "feed_seq": feed_seq,
        "event_type": "trade",
        "reason": "bad_shape",
        "detail": "price is missing - at `$.p`",
        "raw": b'{"e":"trade"\x00\xff}',
        "received_ms": T0 - 3,
        "stored_ms": T0,
    }
    return Quarantined(**{**values, **fields})


def document(number: int = 0, **fields: Any) -> Analytics:
    """A computed document for hour `number`; `said` are further fields of its body."""
    said = fields.pop("said", {})
    metadata = {"method": "rolling_stddev", "window": "30d", "n": 720, "completeness": 99.5, "gaps": 0, "reasons": {}}
    values: dict[str, Any] = {
        "category": "volatility",
        "timeframe": "1h",
        "time_ms": T0 + number * 60 * MINUTE_MS,
        "computed_ms": T0 + number * 60 * MINUTE_MS + 7,
        "state": "partial",
        "body": body_of({"rolling_stddev": 0.01, "parkinson": None, **said}, metadata),
        "stored_ms": T0,
    }
    return Analytics(**{**values, **fields})


# one of each type that events bring, with its nulls, for round trips
ONE_OF_EACH: tuple[Record, ...] = (
    trade(11),
    candle(0),
    open_candle(1),
    depth(1),
    Ticker("24hrMiniTicker", T0, T0 + 7, "1", "2", "0.1", "1.5", "1e3", "99", None, None, None, 1 << 40, 3, T0),
    MarkPrice(T0, T0 + 5, "43000.1", None, "43000.2", "-0.0001", T0 + 99, 8, 3, T0),
    BookTicker(T0, T0 + 5, 77, "43000.1", "1", "43000.2", "2", 8, 3, T0),
    Liquidation(T0, "SELL", "43000", "0.5", None, "FILLED", None, "0.5", 8, 3, T0),
    Funding(T0, T0 - 9, "-0.00012", None, False, 8, 3, T0),
    quarantined(1 << 50),
)


def event(record: Record, *, keep_first: bool | None = None) -> Event:
    """An event under its wire name, with the policy that ingest gives its type unless told otherwise."""
    wire_name = record.kind if isinstance(record, Trade) else WIRE_NAMES[type(record)]
    first = isinstance(record, Trade | Quarantined | Liquidation) if keep_first is None else keep_first
    return Event(wire_name, record, first)


def received(*records: Record, **fields: Any) -> Write:
    """A write of events that are counted as received, as ingest makes it."""
    return received_events([event(record) for record in records], **fields)


def received_events(events: list[Event], **fields: Any) -> Write:
    counts: dict[str, Counts] = {}
    for each in events:
        counts[each.event_type] = counts.get(each.event_type, Counts()) + Counts(received=1)
    return Write(events=events, counts=counts, **fields)


def batch(market_seq: int, *positions: int, incarnation: int = 5, routed_through: int = 0) -> BatchEntry:
    return BatchEntry(market_seq, incarnation, routed_through, positions)
