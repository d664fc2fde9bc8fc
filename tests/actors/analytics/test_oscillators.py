"""Wilder's indicators and MACD against TA-Lib, and what they say of prices that stand still or have holes."""

from __future__ import annotations

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.analytics.bars import Bars
from data_manager.actors.analytics.oscillators import FLAT, atr, directional, macd, rsi, true_ranges
from data_manager.actors.analytics.results import Unknown
from tests.actors.analytics.series import bars_from, scaled, still, walk, without

BARS = walk(600)


def test_rsi_is_talibs():
    assert rsi(BARS, 14) == pytest.approx(talib.RSI(BARS.close, 14)[-1], rel=1e-12)


def test_atr_is_talibs():
    assert atr(BARS, 14) == pytest.approx(talib.ATR(BARS.high, BARS.low, BARS.close, 14)[-1], rel=1e-12)


def test_true_ranges_are_talibs():
    np.testing.assert_allclose(true_ranges(BARS), talib.TRANGE(BARS.high, BARS.low, BARS.close)[1:], rtol=1e-12)


def test_directional_movement_is_talibs():
    """TA-Lib seeds with one bar less; after 600 bars nothing is left of that."""
    ours = directional(BARS, 14)
    args = (BARS.high, BARS.low, BARS.close, 14)
    theirs = (talib.PLUS_DI(*args)[-1], talib.MINUS_DI(*args)[-1], talib.ADX(*args)[-1])
    assert ours == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("n", [40, 600])
def test_macd_is_talibs_from_its_first_value_on(n: int):
    theirs = [each[-1] for each in talib.MACD(BARS.close[:n], 12, 26, 9)]
    assert macd(BARS.close[:n], 12, 26, 9) == pytest.approx(theirs, rel=1e-9)


def test_the_fewest_bars_that_each_takes():
    enough = (lambda n: rsi(walk(n), 14), lambda n: atr(walk(n), 14), lambda n: macd(walk(n).close, 12, 26, 9))
    for compute, fewest in zip(enough, (15, 15, 34), strict=True):
        assert not isinstance(compute(fewest), Unknown)
        assert isinstance(compute(fewest - 1), Unknown)
    assert not isinstance(directional(walk(29), 14), Unknown)
    assert directional(walk(28), 14) == Unknown("27 steps between adjacent bars are there, and it takes 28")


def test_a_price_that_stands_still_has_no_direction():
    assert rsi(still(100), 14) == Unknown(FLAT)
    assert directional(still(100), 14) == Unknown(FLAT)
    assert atr(still(100), 14) == 0.0
    assert macd(still(100).close, 12, 26, 9) == pytest.approx((0.0, 0.0, 0.0))


def test_a_price_that_only_rises_is_as_strong_as_can_be():
    rising = bars_from(np.arange(100.0, 200.0))
    assert rsi(rising, 14) == 100.0
    found = directional(rising, 14)
    assert found == pytest.approx((100.0, 0.0, 100.0))


def test_the_step_across_a_hole_is_left_out():
    """The price doubles while nobody looked: neither a gain of 100 % nor a range of that size."""
    steady = np.array([100.0, 101.0] * 40)
    bars = without(bars_from(np.concatenate((steady, steady * 2))), 80)
    assert rsi(bars, 14) == pytest.approx(50, abs=5)
    assert atr(bars, 14) == pytest.approx(2.0, rel=0.01)
    assert directional(bars, 14).plus < 0.01


@given(st.floats(1e-3, 1e3))
def test_units_of_price_change_only_what_is_in_units_of_price(factor: float):
    bars = walk(80)
    other: Bars = scaled(bars, price=factor)
    assert rsi(other, 14) == pytest.approx(rsi(bars, 14), rel=1e-9)
    assert directional(other, 14) == pytest.approx(directional(bars, 14), rel=1e-8)
    assert atr(other, 14) == pytest.approx(atr(bars, 14) * factor, rel=1e-9)


@given(st.lists(st.floats(0.01, 1e6), min_size=30, max_size=60))
def test_an_oscillator_stays_between_0_and_100(closes: list[float]):
    bars = bars_from(closes)
    for value in (rsi(bars, 14), *np.atleast_1d(directional(bars, 14))):
        assert isinstance(value, Unknown) or -1e-9 <= value <= 100 + 1e-9
