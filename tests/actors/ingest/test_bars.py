from __future__ import annotations

import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.ingest import bars as bars_module
from data_manager.actors.ingest.bars import GRACE_MS, MAX_DERIVED, MAX_TALLIES, SETTLE_S, BarKey, Bars
from data_manager.actors.ingest.candles import CHILD, derive, roll_up
from data_manager.storage.protocols import Event, Query, Write
from data_manager.storage.records import MINUTE_MS, TIMEFRAMES, Candle, Source, Symbol, Trade
from data_manager.storage.sqlite.store import SqliteMarketStore
from tests.actors.ingest.trades import (
    DAY,
    FIRST_AGGREGATE,
    FIRST_ID,
    aggregate,
    histories,
    minute_of,
    raw,
)

SYMBOL = Symbol("BTCUSDT")
HOUR = 60 * MINUTE_MS


class FakeClock:
    """A wall clock and a monotonic clock that stand still until told."""

    def __init__(self, wall_ms: int) -> None:
        self.wall_ms = wall_ms
        self.seconds = 1000.0

    def now_us(self) -> int:
        return self.wall_ms * 1000

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.wall_ms += round(seconds * 1000)
        self.seconds += seconds


class WatchedStore(SqliteMarketStore):
    """Notes the minutes whose trades are read back."""

    def __init__(self, folder: Path, *, clock: FakeClock) -> None:
        super().__init__(folder, clock=clock)
        self.read_back: list[int] = []
        self.read_cost: Callable[[], None] = lambda: None

    def trades_between(self, symbol: Symbol, start_ms: int, end_ms: int) -> list[Trade]:
        self.read_back.append(start_ms)
        self.read_cost()
        return super().trades_between(symbol, start_ms, end_ms)


class Ingest:
    """What the ingest worker does with Bars, crashes included."""

    def __init__(self, folder: Path, wall_ms: int) -> None:
        self.clock = FakeClock(wall_ms)
        self.store = WatchedStore(folder, clock=self.clock)
        self.derived: list[BarKey] = []
        self.crash()

    def crash(self) -> None:
        """Lose everything in memory and start again."""
        self.bars = Bars(SYMBOL, self.store, self.clock)
        self.bars.recover()

    def write(self, *trades: Trade, closed: tuple[Candle, ...] = (), crash: bool = False) -> None:
        keys = [(bar.timeframe, bar.open_time) for bar in closed]
        dirty = self.bars.before_write(trades, keys)
        events = [Event(trade.kind, trade) for trade in trades]
        events += [Event("kline", bar, keep_first=False) for bar in closed]
        written = self.store.write(SYMBOL, Write(events=events, dirty_minutes=dirty))
        if crash:
            self.crash()
        else:
            self.bars.after_write(trades, written.new_trades == len(trades), keys)

    def derive(self, crash: bool = False) -> list[BarKey]:
        """Derive all that is due; with `crash` lose the first answer before it is written."""
        found: list[BarKey] = []
        while self.bars.due(self.clock.wall_ms):
            candles, clean = self.bars.derive(self.clock.wall_ms)
            if crash:
                self.crash()
                return []
            self.store.write(SYMBOL, Write(derived=candles, clean_minutes=clean))
            found += [(bar.timeframe, bar.open_time) for bar in candles]
        self.derived += found
        return found

    def settle(self) -> list[BarKey]:
        """Let SETTLE_S pass and derive what is due."""
        self.clock.advance(SETTLE_S)
        return self.derive()

    def finish(self) -> None:
        """Let every bar end."""
        self.clock.advance(2 * 86_400)
        self.derive()

    def bar(self, open_time: int, timeframe: str = "1m") -> Candle | None:
        bars = self.candles(timeframe, open_time, open_time + 1)
        return bars[0] if bars else None

    def complete(self, open_time: int, timeframe: str = "1m") -> bool | None:
        """None when there is no bar."""
        bar = self.bar(open_time, timeframe)
        return bar.complete if bar else None

    def candles(self, timeframe: str, start: int = 0, end: int = 1 << 50) -> list[Candle]:
        return self.store.rows(SYMBOL, Candle, Query(start, end, (("timeframe", timeframe),), limit=100_000))


