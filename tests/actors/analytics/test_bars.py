"""Bars as arrays: what is adjacent, what is a return, what is left out, and which windows there are."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.analytics.bars import YEAR_MS, Bars, Window, bars_of, span_ms, valid
from data_manager.storage.records import Candle
from tests.actors.analytics.series import DAY_MS, HOUR_MS, START_MS, all_of, bars_from, walk, without

CANDLE = Candle(
    timeframe="1h",
    open_time=START_MS,
    open="100.5",
    high="101",
    low="100",
    close="100.7",
    volume="12.5",
    quote_volume="1258.75",
    trades_count=42,
    taker_buy_volume="6.25",
    taker_buy_quote_volume=None,
    source="kline",
    complete=True,
    first_id=None,
    last_id=None,
    feed_seq=0,
    market_seq=0,
    stored_ms=0,
)


def candle(place: int, **changes: object) -> Candle:
    return msgspec.structs.replace(CANDLE, open_time=START_MS + place * HOUR_MS, **changes)


def test_a_candle_becomes_the_nearest_floats_of_its_text():
    bars = bars_of([CANDLE], HOUR_MS)
    assert bars.open_times.tolist() == [START_MS]
    prices = (bars.open[0], bars.high[0], bars.low[0], bars.close[0])
    assert prices == (100.5, 101.0, 100.0, 100.7)
    assert (bars.volume[0], bars.quote_volume[0], bars.trades[0], bars.taker_buy[0]) == (12.5, 1258.75, 42.0, 6.25)


def test_what_a_candle_does_not_tell_is_nan():
    bars = bars_of([candle(0, quote_volume=None, trades_count=None, taker_buy_volume=None)], HOUR_MS)
    assert np.isnan([bars.quote_volume[0], bars.trades[0], bars.taker_buy[0]]).all()


@pytest.mark.parametrize(
    "changes",
    [{"complete": False}, {"open_time": START_MS + 1}, {"low": "0"}, {"close": "-1"}, {"high": "NaN"}, {"open": "inf"}],
)
def test_a_candle_that_cannot_be_analysed_is_a_hole(changes: dict[str, object]):
    bars = bars_of([candle(0), msgspec.structs.replace(candle(1), **changes), candle(2)], HOUR_MS)
    assert bars.open_times.tolist() == [START_MS, START_MS + 2 * HOUR_MS]
    assert bars.adjacent.tolist() == [False, False]


def test_no_candles_make_no_bars():
    bars = bars_of([], HOUR_MS)
    assert len(bars) == 0
    assert len(bars.log_returns) == 0
    assert len(bars.longest_run()) == 0


def test_a_return_never_spans_a_hole():
    bars = without(bars_from([1.0, 2.0, 4.0, 8.0, 16.0]), 2)
    assert bars.adjacent.tolist() == [False, True, False, True]
    returns = bars.log_returns
    assert np.isnan(returns[[0, 2]]).all()
    assert valid(returns).tolist() == pytest.approx([math.log(2)] * 2)


@pytest.mark.parametrize(("interval_ms", "factor"), [(HOUR_MS, math.sqrt(365 * 24)), (DAY_MS, math.sqrt(365))])
def test_a_year_has_as_many_bars_as_a_market_that_never_closes(interval_ms: int, factor: float):
    assert walk(3, interval_ms=interval_ms).annualization_factor == pytest.approx(factor, rel=1e-15)
    assert YEAR_MS == 365 * DAY_MS


def test_the_longest_run_is_the_newest_among_equals():
    bars = without(walk(11), 3, 7)
    run = bars.longest_run()
    assert run.open_times.tolist() == (START_MS + HOUR_MS * np.array([8, 9, 10])).tolist()


@given(st.sets(st.integers(0, 30)))
def test_the_longest_run_is_as_long_as_a_plain_count_says(kept: set[int]):
    bars = without(walk(31), *(set(range(31)) - kept))
    best = current = 0
    for place in range(31):
        current = current + 1 if place in kept else 0
        best = max(best, current)
    run = bars.longest_run()
    assert len(run) == best
    assert run.adjacent[1:].all()


def test_a_bar_that_opens_or_closes_outside_its_range_is_invalid():
    ones = np.ones(4)
    times = START_MS + HOUR_MS * np.arange(4)
    bars = Bars(
        HOUR_MS,
        times,
        np.array([10.0, 13.0, 10.0, 8.0]),
        np.full(4, 12.0),
        np.full(4, 9.0),
        np.array([11.0, 11.0, 12.5, 9.0]),
        *(ones,) * 4,
    )
    assert bars.invalid.tolist() == [False, True, True, True]


def test_a_window_holds_the_bars_that_open_inside_it():
    bars = walk(10)
    window = Window("x", START_MS + 2 * HOUR_MS, START_MS + 5 * HOUR_MS)
    assert window.within(bars).open_times.tolist() == (START_MS + HOUR_MS * np.array([2, 3, 4])).tolist()
    assert len(window.through(bars)) == 5
    assert window.expected(HOUR_MS) == 3


def test_a_window_of_all_bars_has_room_for_just_these():
    bars = walk(7)
    assert all_of(bars).expected(HOUR_MS) == len(all_of(bars).within(bars)) == 7


@pytest.mark.parametrize(("label", "span"), [("24h", DAY_MS), ("1h", HOUR_MS), ("30d", 30 * DAY_MS), ("365d", YEAR_MS)])
def test_a_label_is_a_length(label: str, span: int):
    assert span_ms(label) == span
    assert Window.ending(START_MS, label) == (label, START_MS - span, START_MS)


@pytest.mark.parametrize("label", ["", "0d", "30", "d", "30m", "1.5d", "-1d", " 30d", "30D", "99999d", "3\uff10d"])
def test_any_other_label_is_refused(label: str):
    with pytest.raises(ValueError, match="a window is a number of hours or days"):
        span_ms(label)
