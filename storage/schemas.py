"""The schemas of the catalog's datasets, made from the record types, under the names that readers of MongoDB see.

A record's own names differ from the public ones in few places: its time is `timestamp`, `stored_ms` is `stored_at`,
`computed_ms` is `computed_at`, and the `body` of a document is its category's fields. A version of a schema never
changes: a field that comes or goes makes the next version.
"""

from __future__ import annotations

from typing import NamedTuple, get_type_hints

from data_manager.storage.computed import METRICS
from data_manager.storage.records import (
    Analytics,
    BookTicker,
    Candle,
    Depth,
    Funding,
    Levels,
    Liquidation,
    MarkPrice,
    Record,
    Series,
    Ticker,
    Trade,
)

VERSION = "1.0.0"
TIME = "timestamp"


class Field(NamedTuple):
    """One field.

    A `decimal` is exact decimal text, a `number` the shortest text of a double; a `date` is a UTC time with
    milliseconds, in JSON ISO-8601.
    """

    name: str
    type: str  # string, decimal, number, integer, boolean, date, array or object
    nullable: bool
    description: str


class Schema(NamedTuple):
    """The fields of one kind of dataset; `primary_key` names what makes a row one of its kind."""

    schema_id: str
    version: str
    fields: tuple[Field, ...]
    primary_key: tuple[str, ...]
    time_field: str


IDS: dict[type[Record], str] = {
    Candle: "candle_schema_v1",
    Trade: "trade_schema_v1",
    Depth: "depth_schema_v1",
    Ticker: "ticker_schema_v1",
    MarkPrice: "mark_price_schema_v1",
    BookTicker: "book_ticker_schema_v1",
    Liquidation: "liquidation_schema_v1",
    Funding: "funding_schema_v1",
}

TIMES: dict[type[Record], str] = {
    Candle: "Open time of the bar.",
    Trade: "Trade time.",
    Depth: "Time of the snapshot.",
    Liquidation: "Trade time.",
    Funding: "Funding time, to the minute.",
    Analytics: "What it was computed for: the close of the newest closed bar; of a spread the cycle's time.",
}

# all other text is decimal
TEXTS = frozenset(("symbol", "kind", "timeframe", "side", "source", "status", "order_type", "category", "state"))

DESCRIPTIONS = {
    "ask_price": "Best ask.",
    "ask_quantity": "Quantity at the best ask.",
    "asks": "Asks as {price, quantity}, best first.",
    "average_price": "Average price of the fills.",
    "bid_price": "Best bid.",
    "bid_quantity": "Quantity at the best bid.",
    "bids": "Bids as {price, quantity}, best first.",
    "category": "What was computed.",
    "close": "Last price of the bar.",
    "close_price": "Last price.",
    "complete": "False where trades that the bar should cover are missing.",
    "computed_at": "When it was computed; a later computation replaces an earlier one.",
    "estimated_settle_price": "Estimated settlement price; of use in the last hour before settlement only.",
    "event_time": "Time of the event that told, in ms since 1970 UTC.",
    "feed_seq": "Position of the event that made the row; 0 for derived and repaired rows.",
    "first_id": "First raw trade id covered.",
    "funding_rate": "Funding rate.",
    "high": "Highest price of the bar.",
    "high_price": "Highest price in 24 h.",
    "index_price": "Index price.",
    "is_buyer_maker": "True when the aggressor sold.",
    "kind": "Name of the event type.",
    "last_filled": "Quantity of the last fill.",
    "last_funding_rate": "Funding rate that will apply.",
    "last_id": "Last raw trade id covered.",
    "last_update_id": "The exchange's number of the book's state.",
    "low": "Lowest price of the bar.",
    "low_price": "Lowest price in 24 h.",
    "mark_price": "Mark price.",
    "market_seq": "Number of the batch that wrote the row; 0 for derived and repaired rows.",
    "next_funding_time": "Next funding time, in ms since 1970 UTC.",
    "open": "First price of the bar.",
    "open_price": "Price 24 h ago.",
    "order_type": "Order type tag; only MARKET counts towards candles.",
    "price": "Price.",
    "price_change": "Price change in 24 h.",
    "price_change_percent": "Price change in 24 h, in percent.",
    "quantity": "Base quantity.",
    "quote_quantity": "Price times quantity.",
    "quote_volume": "Quote volume.",
    "settled": "True for a settled rate, false for a predicted one.",
    "side": "buy or sell.",
    "slot": "What makes the row unique: the exchange's number or time, or the start of the sampling slot in ms.",
    "source": "trades (derived here), kline (events) or rest; the stronger replaces the weaker.",
    "state": "complete, partial or empty: whether all, some or none of the fields could be computed.",
    "status": "Order status.",
    "stored_at": "When the row was written; retention counts from here.",
    "symbol": "Trading pair.",
    "taker_buy_quote_volume": "Quote volume of aggressive buys.",
    "taker_buy_volume": "Base volume of aggressive buys.",
    "timeframe": "Length of the bar: 1m, 5m, 15m, 1h, 4h or 1d.",
    "total_filled": "Quantity of all fills.",
    "trade_id": "Trade id, or the aggregate's id.",
    "trades_count": "Number of trades.",
    "update_id": "The exchange's number of the update.",
    "volume": "Base volume.",
}

