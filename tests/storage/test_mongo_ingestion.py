"""Events on their way through ingest into MongoDB: refused rows, redelivery, and bars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pymongo
import pytest

from data_manager.actors.ingest.ingestion import STORE_REFUSES, Ingestion
from data_manager.storage.ledger import Counts
from data_manager.storage.mongo import MongoMarketStore
from data_manager.storage.protocols import MarketStore, Query
from data_manager.storage.records import MARKET_RECORDS, Candle, Quarantined, Record, Trade
from data_manager.system.delivery import Delivery
from data_manager.system.frames import Batch, Frame, encode, position
from data_manager.system.settings import Settings
from tests.actors.ingest.examples import EXAMPLES, bare, enveloped, event
from tests.storage.backends import MongoBackend
from tests.storage.examples import BTC, FixedClock

FEED = 1_700_000_000_000_000_000
NOW_MS = 1_800_000_000_000


def delivery(market_seq: int, *frames: Frame) -> Delivery:
    return Delivery(encode(Batch(FEED, 0, list(frames))), market_seq, 0)


def frame(number: int, raw: bytes) -> Frame:
    return Frame(position(number), (NOW_MS - 10) * 1000, raw)


def trades(first: int, *ids: int, **fields: Any) -> list[Frame]:
    return [frame(first + at, bare(event("trade", t=each, **fields))) for at, each in enumerate(ids)]


@pytest.fixture
def store(mongo: MongoBackend) -> Iterator[MongoMarketStore]:
    return mongo.open()


def ingestion(store: MarketStore) -> Ingestion:
    return Ingestion(BTC, Settings(), store, FixedClock(NOW_MS))


def rows(store: MarketStore, record: type[Record]) -> list[Any]:
    return list(store.rows(BTC, record, Query(limit=10_000)))


def events(store: MarketStore, record: type[Record]) -> list[Any]:
    """The rows that events made, without bars derived meanwhile."""
    return [row for row in rows(store, record) if row.feed_seq]


def test_of_a_hundred_rows_with_three_copies_and_one_that_is_refused_96_are_stored(
    mongo: MongoBackend, store: MongoMarketStore
) -> None:
    schema = {"$jsonSchema": {"properties": {"quantity": {"bsonType": "string", "pattern": "^0[.]"}}}}
    with pymongo.MongoClient[dict[str, Any]](mongo.uri) as client:
        client[mongo.database].create_collection("trades_BTCUSDT", validator=schema)
    ingest = ingestion(store)
    ingest.store([delivery(1, *trades(1, 1, 2, 3))])

    hundred = [
        *trades(10, *range(1, 51)), *trades(60, 51, q="7.5"), *trades(61, *range(52, 101)),
    ]  # fmt: skip
    report = ingest.store([delivery(2, *hundred)])

    assert report.counts["trade"] == Counts(received=100, stored=96, duplicate=3, quarantined=1)
    assert [row.trade_id for row in rows(store, Trade)] == [*range(1, 51), *range(52, 101)]
    (kept,) = rows(store, Quarantined)
    assert (kept.reason, kept.feed_seq) == (STORE_REFUSES, position(60))
    assert "failed validation" in kept.detail
    assert report.failures == [("trade", STORE_REFUSES)]
    assert store.ledger(BTC).total == Counts(received=103, stored=99, duplicate=3, quarantined=1)


def test_deliveries_that_come_again_change_nothing_and_are_counted(store: MongoMarketStore) -> None:
    """Their acknowledgement was lost."""
    frames = [frame(number, enveloped(each.data, each.stream)) for number, each in enumerate(EXAMPLES.values(), 1)]
    ingest = ingestion(store)
    ingest.store([delivery(1, *frames), delivery(2, *trades(100, 1, 2))])
    held = [events(store, record) for record in MARKET_RECORDS]
    once = store.ledger(BTC).total
    ingestion(store).store([delivery(1, *frames), delivery(2, *trades(100, 1, 2))])  # a new process
    assert [events(store, record) for record in MARKET_RECORDS] == held
    total = store.ledger(BTC).total
    assert total.balanced
    assert (total.received, total.redelivered) == (2 * once.received, once.received)
    assert (total.stored, total.quarantined) == (once.stored, once.quarantined)


def test_a_minute_of_trades_becomes_a_bar(store: MongoMarketStore) -> None:
    ingest = ingestion(store)
    ingest.store([delivery(1, *trades(1, 1, 2, 3))])
    assert store.dirty_minutes(BTC) != set()
    ingest._bars._settle_s = 0  # deriving at once
    ingest._bars.recover()
    report = ingest.derive()
    assert report.derived["1m"] == 1
    (bar,) = (row for row in rows(store, Candle) if row.timeframe == "1m")
    assert (bar.trades_count, bar.source) == (3, "trades")
    assert store.dirty_minutes(BTC) == set()
