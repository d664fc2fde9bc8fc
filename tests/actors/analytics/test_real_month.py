"""January 2022 of a BTC perpetual, minute by minute: what it gives, checked by other libraries, and what it cannot."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import talib
from statsmodels.stats.stattools import jarque_bera
from statsmodels.tsa.stattools import acf

from data_manager.actors.analytics.anomalies import METHODS, detect
from data_manager.actors.analytics.bars import Bars, Window
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.correlation import correlation_matrix, market
from data_manager.actors.analytics.deviation import deviation
from data_manager.actors.analytics.regime import regime
from data_manager.actors.analytics.results import Unknown
from data_manager.actors.analytics.seasonality import seasonality
from data_manager.actors.analytics.spread import spread
from data_manager.actors.analytics.trend import trend
from data_manager.actors.analytics.volatility import volatility
from data_manager.actors.analytics.volume import volume
from tests.actors.analytics.series import DAY_MS, HOUR_MS, all_of, last, longer, needs_recording, real_month, walk

CONF = analytics_conf()


@pytest.fixture(scope="module", params=["walk", pytest.param("month", marks=needs_recording)])
def hours(request: pytest.FixtureRequest) -> Bars:
    """The 749 whole hours of the month, or as many of a seeded walk."""
    if request.param == "walk":
        bars = walk(749, seed=22)
        for unknown in (bars.quote_volume, bars.trades, bars.taker_buy):
            unknown[:] = np.nan
        return bars
    bars = longer(real_month(), HOUR_MS)
    assert len(bars) == 749
    return bars


def test_volatility_of_the_hours(hours: Bars):
    changes = pd.Series(hours.close).pct_change()
    result = volatility(hours, all_of(hours), CONF.volatility)
    assert result.envelope.n == len(hours)
    assert result.rolling_stddev == pytest.approx(changes.rolling(20).std().iloc[-1], rel=1e-9)
    assert result.annualized_volatility == pytest.approx(result.rolling_stddev * np.sqrt(8760), rel=1e-12)
    assert result.atr14 == pytest.approx(talib.ATR(hours.high, hours.low, hours.close, 14)[-1], rel=1e-9)
    estimates = (result.parkinson, result.garman_klass, result.rogers_satchell, result.yang_zhang)
    assert max(estimates) < 3 * min(estimates)
    assert set(result.reasons) == {"realized_variance"}


def test_volume_of_the_hours_names_what_the_source_does_not_tell(hours: Bars):
    result = volume(hours, last(hours, 24), CONF.volume)
    assert result.total_volume == pytest.approx(np.sum(hours.volume[-24:]), rel=1e-12)
    assert result.volume_ema == pytest.approx(pd.Series(hours.volume[-24:]).ewm(span=20).mean().iloc[-1], rel=1e-12)
    expected = talib.OBV(hours.close[-24:], hours.volume[-24:])[-1] - hours.volume[-24]
    assert result.obv == pytest.approx(expected, rel=1e-9)
    unknown = {"volume_delta", "taker_buy_ratio", "quote_volume", "vwap", "trades_count", "mean_trade_size"}
    assert set(result.reasons) == unknown


def test_trend_of_the_hours(hours: Bars):
    result = trend(hours, all_of(hours), CONF.trend, hours)
    prices = (hours.high, hours.low, hours.close, 14)
    assert result.rsi14 == pytest.approx(talib.RSI(hours.close, 14)[-1], rel=1e-9)
    assert result.adx14 == pytest.approx(talib.ADX(*prices)[-1], rel=1e-9)
    assert result.wma == pytest.approx(talib.WMA(hours.close, 20)[-1], rel=1e-9)
    theirs = [each[-1] for each in talib.MACD(hours.close)]
    assert (result.macd, result.macd_signal, result.macd_histogram) == pytest.approx(theirs, rel=1e-6)
    assert result.rolling_beta == pytest.approx(1.0)


def test_deviation_of_the_hours(hours: Bars):
    returns = np.diff(np.log(hours.close))
    statistic, _, skewness, kurtosis = jarque_bera(returns)
    expected = acf(returns, nlags=24)
    result = deviation(hours, all_of(hours), CONF.deviation)
    assert (result.skewness, result.kurtosis) == pytest.approx((skewness, kurtosis - 3), rel=1e-9)
    assert result.jarque_bera == pytest.approx(statistic, rel=1e-9)
    assert result.autocorrelations == pytest.approx({str(lag): expected[lag] for lag in (1, 5, 24)}, rel=1e-9)
    assert result.state == "complete"


def test_seasonality_of_the_hours(hours: Bars):
    times = pd.to_datetime(hours.open_times, unit="ms", utc=True)
    returns = pd.Series(hours.close).apply(np.log).diff() * 100
    hourly = returns.groupby(times.hour).mean()
    result = seasonality(hours, all_of(hours), CONF.seasonality)
    assert result.hourly_pattern == pytest.approx({str(hour): hourly[hour] for hour in range(24)}, rel=1e-9)
    assert None not in result.hour_of_week_return.values()
    assert 0.9 < result.spectral_entropy < 1
    assert 0.98 < result.permutation_entropy <= 1


def test_regime_of_the_hours(hours: Bars):
    result = regime(hours, all_of(hours), "24h", CONF.regime)
    assert result.state == "complete"
    assert 0 < result.volatility_low < result.volatility_high


def test_what_needs_more_than_a_month_of_one_symbol_is_named(hours: Bars):
    days = longer(hours, DAY_MS)
    assert len(days) == 31
    for empty in (
        trend(days, all_of(days), CONF.trend),
        seasonality(days, all_of(days), CONF.seasonality),
    ):
        assert empty.state == "empty"
        assert next(iter(empty.reasons.values())).startswith("31 bars are there")
    alone = correlation_matrix({"BTC": hours}, market({"BTC": hours}, all_of(hours), "BTC", CONF.correlation))
    assert alone.reasons["average_correlation"] == "there is one symbol only"
    no_book = spread(Unknown("there is no book"), hours, last(hours, 24), CONF.spread)
    assert no_book.state == "empty"


@needs_recording
def test_a_year_of_january_2022_was_as_volatile_as_the_market_says():
    """Bitcoin's annual volatility of that month was between 50 and 80 % by every estimate; sqrt(252) would say 11 %."""
    hours = longer(real_month(), HOUR_MS)
    returns = np.diff(np.log(hours.close))
    assert 0.5 < np.std(returns) * hours.annualization_factor < 0.8
    rolled = [
        volatility(hours, Window("", 0, int(end) + HOUR_MS), CONF.volatility).annualized_volatility
        for end in hours.open_times[40::25]
    ]
    assert 0.3 < np.median(rolled) < 0.8


