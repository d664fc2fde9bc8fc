"""Rolling moments against pandas, and where its running sums lose digits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.analytics.rolling import deviations, means, medians
from tests.actors.analytics.series import walk

VOLUMES = walk(300).volume


@pytest.mark.parametrize("length", [2, 20, 299, 300])
def test_moments_are_those_of_pandas(length: int):
    rolling = pd.Series(VOLUMES).rolling(length)
    np.testing.assert_allclose(means(VOLUMES, length), rolling.mean(), rtol=1e-12)
    np.testing.assert_allclose(deviations(VOLUMES, length), rolling.std(), rtol=1e-9)
    np.testing.assert_allclose(medians(VOLUMES, length), rolling.median(), rtol=1e-15)


def test_a_window_longer_than_the_series_is_never_full():
    assert np.isnan(means(VOLUMES, 301)).all()


@given(st.floats(1e-6, 1e9), st.integers(2, 30))
def test_equal_values_deviate_by_exactly_nothing(value: float, length: int):
    assert (deviations(np.full(40, value), length)[length - 1 :] == 0).all()


def test_no_earlier_value_disturbs_a_window():
    """A running sum that once held 1e16 has no digits left for what comes after."""
    values = np.concatenate(([1e16], VOLUMES[:40]))
    np.testing.assert_allclose(deviations(values, 20)[20:], deviations(VOLUMES[:40], 20)[19:], rtol=1e-14)


def test_what_is_unknown_makes_its_windows_unknown_and_no_others():
    values = VOLUMES[:10].copy()
    values[4] = np.nan
    assert np.isnan(medians(values, 3)).tolist() == [True, True, False, False, True, True, True, False, False, False]
