"""Recursive averages against TA-Lib and pandas, which compute them in other ways."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.analytics.smoothing import ema, ewma, seeded, span_decay, wilder
from tests.actors.analytics.series import walk

CLOSES = walk(400).close


@pytest.mark.parametrize("length", [2, 12, 26])
def test_the_exponential_average_is_talibs(length: int):
    np.testing.assert_allclose(ema(CLOSES, length), talib.EMA(CLOSES, length), rtol=1e-12)


def test_wilders_average_is_his_own_recipe():
    smoothed = wilder(np.arange(1.0, 7.0), 3)
    expected = [Fraction(2)]
    for value in (4, 5, 6):
        expected.append((expected[-1] * 2 + value) / 3)
    assert np.isnan(smoothed[:2]).all()
    assert smoothed[2:].tolist() == pytest.approx([float(each) for each in expected], rel=1e-15)


@pytest.mark.parametrize("span", [5, 20])
def test_the_adjusted_average_is_pandas(span: int):
    expected = pd.Series(CLOSES).ewm(span=span, adjust=True).mean().to_numpy()
    np.testing.assert_allclose(ewma(CLOSES, span_decay(span)), expected, rtol=1e-12)


def test_a_seed_fades_as_it_is_written():
    """After 30 values Wilder's average of 14 still carries 11 % of what it began with, after 125 0.01 %."""
    zeros = np.concatenate((np.ones(14), np.zeros(125)))
    left = wilder(zeros, 14)
    assert left[13] == 1.0
    assert left[13 + 30] == pytest.approx(0.108, abs=5e-4)
    assert left[13 + 125] == pytest.approx(1e-4, rel=0.06)


def test_too_few_values_make_no_average():
    assert np.isnan(seeded(np.ones(4), 5, 0.1)).all()
    assert seeded(np.ones(5), 5, 0.1)[-1] == 1.0
    assert len(ewma(np.empty(0), 0.9)) == 0


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=60), st.integers(1, 20))
def test_an_average_lies_between_the_least_and_the_greatest(values: list[float], length: int):
    array = np.array(values)
    for smoothed in (ewma(array, 0.94), wilder(array, length), ema(array, length)):
        known = smoothed[~np.isnan(smoothed)]
        assert (known >= array.min() * (1 - 1e-12)).all()
        assert (known <= array.max() * (1 + 1e-12)).all()
