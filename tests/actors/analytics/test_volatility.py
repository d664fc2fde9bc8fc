"""Volatility: golden values, annualisation, holes, and what is said when it cannot be known."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pandas as pd
import pytest
import talib

from data_manager.actors.analytics.bars import Bars, Window
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.volatility import Volatility, VolatilityParameters, volatility
from tests.actors.analytics import literal
from tests.actors.analytics.series import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    all_of,
    bars_from,
    last,
    scaled,
    still,
    walk,
    without,
)
from tests.actors.analytics.test_ranges import ten

CONF = analytics_conf().volatility
SMALL = VolatilityParameters(minimum=10, rolling_window=20, ewma_decay=0.94, atr_length=5)


def of(bars: Bars, window: Window | None = None, parameters: VolatilityParameters = CONF) -> Volatility:
    return volatility(bars, window or all_of(bars), parameters)


def test_the_rolling_deviation_is_pandas_of_simple_returns():
    bars = walk(100)
    changes = pd.Series(bars.close).pct_change()
    result = of(bars)
    assert result.rolling_stddev == pytest.approx(changes.rolling(20).std().iloc[-1], rel=1e-9)
    rolled = changes.rolling(20).std()
    assert result.volatility_of_volatility == pytest.approx(rolled.iloc[-20:].std(), rel=1e-9)
    downside = math.sqrt((changes.iloc[-20:].clip(upper=0) ** 2).mean())
    assert result.downside_deviation == pytest.approx(downside, rel=1e-9)


def test_the_weighted_volatility_is_pandas_of_squared_log_returns():
    bars = walk(100)
    squares = np.diff(np.log(bars.close)) ** 2
    expected = math.sqrt(pd.Series(squares).ewm(alpha=0.06).mean().iloc[-1])
    assert of(bars).ewma_volatility == pytest.approx(expected, rel=1e-12)


def test_range_estimators_are_roots_of_the_papers_variances():
    """With ten bars w is nine: the last nine bars, and for Yang and Zhang the one before them."""
    result = of(ten(), parameters=SMALL)
    assert result.yang_zhang == pytest.approx(math.sqrt(literal.yang_zhang()), rel=1e-12)
    assert result.rogers_satchell == pytest.approx(math.sqrt(literal.rogers_satchell_from(1)), rel=1e-12)
    spreads = [math.log(h / low) ** 2 for h, low in zip(literal.HIGH[1:], literal.LOW[1:], strict=True)]
    assert result.parkinson == pytest.approx(math.sqrt(sum(spreads) / 9 / (4 * math.log(2))), rel=1e-12)
    bodies = [math.log(c / o) ** 2 for o, c in zip(literal.OPEN[1:], literal.CLOSE[1:], strict=True)]
    klass = sum(spreads) / 18 - (2 * math.log(2) - 1) * sum(bodies) / 9
    assert result.garman_klass == pytest.approx(math.sqrt(klass), rel=1e-12)


def test_the_average_true_range_begins_before_the_window():
    bars = walk(200)
    expected = talib.ATR(bars.high, bars.low, bars.close, 14)[-1]
    assert of(bars, last(bars, 20)).atr14 == pytest.approx(expected, rel=1e-12)
    assert of(bars, last(bars, 20)).envelope.warm_up == 180


@pytest.mark.parametrize(("interval_ms", "bars_a_year"), [(HOUR_MS, 365 * 24), (DAY_MS, 365)])
def test_a_deviation_per_year_counts_the_years_own_bars(interval_ms: int, bars_a_year: int):
    result = of(walk(60, interval_ms=interval_ms))
    assert result.annualized_volatility == pytest.approx(result.rolling_stddev * math.sqrt(bars_a_year), rel=1e-12)
    assert result.envelope.parameters["annualization_factor"] == pytest.approx(math.sqrt(bars_a_year))


def test_a_walk_of_known_volatility_is_measured_as_such():
    """0.5 % an hour is 46.8 % a year; the original says 7.9 %."""
    returns = np.random.default_rng(5).normal(0, 0.005, 2000)
    bars = walk(2000, returns=returns)
    wide = msgspec.structs.replace(CONF, rolling_window=1900)
    assert of(bars, parameters=wide).annualized_volatility == pytest.approx(0.005 * math.sqrt(8760), rel=0.05)


def test_realised_variance_is_the_sum_over_the_bars_inside_the_newest():
    hours = walk(50)
    end_ms = START_MS + 50 * HOUR_MS
    minutes = walk(90, seed=2, interval_ms=MINUTE_MS, start_ms=end_ms - 90 * MINUTE_MS)
    result = volatility(hours, all_of(hours), CONF, minutes)
    inside = np.log(minutes.close[30:])
    expected = np.log(minutes.close[30] / minutes.open[30]) ** 2 + np.sum(np.diff(inside) ** 2)
    assert result.realized_variance == pytest.approx(expected, rel=1e-12)
    assert result.state == "complete"


def test_realised_variance_takes_every_bar_inside():
    hours = walk(30)
    minutes = walk(60, interval_ms=MINUTE_MS, start_ms=START_MS + 29 * HOUR_MS)
    result = volatility(hours, all_of(hours), CONF, without(minutes, 7))
    assert result.realized_variance is None
    assert result.reasons["realized_variance"] == "59 bars inside the newest one are there, and it takes 60"
    assert of(hours).reasons["realized_variance"] == "no shorter bars were given"


def test_too_few_bars_say_nothing_and_why():
    result = of(walk(19))
    assert result.state == "empty"
    assert set(result.reasons.values()) == {"19 bars are there, and it takes 20"}
    assert of(walk(20)).state == "partial"


def test_twenty_bars_have_no_volatility_of_volatility_but_all_else():
    result = of(walk(20))
    assert set(result.reasons) == {"volatility_of_volatility", "realized_variance"}
    assert of(walk(40)).volatility_of_volatility is not None


def test_a_jump_across_a_hole_is_no_return():
    closes = np.concatenate((np.full(30, 100.0), np.full(30, 200.0)))
    closes[::2] *= 1.001
    assert of(without(bars_from(closes), 30)).rolling_stddev < 0.002
    assert of(bars_from(closes), last(bars_from(closes), 35)).rolling_stddev < 0.002
    assert of(bars_from(closes), Window("x", START_MS, START_MS + 40 * HOUR_MS)).rolling_stddev > 0.1


def test_an_invalid_bar_is_named_and_no_range_is_made_of_it():
    bars = walk(40)
    bars.high[35] = bars.close[35] * 0.99
    result = of(bars)
    names = {"parkinson", "garman_klass", "rogers_satchell", "yang_zhang"}
    assert {name for name in names if getattr(result, name) is None} == names
    assert str(START_MS + 35 * HOUR_MS) in result.reasons["garman_klass"]
    assert result.invalid_bars == 1
    assert result.rolling_stddev is not None


def test_an_invalid_bar_of_long_ago_does_no_harm():
    bars = walk(40)
    bars.high[5] = bars.close[5] * 0.99
    assert of(bars).garman_klass is not None
    assert of(bars).invalid_bars == 1


def test_a_price_that_stands_still_has_volatility_0():
    result = of(still(60))
    numbers = {name: getattr(result, name) for name in Volatility.metrics() if name != "realized_variance"}
    assert set(numbers.values()) == {0}


def test_a_window_with_holes_everywhere_has_no_returns():
    bars = without(walk(60), *range(1, 60, 2))
    result = of(bars)
    assert result.reasons["rolling_stddev"] == "0 returns are there, and it takes 20"
    assert result.reasons["yang_zhang"] == "0 steps between adjacent bars are there, and it takes 2"
    assert result.parkinson is not None
    assert (result.envelope.gaps, result.envelope.completeness) == (29, pytest.approx(100 * 30 / 59))


def test_units_of_price_make_no_difference_but_to_the_true_range():
    bars = walk(100)
    ours, other = of(bars), of(scaled(bars, price=1e-4))
    for name in Volatility.metrics():
        if name not in ("atr14", "realized_variance"):
            assert getattr(other, name) == pytest.approx(getattr(ours, name), rel=1e-9)
    assert other.atr14 == pytest.approx(ours.atr14 * 1e-4, rel=1e-9)


def test_bars_after_the_window_are_not_looked_at():
    bars = walk(120)
    window = Window("50h", START_MS + 50 * HOUR_MS, START_MS + 100 * HOUR_MS)
    assert of(bars, window) == of(bars.slice(0, 100), window)
