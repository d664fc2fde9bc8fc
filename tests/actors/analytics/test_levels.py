"""Levels with hysteresis: two in a row beyond a threshold, against a state machine that says the same step by step."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.analytics.levels import HIGH, LOW, MEDIUM, levels

L, M, H = LOW, MEDIUM, HIGH


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5.0], [M]),
        ([0.0], [L]),
        ([9.0], [H]),
        ([5, 9, 5, 9, 5], [M, M, M, M, M]),
        ([5, 9, 9, 5, 9, 9], [M, M, H, H, H, H]),
        ([5, 9, 9, 5, 5], [M, M, H, H, M]),
        ([5, 0, 0, 5, 0], [M, M, L, L, L]),
        ([0, 0, 9, 9], [L, L, L, H]),
        ([0, 0, 5, 9, 9], [L, L, L, M, H]),
        ([9, 0, 9, 0, 0], [H, H, H, H, L]),
    ],
)
def test_a_level_changes_after_two_bars_beyond_its_threshold(values: list[float], expected: list[int]):
    assert levels(np.array(values, dtype=float), 2.0, 7.0).tolist() == expected


def test_the_thresholds_themselves_are_medium():
    assert levels(np.array([2.0, 2.0, 7.0, 7.0]), 2.0, 7.0).tolist() == [M] * 4


def step_by_step(values: list[float], low: float, high: float) -> list[int]:
    """Each threshold is passed, or passed back, by the second value in a row on the other side."""
    sides = [values[0] >= low, values[0] > high]
    told = [sum(sides) - 1]
    for before, now in pairwise(values):
        for at, (was, is_) in enumerate((((before >= low), (now >= low)), ((before > high), (now > high)))):
            if was == is_:
                sides[at] = is_
        told.append(sum(sides) - 1)
    return told


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60))
def test_all_at_once_is_step_by_step(values: list[float]):
    assert levels(np.array(values), 3.0, 6.0).tolist() == step_by_step(values, 3.0, 6.0)


def test_nothing_has_no_level():
    assert levels(np.empty(0), 1.0, 2.0).tolist() == []
