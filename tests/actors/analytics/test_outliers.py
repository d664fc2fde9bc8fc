"""Classical scores against scipy, and what each is blind to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from data_manager.actors.analytics.outliers import mad, moving_avg, zscore

TRAINING = np.random.default_rng(1).normal(0, 1, 500)
JUDGED = np.array([0.0, 3.0, -9.0, np.nan])


def test_the_z_score_is_scipys():
    expected = np.abs(stats.zmap(JUDGED[:3], TRAINING, ddof=1))
    np.testing.assert_allclose(zscore(TRAINING, JUDGED)[:3], expected, rtol=1e-12)


def test_the_mad_score_is_scipys():
    spread = stats.median_abs_deviation(TRAINING)
    expected = np.abs(0.6745 * (JUDGED[:3] - np.median(TRAINING)) / spread)
    np.testing.assert_allclose(mad(TRAINING, JUDGED)[:3], expected, rtol=1e-12)


def test_the_moving_score_looks_at_the_values_just_before():
    scores = moving_avg(TRAINING, JUDGED, 20)
    before = TRAINING[-20:]
    assert scores[0] == pytest.approx(abs(0 - before.mean()) / before.std(ddof=1), rel=1e-9)
    before = np.concatenate((TRAINING[-18:], JUDGED[:2]))
    assert scores[2] == pytest.approx(abs(-9 - before.mean()) / before.std(ddof=1), rel=1e-9)


def test_a_value_that_is_not_known_is_no_outlier():
    for scores in (zscore(TRAINING, JUDGED), mad(TRAINING, JUDGED), moving_avg(TRAINING, JUDGED, 20)):
        assert np.isnan(scores[3])


def test_outliers_in_training_widen_one_and_not_the_other():
    spoilt = np.concatenate((TRAINING, np.full(20, 50.0)))
    assert zscore(spoilt, np.array([9.0]))[0] < 1
    assert mad(spoilt, np.array([9.0]))[0] > 8


def test_a_training_of_equal_values_has_no_mad():
    mostly = np.concatenate((np.zeros(60), np.ones(40)))
    assert np.isnan(mad(mostly, JUDGED)).all()


def test_the_moving_score_is_not_bounded_by_its_window():
    """The original's includes the value itself: of 20 it could never be above 19 / sqrt(20) = 4.25."""
    assert moving_avg(TRAINING, np.array([100.0]), 20)[0] > 50


def test_a_window_of_equal_values_has_no_deviation():
    assert np.isnan(moving_avg(np.zeros(30), np.array([1.0]), 20)[0])


@given(st.floats(-50, 50), st.floats(0.01, 100))
def test_place_and_scale_make_no_difference(shift: float, factor: float):
    for score in (zscore, mad, lambda training, judged: moving_avg(training, judged, 20)):
        moved = score(TRAINING * factor + shift, JUDGED * factor + shift)
        np.testing.assert_allclose(moved, score(TRAINING, JUDGED), rtol=1e-6, atol=1e-8)


def test_order_makes_no_difference_to_those_that_look_at_all():
    flipped = TRAINING[::-1]
    np.testing.assert_allclose(zscore(flipped, JUDGED), zscore(TRAINING, JUDGED))
    np.testing.assert_allclose(mad(flipped, JUDGED), mad(TRAINING, JUDGED))
