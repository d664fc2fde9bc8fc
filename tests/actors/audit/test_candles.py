"""What one look at a series finds, on real SQLite files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_manager.actors.audit import candles, reading
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


# -- more than one timeframe --------------------------------------------------------------------------------


def first_of(timeframe: str) -> int:
    """The first bar of that timeframe that begins at T0 or after it."""
    return -(-T0 // TIMEFRAMES[timeframe]) * TIMEFRAMES[timeframe]


def hold_bars(looking: Looking, timeframe: str, start: int, end: int, *but: int, **fields: Any) -> None:
    """The bars that open in that time, but for some."""
    times = range(start, end, TIMEFRAMES[timeframe])
    looking.hold(*(candle(0, timeframe=timeframe, open_time=time, **fields) for time in times if time not in but))


def told(looking: Looking, now: int, *timeframes: str) -> dict[str, list[tuple[int, int]]]:
    """What a look at each timeframe tells, shortest first, as starts and ends in ms."""
    looks = {name: looking.audit.look(Series(BTC, Candle, name), now, looking.store) for name in timeframes}
    return {name: [(each.missing.start_ms, each.missing.end_ms) for each in look.found] for name, look in looks.items()}


def test_a_hole_is_told_in_its_finest_timeframe_only(looking: Looking) -> None:
    start, end = first_of("1h"), first_of("1h") + TIMEFRAMES["1h"]
    lost = start + 7 * MINUTE_MS
    hold_bars(looking, "1m", start - 5 * MINUTE_MS, end, lost)
    hold_bars(looking, "5m", start - 5 * MINUTE_MS, end, lost // TIMEFRAMES["5m"] * TIMEFRAMES["5m"])
    hold_bars(looking, "15m", start, end, start)
    assert told(looking, end + GRACE, "1m", "5m", "15m") == {"1m": [(lost, lost + MINUTE_MS)], "5m": [], "15m": []}


def test_where_the_bars_below_are_whole_a_roll_up_is_missing(looking: Looking) -> None:
    start, end = first_of("1h"), first_of("1h") + TIMEFRAMES["1h"]
    gone = start + TIMEFRAMES["5m"]
    hold_bars(looking, "1m", start - 5 * MINUTE_MS, end)
    hold_bars(looking, "5m", start - 5 * MINUTE_MS, end, gone)
    looking.store.write(BTC, Write(derived=[derived(0, 3, timeframe="5m", open_time=end, complete=False)]))
    hold_bars(looking, "1m", end, end + 5 * MINUTE_MS)
    now = end + 5 * MINUTE_MS + GRACE
    assert told(looking, now, "1m", "5m") == {
        "1m": [],
        "5m": [(gone, gone + TIMEFRAMES["5m"]), (end, end + TIMEFRAMES["5m"])],
    }
    (first, second) = looking.audit.look(FIVE, now, looking.store).found
    assert "nothing but a roll-up is missing" in first.evidence
    assert "1 bars that were derived from trades; the 1m bars below are whole" in second.evidence


def test_of_a_hole_that_is_partly_one_below_only_the_rest_is_told(looking: Looking) -> None:
    start, end = first_of("1h"), first_of("1h") + TIMEFRAMES["1h"]
    five = TIMEFRAMES["5m"]
    hold_bars(looking, "1m", start - 5 * MINUTE_MS, end, start + 6 * MINUTE_MS)
    hold_bars(looking, "5m", start - five, end, start, start + five, start + 2 * five)
    assert told(looking, end + GRACE, "1m", "5m")["5m"] == [
        (start, start + five),
        (start + 2 * five, start + 3 * five),
    ]


def test_where_the_bars_below_are_not_kept_any_more_the_hole_is_a_gap_of_its_own(looking: Looking) -> None:
    hour = TIMEFRAMES["1h"]
    start = first_of("1d")
    now = start + 3 * DAY_MS
    looking.audit = CandleAudit(Retention({(Candle, "15m"): 1}), 0)
    hold_bars(looking, "15m", start, now)
    hold_bars(looking, "1h", start, now, start + 5 * hour, now - 5 * hour)
    assert told(looking, now, "15m", "1h")["1h"] == [
        (start + 5 * hour, start + 6 * hour),
        (now - 5 * hour, now - 4 * hour),
    ]


def test_a_longer_series_begins_where_the_one_below_does(looking: Looking) -> None:
    start = first_of("1h")
    hold_bars(looking, "1m", start - MINUTE_MS, start + 10 * MINUTE_MS)
    five = TIMEFRAMES["5m"]
    assert told(looking, start + 10 * MINUTE_MS + GRACE, "1m", "5m")["5m"] == [(start, start + 2 * five)]


def test_it_begins_with_the_symbols_bootstrap_where_that_is_earlier(looking: Looking) -> None:
    looking.hold(*map(candle, range(10, 20)))
    now = T0 + 20 * MINUTE_MS + GRACE
    assert looking.holes(19) == []
    found = looking.audit.look(ONE, now, looking.store, since_ms=T0 + 5 * MINUTE_MS).found
    assert [each.missing for each in found] == [Range(T0 + 5 * MINUTE_MS, T0 + 10 * MINUTE_MS)]
    looking.hold(*map(candle, range(5, 10)))
    assert looking.audit.look(ONE, now, looking.store, since_ms=T0 + 5 * MINUTE_MS).found == []


def test_a_second_look_at_a_range_is_at_that_range_alone(looking: Looking) -> None:
    looking.hold(*(candle(minute) for minute in range(20) if minute not in (5, 6, 15)))
    assert looking.holes(19) == [(5, 7), (15, 16)]
    looking.hold(candle(5), candle(15))
    now = T0 + 20 * MINUTE_MS + GRACE
    within = Range(T0 + 5 * MINUTE_MS + 1, T0 + 6 * MINUTE_MS + 1)
    again = looking.audit.look(ONE, now, looking.store, within=within)
    assert again.audited == (Range(T0 + 5 * MINUTE_MS, T0 + 7 * MINUTE_MS),)
    assert [each.missing for each in again.found] == [Range(T0 + 6 * MINUTE_MS, T0 + 7 * MINUTE_MS)]
    _, left = looking.audit.holes(ONE)
    assert left == (Range(T0 + 6 * MINUTE_MS, T0 + 7 * MINUTE_MS), Range(T0 + 15 * MINUTE_MS, T0 + 16 * MINUTE_MS))
    assert looking.audit.look(ONE, now, looking.store, within=Range(0, T0)).audited == ()


def test_it_keeps_no_more_holes_in_mind_than_its_limit(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candles, "MAX_HOLES", 2)
    looking.hold(*(candle(minute) for minute in range(0, 20, 2)))
    assert len(looking.holes(18)) == 9
    _, holes = looking.audit.holes(ONE)
    assert [each.bars(MINUTE_MS) for each in holes] == [1, 15]


def test_what_is_read_is_counted_once(looking: Looking) -> None:
    looking.hold(*map(candle, range(10)), candle(12, low="9"))
    for minute in (9, 12, 12, 13):
        looking.at(minute)
    counted = looking.audit.counts(ONE).since(0)
    assert (counted.rows, counted.contradictions) == (10, 1)  # from the first whole minute after the first bar


@settings(derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 3 * 60 * 60_000), st.integers(0, 120))
def test_a_complete_store_raises_no_gap_at_any_time_and_with_any_grace(
    whole_store: SqliteMarketStore, after_ms: int, grace_s: int
) -> None:
    """Bars of all timeframes are there as they close, whatever the second of the hour is."""
    now = first_of("1h") + after_ms
    audit = CandleAudit(Retention({}), grace_s * 1000)
    for timeframe, length in TIMEFRAMES.items():
        series = Series(BTC, Candle, timeframe)
        looked = audit.look(series, now, whole_store)
        assert looked.found in ((), [])
        assert all(each.end_ms <= now - grace_s * 1000 for each in looked.audited)
        assert all(each.end_ms % length == 0 for each in looked.audited)


@pytest.fixture(scope="module")
def whole_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteMarketStore]:
    """Every bar of three hours and some minutes."""
    store = SqliteMarketStore(tmp_path_factory.mktemp("whole"), clock=FixedClock())
    start = first_of("1h")
    for timeframe, length in TIMEFRAMES.items():
        times = range((start - 7 * MINUTE_MS) // length * length + length, start + 3 * 3_600_000, length)
        store.write(BTC, received(*(candle(0, timeframe=timeframe, open_time=time) for time in times)))
    yield store
    store.close()
