"""Entropies against antropy and scipy, and at their ends."""

from __future__ import annotations

import math

import antropy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from data_manager.actors.analytics.entropy import histogram_entropy, permutation_entropy, shannon, spectral_entropy
from data_manager.actors.analytics.spectrum import periodogram

NOISE = np.random.default_rng(4).normal(0, 0.01, 2001)


def test_shannons_is_scipys():
    shares = np.array([0.5, 0.25, 0.0, 0.25])
    assert shannon(shares) == pytest.approx(stats.entropy(shares), rel=1e-12)
    assert str(shannon(np.array([1.0]))) == "0.0"


def test_the_histograms_entropy_is_scipys_of_its_counts():
    counts, _ = np.histogram(NOISE, 50)
    assert histogram_entropy(NOISE, 50) == pytest.approx(stats.entropy(counts), rel=1e-12)


def test_evenly_spread_values_have_all_the_entropy_there_is():
    assert histogram_entropy(np.arange(5000.0), 50) == pytest.approx(math.log(50))


@pytest.mark.parametrize("order", [3, 4, 5])
def test_the_permutation_entropy_is_antropys(order: int):
    ours = permutation_entropy(NOISE, order)
    assert ours == pytest.approx(antropy.perm_entropy(NOISE, order=order, normalize=True), rel=1e-9)


def test_noise_has_nearly_all_orders_and_a_line_has_one():
    assert permutation_entropy(NOISE, 4) > 0.99
    assert permutation_entropy(np.arange(300.0), 4) == 0.0
    assert permutation_entropy(np.tile([1.0, 2.0], 150), 4) == pytest.approx(math.log(2) / math.log(24), rel=1e-3)


def test_240_returns_of_noise_read_nearly_1():
    """The limit in conf/ is where the bias of few values is small: below 2 % on average."""
    random = np.random.default_rng(1)
    assert np.mean([permutation_entropy(random.normal(size=240), 4) for _ in range(50)]) > 0.98


def test_the_spectral_entropy_is_antropys():
    """antropy divides by one frequency more: the mean, whose power is none."""
    _, powers = periodogram(NOISE)
    theirs = antropy.spectral_entropy(NOISE, sf=1.0, method="fft", normalize=False)
    assert spectral_entropy(powers) == pytest.approx(theirs / math.log2(len(powers)), rel=1e-9)


def test_noise_reads_what_is_written_of_it():
    _, powers = periodogram(NOISE)
    assert spectral_entropy(powers) == pytest.approx(1 - 0.4228 / math.log(len(powers)), abs=0.01)


def test_a_cycle_alone_has_no_spectral_entropy():
    wave = np.sin(2 * np.pi * np.arange(240) / 24)
    assert spectral_entropy(periodogram(wave)[1]) == pytest.approx(0, abs=1e-9)


@given(st.lists(st.floats(-1, 1), min_size=20, max_size=60), st.floats(0.01, 100))
def test_entropies_stay_within_their_ends_whatever_the_units(values: list[float], factor: float):
    array = np.round(np.array(values), 6)
    if np.ptp(array) == 0:
        return
    assert 0 <= histogram_entropy(array, 50) <= math.log(50)
    assert 0 <= permutation_entropy(array, 4) <= 1 + 1e-12
    assert permutation_entropy(array * factor, 4) == permutation_entropy(array, 4)


def test_shuffling_changes_the_order_and_not_the_shape():
    shuffled = np.random.default_rng(5).permutation(np.arange(500.0) ** 2)
    assert histogram_entropy(shuffled, 50) == pytest.approx(histogram_entropy(np.arange(500.0) ** 2, 50), rel=1e-12)
    assert permutation_entropy(shuffled, 4) > 0.9
