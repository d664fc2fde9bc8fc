"""Cycles: Fisher's test against exact fractions and simulation, and what it finds and does not."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy import signal

from data_manager.actors.analytics.spectrum import cycles, fisher_p, periodogram


def exact_p(share: Fraction, ordinates: int) -> float:
    """Fisher's sum in exact fractions, with no sign lost."""
    total = Fraction(0)
    for j in range(1, ordinates + 1):
        if j * share < 1:
            total += (-1) ** (j - 1) * comb(ordinates, j) * (1 - j * share) ** (ordinates - 1)
    return float(total)


@pytest.mark.parametrize("ordinates", [2, 10, 100, 300])
@pytest.mark.parametrize("times", ["1.5", "3", "7", "12", "20"])
def test_fishers_sum_keeps_its_digits(ordinates: int, times: str):
    """`times` the mean ordinate; where the terms cancel the answer is 1."""
    share = min(Fraction(times) / ordinates, Fraction(9, 10))
    assert fisher_p(float(share), ordinates) == pytest.approx(exact_p(share, ordinates), abs=1e-7, rel=1e-6)


def test_one_ordinate_that_has_it_all_is_never_noise():
    assert fisher_p(1.0, 50) == 0.0


def test_the_periodogram_is_the_squared_transform():
    values = np.random.default_rng(1).normal(size=101)
    frequencies, powers = periodogram(values)
    expected = np.abs(np.fft.rfft(values - values.mean())) ** 2 * 2 / 101**2
    np.testing.assert_allclose(powers, expected[1:], rtol=1e-9)
    np.testing.assert_allclose(frequencies, np.arange(1, 51) / 101)


def test_the_highest_frequency_of_an_even_number_is_left_out():
    values = np.random.default_rng(1).normal(size=100)
    assert len(periodogram(values)[1]) == 49
    assert len(signal.periodogram(values)[1]) == 51


def test_noise_has_a_cycle_as_often_as_the_level_says():
    random = np.random.default_rng(11)
    found = sum(bool(cycles(random.normal(size=500), 3, 0.05)) for _ in range(600))
    assert found / 600 == pytest.approx(0.05, abs=0.027)


def test_a_cycle_in_noise_is_found_with_its_period():
    random = np.random.default_rng(2)
    values = random.normal(size=720) + 0.8 * np.sin(2 * np.pi * np.arange(720) / 24)
    found = cycles(values, 3, 0.01)
    assert [round(each.period_bars) for each in found] == [24]
    assert found[0].share == pytest.approx(0.32 / 1.32, abs=0.08)
    assert found[0].p_value < 1e-20


def test_the_strongest_come_first_and_no_more_than_asked_for():
    time = np.arange(720)
    waves = sum(size * np.sin(2 * np.pi * time / period) for size, period in ((4, 24), (3, 12), (2, 8), (1.5, 6)))
    values = waves + np.random.default_rng(3).normal(size=720)
    assert [round(each.period_bars) for each in cycles(values, 3, 0.01)] == [24, 12, 8]
    assert [round(each.period_bars) for each in cycles(values, 9, 0.01)] == [24, 12, 8, 6]


def test_a_pure_cycle_is_one_cycle():
    found = cycles(np.sin(2 * np.pi * np.arange(240) / 24), 3, 0.01)
    assert len(found) == 1
    assert (found[0].share, found[0].p_value) == pytest.approx((1.0, 0.0))


def test_prices_of_a_walk_would_have_cycles_that_its_returns_have_not():
    """Why spectra are of returns: the long periods of a walk's level look like cycles in nearly every run."""
    random = np.random.default_rng(4)
    walks = [np.cumsum(random.normal(size=720)) for _ in range(30)]
    of_levels = [cycles(signal.detrend(each), 1, 0.01) for each in walks]
    assert sum(bool(found) and found[0].period_bars >= 240 for found in of_levels) >= 27
    assert sum(bool(cycles(np.diff(each), 1, 0.01)) for each in walks) <= 2
