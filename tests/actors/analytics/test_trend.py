"""Trend: averages and lines against TA-Lib, pandas and scipy; crosses as events; beta against the benchmark."""

from __future__ import annotations

import msgspec
import numpy as np
import pandas as pd
import pytest
import talib
from scipy import stats

from data_manager.actors.analytics.bars import Bars, Window
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.trend import Trend, TrendParameters, trend
from tests.actors.analytics.series import HOUR_MS, START_MS, all_of, bars_from, last, scaled, still, walk, without

CONF = analytics_conf().trend


def of(bars: Bars, window: Window | None = None, benchmark: Bars | None = None) -> Trend:
    return trend(bars, window or all_of(bars), CONF, benchmark)


def test_averages_and_momentum_are_those_of_talib_and_pandas():
    bars = walk(720)
    result = of(bars)
    assert result.sma == pytest.approx(talib.SMA(bars.close, 20)[-1], rel=1e-12)
    assert result.wma == pytest.approx(talib.WMA(bars.close, 20)[-1], rel=1e-12)
    assert result.ema == pytest.approx(pd.Series(bars.close).ewm(span=20).mean().iloc[-1], rel=1e-12)
    assert result.rate_of_change == pytest.approx(talib.ROC(bars.close, 10)[-1], rel=1e-9)
    assert result.rsi14 == pytest.approx(talib.RSI(bars.close, 14)[-1], rel=1e-9)
    assert result.adx14 == pytest.approx(talib.ADX(bars.high, bars.low, bars.close, 14)[-1], rel=1e-9)
    assert result.plus_di14 == pytest.approx(talib.PLUS_DI(bars.high, bars.low, bars.close, 14)[-1], rel=1e-9)
    assert result.minus_di14 == pytest.approx(talib.MINUS_DI(bars.high, bars.low, bars.close, 14)[-1], rel=1e-9)
    theirs = [each[-1] for each in talib.MACD(bars.close)]
    assert (result.macd, result.macd_signal, result.macd_histogram) == pytest.approx(theirs, rel=1e-8)


def test_recursive_averages_begin_before_the_window():
    bars = walk(720)
    result = of(bars, last(bars, 60))
    assert result.rsi14 == pytest.approx(talib.RSI(bars.close, 14)[-1], rel=1e-12)
    assert result.envelope.n == 60


def test_the_line_is_scipys():
    bars = walk(300)
    line = stats.linregress(np.arange(300), np.log(bars.close))
    result = of(bars)
    assert result.slope == pytest.approx(line.slope, rel=1e-9)
    assert result.r_squared == pytest.approx(line.rvalue**2, rel=1e-9)


def test_the_line_goes_by_time_across_a_hole():
    """Growth of 1 % a bar is 1 % a bar, however many bars nobody saw."""
    bars = without(bars_from(100 * 1.01 ** np.arange(120)), *range(40, 60))
    result = of(bars)
    assert result.slope == pytest.approx(np.log(1.01), rel=1e-12)
    assert result.r_squared == pytest.approx(1.0)
    assert result.r_squared <= 1.0


def test_strength_counts_bars_that_closed_above_their_open():
    closes = 100 + np.cumsum(np.tile([1.0, 1.0, 1.0, -1.0], 15))
    assert of(bars_from(closes)).directional_strength == pytest.approx(75.0)


def test_a_rate_of_change_takes_every_bar_between():
    bars = walk(100)
    assert of(without(bars, 95)).reasons["rate_of_change"] == "bars are missing among the last 11"
    assert of(without(bars, 80)).rate_of_change == of(bars).rate_of_change


def turning(at: int, n: int = 120) -> Bars:
    """Rises 1 a bar until that bar, then falls 1 a bar."""
    steps = np.where(np.arange(n) <= at, 1.0, -1.0)
    return bars_from(200 + np.cumsum(steps))


def test_a_cross_is_an_event_with_an_age():
    bars = turning(80)
    fast, slow = talib.SMA(bars.close, 20), talib.SMA(bars.close, 50)
    below = np.flatnonzero(fast < slow)
    result = of(bars)
    assert result.cross.direction == "bearish"
    assert result.cross.age_bars == 119 - below[0]
    assert result.cross.time_ms == START_MS + (below[0] + 1) * HOUR_MS
    assert result.crossover_signal == "bearish"