@contextmanager
def running(wall_ms: int = DAY) -> Iterator[Ingest]:
    with tempfile.TemporaryDirectory() as folder:
        ingest = Ingest(Path(folder), wall_ms)
        try:
            yield ingest
        finally:
            ingest.store.close()


@pytest.fixture
def ingest(tmp_path: Path) -> Iterator[Ingest]:
    ingest = Ingest(tmp_path, DAY)
    yield ingest
    ingest.store.close()


def chain(start: int, count: int, step_ms: int = 1000, first: int = 0) -> list[Trade]:
    """Consecutive raw trades."""
    return [raw(FIRST_ID + first + i, start + i * step_ms) for i in range(count)]


def expected(store: SqliteMarketStore) -> dict[BarKey, Candle]:
    """Every bar of everything stored, derived from scratch."""
    trades = store.trades_between(SYMBOL, 0, 1 << 50)
    found: dict[BarKey, Candle] = {}
    for minute in {minute_of(trade.time_ms) for trade in trades}:
        around = store.neighbours(SYMBOL, minute, minute + MINUTE_MS)
        within = store.trades_between(SYMBOL, minute, minute + MINUTE_MS)
        if bar := derive(within, minute, around, 0):
            found["1m", minute] = bar
    for timeframe, child in CHILD.items():
        length = TIMEFRAMES[timeframe]
        children = [bar for key, bar in found.items() if key[0] == child]
        for start in {bar.open_time - bar.open_time % length for bar in children}:
            inside = [bar for bar in children if start <= bar.open_time < start + length]
            if bar := roll_up(inside, timeframe, start, 0):
                found[timeframe, start] = bar
    return found


def stored(ingest: Ingest) -> dict[BarKey, Candle]:
    bars = [bar for timeframe in TIMEFRAMES for bar in ingest.candles(timeframe)]
    return {(bar.timeframe, bar.open_time): msgspec.structs.replace(bar, stored_ms=0) for bar in bars}


# --- when a bar is derived ----------------------------------------------------------------------------------


def test_an_open_minute_has_no_bar(ingest: Ingest) -> None:
    ingest.write(*chain(DAY, 30))
    ingest.clock.advance(60 + GRACE_MS / 1000 - 0.001)
    assert ingest.derive() == []


def test_a_minute_gets_its_bar_two_seconds_after_its_close(ingest: Ingest) -> None:
    ingest.write(*chain(DAY, 30))
    ingest.clock.advance(60 + GRACE_MS / 1000)
    assert ingest.derive() == [("1m", DAY)]
    assert ingest.complete(DAY) is False


def test_a_later_trade_closes_a_minute_before_its_time_whatever_the_clock_says(ingest: Ingest) -> None:
    ingest.clock.wall_ms = DAY - 2 * HOUR
    ingest.write(*chain(DAY - 500, 31))
    ingest.clock.seconds += 50
    ingest.write(*chain(DAY + MINUTE_MS, 1, first=31))
    ingest.derive()
    assert ingest.complete(DAY) is True


def test_a_bar_that_the_clock_closed_is_completed_by_the_next_trade(ingest: Ingest) -> None:
    ingest.write(*chain(DAY - 500, 31))
    ingest.clock.advance(62)
    ingest.derive()
    assert ingest.complete(DAY) is False
    ingest.clock.advance(20)
    assert ingest.derive() == []
    ingest.write(*chain(DAY + 82_000, 1, first=31))
    assert ("1m", DAY) in ingest.derive()
    assert ingest.complete(DAY) is True


def test_a_trade_that_was_overtaken_at_the_close_completes_the_bar_while_the_next_minute_is_open(
    ingest: Ingest,
) -> None:
    ingest.write(*chain(DAY - 500, 31))
    ingest.clock.advance(60)
    overtaken, overtaking = chain(DAY + MINUTE_MS, 2, first=31)
    ingest.write(overtaking)
    ingest.derive()
    assert ingest.complete(DAY) is False
    ingest.write(overtaken)
    ingest.settle()
    assert ingest.complete(DAY) is True


