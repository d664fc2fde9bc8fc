"""What the catalog says of the series that a market store holds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from operator import attrgetter
from typing import NamedTuple

from data_manager.storage.protocols import Dataset, MarketStore, Query
from data_manager.storage.records import (
    Analytics,
    BookTicker,
    Candle,
    Depth,
    Funding,
    Liquidation,
    MarkPrice,
    Record,
    Series,
    Symbol,
    Ticker,
    Trade,
    all_series_of,
)
from data_manager.storage.schemas import schema_for

CATEGORY = "market_data"
COMPUTED = "analytics"  # the category of computed documents
OWNER = "data-manager"

WORDS: dict[type[Record], tuple[str, str]] = {  # name and description, for one symbol
    Candle: ("{symbol} {timeframe} candles", "Closed {timeframe} bars of {symbol} under their open times."),
    Trade: ("{symbol} trades", "Trades and aggregated trades of {symbol}, one row for each id."),
    Depth: ("{symbol} order book", "Snapshots of the top of the order book of {symbol}."),
    Ticker: ("{symbol} tickers", "Rolling 24 h statistics of {symbol}."),
    MarkPrice: ("{symbol} mark prices", "Mark and index prices of {symbol}, with the funding rate to come."),
    BookTicker: ("{symbol} best bid and ask", "The best bid and ask of {symbol}."),
    Liquidation: ("{symbol} liquidations", "Forced orders of {symbol}."),
    Funding: ("{symbol} funding rates", "Predicted and settled funding rates of {symbol}."),
}
OF_SYMBOL = ("{symbol} {category}", "Computed {category} of {symbol}, a document for each newest bar of a timeframe.")
OF_MARKET = {
    "correlation_matrix": ("Correlation matrix", "How the log returns of all symbols move together."),
    "market_overview": ("Market overview", "Volatility, volume, trend and regime of all symbols at a glance."),
}
FREQUENCIES: dict[type[Record], str] = {Funding: "8h", Analytics: "each analytics cycle"}  # all else as it happens

stored_ms: Callable[[Record], int] = attrgetter("stored_ms")


class Held(NamedTuple):
    """A series that has rows, and when the newest of them (by the time that ranges use) was stored."""

    series: Series
    stored_ms: int


def held(store: MarketStore, symbol: Symbol, known: Collection[str] = ()) -> list[Held]:
    """The symbol's series with at least one row, but for those whose dataset id is `known`."""
    return [
        Held(series, newest)
        for series in all_series_of(symbol)
        if series.dataset_id not in known and (newest := edge(store, series, newest=True)) is not None
    ]


def edge(store: MarketStore, series: Series, *, newest: bool) -> int | None:
    """When the row with the greatest (or the least) time was stored; None without rows."""
    query = Query(equal=series.equal, limit=1, descending=newest)
    return next(map(stored_ms, store.rows(series.symbol, series.record, query)), None)


def dataset_of(series: Series, storage_type: str, *, created_ms: int, updated_ms: int) -> Dataset:
    """The series' entry in the catalog."""
    computed = series.category is not None
    name, description = (
        text.format(symbol=series.symbol, timeframe=series.timeframe, category=series.category)
        for text in words(series)
    )
    return Dataset(
        dataset_id=series.dataset_id,
        name=name,
        description=description,
        category=COMPUTED if computed else CATEGORY,
        schema_id=schema_for(series).schema_id,
        storage_type=storage_type,
        owner=OWNER,
        update_frequency=FREQUENCIES.get(series.record, "real-time"),
        created_ms=created_ms,
        updated_ms=updated_ms,
    )


def words(series: Series) -> tuple[str, str]:
    """Patterns of its name and description."""
    if series.category is None:
        return WORDS[series.record]
    return OF_MARKET.get(series.category, OF_SYMBOL)
