"""Range estimators against the papers' formulas on ten bars made by hand, and against what they promise."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.analytics.bars import Bars
from data_manager.actors.analytics.ranges import garman_klass, parkinson, rogers_satchell, yang_zhang
from tests.actors.analytics import literal
from tests.actors.analytics.series import HOUR_MS, START_MS, scaled, still, walk, without

ESTIMATORS = (parkinson, garman_klass, rogers_satchell)


def ten() -> Bars:
    """The ten bars of literal.py."""
    prices = (np.array([float(each) for each in column]) for column in literal_columns())
    nothing = np.full(10, np.nan)
    quote = np.array([float(each) for each in literal.QUOTE])
    return Bars(HOUR_MS, START_MS + HOUR_MS * np.arange(10), *prices, nothing, quote, nothing, nothing)


def literal_columns() -> tuple[list[Decimal], ...]:
    return literal.OPEN, literal.HIGH, literal.LOW, literal.CLOSE


@pytest.mark.parametrize(
    ("ours", "paper"),
    [
        (parkinson, literal.parkinson),
        (garman_klass, literal.garman_klass),
        (rogers_satchell, literal.rogers_satchell),
        (yang_zhang, literal.yang_zhang),
    ],
)
def test_ten_bars_give_what_the_paper_gives(ours, paper):
    assert ours(ten()) == pytest.approx(float(paper()), rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_on_a_walk_without_jumps_all_find_its_variance(seed: int):
    """A bar of 2,000 small steps: each estimator's mean over 500 bars is near the steps' own variance."""
    steps = np.random.default_rng(seed).normal(0, 1e-4, (500, 2000))
    paths = np.cumsum(steps, axis=1)
    opens = np.concatenate(([0.0], np.cumsum(paths[:, -1])[:-1]))
    levels = opens[:, None] + np.concatenate((np.zeros((500, 1)), paths), axis=1)
    open_, high, low, close = (
        np.exp(levels[:, 0]),
        np.exp(levels.max(1)),
        np.exp(levels.min(1)),
        np.exp(levels[:, -1]),
    )
    bars = Bars(HOUR_MS, START_MS + HOUR_MS * np.arange(500), open_, high, low, close, *(np.ones(500),) * 4)
    for estimator in (*ESTIMATORS, yang_zhang):
        assert estimator(bars) == pytest.approx(2000 * 1e-8, rel=0.12)


bars_of_any_kind = st.lists(st.tuples(*(st.floats(1e-3, 1e6) for _ in range(4))), min_size=3, max_size=30).map(np.array)


def ordered(rows: np.ndarray) -> Bars:
    """Bars from any four prices: the greatest is the high, the least the low."""
    times = START_MS + HOUR_MS * np.arange(len(rows))
    return Bars(HOUR_MS, times, rows[:, 0], rows.max(axis=1), rows.min(axis=1), rows[:, 1], *(np.ones(len(rows)),) * 4)


@given(bars_of_any_kind)
def test_no_estimate_is_negative(rows: np.ndarray):
    bars = ordered(rows)
    for estimator in (*ESTIMATORS, yang_zhang):
        assert estimator(bars) >= -1e-15


@given(bars_of_any_kind)
def test_an_estimate_is_exactly_nothing_where_high_is_low(rows: np.ndarray):
    flat = ordered(np.repeat(rows[:, :1], 4, axis=1))
    for estimator in ESTIMATORS:
        assert estimator(flat) == 0.0


def test_a_price_that_stands_still_has_no_variance_by_any_of_them():
    for estimator in (*ESTIMATORS, yang_zhang):
        assert estimator(still(20)) == 0.0


def test_yang_and_zhang_see_the_jump_that_the_others_do_not():
    rows = np.repeat(np.array([[100.0], [150.0], [90.0], [120.0]]), 4, axis=1)
    assert yang_zhang(ordered(rows)) > 0.1


def test_the_order_of_bars_makes_no_difference_where_none_looks_back():
    bars = walk(40)
    shuffled = np.random.default_rng(3).permutation(40)
    mixed = Bars(bars.interval_ms, bars.open_times, *(getattr(bars, n)[shuffled] for n in bars.__struct_fields__[2:]))
    for estimator in ESTIMATORS:
        assert estimator(mixed) == pytest.approx(estimator(bars), rel=1e-12)


@given(st.floats(1e-4, 1e4))
def test_units_of_price_make_no_difference(factor: float):
    bars = walk(30)
    for estimator in (*ESTIMATORS, yang_zhang):
        assert estimator(scaled(bars, price=factor)) == pytest.approx(estimator(bars), rel=1e-9)


def test_yang_and_zhang_look_at_adjacent_bars_only():
    """A jump across a hole is not one: with it the variance would be a hundred times as large."""
    rows = np.column_stack([np.full(21, 100.0), np.full(21, 100.5), np.full(21, 100.0), np.full(21, 100.0)])
    rows[11:] *= 2
    bars = without(ordered(rows), 10)
    assert yang_zhang(bars) < 1e-4
