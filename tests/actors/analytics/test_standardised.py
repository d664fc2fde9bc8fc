"""Values in units of what was usual just before: recursion by recursion, and never of the bar itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.analytics.standardised import standardised
from tests.actors.analytics.series import bars_from, scaled, still, unknown_volumes, walk, without


def by_hand(returns: np.ndarray, decay: float, warm_up: int) -> list[float]:
    """Each return over the root of the weighted mean of the squares before it; weights written out."""
    values = []
    for at, value in enumerate(returns):
        before = returns[:at]
        weights = decay ** np.arange(at)[::-1]
        usual = np.sqrt(np.sum(weights * before**2) / np.sum(weights)) if at >= warm_up else np.nan
        values.append(value / usual)
    return values


def test_a_return_is_measured_in_the_volatility_before_it():
    bars = walk(80)
    values = standardised(bars, 0.94, 30)
    np.testing.assert_allclose(values.returns[1:], by_hand(bars.log_returns[1:], 0.94, 30), rtol=1e-9)


def test_ranges_and_volumes_are_measured_in_their_own_means_before():
    bars = walk(80)
    values = standardised(bars, 0.9, 10)
    weights = 0.9 ** np.arange(79)[::-1]
    ranges = np.log(bars.high / bars.low)
    assert values.ranges[-1] == pytest.approx(ranges[-1] / np.average(ranges[:-1], weights=weights), rel=1e-9)
    expected = np.log1p(bars.volume[-1] / np.average(bars.volume[:-1], weights=weights))
    assert values.volumes[-1] == pytest.approx(expected, rel=1e-9)
    assert values.table()[-1].tolist() == [values.returns[-1], values.ranges[-1], values.volumes[-1]]


def test_the_first_value_has_as_many_before_it_as_the_warm_up_says():
    values = standardised(walk(80), 0.94, 30)
    assert np.flatnonzero(~np.isnan(values.returns))[0] == 31  # the first bar has no return
    assert np.flatnonzero(~np.isnan(values.ranges))[0] == 30


def test_a_shock_is_measured_without_itself_and_the_next_one_with_it():
    steps = np.random.default_rng(1).normal(0, 0.01, 80)
    steps[60] = 0.2
    steps[61] = 0.01
    values = standardised(walk(80, returns=steps), 0.94, 30)
    assert values.returns[60] > 15
    assert values.returns[61] < 0.3


def test_across_a_hole_there_is_no_return_and_the_volatility_goes_on():
    bars = walk(80)
    values = standardised(without(bars, 50), 0.94, 30)
    assert np.isnan(values.returns[50])
    assert not np.isnan(values.returns[51])
    assert not np.isnan(values.ranges[50])


def test_a_market_that_stands_still_has_no_measure():
    values = standardised(still(80), 0.94, 30)
    assert np.isnan(values.returns).all()
    assert np.isnan(values.ranges).all()
    assert values.volumes[-1] == pytest.approx(np.log(2))


def test_what_is_unknown_stays_unknown():
    assert np.isnan(standardised(unknown_volumes(walk(80)), 0.94, 30).volumes).all()
    assert len(standardised(walk(80).slice(0, 0), 0.94, 30).returns) == 0


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_units_make_no_difference(price: float, volume: float):
    bars = walk(60)
    ours, other = standardised(bars, 0.94, 30), standardised(scaled(bars, price=price, volume=volume), 0.94, 30)
    for mine, theirs in zip(ours, other, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-6, atol=1e-9)


def test_a_calm_market_is_about_standard_normal():
    values = standardised(walk(4000, seed=6), 0.94, 30).returns
    assert np.nanstd(values) == pytest.approx(1, abs=0.06)
    assert np.nanmean(np.abs(values) > 4) < 0.002


def test_the_volatility_is_told_per_bar():
    bars = bars_from(100 * np.exp(np.tile([0.0, 0.01], 40)))
    assert standardised(bars, 0.94, 30).volatility[-1] == pytest.approx(0.01, rel=1e-9)