def test_a_hole_that_stays_is_looked_at_ever_more_rarely(ingest: Ingest) -> None:
    ingest.write(*chain(DAY - 500, 31))
    ingest.clock.advance(60)
    ingest.write(*chain(DAY + MINUTE_MS, 10, first=40))
    for _ in range(550):
        ingest.clock.advance(0.1)
        ingest.derive()
    assert ingest.derived.count(("1m", DAY)) <= 9
    assert ingest.complete(DAY) is False


def test_minutes_are_marked_dirty_once_and_together_with_the_ends_of_the_open_bars(ingest: Ingest) -> None:
    trades = chain(DAY, 3)
    ends = {DAY + length - MINUTE_MS for length in TIMEFRAMES.values()}
    assert ingest.bars.before_write(trades) == ends | {DAY}
    assert ingest.bars.before_write(trades) == ends | {DAY}
    ingest.write(*trades)
    assert ingest.store.dirty_minutes(SYMBOL) == ends | {DAY}
    assert ingest.bars.before_write(chain(DAY + 5000, 3)) == set()


def test_a_derived_minute_is_clean(ingest: Ingest) -> None:
    ingest.write(*chain(DAY - HOUR, 3))
    ingest.settle()
    assert ingest.store.dirty_minutes(SYMBOL).isdisjoint({DAY - HOUR})
    ingest.finish()
    assert ingest.store.dirty_minutes(SYMBOL) == set()


def test_a_flood_of_old_trades_derives_a_minute_twice_a_second_at_most(ingest: Ingest) -> None:
    ingest.write(*chain(DAY, 1, first=10_000))
    for trade in chain(DAY - HOUR, 400, step_ms=100):
        ingest.write(trade)
        ingest.clock.advance(0.005)
        ingest.derive()
    assert 3 <= ingest.derived.count(("1m", DAY - HOUR)) <= 4
    ingest.settle()
    bar = ingest.bar(DAY - HOUR)
    assert bar is not None
    assert bar.trades_count == 400


def test_a_minute_that_takes_long_to_read_back_rests_several_times_as_long(ingest: Ingest) -> None:
    minute = DAY - 10 * MINUTE_MS
    ingest.write(*chain(minute, 3), *chain(minute + 5 * MINUTE_MS, 1, first=100))
    ingest.crash()  # the totals are gone: from now on its trades are read back
    ingest.store.read_cost = lambda: ingest.clock.advance(1.0)

    def reads_after(seconds: float) -> int:
        ingest.clock.advance(seconds)
        ingest.derive()
        return ingest.store.read_back.count(minute)

    first = reads_after(SETTLE_S)
    assert first > 0
    ingest.write(*chain(minute + 10_000, 3, first=3))
    assert reads_after(4.0) == first
    assert reads_after(7.0) > first


def test_one_call_derives_a_bounded_number_of_minutes_the_oldest_first(ingest: Ingest) -> None:
    ingest.write(*chain(DAY - 5 * HOUR, 100, step_ms=MINUTE_MS))
    ingest.clock.advance(SETTLE_S)
    due = ingest.bars.due(ingest.clock.wall_ms)
    assert due == [DAY - 5 * HOUR + i * MINUTE_MS for i in range(MAX_DERIVED)]
    ingest.derive()
    assert len(ingest.candles("1m")) == 100


def test_beyond_its_limit_of_dirty_minutes_nothing_waits(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars_module, "MAX_DIRTY", 50)
    ingest.write(*chain(DAY - 5 * HOUR, 40, step_ms=MINUTE_MS))
    assert ingest.derive() == []
    ingest.write(*chain(DAY - 4 * HOUR, 40, step_ms=MINUTE_MS, first=40))
    assert len(ingest.derive()) > 0


# --- from what ----------------------------------------------------------------------------------------------


def test_a_live_minute_is_derived_without_reading_its_trades_back(ingest: Ingest) -> None:
    for second in range(-1, 400):
        ingest.write(*chain(DAY + second * 1000, 3, step_ms=100, first=3 * second))
        ingest.clock.advance(1)
        ingest.derive()
    assert ingest.store.read_back == []
    assert [bar.complete for bar in ingest.candles("1m", DAY)] == [True] * 6
    assert {key: bar for key, bar in stored(ingest).items() if key[1] >= DAY}.items() <= (
        expected(ingest.store).items()
    )


