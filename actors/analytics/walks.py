"""Whether returns in a row depend on each other, or the price is a random walk. Pure; returns that vary, no NaN."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data_manager.actors.analytics.bars import Floats


class VarianceRatio(NamedTuple):
    """Variance over q bars against q times the variance over one; `z` is standard normal for a random walk."""

    ratio: float
    z: float


def autocorrelation(returns: Floats, lag: int) -> float:
    """sum((r_t - m)(r_{t-lag} - m)) / sum((r_t - m)^2), m the mean of all. Box & Jenkins 1970."""
    centred = returns - np.mean(returns)
    return float(np.dot(centred[lag:], centred[:-lag]) / np.dot(centred, centred))


def variance_ratio(returns: Floats, q: int) -> VarianceRatio:
    """The ratio from overlapping q-bar returns without bias, and its z robust to changing volatility.

    Lo & MacKinlay 1988, Rev. Financial Studies 1(1):41-66, their M_r(q) + 1 and z*(q); `q` at least 2 and well below
    the number of returns.
    """
    n = len(returns)
    centred = returns - np.mean(returns)
    squares = centred**2
    total = float(np.sum(squares))
    levels = np.concatenate(([0.0], np.cumsum(centred)))
    overlapping = levels[q:] - levels[:-q]
    scale = q * (n - q + 1) * (1 - q / n)
    ratio = float(np.dot(overlapping, overlapping)) / scale / (total / (n - 1))
    lags = np.arange(1, q)
    deltas = np.array([np.dot(squares[lag:], squares[:-lag]) for lag in lags]) / total**2
    theta = float(np.sum((2 * (q - lags) / q) ** 2 * deltas))
    return VarianceRatio(ratio, (ratio - 1) / np.sqrt(theta) if theta > 0 else np.nan)
