"""The stored types: frozen records, one per kind of row, with their keys.

Prices and quantities are the exchange's own decimal text; times are integer milliseconds UTC. Fields stand in
the order of the store's columns. Three say where a row came from; a computed document has the last of them alone:

- `feed_seq`: the position of the event that made the row (system/frames.py), 0 for derived and repaired rows;
- `market_seq`: the MARKET sequence of the batch that wrote it, 0 likewise (and always in core mode);
- `stored_ms`: when it was written; retention counts from here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, NewType

import msgspec

Symbol = NewType("Symbol", str)

ALL_SYMBOLS = Symbol("_all")  # holds what has no symbol: the router's quarantine and ledger

MINUTE_MS = 60_000
TIMEFRAMES: dict[str, int] = {  # name -> length in ms, shortest first; each is rolled up from the one before
    "1m": MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "1d": 1440 * MINUTE_MS,
}

CATEGORIES = ("volatility", "volume", "spread", "trend", "deviation", "seasonality", "correlation", "regime")
MARKET_WIDE = ("correlation_matrix", "market_overview")  # categories of documents that speak of all symbols


class Source(StrEnum):
    """Where a candle came from, weakest first: a stronger source replaces a weaker one."""

    TRADES = "trades"
    KLINE = "kline"
    REST = "rest"

    @property
    def rank(self) -> int:
        """0 for trades, 1 for kline events, 2 for the exchange's REST rows."""
        return list(Source).index(self)


class Record(msgspec.Struct, frozen=True, gc=False):
    """A row of a market store."""

    dataset: ClassVar[str]  # the prefix of the collection's name in contract.md §3.2
    time_field: ClassVar[str]  # the column that ranges and sorting use
    key: ClassVar[tuple[str, ...]]  # the natural key within one symbol

    @property
    def rank(self) -> tuple[int, ...]:
        """Of two rows under one key the greater rank is the better one; equal ranks are copies."""
        return ()


class Trade(Record, frozen=True, gc=False):
    """A trade, or an aggregate of trades that covers the raw ids `first_id..last_id`."""

    dataset = "trades"
    time_field = "time_ms"
    key = ("kind", "trade_id")

    kind: str  # "trade" or "aggTrade"
    trade_id: int  # `t`, or `a` of an aggTrade
    time_ms: int  # trade time `T`
    price: str
    quantity: str
    is_buyer_maker: bool  # true: the aggressor sold
    first_id: int  # == trade_id for a raw trade
    last_id: int
    order_type: str  # `X`; only MARKET counts towards candles
    feed_seq: int
    market_seq: int
    stored_ms: int

    @property
    def side(self) -> str:
        """`buy` or `sell`, the aggressor's side."""
        return "sell" if self.is_buyer_maker else "buy"


class Candle(Record, frozen=True, gc=False):
    """A closed bar under its open time."""

    dataset = "candles"
    time_field = "open_time"
    key = ("timeframe", "open_time")

    timeframe: str
    open_time: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str | None
    trades_count: int | None
    taker_buy_volume: str | None
    taker_buy_quote_volume: str | None
    source: str  # a value of Source
    complete: bool  # a derived bar is complete when no raw trade id is missing around or inside it
    first_id: int | None  # raw trade ids; None where the source does not tell
    last_id: int | None
    feed_seq: int
    market_seq: int
    stored_ms: int

    @property
    def rank(self) -> tuple[int, ...]:
        """A stronger source, then a complete bar, then the one that covers more trades."""
        return (Source(self.source).rank, self.complete, self.trades_count or 0)


class OpenCandle(Record, frozen=True, gc=False):
    """The newest state of a bar that is still open; never audited, never analysed."""

    dataset = "open_candles"
    time_field = "open_time"
    key = ("timeframe",)

    timeframe: str
    open_time: int
    event_time: int  # `E`: the later one wins
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str | None
    trades_count: int | None
    feed_seq: int
    market_seq: int
    stored_ms: int

    @property
    def rank(self) -> tuple[int, ...]:
        """The later bar, then its later state."""
        return (self.open_time, self.event_time)


Levels = tuple[tuple[str, str], ...]  # (price, quantity), best first


class Depth(Record, frozen=True, gc=False):
    """A snapshot of the top of the book."""

    dataset = "depth"
    time_field = "time_ms"
    key = ("slot",)

    slot: int  # `last_update_id` in full mode, the slot's ms where sampled
    time_ms: int
    last_update_id: int
    bids: Levels
    asks: Levels
    feed_seq: int
    market_seq: int
    stored_ms: int

    @property
    def rank(self) -> tuple[int, ...]:
        """The greater update id."""
        return (self.last_update_id,)


class Ticker(Record, frozen=True, gc=False):
    """A 24 h rolling ticker; a miniTicker leaves the last three null."""

    dataset = "tickers"
    time_field = "time_ms"
    key = ("kind", "slot")

    kind: str  # "24hrTicker" or "24hrMiniTicker"
    slot: int  # event time, or the slot's ms where sampled
    time_ms: int
    open_price: str
    high_price: str
    low_price: str
    close_price: str
    volume: str
    quote_volume: str
    price_change: str | None
    price_change_percent: str | None
    trades_count: int | None
    feed_seq: int
    market_seq: int
    stored_ms: int

    @property
    def rank(self) -> tuple[int, ...]:
        """The later event."""
        return (self.time_ms,)


class MarkPrice(Record, frozen=True, gc=False):
    """Mark price, index price and the funding rate that will apply."""

    dataset = "mark_prices"
    time_field = "time_ms"
    key = ("slot",)

    slot: int
    time_ms: int
    mark_price: str
    index_price: str | None
    estimated_settle_price: str | None
    last_funding_rate: str | None
    next_funding_time: int | None
    feed_seq: int
    market_seq: int
    stored_ms: int

    @property
    def rank(self) -> tuple[int, ...]:
        """The later event."""
        return (self.time_ms,)


