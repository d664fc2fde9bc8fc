"""How long rows are kept, by what they are; a row's age counts from when it was stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from data_manager.storage.protocols import Expiring
from data_manager.storage.records import (
    TIMEFRAMES,
    Analytics,
    BookTicker,
    Candle,
    Depth,
    Funding,
    Liquidation,
    MarkPrice,
    Quarantined,
    Record,
    Series,
    Symbol,
    Ticker,
    Trade,
    all_series_of,
)
from data_manager.system.settings import Settings

DAY_MS = 86_400_000
Kind = tuple[type[Record], str | None]  # candles by timeframe, all else without: documents of all categories alike


class Retention(NamedTuple):
    """Days by kind of row; what has none is kept for good."""

    days: Mapping[Kind, int]

    def of(self, series: Series) -> int | None:
        """Days for which the rows of that series are kept."""
        return self.days.get((series.record, series.timeframe))


def retention_of(settings: Settings) -> Retention:
    """What the settings say."""
    return Retention(
        {
            **{(Candle, name): getattr(settings, f"klines_retention_days_{name}") for name in TIMEFRAMES},
            (Trade, None): settings.trades_retention_days,
            (Depth, None): settings.depth_retention_days,
            (BookTicker, None): settings.book_tickers_retention_days,
            (Ticker, None): settings.tickers_retention_days,
            (MarkPrice, None): settings.mark_prices_retention_days,
            (Liquidation, None): settings.liquidations_retention_days,
            (Funding, None): settings.funding_rates_retention_days,
            (Analytics, None): settings.analytics_retention_days,
            (Quarantined, None): settings.quarantine_retention_days,
        }
    )


def expiring_series(symbol: Symbol) -> tuple[Series, ...]:
    """What of a symbol is kept for a time: every series it may have, and its quarantine."""
    return (*all_series_of(symbol), Series(symbol, Quarantined))


def catalog_days(settings: Settings, table: Expiring) -> int:
    """Days for which the catalog keeps the rows of that table."""
    return (
        settings.health_metrics_retention_days if table is Expiring.HEALTH_METRICS else settings.records_retention_days
    )
