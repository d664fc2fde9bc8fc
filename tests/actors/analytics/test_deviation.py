"""Deviation: bands against TA-Lib, moments against scipy and statsmodels, dependence of returns in a row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import talib
from scipy import stats
from statsmodels.stats.stattools import jarque_bera
from statsmodels.tsa.stattools import acf

from data_manager.actors.analytics.bars import Bars, Window
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.deviation import Deviation, deviation
from data_manager.actors.analytics.walks import variance_ratio
from tests.actors.analytics.series import HOUR_MS, START_MS, all_of, bars_from, last, scaled, still, walk, without

CONF = analytics_conf().deviation


def of(bars: Bars, window: Window | None = None) -> Deviation:
    return deviation(bars, window or all_of(bars), CONF)


def test_bands_are_those_of_pandas():
    """TA-Lib's bands divide by n where the original divides by n - 1: wider by the root of 20 / 19."""
    bars = walk(100)
    rolling = pd.Series(bars.close).rolling(20)
    result = of(bars)
    deviated = rolling.std().iloc[-1]
    assert result.standard_deviation == pytest.approx(deviated, rel=1e-9)
    assert result.variance == pytest.approx(deviated**2, rel=1e-9)
    upper, middle, lower = (each[-1] for each in talib.BBANDS(bars.close, 20, 2, 2))
    assert result.bollinger_middle == pytest.approx(middle, rel=1e-12)
    assert result.bollinger_upper - middle == pytest.approx((upper - middle) * np.sqrt(20 / 19), rel=1e-9)
    assert middle - result.bollinger_lower == pytest.approx((middle - lower) * np.sqrt(20 / 19), rel=1e-9)
    assert result.z_score == pytest.approx((bars.close[-1] - middle) / deviated, rel=1e-9)
    assert result.percent_b == pytest.approx(result.z_score / 4 + 0.5, rel=1e-9)
    assert result.bandwidth == pytest.approx(4 * deviated / middle * 100, rel=1e-9)
    assert result.coefficient_of_variation == pytest.approx(stats.variation(bars.close[-20:], ddof=1), rel=1e-9)


def test_the_place_in_the_range_is_talibs_on_closes():
    bars = walk(100)
    fast, _ = talib.STOCHF(bars.close, bars.close, bars.close, 20)
    assert of(bars).price_range_index * 100 == pytest.approx(fast[-1], rel=1e-9)


def test_moments_are_those_of_scipy_and_statsmodels():
    bars = walk(400)
    returns = np.diff(np.log(bars.close))
    statistic, p_value, skewness, kurtosis = jarque_bera(returns)
    result = of(bars)
    assert result.skewness == pytest.approx(skewness, rel=1e-9)
    assert result.kurtosis == pytest.approx(kurtosis - 3, rel=1e-9)
    assert result.jarque_bera == pytest.approx(statistic, rel=1e-9)
    assert result.jarque_bera_p == pytest.approx(p_value, rel=1e-6)


def test_autocorrelations_are_those_of_statsmodels_on_returns():
    bars = walk(400)
    expected = acf(np.diff(np.log(bars.close)), nlags=24)
    result = of(bars)
    assert result.autocorrelations == pytest.approx({str(lag): expected[lag] for lag in (1, 5, 24)}, rel=1e-9)
    assert result.autocorrelation == result.autocorrelations["1"]


def test_a_walk_is_not_autocorrelated_as_its_prices_are():
    bars = walk(720, returns=np.random.default_rng(8).normal(0, 0.01, 720))
    assert abs(of(bars).autocorrelation) < 0.1
    assert acf(bars.close, nlags=1)[1] > 0.9


def test_variance_ratios_are_of_log_returns():
    bars = walk(400)
    returns = np.diff(np.log(bars.close))
    result = of(bars)
    assert result.variance_ratio == pytest.approx({str(q): variance_ratio(returns, q).ratio for q in (2, 4, 8)})
    assert result.variance_ratio_z == pytest.approx({str(q): variance_ratio(returns, q).z for q in (2, 4, 8)})


def test_a_drawdown_is_the_deepest_fall_from_a_height():
    bars = bars_from(np.concatenate(([100.0, 120.0, 90.0, 110.0, 130.0, 104.0], np.full(20, 125.0))))
    assert of(bars).max_drawdown == pytest.approx(25.0)
    assert of(bars_from(100 + np.arange(30.0))).max_drawdown == 0.0


def test_returns_in_a_row_are_those_of_the_longest_stretch():
    bars = without(walk(400), 100)
    result = of(bars)
    assert result.envelope.parameters["returns_in_a_row"] == 298
    expected = acf(np.diff(np.log(bars.close[100:])), nlags=1)[1]
    assert result.autocorrelation == pytest.approx(expected, rel=1e-9)


def test_what_takes_more_returns_than_there_are_says_so():
    result = of(walk(60))
    assert result.reasons == {
        "autocorrelations[24]": "59 returns in a row are there, and it takes 240",
        "variance_ratio[8]": "59 returns in a row are there, and it takes 80",
        "variance_ratio_z[8]": "59 returns in a row are there, and it takes 80",
    }
    assert result.autocorrelations["24"] is None
    assert result.autocorrelations["5"] is not None


def test_few_returns_have_no_distribution():
    bars = without(walk(60), *range(1, 60, 2))
    result = of(bars)
    assert result.reasons["skewness"] == "0 returns are there, and it takes 20"
    assert result.reasons["autocorrelation"] == "0 returns in a row are there, and it takes 10"
    assert result.standard_deviation is not None


def test_too_few_bars_say_nothing():
    assert of(walk(19)).state == "empty"
    assert of(walk(20)).standard_deviation is not None


def test_a_price_that_stands_still_lies_in_the_middle_of_nothing():
    result = of(still(300))
    assert (result.standard_deviation, result.variance, result.bandwidth) == (0.0, 0.0, 0.0)
    assert result.bollinger_upper == result.bollinger_middle == result.bollinger_lower == 100.0
    assert (result.price_range_index, result.max_drawdown, result.coefficient_of_variation) == (0.5, 0.0, 0.0)
    assert result.reasons["z_score"] == result.reasons["percent_b"] == "the price did not move"
    assert result.reasons["kurtosis"] == result.reasons["variance_ratio[2]"] == "the returns do not vary"
    assert result.autocorrelation is None


@pytest.mark.parametrize("factor", [1e-4, 3.0])
def test_units_of_price_change_only_what_is_in_them(factor: float):
    bars = walk(400)
    ours, other = of(bars), of(scaled(bars, price=factor))
    in_price = {"standard_deviation", "bollinger_upper", "bollinger_middle", "bollinger_lower"}
    for name in set(Deviation.metrics()) - {"variance"}:
        mine = getattr(ours, name)
        expected = dict(mine) if isinstance(mine, dict) else mine
        expected = expected * factor if name in in_price else expected
        assert getattr(other, name) == pytest.approx(expected, rel=1e-6)
    assert other.variance == pytest.approx(ours.variance * factor**2, rel=1e-9)


def test_only_the_window_counts():
    bars = walk(400)
    window = Window("x", START_MS + 100 * HOUR_MS, START_MS + 300 * HOUR_MS)
    inside = bars.slice(100, 300)
    assert of(bars, window).skewness == of(inside).skewness
    assert of(bars, last(bars, 200)).skewness != of(bars).skewness