def test_copies_send_a_minute_back_to_its_stored_trades(ingest: Ingest) -> None:
    trades = chain(DAY - 500, 31)
    ingest.write(*trades)
    ingest.write(*trades[10:20])
    ingest.write(*trades[5:9], *chain(DAY + MINUTE_MS, 1, first=31))
    ingest.settle()
    bar = ingest.bar(DAY)
    assert bar is not None
    assert (bar.trades_count, bar.volume, bar.complete) == (30, "30.00", True)
    assert ingest.store.read_back == [DAY]


def test_raw_and_aggregated_trades_of_one_minute_never_double_the_volume(ingest: Ingest) -> None:
    ingest.write(*chain(DAY - 500, 12))
    ingest.write(aggregate(FIRST_AGGREGATE, FIRST_ID + 1, FIRST_ID + 6, DAY + 500, quantity="6.00"))
    ingest.write(*chain(DAY + MINUTE_MS, 1, first=12))
    ingest.settle()
    bar = ingest.bar(DAY)
    assert bar is not None
    assert (bar.trades_count, bar.volume, bar.complete) == (11, "11.00", True)


def test_an_aggregate_of_the_minute_before_is_not_counted_twice(ingest: Ingest) -> None:
    ingest.write(raw(FIRST_ID, DAY - 2), aggregate(FIRST_AGGREGATE, FIRST_ID + 1, FIRST_ID + 2, DAY - 1))
    ingest.write(*chain(DAY, 3, first=2))
    ingest.write(*chain(DAY + MINUTE_MS, 1, first=5))
    ingest.settle()
    bar = ingest.bar(DAY)
    assert bar is not None
    assert (bar.first_id, bar.trades_count, bar.complete) == (FIRST_ID + 3, 2, True)


