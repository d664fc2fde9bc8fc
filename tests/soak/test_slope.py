"""The slope that a soak test judges by: exact on lines, unmoved by outliers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.soak.slope import MAX_POINTS, settled, slope

numbers = st.floats(-1000, 1000, allow_nan=False)


@given(numbers, numbers, st.integers(2, 100))
def test_the_slope_of_a_line_is_its_own(per_unit: float, start: float, points: int) -> None:
    times = [float(at) for at in range(points)]
    assert slope(times, [start + per_unit * at for at in times]) == pytest.approx(per_unit, abs=1e-6)


@given(st.integers(0, 2**32), st.lists(st.floats(0, 10_000), min_size=20, max_size=25))
def test_a_quarter_of_wild_values_does_not_move_it_far(seed: int, wild: list[float]) -> None:
    rng = random.Random(seed)
    values = [100.0 + 2 * at for at in range(100)]
    for place, value in zip(rng.sample(range(100), len(wild)), wild, strict=True):
        values[place] = value
    # more than half of all pairs hold no wild value, and all of those have the slope of the line
    assert slope([float(at) for at in range(100)], values) == pytest.approx(2)


def test_one_jump_that_stays_is_no_growth() -> None:
    values = [50.0] * 20 + [70.0] * 80
    assert slope([float(at) for at in range(100)], values) == 0


def test_a_long_series_is_thinned_and_not_cut() -> None:
    times = [float(at) for at in range(10 * MAX_POINTS)]
    assert slope(times, [0.0 if at < 5 * MAX_POINTS else at for at in times]) > 0


def test_what_warms_up_is_left_out() -> None:
    assert settled([10, 20, 30, 40], [1, 2, 3, 4], warm_up=15) == ([30, 40], [3, 4])
