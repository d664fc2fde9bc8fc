"""What is kept for how long."""

from __future__ import annotations

import pytest

from data_manager.storage.protocols import Expiring
from data_manager.storage.records import (
    ALL_SYMBOLS,
    Analytics,
    Candle,
    OpenCandle,
    Quarantined,
    Series,
    Symbol,
    Trade,
    all_series_of,
    documents_of,
)
from data_manager.storage.retention import catalog_days, expiring_series, retention_of
from data_manager.system.settings import Settings

BTC = Symbol("BTCUSDT")


def test_everything_that_may_expire_has_its_days() -> None:
    retention = retention_of(Settings())
    assert [series for series in expiring_series(BTC) if retention.of(series) is None] == []
    assert [series for series in expiring_series(ALL_SYMBOLS) if retention.of(series) is None] == []


def test_every_series_of_a_symbol_and_its_quarantine_may_expire() -> None:
    assert set(expiring_series(BTC)) == {*all_series_of(BTC), Series(BTC, Quarantined)}


def test_what_has_no_symbol_is_quarantine_and_documents_of_the_whole_market() -> None:
    assert expiring_series(ALL_SYMBOLS) == (*documents_of(ALL_SYMBOLS), Series(ALL_SYMBOLS, Quarantined))


def test_documents_of_all_categories_are_kept_alike() -> None:
    retention = retention_of(Settings(analytics_retention_days=12))
    days = [retention.of(series) for symbol in (BTC, ALL_SYMBOLS) for series in documents_of(symbol)]
    assert days == [12] * 10
    assert all(series.record is Analytics for series in documents_of(BTC))


def test_bars_are_kept_by_timeframe() -> None:
    retention = retention_of(Settings(klines_retention_days_1m=3, klines_retention_days_4h=44, trades_retention_days=5))
    assert retention.of(Series(BTC, Candle, "1m")) == 3
    assert retention.of(Series(BTC, Candle, "4h")) == 44
    assert retention.of(Series(BTC, Trade)) == 5


def test_an_open_bar_is_kept_until_it_closes() -> None:
    assert retention_of(Settings()).of(Series(BTC, OpenCandle)) is None


@pytest.mark.parametrize("table", Expiring)
def test_the_catalog_keeps_health_metrics_and_records_for_their_own_days(table: Expiring) -> None:
    settings = Settings(health_metrics_retention_days=11, records_retention_days=22)
    assert catalog_days(settings, table) == (11 if table == "health_metrics" else 22)
