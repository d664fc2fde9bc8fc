"""The tables that the extractor, a service beside this one, writes its candles to; others read them, as we do.

There is one per timeframe, `klines_h1` for `1h`, filled from the exchange's REST interface. Names of columns
differ between its versions, so a table is looked at before its rows are. Nothing here creates or changes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, RowMapping, column, inspect, null, table
from sqlalchemy.exc import NoSuchTableError

from data_manager.storage.catalog_tables import EpochMs
from data_manager.storage.records import MINUTE_MS, TIMEFRAMES, Candle, Source
from data_manager.system.errors import StoreError

LENGTHS = {**TIMEFRAMES, "30m": 30 * MINUTE_MS}  # the timeframes that have a table, in ms

COLUMNS: dict[str, tuple[str, ...]] = {  # a candle's field -> what its column is called, the best name first
    "open_time": ("timestamp", "open_time"),  # the same time; the first one is indexed, with the symbol
    "open": ("open_price", "open"),
    "high": ("high_price", "high"),
    "low": ("low_price", "low"),
    "close": ("close_price", "close"),
    "volume": ("volume", "base_volume"),
    "quote_volume": ("quote_asset_volume", "quote_volume"),
    "trades_count": ("number_of_trades", "trades_count"),
    "taker_buy_volume": ("taker_buy_base_asset_volume", "taker_buy_base_volume", "taker_buy_volume"),
    "taker_buy_quote_volume": ("taker_buy_quote_asset_volume", "taker_buy_quote_volume"),
    "stored_ms": ("extracted_at",),
}
NEEDED = ("open_time", "open", "high", "low", "close", "volume")
TIMES = ("open_time", "stored_ms")


class Bars(NamedTuple):
    """One table of theirs: where it is, and the column of each field, a null for what it does not have."""

    table: FromClause
    columns: Mapping[str, ColumnElement[Any]]


def find_bars(connection: Connection, timeframe: str) -> Bars | None:
    """The timeframe's table as it is now; None where there is none. Raises StoreError when it lacks a NEEDED column."""
    if timeframe not in LENGTHS:
        return None
    name = f"klines_{timeframe[-1]}{timeframe[:-1]}"
    try:
        there = {each["name"] for each in inspect(connection).get_columns(name)}
    except NoSuchTableError:
        return None
    columns: dict[str, ColumnElement[Any]] = {}
    for field, names in COLUMNS.items():
        chosen = next((each for each in names if each in there), None)
        if chosen is None and field in NEEDED:
            raise StoreError(f"{name} has no column for {field} of a candle; it has {', '.join(sorted(there))}")
        kind = EpochMs if field in TIMES else None
        columns[field] = null() if chosen is None else column(chosen, kind)
    return Bars(table(name), columns)


def candle_of(timeframe: str, row: RowMapping) -> Candle:
    """The candle of a row that has a column per field."""

    def text(field: str) -> str | None:
        return None if row[field] is None else plain(row[field])

    return Candle(
        timeframe=timeframe,
        open_time=row["open_time"],
        open=plain(row["open"]),
        high=plain(row["high"]),
        low=plain(row["low"]),
        close=plain(row["close"]),
        volume=plain(row["volume"]),
        quote_volume=text("quote_volume"),
        trades_count=row["trades_count"],
        taker_buy_volume=text("taker_buy_volume"),
        taker_buy_quote_volume=text("taker_buy_quote_volume"),
        source=Source.REST.value,
        complete=True,
        first_id=None,
        last_id=None,
        feed_seq=0,
        market_seq=0,
        stored_ms=row["stored_ms"] or row["open_time"] + LENGTHS[timeframe],
    )


def plain(value: object) -> str:
    """The exact value of a DECIMAL as the exchange writes it: no exponent, no zeros that only fill its column."""
    text = f"{Decimal(str(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