METADATA = "How far it can be trusted: method, window, completeness, n, gaps, parameters, reasons, computed_at."

ADDED: dict[type[Record], tuple[tuple[str, str], ...]] = {  # beside the record's own: name and type
    Trade: (("quote_quantity", "decimal"), ("side", "string")),
}


def public_name(record: type[Record], field: str) -> str:
    """The name under which readers know a field of the record."""
    if field == record.time_field:
        return TIME
    return {"stored_ms": "stored_at", "computed_ms": "computed_at"}.get(field, field)


def schema_of(record: type[Record]) -> Schema:
    """The schema of the record's datasets."""
    hints = get_type_hints(record)
    own = ((public_name(record, name), *kind_of(record, name, hints[name])) for name in record.__struct_fields__)
    added = ((name, kind, False) for name, kind in ADDED.get(record, ()))
    fields = (("symbol", "string", False), *own, *added)
    return Schema(
        schema_id=IDS[record],
        version=VERSION,
        fields=tuple(Field(name, kind, nullable, described(record, name)) for name, kind, nullable in fields),
        primary_key=("symbol", *(public_name(record, name) for name in record.key)),
        time_field=TIME,
    )


def kind_of(record: type[Record], name: str, hint: object) -> tuple[str, bool]:
    """The type of a field, and whether it may be null."""
    if name in (record.time_field, "stored_ms", "computed_ms"):
        return "date", False
    kinds: dict[object, str] = {int: "integer", bool: "boolean", str: "string" if name in TEXTS else "decimal"}
    for kind, label in kinds.items():
        if hint in (kind, kind | None):  # type: ignore[operator]
            return label, hint != kind
    assert hint == Levels, (record, name)
    return "array", False


def described(record: type[Record], name: str) -> str:
    """What a field means."""
    return TIMES.get(record, "Event time.") if name == TIME else DESCRIPTIONS[name]


def schema_of_documents(category: str) -> Schema:
    """The schema of the documents of a category."""
    hints = {**get_type_hints(Analytics), "symbol": str}
    outer = ("symbol", *(name for name in Analytics.__struct_fields__ if name != "body"))
    names = [(public_name(Analytics, name), *kind_of(Analytics, name, hints[name])) for name in outer]
    return Schema(
        schema_id=f"analytics_{category}_schema_v1",
        version=VERSION,
        fields=(
            *(Field(name, kind, nullable, described(Analytics, name)) for name, kind, nullable in names),
            *(Field(metric.name, metric.type, True, metric.description) for metric in METRICS[category]),
            Field("metadata", "object", False, METADATA),
        ),
        primary_key=("symbol", *(public_name(Analytics, name) for name in Analytics.key)),
        time_field=TIME,
    )


def schema_for(series: Series) -> Schema:
    """The schema of a series' rows."""
    return SCHEMAS[series.record] if series.category is None else DOCUMENT_SCHEMAS[series.category]


SCHEMAS: dict[type[Record], Schema] = {record: schema_of(record) for record in IDS}
DOCUMENT_SCHEMAS: dict[str, Schema] = {category: schema_of_documents(category) for category in METRICS}
BY_ID: dict[str, Schema] = {schema.schema_id: schema for schema in (*SCHEMAS.values(), *DOCUMENT_SCHEMAS.values())}
