"""Symbols side by side: common times, and correlations against numpy and statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.tsa.stattools import ccf

from data_manager.actors.analytics.alignment import aligned, lead, pearson
from tests.actors.analytics.series import HOUR_MS, START_MS, still, walk, without


def test_rows_are_the_times_at_which_every_symbol_has_a_return():
    table = aligned({"A": without(walk(10, seed=1), 3), "B": without(walk(10, seed=2), 7)}, 5)
    places = ((table.open_times - START_MS) // HOUR_MS).tolist()
    assert places == [1, 2, 5, 6, 9]
    assert table.symbols == ("A", "B")
    assert table.returns.shape == (5, 2)
    np.testing.assert_array_equal(table.column("A"), walk(10, seed=1).log_returns[[1, 2, 5, 6, 9]])


def test_a_symbol_with_too_few_bars_costs_the_others_nothing():
    table = aligned({"A": walk(50, seed=1), "B": walk(50, seed=2), "C": walk(20, seed=3)}, 40)
    assert table.symbols == ("A", "B")
    assert len(table.open_times) == 49
    assert table.left_out == {"C": "20 bars are there, and it takes 40"}


def test_a_symbol_that_stands_still_is_left_out():
    table = aligned({"A": walk(50), "B": still(50)}, 40)
    assert table.left_out == {"B": "its returns do not vary"}


def test_nothing_aligned_is_an_empty_table():
    table = aligned({"A": walk(5)}, 10)
    assert (table.symbols, len(table.open_times), table.returns.shape) == ((), 0, (0, 0))
    apart = aligned({"A": walk(20), "B": walk(20, start_ms=START_MS + 100 * HOUR_MS)}, 10)
    assert (apart.symbols, set(apart.left_out)) == ((), {"A", "B"})


def test_the_matrix_is_numpys():
    table = np.random.default_rng(1).normal(size=(300, 5)) @ np.random.default_rng(2).normal(size=(5, 5))
    np.testing.assert_allclose(pearson(table), np.corrcoef(table, rowvar=False), rtol=1e-9, atol=1e-12)


tables = st.integers(3, 40).flatmap(
    lambda rows: st.integers(1, 6).flatmap(
        lambda columns: st.lists(
            st.lists(st.floats(-1, 1), min_size=columns, max_size=columns), min_size=rows, max_size=rows
        )
    )
)


@given(tables, st.floats(1e-3, 1e3))
def test_the_matrix_is_symmetric_positive_semidefinite_and_knows_no_units(rows: list[list[float]], factor: float):
    table = np.round(np.array(rows), 6)
    if (np.ptp(table, axis=0) == 0).any():
        return
    matrix = pearson(table)
    assert (matrix == matrix.T).all()
    assert (np.diag(matrix) == 1.0).all()
    assert (np.abs(matrix) <= 1.0).all()
    assert np.linalg.eigvalsh(matrix).min() > -1e-9
    np.testing.assert_allclose(pearson(table * factor), matrix, atol=1e-9)
    np.testing.assert_allclose(pearson(table[::-1]), matrix, atol=1e-9)


def test_who_follows_has_a_lag_above_0():
    leader = np.random.default_rng(3).normal(size=500)
    follower = np.concatenate((np.zeros(3), leader[:-3]))
    rows = np.arange(500)
    assert lead(follower, leader, rows, 24)[0] == 3
    assert lead(leader, follower, rows, 24)[0] == -3
    assert lead(leader, leader, rows, 24) == (0, pytest.approx(1.0))


def test_opposites_are_as_strong_as_equals():
    leader = np.random.default_rng(3).normal(size=300)
    lag, strength = lead(-np.roll(leader, 5), leader, np.arange(300), 24)
    assert lag == 5
    assert strength == pytest.approx(-1, abs=0.05)


def test_the_cross_correlation_is_statsmodels():
    one, other = np.random.default_rng(5).normal(size=(2, 300))
    other = other + 0.5 * np.roll(one, -4)
    theirs = ccf(one, other, adjusted=False)[:25]
    backwards = ccf(other, one, adjusted=False)[:25]
    lag, strength = lead(one, other, np.arange(300), 24)
    everything = np.concatenate((backwards[:0:-1], theirs))
    best = int(np.argmax(np.abs(everything)))
    assert (lag, strength) == (best - 24, pytest.approx(everything[best], rel=1e-9))


def test_a_lag_is_of_time_and_not_of_rows():
    """Half of all rows are missing; the follower is still three bars behind, not three rows."""
    leader = np.random.default_rng(3).normal(size=1000)
    follower = np.concatenate((np.zeros(3), leader[:-3]))
    rows = np.sort(np.random.default_rng(4).permutation(1000)[:600])
    rows = rows - rows[0]
    picked = rows + int(1000 - 1 - rows[-1])
    lag, strength = lead(follower[picked], leader[picked], rows, 24)
    assert lag == 3
    assert strength > 0.4


def test_a_short_series_has_short_lags():
    assert lead(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 4.0]), np.arange(3), 24) == (0, pytest.approx(1.0))
