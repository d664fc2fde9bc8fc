"""What one look at a series finds, on real SQLite files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.actors.audit import reading
from data_manager.actors.audit.candles import Audited, CandleAudit
from data_manager.actors.audit.grid import Range
from data_manager.storage.protocols import Query, Write
from data_manager.storage.records import MINUTE_MS, TIMEFRAMES, Candle, Record, Series
from data_manager.storage.retention import DAY_MS, Retention
from data_manager.storage.sqlite import SqliteMarketStore
from tests.storage.examples import BTC, T0, FixedClock, agg_trade, candle, derived, received, trade

GRACE = 60_000
ONE = Series(BTC, Candle, "1m")
FIVE = Series(BTC, Candle, "5m")


class Looking:
    """A store, and an audit of it at a time of the test's choice."""

    def __init__(self, store: SqliteMarketStore) -> None:
        self.store = store
        self.audit = CandleAudit(Retention({}), GRACE)

    def hold(self, *records: Record) -> None:
        self.store.write(BTC, received(*records))

    def at(self, minute: int, series: Series = ONE) -> Audited:
        """A look once the minute of that number has been closed for the grace."""
        return self.audit.look(series, T0 + (minute + 1) * MINUTE_MS + GRACE, self.store)

    def holes(self, minute: int, series: Series = ONE) -> list[tuple[int, int]]:
        """What is missing by then, in minutes from T0."""
        return [
            ((each.missing.start_ms - T0) // MINUTE_MS, (each.missing.end_ms - T0) // MINUTE_MS)
            for each in self.at(minute, series).found
        ]


@pytest.fixture
def looking(tmp_path: Path) -> Iterator[Looking]:
    store = SqliteMarketStore(tmp_path, clock=FixedClock())
    yield Looking(store)
    store.close()


def test_nothing_is_missing_where_nothing_was_ever_stored(looking: Looking) -> None:
    looked = looking.at(100)
    assert (looked.found, looked.audited) == ((), ())


def test_a_complete_series_has_no_holes(looking: Looking) -> None:
    looking.hold(*map(candle, range(10)))
    assert looking.holes(9) == []
    assert looking.audit.holes(ONE)[0].end_ms == T0 + 10 * MINUTE_MS


def test_one_missing_bar_is_found_once_its_grace_is_over(looking: Looking) -> None:
    looking.hold(*map(candle, (0, 1, 2, 4)))
    assert looking.holes(4) == [(3, 4)]
    assert looking.holes(5) == [(3, 4), (5, 6)]


def test_the_audit_begins_with_the_first_whole_minute_after_the_first_event(looking: Looking) -> None:
    looking.hold(trade(1, time_ms=T0 + 30_000), derived(0, 3, complete=False), *map(candle, (1, 2)))
    assert looking.at(2).audited == [Range(T0 + MINUTE_MS, T0 + 3 * MINUTE_MS)]
    assert looking.holes(2) == []


def test_a_bar_that_misses_trades_is_a_gap_of_its_own_kind(looking: Looking) -> None:
    looking.hold(*map(candle, range(5)))
    broken = [derived(minute, 3, complete=False) for minute in (5, 6)]
    looking.store.write(BTC, Write(derived=[*broken, derived(7, 3)]))
    (found,) = looking.at(7).found
    assert found.missing == Range(T0 + 5 * MINUTE_MS, T0 + 7 * MINUTE_MS)
    assert "trades are missing in or beside 2 bars" in found.evidence


def test_a_minute_in_which_provably_nothing_was_traded_is_no_gap(looking: Looking) -> None:
    looking.hold(trade(1, time_ms=T0 + 1), *map(candle, (0, 1, 4)))
    looking.hold(trade(7, time_ms=T0 + MINUTE_MS), trade(8, time_ms=T0 + 4 * MINUTE_MS))
    assert looking.holes(4) == []


def test_aggregates_with_consecutive_ids_prove_it_too(looking: Looking) -> None:
    looking.hold(*map(candle, (0, 1, 4)))
    looking.hold(agg_trade(7, time_ms=T0 + MINUTE_MS), agg_trade(8, time_ms=T0 + 4 * MINUTE_MS))
    assert looking.holes(4) == []


def test_ids_that_are_missing_prove_nothing(looking: Looking) -> None:
    looking.hold(*map(candle, (0, 1, 4)))
    looking.hold(trade(7, time_ms=T0 + MINUTE_MS), trade(9, time_ms=T0 + 4 * MINUTE_MS))
    assert looking.holes(4) == [(2, 4)]


def test_timeframes_are_looked_at_apart(looking: Looking) -> None:
    first = T0 // TIMEFRAMES["5m"] * TIMEFRAMES["5m"]
    for number in (0, 1, 3):
        looking.hold(candle(0, timeframe="5m", open_time=first + number * TIMEFRAMES["5m"]))
    (found,) = looking.at(40, FIVE).found[:1]
    assert found.missing == Range(first + 2 * TIMEFRAMES["5m"], first + 3 * TIMEFRAMES["5m"])


def test_what_is_older_than_its_retention_is_nobodys_loss(looking: Looking) -> None:
    looking.hold(candle(0), candle(1))
    looking.audit = CandleAudit(Retention({(Candle, "1m"): 1}), GRACE)
    now = T0 + 3 * DAY_MS
    looked = looking.audit.look(ONE, now, looking.store)
    assert looked.audited[0].start_ms == now - DAY_MS


def test_a_long_series_is_read_in_pages(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_ROWS", 7)
    looking.hold(*(candle(minute) for minute in range(50) if minute not in (6, 7, 20)))
    assert looking.holes(49) == [(6, 8), (20, 21)]


def test_what_was_whole_is_not_read_again_until_it_is_forgotten(
    looking: Looking, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int | None] = []
    rows = SqliteMarketStore.rows

    def watched(store: SqliteMarketStore, symbol: object, record: object, query: Query) -> object:
        if record is Candle and query.end_ms is not None:
            read.append(query.start_ms)
        return rows(store, symbol, record, query)  # type: ignore[arg-type]

    monkeypatch.setattr(SqliteMarketStore, "rows", watched)
    looking.hold(*map(candle, range(10)))
    looking.at(9)
    looking.hold(candle(10), candle(12))
    assert looking.holes(12) == [(11, 12)]
    assert looking.holes(12) == [(11, 12)]  # until it is filled: the hole alone
    looking.hold(candle(11), candle(13))
    assert looking.holes(13) == []
    minutes = [(start - T0) // MINUTE_MS for start in read if start is not None]
    assert minutes == [1, 10, 11, 11, 13]
    looking.audit.forget()
    looking.at(13)
    assert (read[-1] or 0) - T0 == MINUTE_MS
