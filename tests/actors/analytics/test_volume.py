"""Volume: sums and averages against pandas and TA-Lib, who bought, and what a source does not tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import talib

from data_manager.actors.analytics.bars import Bars, Window
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.volume import Volume, volume
from tests.actors.analytics.series import (
    DAY_MS,
    HOUR_MS,
    START_MS,
    all_of,
    bars_from,
    last,
    scaled,
    still,
    unknown_volumes,
    walk,
    without,
)

CONF = analytics_conf().volume
WEEK = 168


def of(bars: Bars, window: Window | None = None) -> Volume:
    return volume(bars, window or all_of(bars), CONF)


def test_sums_and_averages_are_those_of_pandas():
    bars = walk(24)
    series = pd.Series(bars.volume)
    result = of(bars)
    assert result.total_volume == pytest.approx(series.sum(), rel=1e-12)
    assert result.volume_sma == pytest.approx(series.rolling(20).mean().iloc[-1], rel=1e-12)
    assert result.volume_ema == pytest.approx(series.ewm(span=20).mean().iloc[-1], rel=1e-12)
    assert result.volume_spike_ratio == pytest.approx(series.iloc[-1] / series.median(), rel=1e-12)


def test_delta_is_what_aggressors_bought_less_what_they_sold():
    bars = walk(24)
    sold = bars.volume - bars.taker_buy
    result = of(bars)
    assert result.volume_delta == pytest.approx(np.sum(bars.taker_buy - sold), rel=1e-9)
    assert result.taker_buy_ratio == pytest.approx(np.sum(bars.taker_buy) / np.sum(bars.volume), rel=1e-12)


def test_the_average_price_is_weighed_by_volume():
    bars = bars_from([10.0, 20.0, 30.0, 40.0, 50.0], volume=[1.0, 0.0, 0.0, 0.0, 3.0])
    result = of(bars)
    assert result.vwap == pytest.approx((10 + 3 * 50) / 4)
    assert result.quote_volume == pytest.approx(160)


def test_on_balance_volume_is_talibs_begun_at_nothing():
    bars = walk(24)
    assert of(bars).obv == pytest.approx(talib.OBV(bars.close, bars.volume)[-1] - bars.volume[0], rel=1e-9)


def test_a_bar_after_a_hole_neither_rises_nor_falls():
    bars = without(bars_from([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], volume=[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]), 3)
    assert of(bars).obv == 2 + 4 + 32 + 64


def test_trades_are_counted_and_their_mean_size_told():
    bars = walk(24)
    result = of(bars)
    assert result.trades_count == int(np.sum(bars.trades))
    assert result.mean_trade_size == pytest.approx(np.sum(bars.volume) / np.sum(bars.trades), rel=1e-12)


def test_the_newest_bar_is_compared_with_its_own_hour_of_earlier_weeks():
    volumes = np.ones(4 * WEEK + 1)
    volumes[[0, WEEK, 2 * WEEK, 3 * WEEK]] = (10.0, 20.0, 30.0, 40.0)
    volumes[-1] = 75.0
    bars = bars_from(np.ones(len(volumes)), volume=volumes)
    result = of(bars, last(bars, 24))
    assert result.relative_volume == pytest.approx(3.0)
    assert result.volume_spike_ratio == pytest.approx(75.0)


def test_a_days_bar_is_compared_with_its_own_weekday():
    volumes = np.where(np.arange(29) % 7 == 0, 7.0, 1.0)
    bars = bars_from(np.ones(29), volume=volumes, interval_ms=DAY_MS)
    assert of(bars).relative_volume == pytest.approx(1.0)


def test_two_weeks_do_not_tell_what_is_usual():
    bars = walk(2 * WEEK + 1)
    result = of(bars, last(bars, 24))
    assert result.reasons == {"relative_volume": "2 bars of the same hour of earlier weeks are there, and it takes 3"}


def test_a_source_without_taker_volume_gives_all_but_that():
    bars = walk(24)
    bars.taker_buy[3:5] = np.nan
    result = of(bars)
    assert result.reasons["volume_delta"] == "2 of 24 bars do not tell their taker volume"
    assert (result.volume_delta, result.taker_buy_ratio) == (None, None)
    assert result.total_volume is not None


def test_volumes_of_earlier_weeks_that_are_not_told_are_not_missed():
    bars = walk(5 * WEEK + 1)
    bars.volume[0] = np.nan
    usual = np.mean(bars.volume[[WEEK, 2 * WEEK, 3 * WEEK, 4 * WEEK]])
    assert of(bars, last(bars, 24)).relative_volume == pytest.approx(bars.volume[-1] / usual, rel=1e-12)
    bars.volume[-1] = np.nan
    assert of(bars, last(bars, 24)).reasons["relative_volume"] == "the newest bar does not tell its volume"


def test_an_hour_at_which_nothing_is_ever_traded_has_no_usual_volume():
    volumes = np.ones(4 * WEEK + 1)
    volumes[::WEEK] = 0.0
    bars = bars_from(np.ones(len(volumes)), volume=volumes)
    assert of(bars, last(bars, 24)).reasons["relative_volume"] == "nothing is traded at this hour of the week"


def test_a_source_without_volumes_gives_nothing():
    result = of(unknown_volumes(walk(24)))
    assert all(getattr(result, name) is None for name in Volume.metrics())
    assert result.reasons["total_volume"] == "24 of 24 bars do not tell their volume"
    assert result.state == "empty"


def test_nothing_traded_has_no_average_price():
    bars = bars_from(np.ones(10), volume=np.zeros(10))
    result = of(bars)
    assert (result.total_volume, result.volume_delta, result.obv) == (0.0, 0.0, 0.0)
    assert result.reasons["vwap"] == "nothing was traded"
    assert result.reasons["volume_spike_ratio"] == "the median volume is 0"
    assert (result.vwap, result.taker_buy_ratio, result.volume_spike_ratio) == (None, None, None)


def test_a_price_that_stands_still_still_trades():
    result = of(still(24))
    assert (result.total_volume, result.obv, result.vwap) == (24.0, 0.0, 100.0)


def test_too_few_bars_say_nothing():
    assert of(walk(4)).state == "empty"
    assert of(walk(5)).total_volume is not None


def test_the_order_of_earlier_bars_makes_no_difference_to_sums():
    bars = walk(24)
    flipped = Bars(bars.interval_ms, bars.open_times, *(getattr(bars, n)[::-1] for n in bars.__struct_fields__[2:]))
    ours, other = of(bars), of(flipped)
    for name in ("total_volume", "volume_delta", "taker_buy_ratio", "quote_volume", "vwap", "mean_trade_size"):
        assert getattr(other, name) == pytest.approx(getattr(ours, name), rel=1e-12)


def test_units_of_volume_change_only_what_is_in_them():
    bars = walk(600)
    ours, other = of(bars, last(bars, 24)), of(scaled(bars, volume=1000.0), last(bars, 24))
    for name in ("volume_spike_ratio", "taker_buy_ratio", "relative_volume", "vwap"):
        assert getattr(other, name) == pytest.approx(getattr(ours, name), rel=1e-9)
    for name in ("total_volume", "volume_sma", "volume_ema", "volume_delta", "obv", "quote_volume"):
        assert getattr(other, name) == pytest.approx(1000 * getattr(ours, name), rel=1e-9)


def test_the_window_alone_is_summed():
    bars = walk(600)
    window = Window("24h", START_MS + 500 * HOUR_MS, START_MS + 524 * HOUR_MS)
    assert of(bars, window).total_volume == pytest.approx(np.sum(bars.volume[500:524]))
