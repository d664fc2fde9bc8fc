"""Dependence of returns against statsmodels and the paper in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.tsa.stattools import acf

from data_manager.actors.analytics.walks import autocorrelation, variance_ratio
from tests.actors.analytics import literal

TWENTY = [Fraction(k * k % 23 - 11, 1000) for k in range(1, 21)]
NOISE = np.random.default_rng(2).normal(0, 0.01, 2000)


@pytest.mark.parametrize("lag", [1, 5, 24])
def test_autocorrelation_is_statsmodels(lag: int):
    assert autocorrelation(NOISE, lag) == pytest.approx(acf(NOISE, nlags=24)[lag], rel=1e-9)


@pytest.mark.parametrize("q", [2, 4, 8])
def test_the_variance_ratio_is_lo_and_mackinlays(q: int):
    ratio, theta = literal.variance_ratio(TWENTY, q)
    ours = variance_ratio(np.array([float(each) for each in TWENTY]), q)
    assert ours.ratio == pytest.approx(float(ratio), rel=1e-12)
    assert ours.z == pytest.approx((float(ratio) - 1) / math.sqrt(theta), rel=1e-12)


@pytest.mark.parametrize("q", [2, 4, 8])
def test_noise_is_a_random_walk_to_it(q: int):
    """Of 300 random walks whose volatility changes fourfold, about 5 % lie beyond 1.96, as of a standard normal."""
    random = np.random.default_rng(7)
    zs = np.array([variance_ratio(random.normal(0, 1, 700) * np.repeat((1.0, 4.0), 350), q).z for _ in range(300)])
    assert np.mean(np.abs(zs) > 1.96) < 0.09
    assert np.mean(zs) == pytest.approx(0, abs=0.25)
    assert np.std(zs) == pytest.approx(1, abs=0.15)


def test_momentum_is_above_1_and_reversal_below():
    smoothed = np.convolve(NOISE, [0.5, 0.5], mode="valid")
    assert variance_ratio(smoothed, 4).ratio > 1.5
    assert variance_ratio(smoothed, 4).z > 4
    assert variance_ratio(np.diff(NOISE), 4).ratio < 0.5
    assert autocorrelation(np.diff(NOISE), 1) == pytest.approx(-0.5, abs=0.05)


@given(st.lists(st.floats(-0.5, 0.5), min_size=40, max_size=80), st.floats(1e-3, 1e3))
def test_units_make_no_difference(steps: list[float], factor: float):
    returns = np.array(steps)
    if np.ptp(returns) < 1e-6:
        return
    assert autocorrelation(returns * factor, 3) == pytest.approx(autocorrelation(returns, 3), rel=1e-6, abs=1e-9)
    ours, other = variance_ratio(returns, 4), variance_ratio(returns * factor, 4)
    assert other.ratio == pytest.approx(ours.ratio, rel=1e-6)
    assert -1 - 1e-12 <= autocorrelation(returns, 1) <= 1 + 1e-12
