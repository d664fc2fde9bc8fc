"""Prices that stand still: how long, and with how much traded."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.analytics.stillness import still_bars, volume_per_move
from tests.actors.analytics.series import bars_from, still, walk, without


def test_a_standstill_is_counted_from_its_first_bar():
    bars = bars_from([1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 2.0])
    assert still_bars(bars).tolist() == [1, 0, 1, 2, 0, 1, 0]


def test_a_bar_that_moved_inside_is_not_still():
    bars = bars_from([2.0, 2.0, 2.0, 2.0])
    bars.high[2] = 2.5
    assert still_bars(bars).tolist() == [1, 2, 0, 1]


def test_a_flat_bar_at_another_price_begins_anew():
    bars = still(5)
    for side in (bars.open, bars.high, bars.low, bars.close):
        side[3:] = 101.0
    assert still_bars(bars).tolist() == [1, 2, 3, 1, 2]


def test_a_hole_begins_anew():
    assert still_bars(without(still(7), 3)).tolist() == [1, 2, 3, 1, 2, 3]


def test_a_market_that_moves_is_never_still():
    assert not still_bars(walk(100)).any()
    assert still_bars(walk(3).slice(0, 0)).tolist() == []


@given(st.lists(st.sampled_from([1.0, 2.0]), min_size=1, max_size=40), st.sets(st.integers(0, 39)))
def test_it_is_what_a_plain_count_says(closes: list[float], holes: set[int]):
    bars = without(bars_from(closes), *(hole for hole in holes if hole < len(closes)))
    expected, count = [], 0
    for at in range(len(bars)):
        flat = bars.high[at] == bars.low[at]
        goes_on = bool(bars.adjacent[at]) and bars.close[at] == bars.close[at - 1]
        count = (count + 1 if goes_on else 1) if flat else 0
        expected.append(count)
    assert still_bars(bars).tolist() == expected


def test_much_volume_for_a_small_move_is_a_large_number():
    volumes, ranges = np.array([1.0, 6.0, 6.0, 2.0, np.nan]), np.array([1.0, 6.0, 0.5, 0.0, 1.0])
    assert volume_per_move(volumes, ranges)[:4].tolist() == [1.0, 1.0, 12.0, 20.0]
    assert np.isnan(volume_per_move(volumes, ranges)[4])
