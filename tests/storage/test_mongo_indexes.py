"""Indexes: made before the first row, changed where only a TTL's seconds differ, otherwise left alone and reported."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pymongo
import pytest
from pymongo.database import Database

from data_manager.storage.mongo.indexes import RANGE_NAME, TTL_NAME, Index, compare, indexes_of
from data_manager.storage.protocols import Query, Write
from data_manager.storage.records import (
    ALL_SYMBOLS,
    MARKET_RECORDS,
    TIMEFRAMES,
    Analytics,
    Candle,
    Depth,
    OpenCandle,
    Quarantined,
    Series,
    Ticker,
    Trade,
)
from data_manager.storage.retention import DAY_MS, Retention
from tests.storage.backends import MongoBackend
from tests.storage.examples import BTC, ONE_OF_EACH, T0, candle, document, received, trade

DAYS = {(Trade, None): 7, (Quarantined, None): 3, (Candle, "1m"): 7, (Candle, "1h"): 90}


@pytest.fixture
def database(mongo: MongoBackend) -> Iterator[Database[dict[str, Any]]]:
    with pymongo.MongoClient[dict[str, Any]](mongo.uri) as client:
        yield client[mongo.database]


def there(database: Database[dict[str, Any]], collection: str) -> dict[str, dict[str, Any]]:
    return {index["name"]: dict(index) for index in database[collection].list_indexes()}


def keys(*names: str) -> tuple[tuple[str, int], ...]:
    return tuple((name, 1) for name in names)


@pytest.mark.parametrize(("record", "leading"), [
    (Trade, ("kind", "timestamp", "trade_id")),
    (Ticker, ("kind", "timestamp", "slot")),
    (Candle, ("timestamp",)),
    (Depth, ("timestamp", "slot")),
    (Analytics, ("timeframe", "timestamp", "category")),
    (Quarantined, ("symbol", "stored_at", "incarnation", "feed_seq")),
])  # fmt: skip
def test_pages_come_by_time_within_what_lies_together(record: type[Any], leading: tuple[str, ...]) -> None:
    assert indexes_of(record, None) == [Index(RANGE_NAME, keys(*leading))]


def test_only_what_has_a_retention_expires_and_open_bars_never_do() -> None:
    assert indexes_of(Trade, 7)[1] == Index(TTL_NAME, keys("stored_at"), 7 * 86_400)
    assert all(len(indexes_of(record, None)) == 1 for record in MARKET_RECORDS)
    assert len(indexes_of(OpenCandle, 7)) == 1


def test_the_first_write_makes_them(mongo: MongoBackend, database: Database[dict[str, Any]]) -> None:
    store = mongo.open(retention=Retention(DAYS))
    assert store.expires_itself
    store.write(BTC, received(trade(1), candle(0), candle(0, timeframe="1h")))
    assert there(database, "trades_BTCUSDT")[TTL_NAME]["expireAfterSeconds"] == 7 * 86_400
    assert there(database, "candles_BTCUSDT_1h")[TTL_NAME]["expireAfterSeconds"] == 90 * 86_400
    assert set(there(database, "candles_BTCUSDT_1m")) == {"_id_", RANGE_NAME, TTL_NAME}
    assert store.findings() == []


def test_documents_lie_in_the_originals_collections_by_category_and_expire(
    mongo: MongoBackend, database: Database[dict[str, Any]]
) -> None:
    store = mongo.open(retention=Retention({(Analytics, None): 90}))
    database["analytics_BTCUSDT_trend"].insert_one({"symbol": "BTCUSDT", "timeframe": "1h", "sma": 1.5})  # an older one
    trend = document(category="trend")
    store.write(BTC, Write(side=[trend]))
    store.write(ALL_SYMBOLS, Write(side=[document(category="correlation_matrix")]))
    for name in ("analytics_BTCUSDT_trend", "analytics_correlation_matrix"):
        assert there(database, name)[TTL_NAME]["expireAfterSeconds"] == 90 * 86_400
    found = database["analytics_BTCUSDT_trend"].find_one({"_id": f"BTCUSDT_1h_{T0}"}) or {}
    assert {type(found[name]) for name in ("timestamp", "computed_at", "stored_at")} == {datetime}
    assert type(found["metadata"]["computed_at"]) is datetime
    newest = Query(equal=(("category", "trend"), ("timeframe", "1h")), limit=10, descending=True)
    assert store.rows(BTC, Analytics, newest) == [trend]  # what has no time is of no use
    assert store.findings() == []


def test_without_a_retention_nothing_expires_by_itself(mongo: MongoBackend, database: Database[dict[str, Any]]) -> None:
    store = mongo.open()
    store.write(BTC, received(trade(1)))
    assert not store.expires_itself
    assert set(there(database, "trades_BTCUSDT")) == {"_id_", RANGE_NAME}


def test_reads_make_nothing(mongo: MongoBackend, database: Database[dict[str, Any]]) -> None:
    store = mongo.open(retention=Retention(DAYS))
    for record in MARKET_RECORDS:
        assert store.rows(BTC, record, Query()) == []
    assert (store.holdings(BTC), store.findings(), list(store.symbols())) == ([], [], [])
    assert store.expire(Series(BTC, Trade), T0 + DAY_MS) == 0
    assert store.ledger(BTC).by_type == {}
    assert database.list_collection_names() == []


def test_another_retention_changes_the_seconds_alone(mongo: MongoBackend, database: Database[dict[str, Any]]) -> None:
    mongo.open(retention=Retention(DAYS)).write(BTC, received(trade(1)))
    longer = mongo.open(retention=Retention({**DAYS, (Trade, None): 30}))
    assert longer.findings() == []  # mends itself at the next write
    longer.write(BTC, received(trade(2)))
    assert there(database, "trades_BTCUSDT")[TTL_NAME]["expireAfterSeconds"] == 30 * 86_400
    assert longer.findings() == []


@pytest.mark.parametrize(("name", "index", "options"), [
    (TTL_NAME, [("written_at", 1)], {"expireAfterSeconds": 60}),  # the name, but other keys
    ("theirs", [("stored_at", 1)], {}),  # the keys, but nothing expires
    (TTL_NAME, [("stored_at", 1)], {"expireAfterSeconds": 60, "partialFilterExpression": {"kind": "trade"}}),
    (RANGE_NAME, [("timestamp", -1)], {}),
])  # fmt: skip
def test_an_index_in_the_way_is_kept_and_reported(
    mongo: MongoBackend,
    database: Database[dict[str, Any]],
    name: str,
    index: list[tuple[str, int]],
    options: dict[str, Any],
) -> None:
    database["trades_BTCUSDT"].create_index(index, name=name, **options)
    before = there(database, "trades_BTCUSDT")[name]
    store = mongo.open(retention=Retention(DAYS))
    store.write(BTC, received(trade(1)))
    assert there(database, "trades_BTCUSDT")[name] == before
    (finding,) = store.findings()
    assert name in finding
    assert "trades_BTCUSDT" in finding
    assert store.count(BTC, Trade, Query()) == 1


def test_an_index_that_serves_as_well_under_another_name_is_good_enough() -> None:
    wanted = indexes_of(Depth, None)
    found = {"name": "somebodys", "key": {"timestamp": 1.0, "slot": 1.0}, "v": 2}
    assert compare("depth_X", wanted, [found]) == ([], [], [])


def test_what_is_nobodys_business_is_not_reported() -> None:
    found = {"name": "theirs", "key": {"price": 1}, "expireAfterSeconds": 5}
    difference = compare("depth_X", indexes_of(Depth, 1), [found])
    assert [index.name for index in difference.missing] == [RANGE_NAME, TTL_NAME]
    assert difference.findings == []


def test_every_type_of_row_gets_its_indexes_and_none_is_reported(mongo: MongoBackend) -> None:
    store = mongo.open(retention=Retention(DAYS))
    store.write(BTC, received(*ONE_OF_EACH, *(candle(0, timeframe=name) for name in TIMEFRAMES)))
    assert store.findings() == []
