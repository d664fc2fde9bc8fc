"""Recursive averages of series without holes. Pure; each is as long as its input, NaN until it has warmed up.

What an average began with fades but never vanishes: after k values it still weighs (1 - alpha)^k of itself, for
Wilder's of 14 bars 11 % after 30 and 0.01 % after 125.
"""

from __future__ import annotations

import numpy as np
from scipy import signal

from data_manager.actors.analytics.bars import Floats


def seeded(values: Floats, length: int, alpha: float) -> Floats:
    """y_t = y_{t-1} + alpha (x_t - y_{t-1}), begun with the plain mean of the first `length` values."""
    smoothed = np.full(len(values), np.nan)
    if len(values) < length:
        return smoothed
    seed = float(np.mean(values[:length]))
    smoothed[length - 1] = seed
    if len(values) > length:
        state = [(1 - alpha) * seed]
        smoothed[length:], _ = signal.lfilter([alpha], [1.0, alpha - 1.0], values[length:], zi=state)
    return smoothed


def wilder(values: Floats, length: int) -> Floats:
    """Wilder's smoothing (Wilder 1978, New Concepts in Technical Trading Systems): alpha = 1 / length."""
    return seeded(values, length, 1 / length)


def ema(values: Floats, length: int) -> Floats:
    """The exponential average of technical analysis: alpha = 2 / (length + 1), seeded with a mean."""
    return seeded(values, length, 2 / (length + 1))


def ewma(values: Floats, decay: float) -> Floats:
    """The mean of all values so far, each weighing `decay` times as much as the one after it; known from the first.

    The weights are normalised (pandas calls it adjusted), so that nothing has to be begun with. RiskMetrics (1996).
    """
    if not len(values):
        return values
    recursion = [1.0, -decay]
    weighted = signal.lfilter([1.0], recursion, values)
    return np.asarray(weighted / signal.lfilter([1.0], recursion, np.ones(len(values))))


def span_decay(span: int) -> float:
    """The decay of an average over `span` values: alpha = 2 / (span + 1)."""
    return 1 - 2 / (span + 1)
