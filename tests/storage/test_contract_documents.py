"""Contract of every back end: computed documents, by symbol and category."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from data_manager.storage.computed import body_of
from data_manager.storage.protocols import MarketStore, Query, Write
from data_manager.storage.records import (
    ALL_SYMBOLS,
    CATEGORIES,
    MARKET_WIDE,
    TIMEFRAMES,
    Analytics,
    Series,
    Symbol,
    all_series_of,
    documents_of,
)
from tests.storage.backends import Backend
from tests.storage.examples import BTC, T0, candle, document, received

EVERYTHING = Query(limit=10**6)
HOUR = TIMEFRAMES["1h"]


def of(category: str, symbol: Symbol = BTC) -> Series:
    return Series(symbol, Analytics, category=category)


def put(store: MarketStore, *documents: Analytics, symbol: Symbol = BTC) -> None:
    store.write(symbol, Write(side=list(documents)))


def test_a_document_comes_back_as_it_was_written(store: MarketStore) -> None:
    said = {
        "imbalance": {"5": 0.25, "10": -1e-9},
        "cross": {"direction": "bullish", "age_bars": 3, "time_ms": T0},
        "cycles": [{"bars": 24, "power": 0.5}],
        "dominant_cycle": 24,
        "hourly_pattern": {str(hour): None for hour in range(24)},
    }
    body = body_of(said, {"n": 5, "reasons": {"hourly_pattern.3": "why not"}, "sums": {"imbalance.5": [0.1, 7]}})
    rows = [document(1, body=body), document(2, body=body_of({}, {}), state="empty")]
    put(store, *rows)
    assert store.rows(BTC, Analytics, EVERYTHING) == rows
    assert store.symbols() == [BTC]


def test_it_is_no_event_and_not_counted(store: MarketStore) -> None:
    written = store.write(BTC, Write(side=[document()]))
    assert (written.counts, written.new_trades) == ({}, 0)
    assert store.ledger(BTC).total.received == 0


def test_a_later_computation_replaces_an_earlier_one_and_no_other(store: MarketStore) -> None:
    first, later = document(said={"parkinson": 1.5}), document(computed_ms=T0 + 900, state="complete")
    put(store, first)
    put(store, document(computed_ms=T0 + 6, state="empty"))
    assert store.rows(BTC, Analytics, EVERYTHING) == [first]
    put(store, later)
    put(store, later, first)
    assert store.rows(BTC, Analytics, EVERYTHING) == [later]


def test_symbol_category_timeframe_and_time_tell_documents_apart(store: MarketStore) -> None:
    eth = Symbol("ETHUSDT")
    rows = [
        document(number, category=category, timeframe=timeframe)
        for number, category, timeframe in itertools.product((1, 2), ("trend", "volume"), ("1d", "1h"))
    ]
    put(store, *rows)
    put(store, rows[0], symbol=eth)
    assert store.rows(BTC, Analytics, EVERYTHING) == rows
    assert store.rows(eth, Analytics, EVERYTHING) == rows[:1]


def test_the_newest_of_a_category_and_timeframe_come_first_when_asked_so(store: MarketStore) -> None:
    hours = [document(number) for number in range(12)]
    days = [document(number, timeframe="1d") for number in (3, 30)]
    put(store, *hours, *days, document(99, category="regime"))

    def newest(timeframe: str, **asked: Any) -> list[Analytics]:
        equal = (*of("volatility").equal, ("timeframe", timeframe))
        return store.rows(BTC, Analytics, Query(equal=equal, descending=True, **asked))

    assert newest("1h", limit=3) == hours[:-4:-1]
    assert newest("1h", limit=2, offset=10) == hours[1::-1]
    assert newest("1d", limit=10) == days[::-1]
    assert newest("4h", limit=10) == []
    within = {"start_ms": T0 + 2 * HOUR, "end_ms": T0 + 5 * HOUR}
    assert newest("1h", **within) == hours[4:1:-1]
    both = Query(equal=of("volatility").equal, **within)
    assert store.rows(BTC, Analytics, both) == [hours[2], days[0], hours[3], hours[4]]
    assert store.count(BTC, Analytics, both) == 4


def test_documents_of_the_whole_market_lie_apart(store: MarketStore) -> None:
    matrix = document(category="correlation_matrix", said={"matrix": {"BTCUSDT": {"ETHUSDT": 0.5}}})
    overview = document(category="market_overview")
    put(store, matrix, overview, symbol=ALL_SYMBOLS)
    assert store.symbols() == []
    for row in (matrix, overview):
        found = store.rows(ALL_SYMBOLS, Analytics, Query(equal=(("category", row.category),)))
        assert found == [row]
    assert [held.series.dataset_id for held in store.holdings(ALL_SYMBOLS)] == [
        "analytics_correlation_matrix",
        "analytics_market_overview",
    ]


def test_of_documents_only_those_of_the_category_expire_by_when_they_were_stored(store: MarketStore) -> None:
    put(store, document(1), document(2, timeframe="1d"), document(3, stored_ms=T0 + 10 * HOUR))
    put(store, document(1, category="trend"))
    series, later = of("volatility"), T0 + 9 * HOUR
    assert store.expire(series, T0) == 0
    assert [store.expire(series, later, limit=1) for _ in range(3)] == [1, 1, 0]
    assert store.rows(BTC, Analytics, EVERYTHING) == [
        document(1, category="trend"),
        document(3, stored_ms=T0 + 10 * HOUR),
    ]


def test_one_that_was_computed_again_lives_from_then_on(store: MarketStore) -> None:
    put(store, document())
    put(store, document(computed_ms=T0 + 900, stored_ms=T0 + 10 * HOUR))
    assert store.expire(of("volatility"), T0 + 9 * HOUR) == 0


def test_holdings_count_documents_by_category_beside_the_rest(store: MarketStore) -> None:
    store.write(BTC, received(candle(0)))
    put(store, *(document(number, timeframe=name) for number in (1, 4) for name in ("1h", "1d")))
    put(store, *(document(9, category=category) for category in reversed(CATEGORIES)))
    held = {each.series: each for each in store.holdings(BTC)}
    assert list(held) == [series for series in all_series_of(BTC) if series in held]
    assert held.keys() >= set(documents_of(BTC))
    of_volatility = held[of("volatility")]
    assert (of_volatility.rows, of_volatility.oldest_ms, of_volatility.newest_ms) == (5, T0 + HOUR, T0 + 9 * HOUR)


@pytest.mark.parametrize("category", [*CATEGORIES, *MARKET_WIDE])
def test_a_document_is_still_there_in_a_store_that_is_opened_again(backend: Backend, category: str) -> None:
    symbol = ALL_SYMBOLS if category in MARKET_WIDE else BTC
    put(backend.open(), document(category=category), symbol=symbol)
    asked = Query(equal=(("category", category), ("timeframe", "1h")), limit=1, descending=True)
    assert backend.open(read_only=True).rows(symbol, Analytics, asked) == [document(category=category)]
