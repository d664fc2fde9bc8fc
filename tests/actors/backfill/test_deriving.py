"""Bars of repaired trades are those that ingest would have derived."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill.deriving import CHUNK_MINUTES, derive_minutes, minute_chunks, minutes_beside
from data_manager.storage.protocols import Event, Query, Write
from data_manager.storage.records import Candle, Record, Trade
from data_manager.storage.sqlite import SqliteMarketStore
from tests.actors.backfill.working import BTC, HOUR, MINUTE, NOW
from tests.storage.examples import FixedClock, agg_trade, candle


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteMarketStore]:
    opened = SqliteMarketStore(tmp_path, clock=FixedClock())
    yield opened
    opened.close()


def trades(minutes: range) -> list[Trade]:
    """Two aggTrades a minute with ids that never break."""
    ids = range(2 * minutes.start, 2 * minutes.stop)
    return [
        replace(agg_trade(n), time_ms=NOW + n // 2 * MINUTE + n % 2 * 30_000, first_id=3 * n, last_id=3 * n + 2)
        for n in ids
    ]


def keep(store: SqliteMarketStore, *rows: Record) -> None:
    store.write(BTC, Write(events=[Event(type(row).dataset, row) for row in rows]))


def bars(store: SqliteMarketStore) -> list[Candle]:
    return store.rows(BTC, Candle, Query(limit=1000))


def test_minutes_with_trades_get_their_bars(store: SqliteMarketStore) -> None:
    keep(store, *trades(range(5)))
    assert derive_minutes(BTC, Range(NOW, NOW + 10 * MINUTE), NOW, store) == 5
    assert [(bar.open_time, bar.complete) for bar in bars(store)] == [
        (NOW + minute * MINUTE, 0 < minute < 4) for minute in range(5)
    ]


def test_a_whole_bar_is_left_alone_and_a_poor_one_derived_again(store: SqliteMarketStore) -> None:
    every = trades(range(5))
    keep(store, *every[:5], *every[6:])
    derive_minutes(BTC, Range(NOW, NOW + 5 * MINUTE), NOW, store)
    assert [bar.complete for bar in bars(store)] == [False, True, False, False, False]
    keep(store, every[5])
    assert derive_minutes(BTC, Range(NOW, NOW + 5 * MINUTE), NOW + 1, store) == 4
    assert [bar.complete for bar in bars(store)] == [False, True, True, True, False]
    assert [bar.stored_ms for bar in bars(store)] == [NOW + 1, NOW, NOW + 1, NOW + 1, NOW + 1]


def test_the_exchanges_own_bar_is_left_alone(store: SqliteMarketStore) -> None:
    keep(store, *trades(range(1)), candle(0, open_time=NOW, source="kline", timeframe="1m"))
    assert derive_minutes(BTC, Range(NOW, NOW + MINUTE), NOW, store) == 0


def test_a_chunk_ends_before_the_minutes_whose_trades_are_on_their_way() -> None:
    found = list(minute_chunks(Range(NOW + 1, NOW + 3 * HOUR), NOW + 2 * HOUR + 1))
    assert (found[0].start_ms, found[-1].end_ms) == (NOW, NOW + 2 * HOUR - MINUTE)
    assert max(chunk.bars(MINUTE) for chunk in found) == CHUNK_MINUTES


def test_the_minutes_beside_a_range_are_those_with_trades(store: SqliteMarketStore) -> None:
    keep(store, *trades(range(2)), *trades(range(8, 9)))
    within = Range(NOW + 3 * MINUTE, NOW + 5 * MINUTE)
    assert minutes_beside(BTC, within, store) == [
        Range(NOW + MINUTE, NOW + 2 * MINUTE),
        Range(NOW + 8 * MINUTE, NOW + 9 * MINUTE),
    ]
    assert minutes_beside(BTC, Range(NOW, NOW + 9 * MINUTE), store) == []
