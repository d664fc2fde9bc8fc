"""Regimes: every label in reach, thresholds of the symbol's own, and what was before, from the bars alone."""

from __future__ import annotations

from itertools import product

import msgspec
import numpy as np
import pytest
import talib

from data_manager.actors.analytics.bars import Bars, Window
from data_manager.actors.analytics.conf import analytics_conf
from data_manager.actors.analytics.regime import Regime, label, regime
from data_manager.actors.analytics.trend import trend
from data_manager.actors.analytics.volatility import volatility
from data_manager.actors.analytics.volume import volume
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

CONF = analytics_conf()
QUARTER = 90 * 24
CONFIDENCES = {
    "turbulent_illiquidity": 0.80,
    "stable_accumulation": 0.85,
    "breakout_phase": 0.90,
    "consolidation": 0.75,
    "bullish_acceleration": 0.85,
    "bearish_acceleration": 0.85,
    "balanced_market": 0.70,
    "transitional": 0.60,
}


def of(bars: Bars, window: Window | None = None, volume_window: str = "24h") -> Regime:
    return regime(bars, window or all_of(bars), volume_window, CONF.regime)


def changing(seed: int = 1, n: int = QUARTER) -> Bars:
    """A market whose volatility and volume go through phases of days, each on its own."""
    random = np.random.default_rng(seed)
    calm = np.repeat(random.choice([0.3, 1.0, 3.0], n // 48 + 1), 48)[:n]
    bars = walk(n, seed=seed, returns=random.normal(0, 0.004, n) * calm)
    bars.volume[:] = random.lognormal(3, 0.9, n)
    return bars


def test_every_combination_of_levels_has_a_label_with_the_originals_number():
    found = {label(*levels) for levels in product((-1, 0, 1), repeat=3)}
    assert dict(found) == CONFIDENCES


@pytest.mark.parametrize(
    ("levels", "name"),
    [
        ((1, 1, 1), "bullish_acceleration"),
        ((1, 1, -1), "bearish_acceleration"),
        ((1, 1, 0), "breakout_phase"),
        ((1, -1, 1), "turbulent_illiquidity"),
        ((-1, 1, -1), "stable_accumulation"),
        ((-1, -1, 0), "consolidation"),
        ((0, 0, 1), "balanced_market"),
        ((0, 1, 0), "transitional"),
        ((-1, 0, 1), "transitional"),
    ],
)
def test_rules_come_in_the_originals_order_but_for_the_two_it_never_reached(levels: tuple[int, int, int], name: str):
    assert label(*levels).regime == name


def test_a_market_in_phases_goes_through_every_regime():
    bars = changing()
    seen = set()
    for end in range(QUARTER - 1000, QUARTER, 4):
        result = of(bars.slice(0, end), last(bars.slice(0, end), 1000))
        seen.add(result.regime)
    assert seen == set(CONFIDENCES)


def test_its_values_are_those_of_the_categories():
    bars = walk(QUARTER)
    result = of(bars)
    assert result.annualized_volatility == pytest.approx(
        volatility(bars, all_of(bars), CONF.volatility).annualized_volatility, rel=1e-9
    )
    assert result.volume_spike_ratio == pytest.approx(
        volume(bars, last(bars, 24), CONF.volume).volume_spike_ratio, rel=1e-12
    )
    rate = trend(bars, last(bars, 720), CONF.trend).rate_of_change
    assert rate == pytest.approx(talib.ROC(bars.close, 10)[-1], rel=1e-9)
    error = volatility(bars, all_of(bars), CONF.volatility).rolling_stddev * np.sqrt(10) * 100
    assert result.trend_z == pytest.approx(rate / error, rel=1e-9)


def test_thresholds_are_the_symbols_own_quartiles():
    bars = walk(QUARTER + 150)
    result = of(bars, last(bars, QUARTER))
    changes = np.diff(bars.close) / bars.close[:-1]
    rolled = np.array([np.std(changes[at - 20 : at], ddof=1) for at in range(20, len(changes) + 1)])[-QUARTER:]
    expected = np.quantile(rolled, (0.25, 0.75)) * bars.annualization_factor
    assert (result.volatility_low, result.volatility_high) == pytest.approx(tuple(expected), rel=1e-9)


def test_a_symbol_of_few_days_has_fixed_thresholds():
    result = of(walk(500))
    assert (result.volatility_low, result.volatility_high) == (0.40, 0.80)
    assert of(walk(800)).volatility_low != 0.40
    assert of(walk(40, interval_ms=DAY_MS)).volatility_high == 0.80


def test_thirty_days_of_history_are_enough_for_quartiles_of_its_own():
    """The first 23 hours have no median of 24 volumes; 721 hours span 30 days from the first to the last."""
    bars = walk(23 + 721)
    assert of(bars.slice(0, 23 + 720)).volatility_low == 0.40
    own = of(bars)
    assert own.volatility_low != 0.40
    assert own.volatility_low < own.volatility_high


def test_a_calm_symbol_without_history_is_low_and_a_wild_one_high():
    for wildness, level in ((0.001, "low"), (0.02, "high")):
        steps = np.random.default_rng(2).normal(0, wildness, 300)
        assert of(walk(300, returns=steps)).volatility_level == level


def test_levels_are_high_for_a_quarter_of_the_time_whatever_the_symbol():
    for wildness in (0.001, 0.02):
        bars = walk(QUARTER, returns=np.random.default_rng(2).normal(0, wildness, QUARTER))
        ends = range(QUARTER - 700, QUARTER, 14)
        told = [of(bars.slice(0, end), last(bars.slice(0, end), 1300)).volatility_level for end in ends]
        assert 0.05 < told.count("high") / len(told) < 0.5
        assert 0.05 < told.count("low") / len(told) < 0.5


def test_one_wild_bar_of_volume_changes_nothing_and_two_do():
    bars = walk(800)
    bars.volume[:] = 10.0
    bars.volume[-1] = 100.0
    assert of(bars).volume_level == "medium"
    bars.volume[-2] = 100.0
    assert of(bars).volume_level == "high"


def test_persistence_and_the_regime_before_follow_from_the_bars():
    """Step by step through time, with thresholds that do not move: what was told before is what is told now."""
    bars = changing(seed=3, n=600)
    told = [of(bars.slice(0, end)).regime for end in range(100, 601)]
    for end in range(300, 601, 25):
        history = told[: end - 100 + 1]
        result = of(bars.slice(0, end))
        run = next(at for at in range(1, len(history)) if history[-1 - at] != history[-1])
        assert result.persistence == run
        assert result.previous_regime == history[-1 - run]
        assert result.transition_time == START_MS + (end - run + 1) * HOUR_MS


def test_a_regime_as_old_as_the_window_has_none_before():
    """Calm and evenly traded throughout: transitional, whatever the trend does."""
    steady = bars_from(100 * 1.001 ** np.cumsum(np.tile([2.0, -1.0, -1.0], 40)))
    result = of(steady)
    assert (result.regime, result.previous_regime, result.transition_time) == ("transitional", None, None)
    assert result.persistence == 120 - 23  # the median of 24 volumes is known from the 24th bar on
    assert result.reasons["transition_time"] == "the regime has been the same through the whole window"


def test_the_margin_is_the_least_distance_from_any_threshold():
    bars = walk(800)
    result = of(bars)
    distances = [
        abs(result.annualized_volatility / result.volatility_low - 1),
        abs(result.annualized_volatility / result.volatility_high - 1),
        abs(result.volume_spike_ratio / 0.7 - 1),
        abs(result.volume_spike_ratio / 1.5 - 1),
        abs(abs(result.trend_z) - 1),
    ]
    assert result.margin == pytest.approx(min(distances), rel=1e-9)
    assert result.confidence == CONFIDENCES[result.regime]


def test_directions_follow_the_rate_of_change_in_its_standard_errors():
    steps = np.random.default_rng(4).normal(0, 0.001, 800)
    for drift, direction in ((0.002, "bullish"), (-0.002, "bearish")):
        assert of(walk(800, returns=steps + drift)).trend_direction == direction


def test_a_newest_bar_without_its_values_is_not_judged_by_an_older_one():
    result = of(without(walk(800), 795))
    assert result.state == "empty"
    assert result.reasons["regime"].startswith("the newest bar lacks one of the three values")
    assert of(without(walk(800), 700)).regime is not None


def test_a_price_that_stands_still_has_no_regime():
    result = of(still(800))
    assert result.state == "empty"
    assert result.reasons["regime"] == "0 bars with all three values are there, and it takes 20"


def test_a_source_without_volumes_has_no_regime():
    assert of(unknown_volumes(walk(800))).reasons["regime"].startswith("0 bars with all three values")


def test_a_volatility_that_never_changes_has_no_quartiles():
    tight = msgspec.structs.replace(CONF.regime, volatility_quantiles=(0.5, 0.5))
    level = regime(walk(800), all_of(walk(800)), "24h", tight)
    assert level.reasons["regime"] == "the volatility did not vary"


def test_days_are_judged_against_a_month_of_volumes():
    bars = walk(515, interval_ms=DAY_MS)
    result = regime(bars, last(bars, 365), "30d", CONF.regime)
    assert result.volume_spike_ratio == pytest.approx(bars.volume[-1] / np.median(bars.volume[-30:]), rel=1e-12)
    assert result.envelope.parameters["volume_window"] == "30d"
    assert result.volatility_high != 0.80


def test_units_make_no_difference():
    bars = changing(seed=5)
    ours, other = of(bars), of(scaled(bars, price=0.01, volume=100.0))
    for name in Regime.metrics():
        mine = getattr(ours, name)
        assert getattr(other, name) == (pytest.approx(mine, rel=1e-6) if isinstance(mine, float) else mine)
