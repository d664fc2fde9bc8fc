"""What the catalog says of a store's series."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from data_manager.storage.inventory import WORDS, Held, dataset_of, edge, held
from data_manager.storage.protocols import Dataset, Write
from data_manager.storage.records import (
    ALL_SYMBOLS,
    Analytics,
    Candle,
    Depth,
    Funding,
    Series,
    Symbol,
    Trade,
    all_series_of,
    series_of,
)
from data_manager.storage.schemas import SCHEMAS
from data_manager.storage.sqlite import SqliteMarketStore
from tests.storage.examples import BTC, ONE_OF_EACH, T0, FixedClock, agg_trade, candle, depth, document, received, trade


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteMarketStore]:
    with closing(SqliteMarketStore(tmp_path, clock=FixedClock())) as store:
        yield store


def test_held_are_the_series_with_rows(store: SqliteMarketStore) -> None:
    store.write(BTC, received(*ONE_OF_EACH))
    candles = {Series(BTC, Candle, "1m")}
    assert {each.series for each in held(store, BTC)} == candles | {
        series for series in series_of(BTC) if series.record is not Candle
    }
    assert held(store, Symbol("ETHUSDT")) == []


def test_what_is_known_is_not_looked_for(store: SqliteMarketStore) -> None:
    store.write(BTC, received(trade(1), depth(1)))
    assert [each.series.record for each in held(store, BTC, {"trades_BTCUSDT"})] == [Depth]


def test_an_edge_is_when_the_first_or_last_row_was_stored(store: SqliteMarketStore) -> None:
    series = Series(BTC, Trade)
    assert edge(store, series, newest=True) is None
    store.write(
        BTC, received(trade(1, stored_ms=T0 + 70), agg_trade(5, stored_ms=T0 + 20), trade(3, stored_ms=T0 + 90))
    )
    assert edge(store, series, newest=False) == T0 + 70
    assert edge(store, series, newest=True) == T0 + 20
    assert held(store, BTC) == [Held(series, T0 + 20)]


def test_bars_are_told_apart_by_timeframe(store: SqliteMarketStore) -> None:
    store.write(BTC, received(candle(0, stored_ms=T0 + 1), candle(0, timeframe="5m", stored_ms=T0 + 2)))
    assert held(store, BTC) == [Held(Series(BTC, Candle, "1m"), T0 + 1), Held(Series(BTC, Candle, "5m"), T0 + 2)]


def test_an_entry_follows_the_conventions() -> None:
    entry = dataset_of(Series(BTC, Candle, "1h"), "sqlite", created_ms=T0, updated_ms=T0 + 1)
    assert entry == Dataset(
        dataset_id="candles_BTCUSDT_1h",
        name="BTCUSDT 1h candles",
        description="Closed 1h bars of BTCUSDT under their open times.",
        category="market_data",
        schema_id="candle_schema_v1",
        storage_type="sqlite",
        owner="data-manager",
        update_frequency="real-time",
        created_ms=T0,
        updated_ms=T0 + 1,
    )


def test_funding_comes_every_eight_hours() -> None:
    entry = dataset_of(Series(BTC, Funding), "mongodb", created_ms=T0, updated_ms=T0)
    assert (entry.update_frequency, entry.storage_type) == ("8h", "mongodb")


def test_documents_are_held_by_category_and_those_of_the_market_under_all_symbols(store: SqliteMarketStore) -> None:
    store.write(BTC, Write(side=[document(category="trend", timeframe=name) for name in ("1h", "1d")]))
    store.write(ALL_SYMBOLS, Write(side=[document(category="market_overview", stored_ms=T0 + 3)]))
    trend = Series(BTC, Analytics, category="trend")
    assert held(store, BTC) == [Held(trend, T0)]
    assert held(store, BTC, {"analytics_BTCUSDT_trend"}) == []
    assert held(store, ALL_SYMBOLS) == [Held(Series(ALL_SYMBOLS, Analytics, category="market_overview"), T0 + 3)]


def test_documents_are_a_category_of_their_own() -> None:
    regime = dataset_of(Series(BTC, Analytics, category="regime"), "sqlite", created_ms=T0, updated_ms=T0)
    assert (regime.dataset_id, regime.name) == ("analytics_BTCUSDT_regime", "BTCUSDT regime")
    assert (regime.category, regime.schema_id) == ("analytics", "analytics_regime_schema_v1")
    assert regime.update_frequency == "each analytics cycle"
    matrix = Series(ALL_SYMBOLS, Analytics, category="correlation_matrix")
    entry = dataset_of(matrix, "sqlite", created_ms=T0, updated_ms=T0)
    assert (entry.dataset_id, entry.name) == ("analytics_correlation_matrix", "Correlation matrix")


def test_every_series_can_be_described_within_the_columns_of_the_original() -> None:
    assert WORDS.keys() == SCHEMAS.keys()
    for series in (*all_series_of(Symbol("X" * 20)), *all_series_of(ALL_SYMBOLS)):
        entry = dataset_of(series, "sqlite", created_ms=T0, updated_ms=T0)
        assert "{" not in entry.name + entry.description
        assert len(entry.dataset_id) <= 64
        assert len(entry.name) <= 100
        assert len(entry.description) <= 500