class BookTicker(Record, frozen=True, gc=False):
    """Best bid and ask."""

    dataset = "book_tickers"
    time_field = "time_ms"
    key = ("slot",)

    slot: int  # update id, or the second's ms where sampled
    time_ms: int
    update_id: int
    bid_price: str
    bid_quantity: str
    ask_price: str
    ask_quantity: str
    feed_seq: int
    market_seq: int
    stored_ms: int

    @property
    def rank(self) -> tuple[int, ...]:
        """The greater update id."""
        return (self.update_id,)


class Liquidation(Record, frozen=True, gc=False):
    """A forced order (`forceOrder`)."""

    dataset = "liquidations"
    time_field = "time_ms"
    key = ("time_ms", "side", "price", "quantity")

    time_ms: int
    side: str
    price: str
    quantity: str
    average_price: str | None
    status: str | None
    last_filled: str | None
    total_filled: str | None
    feed_seq: int
    market_seq: int
    stored_ms: int


class Funding(Record, frozen=True, gc=False):
    """A funding rate; settled (REST) beats predicted (events)."""

    dataset = "funding_rates"
    time_field = "funding_time"
    key = ("funding_time",)

    funding_time: int  # to the minute
    event_time: int  # a later prediction beats an earlier one
    funding_rate: str
    mark_price: str | None
    settled: bool
    feed_seq: int
    market_seq: int
    stored_ms: int

    @property
    def rank(self) -> tuple[int, ...]:
        """Settled beats predicted, a later prediction an earlier one."""
        return (self.settled, self.event_time)


class Analytics(Record, frozen=True, gc=False):
    """A document that was computed: one category of one symbol and timeframe, or of the whole market (ALL_SYMBOLS).

    `body` is a JSON object, made by `storage.computed.body_of`: the category's fields under their names, then
    `metadata`. Floats among the fields are their shortest text, what is not known is null; `metadata` keeps numbers
    as numbers. storage/computed.py lists the fields of every category, and says what `metadata` holds.
    """

    dataset = "analytics"
    time_field = "time_ms"
    key = ("category", "timeframe", "time_ms")

    category: str  # one of CATEGORIES, or of MARKET_WIDE under ALL_SYMBOLS
    timeframe: str
    time_ms: int  # computed for: the close of the newest closed bar; of a spread the cycle's slot
    computed_ms: int
    state: str  # complete, partial or empty
    body: str
    stored_ms: int

    @property
    def rank(self) -> tuple[int, ...]:
        """The later computation."""
        return (self.computed_ms,)


class Quarantined(Record, frozen=True, gc=False):
    """An event that could not be used, with its raw bytes."""

    dataset = "quarantine"
    time_field = "stored_ms"
    key = ("incarnation", "feed_seq")

    incarnation: int  # of FEED: its creation time in ns; 0 in core mode
    feed_seq: int
    event_type: str
    reason: str  # a short constant
    detail: str  # the sentence
    raw: bytes
    received_ms: int
    stored_ms: int


MARKET_RECORDS: tuple[type[Record], ...] = (
    Trade,
    Candle,
    OpenCandle,
    Depth,
    Ticker,
    MarkPrice,
    BookTicker,
    Liquidation,
    Funding,
    Analytics,
    Quarantined,
)

# What has a collection of its own in contract.md §3.2, and so an entry in the catalog; candles by timeframe.
_SERIES_RECORDS: tuple[type[Record], ...] = (Trade, Depth, Ticker, MarkPrice, BookTicker, Liquidation, Funding)


class Series(msgspec.Struct, frozen=True):
    """The rows of one type of one symbol: of candles those of a timeframe, of documents those of a category.

    What retention and catalog count by.
    """

    symbol: Symbol
    record: type[Record]
    timeframe: str | None = None  # of Candle, and of nothing else
    category: str | None = None  # of Analytics, and of nothing else

    @property
    def dataset_id(self) -> str:
        """Its name in the catalog, and its collection's in MongoDB, e.g. `candles_BTCUSDT_1h`."""
        symbol = None if self.category in MARKET_WIDE else self.symbol
        return "_".join(filter(None, (self.record.dataset, symbol, self.timeframe, self.category)))

    @property
    def equal(self) -> tuple[tuple[str, str], ...]:
        """What its rows have in common beside their type: pairs of field and value, as Query takes them."""
        parts = (("timeframe", self.timeframe), ("category", self.category))
        return tuple((field, value) for field, value in parts if value is not None)


def series_of_row(symbol: Symbol, record: Record) -> Series:
    """The series that the row belongs to."""
    if isinstance(record, Candle):
        return Series(symbol, Candle, record.timeframe)
    return Series(symbol, type(record), category=record.category if isinstance(record, Analytics) else None)


def series_of(symbol: Symbol) -> tuple[Series, ...]:
    """Every series of market data that a symbol may have: what can be audited."""
    candles = (Series(symbol, Candle, timeframe) for timeframe in TIMEFRAMES)
    return (*candles, *(Series(symbol, record) for record in _SERIES_RECORDS))


def documents_of(symbol: Symbol) -> tuple[Series, ...]:
    """Every series of computed documents about a symbol, or about the whole market for ALL_SYMBOLS."""
    categories = MARKET_WIDE if symbol == ALL_SYMBOLS else CATEGORIES
    return tuple(Series(symbol, Analytics, category=category) for category in categories)


def all_series_of(symbol: Symbol) -> tuple[Series, ...]:
    """Both: all that has an entry in the catalog."""
    return documents_of(symbol) if symbol == ALL_SYMBOLS else (*series_of(symbol), *documents_of(symbol))
