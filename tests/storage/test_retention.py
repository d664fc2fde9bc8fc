"""The sweep: bounded, in time, and by when a row was stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from data_manager.storage.protocols import Event, Query, Write
from data_manager.storage.records import Quarantined, Symbol
from data_manager.storage.retention import DAY_MS, EVERY_S, ROWS, Sweep
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock

BTC = Symbol("BTCUSDT")
NOW_MS = 1_800_000_000_000


class FakeClock:
    seconds = 0.0

    def now_us(self) -> int:
        return NOW_MS * 1000

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteMarketStore]:
    with closing(SqliteMarketStore(tmp_path, clock=SystemClock())) as store:
        yield store


def keep(store: SqliteMarketStore, first: int, rows: int, age_days: float) -> None:
    stored_ms = NOW_MS - int(age_days * DAY_MS)
    events = [
        Event("trade", Quarantined(1, number, "trade", "bad_number", "", b"x", stored_ms, stored_ms))
        for number in range(first, first + rows)
    ]
    store.write(BTC, Write(events=events))


def left(store: SqliteMarketStore) -> int:
    return store.count(BTC, Quarantined, Query())


def test_only_what_is_older_than_its_days_goes(store: SqliteMarketStore) -> None:
    keep(store, 1, 3, age_days=7.1)
    keep(store, 10, 2, age_days=6.9)
    assert Sweep(store, BTC, Quarantined, 7, FakeClock()).run() == 3
    assert left(store) == 2


def test_much_goes_in_bounded_calls_and_then_rests(store: SqliteMarketStore) -> None:
    keep(store, 1, ROWS + 5, age_days=8)
    clock = FakeClock()
    sweep = Sweep(store, BTC, Quarantined, 7, clock)
    assert [sweep.run(), sweep.run(), sweep.run()] == [ROWS, 5, 0]
    keep(store, 5000, 1, age_days=8)
    assert sweep.run() == 0
    clock.seconds += EVERY_S
    assert sweep.run() == 1


def test_a_symbol_without_data_has_nothing_to_sweep(store: SqliteMarketStore) -> None:
    assert Sweep(store, Symbol("ETHUSDT"), Quarantined, 7, FakeClock()).run() == 0