def test_a_market_that_never_crossed_has_a_state_and_no_event():
    result = of(bars_from(100 + np.arange(120.0)))
    assert result.crossover_signal == "bullish"
    assert result.cross is None
    assert result.reasons["cross"] == "the averages did not cross within the window"


def test_the_state_is_neutral_within_a_tenth_of_the_true_range():
    """The averages of a wave differ by less than its bars do."""
    closes = 100 + np.tile([0.0, 5.0], 60)
    assert of(bars_from(closes)).crossover_signal == "neutral"
    tight = msgspec.structs.replace(CONF, neutral_atr=0.0)
    assert trend(turning(119), all_of(turning(119)), tight).crossover_signal == "bullish"


def test_beta_is_the_slope_of_our_returns_over_theirs():
    theirs = walk(300, seed=3)
    returns = 1.7 * np.nan_to_num(theirs.log_returns) + np.random.default_rng(1).normal(0, 1e-3, 300) + 2e-4
    ours = walk(300, returns=returns)
    line = stats.linregress(theirs.log_returns[1:], ours.log_returns[1:])
    result = of(ours, benchmark=theirs)
    assert result.rolling_beta == pytest.approx(line.slope, rel=1e-9)
    assert result.alpha == pytest.approx(line.intercept, rel=1e-9)
    assert result.rolling_beta == pytest.approx(1.7, abs=0.1)


def test_the_benchmark_moves_with_itself():
    bars = walk(300)
    result = of(bars, benchmark=bars)
    assert result.rolling_beta == pytest.approx(1.0, rel=1e-12)
    assert result.alpha == pytest.approx(0.0, abs=1e-15)


def test_beta_is_of_bars_that_both_have():
    theirs, ours = walk(300, seed=3), walk(300, seed=4)
    shared = np.ones(299, dtype=bool)
    for hole in (50, 120, 121):
        shared[[hole - 1, hole]] = False  # the returns into and out of it
    line = stats.linregress(theirs.log_returns[1:][shared], ours.log_returns[1:][shared])
    result = of(without(ours, 50), benchmark=without(theirs, 120, 121))
    assert result.rolling_beta == pytest.approx(line.slope, rel=1e-9)


def test_no_benchmark_no_beta():
    assert of(walk(60)).reasons["rolling_beta"] == "the benchmark has no bars"
    assert of(walk(60), benchmark=still(60)).reasons["alpha"] == "the benchmark's returns do not vary"
    later = walk(60, start_ms=START_MS + 1000 * HOUR_MS)
    assert of(walk(60), benchmark=later).reasons["alpha"].startswith("0 returns shared")


def test_a_price_that_stands_still_has_no_trend():
    result = of(still(100), benchmark=walk(100))
    assert (result.sma, result.ema, result.wma) == pytest.approx((100.0, 100.0, 100.0))
    assert (result.rate_of_change, result.slope, result.rolling_beta) == (0.0, 0.0, 0.0)
    assert result.crossover_signal == "neutral"
    assert set(result.reasons) == {"cross", "rsi14", "adx14", "plus_di14", "minus_di14", "r_squared"}


def test_too_few_bars_say_nothing():
    assert of(walk(49)).state == "empty"
    assert of(walk(50)).sma is not None


def test_a_minimum_that_does_not_cover_the_averages_is_refused():
    with pytest.raises(ValueError, match="minimum must cover"):
        TrendParameters(**{**msgspec.structs.asdict(CONF), "minimum": 49})


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_units_of_price_change_only_what_is_in_them(factor: float):
    bars = walk(300)
    ours, other = of(bars, benchmark=walk(300, seed=9)), of(scaled(bars, price=factor), benchmark=walk(300, seed=9))
    in_price = {"sma", "ema", "wma", "macd", "macd_signal", "macd_histogram"}
    for name in set(Trend.metrics()) - {"cross", "crossover_signal"}:
        by = factor if name in in_price else 1.0
        assert getattr(other, name) == pytest.approx(getattr(ours, name) * by, rel=1e-6, abs=1e-12)
    assert (other.cross, other.crossover_signal) == (ours.cross, ours.crossover_signal)
