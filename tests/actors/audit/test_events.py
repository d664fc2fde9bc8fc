"""Where types without history were silent, on real SQLite files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data_manager.actors.audit import events, reading
from data_manager.actors.audit.conf import audit_conf
from data_manager.actors.audit.events import EventAudit, alive, intervals_ms, still_silent
from data_manager.actors.audit.grid import Range
from data_manager.storage.records import BookTicker, Depth, MarkPrice, Record, Series, Symbol, Ticker
from data_manager.storage.retention import Retention
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.settings import Settings, StoragePolicy
from tests.storage.examples import BTC, T0, FixedClock, received, trade

SECOND = 1000
GRACE = 60 * SECOND
ETH = Symbol("ETHUSDT")
MARKS = Series(BTC, MarkPrice)  # silent after 30 s


def mark(second: float) -> MarkPrice:
    time_ms = T0 + round(second * SECOND)
    return MarkPrice(time_ms, time_ms, "43000", None, None, None, None, 0, 0, T0)


def book(second: int) -> BookTicker:
    time_ms = T0 + second * SECOND
    return BookTicker(time_ms, time_ms, second, "1", "1", "2", "1", 0, 0, T0)


class Looking:
    def __init__(self, store: SqliteMarketStore, **settings: Any) -> None:
        self.store = store
        self.audit = EventAudit(Retention({}), audit_conf(), Settings(**settings), GRACE)

    def hold(self, *records: Record, symbol: Symbol = BTC) -> None:
        self.store.write(symbol, received(*records))

    def silences(self, second: int, since_ms: int = 0) -> list[tuple[float, float]]:
        """Those of mark prices that are found by then, in seconds."""
        found: list[Range] = []
        done = False
        while not done:
            more, done = self.audit.read(MARKS, T0 + second * SECOND, self.store, since_ms)
            found += more
        return [((each.start_ms - 1 - T0) / SECOND, (each.end_ms - T0) / SECOND) for each in found]


@pytest.fixture
def looking(tmp_path: Path) -> Iterator[Looking]:
    store = SqliteMarketStore(tmp_path, clock=FixedClock())
    yield Looking(store)
    store.close()


def test_nothing_is_silent_where_nothing_was_ever_stored(looking: Looking) -> None:
    assert looking.silences(1000) == []


def test_a_silence_is_found_once_it_has_ended_and_told_once(looking: Looking) -> None:
    looking.hold(*map(mark, range(10)))
    assert looking.silences(100) == []
    looking.hold(*map(mark, range(100, 110)))
    assert looking.silences(200) == [(9, 100)]
    assert looking.silences(300) == []


def test_rows_younger_than_the_grace_are_left_for_later(looking: Looking) -> None:
    looking.hold(mark(0), mark(100))
    assert looking.silences(160) == []
    looking.hold(mark(50))
    assert looking.silences(161) == [(0, 50), (50, 100)]


def test_it_begins_where_it_is_told_to_with_the_row_before_that(looking: Looking) -> None:
    looking.hold(mark(0), mark(100), mark(200), mark(210))
    assert looking.silences(300, since_ms=T0 + 150 * SECOND) == [(100, 200)]


def test_a_call_reads_a_bounded_number_of_pages(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_ROWS", 3)
    monkeypatch.setattr(events, "CALL_PAGES", 2)
    looking.hold(*map(mark, range(20)), *map(mark, range(90, 110)))
    _, done = looking.audit.read(MARKS, T0 + 300 * SECOND, looking.store)
    assert not done
    assert looking.silences(300) == [(19, 90)]
    assert looking.audit.counts(MARKS).since(0).rows == 40
    assert looking.audit.interval_s(MARKS) == 3


def test_only_what_the_settings_store_can_be_silent(looking: Looking) -> None:
    assert [each.record for each in looking.audit.stored(BTC)] == [Depth, BookTicker, Ticker, MarkPrice]
    some = Settings(
        store_depth=StoragePolicy(mode="sampled", seconds=60),
        store_ticker=StoragePolicy(mode="off"),
        store_mark_price=StoragePolicy(mode="full"),
    )
    assert intervals_ms(audit_conf(), some) == {Depth: 60_000, BookTicker: 5000, MarkPrice: 3000}


def test_who_was_alive_meanwhile_is_who_has_rows_from_that_time(looking: Looking) -> None:
    silence = Range(T0 + 10 * SECOND, T0 + 90 * SECOND)
    books = Series(BTC, BookTicker)
    looking.hold(mark(9), mark(90), book(50))
    assert alive(MARKS, silence, [ETH], [MARKS, books], looking.store) == ([], ["book_tickers"], 2, None)
    looking.hold(mark(50), symbol=ETH)
    assert alive(MARKS, silence, [ETH], [MARKS], looking.store) == (["ETHUSDT"], [], 1, None)


def test_trade_ids_tell_whether_the_exchange_traded_meanwhile(looking: Looking) -> None:
    silence = Range(T0 + 10 * SECOND, T0 + 90 * SECOND)
    looking.hold(trade(1, time_ms=T0), trade(2, time_ms=T0 + 95 * SECOND))
    assert alive(MARKS, silence, [], [], looking.store).traded is False
    looking.hold(trade(2, time_ms=T0 + SECOND), trade(7, time_ms=T0 + 92 * SECOND))
    assert alive(MARKS, silence, [], [], looking.store).traded is True


def test_a_row_that_came_late_ends_a_silence_for_good(looking: Looking) -> None:
    silence = Range(T0 + 10 * SECOND, T0 + 90 * SECOND)
    looking.hold(mark(9), mark(90))
    assert still_silent(MARKS, silence, looking.store)
    looking.hold(mark(50))
    assert not still_silent(MARKS, silence, looking.store)