@needs_recording
def test_minutes_give_the_realised_variance_of_an_hour():
    minutes = real_month()
    hours = longer(minutes, HOUR_MS)
    result = volatility(hours, all_of(hours), CONF.volatility, minutes)
    assert result.realized_variance == pytest.approx(result.parkinson**2, rel=2)
    assert result.state == "complete"


@needs_recording
def test_few_of_the_months_last_hours_are_anomalies():
    """A real week: the fall of 21 January lies in the training, and what is told of the last week fits on a page."""
    hours = longer(real_month(), HOUR_MS)
    judged = Window.ending(int(hours.open_times[-1]) + HOUR_MS, "7d")
    detection = detect(hours, judged, Window.ending(judged.start_ms, "60d"), CONF.anomalies, METHODS)
    assert (detection.judged, detection.trained) == (168, 581)
    assert detection.reasons == {}
    assert len({each.open_time for each in detection.anomalies}) <= 8


@needs_recording
def test_the_fall_of_21_january_is_found():
    hours = longer(real_month(), HOUR_MS)
    judged = Window("", 1_642_723_200_000, 1_642_723_200_000 + 4 * DAY_MS)  # 21 to 24 January
    detection = detect(hours, judged, Window("", 0, judged.start_ms), CONF.anomalies, METHODS)
    assert "mad" in {each.method for each in detection.anomalies}