def test_old_minutes_lose_their_totals_and_are_derived_from_stored_trades(ingest: Ingest) -> None:
    minutes = 2 * MAX_TALLIES
    trades = chain(DAY, 3 * minutes, step_ms=MINUTE_MS // 3)
    on_time = [trade for i, trade in enumerate(trades) if i % 3 != 1]
    ingest.write(*on_time)
    ingest.write(*[trade for trade in trades if trade not in on_time])
    ingest.finish()
    assert [bar.trades_count for bar in ingest.candles("1m")] == [3] * minutes
    of_trades = [start for start in ingest.store.read_back if start <= trades[-1].time_ms]
    assert of_trades == [DAY + i * MINUTE_MS for i in range(minutes - MAX_TALLIES)]
    assert stored(ingest) == expected(ingest.store)


def test_totals_of_an_open_minute_survive_a_restart(ingest: Ingest) -> None:
    ingest.write(*chain(DAY - 500, 11))
    ingest.crash()
    ingest.write(*chain(DAY + 20_000, 10, first=11), *chain(DAY + MINUTE_MS, 1, first=21))
    ingest.store.read_back.clear()
    ingest.settle()
    bar = ingest.bar(DAY)
    assert bar is not None
    assert (bar.trades_count, bar.complete) == (20, True)
    assert ingest.store.read_back == [DAY - MINUTE_MS]


# --- late trades and longer bars ----------------------------------------------------------------------------


def test_a_late_trade_derives_its_minute_and_every_longer_bar_again(ingest: Ingest) -> None:
    ingest.write(*chain(DAY - 86_400_000, 5), raw(FIRST_ID + 500, DAY + 1))
    ingest.settle()
    late = raw(FIRST_ID + 5, DAY - 86_400_000 + 6000, quantity="9.00")
    ingest.write(late)
    keys = {(timeframe, DAY - 86_400_000) for timeframe in TIMEFRAMES}
    assert set(ingest.settle()) == keys
    for timeframe in TIMEFRAMES:
        bar = ingest.bar(DAY - 86_400_000, timeframe)
        assert bar is not None
        assert bar.volume == "14.00"


def test_a_minute_filled_later_completes_the_bars_around_it(ingest: Ingest) -> None:
    ingest.write(*chain(DAY - 1, 1), *chain(DAY + 1, 2, first=1))
    ingest.write(*chain(DAY + 2 * MINUTE_MS, 2, first=9), *chain(DAY + 3 * MINUTE_MS, 2, first=11))
    ingest.settle()
    assert [ingest.complete(DAY + i * MINUTE_MS) for i in range(3)] == [False, None, False]
    ingest.write(*chain(DAY + MINUTE_MS, 6, first=3))
    ingest.settle()
    assert [ingest.complete(DAY + i * MINUTE_MS) for i in range(3)] == [True, True, True]


def test_a_longer_bar_ends_on_time_although_its_last_minutes_saw_no_trade(ingest: Ingest) -> None:
    ingest.write(*chain(DAY - 500, 3), *chain(DAY + MINUTE_MS, 2, first=3))
    ingest.clock.advance(5 * 60 + 1)
    ingest.derive()
    assert ingest.bar(DAY, "5m") is None
    ingest.clock.advance(1)
    ingest.derive()
    assert ingest.complete(DAY, "5m") is False
    ingest.clock.advance(90)
    ingest.write(*chain(DAY + 392_000, 1, first=5))
    ingest.derive()
    assert ingest.complete(DAY, "5m") is True


def test_a_longer_bar_waits_until_all_its_minutes_are_derived(ingest: Ingest) -> None:
    ingest.write(*chain(DAY - HOUR - 1, 1), *chain(DAY - HOUR, 240, first=1))
    ingest.clock.advance(SETTLE_S / 2)
    ingest.write(*chain(DAY - HOUR + 240_000, 100, first=241))
    ingest.clock.advance(SETTLE_S / 2)
    ingest.derive()
    assert [ingest.complete(DAY - HOUR + i * MINUTE_MS) for i in range(5)] == [True] * 4 + [None]
    assert ingest.bar(DAY - HOUR, "5m") is None
    ingest.settle()
    assert ingest.complete(DAY - HOUR, "5m") is True


def test_the_longest_bar_is_rolled_up_through_every_level(ingest: Ingest) -> None:
    trades = chain(DAY - 86_400_000 - 40_000, 2 * 2200, step_ms=20_000)
    ingest.write(*trades)
    ingest.settle()
    day = ingest.bar(DAY - 86_400_000, "1d")
    assert day is not None
    assert (day.complete, day.trades_count, day.source) == (True, 4320, "trades")
    assert [len(ingest.candles(t, DAY - 86_400_000, DAY)) for t in TIMEFRAMES] == [1440, 288, 96, 24, 6, 1]


# --- bars of other sources ----------------------------------------------------------------------------------


def kline(open_time: int, first: int, timeframe: str = "1m", trades: int = 10) -> Candle:
    return Candle(
        timeframe=timeframe,
        open_time=open_time,
        open="1.0",
        high="2.0",
        low="0.5",
        close="1.5",
        volume="777",
        quote_volume="1000",
        trades_count=trades,
        taker_buy_volume="400",
        taker_buy_quote_volume="500",
        source=Source.KLINE,
        complete=True,
        first_id=first,
        last_id=first + trades - 1,
        feed_seq=1,
        market_seq=1,
        stored_ms=1,
    )


def test_a_closed_kline_is_kept_and_the_longer_bars_are_rolled_up_from_it(ingest: Ingest) -> None:
    ingest.write(*chain(DAY - HOUR, 300))
    ingest.settle()
    ingest.write(closed=(kline(DAY - HOUR, FIRST_ID, trades=60),))
    ingest.write(raw(FIRST_ID, DAY - HOUR + 30_500))
    ingest.settle()
    bar, longer = ingest.bar(DAY - HOUR), ingest.bar(DAY - HOUR, "5m")
    assert bar is not None
    assert longer is not None
    assert (bar.source, bar.volume) == ("kline", "777")
    assert (longer.source, longer.volume) == ("trades", "1017.00")


@pytest.mark.parametrize("crash", [False, True])
def test_a_feed_of_klines_alone_gives_longer_bars(ingest: Ingest, crash: bool) -> None:
    for index in range(15):
        ingest.write(closed=(kline(DAY + index * MINUTE_MS, 10 * index),), crash=crash)
    ingest.clock.advance(15 * 60 + 2)
    ingest.derive()
    longer = ingest.bar(DAY, "15m")
    assert longer is not None
    assert (longer.source, longer.complete, longer.volume) == ("kline", True, "11655")
    assert len(ingest.candles("1h")) == 0


def test_bars_that_somebody_else_stored_are_rolled_up_when_told(ingest: Ingest) -> None:
    repaired = [kline(DAY - HOUR + index * MINUTE_MS, 10 * index) for index in range(60)]
    events = [Event("kline", bar, keep_first=False) for bar in repaired]
    ingest.store.write(SYMBOL, Write(events=events))
    for bar in repaired:
        ingest.bars.closed(bar.timeframe, bar.open_time)
    ingest.clock.advance(GRACE_MS / 1000)
    ingest.derive()
    assert ingest.complete(DAY - HOUR, "1h") is True


def test_a_longer_kline_feeds_the_level_above_it(ingest: Ingest) -> None:
    quarters = [kline(DAY - HOUR + i * 15 * MINUTE_MS, 10 * i, "15m") for i in range(4)]
    ingest.write(closed=tuple(quarters))
    ingest.clock.advance(GRACE_MS / 1000)
    ingest.derive()
    hour = ingest.bar(DAY - HOUR, "1h")
    assert hour is not None
    assert (hour.volume, hour.complete) == ("3108", True)


def test_a_longer_kline_outweighs_what_its_own_minutes_add_up_to(ingest: Ingest) -> None:
    ingest.write(*chain(DAY - HOUR, 100))
    ingest.settle()
    ingest.write(closed=(kline(DAY - HOUR, FIRST_ID, "5m", trades=300),))
    ingest.write(*chain(DAY - HOUR + 100_000, 200, first=100))
    ingest.settle()
    longer, longest = ingest.bar(DAY - HOUR, "5m"), ingest.bar(DAY - HOUR, "15m")
    assert longer is not None
    assert longest is not None
    assert (longer.volume, longest.volume) == ("777", "777")


def test_trades_of_a_minute_that_has_a_kline_are_not_even_read(ingest: Ingest) -> None:
    ingest.write(closed=(kline(DAY - HOUR, FIRST_ID),))
    ingest.write(*chain(DAY - HOUR, 10))
    ingest.write(*chain(DAY - HOUR, 10))
    assert ("1m", DAY - HOUR) not in ingest.settle()
    assert ingest.store.read_back == []


def test_a_kline_that_replaces_an_incomplete_bar_ends_the_waiting(ingest: Ingest) -> None:
    ingest.write(*chain(DAY, 3))
    ingest.clock.advance(62)
    ingest.derive()
    ingest.write(closed=(kline(DAY, FIRST_ID),))
    ingest.write(*chain(DAY + 62_000, 1, first=50))
    for _ in range(20):
        ingest.settle()
    assert ingest.bars.due(ingest.clock.wall_ms) == []


# --- crashes ------------------------------------------------------------------------------------------------


def test_a_failed_write_changes_nothing_that_recover_does_not_mend(ingest: Ingest) -> None:
    ingest.write(*chain(DAY - 500, 5))
    ingest.bars.before_write(chain(DAY + 4500, 5, first=5))  # and the store refuses
    ingest.clock.advance(62)
    ingest.bars.derive(ingest.clock.wall_ms)  # and the store refuses
    ingest.bars.recover()
    ingest.write(*chain(DAY + 4500, 5, first=5))
    ingest.finish()
    assert stored(ingest) == expected(ingest.store)
    assert sum(bar.trades_count or 0 for bar in ingest.candles("1m")) == 10


def lossy(draw: st.DrawFn, history: tuple[list[Trade], list[Trade]]) -> list[Trade]:
    """Some of both kinds, or of one, in an order with some late ones and copies."""
    kinds = draw(st.sampled_from(((0,), (1,), (0, 1))))
    lost = draw(st.sampled_from((0, 0, 0, 1, 4)))
    rng = draw(st.randoms(use_true_random=False))
    trades = [trade for kind in kinds for trade in history[kind] if rng.randrange(10) >= lost]
    disorder_ms = draw(st.sampled_from((0, 0, 500, 30_000, 10_000_000)))
    trades.sort(key=lambda trade: (trade.time_ms + rng.randint(0, disorder_ms), trade.trade_id))
    copies = draw(st.sampled_from((0, 0, 1)))
    return [copy for trade in trades for copy in [trade] * (1 + copies * rng.choice((0, 0, 0, 1)))]


@st.composite
def feeds(draw: st.DrawFn) -> list[list[Trade]]:
    """Batches as they arrive."""
    end_of_day = DAY + 86_400_000 - 12 * MINUTE_MS
    trades = lossy(draw, draw(histories(end_of_day, orders=25, longest_pause_ms=100_000)))
    rng = draw(st.randoms(use_true_random=False))
    batches = []
    while trades:
        cut = rng.randint(1, 12)
        batches.append(trades[:cut])
        trades = trades[cut:]
    return batches


@settings(derandomize=True, deadline=None, max_examples=60)
@given(feeds(), st.randoms(use_true_random=False), st.booleans(), st.sampled_from((0, 3, 10)))
def test_whatever_comes_and_wherever_it_crashes_the_bars_are_those_of_the_stored_trades(
    batches: list[list[Trade]], rng: random.Random, live: bool, crashes_in_ten: int
) -> None:
    def crashes() -> bool:
        return rng.randrange(10) < crashes_in_ten

    with running(DAY + 5 * 86_400_000) as ingest:
        if live:
            ingest.clock.wall_ms = DAY
        for batch in batches:
            if live:
                ingest.clock.wall_ms = max(ingest.clock.wall_ms, batch[-1].time_ms)
            if crashed := crashes():
                ingest.write(*batch, crash=True)  # committed but not acknowledged: it comes again
            if not crashed or rng.randrange(2):
                ingest.write(*batch)
            ingest.clock.advance(rng.choice((0.0, 0.1, 1.0, 10.0)))
            ingest.derive(crash=crashes())
        ingest.finish()
        assert stored(ingest) == expected(ingest.store)
        assert ingest.store.dirty_minutes(SYMBOL) == set()
        assert ingest.bars.due(ingest.clock.wall_ms) == []


# --- recordings ---------------------------------------------------------------------------------------------


def check_old_recording(ingest: Ingest, aggregates: list[Trade]) -> None:
    """Every aggTrade is counted once, and the last minute is incomplete: no later trade came."""
    for trade in aggregates:
        ingest.write(trade)
    ingest.finish()
    bars = ingest.candles("1m")
    assert sum(bar.trades_count or 0 for bar in bars) == sum(t.last_id - t.first_id + 1 for t in aggregates)
    assert bars[-1].open_time == minute_of(max(trade.time_ms for trade in aggregates))
    assert not bars[-1].complete
    assert not ingest.candles("5m")[-1].complete


def test_the_last_minute_of_an_old_recording_is_incomplete(ingest: Ingest) -> None:
    rng = random.Random(7)
    aggregates, next_id = [], FIRST_ID
    for number in range(91):
        fills = rng.choice((1, 1, 1, 2, 4))
        time_ms = DAY - 30 * 86_400_000 + 41_000 + number * 650
        aggregates.append(aggregate(FIRST_AGGREGATE + number, next_id, next_id + fills - 1, time_ms))
        next_id += fills
    check_old_recording(ingest, aggregates)
    assert [bar.complete for bar in ingest.candles("1m")] == [False, False]


@pytest.mark.skipif("MARKET_RECORDINGS" not in os.environ, reason="MARKET_RECORDINGS names no folder")
def test_the_last_minute_of_the_real_recording_is_incomplete() -> None:
    recording = Path(os.environ["MARKET_RECORDINGS"]) / "binance_futures_ws_2021-07-22.ndjson"
    by_symbol: dict[str, list[Trade]] = {}
    for line in recording.read_text().splitlines():
        event = json.loads(line)["data"]
        if event["e"] == "aggTrade":
            by_symbol.setdefault(event["s"], []).append(
                aggregate(event["a"], event["f"], event["l"], event["T"], event["p"], event["q"], event["m"])
            )
    assert {symbol: len(trades) for symbol, trades in by_symbol.items()} == {
        "SUSHIUSDT": 40,
        "CTKUSDT": 38,
        "AKROUSDT": 8,
        "KEEPUSDT": 5,
    }
    for aggregates in by_symbol.values():
        with running() as ingest:
            check_old_recording(ingest, aggregates)
