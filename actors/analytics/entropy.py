"""How evenly values, orders and powers are spread: three entropies. Pure; no NaN in what is given."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from data_manager.actors.analytics.bars import Floats


def shannon(shares: Floats) -> float:
    """-sum(p ln p) in nats of shares that sum to 1; 0 ln 0 is 0. Shannon 1948, Bell System Tech. J. 27:379-423."""
    positive = shares[shares > 0]
    return float(-np.dot(positive, np.log(positive))) + 0.0  # -0.0 would print as such


def histogram_entropy(values: Floats, bins: int) -> float:
    """Shannon's entropy in nats of a histogram with equal bins from least to greatest: 0 to ln(bins).

    It tells the shape of the distribution, not its width. Values must vary.
    """
    counts, _ = np.histogram(values, bins)
    return shannon(counts / len(values))


def permutation_entropy(values: Floats, order: int) -> float:
    """The entropy of the orders in which successive values lie, over that of all orders being equally frequent: 0 to 1.

    Equal values keep their sequence. Bandt & Pompe 2002, Phys. Rev. Lett. 88:174102. Biased downwards where values
    are not many times order!.
    """
    ranks = np.argsort(sliding_window_view(values, order), axis=1, kind="stable")
    patterns = ranks @ (order ** np.arange(order))
    _, counts = np.unique(patterns, return_counts=True)
    return shannon(counts / len(patterns)) / math.log(math.factorial(order))


def spectral_entropy(powers: Floats) -> float:
    """The entropy of the shares of power, over that of all being equal: 0 for one cycle alone, 1 for a flat spectrum.

    White noise reads below 1, about 1 - 0.42 / ln(m) of m powers, as a periodogram scatters. Inouye et al. 1991,
    Electroencephalography and Clinical Neurophysiology 79(3):204-210.
    """
    return shannon(powers / np.sum(powers)) / math.log(len(powers))
